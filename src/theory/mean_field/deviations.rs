//! Eigenvalues near orthogonality, as deviations that keep their digits.

use super::map::map_of_deviations;
use crate::check;
use crate::scalar::norm;
use crate::{Error, Gram, Result};

/// The eigenvalues of a Gram matrix of trace one near orthogonality, as deviations
/// $`\delta_i = \lambda_i - 1/n`$, which keep their digits however small they are.
///
/// [`MeanFieldChain`](super::MeanFieldChain) cannot resolve gaps below 1e-15; this type can, down
/// to 1e-300.
///
/// ```
/// use orthogap::theory::{mean_field::Deviations, stationary};
///
/// let input = Deviations::new(&[3e-20, -1e-20, -1e-20, -1e-20])?;
/// assert!((input.gap() / 12e-40f64.sqrt() - 1.0).abs() < 1e-14);
/// let deep = input.layers().nth(99).expect("the chain is infinite"); // layer 100
/// let expected = input.gap() * stationary::decay_rate(4).powi(100);
/// assert!((deep.gap() / expected - 1.0).abs() < 1e-12);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Deviations {
    values: Vec<f64>,
}

impl Deviations {
    /// Creates deviations in any order. If their sum is not zero, the eigenvalues are scaled to
    /// trace one.
    ///
    /// # Errors
    /// Those of [`map_of_deviations`]; [`Error::InvalidParameter`] if the smallest eigenvalue is at
    /// most 1e-14 times their mean, and if their sum is beyond the range of `f64`.
    pub fn new(deviations: &[f64]) -> Result<Self> {
        map_of_deviations(deviations)?;
        let n = deviations.len() as f64;
        let sum = check::finite("sum of deviations", deviations.iter().sum())?;
        let values: Vec<f64> =
            deviations.iter().map(|delta| (delta - sum / n) / (1.0 + sum)).collect();
        // The map accepts all that follow these: it brings them closer.
        map_of_deviations(&values).map_err(|_| {
            let value = 1.0 / n + deviations.iter().copied().fold(f64::MAX, f64::min);
            let expected = "more than 1e-14 times the mean of the eigenvalues";
            Error::InvalidParameter { name: "smallest eigenvalue", value, expected }
        })?;
        Ok(Self { values })
    }

    /// Returns the deviations of a Gram matrix, in descending order, to an absolute 1e-15.
    ///
    /// # Errors
    /// Those of [`new`](Self::new); a singular Gram matrix has an eigenvalue of zero.
    pub fn of(gram: &Gram) -> Result<Self> {
        let ideal = (gram.batch_size() as f64).sqrt().recip();
        let sigma = gram.singular_values();
        Self::new(sigma.map(|sigma| (sigma - ideal) * (sigma + ideal)).as_slice())
    }

    /// Returns $`\delta_i`$.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Returns the orthogonality gap $`\sqrt{\sum_i \delta_i^2}`$.
    #[must_use]
    pub fn gap(&self) -> f64 {
        norm(&self.values)
    }

    /// Returns the Lyapunov function $`1/n - \lambda_n = -\min_i \delta_i`$.
    #[must_use]
    pub fn lyapunov(&self) -> f64 {
        -self.values.iter().copied().fold(f64::MAX, f64::min)
    }

    /// Returns the [coupling bound](Gram::coupling_bound)
    /// $`\sum_i (\sqrt{1/n + \delta_i} - \sqrt{1/n})^2`$, to a relative 1e-14 for gaps above
    /// 1e-145; it underflows to zero below 1e-160.
    #[must_use]
    pub fn coupling_bound(&self) -> f64 {
        let mean = 1.0 / self.values.len() as f64;
        let difference = |delta: &f64| delta / ((mean + delta).sqrt() + mean.sqrt());
        self.values.iter().map(difference).map(|x| x * x).sum()
    }

    /// Returns the deviations at the next layer. Cost: that of [`map`](super::map()).
    #[must_use]
    pub fn next_layer(&self) -> Self {
        let values = map_of_deviations(&self.values).expect("the map brings eigenvalues closer");
        Self { values }
    }

    /// Returns the chain from these deviations on, which is infinite and begins with the next
    /// layer.
    pub fn layers(&self) -> impl Iterator<Item = Self> + use<> {
        std::iter::successors(Some(self.next_layer()), |layer| Some(layer.next_layer()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Input;
    use crate::theory::mean_field::MeanFieldChain;

    /// Two samples: δ goes to δ/(1 + sqrt(1 - 4 δ²)).
    #[test]
    fn two_deviations_have_a_closed_form() {
        for start in [0.49, 0.1, 1e-8, 1e-100] {
            let (mut delta, input) = (start, Deviations::new(&[start, -start]).unwrap());
            for layer in input.layers().take(200) {
                delta /= 1.0 + (1.0 - 4.0 * delta * delta).sqrt();
                let root_two = 2f64.sqrt();
                assert!((layer.gap() / (root_two * delta) - 1.0).abs() < 1e-12, "{start} {delta}");
                assert!((layer.lyapunov() / delta - 1.0).abs() < 1e-12);
                // Near orthogonality each difference of roots is δ/sqrt 2.
                if delta < 1e-9 && delta > 1e-140 {
                    assert!((layer.coupling_bound() / (delta * delta) - 1.0).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn deviations_are_those_of_the_gram_matrix() {
        let gram = Input::near_collinear(4, 0.5).unwrap().gram().clone();
        let chain = MeanFieldChain::new(&gram).unwrap();
        let deviations = Deviations::of(&gram).unwrap();
        for (layer, deviations) in chain.zip(deviations.layers()).take(20) {
            assert!((layer.orthogonality_gap() - deviations.gap()).abs() < 1e-14);
            assert!((layer.coupling_bound() - deviations.coupling_bound()).abs() < 1e-14);
            assert!((layer.lyapunov() - deviations.lyapunov()).abs() < 1e-14);
        }
        // Any scale: eigenvalues (4, 2, 2), (1/2, 1/4, 1/4) at trace one.
        let scaled = Deviations::new(&[4.0 - 1.0 / 3.0, 5.0 / 3.0, 5.0 / 3.0]).unwrap();
        for (value, expected) in scaled.values().iter().zip([1.0 / 6.0, -1.0 / 12.0, -1.0 / 12.0]) {
            assert!((value - expected).abs() < 1e-15);
        }
        let singular = Gram::from_factor(nalgebra::dmatrix![1.0, 1.0]).unwrap();
        assert!(Deviations::of(&singular).is_err());
    }

    /// Eigenvalues that have no digits left beside the others at trace one, and a sum out of range.
    #[test]
    fn deviations_without_digits_at_trace_one_are_refused() {
        let refused = |deviations: &[f64]| match Deviations::new(deviations) {
            Err(Error::InvalidParameter { name, value, .. }) => (name, value),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&[1e15, 0.0]), ("smallest eigenvalue", 0.5));
        assert_eq!(refused(&[1e308, 1e308]), ("sum of deviations", f64::INFINITY));
        for large in [1e3, 1e13] {
            let deviations = Deviations::new(&[large, 0.0]).unwrap();
            assert!(deviations.next_layer().gap() < deviations.gap());
        }
    }
}
