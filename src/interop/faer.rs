//! Matrices as views of `faer`, and back by a copy.

use faer::MatRef;
use nalgebra::{DMatrix, Dim, IsContiguous, Matrix, RawStorage};

use crate::Scalar;

/// Returns a view of a matrix as a matrix of `faer`, column by column.
///
/// ```
/// use orthogap::nalgebra::{self, dmatrix};
/// use orthogap::interop::to_faer;
///
/// let h = dmatrix![1.0, 2.0, 3.0; 4.0, 5.0, 6.0];
/// assert_eq!(to_faer(&h), faer::mat![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
/// ```
#[must_use]
pub fn to_faer<T, R, C, S>(matrix: &Matrix<T, R, C, S>) -> MatRef<'_, T>
where
    T: Scalar,
    R: Dim,
    C: Dim,
    S: RawStorage<T, R, C> + IsContiguous,
{
    MatRef::from_column_major_slice(matrix.as_slice(), matrix.nrows(), matrix.ncols())
}

/// Copies a matrix of `faer` of any layout. Its columns may be padded, so safe code cannot borrow it as
/// a whole.
///
/// ```
/// use faer::mat;
/// use orthogap::{interop::from_faer, metric};
///
/// let h = mat![[2.0, 1.0], [0.0, 1.0]];
/// let gap = metric::orthogonality_gap(&from_faer(h.as_ref()))?;
/// assert!((gap - (5.0f64 / 18.0).sqrt()).abs() < 1e-15);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[must_use]
pub fn from_faer<T: Scalar>(matrix: MatRef<'_, T>) -> DMatrix<T> {
    DMatrix::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)])
}
