//! Gradients at initialisation, and the tangent kernel.

use numpy::{PyArray1, PyArray2};
use orthogap::backward::{BatchGradient as Inner, Top};
use pyo3::prelude::*;

use crate::arrays::{numbers, transposed};
use crate::error::{Result, of_batch, refuse};
use crate::gram::Gram;
use crate::network::on;

/// The gradient at the top by name.
pub fn top(name: &str) -> Result<Top> {
    Ok(match name {
        "random_direction" => Top::RandomDirection,
        "representation" => Top::Representation,
        "read_out" => Top::ReadOut,
        _ => {
            return Err(refuse(format!(
                "unknown top {name:?}: expected random_direction, representation, read_out"
            )));
        }
    })
}

/// A reverse pass in either arithmetic.
pub enum AnyGradients {
    Single(orthogap::backward::Gradients<f32>),
    Double(orthogap::backward::Gradients<f64>),
}

/// The gradients of a loss, layer by layer, from the output down to the input.
///
/// Created by Network.gradients.
#[pyclass(module = "orthogap")]
pub struct Gradients {
    gradients: AnyGradients,
}

impl From<AnyGradients> for Gradients {
    fn from(gradients: AnyGradients) -> Self {
        Self { gradients }
    }
}

#[pymethods]
impl Gradients {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&mut self, py: Python<'_>) -> Result<Option<BatchGradient>> {
        let next = on!(AnyGradients, &mut self.gradients, inner => py.detach(|| inner.next()));
        next.map(|gradient| Ok(BatchGradient { inner: gradient.map_err(of_batch)? })).transpose()
    }
}

/// The gradient of a loss at one layer.
#[pyclass(frozen, module = "orthogap")]
pub struct BatchGradient {
    inner: Inner,
}

#[pymethods]
impl BatchGradient {
    /// The number of the layer; 0 is the input.
    #[getter]
    fn depth(&self) -> usize {
        self.inner.depth()
    }

    /// The Gram matrix of the gradient with respect to the representation; None if that is zero.
    #[getter]
    fn gram(&self) -> Option<Gram> {
        self.inner.gram().cloned().map(Gram::from)
    }

    /// The natural logarithm of the norm of the gradient with respect to the representation.
    #[getter]
    fn log_norm(&self) -> f64 {
        self.inner.log_norm()
    }

    /// The natural logarithms of the norms of the gradients with respect to each sample, (n,).
    #[getter]
    fn log_sample_norms<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        numbers(py, self.inner.log_sample_norms())
    }

    /// The natural logarithm of the norm of the gradient with respect to the weights that lead to
    /// this layer; None for the input.
    #[getter]
    fn log_weights_norm(&self) -> Option<f64> {
        self.inner.log_weights_norm()
    }

    /// Returns the cosine of sample i of the representation and the gradient with respect to sample
    /// j.
    fn cosine(&self, i: usize, j: usize) -> Result<f64> {
        self.inner.cosine(i, j).map_err(of_batch)
    }

    fn __repr__(&self) -> String {
        format!(
            "BatchGradient(depth={}, log_norm={:.4})",
            self.inner.depth(),
            self.inner.log_norm()
        )
    }
}

/// The neural tangent kernel of a batch, and its terms, (n, n) each.
///
/// Entries are infinite or zero where they leave the range of float64: log_norm is right at any depth.
#[pyclass(frozen, module = "orthogap")]
pub struct TangentKernel {
    kernel: orthogap::backward::TangentKernel,
}

impl From<orthogap::backward::TangentKernel> for TangentKernel {
    fn from(kernel: orthogap::backward::TangentKernel) -> Self {
        Self { kernel }
    }
}

#[pymethods]
impl TangentKernel {
    /// The kernel, the sum of all terms.
    #[getter]
    fn matrix<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f64>> {
        transposed(py, self.kernel.matrix().to_matrix())
    }

    /// The terms of the layers, from layer 1 on.
    #[getter]
    fn layers<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyArray2<f64>>> {
        self.kernel.layers().iter().map(|term| transposed(py, term.to_matrix())).collect()
    }

    /// The term of the read-out.
    #[getter]
    fn read_out<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f64>> {
        transposed(py, self.kernel.read_out().to_matrix())
    }

    /// The natural logarithm of the Frobenius norm of the kernel.
    #[getter]
    fn log_norm(&self) -> f64 {
        self.kernel.matrix().log_norm()
    }
}
