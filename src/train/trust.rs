//! Whether a gradient can be trusted: how far rounding moves it.

use nalgebra::DMatrix;
use rand::Rng;

use super::batch_pass::BatchPass;
use super::classifier::{Classifier, Layer};
use super::loss::{Loss, check_labels};
use super::parameters::Parameters;
use crate::backward::Statistics;
use crate::normalization::TrainableBatchNorm;
use crate::scalar::norm;
use crate::{Error, Purpose, Replicate, Result, Scalar};

/// The relative error of the gradient of a loss with respect to every weight matrix.
///
/// See [`Classifier::gradient_error`].
#[derive(Clone, Debug, PartialEq)]
pub struct GradientError {
    relative: Vec<f64>,
}

impl GradientError {
    /// The largest error that leaves two digits of a gradient right.
    pub const TRUSTED: f64 = 0.01;

    /// Returns the error of the gradient with respect to every weight matrix, the head last: the
    /// Frobenius norm of the difference over that of the true gradient, the largest of three
    /// comparisons. Infinite if the true gradient is zero and the computed one is not.
    #[must_use]
    pub fn relative(&self) -> &[f64] {
        &self.relative
    }

    /// Returns the largest of them.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.relative.iter().copied().fold(0.0, f64::max)
    }

    /// Returns whether two digits of every gradient are right: no error exceeds
    /// [`TRUSTED`](Self::TRUSTED).
    ///
    /// An error of `e` below 1 turns the gradient by an angle whose sine is at most `e`. One above
    /// 1 leaves nothing of its direction.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.largest() <= Self::TRUSTED
    }
}

/// The number of classifiers with perturbed weights to compare a gradient with. The difference to
/// one is random, and sometimes a hundred times smaller than the error.
const NUDGES: u32 = 3;

impl<T: Scalar> Classifier<T> {
    /// Returns the loss of a batch in training mode, and its gradient with respect to every
    /// parameter.
    ///
    /// Holds every layer of the whole batch.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::ShapeMismatch`], [`Error::NotFinite`] of the batch or within the
    /// network; [`Error::LabelOutOfRange`]; [`Error::Overflow`] if the loss or an entry of the
    /// gradient is not finite; [`Error::MissingDerivative`] of a custom activation; those of
    /// normalisations and of [`Residual::weight`](crate::Residual::weight).
    pub fn gradient(
        &self,
        samples: &DMatrix<T>,
        labels: &[usize],
    ) -> Result<(Loss, Parameters<T>)> {
        self.check_samples(samples)?;
        check_labels((self.classes(), samples.ncols()), labels)?;
        let (mut pass, mut gradient) = (BatchPass::new(self)?, self.zeros());
        let all: Vec<usize> = (0..samples.ncols()).collect();
        pass.gather(self, samples, &all)?;
        pass.forward(self, Statistics::Batch)?;
        let loss = pass.loss(labels)?.check()?;
        pass.backward(self, &mut gradient)?;
        if let Some((row, value)) = gradient.first_not_finite() {
            return Err(Error::Overflow { what: "gradient", row, value });
        }
        Ok((loss, gradient))
    }

