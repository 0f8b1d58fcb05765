//! The number types that rows of a representation can have: `f32` and `f64`.

use nalgebra::{DMatrix, RealField};

use crate::kernel::compiled::Kernels;
use crate::{Error, Result};

/// The arithmetic of everything that has `d` rows: representations, weights, normals.
///
/// Implemented for `f32` and `f64` only (sealed). Everything of size `n x n` and every metric is
/// `f64` whatever the scalar: it costs next to nothing there, and it is where digits get lost.
///
/// ```
/// use orthogap::{Network, Scalar};
///
/// fn paper_network<T: Scalar>() -> Network<T> {
///     Network::new(512)
/// }
/// assert_eq!(paper_network::<f32>().width(), paper_network::<f64>().width());
/// ```
pub trait Scalar: RealField + Copy + Into<f64> + Kernels {
    /// Distance from one to the next larger number.
    const EPSILON: f64;

    /// The smallest pivot, relative to its diagonal entry, that a factorisation of sums of products
    /// of this type is trusted with.
    #[doc(hidden)]
    const TRUSTED_PIVOT: f64;
}

impl Scalar for f32 {
    const EPSILON: f64 = f32::EPSILON as f64;
    const TRUSTED_PIVOT: f64 = 1e-3;
}

impl Scalar for f64 {
    const EPSILON: f64 = f64::EPSILON;
    const TRUSTED_PIVOT: f64 = 1e-9;
}

/// The exponent of the power of two beneath a number; 0 for 0, never beyond the normal range.
pub(crate) fn exponent(value: f64) -> i32 {
    if value == 0.0 { 0 } else { value.abs().log2().floor().clamp(-1022.0, 1023.0) as i32 }
}

/// Refuses a matrix with an entry that is not finite.
pub(crate) fn check_finite<T: Scalar>(matrix: &DMatrix<T>) -> Result<()> {
    match first_not_finite(matrix) {
        None => Ok(()),
        Some((row, column, value)) => Err(Error::NotFinite { row, column, value }),
    }
}

/// Row, column and value of the first entry that is not finite.
pub(crate) fn first_not_finite<T: Scalar>(matrix: &DMatrix<T>) -> Option<(usize, usize, f64)> {
    let index = matrix.iter().position(|entry| !entry.is_finite())?;
    let (row, column) = matrix.vector_to_matrix_index(index);
    Some((row, column, matrix[index].into()))
}
