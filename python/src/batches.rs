//! The inputs of chains.

use numpy::PyArray2;
use orthogap::{Input, Seed};
use pyo3::prelude::*;

use crate::arrays::{Batch, columns, each, parts, transposed};
use crate::error::{Result, of_batch};
use crate::gram::Gram;

/// The input of a chain: an array (n, d), or a Gram matrix.
pub enum Start<'py> {
    Gram(Bound<'py, Gram>),
    Array(Batch<'py>),
}

impl<'py> FromPyObject<'_, 'py> for Start<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.cast::<Gram>() {
            Ok(gram) => Ok(Self::Gram(gram.to_owned())),
            Err(_) => object.extract().map(Self::Array),
        }
    }
}

impl Start<'_> {
    pub fn input(&self, py: Python<'_>) -> Result<Input> {
        match self {
            Self::Gram(gram) => Ok(Input::from_gram(gram.get().gram.clone())),
            Self::Array(batch) => each!(batch, array => {
                let (slice, shape) = parts(array)?;
                py.detach(|| Input::from_columns(&columns(slice, shape))).map_err(of_batch)
            }),
        }
    }
}

/// Returns n orthonormal samples, (n, n).
#[pyfunction]
pub fn orthogonal_batch(py: Python<'_>, n: usize) -> Result<Bound<'_, PyArray2<f64>>> {
    Ok(transposed(py, Input::orthogonal(n)?.columns().clone()))
}

/// Returns n samples close to the first one, (n, n): e_1 and (1 - epsilon) e_1 + epsilon e_j.
#[pyfunction]
pub fn near_collinear_batch(
    py: Python<'_>,
    n: usize,
    epsilon: f64,
) -> Result<Bound<'_, PyArray2<f64>>> {
    Ok(transposed(py, Input::near_collinear(n, epsilon)?.columns().clone()))
}

/// Returns n orthogonal samples of very unequal length, (n, n): diag(1, epsilon, ..., epsilon).
#[pyfunction]
pub fn spiked_batch(py: Python<'_>, n: usize, epsilon: f64) -> Result<Bound<'_, PyArray2<f64>>> {
    Ok(transposed(py, Input::spiked(n, epsilon)?.columns().clone()))
}

/// Returns n samples of d independent standard normal numbers, (n, d).
#[pyfunction]
#[pyo3(signature = (n, d, *, seed = 0, replicate = 0))]
pub fn gaussian_batch(
    py: Python<'_>,
    n: usize,
    d: usize,
    seed: u64,
    replicate: u32,
) -> Result<Bound<'_, PyArray2<f64>>> {
    let input = Input::gaussian(d, n, Seed(seed).replicate(replicate)).map_err(of_batch)?;
    Ok(transposed(py, input.columns().clone()))
}
