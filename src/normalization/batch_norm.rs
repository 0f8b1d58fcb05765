//! The batch normalisation operator, of the paper and of the frameworks.

use nalgebra::{
    DefaultAllocator, Dim, Matrix, OMatrix, RawStorage, RawStorageMut, allocator::Allocator,
};

use super::row::entries::{Checked, InPlace, OutOfPlace};
use super::row::forward::normalize;
use super::row::pullback::pull_back;
use super::row::{Row, RowMap};
use super::shape::{owned, same_shape};
use crate::check;
use crate::kernel::row_maps::Rule;
use crate::serialization::deserialize_checked;
use crate::statistics::SplitMean;
use crate::{Error, Result, Scalar};

/// Whether rows are centred over the batch before they are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Centering {
    /// Rows keep their mean (the paper).
    None,
    /// The mean over the batch is subtracted from every row (frameworks).
    Batch,
}

/// The length that normalised rows have.
///
/// It matters if the next operation is not homogeneous, such as tanh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RowScale {
    /// Euclidean norm one over the batch (the paper).
    UnitNorm,
    /// Root mean square one, so Euclidean norm sqrt(n) (frameworks).
    UnitRms,
}

/// Batch normalisation: every row (one neuron over the batch) of a `d x n` matrix is scaled.
///
/// ```math
/// u = \rho \, \frac{y - m}{\sqrt{\lVert y - m \rVert^2 + n \epsilon}}
/// ```
///
/// | | mean `m` | epsilon | $`\rho`$ |
/// | --- | --- | --- | --- |
/// | [`BatchNorm::paper`] | 0 | 0 | 1: unit Euclidean norm |
/// | [`BatchNorm::standard`] | mean of the row | as given | $`\sqrt n`$: unit root mean square |
///
/// The operator has no parameters and no memory; [`TrainableBatchNorm`](super::TrainableBatchNorm)
/// adds scale, shift and running statistics.
///
/// ```
/// use orthogap::approx::assert_relative_eq;
/// use orthogap::nalgebra::{self, dmatrix};
/// use orthogap::normalization::BatchNorm;
///
/// // Two neurons, two samples: each row to unit norm.
/// let h = dmatrix![3.0, 4.0; -5.0, 12.0];
/// let expected = dmatrix![0.6, 0.8; -5.0 / 13.0, 12.0 / 13.0];
/// assert_relative_eq!(BatchNorm::paper().normalize(&h)?, expected, epsilon = 1e-15);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BatchNorm {
    centering: Centering,
    epsilon: f64,
    row_scale: RowScale,
}

impl BatchNorm {
    /// Returns the operator of the paper, $`\mathrm{diag}(M M^\top)^{-1/2} M`$: no centring, no
    /// epsilon, unit row norm.
    #[must_use]
    pub fn paper() -> Self {
        Self { centering: Centering::None, epsilon: 0.0, row_scale: RowScale::UnitNorm }
    }

    /// Returns the operator of the frameworks: rows are centred and divided by
    /// sqrt(variance + `epsilon`); `epsilon` is in the units of a variance (PyTorch: 1e-5).
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::normalization::BatchNorm;
    ///
    /// let normalized = BatchNorm::standard(0.0)?.normalize(&dmatrix![1.0, 3.0])?;
    /// assert_eq!(normalized, dmatrix![-1.0, 1.0]);
    /// assert!(BatchNorm::standard(-1e-5).is_err());
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if `epsilon` is negative or not finite.
    pub fn standard(epsilon: f64) -> Result<Self> {
        Self { centering: Centering::Batch, epsilon: 0.0, row_scale: RowScale::UnitRms }
            .with_epsilon(epsilon)
    }

    /// Sets epsilon.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if `epsilon` is negative or not finite.
    pub fn with_epsilon(self, epsilon: f64) -> Result<Self> {
        Ok(Self { epsilon: check::not_negative("epsilon", epsilon)?, ..self })
    }

