//! What every activation owes: accuracy, limits, independent lanes, the same bits on every level.

use super::*;
use crate::kernel::line::fused_levels;
use fearless_simd::{f32x16, f64x8};
use proptest::prelude::*;

/// A line of values, on one level of the hardware.
fn f64_line(level: Level, activation: impl Activation, x: [f64; 8]) -> [f64; 8] {
    dispatch!(level, simd => activation.f64(simd, f64x8::from_slice(simd, &x)).to_array())
}

/// A line of values, on one level of the hardware.
fn f32_line(level: Level, activation: impl Activation, x: [f32; 16]) -> [f32; 16] {
    dispatch!(level, simd => activation.f32(simd, f32x16::from_slice(simd, &x)).to_array())
}

/// One value in double precision.
pub(super) fn f64s(activation: impl Activation, x: f64) -> f64 {
    f64_line(Level::new(), activation, [x; 8])[0]
}

/// One value in single precision.
pub(super) fn f32s(activation: impl Activation, x: f32) -> f32 {
    f32_line(Level::new(), activation, [x; 16])[0]
}

/// Calls a macro with every function of one vector kernel.
macro_rules! for_each_activation {
    ($check:ident) => {
        $check!(Identity);
        $check!(Relu);
        $check!(LeakyRelu::default());
        $check!(Tanh);
        $check!(ShiftedTanh);
        $check!(Logistic);
        $check!(Silu);
        $check!(Erf);
        $check!(Gelu);
        $check!(Sin);
        $check!(from_fn(|x| x * x).with_derivative(|x| 2.0 * x));
    };
}

/// The distance of two numbers in units of the last place of the second, or of a least size.
fn ulps(ours: f64, exact: f64, least: f64) -> f64 {
    let size = exact.abs().max(least).max(f64::MIN_POSITIVE);
    let unit = size.next_up() - size;
    (ours - exact).abs() / unit
}

/// The bits of a number, with one NaN.
fn canonical(x: f64) -> u64 {
    if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() }
}

/// The columns of the golden file.
fn golden() -> Vec<Vec<f64>> {
    let csv = include_str!("../../../tests/golden/activations.csv");
    let rows = csv.lines().skip(1);
    rows.map(|row| row.split(',').map(|number| number.parse().unwrap()).collect()).collect()
}

#[test]
fn values_and_derivatives_agree_with_mpmath() {
    let mut worst = Vec::new();
    // The limits are what the documentation of each function says.
    macro_rules! check {
        ($activation:ident, $column:literal, $limit:literal, $derivative_limit:literal) => {
            let mut errors = [0f64; 2];
            for row in golden() {
                let (x, value, derivative) = (row[0], row[$column], row[$column + 7]);
                // Derivatives of SiLU and GELU cross zero about -1, where their error is absolute.
                let least = if x.abs() < 2.0 { 0.125 } else { 0.0 };
                let found = [
                    ulps(f64s($activation, x), value, 0.0),
                    ulps($activation.derivative(x), derivative, least),
                ];
                errors = [0, 1].map(|i| errors[i].max(found[i]));
                if found[0] > $limit || found[1] > $derivative_limit {
                    worst.push((stringify!($activation), x, found));
                }
            }
            println!("{}: {errors:?} ulp", stringify!($activation));
        };
    }
    check!(Tanh, 1, 2.0, 4.0);
    check!(ShiftedTanh, 2, 4.0, 4.0);
    check!(Logistic, 3, 4.0, 4.0);
    check!(Silu, 4, 4.0, 4.0);
    check!(Erf, 5, 2.0, 3.0);
    check!(Gelu, 6, 4.0, 6.0);
    check!(Sin, 7, 2.0, 2.0);
    assert!(worst.is_empty(), "{worst:?}");
}

/// A number as an unevaluated sum of two, good to some 30 digits.
#[derive(Clone, Copy)]
struct Double(f64, f64);

impl Double {
    /// The sum of a number and a much smaller one.
    fn sum(high: f64, low: f64) -> Self {
        let sum = high + low;
        Self(sum, low - (sum - high))
    }

    fn plus(self, x: f64) -> Self {
        let sum = self.0 + x;
        let part = sum - self.0;
        Self::sum(sum, (self.0 - (sum - part)) + (x - part) + self.1)
    }

