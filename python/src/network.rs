//! The recipe of a random network.

use numpy::{PyArray1, PyArrayDescr, PyArrayDescrMethods, dtype};
use orthogap::{Activation, Engine, Order, Residual, Seed};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use serde::Serialize;

use crate::arrays::numbers;
use crate::batches::Start;
use crate::chain::{AnyChain, Chain, ExplicitChain};
use crate::ensemble;
use crate::error::{Result, of_batch, refuse};
use crate::gradients::{AnyGradients, Gradients, TangentKernel, top};
use crate::names::{ORDERS, order_named, weights_named};
use crate::operators::{Normalization, NormalizationLike};

/// A network in either arithmetic.
#[derive(Clone, PartialEq)]
pub enum AnyNetwork {
    Single(orthogap::Network<f32>),
    Double(orthogap::Network<f64>),
}

/// Runs an expression on a network, in its own arithmetic.
macro_rules! on {
    ($any:ident, $network:expr, $inner:ident => $body:expr) => {
        match $network {
            $any::Single($inner) => $body,
            $any::Double($inner) => $body,
        }
    };
}
pub(crate) use on;

/// Runs an expression on a network and gives its result the same arithmetic.
macro_rules! map {
    ($from:ident, $network:expr, $inner:ident => $to:ident, $body:expr) => {
        match $network {
            $from::Single($inner) => $to::Single($body),
            $from::Double($inner) => $to::Double($body),
        }
    };
}
pub(crate) use map;

/// A name or several.
#[derive(FromPyObject)]
pub enum Names {
    One(String),
    Many(Vec<String>),
}

/// A random network: the recipe of its layers, which all have the same law.
///
/// width: the number d of neurons of a layer.
/// activation: "linear", "relu", "leaky_relu", "leaky_relu(0.2)", "tanh", "shifted_tanh", "logistic",
///     "silu", "erf", "gelu", "elu" or "sin".
/// normalization: "batch_norm" (the paper's: features of norm one over the batch, not centred, no
///     epsilon), "standard_batch_norm", "layer_norm", "rms_norm" (epsilon 1e-5 each), "mean_only" (centred,
///     not rescaled), "none" or None, or a Normalization.
/// weights: "gaussian" (variance 1/m for m inputs), "he", "xavier", "uniform_he", "uniform_xavier",
///     "haar" or "spherical"; gain multiplies them.
/// order: "linear_norm_activation", "activation_linear_norm" or "norm_activation_linear".
/// residual: the weight of the branch of a residual connection, or None; with post_norm the
///     normalisation comes after the sum.
/// dtype: the arithmetic of rows, float64 or float32. Metrics are float64.
///
/// >>> network = Network(512, activation="relu")
/// >>> chain = network.chain(gaussian_batch(4, 20), seed=7)
/// >>> gaps = [layer.orthogonality_gap for layer in itertools.islice(chain, 50)]
#[pyclass(frozen, eq, module = "orthogap")]
#[derive(PartialEq)]
pub struct Network {
    pub network: AnyNetwork,
}

