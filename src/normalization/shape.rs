//! Shapes that must agree, and copies of a shape.

use nalgebra::{DefaultAllocator, Dim, Matrix, OMatrix, RawStorage, allocator::Allocator};

use crate::{Error, Result, Scalar};

/// Refuses a matrix of another shape.
pub(super) fn same_shape(
    what: &'static str,
    found: (usize, usize),
    expected: (usize, usize),
) -> Result<()> {
    if found == expected { Ok(()) } else { Err(Error::ShapeMismatch { what, found, expected }) }
}

/// A copy that owns its entries.
pub(super) fn owned<T, R, C, S>(h: &Matrix<T, R, C, S>) -> OMatrix<T, R, C>
where
    T: Scalar,
    R: Dim,
    C: Dim,
    S: RawStorage<T, R, C>,
    DefaultAllocator: Allocator<R, C>,
{
    let (rows, columns) = h.shape_generic();
    OMatrix::from_fn_generic(rows, columns, |i, j| h[(i, j)])
}
