//! Training by stochastic gradient descent, step by step and epoch by epoch.

use std::ops::Range;

use nalgebra::DMatrix;
use rand::Rng;

use super::batch_pass::BatchPass;
use super::classifier::Classifier;
use super::loss::{Loss, check_labels};
use super::parameters::Parameters;
use super::sgd::Sgd;
use crate::backward::Statistics;
use crate::scalar::norm;
use crate::{Error, Purpose, Replicate, Result, Scalar};

/// A [`Classifier`] in training.
///
/// Batch normalisation uses the statistics of the batch, and averages them for inference. After
/// the first step of a dense network, steps on batches of the same size allocate nothing.
/// The same seed gives the same bits on any number of threads. Training that was
/// [resumed](Trainer::resume) gives the same bits as training that was not interrupted.
///
/// ```
/// use orthogap::nalgebra::DMatrix;
/// use orthogap::normalization::Normalization;
/// use orthogap::train::{Classifier, Sgd, Trainer};
/// use orthogap::weights::Gaussian;
/// use orthogap::{Activation, Input, Network, Seed};
///
/// let samples = Input::gaussian(8, 8, Seed(1))?.columns().clone();
/// let labels = [0, 1, 0, 1, 1, 0, 0, 1];
/// let layer = Network::<f64>::new(32)
///     .with_normalization(Normalization::None)
///     .with_activation(Activation::Relu)
///     .with_weights(Gaussian::he());
/// let classifier = Classifier::sample(&vec![layer; 3], 8, 2, Seed(2))?;
/// let mut trainer = Trainer::new(classifier, Sgd::new(0.05)?.with_momentum(0.9)?, Seed(3));
/// for _ in 0..60 {
///     let epoch = trainer.epoch(&samples, &labels, 4)?;
///     println!("{} {:.4} {:.2}", epoch.number, epoch.loss.mean(), epoch.loss.accuracy());
/// }
/// let loss = trainer.classifier().evaluate(&samples, &labels)?;
/// assert!(loss.mean() < 0.05 && loss.accuracy() == 1.0); // memorised
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Trainer<T: Scalar> {
    classifier: Classifier<T>,
    optimizer: Sgd,
    run: Replicate,
    velocity: Parameters<T>,
    progress: Progress,
    gradient: Parameters<T>,
    gradient_norms: Vec<f64>,
    pass: Option<BatchPass<T>>,
    order: Vec<usize>,
    labels: Vec<usize>,
}

/// The progress of training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Whole epochs.
    pub epochs: usize,
    /// Steps.
    pub steps: usize,
}

/// The results of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// Its number, from 1.
    pub number: usize,
    /// The loss of its batches, each before its step.
    pub loss: Loss,
    /// The Frobenius norm of the gradient with respect to every weight matrix, the head last: means
    /// over steps.
    pub gradient_norms: Vec<f64>,
}

