//! Two chains with the same random numbers: how fast a network forgets its input.
//!
//! Both chains start from different inputs and draw every layer from the same normals. If their Gram
//! matrices approach each other, the law of deep layers does not depend on the input, and the rate bounds
//! the rate of mixing: geometric mixing is what Joudaki, Daneshmand and Bach 2023, *On bridging the gap
//! between mean field and finite width in deep random multi-layer perceptron with batch normalization*
//! (ICML), assume.
//!
//! At large width the paper's chain contracts by [`n/(n+2)`](crate::theory::stationary::decay_rate)
//! a layer, for every coupling, because the limit is deterministic. Near the critical width of
//! about `n²/4` it contracts more slowly, and with a triangular factor more slowly than with the
//! symmetric root. The table has the fall of the log distance a layer, measured from layer n + 2 on
//! over 64 runs (errors are below .001 unless given in parentheses), and that of infinite width:
//!
//! | n | d | symmetric root | triangular | log(1 + 2/n) |
//! | --- | --- | --- | --- | --- |
//! | 4 | 16 | .246(4) | .240(4) | .405 |
//! | 4 | 512 | .4030 | .4027 | .405 |
//! | 8 | 64 | .145(1) | .134(1) | .223 |
//! | 8 | 2048 | .2219 | .2219 | .223 |
//! | 16 | 256 | .0787 | .0730 | .118 |
//! | 16 | 4096 | .1161 | .1159 | .118 |
//!
//! So the ratio to infinite width is about a function of `d/n²`: .65 at 1, .96 at 8, .99 at 32.

use std::ops::Range;

use super::{Ensemble, from_fn};
use crate::factorization::triangle;
use crate::statistics::Moments;
use crate::{Engine, Error, Gram, Input, Network, Order, Replicate, Result, Scalar, Seed, check};

/// Distances below this many roundings of the rows are noise.
const ROUNDING: f64 = 500.0;

/// The factor that makes rows of both chains from the same normals: $`y = R^\top z`$ with
/// $`R^\top R = C`$.
///
/// The law of each chain does not depend on it, but the distance of the chains does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FactorRule {
    /// The symmetric root of `C`: matrices that are close to each other have close roots.
    #[default]
    SymmetricRoot,
    /// The upper triangular factor with a diagonal that is not negative.
    Triangular,
}

/// Two chains of one network from two inputs, with the same random numbers in every layer.
///
/// ```
/// use orthogap::experiment::coupling::Coupling;
/// use orthogap::theory::stationary::decay_rate;
/// use orthogap::{Input, Network, Seed};
///
/// let network = Network::<f64>::new(512);
/// let inputs = [Input::orthogonal(4)?, Input::spiked(4, 0.5)?];
/// let coupling = Coupling::new(&network, [&inputs[0], &inputs[1]])?;
/// let rate = coupling.contraction(5..35, 40, Seed(1))?;
/// let interval = rate.confidence_interval(0.95).expect("40 runs");
/// println!("{:.3} in [{:.3}, {:.3}]", rate.mean(), interval.low, interval.high);
/// assert!((rate.mean() - decay_rate(4).ln()).abs() < 0.03); // -0.399(2) beside -0.405
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Coupling<'a, T: Scalar> {
    network: &'a Network<T>,
    inputs: [&'a Input; 2],
    rule: FactorRule,
}

