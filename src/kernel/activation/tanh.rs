//! The hyperbolic tangent of every number, to a few units in the last place.
//!
//! |x| <= 1: an odd polynomial, without the division. Beyond: 1 - 2/(exp(2|x|) + 1). Rows of norm
//! one never leave the first range, so a vector that lies in it skips the second.

use super::Activation;
use crate::kernel::polynomial::horner;
use fearless_simd::prelude::*;

/// The hyperbolic tangent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tanh;

impl Activation for Tanh {
    #[inline(always)]
    fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(self, simd: S, x: V) -> V {
        tanh(simd, x)
    }
    #[inline(always)]
    fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(self, simd: S, x: V) -> V {
        tanh(simd, x)
    }
}

/// The constants of one precision.
trait Constants: SimdFloatElement + 'static {
    const ONE: Self;
    const TWO: Self;
    /// (tanh x - x)/x³ in x² for |x| <= 1.
    const TANH: &'static [Self];
    /// (exp r - 1 - r)/r² for |r| <= ln(2)/2.
    const EXP: &'static [Self];
    /// ln 2 in two pieces.
    const LN_2: [Self; 2];
    const LOG2_E: Self;
    /// tanh rounds to one beyond this.
    const SATURATION: Self;
    /// 1.5 times 2 to the number of fraction bits: x + CARRIER holds round(x) in its last bits.
    const CARRIER: Self;
    /// Bits of the fraction.
    const FRACTION: u32;
    /// The bits of 1.
    const ONE_BITS: Self::Bits;
}

/// The function, in either precision.
#[inline(always)]
fn tanh<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, x: V) -> V {
    let z = x * x;
    let near = (x * z).mul_add(horner(simd, z, T::TANH), x);
    let inside = z.simd_le(T::ONE);
    if inside.all_true() { near } else { inside.select(near, far(simd, x)) }
}

/// tanh by way of the exponential.
#[inline(always)]
fn far<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, x: V) -> V {
    let one = V::splat(simd, T::ONE);
    let limit = V::splat(simd, T::SATURATION);
    let a = x.abs();
    let a = a.simd_gt(limit).select(limit, a);
    let two_over = V::splat(simd, T::TWO) / (exp(simd, a + a) + T::ONE);
    (one - two_over).copysign(x)
}

/// exp y for moderate y.
#[inline(always)]
fn exp<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, y: V) -> V {
    let carrier = V::splat(simd, T::CARRIER);
    let carried = y.mul_add(T::LOG2_E, carrier);
    let k = carrier - carried;
    let r = k.mul_add(T::LN_2[1], k.mul_add(T::LN_2[0], y));
    let e = (r * r).mul_add(horner(simd, r, T::EXP), r) + T::ONE;
    let power = V::from_bits((carried.to_bits() << T::FRACTION) + T::ONE_BITS);
    e * power
}

impl Constants for f64 {
    const ONE: f64 = 1.0;
    const TWO: f64 = 2.0;
    /// Largest relative error of tanh: 1.4e-16.
    const TANH: &'static [f64] = &[
        -0.33333333333329296,
        0.13333333332963737,
        -0.05396825384933872,
        0.021869486594834744,
        -0.008863216651667382,
        0.0035920085189438205,
        -0.001455314224594778,
        0.0005884164945241607,
        -0.0002355013174221236,
        9.09000074609964e-05,
        -3.188854146974596e-05,
        9.170689767791731e-06,
        -1.8365563153647838e-06,
        1.8479469717751864e-07,
    ];
    /// Largest relative error of exp: 9.6e-18.
    const EXP: &'static [f64] = &[
        0.5000000000000011,
        0.1666666666666641,
        0.04166666666652919,
        0.008333333333495625,
        0.001388888894392211,
        0.00019841269504756068,
        2.4801492763175484e-05,
        2.755758735636263e-06,
        2.7630378524265024e-07,
        2.499995937446006e-08,
    ];
    const LN_2: [f64; 2] = [core::f64::consts::LN_2, 2.3190468138462996e-17];
    const LOG2_E: f64 = core::f64::consts::LOG2_E;
    const SATURATION: f64 = 20.0;
    const CARRIER: f64 = (3u64 << 51) as f64;
    const FRACTION: u32 = 52;
    const ONE_BITS: u64 = 1f64.to_bits();
}

impl Constants for f32 {
    const ONE: f32 = 1.0;
    const TWO: f32 = 2.0;
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
    /// Largest relative error of exp: 4.4e-9.
    const EXP: &'static [f32] =
        &[0.49999994, 0.166_665_2, 0.041_668_393, 0.008_368_78, 0.001_381_447];
    const LN_2: [f32; 2] = [core::f32::consts::LN_2, -1.904_654_2e-9];
    const LOG2_E: f32 = core::f32::consts::LOG2_E;
    const SATURATION: f32 = 10.0;
    const CARRIER: f32 = (3u32 << 22) as f32;
    const FRACTION: u32 = 23;
    const ONE_BITS: u32 = 1f32.to_bits();
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::{Level, dispatch, f32x16, f64x8};
    use proptest::prelude::*;

    fn f64s(x: f64) -> f64 {
        dispatch!(Level::new(), simd => Tanh.f64(simd, f64x8::splat(simd, x))[0])
    }
    fn f32s(x: f32) -> f32 {
        dispatch!(Level::new(), simd => Tanh.f32(simd, f32x16::splat(simd, x))[0])
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

        #[test]
        fn lanes_do_not_see_each_other(x in any::<[f64; 8]>()) {
            let all = dispatch!(Level::new(), simd => Tanh.f64(simd, f64x8::from_slice(simd, &x)).to_array());
            for (y, x) in all.iter().zip(x) {
                prop_assert_eq!(y.to_bits(), f64s(x).to_bits());
            }
        }
    }
}
