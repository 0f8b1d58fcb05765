//! A stack of layers with explicit weights and a linear classification head.

use nalgebra::{DMatrix, DVector};

use super::parameters::{LayerParameters, Parameters};
use super::shapes::Shapes;
use crate::check;
use crate::convolution::Images;
use crate::network::Operation;
use crate::normalization::TrainableBatchNorm;
use crate::weights::{self, Fans, Weights};
use crate::{Error, Network, Purpose, Replicate, Result, Scalar};

/// A stack of layers with explicit weights and a linear classification head, without biases, as in
/// the paper.
///
/// Layer `l` applies its recipe, a [`Network`], to the layer before with weights $`W_l`$,
/// `d_out x d_in` (of a convolution `C' x (C k²)`); samples are columns. The logits are
/// $`W_{\mathrm{head}} H_L`$, `classes x n`, where images are flattened, channels innermost.
///
/// Batch normalisation must be [`BatchNorm::standard`](crate::normalization::BatchNorm::standard),
/// centred and of unit root mean square. It gets a scale, a shift and running statistics, as
/// PyTorch's `BatchNorm1d` and `BatchNorm2d` have them: see [`TrainableBatchNorm`].
///
/// ```
/// use orthogap::nalgebra::{self, dmatrix};
/// use orthogap::normalization::Normalization;
/// use orthogap::train::Classifier;
/// use orthogap::weights::Uniform;
/// use orthogap::{Activation, Network, Seed};
///
/// let layer = Network::<f64>::new(16)
///     .with_normalization(Normalization::None)
///     .with_activation(Activation::Relu)
///     .with_weights(Uniform::he());
/// let classifier = Classifier::sample(&vec![layer; 5], 2, 3, Seed(1))?; // 2 inputs, 3 classes
/// assert_eq!(classifier.weights(0).shape(), (16, 2));
/// assert_eq!(classifier.head().shape(), (3, 16));
/// let samples = dmatrix![1.0, 0.0, -1.0, 0.5; 0.0, 1.0, 0.0, -2.0];
/// assert!(classifier.evaluate(&samples, &[0, 1, 2, 0])?.mean() > 0.1);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Classifier<T: Scalar> {
    pub(super) layers: Vec<Layer<T>>,
    pub(super) head: DMatrix<T>,
    /// Numbers in a sample.
    pub(super) dimension: usize,
}

/// A layer with its parameters.
#[derive(Clone, Debug)]
pub(super) struct Layer<T: Scalar> {
    pub recipe: Network<T>,
    pub weights: DMatrix<T>,
    pub norm: Option<TrainableBatchNorm<T>>,
    /// The shape of its input, if it is images.
    pub images: Option<Images>,
}

