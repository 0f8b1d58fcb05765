//! Arrays of NumPy as matrices of the crate, without a copy where their layout allows.
//!
//! An array (n, d) in C order is in memory the crate's matrix d x n, which has columns one after the
//! other.

use numpy::ndarray::Array2;
use numpy::{
    AllowTypeChange, Element, IntoPyArray, PyArray1, PyArray2, PyArrayDescrMethods, PyArrayLike1,
    PyArrayMethods, PyReadonlyArray2, PyUntypedArray, PyUntypedArrayMethods,
};
use orthogap::nalgebra::{DMatrix, DMatrixView, Dyn, MatrixView};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{Result, refuse};

/// A matrix view whose rows are one after the other in memory.
pub type RowsView<'a, T> = MatrixView<'a, T, Dyn, Dyn, Dyn, Dyn>;

/// An array (n, d) of float32 or float64 in C order.
pub enum Batch<'py> {
    Single(PyReadonlyArray2<'py, f32>),
    Double(PyReadonlyArray2<'py, f64>),
}

/// Runs an expression on the slice and the shape of a batch, in its own arithmetic.
macro_rules! each {
    ($batch:expr, $array:ident => $body:expr) => {
        match $batch {
            $crate::arrays::Batch::Single($array) => $body,
            $crate::arrays::Batch::Double($array) => $body,
        }
    };
}
pub(crate) use each;

impl<'py> FromPyObject<'_, 'py> for Batch<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match in_place(&object) {
            Some(batch) => Ok(batch),
            None => converted(&object),
        }
    }
}

/// The array itself, if it can be read in place.
fn in_place<'py>(object: &Bound<'py, PyAny>) -> Option<Batch<'py>> {
    if let Ok(array) = object.cast::<PyArray2<f64>>() {
        return is_plain(array).then(|| array.try_readonly().ok().map(Batch::Double))?;
    }
    let array = object.cast::<PyArray2<f32>>().ok()?;
    is_plain(array).then(|| array.try_readonly().ok().map(Batch::Single))?
}

fn is_plain<T: Element>(array: &Bound<'_, PyArray2<T>>) -> bool {
    array.is_c_contiguous() && (array.data() as usize).is_multiple_of(align_of::<T>())
}

/// A copy in C order: of float32 and float64 as they are, of integers and float16 as float64.
fn converted<'py>(object: &Bound<'py, PyAny>) -> PyResult<Batch<'py>> {
    let py = object.py();
    let numpy = py.import(intern!(py, "numpy"))?;
    let array = numpy.call_method1(intern!(py, "asarray"), (object,))?;
    let array = array.cast::<PyUntypedArray>().map_err(PyErr::from)?;
    let dtype = array.dtype();
    let (kind, size) = (dtype.kind(), dtype.itemsize());
    let target = match (kind, size) {
        (b'f', 4) => "float32",
        (b'f', 2 | 8) | (b'i' | b'u', _) => "float64",
        _ => {
            let message = format!(
                "an array of {dtype} has no place here: expected float32 or float64, \
                 or integers or float16, which become float64"
            );
            return Err(PyTypeError::new_err(message));
        }
    };
    if array.ndim() != 2 {
        let shape = array.getattr(intern!(py, "shape"))?;
        return Err(refuse(format!(
            "an array of shape {shape} is no batch: expected (n, d), whose rows are samples"
        ))
        .into());
    }
    let options = PyDict::new(py);
    options.set_item(intern!(py, "dtype"), target)?;
    options.set_item(intern!(py, "requirements"), ["C_CONTIGUOUS", "ALIGNED"])?;
    let array = numpy.call_method(intern!(py, "require"), (array,), Some(&options))?;
    in_place(&array).ok_or_else(|| refuse("an array that is being written cannot be read").into())
}

/// The matrix d x n of an array (n, d) in C order.
pub fn columns<T: Element + orthogap::Scalar>(
    slice: &[T],
    shape: [usize; 2],
) -> DMatrixView<'_, T> {
    DMatrixView::from_slice(slice, shape[1], shape[0])
}

/// The matrix N x n of an array (N, n) in C order.
pub fn rows<T: Element + orthogap::Scalar>(slice: &[T], shape: [usize; 2]) -> RowsView<'_, T> {
    MatrixView::from_slice_with_strides_generic(
        slice,
        Dyn(shape[0]),
        Dyn(shape[1]),
        Dyn(shape[1]),
        Dyn(1),
    )
}

/// The numbers of an array in C order, and its shape.
pub fn parts<'a, T: Element>(array: &'a PyReadonlyArray2<'_, T>) -> Result<(&'a [T], [usize; 2])> {
    let slice = array.as_slice().map_err(|error| refuse(error.to_string()))?;
    let &[n, d] = array.shape() else { return Err(refuse("expected an (n, d) array")) };
    Ok((slice, [n, d]))
}

/// A matrix d x n as an array (n, d) that owns it, without a copy.
pub fn transposed<T: Element + orthogap::Scalar>(
    py: Python<'_>,
    matrix: DMatrix<T>,
) -> Bound<'_, PyArray2<T>> {
    let (d, n) = matrix.shape();
    let numbers: Vec<T> = matrix.data.into();
    Array2::from_shape_vec((n, d), numbers).expect("a number for each entry").into_pyarray(py)
}

/// A matrix as an array of its shape in C order: a copy.
pub fn upright<'py, T: Element + orthogap::Scalar>(
    py: Python<'py>,
    matrix: &DMatrix<T>,
) -> Bound<'py, PyArray2<T>> {
    transposed(py, matrix.transpose())
}

/// Numbers of any real type in one dimension.
pub struct Numbers(pub Vec<f64>);

impl<'py> FromPyObject<'_, 'py> for Numbers {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let array: PyArrayLike1<'py, f64, AllowTypeChange> = object.extract()?;
        Ok(Self(array.as_array().to_vec()))
    }
}

/// Numbers as an array.
pub fn numbers<'py>(py: Python<'py>, values: impl Into<Vec<f64>>) -> Bound<'py, PyArray1<f64>> {
    values.into().into_pyarray(py)
}
