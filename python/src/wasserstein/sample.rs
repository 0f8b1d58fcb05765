//! Distances of samples to a Gaussian.

use numpy::PyArray1;
use orthogap::Seed;
use orthogap::wasserstein as w2;
use pyo3::prelude::*;

use super::{Bracket, Gaussian, W2};
use crate::arrays::{Batch, Numbers, each, numbers, parts, rows};
use crate::error::{Result, refuse};

/// A squared distance in one dimension and its parts: squared = location + scale + shape.
#[pyclass(frozen, module = "orthogap")]
pub struct LineW2 {
    inner: w2::LineW2,
}

#[pymethods]
impl LineW2 {
    /// The squared distance, exact for the numbers, with bias and standard error for the population.
    #[getter]
    fn w2(&self) -> W2 {
        self.inner.w2.into()
    }

    /// The part that is due to the means.
    #[getter]
    fn location(&self) -> f64 {
        self.inner.location
    }

    /// The part that is due to the standard deviations.
    #[getter]
    fn scale(&self) -> f64 {
        self.inner.scale
    }

    /// The squared distance of the numbers from the nearest normal law.
    #[getter]
    fn shape(&self) -> f64 {
        self.inner.shape
    }

    fn __repr__(&self) -> String {
        let w2::LineW2 { w2, location, scale, shape, .. } = &self.inner;
        format!(
            "LineW2(squared={:.4e}, location={location:.4e}, scale={scale:.4e}, shape={shape:.4e})",
            w2.squared
        )
    }
}

/// Independent samples of a law on vectors of n numbers: the rows of an array (N, n).
///
/// Standard errors hold for independent samples. Rows of one W H share their H: use one row of each
/// run.
#[pyclass(frozen, module = "orthogap")]
pub struct Sample {
    pub inner: w2::Sample,
}

impl Sample {
    fn of(py: Python<'_>, x: &Batch<'_>) -> Result<Self> {
        let inner = each!(x, array => {
            let (slice, shape) = parts(array)?;
            py.detach(|| w2::Sample::from_rows(&rows(slice, shape)))?
        });
        Ok(Self { inner })
    }

    /// The target, by default the standard normal law.
    fn target(&self, target: Option<&Bound<'_, Gaussian>>) -> Result<w2::Gaussian> {
        Ok(match target {
            Some(target) => target.get().inner.clone(),
            None => w2::Gaussian::isotropic(self.inner.dimension(), 1.0)?,
        })
    }
}

#[pymethods]
impl Sample {
    #[new]
    #[pyo3(signature = (x, /))]
    fn new(py: Python<'_>, x: Batch<'_>) -> Result<Self> {
        Self::of(py, &x)
    }

    /// The number N of samples.
    #[getter]
    fn count(&self) -> usize {
        self.inner.count()
    }

    /// The number n of numbers in a sample.
    #[getter]
    fn dimension(&self) -> usize {
        self.inner.dimension()
    }

    /// Returns every bound on the squared distance to a Gaussian, by default N(0, I).
    #[pyo3(signature = (target = None, *, seed = 0))]
    fn bracket(
        &self,
        py: Python<'_>,
        target: Option<Bound<'_, Gaussian>>,
        seed: u64,
    ) -> Result<Bracket> {
        let target = self.target(target.as_ref())?;
        Ok(Bracket { inner: py.detach(|| self.inner.bracket(&target, None, Seed(seed)))? })
    }

    /// Returns the Gelbrich distance: of means and covariances, a lower bound for any law.
    #[pyo3(signature = (target = None))]
    fn gelbrich(&self, py: Python<'_>, target: Option<Bound<'_, Gaussian>>) -> Result<W2> {
        let target = self.target(target.as_ref())?;
        Ok(py.detach(|| self.inner.gelbrich(&target))?.into())
    }

    /// Returns the sum over the axes of the squared distances of single coordinates, a lower bound.
    #[pyo3(signature = (target = None))]
    fn along_axes(&self, py: Python<'_>, target: Option<Bound<'_, Gaussian>>) -> Result<W2> {
        let target = self.target(target.as_ref())?;
        Ok(py.detach(|| self.inner.along_axes(&target))?.into())
    }

    /// Returns the squared distance of lengths to those of an isotropic target, a lower bound.
    #[pyo3(signature = (target = None))]
    fn radial(&self, py: Python<'_>, target: Option<Bound<'_, Gaussian>>) -> Result<W2> {
        let target = self.target(target.as_ref())?;
        Ok(py.detach(|| self.inner.radial(&target))?.into())
    }