    /// Measures the rounding error of the gradient of a batch: compares the gradient of this
    /// classifier, computed in `T`, with those of three classifiers whose weights differ in the
    /// last digit of `T`, computed in `f64`. The largest of the three differences counts.
    ///
    /// Every weight of the other classifiers is larger or smaller by the share
    /// [`T::EPSILON`](Scalar::EPSILON), with signs drawn by the run. Numbers of type `T` hardly
    /// distinguish the classifiers. So where their gradients differ, the digits that `T` keeps do
    /// not determine the gradient. In `f32` the difference contains the rounding errors of the
    /// pass, too. In `f64` it estimates the order of magnitude of amplified rounding errors.
    ///
    /// A difference is a random number, and three of them are no bound. Measured on rectified `f32`
    /// networks of width 48 with batches of 4, at depths 16 to 24, where the error passes 0.01: of
    /// 144 gradients with a larger error, the largest of three differences trusts none, a single
    /// difference trusts 13. Conversely, a perturbation that moves a unit across the kink of a
    /// rectifier changes the gradient by some per cent, as a rounding error of the pass may: of 240
    /// gradients of rectified networks of width 100 without normalisation, up to 75 layers deep, 8
    /// are not trusted although their own error is below 0.01.
    ///
    /// Deep batch normalisation amplifies errors by a factor every layer, the more the smaller the
    /// batch (see [`Network::gradient_norms`](crate::Network::gradient_norms)). The largest error of
    /// rectified networks of width 100 at initialisation, in `f32`, and in `f64` where it matters;
    /// medians of five seeds (without normalisation, of forty).
    ///
    /// | depth | no normalisation | batch of 50 | of 8 | of 4 | of 4, `f64` |
    /// | --- | --- | --- | --- | --- | --- |
    /// | 15 | 1e-6 | 7e-6 | 3e-5 | 5e-3 | 1e-11 |
    /// | 30 | 2e-6 | 0.01 | 0.04 | 5 | 1e-8 |
    /// | 50 | 2e-6 | 0.2 | 2 | 7 | 3e-4 |
    /// | 75 | 7e-6 | 2 | 3 | 16 | 3 |
    ///
    /// ```
    /// use orthogap::normalization::BatchNorm;
    /// use orthogap::train::Classifier;
    /// use orthogap::{Activation, Input, Network, Scalar, Seed};
    ///
    /// fn trusted<T: Scalar>() -> orthogap::Result<bool> {
    ///     let layer = Network::<T>::new(64)
    ///         .with_normalization(BatchNorm::standard(1e-5)?)
    ///         .with_activation(Activation::Relu);
    ///     let classifier = Classifier::sample(&vec![layer; 50], 32, 2, Seed(1))?;
    ///     let samples = Input::gaussian(32, 8, Seed(2))?.columns().map(T::of);
    ///     let labels = [0, 1, 0, 1, 1, 0, 0, 1];
    ///     Ok(classifier.gradient_error(&samples, &labels, Seed(3))?.is_trusted())
    /// }
    /// assert!(!trusted::<f32>()? && trusted::<f64>()?);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// Cost: a pass in `T` and three in `f64`. Holds every layer of the whole batch, and in `f64` a
    /// copy of the weights and a gradient.
    ///
    /// # Errors
    /// Those of [`gradient`](Self::gradient).
    pub fn gradient_error(
        &self,
        samples: &DMatrix<T>,
        labels: &[usize],
        run: impl Into<Replicate>,
    ) -> Result<GradientError> {
        let (run, found) = (run.into(), self.gradient(samples, labels)?.1);
        let wide = samples.map(|x| -> f64 { x.into() });
        let mut relative = vec![0.0f64; self.layers.len() + 1];
        for nudge in 0..NUDGES {
            let truth = self.nudged(run, nudge).gradient(&wide, labels)?.1;
            let pairs = found.weights().zip(truth.weights());
            for (largest, (found, truth)) in relative.iter_mut().zip(pairs) {
                *largest = largest.max(relative_difference(found, truth));
            }
        }
        Ok(GradientError { relative })
    }
}

/// The Frobenius norm of a difference over that of the truth, never NaN: `f64::max` drops NaN.
fn relative_difference<T: Scalar>(found: &DMatrix<T>, truth: &DMatrix<f64>) -> f64 {
    let difference = truth.zip_map(found, |truth, found| truth - found.into());
    match (norm(difference.as_slice()), norm(truth.as_slice())) {
        (0.0, 0.0) => 0.0,
        (difference, size) if difference.is_finite() => difference / size,
        _ => f64::INFINITY,
    }
}

