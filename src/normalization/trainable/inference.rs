//! Inference of trainable batch normalisation, by its running statistics.

use nalgebra::{
    DefaultAllocator, Dim, Matrix, OMatrix, RawStorage, RawStorageMut, allocator::Allocator,
};

use super::TrainableBatchNorm;
use crate::normalization::row::RowMap;
use crate::normalization::row::entries::{Checked, Entries, InPlace, OutOfPlace};
use crate::normalization::shape::same_shape;
use crate::statistics::SplitMean;
use crate::{Error, Result, Scalar};

impl<T: Scalar> TrainableBatchNorm<T> {
    /// Normalises `h` (`d x n`, any `n`) in place by the running statistics.
    ///
    /// Cost: `O(d n)`; `h` is read twice, the first time to check it. On an error `h` is left as it
    /// was.
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::{Error, normalization::TrainableBatchNorm};
    ///
    /// // The difference to the mean is 3.4e308, beyond the range of `f64`; its tenth is not.
    /// let mut layer = TrainableBatchNorm::<f64>::new(1, 0.0, 0.1)?
    ///     .with_running_statistics([-1.7e308].to_vec().into(), [1.0].to_vec().into())?;
    /// let error = layer.infer(&dmatrix![1.7e308]).unwrap_err();
    /// assert!(matches!(error, Error::Overflow { row: 0, .. }));
    /// layer.gamma_mut()[0] = 0.1;
    /// assert!((layer.infer(&dmatrix![1.7e308])?[0] / 3.4e307 - 1.0).abs() < 1e-15);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`]; [`Error::ShapeMismatch`] unless `h` has `d` rows;
    /// [`Error::DegenerateRow`] if a running variance and epsilon are both zero;
    /// [`Error::Overflow`] if a result exceeds the range of `T`;
    /// [`Error::InvalidParameter`] if scales or shifts are not finite.
    pub fn infer_mut<R, C, S>(&self, h: &mut Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorageMut<T, R, C>,
    {
        self.check_inference(h)?;
        self.infer_rows(&mut Checked::new(h))?;
        self.infer_rows(&mut InPlace::new(h))
    }

    /// Normalises into `output`, of the same shape, by the running statistics; see
    /// [`infer_mut`](Self::infer_mut).
    ///
    /// Reads `h` once. An error may leave `output` half written.
    ///
    /// # Errors
    /// Those of [`infer_mut`](Self::infer_mut), and [`Error::ShapeMismatch`].
    pub fn infer_to<R, C, S, S2>(
        &self,
        h: &Matrix<T, R, C, S>,
        output: &mut Matrix<T, R, C, S2>,
    ) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
        S2: RawStorageMut<T, R, C>,
    {
        same_shape("output", output.shape(), h.shape())?;
        self.check_inference(h)?;
        self.infer_rows(&mut OutOfPlace::new(h, output))
    }

    /// Returns a batch normalised by the running statistics, newly allocated; see
    /// [`infer_mut`](Self::infer_mut).
    ///
    /// # Errors
    /// Those of [`infer_mut`](Self::infer_mut).
    pub fn infer<R, C, S>(&self, h: &Matrix<T, R, C, S>) -> Result<OMatrix<T, R, C>>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
        DefaultAllocator: Allocator<R, C>,
    {
        let (rows, columns) = h.shape_generic();
        let mut output = OMatrix::zeros_generic(rows, columns);
        self.infer_to(h, &mut output)?;
        Ok(output)
    }

    /// Refuses a shape that is not one of samples of this layer.
    fn check_inference<R, C, S>(&self, h: &Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        self.check_rows(h)?;
        if h.is_empty() {
            return Err(Error::Empty { rows: h.nrows(), columns: h.ncols() });
        }
        Ok(())
    }

    /// Normalises a row by its running statistics.
    pub(super) fn running_map(&self, row: usize) -> Result<RowMap> {
        let (mean, variance) = (self.running_mean[row].into(), self.running_variance[row].into());
        let epsilon = self.operator.epsilon();
        let square: f64 = variance + epsilon;
        if square == 0.0 {
            return Err(Error::DegenerateRow { row, value: mean });
        }
        let divisor =
            if square.is_finite() { square.sqrt() } else { variance.sqrt().hypot(epsilon.sqrt()) };
        Ok(RowMap { unit: 1.0, mean: SplitMean { high: mean, low: 0.0 }, divisor })
    }

    /// An entry of a row, normalised, scaled and shifted.
    pub(super) fn result(&self, entry: f64, row: usize, map: RowMap) -> f64 {
        map.affine(entry, self.gamma[row].into(), self.beta[row].into())
    }

    /// Refuses a row with a result beyond the range of `T`.
    pub(super) fn check_results(
        &self,
        entries: &impl Entries<T>,
        row: usize,
        map: RowMap,
    ) -> Result<()> {
        for column in 0..entries.shape().1 {
            let value = self.result(entries.get(row, column).into(), row, map);
            if !T::of(value).is_finite() {
                return Err(Error::Overflow { what: "normalised entry", row, value });
            }
        }
        Ok(())
    }
}