    /// Sets whether rows are centred.
    #[must_use]
    pub fn with_centering(self, centering: Centering) -> Self {
        Self { centering, ..self }
    }

    /// Sets the length of the normalised rows.
    #[must_use]
    pub fn with_row_scale(self, row_scale: RowScale) -> Self {
        Self { row_scale, ..self }
    }

    /// Returns whether rows are centred.
    #[must_use]
    pub fn centering(&self) -> Centering {
        self.centering
    }

    /// Returns the number added to the variance.
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        self.epsilon
    }

    /// Returns the length of normalised rows.
    #[must_use]
    pub fn row_scale(&self) -> RowScale {
        self.row_scale
    }

    /// Normalises `h` (`d x n`) in place.
    ///
    /// Sums are taken in `f64`, and relative to the largest entry of a row where they would over-
    /// or underflow. The result of a row depends on its entries alone. Cost: `O(d n)`. `h` is read
    /// twice, the first time to check it; rows too long to be packed whole (see below) are read up
    /// to five times. On an error `h` is left as it was.
    ///
    /// From half a million entries on, the threads of the current rayon pool share the rows; bits
    /// do not depend on them. A share has at least 64 rows if rows are packed part by part (see
    /// below), so one thread normalises up to 64 channels of large images.
    ///
    /// Any view is accepted. Blocks of rows are copied to packed memory first, which is fastest
    /// where the entries of a column are adjacent, as they are in a matrix and its parts. Rows of
    /// more than 2048 entries (4096 in `f32`) are packed part by part. Each thread keeps the packed
    /// memory, less than half a mebibyte, for the next call.
    ///
    /// ```
    /// use orthogap::nalgebra::Matrix3;
    /// use orthogap::normalization::BatchNorm;
    ///
    /// let mut h = Matrix3::new(1e200, 0.0, 0.0, 0.0, 1e-200, 0.0, 7.0, 8.0, 9.0);
    /// BatchNorm::paper().normalize_mut(&mut h.rows_mut(0, 2))?; // a view: the last row stays
    /// assert_eq!(h, Matrix3::new(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 7.0, 8.0, 9.0));
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`]; [`Error::DegenerateRow`] for a row that is zero, or
    /// constant if rows are centred, unless epsilon is positive (it then becomes zero);
    /// [`Error::BatchTooSmall`] for a centred batch of one.
    pub fn normalize_mut<T, R, C, S>(&self, h: &mut Matrix<T, R, C, S>) -> Result<()>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorageMut<T, R, C>,
    {
        self.check(h)?;
        self.normalize_rows(h)
    }

    /// [`normalize_mut`](Self::normalize_mut) of a matrix that an error may leave half done.
    pub(crate) fn normalize_rows<T, R, C, S>(&self, h: &mut Matrix<T, R, C, S>) -> Result<()>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorageMut<T, R, C>,
    {
        normalize(self, &mut InPlace::new(h))
    }

    /// Normalises `h` into `output`, a matrix or view of the same shape; see
    /// [`normalize_mut`](Self::normalize_mut).
    ///
    /// Reads `h` once, or up to three times if rows are too long to be packed whole. An error may
    /// leave `output` half written.
    ///
    /// # Errors
    /// Those of [`normalize_mut`](Self::normalize_mut), and [`Error::ShapeMismatch`].
    pub fn normalize_to<T, R, C, S, R2, C2, S2>(
        &self,
        h: &Matrix<T, R, C, S>,
        output: &mut Matrix<T, R2, C2, S2>,
    ) -> Result<()>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
        R2: Dim,
        C2: Dim,
        S2: RawStorageMut<T, R2, C2>,
    {
        same_shape("output", output.shape(), h.shape())?;
        self.check_batch(h.shape())?;
        normalize(self, &mut OutOfPlace::new(h, output))
    }

    /// Returns the normalised matrix, newly allocated.
    ///
    /// # Errors
    /// Those of [`normalize_mut`](Self::normalize_mut).
    pub fn normalize<T, R, C, S>(&self, h: &Matrix<T, R, C, S>) -> Result<OMatrix<T, R, C>>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
        DefaultAllocator: Allocator<R, C>,
    {
        let (rows, columns) = h.shape_generic();
        let mut output = OMatrix::zeros_generic(rows, columns);
        self.normalize_to(h, &mut output)?;
        Ok(output)
    }

    /// Pulls a gradient back at `h`: replaces the gradient of a loss with respect to the normalised
    /// matrix by the gradient with respect to `h`, both `d x n`.
    ///
    /// Let `D` be the divisor of a row, so that $`u = (y - m)/D`$. Then
    ///
    /// ```math
    /// \nabla_y = \frac1D \left(g - \mathrm{mean}(g) - \frac{u \cdot g}{\rho^2} \, u\right).
    /// ```
    ///
    /// The term mean(g) is left out unless rows are centred. Without epsilon the result scales
    /// inversely with the norm of a row and has no component along it. Sums and blocks are those of
    /// [`normalize_mut`](Self::normalize_mut). Cost: `O(d n)`. Both matrices are read once, or up
    /// to three times if rows have more than 1024 entries (2048 in `f32`). An error may leave the
    /// gradient half done.
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::normalization::BatchNorm;
    ///
    /// // On the circle through (3, 4) only the part along (-4, 3) moves a unit vector.
    /// let (h, mut gradient) = (dmatrix![3.0, 4.0], dmatrix![-4.0, 3.0] + dmatrix![3.0, 4.0]);
    /// BatchNorm::paper().pullback_mut(&h, &mut gradient)?;
    /// assert!((gradient - dmatrix![-0.8, 0.6]).amax() < 1e-15);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`normalize_mut`](Self::normalize_mut), also [`Error::NotFinite`] of the gradient;
    /// [`Error::ShapeMismatch`]; [`Error::Overflow`] where rows are so small that the result
    /// exceeds the range of `T`.
    pub fn pullback_mut<T, R, C, S, R2, C2, S2>(
        &self,
        h: &Matrix<T, R, C, S>,
        gradient: &mut Matrix<T, R2, C2, S2>,
    ) -> Result<()>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
        R2: Dim,
        C2: Dim,
        S2: RawStorageMut<T, R2, C2>,
    {
        same_shape("the gradient", gradient.shape(), h.shape())?;
        self.check_batch(h.shape())?;
        self.pull_back_rows(h, gradient)
    }

    /// Returns the [`pullback_mut`](Self::pullback_mut) of a gradient, newly allocated.
    ///
    /// # Errors
    /// Those of [`pullback_mut`](Self::pullback_mut).
    pub fn pullback<T, R, C, S, R2, C2, S2>(
        &self,
        h: &Matrix<T, R, C, S>,
        gradient: &Matrix<T, R2, C2, S2>,
    ) -> Result<OMatrix<T, R2, C2>>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
        R2: Dim,
        C2: Dim,
        S2: RawStorage<T, R2, C2>,
        DefaultAllocator: Allocator<R2, C2>,
    {
        let mut output = owned(gradient);
        self.pullback_mut(h, &mut output)?;
        Ok(output)
    }

    /// [`pullback_mut`](Self::pullback_mut) of matrices of one shape.
    pub(super) fn pull_back_rows<T, R, C, S, R2, C2, S2>(
        &self,
        h: &Matrix<T, R, C, S>,
        gradient: &mut Matrix<T, R2, C2, S2>,
    ) -> Result<()>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
        R2: Dim,
        C2: Dim,
        S2: RawStorageMut<T, R2, C2>,
    {
        pull_back(self, &Checked::new(h), &mut InPlace::new(gradient))
    }

    /// Refuses a matrix with a row that cannot be normalised, before anything is written.
    fn check<T, R, C, S>(&self, h: &Matrix<T, R, C, S>) -> Result<()>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        self.check_batch(h.shape())?;
        normalize(self, &mut Checked::new(h))
    }

    /// Refuses a shape without rows to normalise.
    pub(super) fn check_batch(&self, (rows, columns): (usize, usize)) -> Result<()> {
        if rows == 0 || columns == 0 {
            return Err(Error::Empty { rows, columns });
        }
        if columns == 1 && self.centering == Centering::Batch {
            return Err(Error::BatchTooSmall { batch_size: 1, minimum: 2 });
        }
        Ok(())
    }

    /// The affine map that normalises a row.
    pub(super) fn row_map(&self, statistics: &Row, row: usize) -> Result<RowMap> {
        let squares = match self.centering {
            Centering::None => statistics.squares,
            Centering::Batch => statistics.squares_about_mean,
        };
        if squares == 0.0 && self.epsilon == 0.0 {
            return Err(Error::DegenerateRow { row, value: statistics.first });
        }
        let n = statistics.len as f64;
        let (share, unit) = (self.share(statistics.len), statistics.unit);
        let (mean, epsilon) =
            (self.subtracted(statistics.mean), self.epsilon.sqrt() * (n / share).sqrt());
        // Where epsilon alone divides, it may be out of range in the unit of the row.
        if squares == 0.0 || epsilon * unit == f64::INFINITY {
            let mean = SplitMean { high: mean.high / unit, low: mean.low / unit };
            return Ok(RowMap { unit: 1.0, mean, divisor: epsilon });
        }
        let divisor = (squares / share).sqrt().hypot(epsilon * unit);
        Ok(RowMap { unit, mean, divisor })
    }

    /// The same for the kernels.
    pub(super) fn rule(&self, n: usize) -> Rule {
        let (len, share) = (n as f64, self.share(n));
        Rule {
            is_centered: self.centering == Centering::Batch,
            len,
            share,
            epsilon: self.epsilon * len / share,
            largest: f64::MAX,
            largest_variance: f64::MAX,
        }
    }

    /// What is subtracted from a row of this mean.
    pub(super) fn subtracted(&self, mean: SplitMean) -> SplitMean {
        match self.centering {
            Centering::None => SplitMean::default(),
            Centering::Batch => mean,
        }
    }

    /// The square of $`\rho`$, the norm of a normalised row of `n` entries.
    pub(super) fn share(&self, n: usize) -> f64 {
        match self.row_scale {
            RowScale::UnitNorm => 1.0,
            RowScale::UnitRms => n as f64,
        }
    }

    /// The `(a, b)` for which `1/(a q + b)` is the squared factor that normalises a row of `n`
    /// entries, already centred if rows are, whose squared norm is `q` in units of `unit`.
    pub(crate) fn squared_factor(&self, n: usize, unit: f64) -> (f64, f64) {
        let n = n as f64;
        // Without an epsilon the unit cancels, even if it is beyond the range of floats.
        let epsilon = if self.epsilon == 0.0 { 0.0 } else { self.epsilon / unit };
        match self.row_scale {
            RowScale::UnitNorm => (1.0, n * epsilon),
            RowScale::UnitRms => (1.0 / n, epsilon),
        }
    }
}

