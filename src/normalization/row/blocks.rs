//! Matrices cut into blocks of rows that are packed once, or chunk by chunk where rows are long.

use std::ops::Range;

use nalgebra::{
    DVectorView, DVectorViewMut, Dim, Dyn, Matrix, MatrixView, MatrixViewMut, RawStorage,
    RawStorageMut,
};

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

/// Entries that passes read, by their places in a matrix of which these may be a band.
pub(in crate::normalization) trait Entries<T>: Sync {
    /// Rows and columns that are here.
    fn shape(&self) -> (usize, usize);

    fn get(&self, row: usize, column: usize) -> T;

    /// Copies the entries of a column from a row on.
    fn read(&self, first_row: usize, column: usize, entries: &mut [T]);
}

/// Entries whose results passes write.
pub(in crate::normalization) trait Target<T>: Entries<T> + Send {
    /// Whether there is something to write.
    const WRITES: bool;

    /// One of two bands.
    type Half<'b>: Target<T>
    where
        Self: 'b;

    /// Overwrites entries of a column from a row on.
    fn write(&mut self, first_row: usize, column: usize, entries: &[T]);

    /// The entries before a row or a column, and those from there on.
    fn halves(&mut self, at: Place) -> [Self::Half<'_>; 2];
}

/// A place in a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::normalization) enum Place {
    Row(usize),
    Column(usize),
}

/// The place of the first entry of a band.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Origin {
    row: usize,
    column: usize,
}

impl Origin {
    /// Row and column of a band of an entry of the matrix.
    fn place(self, row: usize, column: usize) -> (usize, usize) {
        (row - self.row, column - self.column)
    }

    /// The rows, columns and origins of two bands of a band of this shape.
    fn halves(self, (rows, columns): (usize, usize), at: Place) -> [(BandRange, Self); 2] {
        match at {
            Place::Row(row) => [
                ((0..row - self.row, 0..columns), self),
                ((row - self.row..rows, 0..columns), Self { row, ..self }),
            ],
            Place::Column(column) => [
                ((0..rows, 0..column - self.column), self),
                ((0..rows, column - self.column..columns), Self { column, ..self }),
            ],
        }
    }
}

type BandRange = (Range<usize>, Range<usize>);
type View<'a, T, RS, CS> = MatrixView<'a, T, Dyn, Dyn, RS, CS>;
type ViewMut<'a, T, RS, CS> = MatrixViewMut<'a, T, Dyn, Dyn, RS, CS>;

/// A matrix whose results are only checked.
pub(in crate::normalization) struct Checked<'a, T, RS: Dim, CS: Dim> {
    from: View<'a, T, RS, CS>,
    origin: Origin,
}

/// A matrix that results overwrite.
pub(in crate::normalization) struct InPlace<'a, T, RS: Dim, CS: Dim> {
    to: ViewMut<'a, T, RS, CS>,
    origin: Origin,
}

/// A matrix whose results overwrite another one.
pub(in crate::normalization) struct OutOfPlace<'a, T, RS: Dim, CS: Dim, RS2: Dim, CS2: Dim> {
    from: View<'a, T, RS, CS>,
    to: ViewMut<'a, T, RS2, CS2>,
    origin: Origin,
}

impl<'a, T: Scalar, RS: Dim, CS: Dim> Checked<'a, T, RS, CS> {
    pub(in crate::normalization) fn new<R, C, S>(h: &'a Matrix<T, R, C, S>) -> Self
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C, RStride = RS, CStride = CS>,
    {
        Self { from: h.view((0, 0), h.shape()), origin: Origin::default() }
    }
}

impl<'a, T: Scalar, RS: Dim, CS: Dim> InPlace<'a, T, RS, CS> {
    pub(in crate::normalization) fn new<R, C, S>(h: &'a mut Matrix<T, R, C, S>) -> Self
    where
        R: Dim,
        C: Dim,
        S: RawStorageMut<T, R, C, RStride = RS, CStride = CS>,
    {
        let shape = h.shape();
        Self { to: h.view_mut((0, 0), shape), origin: Origin::default() }
    }
}

impl<'a, T: Scalar, RS: Dim, CS: Dim, RS2: Dim, CS2: Dim> OutOfPlace<'a, T, RS, CS, RS2, CS2> {
    /// Of two matrices of one shape.
    pub(in crate::normalization) fn new<R, C, S, R2, C2, S2>(
        from: &'a Matrix<T, R, C, S>,
        to: &'a mut Matrix<T, R2, C2, S2>,
    ) -> Self
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C, RStride = RS, CStride = CS>,
        R2: Dim,
        C2: Dim,
        S2: RawStorageMut<T, R2, C2, RStride = RS2, CStride = CS2>,
    {
        let shape = from.shape();
        Self {
            from: from.view((0, 0), shape),
            to: to.view_mut((0, 0), shape),
            origin: Origin::default(),
        }
    }
}

/// Entries that are copied at once: longer copies may be made by an instruction that starts slowly.
const fn piece<T>() -> usize {
    1024 / size_of::<T>()
}

fn read<T: Scalar, RS: Dim, CS: Dim>(
    from: &View<'_, T, RS, CS>,
    (first_row, column): (usize, usize),
    entries: &mut [T],
) {
    let rows = (first_row..).step_by(piece::<T>());
    for (row, piece) in rows.zip(entries.chunks_mut(piece::<T>())) {
        let len = piece.len();
        DVectorViewMut::from_slice(piece, len).copy_from(&from.view((row, column), (len, 1)));
    }
}

fn write<T: Scalar, RS: Dim, CS: Dim>(
    to: &mut ViewMut<'_, T, RS, CS>,
    (first_row, column): (usize, usize),
    entries: &[T],
) {
    let rows = (first_row..).step_by(piece::<T>());
    for (row, piece) in rows.zip(entries.chunks(piece::<T>())) {
        let len = piece.len();
        to.view_mut((row, column), (len, 1)).copy_from(&DVectorView::from_slice(piece, len));
    }
}

fn view_halves<'a, T: Scalar, RS: Dim, CS: Dim>(
    from: &'a View<'_, T, RS, CS>,
    halves: &[(BandRange, Origin); 2],
) -> [View<'a, T, RS, CS>; 2] {
    [0, 1].map(|half| {
        let (rows, columns) = &halves[half].0;
        from.view((rows.start, columns.start), (rows.len(), columns.len()))
    })
}

fn view_halves_mut<'a, T: Scalar, RS: Dim, CS: Dim>(
    to: &'a mut ViewMut<'_, T, RS, CS>,
    at: Place,
    origin: Origin,
) -> [ViewMut<'a, T, RS, CS>; 2] {
    match at {
        Place::Row(row) => {
            let (upper, lower) = to.rows_range_pair_mut(..row - origin.row, row - origin.row..);
            [upper, lower]
        }
        Place::Column(column) => {
            let column = column - origin.column;
            let (left, right) = to.columns_range_pair_mut(..column, column..);
            [left, right]
        }
    }
}

