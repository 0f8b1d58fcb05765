//! Normalisation of every sample over its features: layer, root mean square and group norm.

mod groups;

use fearless_simd::Level;
use nalgebra::{
    DefaultAllocator, Dim, Matrix, OMatrix, RawStorage, RawStorageMut, allocator::Allocator,
};

use self::groups::{Groups, Normalize, PullBack};
use super::batch_norm::{BatchNorm, Centering};
use super::row::entries::{Checked, InPlace, OutOfPlace, Target};
use super::row::pass::Pass;
use super::shape::{owned, same_shape};
use crate::serialization::deserialize_checked;
use crate::{Error, Result, Scalar};

/// A normalisation of every sample (column) over its features, alone or in groups of them.
///
/// It is batch normalisation transposed: each group of features of each sample is scaled to root
/// mean square one,
///
/// ```math
/// u = \frac{y - m}{\sqrt{\mathrm{mean}\,(y - m)^2 + \epsilon}},
/// ```
///
/// | | mean `m` | groups |
/// | --- | --- | --- |
/// | [`SampleNorm::layer`] (Ba et al. 2016) | of the sample | 1 |
/// | [`SampleNorm::rms`] (Zhang and Sennrich 2019) | 0 | 1 |
/// | [`SampleNorm::group`] (Wu and He 2018) | of the group | as given |
///
/// It couples the rows of `H`, so a chain with it holds `H`. It acts on samples one by one:
/// [`rms`](Self::rms) keeps the angles between samples, and centring removes only what is constant
/// over the features of a group.
///
/// ```
/// use orthogap::approx::assert_relative_eq;
/// use orthogap::nalgebra::{self, dmatrix};
/// use orthogap::normalization::SampleNorm;
///
/// // Two features, two samples.
/// let h = dmatrix![1.0, 4.0; 7.0, 3.0];
/// let expected = dmatrix![-1.0, 1.0; 1.0, -1.0];
/// assert_relative_eq!(SampleNorm::layer(0.0)?.normalize(&h)?, expected, epsilon = 1e-15);
/// let expected = dmatrix![0.2, 0.8 * 2f64.sqrt(); 1.4, 0.6 * 2f64.sqrt()];
/// assert_relative_eq!(SampleNorm::rms(0.0)?.normalize(&h)?, expected, epsilon = 1e-15);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[doc(alias("LayerNorm", "RMSNorm", "GroupNorm"))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SampleNorm {
    /// What is done to each group, laid out as a row.
    operator: BatchNorm,
    groups: usize,
}

impl SampleNorm {
    /// Creates layer normalisation: every sample is centred and scaled to unit root mean square.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if `epsilon` is negative or not finite.
    pub fn layer(epsilon: f64) -> Result<Self> {
        Ok(Self { operator: BatchNorm::standard(epsilon)?, groups: 1 })
    }

    /// Creates root mean square normalisation: every sample is scaled to unit root mean square.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if `epsilon` is negative or not finite.
    pub fn rms(epsilon: f64) -> Result<Self> {
        let operator = BatchNorm::standard(epsilon)?.with_centering(Centering::None);
        Ok(Self { operator, groups: 1 })
    }

    /// Creates group normalisation: the features of a sample form `groups` equal consecutive
    /// groups, each centred and scaled to unit root mean square.
    ///
    /// A group of an image consists of some channels of all pixels, as in PyTorch. If a dense layer
    /// normalises flattened images before its linear map, a group consists of all channels of some
    /// pixels, since channels are innermost: see
    /// [`Classifier::new`](crate::train::Classifier::new).
    ///
    /// ```
    /// use orthogap::approx::assert_relative_eq;
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::normalization::SampleNorm;
    ///
    /// let normalized = SampleNorm::group(2, 0.0)?.normalize(&dmatrix![1.0; 3.0; 50.0; 10.0])?;
    /// assert_relative_eq!(normalized, dmatrix![-1.0; 1.0; 1.0; -1.0], epsilon = 1e-15);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if `groups` is 0, or `epsilon` is negative or not finite.
    pub fn group(groups: usize, epsilon: f64) -> Result<Self> {
        if groups == 0 {
            let expected = "at least one group";
            return Err(Error::InvalidParameter { name: "groups", value: 0.0, expected });
        }
        Ok(Self { operator: BatchNorm::standard(epsilon)?, groups })
    }

