//! What every activation owes: accuracy, limits, independent lanes, the same bits on every level.

use super::Activation::*;
use super::*;
use crate::kernel::line::{Line, fused_levels};
use fearless_simd::Level;
use proptest::prelude::*;

/// A line of values, on one level of the hardware.
fn f64_line(level: Level, activation: &Activation, x: [f64; 8]) -> [f64; 8] {
    let mut line = [Line::<f64>(x)];
    activation.apply_to_lines(level, &mut line, (1, 1));
    line[0].0
}

/// A line of values, on one level of the hardware.
fn f32_line(level: Level, activation: &Activation, x: [f32; 16]) -> [f32; 16] {
    let mut line = [Line::<f32>(x)];
    activation.apply_to_lines(level, &mut line, (1, 1));
    line[0].0
}

/// One value in double precision.
pub(super) fn f64s(activation: &Activation, x: f64) -> f64 {
    f64_line(Level::new(), activation, [x; 8])[0]
}

/// One value in single precision.
pub(super) fn f32s(activation: &Activation, x: f32) -> f32 {
    f32_line(Level::new(), activation, [x; 16])[0]
}

/// The derivative.
fn slope(activation: &Activation, x: f64) -> f64 {
    activation.derivative(x).unwrap()
}

/// Every function of this crate, and two others.
fn all() -> Vec<Activation> {
    use Activation::*;
    let square = Activation::custom("square", |x| x * x).with_derivative(|x| 2.0 * x);
    let leaky = [0.01, -0.5].map(|slope| LeakyRelu { slope });
    let [gentle, turned] = leaky;
    vec![
        Identity,
        Relu,
        gentle,
        turned,
        Tanh,
        ShiftedTanh,
        Logistic,
        Silu,
        Erf,
        Gelu,
        Elu,
        Sin,
        square,
    ]
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
    assert_eq!(csv.lines().count(), 1 + 82);
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
                let (x, value, derivative) = (row[0], row[$column], row[$column + 8]);
                // Derivatives of SiLU and GELU cross zero about -1, where their error is absolute.
                let least = if x.abs() < 2.0 { 0.125 } else { 0.0 };
                let found = [
                    ulps(f64s(&$activation, x), value, 0.0),
                    ulps(slope(&$activation, x), derivative, least),
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
    check!(Elu, 8, 4.0, 2.0);
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
    assert!(ulps(f64s(&Logistic, -1.9904090173564801), exact.0, 0.0) <= 2.0);
    let mut worst = [0f64; 3];
    let mut step = 1e-5;
    let mut x: f64 = -2.2;
    while x < 6.0 {
        x += step * (1.0 + 0.1 * (1e6 * x).sin()); // no two alike in their last digits
        step = if x < -1.4 { 1e-5 } else { 3e-4 };
        let e = Double::exp(x);
        let logistic = e.over(e.plus(1.0));
        let silu = logistic.times(Double(x, 0.0));
        let doubled = f64s(&ShiftedTanh, 0.5 * x) / 2.0;
        for (worst, (found, exact)) in worst.iter_mut().zip([
            (f64s(&Logistic, x), logistic),
            (f64s(&Silu, x), silu),
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
    for activation in all() {
        assert!(f64s(&activation, f64::NAN).is_nan(), "{activation}");
        assert!(f32s(&activation, f32::NAN).is_nan(), "{activation}");
        assert!(slope(&activation, f64::NAN).is_nan(), "{activation}");
    }
}

/// Far away F is constant on the left, and on the right a constant or, for `None`, x itself.
#[test]
fn limits() {
    fn check(activation: Activation, left: f64, right: Option<f64>) {
        let f = &activation;
        for x in [f64::INFINITY, f64::MAX, 1e30] {
            assert_eq!(f64s(f, -x), left);
            assert_eq!(f64s(f, x), right.unwrap_or(x));
            let single = x as f32;
            assert_eq!(f32s(f, -single), left as f32);
            assert_eq!(f32s(f, single), right.map_or(single, |right| right as f32));
            assert_eq!(slope(f, -x), 0.0);
            assert_eq!(slope(f, x), if right.is_some() { 0.0 } else { 1.0 });
        }
    }
    check(Relu, 0.0, None);
    check(Tanh, -1.0, Some(1.0));
    check(ShiftedTanh, 0.0, Some(2.0));
    check(Logistic, 0.0, Some(1.0));
    check(Silu, 0.0, None);
    check(Erf, -1.0, Some(1.0));
    check(Gelu, 0.0, None);
    check(Elu, -1.0, None);
    assert_eq!(f64s(&LeakyRelu { slope: 0.01 }, f64::NEG_INFINITY), f64::NEG_INFINITY);
    assert!(f64s(&Sin, f64::INFINITY).is_nan() && slope(&Sin, f64::INFINITY).is_nan());
}

#[test]
fn kinks_have_the_left_slope() {
    assert_eq!([-1.0, 0.0, 1e-300].map(|x| slope(&Relu, x)), [0.0, 0.0, 1.0]);
    let leaky = LeakyRelu { slope: 0.25 };
    assert_eq!([-1.0, 0.0, 1e-300].map(|x| slope(&leaky, x)), [0.25, 0.25, 1.0]);
}

#[test]
fn what_is_known_of_custom_functions() {
    let cube = Activation::custom("cube", |x| x * x * x);
    assert!(matches!(cube.derivative(1.0), Err(Error::MissingDerivative { .. })));
    assert!(!cube.is_homogeneous() && cube == cube.clone());
    assert_ne!(cube, Activation::custom("cube", |x| x * x * x));
    // A surrogate gradient.
    let surrogate = Relu.with_derivative(|x| f64::from(x > -1.0));
    assert_eq!((slope(&surrogate, -0.5), surrogate.value(-0.5)), (1.0, 0.0));
    assert!(surrogate.is_homogeneous() && surrogate.to_string() == "relu");
    assert_ne!(surrogate, Relu);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// The golden values hold the f64 functions; those hold the f32 ones.
    #[test]
    fn single_precision_agrees_with_double(
        x in prop_oneof![-1f32..1.0, -6f32..6.0, -20f32..20.0, -110f32..110.0, any::<f32>()]
            .prop_filter("finite", |x| x.is_finite()),
    ) {
        for f in all() {
            let exact = f64s(&f, f64::from(x));
            if exact.abs() <= f64::from(f32::MAX) {
                let unit = f64::from(f32::EPSILON) * exact.abs().max(f64::from(f32::MIN_POSITIVE));
                let error = (f64::from(f32s(&f, x)) - exact).abs();
                prop_assert!(error <= 6.0 * unit, "{} {} {}", f, x, error / unit);
            }
        }
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
        for f in all() {
            let difference = (f64s(&f, x + h) - f64s(&f, x - h)) / (2.0 * h);
            let error = (slope(&f, x) - difference).abs();
            prop_assert!(error <= tolerance, "{} {}", f, error);
        }
    }

    #[test]
    fn lanes_do_not_see_each_other_nor_the_level(
        x in prop_oneof![
            prop::array::uniform8(-3.0..3.0),
            prop::array::uniform8(any::<f64>()),
        ],
    ) {
        let single: [f32; 16] = core::array::from_fn(|i| x[i / 2] as f32);
        for f in all() {
            let alone = x.map(|x| canonical(f64s(&f, x)));
            let single_alone = single.map(|x| canonical(f32s(&f, x).into()));
            for level in fused_levels() {
                prop_assert_eq!(f64_line(level, &f, x).map(canonical), alone);
                let line = f32_line(level, &f, single);
                prop_assert_eq!(line.map(|y| canonical(y.into())), single_alone);
            }
        }
    }

    #[test]
    fn homogeneous_means_homogeneous(x in -10.0..10.0, slope in -3.0..3.0, power in -30i32..30) {
        let scale = 2f64.powi(power);
        for f in [Identity, Relu, LeakyRelu { slope }] {
            prop_assert!(f.is_homogeneous());
            prop_assert_eq!(f64s(&f, scale * x), scale * f64s(&f, x));
        }
    }

    /// Slices of any length, of which lines are made.
    #[test]
    fn slices_are_lines(x in prop::collection::vec(-3.0..3.0, 0..700)) {
        for f in all() {
            let mut values = x.clone();
            f.apply(&mut values);
            for (&x, &value) in x.iter().zip(&values) {
                prop_assert_eq!(value, f64s(&f, x));
            }
        }
    }

    #[test]
    fn closures_are_applied_lane_by_lane(x in any::<[f64; 8]>()) {
        let cube = |x: f64| x * x * x + 1.0;
        let activation = Activation::custom("cube", cube);
        let y = f64_line(Level::new(), &activation, x);
        prop_assert_eq!(y.map(f64::to_bits), x.map(|x| cube(x).to_bits()));
        let single = f32s(&activation, x[0] as f32);
        prop_assert_eq!(single.to_bits(), (cube(f64::from(x[0] as f32)) as f32).to_bits());
    }
}
