//! Standard normals in bulk: Box-Muller on the eight lanes of a [`LaneRng`].
//!
//! A pair of normals is r (cos a, sin a) with r = sqrt(-2 ln u) and a uniform direction a. The
//! uniforms have full range: the tails reach 8.57 standard deviations in `f64`, 7.35 in `f32`.
//! Every operation is exact IEEE arithmetic or a multiply-add, so all levels with the fused
//! instruction (AVX-512, AVX2, NEON) give the same bits.

use super::generator::{LaneRng, StreamKey};
use crate::kernel::line::{Lanes, Line};
use crate::kernel::polynomial::horner;
use fearless_simd::{Level, dispatch, f32x16, f64x8, i32x16, i64x8, prelude::*, u32x16, u64x8};

/// The scalar types that normals are drawn in.
pub trait Normals: Lanes {
    /// The next two lines of standard normals.
    fn normal_pair<S: Simd>(simd: S, stream: &mut LaneRng<S>) -> [Self::Logical<S>; 2];
}

impl Normals for f64 {
    #[inline(always)]
    fn normal_pair<S: Simd>(simd: S, stream: &mut LaneRng<S>) -> [f64x8<S>; 2] {
        pair_f64(simd, stream)
    }
}

impl Normals for f32 {
    #[inline(always)]
    fn normal_pair<S: Simd>(simd: S, stream: &mut LaneRng<S>) -> [f32x16<S>; 2] {
        pair_f32(simd, stream)
    }
}

/// Fills `out` with the first `out.len()` normals of the stream called `key`.
pub fn fill<T: Normals>(level: Level, key: StreamKey, out: &mut [T]) {
    dispatch!(level, simd => {
        let mut stream = LaneRng::new(simd, key);
        let mut lines = out.chunks_exact_mut(2 * T::LANES);
        for chunk in &mut lines {
            let [a, b] = T::normal_pair(simd, &mut stream);
            let (low, high) = chunk.split_at_mut(T::LANES);
            a.store_slice(low);
            b.store_slice(high);
        }
        let tail = lines.into_remainder();
        if !tail.is_empty() {
            let mut last = [T::ZERO; 2];
            fill_lines(simd, &mut stream, &mut last);
            let last = last.iter().flat_map(|line| line.0.as_ref());
            tail.iter_mut().zip(last).for_each(|(to, x)| *to = *x);
        }
    });
}

/// Fills `lines` from where `stream` stands; an odd last line drops the second half of its pair.
#[inline(always)]
pub fn fill_lines<S: Simd, T: Normals>(simd: S, stream: &mut LaneRng<S>, lines: &mut [Line<T>]) {
    let (pairs, rest) = lines.as_chunks_mut::<2>();
    for [low, high] in pairs {
        let [a, b] = T::normal_pair(simd, stream);
        low.store(a);
        high.store(b);
    }
    if let [last] = rest {
        last.store(T::normal_pair(simd, stream)[0]);
    }
}

/// (ln m - 2s)/s³ in z = s², s = (m - 1)/(m + 1), for m within sqrt(2) of 1.
/// Largest relative error of ln m: 1.9e-16.
const LN_64: [f64; 6] = [
    0.6666666666658749,
    0.400000000521363,
    0.2857141715122184,
    0.22223370223339844,
    0.18123687733986407,
    0.16819301951342774,
];
/// The same in `f32`: 8.2e-10.
const LN_32: [f32; 3] = [0.666_667_76, 0.399_775_74, 0.298_709_36];
/// sin(t/4 turn)/t in t² for |t| <= 1/2: 5.0e-17.
const SIN_64: [f64; 7] = [
    core::f64::consts::FRAC_PI_2,
    -0.6459640975062443,
    0.07969262624603957,
    -0.004681754132282439,
    0.00016044115029181273,
    -3.5986417550295243e-06,
    5.633721091135191e-08,
];
/// The same in `f32`: 3.4e-8.
const SIN_32: [f32; 4] = [1.570_796_4, -0.645_963_5, 0.079_680_03, -0.004_601_658];
/// cos(t/4 turn) in t² for |t| <= 1/2: 1.2e-16.
const COS_64: [f64; 7] = [
    0.9999999999999999,
    -1.2337005501361489,
    0.2536695078997531,
    -0.020863480733058888,
    0.0009192599355827439,
    -2.520008414691192e-05,
    4.654617796819887e-07,
];
/// The same in `f32`: 8.3e-9.
const COS_32: [f32; 5] = [1.0, -1.233_700_5, 0.253_669_17, -0.020_859_936, 0.000_903_363];

