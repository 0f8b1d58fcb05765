//! Views of `ndarray` arrays as matrices, and of matrices as arrays.

use nalgebra::{Dim, Dyn, IsContiguous, Matrix, MatrixView, MatrixViewMut, RawStorage};
use ndarray::{ArrayRef2, ArrayView2, ShapeBuilder};

use crate::{Error, Result, Scalar};

/// Returns a view of an array as a matrix of the same shape.
///
/// The array may lie row by row (`ndarray`'s standard layout) or column by column (Fortran's), and
/// may be transposed.
///
/// ```
/// use orthogap::ndarray::array;
/// use orthogap::interop::from_ndarray;
/// use orthogap::{Input, metric};
///
/// let samples = array![[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]; // two samples, one a row
/// let columns = samples.t();
/// let view = from_ndarray(&columns)?; // 3 x 2, of the same memory
/// let gap = metric::orthogonality_gap(&view)?;
/// assert!((gap - 5f64.sqrt() / 18f64.sqrt()).abs() < 1e-15);
/// assert_eq!(Input::from_columns(&view)?.batch_size(), 2);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidParameter`] if an axis is reversed, and if the array has gaps in memory, such as
/// a slice without some columns. `to_owned()` makes an array without gaps.
pub fn from_ndarray<T: Scalar>(
    array: &ArrayRef2<T>,
) -> Result<MatrixView<'_, T, Dyn, Dyn, Dyn, Dyn>> {
    let shape = array.dim();
    let strides = strides(shape, array.strides(), array.as_slice_memory_order().is_some())?;
    let numbers = array.as_slice_memory_order().expect("strides found no gaps");
    let (rows, columns) = (Dyn(shape.0), Dyn(shape.1));
    Ok(MatrixView::from_slice_with_strides_generic(numbers, rows, columns, strides.0, strides.1))
}

/// Returns a mutable view of an array as a matrix of the same shape; see [`from_ndarray`].
///
/// ```
/// use orthogap::ndarray::array;
/// use orthogap::interop::from_ndarray_mut;
/// use orthogap::normalization::BatchNorm;
///
/// let mut h = array![[3.0, 4.0], [0.0, 2.0]]; // d x n: two neurons, two samples
/// BatchNorm::paper().normalize_mut(&mut from_ndarray_mut(&mut h)?)?;
/// assert_eq!(h, array![[0.6, 0.8], [0.0, 1.0]]);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// Those of [`from_ndarray`].
pub fn from_ndarray_mut<T: Scalar>(
    array: &mut ArrayRef2<T>,
) -> Result<MatrixViewMut<'_, T, Dyn, Dyn, Dyn, Dyn>> {
    let shape = array.dim();
    let strides = strides(shape, array.strides(), array.as_slice_memory_order().is_some())?;
    let numbers = array.as_slice_memory_order_mut().expect("strides found no gaps");
    let (rows, columns) = (Dyn(shape.0), Dyn(shape.1));
    Ok(MatrixViewMut::from_slice_with_strides_generic(numbers, rows, columns, strides.0, strides.1))
}

/// The steps from a row to the next and from a column to the next, of an array without gaps.
fn strides(
    (rows, columns): (usize, usize),
    strides: &[isize],
    without_gaps: bool,
) -> Result<(Dyn, Dyn)> {
    if let Some(&stride) = strides.iter().find(|&&stride| stride < 0) {
        let expected = "an array whose axes are not reversed";
        return Err(Error::InvalidParameter { name: "stride", value: stride as f64, expected });
    }
    if !without_gaps {
        let value = strides.iter().copied().max().unwrap_or(0) as f64;
        let expected = "an array without gaps, such as that of to_owned()";
        return Err(Error::InvalidParameter { name: "stride", value, expected });
    }
    // The stride of an axis of length one means nothing, and may be anything.
    let by_columns = columns <= 1 || rows > 1 && strides[0] == 1;
    Ok(if by_columns { (Dyn(1), Dyn(rows)) } else { (Dyn(columns), Dyn(1)) })
}

/// Returns a matrix as an array of the same shape: a view of the same numbers, column by column.
///
/// ```
/// use orthogap::nalgebra::{self, dmatrix};
/// use orthogap::interop::to_ndarray;
///
/// let h = dmatrix![1.0, 2.0, 3.0; 4.0, 5.0, 6.0];
/// assert_eq!(to_ndarray(&h), orthogap::ndarray::array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
/// ```
#[must_use]
pub fn to_ndarray<T, R, C, S>(matrix: &Matrix<T, R, C, S>) -> ArrayView2<'_, T>
where
    T: Scalar,
    R: Dim,
    C: Dim,
    S: RawStorage<T, R, C> + IsContiguous,
{
    ArrayView2::from_shape(matrix.shape().f(), matrix.as_slice())
        .expect("a contiguous matrix has as many numbers as its shape says")
}
