//! A stack of layers, initialised one after the other while a batch passes.

use nalgebra::DMatrix;

use super::lsuv::root_mean_square;
use super::{LayerInit, Site};
use crate::activation::Activation;
use crate::check;
use crate::convolution::{Convolution, Images, Pooling};
use crate::gram::largest_entry;
use crate::metric::orthogonality_gap;
use crate::weights::Fans;
use crate::{Error, Replicate, Result, Scalar};

/// The initial weights of a network, drawn layer by layer while a batch passes: one interface for
/// all initialisations, whether they [depend on the batch](LayerInit) or not.
///
/// Layers are `H -> F(W H)`, without biases. Only the current `H` is held (`d x n`, samples are
/// columns; of images `C x (S n)`).
///
/// ```
/// use orthogap::{Activation::{Identity, Relu}, Input, Seed};
/// use orthogap::convolution::{Convolution, Images, Pooling};
/// use orthogap::train::init::{IterativeOrthogonalization, LayerwiseInit};
/// use orthogap::weights::Gaussian;
///
/// let images = Images::new(3, 8, 8)?;
/// let pixels = Input::gaussian(images.len(), 20, Seed(1))?.columns().clone();
/// let batch = images.unflatten(pixels)?;
/// let (init, kernel) = (IterativeOrthogonalization::recommended(), Convolution::new(3)?);
/// let mut network = LayerwiseInit::of_images(images, batch, Seed(2))?;
/// network
///     .convolution(&init, kernel, 6, &Relu)?
///     .convolution(&init, kernel, 6, &Relu)?
///     .pool(Pooling::max(2)?)?
///     .dense(&init, 32, &Relu)?
///     .dense(&Gaussian::he(), 10, &Identity)?;
/// let shapes: Vec<_> = network.weights().map(|weights| weights.shape()).collect();
/// assert_eq!(shapes, [(6, 27), (6, 54), (32, 96), (10, 32)]);
/// // Every product with the batch has entries of root mean square one, except for the head's.
/// assert!(network.layers()[..3].iter().all(|layer| (layer.scale() - 1.0).abs() < 1e-12));
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LayerwiseInit<T: Scalar> {
    run: Replicate,
    h: DMatrix<T>,
    images: Option<Images>,
    layers: Vec<InitialLayer<T>>,
}

/// A layer of a [`LayerwiseInit`]: its weights, and their effect on the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct InitialLayer<T: Scalar> {
    weights: DMatrix<T>,
    convolution: Option<Convolution>,
    flattened: Option<Images>,
    gap_before: f64,
    gap_after: f64,
    scale: f64,
}

impl<T: Scalar> InitialLayer<T> {
    /// Returns the weights `W`, `d x m`; of a convolution `C' x (C k²)`, in the order of
    /// [`Convolution`].
    #[must_use]
    pub fn weights(&self) -> &DMatrix<T> {
        &self.weights
    }

    /// Returns the convolution, if it is one.
    #[must_use]
    pub fn convolution(&self) -> Option<Convolution> {
        self.convolution
    }

    /// Returns the shape of the images that a dense layer flattens, if any: its weights have a
    /// column for each pixel and channel, channels innermost.
    #[must_use]
    pub fn flattened(&self) -> Option<Images> {
        self.flattened
    }

    /// Returns the [orthogonality gap](crate::Gram::orthogonality_gap) of what the weights
    /// multiply: `H`, or the windows of images.
    #[must_use]
    pub fn gap_before(&self) -> f64 {
        self.gap_before
    }

    /// Returns the orthogonality gap of the product `W H`, before the activation.
    #[must_use]
    pub fn gap_after(&self) -> f64 {
        self.gap_after
    }

    /// Returns the root mean square of the entries of `W H`, before the activation.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale
    }
}

impl<T: Scalar> LayerwiseInit<T> {
    /// Creates a stack without layers; `batch` is `m x n`, samples are columns.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`] and [`Error::ZeroMatrix`].
    pub fn new(batch: DMatrix<T>, run: impl Into<Replicate>) -> Result<Self> {
        largest_entry(&batch)?;
        Ok(Self { run: run.into(), h: batch, images: None, layers: Vec::new() })
    }

    /// Creates a stack without layers; `batch` are images, `C x (S n)`, in the layout of
    /// [`Images`].
    ///
    /// # Errors
    /// Those of [`new`](Self::new) and of [`Images::batch_size`].
    pub fn of_images(images: Images, batch: DMatrix<T>, run: impl Into<Replicate>) -> Result<Self> {
        images.batch_size(&batch)?;
        Ok(Self { images: Some(images), ..Self::new(batch, run)? })
    }