    /// Returns the number added to the variance.
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        self.operator.epsilon()
    }

    /// Returns the number of groups of features.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Sets epsilon.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if `epsilon` is negative or not finite.
    pub fn with_epsilon(self, epsilon: f64) -> Result<Self> {
        Ok(Self { operator: self.operator.with_epsilon(epsilon)?, ..self })
    }

    /// Normalises `h` (`d x n`, samples are columns) in place.
    ///
    /// Cost: `O(d n)`, and memory of one group, which each thread keeps. From half a million
    /// entries on, the threads of the current rayon pool share the samples; bits do not depend on
    /// their number. An error may leave `h` half done.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`]; [`Error::DegenerateSample`] for a group that is
    /// zero, or constant if it is centred, unless epsilon is positive (it then becomes zero);
    /// [`Error::InvalidParameter`] if the groups do not divide the features.
    pub fn normalize_mut<T, R, C, S>(&self, h: &mut Matrix<T, R, C, S>) -> Result<()>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorageMut<T, R, C>,
    {
        self.normalize_images(h, 1)
    }

    /// Normalises `h` into `output`, a matrix or view of the same shape; see
    /// [`normalize_mut`](Self::normalize_mut).
    ///
    /// Reads `h` once. An error may leave `output` half written.
    ///
    /// ```
    /// use orthogap::nalgebra::DMatrix;
    /// use orthogap::normalization::SampleNorm;
    ///
    /// let h = DMatrix::from_fn(64, 8, |i, j| ((i * j + i) as f64).sin());
    /// let mut output = DMatrix::zeros(64, 8); // for many batches
    /// SampleNorm::layer(1e-5)?.normalize_to(&h, &mut output)?;
    /// assert!(output.column(3).mean().abs() < 1e-15);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
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
        self.normalize_groups(&mut OutOfPlace::new(h, output), 1)
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
    /// matrix by the gradient with respect to `h`, both `d x n`; samples are columns.
    ///
    /// It is [`BatchNorm::pullback_mut`] of every group of features. Cost: `O(d n)`, and memory of
    /// two groups, which each thread keeps. An error may leave the gradient half done.
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::normalization::SampleNorm;
    ///
    /// // A sample times a number is normalised to the same, so none of the gradient is along it.
    /// let (h, mut gradient) = (dmatrix![3.0f64; 4.0], dmatrix![1.0; 0.0]);
    /// SampleNorm::rms(0.0)?.pullback_mut(&h, &mut gradient)?;
    /// assert!(gradient.dot(&h).abs() < 1e-15 && gradient.norm() > 0.2);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`normalize_mut`](Self::normalize_mut), also [`Error::NotFinite`] of the gradient;
    /// [`Error::ShapeMismatch`]; [`Error::Overflow`] where samples are so small that the result
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
        self.pull_back_images(h, gradient, 1)
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

    /// [`normalize_mut`](Self::normalize_mut) of images, each of which is `pixels` columns of
    /// channels: a group is some channels of all its pixels.
    pub(crate) fn normalize_images<T, R, C, S>(
        &self,
        h: &mut Matrix<T, R, C, S>,
        pixels: usize,
    ) -> Result<()>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorageMut<T, R, C>,
    {
        self.normalize_groups(&mut InPlace::new(h), pixels)
    }

    fn normalize_groups<T: Scalar>(
        &self,
        entries: &mut impl Target<T>,
        pixels: usize,
    ) -> Result<()> {
        let groups = self.groups_of(entries.shape(), pixels)?;
        Normalize { operator: &self.operator, level: Level::new() }.run(entries, groups)
    }

    /// [`pullback_mut`](Self::pullback_mut) of images, each of which is `pixels` columns.
    pub(crate) fn pull_back_images<T, R, C, S, R2, C2, S2>(
        &self,
        h: &Matrix<T, R, C, S>,
        gradient: &mut Matrix<T, R2, C2, S2>,
        pixels: usize,
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
        let groups = self.groups_of(h.shape(), pixels)?;
        let pass = PullBack { operator: &self.operator, level: Level::new(), h: &Checked::new(h) };
        pass.run(&mut InPlace::new(gradient), groups)
    }

    /// The groups of a matrix of images.
    fn groups_of(&self, (rows, columns): (usize, usize), pixels: usize) -> Result<Groups> {
        if rows == 0 || columns == 0 {
            return Err(Error::Empty { rows, columns });
        }
        if !rows.is_multiple_of(self.groups) {
            let expected = "a divisor of the number of features or channels";
            return Err(Error::InvalidParameter {
                name: "groups",
                value: self.groups as f64,
                expected,
            });
        }
        Ok(Groups { rows, columns: 0..columns, channels: rows / self.groups, pixels })
    }
}