#[pymethods]
impl Network {
    #[new]
    #[pyo3(signature = (
        width,
        *,
        activation = "linear",
        normalization = Some(NormalizationLike::Name("batch_norm".to_owned())),
        weights = "gaussian",
        gain = 1.0,
        order = "linear_norm_activation",
        residual = None,
        post_norm = false,
        dtype = None
    ), text_signature = "(width, *, activation='linear', normalization='batch_norm', weights='gaussian', \
        gain=1.0, order='linear_norm_activation', residual=None, post_norm=False, dtype='float64')")]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        width: usize,
        activation: &str,
        normalization: Option<NormalizationLike>,
        weights: &str,
        gain: f64,
        order: &str,
        residual: Option<f64>,
        post_norm: bool,
        dtype: Option<Bound<'_, PyAny>>,
    ) -> Result<Self> {
        let activation: Activation = activation.parse()?;
        let normalization = normalization.unwrap_or(NormalizationLike::Name("none".to_owned()));
        let mut network = orthogap::Network::<f64>::new(width)
            .with_activation(activation)
            .with_normalization(normalization.recipe()?)
            .with_weights(weights_named(weights, gain)?)
            .with_order(order_named(order)?);
        match residual {
            Some(weight) => {
                let residual = Residual::new(weight)?;
                let residual = if post_norm { residual.with_post_norm() } else { residual };
                network = network.with_residual(residual);
            }
            None if post_norm => return Err(refuse("post_norm needs a residual connection")),
            None => {}
        }
        let single = match dtype {
            None => false,
            Some(dtype) => is_single(&dtype)?,
        };
        // A recipe in JSON has no arithmetic.
        if single {
            Self::read(&json(&network), true)
        } else {
            Ok(Self { network: AnyNetwork::Double(network) })
        }
    }

    /// Reads a network from its JSON, which Rust also writes.
    #[staticmethod]
    #[pyo3(signature = (text, /, *, dtype = None), text_signature = "(text, /, *, dtype='float64')")]
    fn from_json(text: &str, dtype: Option<Bound<'_, PyAny>>) -> Result<Self> {
        let single = match dtype {
            None => false,
            Some(dtype) => is_single(&dtype)?,
        };
        Self::read(text, single)
    }

    /// Returns the network as JSON, as Rust writes it. It does not have the dtype.
    fn to_json(&self) -> String {
        on!(AnyNetwork, &self.network, network => json(network))
    }

    /// The number of neurons of a layer.
    #[getter]
    fn width(&self) -> usize {
        on!(AnyNetwork, &self.network, network => network.width())
    }

    /// The name of the activation.
    #[getter]
    fn activation(&self) -> String {
        on!(AnyNetwork, &self.network, network => network.activation().to_string())
    }

    /// The normalisation.
    #[getter]
    fn normalization(&self) -> Normalization {
        Normalization { recipe: on!(AnyNetwork, &self.network, network => network.normalization()) }
    }

    /// The order of linear map, normalisation and activation.
    #[getter]
    fn order(&self) -> &'static str {
        match on!(AnyNetwork, &self.network, network => network.order()) {
            Order::LinearNormActivation => ORDERS[0].0,
            Order::ActivationLinearNorm => ORDERS[1].0,
            Order::NormActivationLinear => ORDERS[2].0,
        }
    }

    /// The weight of the branch of the residual connection, or None.
    #[getter]
    fn residual(&self) -> Result<Option<f64>> {
        let residual = on!(AnyNetwork, &self.network, network => network.residual());
        Ok(residual.map(|residual| residual.weight(1)).transpose()?)
    }

    /// The engine of chains: "streamed", "materialized" or "explicit". All have the same law.
    #[getter]
    fn engine(&self) -> &'static str {
        match on!(AnyNetwork, &self.network, network => network.engine()) {
            Engine::Streamed => "streamed",
            Engine::Materialized => "materialized",
            Engine::Explicit => "explicit",
            _ => "other",
        }
    }

    /// The arithmetic of rows.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> Bound<'py, PyArrayDescr> {
        match self.network {
            AnyNetwork::Single(_) => dtype::<f32>(py),
            AnyNetwork::Double(_) => dtype::<f64>(py),
        }
    }

    /// Returns the chain of layers of a batch: an iterator that does not end.
    ///
    /// x is (n, d), its rows are samples, in general position; a Gram matrix takes dependent ones.
    /// Equal seeds and replicates give equal bits, those of Rust, on any number of threads.
    #[pyo3(signature = (x, *, seed = 0, replicate = 0))]
    fn chain(&self, py: Python<'_>, x: Start<'_>, seed: u64, replicate: u32) -> Result<Chain> {
        let (input, run) = (x.input(py)?, Seed(seed).replicate(replicate));
        Ok(map!(AnyNetwork, &self.network, network => AnyChain, {
            py.detach(|| network.chain(&input, run)).map_err(of_batch)?
        })
        .into())
    }

    /// Returns the chain of layers with weights drawn: layers have representations (n, d) and, with
    /// weights=True, the weights (out, in) that led to them.
    ///
    /// It has the law of chain, but other random numbers, and d/n times its cost.
    #[pyo3(signature = (x, *, seed = 0, replicate = 0, weights = false))]
    fn explicit_chain(
        &self,
        py: Python<'_>,
        x: Start<'_>,
        seed: u64,
        replicate: u32,
        weights: bool,
    ) -> Result<ExplicitChain> {
        let (input, run) = (x.input(py)?, Seed(seed).replicate(replicate));
        ExplicitChain::new(py, &self.network, &input, run, weights)
    }

    /// Repeats the chain and returns an Ensemble: a dict of arrays (runs, layers).
    ///
    /// observe: one or more names: of metrics, "rank", "log_scale", or cosines, "cosine(0, 1)".
    /// at: the layers to observe, 0 is the input; all up to depth if None.
    /// progress: whether to show a bar if tqdm is installed and the runs take more than a second.
    ///
    /// Runs use all threads (RAYON_NUM_THREADS). Run k has the bits of chain(..., replicate=k). A
    /// run that fails has NaN at the layers that it did not reach. An observable that is not
    /// finite, such as the condition number after a loss of rank, ends its run: from that layer on
    /// all observables are NaN, and statistics leave the run out.
    #[pyo3(signature = (
        x,
        depth,
        runs,
        *,
        observe = Names::One("orthogonality_gap".to_owned()),
        at = None,
        seed = 0,
        progress = true
    ), text_signature = "(self, x, depth, runs, *, observe='orthogonality_gap', at=None, seed=0, \
        progress=True)")]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn run<'py>(
        &self,
        py: Python<'py>,
        x: Start<'_>,
        depth: usize,
        runs: u32,
        observe: Names,
        at: Option<Vec<usize>>,
        seed: u64,
        progress: bool,
    ) -> Result<Bound<'py, PyAny>> {
        let input = x.input(py)?;
        let observe = match observe {
            Names::One(name) => vec![name],
            Names::Many(names) => names,
        };
        let at = at.unwrap_or_else(|| (0..=depth).collect());
        if let Some(layer) = at.iter().find(|&&layer| layer > depth) {
            return Err(refuse(format!("layer {layer} is beyond the depth, {depth}")));
        }
        let plan = ensemble::Plan { observe, at, seed: Seed(seed), runs, progress };
        on!(AnyNetwork, &self.network, network => ensemble::run(py, network, &input, plan))
    }

    /// Returns the reverse pass of a loss: an iterator from the output, layer depth, to the input, 0.
    ///
    /// top: "random_direction" (a loss linear in the output), "representation" (half its squared
    /// norm) or "read_out" (a random linear read-out that all samples share).
    #[pyo3(signature = (x, depth, *, top = "random_direction", seed = 0, replicate = 0))]
    fn gradients(
        &self,
        py: Python<'_>,
        x: Start<'_>,
        depth: usize,
        top: &str,
        seed: u64,
        replicate: u32,
    ) -> Result<Gradients> {
        let (input, run) = (x.input(py)?, Seed(seed).replicate(replicate));
        let top = self::top(top)?;
        Ok(map!(AnyNetwork, &self.network, network => AnyGradients, {
            py.detach(|| network.gradients(&input, run, depth, top)).map_err(of_batch)?
        })
        .into())
    }

    /// Returns the natural logarithms of the norms of gradients: an array with respect to the
    /// representations of layers 0 to depth, and one with respect to the weights of layers 1 to
    /// depth.
    #[pyo3(signature = (x, depth, *, seed = 0, replicate = 0))]
    #[expect(clippy::type_complexity, reason = "a pair of arrays")]
    fn gradient_norms<'py>(
        &self,
        py: Python<'py>,
        x: Start<'_>,
        depth: usize,
        seed: u64,
        replicate: u32,
    ) -> Result<(Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>)> {
        let (input, run) = (x.input(py)?, Seed(seed).replicate(replicate));
        let norms = on!(AnyNetwork, &self.network, network => {
            py.detach(|| network.gradient_norms(&input, run, depth)).map_err(of_batch)?
        });
        Ok((numbers(py, norms.representations()), numbers(py, norms.weights())))
    }

    /// Returns the neural tangent kernel of a network of depth layers with a linear read-out.
    ///
    /// Raises Error under batch normalisation, where an output depends on all samples.
    #[pyo3(signature = (x, depth, *, seed = 0, replicate = 0))]
    fn tangent_kernel(
        &self,
        py: Python<'_>,
        x: Start<'_>,
        depth: usize,
        seed: u64,
        replicate: u32,
    ) -> Result<TangentKernel> {
        let (input, run) = (x.input(py)?, Seed(seed).replicate(replicate));
        on!(AnyNetwork, &self.network, network => {
            let kernel = py.detach(|| network.tangent_kernel(&input, run, depth));
            Ok(kernel.map_err(of_batch)?.into())
        })
    }

    fn __repr__(&self) -> String {
        let dtype = match self.network {
            AnyNetwork::Single(_) => "float32",
            AnyNetwork::Double(_) => "float64",
        };
        format!("Network.from_json('{}', dtype='{dtype}')", self.to_json())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (String, bool))> {
        let single = matches!(self.network, AnyNetwork::Single(_));
        Ok((py.get_type::<Self>().getattr("_read")?, (self.to_json(), single)))
    }

    #[staticmethod]
    #[pyo3(name = "_read")]
    fn read(text: &str, single: bool) -> Result<Self> {
        let unreadable = |error: serde_json::Error| refuse(error.to_string());
        Ok(Self {
            network: if single {
                AnyNetwork::Single(serde_json::from_str(text).map_err(unreadable)?)
            } else {
                AnyNetwork::Double(serde_json::from_str(text).map_err(unreadable)?)
            },
        })
    }
}

fn json<T: orthogap::Scalar>(network: &orthogap::Network<T>) -> String
where
    orthogap::Network<T>: Serialize,
{
    serde_json::to_string(network).expect("a recipe of numbers and names")
}

/// Whether a dtype is float32, where float64 is the other one.
fn is_single(dtype: &Bound<'_, PyAny>) -> Result<bool> {
    let py = dtype.py();
    let found = PyArrayDescr::new(py, dtype)?;
    if found.is_equiv_to(&numpy::dtype::<f32>(py)) {
        Ok(true)
    } else if found.is_equiv_to(&numpy::dtype::<f64>(py)) {
        Ok(false)
    } else {
        Err(PyTypeError::new_err(format!("unknown arithmetic {found}: expected float32, float64"))
            .into())
    }
}
