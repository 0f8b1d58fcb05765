//! The error function, to a few units in the last place.
//!
//! |x| <= 1: an odd polynomial. Beyond: one less the normal tail. A vector whose lanes all lie
//! within one skips the second.

use super::exponential::{at_most, exp_minus_square};
use super::normal_tail::{self, normal_tail};
use super::{Differentiable, Elementwise};
use crate::kernel::polynomial::horner;
use core::f64::consts::{FRAC_2_SQRT_PI, SQRT_2};
use fearless_simd::{Level, dispatch, f64x2, prelude::*};

/// The error function, $`\mathrm{erf}(x) = \frac{2}{\sqrt\pi} \int_0^x e^{-t^2} dt`$.
///
/// Correct to 2 ulp, in `f64` and in `f32`.
#[derive(Clone, Copy, Debug)]
pub struct Erf;

impl Elementwise for Erf {
    in_both_precisions!(erf);
}

/// $`\frac{2}{\sqrt\pi} e^{-x^2}`$.
impl Differentiable for Erf {
    fn derivative(&self, x: f64) -> f64 {
        /// exp(-x²) is zero here.
        const END: f64 = 30.0;
        dispatch!(Level::new(), simd => {
            let x = at_most(simd, END, f64x2::splat(simd, x.abs()));
            exp_minus_square(simd, 1.0, x).times(f64x2::splat(simd, FRAC_2_SQRT_PI))[0]
        })
    }
}

/// The constants of one precision.
trait Constants: normal_tail::Constants {
    /// erf(x)/x - 1 in x² for |x| <= 1.
    const ERF: &'static [Self];
}

/// The function, in either precision.
#[inline(always)]
fn erf<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, x: V) -> V {
    let z = x * x;
    let near = x.mul_add(horner(simd, z, T::ERF), x);
    let inside = z.simd_le(T::of_f64(1.0));
    if inside.all_true() {
        return near;
    }
    let (gaussian, ratio) = normal_tail(simd, at_most(simd, T::END, x.abs() * T::of_f64(SQRT_2)));
    let one = V::splat(simd, T::of_f64(1.0));
    inside.select(near, (one - gaussian.times(ratio + ratio)).copysign(x))
}

impl Constants for f64 {
    /// Largest relative error of erf: 2.6e-17.
    const ERF: &'static [f64] = &[
        0.12837916709551256,
        -0.3761263890318352,
        0.11283791670944185,
        -0.026866170643111458,
        0.005223977606118393,
        -0.0008548325929310457,
        0.00012055293576777468,
        -1.4924712299609976e-05,
        1.6447131541262413e-06,
        -1.6206313525190117e-07,
        1.371097937206542e-08,
        -7.779466538470657e-10,
    ];
}

impl Constants for f32 {
    /// Largest relative error of erf: 2.5e-9.
    const ERF: &'static [f32] = &[
        0.128_379_17,
        -0.376_126_26,
        0.112_835_854,
        -0.026_853_813,
        0.005_188_327_7,
        -0.000_801_019_3,
        7.853_86e-05,
    ];
}