/// Two vectors of `f64` normals from two words a lane.
#[inline(always)]
fn pair_f64<S: Simd>(simd: S, stream: &mut LaneRng<S>) -> [f64x8<S>; 2] {
    let (radius_bits, angle_bits) = (stream.next_words(), stream.next_words());
    // 52 bits as an odd multiple of 2^-53: never zero.
    let u = mantissa_f64(simd, radius_bits) - (1.0 - f64::EPSILON / 2.0);
    let r = minus_two_ln_f64(simd, u).sqrt();
    let [c, s] = direction_f64(simd, angle_bits);
    [r * c, r * s]
}

/// Two vectors of `f32` normals from two words a lane, each word two 32-bit lanes.
#[inline(always)]
fn pair_f32<S: Simd>(simd: S, stream: &mut LaneRng<S>) -> [f32x16<S>; 2] {
    let radius_bits: u32x16<S> = stream.next_words().bitcast();
    let angle_bits: u32x16<S> = stream.next_words().bitcast();
    // 31 bits, and below them 7 that the angle does not use, as an odd multiple of 2^-39.
    let high: f32x16<S> = to_float(radius_bits >> 1);
    let low: f32x16<S> = to_float((angle_bits >> 2) & 127);
    let scale = |exponent: u32| f32x16::splat(simd, f32::from_bits((127 - exponent) << 23));
    let u = high.mul_add(scale(31), low.mul_add(scale(38), scale(39)));
    let r = minus_two_ln_f32(simd, u).sqrt();
    let [c, s] = direction_f32(simd, angle_bits);
    [r * c, r * s]
}

/// Lanes below 2^31 as numbers.
#[inline(always)]
fn to_float<S: Simd>(x: u32x16<S>) -> f32x16<S> {
    x.bitcast::<i32x16<S>>().to_float()
}

/// The high 52 bits of each lane as a number in [1, 2).
#[inline(always)]
fn mantissa_f64<S: Simd>(simd: S, bits: u64x8<S>) -> f64x8<S> {
    ((bits >> 12) | u64x8::splat(simd, 1f64.to_bits())).bitcast()
}

/// -2 ln u for normal numbers u in (0, 1].
#[inline(always)]
fn minus_two_ln_f64<S: Simd>(simd: S, u: f64x8<S>) -> f64x8<S> {
    const FRACTION: u64 = (1 << 52) - 1;
    const SQRT_HALF: u64 = core::f64::consts::FRAC_1_SQRT_2.to_bits();
    // 2^52: a number whose last bits hold a small integer.
    const CARRIER: f64 = (1u64 << 52) as f64;
    // u = 2^k m with m in [sqrt(1/2), sqrt(2)).
    let shifted = u.bitcast::<u64x8<S>>() + (1f64.to_bits() - SQRT_HALF);
    let biased: f64x8<S> = ((shifted >> 52) | u64x8::splat(simd, CARRIER.to_bits())).bitcast();
    let k = biased - (CARRIER + 1023.0);
    let m: f64x8<S> = ((shifted & FRACTION) + SQRT_HALF).bitcast();
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let minus_two = f64x8::splat(simd, -2.0);
    let tail = (z * horner(simd, z, &LN_64)).mul_add(minus_two, f64x8::splat(simd, -4.0));
    k.mul_add(minus_two * core::f64::consts::LN_2, s * tail)
}

