//! The chain with its weights drawn, which gives access to `W` and `H`.

use std::cell::OnceCell;
use std::ops::{ControlFlow, Deref};

use nalgebra::DMatrix;

use super::Layer;
use super::event::{Event, EventTracker};
use super::materialized::Materialized;
use super::product::{Draw, Source};
use crate::convolution::Images;
use crate::{Input, Network, Replicate, Result, Scalar};

/// A chain that draws its weight matrices and gives access to `W` and `H`.
///
/// Its layers have the same law as those of [`Chain`](crate::Chain), but other random numbers.
/// Rounding errors of `H`, epsilon times the norm of each column, limit the accuracy of singular
/// values, as in any computation that holds `H`. Gaussian weights are drawn panel by panel and
/// multiplied at once; only [`ExplicitLayer::weights`] stores them. Other weights are drawn as a
/// whole matrix.
///
/// ```
/// use orthogap::approx::assert_relative_eq;
/// use orthogap::{Input, Network, Seed, normalization::BatchNorm};
///
/// let input = Input::gaussian(10, 4, Seed(1))?;
/// let mut chain = Network::<f64>::new(32).explicit_chain(&input, Seed(7))?;
/// let first = chain.step()?;
/// let h = first.representation().clone();
/// let w = first.weights();
/// assert_eq!((first.depth(), w.shape()), (1, (32, 10)));
/// assert_relative_eq!(h, BatchNorm::paper().normalize(&(w * input.columns()))?, epsilon = 1e-13);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExplicitChain<T: Scalar> {
    network: Network<T>,
    run: Replicate,
    layer: Layer,
    watch: EventTracker,
    held: Materialized<T>,
    failed: bool,
}

/// A layer of an [`ExplicitChain`], with its `W` and `H`. It dereferences to its [`Layer`].
#[derive(Debug)]
pub struct ExplicitLayer<'a, T: Scalar> {
    chain: &'a mut ExplicitChain<T>,
    draw: Draw,
    weights: OnceCell<DMatrix<T>>,
}

impl<T: Scalar> ExplicitLayer<'_, T> {
    /// Returns its Gram matrix, depth and scale.
    #[must_use]
    pub fn layer(&self) -> &Layer {
        &self.chain.layer
    }

    /// Returns the weights `W` that led to this layer, `d x d` or, in layer 1, `d x dimension`; of
    /// a convolution `C' x (C k²)`.
    ///
    /// The first call draws the same numbers again: `d²` of them, in `O(d²)` memory.
    #[must_use]
    pub fn weights(&self) -> &DMatrix<T> {
        self.weights.get_or_init(|| self.draw.weights())
    }

    /// Where the weights were drawn.
    pub(crate) fn draw(&self) -> &Draw {
        &self.draw
    }

    /// Returns the representation `H`, `d x n`, samples are columns; of images `C x (S n)`, in the
    /// layout of [`Images`].
    ///
    /// Under a normalisation it is `H` itself. The paper's Eq. 1 divides by a further sqrt(d),
    /// which changes no metric. A vanilla `H`, and one whose [`Layer::log_scale`] is beyond ±60, is
    /// rescaled to root mean square 1; [`Layer::log_scale`] is the logarithm of the scale that was
    /// divided out.
    #[must_use]
    pub fn representation(&self) -> &DMatrix<T> {
        self.chain.held.representation()
    }

    /// Returns the shape of the images that the representation is, in a convolutional network.
    #[must_use]
    pub fn images(&self) -> Option<Images> {
        self.chain.held.images()
    }
}

impl<T: Scalar> Deref for ExplicitLayer<'_, T> {
    type Target = Layer;

    fn deref(&self) -> &Layer {
        self.layer()
    }
}

impl<T: Scalar> Network<T> {
    /// Creates the chain of representations of a batch with access to `W` and `H`.
    ///
    /// It has the law of [`chain`](Self::chain), but other random numbers, at `d/n` times the cost
    /// and in `O(d²)` memory.
    ///
    /// # Errors
    /// Those of [`chain`](Self::chain).
    pub fn explicit_chain(
        &self,
        input: &Input,
        run: impl Into<Replicate>,
    ) -> Result<ExplicitChain<T>> {
        self.check(input)?;
        ExplicitChain::new(self.clone(), input, run.into())
    }
}

