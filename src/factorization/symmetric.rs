//! Eigenvalues and eigenvectors of symmetric matrices.

use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{MatMut, Par};
use nalgebra::DMatrix;

use super::{jacobi, scaled, tolerance, tridiagonal, view, view_mut};
use crate::{Error, Result};

/// Below this order the loops of [`tridiagonal`] are as fast as faer, at order 16 twice as fast.
const FEW: usize = 256;

/// Eigenvalues in descending order and their eigenvectors, the columns of an orthogonal matrix.
pub(crate) struct Eigen {
    pub values: Vec<f64>,
    pub vectors: DMatrix<f64>,
}

/// The eigenvalues of a symmetric matrix, in descending order, with an absolute error of about n
/// roundings of the largest. Only the lower triangle is read if all goes well.
///
/// Cost: `2/3 n³` multiply-adds.
///
/// # Errors
/// [`Error::NotFinite`].
pub(crate) fn symmetric_eigenvalues(matrix: DMatrix<f64>) -> Result<Vec<f64>> {
    let (matrix, unit) = scaled(matrix)?;
    let found = if matrix.nrows() < FEW {
        tridiagonal::eigenvalues(matrix.clone())
    } else {
        let mut values = vec![0.0; matrix.nrows()];
        decompose(&matrix, &mut values, None).then_some(values)
    };
    let mut values = found
        .filter(|values| values_fit(&matrix, values))
        .unwrap_or_else(|| by_rotations(&matrix).values);
    values.iter_mut().for_each(|value| *value *= unit);
    values.sort_unstable_by(|a, b| b.total_cmp(a));
    Ok(values)
}

/// The eigenvalues of a symmetric matrix and their eigenvectors.
///
/// Cost: about `5 n³` multiply-adds, of which `2 n³` check the result.
///
/// # Errors
/// [`Error::NotFinite`].
pub(crate) fn symmetric_eigen(matrix: DMatrix<f64>) -> Result<Eigen> {
    let (matrix, unit) = scaled(matrix)?;
    let n = matrix.nrows();
    let (mut values, mut vectors) = (vec![0.0; n], DMatrix::zeros(n, n));
    let done = decompose(&matrix, &mut values, Some(view_mut(&mut vectors)));
    let mut eigen = Eigen { values, vectors };
    if !(done && fits(&matrix, &eigen)) {
        eigen = by_rotations(&matrix);
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| eigen.values[b].total_cmp(&eigen.values[a]));
    Ok(Eigen {
        values: order.iter().map(|&k| eigen.values[k] * unit).collect(),
        vectors: eigen.vectors.select_columns(&order),
    })
}

/// Refuses a matrix that differs from its transpose by more than roundings of its largest entry;
/// entries come with relative errors of `epsilon`.
///
/// # Errors
/// [`Error::InvalidParameter`] with the largest difference.
pub(crate) fn check_symmetric(
    name: &'static str,
    matrix: &DMatrix<f64>,
    epsilon: f64,
) -> Result<()> {
    const TILE: usize = 16; // so that both triangles are read by whole cache lines
    let n = matrix.nrows();
    let mut skew = 0.0f64;
    for (left, top) in (0..n).step_by(TILE).flat_map(|j| (0..=j).step_by(TILE).map(move |i| (j, i)))
    {
        for j in left..n.min(left + TILE) {
            for i in top..n.min(top + TILE) {
                skew = skew.max((matrix[(i, j)] - matrix[(j, i)]).abs());
            }
        }
    }
    if skew > 4.0 * epsilon * matrix.amax() {
        let expected = "a symmetric matrix";
        return Err(Error::InvalidParameter { name, value: skew, expected });
    }
    Ok(())
}

/// Runs faer on one thread; false if it did not converge.
fn decompose(matrix: &DMatrix<f64>, values: &mut [f64], vectors: Option<MatMut<'_, f64>>) -> bool {
    let wanted = if vectors.is_some() { ComputeEigenvectors::Yes } else { ComputeEigenvectors::No };
    let room =
        self_adjoint_evd_scratch::<f64>(matrix.nrows(), wanted, Par::Seq, Default::default());
    self_adjoint_evd(
        view(matrix),
        DiagMut::from_slice_mut(values),
        vectors,
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(room)),
        Default::default(),
    )
    .is_ok()
}

/// Whether the sum of the eigenvalues is the trace, and that of their squares the squared norm.
/// Comparisons with NaN fail.
pub(super) fn values_fit(matrix: &DMatrix<f64>, values: &[f64]) -> bool {
    let norm = matrix.norm();
    let bound = tolerance(values.len()) * norm;
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let sum: f64 = values.iter().sum();
    (length - norm).abs() <= bound && (sum - matrix.trace()).abs() <= bound
}

/// Whether the vectors are orthonormal and the matrix times them are their multiples.
pub(super) fn fits(matrix: &DMatrix<f64>, eigen: &Eigen) -> bool {
    let Eigen { values, vectors } = eigen;
    let bound = tolerance(values.len());
    let mut multiples = vectors.clone();
    for (mut column, value) in multiples.column_iter_mut().zip(values) {
        column *= *value;
    }
    let residual = (matrix * vectors - multiples).norm();
    let products = vectors.transpose() * vectors;
    let defect = (products - DMatrix::identity(values.len(), values.len())).norm();
    residual <= bound * matrix.norm() && defect <= bound
}

/// Jacobi's method, which cannot fail: a shift by twice the norm makes the matrix positive definite
/// with a condition number below three, and its singular vectors eigenvectors.
pub(super) fn by_rotations(matrix: &DMatrix<f64>) -> Eigen {
    let n = matrix.nrows();
    let shift = 2.0 * matrix.norm().max(f64::MIN_POSITIVE);
    let shifted = matrix + DMatrix::from_diagonal_element(n, n, shift);
    let (values, vectors) = jacobi::principal_axes(&shifted);
    Eigen { values: values.into_iter().map(|value| value - shift).collect(), vectors }
}
