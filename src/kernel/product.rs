//! Products of two matrices in column-major memory, either of them transposed where it lies.
//!
//! The left factor is packed strip by strip into lines, the right one panel by panel into tiles, unless
//! there are few rows: then its columns are read where they are. No transposed copy is made. Every entry
//! is one running sum, a fused multiply-add a term in increasing order, so it depends neither on tiles
//! nor on threads.

use crate::kernel::line::{Lanes, Line, parts};
use crate::kernel::multiply::dot;
use crate::kernel::tiles::STRIP;
use fearless_simd::{Level, dispatch, prelude::*};

/// Terms of a panel: sums leave the registers once a panel. A tile of it stays in the first-level cache, a
/// strip in the second.
const PANEL: usize = 256;
/// Columns of a tile.
const TILE: usize = 6;
/// Strips of rows up to which packing the right factor takes longer than it saves.
const UNPACKED: usize = 4;
/// Columns that a packed panel of the right factor holds at most: it stays in the second-level cache.
const COLUMNS: usize = 60 * TILE;

/// A factor of a product: a column-major matrix, read as it is or transposed.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a, T> {
    entries: &'a [T],
    /// Rows of the matrix in memory.
    height: usize,
    transposed: bool,
}

impl<'a, T> Operand<'a, T> {
    /// Returns a matrix of `rows` rows.
    pub fn new(entries: &'a [T], rows: usize) -> Self {
        assert!(entries.len().is_multiple_of(rows), "{} entries in {rows} rows", entries.len());
        Self { entries, height: rows, transposed: false }
    }

    /// Returns the same, transposed.
    pub fn transposed(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        let columns = self.entries.len() / self.height;
        if self.transposed { (columns, self.height) } else { (self.height, columns) }
    }

    /// Some columns of it.
    pub fn columns(self, columns: core::ops::Range<usize>) -> OperandColumns<'a, T> {
        OperandColumns { operand: self, columns }
    }
}

/// Some columns of an operand.
#[derive(Clone, Debug)]
pub struct OperandColumns<'a, T> {
    operand: Operand<'a, T>,
    columns: core::ops::Range<usize>,
}

/// Working memory of one thread.
#[derive(Clone, Debug, Default)]
pub struct ProductScratch<T: Lanes> {
    strip: Vec<Line<T>>,
    tiles: Vec<[T; TILE]>,
}

/// Overwrites `out`, column-major, by the product of `left` and some columns of `right`.
///
/// Allocates nothing once `scratch` has seen a product as large.
pub fn multiply<T: Lanes>(
    level: Level,
    left: Operand<'_, T>,
    right: OperandColumns<'_, T>,
    out: &mut [T],
    scratch: &mut ProductScratch<T>,
) {
    let (rows, terms) = left.shape();
    let OperandColumns { operand: right, columns } = right;
    assert_eq!(terms, right.shape().0, "columns of the left factor are rows of the right one");
    assert_eq!(out.len(), rows * columns.len());
    scratch.strip.resize(STRIP * PANEL, T::ZERO);
    // Where a line takes two registers, strips of one line read the right factor too often.
    let in_strips = dispatch!(level, simd => parts::<_, T>(simd) == 1);
    let packed = right.transposed || !in_strips || rows > UNPACKED * STRIP * T::LANES;
    for first in columns.clone().step_by(COLUMNS) {
        let some = first..(first + COLUMNS).min(columns.end);
        let out = &mut out[(first - columns.start) * rows..][..some.len() * rows];
        for begin in (0..terms).step_by(PANEL) {
            let panel = begin..(begin + PANEL).min(terms);
            let product = Panel { left, panel: panel.clone(), columns: some.len() };
            if packed {
                pack_tiles(right, &panel, &some, &mut scratch.tiles);
                product.add(level, Packed(&scratch.tiles), out, &mut scratch.strip);
            } else {
                let entries = &right.entries[some.start * terms + begin..];
                let columns = Columns { entries, height: terms };
                product.add(level, columns, out, &mut scratch.strip);
            }
        }
        if terms == 0 {
            out.fill(T::default());
        }
    }
}

