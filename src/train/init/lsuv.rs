//! Layer-sequential unit variance.

use nalgebra::DMatrix;

use super::{LayerInit, Site};
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
    /// [`Error::InvalidParameter`] for more than 2^40 weights, and [`Error::Overflow`] if the
    /// weights leave the range of their type.
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
/// [`Error::Overflow`].
pub(super) fn scaled<T: Scalar>(mut weights: DMatrix<T>, factor: f64) -> Result<DMatrix<T>> {
    let largest: f64 = weights.amax().into();
    let factor_of_type: f64 = T::of(factor).into();
    if !(factor_of_type * largest).is_finite() || !T::of(factor * largest).is_finite() {
        let row = weights.iamax_full().0;
        return Err(Error::Overflow { what: "weights", row, value: factor * largest });
    }
    weights *= T::of(factor);
    Ok(weights)
}
