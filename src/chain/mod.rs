//! The Markov chain of hidden representations, as an iterator over layers.

mod bartlett;
mod communicator;
mod event;
mod explicit;
mod materialized;
mod product;
mod reduction;
mod row_factor;
mod rows;
mod scaling;
mod stream;

use std::ops::{ControlFlow, Deref};

pub use communicator::{Communicator, SingleProcess};
pub use event::Event;
use event::EventTracker;
pub use explicit::{ExplicitChain, ExplicitLayer};
use materialized::Materialized;
pub(crate) use materialized::{in_units, operate};
pub(crate) use product::Draw as WeightDraw;
use product::Source;
pub(crate) use reduction::{Drawn, Reduction};
pub(crate) use row_factor::RowFactor;
use stream::Streamed;

use crate::{Engine, Error, Gram, Input, Network, Replicate, Result, Scalar};

/// Gets the number of finished rows of a layer; may stop.
type Proceed<'a> = &'a mut dyn FnMut(usize) -> ControlFlow<()>;

/// A layer of a chain: its Gram matrix, its depth and its scale.
///
/// A layer dereferences to its [`Gram`], so every metric is a method of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    depth: usize,
    gram: Gram,
    log_scale: f64,
    events: Vec<Event>,
}

impl Layer {
    fn input(input: &Input) -> Self {
        let (gram, log_scale) = (input.gram().clone(), input.log_scale());
        Self { depth: 0, gram, log_scale, events: Vec::new() }
    }

    /// Returns the number of layers above the input, which is layer 0.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Returns the Gram matrix of the representations.
    #[must_use]
    pub fn gram(&self) -> &Gram {
        &self.gram
    }

    /// Returns the natural logarithm of the root mean square entry of `H`.
    ///
    /// Under the paper's batch normalisation it is `-log(n)/2` to rounding (rows of unit norm); in
    /// a vanilla network it grows or falls without bound, and nothing overflows.
    ///
    /// ```
    /// use orthogap::{Input, Network, Seed, normalization::Normalization, weights::Gaussian};
    ///
    /// let vanilla = Network::<f64>::new(64)
    ///     .with_normalization(Normalization::None)
    ///     .with_weights(Gaussian::new(2.0)?);
    /// let mut chain = vanilla.chain(&Input::orthogonal(4)?, Seed(7))?;
    /// let growth = chain.advance(2000)?.log_scale() / 2000.0;
    /// assert!((growth - 2f64.ln()).abs() < 0.02 && growth * 2000.0 > 700.0); // beyond f64
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn log_scale(&self) -> f64 {
        self.log_scale
    }

    /// Returns the irreversible events at this layer.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}

impl Deref for Layer {
    type Target = Gram;

    fn deref(&self) -> &Gram {
        &self.gram
    }
}

/// The chain of hidden representations of a batch through a random network.
///
/// It runs on the cheapest [engine](Network::engine) that has the law of the recipe. On the
/// streamed engine the state is the Gram matrix, and the rows of a layer are drawn and used in
/// blocks, not kept. As an iterator it yields layer 1 first and is infinite. The input, layer 0, is
/// [`Chain::layer`] before the first step. In hot loops, [`step`](Self::step) borrows the layer
/// instead of copying it.
///
/// After an error the last good layer stays available, and the iterator ends.
///
/// ```
/// use orthogap::{Input, Network, Seed};
///
/// let mut chain = Network::<f32>::new(128).chain(&Input::near_collinear(3, 1e-3)?, Seed(7))?;
/// assert_eq!(chain.layer().depth(), 0);
/// let initial = chain.layer().orthogonality_gap();
/// let layer = chain.advance(30)?;
/// assert_eq!(layer.depth(), 30);
/// assert!(layer.orthogonality_gap() < initial / 4.0);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Chain<T: Scalar> {
    network: Network<T>,
    run: Replicate,
    layer: Layer,
    state: State<T>,
    watch: EventTracker,
    failed: bool,
}

/// What an engine keeps between layers.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a chain has one for life")]
enum State<T: Scalar> {
    Streamed(Streamed<T>),
    Materialized(Materialized<T>),
}

