//! Entries of matrices, or of bands of them, as passes read and write them.

use nalgebra::{
    DVectorView, DVectorViewMut, Dim, Dyn, Matrix, MatrixView, MatrixViewMut, RawStorage,
    RawStorageMut,
};

use crate::Scalar;

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

    /// The origins of the bands before a place and from there on.
    fn halves(self, at: Place) -> [Self; 2] {
        let second = match at {
            Place::Row(row) => Self { row, ..self },
            Place::Column(column) => Self { column, ..self },
        };
        [self, second]
    }
}

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

fn read<T: Scalar, S: RawStorage<T, Dyn, Dyn>>(
    from: &Matrix<T, Dyn, Dyn, S>,
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

/// The views before a place and from there on, of a band with this origin.
fn view_halves<'a, T: Scalar, RS: Dim, CS: Dim>(
    from: &'a View<'_, T, RS, CS>,
    origin: Origin,
    at: Place,
) -> [View<'a, T, RS, CS>; 2] {
    match at {
        Place::Row(row) => {
            let row = row - origin.row;
            from.rows_range_pair(..row, row..).into()
        }
        Place::Column(column) => {
            let column = column - origin.column;
            from.columns_range_pair(..column, column..).into()
        }
    }
}

fn view_halves_mut<'a, T: Scalar, RS: Dim, CS: Dim>(
    to: &'a mut ViewMut<'_, T, RS, CS>,
    origin: Origin,
    at: Place,
) -> [ViewMut<'a, T, RS, CS>; 2] {
    match at {
        Place::Row(row) => {
            let row = row - origin.row;
            to.rows_range_pair_mut(..row, row..).into()
        }
        Place::Column(column) => {
            let column = column - origin.column;
            to.columns_range_pair_mut(..column, column..).into()
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
entries!(InPlace<'_, T, RS, CS>, to, []);
entries!(OutOfPlace<'_, T, RS, CS, RS2, CS2>, from, [RS2: Dim, CS2: Dim]);

impl<T: Scalar, RS: Dim, CS: Dim> Target<T> for Checked<'_, T, RS, CS> {
    const WRITES: bool = false;

    type Half<'b>
        = Checked<'b, T, RS, CS>
    where
        Self: 'b;

    fn write(&mut self, _: usize, _: usize, _: &[T]) {}

    fn halves(&mut self, at: Place) -> [Self::Half<'_>; 2] {
        let [of_a, of_b] = self.origin.halves(at);
        let [a, b] = view_halves(&self.from, self.origin, at);
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
        let [of_a, of_b] = self.origin.halves(at);
        let [a, b] = view_halves_mut(&mut self.to, self.origin, at);
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
        let [of_a, of_b] = self.origin.halves(at);
        let [from_a, from_b] = view_halves(&self.from, self.origin, at);
        let [to_a, to_b] = view_halves_mut(&mut self.to, self.origin, at);
        [
            OutOfPlace { from: from_a, to: to_a, origin: of_a },
            OutOfPlace { from: from_b, to: to_b, origin: of_b },
        ]
    }
}