impl<'a, T: Scalar> Coupling<'a, T> {
    /// Couples the chains of two inputs.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for batches of different sizes; [`Error::Unsupported`] for networks
    /// whose next Gram matrix depends on more than the last one: only [`Engine::Streamed`] with
    /// [`Order::LinearNormActivation`] (or no activation) has chains in `C` alone.
    pub fn new(network: &'a Network<T>, inputs: [&'a Input; 2]) -> Result<Self> {
        let [first, second] = inputs.map(Input::batch_size);
        if first != second {
            let (found, expected) = ((second, second), (first, first));
            return Err(Error::ShapeMismatch { what: "the Gram matrix", found, expected });
        }
        let in_order = network.order() == Order::LinearNormActivation
            || network.activation().is_linear() && network.order() != Order::NormActivationLinear;
        if network.engine() != Engine::Streamed || !in_order {
            return Err(Error::Unsupported {
                what: "a coupling of chains",
                needs: "a layer drawn from the Gram matrix alone that ends after its activation",
            });
        }
        Ok(Self { network, inputs, rule: FactorRule::default() })
    }

    /// Sets the rule for the factors.
    #[must_use]
    pub fn with_rule(self, rule: FactorRule) -> Self {
        Self { rule, ..self }
    }

    /// Returns $`\log \lVert C_l - C'_l \rVert_F`$ of layers 0 to `layers` of one run; minus
    /// infinity for equal matrices.
    ///
    /// Distances below 1e-13 (6e-5 in `f32`) are rounding. Cost: two steps of a chain and two
    /// factorisations a layer.
    ///
    /// # Errors
    /// Those of a [`Chain`](crate::Chain).
    pub fn log_distances(&self, layers: usize, run: impl Into<Replicate>) -> Result<Vec<f64>> {
        let run = run.into();
        let mut grams = self.inputs.map(|input| input.gram().clone());
        let mut distances = vec![log_distance(&grams)];
        for layer in 0..layers {
            let run = run.seed().branch(layer as u64).replicate(run.index());
            for gram in &mut grams {
                let input = Input::from_gram(self.factored(gram)?);
                *gram = self.network.chain(&input, run)?.step()?.gram().clone();
            }
            distances.push(log_distance(&grams));
        }
        Ok(distances)
    }

    /// Returns the moments, over independent runs, of the mean growth of the log distance a layer
    /// from `layers.start` to `layers.end`. It is negative if chains contract. The threads of the
    /// current pool share the runs.
    ///
    /// The first layers are a transient: start where both chains are stationary, after a few times
    /// n/2 layers. Runs that [stop](super::Summary::stops) are left out.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for an empty range, and if the distance at its end is rounding
    /// in a run (below 1e-13, or 6e-5 in `f32`), so that fewer layers are needed; those of
    /// [`Ensemble::run`].
    pub fn contraction(&self, layers: Range<usize>, runs: u32, seed: Seed) -> Result<Moments> {
        let Range { start, end } = layers;
        check::count("layers", end, end > start, "a layer after the first one")?;
        let experiment = from_fn(["rate"], start..=end, |run| {
            let distances = self.log_distances(end, run)?;
            let expected = "fewer layers: the distance of the chains is lost in rounding";
            check::count("layers", end, distances[end] > (ROUNDING * T::EPSILON).ln(), expected)?;
            Ok([(distances[end] - distances[start]) / (end - start) as f64])
        });
        let summary = Ensemble::new(&experiment, seed).run(runs)?;
        Ok(summary.over(start..=end, "rate").map_or_else(Moments::new, |rate| *rate.moments()))
    }

    /// The same Gram matrix with the factor of the rule.
    fn factored(&self, gram: &Gram) -> Result<Gram> {
        let factor = match self.rule {
            FactorRule::SymmetricRoot => {
                let (singular_values, axes) = gram.principal_axes();
                let mut scaled = axes.clone();
                for (mut column, sigma) in scaled.column_iter_mut().zip(singular_values) {
                    column *= sigma;
                }
                scaled * axes.transpose()
            }
            FactorRule::Triangular => triangle(gram.factor().clone()),
        };
        Gram::from_factor(factor)
    }
}

