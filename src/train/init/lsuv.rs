//! Layer-sequential unit variance.

use nalgebra::DMatrix;

use super::{LayerInit, Site};
use crate::check;
use crate::gram::largest_entry;
use crate::weights::{Fans, Haar, draw};
use crate::{Error, Result, Scalar};

/// Layer-sequential unit variance (Mishkin and Matas 2016,
/// [arXiv 1511.06422](https://arxiv.org/abs/1511.06422)): orthonormal weights, scaled so that the
/// pre-activations `W H` of the batch have root mean square one.
///
/// Mishkin and Matas divide by the standard deviation over neurons and samples together, whose mean
/// is near zero for random weights. Here the divisor is the root mean square itself, so one
/// division is exact and nothing is repeated. It keeps the scale of forward signals at any depth
/// and under any activation, but not the angles: samples become as parallel as with He's or
/// Xavier's weights.
///
/// ```
/// use orthogap::train::init::{LayerwiseInit, Lsuv};
/// use orthogap::{Activation, Input, Seed};
///
/// let batch = Input::gaussian(50, 20, Seed(1))?.columns().clone();
/// let mut network = LayerwiseInit::new(batch, Seed(2))?;
/// for _ in 0..5 {
///     network.dense(&Lsuv, 32, &Activation::Relu)?;
/// }
/// assert!(network.layers().iter().all(|layer| (layer.scale() - 1.0).abs() < 1e-14));
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lsuv;

impl LayerInit for Lsuv {
    /// Cost: a QR factorisation of `W` and one product with the batch.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`], [`Error::ZeroMatrix`] if the product is zero,
    /// [`Error::InvalidParameter`] for more than 2^40 weights or weights below the range of their
    /// type, and [`Error::Overflow`] of weights above it.
    fn weights<T: Scalar>(
        &self,
        inputs: &DMatrix<T>,
        rows: usize,
        fans: Fans,
        site: Site,
    ) -> Result<DMatrix<T>> {
        let weights = draw(&Haar::default(), (rows, inputs.nrows()), fans, site.stream(0))?;
        let scale = root_mean_square(&(&weights * inputs))?;
        scaled(weights, scale.recip())
    }
}

/// The root mean square of the entries of a matrix, in `f64`, without over- or underflow.
///
/// # Errors
/// [`Error::Empty`], [`Error::NotFinite`] and [`Error::ZeroMatrix`].
pub(super) fn root_mean_square<T: Scalar>(matrix: &DMatrix<T>) -> Result<f64> {
    let largest = largest_entry(matrix)?;
    let squares: f64 = matrix.iter().map(|&x| (x.into() / largest).powi(2)).sum();
    Ok(largest * (squares / matrix.len() as f64).sqrt())
}

/// Weights times a factor, if that leaves them in the range of their type.
///
/// # Errors
/// [`Error::Overflow`]; [`Error::InvalidParameter`] if the largest weight, or the factor, is too small
/// to keep its digits.
pub(super) fn scaled<T: Scalar>(mut weights: DMatrix<T>, factor: f64) -> Result<DMatrix<T>> {
    let largest: f64 = weights.amax().into();
    let factor_of_type: f64 = T::of(factor).into();
    if !(factor_of_type * largest).is_finite() || !T::of(factor * largest).is_finite() {
        let row = weights.iamax_full().0;
        return Err(Error::Overflow { what: "weights", row, value: factor * largest });
    }
    for (name, value) in [("factor of the weights", factor), ("largest weight", factor * largest)] {
        let keeps_digits = (T::of(value).to_f64() - value).abs() <= T::EPSILON * value;
        let valid = keeps_digits && value >= f64::MIN_POSITIVE;
        let expected = "a normal number of its type: give the batch and the product similar scales";
        check::parameter(name, value, valid, expected)?;
    }
    weights *= T::of(factor);
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::train::init::{IterativeOrthogonalization, Scale};
    use nalgebra::dmatrix;

    /// A factor of 1e-50 is zero in `f32`, and so are all weights.
    #[test]
    fn weights_below_the_range_are_refused() {
        let batch = dmatrix![1e30f32, -2e30; 3e30, 1e30];
        let (fans, site) = (Fans { inputs: 2, outputs: 2 }, Site::new(Seed(1), 1));
        let scaled_to = |scale| {
            let init = IterativeOrthogonalization::recommended();
            init.with_scale(Scale::RootMeanSquare(scale)).unwrap().weights(&batch, 2, fans, site)
        };
        assert!(scaled_to(1.0).unwrap().amax() > 0.0 && scaled_to(1e-5).is_ok());
        // The second leaves numbers without all digits.
        for scale in [1e-20, 1e-9] {
            let error = scaled_to(scale).unwrap_err();
            assert!(matches!(error, Error::InvalidParameter { .. }), "{error}");
        }
        for factor in [0.0, 1e-310] {
            assert!(scaled(dmatrix![1.0, 2.0], factor).is_err());
        }
    }
}
