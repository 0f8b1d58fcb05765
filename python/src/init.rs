//! Initial weights of a network that will be trained.

use numpy::Element;
use orthogap::train::init::{InitialLayer, IterativeOrthogonalization, LayerwiseInit, Lsuv};
use orthogap::{Activation, Scalar, Seed};
use pyo3::prelude::*;

use crate::arrays::{Batch, columns, each, parts, upright};
use crate::error::{Result, of_batch, refuse};
use crate::interrupt::Signals;
use crate::names::weights_named;

/// Returns initial weights, layer by layer, that keep the rows of x as orthogonal as they can.
///
/// x: a batch (n, d) of the data; float32 or float64, which is also the type of the weights.
/// widths: the outputs of each layer.
/// activation: the name of the activation after each layer except the last.
/// method: "recommended", "printed" (Eq. 6 of arXiv 2106.03970), "authors" (their code), "lsuv", or a
///     law of weights that does not depend on x, such as "he" or "haar".
/// power: the power of the singular values, for the first three methods.
///
/// The result is a list of arrays (out, in) as torch.nn.Linear has them; layers have no biases:
///
///     linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
///     for layer, weights in zip(linear, orthogonal_init(x, [m.out_features for m in linear])):
///         layer.weight.data.copy_(torch.from_numpy(weights)); layer.bias.data.zero_()
#[pyfunction]
#[pyo3(signature = (x, widths, *, activation = "relu", method = "recommended", power = None, seed = 0))]
pub fn orthogonal_init<'py>(
    py: Python<'py>,
    x: Batch<'py>,
    widths: Vec<usize>,
    activation: &str,
    method: &str,
    power: Option<f64>,
    seed: u64,
) -> Result<Vec<Bound<'py, PyAny>>> {
    let activation: Activation = activation.parse()?;
    each!(&x, array => {
        let (slice, shape) = parts(array)?;
        let batch = columns(slice, shape).into_owned();
        let mut network = LayerwiseInit::new(batch, Seed(seed)).map_err(of_batch)?;
        let mut signals = Signals::new();
        for (layer, &width) in widths.iter().enumerate() {
            let last = layer + 1 == widths.len();
            let activation = if last { &Activation::Identity } else { &activation };
            py.detach(|| {
                signals.check()?;
                add(&mut network, method, power, width, activation)
            })?;
        }
        Ok(network.layers().iter().map(|layer| weights(py, layer)).collect())
    })
}

fn add<T: Scalar>(
    network: &mut LayerwiseInit<T>,
    method: &str,
    power: Option<f64>,
    width: usize,
    activation: &Activation,
) -> Result<()> {
    let iterative = match method {
        "recommended" => Some(IterativeOrthogonalization::recommended()),
        "printed" => Some(IterativeOrthogonalization::printed()),
        "authors" => Some(IterativeOrthogonalization::authors()),
        _ => None,
    };
    let done = match (iterative, power) {
        (Some(init), None) => network.dense(&init, width, activation),
        (Some(init), Some(power)) => network.dense(&init.with_power(power)?, width, activation),
        (None, Some(_)) => return Err(refuse(format!("the method {method:?} has no power"))),
        (None, None) if method == "lsuv" => network.dense(&Lsuv, width, activation),
        (None, None) => {
            let law = weights_named(method, 1.0).map_err(|_| unknown(method))?;
            network.dense(&law, width, activation)
        }
    };
    done.map(drop).map_err(of_batch)
}

fn unknown(method: &str) -> crate::error::Failure {
    refuse(format!(
        "unknown method {method:?}: expected recommended, printed, authors, lsuv, gaussian, he, \
         xavier, uniform_he, uniform_xavier, haar, spherical"
    ))
}

fn weights<'py, T: Scalar + Element>(
    py: Python<'py>,
    layer: &InitialLayer<T>,
) -> Bound<'py, PyAny> {
    upright(py, layer.weights()).into_any()
}