    fn times(self, other: Self) -> Self {
        let product = self.0 * other.0;
        let rest = self.0.mul_add(other.0, -product);
        Self::sum(product, rest + (self.0 * other.1 + self.1 * other.0))
    }

    fn over(self, other: Self) -> Self {
        let quotient = self.0 / other.0;
        let back = other.times(Self(quotient, 0.0));
        Self::sum(quotient, ((self.0 - back.0) - back.1 + self.1) / other.0)
    }

    /// Its exponential: the Taylor series of a 1024-th, then squares.
    fn exp(x: f64) -> Self {
        let part = Self(x / 1024.0, 0.0);
        let mut sum = Self(1.0, 0.0);
        for k in (1..=14).rev() {
            sum = part.times(sum).over(Self(f64::from(k), 0.0)).plus(1.0);
        }
        (0..10).fold(sum, |power, _| power.times(power))
    }
}

/// The logistic function and its relatives on a dense grid, against double-double arithmetic: about
/// the ends of the polynomial, where 1 + tanh could cancel, and over the rest of the negative axis.
#[test]
fn logistic_functions_are_good_to_four_ulp_everywhere() {
    let exact = Double::exp(-1.9904090173564801);
    let exact = exact.over(exact.plus(1.0));
    // By mpmath.
    assert_eq!(exact.0, 0.120_213_597_136_015_94);
    assert!(ulps(f64s(Logistic, -1.9904090173564801), exact.0, 0.0) <= 2.0);
    let mut worst = [0f64; 3];
    let mut step = 1e-5;
    let mut x: f64 = -2.2;
    while x < 6.0 {
        x += step * (1.0 + 0.1 * (1e6 * x).sin()); // no two alike in their last digits
        step = if x < -1.4 { 1e-5 } else { 3e-4 };
        let e = Double::exp(x);
        let logistic = e.over(e.plus(1.0));
        let silu = logistic.times(Double(x, 0.0));
        let doubled = f64s(ShiftedTanh, 0.5 * x) / 2.0;
        for (worst, (found, exact)) in worst.iter_mut().zip([
            (f64s(Logistic, x), logistic),
            (f64s(Silu, x), silu),
            (doubled, logistic),
        ]) {
            let unit = exact.0.abs().next_up() - exact.0.abs();
            *worst = worst.max((((found - exact.0) - exact.1) / unit).abs());
        }
    }
    println!("Logistic, SiLU, ShiftedTanh: {worst:?} ulp");
    assert!(worst.iter().all(|&worst| worst <= 4.0), "{worst:?}");
}

#[test]
fn nan_stays_nan() {
    macro_rules! check {
        ($activation:expr) => {
            assert!(f64s($activation, f64::NAN).is_nan(), "{:?}", $activation);
            assert!(f32s($activation, f32::NAN).is_nan(), "{:?}", $activation);
            assert!($activation.derivative(f64::NAN).is_nan(), "{:?}", $activation);
        };
    }
    for_each_activation!(check);
}

/// Far away F is constant on the left, and on the right a constant or, for `None`, x itself.
#[test]
fn limits() {
    fn check(activation: impl Differentiable, left: f64, right: Option<f64>) {
        for x in [f64::INFINITY, f64::MAX, 1e30] {
            assert_eq!(f64s(activation, -x), left);
            assert_eq!(f64s(activation, x), right.unwrap_or(x));
            let single = x as f32;
            assert_eq!(f32s(activation, -single), left as f32);
            assert_eq!(f32s(activation, single), right.map_or(single, |right| right as f32));
            assert_eq!(activation.derivative(-x), 0.0);
            assert_eq!(activation.derivative(x), if right.is_some() { 0.0 } else { 1.0 });
        }
    }
    check(Relu, 0.0, None);
    check(Tanh, -1.0, Some(1.0));
    check(ShiftedTanh, 0.0, Some(2.0));
    check(Logistic, 0.0, Some(1.0));
    check(Silu, 0.0, None);
    check(Erf, -1.0, Some(1.0));
    check(Gelu, 0.0, None);
    assert_eq!(f64s(LeakyRelu::default(), f64::NEG_INFINITY), f64::NEG_INFINITY);
    assert!(f64s(Sin, f64::INFINITY).is_nan() && Sin.derivative(f64::INFINITY).is_nan());
}

