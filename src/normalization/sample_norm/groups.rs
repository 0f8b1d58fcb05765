//! The groups of features of each sample, and what is done to them.

use std::ops::Range;

use fearless_simd::Level;
use nalgebra::DMatrix;

use crate::normalization::batch_norm::BatchNorm;
use crate::normalization::row::column::{normalize_column, pull_back_column};
use crate::normalization::row::entries::{Entries, Place, Target};
use crate::normalization::row::pass::{Parts, Pass};
use crate::normalization::row::scratch::Scratch;
use crate::parallel::WORTH_HALVING;
use crate::{Error, Result, Scalar};

/// The groups of some samples.
#[derive(Clone)]
pub(super) struct Groups {
    pub(super) rows: usize,
    pub(super) columns: Range<usize>,
    /// Features of a group.
    pub(super) channels: usize,
    /// Columns of a sample.
    pub(super) pixels: usize,
}

impl Parts for Groups {
    type Part = Group;

    fn each(&self) -> impl Iterator<Item = Group> {
        let Self { rows, channels, pixels, .. } = *self;
        self.columns.clone().step_by(pixels).flat_map(move |column| {
            (0..rows).step_by(channels).map(move |row| Group { row, column, channels, pixels })
        })
    }

    fn halves(&self) -> Option<(Place, [Self; 2])> {
        let samples = self.columns.len() / self.pixels;
        (samples > 1 && self.rows * self.columns.len() >= WORTH_HALVING).then(|| {
            let middle = self.columns.start + samples / 2 * self.pixels;
            let left = Self { columns: self.columns.start..middle, ..self.clone() };
            let right = Self { columns: middle..self.columns.end, ..self.clone() };
            (Place::Column(middle), [left, right])
        })
    }
}

/// Some channels of all pixels of a sample, laid out as a row for the operator.
#[derive(Clone, Copy)]
pub(super) struct Group {
    /// The first entry.
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) channels: usize,
    pub(super) pixels: usize,
}

impl Group {
    /// Where the `k`-th entry of the row stands.
    pub(super) fn position(self, k: usize) -> (usize, usize) {
        (self.row + k % self.channels, self.column + k / self.channels)
    }

    /// How many entries it has.
    pub(super) fn len(self) -> usize {
        self.channels * self.pixels
    }

    pub(super) fn pack<'a, T: Scalar>(
        self,
        from: &impl Entries<T>,
        numbers: &'a mut [T],
    ) -> &'a mut [T] {
        for (column, numbers) in (self.column..).zip(numbers.chunks_exact_mut(self.channels)) {
            from.read(self.row, column, numbers);
        }
        numbers
    }

    pub(super) fn unpack<T: Scalar>(self, numbers: &[T], to: &mut impl Target<T>) {
        for (column, numbers) in (self.column..).zip(numbers.chunks_exact(self.channels)) {
            to.write(self.row, column, numbers);
        }
    }

    /// An error of the row, with its place in the matrix.
    pub(super) fn locate(self, error: Error) -> Error {
        match error {
            Error::NotFinite { column, value, .. } => {
                let (row, column) = self.position(column);
                Error::NotFinite { row, column, value }
            }
            Error::DegenerateRow { value, .. } => {
                Error::DegenerateSample { sample: self.column / self.pixels, value }
            }
            Error::Overflow { what, value, .. } => Error::Overflow { what, row: self.row, value },
            other => other,
        }
    }
}

/// Normalises every group.
pub(super) struct Normalize<'a> {
    pub(super) operator: &'a BatchNorm,
    pub(super) level: Level,
}

impl<T: Scalar> Pass<T, Groups> for Normalize<'_> {
    fn visit<E: Target<T>>(
        &self,
        entries: &mut E,
        group: &Group,
        scratch: &mut Scratch<T>,
    ) -> Result<()> {
        let numbers = group.pack(entries, scratch.column(group.len()));
        if !normalize_column(self.level, self.operator, numbers) {
            let mut row = DMatrix::from_row_slice(1, numbers.len(), numbers);
            self.operator.normalize_rows(&mut row).map_err(|error| group.locate(error))?;
            numbers.copy_from_slice(row.as_slice());
        }
        group.unpack(numbers, entries);
        Ok(())
    }
}

/// Pulls the gradient of every group back.
pub(super) struct PullBack<'a, H> {
    pub(super) operator: &'a BatchNorm,
    pub(super) level: Level,
    pub(super) h: &'a H,
}

impl<T: Scalar, H: Entries<T>> Pass<T, Groups> for PullBack<'_, H> {
    fn visit<E: Target<T>>(
        &self,
        gradient: &mut E,
        group: &Group,
        scratch: &mut Scratch<T>,
    ) -> Result<()> {
        let [numbers, pulls] = scratch.two_columns(group.len());
        group.pack(self.h, numbers);
        group.pack(gradient, pulls);
        if !pull_back_column(self.level, self.operator, numbers, pulls) {
            let row = |numbers| DMatrix::from_row_slice(1, group.len(), numbers);
            let mut pulled = row(pulls);
            self.operator
                .pull_back_rows(&row(numbers), &mut pulled)
                .map_err(|error| group.locate(error))?;
            pulls.copy_from_slice(pulled.as_slice());
        }
        group.unpack(pulls, gradient);
        Ok(())
    }
}
