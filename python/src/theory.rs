//! The laws behind the simulations: the module orthogap.theory.

use numpy::{PyArray1, PyArray2};
use orthogap::theory as laws;
use orthogap::theory::bounds::{self, A1, Version, Width};
use orthogap::{Activation, Purpose, Seed};
use pyo3::prelude::*;

use crate::arrays::{Batch, Numbers, columns, each, numbers, parts, transposed};
use crate::error::{Result, refuse};
use crate::gram::Gram;

/// Functions of a batch size and a width, or of a batch size, that cannot fail.
macro_rules! functions {
    ($($(#[doc = $doc:literal])* $name:ident($($argument:ident),*) = $path:path;)*) => {
        $(
            $(#[doc = $doc])*
            #[pyfunction]
            fn $name($($argument: usize),*) -> f64 {
                $path($($argument),*)
            }
        )*

        fn register_functions(module: &Bound<'_, PyModule>) -> PyResult<()> {
            $(module.add_function(wrap_pyfunction!($name, module)?)?;)*
            Ok(())
        }
    };
}

functions! {
    /// Returns n/(n + 2), by which the gap of a wide network shrinks a layer near orthogonality.
    decay_rate(batch_size) = laws::stationary::decay_rate;
    /// Returns the number of layers in which the gap of a wide network shrinks by a factor of e.
    relaxation_time(batch_size) = laws::stationary::relaxation_time;
    /// Returns the stationary mean square of the orthogonality gap, about n/(4d).
    mean_squared_gap(batch_size, width) = laws::stationary::mean_squared_gap;
    /// Returns the stationary mean of the orthogonality gap.
    mean_gap(batch_size, width) = laws::stationary::mean_gap;
    /// Returns the stationary mean of the Lyapunov function.
    mean_lyapunov(batch_size, width) = laws::stationary::mean_lyapunov;
    /// Returns the stationary mean of the coupling bound on the distance to a Gaussian.
    mean_coupling_bound(batch_size, width) = laws::stationary::mean_coupling_bound;
    /// Returns the limit of the squared Wasserstein-2 distance of W H to a Gaussian at large width.
    squared_distance(batch_size, width) = laws::wasserstein_law::squared_distance;
    /// Returns n^2/4, or n if that is larger: a rule of thumb for the width below which rank is
    /// lost.
    critical_width(batch_size) = laws::critical_width::predicted;
    /// Returns the mean growth of the logarithm of a nearly lost singular value at infinite width.
    critical_growth(batch_size) = laws::critical_width::growth_at_infinite_width;
}

/// Returns the mean growth a layer of the log squared norm of a gradient in a vanilla ReLU
/// network.
#[pyfunction]
fn rectified_log_growth(width: usize) -> Result<f64> {
    Ok(laws::backward::rectified_log_growth(width)?)
}

/// Returns (n - 1)/(2n), the share of a squared gradient norm that is left with Haar weights, n = d.
#[pyfunction]
fn haar_share(batch_size: usize) -> Result<f64> {
    Ok(laws::backward::haar_share(batch_size)?)
}

/// Returns (n - 1)/(n - 2), by which the mean squared norm of a gradient grows a layer in a linear
/// network under the paper's batch normalisation.
#[pyfunction]
fn squared_growth(batch_size: usize) -> Result<f64> {
    Ok(laws::backward::squared_growth(batch_size)?)
}

/// Returns (n - 2)/(n - 3), the same under centred batch normalisation (Yang et al. 2019).
#[pyfunction]
fn squared_growth_centred(batch_size: usize) -> Result<f64> {
    Ok(laws::backward::squared_growth_centred(batch_size)?)
}

/// Returns the factor by which the traceless part of the mean of G^T G grows a layer.
#[pyfunction]
fn traceless_growth(batch_size: usize) -> Result<f64> {
    Ok(laws::backward::traceless_growth(batch_size)?)
}

/// Returns the top Lyapunov exponents of a vanilla linear network with weights N(0, gain^2/d).
#[pyfunction]
#[pyo3(signature = (width, batch_size, gain = 1.0))]
fn lyapunov_exponents(
    py: Python<'_>,
    width: usize,
    batch_size: usize,
    gain: f64,
) -> Result<Bound<'_, PyArray1<f64>>> {
    Ok(numbers(py, laws::growth::lyapunov_exponents(width, batch_size, gain)?))
}

/// Returns the eigenvalues of the Gram matrix one layer deeper at infinite width, in the same order.
#[pyfunction]
#[pyo3(signature = (eigenvalues, /))]
fn mean_field_map(py: Python<'_>, eigenvalues: Numbers) -> Result<Bound<'_, PyArray1<f64>>> {
    Ok(numbers(py, laws::mean_field::map(&eigenvalues.0)?))
}

/// The deterministic chain of Gram matrices at infinite width: an iterator that does not end.
#[pyclass(module = "orthogap.theory")]
struct MeanFieldChain {
    chain: laws::mean_field::MeanFieldChain,
}

#[pymethods]
impl MeanFieldChain {
    #[new]
    #[pyo3(signature = (gram, /))]
    fn new(gram: &Bound<'_, Gram>) -> Result<Self> {
        Ok(Self { chain: laws::mean_field::MeanFieldChain::new(&gram.get().gram)? })
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&mut self, py: Python<'_>) -> Gram {
        py.detach(|| self.chain.step().gram().clone()).into()
    }
}

/// Returns the next Gram matrix at infinite width under the paper's batch normalisation and ReLU.
#[pyfunction]
fn mean_field_relu(py: Python<'_>, gram: &Bound<'_, Gram>) -> Result<Gram> {
    let gram = &gram.get().gram;
    Ok(py.detach(|| laws::mean_field_activation::relu(gram))?.into())
}

/// Returns the Gram matrix of N(W F(H)) at infinite width, given H, (n, d): the order of Appendix F.
#[pyfunction]
fn mean_field_product(py: Python<'_>, x: Batch<'_>, activation: &str) -> Result<Gram> {
    let activation: Activation = activation.parse()?;
    let h = each!(&x, array => {
        let (slice, shape) = parts(array)?;
        columns(slice, shape).map(f64::from)
    });
    let next = || laws::mean_field_activation::normalized_product(&h, &activation);
    Ok(py.detach(next).map_err(crate::error::of_batch)?.into())
}

/// Returns the next Gram matrix at infinite width for any activation after a normalisation of rows to
/// a length, and the standard errors of its entries: quasi-Monte Carlo.
#[pyfunction]
#[pyo3(signature = (gram, activation, *, row_norm = 1.0, points = 1 << 14, seed = 0))]
fn mean_field_quasi_monte_carlo<'py>(
    py: Python<'py>,
    gram: &Bound<'py, Gram>,
    activation: &str,
    row_norm: f64,
    points: usize,
    seed: u64,
) -> Result<(Gram, Bound<'py, PyArray2<f64>>)> {
    let (gram, activation): (_, Activation) = (&gram.get().gram, activation.parse()?);
    let next = || {
        laws::mean_field_activation::quasi_monte_carlo(
            gram,
            &activation,
            row_norm,
            points,
            Seed(seed),
        )
    };
    let found = py.detach(next)?;
    Ok((found.gram.into(), transposed(py, found.standard_error)))
}

/// The map of the cosine of two samples by one layer of an activation, at infinite width.
///
/// kinks: the points except zero where the activation is not smooth. residual: the weight r of a
/// skip connection. centered: whether the mean of the activation is subtracted.
///
/// >>> round(KernelMap("relu")(0.0), 6)
/// 0.31831
#[pyclass(frozen, module = "orthogap.theory")]
struct KernelMap {
    map: laws::kernel_map::KernelMap,
}

#[pymethods]
impl KernelMap {
    #[new]
    #[pyo3(signature = (activation, *, kinks = Vec::new(), residual = 0.0, centered = false))]
    fn new(activation: &str, kinks: Vec<f64>, residual: f64, centered: bool) -> Result<Self> {
        let activation: Activation = activation.parse()?;
        let mut map = laws::kernel_map::KernelMap::from_piecewise(&activation, kinks)?;
        if centered {
            map = map.centered()?;
        }
        Ok(Self { map: map.with_residual(residual)? })
    }

    /// Returns the cosine after a layer.
    fn __call__(&self, cosine: f64) -> Result<f64> {
        Ok(self.map.value(cosine)?)
    }

    /// Returns the derivative of the map.
    fn derivative(&self, cosine: f64) -> Result<f64> {
        Ok(self.map.derivative(cosine)?)
    }

    /// Returns the attracting fixed point and the rate of approach a layer, or None.
    fn fixed_point(&self) -> Result<Option<(f64, f64)>> {
        Ok(self.map.fixed_point()?.map(|point| (point.cosine, point.rate)))
    }

    /// Returns the cosines of so many layers, from the first on.
    fn layers<'py>(
        &self,
        py: Python<'py>,
        cosine: f64,
        count: usize,
    ) -> Result<Bound<'py, PyArray1<f64>>> {
        let cosines = py
            .detach(|| self.map.layers(cosine).take(count).collect::<orthogap::Result<Vec<_>>>())?;
        Ok(numbers(py, cosines))
    }

    /// Returns the share of the linear part in the part of the activation that is not constant.
    fn linear_share(&self) -> Result<f64> {
        Ok(self.map.linear_share()?)
    }
}

