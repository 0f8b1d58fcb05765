//! What is measured: methods of [`Gram`], and functions of a bare matrix for everything else.
//!
//! All of them are independent of the scale of `H`, and all of them but the cosines are invariant
//! under rotations of the neurons and of the samples.

mod angle;
mod growth;
mod orthogonality;
mod spectrum;

use nalgebra::{Dim, Matrix, RawStorage};

pub use growth::Growth;
pub use orthogonality::{gap_floor, orthogonality_gap};
pub use spectrum::{MinSingularValue, Spectrum};

use crate::{Gram, Result, Scalar};

/// Functions of a matrix `H` (`d x n`) that measure its Gram matrix.
macro_rules! on_columns {
    ($($(#[$summary:meta])* $name:ident;)*) => {$(
        $(#[$summary])*
        ///
        /// `h` is `d x n`, samples are columns; any nalgebra matrix or view. To measure several
        /// quantities of one matrix, factor it once with [`Gram::from_columns`].
        ///
        /// # Errors
        /// Those of [`Gram::from_columns`].
        pub fn $name<T, R, C, S>(h: &Matrix<T, R, C, S>) -> Result<f64>
        where
            T: Scalar,
            R: Dim,
            C: Dim,
            S: RawStorage<T, R, C>,
        {
            Ok(Gram::from_columns(h)?.$name())
        }
    )*};
}

on_columns! {
    /// [`Gram::lyapunov`] of the columns of a matrix.
    lyapunov;
    /// [`Gram::isometry_gap`] of the columns of a matrix.
    isometry_gap;
    /// [`Gram::min_singular_value`] of the columns of a matrix.
    min_singular_value;
    /// [`Gram::condition_number`] of the columns of a matrix.
    condition_number;
    /// [`Gram::stable_rank`] of the columns of a matrix.
    stable_rank;
    /// [`Gram::participation_ratio`] of the columns of a matrix.
    participation_ratio;
    /// [`Gram::effective_rank`] of the columns of a matrix.
    effective_rank;
    /// [`Gram::coupling_bound`] of the columns of a matrix.
    coupling_bound;
}
