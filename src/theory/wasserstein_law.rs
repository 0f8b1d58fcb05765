//! The Wasserstein-2 distance of the law of a layer to a Gaussian, in closed form.
//!
//! Compare the law of `W H` with that of $`G/\sqrt n`$, all entries of `W` (`d x d`) and `G`
//! (`d x n`) being N(0, 1/d), and `H` stationary. Both laws are invariant under rotations from
//! either side, so the best transport only moves singular values: the distance **equals** the one
//! between the laws of the sorted singular values, a problem in `n` dimensions instead of `d n`.
//!
//! | quantity | at large width |
//! | --- | --- |
//! | $`W_2^2`$ | [`squared_distance`] |
//! | mean over `H` of the distance given `H` | [`mean_coupling_bound`](super::stationary::mean_coupling_bound) |
//! | both | about $`n^2/(16 d)`$ |
//! | $`W_2^2`$ of one row, of unit variance | [`row_squared_distance`], about $`n^4/(128 d^2)`$ |
//! | Lemma 2 of the paper | $`2 n E V`$, about $`n^{3/2}/\sqrt d`$ |
//!
//! So $`W_2 = \Theta(n/\sqrt d)`$, where the paper's Table 1 has $`O(d^{-1/4})`$.

use crate::scalar::norm;
use crate::{Error, Result};

/// Returns the limit of $`W_2^2`$ between the laws of `W H` and $`G/\sqrt n`$ for stationary `H` as
/// the width grows.
///
/// Optimal transport of samples agrees within its errors of 1 % at (4, 512) and 0.3 % at (8, 1024).
/// It is a limit for `d` far above the critical width of about n²/4. It is zero for a batch of at
/// most one, and otherwise infinite for a width of zero.
///
/// Traceless fluctuations of the singular values are isotropic and Gaussian under both laws, with
/// variances in the ratio $`1 + n(n+2)/(4(n+1))`$, so
///
/// ```math
/// W_2^2 \to \frac{(n+2)(n-1)}{4 n d} \left( \sqrt{1 + \frac{n(n+2)}{4(n+1)}} - 1 \right)^2
/// ```
///
/// ```
/// use orthogap::theory::{stationary::mean_coupling_bound, wasserstein_law::squared_distance};
///
/// // Optimal transport of samples: 5.127(50)e-4 and 1.351(4)e-3.
/// assert!((squared_distance(4, 512) - 5.131e-4).abs() < 1e-7);
/// assert!((squared_distance(8, 1024) - 1.350e-3).abs() < 1e-6);
/// assert!(squared_distance(4, 512) < mean_coupling_bound(4, 512));
/// ```
#[must_use]
pub fn squared_distance(batch_size: usize, width: usize) -> f64 {
    if batch_size <= 1 {
        return 0.0;
    }
    let (n, d) = (batch_size as f64, width as f64);
    let excess = n * (n + 2.0) / (4.0 * (n + 1.0));
    let difference = excess / ((1.0 + excess).sqrt() + 1.0); // sqrt(1 + excess) - 1
    (n + 2.0) * (n - 1.0) / (4.0 * n * d) * difference * difference
}

/// Returns the limit of $`W_2^2`$ between the law of one row of $`\sqrt n \, W H`$, with entries of `W`
/// N(0, 1) and `H` stationary, and N(0, I):
///
/// ```math
/// W_2^2 \to \frac{n (n-1)^2 (n+2)^3}{128 \, (n+1)^2 \, d^2}
/// ```
///
/// Both laws are invariant under rotations, so only the length r moves. In a given direction
/// $`n H^\top H`$ multiplies r² by $`1 + \xi`$ with $`E \xi^2 = s^2 = \frac{2n}{n+2} E V^2`$, which
/// spreads the density of r. The transport that undoes it is $`\frac{s^2}8 (r^3 - (n+2) r)`$, and
/// its mean square is $`\frac{s^4}{32} n (n+2)`$. So a row is Gaussian to O(1/d) in $`W_2`$, the
/// whole matrix to $`O(1/\sqrt d)`$ only ([`squared_distance`]).
///
/// It is zero for a batch of at most one, and otherwise infinite for a width of zero.
///
/// Simulation over law: .94 to 1.04 for n = 2, .95 to 1.09 for n = 4, .92 to .96 for n = 8.
///
/// ```
/// use orthogap::theory::wasserstein_law::{row_squared_distance, squared_distance};
///
/// assert!((row_squared_distance(4, 64) - 5.933e-4).abs() < 1e-7);
/// assert_eq!(row_squared_distance(1, 64), 0.0);
/// assert!(row_squared_distance(4, 512) < 0.05 * squared_distance(4, 512));
/// ```
#[must_use]
pub fn row_squared_distance(batch_size: usize, width: usize) -> f64 {
    if batch_size <= 1 {
        return 0.0;
    }
    let (n, d) = (batch_size as f64, width as f64);
    n * (n - 1.0).powi(2) * (n + 2.0).powi(3) / (128.0 * ((n + 1.0) * d).powi(2))
}

