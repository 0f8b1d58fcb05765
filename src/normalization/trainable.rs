//! Batch normalisation of the frameworks: parameters, running statistics, inference.

mod inference;
mod rows;

use nalgebra::{
    DMatrix, DVector, DVectorViewMut, DefaultAllocator, Dim, Matrix, OMatrix, RawStorage,
    RawStorageMut, allocator::Allocator,
};

use super::batch_norm::BatchNorm;
use super::row::Row;
use super::row::entries::{Checked, InPlace, OutOfPlace};
use super::row::scratch::with_memory;
use super::shape::same_shape;
use crate::check;
use crate::{Error, Result, Scalar};

/// A batch normalisation layer of `d` neurons with scale, shift and running statistics.
///
/// In training a row is normalised by the statistics of the batch, in inference by the running
/// statistics. Then it is scaled by `gamma` and shifted by `beta`. After each training batch a
/// running statistic `s` becomes `(1 - momentum) s + momentum b`, where `b` is the statistic of the
/// batch. Running variances are unbiased (`n - 1`), as in PyTorch's `BatchNorm1d`. A momentum of 1
/// keeps exactly the statistics of the last batch.
///
/// ```
/// use orthogap::approx::assert_relative_eq;
/// use orthogap::nalgebra::{self, dmatrix};
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
    /// Returns a layer of `width` neurons with `gamma` 1, `beta` 0, running mean 0 and variance 1.
    ///
    /// PyTorch's defaults are `epsilon` 1e-5 and `momentum` 0.1.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a width of 0, an epsilon that is negative or not finite, or
    /// a momentum outside 0 to 1.
    pub fn new(width: usize, epsilon: f64, momentum: f64) -> Result<Self> {
        check::count("width", width, width > 0, "a width of at least 1")?;
        let valid = (0.0..=1.0).contains(&momentum);
        check::parameter("momentum", momentum, valid, "0 <= momentum <= 1")?;
        Ok(Self {
            operator: BatchNorm::standard(epsilon)?,
            momentum,
            gamma: DVector::from_element(width, T::one()),
            beta: DVector::zeros(width),
            running_mean: DVector::zeros(width),
            running_variance: DVector::from_element(width, T::one()),
        })
    }

    /// Returns the number `d` of neurons.
    #[must_use]
    pub fn width(&self) -> usize {
        self.gamma.len()
    }

    /// Returns the scale of each neuron.
    #[must_use]
    pub fn gamma(&self) -> &DVector<T> {
        &self.gamma
    }

    /// Returns the scale of each neuron, mutably: a view, which keeps their number.
    pub fn gamma_mut(&mut self) -> DVectorViewMut<'_, T> {
        self.gamma.as_view_mut()
    }

    /// Returns the shift of each neuron.
    #[must_use]
    pub fn beta(&self) -> &DVector<T> {
        &self.beta
    }

    /// Returns the shift of each neuron, mutably: a view, which keeps their number.
    pub fn beta_mut(&mut self) -> DVectorViewMut<'_, T> {
        self.beta.as_view_mut()
    }

    /// Returns the running mean of each neuron.
    #[must_use]
    pub fn running_mean(&self) -> &DVector<T> {
        &self.running_mean
    }

    /// Returns the running unbiased variance of each neuron.
    #[must_use]
    pub fn running_variance(&self) -> &DVector<T> {
        &self.running_variance
    }

    /// Sets running statistics, such as those of a saved layer.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless there is a mean and a variance for every neuron;
    /// [`Error::InvalidParameter`] if a variance is negative, or a mean or a variance is not
    /// finite.
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

    /// Returns the number added to the variance.
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        self.operator.epsilon()
    }

    /// Returns the share by which running statistics move towards those of a batch.
    #[must_use]
    pub fn momentum(&self) -> f64 {
        self.momentum
    }

    /// Normalises a training batch `h` (`d x n`) in place and updates the running statistics.
    ///
    /// Blocks, reads and cost are those of [`BatchNorm::normalize_mut`]. Each thread that calls
    /// this keeps two numbers a neuron for the next batch. On an error nothing has changed.
    ///
    /// # Errors
    /// Those of [`BatchNorm::normalize_mut`], [`Error::ShapeMismatch`] unless `h` has `d` rows, and
    /// [`Error::Overflow`] if the variance or a result of a row exceeds the range of `T`;
    /// [`Error::InvalidParameter`] if scales or shifts are not finite.
    pub fn train_mut<R, C, S>(&mut self, h: &mut Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorageMut<T, R, C>,
    {
        self.check_rows(h)?;
        self.operator.check_batch(h.shape())?;
        with_memory(h.nrows(), |memory| {
            self.train_rows(&mut Checked::new(h), memory)?;
            self.train_rows(&mut InPlace::new(h), memory)?;
            self.remember_rows(memory);
            Ok(())
        })
    }

    /// Moves the running statistics towards those of a training batch `h` (`d x n`), as
    /// [`train_mut`](Self::train_mut) does, without normalising it.
    ///
    /// A constant row is accepted, even without epsilon. On an error nothing has changed.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless `h` has `d` rows; [`Error::BatchTooSmall`] for fewer than
    /// two samples; [`Error::NotFinite`]; [`Error::Overflow`] if the variance of a row exceeds the
    /// range of `T`; [`Error::InvalidParameter`] if scales or shifts are not finite.
    pub fn remember<R, C, S>(&mut self, h: &Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        self.check_batch(h)?;
        self.remember_checked(h)
    }

    /// [`remember`](Self::remember) after [`check_memory`](Self::check_memory), or of a shape that
    /// [`check_batch`](Self::check_batch) accepts.
    pub(crate) fn remember_checked<R, C, S>(&mut self, h: &Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        with_memory(h.nrows(), |memory| {
            self.sum_rows(&mut Checked::new(h), memory)?;
            self.remember_rows(memory);
            Ok(())
        })
    }

    /// Refuses a batch that [`remember`](Self::remember) refuses.
    pub(crate) fn check_memory<R, C, S>(&self, h: &Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        self.check_batch(h)?;
        with_memory(h.nrows(), |memory| self.sum_rows(&mut Checked::new(h), memory))
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
    /// Reads `h` once, or up to three times if rows are too long to be packed whole (see
    /// [`BatchNorm::normalize_mut`]). On an error the layer has not changed, but `output` may be
    /// half written.
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
        same_shape("output", output.shape(), h.shape())?;
        self.check_rows(h)?;
        self.operator.check_batch(h.shape())?;
        with_memory(h.nrows(), |memory| {
            self.train_rows(&mut OutOfPlace::new(h, output), memory)?;
            self.remember_rows(memory);
            Ok(())
        })
    }

    /// Returns a normalised training batch, newly allocated; see [`train_mut`](Self::train_mut).
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
        let (rows, columns) = h.shape_generic();
        let mut output = OMatrix::zeros_generic(rows, columns);
        self.train_to(h, &mut output)?;
        Ok(output)
    }

    fn check_rows<R, C, S>(&self, h: &Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        self.check_affine()?;
        same_shape("the batch", h.shape(), (self.width(), h.ncols()))
    }

    /// Refuses scales and shifts that are not finite.
    pub(crate) fn check_affine(&self) -> Result<()> {
        for (name, parameters) in [("gamma", &self.gamma), ("beta", &self.beta)] {
            // All of them, without an early end: it is several times faster.
            let numbers = parameters.as_slice();
            if !numbers.iter().fold(true, |are_finite, value| are_finite & value.is_finite()) {
                let value = numbers.iter().find(|value| !value.is_finite());
                let value = value.map_or(f64::NAN, |&value| value.into());
                let expected = "a finite number";
                return Err(Error::InvalidParameter { name, value, expected });
            }
        }
        Ok(())
    }

    /// Refuses a shape whose statistics cannot be remembered.
    fn check_batch<R, C, S>(&self, h: &Matrix<T, R, C, S>) -> Result<()>
    where
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        self.check_rows(h)?;
        check::batch(h.ncols(), 2)
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

