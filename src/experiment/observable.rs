//! The statistics of one observable at one layer.

use std::fmt;

use crate::approximate::approximate;
use crate::serialization::deserialize_checked;
use crate::statistics::{Interval, Moments, quantile};
use crate::{Error, Result};

/// The statistics of one observable at one layer, or on average over several layers.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Observable {
    moments: Moments,
    sample: Vec<f64>,
}

/// The number of values of a cell that are kept: the error of a quantile is below .016 in
/// probability.
const SAMPLE: usize = 1000;

impl Observable {
    /// Returns mean and variance over all runs.
    #[must_use]
    pub fn moments(&self) -> &Moments {
        &self.moments
    }

    /// Returns the values of the first 1000 runs that reached this layer, in order. Runs are
    /// independent, so the first ones are a random sample of all.
    #[must_use]
    pub fn sample(&self) -> &[f64] {
        &self.sample
    }

    /// Returns the `p`-quantile of [`sample`](Self::sample), by [`quantile`]; `None` if it is
    /// empty, and for `p` outside 0 to 1.
    #[must_use]
    pub fn quantile(&self, p: f64) -> Option<f64> {
        let mut ascending = self.sample.clone();
        ascending.sort_by(f64::total_cmp);
        quantile(&ascending, p)
    }

    /// Returns the mean over all runs, with its errors.
    ///
    /// # Errors
    /// [`Error::SampleTooSmall`] if fewer than two runs reached this layer.
    pub fn mean(&self) -> Result<Mean> {
        let (value, standard_error) = (self.moments.mean(), self.moments.standard_error());
        let runs = self.moments.count();
        let too_few = || Error::SampleTooSmall { count: runs as usize, minimum: 2 };
        let interval = self.moments.confidence_interval(0.95).ok_or_else(too_few)?;
        Ok(Mean { value, standard_error, interval, runs })
    }

    pub(super) fn push(&mut self, value: f64) {
        self.moments.push(value);
        if self.sample.len() < SAMPLE {
            self.sample.push(value);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.moments.merge(&other.moments).expect("a number a run, and runs have 32 bits");
        let room = SAMPLE.saturating_sub(self.sample.len());
        self.sample.extend(other.sample.iter().take(room));
    }
}

/// The mean of an observable over runs, with its errors.
///
/// ```
/// use orthogap::experiment::Mean;
/// use orthogap::statistics::Interval;
///
/// let interval = Interval { low: 0.0912, high: 0.0956 };
/// let mean = Mean { value: 0.0934, standard_error: 0.0011, interval, runs: 200 };
/// assert_eq!(mean.to_string(), "0.0934 ± 0.0011 (200 runs)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The interval that contains the true mean with probability 0.95, by Student's law.
    pub interval: Interval,
    /// The number of runs that reached the layer.
    pub runs: u64,
}

approximate!(Mean, mean => {
    vec![mean.value, mean.standard_error, mean.interval.low, mean.interval.high, mean.runs as f64]
});

impl fmt::Display for Mean {
    /// Mean and standard error, with two digits of the error unless a precision is given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.standard_error {
            0.0 => 6.0,
            error => (1.0 - error.log10().floor()).clamp(0.0, 17.0),
        };
        let precision = f.precision().unwrap_or(digits as usize);
        let Self { value, standard_error, runs, .. } = self;
        write!(f, "{value:.precision$} ± {standard_error:.precision$} ({runs} runs)")
    }
}

/// Refuses moments that contradict the sample. Up to rounding, they must be those of the sample, or
/// of more numbers that include it.
#[cfg(feature = "serde")]
fn check_moments(moments: &Moments, sample: &[f64]) -> Result<()> {
    let part: Moments = sample.iter().copied().collect();
    let (count, kept) = (moments.count() as f64, part.count() as f64);
    let squares = |moments: &Moments| match moments.count() {
        0 | 1 => 0.0,
        count => moments.sample_variance() * (count - 1) as f64,
    };
    let largest = sample.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    let slack = 1e-9 * squares(&part) + 1e-15 * kept * largest * largest;
    // Both means give the mean of the other numbers, which adds to the squares at least the square
    // of its distance.
    let distance = if sample.is_empty() { 0.0 } else { moments.mean() - part.mean() };
    let agrees = if count == kept {
        distance.abs() <= 1e-9 * largest && (squares(moments) - squares(&part)).abs() <= slack
    } else {
        let least = squares(&part) + distance * distance * kept * count / (count - kept);
        squares(moments) >= least * (1.0 - 1e-9) - slack
    };
    if !agrees {
        let (name, value) = ("mean of the moments", moments.mean());
        return Err(Error::InvalidParameter { name, value, expected: "moments of the sample" });
    }
    Ok(())
}

deserialize_checked!(
    Observable { moments: Moments, sample: Vec<f64> },
    |moments, sample| {
        let kept = moments.count().min(SAMPLE as u64) as usize;
        if sample.len() != kept {
            let (found, expected) = ((sample.len(), 1), (kept, 1));
            return Err(Error::ShapeMismatch { what: "the sample", found, expected });
        }
        if let Some(row) = sample.iter().position(|value| !value.is_finite()) {
            return Err(Error::NotFinite { row, column: 0, value: sample[row] });
        }
        check_moments(&moments, &sample)?;
        Ok(Observable { moments, sample })
    }
);