impl<T: Scalar> Classifier<T> {
    /// Creates a classifier from the recipes and weights of its layers, and the weights of its
    /// head.
    ///
    /// The law of the weights in a recipe does not matter here.
    ///
    /// ```
    /// use orthogap::nalgebra::DMatrix;
    /// use orthogap::train::Classifier;
    /// use orthogap::{Activation, Network, normalization::Normalization};
    ///
    /// let layer = Network::<f64>::new(4)
    ///     .with_normalization(Normalization::None)
    ///     .with_activation(Activation::Tanh);
    /// let weights = [DMatrix::from_element(4, 7, 0.1), DMatrix::identity(4, 4)];
    /// let layers = weights.map(|weights| (layer.clone(), weights));
    /// let classifier = Classifier::new(layers, DMatrix::identity(4, 4))?;
    /// assert_eq!((classifier.dimension(), classifier.depth(), classifier.classes()), (7, 2, 4));
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// A dense layer, or the head, may follow convolutions. It takes their images flattened with
    /// channels innermost: in images of `C` channels and `S` pixels, feature `p C + c` is channel
    /// `c` of pixel `p`. In PyTorch, which flattens NCHW, that is feature `c S + p`. For parameters
    /// from PyTorch this permutation applies to the columns of the weights, and to scale, shift and
    /// running statistics of a batch normalisation before the linear map
    /// ([`Order::NormActivationLinear`](crate::Order::NormActivationLinear)). If a
    /// [`Residual`](crate::Residual) connection adds the flattened images, the output is in this
    /// order, too. The permutation then also applies to the rows of the weights, to a batch
    /// normalisation after them, and to the columns of the next layer.
    ///
    /// ```
    /// use orthogap::nalgebra::DMatrix;
    /// use orthogap::convolution::{Convolution, Images};
    /// use orthogap::train::Classifier;
    /// use orthogap::{Input, Network, Seed, normalization::Normalization};
    ///
    /// // A convolution that copies its two channels, and a head that copies PyTorch's features.
    /// let (channels, pixels) = (2, 6);
    /// let layer = Network::<f64>::new(channels)
    ///     .with_normalization(Normalization::None)
    ///     .with_convolution(Convolution::new(1)?, Images::new(channels, 2, 3)?);
    /// let pytorch = DMatrix::<f64>::identity(12, 12);
    /// let head = DMatrix::from_fn(12, 12, |row, feature| {
    ///     pytorch[(row, feature % channels * pixels + feature / channels)]
    /// });
    /// let classifier = Classifier::new([(layer, DMatrix::identity(2, 2))], head)?;
    /// let samples = Input::gaussian(12, 5, Seed(1))?.columns().clone(); // NCHW
    /// assert_eq!(classifier.logits(&samples)?, samples);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// Group normalisation of flattened images before the linear map has groups of pixels, where
    /// PyTorch has groups of channels. No permutation of parameters makes them equal.
    ///
    /// # Errors
    /// [`Error::Empty`] without layers or classes; [`Error::InvalidParameter`] for a layer of width
    /// 0; [`Error::ShapeMismatch`] of weights that do not fit; [`Error::NotFinite`];
    /// [`Error::Unsupported`] of a batch normalisation without running statistics, of pooling in a
    /// dense layer, or of a convolution after one; those of convolutions and poolings.
    pub fn new(
        layers: impl IntoIterator<Item = (Network<T>, DMatrix<T>)>,
        head: DMatrix<T>,
    ) -> Result<Self> {
        let mut layers = layers.into_iter();
        let mut shapes: Option<Shapes> = None;
        let mut stack = Vec::new();
        for (recipe, weights) in &mut layers {
            let so_far = match shapes {
                Some(shapes) => shapes,
                None => Shapes::of_input(&recipe, weights.ncols()),
            };
            let (images, inputs, next) = so_far.layer(&recipe)?;
            fits("the weight matrix", &weights, (recipe.width(), inputs))?;
            // Before the linear map it is the input that is normalised.
            let rows = match recipe.stages().before.contains(&Operation::Normalize) {
                true => images.map_or(inputs, |images| images.channels()),
                false => recipe.width(),
            };
            let norm = recipe.normalization().trainable(rows)?;
            stack.push(Layer { recipe, weights, norm, images });
            shapes = Some(next);
        }
        let Some(Shapes { dimension, features, .. }) = shapes else {
            return Err(Error::Empty { rows: 0, columns: 0 });
        };
        fits("the weight matrix of the head", &head, (head.nrows(), features))?;
        Ok(Self { layers: stack, head, dimension })
    }

    /// Draws a classifier: layers of given recipes with weights of their laws, and a head with
    /// weights of the last recipe's law.
    ///
    /// Layer `l`, counted from 1, is drawn from the stream of [`Purpose::Weights`] and `l`; the
    /// head is drawn as the layer after the last.
    ///
    /// # Errors
    /// Those of [`new`](Self::new); [`Error::ShapeMismatch`] unless `dimension` is that of the
    /// images of a convolution; [`Error::InvalidParameter`] for more than 2^40 weights in a layer;
    /// [`Error::StreamExhausted`] beyond 2^32 layers.
    pub fn sample(
        recipes: &[Network<T>],
        dimension: usize,
        classes: usize,
        run: impl Into<Replicate>,
    ) -> Result<Self> {
        let run = run.into();
        let Some((first, last)) = recipes.first().zip(recipes.last()) else {
            return Err(Error::Empty { rows: 0, columns: 0 });
        };
        let draw = |law: &Weights, rows: usize, fans: Fans, layer: usize| {
            let layer = u32::try_from(layer)
                .map_err(|_| Error::StreamExhausted { coordinate: "layer", value: layer })?;
            weights::draw(law, (rows, fans.inputs), fans, run.stream(Purpose::Weights, layer, 0))
        };
        let mut shapes = Shapes::of_input(first, dimension);
        if shapes.dimension != dimension {
            let (found, expected) = ((dimension, 1), (shapes.dimension, 1));
            return Err(Error::ShapeMismatch { what: "a sample", found, expected });
        }
        let mut layers = Vec::with_capacity(recipes.len());
        for (layer, recipe) in (1..).zip(recipes) {
            let (images, inputs, next) = shapes.layer(recipe)?;
            let window = match (images, recipe.convolution_layer()) {
                (Some(_), Some(layer)) => layer.convolution.kernel().pow(2),
                _ => 1,
            };
            let fans = Fans { inputs, outputs: recipe.width() * window };
            layers.push((recipe.clone(), draw(recipe.weights(), recipe.width(), fans, layer)?));
            shapes = next;
        }
        let fans = Fans { inputs: shapes.features, outputs: classes };
        let head = draw(last.weights(), classes, fans, recipes.len() + 1)?;
        Self::new(layers, head)
    }