/// The stationary law of the singular values of a wide network.
#[pyclass(frozen, module = "orthogap.theory")]
struct SingularValueLaw {
    law: laws::stationary::SingularValueLaw,
}

#[pymethods]
impl SingularValueLaw {
    #[new]
    fn new(batch_size: usize, width: usize) -> Result<Self> {
        Ok(Self { law: laws::stationary::SingularValueLaw::new(batch_size, width)? })
    }

    /// The deviation s: singular values are 1/sqrt(n) + s times eigenvalues of a traceless GOE matrix.
    #[getter]
    fn scale(&self) -> f64 {
        self.law.scale()
    }

    /// The mean of the smallest singular value.
    #[getter]
    fn mean_smallest(&self) -> f64 {
        self.law.mean_smallest()
    }

    /// The mean of the largest singular value.
    #[getter]
    fn mean_largest(&self) -> f64 {
        self.law.mean_largest()
    }

    /// Returns the singular values of a layer, drawn, in descending order.
    #[pyo3(signature = (*, seed = 0, replicate = 0))]
    fn sample<'py>(&self, py: Python<'py>, seed: u64, replicate: u32) -> Bound<'py, PyArray1<f64>> {
        let stream = Seed(seed).replicate(replicate).stream(Purpose::User(0), 0, 0);
        numbers(py, self.law.sample(stream))
    }
}

