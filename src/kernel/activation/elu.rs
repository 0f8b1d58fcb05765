//! The exponential linear unit, of small relative error on either side of zero.

use super::exponential::{Constants, at_most, exp, exp_minus_one};
use super::{Differentiable, Elementwise};
use fearless_simd::{Level, dispatch, f64x2, prelude::*};

/// x for x >= 0 and exp(x) - 1 below.
#[derive(Clone, Copy, Debug)]
pub struct Elu;

impl Elementwise for Elu {
    in_both_precisions!(elu);
}

/// 1 for x >= 0 and exp(x) below.
impl Differentiable for Elu {
    fn derivative(&self, x: f64) -> f64 {
        dispatch!(Level::new(), simd => {
            let size = f64x2::splat(simd, if x >= 0.0 { 0.0 } else { -x });
            exp(simd, -at_most(simd, f64::RANGE, size)).value()[0]
        })
    }
}

/// The function, in either precision.
#[inline(always)]
fn elu<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, x: V) -> V {
    let below = x.simd_lt(T::default());
    let left = exp_minus_one(simd, -at_most(simd, T::RANGE, x.abs()));
    below.select(left, x)
}