/// Returns a certified lower bound on $`W_2^2`$ between two laws of matrices, from equally many
/// samples of the singular values of each.
///
/// The distance of the singular values from their mean, $`\lVert \sigma - \bar\sigma \rVert`$, is a
/// 1-Lipschitz image of the matrix, so the distance between the one-dimensional laws of that number
/// is no larger. In the limit of [`squared_distance`] it is equal. The bound is certified for the
/// empirical laws of the samples. Sampling adds an upward bias of the order of the variance over
/// the number of samples, so for the populations it is a bound only where it is much larger than
/// that.
///
/// ```
/// use orthogap::theory::wasserstein_law::lower_bound;
///
/// // One orthogonal matrix, one of singular values 0.8 and 0.6.
/// let bound = lower_bound([&[0.5f64.sqrt(); 2]], [&[0.8, 0.6]])?;
/// assert!((bound - 0.02).abs() < 1e-15);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`] without samples or if they have no entries, [`Error::ShapeMismatch`] unless
/// both laws have equally many samples of one length, [`Error::NotFinite`],
/// [`Error::InvalidParameter`] where squares overflow.
pub fn lower_bound<L: AsRef<[f64]>, R: AsRef<[f64]>>(
    left: impl IntoIterator<Item = L>,
    right: impl IntoIterator<Item = R>,
) -> Result<f64> {
    let (left, n) = sorted_spreads(left)?;
    let (right, m) = sorted_spreads(right)?;
    if (left.len(), n) != (right.len(), m) {
        let (found, expected) = ((right.len(), m), (left.len(), n));
        return Err(Error::ShapeMismatch { what: "the second sample", found, expected });
    }
    let squares = left.iter().zip(&right).map(|(a, b)| (a - b) * (a - b));
    let value = squares.sum::<f64>() / left.len() as f64;
    if !value.is_finite() {
        let (name, expected) = ("squared distance", "numbers whose squares do not overflow");
        return Err(Error::InvalidParameter { name, value, expected });
    }
    Ok(value)
}

/// $`\lVert \sigma - \bar\sigma \rVert`$ of every sample in ascending order, and their length.
fn sorted_spreads<S: AsRef<[f64]>>(
    samples: impl IntoIterator<Item = S>,
) -> Result<(Vec<f64>, usize)> {
    let (mut spreads, mut length) = (Vec::new(), None);
    for (row, sample) in samples.into_iter().enumerate() {
        let sample = sample.as_ref();
        let expected = *length.get_or_insert(sample.len());
        if sample.len() != expected {
            let (found, expected) = ((1, sample.len()), (1, expected));
            return Err(Error::ShapeMismatch { what: "a sample", found, expected });
        }
        if let Some(column) = sample.iter().position(|sigma| !sigma.is_finite()) {
            return Err(Error::NotFinite { row, column, value: sample[column] });
        }
        let mean = sample.iter().sum::<f64>() / sample.len() as f64;
        spreads.push(norm(&sample.iter().map(|sigma| sigma - mean).collect::<Vec<_>>()));
    }
    match length {
        None | Some(0) => Err(Error::Empty { rows: spreads.len(), columns: 0 }),
        Some(length) => {
            spreads.sort_unstable_by(f64::total_cmp);
            Ok((spreads, length))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_at_most_one_has_no_distance() {
        for (n, d) in [(0, 64), (1, 64), (0, 0), (1, 0)] {
            assert_eq!((squared_distance(n, d), row_squared_distance(n, d)), (0.0, 0.0));
        }
    }

    #[test]
    fn samples_of_other_lengths_are_named() {
        let what = "a sample";
        let uneven = Error::ShapeMismatch { what, found: (1, 3), expected: (1, 2) };
        assert_eq!(lower_bound([vec![0.5, 0.5], vec![0.5; 3]], [[0.5; 2]; 2]), Err(uneven));
        let what = "the second sample";
        let fewer = Error::ShapeMismatch { what, found: (1, 2), expected: (2, 2) };
        assert_eq!(lower_bound([[0.5; 2]; 2], [[0.5; 2]]), Err(fewer));
    }
}
