//! Matrices cut into blocks of rows that are packed once, or chunk by chunk where rows are long.

use std::ops::Range;

use super::entries::{Entries, Place, Target};
use super::pass::Parts;
use super::scratch::Packed;
use crate::Scalar;
use crate::kernel::row_passes::{Chunk, Packing};
use crate::kernel::wide::WIDTH;
use crate::parallel::WORTH_HALVING;

/// Bytes of a packed block: a share of a second-level cache.
const BLOCK_BYTES: usize = 1 << 18;
/// Rows of a block at most.
const MOST_ROWS: usize = 512;
/// Rows of a block of rows too long to be packed whole.
const ROWS_OF_CHUNKS: usize = 64;

/// How a matrix is cut. It decides about speed alone: every row has its own sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::normalization) struct Cut {
    first: usize,
    rows: usize,
    columns: usize,
    /// Rows of a block, a multiple of the width of a chunk.
    block_rows: usize,
    /// Columns that are packed at once.
    some_columns: usize,
}

impl Cut {
    /// The cut of a `d x n` matrix for passes that pack so many matrices of its shape.
    pub(in crate::normalization) fn new<T>(
        (rows, columns): (usize, usize),
        matrices: usize,
    ) -> Self {
        let entries = BLOCK_BYTES / size_of::<T>() / matrices;
        let fitting = entries / columns.max(1) / WIDTH * WIDTH;
        let (block_rows, some_columns) = if fitting == 0 {
            (ROWS_OF_CHUNKS, entries / ROWS_OF_CHUNKS)
        } else {
            (fitting.min(MOST_ROWS), columns)
        };
        Self { first: 0, rows, columns, block_rows, some_columns }
    }

    /// The blocks, from the first row to the last.
    pub(in crate::normalization) fn blocks(self) -> impl Iterator<Item = Block> {
        let end = self.first + self.rows;
        (self.first..end).step_by(self.block_rows).map(move |first| {
            let rows = self.block_rows.min(end - first);
            let groups = rows.div_ceil(WIDTH);
            // An odd stride visits all sets of a cache.
            Block { cut: self, first, rows, packing: Packing { groups, stride: groups | 1 } }
        })
    }
}

impl Parts for Cut {
    type Part = Block;

    fn each(&self) -> impl Iterator<Item = Block> {
        self.blocks()
    }

    fn halves(&self) -> Option<(Place, [Self; 2])> {
        let blocks = self.rows.div_ceil(self.block_rows);
        (blocks > 1 && self.rows * self.columns >= WORTH_HALVING).then(|| {
            let rows = blocks / 2 * self.block_rows;
            let middle = self.first + rows;
            let lower = Self { first: middle, rows: self.rows - rows, ..*self };
            (Place::Row(middle), [Self { rows, ..*self }, lower])
        })
    }
}

/// Some rows of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::normalization) struct Block {
    cut: Cut,
    pub(in crate::normalization) first: usize,
    pub(in crate::normalization) rows: usize,
    pub(super) packing: Packing,
}

impl Block {
    /// How many groups of sixteen rows there are.
    pub(in crate::normalization) fn groups(&self) -> usize {
        self.packing.groups
    }

    /// The number of the first row of a group of sixteen.
    pub(in crate::normalization) fn row(&self, group: usize) -> usize {
        self.first + group * WIDTH
    }

    /// The columns of each part that is packed at once.
    pub(super) fn parts(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let Cut { columns, some_columns, .. } = self.cut;
        (0..columns)
            .step_by(some_columns)
            .map(move |first| first..columns.min(first + some_columns))
    }

    /// Whether a part is all there is: it stays packed from one pass to the next.
    pub(super) fn is_whole(&self, columns: &Range<usize>) -> bool {
        columns.len() == self.cut.columns
    }

    /// Shows the packed parts one by one, with the number of the first column; a single part is
    /// packed only if `is_new`.
    pub(super) fn for_each_part<T: Scalar>(
        &self,
        source: &impl Entries<T>,
        is_new: bool,
        packed: &mut Packed<T>,
        mut visit: impl FnMut(usize, &mut [Chunk<T>]),
    ) {
        for columns in self.parts() {
            let (first, is_new) = (columns.start, is_new || !self.is_whole(&columns));
            visit(first, self.pack(source, columns, is_new, packed));
        }
    }

    /// The chunks of some columns, packed if they are new.
    pub(super) fn pack<'a, T: Scalar>(
        &self,
        source: &impl Entries<T>,
        columns: Range<usize>,
        is_new: bool,
        packed: &'a mut Packed<T>,
    ) -> &'a mut [Chunk<T>] {
        let Packing { groups, stride } = self.packing;
        let chunks = packed.chunks(columns.len() * stride);
        if is_new {
            for (column, chunks) in columns.zip(chunks.chunks_exact_mut(stride)) {
                let entries = chunks[..groups].as_flattened_mut();
                let (entries, padding) = entries.split_at_mut(self.rows);
                source.read(self.first, column, entries);
                padding.fill(T::zero());
            }
        }
        chunks
    }

    /// A packed entry.
    pub(super) fn entry<'a, T>(
        &self,
        chunks: &'a mut [Chunk<T>],
        row: usize,
        packed_column: usize,
    ) -> &'a mut T {
        let lane = row - self.first;
        &mut chunks[packed_column * self.packing.stride + lane / WIDTH][lane % WIDTH]
    }

    /// Writes packed columns from `first` on.
    pub(super) fn unpack<T: Scalar>(
        &self,
        target: &mut impl Target<T>,
        first: usize,
        chunks: &[Chunk<T>],
    ) {
        for (column, chunks) in (first..).zip(chunks.chunks_exact(self.packing.stride)) {
            target.write(self.first, column, &chunks.as_flattened()[..self.rows]);
        }
    }
}
