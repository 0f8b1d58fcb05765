//! Batch normalisation as the frameworks have it: parameters, running statistics, inference.

use nalgebra::{
    DMatrix, DVector, DefaultAllocator, Dim, Matrix, OMatrix, RawStorage, RawStorageMut,
    allocator::Allocator,
};

use super::batch_norm::BatchNorm;
use super::row::{Row, RowMap};
use super::shape::{owned, same_shape};
use crate::statistics::SplitMean;
use crate::{Error, Result, Scalar};

/// A batch normalisation layer of `d` neurons with scale, shift and running statistics.
///
/// In training, a row is normalised by the statistics of the batch, in inference by the running
/// ones; then it is scaled by `gamma` and shifted by `beta`. After each training batch a running
/// statistic `s` becomes `(1 - momentum) s + momentum b`, where `b` is that of the batch and the
/// variance is unbiased (`n - 1`), as in PyTorch's `BatchNorm1d`. So a momentum of 1 keeps the
/// statistics of the last batch exactly.
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
    /// [`Error::Overflow`] if the variance or a result of a row exceeds the range of `T`;
    /// [`Error::ShapeMismatch`] and [`Error::InvalidParameter`] if scales or shifts have another
    /// length or are not finite.
    pub fn train_mut<R, C, S>(&mut self, h: &mut Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorageMut<T, R, C>,
    {
        self.check_rows(h)?;
        let operator = self.operator;
        operator.check_batch(h.shape())?;
        let statistics_and_map = |h: &Matrix<T, R, C, S>, row: usize| {
            let statistics = Row::of(h, row)?;
            let map = operator.row_map(&statistics, row)?;
            Ok::<_, Error>((statistics, map))
        };
        for row in 0..h.nrows() {
            let (statistics, map) = statistics_and_map(h, row)?;
            check_variance::<T>(&statistics, row)?;
            self.check_results(h, row, map)?;
        }
        for row in 0..h.nrows() {
            let (statistics, map) = statistics_and_map(h, row)?;
            self.apply(h, row, map);
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
        self.check_memory(h)?;
        self.remember_checked(h)
    }

    /// [`remember`](Self::remember) after [`check_memory`](Self::check_memory).
    pub(crate) fn remember_checked<R, C, S>(&mut self, h: &Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        for row in 0..h.nrows() {
            self.remember_row(&Row::of(h, row)?, row);
        }
        Ok(())
    }

    /// Refuses a batch that [`remember`](Self::remember) refuses.
    pub(crate) fn check_memory<R, C, S>(&self, h: &Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        self.check_rows(h)?;
        if h.ncols() < 2 {
            return Err(Error::BatchTooSmall { batch_size: h.ncols(), minimum: 2 });
        }
        (0..h.nrows()).try_for_each(|row| check_variance::<T>(&Row::of(h, row)?, row))
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
    /// ```
    /// use nalgebra::dmatrix;
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
            for column in 0..h.ncols() {
                let value = h[(row, column)].into();
                if !value.is_finite() {
                    return Err(Error::NotFinite { row, column, value });
                }
            }
            self.check_results(h, row, self.running_map(row)?)?;
        }
        for row in 0..h.nrows() {
            self.apply(h, row, self.running_map(row)?);
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

    /// Moves the running statistics of a row towards those of a batch.
    fn remember_row(&mut self, statistics: &Row, row: usize) {
        let move_towards = |running: &mut T, batch: f64| {
            let old: f64 = (*running).into();
            let new = (1.0 - self.momentum) * old + self.momentum * batch;
            // Rounding could lead out of the range between the two, and of floats.
            *running = T::of(new.clamp(old.min(batch), old.max(batch)));
        };
        move_towards(&mut self.running_mean[row], statistics.mean());
        move_towards(&mut self.running_variance[row], statistics.unbiased_variance());
    }

    /// Normalises a row by its running statistics.
    fn running_map(&self, row: usize) -> Result<RowMap> {
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
    fn result(&self, entry: T, row: usize, map: RowMap) -> f64 {
        map.affine(entry.into(), self.gamma[row].into(), self.beta[row].into())
    }

    /// Refuses a row with a result beyond the range of `T`.
    fn check_results<R, C, S>(&self, h: &Matrix<T, R, C, S>, row: usize, map: RowMap) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        for column in 0..h.ncols() {
            let value = self.result(h[(row, column)], row, map);
            if !T::of(value).is_finite() {
                return Err(Error::Overflow { what: "normalised entry", row, value });
            }
        }
        Ok(())
    }

    /// Normalises, scales and shifts a row.
    fn apply<R, C, S>(&self, h: &mut Matrix<T, R, C, S>, row: usize, map: RowMap)
    where
        R: Dim,
        C: Dim,
        S: RawStorageMut<T, R, C>,
    {
        for column in 0..h.ncols() {
            let entry = &mut h[(row, column)];
            *entry = T::of(self.result(*entry, row, map));
        }
    }
}

/// Refuses a batch whose variance a running one cannot move towards.
fn check_variance<T: Scalar>(statistics: &Row, row: usize) -> Result<()> {
    let value = statistics.unbiased_variance();
    if T::of(value).is_finite() {
        Ok(())
    } else {
        Err(Error::Overflow { what: "running variance", row, value })
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
    use proptest::prelude::*;

    /// A number `mantissa * 2^exponent` whose exponent has no bounds; the mantissa is 0 or from 1 to
    /// 2 in size.
    #[derive(Clone, Copy, Debug)]
    struct Wide {
        mantissa: f64,
        exponent: i32,
    }

    impl Wide {
        fn new(mut mantissa: f64, mut exponent: i32) -> Self {
            while mantissa.abs() >= 2.0 {
                (mantissa, exponent) = (mantissa / 2.0, exponent + 1);
            }
            while mantissa != 0.0 && mantissa.abs() < 1.0 {
                (mantissa, exponent) = (mantissa * 2.0, exponent - 1);
            }
            Self { mantissa, exponent: if mantissa == 0.0 { -100_000 } else { exponent } }
        }

        fn of(x: f64) -> Self {
            Self::new(x, 0)
        }

        fn plus(self, other: Self) -> Self {
            let (large, small) =
                if self.exponent < other.exponent { (other, self) } else { (self, other) };
            let shift = (large.exponent - small.exponent).min(100);
            Self::new(large.mantissa + small.mantissa * 0.5f64.powi(shift), large.exponent)
        }

        fn times(self, other: Self) -> Self {
            Self::new(self.mantissa * other.mantissa, self.exponent + other.exponent)
        }

        fn over(self, other: Self) -> Self {
            Self::new(self.mantissa / other.mantissa, self.exponent - other.exponent)
        }

        fn root(self) -> Self {
            let odd = self.exponent.rem_euclid(2);
            Self::new((self.mantissa * 2f64.powi(odd)).sqrt(), (self.exponent - odd) / 2)
        }

        fn is_larger_than(self, other: Self) -> bool {
            (self.exponent, self.mantissa.abs()) > (other.exponent, other.mantissa.abs())
        }
    }

    /// Numbers of every size that `f64` has.
    fn numbers() -> impl Strategy<Value = f64> {
        let any = (-2.0..2.0f64, -1074..1024i32).prop_map(|(mantissa, power)| {
            mantissa * 2f64.powi(power / 2) * 2f64.powi(power - power / 2)
        });
        let finite = any.prop_filter("finite", |x| x.is_finite());
        prop_oneof![1 => Just(0.0), 1 => Just(1.7e308), 1 => Just(-1.7e308), 5 => finite]
    }

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
    fn means_are_not_rounded() {
        let mut layer = TrainableBatchNorm::<f64>::new(1, 0.0, 1.0).unwrap();
        assert_eq!(layer.train(&dmatrix![1e16, 1e16 + 2.0]).unwrap(), dmatrix![-1.0, 1.0]);
        assert_eq!(layer.running_variance()[0], 2.0);
    }

    /// The variances of [-a, a] and [m - 1, m + 1] are 2 a² and 2, unbiased.
    #[test]
    fn a_momentum_of_one_keeps_the_last_batch() {
        let mut layer = TrainableBatchNorm::<f64>::new(1, 0.0, 1.0).unwrap();
        layer.train(&dmatrix![1e-9, -1e-9]).unwrap();
        assert_eq!(
            (layer.running_mean()[0], layer.running_variance()[0]),
            (0.0, 2.0 * 1e-9 * 1e-9)
        );
        assert_relative_eq!(
            layer.infer(&dmatrix![1e-9]).unwrap(),
            dmatrix![0.5f64.sqrt()],
            max_relative = 1e-15
        );
        let mut layer = TrainableBatchNorm::<f64>::new(1, 1e-5, 1.0).unwrap();
        layer.train(&dmatrix![1e9, 3e9]).unwrap();
        layer.train(&dmatrix![1.0, 3.0]).unwrap();
        let expected = 2.00001f64.sqrt().recip();
        let found = layer.infer(&dmatrix![1.0, 3.0]).unwrap();
        assert_relative_eq!(found, dmatrix![-expected, expected], max_relative = 1e-15);
    }

    proptest! {
        /// Between the old statistic and that of the batch, and at an end where momentum is 0 or 1.
        #[test]
        fn running_statistics_lie_between_old_and_new(
            old in -1e3..1e3f64, batch in -1e3..1e3f64, power in -300..306i32,
            momentum in prop_oneof![Just(0.0), Just(1.0), 0.0..1.0],
        ) {
            let scale = 10f64.powi(power);
            let (old, batch) = (old * scale, batch * scale);
            let mut layer = TrainableBatchNorm::<f64>::new(1, 0.0, momentum)
                .unwrap()
                .with_running_statistics([old].to_vec().into(), [1.0].to_vec().into())
                .unwrap();
            layer.remember(&dmatrix![batch, batch]).unwrap();
            let found = layer.running_mean()[0];
            prop_assert!((old.min(batch)..=old.max(batch)).contains(&found));
            if momentum == 0.0 || momentum == 1.0 {
                prop_assert_eq!(found, if momentum == 0.0 { old } else { batch });
            }
            // Naive, of halves, none of which overflows.
            let naive = 2.0 * (old / 2.0 + momentum * (batch / 2.0 - old / 2.0));
            prop_assert!((found - naive).abs() <= 1e-15 * old.abs().max(batch.abs()));
        }

        /// Against the formula in arithmetic of unlimited range, for numbers of all sizes: right where
        /// it is representable, refused where it is not.
        #[test]
        fn evaluation_is_right_where_it_is_representable(
            x in numbers(), mean in numbers(), gamma in numbers(), beta in numbers(),
            variance in numbers(), epsilon in numbers(),
        ) {
            let (variance, epsilon) = (variance.abs(), epsilon.abs());
            let mut layer = TrainableBatchNorm::<f64>::new(1, epsilon, 0.1)
                .unwrap()
                .with_running_statistics([mean].to_vec().into(), [variance].to_vec().into())
                .unwrap();
            (layer.gamma_mut()[0], layer.beta_mut()[0]) = (gamma, beta);
            let found = layer.infer(&dmatrix![x]);
            if variance == 0.0 && epsilon == 0.0 {
                prop_assert_eq!(found, Err(Error::DegenerateRow { row: 0, value: mean }));
                return Ok(());
            }
            let square = Wide::of(variance).plus(Wide::of(epsilon));
            let deviation = Wide::of(x).plus(Wide::of(-mean));
            let scaled = Wide::of(gamma).times(deviation).over(square.root());
            let expected = scaled.plus(Wide::of(beta));
            let larger = if scaled.is_larger_than(Wide::of(beta)) { scaled } else { Wide::of(beta) };
            // Four roundings, and two steps of the smallest floats.
            let tolerance = larger.times(Wide::of(1e-15)).plus(Wide::of(1e-323));
            let tolerance = Wide::new(tolerance.mantissa.abs(), tolerance.exponent);
            match found {
                Ok(found) => {
                    let error = Wide::of(found[0]).plus(Wide::of(-1.0).times(expected));
                    prop_assert!(!error.is_larger_than(tolerance), "{} {:?}", found, expected);
                }
                Err(Error::Overflow { what: "normalised entry", row: 0, .. }) => {
                    let size = Wide::new(expected.mantissa.abs(), expected.exponent);
                    let bound = size.plus(tolerance);
                    prop_assert!(bound.is_larger_than(Wide::of(f64::MAX)), "{:?}", expected);
                }
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
    }

    /// The numbers of bug reports: infinities and NaN before.
    #[test]
    fn ends_of_the_range() {
        let layer = |mean: f64, gamma: f64, beta: f64| {
            let layer = TrainableBatchNorm::<f64>::new(1, 1e-5, 0.1).unwrap();
            let (mean, variance) = ([mean].to_vec().into(), [1e300].to_vec().into());
            let mut layer = layer.with_running_statistics(mean, variance).unwrap();
            (layer.gamma_mut()[0], layer.beta_mut()[0]) = (gamma, beta);
            layer
        };
        let at = dmatrix![1.7e308];
        let found = layer(-1.7e308, 1.0, 0.0).infer(&at).unwrap();
        assert_relative_eq!(found[0], 3.4e158, max_relative = 1e-15);
        assert_eq!(layer(-1.7e308, 0.0, 7.0).infer(&at).unwrap()[0], 7.0);
        let error = layer(-1.7e308, 1e150, 0.0).infer(&at).unwrap_err();
        assert!(matches!(error, Error::Overflow { what: "normalised entry", row: 0, .. }));
        // 2.04e308 alone is beyond the range, less 1e308 it is not.
        let found = layer(-1.7e308, 6e149, -1e308).infer(&at).unwrap();
        assert_relative_eq!(found[0], 1.04e308, max_relative = 1e-14);

        let single = |epsilon: f64| {
            let layer = TrainableBatchNorm::<f32>::new(1, epsilon, 0.1).unwrap();
            let (mean, variance) = ([0.0].to_vec().into(), [0.0].to_vec().into());
            layer.with_running_statistics(mean, variance).unwrap().infer(&dmatrix![1e35f32])
        };
        assert_relative_eq!(single(1e-5).unwrap()[0], 3.162_277_6e37, max_relative = 1e-6);
        let error = single(1e-10).unwrap_err();
        let Error::Overflow { what: "normalised entry", row: 0, value } = error else {
            panic!("{error}")
        };
        assert_relative_eq!(value, 1e40, max_relative = 1e-7); // 1e35 is rounded in `f32`

        let mut layer = TrainableBatchNorm::<f64>::new(1, 0.0, 0.1).unwrap();
        layer.gamma_mut()[0] = 1.7e308;
        let (before, mut h) = (layer.clone(), dmatrix![1.0, 1.0, 1.0, 5.0]);
        let error = layer.train_mut(&mut h).unwrap_err();
        assert!(matches!(error, Error::Overflow { what: "normalised entry", row: 0, .. }));
        assert_eq!((layer, h), (before, dmatrix![1.0, 1.0, 1.0, 5.0]));
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
