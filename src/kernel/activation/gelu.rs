//! The Gaussian error linear unit, exact and of small relative error down to its last tail.
//!
//! |x| <= 1: x/2 plus an even polynomial. Beyond: by way of the normal tail, whose exponential
//! takes x² in two pieces. A vector whose lanes all lie within one skips the second.

use super::exponential::{at_most, exp_minus_square};
use super::normal_tail::{self, normal_tail};
use super::{Differentiable, Elementwise};
use crate::kernel::polynomial::horner;
use fearless_simd::{Level, dispatch, f64x2, prelude::*};

/// $`x \Phi(x)`$ with the normal distribution function $`\Phi`$: not its popular approximation by
/// a tanh.
///
/// Of small relative error however far to the left: 6 ulp. Hendrycks and Gimpel 2016,
/// [arXiv 1606.08415](https://arxiv.org/abs/1606.08415).
#[derive(Clone, Copy, Debug)]
pub struct Gelu;

impl Elementwise for Gelu {
    in_both_precisions!(gelu);
}

/// $`\Phi(x) + x \varphi(x)`$ with the normal density $`\varphi`$.
impl Differentiable for Gelu {
    fn derivative(&self, x: f64) -> f64 {
        /// The density at 0, 1/sqrt(2 pi).
        const DENSITY: f64 = 0.398_942_280_401_432_7;
        dispatch!(Level::new(), simd => {
            let v = f64x2::splat(simd, x);
            let y = if x.abs() <= 1.0 {
                let gaussian = exp_minus_square(simd, 0.5, v);
                gaussian.times(v * DENSITY) + distribution(simd, v, v * v)
            } else {
                let a = at_most(simd, <f64 as normal_tail::Constants>::END, v.abs());
                let (gaussian, ratio) = normal_tail(simd, a);
                let left = gaussian.times(ratio - a * DENSITY);
                v.simd_lt(0.0).select(left, 1.0 - left)
            };
            y[0]
        })
    }
}

/// The constants of one precision.
trait Constants: normal_tail::Constants {
    /// (Phi(x) - 1/2)/x in x² for |x| <= 1.
    const PHI: &'static [Self];
}

/// The function, in either precision.
#[inline(always)]
fn gelu<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, x: V) -> V {
    let z = x * x;
    let near = x * distribution(simd, x, z);
    let inside = z.simd_le(T::of_f64(1.0));
    if inside.all_true() {
        return near;
    }
    let a = at_most(simd, T::END, x.abs());
    let (gaussian, ratio) = normal_tail(simd, a);
    let left = gaussian.times(ratio * -a);
    let right = x * (V::splat(simd, T::of_f64(1.0)) - gaussian.times(ratio));
    inside.select(near, x.simd_lt(T::default()).select(left, right))
}

/// Phi(x) for |x| <= 1, z = x².
#[inline(always)]
fn distribution<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, x: V, z: V) -> V {
    x.mul_add(horner(simd, z, T::PHI), V::splat(simd, T::of_f64(0.5)))
}

impl Constants for f64 {
    /// Largest relative error of Phi: 2.5e-17.
    const PHI: &'static [f64] = &[
        0.39894228040143254,
        -0.06649038006689638,
        0.009973557009856186,
        -0.0011873282138145742,
        0.00011543467900393348,
        -9.444629202684881e-06,
        6.659155626675129e-07,
        -4.115848604895294e-08,
        2.219834408905609e-09,
        -8.874709746181535e-11,
    ];
}

impl Constants for f32 {
    /// Largest relative error of Phi: 8.2e-8, mostly by rounding the first coefficient.
    const PHI: &'static [f32] = &[
        0.398_942_3,
        -0.066_490_315,
        0.009_973_078,
        -0.001_185_785,
        0.000_112_952_18,
        -7.462_895_6e-06,
    ];
}
