//! Statistics of one row (a neuron over the batch) and the affine map that normalises it.

use nalgebra::{Dim, Matrix, RawStorage};

use crate::scalar::exponent;
use crate::{Error, Result, Scalar};

/// An affine map of the entries of one row.
pub(super) struct RowMap {
    pub(super) unit: f64,
    pub(super) mean: f64,
    pub(super) divisor: f64,
}

impl RowMap {
    pub(super) fn apply(&self, value: f64) -> f64 {
        (value * self.unit - self.mean) / self.divisor
    }
}

/// Statistics of one row, in `f64`.
pub(super) struct Row {
    pub(super) first: f64,
    pub(super) len: usize,
    /// The entries are multiplied by this power of two before the sums below are taken: 1 unless
    /// their squares could over- or underflow.
    pub(super) unit: f64,
    pub(super) mean: f64,
    pub(super) squares: f64,
    /// Exactly zero for a constant row.
    pub(super) squares_about_mean: f64,
}

impl Row {
    /// Reads row `row` of a matrix that has columns.
    pub(super) fn of<T, R, C, S>(h: &Matrix<T, R, C, S>, row: usize) -> Result<Self>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        let len = h.ncols();
        let mut largest = 0.0f64;
        for column in 0..len {
            let value: f64 = h[(row, column)].into();
            if !value.is_finite() {
                return Err(Error::NotFinite { row, column, value });
            }
            largest = largest.max(value.abs());
        }
        let magnitude = exponent(largest);
        let unit = if magnitude.abs() > 400 { 2f64.powi(-magnitude) } else { 1.0 };
        let entry = |column: usize| -> f64 { h[(row, column)].into() * unit };
        // Differences to the first entry are exact where cancellation threatens.
        let first = entry(0);
        let (mut shift, mut squares, mut squares_about_mean) = (0.0, 0.0, 0.0);
        for column in 0..len {
            shift += entry(column) - first;
            squares += entry(column).powi(2);
        }
        shift /= len as f64;
        for column in 0..len {
            squares_about_mean += (entry(column) - first - shift).powi(2);
        }
        Ok(Self {
            first: first / unit,
            len,
            unit,
            mean: first + shift,
            squares,
            squares_about_mean,
        })
    }

    /// The mean of the entries.
    pub(super) fn mean(&self) -> f64 {
        self.mean / self.unit
    }

    /// The unbiased variance of the entries.
    pub(super) fn unbiased_variance(&self) -> f64 {
        self.squares_about_mean / (self.len - 1) as f64 / self.unit / self.unit
    }
}
