//! Straight lines through points: slopes with intervals.

use statrs::function::gamma::checked_gamma_ur;

use super::Interval;
use super::student::{normal_quantile, two_sided};
use crate::serialization::deserialize_checked;
use crate::{Error, Result};

/// How much each point counts in a fit of points with errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Weighting {
    /// All the same. The slope of a relation that is not quite straight then does not depend on
    /// which points happen to be known best.
    Equal,
    /// By the inverse square of its standard error: the best estimate if the relation is straight.
    InverseVariance,
}

/// The most points of a line: more fit no memory.
const MOST: u64 = 1 << 40;

/// A straight line $`y = a + b x`$ fitted by least squares, with the errors of `a` and `b`.
///
/// The slope of a logarithm against a logarithm is a power law:
///
/// ```
/// use orthogap::statistics::{Line, Weighting};
/// use orthogap::theory::stationary::mean_gap;
///
/// let points: Vec<_> = [16usize, 64, 256, 1024]
///     .map(|width| ((width as f64).ln(), mean_gap(4, width).ln(), 1e-3))
///     .into();
/// let line = Line::with_errors(&points, Weighting::Equal)?;
/// assert!((line.slope() + 0.5).abs() < 1e-9); // the gap falls like one over the root of the width
/// assert!(line.slope_interval(0.95).is_some_and(|interval| interval.contains(-0.5)));
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Line {
    slope: f64,
    intercept: f64,
    slope_error: f64,
    intercept_error: f64,
    degrees_of_freedom: usize,
    /// Of points with errors; infinite where it overflows.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialization::option"))]
    chi_squared: Option<f64>,
}

impl Line {
    /// The line through `(x, y)`, all alike; their scatter about it gives the errors.
    ///
    /// ```
    /// use orthogap::statistics::Line;
    ///
    /// let line = Line::through(&[(0.0, 1.0), (1.0, 2.9), (2.0, 5.1), (3.0, 7.0)])?;
    /// assert!((line.slope() - 2.02).abs() < 1e-12 && (line.intercept() - 0.97).abs() < 1e-12);
    /// assert!((line.slope_error() - 0.042_426_406_871_19).abs() < 1e-12);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for fewer than three points, for numbers that are not finite or
    /// whose squares are not, and where all `x` are equal.
    pub fn through(points: &[(f64, f64)]) -> Result<Self> {
        enough(points.len(), 3, "at least 3 points")?;
        let all_alike: Vec<_> = points.iter().map(|&(x, y)| (x, y, 1.0)).collect();
        let line = Self::with_errors(&all_alike, Weighting::Equal)?;
        let squares: f64 = points.iter().map(|&(x, y)| (y - line.at(x)).powi(2)).sum();
        let scatter = (squares / line.degrees_of_freedom as f64).sqrt();
        let slope_error = line.slope_error * scatter;
        let intercept_error = line.intercept_error * scatter;
        Self { slope_error, intercept_error, chi_squared: None, ..line }.checked()
    }

