//! One layer of a recipe on given weights, recorded on the way forward and read backwards.

use nalgebra::DMatrix;

use super::Scaled;
use crate::activation::{Activation, Differentiable};
use crate::convolution::{Convolution, Images, Pooling};
use crate::network::Operation;
use crate::weights::WeightInit;
use crate::{Error, Gram, Network, Result, Scalar};

/// The record of one layer of a [`Network`] on given weights: all that its reverse pass needs.
///
/// A layer is `last(H + c after(W before(H)))`, perhaps pooled, whatever the recipe; see
/// [`Order`](crate::Order) and [`Residual`](crate::Residual). It is computed here step by step, and
/// every step leaves its input on the tape: `O(d n)` memory a step, of a convolution
/// `O(C k² S n)`. Products are nalgebra's, whose last digits can depend on the instruction set.
///
/// ```
/// use nalgebra::dmatrix;
/// use orthogap::Network;
/// use orthogap::backward::Tape;
/// use orthogap::normalization::BatchNorm;
///
/// let network = Network::<f64>::new(2).normalization(BatchNorm::standard(0.1)?);
/// let (h, w) = (dmatrix![1.0, 2.0, 4.0; 3.0, 1.0, 0.0], dmatrix![0.5, -1.0; 2.0, 1.0]);
/// let loss = |w| Ok(Tape::new(&network, 1, h.clone().into(), None, w)?.output().to_matrix()[(0, 2)]);
///
/// let tape = Tape::new(&network, 1, h.clone().into(), None, &w)?;
/// let by_output = dmatrix![0.0, 0.0, 1.0; 0.0, 0.0, 0.0]; // the loss is one entry of the output
/// let gradient = tape.pull_back(by_output.into())?.weights()?.to_matrix();
/// let step = dmatrix![1e-5, 0.0; 0.0, 0.0];
/// let difference = (loss(&(&w + &step))? - loss(&(&w - &step))?) / 2e-5;
/// assert!((gradient[(0, 0)] / difference - 1.0).abs() < 1e-8);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tape<'a, T: Scalar, A, W> {
    network: &'a Network<T, A, W>,
    weights: &'a DMatrix<T>,
    steps: Vec<Step<T>>,
    output: Scaled<T>,
    images: Option<Images>,
}

/// A step of a layer, with what its pullback needs of its input.
#[derive(Clone, Debug)]
enum Step<T> {
    Operation {
        operation: Operation,
        input: Scaled<T>,
        pixels: usize,
    },
    Unfold {
        convolution: Convolution,
        images: Images,
    },
    Multiply {
        input: Scaled<T>,
    },
    /// The input of the layer plus `weight` times what there is.
    Connect {
        weight: f64,
    },
    Pool {
        pooling: Pooling,
        images: Images,
        input: DMatrix<T>,
    },
}

impl<'a, T: Scalar, A: Activation, W: WeightInit> Tape<'a, T, A, W> {
    /// Computes layer number `layer` (counted from 1; the weight of a residual branch may depend on
    /// it) of an input, `d x n`.
    ///
    /// In a convolutional network the input is images of shape `images`, as [`Images`] lays them
    /// out, by default of the shape that the network begins with; a dense network ignores it.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] of the weights, which must be `width x d`, of a convolution
    /// `width x (C k²)`, or of the images; [`Error::Empty`] and [`Error::NotFinite`] of the input;
    /// [`Error::Overflow`] of the product; those of the normalisation, the convolution, the pooling,
    /// and [`Residual::weight`].
    ///
    /// [`Residual::weight`]: crate::Residual::weight
    pub fn new(
        network: &'a Network<T, A, W>,
        layer: usize,
        input: Scaled<T>,
        images: Option<Images>,
        weights: &'a DMatrix<T>,
    ) -> Result<Self> {
        input.check()?;
        if input.matrix.is_empty() {
            let (rows, columns) = input.matrix.shape();
            return Err(Error::Empty { rows, columns });
        }
        let stages = network.stages();
        let convolution = network.convolution_layer();
        let images = convolution.map(|layer| images.unwrap_or(layer.input));
        if let Some(images) = images {
            images.batch_size(&input.matrix)?;
        }

        let mut recorder = Recorder { network, steps: Vec::new() };
        let mut h = recorder.operations(stages.before, input.clone(), images)?;
        let mut next_images = None;
        if let Some((layer, images)) = convolution.zip(images) {
            h.matrix = recorder.unfold(layer.convolution, images, &h.matrix)?;
            next_images = Some(layer.convolution.output(images, network.width())?);
        }
        h = recorder.multiply(weights, h)?;
        h = recorder.operations(stages.after, h, next_images)?;
        if let Some(residual) = network.connection()
            && (h.matrix.shape(), next_images) == (input.matrix.shape(), images)
        {
            let weight = residual.weight(layer)?;
            recorder.steps.push(Step::Connect { weight });
            h = h.times_plus(weight, &input);
        }
        h = recorder.operations(stages.last, h, next_images)?;
        if let Some((pooling, images)) =
            convolution.and_then(|layer| layer.pooling).zip(next_images)
        {
            h.matrix = recorder.pool(pooling, images, h.matrix)?;
            next_images = Some(pooling.output(images)?);
        }
        Ok(Self { network, weights, steps: recorder.steps, output: h, images: next_images })
    }

