//! Bounds on the Lyapunov function: Theorem 5, Lemma 8 and Appendix B.1.

use super::{Bound, Version, Width, contraction, nonempty, within};
use crate::{Error, Result};

/// Returns the bound of Theorem 5 on the mean of the next layer's Lyapunov function given this
/// one's, $`(1 - c \lambda_n) \hat V + 1/\sqrt d`$ with $`\lambda_n = 1/n - \hat V`$.
///
/// The constant `c` is 2/3 as printed, and 2n/(n+2) by [`lemma_8`], which is sharp.
///
/// # Errors
/// [`Error::InvalidParameter`] for a Lyapunov function outside 0 to 1/n, [`Error::BatchTooSmall`]
/// if `n` is 0.
pub fn theorem_5(
    version: Version,
    batch_size: usize,
    lyapunov: f64,
    width: Width,
) -> Result<Bound> {
    let n = nonempty(batch_size)?;
    let lyapunov = within("lyapunov", lyapunov, 1.0 / n, "0 to 1/n")?;
    let rate = contraction(version, n) * (1.0 / n - lyapunov);
    Ok(Bound::new((1.0 - rate) * lyapunov + width.noise, 1.0 / n))
}

/// Returns the bound of Lemma 8 on $`1/n - p_n`$, the Lyapunov function after a layer of infinite
/// width, $`(1 - \frac{2n}{n+2} \lambda_n)(\frac1n - \lambda_n)`$. Sharp at orthogonality.
///
/// ```
/// use orthogap::theory::{bounds::lemma_8, mean_field};
///
/// let spectrum = [0.25 + 3e-6, 0.25 - 1e-6, 0.25 - 1e-6, 0.25 - 1e-6];
/// let next = 0.25 - mean_field::map(&spectrum)?[3];
/// let bound = lemma_8(4, spectrum[3])?.value;
/// assert!(next <= bound && next > bound * (1.0 - 1e-5));
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidParameter`] for a smallest eigenvalue outside 0 to 1/n, [`Error::BatchTooSmall`]
/// if `n` is 0.
pub fn lemma_8(batch_size: usize, smallest_eigenvalue: f64) -> Result<Bound> {
    let n = nonempty(batch_size)?;
    let smallest = within("smallest eigenvalue", smallest_eigenvalue, 1.0 / n, "0 to 1/n")?;
    let rate = contraction(Version::Sharp, n) * smallest;
    Ok(Bound::new((1.0 - rate) * (1.0 / n - smallest), 1.0 / n))
}

/// Returns the bound of Appendix B.1, without assumptions, on the mean over layers
/// $`\frac1l \sum_{k=1}^l E[\hat V(H_k) \, \lambda_n(C_k)]`$ with
/// $`\lambda_n = \frac1n - \hat V`$, from the Lyapunov function of the input.
///
/// | version | bound |
/// | --- | --- |
/// | printed, repaired | $`\frac32 (\hat V(H_0)/l + 1/\sqrt d)`$ |
/// | sharp | $`\frac{n+2}{2n} (\hat V(H_0)/l + 1/\sqrt d)`$ |
///
/// The product is zero at orthogonality and at a lost rank, and at most 1/(4n²) between them. So
/// the bound excludes neither, and as printed it is vacuous if d <= 36 n⁴.
///
/// Proof: by [`theorem_5`] with its constant c, the mean of $`c \hat V \lambda_n`$ at layer k is at
/// most $`E \hat V(H_k) - E \hat V(H_{k+1}) + 1/\sqrt d`$. The sum over k = 0, ..., l-1 telescopes.
/// Its last term, $`-E \hat V(H_l)`$, compensates for the product at layer l, since c <= n. So the
/// bound also holds with layer 0 in the sum.
///
/// ```
/// use orthogap::theory::{bounds::{Version, Width, appendix_b1}, mean_field::MeanFieldChain};
/// use orthogap::Input;
///
/// let input = Input::near_collinear(4, 0.5)?;
/// let lyapunov = input.gram().lyapunov();
/// let products = MeanFieldChain::new(input.gram())?.take(20).map(|layer| {
///     layer.gram().lyapunov() * (0.25 - layer.gram().lyapunov())
/// });
/// let bound = appendix_b1(Version::Sharp, 4, lyapunov, 20, Width::INFINITE)?;
/// assert!(products.sum::<f64>() / 20.0 <= bound.value && !bound.vacuous);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidParameter`] for a Lyapunov function outside 0 to 1/n and for no layers,
/// [`Error::BatchTooSmall`] if `n` is 0.
pub fn appendix_b1(
    version: Version,
    batch_size: usize,
    initial_lyapunov: f64,
    layers: u32,
    width: Width,
) -> Result<Bound> {
    let n = nonempty(batch_size)?;
    let lyapunov = within("lyapunov", initial_lyapunov, 1.0 / n, "0 to 1/n")?;
    if layers == 0 {
        let expected = "at least one layer";
        return Err(Error::InvalidParameter { name: "layers", value: 0.0, expected });
    }
    let value = (lyapunov / f64::from(layers) + width.noise) / contraction(version, n);
    Ok(Bound::new(value, (4.0 * n * n).recip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::mean_field::map_of_deviations;

    /// Next to orthogonality, with layer 0 in the sum, the sharp bound is attained.
    #[test]
    fn appendix_b1_is_sharp_at_orthogonality() {
        for n in [2usize, 5, 16] {
            let size = 1e-8;
            let mut deviations = vec![-size; n];
            deviations[0] = size * (n - 1) as f64;
            let mut sum = 0.0;
            for _ in 0..=400 {
                let lyapunov = -deviations.iter().copied().fold(f64::MAX, f64::min);
                sum += lyapunov * (1.0 / n as f64 - lyapunov);
                deviations = map_of_deviations(&deviations).unwrap();
            }
            let bound = appendix_b1(Version::Sharp, n, size, 400, Width::INFINITE).unwrap();
            let ratio = sum / (400.0 * bound.value);
            assert!(ratio <= 1.0 && ratio > 1.0 - 1e-4, "{n}: {ratio}");
        }
    }

    /// The width and the number of layers from which on it says something.
    #[test]
    fn appendix_b1_is_vacuous_where_it_is_said_to_be() {
        let vacuous = |width| {
            let width = Width::finite(3, width).unwrap();
            appendix_b1(Version::Printed, 3, 0.0, 1, width).unwrap().vacuous
        };
        assert!(vacuous(36 * 81 - 1) && !vacuous(36 * 81 + 1));
        let error = appendix_b1(Version::Printed, 3, 0.1, 0, Width::INFINITE).unwrap_err();
        assert!(matches!(error, Error::InvalidParameter { name: "layers", .. }));
        assert!(appendix_b1(Version::Printed, 0, 0.1, 1, Width::INFINITE).is_err());
    }
}
