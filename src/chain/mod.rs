//! The Markov chain of hidden representations, as an iterator over layers.

mod explicit;
mod parallel;
mod stream;

use std::ops::{ControlFlow, Deref};

pub use explicit::{ExplicitChain, ExplicitLayer};
use stream::RowStream;

use crate::activation::{Activation, Identity};
use crate::kernel::factor::Form;
use crate::{Error, Gram, Input, Network, Result, Run, Scalar};

/// A layer of a chain: its Gram matrix, its depth and its scale.
///
/// A layer is a Gram matrix with a place in a chain, so it dereferences to its [`Gram`], and every
/// metric is at hand.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    depth: usize,
    gram: Gram,
    log_scale: f64,
}

impl Layer {
    fn input(input: &Input) -> Self {
        Self { depth: 0, gram: input.gram().clone(), log_scale: input.log_scale() }
    }

    /// The number of layers above the input, which is layer 0.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The Gram matrix of the representations.
    #[must_use]
    pub fn gram(&self) -> &Gram {
        &self.gram
    }

    /// Natural logarithm of the root mean square entry of `H`.
    ///
    /// Under the paper's batch normalisation it is `-log(n)/2` to rounding (rows of unit norm); in
    /// a vanilla network it grows or falls without bound, and nothing overflows.
    ///
    /// ```
    /// use orthogap::{Input, Network, Seed, normalization::Normalization, weights::Gaussian};
    ///
    /// let vanilla = Network::<f64>::new(64)
    ///     .normalization(Normalization::None)
    ///     .weights(Gaussian::new(2.0)?);
    /// let mut chain = vanilla.chain(&Input::orthogonal(4)?, Seed(7))?;
    /// let growth = chain.advance(2000)?.log_scale() / 2000.0;
    /// assert!((growth - 2f64.ln()).abs() < 0.02 && growth * 2000.0 > 700.0); // beyond f64
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn log_scale(&self) -> f64 {
        self.log_scale
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
/// The state is the Gram matrix: the rows of a layer are drawn, used and forgotten in blocks.
/// As an iterator it yields layer 1 first and never ends of itself; the input, layer 0, is
/// [`Chain::layer`] before the first step. In hot loops, [`step`](Self::step) lends the layer
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
pub struct Chain<T: Scalar, A = Identity> {
    network: Network<T, A>,
    run: Run,
    layer: Layer,
    /// Where the next layer is written, recycled.
    next: Layer,
    rows: RowStream<T>,
    failed: bool,
}

impl<T: Scalar, A: Activation> Chain<T, A> {
    pub(crate) fn new(network: Network<T, A>, input: &Input, run: Run) -> Self {
        let rows = RowStream::new(network.width(), input.gram().rank(), Form::UpperTriangular);
        let layer = Layer::input(input);
        Self { network, run, next: layer.clone(), layer, rows, failed: false }
    }

    /// The current layer: the input at first, then the one last stepped to.
    #[must_use]
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// Goes one layer deeper and lends it.
    ///
    /// Cost: `d n` normals and about `1.5 d n²` multiply-adds, on the threads of the current rayon
    /// pool where that is more than about a millisecond; no allocation for independent samples
    /// without centring. Where the rows leave a direction so weak that their sums of products are
    /// blind to it (`d` close to `n`, or dependent samples under an activation), they are drawn
    /// again and factored one by one, slowly.
    ///
    /// # Errors
    /// [`Error::Collapsed`] if all directions but one have vanished under batch normalisation: in
    /// a linear network beneath 1e-308, and until then the smallest singular value is exact; with
    /// an activation beneath the precision of `T`. [`Error::Breakdown`] if the scale leaves the
    /// range of floating point, [`Error::StreamExhausted`] beyond 2^32 layers. The chain stays at
    /// the layer before.
    pub fn step(&mut self) -> Result<&Layer> {
        self.step_while(|_| ControlFlow::Continue(()))
    }

    /// [`step`](Self::step) for layers so wide that one takes a while: `proceed` is told now and
    /// then how many rows are done, and may break off. A layer all of whose rows are done is kept
    /// whatever `proceed` says last, so ask between layers, too.
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
    pub fn step_while(
        &mut self,
        mut proceed: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<&Layer> {
        let Self { network, run, layer, next, rows, .. } = self;
        rows.next_layer(network, *run, layer, next, &mut proceed)?;
        std::mem::swap(layer, next);
        Ok(&self.layer)
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

impl<T: Scalar, A: Activation> Iterator for Chain<T, A> {
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
fn layer_coordinate(depth: usize) -> Result<u32> {
    let exhausted = |_| Error::StreamExhausted { coordinate: "layer", value: depth };
    u32::try_from(depth).map_err(exhausted)
}
