//! The exponential beneath the activations, to about an ulp, subnormal results included.

use crate::kernel::line::Lanes;
use crate::kernel::polynomial::horner;
use fearless_simd::prelude::*;

/// The constants of one precision.
pub trait Constants: Lanes {
    /// (exp r - 1 - r)/r² for |r| <= ln(2)/2.
    const EXP: &'static [Self];
    /// Minus ln 2 in two pieces; multiples of the first are exact without fused multiply-adds.
    const MINUS_LN_2: [Self; 2];
    const LOG2_E: Self;
    /// 1.5 times 2 to the number of fraction bits: x + CARRIER holds round(x) in its last bits.
    const CARRIER: Self;
    /// Bits of the fraction.
    const FRACTION: u32;
    /// The bits of 1.
    const ONE_BITS: Self::Bits;
    /// Clears the lower half of a fraction, so that the square of what is left is exact.
    const HEAD: Self::Bits;
    /// exp(-y) is zero here, and exp y infinite.
    const RANGE: Self;
}

/// An exponential before its scaling, which alone can leave the range of normal numbers.
#[derive(Clone, Copy)]
pub struct Exponential<V> {
    mantissa: V,
    powers_of_two: [V; 2],
}

impl<V> Exponential<V> {
    /// Returns the number itself.
    #[inline(always)]
    pub fn value<S: Simd>(self) -> V
    where
        V: SimdFloat<S>,
    {
        self.mantissa * self.powers_of_two[0] * self.powers_of_two[1]
    }

    /// Returns the multiple of it, accurate down to the smallest normal number.
    #[inline(always)]
    pub fn times<S: Simd>(self, factor: V) -> V
    where
        V: SimdFloat<S>,
    {
        factor * self.mantissa * self.powers_of_two[0] * self.powers_of_two[1]
    }
}

/// exp y for |y| <= RANGE.
#[inline(always)]
pub fn exp<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, y: V) -> Exponential<V> {
    exp_of_sum(simd, y, V::splat(simd, T::default()))
}

/// exp(-weight x²) for weight x² <= RANGE, weight a power of two; the rounding of x² does not
/// reach the result.
#[inline(always)]
pub fn exp_minus_square<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(
    simd: S,
    weight: T,
    x: V,
) -> Exponential<V> {
    let minus_weight = -V::splat(simd, weight);
    let head = V::from_bits(x.to_bits() & T::HEAD);
    exp_of_sum(simd, minus_weight * head * head, minus_weight * (x - head) * (x + head))
}

/// exp(y) - 1 for -RANGE <= y <= 0, without cancellation.
#[inline(always)]
pub fn exp_minus_one<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, y: V) -> V {
    let (rest, [first, second]) = reduce(simd, y, V::splat(simd, T::default()));
    let power = first * second;
    rest.mul_add(power, power - T::of_f64(1.0))
}

/// exp(high + low) for |high + low| <= RANGE, low far below high.
#[inline(always)]
fn exp_of_sum<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(
    simd: S,
    high: V,
    low: V,
) -> Exponential<V> {
    let (rest, powers_of_two) = reduce(simd, high, low);
    Exponential { mantissa: rest + T::of_f64(1.0), powers_of_two }
}

/// exp(r) - 1 and 2^k, as a product of two powers, for high + low = r + k ln 2, |r| <= ln(2)/2.
#[inline(always)]
fn reduce<T: Constants, S: Simd, V: SimdFloat<S, Element = T>>(
    simd: S,
    high: V,
    low: V,
) -> (V, [V; 2]) {
    let carrier = V::splat(simd, T::CARRIER);
    let carried = (high + low).mul_add(T::LOG2_E, carrier);
    let k = carried - carrier;
    let r = k.mul_add(T::MINUS_LN_2[1], k.mul_add(T::MINUS_LN_2[0], high) + low);
    let rest = (r * r).mul_add(horner(simd, r, T::EXP), r);
    // In two steps, since 2^k itself may be subnormal or infinite.
    let carried_half = k.mul_add(T::of_f64(0.5), carrier);
    let carried_rest = k - (carried_half - carrier) + carrier;
    let powers_of_two = [carried_half, carried_rest]
        .map(|carried| V::from_bits((carried.to_bits() << T::FRACTION) + T::ONE_BITS));
    (rest, powers_of_two)
}

/// Returns the smaller of a number and a limit; NaN stays NaN.
#[inline(always)]
pub fn at_most<T: Lanes, S: Simd, V: SimdFloat<S, Element = T>>(simd: S, limit: T, x: V) -> V {
    x.simd_gt(limit).select(V::splat(simd, limit), x)
}

impl Constants for f64 {
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
    const MINUS_LN_2: [f64; 2] = [-0.693_147_180_369_123_8, -1.908_214_929_270_587_7e-10];
    const LOG2_E: f64 = core::f64::consts::LOG2_E;
    const CARRIER: f64 = (3u64 << 51) as f64;
    const FRACTION: u32 = 52;
    const ONE_BITS: u64 = 1f64.to_bits();
    const HEAD: u64 = !0 << 27;
    const RANGE: f64 = 1000.0;
}

impl Constants for f32 {
    /// Largest relative error of exp: 4.4e-9.
    const EXP: &'static [f32] =
        &[0.49999994, 0.166_665_2, 0.041_668_393, 0.008_368_78, 0.001_381_447];
    const MINUS_LN_2: [f32; 2] = [-355.0 / 512.0, 2.121_944_4e-4];
    const LOG2_E: f32 = core::f32::consts::LOG2_E;
    const CARRIER: f32 = (3u32 << 22) as f32;
    const FRACTION: u32 = 23;
    const ONE_BITS: u32 = 1f32.to_bits();
    const HEAD: u32 = !0 << 12;
    const RANGE: f32 = 150.0;
}
