//! The deterministic chain of a network with an activation.

use super::{quasi_monte_carlo, relu};
use crate::activation::Activation;
use crate::normalization::{BatchNorm, Centering, RowScale};
use crate::theory::mean_field::{MeanFieldChain, centered};
use crate::{Error, Gram, Replicate, Result, Seed};

/// A layer of an [`ActivationChain`].
#[derive(Clone, Debug, PartialEq)]
pub struct ActivationLayer {
    depth: usize,
    pre_activation: Gram,
    gram: Gram,
    standard_error: f64,
}

impl ActivationLayer {
    /// Returns the number of layers above the input, which is layer 0.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Returns the Gram matrix of the normalised rows before the activation, BN(W H); at layer 0
    /// that of the input.
    #[must_use]
    pub fn pre_activation(&self) -> &Gram {
        &self.pre_activation
    }

    /// Returns the Gram matrix of F(BN(W H)).
    #[must_use]
    pub fn gram(&self) -> &Gram {
        &self.gram
    }

    /// Returns the largest standard error of an entry of [`gram`](Self::gram), given the layer before;
    /// zero where the layer is exact.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        self.standard_error
    }
}

/// The chain of F(BN(W H)) at infinite width, which is deterministic, with the Gram matrices before and
/// after the activation.
///
/// Exact to 1e-10 for the identity and [`relu`], with rows centred or not; other activations by
/// [`quasi_monte_carlo`], whose errors do not add up where the chain contracts. The networks of
/// [`Order::ActivationLinearNorm`](crate::Order::ActivationLinearNorm) have the pre-activation matrices.
///
/// At finite width, single runs spread about the chain by about $`\sqrt{n/d}/2`$ in Frobenius norm,
/// and their mean differs by a relative O(1/d). ReLU without centring loses samples irreversibly,
/// with a probability of about `n 2^-d` a layer; the chain ignores this.
///
/// ```
/// use orthogap::theory::mean_field_activation::ActivationChain;
/// use orthogap::{Activation, Input, normalization::BatchNorm};
///
/// let input = Input::near_collinear(8, 1e-2)?;
/// let batch_norm = BatchNorm::standard(0.0)?;
/// let mut chain = ActivationChain::new(input.gram(), &Activation::Relu, batch_norm)?;
/// let deep = chain.advance(40)?;
/// assert!((deep.pre_activation().cosine(0, 1)? + 1.0 / 7.0).abs() < 1e-6);
/// assert!((deep.gram().cosine(0, 1)? - 0.250).abs() < 1e-3);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ActivationChain {
    activation: Activation,
    batch_norm: BatchNorm,
    points: usize,
    run: Replicate,
    layer: ActivationLayer,
}

impl ActivationChain {
    /// Creates the chain that begins with this Gram matrix. It needs no spectrum.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a batch norm with an epsilon.
    pub fn new(gram: &Gram, activation: &Activation, batch_norm: BatchNorm) -> Result<Self> {
        without_epsilon(&batch_norm)?;
        let (pre_activation, gram) = (gram.clone(), gram.clone());
        let layer = ActivationLayer { depth: 0, pre_activation, gram, standard_error: 0.0 };
        let (activation, run) = (activation.clone(), Seed(0).replicate(0));
        Ok(Self { activation, batch_norm, points: 4096, run, layer })
    }

    /// Sets the number of points of each of the twelve shifts of [`quasi_monte_carlo`]
    /// (4096 by default).
    #[must_use]
    pub fn with_points(self, points: usize) -> Self {
        Self { points, ..self }
    }

    /// Sets the random shifts.
    #[must_use]
    pub fn with_replicate(self, run: impl Into<Replicate>) -> Self {
        Self { run: run.into(), ..self }
    }

    /// Returns the current layer: the input at first, then the one last stepped to.
    #[must_use]
    pub fn layer(&self) -> &ActivationLayer {
        &self.layer
    }

    /// Computes the next layer and borrows it. Cost: that of [`relu`] or [`quasi_monte_carlo`].
    ///
    /// # Errors
    /// Those of these functions and of [`MeanFieldChain::new`], and with centring those of
    /// [`centered`]. The current layer is then unchanged.
    pub fn step(&mut self) -> Result<&ActivationLayer> {
        let source = match self.batch_norm.centering() {
            Centering::None => self.layer.gram.clone(),
            Centering::Batch => centered(&self.layer.gram)?,
        };
        let pre_activation = MeanFieldChain::new(&source)?.step().gram().clone();
        let depth = self.layer.depth + 1;
        let (gram, standard_error) = match self.activation {
            Activation::Identity => (pre_activation.clone(), 0.0),
            Activation::Relu => (relu(&source)?, 0.0),
            _ => {
                let length = row_norm(&self.batch_norm, source.batch_size());
                let run = self.run.seed().branch(depth as u64).replicate(self.run.index());
                let of = quasi_monte_carlo(&source, &self.activation, length, self.points, run)?;
                (of.gram, of.standard_error.max())
            }
        };
        self.layer = ActivationLayer { depth, pre_activation, gram, standard_error };
        Ok(&self.layer)
    }

