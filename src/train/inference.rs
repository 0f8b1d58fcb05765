//! Outputs of a classifier: losses, logits and Gram matrices.

use nalgebra::{DMatrix, DMatrixView};

use super::batch_pass::BatchPass;
use super::classifier::Classifier;
use super::loss::{Loss, check_labels};
use crate::backward::Statistics;
use crate::{Gram, Result, Scalar};

/// Samples that are evaluated at a time.
const AT_ONCE: usize = 512;

impl<T: Scalar> Classifier<T> {
    /// Returns the loss of samples, `dimension x n` (images flattened as frameworks do, NCHW), in
    /// inference mode: batch normalisation uses its running statistics.
    ///
    /// # Errors
    /// [`Empty`](crate::Error::Empty), [`ShapeMismatch`](crate::Error::ShapeMismatch) and
    /// [`NotFinite`](crate::Error::NotFinite) of the samples; [`LabelOutOfRange`](crate::Error::LabelOutOfRange);
    /// those of normalisations.
    pub fn evaluate(&self, samples: &DMatrix<T>, labels: &[usize]) -> Result<Loss> {
        self.check_samples(samples)?;
        check_labels((self.classes(), samples.ncols()), labels)?;
        let mut pass = BatchPass::new(self)?;
        let mut loss = Loss::default();
        let all: Vec<usize> = (0..samples.ncols()).collect();
        for some in all.chunks(AT_ONCE) {
            pass.gather(self, samples, some)?;
            pass.forward(self, Statistics::Running)?;
            loss = loss.plus(Loss::of(pass.logits(), &labels[some[0]..][..some.len()])?);
        }
        Ok(loss)
    }

    /// Returns the logits of samples in inference mode, `classes x n`.
    ///
    /// # Errors
    /// Those of [`evaluate`](Self::evaluate).
    pub fn logits(&self, samples: &DMatrix<T>) -> Result<DMatrix<T>> {
        self.check_samples(samples)?;
        let mut pass = BatchPass::new(self)?;
        let all: Vec<usize> = (0..samples.ncols()).collect();
        pass.gather(self, samples, &all)?;
        pass.forward(self, Statistics::Running)?;
        Ok(pass.logits().clone())
    }

    /// Returns the Gram matrices of a batch: of the input (entry 0), of the output of every layer,
    /// and of the logits (the last entry), in training mode: batch normalisation uses the
    /// statistics of the batch.
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
