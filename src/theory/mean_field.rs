//! The chain at infinite width: the map of eigenvalues, and the deterministic chain built on it.
//!
//! Given `C = U diag(λ) Uᵀ`, the mean of the next Gram matrix of a linear network with the paper's
//! batch normalisation is `U diag(p(λ)) Uᵀ` at any width (Lemma 6), and at infinite width it is the
//! next Gram matrix itself. With independent standard normal $`w_k`$,
//!
//! ```math
//! p_i(\lambda) = E \frac{\lambda_i w_i^2}{\sum_k \lambda_k w_k^2}
//!   = \int_0^\infty \frac{\lambda_i}{1 + 2 t \lambda_i} \prod_j (1 + 2 t \lambda_j)^{-1/2} \, dt
//! ```
//!
//! The integral is a trapezoidal sum over log t with step 1/4. The integrand is analytic and
//! bounded for |Im log t| < π/2, so the step costs a relative error of about
//! $`e^{-\pi^2/(1/4)} < 10^{-16}`$; what is cut off at either end is of the order of 1e-17. So the
//! map is accurate to rounding, about 1e-15, at any condition number: tiny eigenvalues keep their
//! digits.

use std::ops::Deref;

use nalgebra::DMatrix;

use crate::kernel::quadrature::node;
use crate::scalar::norm;
use crate::{Error, Gram, Result};

/// The smallest positive eigenvalue over the largest that does not leave the range of `f64`.
const SMALLEST_RATIO: f64 = 1e-280;

/// The infinite-width map `p` of the eigenvalues `λ` of a Gram matrix.
///
/// Any scale and any order; the result is in the same order and adds up to one. Zeros stay zeros.
/// `p` keeps the order of size, raises the smallest eigenvalue and lowers the largest (relative to
/// the sum), and has its fixed points where all positive eigenvalues are equal.
///
/// Relative error below 1e-14 of every entry, at any condition number. Cost: `200 n` to `600 n`
/// divisions and multiplications, 0.4 ms for n = 512.
///
/// ```
/// use orthogap::theory::mean_field::map;
///
/// // Two samples: p is proportional to the singular values.
/// let p = map(&[1.0, 1e-12])?;
/// assert!((p[1] * 1.000001 / 1e-6 - 1.0).abs() < 1e-14);
/// // 30 digits of another program say .13587772815753315 and .34885568279341156.
/// let p = map(&[1.0, 2.0, 3.0, 4.0])?;
/// assert!((p[0] - 0.13587772815753315).abs() < 1e-15);
/// assert!((p[3] - 0.34885568279341156).abs() < 1e-15);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`] without eigenvalues, [`Error::ZeroMatrix`] if all are zero, and
/// [`Error::InvalidParameter`] unless all are finite, not negative, and either zero or at least
/// 1e-280 times the largest.
pub fn map(eigenvalues: &[f64]) -> Result<Vec<f64>> {
    let n = eigenvalues.len();
    if n == 0 {
        return Err(Error::Empty { rows: 0, columns: 0 });
    }
    let largest = eigenvalues.iter().copied().fold(0.0, f64::max);
    for &value in eigenvalues {
        let valid = value == 0.0 || value >= SMALLEST_RATIO * largest;
        if !(valid && value.is_finite()) {
            let expected = "zero, or from 1e-280 times the largest eigenvalue on";
            return Err(Error::InvalidParameter { name: "eigenvalue", value, expected });
        }
    }
    if largest == 0.0 {
        return Err(Error::ZeroMatrix { rows: n, columns: n });
    }
    let scaled: Vec<f64> = eigenvalues.iter().map(|lambda| lambda / largest).collect();
    Ok(map_scaled(&scaled))
}

/// [`map`] of eigenvalues of which the largest is one and the rest is valid.
fn map_scaled(eigenvalues: &[f64]) -> Vec<f64> {
    let smallest = eigenvalues.iter().copied().filter(|&x| x > 0.0).fold(1.0, f64::min);
    let mut p = vec![0.0; eigenvalues.len()];
    for_each_node(
        |_| 1.0,
        eigenvalues,
        smallest,
        |node| {
            p.iter_mut().zip(node.fractions).for_each(|(p, fraction)| *p += node.weight * fraction);
        },
    );
    p.iter_mut().for_each(|p| *p *= 0.5 * STEP);
    p
}

