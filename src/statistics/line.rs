//! Straight lines through points: slopes with intervals.

use super::Interval;
use super::gamma::gamma_below_and_above;
use super::mean::SplitMean;
use super::student::two_sided;
use crate::Result;
use crate::check;
use crate::serialization::deserialize_checked;

/// The weights of points with errors in a fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Weighting {
    /// Equal weights. The slope of a relation that is not exactly straight then does not depend on
    /// which points are known best.
    Equal,
    /// The inverse square of the standard error of each point: the best estimate if the relation is
    /// straight.
    ///
    /// The standard errors have to be known well. If each is estimated from a few runs, the points
    /// that happen to scatter least get the largest weights, and the error of the line is too
    /// small: 95 % intervals contain the truth in 60 % with 3 runs a point, and in 90 % with 10
    /// runs. Below 30 runs a point use [`Equal`](Self::Equal) weights.
    InverseVariance,
}

/// The largest number of points: more do not fit into memory.
const MOST: u64 = 1 << 40;

/// A straight line $`y = a + b x`$ fitted by least squares, with the errors of `a` and `b`.
///
/// The slope of a logarithm against a logarithm is the exponent of a power law:
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
    /// A point of the line amid the fitted ones: if they are far from zero, the intercept does not
    /// have the digits of their distances.
    center: [f64; 2],
    slope_error: f64,
    intercept_error: f64,
    degrees_of_freedom: usize,
    /// About the line with weights by inverse variance; infinite where it overflows.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialization::option"))]
    chi_squared: Option<f64>,
}