deserialize_checked!(SampleNorm { operator: BatchNorm, groups: usize }, |operator, groups| {
    Ok(SampleNorm { operator, ..SampleNorm::group(groups, 0.0)? })
});

#[cfg(test)]
mod tests {
    use super::super::row::pass::Parts;
    use super::super::row::tests::{
        bad_kinds, bits, close, close_pullback, kinds, matrix, naive_pullback, naive_rows, told,
    };
    use super::groups::Group;
    use super::*;
    use approx::assert_relative_eq;
    use nalgebra::DMatrix;
    use proptest::prelude::*;

    /// Out of place, in place and into a view.
    #[test]
    fn every_form_normalises() {
        let h = DMatrix::from_fn(6, 3, |i, j| ((7 * i + 3 * j) as f64).sin());
        for (norm, groups) in [
            (SampleNorm::layer(0.25).unwrap(), 1),
            (SampleNorm::rms(0.25).unwrap(), 1),
            (SampleNorm::group(3, 0.25).unwrap(), 3),
        ] {
            assert_eq!((norm.groups(), norm.epsilon()), (groups, 0.25));
            let expected = norm.normalize(&h).unwrap();
            assert_ne!(expected, h);
            let (mut inside, mut output) = (h.clone(), DMatrix::zeros(6, 3));
            norm.normalize_mut(&mut inside).unwrap();
            norm.normalize_to(&h, &mut output).unwrap();
            assert_eq!((&inside, &output), (&expected, &expected));
        }
    }

    proptest! {
        /// Against the formula, over groups, shapes, images and epsilons.
        #[test]
        fn agrees_with_the_formula(
            groups in 1usize..4, each in 2usize..5, pixels in 1usize..4, n in 1usize..4,
            epsilon in prop_oneof![Just(0.0), 1e-3..10.0], rms in any::<bool>(),
            seed in any::<u64>(),
        ) {
            let channels = groups * each;
            let h = crate::Input::gaussian(64, 64, crate::Seed(seed)).unwrap().columns()
                .view((0, 0), (channels, pixels * n)).into_owned();
            let (norm, groups) = if rms {
                (SampleNorm::rms(epsilon).unwrap(), 1)
            } else {
                (SampleNorm::group(groups, epsilon).unwrap(), groups)
            };
            let mut ours = h.clone();
            norm.normalize_images(&mut ours, pixels).unwrap();
            let each = channels / groups;
            for sample in 0..n {
                for group in 0..groups {
                    let from = h.view((group * each, sample * pixels), (each, pixels));
                    let mean = if rms { 0.0 } else { from.mean() };
                    let square = from.map(|x| (x - mean).powi(2)).mean();
                    let expected = from.map(|x| (x - mean) / (square + epsilon).sqrt());
                    let found = ours.view((group * each, sample * pixels), (each, pixels));
                    prop_assert!((found - expected).amax() < 1e-12);
                }
            }
        }
    }

    proptest! {
        /// Against central differences of the normalisation itself, over groups, images, epsilons.
        #[test]
        fn pullback_agrees_with_differences(
            groups in 1usize..4, each in 2usize..5, pixels in 1usize..4, n in 1usize..3,
            epsilon in prop_oneof![Just(0.0), 1e-2..10.0], rms in any::<bool>(),
            seed in any::<u64>(),
        ) {
            let channels = groups * each;
            let normals = crate::Input::gaussian(64, 64, crate::Seed(seed)).unwrap();
            let normals = |first| {
                normals.columns().view((first, 0), (channels, pixels * n)).into_owned()
            };
            // Far from a constant group.
            let (h, g, direction) = (normals(0).map(|x| x + 3.0 * x.signum()), normals(16), normals(32));
            let norm = if rms { SampleNorm::rms(epsilon) } else { SampleNorm::group(groups, epsilon) };
            let norm = norm.unwrap();
            let loss = |t: f64| {
                let mut moved = &h + &direction * t;
                norm.normalize_images(&mut moved, pixels).map(|()| moved.dot(&g))
            };
            prop_assume!(loss(0.0).is_ok());
            let difference = |t: f64| (loss(t).unwrap() - loss(-t).unwrap()) / (2.0 * t);
            let (fine, coarse) = (difference(5e-4), difference(1e-3));
            let expected = (4.0 * fine - coarse) / 3.0;
            let mut gradient = g.clone();
            norm.pull_back_images(&h, &mut gradient, pixels).unwrap();
            // A group with all its entries alike is nearly constant: its derivatives are large.
            let size = gradient.norm() * direction.norm();
            // Where entries of a group pass one another, differences are none of a derivative.
            prop_assume!((fine - coarse).abs() < 1e-2 * (1.0 + size));
            let along = gradient.dot(&direction);
            prop_assert!((along - expected).abs() < 1e-6 * (1.0 + size), "{along} {expected} {size}");
        }
    }