/// The same map for eigenvalues close to each other, in terms of their deviations
/// $`\delta_i = \lambda_i - 1/n`$: returns $`p_i - 1/n`$.
///
/// Where [`map`] gives deviations to 1e-16, this gives them to a relative 1e-14 of the largest, so a
/// path can be followed to a gap of 1e-300 and rates be compared over thousands of layers.
///
/// ```
/// use orthogap::theory::{mean_field::map_of_deviations, stationary};
///
/// let tiny = [3e-100, -1e-100, -1e-100, -1e-100];
/// let next = map_of_deviations(&tiny)?;
/// assert!((next[0] / tiny[0] / stationary::decay_rate(4) - 1.0).abs() < 1e-14);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`] without deviations, [`Error::InvalidParameter`] unless each is finite and above
/// -1/n, and no eigenvalue below 1e-280 times the largest. Their sum need not be zero, for the map
/// knows no scale; that of the result is.
pub fn map_of_deviations(deviations: &[f64]) -> Result<Vec<f64>> {
    if deviations.is_empty() {
        return Err(Error::Empty { rows: 0, columns: 0 });
    }
    let n = deviations.len() as f64;
    let bound = -(1.0 - 1e-14) / n; // beyond, the eigenvalue has no digits left
    if let Some(&value) = deviations.iter().find(|x| !(x.is_finite() && **x > bound)) {
        let expected = "a finite number above -1/n";
        return Err(Error::InvalidParameter { name: "deviation", value, expected });
    }
    let largest = 1.0 / n + deviations.iter().copied().fold(f64::MIN, f64::max);
    let least = deviations.iter().copied().fold(f64::MAX, f64::min);
    let smallest = 1.0 / n + least;
    if smallest < SMALLEST_RATIO * largest {
        let expected = "an eigenvalue from 1e-280 times the largest on";
        return Err(Error::InvalidParameter { name: "deviation", value: least, expected });
    }
    let mean = 1.0 / (n * largest);
    let scaled: Vec<f64> = deviations.iter().map(|delta| delta / largest).collect();
    let mut next = vec![0.0; deviations.len()];
    let base = |scale: f64| 1.0 + scale * mean;
    for_each_node(base, &scaled, smallest / largest, |node| {
        // x/(1+x) minus its mean over i is [r_i - mean(r)]/b, where r_i = (x_i - x)/(1 + x_i).
        let mean_fraction = node.fractions.iter().sum::<f64>() / n;
        let share = node.weight / node.base;
        let pairs = next.iter_mut().zip(node.fractions);
        pairs.for_each(|(next, fraction)| *next += share * (fraction - mean_fraction));
    });
    next.iter_mut().for_each(|next| *next *= 0.5 * STEP);
    Ok(next)
}

/// The eigenvalues of a Gram matrix of trace one near orthogonality, as deviations
/// $`\delta_i = \lambda_i - 1/n`$, which keep their digits however small they are.
///
/// [`MeanFieldChain`] cannot resolve gaps below 1e-15; this type can, down to 1e-300.
///
/// ```
/// use orthogap::theory::{mean_field::Deviations, stationary};
///
/// let input = Deviations::new(&[3e-20, -1e-20, -1e-20, -1e-20])?;
/// assert!((input.gap() / 12e-40f64.sqrt() - 1.0).abs() < 1e-14);
/// let deep = input.layers().nth(99).expect("the chain is infinite"); // layer 100
/// let expected = input.gap() * stationary::decay_rate(4).powi(100);
/// assert!((deep.gap() / expected - 1.0).abs() < 1e-12);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Deviations {
    values: Vec<f64>,
}

impl Deviations {
    /// Deviations in any order. If their sum is not zero, the eigenvalues are scaled to trace one.
    ///
    /// # Errors
    /// Those of [`map_of_deviations`].
    pub fn new(deviations: &[f64]) -> Result<Self> {
        map_of_deviations(deviations)?; // which accepts all that follow: it brings them closer
        let n = deviations.len() as f64;
        let sum: f64 = deviations.iter().sum();
        let values = deviations.iter().map(|delta| (delta - sum / n) / (1.0 + sum)).collect();
        Ok(Self { values })
    }