    /// The line through `(x, y, standard error of y)`; the errors of `y`, independent of each other,
    /// give those of the line. Ensembles under one seed are not
    /// [independent](crate::ensemble#repeatability).
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for fewer than two points, for numbers that are not finite or
    /// whose squares are not, for standard errors that are not positive, and where all `x` are equal.
    pub fn with_errors(points: &[(f64, f64, f64)], weighting: Weighting) -> Result<Self> {
        enough(points.len(), 2, "at least 2 points")?;
        for &(x, y, error) in points {
            finite("x", x)?;
            finite("y", y)?;
            if !(error > 0.0 && error.is_finite()) {
                let expected = "a positive finite number";
                return Err(Error::InvalidParameter {
                    name: "standard error",
                    value: error,
                    expected,
                });
            }
        }
        // Errors may be as small as 1e-200: their ratios are what weighs.
        let unit = points.iter().map(|point| point.2).fold(f64::INFINITY, f64::min);
        let weight = |error: f64| match weighting {
            Weighting::Equal => 1.0,
            Weighting::InverseVariance => (unit / error).powi(2),
        };
        let total: f64 = points.iter().map(|point| weight(point.2)).sum();
        let mean = |value: fn(&(f64, f64, f64)) -> f64| {
            points.iter().map(|point| weight(point.2) * value(point)).sum::<f64>() / total
        };
        let (x_mean, y_mean) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|p| weight(p.2) * (p.0 - x_mean).powi(2)).sum();
        in_range("the spread of x", spread)?;
        if spread == 0.0 {
            let expected = "points at different x";
            return Err(Error::InvalidParameter { name: "x", value: x_mean, expected });
        }
        // Slope and intercept are linear in y, with these coefficients.
        let of_slope = |p: &(f64, f64, f64)| weight(p.2) * (p.0 - x_mean) / spread;
        let of_intercept = |p: &(f64, f64, f64)| weight(p.2) / total - x_mean * of_slope(p);
        let norm = |coefficient: &dyn Fn(&(f64, f64, f64)) -> f64| {
            points.iter().map(|p| (coefficient(p) * p.2 / unit).powi(2)).sum::<f64>().sqrt() * unit
        };
        let slope: f64 = points.iter().map(|p| of_slope(p) * (p.1 - y_mean)).sum();
        let intercept = y_mean - slope * x_mean;
        let residual = |p: &(f64, f64, f64)| ((p.1 - intercept - slope * p.0) / p.2).powi(2);
        Self {
            slope,
            intercept,
            slope_error: norm(&of_slope),
            intercept_error: norm(&of_intercept),
            degrees_of_freedom: points.len() - 2,
            chi_squared: Some(points.iter().map(residual).sum()),
        }
        .checked()
    }

    /// Refuses what no points give.
    fn checked(self) -> Result<Self> {
        in_range("slope", self.slope)?;
        in_range("intercept", self.intercept)?;
        for (name, value) in
            [("slope error", self.slope_error), ("intercept error", self.intercept_error)]
        {
            not_negative(name, in_range(name, value)?)?;
        }
        not_negative("chi squared", self.chi_squared.unwrap_or(0.0))?;
        let least = u64::from(self.chi_squared.is_none());
        if !(least..=MOST).contains(&(self.degrees_of_freedom as u64)) {
            let (name, value) = ("degrees of freedom", self.degrees_of_freedom as f64);
            let expected = "up to 2^40, and at least 1 of points without errors";
            return Err(Error::InvalidParameter { name, value, expected });
        }
        Ok(self)
    }

    /// The slope `b`.
    #[must_use]
    pub fn slope(&self) -> f64 {
        self.slope
    }

    /// The value `a` at `x = 0`.
    #[must_use]
    pub fn intercept(&self) -> f64 {
        self.intercept
    }

    /// The standard error of the slope.
    #[must_use]
    pub fn slope_error(&self) -> f64 {
        self.slope_error
    }

    /// The standard error of the intercept.
    #[must_use]
    pub fn intercept_error(&self) -> f64 {
        self.intercept_error
    }

    /// The line at `x`.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }

    /// The interval that holds the true slope with probability `level`: by the normal law if the
    /// errors of the points were given, by Student's if their scatter had to tell; none for a level
    /// outside (0, 1).
    #[must_use]
    pub fn slope_interval(&self, level: f64) -> Option<Interval> {
        let quantile = match self.chi_squared {
            Some(_) => normal_quantile(level),
            None => two_sided(level, self.degrees_of_freedom as u64),
        };
        Some(Interval::around(self.slope, quantile? * self.slope_error))
    }

    /// How likely points about a straight line scatter as much as these, by the chi-squared law of
    /// a fit by [`Weighting::InverseVariance`] (under equal weights a little too unlikely); none
    /// without errors of the points and for two points.
    ///
    /// ```
    /// use orthogap::statistics::{Line, Weighting::InverseVariance};
    ///
    /// let bent: Vec<_> = (0..8).map(|k| (f64::from(k), f64::from(k * k), 0.5)).collect();
    /// let line = Line::with_errors(&bent, InverseVariance)?;
    /// assert!(line.straightness().is_some_and(|p| p < 1e-10));
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn straightness(&self) -> Option<f64> {
        match 0.5 * self.chi_squared? {
            _ if self.degrees_of_freedom == 0 => None,
            0.0 => Some(1.0),
            f64::INFINITY => Some(0.0),
            half => checked_gamma_ur(0.5 * self.degrees_of_freedom as f64, half).ok(),
        }
    }
}

fn enough(points: usize, minimum: usize, expected: &'static str) -> Result<()> {
    if points < minimum {
        let (name, value) = ("the number of points", points as f64);
        return Err(Error::InvalidParameter { name, value, expected });
    }
    Ok(())
}

fn in_range(name: &'static str, value: f64) -> Result<f64> {
    if !value.is_finite() {
        let expected = "points whose squares do not overflow";
        return Err(Error::InvalidParameter { name, value, expected });
    }
    Ok(value)
}

fn not_negative(name: &'static str, value: f64) -> Result<()> {
    if value.is_nan() || value < 0.0 {
        return Err(Error::InvalidParameter { name, value, expected: "a number, not negative" });
    }
    Ok(())
}

deserialize_checked!(
    Line {
        slope: f64,
        intercept: f64,
        slope_error: f64,
        intercept_error: f64,
        degrees_of_freedom: usize,
        chi_squared: Option<crate::serialization::Extended>
    },
    |slope, intercept, slope_error, intercept_error, degrees_of_freedom, chi_squared| {
        let chi_squared = chi_squared.map(|chi_squared| chi_squared.0);
        Line { slope, intercept, slope_error, intercept_error, degrees_of_freedom, chi_squared }
            .checked()
    }
);