#[cfg(test)]
mod tests {
    use super::super::row::RowMap;
    use super::super::row::scratch::Memory;
    use super::super::row::tests::{bad_kinds, bits, close, kinds, matrix, shapes, told};
    use super::*;
    use approx::assert_relative_eq;
    use nalgebra::dmatrix;
    use proptest::prelude::*;

    /// Of rows whose squares underflow, too.
    #[test]
    fn running_means_of_small_rows() {
        let h = dmatrix![1.0, 2.0, 6.0; 4.0, -1.0, 0.0] * 1e-170;
        let mut norm = TrainableBatchNorm::<f64>::new(2, 0.1, 1.0).unwrap();
        norm.train(&h).unwrap();
        assert_relative_eq!(norm.running_mean()[0], 3e-170, max_relative = 1e-15);
        assert_relative_eq!(norm.running_mean()[1], 1e-170, max_relative = 1e-15);
        assert_eq!((norm.epsilon(), norm.momentum()), (0.1, 1.0));
    }

    /// By every form, which leaves the running statistics as they are.
    #[test]
    fn what_does_not_fit_is_refused() {
        type Form = fn(&mut TrainableBatchNorm<f64>, &DMatrix<f64>) -> Result<()>;
        let training: [Form; 4] = [
            |norm, h| norm.train(h).map(drop),
            |norm, h| norm.train_mut(&mut h.clone()),
            |norm, h| norm.remember(h),
            |norm, h| norm.check_memory(h),
        ];
        let inference: [Form; 2] =
            [|norm, h| norm.infer(h).map(drop), |norm, h| norm.infer_mut(&mut h.clone())];
        let norm = TrainableBatchNorm::<f64>::new(2, 0.1, 0.5).unwrap();
        let mut unknown = norm.clone();
        unknown.beta_mut()[1] = f64::NAN;
        let refused = |form: Form, norm: &TrainableBatchNorm<f64>, h: &DMatrix<f64>| {
            let mut changed = norm.clone();
            let error = form(&mut changed, h).unwrap_err();
            assert_eq!(changed.running_mean(), norm.running_mean());
            error
        };
        let (two, three) = (dmatrix![1.0, 2.0; 3.0, 5.0], DMatrix::zeros(3, 2));
        for form in training.into_iter().chain(inference) {
            let error = refused(form, &norm, &three);
            assert!(matches!(error, Error::ShapeMismatch { what: "the batch", .. }), "{error}");
            let error = refused(form, &unknown, &two);
            assert!(matches!(error, Error::InvalidParameter { name: "beta", .. }), "{error}");
        }
        for form in training {
            let error = refused(form, &norm, &dmatrix![1.0; 2.0]);
            assert!(matches!(error, Error::BatchTooSmall { .. }), "{error}");
        }
        let wide = &mut DMatrix::zeros(2, 3);
        for error in [norm.clone().train_to(&two, wide), norm.infer_to(&two, wide)] {
            assert!(matches!(error, Err(Error::ShapeMismatch { what: "output", .. })));
        }
        for [mean, variance] in [[2, 3], [3, 2]].map(|sizes| sizes.map(DVector::<f64>::zeros)) {
            let error = norm.clone().with_running_statistics(mean, variance).unwrap_err();
            assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
        }
    }

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
        assert!(matches!(error, Error::Overflow { what: "normalised entry", row: 0, .. }));

