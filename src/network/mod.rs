//! The recipe of a random network; nothing is sampled here.

mod operate;
mod order;

use std::marker::PhantomData;

pub(crate) use order::{Operation, Stages};
pub use order::{Order, Residual};

use crate::activation::Activation;
use crate::convolution::{Convolution, Images, Pooling};
use crate::normalization::{BatchNorm, Normalization};
use crate::weights::{Fans, ProductLaw, WeightInit, Weights};
use crate::{Error, Input, Result, Scalar};

/// The widest layer: 2^32 blocks of 256 rows, the number of streams.
const MAX_WIDTH: u64 = 1 << 40;
/// Gaussian weights have at least this deviation, far enough from zero for any number of inputs.
const SMALLEST_DEVIATION: f64 = 1e-300;

/// The recipe of a random network whose layers all have the same law.
///
/// A layer is a linear map with fresh weights, `d x d` (the first is `d x dimension`), a
/// normalisation and an activation in some [`Order`], and perhaps a [`Residual`] connection around
/// them. [`new`](Self::new) makes a recipe, `with_*` change it, [`chain`](Self::chain) and
/// [`gradients`](Self::gradients) run it. The type parameter is the arithmetic of everything with
/// `d` rows. Recipes can be compared and, with the feature `serde`, serialised.
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
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Network<T> {
    width: usize,
    weights: Weights,
    normalization: Normalization,
    activation: Activation,
    order: Order,
    residual: Option<Residual>,
    convolution: Option<(Convolution, Images)>,
    pooling: Option<Pooling>,
    arithmetic: PhantomData<T>,
}

