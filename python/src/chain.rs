//! Chains of layers, as iterators.

use orthogap::{Input, Replicate};
use pyo3::prelude::*;

use crate::arrays::{transposed, upright};
use crate::error::{Failure, Result, of_batch};
use crate::gram::{Event, Layer, events};
use crate::interrupt::Signals;
use crate::network::{AnyNetwork, map, on};

/// A chain in either arithmetic.
#[derive(Clone)]
pub enum AnyChain {
    Single(orthogap::Chain<f32>),
    Double(orthogap::Chain<f64>),
}

/// The layers of a batch in a random network: an iterator that does not end.
///
/// Created by Network.chain. It yields layer 1 first; the input is `layer` before that. After an
/// Error it stays at the last good layer. Ctrl-C interrupts a wide layer, and the chain stays
/// before it.
#[pyclass(module = "orthogap")]
pub struct Chain {
    chain: AnyChain,
}

impl From<AnyChain> for Chain {
    fn from(chain: AnyChain) -> Self {
        Self { chain }
    }
}

impl Chain {
    fn step(&mut self, py: Python<'_>, layers: usize) -> Result<()> {
        on!(AnyChain, &mut self.chain, chain => py.detach(|| {
            let mut signals = Signals::new();
            for _ in 0..layers {
                signals.check()?;
                if let Err(error) = chain.step_while(|_| signals.proceed()) {
                    return Err(signals.reason(of_batch(error)));
                }
            }
            Ok(())
        }))
    }
}

#[pymethods]
impl Chain {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&mut self, py: Python<'_>) -> Result<Py<Layer>> {
        self.step(py, 1)?;
        self.layer(py)
    }

    /// Draws so many more layers, and returns the last one.
    fn advance(&mut self, py: Python<'_>, layers: usize) -> Result<Py<Layer>> {
        self.step(py, layers)?;
        self.layer(py)
    }

    /// The current layer: the input at first.
    #[getter]
    fn layer(&self, py: Python<'_>) -> Result<Py<Layer>> {
        let layer = on!(AnyChain, &self.chain, chain => Layer::initializer(chain.layer()));
        Ok(Py::new(py, layer)?)
    }

    /// All irreversible events so far.
    #[getter]
    fn events(&self) -> Vec<Event> {
        on!(AnyChain, &self.chain, chain => events(chain.events()))
    }

    fn __copy__(&self) -> Self {
        self.chain.clone().into()
    }

    fn __repr__(&self) -> String {
        let depth = on!(AnyChain, &self.chain, chain => chain.layer().depth());
        format!("Chain(depth={depth})")
    }
}

/// An explicit chain in either arithmetic.
enum AnyExplicitChain {
    Single(orthogap::ExplicitChain<f32>),
    Double(orthogap::ExplicitChain<f64>),
}

/// The layers of a batch with weights drawn: an iterator that does not end.
///
/// Created by Network.explicit_chain. Ctrl-C interrupts it between layers only.
#[pyclass(module = "orthogap")]
pub struct ExplicitChain {
    chain: AnyExplicitChain,
    weights: bool,
}

impl ExplicitChain {
    pub fn new(
        py: Python<'_>,
        network: &AnyNetwork,
        input: &Input,
        run: Replicate,
        weights: bool,
    ) -> Result<Self> {
        let chain = map!(AnyNetwork, network, network => AnyExplicitChain, {
            py.detach(|| network.explicit_chain(input, run)).map_err(of_batch)?
        });
        Ok(Self { chain, weights })
    }
}

#[pymethods]
impl ExplicitChain {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&mut self, py: Python<'_>) -> Result<Py<ExplicitLayer>> {
        let with_weights = self.weights;
        on!(AnyExplicitChain, &mut self.chain, chain => {
            let (layer, h, w) = py
                .detach(|| {
                    let layer = chain.step()?;
                    let h = layer.representation().clone();
                    let w = with_weights.then(|| layer.weights().clone());
                    Ok((layer.layer().clone(), h, w))
                })
                .map_err(of_batch)?;
            let explicit = ExplicitLayer {
                representation: transposed(py, h).into_any().unbind(),
                weights: w.map(|w| upright(py, &w).into_any().unbind()),
            };
            Py::new(py, Layer::initializer(&layer).add_subclass(explicit)).map_err(Failure::from)
        })
    }

    /// The current layer: the input at first.
    #[getter]
    fn layer(&self, py: Python<'_>) -> Result<Py<Layer>> {
        let layer = on!(AnyExplicitChain, &self.chain, chain => Layer::initializer(chain.layer()));
        Ok(Py::new(py, layer)?)
    }

    /// All irreversible events so far.
    #[getter]
    fn events(&self) -> Vec<Event> {
        on!(AnyExplicitChain, &self.chain, chain => events(chain.events()))
    }
}

/// A layer with its representation and, if asked for, the weights that led to it.
#[pyclass(frozen, extends = Layer, module = "orthogap")]
pub struct ExplicitLayer {
    representation: Py<PyAny>,
    weights: Option<Py<PyAny>>,
}

#[pymethods]
impl ExplicitLayer {
    /// The representation, (n, d), in the network's dtype. Without normalisation it is scaled to root
    /// mean square one; log_scale has the scale.
    #[getter]
    fn representation(&self, py: Python<'_>) -> Py<PyAny> {
        self.representation.clone_ref(py)
    }

    /// The weights that led to this layer, (out, in), or None.
    #[getter]
    fn weights(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.weights.as_ref().map(|weights| weights.clone_ref(py))
    }
}
