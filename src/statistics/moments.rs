//! Mean and variance, mergeable.

use super::Interval;
use super::mean::SplitMean;
use super::student::two_sided;
use crate::approximate::approximate;
use crate::serialization::deserialize_checked;
use crate::{Error, Result};

/// The largest count: up to here each count is an exact float.
const MOST: u64 = 1 << 53;

/// Mean and variance of a stream of numbers, mergeable in any grouping.
///
/// Uses Welford's recurrence, and the formula of Chan, Golub and LeVeque to merge. The mean is kept
/// in two parts, so the variance has its digits however large the mean is. Results are finite if the
/// numbers and the sum of the squares of their deviations are.
///
/// ```
/// use orthogap::statistics::Moments;
///
/// let all: Moments = [1.0, 2.0, 4.0, 7.0].into_iter().collect();
/// let mut halves: Moments = [1.0, 2.0].into_iter().collect();
/// halves.merge(&[4.0, 7.0].into_iter().collect())?;
/// assert_eq!(all, halves);
/// assert_eq!((all.count(), all.mean(), all.sample_variance()), (4, 3.5, 7.0));
///
/// let far: Moments = [1.0, 2.0, 4.0, 7.0].map(|x| 1e15 + x).into_iter().collect();
/// assert_eq!(far.sample_variance(), 7.0);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Moments {
    count: u64,
    mean: f64,
    /// The rounding error of `mean`.
    mean_remainder: f64,
    sum_of_squares: f64,
}

approximate!(Moments, moments => {
    vec![moments.count as f64, moments.mean(), moments.sum_of_squares]
});

impl Moments {
    /// Creates the moments of no numbers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a number.
    pub fn push(&mut self, value: f64) {
        self.push_split(SplitMean { high: value, low: 0.0 });
    }

    /// Adds a number that is itself a mean in two parts.
    pub(super) fn push_split(&mut self, value: SplitMean) {
        self.count += 1;
        if self.count == 1 {
            // Taken as it is: subtracting a mean of zero would round it.
            (self.mean, self.mean_remainder) = (value.high, value.low);
            return;
        }
        let difference = value.minus(self.split_mean());
        self.shift(difference / self.count as f64);
        let growth = difference * value.minus(self.split_mean());
        // Roundings could make it negative.
        self.sum_of_squares += if growth < 0.0 { 0.0 } else { growth };
    }

    /// The mean in two parts; 0 if there were no numbers.
    pub(super) fn split_mean(&self) -> SplitMean {
        SplitMean { high: self.mean, low: self.mean_remainder }
    }

    fn shift(&mut self, by: f64) {
        let mean = self.split_mean().shifted(by);
        (self.mean, self.mean_remainder) = (mean.high, mean.low);
    }

    /// Adds all numbers of `other`.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if together they are more than 2^53, which repeated merging can
    /// reach.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if other.count == 0 {
            return Ok(());
        }
        let count = countable(self.count.saturating_add(other.count))?;
        if self.count == 0 {
            *self = *other;
            return Ok(());
        }
        let difference = other.split_mean().minus(self.split_mean());
        let share = other.count as f64 / count as f64;
        self.shift(difference * share);
        self.sum_of_squares +=
            other.sum_of_squares + difference * difference * self.count as f64 * share;
        self.count = count;
        Ok(())
    }

    /// Returns the number of numbers.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns their mean; NaN if there were none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.mean }
    }

    /// Returns the unbiased sample variance (divisor `count - 1`); NaN below two numbers.
    #[must_use]
    pub fn sample_variance(&self) -> f64 {
        if self.count < 2 { f64::NAN } else { self.sum_of_squares / (self.count - 1) as f64 }
    }

    /// Returns the standard error of the mean of independent numbers; NaN below two.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        (self.sample_variance() / self.count as f64).sqrt()
    }

    /// Returns the interval that holds the true mean with probability `level`, by Student's law;
    /// `None` below two numbers or for a level outside (0, 1).
    ///
    /// It is exact for independent normal numbers. For others its error falls with their number.
    ///
    /// ```
    /// use orthogap::statistics::Moments;
    ///
    /// let moments: Moments = (1..=10).map(f64::from).collect();
    /// let interval = moments.confidence_interval(0.95).expect("ten numbers");
    /// let half = 2.262_157_162_798_2 * moments.standard_error(); // Student's t, 9 degrees of freedom
    /// assert!((interval.high - (5.5 + half)).abs() < 1e-12);
    /// ```
    #[must_use]
    pub fn confidence_interval(&self, level: f64) -> Option<Interval> {
        let quantile = two_sided(level, self.count.checked_sub(1)? as f64)?;
        Some(Interval::around(self.mean, quantile * self.standard_error()))
    }
}

/// Refuses more numbers than can be counted exactly.
pub(crate) fn countable(count: u64) -> Result<u64> {
    if count > MOST {
        let expected = "at most 2^53 numbers";
        return Err(Error::InvalidParameter { name: "count", value: count as f64, expected });
    }
    Ok(count)
}

