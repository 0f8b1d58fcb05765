//! The upper tail of the standard normal distribution, of small relative error everywhere.

use super::exponential::{self, Exponential, exp_minus_square};
use crate::kernel::polynomial::horner;
use fearless_simd::prelude::*;

/// The constants of one precision.
pub trait Constants: exponential::Constants {
    /// (a + 4) exp(a²/2) Q(a) in (a - 4)/(a + 4) for 1 <= a <= 39, Q(a) the probability beyond a.
    const TAIL: &'static [Self];
    /// The tail is zero here.
    const END: Self;
}

/// exp(-a²/2), and the probability beyond a as a multiple of it, for 1 <= a <= END or NaN.
#[inline(always)]
pub fn normal_tail<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(
    simd: S,
    a: V,
) -> (Exponential<V>, V) {
    let inverse = V::splat(simd, T::of_f64(1.0)) / (a + T::of_f64(4.0));
    let ratio = inverse * horner(simd, (a - T::of_f64(4.0)) * inverse, T::TAIL);
    (exp_minus_square(simd, T::of_f64(0.5), a), ratio)
}

impl Constants for f64 {
    /// Largest relative error of Q: 6.2e-17.
    const TAIL: &'static [f64] = &[
        0.7552851304157515,
        -0.6078966419718922,
        0.3871374007422113,
        -0.1865218579596373,
        0.06039657489115898,
        -0.007540188967722753,
        -0.003479692373191235,
        0.0016308184803236698,
        0.0001333443854770837,
        -0.00023109521740843529,
        -1.908742620229561e-06,
        3.51467487897257e-05,
        7.182660174229152e-07,
        -5.92929756927973e-06,
        -6.310710215365604e-07,
        1.0455943093662894e-06,
        2.649335486739542e-07,
        -1.8988428718555029e-07,
        -6.413646211492658e-08,
        3.5568195029328487e-08,
    ];
    const END: f64 = 44.0;
}

impl Constants for f32 {
    /// Largest relative error of Q: 2.5e-8.
    const TAIL: &'static [f32] = &[
        0.755_285_14,
        -0.607_896_6,
        0.387_137_56,
        -0.186_522_63,
        0.060_394_075,
        -0.007_531_604_3,
        -0.003_468_155_2,
        0.001_593_800_1,
        0.000_116_312_63,
        -0.000_166_773_23,
    ];
    const END: f32 = 17.0;
}
