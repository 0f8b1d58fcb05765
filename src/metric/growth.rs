//! Growth rates of a chain: how fast lengths, areas and volumes grow from layer to layer.

use nalgebra::{DVector, DVectorView};

use crate::Gram;
use crate::kernel::triangular::is_upper_triangular;
use crate::statistics::Moments;

impl Gram {
    /// Returns, for each sample, the length of its part orthogonal to those before,
    /// $`|R_{kk}|`$ of a triangular factor, in units of the Frobenius norm. Zero for a sample that
    /// depends on those before.
    ///
    /// Their product is the volume that the samples span.
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::Gram;
    ///
    /// let gram = Gram::from_columns(&dmatrix![2.0, 5.0; 0.0, 3.0])?;
    /// let norm = 38f64.sqrt();
    /// let lengths = gram.orthogonal_lengths();
    /// assert!((lengths[0] - 2.0 / norm).abs() < 1e-15 && (lengths[1] - 3.0 / norm).abs() < 1e-15);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn orthogonal_lengths(&self) -> Vec<f64> {
        let factor = self.factor();
        // Behind a zero, the columns of a triangle span less than the axes do.
        if is_upper_triangular(factor) && factor.diagonal().iter().all(|&length| length != 0.0) {
            return factor.diagonal().iter().map(|length| length.abs()).collect();
        }
        let rounding = factor.ncols() as f64 * f64::EPSILON;
        let mut basis: Vec<DVector<f64>> = Vec::new();
        let length = |column: DVectorView<'_, f64>| {
            let mut rest = column.into_owned();
            for _ in 0..2 {
                for axis in &basis {
                    rest.axpy(-axis.dot(&rest), axis, 1.0);
                }
            }
            let length = rest.norm();
            if length <= rounding * column.norm() {
                return 0.0;
            }
            basis.push(rest / length);
            length
        };
        factor.column_iter().map(length).collect()
    }
}

/// The growth rates of a chain, one for each sample: mean increments a layer of the logarithm of
/// [`Gram::orthogonal_lengths`] times the scale.
///
/// In a vanilla linear network they are estimates of its `n` top Lyapunov exponents (theory:
/// [`lyapunov_exponents`](crate::theory::growth::lyapunov_exponents)). Under batch normalisation
/// the last one says whether a nearly lost direction comes back. With an activation only the
/// growth of the scale is a property of the network alone.
///
/// ```
/// use orthogap::metric::Growth;
/// use orthogap::theory::growth::lyapunov_exponents;
/// use orthogap::{Input, Network, Seed, normalization::Normalization};
///
/// let vanilla = Network::<f64>::new(64).with_normalization(Normalization::None);
/// let input = Input::gaussian(64, 3, Seed(1))?;
/// let mut growth = Growth::new();
/// growth.observe(input.gram(), input.log_scale());
/// for layer in vanilla.chain(&input, Seed(2))?.take(1000) {
///     let layer = layer?;
///     growth.observe(&layer, layer.log_scale());
/// }
/// for (rate, exponent) in growth.rates().iter().zip(lyapunov_exponents(64, 3, 1.0)?) {
///     assert!((rate.mean() - exponent).abs() < 4.0 * rate.standard_error());
/// }
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Growth {
    /// Logarithms of the lengths at the last layer.
    last: Vec<f64>,
    rates: Vec<Moments>,
}

impl Growth {
    /// Creates growth rates without layers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next layer: its Gram matrix and the logarithm of its scale.
    pub fn observe(&mut self, gram: &Gram, log_scale: f64) {
        let lengths: Vec<_> =
            gram.orthogonal_lengths().iter().map(|length| length.ln() + log_scale).collect();
        self.rates.resize(lengths.len(), Moments::new());
        for ((rate, length), last) in self.rates.iter_mut().zip(&lengths).zip(&self.last) {
            let increment = length - last;
            // A length that has sunk to zero has no rate any more.
            if increment.is_finite() {
                rate.push(increment);
            }
        }
        self.last = lengths;
    }

    /// Returns mean and standard error of the increments, sample by sample. The errors assume
    /// independent increments, as they are in a vanilla linear network.
    #[must_use]
    pub fn rates(&self) -> &[Moments] {
        &self.rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::dmatrix;

    #[test]
    fn dependent_samples_add_nothing() {
        let h = dmatrix![1.0, 1.0, 0.0; 1.0, 1.0, 0.0; 0.0, 0.0, 3.0];
        let lengths = Gram::from_columns(&h).unwrap().orthogonal_lengths();
        let norm = 13f64.sqrt();
        for (length, expected) in lengths.iter().zip([2f64.sqrt(), 0.0, 3.0]) {
            assert!((length - expected / norm).abs() < 1e-15, "{lengths:?}");
        }
    }

    /// `H` itself serves as a factor: what sample `k` adds does not depend on which one is taken.
    #[test]
    fn lengths_of_factors_of_any_shape() {
        let e = 1e-8; // of two nearly parallel samples, and their difference
        for (factor, expected) in [
            (dmatrix![0.0, 1.0; 0.0, 1.0], vec![0.0, 2f64.sqrt()]),
            (dmatrix![0.0, 3.0, 3.0; 0.0, 4.0, 5.0; 0.0, 0.0, 0.0], vec![0.0, 5.0, 0.6]),
            (dmatrix![0.0, 1.0; 0.0, 1.0; 0.0, 1.0], vec![0.0, 3f64.sqrt()]),
            (dmatrix![1.0, 2.0, -3.0], vec![1.0, 0.0, 0.0]),
            (dmatrix![-1.0, 1.0; 1.0, 1.0], vec![2f64.sqrt(); 2]),
            (dmatrix![1.0, 0.0; 1.0, 0.0; 0.0, 1e-20], vec![2f64.sqrt(), 1e-20]),
            (dmatrix![1.0, 1.0, 0.0; e, 0.0, 1.0; 0.0, e, -1.0], vec![1.0, e * 2f64.sqrt(), 0.0]),
        ] {
            let gram = Gram::from_factor(factor.clone()).unwrap();
            let norm = factor.norm();
            assert_eq!(gram.orthogonal_lengths().len(), expected.len());
            for (length, expected) in gram.orthogonal_lengths().iter().zip(expected) {
                assert!((length * norm - expected).abs() <= 4e-15 * expected, "{factor}{length}");
            }
        }
    }

    #[test]
    fn growth_counts_the_scale() {
        let mut growth = Growth::new();
        let gram = |x| Gram::from_factor(dmatrix![1.0, 0.0; 0.0, x]).unwrap();
        // Both samples grow by e^0.5 a layer, and the second one shrinks by a third besides.
        for layer in 0..5 {
            let x = 3f64.powi(-layer);
            growth.observe(&gram(x), 0.5 * f64::from(layer) + x.hypot(1.0).ln());
        }
        for (rate, expected) in growth.rates().iter().zip([0.5, 0.5 - 3f64.ln()]) {
            assert_eq!(rate.count(), 4);
            assert!((rate.mean() - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn a_lost_direction_stops_counting() {
        let mut growth = Growth::new();
        let gram = |x| Gram::from_factor(dmatrix![1.0, 0.0; 0.0, x]).unwrap();
        for x in [1e-100, 1e-200, 0.0, 0.0] {
            growth.observe(&gram(x), 0.0);
        }
        assert_eq!(growth.rates()[0].count(), 3);
        assert_eq!(growth.rates()[1].count(), 1);
        assert!((growth.rates()[1].mean() + 100.0 * 10f64.ln()).abs() < 1e-9);
    }
}
