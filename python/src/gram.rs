//! Gram matrices and layers, with every metric.

use std::sync::OnceLock;

use numpy::{PyArray1, PyArray2};
use orthogap::metric::Spectrum;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Batch, columns, each, numbers, parts, transposed, upright};
use crate::error::{Result, of_batch};
use crate::wasserstein::W2;

/// The metrics, each with its method of a Gram matrix or of the spectrum that all spectral ones share.
macro_rules! metrics {
    ($($name:ident, $of:ident, $summary:literal;)*) => {
        /// The names of the metrics.
        pub const METRICS: &[&str] = &[$(stringify!($name)),*];

        /// A metric by its name.
        pub fn metric(name: &str) -> Option<Metric> {
            match name {
                $(stringify!($name) => Some(metrics!(@$of $name)),)*
                _ => None,
            }
        }

        $(
            #[doc = $summary]
            ///
            /// x is (n, d), its rows are samples; float32 or float64. Raises Error if it is empty, zero or
            /// not finite.
            #[pyfunction]
            #[pyo3(signature = (x, /))]
            fn $name(py: Python<'_>, x: Batch<'_>) -> Result<f64> {
                each!(&x, array => {
                    let (slice, shape) = parts(array)?;
                    py.detach(|| orthogap::metric::$name(&columns(slice, shape))).map_err(of_batch)
                })
            }
        )*

        /// Adds the functions of arrays to the module.
        pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
            $(module.add_function(wrap_pyfunction!($name, module)?)?;)*
            Ok(())
        }
    };
    (@gram $name:ident) => { |gram, _| gram.$name() };
    (@spectrum $name:ident) => { |gram, spectrum| spectrum.get_or_init(|| gram.spectrum()).$name() };
}

/// A metric of a Gram matrix, which computes the spectrum if it is not there yet.
pub type Metric = fn(&orthogap::Gram, &OnceLock<Spectrum>) -> f64;

metrics! {
    orthogonality_gap, gram,
        "Returns the orthogonality gap |C - I/n|, 0 to sqrt(1 - 1/n) (Eq. 2 of arXiv 2106.03970).";
    lyapunov, gram,
        "Returns the Lyapunov function 1/n - lambda_n, with the smallest eigenvalue of C (Eq. 11 of arXiv 2106.03970).";
    isometry_gap, gram,
        "Returns the isometry gap: the logarithm of arithmetic over geometric mean of the eigenvalues (Meterez et al., ICLR 2024).";
    min_singular_value, spectrum,
        "Returns the smallest singular value of H/|H|, at most 1/sqrt(n).";
    condition_number, spectrum,
        "Returns the condition number of H, infinite if the rank is deficient.";
    stable_rank, spectrum,
        "Returns the stable rank 1/lambda_1 of C, 1 to n.";
    participation_ratio, spectrum,
        "Returns the participation ratio 1/sum(lambda**2), 1 to n.";
    effective_rank, spectrum,
        "Returns the effective rank exp(-sum(lambda log lambda)), 1 to n (Roy and Vetterli 2007).";
    coupling_bound, spectrum,
        "Returns the coupling bound sum((sigma - 1/sqrt(n))**2) on a squared Wasserstein-2 distance (Lemma 2 of arXiv 2106.03970).";
}

/// The Gram matrix C = H^T H / |H|^2 of a batch, (n, n) with trace one, and its metrics.
///
/// Held as a factor R with R^T R = C, so that singular values far below 1e-8 keep their digits.
/// Metrics of the spectrum share one decomposition.
///
/// x is (n, d), its rows are samples; float32 or float64 in C order is read in place.
/// Raises Error if x is empty, zero or not finite. Samples may be dependent or zero.
///
/// >>> Gram([[3.0, 4.0, 0.0], [0.0, 0.0, 10.0]]).condition_number
/// 2.0
#[pyclass(frozen, subclass, module = "orthogap")]
pub struct Gram {
    pub gram: orthogap::Gram,
    spectrum: OnceLock<Spectrum>,
}

impl From<orthogap::Gram> for Gram {
    fn from(gram: orthogap::Gram) -> Self {
        Self { gram, spectrum: OnceLock::new() }
    }
}

impl Gram {
    fn spectrum(&self) -> &Spectrum {
        self.spectrum.get_or_init(|| self.gram.spectrum())
    }
}