    /// The deviations of a Gram matrix, in descending order, to an absolute 1e-15.
    ///
    /// # Errors
    /// Those of [`map_of_deviations`]; a singular Gram matrix has an eigenvalue of zero.
    pub fn of(gram: &Gram) -> Result<Self> {
        let ideal = (gram.batch_size() as f64).sqrt().recip();
        let sigma = gram.singular_values();
        Self::new(sigma.map(|sigma| (sigma - ideal) * (sigma + ideal)).as_slice())
    }

    /// $`\delta_i`$.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The orthogonality gap $`\sqrt{\sum_i \delta_i^2}`$.
    #[must_use]
    pub fn gap(&self) -> f64 {
        norm(&self.values)
    }

    /// The Lyapunov function $`1/n - \lambda_n = -\min_i \delta_i`$.
    #[must_use]
    pub fn lyapunov(&self) -> f64 {
        -self.values.iter().copied().fold(f64::MAX, f64::min)
    }

    /// The [coupling bound](Gram::coupling_bound)
    /// $`\sum_i (\sqrt{1/n + \delta_i} - \sqrt{1/n})^2`$, to a relative 1e-14 for gaps above
    /// 1e-145; it underflows to zero below 1e-160.
    #[must_use]
    pub fn coupling_bound(&self) -> f64 {
        let mean = 1.0 / self.values.len() as f64;
        let difference = |delta: &f64| delta / ((mean + delta).sqrt() + mean.sqrt());
        self.values.iter().map(difference).map(|x| x * x).sum()
    }

    /// The deviations one layer deeper. Cost: that of [`map`].
    #[must_use]
    pub fn next_layer(&self) -> Self {
        let values = map_of_deviations(&self.values).expect("the map brings eigenvalues closer");
        Self { values }
    }

    /// The chain from these deviations on, which is infinite and begins with the next layer.
    pub fn layers(&self) -> impl Iterator<Item = Self> + use<> {
        std::iter::successors(Some(self.next_layer()), |layer| Some(layer.next_layer()))
    }
}

/// The step in log t.
const STEP: f64 = 0.25;

/// The integrand at one t.
pub(super) struct Node<'a> {
    /// `b`, which is added to all `2 t v_i`.
    pub base: f64,
    /// $`\prod_i (b + 2 t v_i)^{-1/2}`$.
    pub weight: f64,
    /// $`2 t v_i / (b + 2 t v_i)`$.
    pub fractions: &'a [f64],
}

/// Visits the nodes of the trapezoidal rule in log t, from so small a t that less than 1e-17 of
/// the integrals is missing to so large a one.
///
/// The eigenvalues behind `values` are at most one; `smallest` is the least positive one. For the
/// upper end it is enough to watch its integrand, `t W(t)/(1 + 2 t λ_n)`: relative to it all others
/// fall with t. It is log-concave in log t, so once it has fallen far it falls for good.
pub(super) fn for_each_node(
    base: impl Fn(f64) -> f64,
    values: &[f64],
    smallest: f64,
    mut visit: impl FnMut(Node<'_>),
) {
    const NEGLIGIBLE: f64 = 1e-20;
    let mut fractions = vec![0.0; values.len()];
    // The largest p is at least 1/n, and below t it gains at most t.
    let mut log = -((40.0 + (values.len() as f64).ln()) / STEP).ceil() * STEP;
    let mut peak = 0.0f64;
    loop {
        let scale = log.exp();
        let base = base(scale);
        let weight = node(base, scale, values, &mut fractions);
        visit(Node { base, weight, fractions: &fractions });
        let last = scale * weight / (1.0 + scale * smallest);
        if last < NEGLIGIBLE * peak {
            return;
        }
        peak = peak.max(last);
        log += STEP;
    }
}

/// A layer of the deterministic chain: a Gram matrix with its depth, so that every metric is at
/// hand.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanFieldLayer {
    depth: usize,
    gram: Gram,
}

impl MeanFieldLayer {
    /// The number of layers above the input, which is layer 0.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The Gram matrix of the representations.
    #[must_use]
    pub fn gram(&self) -> &Gram {
        &self.gram
    }
}

