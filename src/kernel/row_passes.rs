//! Passes over a packed block of rows: statistics of every row, and affine maps of its entries.
//!
//! A block holds its columns one after the other, each as chunks of sixteen rows. Every row is one
//! lane: its sums run over its entries in order and in `f64`, so they depend on nothing else.

use crate::kernel::row_maps::{Map, Moments};
use crate::kernel::wide::{Vectors, WIDTH, Widen, load, splat, store};
use fearless_simd::{Level, Simd, dispatch, prelude::*};

/// A chunk of sixteen rows of a column.
pub type Chunk<T> = [T; WIDTH];

/// How a block is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Chunks of a column in use.
    pub groups: usize,
    /// Chunks from one column to the next.
    pub stride: usize,
}

/// The scalar types for which passes over rows are compiled.
pub trait RowPasses: Widen {
    /// The largest number.
    const LARGEST: f64;
    /// A power of two that takes everything from half the largest number on beyond the range of `f64`.
    const OVERFLOW: f64;

    /// Adds the squares of entries.
    fn add_squares(level: Level, packing: Packing, block: &[Chunk<Self>], rows: &mut [Moments]);

    /// Adds the differences of entries to `high`, which is the first entry if `is_first`.
    fn add_differences(
        level: Level,
        packing: Packing,
        is_first: bool,
        block: &[Chunk<Self>],
        rows: &mut [Moments],
    );

    /// Adds the deviations of entries from the mean, and their squares.
    fn add_deviations(level: Level, packing: Packing, block: &[Chunk<Self>], rows: &mut [Moments]);

    /// Adds deviations of two blocks, their squares, and their products (to `products` of `other`).
    fn add_joint(
        level: Level,
        packing: Packing,
        blocks: [&[Chunk<Self>]; 2],
        rows: &mut [Moments],
        other: &mut [Moments],
    );

    /// Maps entries; `is_centered` says whether means are subtracted and offsets added.
    fn map(
        level: Level,
        packing: Packing,
        is_centered: bool,
        block: &mut [Chunk<Self>],
        maps: &mut [Map],
    );

    /// [`map`](Self::map) of centred rows; the checks of rows with a result near the end of the range
    /// of the type or beyond become NaN.
    fn map_checked(level: Level, packing: Packing, block: &mut [Chunk<Self>], maps: &mut [Map]);

    /// Replaces gradients g by (g - offset * h) * scale, of deviations g and h.
    fn pull_back(
        level: Level,
        packing: Packing,
        h: &[Chunk<Self>],
        gradient: &mut [Chunk<Self>],
        rows: &[Moments],
        gradients: &[Moments],
        maps: &[Map],
    );
}

/// Calls a function for pairs of groups, and for a last single one.
macro_rules! tiles {
    ($groups:expr, $first:ident, $pair:expr, $single:expr) => {
        let mut $first = 0;
        while $first + 2 <= $groups {
            $pair;
            $first += 2;
        }
        if $first < $groups {
            $single;
        }
    };
}

/// Some statistic of `G` groups.
#[inline(always)]
fn gather<S: Simd, M, const G: usize>(
    simd: S,
    of: &[M],
    get: impl Fn(&M) -> &crate::kernel::wide::Wide,
) -> [Vectors<S>; G] {
    let mut vectors = [splat(simd, 0.0); G];
    for g in 0..G {
        vectors[g] = load(simd, get(&of[g]));
    }
    vectors
}

#[inline(always)]
fn add_squares<S: Simd, T: Widen, const G: usize>(
    simd: S,
    packing: Packing,
    first: usize,
    block: &[Chunk<T>],
    rows: &mut [Moments],
) {
    let rows = &mut rows[first..][..G];
    let mut squares: [Vectors<S>; G] = gather(simd, rows, |row| &row.squares);
    for column in block.chunks_exact(packing.stride) {
        let chunks = &column[first..][..G];
        for g in 0..G {
            let x = T::widen(simd, &chunks[g]);
            for half in 0..2 {
                squares[g][half] = x[half].mul_add(x[half], squares[g][half]);
            }
        }
    }
    for g in 0..G {
        store(squares[g], &mut rows[g].squares);
    }
}

