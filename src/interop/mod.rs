//! Views of the matrices of `ndarray` and `faer`, with the features of these names.
//!
//! | from | to | |
//! | --- | --- | --- |
//! | a contiguous nalgebra matrix | [`ndarray::ArrayView2`](::ndarray::ArrayView2), [`faer::MatRef`](https://docs.rs/faer/latest/faer/mat/type.MatRef.html) | a view |
//! | an `ndarray` array, row by row or column by column | [`DMatrixView`](nalgebra::DMatrixView) | a view |
//! | a `faer` matrix | [`DMatrix`](nalgebra::DMatrix) | a copy: `faer` gives slices of single columns only |
//!
//! `orthogap::ndarray` and `orthogap::faer` are the versions that these functions take.
//!
//! Every function of this crate that takes a matrix takes a view, so nothing is copied on the way
//! in. Samples are columns in every library. An array with one sample a row is transposed by
//! `.t()`, which copies nothing; bind the result to a variable, which the view borrows.

#[cfg(feature = "faer")]
mod faer;
#[cfg(feature = "ndarray")]
mod ndarray;

#[cfg(feature = "faer")]
pub use faer::{from_faer, to_faer};
#[cfg(feature = "ndarray")]
pub use ndarray::{from_ndarray, from_ndarray_mut, to_ndarray};
