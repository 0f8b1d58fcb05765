//! One cache line of numbers: the logical SIMD vector that every level of hardware agrees on.
//!
//! Eight `f64` or sixteen `f32` are processed as one vector on AVX-512, two on AVX2, four on NEON,
//! always with the same arithmetic in each lane, so results do not depend on the hardware.
//! Multiply-adds are fused on AVX-512, AVX2 and NEON. Levels without the instruction (SSE,
//! WebAssembly, scalar) round twice: emulation would be twenty times slower. They agree with one
//! another, and with the fused levels only up to rounding.
//!
//! Kernels loop over arrays of vectors with plain indices and mark every function
//! `#[inline(always)]`: an iterator adaptor left as a call leaves the SIMD context, ten times slower.

use fearless_simd::{f32x16, f64x8, prelude::*};

/// The scalar types of the engine, `f64` and `f32`.
pub trait Lanes: SimdFloatElement + Send + Sync + 'static {
    /// Numbers in a [`Line`].
    const LANES: usize;
    /// The smallest squared divisor of a row; only exactly collapsed rows are below it.
    const TINY: Self;
    /// The content of a [`Line`].
    type Array: AsRef<[Self]> + AsMut<[Self]> + Copy + Send + Sync + core::fmt::Debug + PartialEq;
    /// A whole [`Line`] as a vector.
    type Logical<S: Simd>: SimdFloat<S, Element = Self, Array = Self::Array>;

    /// The line whose every lane is zero.
    const ZERO: Line<Self>;
    /// Rounds to this type.
    fn of_f64(x: f64) -> Self;
    /// Widens, exactly.
    fn as_f64(self) -> f64;
    /// Adds the lanes of a line by halving, in `f64`.
    fn add_lanes(line: &Line<Self>) -> f64;
}

/// One cache line: the same entry of eight (`f64`) or sixteen (`f32`) consecutive rows.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Line<T: Lanes>(pub T::Array);

impl<T: Lanes> Line<T> {
    /// Returns the line as one logical vector.
    #[inline(always)]
    pub fn load<S: Simd>(&self, simd: S) -> T::Logical<S> {
        T::Logical::load_array_ref(simd, &self.0)
    }

    /// Overwrites the line.
    #[inline(always)]
    pub fn store<S: Simd>(&mut self, vector: T::Logical<S>) {
        vector.store_array(&mut self.0);
    }

    /// Returns the `part`-th native vector of the line; see [`parts`].
    #[inline(always)]
    pub fn load_part<S: Simd>(&self, simd: S, part: usize) -> T::Native<S> {
        let width = T::Native::<S>::LEN;
        T::Native::from_slice(simd, &self.0.as_ref()[part * width..][..width])
    }

    /// Overwrites the `part`-th native vector of the line.
    #[inline(always)]
    pub fn store_part<S: Simd>(&mut self, _: S, part: usize, vector: T::Native<S>) {
        let width = T::Native::<S>::LEN;
        vector.store_slice(&mut self.0.as_mut()[part * width..][..width]);
    }
}

/// Returns how many native vectors make a line: 1 on AVX-512, 2 on AVX2, 4 elsewhere.
#[inline(always)]
pub fn parts<S: Simd, T: Lanes>(_: S) -> usize {
    T::LANES / <T::Native<S> as SimdBase<S>>::LEN
}

/// Adds eight numbers by halving: lane i takes lane i + 4, then i + 2, then i + 1.
#[inline(always)]
fn sum8(x: [f64; 8]) -> f64 {
    let quarter = |i| x[i] + x[i + 4];
    let half = |i| quarter(i) + quarter(i + 2);
    half(0) + half(1)
}

impl Lanes for f64 {
    const LANES: usize = 8;
    const TINY: f64 = 1e-300;
    type Array = [f64; 8];
    type Logical<S: Simd> = f64x8<S>;
    const ZERO: Line<f64> = Line([0.0; 8]);

    #[inline(always)]
    fn of_f64(x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn as_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn add_lanes(line: &Line<f64>) -> f64 {
        sum8(line.0)
    }
}

impl Lanes for f32 {
    const LANES: usize = 16;
    const TINY: f32 = 1e-35;
    type Array = [f32; 16];
    type Logical<S: Simd> = f32x16<S>;
    const ZERO: Line<f32> = Line([0.0; 16]);

    #[inline(always)]
    fn of_f64(x: f64) -> f32 {
        x as f32
    }
    #[inline(always)]
    fn as_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn add_lanes(line: &Line<f32>) -> f64 {
        sum8(core::array::from_fn(|i| f64::from(line.0[i]) + f64::from(line.0[i + 8])))
    }
}

/// The levels of this machine that must agree to the last bit.
#[cfg(test)]
pub(crate) fn fused_levels() -> Vec<fearless_simd::Level> {
    use fearless_simd::Level;
    let best = Level::new();
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return [best.as_avx512().map(Level::Avx512), best.as_avx2().map(Level::Avx2)]
        .into_iter()
        .flatten()
        .collect();
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    vec![best]
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::{Level, dispatch};

    #[test]
    fn lanes_are_added_by_halving() {
        let big = 2f64.powi(60);
        // Only i with i + 4 first, then i + 2, gives 7 here.
        let line = Line([big, big, 1.0, 2.0, -big, -big, 0.0, 4.0]);
        assert_eq!(f64::add_lanes(&line), 7.0);
        assert_eq!(f32::add_lanes(&Line([1.0; 16])), 16.0);
    }

    #[test]
    fn parts_make_the_line() {
        let line: Line<f32> = Line(core::array::from_fn(|i| i as f32));
        let mut copy = f32::ZERO;
        dispatch!(Level::new(), simd => for part in 0..parts::<_, f32>(simd) {
            copy.store_part(simd, part, line.load_part(simd, part));
        });
        assert_eq!(copy, line);
    }
}