#[inline(always)]
fn add_differences<S: Simd, T: Widen, const G: usize>(
    simd: S,
    packing: Packing,
    first: usize,
    block: &[Chunk<T>],
    rows: &mut [Moments],
) {
    let rows = &mut rows[first..][..G];
    let high: [Vectors<S>; G] = gather(simd, rows, |row| &row.high);
    let mut sum: [Vectors<S>; G] = gather(simd, rows, |row| &row.sum);
    for column in block.chunks_exact(packing.stride) {
        let chunks = &column[first..][..G];
        for g in 0..G {
            let x = T::widen(simd, &chunks[g]);
            for half in 0..2 {
                sum[g][half] += x[half] - high[g][half];
            }
        }
    }
    for g in 0..G {
        store(sum[g], &mut rows[g].sum);
    }
}

/// Starts the sums of differences to the first entry.
#[inline(always)]
fn begin<S: Simd, T: Widen>(simd: S, column: &[Chunk<T>], rows: &mut [Moments]) {
    for (chunk, row) in column.iter().zip(rows) {
        let mut begun = Moments::default();
        store(T::widen(simd, chunk), &mut begun.high);
        *row = begun;
    }
}

#[inline(always)]
fn add_deviations<S: Simd, T: Widen, const G: usize>(
    simd: S,
    packing: Packing,
    first: usize,
    block: &[Chunk<T>],
    rows: &mut [Moments],
) {
    let rows = &mut rows[first..][..G];
    let high: [Vectors<S>; G] = gather(simd, rows, |row| &row.high);
    let low: [Vectors<S>; G] = gather(simd, rows, |row| &row.low);
    let mut sum: [Vectors<S>; G] = gather(simd, rows, |row| &row.sum);
    let mut squares: [Vectors<S>; G] = gather(simd, rows, |row| &row.squares);
    for column in block.chunks_exact(packing.stride) {
        let chunks = &column[first..][..G];
        for g in 0..G {
            let x = T::widen(simd, &chunks[g]);
            for half in 0..2 {
                let deviation = (x[half] - high[g][half]) - low[g][half];
                sum[g][half] += deviation;
                squares[g][half] = deviation.mul_add(deviation, squares[g][half]);
            }
        }
    }
    for g in 0..G {
        store(sum[g], &mut rows[g].sum);
        store(squares[g], &mut rows[g].squares);
    }
}

/// One group: two blocks at once are enough to do.
#[inline(always)]
fn add_joint<S: Simd, T: Widen>(
    simd: S,
    packing: Packing,
    group: usize,
    blocks: [&[Chunk<T>]; 2],
    row: &mut Moments,
    other: &mut Moments,
) {
    let mean = [load(simd, &row.high), load(simd, &row.low)];
    let other_mean = [load(simd, &other.high), load(simd, &other.low)];
    let (mut sum, mut squares) = (load(simd, &row.sum), load(simd, &row.squares));
    let (mut other_sum, mut other_squares) = (load(simd, &other.sum), load(simd, &other.squares));
    let mut products = load(simd, &other.products);
    let columns = blocks.map(|block| block.chunks_exact(packing.stride));
    let [columns, others] = columns;
    for (column, other) in columns.zip(others) {
        let (x, y) = (T::widen(simd, &column[group]), T::widen(simd, &other[group]));
        for half in 0..2 {
            let x = (x[half] - mean[0][half]) - mean[1][half];
            let y = (y[half] - other_mean[0][half]) - other_mean[1][half];
            sum[half] += x;
            other_sum[half] += y;
            squares[half] = x.mul_add(x, squares[half]);
            other_squares[half] = y.mul_add(y, other_squares[half]);
            products[half] = x.mul_add(y, products[half]);
        }
    }
    store(sum, &mut row.sum);
    store(squares, &mut row.squares);
    store(other_sum, &mut other.sum);
    store(other_squares, &mut other.squares);
    store(products, &mut other.products);
}

#[inline(always)]
fn map<S: Simd, T: RowPasses, const CENTERED: bool, const CHECKED: bool>(
    simd: S,
    packing: Packing,
    block: &mut [Chunk<T>],
    maps: &mut [Map],
) {
    // Group by group, so that maps stay in registers.
    for (group, map) in maps[..packing.groups].iter_mut().enumerate() {
        let (scale, scale_low) = (load(simd, &map.scale), load(simd, &map.scale_low));
        let (high, low) = (load(simd, &map.high), load(simd, &map.low));
        let (offset, mut check) = (load(simd, &map.offset), load(simd, &map.check));
        for column in block.chunks_exact_mut(packing.stride) {
            let chunk = &mut column[group];
            let mut x = T::widen(simd, chunk);
            for half in 0..2 {
                if CENTERED {
                    let deviation = (x[half] - high[half]) - low[half];
                    let rest = deviation.mul_add(scale_low[half], offset[half]);
                    x[half] = deviation.mul_add(scale[half], rest);
                } else {
                    x[half] = x[half].mul_add(scale[half], x[half] * scale_low[half]);
                }
                if CHECKED {
                    check[half] = (x[half] * T::OVERFLOW).mul_add(0.0, check[half]);
                }
            }
            T::narrow(simd, x, chunk);
        }
        if CHECKED {
            store(check, &mut map.check);
        }
    }
}

