//! Means in two parts, so that numbers far from zero keep their differences.

/// A mean as the unevaluated sum of two numbers, of which the second is below half a rounding of the
/// first.
///
/// The mean of numbers near 1e15 is rounded to an eighth. Everything here depends on differences of
/// means and on numbers less their mean, so the part below the rounding is kept to the end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct SplitMean {
    /// The mean, rounded.
    pub(super) rounded: f64,
    /// The mean less its rounded value.
    pub(super) rest: f64,
}

impl SplitMean {
    /// The sum of two numbers, exactly (Knuth's two-sum).
    pub(super) fn sum(a: f64, b: f64) -> Self {
        let rounded = a + b;
        let of_b = rounded - a;
        Self { rounded, rest: (a - (rounded - of_b)) + (b - of_b) }
    }

    /// The mean less a number.
    pub(super) fn less(self, origin: f64) -> f64 {
        (self.rounded - origin) + self.rest
    }

    /// The mean less another mean.
    pub(super) fn minus(self, other: Self) -> f64 {
        (self.rounded - other.rounded) + (self.rest - other.rest)
    }

    /// The mean moved by a number.
    pub(super) fn plus(self, step: f64) -> Self {
        let Self { rounded, rest } = Self::sum(self.rounded, step);
        Self::sum(rounded, rest + self.rest)
    }
}

/// Subtracts the mean from numbers and returns it; `mean_of` computes means up to rounding.
///
/// The first difference is exact for numbers that lie close together, and what is left of the mean
/// is small.
pub(super) fn subtract_mean(numbers: &mut [f64], mean_of: impl Fn(&[f64]) -> f64) -> SplitMean {
    let mut pass = || {
        let mean = mean_of(numbers);
        numbers.iter_mut().for_each(|x| *x -= mean);
        mean
    };
    let (first, rest) = (pass(), pass());
    SplitMean::sum(first, rest)
}

/// The mean of equally likely numbers, rounded.
pub(super) fn average(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At 1e15 numbers are multiples of an eighth, and at 1e16 of two.
    #[test]
    fn means_keep_what_rounding_would_lose() {
        for offset in [0.0, 1e15, -1e16, 2f64.powi(60)] {
            let step = 2f64.powi(10);
            let mut numbers = [0.0, 1.0, 4.0].map(|x| offset + step * x);
            let mean = subtract_mean(&mut numbers, average);
            let near = |value: f64, expected: f64| (value / step - expected).abs() < 1e-15;
            assert!(near(mean.less(offset), 5.0 / 3.0), "{mean:?}");
            assert!(near(mean.minus(SplitMean::sum(offset, step)), 2.0 / 3.0));
            assert!(near(mean.plus(step / 3.0).less(offset), 2.0));
            for (x, expected) in numbers.into_iter().zip([-5.0, -2.0, 7.0]) {
                assert!(near(x, expected / 3.0), "{offset} {x}");
            }
        }
    }
}
