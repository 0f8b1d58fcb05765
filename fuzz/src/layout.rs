//! Matrices as views of memory that nothing else may touch or read.

use std::fmt::Debug;

use arbitrary::Arbitrary;
use nalgebra::{DMatrix, Dyn, MatrixView, MatrixViewMut};
use orthogap::Scalar;

/// How a matrix lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Arbitrary)]
pub enum Layout {
    Packed,
    /// Columns with gaps between them, as in a part of a larger matrix.
    Columns(u8),
    /// Entries with gaps between them, too.
    Entries(u8, u8),
    /// Row by row.
    Rows(u8),
}

/// A matrix in a [`Layout`], with NaN before, between and behind its entries.
#[derive(Clone, Debug)]
pub struct Held<T> {
    memory: Vec<T>,
    shape: (Dyn, Dyn),
    strides: (Dyn, Dyn),
}

const BEFORE: usize = 3;

impl Layout {
    /// Copies a matrix into this layout.
    pub fn hold<T: Scalar>(self, matrix: &DMatrix<T>) -> Held<T> {
        let (rows, columns) = matrix.shape();
        let strides = match self {
            Self::Packed => (1, rows),
            Self::Columns(gap) => (1, rows + usize::from(gap % 4)),
            Self::Entries(step, gap) => {
                let step = 1 + usize::from(step % 3);
                (step, step * rows + usize::from(gap % 4))
            }
            Self::Rows(gap) => (columns + usize::from(gap % 4), 1),
        };
        let length = strides.0 * rows + strides.1 * columns;
        let mut held = Held {
            memory: vec![T::of(f64::NAN); BEFORE + length + BEFORE],
            shape: (Dyn(rows), Dyn(columns)),
            strides: (Dyn(strides.0), Dyn(strides.1)),
        };
        held.view_mut().copy_from(matrix);
        held
    }
}

impl<T: Scalar> Held<T> {
    pub fn view(&self) -> MatrixView<'_, T, Dyn, Dyn, Dyn, Dyn> {
        let ((rows, columns), (by_row, by_column)) = (self.shape, self.strides);
        MatrixView::from_slice_with_strides_generic(
            &self.memory[BEFORE..],
            rows,
            columns,
            by_row,
            by_column,
        )
    }

    pub fn view_mut(&mut self) -> MatrixViewMut<'_, T, Dyn, Dyn, Dyn, Dyn> {
        let ((rows, columns), (by_row, by_column)) = (self.shape, self.strides);
        MatrixViewMut::from_slice_with_strides_generic(
            &mut self.memory[BEFORE..],
            rows,
            columns,
            by_row,
            by_column,
        )
    }

    /// The matrix, after checking that the memory around its entries is as it was.
    pub fn matrix(&self) -> DMatrix<T> {
        let matrix = self.view().into_owned();
        let mut rest = self.clone();
        rest.view_mut().fill(T::of(f64::NAN));
        assert!(rest.memory.iter().all(|&x| x.into().is_nan()), "written beside the view");
        matrix
    }
}