impl<T: Scalar> Network<T> {
    /// Returns the network of the paper's Eq. 1: linear layers of `width` neurons, each followed by
    /// [`BatchNorm::paper`].
    ///
    /// The recipe is checked against the input when a chain begins.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self {
            width,
            weights: Weights::default(),
            normalization: BatchNorm::paper().into(),
            activation: Activation::Identity,
            order: Order::default(),
            residual: None,
            convolution: None,
            pooling: None,
            arithmetic: PhantomData,
        }
    }

    /// Sets the activation: by default after the normalisation, `H' = F(N(W H))`.
    ///
    /// The length of normalised rows matters to an activation that is not homogeneous: norm one
    /// under [`BatchNorm::paper`], root mean square one under [`BatchNorm::standard`].
    ///
    /// ```
    /// use orthogap::{Activation, Input, Network, Seed, normalization::BatchNorm};
    ///
    /// let network = Network::<f64>::new(512)
    ///     .with_normalization(BatchNorm::standard(1e-5)?)
    ///     .with_activation(Activation::Relu);
    /// let mut chain = network.chain(&Input::near_collinear(4, 1e-3)?, Seed(1))?;
    /// // Half of a rectified row survives, so no two samples become perpendicular.
    /// assert!(chain.advance(50)?.cosine(0, 1)? > 0.1);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Sets the law of the weights.
    ///
    /// ```
    /// use orthogap::{Input, Network, Seed, weights::Haar};
    ///
    /// let network = Network::<f64>::new(4).with_weights(Haar::default());
    /// let mut chain = network.chain(&Input::near_collinear(4, 1e-3)?, Seed(1))?;
    /// assert!(chain.advance(400)?.orthogonality_gap() < 1e-12); // a batch as large as the width
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn with_weights(self, weights: impl Into<Weights>) -> Self {
        Self { weights: weights.into(), ..self }
    }

    /// Sets the normalisation.
    #[must_use]
    pub fn with_normalization(self, normalization: impl Into<Normalization>) -> Self {
        Self { normalization: normalization.into(), ..self }
    }

    /// Sets the order of normalisation and activation.
    #[must_use]
    pub fn with_order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// Sets a residual connection around every layer that keeps its shape.
    #[must_use]
    pub fn with_residual(self, residual: Residual) -> Self {
        Self { residual: Some(residual), ..self }
    }

    /// Sets convolutions as linear maps, into `width` channels. Samples are images of `input`'s
    /// shape, flattened in the order of frameworks (NCHW, as [`Images::batch_from_nchw`]).
    ///
    /// Batch normalisation is over batch and space, sample normalisation over channels and space;
    /// the Gram matrix is that of flattened images, `(C S) x n`. Weights are drawn: a layer costs
    /// `C'C k²` numbers, `C'C k² S' n` multiply-adds and `C k² S' n` numbers of memory. Strides
    /// shrink images layer by layer.
    ///
    /// ```
    /// use orthogap::convolution::{Convolution, Images};
    /// use orthogap::{Activation, Input, Network, Seed};
    ///
    /// let images = Images::new(1, 6, 6)?; // a channel of 6 x 6 pixels
    /// let network = Network::<f32>::new(16)
    ///     .with_convolution(Convolution::new(3)?, images)
    ///     .with_activation(Activation::Relu);
    /// let mut chain = network.chain(&Input::gaussian(images.len(), 4, Seed(1))?, Seed(2))?;
    /// assert!(chain.advance(5)?.orthogonality_gap() < 0.5);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn with_convolution(self, convolution: Convolution, input: Images) -> Self {
        Self { convolution: Some((convolution, input)), ..self }
    }

    /// Sets the pooling at the end of every layer. Only images can be pooled: a chain, a
    /// tape or a classifier refuses a dense layer with pooling.
    ///
    /// ```
    /// use orthogap::convolution::Pooling;
    /// use orthogap::{Input, Network, Seed};
    ///
    /// let dense = Network::<f64>::new(16).with_pooling(Pooling::max(2)?);
    /// assert!(dense.chain(&Input::orthogonal(4)?, Seed(1)).is_err());
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn with_pooling(self, pooling: Pooling) -> Self {
        Self { pooling: Some(pooling), ..self }
    }

    /// Returns the number `d` of neurons of a layer, or channels of a convolution.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the law of the weights.
    #[must_use]
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Returns the normalisation.
    #[must_use]
    pub fn normalization(&self) -> Normalization {
        self.normalization
    }

    /// Returns the activation.
    #[must_use]
    pub fn activation(&self) -> &Activation {
        &self.activation
    }

    /// Returns the order of normalisation and activation.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// Returns the residual connection, if there is one.
    #[must_use]
    pub fn residual(&self) -> Option<&Residual> {
        self.residual.as_ref()
    }

    /// Returns the convolution and the shape of the images that the network begins with, if its
    /// linear maps are convolutions.
    #[must_use]
    pub fn convolution(&self) -> Option<(Convolution, Images)> {
        self.convolution
    }

    /// Returns the pooling at the end of each layer, if there is one.
    #[must_use]
    pub fn pooling(&self) -> Option<Pooling> {
        self.pooling
    }

    /// Returns the cheapest engine that has the law of this recipe's representations, for batches
    /// up to the width. Those of a larger batch are always held, since they are smaller than its
    /// Gram matrix.
    ///
    /// ```
    /// use orthogap::{Engine, Network, normalization::SampleNorm, weights::Uniform};
    ///
    /// let paper = Network::<f64>::new(64);
    /// assert_eq!(paper.engine(), Engine::Streamed);
    /// let layer_norm = paper.clone().with_normalization(SampleNorm::layer(0.0)?);
    /// assert_eq!(layer_norm.engine(), Engine::Materialized);
    /// assert_eq!(paper.with_weights(Uniform::xavier()).engine(), Engine::Explicit);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn engine(&self) -> Engine {
        let law = self.weights.product_law(Fans { inputs: self.width, outputs: self.width });
        let row_wise = self.normalization.is_row_wise() && self.residual.is_none();
        match law {
            _ if self.convolution.is_some() => Engine::Explicit,
            ProductLaw::Unknown => Engine::Explicit,
            ProductLaw::Gaussian { .. } if row_wise => Engine::Streamed,
            _ => Engine::Materialized,
        }
    }

    /// Logarithm of the gain of Gaussian weights, which are N(0, gain²/inputs).
    pub(crate) fn log_gain(&self, inputs: usize) -> f64 {
        match self.weights.product_law(Fans { inputs, outputs: self.width }) {
            ProductLaw::Gaussian { deviation } => deviation.ln() + 0.5 * (inputs as f64).ln(),
            _ => 0.0,
        }
    }

    /// The same recipe in another arithmetic.
    pub(crate) fn in_arithmetic<U: Scalar>(&self) -> Network<U> {
        let Self {
            width,
            weights,
            normalization,
            activation,
            order,
            residual,
            convolution,
            pooling,
            ..
        } = self.clone();
        Network {
            width,
            weights,
            normalization,
            activation,
            order,
            residual,
            convolution,
            pooling,
            arithmetic: PhantomData,
        }
    }

    /// The convolution that is the linear map, if it is one.
    pub(crate) fn convolution_layer(&self) -> Option<ConvolutionLayer> {
        let (convolution, input) = self.convolution?;
        Some(ConvolutionLayer { convolution, input, pooling: self.pooling })
    }

    /// Refuses a layer without neurons or with too many, an activation with a slope that is not finite,
    /// Gaussian weights too small for `f64`, and pooling of what is no image.
    pub(crate) fn check_layer(&self) -> Result<()> {
        let width = self.width;
        if width == 0 || width as u64 > MAX_WIDTH {
            let expected = "a width from 1 to 2^40";
            return Err(Error::InvalidParameter { name: "width", value: width as f64, expected });
        }
        self.activation.check()?;
        let law = self.weights.product_law(Fans { inputs: width, outputs: width });
        if let ProductLaw::Gaussian { deviation } = law
            && deviation < SMALLEST_DEVIATION
        {
            let expected =
                "weights above 1e-300, of which logarithms and squares keep their digits";
            let name = "size of weights";
            return Err(Error::InvalidParameter { name, value: deviation, expected });
        }
        if self.pooling.is_some() && self.convolution.is_none() {
            let needs = "a network with a convolution: only images can be pooled";
            return Err(Error::Unsupported { what: "pooling", needs });
        }
        Ok(())
    }

    /// The operations of a layer in place.
    pub(crate) fn stages(&self) -> Stages {
        Stages::new(self.order, self.residual.as_ref())
    }

    /// Refuses a recipe that cannot take this input.
    pub(crate) fn check(&self, input: &Input) -> Result<()> {
        self.check_layer()?;
        if let Some(layer) = self.convolution_layer() {
            let expected = (layer.input.len(), input.batch_size());
            let (what, found) = ("the batch of images", input.columns().shape());
            if found != expected {
                return Err(Error::ShapeMismatch { what, found, expected });
            }
        }
        self.check_batch_size(input.batch_size())
    }

    /// Refuses a batch that has nothing left when it is centred.
    pub(crate) fn check_batch_size(&self, batch_size: usize) -> Result<()> {
        let columns = match self.convolution_layer() {
            None => batch_size,
            Some(layer) => layer.output(layer.input, self.width)?.pixels() * batch_size,
        };
        if self.normalization.centers() && columns == 1 {
            return Err(Error::BatchTooSmall { batch_size, minimum: 2 });
        }
        Ok(())
    }
}

/// A convolution instead of a dense linear map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConvolutionLayer {
    pub convolution: Convolution,
    /// The shape of the input of the network.
    pub input: Images,
    pub pooling: Option<Pooling>,
}

impl ConvolutionLayer {
    /// The shape of a layer of `channels` whose input has shape `images`.
    pub(crate) fn output(&self, images: Images, channels: usize) -> Result<Images> {
        let output = self.convolution.output(images, channels)?;
        self.pooling.map_or(Ok(output), |pooling| pooling.output(output))
    }
}

/// How the layers of a chain are drawn; all engines have the same law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Engine {
    /// Rows are drawn given the Gram matrix, and not kept: `d n` normals, `O(n²)` memory.
    Streamed,
    /// Rows are drawn given the Gram matrix, and held, because more than their Gram matrix matters
    /// to the next layer: `d n` normals (Haar weights: and a QR of `d x n`), `O(d n)` memory.
    Materialized,
    /// Weights are drawn: `d²` numbers, `d² n` multiply-adds. All weights of a layer are held at
    /// once, unless they are Gaussian.
    Explicit,
}
