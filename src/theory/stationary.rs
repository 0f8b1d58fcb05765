//! The stationary law of the paper's chain at large width.
//!
//! Near orthogonality one layer moves the Gram matrix by
//! $`\delta C' = \frac{n}{n+2} \delta C + \text{noise}`$ with
//! $`E\lVert\text{noise}\rVert^2 = (1 - 1/n)/d`$, isotropic in the $`D = (n+2)(n-1)/2`$ dimensions
//! of traceless symmetric matrices. The moments of the gap that follow hold up to a relative
//! correction of about c/d, with c = 0.2, 0.8, 3 for n = 2, 4, 8 (measured by simulation).
//! [`mean_lyapunov`] converges more slowly: its relative correction is about $`-c/\sqrt d`$.
//!
//! ```
//! use orthogap::theory::stationary;
//!
//! // The radius is about sqrt(n/d)/2, where the paper's Theorem 1 has at least 3 n^1.5/sqrt(d).
//! let (n, d) = (4, 512);
//! assert!((stationary::mean_gap(n, d) - 0.0499).abs() < 1e-4);
//! assert!(stationary::mean_gap(n, d) < 0.05 * 3.0 * (n as f64).powf(1.5) / (d as f64).sqrt());
//! ```

use nalgebra::DMatrix;

use super::gaussian_ensemble::mean_largest_eigenvalue;
use crate::check;
use crate::factorization::drawn_eigenvalues;
use crate::{Error, Result, Stream};

/// Returns the factor by which the gap of a wide network shrinks per layer near orthogonality,
/// `n/(n+2)`.
///
/// It is the limit of large width. At finite width, [coupled chains](crate::experiment::coupling)
/// measure the decay. For n = 4, 8, 16 its logarithm is this share of that of the limit: about .65
/// at d = n², .92 at 4 n², .963 at 8 n², and .994 from 32 n² on.
///
/// ```
/// assert_eq!(orthogap::theory::stationary::decay_rate(2), 0.5);
/// ```
#[must_use]
pub fn decay_rate(batch_size: usize) -> f64 {
    let n = batch_size as f64;
    n / (n + 2.0)
}

/// Returns the number of layers in which the gap of a wide network shrinks by a factor of e near
/// orthogonality, $`1/\log(1 + 2/n)`$: about (n + 1)/2.
///
/// ```
/// use orthogap::theory::stationary::relaxation_time;
///
/// assert!((relaxation_time(100) - 50.5).abs() < 0.01);
/// ```
#[must_use]
pub fn relaxation_time(batch_size: usize) -> f64 {
    (2.0 / batch_size as f64).ln_1p().recip()
}

/// Returns the stationary mean square $`E V^2 = (1 - 1/n)(n+2)^2 / (4 (n+1) d)`$ of the
/// orthogonality gap.
///
/// It is about n/(4d) for large n, zero for a batch of at most one, and otherwise infinite for a
/// width of zero. Simulations differ by a relative correction of c/d with c = 0.2, 0.8, 3 for n =
/// 2, 4, 8. Near the critical width of about n²/4 no stationary law exists.
///
/// ```
/// use orthogap::theory::stationary::mean_squared_gap;
///
/// assert!((mean_squared_gap(4, 512) - 0.75 * 36.0 / (20.0 * 512.0)).abs() < 1e-18);
/// ```
#[must_use]
pub fn mean_squared_gap(batch_size: usize, width: usize) -> f64 {
    if batch_size <= 1 {
        return 0.0;
    }
    let (n, d) = (batch_size as f64, width as f64);
    (1.0 - 1.0 / n) * (n + 2.0).powi(2) / (4.0 * (n + 1.0) * d)
}

