//! Products of the columns of tall matrices, and triangular factors by products alone.
//!
//! Rows are packed eight to a line, widened to `f64`, in blocks that stay in the second-level cache.

use std::ops::Range;

use fearless_simd::{Level, Simd, dispatch, f64x8, prelude::*};
use nalgebra::DMatrix;

use crate::kernel::line::{Lanes, Line, parts};
use crate::kernel::rank_update::rank_update;
use crate::kernel::tiles::NARROW;
use crate::kernel::triangular::{cholesky, transposed_times_upper};
use crate::parallel;

/// Rows of a line.
const LANES: usize = <f64 as Lanes>::LANES;
/// Bytes of a block.
const BLOCK_BYTES: usize = 1 << 19;
/// Lines of a column of a block.
const GROUPS: core::ops::RangeInclusive<usize> = 8..=64;
/// Columns, and groups of rows, of a tile of a triangular solution.
const TILE: usize = 4;

/// The smallest squared share of a column that is independent of those before it, for two steps of
/// [`triangle`] to be as accurate as reflections: condition numbers up to about 1e7.
const WELL_CONDITIONED: f64 = 1e-13;
/// How far, in the Frobenius norm, the products of nearly orthonormal columns may be from the
/// identity: the second step then loses no digits.
const NEARLY_ORTHONORMAL: f64 = 0.1;

/// A block of rows of a matrix of `n` columns.
#[derive(Clone, Debug)]
pub struct RowLines {
    n: usize,
    stride: usize,
    groups: usize,
    lines: Vec<Line<f64>>,
}

impl RowLines {
    /// Memory for blocks of up to so many rows, as many as fit the cache.
    pub fn new(rows: usize, n: usize) -> Self {
        // An odd stride visits all sets of a cache.
        let stride = n | 1;
        let fitting = BLOCK_BYTES / (size_of::<Line<f64>>() * stride);
        let groups = fitting.clamp(*GROUPS.start(), *GROUPS.end()).min(rows.div_ceil(LANES));
        Self { n, stride, groups, lines: vec![f64::ZERO; groups * stride] }
    }

    /// Rows of a full block.
    pub fn rows(&self) -> usize {
        self.groups * LANES
    }

    /// Packs the entries of a column, of as many rows as a block has or fewer.
    pub fn pack<T: Lanes>(&mut self, level: Level, column: usize, entries: &[T]) {
        let Self { stride, lines, .. } = self;
        dispatch!(level, _simd => pack(column, entries, lines, *stride));
    }

    /// The way back from [`pack`](Self::pack).
    fn unpack<T: Lanes>(&self, column: usize, entries: &mut [T]) {
        for (entries, lines) in entries.chunks_mut(LANES).zip(self.lines.chunks_exact(self.stride))
        {
            for (to, &from) in entries.iter_mut().zip(&lines[column].0) {
                *to = T::of_f64(from);
            }
        }
    }

    /// Adds the products of columns i <= j over the rows of the block to `products[i n + j]`.
    pub fn add_products(&self, level: Level, products: &mut [f64]) {
        let Self { n, stride, lines, .. } = self;
        dispatch!(level, simd => add_products(simd, *n, lines, *stride, products));
    }

    /// Replaces every row `h` by $`h R^{-1}`$, where column j of the upper triangular `R` begins at
    /// `triangle[j n]`.
    fn solve(&mut self, level: Level, triangle: &[f64]) {
        let Self { n, stride, lines, .. } = self;
        dispatch!(level, simd => for tile in lines.chunks_mut(TILE * *stride) {
            if tile.len() == TILE * *stride {
                solve::<_, TILE>(simd, *n, triangle, tile, *stride);
            } else {
                for group in tile.chunks_exact_mut(*stride) {
                    solve::<_, 1>(simd, *n, triangle, group, *stride);
                }
            }
        });
    }
}

#[inline(always)]
fn pack<T: Lanes>(column: usize, entries: &[T], lines: &mut [Line<f64>], stride: usize) {
    let mut lines = lines[column..].chunks_mut(stride);
    let (whole, rest) = entries.as_chunks::<LANES>();
    for (entries, lines) in whole.iter().zip(&mut lines) {
        lines[0] = Line(entries.map(T::as_f64));
    }
    if let Some(lines) = lines.next() {
        let line = &mut lines[0];
        *line = f64::ZERO;
        for (to, from) in line.0.iter_mut().zip(rest) {
            *to = from.as_f64();
        }
    }
    for lines in lines {
        lines[0] = f64::ZERO;
    }
}

