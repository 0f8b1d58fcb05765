//! Samples of an unknown law.

use nalgebra::{DMatrix, Dim, Matrix, RawStorage};

#[cfg(any(feature = "assignment", feature = "sinkhorn"))]
use crate::kernel::squared_distances::squared_distances;
use crate::wasserstein::RowMoments;
use crate::wasserstein::gaussian::finite_matrix;
use crate::{Result, Scalar};

/// N samples of a law on vectors of n numbers; each is a **row**.
///
/// Representations `H` are `d x n` with a column for every sample of the batch; the *row law* is
/// that of a row of `W H`, so its samples are rows and have n numbers each.
///
/// Standard errors hold for **independent** samples. The rows of one `W H` share their `H`, so they are
/// not independent: collect one row of each of many runs with [`RowLaw`](super::RowLaw).
///
/// | method | depends on | cost |
/// | --- | --- | --- |
/// | [`gelbrich`](Self::gelbrich) | means and covariances | `N n² + n³` |
/// | [`sliced`](Self::sliced) | shapes of projections, averaged | `L N (n + log N)` |
/// | [`along_axes`](Self::along_axes) | shapes of coordinates | `n N log N` |
/// | [`radial`](Self::radial) | the law of lengths | `N log N` |
/// | [`max_sliced`](Self::max_sliced) | the worst projection | a few hundred projections |
/// | [`bracket`](Self::bracket) | all of them | their sum |
///
/// ```
/// use orthogap::nalgebra::{self, dmatrix};
/// use orthogap::wasserstein::Sample;
///
/// let sample = Sample::from_rows(&dmatrix![1.0f32, 2.0; 3.0, 4.0; 5.0, 6.0])?;
/// assert_eq!((sample.count(), sample.dimension()), (3, 2));
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    centered: DMatrix<f64>,
    moments: RowMoments,
}

impl Sample {
    /// Returns the rows of an `N x n` matrix or view. Cost: one `f64` copy and `N n²`
    /// multiply-adds.
    ///
    /// # Errors
    /// [`Empty`](crate::Error::Empty), [`NotFinite`](crate::Error::NotFinite).
    pub fn from_rows<T, R, C, S>(rows: &Matrix<T, R, C, S>) -> Result<Self>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        let (moments, centered) = RowMoments::of_block(finite_matrix(rows)?)?;
        Ok(Self { centered, moments })
    }

    /// Returns the number N of samples.
    #[must_use]
    pub fn count(&self) -> usize {
        self.centered.nrows()
    }

    /// Returns the number n of numbers in a sample.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.centered.ncols()
    }

    /// Returns the first two moments.
    #[must_use]
    pub fn moments(&self) -> &RowMoments {
        &self.moments
    }

    /// The samples less their mean, `N x n`.
    pub(super) fn centered(&self) -> &DMatrix<f64> {
        &self.centered
    }

    /// The squared distances between samples of one and of the other.
    #[cfg(any(feature = "assignment", feature = "sinkhorn"))]
    pub(super) fn squared_distances(&self, other: &Self) -> DMatrix<f64> {
        // Only the difference of the means matters beside the centred samples.
        let shift = self.moments().mean_less_that_of(other.moments());
        squared_distances(self.centered(), other.centered(), &shift)
    }
}
