//! Mean and covariance of a stream of rows.

use nalgebra::{DMatrix, DVector, Dim, Matrix, RawStorage};

use crate::statistics::SplitMean;
use crate::statistics::countable;
use crate::wasserstein::gaussian::{finite_matrix, in_range};
use crate::{Error, Result, Scalar};

/// The first two moments of rows of n numbers, in `O(n²)` memory for any number of rows; mergeable
/// in any grouping.
///
/// Samples are **rows** here: the rows of `W H` are the samples of the row law.
///
/// ```
/// use orthogap::nalgebra::{self, dmatrix, dvector};
/// use orthogap::wasserstein::RowMoments;
///
/// let mut moments = RowMoments::new(2)?;
/// moments.push_rows(&dmatrix![1.0, 0.0; 3.0, 4.0])?; // two samples of two numbers
/// let mut third = RowMoments::new(2)?;
/// third.push_rows(&dmatrix![2.0f32, 2.0])?;
/// moments.merge(&third)?;
/// assert_eq!((moments.count(), moments.mean()), (3, &dvector![2.0, 2.0]));
/// let variance = 2.0 / 3.0; // divisor N
/// assert!((moments.covariance()[(0, 0)] - variance).abs() < 1e-15);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RowMoments {
    count: u64,
    /// The higher parts of the means, and the lower ones (see [`SplitMean`]).
    mean: DVector<f64>,
    lower_mean: DVector<f64>,
    /// The sum of products of deviations from the mean.
    scatter: DMatrix<f64>,
}

impl RowMoments {
    /// Creates the moments of no rows of `dimension` numbers.
    ///
    /// # Errors
    /// [`Error::Empty`] in dimension 0.
    pub fn new(dimension: usize) -> Result<Self> {
        if dimension == 0 {
            return Err(Error::Empty { rows: 0, columns: 0 });
        }
        let (mean, scatter) = (DVector::zeros(dimension), DMatrix::zeros(dimension, dimension));
        Ok(Self { count: 0, lower_mean: mean.clone(), mean, scatter })
    }

    /// Adds the rows of an `N x n` matrix or view.
    ///
    /// Cost: `N n²` multiply-adds and a copy; pass some hundred rows at a time.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`], [`Error::ShapeMismatch`] unless rows have n numbers,
    /// [`Error::InvalidParameter`] where sums of squares would overflow, and for more than 2^53
    /// rows in all.
    pub fn push_rows<T, R, C, S>(&mut self, rows: &Matrix<T, R, C, S>) -> Result<()>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        self.check_columns("the block of rows", rows.nrows(), rows.ncols())?;
        self.merge(&Self::of_block(finite_matrix(rows)?)?.0)
    }

    /// The moments of a block of rows, and the rows less their mean.
    pub(super) fn of_block(mut rows: DMatrix<f64>) -> Result<(Self, DMatrix<f64>)> {
        let means: Vec<SplitMean> = rows
            .column_iter_mut()
            .map(|mut column| SplitMean::subtract(column.as_mut_slice()))
            .collect();
        let [mean, lower_mean] = parts(&means);
        let scatter = rows.tr_mul(&rows);
        in_range("sum of squares of the rows", scatter.trace() + mean.norm_squared())?;
        Ok((Self { count: rows.nrows() as u64, mean, lower_mean, scatter }, rows))
    }

    /// Adds all rows of `other`.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless the dimensions are equal, [`Error::InvalidParameter`] for
    /// more than 2^53 rows in all.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.check_columns("the mean of the moments", 1, other.dimension())?;
        if other.count == 0 {
            return Ok(());
        }
        if self.count == 0 {
            self.clone_from(other);
            return Ok(());
        }
        let count = countable(self.count.saturating_add(other.count))?;
        let share = other.count as f64 / count as f64;
        let difference = other.mean_less_that_of(self);
        self.scatter += &other.scatter;
        self.scatter.ger(self.count as f64 * share, &difference, &difference, 1.0);
        let means: Vec<SplitMean> = self
            .split_means()
            .zip(&difference)
            .map(|(mean, difference)| mean.shifted(share * difference))
            .collect();
        [self.mean, self.lower_mean] = parts(&means);
        self.count = count;
        Ok(())
    }

    /// Refuses what has another dimension than the rows.
    pub(super) fn check_dimension(&self, what: &'static str, dimension: usize) -> Result<()> {
        let (found, expected) = ((dimension, 1), (self.dimension(), 1));
        if found == expected { Ok(()) } else { Err(Error::ShapeMismatch { what, found, expected }) }
    }

    /// Refuses a matrix with another number of columns.
    fn check_columns(&self, what: &'static str, rows: usize, columns: usize) -> Result<()> {
        let (found, expected) = ((rows, columns), (rows, self.dimension()));
        if found == expected { Ok(()) } else { Err(Error::ShapeMismatch { what, found, expected }) }
    }

    /// Returns the number n of numbers in a row.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.mean.len()
    }

    /// Returns the number N of rows so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the mean of the rows, rounded; zero if there were none.
    ///
    /// Distances use it before rounding, so rows far from zero lose no digits.
    #[must_use]
    pub fn mean(&self) -> &DVector<f64> {
        &self.mean
    }

    /// The mean less a vector, before rounding.
    pub(super) fn mean_less(&self, origin: &DVector<f64>) -> DVector<f64> {
        let differences =
            self.split_means().zip(origin).map(|(mean, &origin)| -mean.deviation(origin));
        DVector::from_iterator(self.dimension(), differences)
    }

    /// The mean less that of others, before rounding.
    pub(super) fn mean_less_that_of(&self, other: &Self) -> DVector<f64> {
        let pairs = self.split_means().zip(other.split_means());
        DVector::from_iterator(self.dimension(), pairs.map(|(mean, other)| mean.minus(other)))
    }

    fn split_means(&self) -> impl Iterator<Item = SplitMean> + '_ {
        let parts = self.mean.iter().zip(&self.lower_mean);
        parts.map(|(&high, &low)| SplitMean { high, low })
    }

    /// Returns the covariance of the empirical law (`n x n`, divisor N); zero if there were no
    /// rows.
    #[must_use]
    pub fn covariance(&self) -> DMatrix<f64> {
        &self.scatter / self.count.max(1) as f64
    }
}

