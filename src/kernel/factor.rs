//! A matrix packed for the row kernels: tiles of a few columns, each stored row by row.

use crate::kernel::line::Lanes;
use crate::kernel::tiles::tile_columns;

/// Which entries of a factor may differ from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The upper triangle alone; the rest is neither read nor stored.
    UpperTriangular,
    /// All of them.
    General,
}

/// A k x n matrix M packed in tiles of columns, for products y = M^T z with many rows z.
///
/// Tile t holds columns `width * t` and on, padded with zeros; an upper triangular matrix keeps
/// only the rows down to the tile's last diagonal entry.
#[derive(Clone, Debug)]
pub struct Factor<T> {
    rows: usize,
    columns: usize,
    width: usize,
    form: Form,
    packed: Vec<T>,
}

impl<T: Lanes> Factor<T> {
    /// Memory for a matrix of this shape; nothing is allocated afterwards.
    pub fn new(rows: usize, columns: usize, form: Form) -> Self {
        assert!(form == Form::General || rows == columns, "a triangular factor is square");
        let width = tile_columns(columns);
        let mut factor = Self { rows, columns, width, form, packed: Vec::new() };
        let last = columns.div_ceil(width);
        let length = (0..last).map(|tile| factor.tile_rows(tile) * width).sum();
        factor.packed.resize(length, T::default());
        factor
    }

    /// Packs the matrix whose entry (row, column) is `entry(row, column)`.
    pub fn pack(&mut self, entry: impl Fn(usize, usize) -> T) {
        let (width, columns, form) = (self.width, self.columns, self.form);
        for tile in 0..columns.div_ceil(width) {
            let range = self.range(tile, 0..self.tile_rows(tile));
            for (row, values) in self.packed[range].chunks_exact_mut(width).enumerate() {
                for (column, value) in (tile * width..).zip(values) {
                    let inside = column < columns && (form == Form::General || row <= column);
                    *value = if inside { entry(row, column) } else { T::default() };
                }
            }
        }
    }

    /// Returns the entry at (row, column), in the upper triangle if the matrix is triangular.
    pub fn entry(&self, row: usize, column: usize) -> f64 {
        let (tile, within) = (column / self.width, column % self.width);
        self.packed[self.range(tile, row..row + 1)][within].as_f64()
    }

    /// Returns how many rows of a column may differ from zero.
    pub fn reach(&self, column: usize) -> usize {
        match self.form {
            Form::UpperTriangular => column + 1,
            Form::General => self.rows,
        }
    }

    /// Rows of the matrix: the length of z.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of the matrix: the length of y.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Which entries may differ from zero.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Columns in a tile.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows stored for a tile.
    #[inline(always)]
    pub(crate) fn tile_rows(&self, tile: usize) -> usize {
        match self.form {
            Form::UpperTriangular => ((tile + 1) * self.width).min(self.rows),
            Form::General => self.rows,
        }
    }

    /// The stored rows of a tile; `W` must be the width of the packing.
    #[inline(always)]
    pub(crate) fn tile<const W: usize>(
        &self,
        tile: usize,
        rows: core::ops::Range<usize>,
    ) -> &[[T; W]] {
        debug_assert_eq!(W, self.width);
        self.packed[self.range(tile, rows)].as_chunks().0
    }

    /// Where some rows of a tile stand in `packed`.
    #[inline(always)]
    fn range(&self, tile: usize, rows: core::ops::Range<usize>) -> core::ops::Range<usize> {
        let start = match self.form {
            // The tiles before this one have width, 2 width, ... rows.
            Form::UpperTriangular => self.width * tile * (tile + 1) / 2,
            Form::General => self.rows * tile,
        };
        (start + rows.start) * self.width..(start + rows.end) * self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every entry is found again where the kernels look for it, for all tile widths.
    #[test]
    fn entries_survive_packing() {
        fn check<const W: usize>(factor: &Factor<f64>) {
            let n = factor.columns();
            for tile in 0..n.div_ceil(W) {
                let rows = factor.tile::<W>(tile, 0..factor.tile_rows(tile));
                for (i, row) in rows.iter().enumerate() {
                    for (j, value) in (tile * W..).zip(row) {
                        let zero = j >= n || (factor.form() == Form::UpperTriangular && i > j);
                        assert_eq!(*value, if zero { 0.0 } else { (1 + i * 1000 + j) as f64 });
                    }
                }
            }
        }
        for n in 1..40 {
            for form in [Form::UpperTriangular, Form::General] {
                let rows = if form == Form::General { n + 3 } else { n };
                let mut factor = Factor::new(rows, n, form);
                factor.pack(|i, j| (1 + i * 1000 + j) as f64);
                assert_eq!(factor.entry(n / 2, n - 1), (1 + n / 2 * 1000 + n - 1) as f64);
                match factor.width() {
                    1 => check::<1>(&factor),
                    2 => check::<2>(&factor),
                    3 => check::<3>(&factor),
                    4 => check::<4>(&factor),
                    5 => check::<5>(&factor),
                    6 => check::<6>(&factor),
                    width => panic!("{width}"),
                }
            }
        }
    }
}