    /// Adds a dense layer of some width; images are flattened before it.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for width 0, a slope that is not finite in `f32`, or more than
    /// 2^40 weights or products;
    /// [`Error::ZeroMatrix`] if the product is zero, [`Error::NotFinite`] if it overflows;
    /// [`Error::ShapeMismatch`] if the initialisation returns another shape; those of the
    /// initialisation. The stack stays as it was.
    pub fn dense(
        &mut self,
        init: &impl LayerInit,
        width: usize,
        activation: &Activation,
    ) -> Result<&mut Self> {
        let flat = match self.images {
            Some(images) => Some(images.flatten(&self.h)?.into_owned()),
            None => None,
        };
        let inputs = flat.as_ref().unwrap_or(&self.h);
        let fans = Fans { inputs: inputs.nrows(), outputs: width };
        activation.check()?;
        let (mut layer, product) = layer(init, inputs, width, fans, self.site())?;
        layer.flattened = self.images.take();
        Ok(self.push(layer, product, activation))
    }

    /// Adds a convolution into `channels` channels.
    ///
    /// Holds all windows of the batch at once, `C k² S' n` numbers, and copies of them: one for the
    /// gap, and during [`IterativeOrthogonalization`](super::IterativeOrthogonalization) up to two
    /// in `f64`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there are no images here; [`Error::InvalidParameter`] for 0
    /// channels; those of [`Convolution::unfold`], and of [`dense`](Self::dense).
    pub fn convolution(
        &mut self,
        init: &impl LayerInit,
        convolution: Convolution,
        channels: usize,
        activation: &Activation,
    ) -> Result<&mut Self> {
        activation.check()?;
        let images = self.images()?;
        let output = convolution.output(images, channels)?;
        let fans = Fans {
            inputs: convolution.fan_in(images),
            outputs: channels * convolution.kernel().pow(2),
        };
        let windows = convolution.unfold(images, &self.h)?;
        let (mut layer, product) = layer(init, &windows, channels, fans, self.site())?;
        layer.convolution = Some(convolution);
        self.images = Some(output);
        Ok(self.push(layer, product, activation))
    }

    /// Pools the images.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there are no images here; those of [`Pooling::apply`].
    pub fn pool(&mut self, pooling: Pooling) -> Result<&mut Self> {
        let images = self.images()?;
        self.h = pooling.apply(images, &self.h)?;
        self.images = Some(pooling.output(images)?);
        Ok(self)
    }

    /// Returns the layers so far.
    #[must_use]
    pub fn layers(&self) -> &[InitialLayer<T>] {
        &self.layers
    }

    /// Returns the weights so far, layer by layer.
    pub fn weights(&self) -> impl ExactSizeIterator<Item = &DMatrix<T>> {
        self.layers.iter().map(InitialLayer::weights)
    }

    /// Returns the weights, layer by layer.
    #[must_use]
    pub fn into_weights(self) -> Vec<DMatrix<T>> {
        self.layers.into_iter().map(|layer| layer.weights).collect()
    }

    /// Returns the batch after the layers so far: `d x n`, of images `C x (S n)`.
    #[must_use]
    pub fn output(&self) -> &DMatrix<T> {
        &self.h
    }

    /// Returns the orthogonality gap of the [`output`](Self::output), one column a sample.
    ///
    /// # Errors
    /// [`Error::ZeroMatrix`] if all samples are zero, [`Error::NotFinite`] after an overflow.
    pub fn gap(&self) -> Result<f64> {
        match self.images {
            Some(images) => orthogonality_gap(&images.flatten(&self.h)?.into_owned()),
            None => orthogonality_gap(&self.h),
        }
    }

    fn images(&self) -> Result<Images> {
        let needs = "images before it, not plain columns: begin with of_images";
        self.images.ok_or(Error::Unsupported { what: "a convolution or pooling", needs })
    }

    fn site(&self) -> Site {
        // No machine holds 2^32 layers.
        Site::new(self.run, self.layers.len() as u32 + 1)
    }

    fn push(
        &mut self,
        layer: InitialLayer<T>,
        product: DMatrix<T>,
        activation: &Activation,
    ) -> &mut Self {
        self.layers.push(layer);
        self.h = product;
        activation.apply(self.h.as_mut_slice());
        self
    }
}