#[pymethods]
impl Gram {
    #[new]
    #[pyo3(signature = (x, /))]
    fn new(py: Python<'_>, x: Batch<'_>) -> Result<Self> {
        let gram = each!(&x, array => {
            let (slice, shape) = parts(array)?;
            py.detach(|| orthogap::Gram::from_columns(&columns(slice, shape))).map_err(of_batch)
        })?;
        Ok(gram.into())
    }

    /// Returns the Gram matrix R^T R of a factor (r, n), scaled to trace one.
    #[staticmethod]
    #[pyo3(signature = (factor, /))]
    fn from_factor(factor: Batch<'_>) -> Result<Self> {
        // In memory, a factor (r, n) is the transposed one.
        let factor = each!(&factor, array => {
            let (slice, shape) = parts(array)?;
            columns(slice, shape).transpose().map(f64::from)
        });
        Ok(orthogap::Gram::from_factor(factor)?.into())
    }

    /// The number n of samples.
    #[getter]
    fn batch_size(&self) -> usize {
        self.gram.batch_size()
    }

    /// The numerical rank.
    #[getter]
    fn rank(&self) -> usize {
        self.gram.rank()
    }

    /// The matrix C itself, (n, n).
    #[getter]
    fn matrix<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f64>> {
        transposed(py, self.gram.matrix()) // it is symmetric
    }

    /// The factor R, (r, n): unique up to a rotation from the left.
    #[getter]
    fn factor<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f64>> {
        upright(py, self.gram.factor())
    }

    /// The n singular values of H/|H|, in descending order: their squares add up to one.
    #[getter]
    fn singular_values<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        numbers(py, self.spectrum().singular_values().as_slice())
    }

    /// The orthogonality gap |C - I/n|, 0 to sqrt(1 - 1/n) (Eq. 2 of arXiv 2106.03970).
    #[getter]
    fn orthogonality_gap(&self) -> f64 {
        self.gram.orthogonality_gap()
    }

    /// The Lyapunov function 1/n - lambda_n, with the smallest eigenvalue of C (Eq. 11 of arXiv
    /// 2106.03970).
    #[getter]
    fn lyapunov(&self) -> f64 {
        self.gram.lyapunov()
    }

    /// The isometry gap: the logarithm of arithmetic over geometric mean of the eigenvalues (Meterez et
    /// al., ICLR 2024).
    #[getter]
    fn isometry_gap(&self) -> f64 {
        self.gram.isometry_gap()
    }

    /// The smallest singular value of H/|H|, at most 1/sqrt(n).
    #[getter]
    fn min_singular_value(&self) -> f64 {
        self.spectrum().min_singular_value()
    }

    /// The condition number of H, infinite if the rank is deficient.
    #[getter]
    fn condition_number(&self) -> f64 {
        self.spectrum().condition_number()
    }

    /// The stable rank 1/lambda_1 of C, 1 to n.
    #[getter]
    fn stable_rank(&self) -> f64 {
        self.spectrum().stable_rank()
    }

    /// The participation ratio 1/sum(lambda**2), 1 to n.
    #[getter]
    fn participation_ratio(&self) -> f64 {
        self.spectrum().participation_ratio()
    }

    /// The effective rank exp(-sum(lambda log lambda)), 1 to n (Roy and Vetterli 2007).
    #[getter]
    fn effective_rank(&self) -> f64 {
        self.spectrum().effective_rank()
    }

    /// The coupling bound sum((sigma - 1/sqrt(n))**2) on a squared Wasserstein-2 distance (Lemma 2 of
    /// arXiv 2106.03970).
    #[getter]
    fn coupling_bound(&self) -> f64 {
        self.spectrum().coupling_bound()
    }

    /// Returns all metrics by name.
    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let metrics = PyDict::new(py);
        for &name in METRICS {
            metrics.set_item(name, metric(name).map(|of| of(&self.gram, &self.spectrum)))?;
        }
        Ok(metrics)
    }

    /// The lengths of the part of each sample that is orthogonal to those before it.
    #[getter]
    fn orthogonal_lengths<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        numbers(py, self.gram.orthogonal_lengths())
    }

    /// Returns the cosine of the angle between samples i and j.
    fn cosine(&self, i: usize, j: usize) -> Result<f64> {
        self.gram.cosine(i, j).map_err(of_batch)
    }

    /// Returns all cosines, (n, n). Raises Error if a sample is zero.
    fn cosines<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyArray2<f64>>> {
        Ok(transposed(py, self.gram.cosines().map_err(of_batch)?))
    }

    /// Returns the exact squared Wasserstein-2 distance between the laws of W H given H and of
    /// G/sqrt(n), all entries of W and G being N(0, 1/d): the coupling bound.
    fn w2(&self) -> W2 {
        self.gram.w2().into()
    }

    fn __repr__(&self) -> String {
        let (n, rank) = (self.gram.batch_size(), self.gram.rank());
        format!("Gram(batch_size={n}, rank={rank}, gap={:.4})", self.gram.orthogonality_gap())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| self.gram == other.get().gram)
    }

    fn __hash__(&self) -> u64 {
        self.gram.factor().iter().fold(0, |hash: u64, x| hash.rotate_left(5) ^ (x + 0.0).to_bits())
    }
}