impl<T: Scalar> Trainer<T> {
    /// Creates a trainer at the beginning. The run determines the order of samples.
    pub fn new(classifier: Classifier<T>, optimizer: Sgd, run: impl Into<Replicate>) -> Self {
        let velocity = classifier.zeros();
        Self {
            gradient: velocity.clone(),
            classifier,
            optimizer,
            run: run.into(),
            velocity,
            progress: Progress::default(),
            gradient_norms: Vec::new(),
            pass: None,
            order: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Continues training from the state saved after an epoch: the classifier with its running
    /// statistics, the [`velocity`](Self::velocity) and the [`progress`](Self::progress).
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] of the velocity.
    pub fn resume(
        classifier: Classifier<T>,
        optimizer: Sgd,
        run: impl Into<Replicate>,
        velocity: Parameters<T>,
        progress: Progress,
    ) -> Result<Self> {
        let new = Self::new(classifier, optimizer, run);
        let (found, expected) = (velocity.layers.len(), new.velocity.layers.len());
        if found != expected {
            let (found, expected) = ((found, 1), (expected, 1));
            return Err(Error::ShapeMismatch { what: "the list of velocities", found, expected });
        }
        for (found, expected) in velocity.shapes().zip(new.velocity.shapes()) {
            if found != expected {
                return Err(Error::ShapeMismatch { what: "the velocity", found, expected });
            }
        }
        Ok(Self { velocity, progress, ..new })
    }

    /// Returns the classifier in its current state.
    #[must_use]
    pub fn classifier(&self) -> &Classifier<T> {
        &self.classifier
    }

    /// Returns the classifier and ends training.
    #[must_use]
    pub fn into_classifier(self) -> Classifier<T> {
        self.classifier
    }

    /// Returns the rule of descent.
    #[must_use]
    pub fn optimizer(&self) -> Sgd {
        self.optimizer
    }

    /// Sets the rule of descent, as in a schedule; velocities stay.
    pub fn set_optimizer(&mut self, optimizer: Sgd) {
        self.optimizer = optimizer;
    }

    /// Returns the velocity of every parameter.
    #[must_use]
    pub fn velocity(&self) -> &Parameters<T> {
        &self.velocity
    }

    /// Returns the progress of training.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Returns the gradient of the last step, zero before the first and after one that was not taken.
    #[must_use]
    pub fn gradient(&self) -> &Parameters<T> {
        &self.gradient
    }

    /// Returns the Frobenius norms of the [`gradient`](Self::gradient) of the last step, with
    /// respect to every weight matrix, the head last; empty before the first step and after one
    /// that was not taken.
    #[must_use]
    pub fn gradient_norms(&self) -> &[f64] {
        &self.gradient_norms
    }
}

impl<T: Scalar> Trainer<T> {
    /// Takes a step down the gradient of a batch, `dimension x n` (images flattened as frameworks
    /// do, NCHW), and returns the loss before it.
    ///
    /// Cost: three products a layer, `d_out d_in n` multiply-adds each.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::ShapeMismatch`], [`Error::NotFinite`] of the batch;
    /// [`Error::LabelOutOfRange`]; those of [`Sgd::check`], of normalisations and of
    /// [`Residual::weight`](crate::Residual::weight); [`Error::MissingDerivative`] of a custom
    /// activation; [`Error::Diverged`] if a loss, a gradient, a running statistic or a new
    /// parameter is not finite. The step is then not taken: classifier, velocity and progress are
    /// as they were.
    pub fn step(&mut self, samples: &DMatrix<T>, labels: &[usize]) -> Result<Loss> {
        self.classifier.check_samples(samples)?;
        check_labels((self.classifier.classes(), samples.ncols()), labels)?;
        self.order.clear();
        self.order.extend(0..samples.ncols());
        self.descend(samples, labels, 0..samples.ncols())
    }

    /// Takes a step for each batch of `batch_size` samples, in an order drawn from the seed and the
    /// number of the epoch. The last batch may be smaller.
    ///
    /// # Errors
    /// Those of [`step`](Self::step); [`Error::InvalidParameter`] for a batch size of 0;
    /// [`Error::StreamExhausted`] beyond 2^32 epochs; [`Error::BatchTooSmall`] before the first
    /// step if one of the batches is a single sample, which dense layers with batch normalisation
    /// refuse. Steps that were taken before another error stay; [`epoch_with`](Self::epoch_with)
    /// reports their losses.
    pub fn epoch(
        &mut self,
        samples: &DMatrix<T>,
        labels: &[usize],
        batch_size: usize,
    ) -> Result<Epoch> {
        self.epoch_with(samples, labels, batch_size, |_, _| ())
    }

    /// Does an [`epoch`](Self::epoch) that reports the samples done and the loss of the batch after
    /// every step.
    ///
    /// # Errors
    /// Those of [`epoch`](Self::epoch).
    pub fn epoch_with(
        &mut self,
        samples: &DMatrix<T>,
        labels: &[usize],
        batch_size: usize,
        mut told: impl FnMut(usize, Loss),
    ) -> Result<Epoch> {
        self.classifier.check_samples(samples)?;
        check_labels((self.classifier.classes(), samples.ncols()), labels)?;
        if batch_size == 0 {
            let expected = "at least 1";
            return Err(Error::InvalidParameter { name: "batch size", value: 0.0, expected });
        }
        let number = self.progress.epochs.saturating_add(1);
        self.shuffle(samples.ncols(), number)?;
        let smallest = match samples.ncols() % batch_size {
            0 => batch_size,
            rest => rest,
        };
        let pass = self.take_pass()?;
        let accepted = pass.check_size(smallest);
        self.pass = Some(pass);
        accepted?;
        let mut gradient_norms = vec![0.0; self.classifier.depth() + 1];
        let (mut loss, mut steps) = (Loss::default(), 0);
        for first in (0..samples.ncols()).step_by(batch_size) {
            let some = first..(first + batch_size).min(samples.ncols());
            let of_batch = self.descend(samples, labels, some)?;
            loss = loss.plus(of_batch);
            steps += 1;
            for (sum, norm) in gradient_norms.iter_mut().zip(&self.gradient_norms) {
                *sum += norm;
            }
            told(loss.samples(), of_batch);
        }
        gradient_norms.iter_mut().for_each(|sum| *sum /= f64::from(steps));
        self.progress.epochs = number;
        Ok(Epoch { number, loss, gradient_norms })
    }

