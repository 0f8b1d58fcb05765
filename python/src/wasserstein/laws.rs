//! Laws of `W H` over runs.

use orthogap::Seed;
use orthogap::wasserstein as w2;
use pyo3::prelude::*;

use super::{Bracket, Gaussian, Sample, W2};
use crate::error::Result;
use crate::gram::Gram;

/// Samples of the law of W H over runs, through their singular values.
///
/// Distances are to the law of G/sqrt(n), all entries of W and G being N(0, 1/d).
#[pyclass(module = "orthogap")]
pub struct MatrixLaw {
    inner: w2::MatrixLaw,
}

#[pymethods]
impl MatrixLaw {
    #[new]
    fn new(batch_size: usize, width: usize) -> Result<Self> {
        Ok(Self { inner: w2::MatrixLaw::new(batch_size, width)? })
    }

    /// Adds the Gram matrix of one more run. Each run needs another replicate.
    #[pyo3(signature = (gram, *, seed = 0, replicate))]
    fn push(
        &mut self,
        py: Python<'_>,
        gram: &Bound<'_, Gram>,
        seed: u64,
        replicate: u32,
    ) -> Result<()> {
        let (gram, run) = (&gram.get().gram, Seed(seed).replicate(replicate));
        Ok(py.detach(|| self.inner.push(gram, run))?)
    }

    /// The number of runs so far.
    #[getter]
    fn count(&self) -> usize {
        self.inner.count()
    }

    /// Returns certified bounds on the squared distance of the matrix laws.
    fn bracket(&self) -> Result<Bracket> {
        Ok(Bracket { inner: self.inner.bracket()? })
    }

    /// Returns the transport cost between the laws of singular values, in batches of runs.
    fn transport(&self, py: Python<'_>, batch: usize) -> Result<W2> {
        Ok(py.detach(|| self.inner.transport(batch))?.into())
    }
}

/// One row of W H from each of many runs.
#[pyclass(module = "orthogap")]
pub struct RowLaw {
    inner: w2::RowLaw,
}

#[pymethods]
impl RowLaw {
    #[new]
    fn new(batch_size: usize) -> Result<Self> {
        Ok(Self { inner: w2::RowLaw::new(batch_size)? })
    }

    /// Draws and adds a row, given the Gram matrix of a run. Each run needs another replicate.
    #[pyo3(signature = (gram, *, seed = 0, replicate))]
    fn push(&mut self, gram: &Bound<'_, Gram>, seed: u64, replicate: u32) -> Result<()> {
        Ok(self.inner.push(&gram.get().gram, Seed(seed).replicate(replicate))?)
    }

    /// The number of rows.
    #[getter]
    fn count(&self) -> usize {
        self.inner.count()
    }

    /// Returns the rows as independent samples.
    fn sample(&self) -> Result<Sample> {
        Ok(Sample { inner: self.inner.sample()? })
    }

    /// Returns certified bounds on the squared distance of the row law to a Gaussian.
    #[pyo3(signature = (target, *, seed = 0))]
    fn bracket(&self, py: Python<'_>, target: &Bound<'_, Gaussian>, seed: u64) -> Result<Bracket> {
        let target = &target.get().inner;
        Ok(Bracket { inner: py.detach(|| self.inner.bracket(target, Seed(seed)))? })
    }
}
