//! The reverse pass of a random network, from layer to layer.

use super::explicit::Explicit;
use super::streamed::Streamed;
use super::{BatchGradient, Top};
use crate::chain::{Communicator, SingleProcess};
use crate::{Engine, Error, Input, Network, Replicate, Result, Scalar};

/// The gradients of a loss at the layers of a network, from the output down to the input.
///
/// As an iterator it yields the top layer first and ends with the input, layer 0, or after an
/// error. [`Network::gradients`] creates one.
///
/// ```
/// use orthogap::backward::Top;
/// use orthogap::{Input, Network, Seed};
///
/// // A wide linear network under the paper's batch norm: n = 8 samples, factor (n - 1)/(n - 2).
/// let network = Network::<f64>::new(10_000);
/// let input = Input::orthogonal(8)?;
/// let gradients = network.gradients(&input, Seed(1), 40, Top::default())?;
/// let norms: Vec<f64> =
///     gradients.map(|layer| Ok(layer?.log_norm())).collect::<Result<_, orthogap::Error>>()?;
/// assert_eq!(norms.len(), 41);
/// assert!((2.0 * (norms[39] - norms[0]) / 39.0 - f64::ln(7.0 / 6.0)).abs() < 0.03);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Debug)]
pub struct Gradients<T: Scalar> {
    batch_size: usize,
    left: usize,
    state: State<T>,
}

#[derive(Debug)]
enum State<T: Scalar> {
    Streamed(Box<Streamed<T>>),
    Explicit(Box<Explicit<T>>),
}

impl<T: Scalar> Network<T> {
    /// Goes forward `depth` layers and returns the reverse pass of a loss whose gradient at the
    /// output is `top`.
    ///
    /// On the [streamed engine](Engine::Streamed) the layers are those of [`chain`](Self::chain),
    /// except in a linear network without normalisation: there a chain draws no rows, and the
    /// layers have the same law but other random numbers. The gradients have exactly the law of the
    /// explicit reverse pass: given the forward pass, the reverse pass is Markov in `n x n`
    /// matrices, too. With weights $`W \sim N(0, s^2/m)`$ on $`X = Q F`$, `m x n`, and the gradient
    /// $`\Delta`$ with respect to the product `W X`, the gradient with respect to `X` is
    ///
    /// ```math
    /// G = Q \, (W Q)^\top \Delta + (I - Q Q^\top) Z B, \qquad
    /// B^\top B = \tfrac{s^2}m \Delta^\top \Delta,
    /// ```
    ///
    /// with a fresh standard normal `Z`. Rows are drawn again, block by block, from the streams of
    /// the chain, and `Z` from [`Purpose::Gradients`](crate::Purpose::Gradients). Cost: `5 d n`
    /// normals and about `12 d n²` multiply-adds a layer; `O(L n²)` memory at any width. Results
    /// have the same bits on any number of threads.
    ///
    /// Every other recipe, and a batch larger than the width, goes through the explicit reverse
    /// pass on the layers of [`explicit_chain`](Self::explicit_chain), in `O(L d n + d²)` memory.
    /// A convolution takes more: the patches of a layer, and `n` matrices of the size of its
    /// weights, in `f64`.
    ///
    /// ```
    /// use orthogap::backward::Top;
    /// use orthogap::normalization::BatchNorm;
    /// use orthogap::{Activation, Input, Network, Seed};
    ///
    /// let network = Network::<f64>::new(4096)
    ///     .with_normalization(BatchNorm::standard(1e-5)?)
    ///     .with_activation(Activation::Relu);
    /// let input = Input::gaussian(20, 8, Seed(1))?;
    /// for layer in network.gradients(&input, Seed(2), 10, Top::ReadOut)? {
    ///     let layer = layer?;
    ///     println!("{:2} {:.3} {:?}", layer.depth(), layer.log_norm(), layer.log_weights_norm());
    ///     assert!(layer.log_norm().is_finite());
    /// }
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`chain`](Self::chain) and its steps, on explicit weights of
    /// [`explicit_chain`](Self::explicit_chain). On the streamed engine also
    /// [`Error::MissingDerivative`] of a custom activation without one.
    pub fn gradients(
        &self,
        input: &Input,
        run: impl Into<Replicate>,
        depth: usize,
        top: Top,
    ) -> Result<Gradients<T>> {
        self.gradients_with(input, run, depth, top, &mut SingleProcess)
    }

    /// Returns the [`gradients`](Self::gradients) of layers that several machines draw together:
    /// see [`Chain::step_with`](crate::Chain::step_with) and [`Gradients::step_with`].
    ///
    /// ```
    /// use orthogap::backward::Top;
    /// use orthogap::{Input, Network, Seed, chain::SingleProcess};
    ///
    /// let (network, input) = (Network::<f32>::new(300_000), Input::orthogonal(3)?);
    /// let mut team = SingleProcess; // or ranks of MPI
    /// let mut shared = network.gradients_with(&input, Seed(1), 1, Top::ReadOut, &mut team)?;
    /// let mut alone = network.gradients(&input, Seed(1), 1, Top::ReadOut)?;
    /// assert_eq!(shared.step_with(&mut team)?, alone.step()?);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`gradients`](Self::gradients), and [`Error::Communicator`].
    pub fn gradients_with(
        &self,
        input: &Input,
        run: impl Into<Replicate>,
        depth: usize,
        top: Top,
        team: &mut impl Communicator,
    ) -> Result<Gradients<T>> {
        let (run, batch_size) = (run.into(), input.batch_size());
        let state = if self.engine() == Engine::Streamed && batch_size <= self.width() {
            State::Streamed(Box::new(Streamed::new(self, input, run, (depth, top), team)?))
        } else {
            let gradient = |output: &_| top.of_output(output, run, batch_size);
            State::Explicit(Box::new(Explicit::new(self, input, run, depth, gradient)?))
        };
        Ok(Gradients { batch_size, left: depth + 1, state })
    }
}