    /// Draws the order of samples in an epoch (Fisher and Yates).
    fn shuffle(&mut self, samples: usize, epoch: usize) -> Result<()> {
        let stream = u32::try_from(epoch)
            .map_err(|_| Error::StreamExhausted { coordinate: "epoch", value: epoch })?;
        let mut rng = self.run.stream(Purpose::Shuffle, stream, 0).rng();
        self.order.clear();
        self.order.extend(0..samples);
        for last in (1..samples).rev() {
            // Uniform up to one part in 2^64 / samples.
            let other = (u128::from(rng.next_u64()) * (last as u128 + 1)) >> 64;
            self.order.swap(last, other as usize);
        }
        Ok(())
    }

    /// The buffers of a step, to be put back.
    fn take_pass(&mut self) -> Result<BatchPass<T>> {
        self.pass.take().map_or_else(|| BatchPass::new(&self.classifier), Ok)
    }

    /// A step on some samples of the order.
    fn descend(
        &mut self,
        samples: &DMatrix<T>,
        labels: &[usize],
        some: Range<usize>,
    ) -> Result<Loss> {
        let mut pass = self.take_pass()?;
        let loss = self.descend_with(&mut pass, samples, labels, some);
        self.pass = Some(pass);
        if loss.is_err() {
            self.gradient.slices_mut().for_each(|slice| slice.fill(T::zero()));
            self.gradient_norms.clear();
        }
        loss
    }