impl Deref for MeanFieldLayer {
    type Target = Gram;

    fn deref(&self) -> &Gram {
        &self.gram
    }
}

/// The chain of hidden representations at infinite width, which is deterministic.
///
/// The eigenvectors of the Gram matrix stay, its eigenvalues move by [`map`]. As an iterator it
/// yields layer 1 first and never ends; the input, layer 0, is [`MeanFieldChain::layer`] before the
/// first step. Near orthogonality the gap shrinks by
/// [`n/(n+2)`](super::stationary::decay_rate) a layer. It is exact to a relative 1e-10 in every
/// eigenvalue, so gaps below 1e-15 are rounding: [`Deviations`] goes on from there.
/// Directions that are missing in the input stay missing, and the others become orthogonal.
///
/// ```
/// use orthogap::{Input, Network, Seed, theory::mean_field::MeanFieldChain};
///
/// let input = Input::near_collinear(4, 1e-3)?;
/// let infinite = MeanFieldChain::new(input.gram())?;
/// let wide = Network::<f64>::new(100_000).chain(&input, Seed(7))?;
/// for (infinite, wide) in infinite.zip(wide).take(10) {
///     let wide = wide?;
///     assert_eq!(infinite.depth(), wide.depth());
///     assert!((infinite.orthogonality_gap() - wide.orthogonality_gap()).abs() < 0.01);
/// }
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MeanFieldChain {
    /// Unit eigenvectors, one a row, `r x n`.
    axes: DMatrix<f64>,
    eigenvalues: Vec<f64>,
    layer: MeanFieldLayer,
}

impl MeanFieldChain {
    /// The chain that begins with this Gram matrix. Cost: its spectrum, some 10 to 50 `n³`.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if a positive eigenvalue is below 1e-280 times the largest.
    ///
    /// ```
    /// use orthogap::{Error, Gram, nalgebra, theory::mean_field::MeanFieldChain};
    ///
    /// let lost = Gram::from_factor(nalgebra::dmatrix![1.0, 0.0; 0.0, 1e-150])?;
    /// assert!(matches!(MeanFieldChain::new(&lost), Err(Error::InvalidParameter { .. })));
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    pub fn new(gram: &Gram) -> Result<Self> {
        let (singular_values, axes) = gram.principal_axes();
        let eigenvalues: Vec<f64> = singular_values.iter().map(|sigma| sigma * sigma).collect();
        map(&eigenvalues)?; // what it accepts now it accepts for ever: it brings them closer
        let layer = MeanFieldLayer { depth: 0, gram: gram.clone() };
        Ok(Self { axes: axes.transpose(), eigenvalues, layer })
    }

    /// The current layer: the input at first, then the one last stepped to.
    #[must_use]
    pub fn layer(&self) -> &MeanFieldLayer {
        &self.layer
    }

    /// Draws the next layer and borrows it. Cost: `O(n²)` beside [`map`].
    pub fn step(&mut self) -> &MeanFieldLayer {
        let largest = self.eigenvalues[0];
        self.eigenvalues.iter_mut().for_each(|lambda| *lambda /= largest);
        self.eigenvalues = map_scaled(&self.eigenvalues);
        let (axes, eigenvalues) = (&self.axes, &self.eigenvalues);
        self.layer.gram.rewrite(|factor| {
            *factor = axes.clone();
            for (mut row, lambda) in factor.row_iter_mut().zip(eigenvalues) {
                row *= lambda.sqrt();
            }
        });
        self.layer.depth += 1;
        &self.layer
    }

    /// Draws `layers` more layers and borrows the last one.
    pub fn advance(&mut self, layers: usize) -> &MeanFieldLayer {
        for _ in 0..layers {
            self.step();
        }
        &self.layer
    }
}

impl Iterator for MeanFieldChain {
    type Item = MeanFieldLayer;

