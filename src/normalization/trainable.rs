//! Batch normalisation as the frameworks have it: parameters, running statistics, inference.

use nalgebra::{
    DMatrix, DVector, DefaultAllocator, Dim, Matrix, OMatrix, RawStorage, RawStorageMut,
    allocator::Allocator,
};

use super::batch_norm::BatchNorm;
use super::row::Row;
use super::shape::{owned, same_shape};
use crate::{Error, Result, Scalar};

/// A batch normalisation layer of `d` neurons with scale, shift and running statistics.
///
/// In training, a row is normalised by the statistics of the batch, in inference by the running
/// ones; then it is scaled by `gamma` and shifted by `beta`. After each training batch the
/// running statistics move by `momentum` towards those of the batch, with the unbiased variance
/// (`n - 1`), as PyTorch's `BatchNorm1d` does.
///
/// ```
/// use approx::assert_relative_eq;
/// use nalgebra::dmatrix;
/// use orthogap::normalization::TrainableBatchNorm;
///
/// let mut layer = TrainableBatchNorm::<f64>::new(1, 0.0, 0.1)?;
/// layer.beta_mut()[0] = 5.0;
/// assert_eq!(layer.train(&dmatrix![1.0, 3.0])?, dmatrix![4.0, 6.0]);
/// // Running mean 0.9 * 0 + 0.1 * 2, running variance 0.9 * 1 + 0.1 * 2.
/// let expected = dmatrix![5.0 + (0.2 - 0.2) / 1.1f64.sqrt(), 5.0 + 1.0 / 1.1f64.sqrt()];
/// assert_relative_eq!(layer.infer(&dmatrix![0.2, 1.2])?, expected, epsilon = 1e-14);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TrainableBatchNorm<T> {
    operator: BatchNorm,
    momentum: f64,
    gamma: DVector<T>,
    beta: DVector<T>,
    running_mean: DVector<T>,
    running_variance: DVector<T>,
}

impl<T: Scalar> TrainableBatchNorm<T> {
    /// A layer of `width` neurons with `gamma` 1, `beta` 0, running mean 0 and variance 1.
    ///
    /// PyTorch's defaults are `epsilon` 1e-5 and `momentum` 0.1.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a width of 0, a negative epsilon, or a momentum outside
    /// 0 to 1.
    pub fn new(width: usize, epsilon: f64, momentum: f64) -> Result<Self> {
        let invalid =
            |name, value, expected| Err(Error::InvalidParameter { name, value, expected });
        if width == 0 {
            return invalid("width", 0.0, "a width of at least 1");
        }
        if !(0.0..=1.0).contains(&momentum) {
            return invalid("momentum", momentum, "0 <= momentum <= 1");
        }
        Ok(Self {
            operator: BatchNorm::standard(epsilon)?,
            momentum,
            gamma: DVector::from_element(width, T::one()),
            beta: DVector::zeros(width),
            running_mean: DVector::zeros(width),
            running_variance: DVector::from_element(width, T::one()),
        })
    }

    /// The number `d` of neurons.
    #[must_use]
    pub fn width(&self) -> usize {
        self.gamma.len()
    }

    /// The scale of each neuron.
    #[must_use]
    pub fn gamma(&self) -> &DVector<T> {
        &self.gamma
    }

    /// The scale of each neuron, to be changed.
    pub fn gamma_mut(&mut self) -> &mut DVector<T> {
        &mut self.gamma
    }

    /// The shift of each neuron.
    #[must_use]
    pub fn beta(&self) -> &DVector<T> {
        &self.beta
    }

    /// The shift of each neuron, to be changed.
    pub fn beta_mut(&mut self) -> &mut DVector<T> {
        &mut self.beta
    }

    /// The running mean of each neuron.
    #[must_use]
    pub fn running_mean(&self) -> &DVector<T> {
        &self.running_mean
    }

    /// The running unbiased variance of each neuron.
    #[must_use]
    pub fn running_variance(&self) -> &DVector<T> {
        &self.running_variance
    }