#[inline(always)]
fn add_products<S: Simd>(
    simd: S,
    n: usize,
    lines: &[Line<f64>],
    stride: usize,
    products: &mut [f64],
) {
    match (parts::<S, f64>(simd), n) {
        (_, 1) => rank_update::<S, f64, 1, 1>(simd, n, lines, stride, products),
        (_, ..=3) => rank_update::<S, f64, 2, 2>(simd, n, lines, stride, products),
        (1, _) => rank_update::<S, f64, 4, 4>(simd, n, lines, stride, products),
        (_, ..=NARROW) => rank_update::<S, f64, 4, 2>(simd, n, lines, stride, products),
        _ => rank_update::<S, f64, 4, 3>(simd, n, lines, stride, products),
    }
}

/// Solves for `G` groups of rows, [`TILE`] columns at a time.
#[inline(always)]
fn solve<S: Simd, const G: usize>(
    simd: S,
    n: usize,
    triangle: &[f64],
    lines: &mut [Line<f64>],
    stride: usize,
) {
    for first in (0..n).step_by(TILE) {
        // Beyond the last column, the last one again, which is not stored.
        let columns: [usize; TILE] = core::array::from_fn(|c| (first + c).min(n - 1));
        let factors: [&[f64]; TILE] = columns.map(|column| &triangle[column * n..][..n]);
        let mut rest = [[f64x8::splat(simd, 0.0); G]; TILE];
        for c in 0..TILE {
            for g in 0..G {
                rest[c][g] = lines[g * stride + columns[c]].load(simd);
            }
        }
        for i in 0..first {
            let mut solved = [f64x8::splat(simd, 0.0); G];
            for g in 0..G {
                solved[g] = lines[g * stride + i].load(simd);
            }
            for c in 0..TILE {
                let factor = f64x8::splat(simd, -factors[c][i]);
                for g in 0..G {
                    rest[c][g] = solved[g].mul_add(factor, rest[c][g]);
                }
            }
        }
        for c in 0..TILE.min(n - first) {
            for before in 0..c {
                let factor = f64x8::splat(simd, -factors[c][first + before]);
                let solved = rest[before];
                for g in 0..G {
                    rest[c][g] = solved[g].mul_add(factor, rest[c][g]);
                }
            }
            let inverse = 1.0 / factors[c][first + c];
            for g in 0..G {
                rest[c][g] *= inverse;
                lines[g * stride + first + c].store(rest[c][g]);
            }
        }
    }
}

/// Returns the products $`H^\top H`$ of the columns of a matrix, in the lower triangle; zeros above
/// it.
///
/// Cost: `d n²/2` multiply-adds. Sums are taken in `f64`, in an order that depends on the shape alone.
pub fn products(columns: &DMatrix<f64>) -> DMatrix<f64> {
    blockwise(columns.as_slice(), columns.nrows(), |_, _| ())
}

/// [`products`] of blocks of rows that `change` changes first.
fn blockwise<T: Lanes>(
    columns: &[T],
    rows: usize,
    change: impl Fn(Level, &mut RowLines) + Sync + Send,
) -> DMatrix<f64> {
    let (n, level) = (columns.len() / rows, Level::new());
    let add = |lines: &mut RowLines, share: Range<usize>, products: &mut [f64]| {
        for first in share.clone().step_by(lines.rows()) {
            let height = lines.rows().min(share.end - first);
            for (j, column) in columns.chunks_exact(rows).enumerate() {
                lines.pack(level, j, &column[first..][..height]);
            }
            change(level, lines);
            // Row-major, the upper triangle is the lower one of columns.
            lines.add_products(level, products);
        }
    };
    let scratch = |rows| RowLines::new(rows, n);
    let products = parallel::sum_over_rows((rows, n), n * n, scratch, add);
    DMatrix::from_vec(n, n, products)
}

/// Makes columns of so many rows orthonormal by the Cholesky factor of their products, once.
///
/// False where their products say that this does not make them nearly so: where they are too
/// dependent or, if they are said to be `nearly` orthonormal, where they are not. Cost: `d n²`
/// multiply-adds.
pub fn orthonormalize<T: Lanes>(columns: &mut [T], rows: usize, nearly: bool) -> bool {
    let mut factor = blockwise(columns, rows, |_, _| ());
    if nearly && distance_from_identity(&factor) >= NEARLY_ORTHONORMAL {
        return false;
    }
    if cholesky(&mut factor) < WELL_CONDITIONED {
        return false;
    }
    let upper = factor.transpose();
    let level = Level::new();
    let mut lines = RowLines::new(rows, factor.nrows());
    for first in (0..rows).step_by(lines.rows()) {
        let height = lines.rows().min(rows - first);
        for (j, column) in columns.chunks_exact(rows).enumerate() {
            lines.pack(level, j, &column[first..][..height]);
        }
        lines.solve(level, upper.as_slice());
        for (j, column) in columns.chunks_exact_mut(rows).enumerate() {
            lines.unpack(j, &mut column[first..][..height]);
        }
    }
    true
}