/// An upper bound, and the trivial one.
#[pyclass(frozen, get_all, name = "Bound", module = "orthogap.theory")]
struct UpperBound {
    /// The bound of the claim.
    value: f64,
    /// The largest value that the quantity can have.
    trivial: f64,
    /// Whether the claim is vacuous: value >= trivial.
    vacuous: bool,
}

impl From<bounds::Bound> for UpperBound {
    fn from(bounds::Bound { value, trivial, vacuous, .. }: bounds::Bound) -> Self {
        Self { value, trivial, vacuous }
    }
}

#[pymethods]
impl UpperBound {
    fn __repr__(&self) -> String {
        let vacuous = if self.vacuous { "True" } else { "False" };
        format!("Bound(value={}, trivial={}, vacuous={vacuous})", self.value, self.trivial)
    }
}

fn version_named(name: &str) -> Result<Version> {
    match name {
        "printed" => Ok(Version::Printed),
        "repaired" => Ok(Version::Repaired),
        "sharp" => Ok(Version::Sharp),
        _ => Err(refuse(format!("unknown version {name:?}: expected printed, repaired, sharp"))),
    }
}

/// A width, infinite if None.
fn width_of(batch_size: usize, width: Option<f64>) -> Result<Width> {
    match width {
        None => Ok(Width::INFINITE),
        Some(width) => Ok(Width::of(batch_size, width)?),
    }
}