impl<T: Scalar> Network<T> {
    /// Returns the chain of representations of a batch, on the cheapest exact
    /// [`engine`](Self::engine).
    ///
    /// Given the Gram matrix of a layer, the rows of `W H` are independent Gaussian vectors, so
    /// the next Gram matrix takes `d n` normals instead of `d²`, exactly in law, in `O(n²)`
    /// memory at any width. Without normalisation and activation it is a Wishart matrix, whose
    /// Cholesky factor takes `n(n+1)/2` random numbers (Bartlett 1933).
    ///
    /// A batch may be larger than the width. From the first layer on its rank is then at most `d`, and
    /// its gap at least [`metric::gap_floor`](crate::metric::gap_floor).
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a width of 0 or above 2^40, for weights below 1e-300 and for
    /// a slope of the activation that is not finite; [`Error::BatchTooSmall`] for a batch of one
    /// under a centring normalisation; [`Error::Unsupported`] for pooling without a convolution;
    /// [`Error::ShapeMismatch`] for an input that is not the images of the convolution, and those
    /// of the shapes that a convolution and a pooling make. If the order has the normalisation or
    /// the activation act on the input itself, also those of the normalisation, and on the streamed
    /// engine [`Error::ZeroMatrix`] or [`Error::NotFinite`] if the activation makes the input so.
    pub fn chain(&self, input: &Input, run: impl Into<Replicate>) -> Result<Chain<T>> {
        self.check(input)?;
        Chain::new(self.clone(), input, run.into())
    }
}

impl<T: Scalar> Chain<T> {
    fn new(network: Network<T>, input: &Input, run: Replicate) -> Result<Self> {
        let layer = Layer::input(input);
        let watch = EventTracker::new(&layer);
        let engine = match network.engine() {
            Engine::Streamed if input.batch_size() > network.width() => Engine::Materialized,
            engine => engine,
        };
        let state = match engine {
            Engine::Streamed => State::Streamed(Streamed::new(&network, input)?),
            Engine::Materialized => {
                State::Materialized(Materialized::new(&network, input, Source::Law)?)
            }
            Engine::Explicit => {
                State::Materialized(Materialized::new(&network, input, Source::Weights)?)
            }
        };
        Ok(Self { network, run, layer, state, watch, failed: false })
    }

    /// Returns the current layer: the input at first, then the one last stepped to.
    #[must_use]
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// Draws the rows of every layer from here on, for a reverse pass that draws them again.
    /// Otherwise products of rows whose law is known are drawn without the rows.
    pub(crate) fn draw_rows(&mut self) {
        if let State::Streamed(streamed) = &mut self.state {
            streamed.draw_rows();
        }
    }

    /// What the next weights multiply, where the engine holds it apart from the layer.
    pub(crate) fn image(&self) -> Option<&Layer> {
        match &self.state {
            State::Streamed(streamed) => streamed.image(),
            State::Materialized(_) => None,
        }
    }