    /// The same with other running statistics, such as those of a layer that was saved.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless there is a mean and a variance for every neuron;
    /// [`Error::InvalidParameter`] if a variance is negative or something is not finite.
    pub fn with_running_statistics(
        self,
        running_mean: DVector<T>,
        running_variance: DVector<T>,
    ) -> Result<Self> {
        for statistic in [&running_mean, &running_variance] {
            same_shape("the running statistic", statistic.shape(), self.gamma.shape())?;
        }
        let invalid = |name, value: T, expected| {
            Err(Error::InvalidParameter { name, value: value.into(), expected })
        };
        if let Some(&mean) = running_mean.iter().find(|mean| !mean.is_finite()) {
            return invalid("running mean", mean, "a finite number");
        }
        let valid = |variance: &&T| !(variance.is_finite() && **variance >= T::zero());
        if let Some(&variance) = running_variance.iter().find(valid) {
            return invalid("running variance", variance, "a finite number >= 0");
        }
        Ok(Self { running_mean, running_variance, ..self })
    }

    /// The number added to the variance.
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        self.operator.epsilon()
    }

    /// The share by which running statistics move towards those of a batch.
    #[must_use]
    pub fn momentum(&self) -> f64 {
        self.momentum
    }

    /// Normalises a training batch `h` (`d x n`) in place and updates the running statistics.
    ///
    /// Cost: `O(d n)`, no allocation. On an error nothing has changed.
    ///
    /// # Errors
    /// Those of [`BatchNorm::normalize_mut`], [`Error::ShapeMismatch`] unless `h` has `d` rows, and
    /// [`Error::Overflow`] if the variance of a row exceeds the range of `T`;
    /// [`Error::ShapeMismatch`] and [`Error::InvalidParameter`] if scales or shifts have another
    /// length or are not finite.
    pub fn train_mut<R, C, S>(&mut self, h: &mut Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorageMut<T, R, C>,
    {
        self.check_rows(h)?;
        self.operator.check(h)?;
        self.check_variances(h)?;
        for row in 0..h.nrows() {
            let statistics = Row::of(h, row)?;
            let map = self.operator.row_map(&statistics, row)?;
            self.apply(h, row, |value| map.apply(value));
            self.remember_row(&statistics, row);
        }
        Ok(())
    }

    /// Moves the running statistics towards those of a training batch `h` (`d x n`), which stays as
    /// it is: the part of [`train_mut`](Self::train_mut) that has a memory.
    ///
    /// On an error nothing has changed.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless `h` has `d` rows; [`Error::BatchTooSmall`] for fewer than two
    /// samples; [`Error::NotFinite`]; [`Error::Overflow`] if the variance of a row exceeds the range
    /// of `T`.
    pub fn remember<R, C, S>(&mut self, h: &Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        self.check_rows(h)?;
        if h.ncols() < 2 {
            return Err(Error::BatchTooSmall { batch_size: h.ncols(), minimum: 2 });
        }
        self.check_variances(h)?;
        for row in 0..h.nrows() {
            self.remember_row(&Row::of(h, row)?, row);
        }
        Ok(())
    }

    /// Scale and shift, to be changed.
    pub(crate) fn affine_mut(&mut self) -> (&mut [T], &mut [T]) {
        (self.gamma.as_mut_slice(), self.beta.as_mut_slice())
    }

    /// The same in `f64`.
    pub(crate) fn to_f64(&self) -> TrainableBatchNorm<f64> {
        let wide = |numbers: &DVector<T>| numbers.map(|x| -> f64 { x.into() });
        TrainableBatchNorm {
            operator: self.operator,
            momentum: self.momentum,
            gamma: wide(&self.gamma),
            beta: wide(&self.beta),
            running_mean: wide(&self.running_mean),
            running_variance: wide(&self.running_variance),
        }
    }

    /// What follows the normalisation: every row times its scale plus its shift.
    pub(crate) fn scale_and_shift(&self, h: &mut DMatrix<T>) {
        for mut column in h.column_iter_mut() {
            let affine = self.gamma.iter().zip(self.beta.iter());
            column.iter_mut().zip(affine).for_each(|(x, (&gamma, &beta))| *x = gamma * *x + beta);
        }
    }

    /// The pullback of [`scale_and_shift`](Self::scale_and_shift): every row of a gradient times
    /// the scale.
    pub(crate) fn scale(&self, gradient: &mut DMatrix<T>) {
        for mut column in gradient.column_iter_mut() {
            column.iter_mut().zip(self.gamma.iter()).for_each(|(g, &gamma)| *g *= gamma);
        }
    }

    /// Normalises a training batch into `output`, of the same shape; see
    /// [`train_mut`](Self::train_mut).
    ///
    /// # Errors
    /// Those of [`train_mut`](Self::train_mut), and [`Error::ShapeMismatch`].
    pub fn train_to<R, C, S, S2>(
        &mut self,
        h: &Matrix<T, R, C, S>,
        output: &mut Matrix<T, R, C, S2>,
    ) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
        S2: RawStorageMut<T, R, C>,
    {
        copy(h, output)?;
        self.train_mut(output)
    }

    /// A normalised training batch, newly allocated; see [`train_mut`](Self::train_mut).
    ///
    /// # Errors
    /// Those of [`train_mut`](Self::train_mut).
    pub fn train<R, C, S>(&mut self, h: &Matrix<T, R, C, S>) -> Result<OMatrix<T, R, C>>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
        DefaultAllocator: Allocator<R, C>,
    {
        let mut output = owned(h);
        self.train_mut(&mut output)?;
        Ok(output)
    }

    /// Normalises `h` (`d x n`, any `n`) in place by the running statistics.
    ///
    /// Cost: `O(d n)`, no allocation. On an error nothing has changed.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`]; [`Error::ShapeMismatch`] unless `h` has `d` rows;
    /// [`Error::DegenerateRow`] if a running variance and epsilon are both zero;
    /// [`Error::ShapeMismatch`] and [`Error::InvalidParameter`] if scales or shifts have another
    /// length or are not finite.
    pub fn infer_mut<R, C, S>(&self, h: &mut Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorageMut<T, R, C>,
    {
        self.check_rows(h)?;
        if h.is_empty() {
            return Err(Error::Empty { rows: h.nrows(), columns: h.ncols() });
        }
        for row in 0..h.nrows() {
            Row::of(h, row)?;
            if self.divisor(row) == 0.0 {
                return Err(Error::DegenerateRow { row, value: self.running_mean[row].into() });
            }
        }
        for row in 0..h.nrows() {
            let (mean, divisor): (f64, f64) = (self.running_mean[row].into(), self.divisor(row));
            self.apply(h, row, |value| (value - mean) / divisor);
        }
        Ok(())
    }

    /// Normalises into `output`, of the same shape, by the running statistics; see
    /// [`infer_mut`](Self::infer_mut).
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
        copy(h, output)?;
        self.infer_mut(output)
    }

    /// A batch normalised by the running statistics, newly allocated; see
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
        let mut output = owned(h);
        self.infer_mut(&mut output)?;
        Ok(output)
    }

    fn check_rows<R, C, S>(&self, h: &Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        let width = self.running_mean.len();
        for (name, parameters) in [("gamma", &self.gamma), ("beta", &self.beta)] {
            same_shape(name, parameters.shape(), (width, 1))?;
            if let Some(&value) = parameters.iter().find(|value| !value.is_finite()) {
                let (value, expected) = (value.into(), "a finite number");
                return Err(Error::InvalidParameter { name, value, expected });
            }
        }
        same_shape("the batch", h.shape(), (width, h.ncols()))
    }

    /// Refuses a batch with a variance that a running one cannot move towards.
    fn check_variances<R, C, S>(&self, h: &Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        for row in 0..h.nrows() {
            let value = Row::of(h, row)?.unbiased_variance();
            if !T::of(value).is_finite() {
                return Err(Error::Overflow { what: "running variance", row, value });
            }
        }
        Ok(())
    }

    /// Moves the running statistics of a row towards those of a batch.
    fn remember_row(&mut self, statistics: &Row, row: usize) {
        let move_towards = |running: &mut T, batch: f64| {
            let old: f64 = (*running).into();
            *running = T::of(old + self.momentum * (batch - old));
        };
        move_towards(&mut self.running_mean[row], statistics.mean());
        move_towards(&mut self.running_variance[row], statistics.unbiased_variance());
    }

    fn divisor(&self, row: usize) -> f64 {
        let variance: f64 = self.running_variance[row].into();
        (variance + self.operator.epsilon()).sqrt()
    }

    /// Scale and shift after a normalisation of one row.
    fn apply<R, C, S>(&self, h: &mut Matrix<T, R, C, S>, row: usize, normalize: impl Fn(f64) -> f64)
    where
        R: Dim,
        C: Dim,
        S: RawStorageMut<T, R, C>,
    {
        let (gamma, beta): (f64, f64) = (self.gamma[row].into(), self.beta[row].into());
        for column in 0..h.ncols() {
            let entry = &mut h[(row, column)];
            *entry = T::of(gamma * normalize((*entry).into()) + beta);
        }
    }
}

