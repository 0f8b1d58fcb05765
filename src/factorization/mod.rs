//! All decompositions of general matrices: eigenvalues, singular values, QR and Cholesky factors.
//!
//! | function | method | accuracy |
//! | --- | --- | --- |
//! | [`symmetric_eigenvalues`] | Householder and QL, from order 256 faer; checked, else Jacobi | n roundings of the largest |
//! | [`symmetric_eigen`] | faer, checked, else Jacobi | n roundings of the largest |
//! | [`drawn_eigenvalues`] | Householder and QL, same bits on every instruction set | n roundings of the largest |
//! | [`singular_values`] | faer, checked, else Jacobi | n roundings of the largest |
//! | [`singular_vectors`] | faer, checked, else none | the same |
//! | [`graded_singular_values`], [`principal_axes`] | Jacobi | relative, for graded rows |
//! | [`triangle`], [`pivoted_triangle`] | nalgebra's reflections | each column by itself |
//! | [`orthonormal`] | Gram-Schmidt by blocks, twice; nalgebra's reflections if small or dependent | orthonormal to roundings |
//! | [`cholesky`] | the kernel's | backward stable |
//!
//! nalgebra's eigenvalue and singular value iterations are not used: on rank-deficient matrices they
//! return NaN or wrong numbers. faer runs on one thread. It picks an instruction set at run time, so
//! its last digits can depend on the machine. QR factors, which are part of chains and of drawn
//! weights, therefore come from nalgebra or the kernel, whose loops are the same everywhere.

mod gram_schmidt;
mod jacobi;
mod orthogonal;
mod singular;
mod symmetric;
#[cfg(test)]
mod tests;
mod tridiagonal;

pub(crate) use jacobi::{principal_axes, singular_values as graded_singular_values};
pub(crate) use orthogonal::{cholesky, orthonormal, pivoted_triangle, triangle};
pub(crate) use singular::{SingularVectors, singular_values, singular_vectors};
pub(crate) use symmetric::{Eigen, check_symmetric, symmetric_eigen, symmetric_eigenvalues};
pub(crate) use tridiagonal::drawn_eigenvalues;

use faer::{MatMut, MatRef};
use nalgebra::DMatrix;

use crate::Result;
use crate::check;
use crate::scalar::exponent;

/// A finite matrix divided by the power of two beneath its largest entry, and that power.
///
/// Exact except for entries that become subnormal. No square of the result overflows, and none that
/// matters underflows.
fn scaled(mut matrix: DMatrix<f64>) -> Result<(DMatrix<f64>, f64)> {
    check::entries(&matrix)?;
    let unit = 2f64.powi(exponent(matrix.amax()));
    matrix /= unit;
    Ok((matrix, unit))
}

/// The relative error that a backward stable method may have.
fn tolerance(order: usize) -> f64 {
    8.0 * f64::EPSILON * order as f64
}

fn view(matrix: &DMatrix<f64>) -> MatRef<'_, f64> {
    MatRef::from_column_major_slice(matrix.as_slice(), matrix.nrows(), matrix.ncols())
}

fn view_mut(matrix: &mut DMatrix<f64>) -> MatMut<'_, f64> {
    let (rows, columns) = matrix.shape();
    MatMut::from_column_major_slice_mut(matrix.as_mut_slice(), rows, columns)
}
