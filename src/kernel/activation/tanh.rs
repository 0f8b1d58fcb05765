//! The hyperbolic tangent, and one plus it without cancellation, to a few units in the last place.
//!
//! |x| <= 1: an odd polynomial, without the division. Beyond: by way of exp(-2|x|). Rows of norm
//! one never leave the first range, so a vector that lies in it skips the second.

use super::exponential::{self, Exponential, at_most, exp};
use super::{Differentiable, Elementwise};
use crate::kernel::polynomial::horner;
use fearless_simd::{Level, dispatch, f64x2, prelude::*};

/// The hyperbolic tangent.
///
/// Correct to 2 ulp, in `f64` and in `f32`.
#[derive(Clone, Copy, Debug)]
pub struct Tanh;

impl Elementwise for Tanh {
    in_both_precisions!(tanh);
}

/// $`1 / \cosh^2 x`$.
impl Differentiable for Tanh {
    fn derivative(&self, x: f64) -> f64 {
        inverse_cosh_squared(x)
    }
}

/// One plus the hyperbolic tangent.
///
/// Of small relative error for negative x, too, where the sum itself would cancel: 4 ulp.
#[derive(Clone, Copy, Debug)]
pub struct ShiftedTanh;

impl Elementwise for ShiftedTanh {
    in_both_precisions!(shifted_tanh);
}

/// $`1 / \cosh^2 x`$.
impl Differentiable for ShiftedTanh {
    fn derivative(&self, x: f64) -> f64 {
        inverse_cosh_squared(x)
    }
}

/// The constants of one precision.
pub trait Constants: exponential::Constants {
    /// (tanh x - x)/x³ in x² for |x| <= 1.
    const TANH: &'static [Self];
}

/// 1 + tanh, in either precision.
#[inline(always)]
fn shifted_tanh<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, x: V) -> V {
    times_shifted_tanh(simd, V::splat(simd, T::of_f64(1.0)), x)
}

/// The function, in either precision.
#[inline(always)]
fn tanh<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, x: V) -> V {
    let z = x * x;
    let near = near(simd, x, z);
    let inside = z.simd_le(T::of_f64(1.0));
    if inside.all_true() {
        return near;
    }
    let e = decay(simd, x).value();
    let one = V::splat(simd, T::of_f64(1.0));
    inside.select(near, (one - (e + e) / (e + one)).copysign(x))
}

/// factor (1 + tanh x).
#[inline(always)]
pub fn times_shifted_tanh<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(
    simd: S,
    factor: V,
    x: V,
) -> V {
    let z = x * x;
    // 1 + x first: next to -1 it is exact, where the tangent and 1 would cancel.
    let near = factor * (x * z).mul_add(horner(simd, z, T::TANH), x + T::of_f64(1.0));
    let inside = z.simd_le(T::of_f64(1.0));
    if inside.all_true() {
        return near;
    }
    let e = decay(simd, x);
    let quotient = (factor + factor) / (e.value() + T::of_f64(1.0));
    inside.select(near, x.simd_lt(T::default()).select(e.times(quotient), quotient))
}

/// tanh x for |x| <= 1, z = x².
#[inline(always)]
fn near<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, x: V, z: V) -> V {
    (x * z).mul_add(horner(simd, z, T::TANH), x)
}

/// exp(-2|x|).
#[inline(always)]
fn decay<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, x: V) -> Exponential<V> {
    let a = x.abs();
    exp(simd, -at_most(simd, T::RANGE, a + a))
}

/// 1/cosh² x, of small relative error everywhere.
pub fn inverse_cosh_squared(x: f64) -> f64 {
    dispatch!(Level::new(), simd => {
        let e = decay(simd, f64x2::splat(simd, x));
        let sum = e.value() + 1.0;
        e.times(4.0 / (sum * sum))[0]
    })
}

impl Constants for f64 {
    /// Largest relative error of tanh: 2.1e-17.
    const TANH: &'static [f64] = &[
        -0.33333333333332943,
        0.1333333333329287,
        -0.05396825395342689,
        0.02186948825983196,
        -0.008863232451779505,
        0.0035921056068269,
        -0.0014557213287723345,
        0.0005896186903162398,
        -0.00023804387085900715,
        9.476817741139672e-05,
        -3.608662796432376e-05,
        1.2341333757168942e-05,
        -3.4196823049218707e-06,
        6.544964677635466e-07,
        -6.269333884837958e-08,
    ];
}

impl Constants for f32 {
    /// Largest relative error of tanh: 5.3e-9.
    const TANH: &'static [f32] = &[
        -0.333_332_96,
        0.133_323_45,
        -0.053_879_8,
        0.021_486_657,
        -0.007_946_105,
        0.002_301_363,
        -0.000_358_451_54,
    ];
}

#[cfg(test)]
mod tests {
    use crate::kernel::activation::{Activation, tests};
    use proptest::prelude::*;

    fn f64s(x: f64) -> f64 {
        tests::f64s(&Activation::Tanh, x)
    }
    fn f32s(x: f32) -> f32 {
        tests::f32s(&Activation::Tanh, x)
    }

    #[test]
    fn limits() {
        for x in [0.0, 20.0, 1e3, f64::MAX, f64::INFINITY] {
            assert_eq!(f64s(x), x.tanh());
            assert_eq!(f64s(-x), -x.tanh());
        }
        assert!(f64s(f64::NAN).is_nan() && f32s(f32::NAN).is_nan());
        assert_eq!((f32s(f32::MAX), f32s(-f32::INFINITY)), (1.0, -1.0));
        assert_eq!(f64s(5e-324), 5e-324);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn agrees_with_std(x in prop_oneof![-1.0..1.0, -25.0..25.0, any::<f64>().prop_filter("finite", |x| x.is_finite())]) {
            // std's own tanh errs by an ulp or two.
            prop_assert!((f64s(x) - x.tanh()).abs() <= 4.0 * f64::EPSILON * x.tanh().abs());
            let y = x as f32;
            let exact = f64::from(y).tanh();
            prop_assert!((f64::from(f32s(y)) - exact).abs() <= 1.5 * f64::from(f32::EPSILON) * exact.abs() + 1e-45);
        }
    }
}