impl<T: Scalar> Classifier<T> {
    /// The same in `f64`, with weights moved by their last digit in `T`, by the signs of a number.
    fn nudged(&self, run: Replicate, number: u32) -> Classifier<f64> {
        let nudge = |weights: &DMatrix<T>, layer: u32| {
            let mut rng = run.stream(Purpose::Rounding, layer, number).rng();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;
    use crate::normalization::{BatchNorm, Normalization};
    use crate::{Input, Network, Seed};
    use nalgebra::dmatrix;

    /// A loss of 100 whose gradient at a dead unit is infinite, and 0 times that in the weights.
    #[test]
    fn gradients_that_are_not_finite_are_refused() {
        let layer = Network::<f32>::new(2)
            .with_normalization(Normalization::None)
            .with_activation(Activation::Relu);
        let head = dmatrix![100.0, 3e38; 0.0, -3e38];
        let classifier = Classifier::new([(layer, dmatrix![1.0; -1.0])], head).unwrap();
        let samples = dmatrix![1.0];
        assert_eq!(classifier.evaluate(&samples, &[1]).unwrap().mean(), 100.0);
        let error = classifier.gradient(&samples, &[1]).unwrap_err();
        assert!(matches!(error, Error::Overflow { what: "gradient", row: 1, .. }), "{error}");
        let of_error = classifier.gradient_error(&samples, &[1], Seed(1)).unwrap_err();
        assert_eq!(of_error.to_string(), error.to_string());
    }

    #[test]
    fn differences_that_are_no_numbers_are_infinite() {
        let largest = f64::MAX;
        for (found, truth) in [(f64::NAN, 1.0), (f64::INFINITY, 0.0), (-largest, largest)] {
            let difference = relative_difference(&dmatrix![found], &dmatrix![truth]);
            assert_eq!(difference, f64::INFINITY);
        }
        assert_eq!(relative_difference(&dmatrix![0.0], &dmatrix![0.0]), 0.0);
    }

    /// Against the gradient in `f64` of the same weights: rectified networks of width 48 on batches
    /// of 4, in `f32`, at the depths where the error passes the threshold. All seeds are fixed. One
    /// nudge alone fails, so the test can.
    #[test]
    fn what_is_trusted_is_right() {
        let (mut wrong, mut single_wrong, mut trusted) = (0, 0, 0);
        let norm = BatchNorm::standard(1e-5).unwrap();
        let layer =
            Network::<f32>::new(48).with_normalization(norm).with_activation(Activation::Relu);
        for seed in (0..200).map(Seed) {
            let depth = 16 + 2 * (seed.0 % 5) as usize;
            let classifier = Classifier::sample(&vec![layer.clone(); depth], 16, 4, seed).unwrap();
            let wide = Input::gaussian(16, 4, seed).unwrap().columns().clone();
            let (samples, labels) = (wide.map(|x| x as f32), [0, 1, 2, 3]);
            let found = classifier.gradient(&samples, &labels).unwrap().1;
            let error = |other: Classifier<f64>| {
                let wide = samples.map(f64::from);
                let truth = other.gradient(&wide, &labels).unwrap().1;
                let pairs = found.weights().zip(truth.weights());
                pairs.map(|(found, truth)| relative_difference(found, truth)).fold(0.0, f64::max)
            };
            let layers = classifier
                .layers
                .iter()
                .map(|layer| (layer.recipe.in_arithmetic(), layer.weights.map(f64::from)));
            let exact = Classifier::new(layers, classifier.head.map(f64::from)).unwrap();
            let is_wrong = error(exact) > GradientError::TRUSTED;
            let stated = classifier.gradient_error(&samples, &labels, seed).unwrap();
            let single = error(classifier.nudged(seed.into(), 0));
            trusted += u32::from(stated.is_trusted());
            wrong += u32::from(is_wrong && stated.is_trusted());
            single_wrong += u32::from(is_wrong && single <= GradientError::TRUSTED);
        }
        assert!(wrong == 0 && single_wrong > 0 && trusted > 0, "{wrong} {single_wrong} {trusted}");
    }
}