    /// Groups one by one, each as a row of batch normalisation.
    fn by_rows<T: Scalar>(
        norm: &SampleNorm,
        h: &DMatrix<T>,
        pixels: usize,
        mut each: impl FnMut(&Group) -> Result<DMatrix<T>>,
    ) -> Result<DMatrix<T>> {
        let mut output = h.clone();
        for group in norm.groups_of(h.shape(), pixels)?.each() {
            let row = each(&group).map_err(|error| group.locate(error))?;
            group.unpack(row.as_slice(), &mut InPlace::new(&mut output));
        }
        Ok(output)
    }

    fn check<T: Scalar>(
        norm: &SampleNorm,
        h: &DMatrix<T>,
        gradient: &DMatrix<T>,
        pixels: usize,
    ) -> std::result::Result<(), String> {
        let row = |matrix: &DMatrix<T>, group: &Group| {
            let mut row = DMatrix::zeros(1, group.len());
            group.pack(&Checked::new(matrix), row.as_mut_slice());
            row
        };
        let expected = by_rows(norm, h, pixels, |group| naive_rows(&norm.operator, &row(h, group)));
        let mut found = h.clone();
        let outcome = norm.normalize_images(&mut found, pixels);
        let by_samples = |matrix: &DMatrix<T>| {
            let (d, n) = matrix.shape();
            DMatrix::from_column_slice(d * pixels, n / pixels, matrix.as_slice()).transpose()
        };
        let compared = |found: Result<()>, expected: Result<DMatrix<T>>, result: &DMatrix<T>| {
            match (found, expected) {
                // Sums are of all entries of a sample.
                (Ok(()), Ok(expected)) => close(&by_samples(result), &by_samples(&expected)),
                (Err(found), Err(expected)) if told(&found) == told(&expected) => Ok(()),
                (Err(Error::Overflow { .. }), Err(Error::Overflow { .. })) => Ok(()),
                (found, expected) => Err(format!("{found:?}, not {:?}", expected.err())),
            }
        };
        compared(outcome, expected, &found)?;
        if pixels == 1
            && let Ok(allocated) = norm.normalize(h)
            && bits(&allocated) != bits(&found)
        {
            return Err("forms disagree".into());
        }
        let expected = by_rows(norm, gradient, pixels, |group| {
            naive_pullback(&norm.operator, &row(h, group), &row(gradient, group))
        });
        let mut found = gradient.clone();
        let outcome = norm.pull_back_images(h, &mut found, pixels);
        match (outcome, expected) {
            (Ok(()), Ok(expected)) => by_rows(norm, h, pixels, |group| {
                let [h, g, found, expected] =
                    [h, gradient, &found, &expected].map(|m| row(m, group));
                close_pullback(&norm.operator, [&h, &g], [&found, &expected])
                    .map_err(|text| panic!("pullback: {text}"))
                    .map(|()| h)
            })
            .map(drop)
            .map_err(|error| told(&error)),
            (outcome, expected) => {
                compared(outcome, expected, &found).map_err(|text| format!("pullback: {text}"))
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn columns_agree_with_single_rows(
            d in prop::sample::select(vec![2, 3, 15, 16, 17, 33, 63, 64, 65, 127, 130, 1025]),
            samples in 1usize..5, pixels in prop::sample::select(vec![1, 1, 2, 9]),
            seed in any::<u64>(), kinds in prop::collection::vec(kinds(), 1..6),
            other in prop::option::of((any::<usize>(), bad_kinds())),
            epsilon in prop_oneof![Just(0.0), Just(1e-5)], rms in any::<bool>(),
        ) {
            let norm = if rms { SampleNorm::rms(epsilon) } else { SampleNorm::layer(epsilon) };
            let norm = norm.unwrap();
            let groups = if !rms && d % 2 == 1 { 1 } else { 1 + (seed % 2) as usize * (1 - d % 2) };
            let norm = if rms { norm } else { SampleNorm { groups, ..norm } };
            // Samples are columns: what the generator makes of rows.
            let shape = (samples, d * pixels);
            let h = matrix::<f64>(shape, seed, &kinds, other);
            let in_images = |h: &DMatrix<f64>| {
                DMatrix::from_vec(d, pixels * samples, h.transpose().as_slice().to_vec())
            };
            let g = matrix::<f64>(shape, !seed, &[super::super::row::tests::Kind::Normal(0)], None);
            let (h, g) = (in_images(&h), in_images(&g));
            let outcome = check(&norm, &h, &g, pixels);
            prop_assert!(outcome.is_ok(), "{outcome:?}");
            let (h, g) = (h.map(|x| x.clamp(-1e30, 1e30) as f32), g.map(|x| x as f32));
            let outcome = check(&norm, &h, &g, pixels);
            prop_assert!(outcome.is_ok(), "f32: {outcome:?}");
        }
    }

    /// As in a row of batch normalisation: floats are 2 apart at 1e16.
    #[test]
    fn means_are_not_rounded() {
        let h = nalgebra::dmatrix![1.0; 2.0; 4.0; 0.0; 3.0; 3.0];
        let far = h.map(|x| 1e16 + 2.0 * x);
        let g = nalgebra::dmatrix![1.0; 0.0; 0.0; 5.0; 2.0; 1.0];
        for norm in [SampleNorm::layer(0.0).unwrap(), SampleNorm::group(2, 0.0).unwrap()] {
            let difference = norm.normalize(&far).unwrap() - norm.normalize(&h).unwrap();
            assert!(difference.amax() < 1e-15);
            // Where rows are twice as long, gradients are half as large.
            let pulled = norm.pullback(&far, &g.map(|x| 1e16 + 2.0 * x)).unwrap();
            assert!((pulled - norm.pullback(&h, &g).unwrap()).amax() < 1e-14);
        }
    }

    #[test]
    fn errors_of_a_pullback_are_placed() {
        let norm = SampleNorm::group(2, 0.0).unwrap();
        let h = nalgebra::dmatrix![1.0, 1.0; 2.0, 2.0; 1.0, 5.0; 7.0, 5.0];
        let mut g = DMatrix::from_element(4, 2, 1.0);
        let error = norm.pullback_mut(&h, &mut g).unwrap_err();
        assert_eq!(error, Error::DegenerateSample { sample: 1, value: 5.0 });
        g[(2, 1)] = f64::NAN;
        let error = SampleNorm::layer(1.0).unwrap().pullback(&h, &g).unwrap_err();
        assert!(matches!(error, Error::NotFinite { row: 2, column: 1, .. }));
        let error = norm.pullback(&h, &g.rows(0, 2).into_owned()).unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { what: "the gradient", .. }));
        let g = DMatrix::from_element(4, 2, 1.0) + &h;
        let error = SampleNorm::rms(0.0).unwrap().pullback(&(h * 1e-300), &(g * 1e30)).unwrap_err();
        assert!(matches!(error, Error::Overflow { what: "gradient", .. }));
    }