/// Some terms of some columns of the right factor.
trait Terms<T: Lanes>: Copy {
    /// Adds the products of terms of up to `TILE` columns, from `first` on, with the rows of groups.
    fn dot<S: Simd, const R: usize>(
        self,
        simd: S,
        first: usize,
        kept: usize,
        groups: [&[Line<T>]; R],
        sums: [[T::Logical<S>; R]; TILE],
    ) -> [[T::Logical<S>; R]; TILE];
}

/// Terms that are packed tile after tile.
#[derive(Clone, Copy)]
struct Packed<'a, T>(&'a [[T; TILE]]);

impl<T: Lanes> Terms<T> for Packed<'_, T> {
    #[inline(always)]
    fn dot<S: Simd, const R: usize>(
        self,
        simd: S,
        first: usize,
        _: usize,
        groups: [&[Line<T>]; R],
        sums: [[T::Logical<S>; R]; TILE],
    ) -> [[T::Logical<S>; R]; TILE] {
        let length = groups[0].len();
        dot(simd, &self.0[first / TILE * length..][..length], groups, sums)
    }
}

/// Terms where they are, in columns.
#[derive(Clone, Copy)]
struct Columns<'a, T> {
    entries: &'a [T],
    /// Entries from a column to the next.
    height: usize,
}

impl<T: Lanes> Terms<T> for Columns<'_, T> {
    #[inline(always)]
    fn dot<S: Simd, const R: usize>(
        self,
        simd: S,
        first: usize,
        kept: usize,
        groups: [&[Line<T>]; R],
        mut sums: [[T::Logical<S>; R]; TILE],
    ) -> [[T::Logical<S>; R]; TILE] {
        // Equal lengths let the compiler drop the bounds checks of the loop.
        let length = groups[0].len();
        let groups = groups.map(|group| &group[..length]);
        let columns: [&[T]; TILE] = core::array::from_fn(|c| {
            &self.entries[(first + c.min(kept - 1)) * self.height..][..length]
        });
        for i in 0..length {
            let z: [_; R] = core::array::from_fn(|r| groups[r][i].load(simd));
            for c in 0..TILE {
                let term = T::Logical::splat(simd, columns[c][i]);
                for r in 0..R {
                    sums[c][r] = z[r].mul_add(term, sums[c][r]);
                }
            }
        }
        sums
    }
}

/// Some terms of some columns of a product.
struct Panel<'a, T: Lanes> {
    left: Operand<'a, T>,
    panel: core::ops::Range<usize>,
    columns: usize,
}

impl<T: Lanes> Panel<'_, T> {
    /// Adds the terms to what is there; the first terms overwrite it.
    fn add(&self, level: Level, terms: impl Terms<T>, out: &mut [T], strip: &mut [Line<T>]) {
        let rows = self.left.shape().0;
        dispatch!(level, simd => {
            let mut row = 0;
            if parts::<_, T>(simd) == 1 {
                while row + STRIP * T::LANES <= rows {
                    self.add_strip::<_, _, STRIP>(simd, terms, row, out, strip);
                    row += STRIP * T::LANES;
                }
            }
            for row in (row..rows).step_by(T::LANES) {
                self.add_strip::<_, _, 1>(simd, terms, row, out, strip);
            }
        });
    }

    /// Adds the terms to `R` lines of rows from `first_row` on.
    #[inline(always)]
    fn add_strip<S: Simd, B: Terms<T>, const R: usize>(
        &self,
        simd: S,
        terms: B,
        first_row: usize,
        out: &mut [T],
        strip: &mut [Line<T>],
    ) {
        let (rows, length) = (self.left.shape().0, self.panel.len());
        let height = (rows - first_row).min(R * T::LANES);
        for (group, lines) in strip.chunks_exact_mut(length).take(R).enumerate() {
            let first = first_row + group * T::LANES;
            pack_group(self.left, first..rows.min(first + T::LANES), &self.panel, lines);
        }
        let groups: [_; R] = core::array::from_fn(|r| &strip[r * length..][..length]);
        let is_first = self.panel.start == 0;
        for first in (0..self.columns).step_by(TILE) {
            let kept = TILE.min(self.columns - first);
            let mut sums = [[T::Logical::splat(simd, T::default()); R]; TILE];
            let columns = &mut out[first * rows..][..kept * rows];
            if kept == TILE && height == R * T::LANES {
                let column = |c: usize| c * rows + first_row..c * rows + first_row + R * T::LANES;
                if !is_first {
                    for c in 0..TILE {
                        sums[c] = load_whole(simd, &columns[column(c)]);
                    }
                }
                let sums = terms.dot(simd, first, kept, groups, sums);
                for c in 0..TILE {
                    store_whole::<S, T, R>(sums[c], &mut columns[column(c)]);
                }
                continue;
            }
            if !is_first {
                for (sums, column) in sums.iter_mut().zip(columns.chunks_exact(rows)) {
                    *sums = load(simd, &column[first_row..][..height]);
                }
            }
            let sums = terms.dot(simd, first, kept, groups, sums);
            for (sums, column) in sums.into_iter().zip(columns.chunks_exact_mut(rows)) {
                store::<S, T, R>(sums, &mut column[first_row..][..height]);
            }
        }
    }
}

