//! The recipe of a random network; nothing is sampled here.

use std::marker::PhantomData;

use crate::activation::{Activation, Identity};
use crate::chain::{Chain, ExplicitChain};
use crate::normalization::{BatchNorm, Centering, Normalization};
use crate::weights::Gaussian;
use crate::{Error, Input, Result, Run, Scalar};

/// The widest layer: 2^32 blocks of 256 rows, as many as there are streams.
const MAX_WIDTH: u64 = 1 << 40;

/// The recipe of a random network whose layers all have the same law.
///
/// A layer is a linear map with fresh Gaussian weights, `d x d` (the first is `d x dimension`),
/// followed by a normalisation and an activation. The type parameter is the arithmetic of everything with `d` rows.
///
/// ```
/// use orthogap::{Input, Network, Seed};
///
/// let network = Network::<f64>::new(512); // linear, with the paper's batch normalisation
/// let input = Input::spiked(4, 1e-6)?;
/// let layers = network.chain(&input, Seed(7))?.take(50).collect::<Result<Vec<_>, _>>()?;
/// assert!(input.gram().orthogonality_gap() > 0.86);
/// assert!(layers[49].orthogonality_gap() < 0.12);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network<T, A = Identity> {
    width: usize,
    weights: Gaussian,
    normalization: Normalization,
    activation: A,
    arithmetic: PhantomData<T>,
}

impl<T: Scalar> Network<T> {
    /// The network of the paper's Eq. 1: linear layers of `width` neurons, each followed by
    /// [`BatchNorm::paper`].
    ///
    /// The recipe is checked when a chain begins, against the input it meets.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self {
            width,
            weights: Gaussian::default(),
            normalization: BatchNorm::paper().into(),
            activation: Identity,
            arithmetic: PhantomData,
        }
    }
}

impl<T: Scalar, A: Activation> Network<T, A> {
    /// The same with an activation after the normalisation: `H' = F(BN(W H))`.
    ///
    /// The length of normalised rows matters to an activation that is not homogeneous: norm one
    /// under [`BatchNorm::paper`], root mean square one under [`BatchNorm::standard`].
    ///
    /// ```
    /// use orthogap::{Input, Network, Seed, activation::Relu, normalization::BatchNorm};
    ///
    /// let network =
    ///     Network::<f64>::new(512).normalization(BatchNorm::standard(1e-5)?).activation(Relu);
    /// let mut chain = network.chain(&Input::near_collinear(4, 1e-3)?, Seed(1))?;
    /// // Half of a rectified row survives, so no two samples become perpendicular.
    /// assert!(chain.advance(50)?.cosine(0, 1)? > 0.1);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn activation<B: Activation>(self, activation: B) -> Network<T, B> {
        let Self { width, weights, normalization, .. } = self;
        Network { width, weights, normalization, activation, arithmetic: PhantomData }
    }

    /// The same with another normalisation.
    #[must_use]
    pub fn normalization(self, normalization: impl Into<Normalization>) -> Self {
        Self { normalization: normalization.into(), ..self }
    }

    /// The same with other weights.
    #[must_use]
    pub fn weights(self, weights: Gaussian) -> Self {
        Self { weights, ..self }
    }

    /// The number `d` of neurons of a layer.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The chain of representations of a batch, its weights never drawn.
    ///
    /// Given the Gram matrix of a layer, the rows of `W H` are independent Gaussian vectors, so
    /// the next Gram matrix takes `d n` normals instead of `d²`, exactly in law, in `O(n²)`
    /// memory at any width.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a width of 0 or above 2^40, [`Error::BatchExceedsWidth`] if `n > d`, and
    /// [`Error::BatchTooSmall`] for a batch of one under a centring normalisation.
    pub fn chain(&self, input: &Input, run: impl Into<Run>) -> Result<Chain<T, A>> {
        self.check(input)?;
        Ok(Chain::new(*self, input, run.into()))
    }

    /// The chain of representations of a batch with its weights drawn and lent.
    ///
    /// The same law as [`chain`](Self::chain) (not the same random numbers) at `d/n` times the
    /// cost, and in `O(d²)` memory: for whoever needs `W` or `H` themselves.
    ///
    /// # Errors
    /// Those of [`chain`](Self::chain).
    pub fn explicit_chain(
        &self,
        input: &Input,
        run: impl Into<Run>,
    ) -> Result<ExplicitChain<T, A>> {
        self.check(input)?;
        Ok(ExplicitChain::new(*self, input, run.into()))
    }

    /// The activation of the recipe.
    pub(crate) fn function(&self) -> A {
        self.activation
    }

    /// The weights of the recipe.
    pub(crate) fn gaussian(&self) -> Gaussian {
        self.weights
    }

    /// The batch normalisation of the recipe, if it has one.
    pub(crate) fn batch_norm(&self) -> Option<BatchNorm> {
        match self.normalization {
            Normalization::None => None,
            Normalization::BatchNorm(batch_norm) => Some(batch_norm),
        }
    }

    fn check(&self, input: &Input) -> Result<()> {
        let (width, batch_size) = (self.width, input.batch_size());
        if width == 0 || width as u64 > MAX_WIDTH {
            let expected = "a width from 1 to 2^40";
            return Err(Error::InvalidParameter { name: "width", value: width as f64, expected });
        }
        if batch_size > width {
            return Err(Error::BatchExceedsWidth { batch_size, width });
        }
        let centered = self.batch_norm().is_some_and(|bn| bn.centering() == Centering::Batch);
        if centered && batch_size == 1 {
            return Err(Error::BatchTooSmall { batch_size, minimum: 2 });
        }
        Ok(())
    }
}
