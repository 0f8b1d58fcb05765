//! Means in two parts, so that subtracting them from numbers loses no digits.

/// A mean as the unevaluated sum of two numbers, `high` and the much smaller `low`.
///
/// A mean near 1e15 is rounded to a multiple of 1/8, so the differences of numbers from it would be
/// off by up to 1/16. Both parts are subtracted instead, the larger one first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct SplitMean {
    pub(crate) high: f64,
    pub(crate) low: f64,
}

impl SplitMean {
    /// Returns the mean of pairs of a number and its weight; NaN if there are none.
    ///
    /// It is finite if the differences of numbers and their weighted sum are. The second pass
    /// corrects what the first one loses if the first number is far from the others.
    pub(crate) fn weighted(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> Self {
        let total: f64 = pairs.clone().map(|(_, weight)| weight).sum();
        let first = pairs.clone().next().map_or(f64::NAN, |(first, _)| first);
        (0..2).fold(Self { high: first, low: 0.0 }, |mean, _| {
            let sum: f64 = pairs.clone().map(|(x, weight)| weight * mean.deviation(x)).sum();
            mean.shifted(sum / total)
        })
    }

    /// Returns the mean of numbers with equal weights; NaN if there are none.
    pub(crate) fn of(numbers: impl Iterator<Item = f64> + Clone) -> Self {
        Self::weighted(numbers.map(|number| (number, 1.0)))
    }

    /// Subtracts the mean from numbers and returns it.
    pub(crate) fn subtract(numbers: &mut [f64]) -> Self {
        let mean = Self::of(numbers.iter().copied());
        numbers.iter_mut().for_each(|x| *x = mean.deviation(*x));
        mean
    }

    /// Returns this mean plus a number, with the error of the sum in the lower part (Knuth's two-sum).
    pub(crate) fn shifted(self, by: f64) -> Self {
        let by = self.low + by;
        let high = self.high + by;
        let added = high - self.high;
        let low = (self.high - (high - added)) + (by - added);
        Self { high, low: if high.is_finite() { low } else { 0.0 } }
    }

    /// Returns this mean minus another.
    pub(crate) fn minus(self, other: Self) -> f64 {
        (self.high - other.high) + (self.low - other.low)
    }

    /// Returns a number minus this mean.
    pub(crate) fn deviation(self, number: f64) -> f64 {
        (number - self.high) - self.low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Floats are 1/8 apart at 1e15, and 2 apart at 1e16.
    #[test]
    fn deviations_keep_their_digits() {
        let deviations = |numbers: &[f64]| -> Vec<f64> {
            let mean = SplitMean::of(numbers.iter().copied());
            numbers.iter().map(|&x| mean.deviation(x)).collect()
        };
        let third = [1.0, 2.0, 4.0].map(|x| 1e15 + x);
        for (found, expected) in deviations(&third).iter().zip([-4.0, -1.0, 5.0]) {
            assert!((found - expected / 3.0).abs() < 1e-15, "{found}");
        }
        assert_eq!(deviations(&[1e16, 1e16 + 2.0]), [-1.0, 1.0]);
        // The first number is far off, so the first pass rounds the mean to an eighth.
        let far = [0.0, 1e15, 1e15, 1e15 + 1.0, 1e15 + 1.0, 1e15 + 1.0, 1e15 + 4.0];
        let error = SplitMean::of(far.into_iter()).deviation(857_142_857_142_858.0) + 1.0 / 7.0;
        assert!(error.abs() < 1e-15, "{error}");
        assert_eq!(deviations(&[-1e308, -1e308]), [0.0, 0.0]);
    }

    #[test]
    fn means_that_are_not_numbers() {
        assert!(SplitMean::of([].into_iter()).high.is_nan());
        assert!(!SplitMean::of([1.0, f64::INFINITY].into_iter()).high.is_finite());
    }

    proptest! {
        /// Against exact sums of integers.
        #[test]
        fn means_match_integers(
            offset in (-1i64 << 52)..(1 << 52),
            numbers in proptest::collection::vec((-1000i64..1000, 1i64..9), 1..20),
        ) {
            let mean = SplitMean::weighted(
                numbers.iter().map(|&(x, w)| ((offset + x) as f64, w as f64)),
            );
            let total: i64 = numbers.iter().map(|pair| pair.1).sum();
            let sum: i64 = numbers.iter().map(|(x, w)| x * w).sum();
            for (x, _) in &numbers {
                let expected = (x * total - sum) as f64 / total as f64;
                let found = mean.deviation((offset + x) as f64);
                prop_assert!((found - expected).abs() < 1e-12, "{} {}", found, expected);
            }
        }
    }
}