#[inline(always)]
fn pull_back<S: Simd, T: Widen>(
    simd: S,
    packing: Packing,
    h: &[Chunk<T>],
    gradient: &mut [Chunk<T>],
    rows: &[Moments],
    gradients: &[Moments],
    maps: &[Map],
) {
    let each = rows.iter().zip(gradients).zip(maps).take(packing.groups).enumerate();
    for (group, ((row, of_gradient), map)) in each {
        let (high, low) = (load(simd, &row.high), load(simd, &row.low));
        let (mean, mean_low) = (load(simd, &of_gradient.high), load(simd, &of_gradient.low));
        let (scale, along) = (load(simd, &map.scale), load(simd, &map.offset));
        let columns = h.chunks_exact(packing.stride);
        for (h, gradient) in columns.zip(gradient.chunks_exact_mut(packing.stride)) {
            let chunk = &mut gradient[group];
            let (x, mut y) = (T::widen(simd, &h[group]), T::widen(simd, chunk));
            for half in 0..2 {
                let x = (x[half] - high[half]) - low[half];
                let deviation = (y[half] - mean[half]) - mean_low[half];
                y[half] = (deviation - along[half] * x) * scale[half];
            }
            T::narrow(simd, y, chunk);
        }
    }
}

macro_rules! row_passes {
    ($($scalar:ty: $overflow:expr;)*) => {$(
        impl RowPasses for $scalar {
            const LARGEST: f64 = <$scalar>::MAX as f64;
            const OVERFLOW: f64 = $overflow;

            fn add_squares(
                level: Level,
                packing: Packing,
                block: &[Chunk<Self>],
                rows: &mut [Moments],
            ) {
                dispatch!(level, simd => {
                    tiles!(
                        packing.groups,
                        first,
                        add_squares::<_, Self, 2>(simd, packing, first, block, rows),
                        add_squares::<_, Self, 1>(simd, packing, first, block, rows)
                    );
                });
            }

            fn add_differences(
                level: Level,
                packing: Packing,
                is_first: bool,
                block: &[Chunk<Self>],
                rows: &mut [Moments],
            ) {
                dispatch!(level, simd => {
                    if is_first {
                        begin::<_, Self>(simd, &block[..packing.groups], rows);
                    }
                    tiles!(
                        packing.groups,
                        first,
                        add_differences::<_, Self, 2>(simd, packing, first, block, rows),
                        add_differences::<_, Self, 1>(simd, packing, first, block, rows)
                    );
                });
            }

            fn add_deviations(
                level: Level,
                packing: Packing,
                block: &[Chunk<Self>],
                rows: &mut [Moments],
            ) {
                dispatch!(level, simd => {
                    tiles!(
                        packing.groups,
                        first,
                        add_deviations::<_, Self, 2>(simd, packing, first, block, rows),
                        add_deviations::<_, Self, 1>(simd, packing, first, block, rows)
                    );
                });
            }

            fn add_joint(
                level: Level,
                packing: Packing,
                blocks: [&[Chunk<Self>]; 2],
                rows: &mut [Moments],
                other: &mut [Moments],
            ) {
                dispatch!(level, simd => {
                    let each = rows.iter_mut().zip(other).take(packing.groups).enumerate();
                    for (group, (row, other)) in each {
                        add_joint::<_, Self>(simd, packing, group, blocks, row, other);
                    }
                });
            }

            fn map(
                level: Level,
                packing: Packing,
                is_centered: bool,
                block: &mut [Chunk<Self>],
                maps: &mut [Map],
            ) {
                dispatch!(level, simd => if is_centered {
                    map::<_, Self, true, false>(simd, packing, block, maps);
                } else {
                    map::<_, Self, false, false>(simd, packing, block, maps);
                });
            }

            fn map_checked(
                level: Level,
                packing: Packing,
                block: &mut [Chunk<Self>],
                maps: &mut [Map],
            ) {
                dispatch!(level, simd => map::<_, Self, true, true>(simd, packing, block, maps));
            }

            fn pull_back(
                level: Level,
                packing: Packing,
                h: &[Chunk<Self>],
                gradient: &mut [Chunk<Self>],
                rows: &[Moments],
                gradients: &[Moments],
                maps: &[Map],
            ) {
                dispatch!(level, simd => {
                    pull_back::<_, Self>(simd, packing, h, gradient, rows, gradients, maps);
                });
            }
        }
    )*};
}

