//! The sine of every finite number, to a few units in the last place.
//!
//! |x| <= 1: an odd polynomial. Beyond: x is reduced by multiples of a quarter turn, with pi/2 in
//! three pieces while the multiple is moderate, in exact integers (Payne and Hanek) when it is
//! huge. A vector whose lanes all lie within one skips the reduction.

use super::{Differentiable, Elementwise};
use crate::kernel::polynomial::horner;
use fearless_simd::{Level, dispatch, f64x2, prelude::*};

/// The sine.
#[derive(Clone, Copy, Debug)]
pub struct Sin;

impl Elementwise for Sin {
    in_both_precisions!(sin);
}

/// $`\cos x`$.
impl Differentiable for Sin {
    fn derivative(&self, x: f64) -> f64 {
        dispatch!(Level::new(), simd => quarters_later(simd, f64x2::splat(simd, x), 1)[0])
    }
}

/// The constants of one precision.
trait Constants: SimdFloatElement + 'static {
    const ONE: Self;
    const MINUS_HALF: Self;
    /// (sin x - x)/x³ in x² for |x| <= 1.
    const SIN: &'static [Self];
    /// (cos x - 1 + x²/2)/x⁴ in x² for |x| <= 0.79.
    const COS: &'static [Self];
    /// Minus pi/2 in three pieces.
    const MINUS_QUARTER: [Self; 3];
    const TWO_OVER_PI: Self;
    /// 1.5 times 2 to the number of fraction bits: x + CARRIER holds round(x) in its last bits.
    const CARRIER: Self;
    /// Up to here the pieces suffice.
    const HUGE: Self;
    /// The bit of a quarter count that changes the sign, and its distance from the sign bit.
    const HALF_TURN: (Self::Bits, u32);
    /// The bit of a quarter count that swaps sine and cosine.
    const QUARTER: Self::Bits;
    /// Quarter turns (mod 4) and the rest of x, for huge x.
    fn reduce_huge(x: Self) -> (Self::Bits, Self);
}

/// The function, in either precision.
#[inline(always)]
fn sin<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, x: V) -> V {
    let inside = (x * x).simd_le(T::ONE);
    let near = near(simd, x);
    if inside.all_true() {
        return near;
    }
    inside.select(near, quarters_later(simd, x, Default::default()))
}

/// The sine some quarter turns after x: one makes it the cosine.
#[inline(always)]
fn quarters_later<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(
    simd: S,
    x: V,
    later: T::Bits,
) -> V {
    let a = x.abs();
    let moderate = a.simd_le(T::HUGE);
    let carrier = V::splat(simd, T::CARRIER);
    let carried = x.mul_add(T::TWO_OVER_PI, carrier);
    let k = carried - carrier;
    // Precise: exactness of the first step is the point, also where multiply-adds round twice.
    let mut rest = x;
    for piece in T::MINUS_QUARTER {
        rest = k.mul_add_precise(piece, rest);
    }
    let mut quarters = carried.to_bits();
    // A NaN does not compare; it is its own rest.
    if !moderate.all_true() {
        for lane in 0..V::LEN {
            if a[lane] > T::HUGE {
                (quarters[lane], rest[lane]) = T::reduce_huge(x[lane]);
            }
        }
    }
    let quarters = quarters + later;
    let z = rest * rest;
    let cos =
        (z * z).mul_add(horner(simd, z, T::COS), z.mul_add(T::MINUS_HALF, V::splat(simd, T::ONE)));
    let even = (quarters & T::QUARTER).simd_eq(V::Bits::splat(simd, Default::default()));
    let turned = even.select(near(simd, rest).to_bits(), cos.to_bits());
    let turned = turned ^ ((quarters & T::HALF_TURN.0) << T::HALF_TURN.1);
    V::from_bits(turned)
}

/// sin x for |x| <= 1.
#[inline(always)]
fn near<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, x: V) -> V {
    let z = x * x;
    (x * z).mul_add(horner(simd, z, T::SIN), x)
}

/// Quarter turns (mod 4) and the rest of a finite x with |x| >= 2^-9, from the bits of 2/pi that
/// matter: those of weight below four quarters, 192 of them.
#[cold]
fn reduce_huge(x: f64) -> (u64, f64) {
    /// 2/pi after a word of zeros.
    const TWO_OVER_PI: [u64; 21] = [
        0,
        0xa2f9836e4e441529,
        0xfc2757d1f534ddc0,
        0xdb6295993c439041,
        0xfe5163abdebbc561,
        0xb7246e3a424dd2e0,
        0x06492eea09d1921c,
        0xfe1deb1cb129a73e,
        0xe88235f52ebb4484,
        0xe99c7026b45f7e41,
        0x3991d639835339f4,
        0x9c845f8bbdf9283b,
        0x1ff897ffde05980f,
        0xef2f118b5a0a6d1f,
        0x6d367ecf27cb09b7,
        0x4f463f669e5fea2d,
        0x7527bac7ebe5f17b,
        0x3d0739f78a5292ea,
        0x6bfb5fb11f8d5d08,
        0x56033046fc7b6bab,
        0xf0cfbc209af4361d,
    ];
    if !x.is_finite() {
        return (0, f64::NAN);
    }
    // |x| = m 2^e; bit `first` of the table times 2^e weighs two quarter turns.
    let m = u128::from(x.to_bits() & ((1 << 52) - 1) | 1 << 52);
    let e = (x.to_bits() >> 52 & 0x7ff) as usize;
    let first = e + 64 - 2 - 1075;
    let word = |i: usize| {
        let [high, low] = [0, 1].map(|j| u128::from(TWO_OVER_PI[first / 64 + i + j]));
        (high << 64 | low) >> (64 - first % 64) & u128::from(u64::MAX)
    };
    let low = m * word(2);
    let middle = m * word(1) + (low >> 64);
    let high = (m * word(0)).wrapping_add(middle >> 64) as u64;
    let quarters = high >> 62;
    // The fraction of a quarter turn in units of 2^-128, read as signed: nearest, not next lower.
    let fraction = (u128::from(high) << 64 | middle & u128::from(u64::MAX)) << 2 | low >> 62 & 3;
    let quarters = quarters + (fraction >> 127) as u64;
    let unit = f64::from_bits((1023 - 128) << 52);
    let rest = (fraction as i128) as f64 * unit * core::f64::consts::FRAC_PI_2;
    if x < 0.0 { (quarters.wrapping_neg() & 3, -rest) } else { (quarters & 3, rest) }
}

