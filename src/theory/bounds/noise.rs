//! The noise of one layer: Lemmas 6 and 7.

use super::{Bound, Width, nonempty};
use crate::Result;
use crate::theory::mean_field::map;

/// Returns the bound of Lemma 6: $`E \lVert C' - E C' \rVert_F^2 \le 1/d`$ for the next Gram matrix
/// `C'` given this one.
///
/// Both have trace one, so $`\lVert C' \rVert_F^2 \le 1`$ and $`\lVert E C' \rVert_F^2 \ge 1/n`$:
/// the trivial bound is 1 - 1/n.
///
/// # Errors
/// [`BatchTooSmall`](crate::Error::BatchTooSmall) if `n` is 0.
pub fn lemma_6(batch_size: usize, width: Width) -> Result<Bound> {
    let n = nonempty(batch_size)?;
    Ok(Bound::new(width.noise * width.noise, 1.0 - 1.0 / n))
}

/// Returns the left side of Lemma 6, exactly:
/// $`E \lVert C' - E C' \rVert_F^2 = (1 - \sum_i p_i^2)/d`$ with the [infinite-width
/// map](crate::theory::mean_field::map) `p` of the eigenvalues.
///
/// ```
/// use orthogap::theory::bounds::{Width, noise};
///
/// // At orthogonality p = 1/n.
/// assert!((noise(&[0.25; 4], Width::finite(4, 100)?)? - 0.0075).abs() < 1e-16);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// Those of [`map`](crate::theory::mean_field::map).
pub fn noise(eigenvalues: &[f64], width: Width) -> Result<f64> {
    let p = map(eigenvalues)?;
    // The products of different entries: nothing cancels where one of them is nearly one.
    let products = p.iter().scan(0.0, |sum, p| {
        let product = *sum * p;
        *sum += p;
        Some(product)
    });
    Ok(2.0 * products.sum::<f64>() * width.noise * width.noise)
}

/// Returns the bound of Lemma 7: $`E (\hat V(H') - (\frac1n - p_n))^2 \le 1/d`$ for the Lyapunov
/// function of the next layer and its value after a layer of infinite width, given this layer.
///
/// Both lie between 0 and 1/n, so the trivial bound is 1/n²: the claim is vacuous if d <= n².
///
/// # Errors
/// [`BatchTooSmall`](crate::Error::BatchTooSmall) if `n` is 0.
pub fn lemma_7(batch_size: usize, width: Width) -> Result<Bound> {
    let n = nonempty(batch_size)?;
    Ok(Bound::new(width.noise * width.noise, (n * n).recip()))
}

/// Returns a sharper Lemma 7: at most $`(1 - \frac1n)(1 - \sum_i p_i^2)/d`$ with the
/// [infinite-width map](crate::theory::mean_field::map) `p` of the eigenvalues.
///
/// The proof of the paper bounds the change of $`\lambda_n`$ by the Frobenius norm of
/// $`C' - E C'`$ (Weyl's inequality). That matrix has trace zero, so the square of its largest
/// singular value is at most 1 - 1/n of its squared Frobenius norm, whose mean is [`noise`].
/// Two orthogonal samples attain it.
///
/// ```
/// use orthogap::theory::bounds::{Width, lemma_7, lemma_7_sharp};
///
/// let width = Width::finite(2, 100)?;
/// assert!((lemma_7_sharp(&[0.5, 0.5], width)?.value - 0.0025).abs() < 1e-17);
/// assert!((lemma_7(2, width)?.value - 0.01).abs() < 1e-16);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// Those of [`map`](crate::theory::mean_field::map).
pub fn lemma_7_sharp(eigenvalues: &[f64], width: Width) -> Result<Bound> {
    let noise = noise(eigenvalues, width)?;
    let n = nonempty(eigenvalues.len())?;
    Ok(Bound::new((1.0 - 1.0 / n) * noise, (n * n).recip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    /// Near rank one the noise is twice the small eigenvalue, which is lost beside one. Two samples:
    /// p is proportional to the singular values.
    #[test]
    fn noise_keeps_its_digits_near_rank_one() {
        let width = Width::finite(2, 100).unwrap();
        for sigma in [1.0f64, 1e-3, 1e-9, 1e-140] {
            let expected = 2.0 * sigma / (1.0 + sigma).powi(2) / 100.0;
            for spectrum in [[1.0, sigma * sigma], [sigma * sigma, 1.0]] {
                assert_relative_eq!(
                    noise(&spectrum, width).unwrap(),
                    expected,
                    max_relative = 1e-14
                );
            }
        }
    }

    /// Of one sample nothing is random, and at infinite width nothing is.
    #[test]
    fn no_noise_without_a_second_sample_or_a_width() {
        let width = Width::finite(1, 9).unwrap();
        assert_eq!(lemma_7_sharp(&[1.0], width).unwrap().value, 0.0);
        assert_eq!(lemma_7(3, Width::INFINITE).unwrap().value, 0.0);
        assert!(lemma_7(3, Width::finite(3, 9).unwrap()).unwrap().vacuous);
        assert!(!lemma_7(3, Width::finite(3, 10).unwrap()).unwrap().vacuous);
        assert!(lemma_7(0, width).is_err() && lemma_7_sharp(&[], width).is_err());
        assert_eq!(lemma_6(2, Width::INFINITE).unwrap().trivial, 0.5);
        assert!(lemma_6(1, width).unwrap().vacuous && lemma_6(0, width).is_err());
    }
}
