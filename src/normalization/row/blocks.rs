//! Matrices cut into blocks of rows that are packed once, or chunk by chunk where rows are long.

use std::ops::Range;

use nalgebra::{DVectorView, DVectorViewMut, Dim, Matrix, RawStorage, RawStorageMut};

use super::scratch::Packed;
use crate::Scalar;
use crate::kernel::row_passes::{Chunk, Packing};
use crate::kernel::wide::WIDTH;

/// Bytes of a packed block: a share of a second-level cache.
const BLOCK_BYTES: usize = 1 << 18;
/// Rows of a block at most.
const MOST_ROWS: usize = 512;
/// Rows of a block of rows too long to be packed whole.
const ROWS_OF_CHUNKS: usize = 64;

/// Entries that passes read.
pub(in crate::normalization) trait Entries<T> {
    fn shape(&self) -> (usize, usize);

    fn get(&self, row: usize, column: usize) -> T;

    /// Copies the entries of a column from a row on.
    fn read(&self, first_row: usize, column: usize, entries: &mut [T]);
}

/// Entries whose results passes write.
pub(in crate::normalization) trait Target<T>: Entries<T> {
    /// Whether there is something to write.
    const WRITES: bool;

    /// Overwrites entries of a column from a row on.
    fn write(&mut self, first_row: usize, column: usize, entries: &[T]);
}

/// A matrix whose results are only checked.
pub(in crate::normalization) struct Checked<'a, M>(pub(in crate::normalization) &'a M);

/// A matrix that results overwrite.
pub(in crate::normalization) struct InPlace<'a, M>(pub(in crate::normalization) &'a mut M);

/// A matrix whose results overwrite another one.
pub(in crate::normalization) struct OutOfPlace<'a, M, N> {
    pub(in crate::normalization) from: &'a M,
    pub(in crate::normalization) to: &'a mut N,
}

/// Entries that are copied at once: longer copies may be made by an instruction that starts slowly.
const fn piece<T>() -> usize {
    1024 / size_of::<T>()
}

fn read<T: Scalar, R: Dim, C: Dim, S: RawStorage<T, R, C>>(
    from: &Matrix<T, R, C, S>,
    (first_row, column): (usize, usize),
    entries: &mut [T],
) {
    let rows = (first_row..).step_by(piece::<T>());
    for (row, piece) in rows.zip(entries.chunks_mut(piece::<T>())) {
        let len = piece.len();
        DVectorViewMut::from_slice(piece, len).copy_from(&from.view((row, column), (len, 1)));
    }
}

fn write<T: Scalar, R: Dim, C: Dim, S: RawStorageMut<T, R, C>>(
    to: &mut Matrix<T, R, C, S>,
    (first_row, column): (usize, usize),
    entries: &[T],
) {
    let rows = (first_row..).step_by(piece::<T>());
    for (row, piece) in rows.zip(entries.chunks(piece::<T>())) {
        let len = piece.len();
        to.view_mut((row, column), (len, 1)).copy_from(&DVectorView::from_slice(piece, len));
    }
}

macro_rules! source {
    ($type:ty, $matrix:ident => $from:expr, [$($generic:tt)*]) => {
        impl<T: Scalar, R: Dim, C: Dim, S: RawStorage<T, R, C>, $($generic)*> Entries<T> for $type {
            fn shape(&self) -> (usize, usize) {
                let $matrix = self;
                $from.shape()
            }

            fn get(&self, row: usize, column: usize) -> T {
                let $matrix = self;
                $from[(row, column)]
            }

            fn read(&self, first_row: usize, column: usize, entries: &mut [T]) {
                let $matrix = self;
                read(&$from, (first_row, column), entries);
            }
        }
    };
}

source!(Checked<'_, Matrix<T, R, C, S>>, this => *this.0, []);
source!(InPlace<'_, Matrix<T, R, C, S>>, this => *this.0, []);
source!(OutOfPlace<'_, Matrix<T, R, C, S>, N>, this => *this.from, [N]);

impl<T: Scalar, R: Dim, C: Dim, S: RawStorage<T, R, C>> Target<T>
    for Checked<'_, Matrix<T, R, C, S>>
{
    const WRITES: bool = false;

    fn write(&mut self, _: usize, _: usize, _: &[T]) {}
}

impl<T: Scalar, R: Dim, C: Dim, S: RawStorageMut<T, R, C>> Target<T>
    for InPlace<'_, Matrix<T, R, C, S>>
{
    const WRITES: bool = true;

    fn write(&mut self, first_row: usize, column: usize, entries: &[T]) {
        write(self.0, (first_row, column), entries);
    }
}

impl<T, R, C, S, R2, C2, S2> Target<T> for OutOfPlace<'_, Matrix<T, R, C, S>, Matrix<T, R2, C2, S2>>
where
    T: Scalar,
    R: Dim,
    C: Dim,
    S: RawStorage<T, R, C>,
    R2: Dim,
    C2: Dim,
    S2: RawStorageMut<T, R2, C2>,
{
    const WRITES: bool = true;

    fn write(&mut self, first_row: usize, column: usize, entries: &[T]) {
        write(self.to, (first_row, column), entries);
    }
}

/// How a matrix is cut. It decides about speed alone: every row has its own sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::normalization) struct Cut {
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
        Self { rows, columns, block_rows, some_columns }
    }

    /// The blocks, from the first row to the last.
    pub(in crate::normalization) fn blocks(self) -> impl Iterator<Item = Block> {
        (0..self.rows).step_by(self.block_rows).map(move |first| {
            let rows = self.block_rows.min(self.rows - first);
            let groups = rows.div_ceil(WIDTH);
            // An odd stride visits all sets of a cache.
            Block { cut: self, first, rows, packing: Packing { groups, stride: groups | 1 } }
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
