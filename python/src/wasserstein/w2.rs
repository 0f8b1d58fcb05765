//! A squared distance, with its bias and errors.

use orthogap::statistics;
use orthogap::wasserstein as w2;
use pyo3::prelude::*;

use crate::error::Result;

/// A squared Wasserstein-2 distance, with its bias and errors.
///
/// They are those of `squared` as an estimate of the same quantity of the population.
#[pyclass(frozen, module = "orthogap")]
pub struct W2 {
    inner: w2::W2,
}

impl From<w2::W2> for W2 {
    fn from(inner: w2::W2) -> Self {
        Self { inner }
    }
}

#[pymethods]
impl W2 {
    /// The squared distance, as computed: nothing is subtracted.
    #[getter]
    fn squared(&self) -> f64 {
        self.inner.squared
    }

    /// The distance, the root of squared.
    #[getter]
    fn distance(&self) -> f64 {
        self.inner.distance()
    }

    /// The relation of the value to the distance: "exact", "lower", "upper" or "estimate".
    #[getter]
    fn kind(&self) -> &'static str {
        match self.inner.kind {
            w2::Kind::Exact => "exact",
            w2::Kind::Lower => "lower",
            w2::Kind::Upper => "upper",
            w2::Kind::Estimate => "estimate",
            _ => "other",
        }
    }

    /// The distribution whose distance it is: "population" or "empirical".
    #[getter]
    fn of(&self) -> &'static str {
        match self.inner.of {
            w2::Of::Population => "population",
            w2::Of::Empirical => "empirical",
            _ => "other",
        }
    }

    /// The law whose distance it is: "row", "matrix" or "matrix_given_h".
    #[getter]
    fn law(&self) -> &'static str {
        match self.inner.law {
            w2::Law::Row => "row",
            w2::Law::Matrix => "matrix",
            w2::Law::MatrixGivenH => "matrix_given_h",
            _ => "other",
        }
    }

    /// The expected excess of squared over the population's value, or None.
    #[getter]
    fn bias(&self) -> Option<f64> {
        self.inner.bias
    }

    /// The standard error due to the finite number of samples, or None.
    #[getter]
    fn sampling_error(&self) -> Option<f64> {
        self.inner.sampling_error
    }

    /// The standard error due to the finite number of random directions, or None.
    #[getter]
    fn projection_error(&self) -> Option<f64> {
        self.inner.projection_error
    }

    /// squared minus its bias, if that is known; it may be negative.
    #[getter]
    fn debiased(&self) -> f64 {
        self.inner.debiased()
    }

    /// The standard error due to samples and directions together, or None.
    #[getter]
    fn standard_error(&self) -> Option<f64> {
        self.inner.standard_error()
    }

    /// Returns an interval (low, high) that contains the population's value with probability level.
    #[pyo3(signature = (level = 0.95))]
    fn confidence_interval(&self, level: f64) -> Result<(f64, f64)> {
        Ok(ends(self.inner.confidence_interval(level)?))
    }

    fn __repr__(&self) -> String {
        let number = |value: Option<f64>| value.map_or("None".to_owned(), |x| format!("{x:.4e}"));
        format!(
            "W2(squared={:.4e}, kind='{}', bias={}, standard_error={})",
            self.inner.squared,
            self.kind(),
            number(self.inner.bias),
            number(self.inner.standard_error())
        )
    }
}

/// The ends of an interval.
pub fn ends(interval: statistics::Interval) -> (f64, f64) {
    (interval.low, interval.high)
}
