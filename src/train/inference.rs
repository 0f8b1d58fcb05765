//! Outputs of a classifier: losses, logits and Gram matrices.

use std::ops::Range;

use nalgebra::{DMatrix, DMatrixView};

use super::batch_pass::BatchPass;
use super::classifier::{Classifier, Layer};
use super::loss::{Loss, check_labels};
use crate::backward::Statistics;
use crate::{Gram, Result, Scalar};

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
    /// samples; [`NotFinite`](crate::Error::NotFinite) of the samples or the logits;
    /// [`LabelOutOfRange`](crate::Error::LabelOutOfRange); those of normalisations.
    pub fn evaluate(&self, samples: &DMatrix<T>, labels: &[usize]) -> Result<Loss> {
        self.check_samples(samples)?;
        check_labels((self.classes(), samples.ncols()), labels)?;
        let mut loss = Loss::default();
        self.infer(samples, |range, logits| {
            loss = loss.plus(Loss::of(logits, &labels[range])?);
            Ok(())
        })?;
        Ok(loss)
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
        let at_once = (NUMBERS_AT_ONCE / self.numbers_per_sample()).clamp(1, SAMPLES_AT_ONCE);
        for some in all.chunks(at_once) {
            pass.gather(self, samples, some)?;
            pass.forward(self, Statistics::Running)?;
            visit(some[0]..some[0] + some.len(), pass.logits())?;
        }
        Ok(())
    }

    /// About as many numbers as a forward pass holds for a sample: the factor of the weights in
    /// every layer, the product and its activation.
    fn numbers_per_sample(&self) -> usize {
        let of_layer = |layer: &Layer<T>| {
            let pixels = layer.images.map_or(1, |images| images.pixels());
            (layer.weights.ncols() + 2 * layer.weights.nrows()) * pixels
        };
        self.layers.iter().map(of_layer).sum()
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
    use crate::normalization::Normalization;
    use crate::{Input, Network, Seed};

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
        let at_once = NUMBERS_AT_ONCE / classifier.numbers_per_sample();
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
