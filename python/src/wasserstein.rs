//! Distances to a Gaussian.

use numpy::{PyArray1, PyArray2};
use orthogap::wasserstein as w2;
use orthogap::{Seed, statistics};
use pyo3::prelude::*;

use crate::arrays::{Batch, Numbers, columns, each, numbers, parts, rows, transposed, upright};
use crate::error::{Result, refuse};
use crate::gram::Gram;

/// A squared Wasserstein-2 distance, and what is known about it.
///
/// Errors and bias are of `squared`, as an estimate of the same quantity of the population.
#[pyclass(frozen, module = "orthogap")]
pub struct W2 {
    inner: w2::W2,
}

impl From<w2::W2> for W2 {
    fn from(inner: w2::W2) -> Self {
        Self { inner }
    }
}

#[pymethods]
impl W2 {
    /// The squared distance, as computed: nothing is subtracted.
    #[getter]
    fn squared(&self) -> f64 {
        self.inner.squared
    }

    /// The distance, the root of squared.
    #[getter]
    fn distance(&self) -> f64 {
        self.inner.distance()
    }

    /// How the value stands to the distance: "exact", "lower", "upper" or "estimate".
    #[getter]
    fn kind(&self) -> &'static str {
        match self.inner.kind {
            w2::Kind::Exact => "exact",
            w2::Kind::Lower => "lower",
            w2::Kind::Upper => "upper",
            w2::Kind::Estimate => "estimate",
            _ => "other",
        }
    }

    /// Of which distribution: "population" or "empirical".
    #[getter]
    fn of(&self) -> &'static str {
        match self.inner.of {
            w2::Of::Population => "population",
            w2::Of::Empirical => "empirical",
            _ => "other",
        }
    }

    /// Of which law: "row", "matrix" or "matrix_given_h".
    #[getter]
    fn law(&self) -> &'static str {
        match self.inner.law {
            w2::Law::Row => "row",
            w2::Law::Matrix => "matrix",
            w2::Law::MatrixGivenH => "matrix_given_h",
            _ => "other",
        }
    }

    /// The expected excess of squared over the population's value, or None.
    #[getter]
    fn bias(&self) -> Option<f64> {
        self.inner.bias
    }

    /// The standard error from having finitely many samples, or None.
    #[getter]
    fn sampling_error(&self) -> Option<f64> {
        self.inner.sampling_error
    }

    /// The standard error from having finitely many random directions, or None.
    #[getter]
    fn projection_error(&self) -> Option<f64> {
        self.inner.projection_error
    }

    /// squared less its bias, where that is known; it may be negative.
    #[getter]
    fn debiased(&self) -> f64 {
        self.inner.debiased()
    }

    /// The standard error from samples and directions together, or None.
    #[getter]
    fn standard_error(&self) -> Option<f64> {
        self.inner.standard_error()
    }

    /// Returns an interval (low, high) that contains the population's value with probability level.
    #[pyo3(signature = (level = 0.95))]
    fn confidence_interval(&self, level: f64) -> Result<(f64, f64)> {
        Ok(ends(self.inner.confidence_interval(level)?))
    }

    fn __repr__(&self) -> String {
        let number = |value: Option<f64>| value.map_or("None".to_owned(), |x| format!("{x:.4e}"));
        format!(
            "W2(squared={:.4e}, kind='{}', bias={}, standard_error={})",
            self.inner.squared,
            self.kind(),
            number(self.inner.bias),
            number(self.inner.standard_error())
        )
    }
}

fn ends(interval: statistics::Interval) -> (f64, f64) {
    (interval.low, interval.high)
}

/// A Gaussian law on vectors of n numbers, possibly singular.
#[pyclass(frozen, module = "orthogap")]
pub struct Gaussian {
    inner: w2::Gaussian,
}

#[pymethods]
impl Gaussian {
    /// Returns N(0, deviation^2 I) in so many dimensions.
    #[staticmethod]
    #[pyo3(signature = (dimension, deviation = 1.0))]
    fn isotropic(dimension: usize, deviation: f64) -> Result<Self> {
        Ok(Self { inner: w2::Gaussian::isotropic(dimension, deviation)? })
    }

