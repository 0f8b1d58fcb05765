//! The chain with its weights drawn: lends `W` and `H`.

use nalgebra::DMatrix;

use super::{Layer, coordinate};
use crate::{Error, Gram, Input, Network, Purpose, Result, Run, Scalar};

/// A chain that draws its weight matrices, for whoever needs `W` or `H`.
///
/// Its layers have the same law as those of [`Chain`](crate::Chain), but other random numbers.
/// A singular value is accurate to epsilon times the norm of its column, as in any computation
/// that holds `H`.
///
/// ```
/// use approx::assert_relative_eq;
/// use orthogap::{Input, Network, Seed, normalization::BatchNorm};
///
/// let input = Input::gaussian(10, 4, Seed(1))?;
/// let mut chain = Network::<f64>::new(32).explicit_chain(&input, Seed(7))?;
/// let first = chain.step()?;
/// assert_eq!(first.weights().shape(), (32, 10));
/// let expected = BatchNorm::paper().normalize(&(first.weights() * input.columns()))?;
/// assert_relative_eq!(*first.representation(), expected, epsilon = 1e-14);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExplicitChain<T> {
    network: Network<T>,
    run: Run,
    layer: Layer,
    weights: DMatrix<T>,
    representation: DMatrix<T>,
    /// The representations are exp of this times what is held.
    log_unit: f64,
    failed: bool,
}

/// A layer of an [`ExplicitChain`], with what was drawn for it.
#[derive(Clone, Copy, Debug)]
pub struct ExplicitLayer<'a, T> {
    layer: &'a Layer,
    weights: &'a DMatrix<T>,
    representation: &'a DMatrix<T>,
}

impl<'a, T> ExplicitLayer<'a, T> {
    /// Its Gram matrix, depth and scale.
    #[must_use]
    pub fn layer(&self) -> &'a Layer {
        self.layer
    }

    /// The weights `W` that led to this layer, `d x d` or, in layer 1, `d x dimension`.
    #[must_use]
    pub fn weights(&self) -> &'a DMatrix<T> {
        self.weights
    }

    /// The representation `H`, `d x n`, samples are columns.
    ///
    /// Under batch normalisation it is its very output (the paper's Eq. 1 divides by a further
    /// sqrt(d), which no metric sees). A vanilla `H` is rescaled to root mean square 1, and
    /// [`Layer::log_scale`] tells its true one.
    #[must_use]
    pub fn representation(&self) -> &'a DMatrix<T> {
        self.representation
    }
}

impl<T: Scalar> ExplicitChain<T> {
    pub(crate) fn new(network: Network<T>, input: &Input, run: Run) -> Self {
        let unit = input.log_scale().exp();
        let representation = input.columns().map(|x| T::of(x / unit));
        let weights = DMatrix::zeros(network.width(), representation.nrows());
        let log_unit = input.log_scale();
        let layer = Layer::input(input);
        Self { network, run, layer, weights, representation, log_unit, failed: false }
    }

    /// The current layer: the input at first, then the one last stepped to.
    #[must_use]
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// Draws the weights of one more layer, applies it, and lends both.
    ///
    /// Cost: `d²` normals, `d² n` multiply-adds, and a QR factorisation of `H`.
    ///
    /// # Errors
    /// [`Error::Collapsed`] if the samples are parallel to working precision under batch
    /// normalisation, [`Error::StreamExhausted`] beyond 2^32 layers, and those of
    /// [`BatchNorm::normalize_mut`](crate::normalization::BatchNorm::normalize_mut).
    pub fn step(&mut self) -> Result<ExplicitLayer<'_, T>> {
        let depth = self.layer.depth + 1;
        let (width, inputs) = (self.network.width(), self.representation.nrows());
        if self.weights.ncols() != inputs {
            self.weights = DMatrix::zeros(width, inputs);
        }
        let stream = self.run.stream(Purpose::Weights, coordinate("layer", depth)?, 0);
        self.network.gaussian().sample_to(stream, &mut self.weights);
        let mut representation = &self.weights * &self.representation;
        let log_unit = match self.network.batch_norm() {
            Some(batch_norm) => {
                // What is held is smaller than the truth by exp(log_unit), so epsilon is, too.
                let epsilon = batch_norm.epsilon() * (-2.0 * self.log_unit).exp();
                batch_norm.with_epsilon(epsilon)?.normalize_mut(&mut representation)?;
                0.0
            }
            None => {
                let (_, log_norm) = Gram::with_log_norm(&representation)?;
                let log_rms = log_norm - 0.5 * (representation.len() as f64).ln();
                representation /= T::of(log_rms.exp());
                self.log_unit + log_rms
            }
        };
        let (gram, log_norm) = Gram::with_log_norm(&representation)?;
        let log_rms = log_norm - 0.5 * (representation.len() as f64).ln();
        let batch_size = gram.batch_size();
        if self.network.batch_norm().is_some() && gram.rank() == 1 && self.layer.rank() > 1 {
            return Err(Error::Collapsed { layer: depth, batch_size });
        }
        self.layer = Layer { depth, gram, log_scale: log_unit + log_rms };
        self.log_unit = log_unit;
        self.representation = representation;
        Ok(ExplicitLayer {
            layer: &self.layer,
            weights: &self.weights,
            representation: &self.representation,
        })
    }

    /// Goes `layers` layers deeper and lends the last one.
    ///
    /// # Errors
    /// Those of [`step`](Self::step); the chain stays at the last good layer.
    pub fn advance(&mut self, layers: usize) -> Result<&Layer> {
        for _ in 0..layers {
            self.step()?;
        }
        Ok(&self.layer)
    }
}

/// Yields layer 1 first; ends after an error.
impl<T: Scalar> Iterator for ExplicitChain<T> {
    type Item = Result<Layer>;

    fn next(&mut self) -> Option<Result<Layer>> {
        if self.failed {
            return None;
        }
        let layer = self.step().map(|explicit| explicit.layer.clone());
        self.failed = layer.is_err();
        Some(layer)
    }
}
