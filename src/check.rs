//! Refuses numbers and matrices for which an operation is not defined, by name and value.

use fearless_simd::Level;
use nalgebra::DMatrix;

use crate::{Error, Result, Scalar};

/// The value if it is `valid`, else [`Error::InvalidParameter`].
pub(crate) fn parameter(
    name: &'static str,
    value: f64,
    valid: bool,
    expected: &'static str,
) -> Result<f64> {
    if valid { Ok(value) } else { Err(Error::InvalidParameter { name, value, expected }) }
}

pub(crate) fn finite(name: &'static str, value: f64) -> Result<f64> {
    parameter(name, value, value.is_finite(), "a finite number")
}

pub(crate) fn positive(name: &'static str, value: f64) -> Result<f64> {
    parameter(name, value, value.is_finite() && value > 0.0, "a positive finite number")
}

pub(crate) fn not_negative(name: &'static str, value: f64) -> Result<f64> {
    parameter(name, value, value.is_finite() && value >= 0.0, "a finite number >= 0")
}

/// The count if it is `valid`, else [`Error::InvalidParameter`].
pub(crate) fn count(
    name: &'static str,
    count: usize,
    valid: bool,
    expected: &'static str,
) -> Result<usize> {
    parameter(name, count as f64, valid, expected).map(|_| count)
}

/// The most numbers of a matrix: more do not fit memory, and from 2^64 on the product of its sides
/// wraps, unnoticed by nalgebra.
pub(crate) const MAX_LEN: u64 = 1 << 40;

/// Refuses a shape of more than [`MAX_LEN`] numbers.
pub(crate) fn size(name: &'static str, (rows, columns): (usize, usize)) -> Result<()> {
    let valid = rows.checked_mul(columns).is_some_and(|len| len as u64 <= MAX_LEN);
    let expected = "at most 2^40 numbers in a matrix";
    parameter(name, rows as f64 * columns as f64, valid, expected).map(|_| ())
}

/// Zeros in a shape that somebody asked for.
pub(crate) fn zeros<T: Scalar>(
    name: &'static str,
    (rows, columns): (usize, usize),
) -> Result<DMatrix<T>> {
    size(name, (rows, columns))?;
    Ok(DMatrix::zeros(rows, columns))
}

/// Refuses a batch of fewer than `minimum` samples.
pub(crate) fn batch(batch_size: usize, minimum: usize) -> Result<()> {
    if batch_size < minimum {
        return Err(Error::BatchTooSmall { batch_size, minimum });
    }
    Ok(())
}

/// Refuses a matrix with an entry that is not finite.
pub(crate) fn entries<T: Scalar>(matrix: &DMatrix<T>) -> Result<()> {
    match first_not_finite(matrix) {
        None => Ok(()),
        Some((row, column, value)) => Err(Error::NotFinite { row, column, value }),
    }
}

/// Row, column and value of the first entry that is not finite.
pub(crate) fn first_not_finite<T: Scalar>(matrix: &DMatrix<T>) -> Option<(usize, usize, f64)> {
    if T::all_finite(Level::new(), matrix.as_slice()) {
        return None;
    }
    let index = matrix.iter().position(|entry| !entry.is_finite())?;
    let (row, column) = matrix.vector_to_matrix_index(index);
    Some((row, column, matrix[index].into()))
}
