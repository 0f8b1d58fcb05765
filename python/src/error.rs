//! The exception class, and errors of the crate in terms of arrays whose rows are samples.

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

create_exception!(
    orthogap,
    Error,
    PyValueError,
    "The error of every operation that fails, with the values that caused it.\n\n\
     A ValueError. Arguments of wrong types raise TypeError, integers out of range OverflowError."
);

/// An error of this binding: one of the crate, or an exception that is already Python's.
pub struct Failure(PyErr);

pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self(error)
    }
}

impl From<orthogap::Error> for Failure {
    fn from(error: orthogap::Error) -> Self {
        refuse(error.to_string())
    }
}

impl From<Failure> for PyErr {
    fn from(Failure(error): Failure) -> Self {
        error
    }
}

/// The exception of this binding with a message.
pub fn refuse(message: impl Into<String>) -> Failure {
    Failure(Error::new_err(message.into()))
}

/// An error about a matrix `d x n`, in words about the array (n, d) that Python gave.
///
/// Rows and columns change places in its text.
pub fn of_batch(error: orthogap::Error) -> Failure {
    use orthogap::Error as E;
    let swap = |(rows, columns): (usize, usize)| (columns, rows);
    match error {
        E::Empty { rows, columns } => E::Empty { rows: columns, columns: rows }.into(),
        E::NotFinite { row, column, value } => {
            E::NotFinite { row: column, column: row, value }.into()
        }
        E::ZeroMatrix { rows, columns } => E::ZeroMatrix { rows: columns, columns: rows }.into(),
        E::ShapeMismatch { what, found, expected } => {
            E::ShapeMismatch { what, found: swap(found), expected: swap(expected) }.into()
        }
        E::DegenerateRow { row, value } => refuse(format!(
            "column {row} (a feature) is constantly {value:e} over the batch: \
             its normalisation needs a positive epsilon"
        )),
        E::ZeroColumn { column } => {
            refuse(format!("row {column} (a sample) is zero and has no direction"))
        }
        E::RankDeficient { rank, batch_size } => refuse(format!(
            "the {batch_size} rows (samples) are linearly dependent, of numerical rank {rank}: \
             transpose the array if its columns are samples; Gram(x) takes dependent ones"
        )),
        E::Overflow { what, row, value } => refuse(format!(
            "the {what} of column {row} (a feature), {value:e}, exceeds the range of its type"
        )),
        other => other.into(),
    }
}
