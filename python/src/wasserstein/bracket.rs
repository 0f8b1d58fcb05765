//! Certified bounds.

use orthogap::wasserstein as w2;
use pyo3::prelude::*;

use super::W2;
use super::w2::ends;
use crate::error::Result;

/// A squared distance between its certified bounds, each on the distance of the population.
#[pyclass(frozen, module = "orthogap")]
pub struct Bracket {
    pub inner: w2::Bracket,
}

/// Bounds by name.
fn named(bounds: &[(w2::Bound, w2::W2)]) -> Vec<(String, W2)> {
    bounds.iter().map(|(bound, w2)| (name(*bound), (*w2).into())).collect()
}

/// The name of a bound in the style of Python: "MaxSliced" is "max_sliced".
fn name(bound: w2::Bound) -> String {
    let mut name = String::new();
    for letter in format!("{bound:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

#[pymethods]
impl Bracket {
    /// The largest lower bound, after its name.
    #[getter]
    fn lower(&self) -> (String, W2) {
        let (bound, w2) = self.inner.lower();
        (name(bound), w2.into())
    }

    /// The smallest upper bound, after its name.
    #[getter]
    fn upper(&self) -> (String, W2) {
        let (bound, w2) = self.inner.upper();
        (name(bound), w2.into())
    }

    /// All lower bounds, with their names.
    #[getter]
    fn lower_bounds(&self) -> Vec<(String, W2)> {
        named(self.inner.lower_bounds())
    }

    /// All upper bounds, with their names.
    #[getter]
    fn upper_bounds(&self) -> Vec<(String, W2)> {
        named(self.inner.upper_bounds())
    }

    /// Returns an interval (low, high) that contains the squared distance with probability at least
    /// level (Bonferroni over all bounds).
    #[pyo3(signature = (level = 0.95))]
    fn confidence_interval(&self, level: f64) -> Result<(f64, f64)> {
        Ok(ends(self.inner.confidence_interval(level)?))
    }

    fn __repr__(&self) -> String {
        let ((below, low), (above, high)) = (self.inner.lower(), self.inner.upper());
        let (below, above) = (name(below), name(above));
        let (low, high) = (low.debiased(), high.debiased());
        format!("Bracket({low:.4e} by {below}, {high:.4e} by {above})")
    }
}
