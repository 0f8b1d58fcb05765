//! Explicit weights: rows of W drawn panel by panel in cache and multiplied by H at once.
//!
//! W is never stored; [`weights`] draws the same panels again.

use crate::kernel::factor::{Factor, Form};
use crate::kernel::generator::{LaneRng, StreamKey};
use crate::kernel::line::{Lanes, Line, parts};
use crate::kernel::multiply::dot;
use crate::kernel::normal::{Normals, fill_lines};
use crate::kernel::tiles::STRIP;
use fearless_simd::{Level, dispatch, prelude::*};

/// Groups of rows of W that share a pass over H: H is read once for all of them.
const GROUPS: usize = 32;
/// Columns of W in a panel: a strip of it stays in the first-level cache.
const PANEL: usize = 64;

/// How a weight matrix is cut, fixed by its shape and the scalar type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightPlan {
    rows: usize,
    columns: usize,
    lanes: usize,
}

impl WeightPlan {
    /// Returns the cut of a `rows` x `columns` matrix W.
    pub fn new<T: Lanes>(rows: usize, columns: usize) -> Self {
        assert!(rows > 0 && columns > 0, "{rows} x {columns} has no entries");
        Self { rows, columns, lanes: T::LANES }
    }

    /// Rows and columns of W.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// Returns how many blocks of rows there are.
    pub fn blocks(&self) -> usize {
        self.rows.div_ceil(GROUPS * self.lanes)
    }

    /// Returns the rows of a block.
    pub fn block_rows(&self, block: usize) -> core::ops::Range<usize> {
        let first = block * GROUPS * self.lanes;
        first..(first + GROUPS * self.lanes).min(self.rows)
    }

    /// Groups of a block, the last of which may be partial.
    fn groups(&self, block: usize) -> usize {
        self.block_rows(block).len().div_ceil(self.lanes)
    }

    /// The panels of columns, in order.
    fn panels(&self) -> impl Iterator<Item = core::ops::Range<usize>> {
        let columns = self.columns;
        (0..columns).step_by(PANEL).map(move |first| first..(first + PANEL).min(columns))
    }
}

/// Working memory of one thread.
#[derive(Clone, Debug)]
pub struct WeightScratch<T: Lanes> {
    panel: Vec<Line<T>>,
    product: Vec<Line<T>>,
}

impl<T: Lanes> WeightScratch<T> {
    /// Memory for products with a batch of n.
    pub fn new(batch: usize) -> Self {
        Self { panel: vec![T::ZERO; STRIP * PANEL], product: vec![T::ZERO; GROUPS * stride(batch)] }
    }
}

/// Lines from one group of a product to the next; odd, to visit all sets of the cache.
fn stride(batch: usize) -> usize {
    batch | 1
}

/// A block of rows of W H: group after group, each n lines of the same entry of its rows.
#[derive(Clone, Copy, Debug)]
pub struct RowBlock<'a, T: Lanes> {
    lines: &'a [Line<T>],
    stride: usize,
    rows: usize,
}

impl<T: Lanes> RowBlock<'_, T> {
    /// Column `column` of the block, piece by piece from the top.
    pub fn column(&self, column: usize) -> impl Iterator<Item = &[T]> {
        self.lines.chunks_exact(self.stride).enumerate().map(move |(group, lines)| {
            let rest = self.rows - group * T::LANES;
            &lines[column].0.as_ref()[..rest.min(T::LANES)]
        })
    }
}

/// Returns the rows of W H in block `block`, for W of independent standard normals and H packed.
///
/// `key.block` is ignored: every block of rows has its own stream. Allocates nothing.
pub fn multiply_weights<'a, T: Normals>(
    level: Level,
    plan: &WeightPlan,
    h: &Factor<T>,
    key: StreamKey,
    block: usize,
    scratch: &'a mut WeightScratch<T>,
) -> RowBlock<'a, T> {
    assert_eq!((h.rows(), h.form()), (plan.columns, Form::General));
    assert_eq!(plan.lanes, T::LANES);
    let key = StreamKey { block: block as u32, ..key };
    let stride = stride(h.columns());
    let WeightScratch { panel, product } = scratch;
    let lines = &mut product[..plan.groups(block) * stride];
    lines.fill(T::ZERO);
    dispatch!(level, simd => match h.width() {
        1 => multiply_block::<_, T, 1>(simd, plan, h, key, panel, lines, stride),
        2 => multiply_block::<_, T, 2>(simd, plan, h, key, panel, lines, stride),
        3 => multiply_block::<_, T, 3>(simd, plan, h, key, panel, lines, stride),
        4 => multiply_block::<_, T, 4>(simd, plan, h, key, panel, lines, stride),
        5 => multiply_block::<_, T, 5>(simd, plan, h, key, panel, lines, stride),
        _ => multiply_block::<_, T, 6>(simd, plan, h, key, panel, lines, stride),
    });
    RowBlock { lines, stride, rows: plan.block_rows(block).len() }
}