        let mut layer = TrainableBatchNorm::<f64>::new(1, 0.0, 0.1).unwrap();
        layer.gamma_mut()[0] = 1.7e308;
        let (before, mut h) = (layer.clone(), dmatrix![1.0, 1.0, 1.0, 5.0]);
        let error = layer.train_mut(&mut h).unwrap_err();
        assert!(matches!(error, Error::Overflow { what: "normalised entry", row: 0, .. }));
        assert_eq!((layer, h), (before, dmatrix![1.0, 1.0, 1.0, 5.0]));
    }

    /// Row by row: the reference of training and of what is remembered.
    fn naive_train<T: Scalar>(
        layer: &mut TrainableBatchNorm<T>,
        h: &DMatrix<T>,
    ) -> Result<DMatrix<T>> {
        layer.operator.check_batch(h.shape())?;
        let rows: Vec<(Row, RowMap)> = (0..h.nrows())
            .map(|row| {
                let statistics = Row::of(&Checked::new(h), row)?;
                let map = layer.operator.row_map(&statistics, row)?;
                check_variance::<T>(&statistics, row)?;
                layer.check_results(&Checked::new(h), row, map)?;
                Ok((statistics, map))
            })
            .collect::<Result<_>>()?;
        let means = rows.iter().map(|(row, _)| row.mean()).collect();
        let variances = rows.iter().map(|(row, _)| row.unbiased_variance()).collect();
        layer.remember_rows(&Memory { means, variances });
        let result = |i: usize, j: usize| layer.result(h[(i, j)].into(), i, rows[i].1);
        Ok(DMatrix::from_fn(h.nrows(), h.ncols(), |i, j| T::of(result(i, j))))
    }

    /// Entry by entry.
    fn naive_infer<T: Scalar>(layer: &TrainableBatchNorm<T>, h: &DMatrix<T>) -> Result<DMatrix<T>> {
        for row in 0..h.nrows() {
            for column in 0..h.ncols() {
                let value: f64 = h[(row, column)].into();
                if !value.is_finite() {
                    return Err(Error::NotFinite { row, column, value });
                }
            }
            layer.check_results(&Checked::new(h), row, layer.running_map(row)?)?;
        }
        let maps: Vec<_> = (0..h.nrows()).map(|row| layer.running_map(row).unwrap()).collect();
        let result = |i: usize, j: usize| layer.result(h[(i, j)].into(), i, maps[i]);
        Ok(DMatrix::from_fn(h.nrows(), h.ncols(), |i, j| T::of(result(i, j))))
    }

    /// Outcomes, and the layers after them.
    fn check_layer<T: Scalar>(
        layer: &TrainableBatchNorm<T>,
        h: &DMatrix<T>,
    ) -> std::result::Result<(), String> {
        let same = |found: Result<DMatrix<T>>, expected: Result<DMatrix<T>>| match (found, expected)
        {
            (Ok(found), Ok(expected)) => {
                // Results near a shift are differences of numbers about as large.
                let largest = layer.beta.amax();
                let shifted = |h: DMatrix<T>| {
                    let mut all = h.clone().insert_column(0, T::zero());
                    all.column_mut(0).fill(largest);
                    all
                };
                close(&shifted(found), &shifted(expected))
            }
            (found, expected) => {
                let [found, expected] =
                    [found, expected].map(|result| result.map_err(|e| told(&e)));
                // The last digits of what is too large may differ.
                let kind = |outcome: &std::result::Result<DMatrix<T>, String>| match outcome {
                    Ok(_) => String::new(),
                    Err(text) if text.starts_with("Overflow") => {
                        text.split("value").next().unwrap_or_default().into()
                    }
                    Err(text) => text.clone(),
                };
                let (found, expected) = (kind(&found), kind(&expected));
                if found == expected { Ok(()) } else { Err(format!("{found}, not {expected}")) }
            }
        };
        let (mut trained, mut in_place, mut naive) = (layer.clone(), layer.clone(), layer.clone());
        let (found, expected) = (trained.train(h), naive_train(&mut naive, h));
        let mut written = h.clone();
        let outcome = in_place.train_mut(&mut written);
        if let Ok(found) = &found {
            outcome.map_err(|error| told(&error))?;
            if bits(&written) != bits(found) || in_place != trained {
                return Err("forms disagree".into());
            }
        } else if bits(&written) != bits(h) || trained != *layer || in_place != *layer {
            return Err("an error has written".into());
        }
        same(found, expected).map_err(|text| format!("training: {text}"))?;
        let columns = |layer: &TrainableBatchNorm<T>| {
            DMatrix::from_columns(&[layer.running_mean.clone(), layer.running_variance.clone()])
        };
        for (row, expected) in columns(&naive).row_iter().enumerate() {
            let found = columns(&trained).row(row).into_owned();
            let spread = h.row(row).iter().fold(0.0, |l, &x| f64::max(l, x.into().abs()));
            let error: f64 = (found[0] - expected[0]).abs().into();
            let variance: f64 = (found[1] - expected[1]).abs().into();
            let size: f64 = expected[1].into();
            if error > 4.0 * T::EPSILON * spread.max(1e-300) || variance > 1e3 * T::EPSILON * size {
                return Err(format!("running statistics of row {row}: {found} {expected}"));
            }
        }
        let mut remembered = layer.clone();
        let is_remembered = remembered.remember(h).is_ok();
        let is_trained = naive_train(&mut layer.clone(), h).is_ok();
        if is_remembered && is_trained && remembered != trained {
            return Err("remembered otherwise than trained".into());
        }
        let (found, expected) = (layer.infer(h), naive_infer(layer, h));
        let mut written = h.clone();
        let outcome = layer.infer_mut(&mut written);
        let is_same = match &found {
            Ok(found) => outcome.is_ok() && bits(&written) == bits(found),
            Err(_) => outcome.is_err() && bits(&written) == bits(h),
        };
        if !is_same {
            return Err("forms of inference disagree, or an error has written".into());
        }
        same(found, expected).map_err(|text| format!("inference: {text}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn blocks_agree_with_single_rows(
            shape in shapes(), seed in any::<u64>(), momentum in prop_oneof![Just(1.0), 0.0..1.0],
            kinds in prop::collection::vec(kinds(), 1..20),
            other in prop::option::of((any::<usize>(), bad_kinds())),
            scales in prop::collection::vec(prop_oneof![
                4 => -2.0..2.0f64, 1 => Just(0.0), 1 => Just(1e-30), 1 => Just(1e37),
            ], 1..7),
            epsilon in prop_oneof![Just(0.0), Just(1e-5)],
        ) {
            fn layer<T: Scalar>(
                width: usize, epsilon: f64, momentum: f64, scales: &[f64],
            ) -> TrainableBatchNorm<T> {
                let mut layer = TrainableBatchNorm::<T>::new(width, epsilon, momentum).unwrap();
                let scale = |i: usize| T::of(scales[i % scales.len()]);
                layer.gamma = DVector::from_fn(width, |i, _| scale(i));
                layer.beta = DVector::from_fn(width, |i, _| scale(3 * i + 1));
                let mean = DVector::from_fn(width, |i, _| scale(i + 2));
                let variance = DVector::from_fn(width, |i, _| scale(i + 3).abs() + T::of(1e-3));
                layer.with_running_statistics(mean, variance).unwrap()
            }
            let double = layer::<f64>(shape.0, epsilon, momentum, &scales);
            let outcome = check_layer(&double, &matrix(shape, seed, &kinds, other));
            prop_assert!(outcome.is_ok(), "{outcome:?}");
            let single = layer::<f32>(shape.0, epsilon, momentum, &scales);
            let outcome = check_layer(&single, &matrix(shape, seed, &kinds, other));
            prop_assert!(outcome.is_ok(), "f32: {outcome:?}");
        }
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
