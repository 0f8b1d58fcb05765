//! Lengths: the exact distance of the law of |x - m| to the target's, a chi law.

use statrs::function::gamma::{checked_gamma_lr, checked_gamma_ur, ln_gamma};

use crate::wasserstein::gaussian::Shape;
use crate::wasserstein::line::{binomial_mean, deviation};
use crate::wasserstein::order::Sorter;
use crate::wasserstein::quantile::normal_quantile;
use crate::wasserstein::{Gaussian, Kind, Of, Sample, W2};
use crate::{Error, Result};

impl Sample {
    /// The squared distance between the law of the lengths |x - m| of samples and that of the
    /// target $`N(m, \tau^2 I)`$, tau times a chi variable: a lower bound, since taking lengths
    /// brings no two points farther apart. It is exact for every law that is symmetric about m, a
    /// mixture of isotropic Gaussians or a sphere.
    ///
    /// Cost: a sort, and about 10 µs for each sample to find quantiles.
    ///
    /// ```
    /// use nalgebra::dmatrix;
    /// use orthogap::wasserstein::{Gaussian, Sample};
    ///
    /// // Four points on the unit circle against N(0, I/2).
    /// let circle = dmatrix![1.0, 0.0; 0.0, 1.0; -1.0, 0.0; 0.0, -1.0];
    /// let w2 = Sample::from_rows(&circle)?.radial(&Gaussian::isotropic(2, 0.5f64.sqrt())?)?;
    /// let expected = 2.0 - std::f64::consts::PI.sqrt(); // 2 - 2 E chi_2/sqrt(2)
    /// assert!((w2.sq - expected).abs() < 1e-12);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`], [`Error::InvalidParameter`] unless the target is isotropic.
    pub fn radial(&self, target: &Gaussian) -> Result<W2> {
        self.check_dimension("the target", target.dimension())?;
        let Some(tau) = target.isotropic_deviation() else {
            let (value, expected) = (f64::NAN, "a target made by Gaussian::isotropic");
            return Err(Error::InvalidParameter { name: "target", value, expected });
        };
        let shift = self.moments().mean_less(target.mean());
        let lengths: Vec<f64> = self
            .centered()
            .row_iter()
            .map(|row| row.iter().zip(&shift).map(|(x, s)| (x + s).powi(2)).sum::<f64>().sqrt())
            .collect();
        let chi = ChiBins::new(self.dimension(), self.count());
        let count = self.count() as f64;
        let mut sorter = Sorter::default();
        sorter.sort(&lengths);
        let sorted = &sorter.values;
        let residual: f64 =
            sorted.iter().zip(&chi.means).map(|(x, c)| (x - tau * count * c).powi(2)).sum();
        let (mut twice_u, mut last) = (0.0, sorted[0]);
        let edges = std::iter::once(0.0).chain(chi.edges.iter().copied());
        let potential: Vec<f64> = sorted
            .iter()
            .zip(edges)
            .map(|(&x, edge)| {
                twice_u += 2.0 * tau * edge * (x - last);
                last = x;
                x * x - twice_u
            })
            .collect();
        let root_mean_square = sorted.iter().map(|x| x * x).sum::<f64>() / count;
        // Exact at the null; away from it the spread of lengths scales it.
        let scale = tau * (root_mean_square / self.dimension() as f64).sqrt();
        Ok(W2 {
            bias: Some(scale * chi.null_bias),
            sampling_error: Some(deviation(&potential) / count.sqrt()),
            ..W2::of_samples(
                residual / count + tau * tau * chi.remainder,
                Kind::Lower,
                Of::Empirical,
            )
        })
    }
}

impl Gaussian {
    /// The deviation, if the law was made isotropic.
    pub(super) fn isotropic_deviation(&self) -> Option<f64> {
        match self.shape {
            Shape::Isotropic(deviation) => Some(deviation),
            _ => None,
        }
    }
}