    /// Returns the law of independent coordinates with these variances.
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

/// A squared distance between its certified bounds, each on the distance of the population.
#[pyclass(frozen, module = "orthogap")]
pub struct Bracket {
    inner: w2::Bracket,
}

/// Bounds by name.
fn named(bounds: &[(w2::Bound, w2::W2)]) -> Vec<(String, W2)> {
    bounds.iter().map(|(bound, w2)| (name(*bound), (*w2).into())).collect()
}

/// The name of a bound in the style of Python: "MaxSliced" is "max_sliced".
fn name(bound: w2::Bound) -> String {
    let mut name = String::new();
    for letter in format!("{bound:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

#[pymethods]
impl Bracket {
    /// The largest lower bound, and where it comes from.
    #[getter]
    fn lower(&self) -> (String, W2) {
        let (bound, w2) = self.inner.lower();
        (name(bound), w2.into())
    }

    /// The smallest upper bound, and where it comes from.
    #[getter]
    fn upper(&self) -> (String, W2) {
        let (bound, w2) = self.inner.upper();
        (name(bound), w2.into())
    }

    /// All lower bounds, with their names.
    #[getter]
    fn lower_bounds(&self) -> Vec<(String, W2)> {
        named(&self.inner.lower_bounds)
    }

    /// All upper bounds, with their names.
    #[getter]
    fn upper_bounds(&self) -> Vec<(String, W2)> {
        named(&self.inner.upper_bounds)
    }

    /// Returns an interval (low, high) that contains the squared distance with probability at least
    /// level (Bonferroni over all bounds).
    #[pyo3(signature = (level = 0.95))]
    fn confidence_interval(&self, level: f64) -> Result<(f64, f64)> {
        Ok(ends(self.inner.confidence_interval(level)?))
    }

    fn __repr__(&self) -> String {
        let ((below, low), (above, high)) = (self.inner.lower(), self.inner.upper());
        let (below, above) = (name(below), name(above));
        let (low, high) = (low.debiased(), high.debiased());
        format!("Bracket({low:.4e} by {below}, {high:.4e} by {above})")
    }
}

/// A squared distance on the line and its parts: squared = location + scale + shape.
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

    /// The part of the mean.
    #[getter]
    fn location(&self) -> f64 {
        self.inner.location
    }

    /// The part of the standard deviation.
    #[getter]
    fn scale(&self) -> f64 {
        self.inner.scale
    }

    /// How far the numbers are from every normal law.
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
/// Standard errors hold for independent samples. Rows of one W H share their H: take one of each run.
#[pyclass(frozen, module = "orthogap")]
pub struct Sample {
    inner: w2::Sample,
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
    /// directions: how many; kind: "orthogonal" (whole bases, at least so many directions), "random"
    /// or "low_discrepancy".
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
                    "no kind of directions is {kind:?}: there are orthogonal, random, low_discrepancy"
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

    /// Returns the probability that as many samples of the target look as far from it.
    ///
    /// statistic: "gelbrich", "along_axes" or "radial"; replicates: how many samples are simulated.
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
                    "no statistic is {statistic:?}: there are gelbrich, along_axes, radial"
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

/// Returns the squared Wasserstein-2 distance of N numbers, equally likely, to N(mean, deviation^2):
/// exact, in three parts.
#[pyfunction]
#[pyo3(signature = (numbers, mean = 0.0, deviation = 1.0))]
pub fn line_w2(py: Python<'_>, numbers: Numbers, mean: f64, deviation: f64) -> Result<LineW2> {
    let measure = || w2::normal_bins(numbers.0.len())?.w2(&numbers.0, mean, deviation);
    Ok(LineW2 { inner: py.detach(measure)? })
}

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

    /// Takes in the Gram matrix of one more run. Each run needs another replicate.
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

    /// Draws a row from the Gram matrix that a run came to. Each run needs another replicate.
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

/// The columns of a batch, for functions that take representations.
pub fn owned_columns(x: &Batch<'_>) -> Result<orthogap::nalgebra::DMatrix<f64>> {
    each!(x, array => {
        let (slice, shape) = parts(array)?;
        Ok(columns(slice, shape).map(f64::from))
    })
}
