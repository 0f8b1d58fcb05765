//! Singular values and vectors with an absolute error.

use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{MatMut, Par};
use nalgebra::DMatrix;

use super::{jacobi, scaled, tolerance, view, view_mut};
use crate::Result;

/// $`M = U \Sigma V^\top`$ with orthonormal columns of `U` (`m x k`) and `V` (`n x k`), k = min(m, n).
pub(crate) struct SingularVectors {
    pub left: DMatrix<f64>,
    pub right: DMatrix<f64>,
}

/// The min(m, n) singular values of a matrix, in descending order, with an absolute error of about n
/// roundings of the largest.
///
/// Cost: `4/3 n³` multiply-adds if it is square.
///
/// # Errors
/// [`Error::NotFinite`](crate::Error::NotFinite).
pub(crate) fn singular_values(matrix: DMatrix<f64>) -> Result<Vec<f64>> {
    let (matrix, unit) = scaled(matrix)?;
    let count = matrix.nrows().min(matrix.ncols());
    let mut values = vec![0.0; count];
    if !(decompose(&matrix, &mut values, None) && lengths_fit(&matrix, &values)) {
        values = jacobi::singular_values(&matrix);
        values.sort_unstable_by(|a, b| b.total_cmp(a));
        values.truncate(count);
    }
    Ok(values.iter().map(|value| value * unit).collect())
}

/// The singular vectors of a matrix, the largest singular value first; none if they fail the check.
///
/// Cost: about `12 n³` multiply-adds if it is square, of which `4 n³` check the result.
///
/// # Errors
/// [`Error::NotFinite`](crate::Error::NotFinite).
pub(crate) fn singular_vectors(matrix: DMatrix<f64>) -> Result<Option<SingularVectors>> {
    let (matrix, _) = scaled(matrix)?;
    let (rows, columns) = matrix.shape();
    let count = rows.min(columns);
    let mut values = vec![0.0; count];
    let (mut left, mut right) = (DMatrix::zeros(rows, count), DMatrix::zeros(columns, count));
    let vectors = (view_mut(&mut left), view_mut(&mut right));
    let done = decompose(&matrix, &mut values, Some(vectors));
    let vectors = SingularVectors { left, right };
    Ok((done && fits(&matrix, &values, &vectors)).then_some(vectors))
}

/// Runs faer on one thread; false if it did not converge.
fn decompose(
    matrix: &DMatrix<f64>,
    values: &mut [f64],
    vectors: Option<(MatMut<'_, f64>, MatMut<'_, f64>)>,
) -> bool {
    let (rows, columns) = matrix.shape();
    let wanted = if vectors.is_some() { ComputeSvdVectors::Thin } else { ComputeSvdVectors::No };
    let room = svd_scratch::<f64>(rows, columns, wanted, wanted, Par::Seq, Default::default());
    let (left, right) = vectors.unzip();
    svd(
        view(matrix),
        DiagMut::from_slice_mut(values),
        left,
        right,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(room)),
        Default::default(),
    )
    .is_ok()
}

/// Whether the sum of the squared singular values is the squared norm. Comparisons with NaN fail.
pub(super) fn lengths_fit(matrix: &DMatrix<f64>, values: &[f64]) -> bool {
    let norm = matrix.norm();
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    (length - norm).abs() <= tolerance(values.len()) * norm
}

/// Whether both sides are orthonormal and give the matrix back.
pub(super) fn fits(matrix: &DMatrix<f64>, values: &[f64], vectors: &SingularVectors) -> bool {
    let SingularVectors { left, right } = vectors;
    let count = values.len();
    let bound = tolerance(matrix.nrows().max(matrix.ncols()));
    let orthonormal = |side: &DMatrix<f64>| {
        (side.transpose() * side - DMatrix::identity(count, count)).norm() <= bound
    };
    let mut product = left.clone();
    for (mut column, value) in product.column_iter_mut().zip(values) {
        column *= *value;
    }
    orthonormal(left)
        && orthonormal(right)
        && (product * right.transpose() - matrix).norm() <= bound * matrix.norm()
}
