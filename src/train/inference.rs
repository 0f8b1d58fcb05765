//! Outputs of a classifier: losses, logits and Gram matrices.

use std::ops::Range;

use nalgebra::{DMatrix, DMatrixView};

use super::batch_pass::BatchPass;
use super::classifier::Classifier;
use super::loss::{Loss, check_labels};
use crate::backward::Statistics;
use crate::check;
use crate::{Error, Gram, Result, Scalar};

/// Samples that are evaluated at a time, at most, and numbers that their layers hold then.
const SAMPLES_AT_ONCE: usize = 512;
const NUMBERS_AT_ONCE: usize = 1 << 25;

impl<T: Scalar> Classifier<T> {
    /// Returns the loss of samples, `dimension x n` (images flattened as frameworks do, NCHW), in
    /// inference mode: batch normalisation uses its running statistics.
    ///
    /// Holds every layer of some samples at a time: about 2²⁵ numbers, or one sample.
    ///
    /// # Errors
    /// [`Empty`](crate::Error::Empty) and [`ShapeMismatch`](crate::Error::ShapeMismatch) of the
    /// samples; [`NotFinite`](crate::Error::NotFinite) of the samples, or of the logits or a layer
    /// of a sample, whose number is the column; [`Overflow`](crate::Error::Overflow) of the loss;
    /// [`LabelOutOfRange`](crate::Error::LabelOutOfRange); those of normalisations.
    pub fn evaluate(&self, samples: &DMatrix<T>, labels: &[usize]) -> Result<Loss> {
        self.check_samples(samples)?;
        check_labels((self.classes(), samples.ncols()), labels)?;
        let mut loss = Loss::default();
        self.infer(samples, |range, logits| {
            loss = loss.plus(Loss::of(logits, &labels[range])?);
            Ok(())
        })?;
        loss.check()
    }