    /// Returns the sliced squared distance, the mean over directions of that of projections.
    ///
    /// directions: their number; kind: "orthogonal" (whole bases, at least so many directions),
    /// "random" or "low_discrepancy".
    #[pyo3(signature = (target = None, *, directions = 500, kind = "orthogonal", seed = 0))]
    fn sliced(
        &self,
        py: Python<'_>,
        target: Option<Bound<'_, Gaussian>>,
        directions: usize,
        kind: &str,
        seed: u64,
    ) -> Result<W2> {
        let (target, n, seed) = (self.target(target.as_ref())?, self.inner.dimension(), Seed(seed));
        let directions = match kind {
            "orthogonal" => w2::Directions::orthogonal(n, directions, seed)?,
            "random" => w2::Directions::random(n, directions, seed)?,
            "low_discrepancy" => w2::Directions::low_discrepancy(n, directions, seed)?,
            _ => {
                return Err(refuse(format!(
                    "unknown kind of directions {kind:?}: expected orthogonal, random, low_discrepancy"
                )));
            }
        };
        Ok(py.detach(|| self.inner.sliced(&target, &directions))?.w2.into())
    }

    /// Returns the squared distance along the worst direction, a lower bound, and the direction.
    ///
    /// The direction is found on every other sample, the distance is that of the rest.
    #[pyo3(signature = (target = None, *, starts = 4, seed = 0))]
    fn max_sliced<'py>(
        &self,
        py: Python<'py>,
        target: Option<Bound<'py, Gaussian>>,
        starts: usize,
        seed: u64,
    ) -> Result<(W2, Bound<'py, PyArray1<f64>>)> {
        let target = self.target(target.as_ref())?;
        let found = py.detach(|| self.inner.max_sliced(&target, starts, Seed(seed)))?;
        Ok((found.w2.into(), numbers(py, found.direction.as_slice())))
    }

    /// Returns the exact squared distance of two empirical laws, by optimal assignment.
    fn assignment(&self, py: Python<'_>, other: &Self) -> Result<W2> {
        Ok(py.detach(|| self.inner.assignment(&other.inner))?.w2.into())
    }

    /// Returns the Sinkhorn divergence of two empirical laws, of entropic values (Feydy et al. 2019).
    fn sinkhorn_divergence(&self, py: Python<'_>, other: &Self, epsilon: f64) -> Result<f64> {
        Ok(py.detach(|| self.inner.sinkhorn_divergence(&other.inner, epsilon))?.entropic)
    }

    /// Returns the probability that as many samples of the target are at least as far from it.
    ///
    /// statistic: "gelbrich", "along_axes" or "radial"; replicates: the number of simulated
    /// samples.
    #[pyo3(signature = (target = None, *, statistic = "gelbrich", replicates = 199, seed = 0))]
    fn p_value(
        &self,
        py: Python<'_>,
        target: Option<Bound<'_, Gaussian>>,
        statistic: &str,
        replicates: usize,
        seed: u64,
    ) -> Result<f64> {
        let target = self.target(target.as_ref())?;
        let measure: fn(&w2::Sample, &w2::Gaussian) -> orthogap::Result<w2::W2> = match statistic {
            "gelbrich" => |sample, target| sample.gelbrich(target),
            "along_axes" => |sample, target| sample.along_axes(target),
            "radial" => |sample, target| sample.radial(target),
            _ => {
                return Err(refuse(format!(
                    "unknown statistic {statistic:?}: expected gelbrich, along_axes, radial"
                )));
            }
        };
        Ok(py.detach(|| {
            w2::p_value(&self.inner, &target, replicates, Seed(seed), |sample| {
                Ok(measure(sample, &target)?.squared)
            })
        })?)
    }

    fn __repr__(&self) -> String {
        format!("Sample(count={}, dimension={})", self.inner.count(), self.inner.dimension())
    }
}

/// Returns certified bounds on the squared Wasserstein-2 distance of samples to a Gaussian.
///
/// x is (N, n), its rows are independent samples of a law; target is N(0, I) if None. Each bound comes
/// with its bias and standard error.
///
/// >>> x = Gaussian.isotropic(4, 0.6).sample(2000, seed=1)
/// >>> low, high = w2_to_gaussian(x, Gaussian.isotropic(4, 0.5)).confidence_interval(0.99)
/// >>> low < 4 * 0.1**2 < high
/// True
#[pyfunction]
#[pyo3(signature = (x, target = None, *, seed = 0))]
pub fn w2_to_gaussian(
    py: Python<'_>,
    x: Batch<'_>,
    target: Option<Bound<'_, Gaussian>>,
    seed: u64,
) -> Result<Bracket> {
    Sample::of(py, &x)?.bracket(py, target, seed)
}

/// Returns the exact squared Wasserstein-2 distance of numbers, equally likely, to N(mean,
/// deviation^2), and its three parts.
#[pyfunction]
#[pyo3(signature = (numbers, mean = 0.0, deviation = 1.0))]
pub fn line_w2(py: Python<'_>, numbers: Numbers, mean: f64, deviation: f64) -> Result<LineW2> {
    let measure = || w2::normal_bins(numbers.0.len())?.w2(&numbers.0, mean, deviation);
    Ok(LineW2 { inner: py.detach(measure)? })
}
