//! Tests and sums of contiguous numbers.

use fearless_simd::{Level, Simd, dispatch, prelude::*};

use crate::kernel::line::Lanes;

/// The scalar types for which these are compiled.
pub trait Slices: Lanes {
    /// Whether all numbers are finite.
    fn all_finite(level: Level, numbers: &[Self]) -> bool;

    /// Adds terms to as many sums.
    fn add_terms(level: Level, terms: &[Self], sums: &mut [Self]);
}

macro_rules! slices {
    ($($scalar:ty)*) => {$(
        impl Slices for $scalar {
            fn all_finite(level: Level, numbers: &[Self]) -> bool {
                dispatch!(level, simd => all_finite(simd, numbers))
            }

            fn add_terms(level: Level, terms: &[Self], sums: &mut [Self]) {
                dispatch!(level, _simd => {
                    for i in 0..sums.len().min(terms.len()) {
                        sums[i] += terms[i];
                    }
                });
            }
        }
    )*};
}

slices!(f32 f64);

/// Adds up `0 x`, which is NaN where x is not finite.
#[inline(always)]
fn all_finite<S: Simd, T: Lanes>(simd: S, numbers: &[T]) -> bool {
    let zero = T::Logical::splat(simd, T::default());
    let mut sums = [zero; 4];
    let add = |sum: &mut T::Logical<S>, numbers: &[T]| {
        *sum = T::Logical::from_slice(simd, numbers).mul_add(zero, *sum);
    };
    let blocks = numbers.chunks_exact(4 * T::LANES);
    let rest = blocks.remainder().chunks_exact(T::LANES);
    let last = rest.remainder();
    for block in blocks {
        for k in 0..4 {
            add(&mut sums[k], &block[k * T::LANES..][..T::LANES]);
        }
    }
    for numbers in rest {
        add(&mut sums[0], numbers);
    }
    let mut line = T::ZERO;
    line.store((sums[0] + sums[1]) + (sums[2] + sums[3]));
    line.0.as_ref().iter().all(|x| x.as_f64() == 0.0) && last.iter().all(|x| x.as_f64().is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is not finite is found wherever it is, and nothing else is.
        #[test]
        fn what_is_not_finite_is_found(len in 1usize..300, place in 0usize..300, kind in 0usize..4) {
            let mut numbers = vec![f64::MAX; len];
            prop_assert!(f64::all_finite(Level::new(), &numbers));
            let value = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -f64::NAN][kind];
            numbers[place % len] = value;
            prop_assert!(!f64::all_finite(Level::new(), &numbers));
            let single: Vec<f32> = numbers.iter().map(|&x| (x as f32).min(f32::MAX)).collect();
            prop_assert_eq!(f32::all_finite(Level::new(), &single), single.iter().all(|x| x.is_finite()));
        }
    }
}
