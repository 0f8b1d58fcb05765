//! Sixteen numbers of `f64` or `f32` as two vectors of eight `f64`: how statistics of data are taken.

use crate::kernel::line::Lanes;
use fearless_simd::{f32x16, f64x8, prelude::*};

/// Numbers in a [`Wide`] and in the chunks that become one.
pub const WIDTH: usize = 16;

/// Sixteen numbers in memory.
pub type Wide = [[f64; 8]; 2];

/// Sixteen numbers in registers.
pub type Vectors<S> = [f64x8<S>; 2];

/// Scalars that widen to `f64`, sixteen at a time.
pub trait Widen: Lanes {
    /// Widens, exactly.
    fn widen<S: Simd>(simd: S, numbers: &[Self; WIDTH]) -> Vectors<S>;

    /// Rounds to the nearest, beyond the range to infinity.
    fn narrow<S: Simd>(simd: S, vectors: Vectors<S>, numbers: &mut [Self; WIDTH]);
}

impl Widen for f64 {
    #[inline(always)]
    fn widen<S: Simd>(simd: S, numbers: &[f64; WIDTH]) -> Vectors<S> {
        let (halves, _) = numbers.as_chunks::<8>();
        [f64x8::load_array_ref(simd, &halves[0]), f64x8::load_array_ref(simd, &halves[1])]
    }

    #[inline(always)]
    fn narrow<S: Simd>(_: S, vectors: Vectors<S>, numbers: &mut [f64; WIDTH]) {
        let (halves, _) = numbers.as_chunks_mut::<8>();
        vectors[0].store_array(&mut halves[0]);
        vectors[1].store_array(&mut halves[1]);
    }
}

impl Widen for f32 {
    #[inline(always)]
    fn widen<S: Simd>(simd: S, numbers: &[f32; WIDTH]) -> Vectors<S> {
        let (low, high) = f32x16::load_array_ref(simd, numbers).widen();
        [low, high]
    }

    #[inline(always)]
    fn narrow<S: Simd>(_: S, vectors: Vectors<S>, numbers: &mut [f32; WIDTH]) {
        vectors[0].narrow(vectors[1]).store_array(numbers);
    }
}

/// Loads sixteen numbers.
#[inline(always)]
pub fn load<S: Simd>(simd: S, wide: &Wide) -> Vectors<S> {
    [f64x8::load_array_ref(simd, &wide[0]), f64x8::load_array_ref(simd, &wide[1])]
}

/// Stores sixteen numbers.
#[inline(always)]
pub fn store<S: Simd>(vectors: Vectors<S>, wide: &mut Wide) {
    vectors[0].store_array(&mut wide[0]);
    vectors[1].store_array(&mut wide[1]);
}

/// Returns the same number sixteen times.
#[inline(always)]
pub fn splat<S: Simd>(simd: S, number: f64) -> Vectors<S> {
    [f64x8::splat(simd, number); 2]
}

/// Adds `by`, already reduced by what `high + low` misses, to a mean in two parts (Knuth's two-sum).
#[inline(always)]
pub fn shift<S: Simd>(high: f64x8<S>, low: f64x8<S>, by: f64x8<S>) -> (f64x8<S>, f64x8<S>) {
    let by = low + by;
    let sum = high + by;
    let added = sum - high;
    (sum, (high - (sum - added)) + (by - added))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::{Level, dispatch};

    fn round_trip<T: Widen>(numbers: [T; WIDTH]) -> ([T; WIDTH], Wide) {
        let (mut back, mut wide) = ([T::default(); WIDTH], Wide::default());
        dispatch!(Level::new(), simd => {
            let vectors = T::widen(simd, &numbers);
            T::narrow(simd, vectors, &mut back);
            store(vectors, &mut wide);
        });
        (back, wide)
    }

    #[test]
    fn numbers_are_widened_in_order_and_rounded_back() {
        let numbers: [f32; WIDTH] = core::array::from_fn(|i| 0.1 * i as f32 - 0.3);
        let (back, wide) = round_trip(numbers);
        assert_eq!((back, wide.as_flattened()), (numbers, &numbers.map(f64::from)[..]));
        let numbers: [f64; WIDTH] = core::array::from_fn(|i| 0.1 * i as f64 - 0.3);
        let (back, wide) = round_trip(numbers);
        assert_eq!((back, wide.as_flattened()), (numbers, &numbers[..]));
    }

    /// As `as` does, at ties and beyond the range.
    #[test]
    fn narrowing_rounds_like_a_cast() {
        let tie = 1.0 + f64::from(f32::EPSILON) / 2.0;
        let numbers = [tie, 3.0 * tie, -tie, 1e39, -1e39, 1e-46, f64::NAN, f64::INFINITY];
        let mut narrow = [0.0f32; WIDTH];
        dispatch!(Level::new(), simd => {
            f32::narrow(simd, [f64x8::load_array(simd, numbers); 2], &mut narrow);
        });
        for (found, expected) in narrow.iter().zip(numbers.iter().chain(&numbers)) {
            assert_eq!(found.to_bits() & 0x7fff_ffff, (*expected as f32).to_bits() & 0x7fff_ffff);
        }
    }
}
