//! Statistics over runs and layers: means and variances that merge, quantiles, intervals, averages
//! of correlated numbers, straight lines through points with errors.
//!
//! | numbers | their mean, with its error |
//! | --- | --- |
//! | independent, such as one of each run | [`Moments`] |
//! | two independent samples, whose means are compared | [`Moments::difference`] |
//! | the layers of one run, which are correlated | [`correlated_mean`], or [`BatchMeans`] in a stream |
//! | a quantity against depth or width | [`Line`] |
//!
//! Quantiles of samples are [`quantile`] and [`quantile_interval`], those of the normal law
//! [`normal_quantile`].

mod correlated;
mod difference;
mod gamma;
#[cfg(test)]
mod golden;
mod line;
mod mean;
mod moments;
mod normal;
mod quantile;
mod student;

use crate::approximate::approximate;

pub use correlated::{BatchMeans, CorrelatedMean, correlated_mean};
pub use difference::Difference;
pub(crate) use gamma::{binet, gamma_below_and_above};
pub use line::{Line, Weighting};
pub(crate) use mean::SplitMean;
pub use moments::Moments;
pub(crate) use moments::countable;
pub use normal::{normal_cdf, normal_quantile};
pub use quantile::{quantile, quantile_interval};
pub(crate) use student::two_sided;

/// An interval of numbers, ends included.
///
/// ```
/// use orthogap::statistics::Interval;
///
/// let interval = Interval { low: 1.0, high: 2.0 };
/// assert!(interval.contains(1.0) && !interval.contains(2.5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

approximate!(Interval, interval => vec![interval.low, interval.high]);

impl Interval {
    /// `middle` plus and minus `half`.
    fn around(middle: f64, half: f64) -> Self {
        Self { low: middle - half, high: middle + half }
    }

    /// Returns whether a number lies within.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}