fn copy<T, R, C, S, S2>(h: &Matrix<T, R, C, S>, output: &mut Matrix<T, R, C, S2>) -> Result<()>
where
    T: Scalar,
    R: Dim,
    C: Dim,
    S: RawStorage<T, R, C>,
    S2: RawStorageMut<T, R, C>,
{
    same_shape("output", output.shape(), h.shape())?;
    output.copy_from(h);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use nalgebra::dmatrix;

    #[test]
    fn training_normalizes_like_the_operator_then_scales_and_shifts() {
        let h = dmatrix![1.0, 4.0, -2.0; 0.3, 0.1, 0.2];
        let mut layer = TrainableBatchNorm::<f64>::new(2, 1e-5, 0.1).unwrap();
        layer.gamma_mut()[1] = 3.0;
        layer.beta_mut()[1] = -1.0;
        let mut expected = BatchNorm::standard(1e-5).unwrap().normalize(&h).unwrap();
        expected.row_mut(1).apply(|x| *x = 3.0 * *x - 1.0);
        let mut buffer = DMatrix::zeros(2, 3);
        layer.clone().train_to(&h, &mut buffer).unwrap();
        assert_relative_eq!(buffer, expected, epsilon = 1e-14);
        assert_eq!(layer.train(&h).unwrap(), buffer);
    }

    #[test]
    fn running_statistics_converge_to_those_of_the_data() {
        let h = dmatrix![1.0f32, 3.0, 8.0; -2.0, 2.0, 3.0];
        let mut layer = TrainableBatchNorm::<f32>::new(2, 1e-5, 0.1).unwrap();
        for _ in 0..200 {
            layer.train(&h).unwrap();
        }
        for row in 0..2 {
            let unbiased = h.row(row).variance() * 1.5;
            assert_relative_eq!(layer.running_mean()[row], h.row(row).mean(), epsilon = 1e-4);
            assert_relative_eq!(layer.running_variance()[row], unbiased, epsilon = 1e-4);
        }
        let mut output = DMatrix::zeros(2, 3);
        layer.infer_to(&h, &mut output).unwrap();
        assert_eq!(layer.infer(&h).unwrap(), output);
        assert!(output.row(0).sum().abs() < 1e-4);
    }

    #[test]
    fn errors_change_nothing() {
        let mut layer = TrainableBatchNorm::<f64>::new(2, 0.0, 0.5).unwrap();
        let before = layer.clone();
        let mut degenerate = dmatrix![1.0, 2.0; 0.1, 0.1];
        assert!(layer.train_mut(&mut degenerate).is_err());
        assert!(layer.train(&dmatrix![1.0; 2.0]).is_err());
        assert!(layer.infer(&dmatrix![1.0, f64::NAN; 2.0, 1.0]).is_err());
        let huge = layer.train(&dmatrix![1.0, 2.0; 1e200, -1e200]).unwrap_err();
        assert!(matches!(huge, Error::Overflow { row: 1, .. }), "{huge}");
        let wrong = DMatrix::from_element(3, 2, 1.0);
        assert!(matches!(layer.infer(&wrong), Err(Error::ShapeMismatch { .. })));
        assert_eq!(layer, before);
        assert_eq!(degenerate, dmatrix![1.0, 2.0; 0.1, 0.1]);
        assert!(TrainableBatchNorm::<f64>::new(0, 0.0, 0.1).is_err());
        assert!(TrainableBatchNorm::<f64>::new(1, 0.0, 1.1).is_err());
    }
}