    /// Returns all events so far, in order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        self.watch.events()
    }

    /// Draws the next layer and borrows it.
    ///
    /// Cost on the streamed engine: `d n` normals and about `1.5 d n²` multiply-adds, on the
    /// threads of the current rayon pool where that is more than about a millisecond (twice that in
    /// an order which does not end with the activation); no allocation for independent samples
    /// without centring. If the rows determine a direction so weakly that it is lost in their sums
    /// of products (`d` close to `n`, or dependent samples under an activation), they are drawn
    /// again and factored one by one, slowly. A linear network without normalisation takes `n³/6`
    /// multiply-adds at any width.
    ///
    /// # Errors
    /// [`Error::Collapsed`] if all directions except one have vanished under batch normalisation:
    /// in a linear network below 1e-308, with an activation below the precision of `T`.
    /// [`Error::ScaleOutOfRange`] if the scale leaves the range of floating point,
    /// [`Error::AllSamplesZero`] if all samples are zero, [`Error::SumOutOfRange`] if the rows of a
    /// wide layer differ too much in size, [`Error::StreamExhausted`] from layer 2^32 on,
    /// [`Error::InvalidParameter`] for a weight of the residual branch that is not finite, and
    /// those of a normalisation, a convolution and a pooling. The chain stays at the layer before.
    pub fn step(&mut self) -> Result<&Layer> {
        self.step_while(|_| ControlFlow::Continue(()))
    }

    /// Takes a [`step`](Self::step) that can be interrupted, for very wide layers. `proceed` gets
    /// the number of finished rows from time to time, and can stop. A layer whose rows are all done
    /// is kept even if `proceed` stops at the end, so check between layers, too.
    ///
    /// Weights of another law than the Gaussian are drawn before the first call of `proceed`. The
    /// streamed engine draws no rows of a linear network without batch normalisation, and calls
    /// `proceed` once, after the layer.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use orthogap::{Error, Input, Network, Seed};
    ///
    /// let mut chain = Network::<f32>::new(10_000_000).chain(&Input::orthogonal(2)?, Seed(1))?;
    /// let mut steps = 0;
    /// let stop_soon = |_rows| {
    ///     steps += 1;
    ///     if steps < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    /// };
    /// assert!(matches!(chain.step_while(stop_soon), Err(Error::Interrupted { layer: 1, .. })));
    /// assert_eq!(chain.layer().depth(), 0);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`step`](Self::step), and [`Error::Interrupted`] with the chain where it was.
    pub fn step_while(&mut self, proceed: impl FnMut(usize) -> ControlFlow<()>) -> Result<&Layer> {
        self.step_with_while(&mut SingleProcess, proceed)
    }

    /// Takes a [`step`](Self::step) together with other machines, for very wide layers. Every
    /// member of a [`Communicator`] calls this on its own chain of the same network, input and
    /// seed. All get the same layer, with the bits that `step` alone would give.
    ///
    /// The streamed engine distributes the rows equally. Other engines are not distributed: each
    /// member computes the whole layer. Each member also draws all rows that are drawn again.
    ///
    /// A layer takes one exchange of `16 n (n + 1)` bytes and 72 more, at any width, and a broadcast of
    /// 16 bytes; twice that in an order that does not end with the activation. Memory is O(n²) for each
    /// thread of a member.
    ///
    /// ```
    /// use orthogap::{Input, Network, Seed, chain::SingleProcess};
    ///
    /// let network = Network::<f32>::new(300_000);
    /// let mut chain = network.chain(&Input::orthogonal(3)?, Seed(1))?;
    /// let mut shared = chain.clone();
    /// assert_eq!(shared.step_with(&mut SingleProcess)?, chain.step()?); // so it is in any team
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`step`](Self::step), the same on all members. On the streamed engine also
    /// [`Error::Communicator`] if the team fails or its members are not at the same layer of the
    /// same chain. The chain stays at the layer before and can continue in another team.
    pub fn step_with(&mut self, team: &mut impl Communicator) -> Result<&Layer> {
        self.step_with_while(team, |_| ControlFlow::Continue(()))
    }

    /// Takes a [`step_with`](Self::step_with) that can be interrupted, as
    /// [`step_while`](Self::step_while). `proceed` gets the number of rows that the team has done,
    /// estimated from this member's own. A member that stops [requests](Communicator::request_stop)
    /// the others to stop, without an exchange. All get the same error, or the layer if its rows
    /// were already done.
    ///
    /// On an engine that is not distributed, `proceed` counts for its own member only.
    ///
    /// # Errors
    /// Those of [`step_with`](Self::step_with), and [`Error::Interrupted`] with the chain where it
    /// was.
    pub fn step_with_while(
        &mut self,
        team: &mut impl Communicator,
        mut proceed: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<&Layer> {
        let Self { network, run, layer, state, .. } = self;
        match state {
            State::Streamed(streamed) => streamed.step(network, *run, layer, team, &mut proceed)?,
            State::Materialized(held) => {
                let draw = held.draw(network, *run, layer)?;
                *layer = held.step(network, &draw, layer, &mut proceed)?;
            }
        }
        self.watch.update(layer);
        Ok(&self.layer)
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

impl<T: Scalar> Iterator for Chain<T> {
    type Item = Result<Layer>;

    fn next(&mut self) -> Option<Result<Layer>> {
        if self.failed {
            return None;
        }
        let layer = self.step().cloned();
        self.failed = layer.is_err();
        Some(layer)
    }
}

/// A layer as a coordinate of random streams.
pub(crate) fn layer_coordinate(depth: usize) -> Result<u32> {
    let exhausted = |_| Error::StreamExhausted { coordinate: "layer", value: depth };
    u32::try_from(depth).map_err(exhausted)
}
