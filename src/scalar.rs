//! The number types that rows of a representation can have: `f32` and `f64`.

use std::f64::consts::LN_2;

use nalgebra::RealField;
use num_traits::{FromPrimitive, ToPrimitive};

use crate::kernel::compiled::Kernels;

/// The arithmetic of everything that has `d` rows: representations, weights, normals.
///
/// Implemented for `f32` and `f64` only (sealed). Everything of size `n x n` and every metric is
/// `f64` for both scalars: there `f64` costs little, and `f32` would lose digits.
///
/// ```
/// use orthogap::{Network, Scalar};
///
/// fn paper_network<T: Scalar>() -> Network<T> {
///     Network::new(512)
/// }
/// assert_eq!(paper_network::<f32>().width(), paper_network::<f64>().width());
/// ```
pub trait Scalar: RealField + Copy + Into<f64> + FromPrimitive + ToPrimitive + Kernels {
    /// Distance from one to the next larger number.
    const EPSILON: f64;

    /// Rounds a number to this type.
    ///
    /// ```
    /// use orthogap::Scalar;
    ///
    /// assert_eq!(f32::of(0.1), 0.1f32);
    /// assert_eq!(f32::of(1e300), f32::INFINITY);
    /// ```
    fn of(x: f64) -> Self;

    /// Widens a number, exactly.
    fn to_f64(self) -> f64;

    /// The smallest pivot, relative to its diagonal entry, that a factorisation of sums of products
    /// of this type is trusted with.
    #[doc(hidden)]
    const TRUSTED_PIVOT: f64;
}

impl Scalar for f32 {
    const EPSILON: f64 = f32::EPSILON as f64;
    const TRUSTED_PIVOT: f64 = 1e-3;