/// The chi law of n degrees of freedom in bins of equal mass.
struct ChiBins {
    edges: Vec<f64>,
    /// The integrals of r over the bins.
    means: Vec<f64>,
    /// $`n - N \sum c_i^2`$.
    remainder: f64,
    /// The mean squared distance of N draws from the law to it.
    null_bias: f64,
}

/// The mean of the chi law.
fn mean_length(n: f64) -> f64 {
    std::f64::consts::SQRT_2 * (ln_gamma((n + 1.0) / 2.0) - ln_gamma(n / 2.0)).exp()
}

/// The probability that a chi variable of n degrees of freedom is below r.
fn cdf(n: f64, r: f64) -> f64 {
    checked_gamma_lr(n / 2.0, r * r / 2.0).unwrap_or(if r > 0.0 { 1.0 } else { 0.0 })
}

/// The probability that it is above.
fn tail(n: f64, r: f64) -> f64 {
    checked_gamma_ur(n / 2.0, r * r / 2.0).unwrap_or(if r > 0.0 { 0.0 } else { 1.0 })
}

fn log_density(n: f64, r: f64) -> f64 {
    (n - 1.0) * r.ln() - r * r / 2.0 - (n / 2.0 - 1.0) * std::f64::consts::LN_2 - ln_gamma(n / 2.0)
}

impl ChiBins {
    fn new(dimension: usize, count: usize) -> Self {
        let (n, masses) = (dimension as f64, count as f64);
        let mut edges = Vec::with_capacity(count - 1);
        // Wilson and Hilferty's approximation starts the lowest one.
        let third = 2.0 / (9.0 * n);
        let cube_root = 1.0 - third + third.sqrt() * normal_quantile(masses.recip());
        let mut guess = n.sqrt() * cube_root.max(0.1).powf(1.5);
        let mut last = 0.0;
        for i in 1..count {
            last = quantile(n, i as f64 / masses, last, guess);
            guess = last + (-log_density(n, last)).exp() / masses;
            edges.push(last);
        }
        // Partial means are probabilities of one more degree of freedom.
        let mean = mean_length(n);
        let mut below = 0.0;
        let mut means: Vec<f64> = Vec::with_capacity(count);
        for &edge in &edges {
            let next = cdf(n + 1.0, edge);
            means.push(mean * (next - below));
            below = next;
        }
        means.push(mean * (1.0 - below));
        let remainder = n - masses * means.iter().map(|c| c * c).sum::<f64>();
        let null_bias = 2.0 * (n - masses * mean_pairing(n, &means));
        Self { edges, means, remainder, null_bias }
    }
}

/// The p-quantile, above `low`, by Newton's method kept inside a bracket.
fn quantile(n: f64, p: f64, low: f64, guess: f64) -> f64 {
    let (mut low, mut high, mut r) = (low, f64::INFINITY, guess);
    for _ in 0..100 {
        let excess = cdf(n, r) - p;
        if excess > 0.0 {
            high = high.min(r)
        } else {
            low = low.max(r)
        }
        let mut next = r - excess / log_density(n, r).exp();
        if !(next > low && next < high.min(2.0 * r)) {
            next = if high.is_finite() { 0.5 * (low + high) } else { 1.5 * r };
        }
        let step = (next - r).abs();
        r = next;
        if step <= 1e-14 * r {
            break;
        }
    }
    r
}