macro_rules! entries {
    ($type:ty, $from:ident, [$($generic:tt)*]) => {
        impl<T: Scalar, RS: Dim, CS: Dim, $($generic)*> Entries<T> for $type {
            fn shape(&self) -> (usize, usize) {
                self.$from.shape()
            }

            fn get(&self, row: usize, column: usize) -> T {
                self.$from[self.origin.place(row, column)]
            }

            fn read(&self, first_row: usize, column: usize, entries: &mut [T]) {
                read(&self.$from, self.origin.place(first_row, column), entries);
            }
        }
    };
}

entries!(Checked<'_, T, RS, CS>, from, []);
entries!(OutOfPlace<'_, T, RS, CS, RS2, CS2>, from, [RS2: Dim, CS2: Dim]);

impl<T: Scalar, RS: Dim, CS: Dim> Entries<T> for InPlace<'_, T, RS, CS> {
    fn shape(&self) -> (usize, usize) {
        self.to.shape()
    }

    fn get(&self, row: usize, column: usize) -> T {
        self.to[self.origin.place(row, column)]
    }

    fn read(&self, first_row: usize, column: usize, entries: &mut [T]) {
        let shape = self.to.shape();
        read(&self.to.view((0, 0), shape), self.origin.place(first_row, column), entries);
    }
}

impl<T: Scalar, RS: Dim, CS: Dim> Target<T> for Checked<'_, T, RS, CS> {
    const WRITES: bool = false;

    type Half<'b>
        = Checked<'b, T, RS, CS>
    where
        Self: 'b;

    fn write(&mut self, _: usize, _: usize, _: &[T]) {}

    fn halves(&mut self, at: Place) -> [Self::Half<'_>; 2] {
        let halves = self.origin.halves(self.from.shape(), at);
        let [a, b] = view_halves(&self.from, &halves);
        let [of_a, of_b] = halves.map(|(_, origin)| origin);
        [Checked { from: a, origin: of_a }, Checked { from: b, origin: of_b }]
    }
}

impl<T: Scalar, RS: Dim, CS: Dim> Target<T> for InPlace<'_, T, RS, CS> {
    const WRITES: bool = true;

    type Half<'b>
        = InPlace<'b, T, RS, CS>
    where
        Self: 'b;

    fn write(&mut self, first_row: usize, column: usize, entries: &[T]) {
        write(&mut self.to, self.origin.place(first_row, column), entries);
    }

    fn halves(&mut self, at: Place) -> [Self::Half<'_>; 2] {
        let [of_a, of_b] = self.origin.halves(self.to.shape(), at).map(|(_, origin)| origin);
        let [a, b] = view_halves_mut(&mut self.to, at, self.origin);
        [InPlace { to: a, origin: of_a }, InPlace { to: b, origin: of_b }]
    }
}

impl<T, RS, CS, RS2, CS2> Target<T> for OutOfPlace<'_, T, RS, CS, RS2, CS2>
where
    T: Scalar,
    RS: Dim,
    CS: Dim,
    RS2: Dim,
    CS2: Dim,
{
    const WRITES: bool = true;

    type Half<'b>
        = OutOfPlace<'b, T, RS, CS, RS2, CS2>
    where
        Self: 'b;

    fn write(&mut self, first_row: usize, column: usize, entries: &[T]) {
        write(&mut self.to, self.origin.place(first_row, column), entries);
    }

    fn halves(&mut self, at: Place) -> [Self::Half<'_>; 2] {
        let halves = self.origin.halves(self.from.shape(), at);
        let [from_a, from_b] = view_halves(&self.from, &halves);
        let [to_a, to_b] = view_halves_mut(&mut self.to, at, self.origin);
        let [of_a, of_b] = halves.map(|(_, origin)| origin);
        [
            OutOfPlace { from: from_a, to: to_a, origin: of_a },
            OutOfPlace { from: from_b, to: to_b, origin: of_b },
        ]
    }
}

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