/// The higher and the lower parts of means.
fn parts(means: &[SplitMean]) -> [DVector<f64>; 2] {
    let part =
        |of: fn(&SplitMean) -> f64| DVector::from_iterator(means.len(), means.iter().map(of));
    [part(|mean| mean.high), part(|mean| mean.low)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    /// One row, equal rows, one number a row, at scales whose squares barely are numbers.
    #[test]
    fn corners_have_no_scale() {
        for (count, n, step) in [(1, 1, 1.0), (1, 3, 1.0), (5, 1, 0.0), (5, 3, 0.0), (6, 2, 1.0)] {
            for scale in [1e-160, 1e-100, 1.0, 1e100, 1e148] {
                let entry = |i: usize, j: usize| 3.0 + step * ((2 * i + 5 * j) % 7) as f64;
                let rows = DMatrix::from_fn(count, n, |i, j| entry(i, j) * scale);
                let mut moments = RowMoments::new(n).unwrap();
                for row in 0..count {
                    moments.push_rows(&rows.rows(row, 1)).unwrap();
                    moments.merge(&RowMoments::new(n).unwrap()).unwrap();
                }
                let mean = |j: usize| (0..count).map(|i| entry(i, j)).sum::<f64>() / count as f64;
                // Squares of the smallest numbers have few digits left.
                let tolerance = if scale == 1e-160 { 1e-3 } else { 1e-14 };
                for j in 0..n {
                    assert_relative_eq!(moments.mean()[j] / scale, mean(j), max_relative = 1e-15);
                    for k in 0..n {
                        let product = |i| (entry(i, j) - mean(j)) * (entry(i, k) - mean(k));
                        let naive = (0..count).map(product).sum::<f64>() / count as f64;
                        let found = moments.covariance()[(j, k)] / scale / scale;
                        assert!((found - naive).abs() <= 10.0 * tolerance, "{found} {naive}");
                        assert!(step != 0.0 || found == 0.0);
                    }
                }
            }
        }
    }

    #[test]
    fn any_grouping_gives_the_moments_of_all_rows() {
        let offset = 1e15;
        let number = |i: usize, j: usize| ((7 * i + 3 * j) % 11) as f64;
        let rows = DMatrix::from_fn(40, 3, |i, j| offset + number(i, j));
        let mut whole = RowMoments::new(3).unwrap();
        whole.push_rows(&rows).unwrap();
        let mut parts = RowMoments::new(3).unwrap();
        for (start, size) in [(0, 1), (1, 20), (21, 19)] {
            parts.push_rows(&rows.rows(start, size)).unwrap();
        }
        let mean = |j: usize| (0..40).map(|i| number(i, j)).sum::<f64>() / 40.0;
        let naive = DMatrix::from_fn(3, 3, |j, k| {
            let product = |i: usize| (number(i, j) - mean(j)) * (number(i, k) - mean(k));
            (0..40).map(product).sum::<f64>() / 40.0
        });
        for moments in [whole, parts] {
            assert_eq!(moments.count(), 40);
            assert_relative_eq!(moments.covariance(), naive, max_relative = 1e-14);
            let means = moments.mean_less(&DVector::from_element(3, offset));
            assert_relative_eq!(means, DVector::from_fn(3, |j, _| mean(j)), max_relative = 1e-14);
        }
        let mut other = RowMoments::new(2).unwrap();
        assert!(
            other.push_rows(&rows).is_err() && other.merge(&RowMoments::new(3).unwrap()).is_err()
        );
    }
}