#[test]
fn kinks_have_the_left_slope() {
    assert_eq!([-1.0, 0.0, 1e-300].map(|x| Relu.derivative(x)), [0.0, 0.0, 1.0]);
    let leaky = LeakyRelu::new(0.25).unwrap();
    assert_eq!([-1.0, 0.0, 1e-300].map(|x| leaky.derivative(x)), [0.25, 0.25, 1.0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// The golden values hold the f64 functions; those hold the f32 ones.
    #[test]
    fn single_precision_agrees_with_double(
        x in prop_oneof![-1f32..1.0, -6f32..6.0, -20f32..20.0, -110f32..110.0, any::<f32>()]
            .prop_filter("finite", |x| x.is_finite()),
    ) {
        macro_rules! check {
            ($activation:expr) => {
                let exact = f64s($activation, f64::from(x));
                if exact.abs() <= f64::from(f32::MAX) {
                    let unit = f64::from(f32::EPSILON) * exact.abs().max(f64::from(f32::MIN_POSITIVE));
                    let error = (f64::from(f32s($activation, x)) - exact).abs();
                    prop_assert!(error <= 6.0 * unit, "{:?} {} {}", $activation, x, error / unit);
                }
            };
        }
        for_each_activation!(check);
    }

    #[test]
    fn derivatives_agree_with_central_differences(
        x in prop_oneof![-1.5f64..1.5, -6f64..6.0, -40f64..40.0],
    ) {
        // Third derivatives are at most 2 (tanh), so the difference errs by h²/3; roundings of
        // values of size |x| at most, by 10 ulp over 2 h.
        let h = 1e-5;
        let tolerance = h * h / 3.0 + 20.0 * f64::EPSILON * (x.abs() + x * x).max(1.0) / h;
        prop_assume!(x.abs() > h); // not across a kink
        macro_rules! check {
            ($activation:expr) => {
                let difference = (f64s($activation, x + h) - f64s($activation, x - h)) / (2.0 * h);
                let error = ($activation.derivative(x) - difference).abs();
                prop_assert!(error <= tolerance, "{:?} {}", $activation, error);
            };
        }
        for_each_activation!(check);
        let leaky = LeakyRelu::new(-0.5).unwrap();
        check!(leaky);
    }

    #[test]
    fn lanes_do_not_see_each_other_nor_the_level(
        x in prop_oneof![
            prop::array::uniform8(-3.0..3.0),
            prop::array::uniform8(any::<f64>()),
        ],
    ) {
        let single: [f32; 16] = core::array::from_fn(|i| x[i / 2] as f32);
        macro_rules! check {
            ($activation:expr) => {
                let alone = x.map(|x| canonical(f64s($activation, x)));
                let single_alone = single.map(|x| canonical(f32s($activation, x).into()));
                for level in fused_levels() {
                    prop_assert_eq!(f64_line(level, $activation, x).map(canonical), alone);
                    let line = f32_line(level, $activation, single);
                    prop_assert_eq!(line.map(|y| canonical(y.into())), single_alone);
                }
            };
        }
        for_each_activation!(check);
    }

    #[test]
    fn homogeneous_means_homogeneous(x in -10.0..10.0, slope in -3.0..3.0, power in -30i32..30) {
        fn check<A: Activation>(activation: A, x: f64, power: i32) {
            let scale = 2f64.powi(power);
            assert!(A::HOMOGENEOUS);
            assert_eq!(f64s(activation, scale * x), scale * f64s(activation, x));
        }
        check(Identity, x, power);
        check(Relu, x, power);
        check(LeakyRelu::new(slope).unwrap(), x, power);
    }

    #[test]
    fn closures_are_applied_lane_by_lane(x in any::<[f64; 8]>()) {
        let cube = |x: f64| x * x * x + 1.0;
        let y = f64_line(Level::new(), from_fn(cube), x);
        prop_assert_eq!(y.map(f64::to_bits), x.map(|x| cube(x).to_bits()));
        let single = f32s(from_fn(cube), x[0] as f32);
        prop_assert_eq!(single.to_bits(), (cube(f64::from(x[0] as f32)) as f32).to_bits());
    }
}
