//! The effect of the initialisation of Appendix E on singular values.

use crate::metric::Spectrum;

/// Returns, by Appendix E, the singular values of `W H` for
/// $`W = V' \Sigma^{-1/2} U^\top / \lVert \Sigma^{1/2} \rVert_F`$, where $`H = U \Sigma V^\top`$ and
/// `V'` is orthogonal: the square roots, scaled to sum of squares one.
///
/// The gap of `W H` is at most that of `H`, and equal only if all positive singular values are.
/// With a literal slice of `V` for `V'`, as printed, the claim is false.
///
/// ```
/// use orthogap::{Gram, Input, theory::bounds::appendix_e};
/// use orthogap::nalgebra::{DMatrix, DVector};
///
/// let gram = Input::spiked(3, 0.25)?.gram().clone();
/// let next = appendix_e(&gram.spectrum());
/// assert!((next[0] / next[2] - 2.0).abs() < 1e-14);
/// let next = Gram::from_factor(DMatrix::from_diagonal(&DVector::from_vec(next)))?;
/// assert!(next.orthogonality_gap() < gram.orthogonality_gap());
/// # Ok::<(), orthogap::Error>(())
/// ```
#[must_use]
pub fn appendix_e(spectrum: &Spectrum) -> Vec<f64> {
    let values = spectrum.singular_values();
    let norm = values.sum().sqrt();
    values.iter().map(|sigma| sigma.sqrt() / norm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gram;
    use approx::assert_relative_eq;
    use nalgebra::dmatrix;

    #[test]
    fn appendix_e_takes_roots() {
        let gram = Gram::from_factor(dmatrix![0.8, 0.0; 0.0, 0.6]).unwrap();
        let next = appendix_e(&gram.spectrum());
        for (value, square) in next.iter().zip([4.0 / 7.0, 3.0 / 7.0]) {
            assert_relative_eq!(value * value, square, max_relative = 1e-14);
        }
    }
}
