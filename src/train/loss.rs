//! Cross entropy of a softmax.

use nalgebra::DMatrix;

use crate::check;
use crate::{Error, Result, Scalar};

/// The loss of a batch, and the number of samples classified correctly.
///
/// With logits `z` (`classes x n`, samples are columns) and labels `y`,
///
/// ```math
/// L = \frac1n \sum_j \left(\log \sum_i e^{z_{ij}} - z_{y_j j}\right), \qquad
/// \frac{\partial L}{\partial z_{ij}} = \frac1n \left(\frac{e^{z_{ij}}}{\sum_k e^{z_{kj}}} - [i = y_j]\right).
/// ```
///
/// The default is that of no samples, whose mean and accuracy are NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    sum: f64,
    correct: usize,
    samples: usize,
}

impl Loss {
    /// Returns the loss of logits, `classes x n`, against labels from 0 to `classes - 1`.
    ///
    /// Exponentials are taken relative to the largest logit of a sample, in `f64`: none overflows,
    /// and a loss near zero keeps its digits. Cost: `O(classes n)`.
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::train::Loss;
    ///
    /// let loss = Loss::of(&dmatrix![0.0, 1000.0; 0.0, 0.0], &[1, 0])?;
    /// assert_eq!(loss.mean(), 0.5 * 2f64.ln()); // of an undecided sample, and of a certain one
    /// assert_eq!(loss.accuracy(), 0.5); // a tie goes to the first class
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`]; [`Error::ShapeMismatch`] unless there is a label for every sample;
    /// [`Error::LabelOutOfRange`]; [`Error::NotFinite`]; [`Error::Overflow`] if the sum of the
    /// losses exceeds the range of `f64`.
    pub fn of<T: Scalar>(logits: &DMatrix<T>, labels: &[usize]) -> Result<Self> {
        check_labels(logits.shape(), labels)?;
        check::entries(logits)?;
        let mut loss = Self::default();
        for (logits, &label) in logits.as_slice().chunks_exact(logits.nrows()).zip(labels) {
            loss.add(logits, label);
        }
        loss.check()
    }

    /// Refuses a sum of losses beyond the range.
    pub(super) fn check(self) -> Result<Self> {
        if self.sum.is_finite() {
            return Ok(self);
        }
        Err(Error::Overflow { what: "loss", row: 0, value: self.sum })
    }

    /// Returns the loss of logits, and the gradient of its mean with respect to them,
    /// `classes x n`.
    ///
    /// The gradient keeps its digits where a sample is classified almost with certainty. Cost:
    /// `O(classes n)`, and a copy of the logits.
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::train::Loss;
    ///
    /// let (loss, gradient) = Loss::with_gradient(&dmatrix![0.0, 50.0; 0.0, 0.0], &[1, 0])?;
    /// assert_eq!(gradient.column(0), dmatrix![0.25; -0.25].column(0)); // (1/2 - [i = y])/2
    /// let slope = gradient[(0, 1)] / (-0.5 * (-50f64).exp());
    /// assert!((slope - 1.0).abs() < 1e-14 && loss.accuracy() == 0.5);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`of`](Self::of).
    pub fn with_gradient<T: Scalar>(
        logits: &DMatrix<T>,
        labels: &[usize],
    ) -> Result<(Self, DMatrix<T>)> {
        check_labels(logits.shape(), labels)?;
        check::entries(logits)?;
        let mut gradient = logits.clone();
        let loss = Self::pull_back(&mut gradient, labels)?.check()?;
        Ok((loss, gradient))
    }

    /// Returns the mean over samples, in nats; NaN without samples.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum / self.samples as f64
    }

    /// Returns the share of samples whose largest logit is that of their label; the first of
    /// several largest ones counts. NaN without samples.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.samples as f64
    }

    /// Returns the number of samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Returns the loss of both batches together; its mean is infinite if the sum of the losses
    /// exceeds the range of `f64`.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            sum: self.sum + other.sum,
            correct: self.correct + other.correct,
            samples: self.samples + other.samples,
        }
    }

    /// Replaces logits by the gradient of their mean loss.
    pub(super) fn pull_back<T: Scalar>(logits: &mut DMatrix<T>, labels: &[usize]) -> Result<Self> {
        let (classes, samples) = logits.shape();
        check_labels((classes, samples), labels)?;
        let mut loss = Self::default();
        for (logits, &label) in logits.as_mut_slice().chunks_exact_mut(classes).zip(labels) {
            let log_sum = loss.add(logits, label);
            for (class, logit) in logits.iter_mut().enumerate() {
                let log_probability = (*logit).into() - log_sum.0 - log_sum.1;
                // The probability, less one for the label, without a difference.
                let excess =
                    if class == label { log_probability.exp_m1() } else { log_probability.exp() };
                *logit = T::of(excess / samples as f64);
            }
        }
        Ok(loss)
    }

    /// Adds a sample. Returns its largest logit, and the logarithm of its sum of exponentials
    /// relative to that.
    fn add<T: Scalar>(&mut self, logits: &[T], label: usize) -> (f64, f64) {
        let logit = |class: usize| -> f64 { logits[class].into() };
        let mut winner = 0;
        for class in 1..logits.len() {
            if logit(class) > logit(winner) {
                winner = class;
            }
        }
        let largest = logit(winner);
        // The winner's own term is 1; the others may be small beside it.
        let others = (0..logits.len()).filter(|&class| class != winner);
        let log_sum = others.map(|class| (logit(class) - largest).exp()).sum::<f64>().ln_1p();
        self.sum += log_sum + (largest - logit(label));
        self.correct += usize::from(winner == label);
        self.samples += 1;
        (largest, log_sum)
    }
}

/// Refuses labels that do not go with logits or with each other.
pub(super) fn check_labels((classes, samples): (usize, usize), labels: &[usize]) -> Result<()> {
    if classes == 0 || samples == 0 {
        return Err(Error::Empty { rows: classes, columns: samples });
    }
    if labels.len() != samples {
        let (found, expected) = ((1, labels.len()), (1, samples));
        return Err(Error::ShapeMismatch { what: "the row of labels", found, expected });
    }
    match labels.iter().position(|&label| label >= classes) {
        Some(sample) => Err(Error::LabelOutOfRange { sample, label: labels[sample], classes }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::dmatrix;

    #[test]
    fn gradients_agree_with_differences() {
        let logits = dmatrix![0.3, -2.0, 1.0; 1.5, 0.0, 1.0; -0.7, 3.0, 1.0];
        let labels = [1, 0, 2];
        let (loss, gradient) = Loss::with_gradient(&logits, &labels).unwrap();
        assert_eq!(loss, Loss::of(&logits, &labels).unwrap());
        for index in 0..logits.len() {
            let at = |t: f64| {
                let mut moved = logits.clone();
                moved[index] += t;
                Loss::of(&moved, &labels).unwrap().mean()
            };
            let difference = |t: f64| (at(t) - at(-t)) / (2.0 * t);
            let expected = (4.0 * difference(5e-4) - difference(1e-3)) / 3.0;
            // Differences of a loss near 2 are known to 2e-16 over 1e-3.
            assert!((gradient[index] - expected).abs() < 1e-11, "{index}");
        }
        // Adding a number to all logits changes nothing.
        assert!(gradient.row_sum().amax() < 1e-15);
    }

    #[test]
    fn small_and_large_losses_keep_their_digits() {
        let tiny = Loss::of(&dmatrix![60.0; 0.0], &[0]).unwrap().mean();
        assert!((tiny / (-60f64).exp() - 1.0).abs() < 1e-14);
        assert_eq!(Loss::of(&dmatrix![1e300; -1e300], &[1]).unwrap().mean(), 2e300);
        let beyond = dmatrix![1.7e308; -1.7e308];
        let error = Loss::of(&beyond, &[1]).unwrap_err();
        assert_eq!(error, Error::Overflow { what: "loss", row: 0, value: f64::INFINITY });
        assert_eq!(Loss::with_gradient(&beyond, &[1]).unwrap_err(), error);
        assert!(Loss::default().mean().is_nan() && Loss::default().accuracy().is_nan());
        for value in [f64::NAN, f64::INFINITY] {
            let error = Loss::of(&dmatrix![value; 1.0], &[1]).unwrap_err();
            assert!(matches!(error, Error::NotFinite { row: 0, column: 0, .. }));
        }
    }

    #[test]
    fn bad_labels_are_named() {
        let logits = dmatrix![0.0, 1.0; 2.0, 3.0];
        let error = Loss::of(&logits, &[0, 2]).unwrap_err();
        assert_eq!(error, Error::LabelOutOfRange { sample: 1, label: 2, classes: 2 });
        assert!(matches!(Loss::of(&logits, &[0]), Err(Error::ShapeMismatch { .. })));
        let none = DMatrix::<f64>::zeros(3, 0);
        assert_eq!(Loss::of(&none, &[]), Err(Error::Empty { rows: 3, columns: 0 }));
    }
}
