//! QR and Cholesky factors, with the same bits on every instruction set.

use nalgebra::{DMatrix, PermutationSequence};

use super::gram_schmidt::orthonormalize_blocks;
use crate::kernel::triangular;
use crate::scalar::{Scalar, exponent};

/// The factor `R` of $`M = Q R`$ with a diagonal that is not negative, min(m, n) rows; entries of any
/// size.
pub(crate) fn triangle(mut matrix: DMatrix<f64>) -> DMatrix<f64> {
    let exponent = exponent(matrix.amax());
    if exponent.abs() < 450 {
        return matrix.qr().unpack_r(); // no square leaves the range
    }
    let unit = 2f64.powi(exponent);
    matrix /= unit;
    matrix.qr().unpack_r() * unit
}

/// `R` of a factorisation with the largest remaining entries first, and the order of the columns.
pub(crate) fn pivoted_triangle(
    matrix: DMatrix<f64>,
) -> (DMatrix<f64>, PermutationSequence<nalgebra::Dyn>) {
    let pivoted = matrix.col_piv_qr();
    (pivoted.r(), pivoted.p().clone())
}

/// The factor `Q` of $`M = Q R`$, min(m, n) columns, where `R` has a diagonal that is not negative:
/// so `Q` is a function of `M` alone, and that of normals is uniform. Squares of entries must be in
/// range.
pub(crate) fn orthonormal<T: Scalar>(matrix: DMatrix<T>) -> DMatrix<T> {
    let mut blocks = matrix.clone();
    if orthonormalize_blocks(&mut blocks) { blocks } else { matrix.qr().q() }
}

/// The lower triangular `L` with $`L L^\top = A`$ of a positive definite matrix; none if a pivot is
/// rounding.
pub(crate) fn cholesky(mut matrix: DMatrix<f64>) -> Option<DMatrix<f64>> {
    let smallest = triangular::cholesky(&mut matrix);
    matrix.fill_upper_triangle(0.0, 1);
    (smallest > f64::EPSILON * matrix.nrows() as f64).then_some(matrix)
}
