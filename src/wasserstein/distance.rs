//! The result of every estimator: a squared distance with its kind, law, bias and errors.

use std::fmt;

use crate::approximate::approximate;
use crate::report::Value;
use crate::statistics::{Interval, two_sided};
use crate::wasserstein::line::deviation;
use crate::{Error, Result};

/// The law whose distance is taken.
///
/// In each, `W` has independent N(0, 1/d) entries and `H` Frobenius norm one; rows are taken times
/// $`\sqrt d`$, so that their covariance is $`C = H^\top H`$ with trace one and both laws have the
/// same coupling bound $`\sum_i (\sigma_i - 1/\sqrt n)^2`$.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Law {
    /// One row of `W H`, a vector of n numbers: a mixture of Gaussians over `H`. The law of any
    /// other random vector or number, where there is no network, counts as a row too.
    Row,
    /// All of `W H`, d rows that share one random `H`: much farther from Gaussian than a row.
    Matrix,
    /// All of `W H` for a known `H`: a Gaussian.
    MatrixGivenH,
}

/// The relation of a value to the distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// It is the distance, up to rounding.
    Exact,
    /// A lower bound, up to the stated errors.
    Lower,
    /// An upper bound, up to the stated errors.
    Upper,
    /// It is near the distance, on either side.
    Estimate,
}

/// The distribution whose distance is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Of {
    /// The law that samples are drawn from.
    Population,
    /// The samples themselves, as a discrete law of equal masses.
    Empirical,
}

/// A squared Wasserstein-2 distance $`W_2^2`$ and what is known about it.
///
/// Errors, bias and intervals are of `squared`, as an estimate of the same quantity of the
/// population. They are not errors of [`distance`](Self::distance): for an interval of that, take the
/// roots of the ends of [`confidence_interval`](Self::confidence_interval).
///
/// ```
/// use orthogap::wasserstein::{Gaussian, Kind, Law, normal_bins};
///
/// let two = normal_bins(2)?.w2(&[-1.0, 1.0], 0.0, 1.0)?.w2;
/// assert_eq!((two.kind, two.law), (Kind::Exact, Law::Row));
/// assert!((two.squared - 0.4042308783943).abs() < 1e-12); // 2 - 2 sqrt(2/pi)
/// assert_eq!(two.distance(), two.squared.sqrt());
///
/// let exact = Gaussian::isotropic(4, 1.0)?.w2(&Gaussian::isotropic(4, 1.5)?)?;
/// assert_eq!(exact.to_string(), "W2² = 1.0000");
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct W2 {
    /// The squared distance, as computed: nothing is subtracted.
    pub squared: f64,
    /// Its relation to the distance.
    pub kind: Kind,
    /// The distribution.
    pub of: Of,
    /// The law.
    pub law: Law,
    /// The expected excess of `squared` over the population's value, where known.
    pub bias: Option<f64>,
    /// The standard error from having finitely many samples, where known.
    pub sampling_error: Option<f64>,
    /// The standard error from having finitely many random directions, where known.
    pub projection_error: Option<f64>,
    /// From how many degrees of freedom the errors are estimated; infinite for many or no error.
    pub(super) sampling_degrees: f64,
    pub(super) projection_degrees: f64,
}

approximate!(W2, w2 => vec![w2.squared]);

/// The standard error of a sum of two independent numbers with these standard errors and degrees
/// of freedom, and its own degrees by Welch and Satterthwaite.
pub(super) fn combine(errors: [f64; 2], degrees: [f64; 2]) -> (f64, f64) {
    let error = errors[0].hypot(errors[1]);
    let share =
        |k: usize| if errors[k] > 0.0 { (errors[k] / error).powi(4) / degrees[k] } else { 0.0 };
    (error, (share(0) + share(1)).recip())
}

/// The debiased squared distance with its standard error, as far as they are known; a bound as an
/// inequality.
impl fmt::Display for W2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relation = match self.kind {
            Kind::Exact => "=",
            Kind::Lower => ">=",
            Kind::Upper => "<=",
            Kind::Estimate => "≈",
        };
        let squared = Value::from(self.debiased()).shown();
        write!(f, "W2² {relation} {squared}")?;
        match self.standard_error() {
            Some(error) if error > 0.0 => write!(f, " ± {}", Value::from(error).shown()),
            _ => Ok(()),
        }
    }
}

impl W2 {
    /// A distance without errors.
    pub(super) fn exact(squared: f64, law: Law) -> Self {
        Self {
            squared,
            kind: Kind::Exact,
            of: Of::Population,
            law,
            bias: Some(0.0),
            sampling_error: Some(0.0),
            projection_error: Some(0.0),
            sampling_degrees: f64::INFINITY,
            projection_degrees: f64::INFINITY,
        }
    }

    /// A distance of the row law estimated from samples, bias and error unknown.
    pub(super) fn of_samples(squared: f64, kind: Kind, of: Of) -> Self {
        Self { kind, of, bias: None, sampling_error: None, ..Self::exact(squared, Law::Row) }
    }