    /// Computes `layers` more layers and borrows the last one.
    ///
    /// # Errors
    /// Those of [`step`](Self::step).
    pub fn advance(&mut self, layers: usize) -> Result<&ActivationLayer> {
        for _ in 0..layers {
            self.step()?;
        }
        Ok(&self.layer)
    }
}

/// The length of normalised rows of `n` entries.
pub(super) fn row_norm(batch_norm: &BatchNorm, n: usize) -> f64 {
    match batch_norm.row_scale() {
        RowScale::UnitNorm => 1.0,
        RowScale::UnitRms => (n as f64).sqrt(),
    }
}

/// Refuses an epsilon, with which rows have no fixed length.
pub(super) fn without_epsilon(batch_norm: &BatchNorm) -> Result<()> {
    if batch_norm.epsilon() > 0.0 {
        return Err(Error::Unsupported {
            what: "the chain at infinite width",
            needs: "a batch normalisation without epsilon",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation::{Identity, Relu, Tanh};
    use crate::statistics::Moments;
    use crate::{Input, Network};
    use approx::assert_relative_eq;

    #[test]
    fn without_an_activation_it_is_the_linear_chain() {
        let input = Input::near_collinear(4, 0.1).unwrap();
        let linear = MeanFieldChain::new(input.gram()).unwrap();
        let centred = linear.clone().with_centering().unwrap();
        let standard = BatchNorm::standard(0.0).unwrap();
        for (mut linear, norm) in [(linear, BatchNorm::paper()), (centred, standard)] {
            let mut chain = ActivationChain::new(input.gram(), &Identity, norm).unwrap();
            let found = chain.advance(5).unwrap();
            assert_eq!((found.depth(), found.standard_error()), (5, 0.0));
            let expected = linear.advance(5).matrix();
            assert_relative_eq!(found.gram().matrix(), expected, epsilon = 1e-12);
            assert_eq!(found.gram(), found.pre_activation());
        }
        let with_epsilon = BatchNorm::standard(1e-5).unwrap();
        assert!(ActivationChain::new(input.gram(), &Relu, with_epsilon).is_err());
    }

    /// Layer 3 of width 2048 from a batch that is not centred, 300 runs, seed 43: 10 entries each of
    /// pre-activation and post-activation Gram matrices, of ReLU and tanh, with centring and without; at
    /// 4 standard errors beside a bias of 1/(2d) and the standard error of the chain, 80 comparisons
    /// have a false alarm in 200 seeds.
    #[test]
    fn wide_networks_follow_it() {
        const WIDTH: usize = 2048;
        let input = Input::spiked(4, 0.5).unwrap();
        let standard = BatchNorm::standard(0.0).unwrap();
        let uncentred = standard.with_centering(Centering::None);
        for (activation, norm) in
            [(Relu, standard), (Relu, uncentred), (Tanh, standard), (Tanh, uncentred)]
        {
            let chain = ActivationChain::new(input.gram(), &activation, norm).unwrap();
            let mut chain = chain.with_points(16384).with_replicate(Seed(44));
            let layer = chain.advance(3).unwrap();
            assert!(layer.standard_error() < 1e-3);
            let network = Network::<f64>::new(WIDTH)
                .with_normalization(norm)
                .with_activation(activation.clone());
            // Pre-activations are those of a linear layer on top of two others.
            let linear = network.clone().with_activation(Identity);
            let mut first = vec![Moments::new(); 16];
            let mut second = first.clone();
            let add = |entries: &mut Vec<Moments>, gram: &Gram| {
                entries.iter_mut().zip(&gram.matrix()).for_each(|(moments, x)| moments.push(*x));
            };
            for run in 0..300 {
                let mut chain = network.chain(&input, Seed(43).replicate(run)).unwrap();
                let before = Input::from_gram(chain.advance(2).unwrap().gram().clone());
                add(&mut second, chain.step().unwrap());
                let mut above = linear.chain(&before, Seed(45).replicate(run)).unwrap();
                add(&mut first, above.step().unwrap());
            }
            for (moments, expected) in
                [(first, layer.pre_activation().matrix()), (second, layer.gram().matrix())]
            {
                for (moments, expected) in moments.iter().zip(&expected) {
                    let (error, bias) = (moments.standard_error(), 0.5 / WIDTH as f64);
                    let allowed = 4.0 * error.hypot(layer.standard_error()) + bias;
                    let difference = moments.mean() - expected;
                    assert!(difference.abs() < allowed, "{activation}: {difference} {allowed}");
                }
            }
        }
    }
}
