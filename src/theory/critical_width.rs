//! The width below which the paper's networks lose rank although `d >= n`.
//!
//! [`experiment::critical_width`](crate::experiment::critical_width) measures it: 3, 5, 7, 14, 23,
//! 47, 78, 168, 284 for n = 2, 3, 4, 6, 8, 12, 16, 24, 32, each within one (the larger ones within
//! a few).

/// Returns an approximate critical width, `n²/4`, at least `n`.
///
/// It is a fit, not a theorem: measured widths exceed it by 40 % at n = 8 and by 11 % at n = 32.
///
/// ```
/// use orthogap::theory::critical_width::predicted;
///
/// assert_eq!(predicted(32), 256.0); // measured: 284
/// ```
#[must_use]
pub fn predicted(batch_size: usize) -> f64 {
    let n = batch_size as f64;
    (n * n / 4.0).max(n)
}

/// Returns the lower edge of the stationary singular values, $`1/\sqrt n - \sqrt{n/(4d)}`$, to leading
/// order in large `n` and `d/n`: it is zero at `d = n²/4`, which explains [`predicted`].
///
/// At large width singular values are $`1/\sqrt n + s \mu_i`$
/// ([`SingularValueLaw`](super::stationary::SingularValueLaw)), with $`\mu_i`$ from the Gaussian
/// orthogonal ensemble of entries of variance 1/2 off the diagonal, whose edge is
/// $`\sqrt{2n}`$, and $`s^2 = n E V^2/(4 D) \to 1/(8d)`$. The smallest of them reaches zero at
/// $`1/n = 2n/(8d)`$. There the law itself, which is linear in the spread, is no longer exact: measured
/// critical widths exceed `n²/4` by 11 % (n = 32) to 40 % (n = 8). The edge is negative for
/// `d < n²/4`, and infinite without samples or neurons.
///
/// ```
/// use orthogap::theory::{critical_width::lower_edge, stationary::SingularValueLaw};
///
/// assert!(lower_edge(32, 256).abs() < 1e-16);
/// let exact = SingularValueLaw::new(32, 4096)?.mean_smallest();
/// assert!((lower_edge(32, 4096) / exact - 1.0).abs() < 0.05);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[must_use]
pub fn lower_edge(batch_size: usize, width: usize) -> f64 {
    let (n, d) = (batch_size as f64, width as f64);
    n.sqrt().recip() - 0.5 * (n / d).sqrt()
}

/// Returns the mean growth of the logarithm of a nearly lost singular value in a layer of infinite
/// width, $`\frac12 \log \frac{n-1}{n-3}`$, infinite for n <= 3.
///
/// The other `n - 1` directions are orthogonal there, and a row that is divided by its length in
/// them multiplies a lost one by $`E \frac{n-1}{\chi^2_{n-1}}`$ in the mean square. At finite width
/// the growth is less, and negative below the critical width:
/// [`growth_rate`](crate::experiment::critical_width::growth_rate) measures it.
#[must_use]
pub fn growth_at_infinite_width(batch_size: usize) -> f64 {
    let n = batch_size as f64;
    if batch_size <= 3 { f64::INFINITY } else { 0.5 * (2.0 / (n - 3.0)).ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of 1/chi² is infinite up to two degrees of freedom, 1 for three, 1/2 for four.
    #[test]
    fn lost_directions_grow_in_small_batches() {
        for n in 0..=3 {
            assert_eq!(growth_at_infinite_width(n), f64::INFINITY);
        }
        for (n, mean_square) in [(4, 3.0f64), (5, 2.0), (101, 100.0 / 98.0)] {
            assert!((growth_at_infinite_width(n) - mean_square.sqrt().ln()).abs() < 1e-15);
        }
        // By mpmath; the ratio itself has only eight digits of it.
        let large = growth_at_infinite_width(100_000_001);
        assert!((large / 1.000_000_01e-8 - 1.0).abs() < 1e-15);
    }

    #[test]
    fn lower_edges_at_squares() {
        assert_eq!([64, 16, 4, 1].map(|width| lower_edge(4, width)), [0.375, 0.25, 0.0, -0.5]);
        assert!((lower_edge(9, 36) - 1.0 / 12.0).abs() < 1e-16);
    }

    #[test]
    fn no_batch_fits_into_less_than_its_size() {
        assert_eq!([1, 2, 3, 4, 6].map(predicted), [1.0, 2.0, 3.0, 4.0, 9.0]);
    }
}