/// [`minus_two_ln_f64`] in `f32`.
#[inline(always)]
fn minus_two_ln_f32<S: Simd>(simd: S, u: f32x16<S>) -> f32x16<S> {
    const FRACTION: u32 = (1 << 23) - 1;
    const SQRT_HALF: u32 = core::f32::consts::FRAC_1_SQRT_2.to_bits();
    let shifted = u.bitcast::<u32x16<S>>() + (1f32.to_bits() - SQRT_HALF);
    let k = to_float(shifted >> 23) - 127.0;
    let m: f32x16<S> = ((shifted & FRACTION) + SQRT_HALF).bitcast();
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let minus_two = f32x16::splat(simd, -2.0);
    let tail = (z * horner(simd, z, &LN_32)).mul_add(minus_two, f32x16::splat(simd, -4.0));
    k.mul_add(minus_two * core::f32::consts::LN_2, s * tail)
}

/// Cosine and sine of a uniform angle: 52 bits place it in a quarter turn about an axis, the last
/// two bits choose the axis.
#[inline(always)]
fn direction_f64<S: Simd>(simd: S, bits: u64x8<S>) -> [f64x8<S>; 2] {
    let t = mantissa_f64(simd, bits) - 1.5;
    let z = t * t;
    let sin = t * horner(simd, z, &SIN_64);
    let cos = horner(simd, z, &COS_64);
    let cos: f64x8<S> = (cos.bitcast::<u64x8<S>>() ^ (bits << 63)).bitcast();
    let swap = (bits << 62).bitcast::<i64x8<S>>().simd_lt(i64x8::splat(simd, 0));
    [swap.select(sin, cos), swap.select(cos, sin)]
}