impl<T: Scalar> ExplicitChain<T> {
    fn new(network: Network<T>, input: &Input, run: Replicate) -> Result<Self> {
        let layer = Layer::input(input);
        let watch = EventTracker::new(&layer);
        let held = Materialized::new(&network, input, Source::Weights)?;
        Ok(Self { network, run, layer, watch, held, failed: false })
    }

    /// Returns the current layer: the input at first, then the one last stepped to.
    #[must_use]
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// The current representation, the logarithm of its unit, and its shape if it is images.
    pub(crate) fn held(&self) -> (&DMatrix<T>, f64, Option<Images>) {
        (self.held.representation(), self.held.log_unit(), self.held.images())
    }

    /// Returns all events so far, in order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        self.watch.events()
    }

    /// Draws the weights of the next layer, applies it and borrows it.
    ///
    /// Cost: `d²` random numbers, `d² n` multiply-adds, and a factorisation of `H`; for Haar
    /// weights also one of a `d x d` matrix.
    ///
    /// # Errors
    /// [`Error::Collapsed`](crate::Error::Collapsed) if the samples are parallel to working
    /// precision under a normalisation, [`Error::AllSamplesZero`](crate::Error::AllSamplesZero) if
    /// all are zero, [`Error::ScaleOutOfRange`](crate::Error::ScaleOutOfRange) if the scale leaves
    /// the range of floating point, [`Error::StreamExhausted`](crate::Error::StreamExhausted) from
    /// layer 2^32 on, [`Error::InvalidParameter`](crate::Error::InvalidParameter) for a gain whose
    /// weights `T` cannot hold and for a weight of the residual branch that is not finite, and
    /// those of the normalisation, the convolution and the pooling. The chain stays at the layer
    /// before.
    pub fn step(&mut self) -> Result<ExplicitLayer<'_, T>> {
        let draw = self.held.draw(&self.network, self.run, &self.layer)?;
        draw.check::<T>()?;
        let go_on = &mut |_| ControlFlow::Continue(());
        self.layer = self.held.step(&self.network, &draw, &self.layer, go_on)?;
        self.watch.update(&mut self.layer);
        Ok(ExplicitLayer { chain: self, draw, weights: OnceCell::new() })
    }

    /// Continues with another recipe from the current layer. Depth and random streams continue to
    /// count.
    ///
    /// Images become plain columns if a dense network follows, and plain columns images if a
    /// convolutional one does.
    ///
    /// ```
    /// use orthogap::convolution::{Convolution, Images, Pooling};
    /// use orthogap::{Activation, Input, Network, Seed};
    ///
    /// let images = Images::new(1, 8, 8)?;
    /// let convolution = Convolution::new(3)?;
    /// let body = Network::<f64>::new(12)
    ///     .with_convolution(convolution, images)
    ///     .with_activation(Activation::Relu);
    /// let half = Network::<f64>::new(12)
    ///     .with_convolution(convolution, Images::new(12, 8, 8)?)
    ///     .with_pooling(Pooling::max(2)?);
    /// let head = Network::<f64>::new(10);
    ///
    /// let mut chain = body.explicit_chain(&Input::gaussian(64, 5, Seed(1))?, Seed(2))?;
    /// chain.advance(3)?;
    /// assert_eq!(chain.then(half)?.step()?.images(), Some(Images::new(12, 4, 4)?));
    /// assert_eq!(chain.then(head)?.step()?.weights().shape(), (10, 12 * 4 * 4));
    /// assert_eq!(chain.layer().depth(), 5);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if a convolution expects other images,
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) for a width, weights or a slope
    /// that [`Network::chain`] refuses, [`Error::Unsupported`](crate::Error::Unsupported) for a
    /// dense network with pooling, [`Error::BatchTooSmall`](crate::Error::BatchTooSmall) for a
    /// batch of one under a centring normalisation. The chain then keeps its recipe.
    pub fn then(&mut self, network: Network<T>) -> Result<&mut Self> {
        network.check_layer()?;
        network.check_batch_size(self.layer.batch_size())?;
        self.held.reshape(network.convolution_layer().map(|layer| layer.input))?;
        (self.network, self.failed) = (network, false);
        Ok(self)
    }

    /// Draws `layers` more layers and borrows the last one.
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
        let layer = self.step().map(|explicit| explicit.layer().clone());
        self.failed = layer.is_err();
        Some(layer)
    }
}