/// The layer of `width` neurons on `inputs`, and its product with them.
fn layer<T: Scalar>(
    init: &impl LayerInit,
    inputs: &DMatrix<T>,
    width: usize,
    fans: Fans,
    site: Site,
) -> Result<(InitialLayer<T>, DMatrix<T>)> {
    if width == 0 {
        let expected = "at least 1";
        return Err(Error::InvalidParameter { name: "width", value: 0.0, expected });
    }
    let weights = init.weights(inputs, width, fans, site)?;
    let (found, expected) = (weights.shape(), (width, inputs.nrows()));
    if found != expected {
        return Err(Error::ShapeMismatch { what: "the weight matrix", found, expected });
    }
    check::size("width x columns", (width, inputs.ncols()))?;
    let product = &weights * inputs;
    let layer = InitialLayer {
        weights,
        convolution: None,
        flattened: None,
        gap_before: orthogonality_gap(inputs)?,
        gap_after: orthogonality_gap(&product)?,
        scale: root_mean_square(&product)?,
    };
    Ok((layer, product))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation::{Identity, Relu};
    use crate::normalization::Normalization;
    use crate::train::init::{IterativeOrthogonalization, Lsuv};
    use crate::weights::{Gaussian, Uniform, WeightInit};
    use crate::{Gram, Input, Network, Purpose, Seed};
    use proptest::prelude::*;

    fn batch(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
        let mut batch = DMatrix::zeros(rows, columns);
        Seed(seed).replicate(0).stream(Purpose::Input, 0, 0).fill_normal(batch.as_mut_slice());
        batch
    }

    proptest! {
        #[test]
        fn gaps_are_those_of_the_gram_matrix(
            m in 1usize..12,
            n in 1usize..12,
            log_unit in -300..300i32,
            seed in 0u64..1000,
        ) {
            let h = batch(m, n, seed) * 10f64.powi(log_unit);
            let expected = Gram::from_columns(&h).unwrap().orthogonality_gap();
            prop_assert!((orthogonality_gap(&h).unwrap() - expected).abs() < 1e-13);
        }
    }

    /// A law's weights are those of the chain with weights of the same run.
    #[test]
    fn weights_that_do_not_look_are_those_of_the_explicit_chain() {
        let input = Input::gaussian(10, 4, Seed(3)).unwrap();
        let init = Uniform::he();
        let mut chain = Network::<f64>::new(16)
            .with_weights(init)
            .with_activation(Relu)
            .with_normalization(Normalization::None)
            .explicit_chain(&input, Seed(7))
            .unwrap();
        let mut stack = LayerwiseInit::new(input.columns().clone(), Seed(7)).unwrap();
        for layer in 0..3 {
            stack.dense(&init, 16, &Relu).unwrap();
            let step = chain.step().unwrap();
            assert_eq!(&stack.layers()[layer].weights, step.weights());
            let expected = step.layer().orthogonality_gap();
            assert!((stack.gap().unwrap() - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn bad_stacks_are_refused() {
        let mut stack = LayerwiseInit::new(batch(4, 3, 1), Seed(1)).unwrap();
        assert_eq!(
            stack.dense(&Gaussian::he(), 0, &Identity).unwrap_err().to_string(),
            "width = 0 is invalid: expected at least 1"
        );
        let kernel = Convolution::new(3).unwrap();
        assert!(stack.convolution(&Lsuv, kernel, 2, &Identity).is_err());
        assert!(stack.pool(Pooling::global_average()).is_err());
        let error = stack.dense(&Gaussian::he(), 1 << 62, &Identity).unwrap_err();
        assert_eq!(
            error.to_string(),
            "rows x inputs = 18446744073709552000 is invalid: \
             expected at most 2^40 numbers in a matrix"
        );
        assert_eq!(stack.dense(&Lsuv, 1 << 62, &Identity).unwrap_err(), error);
        let init = IterativeOrthogonalization::recommended();
        assert_eq!(stack.dense(&init, 1 << 62, &Identity).unwrap_err(), error);
        assert!(stack.layers().is_empty());
        assert!(LayerwiseInit::new(DMatrix::<f32>::zeros(2, 2), Seed(1)).is_err());
        let images = Images::new(2, 2, 2).unwrap();
        assert!(LayerwiseInit::of_images(images, batch(2, 5, 1), Seed(1)).is_err());
        let broken =
            |stack: &mut LayerwiseInit<f64>| stack.dense(&Broken, 4, &Identity).unwrap_err();
        assert!(matches!(broken(&mut stack), Error::ShapeMismatch { .. }));
    }

    /// Weights of a wrong shape.
    #[derive(Debug)]
    struct Broken;

    impl LayerInit for Broken {
        fn weights<T: Scalar>(
            &self,
            _: &DMatrix<T>,
            rows: usize,
            _: Fans,
            site: Site,
        ) -> Result<DMatrix<T>> {
            Gaussian::he().sample(rows, rows + 1, site.stream(0))
        }
    }

    /// A convolution sees windows, so its product is that of [`Convolution::apply`].
    #[test]
    fn convolutions_are_products_with_windows() {
        let images = Images::new(2, 5, 4).unwrap();
        let h = batch(2, 20 * 3, 5);
        let kernel = Convolution::new(3).unwrap().with_stride(2).unwrap();
        let mut stack = LayerwiseInit::of_images(images, h.clone(), Seed(1)).unwrap();
        stack.convolution(&Lsuv, kernel, 4, &Identity).unwrap();
        let layer = &stack.layers()[0];
        let expected = kernel.apply(images, layer.weights(), &h).unwrap();
        assert!((stack.output() - expected).amax() < 1e-13);
        assert_eq!((layer.convolution(), stack.output().ncols()), (Some(kernel), 3 * 2 * 3));
        assert!((layer.scale() - 1.0).abs() < 1e-14);
    }
}