/// $`\frac1N E \sum_i c_i x_{(i)}`$ for N draws from the law itself, by the trapezoidal rule in
/// log r (as the null bias of [`NormalBins`](super::NormalBins)).
fn mean_pairing(n: f64, means: &[f64]) -> f64 {
    let width = (2.0 * n).sqrt().recip();
    let step = (width / 8.0).min(0.05);
    let (low, high) = (n.sqrt().ln() - (9.0 * width).max(38.0 / n), (n.sqrt() + 9.0).ln());
    let others = means.len() - 1;
    let node = |k: usize| {
        let r = (low + k as f64 * step).exp();
        let weight = 2.0 * r.ln() + log_density(n, r);
        let (below, above) = (cdf(n, r), tail(n, r));
        if below <= 0.0 || above <= 0.0 {
            return 0.0;
        }
        weight.exp() * binomial_mean(means, others, below, above)
    };
    step * (0..=((high - low) / step) as usize).map(node).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    /// Two degrees of freedom: the Rayleigh law, with quantiles sqrt(-2 ln(1 - p)).
    #[test]
    fn rayleigh() {
        let chi = ChiBins::new(2, 1000);
        for (i, &edge) in (1..).zip(&chi.edges) {
            let exact = (-2.0 * (-f64::from(i) / 1000.0).ln_1p()).sqrt();
            assert_relative_eq!(edge, exact, max_relative = 1e-11);
        }
    }

    /// Lengths 2 and 4 from the target's mean: to it alone, and to a Rayleigh law, whose median is
    /// sqrt(2 log 2).
    #[test]
    fn two_lengths_by_hand() {
        let rows = nalgebra::dmatrix![3.0, 1.0; 1.0, 5.0];
        let sample = Sample::from_rows(&rows).unwrap();
        let median = 4f64.ln().sqrt();
        for tau in [0.0, 1.5] {
            let target = Gaussian::isotropic(2, tau).unwrap().with_mean(&[1.0, 1.0]).unwrap();
            let w2 = sample.radial(&target).unwrap();
            let potential = [4.0, 16.0 - 2.0 * tau * median * 2.0];
            let error = (potential[1] - potential[0]).abs() / 2.0 / 2f64.sqrt();
            assert_relative_eq!(w2.sampling_error.unwrap(), error, max_relative = 1e-11);
            if tau == 0.0 {
                assert_relative_eq!(w2.sq, 10.0, max_relative = 1e-14);
                assert_eq!(w2.bias, Some(0.0));
            } else {
                // Lengths of root mean square sqrt(10) pass for tau = sqrt(5).
                let null = ChiBins::new(2, 2).null_bias;
                assert_relative_eq!(w2.bias.unwrap(), 1.5 * 5f64.sqrt() * null);
            }
        }
    }

    #[test]
    fn lengths_are_taken_from_the_mean_of_the_target() {
        let rows = nalgebra::dmatrix![0.0, 2.0; 1.0, 2.0; 5.0, 2.0];
        let point = Gaussian::isotropic(2, 0.0).unwrap().with_mean(&[1.0, 2.0]).unwrap();
        let w2 = Sample::from_rows(&rows).unwrap().radial(&point).unwrap();
        // Squared lengths 1, 0 and 16.
        assert_relative_eq!(w2.sq, 17.0 / 3.0, max_relative = 1e-14);
        let variance = 257.0f64 / 3.0 - (17.0f64 / 3.0).powi(2);
        let error = (variance / 3.0).sqrt();
        assert_relative_eq!(w2.sampling_error.unwrap(), error, max_relative = 1e-14);
    }

    /// Means add up to the mean of the law; bins cut its variance to what is left within them; and
    /// at one draw the null bias is twice the variance.
    #[test]
    fn bins_of_few_and_many_dimensions() {
        for n in [1, 2, 3, 32, 512, 5000] {
            let chi = ChiBins::new(n, 300);
            let mean = mean_length(n as f64);
            assert_relative_eq!(chi.means.iter().sum::<f64>(), mean, max_relative = 1e-12);
            assert!(chi.edges.windows(2).all(|pair| pair[0] < pair[1]), "{n}");
            let variance = n as f64 - mean * mean;
            assert!(chi.remainder > 0.0 && chi.remainder < 0.02 * variance, "{n}");
            assert!(chi.null_bias > chi.remainder && chi.null_bias < 0.05 * variance, "{n}");
            let one = ChiBins::new(n, 1);
            assert_relative_eq!(one.null_bias, 2.0 * variance, max_relative = 1e-7);
        }
    }
}
