//! Bounds on the distance to a Gaussian: Lemma 2 and Corollary 3.

use super::{A1, Bound, Version, Width, largest_gap, nonempty, theorem_1, within};
use crate::Result;

/// The squared Wasserstein-2 distance is at most this by the independent coupling.
const LARGEST_W2: f64 = 2.0;

/// Returns the bound of Lemma 2, $`W_2^2 \le 2 n E V`$, between the laws of `W H` and of
/// $`G/\sqrt n`$, all entries of `W` and `G` (`d x n`) being N(0, 1/d).
///
/// It is at most 2 without any assumption, by the independent coupling.
///
/// # Errors
/// [`InvalidParameter`](crate::Error::InvalidParameter) for a mean gap outside 0 to sqrt(1 - 1/n),
/// [`BatchTooSmall`](crate::Error::BatchTooSmall) if `n` is 0.
pub fn lemma_2(batch_size: usize, mean_gap: f64) -> Result<Bound> {
    let n = nonempty(batch_size)?;
    let mean_gap = within("mean gap", mean_gap, largest_gap(n), "0 to sqrt(1 - 1/n)")?;
    Ok(Bound::new(2.0 * n * mean_gap, LARGEST_W2))
}

/// Returns the bound in the proof of Lemma 2: $`W_2^2 \le n E V^2`$.
///
/// Between the two is the mean of the [coupling bound](crate::Gram::coupling_bound).
///
/// ```
/// use orthogap::theory::{bounds::{lemma_2, lemma_2_sharp}, stationary};
///
/// let printed = lemma_2(4, stationary::mean_gap(4, 512))?;
/// let sharp = lemma_2_sharp(4, stationary::mean_squared_gap(4, 512))?;
/// assert!((printed.value - 0.400).abs() < 0.001 && sharp.value < 0.011);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`InvalidParameter`](crate::Error::InvalidParameter) for a mean squared gap outside
/// 0 to 1 - 1/n, [`BatchTooSmall`](crate::Error::BatchTooSmall) if `n` is 0.
pub fn lemma_2_sharp(batch_size: usize, mean_squared_gap: f64) -> Result<Bound> {
    let n = nonempty(batch_size)?;
    let mean_squared_gap =
        within("mean squared gap", mean_squared_gap, 1.0 - 1.0 / n, "0 to 1 - 1/n")?;
    Ok(Bound::new(n * mean_squared_gap, LARGEST_W2))
}

/// Returns the bound of Corollary 3, [`lemma_2`] after [`theorem_1`], on the squared Wasserstein-2
/// distance of the law of $`W H_{l+1}`$ to that of $`G/\sqrt n`$.
///
/// As printed it is false at infinite width for n >= 30.
#[must_use]
pub fn corollary_3(version: Version, a1: A1, width: Width) -> Bound {
    let gap = theorem_1(version, a1, width);
    Bound::new(2.0 * a1.batch_size as f64 * gap.value, LARGEST_W2)
}