deserialize_checked!(
    Moments { count: u64, mean: f64, mean_remainder: f64, sum_of_squares: f64 },
    |count, mean, mean_remainder, sum_of_squares| {
        let count = countable(count)?;
        if !mean.is_finite() || (count == 0 && mean != 0.0) {
            let expected = "a finite number, 0 for no numbers";
            return Err(Error::InvalidParameter { name: "mean", value: mean, expected });
        }
        if !mean_remainder.is_finite() || mean + mean_remainder != mean {
            let (name, value) = ("remainder of the mean", mean_remainder);
            let expected = "a number so small that adding it to the mean changes nothing";
            return Err(Error::InvalidParameter { name, value, expected });
        }
        let finite = sum_of_squares.is_finite() && sum_of_squares >= 0.0;
        if !finite || (count < 2 && sum_of_squares != 0.0) {
            let (name, value) = ("sum of squares", sum_of_squares);
            let expected = "a finite number, not negative, 0 below two numbers";
            return Err(Error::InvalidParameter { name, value, expected });
        }
        Ok(Moments { count, mean, mean_remainder, sum_of_squares })
    }
);

impl FromIterator<f64> for Moments {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut moments = Self::new();
        moments.extend(values);
        moments
    }
}

impl Extend<f64> for Moments {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merging_is_pushing(
            left in proptest::collection::vec(-1e3..1e3f64, 0..20),
            right in proptest::collection::vec(-1e3..1e3f64, 2..20),
        ) {
            let mut merged: Moments = left.iter().copied().collect();
            merged.merge(&right.iter().copied().collect()).unwrap();
            let pushed: Moments = left.iter().chain(&right).copied().collect();
            prop_assert_eq!(merged.count(), pushed.count());
            prop_assert!((merged.mean() - pushed.mean()).abs() < 1e-9);
            prop_assert!((merged.sample_variance() - pushed.sample_variance()).abs() < 1e-6);
        }

        #[test]
        fn moments_match_two_passes(values in proptest::collection::vec(-1e3..1e3f64, 2..40)) {
            let moments: Moments = values.iter().copied().collect();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
            prop_assert!((moments.mean() - mean).abs() < 1e-9);
            prop_assert!((moments.sample_variance() - variance).abs() < 1e-6);
            prop_assert!((moments.standard_error().powi(2) * n - variance).abs() < 1e-6);
        }
    }

    /// Nothing is added where there was nothing, however large the numbers.
    #[test]
    fn merging_into_none_is_a_copy() {
        let large = Moments::from_iter([1e200, 1e200]);
        let mut none = Moments::new();
        none.merge(&large).unwrap();
        assert_eq!((none, none.sample_variance()), (large, 0.0));
    }

    /// Offsets that are multiples of the distance between floats: the variance is exact, merged or
    /// not. Rounded means gave 6.917 at 1e15.
    #[test]
    fn variances_do_not_depend_on_an_offset() {
        for offset in [0.0, 1e12, 1e15, -1e15] {
            let numbers = [1.0, 2.0, 4.0, 7.0].map(|x| offset + x);
            let moments = Moments::from_iter(numbers);
            assert_eq!((moments.mean(), moments.sample_variance()), (offset + 3.5, 7.0));
            let mut merged = Moments::from_iter(numbers[..1].iter().copied());
            merged.merge(&Moments::from_iter(numbers[1..].iter().copied())).unwrap();
            assert!((merged.sample_variance() - 7.0).abs() < 1e-14, "{merged:?}");
            let interval = moments.confidence_interval(0.5).unwrap();
            assert!(interval.contains(offset + 3.5));
        }
    }

    /// Sixteen million numbers ±1. Found before: an interval 16 % too narrow.
    #[test]
    fn intervals_of_many_numbers_are_those_of_the_normal_law() {
        let mut moments = Moments::from_iter([-1.0, 1.0]);
        for _ in 0..23 {
            moments.merge(&moments.clone()).unwrap();
        }
        let interval = moments.confidence_interval(0.9).unwrap();
        let expected = 1.644_853_626_951_472_7 / 4096.0;
        assert!((interval.high / expected - 1.0).abs() < 1e-6, "{interval:?}");
        assert_eq!(interval.low, -interval.high);
    }

    /// Student's quantiles for 9 degrees of freedom, by tables; the ends belong to the interval.
    #[test]
    fn intervals_are_students() {
        let moments: Moments = (1..=10).map(f64::from).collect();
        for (level, quantile) in [(0.9, 1.833_112_932_7), (0.95, 2.262_157_162_8)] {
            let interval = moments.confidence_interval(level).unwrap();
            let half = quantile * moments.standard_error();
            assert!((interval.high - 5.5 - half).abs() < 1e-9);
            assert!((5.5 - interval.low - half).abs() < 1e-9);
            assert!(interval.contains(interval.low) && interval.contains(interval.high));
            assert!(!interval.contains(interval.low - 1e-9));
            assert!(!interval.contains(interval.high + 1e-9));
        }
    }

    #[test]
    fn no_numbers_have_no_mean() {
        assert!(Moments::new().mean().is_nan());
        assert!(Moments::from_iter([1.0]).sample_variance().is_nan());
        assert_eq!(Moments::from_iter([1.0]).confidence_interval(0.95), None);
    }
}
