//! Passes over contiguous numbers, such as the features of a sample: their statistics, affine maps.
//!
//! Sums run side by side in sixteen times [`UNROLLED`] lanes in `f64`, so they depend on the numbers
//! and their order alone.

use crate::kernel::wide::{Vectors, WIDTH, Widen, splat};
use fearless_simd::{Level, Simd, dispatch, f64x8, prelude::*};

/// Chunks whose sums run side by side.
const UNROLLED: usize = 4;

/// A mean in two parts, and sums of deviations from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColumnSums {
    /// What is subtracted is `high + low`.
    pub high: f64,
    /// The lower part of it.
    pub low: f64,
    /// The sum of deviations.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
}

/// The map `(x - high - low) (scale + scale_low)`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColumnMap {
    /// What is subtracted is `high + low`.
    pub high: f64,
    /// The lower part of it.
    pub low: f64,
    /// The factor, rounded.
    pub scale: f64,
    /// The rest of the factor.
    pub scale_low: f64,
}

/// The scalar types for which passes over contiguous numbers are compiled.
pub trait ColumnPasses: Widen {
    /// Adds the differences of numbers to one of them.
    fn sum_differences(level: Level, numbers: &[Self], from: f64) -> f64;

    /// Adds deviations from `high + low`, and their squares.
    fn sum_deviations(level: Level, numbers: &[Self], high: f64, low: f64) -> ColumnSums;

    /// Adds the products of deviations of two columns from their means.
    fn sum_products(level: Level, columns: [&[Self]; 2], means: [[f64; 2]; 2]) -> f64;

    /// Maps numbers.
    fn map_column(level: Level, numbers: &mut [Self], map: ColumnMap);

    /// Replaces gradients g by (g - along * h) * scale, of deviations g and h.
    fn pull_back_column(
        level: Level,
        h: &[Self],
        gradient: &mut [Self],
        means: [[f64; 2]; 2],
        along: f64,
        scale: f64,
    );
}

/// Shows the vectors of numbers with the number of their sum; lanes beyond the last are `padding`.
#[inline(always)]
fn for_each<S: Simd, T: Widen>(
    simd: S,
    numbers: &[T],
    padding: T,
    mut visit: impl FnMut(usize, Vectors<S>),
) {
    let (chunks, rest) = numbers.as_chunks::<WIDTH>();
    let (blocks, last) = chunks.as_chunks::<UNROLLED>();
    for block in blocks {
        for (k, chunk) in block.iter().enumerate() {
            visit(k, T::widen(simd, chunk));
        }
    }
    for (k, chunk) in last.iter().enumerate() {
        visit(k, T::widen(simd, chunk));
    }
    if !rest.is_empty() {
        let mut chunk = [padding; WIDTH];
        chunk[..rest.len()].copy_from_slice(rest);
        visit(last.len(), T::widen(simd, &chunk));
    }
}