impl<T: Scalar> Gradients<T> {
    /// Returns the gradient at the current layer and goes one layer down.
    ///
    /// # Errors
    /// [`Error::Overflow`] if gradients leave the range of `T` within a layer, because a nearly
    /// zero row or sample was normalised; [`Error::SumOutOfRange`]; [`Error::RankDeficient`] if the
    /// factor of a layer's Gram matrix has dependent rows; those of the normalisation, and on
    /// explicit weights of [`Tape::new`](super::Tape::new) and
    /// [`Tape::pull_back`](super::Tape::pull_back). [`Error::Unsupported`] below the input.
    ///
    /// After an error the pass stays at the layer.
    pub fn step(&mut self) -> Result<BatchGradient> {
        self.step_with(&mut SingleProcess)
    }

    /// Takes a [`step`](Self::step) together with other machines. Each calls it on its own pass of
    /// the same network, input and seed, and gets the bits that `step` alone would give.
    ///
    /// # Errors
    /// Those of [`step`](Self::step), and [`Error::Communicator`].
    pub fn step_with(&mut self, team: &mut impl Communicator) -> Result<BatchGradient> {
        if self.left == 0 {
            let needs = "a layer that is left: the input was the last";
            return Err(Error::Unsupported { what: "a step of a reverse pass", needs });
        }
        let layer = match &mut self.state {
            State::Streamed(streamed) => streamed.step(team)?,
            State::Explicit(explicit) => explicit.step(self.batch_size)?,
        };
        self.left -= 1;
        Ok(layer)
    }
}

impl<T: Scalar> Iterator for Gradients<T> {
    type Item = Result<BatchGradient>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let layer = self.step();
        if layer.is_err() {
            self.left = 0;
        }
        Some(layer)
    }
}