// 2 to the 897 takes 2^127 to 2^1024.
row_passes! {
    f32: f64::from_bits((1023 + 897) << 52);
    f64: 2.0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::line::fused_levels;
    use crate::kernel::row_maps::{Affine, Rule, finish_maps, finish_means, finish_pullback};

    const PACKING: Packing = Packing { groups: 3, stride: 5 };
    const COLUMNS: usize = 7;

    /// Numbers with many bits.
    fn block<T: RowPasses>(salt: usize) -> Vec<Chunk<T>> {
        let number = |k: usize| T::of_f64(((k * 7919 + salt) % 1009) as f64 / 1009.0 - 0.45);
        let chunks = PACKING.stride * COLUMNS;
        (0..chunks).map(|chunk| core::array::from_fn(|lane| number(chunk * WIDTH + lane))).collect()
    }

    /// Everything there is, one after the other.
    fn run<T: RowPasses>(
        level: Level,
        is_centered: bool,
    ) -> (Vec<Chunk<T>>, Vec<Chunk<T>>, Vec<Map>) {
        let (mut h, mut gradient) = (block::<T>(1), block::<T>(5));
        let len = COLUMNS as f64;
        let largest = f64::MAX;
        let rule = Rule {
            is_centered,
            len,
            share: len,
            epsilon: 1e-5,
            largest,
            largest_variance: largest,
        };
        let mut rows = [[Moments::default(); 3]; 3];
        let mut maps = [[Map::default(); 3]; 2];
        if is_centered {
            for (block, rows) in [&h, &h, &gradient].into_iter().zip(&mut rows) {
                T::add_differences(level, PACKING, true, block, rows);
                finish_means(level, len, rows);
            }
            T::add_deviations(level, PACKING, &h, &mut rows[0]);
        } else {
            T::add_squares(level, PACKING, &h, &mut rows[0]);
        }
        let [first, second, third] = &mut rows;
        finish_maps(level, rule, |_| Affine::IDENTITY, first, &mut maps[0]);
        T::add_joint(level, PACKING, [&h, &gradient], second, third);
        finish_pullback(level, rule, false, second, third, &mut maps[1]);
        T::pull_back(level, PACKING, &h, &mut gradient, second, third, &maps[1]);
        if is_centered {
            T::map_checked(level, PACKING, &mut h, &mut maps[0]);
        } else {
            T::map(level, PACKING, false, &mut h, &mut maps[0]);
        }
        (h, gradient, maps.as_flattened().to_vec())
    }

    fn check<T: RowPasses>() {
        for is_centered in [false, true] {
            let runs: Vec<_> =
                fused_levels().into_iter().map(|level| run::<T>(level, is_centered)).collect();
            assert!(runs.windows(2).all(|pair| pair[0] == pair[1]));
            let (h, _, maps) = &runs[0];
            assert!(maps.iter().all(Map::are_trusted));
            // Only the chunks in use have changed.
            let before = block::<T>(1);
            for (k, (chunk, before)) in h.iter().zip(&before).enumerate() {
                assert_eq!(chunk != before, k % PACKING.stride < PACKING.groups);
            }
        }
    }

    #[test]
    fn levels_agree_to_the_bit() {
        check::<f64>();
        check::<f32>();
    }

    /// What comes near the end of the range is reported, and nothing before.
    #[test]
    fn large_results_are_told() {
        fn is_trusted<T: RowPasses>(x: f64) -> bool {
            let mut block = [[T::of_f64(x); WIDTH]];
            let scale = [[1.0; 8]; 2];
            let mut maps = [Map { scale, ..Map::default() }];
            let packing = Packing { groups: 1, stride: 1 };
            T::map_checked(Level::new(), packing, &mut block, &mut maps);
            maps[0].are_trusted()
        }
        for x in [0.0, -1e30, 0.49 * f64::from(f32::MAX)] {
            assert!(is_trusted::<f32>(x) && is_trusted::<f64>(x));
        }
        for x in [f64::from(f32::MAX), f64::NAN, f64::NEG_INFINITY] {
            assert!(!is_trusted::<f32>(x), "{x}");
            assert_eq!(is_trusted::<f64>(x), x.is_finite());
        }
        assert!(!is_trusted::<f64>(f64::MAX) && is_trusted::<f64>(0.49 * f64::MAX));
    }
}