fn log_distance([first, second]: &[Gram; 2]) -> f64 {
    (first.matrix() - second.matrix()).norm().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation::Relu;
    use crate::theory::stationary::decay_rate;
    use crate::weights::Haar;

    /// Either rule at n = 4 and width 4096: 64 runs of 30 layers, seed 61; the rate of infinite width up to
    /// 4 standard errors and a bias of 0.005, two comparisons, a false alarm in 8000 seeds.
    #[test]
    fn wide_networks_contract_at_the_linear_rate() {
        let inputs = [Input::orthogonal(4).unwrap(), Input::spiked(4, 0.5).unwrap()];
        let network = Network::<f64>::new(4096);
        let coupling = Coupling::new(&network, [&inputs[0], &inputs[1]]).unwrap();
        for rule in [FactorRule::SymmetricRoot, FactorRule::Triangular] {
            let rate = coupling.with_rule(rule).contraction(5..35, 64, Seed(61)).unwrap();
            let error = rate.mean() - decay_rate(4).ln();
            let allowed = 4.0 * rate.standard_error() + 0.005;
            assert!(error.abs() < allowed, "{rule:?}: {error} {allowed}");
            assert_eq!(rate.count(), 64);
        }
    }

    /// Factors are of one matrix, so either chain alone has the law of the network.
    #[test]
    fn rules_do_not_change_the_matrix() {
        let input = Input::gaussian(5, 4, Seed(3)).unwrap();
        let network = Network::<f64>::new(64);
        let coupling = Coupling::new(&network, [&input, &input]).unwrap();
        for rule in [FactorRule::SymmetricRoot, FactorRule::Triangular] {
            let factored = coupling.with_rule(rule).factored(input.gram()).unwrap();
            assert!((factored.matrix() - input.gram().matrix()).amax() < 1e-15);
            let distances = coupling.with_rule(rule).log_distances(3, Seed(62)).unwrap();
            assert!(distances.iter().all(|x| *x == f64::NEG_INFINITY));
        }
    }

    /// Layer by layer by the definition, and the rate of two runs from their distances.
    #[test]
    fn distances_are_those_of_two_chains_with_one_seed() {
        let inputs = [Input::gaussian(5, 3, Seed(4)).unwrap(), Input::spiked(3, 0.5).unwrap()];
        let network = Network::<f64>::new(32);
        let coupling = Coupling::new(&network, [&inputs[0], &inputs[1]]).unwrap();
        let coupling = coupling.with_rule(FactorRule::Triangular);
        let of_run = |run| coupling.log_distances(4, Seed(63).replicate(run)).unwrap();
        let mut matrices = inputs.clone().map(|input| input.gram().matrix());
        for (layer, distance) in of_run(1).into_iter().enumerate() {
            let exact = (&matrices[0] - &matrices[1]).norm().ln();
            assert!((distance - exact).abs() < 1e-11, "{layer}: {distance} {exact}");
            let run = Seed(63).branch(layer as u64).replicate(1);
            matrices = matrices.map(|matrix| {
                let factor = matrix.cholesky().unwrap().l().transpose();
                let input = Input::from_gram(Gram::from_factor(factor).unwrap());
                network.chain(&input, run).unwrap().step().unwrap().matrix()
            });
        }
        let rates = [0, 1].map(|run| (of_run(run)[4] - of_run(run)[1]) / 3.0);
        let moments = coupling.contraction(1..4, 2, Seed(63)).unwrap();
        assert!((moments.mean() - (rates[0] + rates[1]) / 2.0).abs() < 1e-12);
        let root =
            coupling.with_rule(FactorRule::SymmetricRoot).factored(inputs[0].gram()).unwrap();
        assert!((root.factor() - root.factor().transpose()).amax() < 1e-15);
    }

    #[test]
    fn chains_of_more_than_the_gram_matrix_are_refused() {
        let inputs = [4, 4, 3].map(|n| Input::orthogonal(n).unwrap());
        let network = Network::<f64>::new(16);
        let of = |network: &Network<f64>, second| {
            Coupling::new(network, [&inputs[0], &inputs[second]]).map(drop)
        };
        assert!(matches!(of(&network, 2), Err(Error::ShapeMismatch { .. })));
        let haar = network.clone().with_weights(Haar::default());
        let before = network.clone().with_activation(Relu).with_order(Order::ActivationLinearNorm);
        let first = network.clone().with_order(Order::NormActivationLinear);
        for network in [haar, before, first] {
            assert!(matches!(of(&network, 1), Err(Error::Unsupported { .. })));
        }
        assert!(of(&network.clone().with_activation(Relu), 1).is_ok());
        assert!(of(&network.clone().with_order(Order::ActivationLinearNorm), 1).is_ok());
        let spiked = Input::spiked(4, 0.5).unwrap();
        let coupling = Coupling::new(&network, [&inputs[0], &spiked]).unwrap();
        assert!(coupling.contraction(3..3, 4, Seed(1)).is_err());
        assert!(coupling.contraction(3..400, 4, Seed(1)).is_err());
    }
}