/// Returns Theorem 1: a bound on the mean gap after layers on which all singular values are at least
/// alpha. width is infinite if None; version is "printed", "repaired" or "sharp".
#[pyfunction]
#[pyo3(signature = (batch_size, alpha, layers, width = None, *, version = "printed"))]
fn theorem_1(
    batch_size: usize,
    alpha: f64,
    layers: u32,
    width: Option<f64>,
    version: &str,
) -> Result<UpperBound> {
    let (a1, width) = (A1::new(batch_size, alpha, layers)?, width_of(batch_size, width)?);
    Ok(bounds::theorem_1(version_named(version)?, a1, width).into())
}

/// Returns Corollary 3: a bound on the squared Wasserstein-2 distance to a Gaussian after Theorem 1.
#[pyfunction]
#[pyo3(signature = (batch_size, alpha, layers, width = None, *, version = "printed"))]
fn corollary_3(
    batch_size: usize,
    alpha: f64,
    layers: u32,
    width: Option<f64>,
    version: &str,
) -> Result<UpperBound> {
    let (a1, width) = (A1::new(batch_size, alpha, layers)?, width_of(batch_size, width)?);
    Ok(bounds::corollary_3(version_named(version)?, a1, width).into())
}

/// Returns Lemma 2: a bound 2 n E V on the squared Wasserstein-2 distance by the mean gap.
#[pyfunction]
fn lemma_2(batch_size: usize, mean_gap: f64) -> Result<UpperBound> {
    Ok(bounds::lemma_2(batch_size, mean_gap)?.into())
}

/// Returns Lemma 4: a bound on the gap by the Lyapunov function.
#[pyfunction]
#[pyo3(signature = (batch_size, lyapunov, *, version = "printed"))]
fn lemma_4(batch_size: usize, lyapunov: f64, version: &str) -> Result<UpperBound> {
    Ok(bounds::lemma_4(version_named(version)?, batch_size, lyapunov)?.into())
}

/// Returns Theorem 5: a bound on the mean of the next layer's Lyapunov function by this one's.
#[pyfunction]
#[pyo3(signature = (batch_size, lyapunov, width = None, *, version = "printed"))]
fn theorem_5(
    batch_size: usize,
    lyapunov: f64,
    width: Option<f64>,
    version: &str,
) -> Result<UpperBound> {
    let width = width_of(batch_size, width)?;
    Ok(bounds::theorem_5(version_named(version)?, batch_size, lyapunov, width)?.into())
}

/// Estimates the width below which rank is lost, from so many layers at each width that is tried.
///
/// Returns the smallest whole width above the crossing, the crossing, and its standard error.
#[pyfunction]
#[pyo3(signature = (batch_size, layers, *, seed = 0))]
fn estimate_critical_width(
    py: Python<'_>,
    batch_size: usize,
    layers: usize,
    seed: u64,
) -> Result<(usize, f64, f64)> {
    use orthogap::experiment::critical_width::estimate;
    let found = py.detach(|| estimate(batch_size, layers, Seed(seed)))?;
    Ok((found.width, found.crossing, found.standard_error))
}

/// Makes the module.
pub fn module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    let module = PyModule::new(py, "orthogap._orthogap.theory")?;
    register_functions(&module)?;
    macro_rules! functions {
        ($($name:ident),*) => { $(module.add_function(wrap_pyfunction!($name, &module)?)?;)* };
    }
    functions!(squared_growth, squared_growth_centred, traceless_growth, lyapunov_exponents);
    functions!(rectified_log_growth, haar_share);
    functions!(mean_field_map, mean_field_relu, mean_field_product, mean_field_quasi_monte_carlo);
    functions!(theorem_1, corollary_3, lemma_2, lemma_4, theorem_5, estimate_critical_width);
    module.add_class::<MeanFieldChain>()?;
    module.add_class::<KernelMap>()?;
    module.add_class::<SingularValueLaw>()?;
    module.add_class::<UpperBound>()?;
    module.add("RECTIFIED_SQUARED_GROWTH", laws::backward::RECTIFIED_SQUARED_GROWTH)?;
    Ok(module)
}