    fn of(x: f64) -> Self {
        x as f32
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Scalar for f64 {
    const EPSILON: f64 = f64::EPSILON;
    const TRUSTED_PIVOT: f64 = 1e-9;

    fn of(x: f64) -> Self {
        x
    }

    fn to_f64(self) -> f64 {
        self
    }
}

/// The exponent of the power of two beneath a number; 0 for 0, never beyond the normal range.
pub(crate) fn exponent(value: f64) -> i32 {
    if value == 0.0 { 0 } else { value.abs().log2().floor().clamp(-1022.0, 1023.0) as i32 }
}

/// The largest absolute value of numbers, NaN if one of them is.
pub(crate) fn largest<T: Scalar>(numbers: &[T]) -> f64 {
    let sizes = numbers.iter().map(|&x| x.into().abs());
    sizes.fold(0.0, |largest, x| if x > largest || x.is_nan() { x } else { largest })
}

/// Replaces numbers in units of exp(`log_unit`) by `weight` times themselves plus others, in the
/// larger unit of both, whose logarithm it returns.
pub(crate) fn times_plus<T: Scalar>(
    (numbers, log_unit): (&mut [T], f64),
    weight: f64,
    (others, other_unit): (&[T], f64),
) -> f64 {
    // The unit of zeros says nothing of their size.
    let are_zero = |numbers: &[T]| numbers.iter().all(|x| x.is_zero());
    if weight == 0.0 || are_zero(numbers) {
        numbers.copy_from_slice(others);
        return other_unit;
    }
    let other_unit = if are_zero(others) { f64::NEG_INFINITY } else { other_unit };
    let unit = log_unit.max(other_unit);
    let [factor, share] = [weight * (log_unit - unit).exp(), (other_unit - unit).exp()].map(T::of);
    for (x, &other) in numbers.iter_mut().zip(others) {
        *x = factor * *x + share * other;
    }
    unit
}

/// The Euclidean norm of numbers of any size, in `f64`; not finite if one of them is not, or if it
/// exceeds the largest `f64` itself.
pub(crate) fn norm<T: Scalar>(numbers: &[T]) -> f64 {
    let squares = sum_of_squares(numbers, 1.0);
    if (1e-280..1e280).contains(&squares) {
        return squares.sqrt();
    }
    let largest = largest(numbers);
    if squares.is_nan() || largest == 0.0 || largest == f64::INFINITY {
        return squares.sqrt();
    }
    let power = exponent(largest);
    sum_of_squares(numbers, 2f64.powi(-power)).sqrt() * 2f64.powi(power)
}

/// The sum of the squares of `unit` times the numbers.
fn sum_of_squares<T: Scalar>(numbers: &[T], unit: f64) -> f64 {
    let square = |x: T| {
        let x: f64 = x.into();
        (unit * x) * (unit * x)
    };
    // Sums side by side: one would wait for itself.
    let mut sums = [0.0f64; 16];
    let chunks = numbers.chunks_exact(16);
    let rest: f64 = chunks.remainder().iter().map(|&x| square(x)).sum();
    for chunk in chunks {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            *sum += square(x);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// The exponential as factors which are all finite, of which all but the first are powers of two.
///
/// Logarithms of powers of two are rounded, and so are sums of them. A number within four roundings
/// of such a logarithm counts as it, so that a power of two is exact. Multiplied one by one, the
/// factors leave the range of `f64` only where the product does.
pub(crate) fn exp_factors(log: f64) -> [f64; 4] {
    // Beyond, all positive numbers are sent to zero or infinity.
    let log = log.clamp(-1600.0, 1600.0);
    let power = (log / LN_2).round();
    let mut rest = log - power * LN_2;
    if rest.abs() <= 4.0 * f64::EPSILON * log.abs() {
        rest = 0.0;
    }
    let two_to = |share: f64| 2f64.powi((share / 3.0).floor() as i32);
    [rest.exp(), two_to(power), two_to(power + 1.0), two_to(power + 2.0)]
}

/// Returns exp(`log`) if it is a positive number of the type.
pub(crate) fn exp_in_range<T: Scalar>(log: f64) -> Option<T> {
    Some(T::of(log.exp())).filter(|&factor| factor.is_finite() && factor > T::zero())
}

/// Multiplies numbers by exp(`log`), which need not be a float itself.
pub(crate) fn times_exp<T: Scalar>(numbers: &mut [T], log: f64) {
    if let Some(factor) = exp_in_range::<T>(log) {
        numbers.iter_mut().for_each(|x| *x *= factor);
    } else {
        let factors = exp_factors(log);
        numbers.iter_mut().for_each(|x| {
            *x = T::of(factors.iter().fold((*x).into(), |x, factor| x * factor));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Powers of two change no digit of a norm, in the middle of the range nor at its ends.
        #[test]
        fn norms_have_no_scale(
            numbers in proptest::collection::vec(-1.0..1.0f64, 1..40),
            power in -1000..1015i32,
        ) {
            let naive = numbers.iter().map(|x| x * x).sum::<f64>().sqrt();
            let scaled: Vec<f64> = numbers.iter().map(|x| x * 2f64.powi(power)).collect();
            let norm = norm(&scaled) / 2f64.powi(power);
            prop_assert!((norm - naive).abs() <= 1e-15 * naive.max(1e-5), "{norm} {naive}");
        }

        #[test]
        fn exponentials_of_powers_of_two_are_exact(powers in proptest::collection::vec(-60..60i32, 1..5)) {
            let log: f64 = powers.iter().map(|&power| f64::from(power) * LN_2).sum();
            let product: f64 = exp_factors(log).iter().product();
            // Sums that nearly cancel carry the roundings of their terms.
            prop_assume!(log.abs() > 60.0 || powers.len() == 1);
            prop_assert_eq!(product, 2f64.powi(powers.iter().sum()));
        }

        #[test]
        fn exponentials_agree_with_std(log in -700.0..700.0f64) {
            let product: f64 = exp_factors(log).iter().product();
            prop_assert!((product / log.exp() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn nan_is_the_largest() {
        for numbers in [[f64::NAN, 1.0, 2.0], [3.0, f64::NAN, 5.0], [f64::INFINITY, 1.0, f64::NAN]]
        {
            assert!(largest(&numbers).is_nan() && norm(&numbers).is_nan());
        }
        assert_eq!((largest(&[-3.0, 2.0]), largest::<f32>(&[])), (3.0, 0.0));
    }

    #[test]
    fn norms_at_the_ends_of_the_range() {
        assert!((norm(&[3e200, 4e200]) / 5e200 - 1.0).abs() < 1e-15);
        assert!((norm(&[1e308; 2]) / (2f64.sqrt() * 1e308) - 1.0).abs() < 1e-15);
        assert_eq!(norm(&[5e-324, 0.0]), 5e-324);
        assert_eq!((norm::<f64>(&[]), norm(&[0.0f32])), (0.0, 0.0));
        assert_eq!(norm(&[1.0, f64::NEG_INFINITY]), f64::INFINITY);
        assert!(norm(&[f64::NAN, 1e200]).is_nan());
    }

    #[test]
    fn numbers_times_exponentials_beyond_the_range() {
        let times = |mut numbers: [f64; 3], log| {
            times_exp(&mut numbers, log);
            numbers
        };
        let three = 3f64.ln().exp();
        assert_eq!(times([0.0, 1.0, -2.0], 3f64.ln()), [0.0, three, -2.0 * three]);
        let [zero, large, small] = times([0.0, 1.0, 1e-300], 720.0);
        assert_eq!((zero, large), (0.0, f64::INFINITY));
        assert!((small / (720.0 - 300.0 * 10f64.ln()).exp() - 1.0).abs() < 1e-12);
        let mut numbers = [0.0f32, 1.0, 1e-30];
        times_exp(&mut numbers, 100.0);
        assert!(numbers[0] == 0.0 && numbers[1] == f32::INFINITY);
        assert!((f64::from(numbers[2]) / (1e-30 * 100f64.exp()) - 1.0).abs() < 1e-6);
    }

    /// A product that is a number, though the exponential is none.
    #[test]
    fn exponentials_beyond_the_range() {
        let times = |x: f64, log: f64| exp_factors(log).iter().fold(x, |x, factor| x * factor);
        assert_eq!(times(2f64.powi(-1000), 1500.0 * LN_2), 2f64.powi(500));
        assert_eq!(times(2f64.powi(1000), -1500.0 * LN_2), 2f64.powi(-500));
        assert_eq!(times(f64::MAX, -5000.0), 0.0);
        assert_eq!(times(5e-324, f64::INFINITY), f64::INFINITY);
        assert_eq!(times(0.0, f64::INFINITY), 0.0);
        assert!(times(1.0, f64::NAN).is_nan());
    }
}