/// Returns the stationary mean $`E V`$ of the orthogonality gap.
///
/// It holds at the same widths as [`mean_squared_gap`], with half of its relative correction. The
/// gap is $`\sqrt{E V^2 / D}`$ times a chi variable of `D` degrees of freedom, so
///
/// ```math
/// E V = \sqrt{E V^2} \, \sqrt{2/D} \, \Gamma((D+1)/2) / \Gamma(D/2)
/// ```
///
/// ```
/// use orthogap::theory::stationary::{mean_gap, mean_squared_gap};
///
/// // n = 2: two degrees of freedom, a Rayleigh variable, E V = sqrt(pi/4 E V²).
/// let expected = (std::f64::consts::FRAC_PI_4 * mean_squared_gap(2, 64)).sqrt();
/// assert!((mean_gap(2, 64) / expected - 1.0).abs() < 1e-14);
/// ```
#[must_use]
pub fn mean_gap(batch_size: usize, width: usize) -> f64 {
    if batch_size <= 1 {
        return 0.0;
    }
    let n = batch_size as f64;
    let half = (n + 2.0) * (n - 1.0) / 4.0;
    mean_squared_gap(batch_size, width).sqrt() * gamma_ratio(half) / half.sqrt()
}

/// Returns the stationary mean $`E \hat V`$ of the [Lyapunov function](crate::Gram::lyapunov).
///
/// It is $`\sqrt{E V^2 / D}`$ times the mean largest eigenvalue of the Gaussian orthogonal ensemble
/// of order `n`, which is computed to a relative error of 1e-12 (1e-6 for n > 512).
///
/// The mean at finite width differs by a relative correction of about $`-c/\sqrt d`$, measured by
/// simulation.
///
/// | n | 2 | 4 | 8 | 16 | 32 |
/// | --- | --- | --- | --- | --- | --- |
/// | c | 0 | 0.35 | 1.2 | 3.0 | 7.1 |
///
/// ```
/// use orthogap::theory::{bounds::{Version, lemma_4}, stationary::{mean_gap, mean_lyapunov}};
///
/// let lyapunov = mean_lyapunov(8, 1024);
/// assert!(lyapunov < mean_gap(8, 1024));
/// assert!(mean_gap(8, 1024) < lemma_4(Version::Sharp, 8, lyapunov)?.value);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[must_use]
pub fn mean_lyapunov(batch_size: usize, width: usize) -> f64 {
    if batch_size <= 1 {
        return 0.0;
    }
    deviation(batch_size, width) * mean_largest_eigenvalue(batch_size)
}

/// The standard deviation of the Gram matrix in each of its `D` directions.
fn deviation(batch_size: usize, width: usize) -> f64 {
    let n = batch_size as f64;
    (mean_squared_gap(batch_size, width) / ((n + 2.0) * (n - 1.0) / 2.0)).sqrt()
}

/// The stationary law of the singular values of a wide network: $`1/\sqrt n + s \mu_i`$, where
/// $`\mu_i`$ are the eigenvalues of a traceless matrix of the Gaussian orthogonal ensemble (entries
/// of variance 1 on the diagonal and 1/2 off it, less the mean of the diagonal).
///
/// Correct to first order in their spread: at (4, 4096) the means of the smallest and the largest one are
/// within 1 % of their distance from $`1/\sqrt n`$. Near the critical width of about n²/4 the smallest one
/// reaches zero, and the law fails.
///
/// ```
/// use orthogap::{Purpose, Seed, theory::stationary::SingularValueLaw};
///
/// let law = SingularValueLaw::new(4, 512)?;
/// let sample = law.sample(Seed(7).replicate(0).stream(Purpose::User(0), 0, 0));
/// assert!(sample.is_sorted_by(|a, b| a >= b));
/// assert!((sample.iter().sum::<f64>() - 2.0).abs() < 1e-14); // 4 / sqrt(4)
/// // The alpha to expect of assumption A1 in a single layer.
/// assert!(law.mean_smallest() < 0.5 && law.mean_smallest() > 0.45);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SingularValueLaw {
    batch_size: usize,
    scale: f64,
}