/// `R` lines of a column.
#[inline(always)]
fn load_whole<S: Simd, T: Lanes, const R: usize>(simd: S, column: &[T]) -> [T::Logical<S>; R] {
    core::array::from_fn(|r| T::Logical::from_slice(simd, &column[r * T::LANES..][..T::LANES]))
}

/// Inverts [`load_whole`].
#[inline(always)]
fn store_whole<S: Simd, T: Lanes, const R: usize>(vectors: [T::Logical<S>; R], column: &mut [T]) {
    for (vector, entries) in vectors.into_iter().zip(column.chunks_exact_mut(T::LANES)) {
        vector.store_slice(entries);
    }
}

/// Up to `R` lines of a column; only the last may be partial.
#[inline(always)]
fn load<S: Simd, T: Lanes, const R: usize>(simd: S, column: &[T]) -> [T::Logical<S>; R] {
    let mut vectors = [T::Logical::splat(simd, T::default()); R];
    for r in 0..R {
        let entries = &column[r * T::LANES..];
        if entries.len() >= T::LANES {
            vectors[r] = T::Logical::from_slice(simd, &entries[..T::LANES]);
        } else {
            let mut line = T::ZERO;
            line.0.as_mut()[..entries.len()].copy_from_slice(entries);
            vectors[r] = line.load(simd);
        }
    }
    vectors
}

/// The way back from [`load`].
#[inline(always)]
fn store<S: Simd, T: Lanes, const R: usize>(vectors: [T::Logical<S>; R], column: &mut [T]) {
    for r in 0..R {
        let entries = &mut column[r * T::LANES..];
        if entries.len() >= T::LANES {
            vectors[r].store_slice(&mut entries[..T::LANES]);
        } else {
            let mut line = T::ZERO;
            line.store(vectors[r]);
            entries.copy_from_slice(&line.0.as_ref()[..entries.len()]);
        }
    }
}

/// Packs up to a line of rows of the left factor; the lanes beyond them are zero.
#[inline(always)]
fn pack_group<T: Lanes>(
    left: Operand<'_, T>,
    rows: core::ops::Range<usize>,
    panel: &core::ops::Range<usize>,
    lines: &mut [Line<T>],
) {
    if rows.len() < T::LANES {
        lines.fill(T::ZERO);
    }
    if left.transposed {
        for (lane, row) in rows.enumerate() {
            let terms = &left.entries[row * left.height..][panel.clone()];
            for (line, &term) in lines.iter_mut().zip(terms) {
                line.0.as_mut()[lane] = term;
            }
        }
        return;
    }
    let whole = rows.len() == T::LANES;
    for (line, term) in lines.iter_mut().zip(panel.clone()) {
        let column = &left.entries[term * left.height..][rows.clone()];
        let line = line.0.as_mut();
        if whole {
            line.copy_from_slice(&column[..T::LANES]); // of a length that the compiler knows
        } else {
            line[..column.len()].copy_from_slice(column);
        }
    }
}