    /// Returns the logits of samples in inference mode, `classes x n`. Memory is that of
    /// [`evaluate`](Self::evaluate).
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate).
    pub fn logits(&self, samples: &DMatrix<T>) -> Result<DMatrix<T>> {
        self.check_samples(samples)?;
        let mut all = DMatrix::zeros(self.classes(), samples.ncols());
        self.infer(samples, |range, logits| {
            all.columns_range_mut(range).copy_from(logits);
            Ok(())
        })?;
        Ok(all)
    }

    /// Visits the logits of some samples at a time: the memory of layers does not grow with their
    /// number.
    fn infer(
        &self,
        samples: &DMatrix<T>,
        mut visit: impl FnMut(Range<usize>, &DMatrix<T>) -> Result<()>,
    ) -> Result<()> {
        let mut pass = BatchPass::new(self)?;
        let all: Vec<usize> = (0..samples.ncols()).collect();
        let at_once = (NUMBERS_AT_ONCE / self.numbers_per_sample()?).clamp(1, SAMPLES_AT_ONCE);
        for some in all.chunks(at_once) {
            if let Err(error) = self.infer_some(&mut pass, samples, some) {
                // One by one, since some errors count pixels, and all count among these samples.
                for &sample in some {
                    self.infer_some(&mut pass, samples, &[sample])
                        .map_err(|error| error.of_sample(sample))?;
                }
                return Err(error);
            }
            visit(some[0]..some[0] + some.len(), pass.logits())?;
        }
        Ok(())
    }

    /// From some samples to their logits, which are finite.
    fn infer_some(
        &self,
        pass: &mut BatchPass<T>,
        samples: &DMatrix<T>,
        some: &[usize],
    ) -> Result<()> {
        pass.gather(self, samples, some)?;
        pass.forward(self, Statistics::Running)?;
        check::entries(pass.logits())
    }

    /// About as many numbers as a forward pass holds for a sample, at least 1: the factor of the
    /// weights in every layer, of a convolution the patches, the product and its activation.
    fn numbers_per_sample(&self) -> Result<usize> {
        self.layers.iter().try_fold(0, |numbers: usize, layer| {
            let convolution = layer.recipe.convolution_layer().zip(layer.images);
            let pixels = convolution.map_or(Ok(1), |(convolution, images)| {
                let output = convolution.convolution.output(images, layer.weights.nrows())?;
                Ok::<_, Error>(output.pixels())
            })?;
            let of_pixel = layer.weights.ncols() + 2 * layer.weights.nrows();
            Ok(numbers.saturating_add(of_pixel.saturating_mul(pixels)))
        })
    }

    /// Returns the Gram matrices of a batch: of the input (entry 0), of the output of every layer,
    /// and of the logits (the last entry). The pass is in training mode: batch normalisation uses
    /// the statistics of the batch.
    ///
    /// Holds every layer of the whole batch.
    ///
    /// ```
    /// use orthogap::train::Classifier;
    /// use orthogap::{Input, Network, Seed, normalization::BatchNorm};
    ///
    /// let layer = Network::<f64>::new(64).with_normalization(BatchNorm::standard(1e-5)?);
    /// let classifier = Classifier::sample(&vec![layer; 20], 6, 2, Seed(1))?;
    /// let grams = classifier.grams(Input::near_collinear(6, 1e-2)?.columns())?;
    /// assert_eq!(grams.len(), 22);
    /// assert!(grams[20].orthogonality_gap() < 0.5 * grams[0].orthogonality_gap());
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate); [`ZeroMatrix`](crate::Error::ZeroMatrix) of a layer
    /// that is zero.
    pub fn grams(&self, samples: &DMatrix<T>) -> Result<Vec<Gram>> {
        self.check_samples(samples)?;
        let mut pass = BatchPass::new(self)?;
        let all: Vec<usize> = (0..samples.ncols()).collect();
        pass.gather(self, samples, &all)?;
        pass.forward(self, Statistics::Batch)?;
        let gram = |h: &DMatrix<T>| {
            let rows = h.len() / samples.ncols();
            let columns = DMatrixView::from_slice(h.as_slice(), rows, samples.ncols());
            Ok(Gram::quick(&columns)?.0)
        };
        pass.representations().chain([pass.logits()]).map(gram).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation::Relu;
    use crate::convolution::{Convolution, Images, Pooling};
    use crate::normalization::{BatchNorm, Normalization};
    use crate::{Input, Network, Seed};

    /// A padding as wide as the kernel lets it makes more windows than pixels: 10 x 10 of 3 x 3.
    #[test]
    fn patches_count_by_the_pixels_of_the_output() {
        let images = Images::new(2, 3, 3).unwrap();
        let wide = Convolution::new(8).unwrap().with_padding_width(7).unwrap();
        let layer = Network::<f64>::new(4)
            .with_normalization(Normalization::None)
            .with_convolution(wide, images);
        let classifier = Classifier::sample(&[layer], images.len(), 3, Seed(1)).unwrap();
        assert_eq!(classifier.numbers_per_sample(), Ok((2 * 64 + 2 * 4) * 100));
    }

    /// Both outputs name the sample in the whole batch, of images, too.
    #[test]
    fn outputs_beyond_the_range_are_errors() {
        let layer = Network::<f32>::new(2).with_normalization(Normalization::None);
        let large = DMatrix::<f32>::identity(2, 2) * 1e30;
        let layers = [(layer.clone(), large.clone()), (layer.clone(), large.clone())];
        let dense = Classifier::new(layers, DMatrix::identity(2, 2)).unwrap();
        let images = Images::new(2, 2, 1).unwrap();
        let norm = BatchNorm::standard(1e-5).unwrap();
        let layers = [
            layer.clone().with_convolution(Convolution::new(1).unwrap(), images),
            layer.with_convolution(Convolution::new(1).unwrap(), images).with_normalization(norm),
        ];
        let head = DMatrix::identity(2, 4);
        let of_images = Classifier::new(layers.map(|layer| (layer, large.clone())), head).unwrap();
        for classifier in [dense, of_images] {
            let mut samples = DMatrix::<f32>::zeros(classifier.dimension(), 600);
            let labels = vec![0; 600];
            assert_eq!(classifier.logits(&samples).unwrap().amax(), 0.0);
            samples[(1, 599)] = 1e10;
            let error = classifier.logits(&samples).unwrap_err();
            assert!(matches!(error, Error::NotFinite { column: 599, .. }), "{error}");
            let of_loss = classifier.evaluate(&samples, &labels).unwrap_err();
            assert_eq!(of_loss.to_string(), error.to_string());
        }
    }

    /// The mean is a number, but the sum of 600 losses is none.
    #[test]
    fn a_loss_beyond_the_range_is_an_error() {
        let layer = Network::<f64>::new(1).with_normalization(Normalization::None);
        let (one, head) = (DMatrix::identity(1, 1), DMatrix::from_row_slice(2, 1, &[1.0, 0.0]));
        let classifier = Classifier::new([(layer, one)], head).unwrap();
        let samples = DMatrix::from_element(1, 600, 3e305);
        assert!(classifier.evaluate(&samples.columns(0, 500).into_owned(), &[1; 500]).is_ok());
        let error = classifier.evaluate(&samples, &[1; 600]).unwrap_err();
        assert!(matches!(error, Error::Overflow { what: "loss", .. }), "{error}");
    }

    /// Images of which not all are taken at once give what each of them gives alone.
    #[test]
    fn samples_beyond_what_is_evaluated_at_once() {
        let images = Images::new(1, 64, 64).unwrap();
        let layer = Network::<f64>::new(8)
            .with_normalization(Normalization::None)
            .with_activation(Relu)
            .with_convolution(Convolution::new(7).unwrap(), images)
            .with_pooling(Pooling::global_average());
        let classifier = Classifier::sample(&[layer], images.len(), 3, Seed(1)).unwrap();
        let at_once = NUMBERS_AT_ONCE / classifier.numbers_per_sample().unwrap();
        let n = at_once + 2;
        assert!(at_once > 1 && n < SAMPLES_AT_ONCE);
        let samples = Input::gaussian(images.len(), n, Seed(2)).unwrap();
        let samples = samples.columns();
        let labels: Vec<usize> = (0..n).map(|sample| sample % 3).collect();

        let logits = classifier.logits(samples).unwrap();
        for sample in [0, at_once - 1, at_once, n - 1] {
            let alone = classifier.logits(&samples.columns(sample, 1).into_owned()).unwrap();
            let error = (logits.column(sample) - alone.column(0)).amax();
            assert!(error <= 1e-13 * alone.amax(), "sample {sample}: {error}");
        }
        let expected = Loss::of(&logits, &labels).unwrap();
        let loss = classifier.evaluate(samples, &labels).unwrap();
        assert!((loss.mean() / expected.mean() - 1.0).abs() < 1e-12);
        assert_eq!((loss.samples(), loss.accuracy()), (n, expected.accuracy()));
    }
}
