//! The logistic function and x times it, to a few units in the last place.
//!
//! Both are multiples of 1 + tanh(x/2), which never cancels nor overflows.

use super::exponential::{Constants as _, at_most, exp};
use super::tanh::{Constants, inverse_cosh_squared, times_shifted_tanh};
use super::{Differentiable, Elementwise};
use fearless_simd::{Level, dispatch, f64x2, prelude::*};

/// The logistic function, $`\sigma(x) = 1/(1 + e^{-x})`$, often called the sigmoid.
///
/// Of small relative error however far to the left: 4 ulp.
#[derive(Clone, Copy, Debug)]
pub struct Logistic;

impl Elementwise for Logistic {
    in_both_precisions!(logistic);
}

/// $`\sigma(x) \sigma(-x)`$.
impl Differentiable for Logistic {
    fn derivative(&self, x: f64) -> f64 {
        0.25 * inverse_cosh_squared(0.5 * x)
    }
}

/// The logistic function times x, $`x \sigma(x)`$, also called swish.
///
/// Of small relative error however far to the left: 4 ulp. Elfwing, Uchibe and Doya 2018,
/// [arXiv 1702.03118](https://arxiv.org/abs/1702.03118).
#[derive(Clone, Copy, Debug)]
pub struct Silu;

impl Elementwise for Silu {
    in_both_precisions!(silu);
}

/// $`\sigma(x) (1 + x \sigma(-x))`$.
impl Differentiable for Silu {
    fn derivative(&self, x: f64) -> f64 {
        dispatch!(Level::new(), simd => {
            let x = f64x2::splat(simd, x);
            let a = at_most(simd, f64::RANGE, x.abs());
            let e = exp(simd, -a);
            let sum = e.value() + 1.0;
            let (left, right) = (sum - a, e.times(a + 1.0) + 1.0);
            (x.simd_lt(0.0).select(e.times(left / (sum * sum)), right / (sum * sum)))[0]
        })
    }
}

/// The logistic function, in either precision.
#[inline(always)]
fn logistic<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, x: V) -> V {
    let half = V::splat(simd, T::of_f64(0.5));
    times_shifted_tanh(simd, half, half * x)
}

/// x times it, in either precision.
#[inline(always)]
fn silu<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, x: V) -> V {
    let half = x * T::of_f64(0.5);
    // The product is zero beyond the limit, which saves it from being an infinity times zero.
    let factor = -at_most(simd, T::RANGE, -half);
    times_shifted_tanh(simd, factor, half)
}