/// Packs rows `panel` of some columns of the right factor: tile after tile, term after term.
fn pack_tiles<T: Lanes>(
    right: Operand<'_, T>,
    panel: &core::ops::Range<usize>,
    columns: &core::ops::Range<usize>,
    tiles: &mut Vec<[T; TILE]>,
) {
    let length = panel.len();
    let count = columns.len().div_ceil(TILE) * length;
    if tiles.len() < count {
        tiles.resize(count, [T::default(); TILE]);
    }
    let tiles = tiles[..count].chunks_exact_mut(length);
    for (tile, first) in tiles.zip(columns.clone().step_by(TILE)) {
        let some = first..(first + TILE).min(columns.end);
        if some.len() < TILE {
            tile.fill([T::default(); TILE]);
        }
        if right.transposed {
            for (to, term) in tile.iter_mut().zip(panel.clone()) {
                let row = &right.entries[term * right.height..][some.clone()];
                match row.first_chunk() {
                    Some(row) => *to = *row,
                    None => to[..row.len()].copy_from_slice(row),
                }
            }
        } else {
            for (c, column) in some.enumerate() {
                let terms = &right.entries[column * right.height..][panel.clone()];
                for (to, &term) in tile.iter_mut().zip(terms) {
                    to[c] = term;
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

    /// Entries with many bits, column-major.
    fn entries<T: Lanes>(len: usize, salt: usize) -> Vec<T> {
        (0..len).map(|k| T::of_f64(((k * 7919 + salt) % 1009) as f64 / 1009.0 - 0.45)).collect()
    }

    fn check<T: Lanes>(shape: [usize; 3], transposed: [bool; 2], tolerance: f64) {
        let [rows, terms, columns] = shape;
        let (a, b) = (entries::<T>(rows * terms, 1), entries::<T>(terms * columns, 5));
        let operand = |entries, rows, columns, transposed| match transposed {
            false => Operand::new(entries, rows),
            true => Operand::new(entries, columns).transposed(),
        };
        let left = operand(&a, rows, terms, transposed[0]);
        let right = operand(&b, terms, columns, transposed[1]);
        let mut scratch = ProductScratch::default();
        let nan = T::of_f64(f64::NAN);
        let products: Vec<Vec<T>> = fused_levels()
            .into_iter()
            .map(|level| {
                let mut whole = vec![nan; rows * columns];
                multiply(level, left, right.columns(0..columns), &mut whole, &mut scratch);
                // In two parts: the same bits.
                let cut = columns / 3;
                let mut halves = vec![nan; rows * columns];
                let (first, second) = halves.split_at_mut(cut * rows);
                multiply(level, left, right.columns(0..cut), first, &mut scratch);
                multiply(level, left, right.columns(cut..columns), second, &mut scratch);
                assert!(whole == halves);
                whole
            })
            .collect();
        assert!(products.windows(2).all(|pair| pair[0] == pair[1]));
        let at = |operand: &Operand<'_, T>, i: usize, j: usize| {
            let (i, j) = if operand.transposed { (j, i) } else { (i, j) };
            operand.entries[j * operand.height + i].as_f64()
        };
        for i in 0..rows {
            for j in 0..columns {
                let terms = (0..terms).map(|k| at(&left, i, k) * at(&right, k, j));
                let (sum, size) = terms.fold((0.0, 0.0), |(s, a), t| (s + t, a + f64::abs(t)));
                let error = (products[0][j * rows + i].as_f64() - sum).abs();
                assert!(error <= tolerance * size, "{shape:?} {transposed:?}: {i} {j} {error}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn agrees_with_the_definition(
            rows in 1usize..150, terms in 1usize..220, columns in 1usize..40,
            transposed: [bool; 2],
        ) {
            check::<f64>([rows, terms, columns], transposed, 1e-14);
            check::<f32>([rows, terms, columns], transposed, 1e-5);
        }
    }

    /// More columns than a packed panel holds.
    #[test]
    fn wide_products() {
        check::<f32>([17, 5, COLUMNS + 7], [false, true], 1e-5);
        check::<f64>([3, PANEL + 1, 2 * COLUMNS + 1], [true, false], 1e-14);
    }
}
