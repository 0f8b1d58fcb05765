//! Gaussian laws.

use numpy::{PyArray1, PyArray2};
use orthogap::Seed;
use orthogap::wasserstein as w2;
use pyo3::prelude::*;

use super::W2;
use crate::arrays::{Batch, Numbers, each, numbers, parts, rows, transposed, upright};
use crate::error::Result;
use crate::gram::Gram;

/// A Gaussian law on vectors of n numbers, possibly singular.
#[pyclass(frozen, module = "orthogap")]
pub struct Gaussian {
    pub inner: w2::Gaussian,
}

#[pymethods]
impl Gaussian {
    /// Returns N(0, deviation^2 I) in so many dimensions.
    #[staticmethod]
    #[pyo3(signature = (dimension, deviation = 1.0))]
    fn isotropic(dimension: usize, deviation: f64) -> Result<Self> {
        Ok(Self { inner: w2::Gaussian::isotropic(dimension, deviation)? })
    }

    /// Returns the centred law of independent coordinates with these variances.
    #[staticmethod]
    fn diagonal(variances: Numbers) -> Result<Self> {
        Ok(Self { inner: w2::Gaussian::diagonal(&variances.0)? })
    }

    /// Returns N(0, A) with the covariance A, (n, n).
    #[staticmethod]
    fn from_covariance(covariance: Batch<'_>) -> Result<Self> {
        each!(&covariance, array => {
            let (slice, shape) = parts(array)?;
            Ok(Self { inner: w2::Gaussian::from_covariance(&rows(slice, shape))? })
        })
    }

    /// Returns N(0, F F^T) with the factor F, (n, k).
    #[staticmethod]
    fn from_factor(factor: Batch<'_>) -> Result<Self> {
        each!(&factor, array => {
            let (slice, shape) = parts(array)?;
            Ok(Self { inner: w2::Gaussian::from_factor(&rows(slice, shape))? })
        })
    }

    /// Returns the law of a row of W H given H: N(0, C) with the Gram matrix C.
    #[staticmethod]
    fn of_row(gram: &Bound<'_, Gram>) -> Self {
        Self { inner: w2::Gaussian::of_row(&gram.get().gram) }
    }

    /// Returns the same law about another mean.
    fn with_mean(&self, mean: Numbers) -> Result<Self> {
        Ok(Self { inner: self.inner.clone().with_mean(&mean.0)? })
    }

    /// The number n of dimensions.
    #[getter]
    fn dimension(&self) -> usize {
        self.inner.dimension()
    }

    /// The mean, (n,).
    #[getter]
    fn mean<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        numbers(py, self.inner.mean().as_slice())
    }

    /// The covariance, (n, n).
    #[getter]
    fn covariance<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f64>> {
        let factor = self.inner.factor();
        transposed(py, &factor * factor.transpose())
    }

    /// The trace of the covariance.
    #[getter]
    fn total_variance(&self) -> f64 {
        self.inner.total_variance()
    }

    /// Returns so many independent draws, (count, n).
    #[pyo3(signature = (count, *, seed = 0, replicate = 0, block = 0))]
    fn sample<'py>(
        &self,
        py: Python<'py>,
        count: usize,
        seed: u64,
        replicate: u32,
        block: u32,
    ) -> Bound<'py, PyArray2<f64>> {
        let run = Seed(seed).replicate(replicate);
        let draws = py.detach(|| self.inner.sample(count, run, block));
        upright(py, &draws)
    }

    /// Returns the exact squared distance to another Gaussian (Bures).
    fn w2(&self, other: &Self) -> Result<W2> {
        Ok(self.inner.w2(&other.inner)?.into())
    }

    /// Returns the sliced squared distance to N(0, deviation^2 I), exactly.
    fn sliced_to_isotropic(&self, deviation: f64) -> Result<f64> {
        Ok(self.inner.sliced_to_isotropic(deviation)?)
    }

    /// Returns the entropic transport value to another Gaussian, in closed form (Janati et al. 2020).
    fn entropic_transport(&self, other: &Self, epsilon: f64) -> Result<f64> {
        Ok(self.inner.entropic_transport(&other.inner, epsilon)?)
    }

    /// Returns the Sinkhorn divergence to another Gaussian, in closed form.
    fn sinkhorn_divergence(&self, other: &Self, epsilon: f64) -> Result<f64> {
        Ok(self.inner.sinkhorn_divergence(&other.inner, epsilon)?)
    }

    fn __repr__(&self) -> String {
        let (n, trace) = (self.inner.dimension(), self.inner.total_variance());
        format!("Gaussian(dimension={n}, total_variance={trace:.4})")
    }
}