impl SingularValueLaw {
    /// Returns the law for `n` samples at width `d`.
    ///
    /// # Errors
    /// [`Error::BatchTooSmall`] below two samples, [`Error::BatchExceedsWidth`] if `n > d`.
    pub fn new(batch_size: usize, width: usize) -> Result<Self> {
        check::batch(batch_size, 2)?;
        if batch_size > width {
            return Err(Error::BatchExceedsWidth { batch_size, width });
        }
        let scale = (batch_size as f64).sqrt() / 2.0 * deviation(batch_size, width);
        Ok(Self { batch_size, scale })
    }

    /// Returns `s`, the root of [`mean_coupling_bound`]`/D`.
    #[must_use]
    pub fn scale(self) -> f64 {
        self.scale
    }

    /// Returns the mean of the smallest singular value.
    #[must_use]
    pub fn mean_smallest(self) -> f64 {
        self.centre() - self.scale * mean_largest_eigenvalue(self.batch_size)
    }

    /// Returns the mean of the largest singular value.
    #[must_use]
    pub fn mean_largest(self) -> f64 {
        self.centre() + self.scale * mean_largest_eigenvalue(self.batch_size)
    }

    /// Draws the singular values of a layer, in descending order, with the first `n²` normals of a
    /// stream. Cost: an eigenvalue decomposition.
    #[must_use]
    pub fn sample(self, stream: Stream) -> Vec<f64> {
        let n = self.batch_size;
        let mut matrix = DMatrix::<f64>::zeros(n, n);
        stream.fill_normal(matrix.as_mut_slice());
        matrix = (&matrix + matrix.transpose()) / 2.0;
        let mean = matrix.trace() / n as f64;
        let eigenvalues = drawn_eigenvalues(matrix);
        let mut values: Vec<f64> =
            eigenvalues.iter().map(|mu| self.centre() + self.scale * (mu - mean)).collect();
        values.sort_unstable_by(|a, b| b.total_cmp(a));
        values
    }

    fn centre(self) -> f64 {
        (self.batch_size as f64).sqrt().recip()
    }
}

/// Returns the stationary mean of the coupling bound on the squared Wasserstein-2 distance to a
/// Gaussian ([`Gram::coupling_bound`](crate::Gram::coupling_bound)), $`n E V^2 / 4`$, to first
/// order in the spread of singular values: simulations at (4, 512) and (8, 1024) exceed it by 0.6 %
/// and 0.7 %.
///
/// ```
/// use orthogap::theory::stationary::mean_coupling_bound;
///
/// // (n - 1)(n + 2)² / (16 (n + 1) d); simulation: 2.652e-3.
/// assert!((mean_coupling_bound(4, 512) - 2.637e-3).abs() < 1e-6);
/// ```
#[must_use]
pub fn mean_coupling_bound(batch_size: usize, width: usize) -> f64 {
    batch_size as f64 * mean_squared_gap(batch_size, width) / 4.0
}