/// Adds all lanes.
#[inline(always)]
fn total<S: Simd>(sums: [Vectors<S>; UNROLLED]) -> f64 {
    let pair = |half: usize| (sums[0][half] + sums[1][half]) + (sums[2][half] + sums[3][half]);
    let mut lanes = [0.0; 8];
    (pair(0) + pair(1)).store_array(&mut lanes);
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

#[inline(always)]
fn sum_differences<S: Simd, T: Widen>(simd: S, numbers: &[T], from: f64) -> f64 {
    let mut sums = [splat(simd, 0.0); UNROLLED];
    for_each(
        simd,
        numbers,
        T::of_f64(from),
        #[inline(always)]
        |k, x| {
            for half in 0..2 {
                sums[k][half] += x[half] - from;
            }
        },
    );
    total(sums)
}

/// Ones for so many lanes, zeros for the others.
#[inline(always)]
fn filled<S: Simd>(simd: S, count: usize) -> Vectors<S> {
    let mask = |half: usize| core::array::from_fn(|i| f64::from(u8::from(8 * half + i < count)));
    [f64x8::load_array(simd, mask(0)), f64x8::load_array(simd, mask(1))]
}

/// Sums of deviations and of their squares, side by side.
struct Deviations<S: Simd> {
    mean: [f64; 2],
    sums: [Vectors<S>; UNROLLED],
    squares: [Vectors<S>; UNROLLED],
}

impl<S: Simd> Deviations<S> {
    #[inline(always)]
    fn add(&mut self, k: usize, x: Vectors<S>, filled: Vectors<S>) {
        let [high, low] = self.mean;
        for half in 0..2 {
            let deviation = ((x[half] - high) - low) * filled[half];
            self.sums[k][half] += deviation;
            self.squares[k][half] = deviation.mul_add(deviation, self.squares[k][half]);
        }
    }
}

#[inline(always)]
fn sum_deviations<S: Simd, T: Widen>(simd: S, numbers: &[T], high: f64, low: f64) -> ColumnSums {
    let zeros = [splat(simd, 0.0); UNROLLED];
    let mut deviations = Deviations { mean: [high, low], sums: zeros, squares: zeros };
    let (whole, rest) = numbers.split_at(numbers.len() / WIDTH * WIDTH);
    let all = splat(simd, 1.0);
    for_each(
        simd,
        whole,
        T::default(),
        #[inline(always)]
        |k, x| deviations.add(k, x, all),
    );
    if !rest.is_empty() {
        let filled = filled(simd, rest.len());
        for_each(
            simd,
            rest,
            rest[0],
            #[inline(always)]
            |k, x| deviations.add(k, x, filled),
        );
    }
    let Deviations { sums, squares, .. } = deviations;
    ColumnSums { high, low, sum: total(sums), squares: total(squares) }
}

#[inline(always)]
fn sum_products<S: Simd, T: Widen>(
    simd: S,
    columns: [&[T]; 2],
    [[high, low], [other, other_low]]: [[f64; 2]; 2],
) -> f64 {
    let mut sums = [splat(simd, 0.0); UNROLLED];
    let [numbers, others] = columns;
    let (numbers, rest) = numbers.as_chunks::<WIDTH>();
    let (others, other_rest) = others.as_chunks::<WIDTH>();
    for (i, (x, y)) in numbers.iter().zip(others).enumerate() {
        let (x, y) = (T::widen(simd, x), T::widen(simd, y));
        let sum = &mut sums[i % UNROLLED];
        for half in 0..2 {
            let x = (x[half] - high) - low;
            sum[half] = x.mul_add((y[half] - other) - other_low, sum[half]);
        }
    }
    let mut sum = total(sums);
    for (x, y) in rest.iter().zip(other_rest) {
        sum += ((x.as_f64() - high) - low) * ((y.as_f64() - other) - other_low);
    }
    sum
}

/// Shows the chunks of numbers, the last of them filled up.
#[inline(always)]
fn for_each_mut<T: Widen>(numbers: &mut [T], mut visit: impl FnMut(usize, &mut [T; WIDTH])) {
    let (chunks, rest) = numbers.as_chunks_mut::<WIDTH>();
    let count = chunks.len();
    for (i, chunk) in chunks.iter_mut().enumerate() {
        visit(i, chunk);
    }
    if !rest.is_empty() {
        let mut chunk = [T::default(); WIDTH];
        chunk[..rest.len()].copy_from_slice(rest);
        visit(count, &mut chunk);
        rest.copy_from_slice(&chunk[..rest.len()]);
    }
}

#[inline(always)]
fn map_column<S: Simd, T: Widen>(simd: S, numbers: &mut [T], map: ColumnMap) {
    let ColumnMap { high, low, scale, scale_low } = map;
    for_each_mut(
        numbers,
        #[inline(always)]
        |_, chunk| {
            let mut x = T::widen(simd, chunk);
            for x in &mut x {
                let deviation = (*x - high) - low;
                *x = deviation.mul_add(scale, deviation * scale_low);
            }
            T::narrow(simd, x, chunk);
        },
    );
}

#[inline(always)]
fn pull_back_column<S: Simd, T: Widen>(
    simd: S,
    h: &[T],
    gradient: &mut [T],
    [[high, low], [mean, mean_low]]: [[f64; 2]; 2],
    along: f64,
    scale: f64,
) {
    let (chunks, rest) = h.as_chunks::<WIDTH>();
    let mut last = [T::default(); WIDTH];
    last[..rest.len()].copy_from_slice(rest);
    for_each_mut(
        gradient,
        #[inline(always)]
        |i, chunk| {
            let x = T::widen(simd, chunks.get(i).unwrap_or(&last));
            let mut y = T::widen(simd, chunk);
            for half in 0..2 {
                let deviation = (y[half] - mean) - mean_low;
                y[half] = (deviation - ((x[half] - high) - low) * along) * scale;
            }
            T::narrow(simd, y, chunk);
        },
    );
}

macro_rules! column_passes {
    ($($scalar:ty)*) => {$(
        impl ColumnPasses for $scalar {
            fn sum_differences(level: Level, numbers: &[Self], from: f64) -> f64 {
                dispatch!(level, simd => sum_differences(simd, numbers, from))
            }

            fn sum_deviations(level: Level, numbers: &[Self], high: f64, low: f64) -> ColumnSums {
                dispatch!(level, simd => sum_deviations(simd, numbers, high, low))
            }

            fn sum_products(level: Level, columns: [&[Self]; 2], means: [[f64; 2]; 2]) -> f64 {
                dispatch!(level, simd => sum_products(simd, columns, means))
            }

            fn map_column(level: Level, numbers: &mut [Self], map: ColumnMap) {
                dispatch!(level, simd => map_column(simd, numbers, map));
            }

            fn pull_back_column(
                level: Level,
                h: &[Self],
                gradient: &mut [Self],
                means: [[f64; 2]; 2],
                along: f64,
                scale: f64,
            ) {
                dispatch!(level, simd => {
                    pull_back_column(simd, h, gradient, means, along, scale);
                });
            }
        }
    )*};
}

column_passes!(f32 f64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::line::fused_levels;

    fn numbers<T: ColumnPasses>(len: usize, salt: usize) -> Vec<T> {
        (0..len).map(|k| T::of_f64(((k * 7919 + salt) % 1009) as f64 / 1009.0 - 0.45)).collect()
    }

    fn check<T: ColumnPasses>(len: usize, tolerance: f64) {
        let (h, g) = (numbers::<T>(len, 1), numbers::<T>(len, 5));
        let means = [[0.1, 1e-9], [-0.2, 1e-8]];
        let map = ColumnMap { high: 0.1, low: 1e-9, scale: 1.7, scale_low: 1e-17 };
        let run = |level| {
            let (mut mapped, mut pulled) = (h.clone(), g.clone());
            T::map_column(level, &mut mapped, map);
            T::pull_back_column(level, &h, &mut pulled, means, 0.3, 1.1);
            let sums = T::sum_deviations(level, &h, 0.1, 1e-9);
            let difference = T::sum_differences(level, &h, 0.25);
            let product = T::sum_products(level, [&h, &g], means);
            (mapped, pulled, sums, difference, product)
        };
        let runs: Vec<_> = fused_levels().into_iter().map(run).collect();
        assert!(runs.windows(2).all(|pair| pair[0] == pair[1]), "{len}");
        let (mapped, pulled, sums, difference, product) = &runs[0];
        let x = |k: usize| h[k].as_f64() - 0.1 - 1e-9;
        let y = |k: usize| g[k].as_f64() + 0.2 - 1e-8;
        let total = |term: &dyn Fn(usize) -> f64| (0..len).map(term).sum::<f64>();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-13 * (1.0 + len as f64);
        assert!(close(sums.sum, total(&x)) && close(sums.squares, total(&|k| x(k) * x(k))));
        assert!(close(*difference, total(&|k| h[k].as_f64() - 0.25)));
        assert!(close(*product, total(&|k| x(k) * y(k))));
        for k in 0..len {
            assert!((mapped[k].as_f64() - 1.7 * x(k)).abs() < tolerance);
            assert!((pulled[k].as_f64() - 1.1 * (y(k) - 0.3 * x(k))).abs() < tolerance);
        }
    }

    #[test]
    fn agree_with_plain_sums() {
        for len in [1, 2, 15, 16, 17, 63, 64, 65, 80, 127, 129, 1000] {
            check::<f64>(len, 1e-15);
            check::<f32>(len, 2e-7);
        }
    }
}