    fn next(&mut self) -> Option<MeanFieldLayer> {
        Some(self.step().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::stationary::decay_rate;
    use crate::{Input, Seed};
    use proptest::prelude::*;

    fn spectra() -> impl Strategy<Value = Vec<f64>> {
        let generic = proptest::collection::vec(-28.0..0.0f64, 1..20);
        let clustered =
            (proptest::collection::vec(-1e-6..1e-6f64, 1..12), -600.0..0.0f64, 0usize..4).prop_map(
                |(mut logs, low, count)| {
                    logs.extend(vec![low; count]);
                    logs
                },
            );
        prop_oneof![generic, clustered].prop_map(|logs| logs.iter().map(|log| log.exp()).collect())
    }

    /// The same integral by the rule with half the step between much wider ends, and logarithms.
    fn naive(eigenvalues: &[f64]) -> Vec<f64> {
        let term = |log: f64, lambda: f64| {
            let t = log.exp();
            let log_product: f64 = eigenvalues.iter().map(|l| (2.0 * t * l).ln_1p()).sum();
            (log - 0.5 * log_product).exp() * lambda / (1.0 + 2.0 * t * lambda)
        };
        let nodes = || (-60 * 8..700 * 8).map(|k| f64::from(k) / 8.0);
        let integral = |&lambda: &f64| nodes().map(|log| term(log, lambda)).sum::<f64>() / 8.0;
        eigenvalues.iter().map(integral).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn agrees_with_a_finer_and_wider_rule(spectrum in spectra()) {
            let p = map(&spectrum).unwrap();
            // Logarithms of products of up to 700 digits are good to 1e-13.
            for (p, naive) in p.iter().zip(naive(&spectrum)) {
                prop_assert!((p / naive - 1.0).abs() < 3e-13, "{p} {naive}");
            }
            prop_assert!((p.iter().sum::<f64>() - 1.0).abs() < 2e-15);
        }

        #[test]
        fn two_samples_have_a_closed_form(log in -300.0..0.0f64) {
            let sigma = log.exp();
            let p = map(&[sigma * sigma, 1.0]).unwrap();
            prop_assert!((p[0] * (1.0 + sigma) / sigma - 1.0).abs() < 5e-15);
            prop_assert!((p[1] * (1.0 + sigma) - 1.0).abs() < 5e-15);
        }

        #[test]
        fn deviations_agree_with_eigenvalues(spectrum in spectra()) {
            let n = spectrum.len() as f64;
            let sum: f64 = spectrum.iter().sum();
            prop_assume!(spectrum.iter().all(|x| x / sum > 1e-2 / n));
            let deviations: Vec<f64> = spectrum.iter().map(|x| x / sum - 1.0 / n).collect();
            let (p, q) = (map(&spectrum).unwrap(), map_of_deviations(&deviations).unwrap());
            for (p, q) in p.iter().zip(q) {
                // A few roundings of numbers up to one.
                prop_assert!((p - 1.0 / n - q).abs() < 4e-15);
            }
        }

        /// Eigenvectors stay, so the chain is the map in the eigenbasis, whatever that is.
        #[test]
        fn the_chain_is_the_map_in_a_fixed_basis(n in 1usize..7, power in 0..12i32, seed in any::<u64>()) {
            let noise = Input::gaussian(n, n, Seed(seed)).unwrap().columns().clone();
            let small = 10f64.powi(-power);
            let columns = DMatrix::from_fn(n, n, |i, j| 1.0 + i as f64 + small * noise[(i, j)]);
            let gram = Gram::from_columns(&columns).unwrap();
            let layer = MeanFieldChain::new(&gram).unwrap().next().unwrap();
            let squares = |gram: &Gram| gram.singular_values().map(|s| s * s).as_slice().to_vec();
            for (p, naive) in squares(&layer).iter().zip(map(&squares(&gram)).unwrap()) {
                // Both are zero where the columns are dependent to rounding.
                prop_assert!((p - naive).abs() <= 1e-9 * naive);
            }
            let (c, next) = (gram.matrix(), layer.matrix());
            prop_assert!((&c * &next - &next * &c).amax() < 1e-14, "they commute");
        }
    }

    #[test]
    fn deviations_shrink_at_the_local_rate() {
        for n in [2usize, 3, 5, 30, 512] {
            let mut deviations = vec![1e-200; n];
            deviations[0] = -1e-200 * (n - 1) as f64;
            let next = map_of_deviations(&deviations).unwrap();
            for (next, deviation) in next.iter().zip(&deviations) {
                assert!((next / deviation / decay_rate(n) - 1.0).abs() < 1e-13, "{n}");
            }
        }
    }

    /// Two samples: δ goes to δ/(1 + sqrt(1 - 4 δ²)).
    #[test]
    fn two_deviations_have_a_closed_form() {
        for start in [0.49, 0.1, 1e-8, 1e-100] {
            let (mut delta, input) = (start, Deviations::new(&[start, -start]).unwrap());
            for layer in input.layers().take(200) {
                delta /= 1.0 + (1.0 - 4.0 * delta * delta).sqrt();
                let root_two = 2f64.sqrt();
                assert!((layer.gap() / (root_two * delta) - 1.0).abs() < 1e-12, "{start} {delta}");
                assert!((layer.lyapunov() / delta - 1.0).abs() < 1e-12);
                // Near orthogonality each difference of roots is δ/sqrt 2.
                if delta < 1e-9 && delta > 1e-140 {
                    assert!((layer.coupling_bound() / (delta * delta) - 1.0).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn deviations_are_those_of_the_gram_matrix() {
        let gram = Input::near_collinear(4, 0.5).unwrap().gram().clone();
        let chain = MeanFieldChain::new(&gram).unwrap();
        let deviations = Deviations::of(&gram).unwrap();
        for (layer, deviations) in chain.zip(deviations.layers()).take(20) {
            assert!((layer.orthogonality_gap() - deviations.gap()).abs() < 1e-14);
            assert!((layer.coupling_bound() - deviations.coupling_bound()).abs() < 1e-14);
            assert!((layer.lyapunov() - deviations.lyapunov()).abs() < 1e-14);
        }
        // Any scale: eigenvalues (4, 2, 2), (1/2, 1/4, 1/4) at trace one.
        let scaled = Deviations::new(&[4.0 - 1.0 / 3.0, 5.0 / 3.0, 5.0 / 3.0]).unwrap();
        for (value, expected) in scaled.values().iter().zip([1.0 / 6.0, -1.0 / 12.0, -1.0 / 12.0]) {
            assert!((value - expected).abs() < 1e-15);
        }
        let singular = Gram::from_factor(nalgebra::dmatrix![1.0, 1.0]).unwrap();
        assert!(Deviations::of(&singular).is_err());
    }

    #[test]
    fn missing_directions_stay_missing() {
        assert_eq!(map(&[0.0, 3.0, 0.0]).unwrap(), [0.0, map(&[1.0]).unwrap()[0], 0.0]);
        let h = nalgebra::dmatrix![1.0, 1.0, 0.3; 2.0, 2.0, -0.5; 0.0, 0.0, 1.0];
        let mut chain = MeanFieldChain::new(&Gram::from_columns(&h).unwrap()).unwrap();
        let layer = chain.advance(60);
        assert_eq!((layer.rank(), layer.depth()), (2, 60));
        assert!((layer.orthogonality_gap() - (0.5f64 - 1.0 / 3.0).sqrt()).abs() < 1e-14);
    }

    #[test]
    fn what_is_no_spectrum_is_refused() {
        let parameter = |result: Result<Vec<f64>>| match result {
            Err(Error::InvalidParameter { name, value, .. }) => (name, value),
            other => panic!("{other:?}"),
        };
        assert_eq!(map(&[]), Err(Error::Empty { rows: 0, columns: 0 }));
        assert_eq!(map(&[0.0; 2]), Err(Error::ZeroMatrix { rows: 2, columns: 2 }));
        assert_eq!(parameter(map(&[1.0, -1e-9])), ("eigenvalue", -1e-9));
        assert_eq!(parameter(map(&[1.0, f64::INFINITY])).0, "eigenvalue");
        assert_eq!(parameter(map(&[1.0, 1e-290])), ("eigenvalue", 1e-290));
        // Ratios count, not sizes.
        assert_eq!(parameter(map(&[1e100, 1e-190])), ("eigenvalue", 1e-190));
        assert!(map(&[1e-100, 1e-300]).is_ok() && map(&[1.0, 1e-280]).is_ok());
        assert!(parameter(map(&[f64::NAN])).1.is_nan());
        assert_eq!(parameter(map_of_deviations(&[0.5, -0.5])), ("deviation", -0.5));
        assert!(map_of_deviations(&[]).is_err());
    }
}