    /// The representation that the layer ends with, `d x n`.
    #[must_use]
    pub fn output(&self) -> &Scaled<T> {
        &self.output
    }

    /// The shape of the images that it is, in a convolutional network.
    #[must_use]
    pub fn images(&self) -> Option<Images> {
        self.images
    }
}

impl<T: Scalar, A: Differentiable, W: WeightInit> Tape<'_, T, A, W> {
    /// The reverse pass: from the gradient of a loss by the output of the layer to its gradients by
    /// the input and by the weights.
    ///
    /// Cost: `d² n` multiply-adds and `O(d n)` for every step.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless the gradient has the shape of the output;
    /// [`Error::NotFinite`]; [`Error::Overflow`] if it leaves the range of `T` within the layer,
    /// because something of next to no length was normalised.
    pub fn pull_back(&self, gradient: Scaled<T>) -> Result<LayerGradient<'_, T>> {
        let (found, expected) = (gradient.matrix.shape(), self.output.matrix.shape());
        if found != expected {
            return Err(Error::ShapeMismatch { what: "the gradient", found, expected });
        }
        gradient.check()?;
        let mut gradient = gradient.balanced("gradient")?;
        let (mut skipped, mut product) = (None, None);
        for step in self.steps.iter().rev() {
            match step {
                Step::Operation { operation, input, pixels } => {
                    let at = (&input.matrix, *pixels, input.log_unit);
                    gradient.log_unit +=
                        self.network.pull_back(*operation, at, &mut gradient.matrix)?;
                }
                Step::Unfold { convolution, images } => {
                    gradient.matrix = convolution.fold(*images, &gradient.matrix)?;
                }
                Step::Multiply { input } => {
                    // Transposed twice, it is the product that nalgebra is fast at.
                    let transposed = gradient.matrix.transpose() * self.weights;
                    let by_input = Scaled::new(transposed.transpose(), gradient.log_unit);
                    product = Some((input, std::mem::replace(&mut gradient, by_input)));
                }
                Step::Connect { weight } => {
                    skipped = Some(gradient.clone());
                    gradient.matrix *= T::of(*weight);
                }
                Step::Pool { pooling, images, input } => {
                    gradient.matrix = pooling.adjoint(*images, input, &gradient.matrix)?;
                }
            }
            gradient = gradient.balanced("gradient")?;
        }
        let input = match skipped {
            Some(skipped) => gradient.times_plus(1.0, &skipped).balanced("gradient")?,
            None => gradient,
        };
        let (multiplied, product) = product.expect("every layer multiplies by its weights");
        Ok(LayerGradient { input, product, multiplied })
    }
}

/// The gradients of a loss by what goes into a layer.
#[derive(Clone, Debug)]
pub struct LayerGradient<'a, T: Scalar> {
    input: Scaled<T>,
    /// By the product `Y = W X`.
    product: Scaled<T>,
    /// `X`.
    multiplied: &'a Scaled<T>,
}