deserialize_checked!(
    BatchNorm { centering: Centering, epsilon: f64, row_scale: RowScale },
    |centering, epsilon, row_scale| BatchNorm { centering, epsilon: 0.0, row_scale }
        .with_epsilon(epsilon)
);

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use nalgebra::{DMatrix, Matrix2x3, dmatrix};
    use proptest::prelude::*;

    /// A matrix of any shape with entries of any size, and no row that is nearly constant.
    fn matrices() -> impl Strategy<Value = DMatrix<f64>> {
        (1usize..7, 2usize..7).prop_flat_map(|(d, n)| {
            let row = (-250..250i32, proptest::collection::vec(-1.0..1.0f64, n)).prop_map(
                |(magnitude, mut row)| {
                    row[0] = 1.5;
                    row.iter().map(|x| x * 10f64.powi(magnitude)).collect::<Vec<_>>()
                },
            );
            proptest::collection::vec(row, d).prop_map(move |rows| {
                DMatrix::from_row_iterator(rows.len(), n, rows.into_iter().flatten())
            })
        })
    }

    /// The definition: the gradient by every entry of a row by the Jacobian of the row's map,
    /// written out from the derivatives of mean and divisor.
    fn naive_pullback(operator: &BatchNorm, row: &[f64], gradient: &[f64]) -> Vec<f64> {
        let n = row.len() as f64;
        let centered = operator.centering == Centering::Batch;
        let mean = if centered { row.iter().sum::<f64>() / n } else { 0.0 };
        let rho = if operator.row_scale == RowScale::UnitRms { n.sqrt() } else { 1.0 };
        let square = row.iter().map(|y| (y - mean).powi(2)).sum::<f64>() + n * operator.epsilon;
        let entry = |k: usize, j: usize| {
            let direct = f64::from(u8::from(j == k)) - if centered { 1.0 / n } else { 0.0 };
            let through_norm = (row[j] - mean) * (row[k] - mean) / square;
            rho / square.sqrt() * (direct - through_norm)
        };
        (0..row.len()).map(|k| (0..row.len()).map(|j| gradient[j] * entry(k, j)).sum()).collect()
    }

    /// All four operators with an epsilon.
    fn operators(epsilon: f64) -> impl Iterator<Item = BatchNorm> {
        let scales = [RowScale::UnitNorm, RowScale::UnitRms];
        [Centering::None, Centering::Batch].into_iter().flat_map(move |centering| {
            scales.map(|row_scale| BatchNorm { centering, epsilon, row_scale })
        })
    }

    proptest! {
        #[test]
        fn pullback_agrees_with_the_jacobian(
            rows in prop::collection::vec((1.0..3.0f64, -1.0..1.0f64, -1.0..1.0f64, -9.0..9.0f64), 2..9),
            epsilon in prop_oneof![Just(0.0), 1e-3..10.0f64], size in -290..290i32, loss in -290..290i32,
        ) {
            // The first entry is far from the others, so that no row is nearly constant.
            let mut y: Vec<f64> = rows.iter().map(|row| row.1).collect();
            y[0] = rows[0].0;
            let g: Vec<f64> = rows.iter().map(|row| row.3).collect();
            let row = |values: &[f64], scale: f64| {
                DMatrix::from_row_slice(1, values.len(), values) * scale
            };
            for operator in operators(epsilon) {
                let expected = row(&naive_pullback(&operator, &y, &g), 1.0);
                let found = operator.pullback(&row(&y, 1.0), &row(&g, 1.0)).unwrap();
                prop_assert!((&found - &expected).amax() < 1e-13 * (1.0 + row(&g, 1.0).amax()));
                let single = operator
                    .pullback(&row(&y, 1.0).map(|x| x as f32), &row(&g, 1.0).map(|x| x as f32))
                    .unwrap();
                let error = (single.map(f64::from) - &expected).amax();
                prop_assert!(error < 2e-6 * (1.0 + row(&g, 1.0).amax()));
            }
            // Rows and gradients of any size: N(s y) = N(y), so the pullback is linear in g/s.
            for operator in operators(0.0) {
                let (s, t) = (10f64.powi(size), 10f64.powi(loss));
                let expected = row(&naive_pullback(&operator, &y, &g), 1.0);
                let found = operator.pullback(&row(&y, s), &row(&g, t));
                if (loss - size).abs() < 290 {
                    let found = found.unwrap() * 10f64.powi(size - loss);
                    prop_assert!((found - expected).amax() < 1e-12 * (1.0 + row(&g, 1.0).amax()));
                } else if let Err(error) = found {
                    let overflow = matches!(error, Error::Overflow { what: "gradient", .. });
                    prop_assert!(overflow, "{}", error);
                }
            }
        }
    }

    #[test]
    fn pullback_refuses_what_it_cannot_do() {
        let paper = BatchNorm::paper();
        let (h, g) = (dmatrix![1.0, 2.0; 3.0, 4.0], dmatrix![1.0, 0.0; 0.0, 1.0]);
        let error = paper.pullback(&h, &dmatrix![1.0, 2.0]).unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { what: "the gradient", .. }));
        let error = paper.pullback(&dmatrix![1.0, 2.0; 0.0, 0.0], &g).unwrap_err();
        assert_eq!(error, Error::DegenerateRow { row: 1, value: 0.0 });
        let error = paper.pullback(&h, &dmatrix![1.0, 0.0; 0.0, f64::INFINITY]).unwrap_err();
        assert_eq!(error, Error::NotFinite { row: 1, column: 1, value: f64::INFINITY });
        let error = paper.pullback(&(&h * 1e-300), &(&g * 1e20)).unwrap_err();
        assert!(matches!(error, Error::Overflow { what: "gradient", row: 0, .. }));
        let error = paper.pullback(&DMatrix::<f64>::zeros(0, 3), &DMatrix::zeros(0, 3));
        assert_eq!(error.unwrap_err(), Error::Empty { rows: 0, columns: 3 });
        let standard = BatchNorm::standard(1e-5).unwrap();
        let error = standard.pullback(&dmatrix![1.0], &dmatrix![1.0]).unwrap_err();
        assert_eq!(error, Error::BatchTooSmall { batch_size: 1, minimum: 2 });
        // A constant row has a gradient if there is an epsilon: centred, over its square root.
        let found = standard.pullback(&dmatrix![7.0, 7.0], &dmatrix![3.0, 1.0]).unwrap();
        let expected = 1e-5f64.sqrt().recip();
        approx::assert_relative_eq!(found, dmatrix![expected, -expected], max_relative = 1e-14);
    }

    /// At the ends of the range, in the unit of the row, epsilon is zero or infinite.
    #[test]
    fn epsilon_alone_divides() {
        let standard = |epsilon| BatchNorm::standard(epsilon).unwrap();
        let (h, g) = (dmatrix![1e300, 1e300], dmatrix![1.0, -1.0]);
        let expected = 1e-320f64.sqrt().recip();
        for norm in [standard(0.0), BatchNorm::paper().with_centering(Centering::Batch)] {
            let norm = norm.with_epsilon(1e-320).unwrap();
            assert_eq!(norm.normalize(&h).unwrap(), dmatrix![0.0, 0.0]);
        }
        let found = standard(1e-320).pullback(&h, &g).unwrap();
        assert_relative_eq!(found, dmatrix![expected, -expected], max_relative = 1e-14);

        let h = dmatrix![1e-308, -1e-308];
        let found = standard(100.0).normalize(&h).unwrap() * 1e300;
        assert_relative_eq!(found, dmatrix![1e-9, -1e-9], max_relative = 1e-13);
        let found = standard(100.0).pullback(&h, &g).unwrap();
        assert_relative_eq!(found, dmatrix![0.1, -0.1], max_relative = 1e-14);

        // Four times epsilon is no float.
        let paper = BatchNorm::paper().with_epsilon(f64::MAX).unwrap();
        let found = paper.normalize(&dmatrix![1e100, 0.0, 0.0, 0.0]).unwrap()[0];
        assert_relative_eq!(found, 0.5e100 / f64::MAX.sqrt(), max_relative = 1e-14);
    }

    /// Rows and gradients in units that are out of range one after the other, but not together.
    #[test]
    fn units_of_rows_and_gradients_cancel() {
        let h = dmatrix![1.0, 1.0 + 1e-9, 1.0 - 1e-9] * 1e-306;
        let g = dmatrix![-2e-300, 1e-300, 1e-300];
        let found = BatchNorm::standard(0.0).unwrap().pullback(&h, &g).unwrap() * 1e-15;
        let expected = 1.5f64.sqrt();
        assert_relative_eq!(found, dmatrix![-2.0, 1.0, 1.0] * expected, max_relative = 1e-6);

        let (h, g) = (dmatrix![1.2e308, 1.6e308, 0.0], dmatrix![-1.6e308, 1.2e308, 1e298]);
        let found = BatchNorm::paper().pullback(&h, &g).unwrap();
        assert_relative_eq!(found, dmatrix![-0.8, 0.6, 5e-11], max_relative = 1e-13, epsilon = 0.0);
    }

    proptest! {
        #[test]
        fn rows_have_unit_norm_whatever_their_size(h in matrices()) {
            let normalized = BatchNorm::paper().normalize(&h).unwrap();
            for (row, normalized) in h.row_iter().zip(normalized.row_iter()) {
                prop_assert!((normalized.norm() - 1.0).abs() < 1e-14);
                // Naive reference on the row scaled to a safe size.
                let safe = row / row.amax();
                prop_assert!((normalized - &safe / safe.norm()).amax() < 1e-14);
            }
        }

        #[test]
        fn idempotent_and_invariant_under_row_scaling(h in matrices(), power in -50..50i32) {
            let once = BatchNorm::paper().normalize(&h).unwrap();
            let twice = BatchNorm::paper().normalize(&once).unwrap();
            prop_assert!((&twice - &once).amax() < 1e-15);
            let scaled = BatchNorm::paper().normalize(&(&h * 10f64.powi(power))).unwrap();
            prop_assert!((scaled - once).amax() < 1e-14);
        }

        #[test]
        fn standard_rows_have_mean_zero_and_unit_rms(h in matrices()) {
            let n = h.ncols() as f64;
            for row in BatchNorm::standard(0.0).unwrap().normalize(&h).unwrap().row_iter() {
                prop_assert!(row.sum().abs() < 1e-13 * n);
                prop_assert!((row.norm() - n.sqrt()).abs() < 1e-13 * n);
            }
        }

        #[test]
        fn three_forms_agree_in_both_precisions(h in matrices()) {
            let h = h.map(|x| (x.signum() * x.abs().powf(0.1)) as f32);
            for operator in [BatchNorm::paper(), BatchNorm::standard(1e-5).unwrap()] {
                let allocated = operator.normalize(&h).unwrap();
                let mut buffer = DMatrix::from_element(h.nrows(), h.ncols(), f32::NAN);
                operator.normalize_to(&h, &mut buffer).unwrap();
                let mut in_place = h.clone();
                operator.normalize_mut(&mut in_place).unwrap();
                prop_assert_eq!(&allocated, &buffer);
                prop_assert_eq!(&allocated, &in_place);
                let double = operator.normalize(&h.map(f64::from)).unwrap();
                prop_assert!((double - allocated.map(f64::from)).amax() < 1e-6);
            }
        }
    }

    /// Floats are 2 apart at 1e16, and 1/8 apart at 1e15: the mean is not one of them.
    #[test]
    fn means_are_not_rounded() {
        let norm = BatchNorm::standard(0.0).unwrap();
        let normalized = norm.normalize(&dmatrix![1e16, 1e16 + 2.0]).unwrap();
        assert_eq!(normalized, dmatrix![-1.0, 1.0]);
        let row = dmatrix![1.0, 2.0, 4.0];
        let normalized = norm.normalize(&row.add_scalar(1e15)).unwrap();
        let expected = dmatrix![-4.0, -1.0, 5.0] / 14f64.sqrt();
        assert!((normalized - expected).amax() < 1e-15);
    }

    proptest! {
        /// Neither an offset of a row nor one of its gradient, both exact in floats, is seen.
        #[test]
        fn offsets_are_subtracted_exactly(
            entries in prop::collection::vec((-100..100i64, -100..100i64), 3..12),
            offset in (-1i64 << 52)..(1 << 52), pull in (-1i64 << 52)..(1 << 52),
            epsilon in prop_oneof![Just(0.0), Just(0.1)],
        ) {
            let row = |values: &dyn Fn(&(i64, i64)) -> i64| {
                DMatrix::from_fn(1, entries.len(), |_, j| values(&entries[j]) as f64)
            };
            let (h, g) = (row(&|entry| entry.0), row(&|entry| entry.1));
            prop_assume!(h.iter().any(|&x| x != h[0]));
            let (far_h, far_g) = (row(&|entry| entry.0 + offset), row(&|entry| entry.1 + pull));
            for norm in operators(epsilon).filter(|norm| norm.centering() == Centering::Batch) {
                let difference = norm.normalize(&far_h).unwrap() - norm.normalize(&h).unwrap();
                prop_assert!(difference.amax() < 1e-14);
                let pulled = |h: &_, g: &_| norm.pullback(h, g).unwrap();
                let near = pulled(&h, &g);
                prop_assert!((pulled(&far_h, &far_g) - &near).amax() < 1e-14 * (1.0 + g.amax()));
            }
        }
    }

    #[test]
    fn standard_matches_the_formula() {
        let h = Matrix2x3::<f64>::new(1.0, 2.0, 6.0, -1.0, 0.5, 0.5);
        let normalized = BatchNorm::standard(0.25).unwrap().normalize(&h).unwrap();
        let formula = Matrix2x3::from_fn(|i, j| {
            let mean = h.row(i).mean();
            (h[(i, j)] - mean) / (h.row(i).variance() + 0.25).sqrt()
        });
        assert_relative_eq!(normalized, formula, epsilon = 1e-15);
    }

    #[test]
    fn degenerate_rows_are_refused_and_nothing_is_written() {
        let paper = BatchNorm::paper();
        let standard = BatchNorm::standard(0.0).unwrap();
        let mut h = dmatrix![1.0, 2.0, 4.0; 0.0, 0.0, 0.0];
        let before = h.clone();
        let error = Error::DegenerateRow { row: 1, value: 0.0 };
        assert_eq!(paper.normalize_mut(&mut h), Err(error));
        assert_eq!(h, before);
        // Constant, though its mean is not exactly representable.
        let constant = dmatrix![0.1, 0.1, 0.1];
        assert!(paper.normalize(&constant).is_ok());
        let error = Error::DegenerateRow { row: 0, value: 0.1 };
        assert_eq!(standard.normalize(&constant), Err(error));
        let zeros = BatchNorm::standard(1e-5).unwrap().normalize(&constant).unwrap();
        assert_eq!(zeros.amax(), 0.0);
    }

    #[test]
    fn other_bad_input_is_named() {
        let paper = BatchNorm::paper();
        let standard = BatchNorm::standard(1e-5).unwrap();
        assert!(matches!(
            paper.normalize(&dmatrix![1.0, f64::INFINITY]),
            Err(Error::NotFinite { row: 0, column: 1, .. })
        ));
        let one = dmatrix![1.0; 2.0];
        assert_eq!(
            standard.normalize(&one),
            Err(Error::BatchTooSmall { batch_size: 1, minimum: 2 })
        );
        assert_eq!(paper.normalize(&one).unwrap(), dmatrix![1.0; 1.0]);
        assert_eq!(
            paper.normalize_to(&one, &mut DMatrix::zeros(1, 2)),
            Err(Error::ShapeMismatch { what: "output", found: (1, 2), expected: (2, 1) })
        );
        assert_eq!(
            paper.normalize(&DMatrix::<f64>::zeros(0, 3)),
            Err(Error::Empty { rows: 0, columns: 3 })
        );
        for epsilon in [-1e-9, f64::NAN, f64::INFINITY] {
            assert!(matches!(
                BatchNorm::standard(epsilon),
                Err(Error::InvalidParameter { name: "epsilon", .. })
            ));
        }
    }
}