fn finite(name: &'static str, value: f64) -> Result<()> {
    if !value.is_finite() {
        return Err(Error::InvalidParameter { name, value, expected: "a finite number" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_distr::{Distribution, StandardNormal};

    proptest! {
        /// Against the normal equations.
        #[test]
        fn weighted_fits_solve_the_normal_equations(
            points in proptest::collection::vec((-9.0..9.0f64, -9.0..9.0f64, 0.1..3.0f64), 3..12),
        ) {
            let line = Line::with_errors(&points, Weighting::InverseVariance).unwrap();
            let moment = |f: fn(f64, f64) -> f64| {
                points.iter().map(|&(x, y, s)| f(x, y) / (s * s)).sum::<f64>()
            };
            let (one, x, y) = (moment(|_, _| 1.0), moment(|x, _| x), moment(|_, y| y));
            let (xx, xy) = (moment(|x, _| x * x), moment(|x, y| x * y));
            let determinant = one * xx - x * x;
            prop_assume!(determinant > 1e-3 * one * xx);
            prop_assert!((line.slope() - (one * xy - x * y) / determinant).abs() < 1e-9);
            prop_assert!((line.intercept() - (xx * y - x * xy) / determinant).abs() < 1e-8);
            prop_assert!((line.slope_error() - (one / determinant).sqrt()).abs() < 1e-9);
            prop_assert!((line.intercept_error() - (xx / determinant).sqrt()).abs() < 1e-8);
        }
    }

    /// Of 1000 lines through 8 noisy points, seed 1, the intervals of .9 hold the true slope; two
    /// counts, each within 4 of its standard errors (38): false alarms 1 in 8000.
    #[test]
    fn intervals_cover() {
        let (mut known, mut scattered) = (0, 0);
        let mut rng = crate::Seed(1).replicate(0).stream(crate::Purpose::User(0), 0, 0).rng();
        for _ in 0..1000 {
            let points: Vec<(f64, f64, f64)> = (0..8)
                .map(|k| {
                    let error = 0.1 + 0.05 * f64::from(k % 3);
                    let noise: f64 = StandardNormal.sample(&mut rng);
                    (f64::from(k), 2.0 - 0.5 * f64::from(k) + error * noise, error)
                })
                .collect();
            let line = Line::with_errors(&points, Weighting::InverseVariance).unwrap();
            known += usize::from(line.slope_interval(0.9).unwrap().contains(-0.5));
            let alike: Vec<_> = points
                .iter()
                .map(|&(x, y, s)| (x, 2.0 - 0.5 * x + (y - 2.0 + 0.5 * x) / s))
                .collect();
            let line = Line::through(&alike).unwrap();
            scattered += usize::from(line.slope_interval(0.9).unwrap().contains(-0.5));
        }
        assert!((862..=938).contains(&known), "{known}");
        assert!((862..=938).contains(&scattered), "{scattered}");
    }

    #[test]
    fn lines_that_are_none_are_refused() {
        let with_errors = |points: &[_]| Line::with_errors(points, Weighting::Equal);
        for (points, message) in [
            (
                vec![(1.0, 1.0, 1.0)],
                "the number of points = 1 is invalid: expected at least 2 points",
            ),
            (vec![(1.0, 1.0, 1.0); 3], "x = 1 is invalid: expected points at different x"),
            (
                vec![(1.0, 1.0, 1.0), (f64::NAN, 0.0, 1.0)],
                "x = NaN is invalid: expected a finite number",
            ),
            (
                vec![(1.0, 1.0, 1.0), (2.0, 1.0, 0.0)],
                "standard error = 0 is invalid: expected a positive finite number",
            ),
        ] {
            assert_eq!(with_errors(&points).unwrap_err().to_string(), message);
        }
        assert!(Line::through(&[(0.0, 1.0), (1.0, 2.0)]).is_err());
        let exact = with_errors(&[(0.0, 1.0, 0.5), (1.0, 3.0, 0.5)]).unwrap();
        assert_eq!((exact.slope(), exact.at(2.0), exact.straightness()), (2.0, 5.0, None));
    }

    /// Chi squared may be zero, and beyond all floats.
    #[test]
    fn straight_and_bent_beyond_doubt() {
        let straightness = |y: [f64; 3], error| {
            let points: Vec<_> = (0..3).map(|k| (k as f64, y[k], error)).collect();
            Line::with_errors(&points, Weighting::Equal).unwrap().straightness()
        };
        assert_eq!(straightness([1.0, 3.0, 5.0], 0.5), Some(1.0));
        assert_eq!(straightness([1.0, 3.0, 6.0], 1e-200), Some(0.0));
    }
}
