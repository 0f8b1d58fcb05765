//! No activation.

use super::{Differentiable, Elementwise};
use fearless_simd::prelude::*;

/// F(x) = x.
#[derive(Clone, Copy, Debug)]
pub struct Identity;

impl Elementwise for Identity {
    #[inline(always)]
    fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(&self, _: S, x: V) -> V {
        x
    }
    #[inline(always)]
    fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(&self, _: S, x: V) -> V {
        x
    }
}

/// The constant 1.
impl Differentiable for Identity {
    fn derivative(&self, x: f64) -> f64 {
        if x.is_nan() { x } else { 1.0 }
    }
}