impl Constants for f64 {
    const ONE: f64 = 1.0;
    const MINUS_HALF: f64 = -0.5;
    /// Largest relative error of sin: 1.4e-18.
    const SIN: &'static [f64] = &[
        -0.16666666666666666,
        0.008333333333333134,
        -0.0001984126984109974,
        2.755731915503789e-06,
        -2.505209341077115e-08,
        1.6057253416419276e-10,
        -7.535983704939867e-13,
    ];
    /// Largest relative error of cos: 3.2e-19.
    const COS: &'static [f64] = &[
        0.04166666666666659,
        -0.001388888888887209,
        2.480158728823459e-05,
        -2.755731399734516e-07,
        2.087567564104467e-09,
        -1.1357208874519838e-11,
    ];
    const MINUS_QUARTER: [f64; 3] =
        [-core::f64::consts::FRAC_PI_2, -6.123233995736766e-17, 1.4973849048591698e-33];
    const TWO_OVER_PI: f64 = core::f64::consts::FRAC_2_PI;
    const CARRIER: f64 = (3u64 << 51) as f64;
    /// Well below the 2^51 quarter turns that the carrier can count.
    const HUGE: f64 = (1u64 << 44) as f64;
    const HALF_TURN: (u64, u32) = (2, 62);
    const QUARTER: u64 = 1;
    fn reduce_huge(x: f64) -> (u64, f64) {
        reduce_huge(x)
    }
}

impl Constants for f32 {
    const ONE: f32 = 1.0;
    const MINUS_HALF: f32 = -0.5;
    /// Largest relative error of sin: 8.0e-9.
    const SIN: &'static [f32] = &[-0.166_666_67, 0.008_333_316, -0.000_198_361_16, 2.694_81e-6];
    /// Largest relative error of cos: 4.9e-10.
    const COS: &'static [f32] = &[0.041_666_646, -0.0013887278, 2.442_878_6e-5];
    const MINUS_QUARTER: [f32; 3] = [-core::f32::consts::FRAC_PI_2, 4.371_139e-8, 1.715_124_5e-15];
    const TWO_OVER_PI: f32 = core::f32::consts::FRAC_2_PI;
    const CARRIER: f32 = (3u32 << 22) as f32;
    const HUGE: f32 = (1u32 << 15) as f32;
    const HALF_TURN: (u32, u32) = (2, 30);
    const QUARTER: u32 = 1;
    fn reduce_huge(x: f32) -> (u32, f32) {
        let (quarters, rest) = reduce_huge(f64::from(x));
        (quarters as u32, rest as f32)
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::activation::{Activation, tests};
    use proptest::prelude::*;

    fn f64s(x: f64) -> f64 {
        tests::f64s(&Activation::Sin, x)
    }
    fn f32s(x: f32) -> f32 {
        tests::f32s(&Activation::Sin, x)
    }

    #[test]
    fn limits() {
        assert_eq!(f64s(5e-324), 5e-324);
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(f64s(x).is_nan() && f32s(x as f32).is_nan());
        }
        // The double nearest to a multiple of pi/2 of all, 6381956970095103 2^797.
        let x = 6381956970095103.0 * 2f64.powi(797);
        assert!((f64s(x) - x.sin()).abs() <= 2.0 * f64::EPSILON);
        assert_eq!(f64s(-x), -f64s(x));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn agrees_with_std(x in prop_oneof![
            -1.0..1.0, -10.0..10.0, -1e6..1e6, -1e15..1e15,
            (-1_000_000i64..1_000_000).prop_map(|k| k as f64 * core::f64::consts::FRAC_PI_2),
            any::<f64>().prop_filter("finite", |x| x.is_finite()),
        ]) {
            prop_assert!((f64s(x) - x.sin()).abs() <= 2.0 * f64::EPSILON * x.sin().abs());
            let y = x as f32;
            if y.is_finite() {
                let exact = f64::from(y).sin();
                prop_assert!((f64::from(f32s(y)) - exact).abs() <= 1.5 * f64::from(f32::EPSILON) * exact.abs() + 1e-45);
            }
        }
    }
}
