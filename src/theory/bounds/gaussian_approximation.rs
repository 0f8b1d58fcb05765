//! Bounds on the distance to a Gaussian: Lemma 2 and Corollary 3.

use super::{A1, Bound, Version, Width, largest_gap, nonempty, theorem_1, within};
use crate::Result;

/// The largest squared Wasserstein-2 distance, at rank one: given `H` it is the
/// [coupling bound](crate::Gram::coupling_bound) $`2 - \frac2{\sqrt n} \sum_i \sigma_i`$, and the
/// singular values add up to at least the root of the sum of their squares, which is one.
fn largest_w2(n: f64) -> f64 {
    2.0 - 2.0 / n.sqrt()
}

/// Returns the bound of Lemma 2, $`W_2^2 \le 2 n E V`$, between the laws of `W H` and of
/// $`G/\sqrt n`$, all entries of `W` and `G` (`d x n`) being N(0, 1/d).
///
/// For every `H` it is at most $`2 - 2/\sqrt n`$, the coupling bound at rank one.
///
/// # Errors
/// [`InvalidParameter`](crate::Error::InvalidParameter) for a mean gap outside 0 to sqrt(1 - 1/n),
/// [`BatchTooSmall`](crate::Error::BatchTooSmall) if `n` is 0.
pub fn lemma_2(batch_size: usize, mean_gap: f64) -> Result<Bound> {
    let n = nonempty(batch_size)?;
    let mean_gap = within("mean gap", mean_gap, largest_gap(n), "0 to sqrt(1 - 1/n)")?;
    Ok(Bound::new(2.0 * n * mean_gap, largest_w2(n)))
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
    Ok(Bound::new(n * mean_squared_gap, largest_w2(n)))
}

/// Returns the bound of Corollary 3, [`lemma_2`] after [`theorem_1`], on the squared Wasserstein-2
/// distance of the law of $`W H_{l+1}`$ to that of $`G/\sqrt n`$.
///
/// As printed it is false at infinite width for n >= 30.
#[must_use]
pub fn corollary_3(version: Version, a1: A1, width: Width) -> Bound {
    let (n, gap) = (a1.batch_size as f64, theorem_1(version, a1, width));
    Bound::new(2.0 * n * gap.value, largest_w2(n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gram, Input};

    /// The trivial bound is the coupling bound at rank one, and no `H` exceeds it.
    #[test]
    fn the_trivial_distance_is_that_of_rank_one() {
        for n in [1usize, 2, 4, 30] {
            let trivial = lemma_2(n, 0.0).unwrap().trivial;
            let one = Gram::from_factor(nalgebra::DMatrix::repeat(1, n, 1.0)).unwrap();
            assert!((one.coupling_bound() - trivial).abs() < 1e-14, "{n}");
            for spread in [0.01, 0.1, 1.0] {
                let gram = Input::near_collinear(n, spread).unwrap().gram().clone();
                assert!(gram.coupling_bound() <= trivial + 1e-14, "{n} {spread}");
            }
        }
        assert!(lemma_2(4, 0.2).unwrap().vacuous);
    }
}