/// How far a symmetric matrix in a lower triangle is from the identity, in the Frobenius norm.
fn distance_from_identity(products: &DMatrix<f64>) -> f64 {
    let squares = (0..products.nrows()).map(|j| {
        let below: f64 = products.column(j).iter().skip(j + 1).map(|x| 2.0 * x * x).sum();
        below + (products[(j, j)] - 1.0).powi(2)
    });
    squares.sum::<f64>().sqrt()
}

/// Returns the factor `R` with a positive diagonal of $`H = Q R`$, by two steps of the Cholesky
/// factorisation of products (CholeskyQR2; Yamamoto, Nakatsukasa, Yanagisawa and Fukaya 2015).
///
/// As accurate as reflections where the condition number of `H`, of columns about equally long, is
/// below about 1e7. None where a pivot of the first step, or the products after it, tell that it may
/// be larger. Cost: `3/2 d n²` multiply-adds.
pub fn triangle(columns: &DMatrix<f64>) -> Option<DMatrix<f64>> {
    let mut first = products(columns);
    if cholesky(&mut first) < WELL_CONDITIONED {
        return None;
    }
    let upper = first.transpose();
    let change = |level, lines: &mut RowLines| lines.solve(level, upper.as_slice());
    let mut second = blockwise(columns.as_slice(), columns.nrows(), change);
    let n = second.nrows();
    let is_near = distance_from_identity(&second) < NEARLY_ORTHONORMAL;
    if !is_near || cholesky(&mut second) <= 0.0 {
        return None;
    }
    let mut factor = DMatrix::zeros(n, n);
    transposed_times_upper(&second, &upper, &mut factor);
    Some(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::line::fused_levels;
    use crate::proptest::normals;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn products_agree_with_nalgebra(d in 1usize..700, n in 1usize..50, seed in any::<u64>()) {
            let h = normals(d, n, seed);
            let mut naive = h.transpose() * &h;
            naive.fill_upper_triangle(0.0, 1);
            prop_assert!((products(&h) - &naive).amax() < 1e-14 * naive.trace());
        }

        /// Below the switch as accurate as reflections, singular values and all; beyond it refused.
        #[test]
        fn factors_are_those_of_reflections(
            n in 2usize..40, more in 0usize..300, seed in any::<u64>(), digits in 0.0..12.0f64,
        ) {
            // Columns with condition number about 10^digits: the last is nearly a sum of the others.
            let (d, share) = (n + 40 + more, 10f64.powf(-digits));
            let mut h = normals(d, n, seed);
            let mut last: nalgebra::DVector<f64> = h.column(n - 1) * share;
            for j in 0..n - 1 {
                last += h.column(j);
            }
            h.set_column(n - 1, &last);
            for mut column in h.column_iter_mut() {
                let length = column.norm();
                column /= length;
            }
            let reflected = h.clone().qr().unpack_r();
            let Some(factor) = triangle(&h) else {
                prop_assert!(digits > 5.5, "{digits}");
                return Ok(());
            };
            prop_assert!(digits < 7.5, "{digits}");
            let largest = n as f64 * 1e-15;
            prop_assert!((factor.transpose() * &factor - h.transpose() * &h).amax() < largest);
            for (j, column) in factor.column_iter().enumerate() {
                prop_assert!(factor[(j, j)] > 0.0 && column.iter().skip(j + 1).all(|&x| x == 0.0));
            }
            let last = (n - 1, n - 1);
            let relative = (factor[last] / reflected[last] - 1.0).abs();
            prop_assert!(relative < largest / share, "{relative}");
        }
    }

    #[test]
    fn levels_agree_to_the_bit() {
        let h = normals(200, 37, 1);
        let upper = products(&h).cholesky().unwrap().l().transpose();
        let run = |level| {
            let mut lines = RowLines::new(200, 37);
            for j in 0..37 {
                lines.pack(level, j, h.column(j).as_slice());
            }
            lines.solve(level, upper.as_slice());
            let mut products = vec![0.0; 37 * 37];
            lines.add_products(level, &mut products);
            products
        };
        let runs: Vec<_> = fused_levels().into_iter().map(run).collect();
        assert!(runs.windows(2).all(|pair| pair[0] == pair[1]));
        for (k, product) in runs[0].iter().enumerate().filter(|(k, _)| k / 37 <= k % 37) {
            assert!((product - f64::from(u8::from(k / 37 == k % 37))).abs() < 1e-13);
        }
    }
}
