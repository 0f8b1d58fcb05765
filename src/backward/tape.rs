//! One layer of a recipe on given weights, recorded on the way forward and read backwards.

use nalgebra::DMatrix;

use super::Scaled;
use super::record::{Gradient, Parameters, Record, Statistics, Step, Units, operand};
use crate::convolution::Images;
use crate::product::Products;
use crate::{Error, Gram, Network, Result, Scalar};

/// The record of one layer of a [`Network`] on given weights: all that its reverse pass needs.
///
/// A layer is `last(H + c after(W before(H)))`, perhaps pooled, for every recipe; see
/// [`Order`](crate::Order) and [`Residual`](crate::Residual). It is computed here step by step, and
/// every step leaves its input on the tape: `O(d n)` memory a step, of a convolution
/// `O(C k² S n)`.
///
/// ```
/// use orthogap::nalgebra::{self, dmatrix};
/// use orthogap::Network;
/// use orthogap::backward::Tape;
/// use orthogap::normalization::BatchNorm;
///
/// let network = Network::<f64>::new(2).with_normalization(BatchNorm::standard(0.1)?);
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
pub struct Tape<'a, T: Scalar> {
    network: &'a Network<T>,
    weights: &'a DMatrix<T>,
    input: Scaled<T>,
    record: Record<T>,
}

impl<'a, T: Scalar> Tape<'a, T> {
    /// Computes layer number `layer` (counted from 1; the weight of a residual branch may depend on
    /// it) of an input, `d x n`.
    ///
    /// In a convolutional network the input is images of shape `images`, as [`Images`] lays them
    /// out, by default of the shape that the network begins with; a dense network ignores it.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] of the weights, which must be `width x d`, of a convolution
    /// `width x (C k²)`, or of the images; [`Error::Empty`] and [`Error::NotFinite`] of the input;
    /// [`Error::Overflow`] of the product or the output, or if a weight is not finite;
    /// [`Error::InvalidParameter`] for a network of width 0, or a unit of the input that is not
    /// finite; [`Error::Unsupported`] for a dense network with pooling; those of the normalisation,
    /// the convolution, the pooling, and [`Residual::weight`].
    ///
    /// [`Residual::weight`]: crate::Residual::weight
    pub fn new(
        network: &'a Network<T>,
        layer: usize,
        input: Scaled<T>,
        images: Option<Images>,
        weights: &'a DMatrix<T>,
    ) -> Result<Self> {
        input.check()?;
        network.check_layer()?;
        if input.matrix.is_empty() {
            let (rows, columns) = input.matrix.shape();
            return Err(Error::Empty { rows, columns });
        }
        let images = network.convolution_layer().map(|layer| images.unwrap_or(layer.input));
        if let Some(images) = images {
            images.batch_size(&input.matrix)?;
        }
        let shape = (input.matrix.nrows(), images);
        let mut record = Record::new(network, layer, shape, false, Units::Free)?;
        let parameters = Parameters { network, weights, norm: None };
        record.forward(&input, parameters, Statistics::Batch, &mut Products::new())?;
        record.output().check_result("output of the layer")?;
        Ok(Self { network, weights, input, record })
    }

    /// Returns the representation that the layer ends with, `d x n`.
    #[must_use]
    pub fn output(&self) -> &Scaled<T> {
        self.record.output()
    }

    /// Returns the shape of the output as images, in a convolutional network.
    #[must_use]
    pub fn images(&self) -> Option<Images> {
        self.record.images()
    }
}

impl<T: Scalar> Tape<'_, T> {
    /// Returns the gradients of a loss with respect to the input and to the weights, given its
    /// gradient with respect to the output of the layer.
    ///
    /// Cost: `d² n` multiply-adds and `O(d n)` for every step.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless the gradient has the shape of the output;
    /// [`Error::NotFinite`] of the gradient, [`Error::InvalidParameter`] of its unit;
    /// [`Error::Overflow`] if it leaves the range of `T` within the layer, because a nearly zero
    /// row or sample was normalised; [`Error::MissingDerivative`] of a custom activation.
    pub fn pull_back(&self, gradient: Scaled<T>) -> Result<LayerGradient<'_, T>> {
        let (found, expected) = (gradient.matrix.shape(), self.output().matrix.shape());
        if found != expected {
            return Err(Error::ShapeMismatch { what: "the gradient", found, expected });
        }
        gradient.check()?;
        let parameters = Parameters { network: self.network, weights: self.weights, norm: None };
        let (mut gradient, mut product) = (Gradient::from(gradient), None);
        let visit = |step: &Step, gradient: &Scaled<T>, input, _: &mut _| {
            if let Step::Multiply = step {
                product = Some((input, gradient.clone()));
            }
        };
        let products = &mut Products::new();
        self.record.pull_back(&self.input, parameters, &mut gradient, true, products, visit)?;
        let (multiplied, product) = product.expect("every layer multiplies by its weights");
        Ok(LayerGradient { input: gradient.now, product, multiplied })
    }
}

/// The gradients of a loss with respect to the input and to the weights of a layer.
#[derive(Clone, Debug)]
pub struct LayerGradient<'a, T: Scalar> {
    input: Scaled<T>,
    /// By the product `Y = W X`.
    product: Scaled<T>,
    /// `X`.
    multiplied: &'a Scaled<T>,
}

impl<T: Scalar> LayerGradient<'_, T> {
    /// Returns the gradient with respect to the input of the layer, of its shape.
    #[must_use]
    pub fn input(&self) -> &Scaled<T> {
        &self.input
    }

    /// Returns the gradient with respect to the input, for the layer before.
    #[must_use]
    pub fn into_input(self) -> Scaled<T> {
        self.input
    }

    /// The gradient `G` by the product `W X`, and `X`.
    pub(super) fn factors(&self) -> (&Scaled<T>, &Scaled<T>) {
        (&self.product, self.multiplied)
    }

    /// Returns the gradient $`G X^\top`$ with respect to the weights, of their shape, where `G` is
    /// the gradient with respect to the product `W X`.
    ///
    /// Cost: `d² n` multiply-adds.
    ///
    /// # Errors
    /// [`Error::Overflow`] if an entry is not finite.
    pub fn weights(&self) -> Result<Scaled<T>> {
        let mut matrix = DMatrix::zeros(0, 0);
        let (left, right) = (operand(&self.product.matrix), operand(&self.multiplied.matrix));
        Products::new().multiply(left, right.transposed(), &mut matrix);
        let log_unit = self.product.log_unit + self.multiplied.log_unit;
        let mut gradient = Scaled::new(matrix, log_unit);
        gradient.balance("gradient by the weights")?;
        Ok(gradient)
    }

    /// Returns the natural logarithm of the Frobenius norm of [`weights`](Self::weights), minus
    /// infinity if it is zero.
    ///
    /// If there are fewer columns than inputs, the `d x d` gradient is not formed: with
    /// $`X^\top X = R^\top R`$, the norm is that of $`G R^\top`$. Cost: `d n²` then, otherwise that
    /// of [`weights`](Self::weights).
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