/// A layer of a chain: a Gram matrix with its depth and its scale.
#[pyclass(frozen, extends = Gram, subclass, module = "orthogap")]
pub struct Layer {
    depth: usize,
    log_scale: f64,
    events: Vec<Event>,
}

impl Layer {
    /// The layer as an object of Python, and its base.
    pub fn initializer(layer: &orthogap::Layer) -> PyClassInitializer<Self> {
        PyClassInitializer::from(Gram::from(layer.gram().clone())).add_subclass(Self {
            depth: layer.depth(),
            log_scale: layer.log_scale(),
            events: events(layer.events()),
        })
    }
}

#[pymethods]
impl Layer {
    /// The number of layers above the input, which is layer 0.
    #[getter]
    fn depth(&self) -> usize {
        self.depth
    }

    /// The natural logarithm of the root mean square entry of H.
    #[getter]
    fn log_scale(&self) -> f64 {
        self.log_scale
    }

    /// The irreversible events at this layer: samples that died, ranks that fell.
    #[getter]
    fn events(&self) -> Vec<Event> {
        self.events.clone()
    }

    fn __repr__(this: PyRef<'_, Self>) -> String {
        let gram = &this.as_super().gram;
        let (depth, n) = (this.depth, gram.batch_size());
        format!("Layer(depth={depth}, batch_size={n}, gap={:.4})", gram.orthogonality_gap())
    }
}

/// An irreversible event of a chain.
///
/// Its text has the event and the layer.
#[pyclass(frozen, eq, module = "orthogap")]
#[derive(Clone, PartialEq)]
pub struct Event {
    /// The kind of event: "dead_samples" or "rank_loss".
    #[pyo3(get)]
    kind: &'static str,
    /// The layer.
    #[pyo3(get)]
    layer: usize,
    /// The samples that died, or None.
    #[pyo3(get)]
    samples: Option<Vec<usize>>,
    /// The rank that is left, or None.
    #[pyo3(get)]
    rank: Option<usize>,
    text: String,
}

#[pymethods]
impl Event {
    fn __repr__(&self) -> String {
        format!("Event({:?})", self.text)
    }

    fn __str__(&self) -> &str {
        &self.text
    }
}

/// Events as objects of Python.
pub fn events(events: &[orthogap::Event]) -> Vec<Event> {
    let event = |event: &orthogap::Event| {
        let (kind, samples, rank) = match event {
            orthogap::Event::DeadSamples { samples, .. } => {
                ("dead_samples", Some(samples.clone()), None)
            }
            orthogap::Event::RankLoss { rank, .. } => ("rank_loss", None, Some(*rank)),
            _ => ("other", None, None),
        };
        Event { kind, layer: event.layer(), samples, rank, text: event.to_string() }
    };
    events.iter().map(event).collect()
}

/// Returns the singular values of H/|H| in descending order; their squares add up to one.
///
/// x is (n, d), its rows are samples; float32 or float64.
#[pyfunction]
#[pyo3(signature = (x, /))]
pub fn spectrum<'py>(py: Python<'py>, x: Batch<'_>) -> Result<Bound<'py, PyArray1<f64>>> {
    let values = each!(&x, array => {
        let (slice, shape) = parts(array)?;
        py.detach(|| Ok(orthogap::Gram::from_columns(&columns(slice, shape))?.singular_values()))
    });
    Ok(numbers(py, values.map_err(of_batch)?.as_slice()))
}

/// Returns sqrt(1/r - 1/n), the smallest orthogonality gap of n samples of rank r.
#[pyfunction]
pub fn gap_floor(rank: usize, batch_size: usize) -> Result<f64> {
    Ok(orthogap::metric::gap_floor(rank, batch_size)?)
}