impl Line {
    /// Fits the line through `(x, y)` with equal weights; the scatter about it gives the errors.
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
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) for fewer than three points, for
    /// numbers that are not finite or so large that the fit overflows, and if all `x` are equal.
    pub fn through(points: &[(f64, f64)]) -> Result<Self> {
        enough(points.len(), 3, "at least 3 points")?;
        let all_alike: Vec<_> = points.iter().map(|&(x, y)| (x, y, 1.0)).collect();
        let line = Self::with_errors(&all_alike, Weighting::Equal)?;
        let scatter = (line.chi_squared.unwrap_or(0.0) / line.degrees_of_freedom as f64).sqrt();
        let slope_error = line.slope_error * scatter;
        let intercept_error = line.intercept_error * scatter;
        Self { slope_error, intercept_error, chi_squared: None, ..line }.checked()
    }

    /// Fits the line through `(x, y, standard error of y)`; the errors of `y` give those of the
    /// line.
    ///
    /// The errors of `y` must be independent of each other. Those of ensembles under one seed are
    /// [not](crate::experiment#repeatability).
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) for fewer than two points, for
    /// numbers that are not finite or so large that the fit overflows, for standard errors that are
    /// not positive, and if all `x` are equal.
    pub fn with_errors(points: &[(f64, f64, f64)], weighting: Weighting) -> Result<Self> {
        enough(points.len(), 2, "at least 2 points")?;
        for &(x, y, error) in points {
            check::finite("x", x)?;
            check::finite("y", y)?;
            check::positive("standard error", error)?;
        }
        let (least, most) = points.iter().fold((f64::MAX, f64::MIN), |(least, most), point| {
            (least.min(point.0), most.max(point.0))
        });
        check::parameter("x", least, least < most, "points at different x")?;
        in_range("the range of x", most - least)?;
        let best = Self::fitted(points, most - least, Weighting::InverseVariance)?;
        if weighting == Weighting::InverseVariance {
            return Ok(best);
        }
        let line = Self::fitted(points, most - least, weighting)?;
        Ok(Self { chi_squared: best.chi_squared, ..line })
    }

    /// The line through points whose `x` differ by up to `range`.
    fn fitted(points: &[(f64, f64, f64)], range: f64, weighting: Weighting) -> Result<Self> {
        // Errors may be as small as 1e-200: their ratios are what weighs.
        let unit = points.iter().map(|point| point.2).fold(f64::INFINITY, f64::min);
        let weight = |error: f64| match weighting {
            Weighting::Equal => 1.0,
            Weighting::InverseVariance => (unit / error).powi(2),
        };
        let x_mean = SplitMean::weighted(points.iter().map(|p| (p.0, weight(p.2))));
        let y_mean = SplitMean::weighted(points.iter().map(|p| (p.1, weight(p.2))));
        let position = |p: &(f64, f64, f64)| x_mean.deviation(p.0) / range;
        let total: f64 = points.iter().map(|p| weight(p.2)).sum();
        let spread: f64 = points.iter().map(|p| weight(p.2) * position(p).powi(2)).sum();
        // Slope, across the range, and intercept are linear in y, with these coefficients.
        let of_slope = |p: &(f64, f64, f64)| weight(p.2) * position(p) / spread;
        let of_intercept = |p: &(f64, f64, f64)| {
            weight(p.2) / total - (x_mean.high / range + x_mean.low / range) * of_slope(p)
        };
        let norm = |coefficient: &dyn Fn(&(f64, f64, f64)) -> f64| {
            points.iter().map(|p| (coefficient(p) * p.2 / unit).powi(2)).sum::<f64>().sqrt() * unit
        };
        let rise: f64 = points.iter().map(|p| of_slope(p) * y_mean.deviation(p.1)).sum();
        let residual =
            |p: &(f64, f64, f64)| ((y_mean.deviation(p.1) - rise * position(p)) / p.2).powi(2);
        let slope = rise / range;
        Self {
            slope,
            center: [x_mean.high, y_mean.high + (y_mean.low - slope * x_mean.low)],
            slope_error: norm(&of_slope) / range,
            intercept_error: norm(&of_intercept),
            degrees_of_freedom: points.len() - 2,
            chi_squared: Some(points.iter().map(residual).sum()),
        }
        .checked()
    }

    /// Refuses fields that no points give.
    fn checked(self) -> Result<Self> {
        in_range("slope", self.slope)?;
        for coordinate in self.center {
            in_range("mean of the points", coordinate)?;
        }
        in_range("intercept", self.intercept())?;
        for (name, value) in
            [("slope error", self.slope_error), ("intercept error", self.intercept_error)]
        {
            not_negative(name, in_range(name, value)?)?;
        }
        not_negative("chi squared", self.chi_squared.unwrap_or(0.0))?;
        let least = u64::from(self.chi_squared.is_none());
        let valid = (least..=MOST).contains(&(self.degrees_of_freedom as u64));
        let expected = "up to 2^40, and at least 1 of points without errors";
        check::count("degrees of freedom", self.degrees_of_freedom, valid, expected)?;
        Ok(self)
    }

    /// Returns the slope `b`.
    #[must_use]
    pub fn slope(&self) -> f64 {
        self.slope
    }

    /// Returns the value `a` at `x = 0`.
    #[must_use]
    pub fn intercept(&self) -> f64 {
        self.at(0.0)
    }

    /// Returns the standard error of the slope.
    #[must_use]
    pub fn slope_error(&self) -> f64 {
        self.slope_error
    }

    /// Returns the standard error of the intercept.
    #[must_use]
    pub fn intercept_error(&self) -> f64 {
        self.intercept_error
    }

    /// Returns the line at `x`.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        let [center, value] = self.center;
        value + self.slope * (x - center)
    }

    /// Returns the interval that contains the true slope with probability `level`; `None` for a level
    /// outside (0, 1).
    ///
    /// It is that of the normal law if the errors of the points were given. If their scatter about
    /// the line gave the error, it is that of Student's law with `n - 2` degrees of freedom for `n`
    /// points.
    #[must_use]
    pub fn slope_interval(&self, level: f64) -> Option<Interval> {
        self.interval(self.slope, self.slope_error, level)
    }

    /// Returns the interval that contains the true value at `x = 0` with probability `level`, as
    /// [`slope_interval`](Self::slope_interval) does for the slope.
    ///
    /// ```
    /// use orthogap::statistics::Line;
    ///
    /// let line = Line::through(&[(0.0, 1.0), (1.0, 2.9), (2.0, 5.1), (3.0, 7.0)])?;
    /// let interval = line.intercept_interval(0.95).expect("a level below one");
    /// assert!((interval.high - 1.311_512_47).abs() < 1e-8); // 4.30 standard errors
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn intercept_interval(&self, level: f64) -> Option<Interval> {
        self.interval(self.intercept(), self.intercept_error, level)
    }

    fn interval(&self, middle: f64, error: f64, level: f64) -> Option<Interval> {
        let degrees = match self.chi_squared {
            Some(_) => f64::INFINITY,
            None => self.degrees_of_freedom as f64,
        };
        Some(Interval::around(middle, two_sided(level, degrees)? * error))
    }

    /// Returns the probability that points about a straight line scatter at least as much as these.
    ///
    /// Uses the chi-squared law of the squared residuals, in standard errors, about the line with
    /// weights by [inverse variance](Weighting::InverseVariance), also if this line has equal weights.
    /// It holds for normal errors of known size: if each is estimated from a few runs, the
    /// probability is too small. `None` without errors of the points and for two points.
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
            half => Some(gamma_below_and_above(0.5 * self.degrees_of_freedom as f64, half).1),
        }
    }
}

fn enough(points: usize, minimum: usize, expected: &'static str) -> Result<()> {
    check::count("the number of points", points, points >= minimum, expected).map(|_| ())
}