    #[test]
    fn bad_input_is_named() {
        let h = nalgebra::dmatrix![1.0, 2.0; 3.0, 2.0; 5.0, 2.0];
        let error = SampleNorm::layer(0.0).unwrap().normalize(&h).unwrap_err();
        assert_eq!(error, Error::DegenerateSample { sample: 1, value: 2.0 });
        assert!(SampleNorm::rms(0.0).unwrap().normalize(&h).is_ok());
        assert_eq!(SampleNorm::layer(1.0).unwrap().normalize(&h).unwrap().column(1).amax(), 0.0);
        let error = SampleNorm::group(2, 0.0).unwrap().normalize(&h).unwrap_err();
        assert!(matches!(error, Error::InvalidParameter { name: "groups", .. }));
        let mut bad = h.clone();
        bad[(2, 1)] = f64::NAN;
        let error = SampleNorm::group(3, 1.0).unwrap().normalize(&bad).unwrap_err();
        assert!(matches!(error, Error::NotFinite { row: 2, column: 1, .. }));
        assert!(SampleNorm::group(0, 0.0).is_err() && SampleNorm::rms(-1.0).is_err());
        let error = SampleNorm::rms(0.0).unwrap().normalize_to(&h, &mut bad.rows_mut(0, 2));
        assert!(matches!(error, Err(Error::ShapeMismatch { what: "output", .. })));
        let huge = SampleNorm::rms(0.0).unwrap().normalize(&(h * 1e200)).unwrap();
        assert_relative_eq!(huge.column(1).norm_squared(), 3.0, max_relative = 1e-14);
    }
}