/// $`\Gamma(x + 1/2) / \Gamma(x)`$ for x > 0, to about 1e-15.
fn gamma_ratio(x: f64) -> f64 {
    if x < 32.0 {
        return gamma_ratio(x + 1.0) * x / (x + 0.5);
    }
    // The asymptotic series, DLMF 5.11.13; the next term is below 2e-16 here.
    let coefficients = [1.0, -1.0 / 8.0, 1.0 / 128.0, 5.0 / 1024.0, -21.0 / 32768.0]
        .into_iter()
        .chain([-399.0 / 262_144.0, 869.0 / 4_194_304.0, 39_325.0 / 33_554_432.0]);
    x.sqrt() * coefficients.rev().fold(0.0, |sum, c| sum / x + c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Purpose, Seed};

    /// The time that a decay takes, and a chi law of nine degrees of freedom, by hand.
    #[test]
    fn closed_forms_at_small_batches() {
        for n in [2, 5, 100] {
            assert!((decay_rate(n).ln() * relaxation_time(n) + 1.0).abs() < 1e-14);
        }
        let gamma = 24.0 / 11.631_728_396_567_448; // of 5 over of 9/2
        let expected = (mean_squared_gap(4, 64) * 2.0 / 9.0).sqrt() * gamma;
        assert!((mean_gap(4, 64) / expected - 1.0).abs() < 1e-14);
    }

    #[test]
    fn gamma_ratio_at_integers_and_half_integers() {
        // From Γ(1/2) = sqrt(π): Γ(x+1/2)/Γ(x) by the recurrence alone.
        let mut ratio = [std::f64::consts::PI.sqrt() / 2.0, 1.0 / std::f64::consts::PI.sqrt()];
        for (k, start) in ratio.iter_mut().zip([1.0, 0.5]) {
            let mut x: f64 = start;
            for _ in 0..200 {
                assert!((gamma_ratio(x) / *k - 1.0).abs() < 3e-14, "{x}");
                *k *= (x + 0.5) / x;
                x += 1.0;
            }
        }
    }

    #[test]
    fn a_batch_of_at_most_one_has_no_gap() {
        for (n, d) in [(0, 64), (1, 64), (0, 0), (1, 0)] {
            assert_eq!((mean_gap(n, d), mean_squared_gap(n, d)), (0.0, 0.0));
            assert_eq!((mean_lyapunov(n, d), mean_coupling_bound(n, d)), (0.0, 0.0));
        }
    }

    /// Two eigenvalues lie on either side of 1/2, so the gap is the root of two Lyapunov functions.
    #[test]
    fn of_two_samples_gap_and_lyapunov_function_are_the_same() {
        let expected = mean_gap(2, 64) / 2f64.sqrt();
        assert!((mean_lyapunov(2, 64) / expected - 1.0).abs() < 1e-12);
        let law = SingularValueLaw::new(2, 64).unwrap();
        assert!((law.mean_largest() + law.mean_smallest() - 2f64.sqrt()).abs() < 1e-15);
    }

    /// Mean squares against the mean of the coupling bound, D times the squared scale.
    ///
    /// Four comparisons with seed 5, of 4000 draws (40 for n = 64): the mean of N draws of a chi
    /// square of D degrees of freedom has a relative standard error of sqrt(2/(N D)). At four
    /// of them, a false alarm in 4000 seeds.
    #[test]
    fn drawn_singular_values_spread_as_the_coupling_bound_says() {
        for (n, d) in [(2, 64), (3, 64), (8, 512), (64, 64)] {
            let law = SingularValueLaw::new(n, d).unwrap();
            let dimensions = ((n + 2) * (n - 1)) as f64 / 2.0;
            let expected = mean_coupling_bound(n, d);
            assert!((law.scale().powi(2) * dimensions / expected - 1.0).abs() < 1e-14);
            let draws = if n > 8 { 40 } else { 4000 };
            let squares = (0..draws).map(|replicate| {
                let stream = Seed(5).replicate(replicate).stream(Purpose::User(0), 0, 0);
                law.sample(stream).iter().map(|sigma| (sigma - law.centre()).powi(2)).sum::<f64>()
            });
            let mean = squares.sum::<f64>() / f64::from(draws);
            let error = (2.0 / (f64::from(draws) * dimensions)).sqrt();
            assert!((mean / expected - 1.0).abs() < 4.0 * error, "{n}: {mean} {expected}");
        }
    }

    #[test]
    fn laws_of_no_network_are_refused() {
        let too_small = Error::BatchTooSmall { batch_size: 1, minimum: 2 };
        assert_eq!(SingularValueLaw::new(1, 64), Err(too_small));
        let too_large = Error::BatchExceedsWidth { batch_size: 65, width: 64 };
        assert_eq!(SingularValueLaw::new(65, 64), Err(too_large));
    }
}
