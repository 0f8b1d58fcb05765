//! Whether a gradient can be trusted: how far rounding moves it.

use nalgebra::DMatrix;
use rand::Rng;

use super::classifier::{Classifier, Layer};
use super::loss::{Loss, check_labels};
use super::parameters::Parameters;
use super::pass::Pass;
use crate::activation::{Activation, Differentiable};
use crate::backward::Statistics;
use crate::normalization::TrainableBatchNorm;
use crate::scalar::norm;
use crate::{Error, Purpose, Result, Run, Scalar};

/// How far the gradient of a loss by every weight matrix is from the truth, relative to its norm.
///
/// See [`Classifier::gradient_error`].
#[derive(Clone, Debug, PartialEq)]
pub struct GradientError {
    relative: Vec<f64>,
}

impl GradientError {
    /// The largest error that leaves two digits of a gradient right.
    pub const TRUSTED: f64 = 0.01;

    /// The error of the gradient by every weight matrix, the head last: the Frobenius norm of the
    /// difference over that of the true gradient. Infinite where the true one is zero and the
    /// computed one is not.
    #[must_use]
    pub fn relative(&self) -> &[f64] {
        &self.relative
    }

    /// The largest of them.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.relative.iter().copied().fold(0.0, f64::max)
    }

    /// Whether two digits of every gradient are right: no error exceeds
    /// [`TRUSTED`](Self::TRUSTED). An error of `e`
    /// below 1 turns the gradient by an angle whose sine is at most `e`; one above 1 leaves nothing
    /// of its direction.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.largest() <= Self::TRUSTED
    }
}

impl<T: Scalar, A: Differentiable> Classifier<T, A> {
    /// The loss of a batch in training mode, and its gradient by every parameter.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::ShapeMismatch`], [`Error::NotFinite`] of the batch or within the
    /// network; [`Error::LabelOutOfRange`]; those of normalisations.
    pub fn gradient(
        &self,
        samples: &DMatrix<T>,
        labels: &[usize],
    ) -> Result<(Loss, Parameters<T>)> {
        self.check_samples(samples)?;
        check_labels((self.classes(), samples.ncols()), labels)?;
        let (mut pass, mut gradient) = (Pass::new(self)?, self.zeros());
        let all: Vec<usize> = (0..samples.ncols()).collect();
        pass.gather(self, samples, &all)?;
        pass.forward(self, Statistics::Batch)?;
        let loss = pass.backward(self, labels, &mut gradient)?;
        if !loss.mean().is_finite() {
            let value = loss.mean();
            return Err(Error::Overflow { what: "loss", row: 0, value });
        }
        Ok((loss, gradient))
    }

    /// How far rounding moves the gradient of a batch: that of this classifier, computed in `T`,
    /// against the gradient, computed in `f64`, of one whose weights differ in the last digit of
    /// `T`.
    ///
    /// Every weight of the other classifier is larger or smaller by the share
    /// [`T::EPSILON`](Scalar::EPSILON), drawn by the run. Numbers of type `T` hardly tell the two
    /// apart, so where their gradients differ, the digits that `T` keeps do not determine the
    /// gradient. In `f32` the difference holds the rounding errors of the pass, too; in `f64` it
    /// is what rounding errors of the size of those in the weights are amplified to, an estimate
    /// of its order of magnitude.
    ///
    /// Deep batch normalisation amplifies errors by a factor every layer, the more the smaller the
    /// batch (see [`Network::gradient_norms`](crate::Network::gradient_norms)). The largest error of
    /// rectified networks of width 100 at initialisation, in `f32`, and in `f64` where it matters:
    ///
    /// | depth | no normalisation | batch of 50 | of 8 | of 4 | of 4, `f64` |
    /// | --- | --- | --- | --- | --- | --- |
    /// | 15 | 1e-6 | 7e-6 | 3e-5 | 3e-4 | 1e-12 |
    /// | 30 | 1e-6 | 0.01 | 0.1 | 0.9 | 7e-9 |
    /// | 50 | 2e-6 | 0.2 | 1.1 | 100 | 4e-5 |
    /// | 75 | 3e-6 | 1.5 | 1.9 | 1.6 | 1.7 |
    ///
    /// ```
    /// use orthogap::activation::Relu;
    /// use orthogap::normalization::BatchNorm;
    /// use orthogap::train::Classifier;
    /// use orthogap::{Input, Network, Scalar, Seed};
    ///
    /// fn trusted<T: Scalar>() -> orthogap::Result<bool> {
    ///     let layer =
    ///         Network::<T>::new(64).normalization(BatchNorm::standard(1e-5)?).activation(Relu);
    ///     let classifier = Classifier::sample(&[layer; 50], 32, 2, Seed(1))?;
    ///     let samples = Input::gaussian(32, 8, Seed(2))?.columns().map(T::of);
    ///     let labels = [0, 1, 0, 1, 1, 0, 0, 1];
    ///     Ok(classifier.gradient_error(&samples, &labels, Seed(3))?.is_trusted())
    /// }
    /// assert!(!trusted::<f32>()? && trusted::<f64>()?);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// Cost: a pass in `T` and one in `f64`, and a copy of the weights in `f64`.
    ///
    /// # Errors
    /// Those of [`gradient`](Self::gradient).
    pub fn gradient_error(
        &self,
        samples: &DMatrix<T>,
        labels: &[usize],
        run: impl Into<Run>,
    ) -> Result<GradientError> {
        let found = self.gradient(samples, labels)?.1;
        let wide = samples.map(|x| -> f64 { x.into() });
        let truth = self.nudged(run.into()).gradient(&wide, labels)?.1;
        let relative = found.weights().zip(truth.weights()).map(|(found, truth)| {
            let difference = truth.zip_map(found, |truth, found| truth - found.into());
            match (norm(difference.as_slice()), norm(truth.as_slice())) {
                (0.0, 0.0) => 0.0,
                (difference, size) => difference / size,
            }
        });
        Ok(GradientError { relative: relative.collect() })
    }
}

impl<T: Scalar, A: Activation> Classifier<T, A> {
    /// The same in `f64`, with weights moved by their last digit in `T`.
    fn nudged(&self, run: Run) -> Classifier<f64, A> {
        let nudge = |weights: &DMatrix<T>, layer: u32| {
            let mut rng = run.stream(Purpose::Rounding, layer, 0).rng();
            weights.map(|w| {
                let sign = if rng.next_u64() >> 63 == 0 { 1.0 } else { -1.0 };
                let w: f64 = w.into();
                w * (1.0 + sign * T::EPSILON)
            })
        };
        let layers = (1..).zip(&self.layers).map(|(number, layer)| {
            let Layer { recipe, weights, norm, images } = layer;
            let norm = norm.as_ref().map(TrainableBatchNorm::to_f64);
            let (recipe, weights) = (recipe.in_arithmetic(), nudge(weights, number));
            Layer { recipe, weights, norm, images: *images }
        });
        let (layers, head) = (layers.collect(), nudge(&self.head, 0));
        Classifier { layers, head, dimension: self.dimension }
    }
}