/// [`direction_f64`] in `f32`, with 23 bits of angle.
#[inline(always)]
fn direction_f32<S: Simd>(simd: S, bits: u32x16<S>) -> [f32x16<S>; 2] {
    let mantissa: f32x16<S> = ((bits >> 9) | u32x16::splat(simd, 1f32.to_bits())).bitcast();
    let t = mantissa - 1.5;
    let z = t * t;
    let sin = t * horner(simd, z, &SIN_32);
    let cos = horner(simd, z, &COS_32);
    let cos: f32x16<S> = (cos.bitcast::<u32x16<S>>() ^ (bits << 31)).bitcast();
    let swap = (bits << 30).bitcast::<i32x16<S>>().simd_lt(i32x16::splat(simd, 0));
    [swap.select(sin, cos), swap.select(cos, sin)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::line::fused_levels;
    use proptest::prelude::*;

    const KEY: StreamKey = StreamKey { seed: 7, purpose: 1, replicate: 2, layer: 3, block: 4 };

    fn normals<T: Normals>(level: Level, count: usize) -> Vec<T> {
        let mut out = vec![T::default(); count];
        fill(level, KEY, &mut out);
        out
    }

    /// A change here changes every sample of the library: call it value-breaking.
    #[test]
    fn values_are_stable() {
        for level in fused_levels() {
            assert_eq!(
                normals::<f64>(level, 3),
                [-1.0990646779207174, -0.6605388635063983, -0.041588697078254584]
            );
            assert_eq!(normals::<f32>(level, 3), [-1.4193987, 1.0990646, 0.4666288]);
        }
    }

    #[test]
    fn a_prefix_does_not_depend_on_the_length() {
        for level in fused_levels() {
            let long = normals::<f64>(level, 1000);
            for count in [0, 1, 7, 8, 15, 16, 17, 40, 999] {
                assert_eq!(normals::<f64>(level, count), long[..count]);
            }
            let long = normals::<f32>(level, 1000);
            for count in [1, 16, 31, 32, 33, 80] {
                assert_eq!(normals::<f32>(level, count), long[..count]);
            }
        }
    }

    #[test]
    fn levels_agree() {
        let reference = (normals::<f64>(Level::new(), 4096), normals::<f32>(Level::new(), 4096));
        for level in fused_levels() {
            assert_eq!((normals(level, 4096), normals(level, 4096)), reference);
        }
        // Below AVX2 multiply-adds round twice.
        for (a, b) in normals::<f64>(Level::baseline(), 4096).iter().zip(&reference.0) {
            assert!((a - b).abs() <= 1e-14 * b.abs().max(1e-6), "{a} {b}");
        }
    }

    /// Every moment to the eighth and three lags, within five standard errors.
    fn check_moments(x: &[f64]) {
        let count = x.len() as f64;
        let mean = |f: &dyn Fn(f64) -> f64| x.iter().map(|x| f(*x)).sum::<f64>() / count;
        let moment =
            |k: i32| if k % 2 == 1 { 0.0 } else { (1..k).step_by(2).map(f64::from).product() };
        for k in 1..=8 {
            let error = ((moment(2 * k) - moment(k) * moment(k)) / count).sqrt();
            assert!((mean(&|x| x.powi(k)) - moment(k)).abs() < 5.0 * error, "moment {k}");
        }
        for lag in [1, 8, 16] {
            let product: f64 = x.iter().zip(&x[lag..]).map(|(a, b)| a * b).sum();
            assert!(product.abs() < 5.0 * count.sqrt(), "lag {lag}");
        }
        // P(|x| > 3) = 0.0026998.
        let tail = mean(&|x| f64::from(u8::from(x.abs() > 3.0)));
        assert!((tail - 0.0026998).abs() < 5.0 * (0.0027 / count).sqrt());
    }

    #[test]
    fn moments() {
        check_moments(&normals::<f64>(Level::new(), 1 << 21));
        let x: Vec<f64> =
            normals::<f32>(Level::new(), 1 << 21).into_iter().map(f64::from).collect();
        check_moments(&x);
    }

    #[test]
    fn extremes() {
        let ln = |u: f64| dispatch!(Level::new(), simd => minus_two_ln_f64(simd, f64x8::splat(simd, u))[0]);
        assert_eq!(ln(1.0), 0.0);
        assert!((ln(2f64.powi(-53)).sqrt() - 8.5717).abs() < 1e-4);
        let ln = |u: f32| dispatch!(Level::new(), simd => minus_two_ln_f32(simd, f32x16::splat(simd, u))[0]);
        assert_eq!(ln(1.0), 0.0);
        assert!((ln(2f32.powi(-39)).sqrt() - 7.353).abs() < 1e-3);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn logarithm(u in prop_oneof![0.0..1.0, 0.9..1.0, 0.999_999..1.0, 1e-16..1e-9]) {
            prop_assume!(u > 0.0);
            let y = dispatch!(Level::new(), simd => minus_two_ln_f64(simd, f64x8::splat(simd, u))[0]);
            prop_assert!((y + 2.0 * u.ln()).abs() <= 3.0 * f64::EPSILON * y, "{u}: {y}");
            let u = u as f32;
            let y = dispatch!(Level::new(), simd => minus_two_ln_f32(simd, f32x16::splat(simd, u))[0]);
            let exact = -2.0 * f64::from(u).ln();
            prop_assert!((f64::from(y) - exact).abs() <= 2.0 * f64::from(f32::EPSILON) * exact, "{u}: {y}");
        }

        #[test]
        fn directions(bits: u64) {
            let [c, s] = dispatch!(Level::new(), simd => direction_f64(simd, u64x8::splat(simd, bits)).map(|x| x[0]));
            let t = f64::from_bits(bits >> 12 | 1f64.to_bits()) - 1.5;
            let expected = turn(t, bits);
            prop_assert!((c - expected.0).abs() <= 2.0 * f64::EPSILON * c.abs());
            prop_assert!((s - expected.1).abs() <= 2.0 * f64::EPSILON * s.abs());

            let bits = bits as u32;
            let [c, s] = dispatch!(Level::new(), simd => direction_f32(simd, u32x16::splat(simd, bits)).map(|x| f64::from(x[0])));
            let t = f32::from_bits(bits >> 9 | 1f32.to_bits()) - 1.5;
            let expected = turn(f64::from(t), bits.into());
            prop_assert!((c - expected.0).abs() <= 2.0 * f64::from(f32::EPSILON) * c.abs());
            prop_assert!((s - expected.1).abs() <= 2.0 * f64::from(f32::EPSILON) * s.abs());
        }
    }

    /// The direction that `bits` name: t quarter turns from one of four axes.
    fn turn(t: f64, bits: u64) -> (f64, f64) {
        let (sin, cos) = (t * core::f64::consts::FRAC_PI_2).sin_cos();
        let cos = if bits & 1 == 1 { -cos } else { cos };
        if bits & 2 == 2 { (sin, cos) } else { (cos, sin) }
    }
}
