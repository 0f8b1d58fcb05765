//! Element-wise activations inside the row kernels, on whole vectors.

mod sin;
mod tanh;

pub use sin::Sin;
pub use tanh::Tanh;

use fearless_simd::prelude::*;

/// An element-wise function of the normalised rows.
///
/// The methods see vectors of any width and must treat every lane alike, with exact IEEE
/// arithmetic and `mul_add` only, so that results do not depend on the hardware. Mark them
/// `#[inline(always)]`: otherwise they leave the SIMD context.
pub trait Activation: Copy + Send + Sync {
    /// The function in `f64`.
    fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(self, simd: S, x: V) -> V;
    /// The function in `f32`.
    fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(self, simd: S, x: V) -> V;
}

/// No activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity;

impl Activation for Identity {
    #[inline(always)]
    fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(self, _: S, x: V) -> V {
        x
    }
    #[inline(always)]
    fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(self, _: S, x: V) -> V {
        x
    }
}

/// The positive part; NaN stays NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relu;

impl Activation for Relu {
    #[inline(always)]
    fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(self, simd: S, x: V) -> V {
        positive_part(simd, x)
    }
    #[inline(always)]
    fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(self, simd: S, x: V) -> V {
        positive_part(simd, x)
    }
}

/// Zero where x < 0, x elsewhere: unlike `max`, the same on every level for NaN and -0.
#[inline(always)]
fn positive_part<S: Simd, V: SimdFloat<S>>(simd: S, x: V) -> V {
    let zero = V::splat(simd, V::Element::default());
    x.simd_lt(zero).select(zero, x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::{Level, dispatch, f64x8};

    #[test]
    fn relu_keeps_nan_and_clears_negatives() {
        let x = [-1.0, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e-300];
        let y = dispatch!(Level::new(), simd => {
            Relu.f64(simd, f64x8::from_slice(simd, &x)).to_array()
        });
        assert!(y[2].is_nan());
        assert_eq!(
            [y[0], y[1], y[3], y[4], y[5], y[6], y[7]],
            [0.0, 1.0, f64::INFINITY, 0.0, 0.0, 0.0, 1e-300]
        );
    }
}