    /// With the standard error of the mean of these values, one for each sample: the influence of
    /// the samples. One sample says nothing about it.
    pub(super) fn with_influence(self, values: &[f64]) -> Self {
        let degrees = values.len() as f64 - 1.0;
        let error = (degrees > 0.0).then(|| deviation(values) / degrees.sqrt());
        Self { sampling_error: error, sampling_degrees: degrees, ..self }
    }

    /// The same multiple of the value, its bias and its errors.
    pub(super) fn scaled(self, factor: f64) -> Self {
        let times = |x: Option<f64>| x.map(|x| x * factor);
        Self {
            squared: self.squared * factor,
            bias: times(self.bias),
            sampling_error: times(self.sampling_error),
            projection_error: times(self.projection_error),
            ..self
        }
    }

    /// Returns the distance $`W_2`$ itself, the root of `squared`.
    #[must_use]
    pub fn distance(&self) -> f64 {
        self.squared.max(0.0).sqrt()
    }

    /// Returns `squared` less its bias, if that is known; it may be negative.
    #[must_use]
    pub fn debiased(&self) -> f64 {
        self.squared - self.bias.unwrap_or(0.0)
    }

    /// Returns the standard error of `squared` from samples and directions together; `None` if one
    /// of them is unknown.
    #[must_use]
    pub fn standard_error(&self) -> Option<f64> {
        Some(self.error_and_degrees()?.0)
    }

    fn error_and_degrees(&self) -> Option<(f64, f64)> {
        let errors = [self.sampling_error?, self.projection_error?];
        Some(combine(errors, [self.sampling_degrees, self.projection_degrees]))
    }

    /// Returns an interval that contains the population's value of this quantity with probability
    /// `level`: the debiased value plus and minus a multiple of the standard error, cut at zero.
    /// Without a known standard error, it is 0 to infinity.
    ///
    /// The multiple is Student's quantile where the error is estimated from a number of samples,
    /// runs or orthonormal bases, with degrees of freedom by Welch and Satterthwaite.
    ///
    /// Not valid at the null, where the distance is zero and `squared` is not nearly normal: see
    /// [`p_value`](super::p_value).
    ///
    /// ```
    /// use orthogap::wasserstein::Gaussian;
    ///
    /// let exact = Gaussian::isotropic(4, 1.0)?.w2(&Gaussian::isotropic(4, 1.5)?)?;
    /// let interval = exact.confidence_interval(0.95)?;
    /// assert_eq!((interval.low, interval.high), (1.0, 1.0));
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] unless `level` lies strictly between 0 and 1.
    pub fn confidence_interval(&self, level: f64) -> Result<Interval> {
        let quantile = |degrees: f64| {
            two_sided(level, degrees).ok_or(Error::InvalidParameter {
                name: "level",
                value: level,
                expected: "a probability strictly between 0 and 1",
            })
        };
        let Some((error, degrees)) = self.error_and_degrees() else {
            return quantile(f64::INFINITY).map(|_| Interval { low: 0.0, high: f64::INFINITY });
        };
        let half = quantile(degrees)? * error;
        let (low, high) = (self.debiased() - half, self.debiased() + half);
        Ok(Interval { low: low.max(0.0), high: high.max(0.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_bias_by_hand() {
        let w2 = W2 {
            squared: 2.0,
            bias: Some(0.5),
            sampling_error: Some(0.3),
            projection_error: Some(0.4),
            ..W2::exact(0.0, Law::Row)
        };
        let half = 1.959_963_984_540_054 * 0.5;
        let Interval { low, high } = w2.confidence_interval(0.95).unwrap();
        assert!((low - (1.5 - half)).abs() < 1e-14 && (high - (1.5 + half)).abs() < 1e-14);
        assert_eq!(w2.to_string(), "W2² = 1.5000 ± 0.50000");
        assert_eq!(
            W2 { kind: Kind::Lower, bias: None, ..w2 }.to_string(),
            "W2² >= 2.0000 ± 0.50000"
        );
        let thrice = w2.scaled(3.0);
        assert_eq!((thrice.squared, thrice.debiased()), (6.0, 4.5));
        assert!((thrice.standard_error().unwrap() - 1.5).abs() < 1e-15);
        assert_eq!((thrice.law, thrice.kind), (Law::Row, Kind::Exact));
    }

    #[test]
    fn intervals_are_cut_at_zero() {
        let w2 =
            |squared, error| W2 { sampling_error: Some(error), ..W2::exact(squared, Law::Row) };
        assert_eq!(w2(0.1, 1.0).confidence_interval(0.9).unwrap().low, 0.0);
        assert_eq!(w2(-0.1, 0.0).confidence_interval(0.9), Ok(Interval { low: 0.0, high: 0.0 }));
        assert_eq!(w2(-0.1, 0.0).distance(), 0.0);
        let unknown = W2::of_samples(2.0, Kind::Lower, Of::Empirical);
        assert_eq!(
            (unknown.debiased(), unknown.confidence_interval(0.9)),
            (2.0, Ok(Interval { low: 0.0, high: f64::INFINITY }))
        );
        for level in [0.0, 1.0, f64::NAN] {
            assert!(unknown.confidence_interval(level).is_err());
        }
    }
}
