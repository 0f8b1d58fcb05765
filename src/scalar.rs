//! The number types that rows of a representation can have: `f32` and `f64`.

use nalgebra::RealField;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// The arithmetic of everything that has `d` rows: representations, weights, normals.
///
/// Implemented for `f32` and `f64` only (sealed). Everything of size `n x n` and every metric is
/// `f64` whatever the scalar: it costs next to nothing there, and it is where digits get lost.
///
/// ```
/// use orthogap::Scalar;
///
/// fn third<T: Scalar>() -> T {
///     T::nearest(1.0 / 3.0)
/// }
/// assert_eq!(third::<f64>(), 1.0 / 3.0);
/// assert_eq!(third::<f32>(), 1.0f32 / 3.0);
/// ```
pub trait Scalar: RealField + Copy + Into<f64> + sealed::Sealed {
    /// Distance from one to the next larger number.
    const EPSILON: f64;

    /// The number of this type nearest to a `f64`.
    fn nearest(value: f64) -> Self;
}

impl Scalar for f32 {
    const EPSILON: f64 = f32::EPSILON as f64;

    fn nearest(value: f64) -> Self {
        value as f32
    }
}

impl Scalar for f64 {
    const EPSILON: f64 = f64::EPSILON;

    fn nearest(value: f64) -> Self {
        value
    }
}

/// The exponent of the power of two beneath a number; 0 for 0, never below the normal range.
pub(crate) fn exponent(value: f64) -> i32 {
    if value == 0.0 { 0 } else { value.abs().log2().floor().max(-1022.0) as i32 }
}
