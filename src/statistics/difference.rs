//! The difference of the means of two samples, by Welch.

use super::student::two_sided;
use super::{Interval, Moments};
use crate::approximate::approximate;
use crate::{Error, Result};

/// The difference of the means of two independent samples, whose variances may differ.
///
/// Made by [`Moments::difference`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    value: f64,
    standard_error: f64,
    degrees_of_freedom: f64,
}

approximate!(Difference, difference => vec![difference.value, difference.standard_error]);

impl Moments {
    /// Returns the mean of these numbers minus that of others, which are independent of them.
    ///
    /// B. L. Welch, "The generalization of 'Student's' problem when several different population
    /// variances are involved", Biometrika 34 (1947): the standard error is
    /// $`\sqrt{s_1^2/n_1 + s_2^2/n_2}`$, and the law that of Student with
    /// $`(a + b)^2 / (a^2/(n_1 - 1) + b^2/(n_2 - 1))`$ degrees of freedom, $`a = s_1^2/n_1`$,
    /// $`b = s_2^2/n_2`$.
    ///
    /// ```
    /// use orthogap::statistics::Moments;
    ///
    /// let narrow: Moments = [1.0, 2.0, 4.0, 7.0, 3.5].into_iter().collect();
    /// let wide: Moments = [2.5, 9.0, 4.25].into_iter().collect();
    /// let difference = narrow.difference(&wide)?;
    /// assert_eq!(difference.value(), -1.75);
    /// let interval = difference.confidence_interval(0.95).expect("a level below one");
    /// assert!(interval.contains(0.0)); // so few numbers show no difference
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::SampleTooSmall`] if one of the samples has fewer than two numbers.
    pub fn difference(&self, other: &Self) -> Result<Difference> {
        let count = self.count().min(other.count());
        if count < 2 {
            return Err(Error::SampleTooSmall { count: count as usize, minimum: 2 });
        }
        let standard_error = self.standard_error().hypot(other.standard_error());
        let term = |moments: &Self| {
            (moments.standard_error() / standard_error).powi(4) / (moments.count() - 1) as f64
        };
        let value = self.split_mean().minus(other.split_mean());
        let degrees_of_freedom = match standard_error {
            0.0 => (self.count() + other.count() - 2) as f64,
            _ => 1.0 / (term(self) + term(other)),
        };
        Ok(Difference { value, standard_error, degrees_of_freedom })
    }
}

impl Difference {
    /// Returns the difference of the means.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Returns its standard error.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        self.standard_error
    }

    /// Returns the degrees of freedom of Student's law, rarely a whole number.
    #[must_use]
    pub fn degrees_of_freedom(&self) -> f64 {
        self.degrees_of_freedom
    }

    /// Returns the interval that contains the true difference with probability `level`; `None` for
    /// a level outside (0, 1), and if the standard error is not finite.
    #[must_use]
    pub fn confidence_interval(&self, level: f64) -> Option<Interval> {
        let quantile = two_sided(level, self.degrees_of_freedom)?;
        Some(Interval::around(self.value, quantile * self.standard_error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against scipy 1.x, `ttest_ind(a, b, equal_var=False)`.
    #[test]
    fn differences_match_scipy() {
        let a = Moments::from_iter([1.0, 2.0, 4.0, 7.0, 3.5]);
        let b = Moments::from_iter([2.5, 9.0, 4.25]);
        let difference = a.difference(&b).unwrap();
        assert!(
            (difference.value() / difference.standard_error() + 0.797_034_260_738_961_4).abs()
                < 1e-14
        );
        assert!((difference.degrees_of_freedom() - 3.146_885_729_162_871_6).abs() < 1e-13);
        let interval = difference.confidence_interval(0.95).unwrap();
        assert!((interval.high - 5.056_568_982_069_383).abs() < 1e-13, "{interval:?}");
        assert!((interval.low + 8.556_568_982_069_383).abs() < 1e-13, "{interval:?}");
    }

    /// Whole degrees of freedom need no interpolation: equal counts and variances.
    #[test]
    fn equal_variances_give_students_interval() {
        let (a, b) = (Moments::from_iter([1.0, 3.0, 8.0]), Moments::from_iter([2.0, 4.0, 9.0]));
        let difference = a.difference(&b).unwrap();
        assert!((difference.degrees_of_freedom() - 4.0).abs() < 1e-12);
        let half = two_sided(0.9, 4.0).unwrap() * difference.standard_error();
        let interval = difference.confidence_interval(0.9).unwrap();
        assert!((interval.high - interval.low - 2.0 * half).abs() < 1e-9);
        assert_eq!(difference.confidence_interval(1.0), None);
    }

    /// Rounded means would differ by 1/8 or nothing.
    #[test]
    fn differences_do_not_depend_on_an_offset() {
        let far = |numbers: [f64; 3]| Moments::from_iter(numbers.map(|x| 1e15 + x));
        let difference = far([1.0, 2.0, 4.0]).difference(&far([1.0, 2.0, 3.0])).unwrap();
        assert!((difference.value() - 1.0 / 3.0).abs() < 1e-15, "{difference:?}");
    }

    #[test]
    fn equal_numbers_differ_without_error() {
        let (a, b) = (Moments::from_iter([2.0, 2.0]), Moments::from_iter([1.0, 1.0, 1.0]));
        let difference = a.difference(&b).unwrap();
        assert_eq!(difference.degrees_of_freedom(), 3.0);
        let interval = difference.confidence_interval(0.5).unwrap();
        assert_eq!(interval, Interval { low: 1.0, high: 1.0 });
        let error = a.difference(&Moments::from_iter([1.0])).unwrap_err();
        assert_eq!(error, Error::SampleTooSmall { count: 1, minimum: 2 });
    }
}