    fn descend_with(
        &mut self,
        pass: &mut BatchPass<T>,
        samples: &DMatrix<T>,
        labels: &[usize],
        some: Range<usize>,
    ) -> Result<Loss> {
        let Self { classifier, optimizer, velocity, gradient, gradient_norms, progress, .. } = self;
        optimizer.check::<T>()?;
        let some = &self.order[some];
        self.labels.clear();
        self.labels.extend(some.iter().map(|&sample| labels[sample]));
        pass.gather(classifier, samples, some)?;

        let diverged = |loss| Error::Diverged { step: progress.steps, loss };
        let broken = |error, loss| match error {
            Error::NotFinite { .. } | Error::Overflow { .. } => diverged(loss),
            Error::DegenerateSample { sample, .. } => error.of_sample(some[sample]),
            error => error,
        };
        pass.forward(classifier, Statistics::Batch).map_err(|error| broken(error, f64::NAN))?;
        let loss = pass.loss(&self.labels)?;
        if !loss.mean().is_finite() {
            return Err(diverged(loss.mean()));
        }
        let broken = |error| broken(error, loss.mean());
        pass.backward(classifier, gradient).map_err(broken)?;
        if gradient.first_not_finite().is_some() {
            return Err(diverged(loss.mean()));
        }
        pass.check_memory(classifier).map_err(broken)?;
        let finite = (classifier.slices_mut().zip(velocity.slices()).zip(gradient.slices()))
            .all(|((w, v), g)| optimizer.stays_finite(w, v, g));
        if !finite {
            return Err(diverged(loss.mean()));
        }
        pass.remember(classifier)?;
        gradient_norms.clear();
        gradient_norms.extend(gradient.weights().map(|weights| norm(weights.as_slice())));
        let slices = classifier.slices_mut().zip(velocity.slices_mut()).zip(gradient.slices());
        for ((parameters, velocity), gradient) in slices {
            optimizer.update(parameters, velocity, gradient);
        }
        progress.steps = progress.steps.saturating_add(1);
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convolution::{Convolution, Images};
    use crate::normalization::{BatchNorm, Normalization, SampleNorm};
    use crate::{Activation, Input, Network, Seed};
    use nalgebra::dmatrix;

    fn trainer<T: Scalar>(layer: Network<T>, dimension: usize, rate: f64) -> Trainer<T> {
        let classifier = Classifier::sample(&[layer], dimension, 2, Seed(1)).unwrap();
        Trainer::new(classifier, Sgd::new(rate).unwrap(), Seed(2))
    }

    /// The last of 33 samples would be a batch by itself; of images it has pixels enough.
    #[test]
    fn a_batch_that_is_too_small_is_refused_before_the_first_step() {
        let norm = BatchNorm::standard(1e-5).unwrap();
        let layer = Network::<f64>::new(4).with_normalization(norm);
        let mut samples = DMatrix::zeros(4, 33);
        Seed(1).replicate(0).stream(Purpose::User(0), 0, 0).fill_normal(samples.as_mut_slice());
        let labels = [0; 33];
        let mut dense = trainer(layer.clone(), 4, 0.1);
        for _ in 0..2 {
            let error = dense.epoch(&samples, &labels, 32).unwrap_err();
            assert_eq!(error, Error::BatchTooSmall { batch_size: 1, minimum: 2 });
            assert_eq!(dense.progress(), Progress::default());
        }
        assert_eq!(dense.epoch(&samples, &labels, 31).unwrap().number, 1);
        let images = Images::new(1, 2, 2).unwrap();
        let layer = layer.with_convolution(Convolution::new(1).unwrap(), images);
        trainer(layer, 4, 0.1).epoch(&samples, &labels, 32).unwrap();
    }

    #[test]
    fn a_step_that_was_not_taken_leaves_no_gradient() {
        let layer = Network::<f64>::new(3).with_normalization(Normalization::None);
        let mut trainer = trainer(layer, 3, 0.1);
        let samples = Input::gaussian(3, 3, Seed(3)).unwrap().columns().clone();
        trainer.step(&samples, &[0, 1, 0]).unwrap();
        assert!(trainer.gradient().head().amax() > 0.0 && trainer.gradient_norms().len() == 2);
        let sgd = trainer.optimizer();
        trainer.set_optimizer(Sgd::new(1e308).unwrap());
        let error = trainer.step(&(&samples * 1e10), &[0, 1, 0]).unwrap_err();
        assert!(matches!(error, Error::Diverged { step: 1, loss } if loss > 0.0), "{error}");
        trainer.set_optimizer(sgd);
        assert_eq!(trainer.gradient(), &trainer.classifier().zeros());
        assert!(trainer.gradient_norms().is_empty());
        // The next one is as if nothing had happened.
        trainer.step(&samples, &[0, 1, 0]).unwrap();
        assert_eq!((trainer.progress().steps, trainer.gradient_norms().len()), (2, 2));
    }

    /// The gradient at the dead unit overflows, and the loss is 100.
    #[test]
    fn a_divergence_after_the_loss_reports_it() {
        let layer = Network::<f32>::new(2)
            .with_normalization(SampleNorm::rms(0.0).unwrap())
            .with_activation(Activation::Identity);
        let head = dmatrix![100.0, 3e38; 0.0, -3e38];
        let classifier = Classifier::new([(layer, dmatrix![1e-30; 0.0])], head).unwrap();
        let mut trainer = Trainer::new(classifier, Sgd::new(0.1).unwrap(), Seed(1));
        let error = trainer.step(&dmatrix![1.0], &[1]).unwrap_err();
        assert!(
            matches!(error, Error::Diverged { step: 0, loss } if (loss - 141.4).abs() < 0.1),
            "{error}"
        );
    }

    #[test]
    fn errors_name_the_sample_before_it_was_shuffled() {
        let layer = Network::<f64>::new(3).with_normalization(SampleNorm::layer(0.0).unwrap());
        let mut trainer = trainer(layer, 3, 0.1);
        let mut samples = Input::gaussian(3, 3, Seed(3)).unwrap().columns().clone();
        samples.extend([0.0; 3].repeat(20));
        samples.column_mut(1).fill(0.0);
        for sample in (3..23).chain([0]) {
            samples[(sample % 3, sample)] = 1.0;
        }
        for batch_size in [23, 2] {
            let error = trainer.epoch(&samples, &[0; 23], batch_size).unwrap_err();
            assert!(matches!(error, Error::DegenerateSample { sample: 1, .. }), "{error}");
        }
    }

    #[test]
    fn progress_has_an_end() {
        let layer = Network::<f64>::new(3).with_normalization(Normalization::None);
        let new = trainer(layer, 3, 0.1);
        let (velocity, run) = (new.velocity().clone(), Seed(2));
        let progress = Progress { epochs: usize::MAX, steps: usize::MAX };
        let (classifier, sgd) = (new.classifier().clone(), new.optimizer());
        let mut trainer = Trainer::resume(classifier, sgd, run, velocity, progress).unwrap();
        let samples = Input::gaussian(3, 3, Seed(3)).unwrap().columns().clone();
        let error = trainer.epoch(&samples, &[0; 3], 3).unwrap_err();
        assert!(matches!(error, Error::StreamExhausted { coordinate: "epoch", .. }), "{error}");
        trainer.step(&samples, &[0; 3]).unwrap();
        assert_eq!(trainer.progress(), progress);
    }
}