impl<T: Scalar> LayerGradient<'_, T> {
    /// The gradient by the input of the layer, of its shape.
    #[must_use]
    pub fn input(&self) -> &Scaled<T> {
        &self.input
    }

    /// The gradient by the input, to go on with to the layer before.
    #[must_use]
    pub fn into_input(self) -> Scaled<T> {
        self.input
    }

    /// The gradient $`G X^\top`$ by the weights, of their shape, where `G` is the gradient by the
    /// product `W X`.
    ///
    /// Cost: `d² n` multiply-adds.
    ///
    /// # Errors
    /// [`Error::Overflow`] if an entry is not finite.
    pub fn weights(&self) -> Result<Scaled<T>> {
        let matrix = &self.product.matrix * self.multiplied.matrix.transpose();
        Scaled::new(matrix, self.product.log_unit + self.multiplied.log_unit)
            .balanced("gradient by the weights")
    }

    /// Natural logarithm of the Frobenius norm of [`weights`](Self::weights), minus infinity if it
    /// is zero.
    ///
    /// Where there are fewer columns than inputs the `d x d` gradient is not formed: with
    /// $`X^\top X = R^\top R`$, the norm is that of $`G R^\top`$. Cost: `d n²`.
    ///
    /// # Errors
    /// Those of [`weights`](Self::weights).
    pub fn log_weights_norm(&self) -> Result<f64> {
        let x = &self.multiplied.matrix;
        if x.ncols() >= x.nrows() {
            return Ok(self.weights()?.log_norm());
        }
        let (gram, log_norm) = match Gram::quick(x) {
            Err(Error::ZeroMatrix { .. }) => return Ok(f64::NEG_INFINITY),
            quick => quick?,
        };
        let product = self.product.matrix.map(|g| -> f64 { g.into() }) * gram.factor().transpose();
        let log_unit = self.product.log_unit + self.multiplied.log_unit + log_norm;
        Ok(Scaled::new(product, log_unit).log_norm())
    }
}

/// Does the steps of a layer and writes them down.
struct Recorder<'a, T: Scalar, A, W> {
    network: &'a Network<T, A, W>,
    steps: Vec<Step<T>>,
}

impl<T: Scalar, A: Activation, W: WeightInit> Recorder<'_, T, A, W> {
    fn operations(
        &mut self,
        operations: &[Operation],
        mut h: Scaled<T>,
        images: Option<Images>,
    ) -> Result<Scaled<T>> {
        let pixels = images.map_or(1, |images| images.pixels());
        for &operation in operations {
            let input = h.clone();
            let rows = h.matrix.nrows();
            let entries = (h.matrix.as_mut_slice(), rows);
            self.network.operate(operation, entries, pixels, h.log_unit)?;
            h.log_unit = self.network.unit_after(operation, h.log_unit);
            self.steps.push(Step::Operation { operation, input, pixels });
        }
        Ok(h)
    }

    fn unfold(
        &mut self,
        convolution: Convolution,
        images: Images,
        h: &DMatrix<T>,
    ) -> Result<DMatrix<T>> {
        self.steps.push(Step::Unfold { convolution, images });
        convolution.unfold(images, h)
    }

    fn multiply(&mut self, weights: &DMatrix<T>, h: Scaled<T>) -> Result<Scaled<T>> {
        let (found, expected) = (weights.shape(), (self.network.width(), h.matrix.nrows()));
        if found != expected {
            return Err(Error::ShapeMismatch { what: "the weight matrix", found, expected });
        }
        let product = Scaled::new(weights * &h.matrix, h.log_unit).balanced("product W H")?;
        self.steps.push(Step::Multiply { input: h });
        Ok(product)
    }

    fn pool(&mut self, pooling: Pooling, images: Images, h: DMatrix<T>) -> Result<DMatrix<T>> {
        let pooled = pooling.apply(images, &h)?;
        self.steps.push(Step::Pool { pooling, images, input: h });
        Ok(pooled)
    }
}