    /// Sets the parameters and running statistics of the batch normalisation of a layer, such as
    /// saved ones.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if the layer does not exist or has no batch normalisation,
    /// or if its epsilon is not that of the recipe, which training uses, or a scale or a shift is
    /// not finite; [`Error::ShapeMismatch`] of its width.
    pub fn with_batch_norm(mut self, layer: usize, norm: TrainableBatchNorm<T>) -> Result<Self> {
        match self.layers.get_mut(layer).and_then(|layer| layer.norm.as_mut()) {
            Some(old) if old.width() == norm.width() => {
                let (name, value) = ("epsilon of the batch norm", norm.epsilon());
                let expected = "the epsilon of the layer's recipe";
                check::parameter(name, value, value == old.epsilon(), expected)?;
                norm.check_affine()?;
                *old = norm;
            }
            Some(old) => {
                let (found, expected) = ((norm.width(), 1), (old.width(), 1));
                return Err(Error::ShapeMismatch { what: "the batch norm", found, expected });
            }
            None => {
                return Err(Error::InvalidParameter {
                    name: "layer",
                    value: layer as f64,
                    expected: "a layer with batch normalisation",
                });
            }
        }
        Ok(self)
    }

    /// Returns the number of layers, without the head.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.layers.len()
    }

    /// Returns the number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.head.nrows()
    }

    /// Returns the numbers in a sample, of images `C S`.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Returns the weights of a layer, counted from 0: `d_out x d_in`, of a convolution
    /// `C' x (C k²)`.
    ///
    /// # Panics
    /// If there is no such layer.
    #[must_use]
    pub fn weights(&self, layer: usize) -> &DMatrix<T> {
        &self.layers[layer].weights
    }

    /// Returns the batch normalisation of a layer, counted from 0, if it has one.
    ///
    /// # Panics
    /// If there is no such layer.
    #[must_use]
    pub fn batch_norm(&self, layer: usize) -> Option<&TrainableBatchNorm<T>> {
        self.layers[layer].norm.as_ref()
    }

    /// Returns the weights of the head, `classes x features`.
    #[must_use]
    pub fn head(&self) -> &DMatrix<T> {
        &self.head
    }

    /// Returns the number of parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let of_layer = |layer: &Layer<T>| {
            layer.weights.len() + layer.norm.as_ref().map_or(0, |norm| 2 * norm.width())
        };
        self.head.len() + self.layers.iter().map(of_layer).sum::<usize>()
    }

    /// Zeros in the shapes of all parameters.
    pub(super) fn zeros(&self) -> Parameters<T> {
        let layers = self.layers.iter().map(|layer| {
            let width = layer.norm.as_ref().map_or(0, TrainableBatchNorm::width);
            LayerParameters {
                weights: DMatrix::zeros(layer.weights.nrows(), layer.weights.ncols()),
                gamma: DVector::zeros(width),
                beta: DVector::zeros(width),
            }
        });
        Parameters {
            layers: layers.collect(),
            head: DMatrix::zeros(self.head.nrows(), self.head.ncols()),
        }
    }

    /// All parameters, in the order of [`Parameters::slices`].
    pub(super) fn slices_mut(&mut self) -> impl Iterator<Item = &mut [T]> {
        let layers = self.layers.iter_mut().flat_map(|Layer { weights, norm, .. }| {
            let (gamma, beta) = match norm {
                Some(norm) => norm.affine_mut(),
                None => (&mut [][..], &mut [][..]),
            };
            [weights.as_mut_slice(), gamma, beta]
        });
        layers.chain([self.head.as_mut_slice()])
    }

    /// Refuses samples that are not its own.
    pub(super) fn check_samples(&self, samples: &DMatrix<T>) -> Result<()> {
        fits("the batch", samples, (self.dimension, samples.ncols()))
    }
}

/// Refuses a matrix of another shape, an empty one, or one with entries that are not finite.
fn fits<T: Scalar>(
    what: &'static str,
    matrix: &DMatrix<T>,
    expected: (usize, usize),
) -> Result<()> {
    let found = matrix.shape();
    if found != expected {
        return Err(Error::ShapeMismatch { what, found, expected });
    }
    if matrix.is_empty() {
        return Err(Error::Empty { rows: found.0, columns: found.1 });
    }
    check::entries(matrix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::convolution::Convolution;

    #[test]
    fn a_convolution_after_a_dense_layer_is_refused() {
        let dense = Network::<f64>::new(4);
        let images = Images::new(1, 2, 2).unwrap();
        let convolution = dense.clone().with_convolution(Convolution::new(1).unwrap(), images);
        let error = Classifier::sample(&[dense, convolution], 16, 2, Seed(1)).unwrap_err();
        let text = "a convolution needs images, which a dense layer before it does not return";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn weights_that_fit_no_memory_are_refused() {
        let layer = Network::<f64>::new(1 << 40);
        let error = Classifier::sample(&[layer], 1 << 24, 2, Seed(1)).unwrap_err();
        assert!(error.to_string().starts_with("rows x inputs = 18446744073709552000 is invalid"));
        let layer = Network::<f64>::new(4);
        let error = Classifier::sample(&[layer], 2, 1 << 62, Seed(1)).unwrap_err();
        assert!(matches!(error, Error::InvalidParameter { name: "rows x inputs", .. }));
    }
}