/// Writes the same W, all of it, to `out`: column-major, rows x columns.
pub fn weights<T: Normals>(
    level: Level,
    plan: &WeightPlan,
    key: StreamKey,
    scratch: &mut WeightScratch<T>,
    out: &mut [T],
) {
    assert_eq!(plan.lanes, T::LANES);
    assert_eq!(out.len(), plan.rows * plan.columns);
    for block in 0..plan.blocks() {
        let key = StreamKey { block: block as u32, ..key };
        let rows = plan.block_rows(block);
        dispatch!(level, simd => {
            let mut stream = LaneRng::new(simd, key);
            for columns in plan.panels() {
                for first in rows.clone().step_by(T::LANES) {
                    let lines = &mut scratch.panel[..columns.len()];
                    fill_lines(simd, &mut stream, lines);
                    let last = (first + T::LANES).min(rows.end);
                    for (column, line) in columns.clone().zip(&*lines) {
                        out[column * plan.rows..][first..last]
                            .copy_from_slice(&line.0.as_ref()[..last - first]);
                    }
                }
            }
        });
    }
}

/// [`multiply_weights`] on one level, with tiles of `C` columns of H.
#[inline(always)]
fn multiply_block<S: Simd, T: Normals, const C: usize>(
    simd: S,
    plan: &WeightPlan,
    h: &Factor<T>,
    key: StreamKey,
    panel: &mut [Line<T>],
    product: &mut [Line<T>],
    stride: usize,
) {
    let mut stream = LaneRng::new(simd, key);
    for columns in plan.panels() {
        let strip = if parts::<S, T>(simd) == 1 { STRIP } else { 1 };
        let mut strips = product.chunks_exact_mut(strip * stride);
        for product in &mut strips {
            if strip == STRIP {
                strip_product::<S, T, C, STRIP>(
                    simd,
                    h,
                    &columns,
                    &mut stream,
                    panel,
                    product,
                    stride,
                );
            } else {
                strip_product::<S, T, C, 1>(simd, h, &columns, &mut stream, panel, product, stride);
            }
        }
        for product in strips.into_remainder().chunks_exact_mut(stride) {
            strip_product::<S, T, C, 1>(simd, h, &columns, &mut stream, panel, product, stride);
        }
    }
}

/// Draws one panel of a strip of `R` groups and adds its product with the same rows of H.
#[inline(always)]
fn strip_product<S: Simd, T: Normals, const C: usize, const R: usize>(
    simd: S,
    h: &Factor<T>,
    columns: &core::ops::Range<usize>,
    stream: &mut LaneRng<S>,
    panel: &mut [Line<T>],
    product: &mut [Line<T>],
    stride: usize,
) {
    let length = columns.len();
    for group in panel.chunks_exact_mut(length).take(R) {
        fill_lines(simd, stream, group);
    }
    let groups: [_; R] = core::array::from_fn(|r| &panel[r * length..]);
    for tile in 0..h.columns().div_ceil(C) {
        let first = tile * C;
        let kept = C.min(h.columns() - first);
        let mut sums = [[T::Logical::splat(simd, T::default()); R]; C];
        for r in 0..R {
            let lines = &product[r * stride + first..][..kept];
            for c in 0..C {
                if c < kept {
                    sums[c][r] = lines[c].load(simd);
                }
            }
        }
        let sums = dot(simd, h.tile::<C>(tile, columns.clone()), groups, sums);
        for r in 0..R {
            let lines = &mut product[r * stride + first..][..kept];
            for c in 0..C {
                if c < kept {
                    lines[c].store(sums[c][r]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::line::fused_levels;
    use proptest::prelude::*;

    const KEY: StreamKey = StreamKey { seed: 5, purpose: 2, replicate: 0, layer: 1, block: 77 };

    fn check<T: Normals>(rows: usize, columns: usize, n: usize, tolerance: f64) {
        let plan = WeightPlan::new::<T>(rows, columns);
        let entry = |i: usize, j: usize| ((i * 29 + j * 83 + 3) % 61) as f64 / 61.0 - 0.4;
        let mut h = Factor::<T>::new(columns, n, Form::General);
        h.pack(|i, j| T::of_f64(entry(i, j)));
        let mut scratch = WeightScratch::new(n);
        let mut w = vec![T::of_f64(f64::NAN); rows * columns];
        weights::<T>(Level::new(), &plan, KEY, &mut scratch, &mut w);
        let products: Vec<_> = fused_levels()
            .into_iter()
            .map(|level| {
                let mut product = vec![Vec::new(); n];
                for block in 0..plan.blocks() {
                    let block = multiply_weights(level, &plan, &h, KEY, block, &mut scratch);
                    for (j, column) in product.iter_mut().enumerate() {
                        column.extend(block.column(j).flatten().map(|x| x.as_f64()));
                    }
                }
                product
            })
            .collect();
        assert!(products.windows(2).all(|p| p[0] == p[1]));
        for (j, column) in products[0].iter().enumerate() {
            assert_eq!(column.len(), rows);
            for (row, value) in column.iter().enumerate() {
                let terms = (0..columns)
                    .map(|k| w[k * rows + row].as_f64() * T::of_f64(entry(k, j)).as_f64());
                let (sum, size) = terms.fold((0.0, 0.0), |(s, a), t| (s + t, a + f64::abs(t)));
                assert!((value - sum).abs() <= tolerance * size, "{rows} {columns} {n}: {row} {j}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn agrees_with_the_weights(rows in 1usize..600, columns in 1usize..200, n in 1usize..30) {
            check::<f64>(rows, columns, n, 1e-14);
            check::<f32>(rows, columns, n, 1e-5);
        }
    }
}