fn in_range(name: &'static str, value: f64) -> Result<f64> {
    check::parameter(name, value, value.is_finite(), "points whose squares do not overflow")
}

fn not_negative(name: &'static str, value: f64) -> Result<f64> {
    check::parameter(name, value, value >= 0.0, "a number, not negative")
}

deserialize_checked!(
    Line {
        slope: f64,
        center: [f64; 2],
        slope_error: f64,
        intercept_error: f64,
        degrees_of_freedom: usize,
        chi_squared: Option<crate::serialization::Extended>
    },
    |slope, center, slope_error, intercept_error, degrees_of_freedom, chi_squared| {
        let chi_squared = chi_squared.map(|chi_squared| chi_squared.0);
        Line { slope, center, slope_error, intercept_error, degrees_of_freedom, chi_squared }
            .checked()
    }
);

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

    /// All `x` equal, though their rounded mean is another number.
    #[test]
    fn equal_abscissae_are_refused() {
        for x in [0.0125, 0.1, 1e17 / 3.0, -1e-310] {
            for count in 3..30 {
                let error = Line::through(&vec![(x, x); count]).unwrap_err().to_string();
                assert!(error.ends_with("expected points at different x"), "{error}");
            }
        }
        let close = [1e-200, 2e-200, 3e-200].map(|x| (x, 2.0 * x));
        assert!((Line::through(&close).unwrap().slope() - 2.0).abs() < 1e-14);
    }

    /// Times of day in milliseconds and nanoseconds since 1970, which lie 1/4096 and 256 apart: the
    /// line through the same numbers near zero. Found before: straightness 0, and errors of a slope
    /// a thousand times too large.
    #[test]
    fn offsets_do_not_matter() {
        for (x_offset, y_offset, step) in
            [(1.7e12, 0.0, 1.0), (1.7e18, 0.0, 256.0), (-1.7e18, 1e15, 1024.0)]
        {
            let noise = [0.25, -0.5, 0.0, 0.125, -0.125, 0.375, -0.25, 0.5];
            let points = |x_offset: f64, y_offset: f64| -> Vec<(f64, f64, f64)> {
                let point = |(k, noise)| {
                    let k = f64::from(k);
                    (x_offset + step * k, y_offset + 3.0 * k + noise, 0.25 + 0.125 * (k % 3.0))
                };
                (0..).zip(noise).map(point).collect()
            };
            let alike = |points: &[(f64, f64, f64)]| -> Vec<_> {
                points.iter().map(|&(x, y, _)| (x, y)).collect()
            };
            let (near, far) = (points(0.0, 0.0), points(x_offset, y_offset));
            for [near, far] in [
                [&near, &far].map(|points| Line::with_errors(points, Weighting::InverseVariance)),
                [&near, &far].map(|points| Line::with_errors(points, Weighting::Equal)),
                [&near, &far].map(|points| Line::through(&alike(points))),
            ] {
                let (near, far) = (near.unwrap(), far.unwrap());
                let same = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-12;
                assert!(same(far.slope(), near.slope()), "{far:?} {near:?}");
                assert!(same(far.slope_error(), near.slope_error()), "{far:?} {near:?}");
                assert!(same(
                    far.straightness().unwrap_or(1.0),
                    near.straightness().unwrap_or(1.0)
                ));
                let x = 3.0 * step;
                let value = far.at(x_offset + x) - y_offset;
                assert!(
                    (value - near.at(x)).abs()
                        <= 0.125 * f64::from(u8::from(y_offset != 0.0)) + 1e-12
                );
                let lever = (x_offset + 3.5 * step).abs() * far.slope_error();
                assert!((far.intercept_error() / lever - 1.0).abs() < 1e-3, "{far:?}");
            }
        }
    }

    /// With errors that differ thirtyfold: chi squared is that of the best line under either
    /// weighting (12 points, y = 1 - x + a deviation of one error each, up and down).
    #[test]
    fn straightness_does_not_depend_on_weights() {
        let points: Vec<(f64, f64, f64)> = (0..12)
            .map(|k| {
                let (x, error) = (f64::from(k), if k % 3 == 0 { 3.0 } else { 0.1 });
                (x, 1.0 - x + if k % 2 == 0 { error } else { -error }, error)
            })
            .collect();
        let [equal, best] = [Weighting::Equal, Weighting::InverseVariance]
            .map(|weighting| Line::with_errors(&points, weighting).unwrap());
        assert_eq!(equal.straightness(), best.straightness());
        assert!(equal.slope() != best.slope());
        assert!((0.2..0.8).contains(&best.straightness().unwrap()), "{best:?}");
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
