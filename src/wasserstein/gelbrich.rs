//! The Gelbrich lower bound from samples or their moments, with its bias and its standard error.

use nalgebra::{DMatrix, DVector};

use crate::check;
use crate::factorization::symmetric_eigen;
use crate::scalar::exponent;
use crate::wasserstein::{Gaussian, Kind, Of, RowMoments, Sample, W2, bias};
use crate::{Error, Result};

/// How the bias of a Gelbrich distance is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Correction {
    /// To first order in n/N: good up to n/N of about 0.06.
    FirstOrder,
    /// For n and N of the same order, n < N - 1 (Tiomoko and Couillet, arXiv 1903.03447).
    RandomMatrix,
}

/// What the moments and the target make together.
struct Spectrum {
    /// The eigenvalues mu of $`F^\top C F`$, with the factor `F` of the target.
    eigenvalues: Vec<f64>,
    /// `F V`, with the eigenvectors `V`: $`T = (F V) \mu^{-1/2} (F V)^\top`$ is the transport map.
    directions: DMatrix<f64>,
}

impl Spectrum {
    /// Without the eigenvalues that are zero.
    fn positive(self) -> Self {
        let kept: Vec<usize> =
            (0..self.eigenvalues.len()).filter(|&i| self.eigenvalues[i] > 0.0).collect();
        Self {
            eigenvalues: kept.iter().map(|&i| self.eigenvalues[i]).collect(),
            directions: self.directions.select_columns(&kept),
        }
    }
}

impl RowMoments {
    /// Returns the Gelbrich distance of the rows to `target`, the Bures distance of two Gaussians
    /// with the same moments: a lower bound on the squared Wasserstein-2 distance of any law.
    ///
    /// Bias and standard error are those of Gaussian rows, such as those of `W H` given `H`: second
    /// moments determine no others. The bias is that of [`Correction::RandomMatrix`] where the
    /// dimension allows, else of first order. [`Sample::gelbrich`] does not assume Gaussian rows;
    /// their bias may be twice as large (exponential rows, n = 4, N = 400: 0.038, here 0.023).
    ///
    /// Cost: `O(n³)`, and `n² k` for a target with a factor of k columns.
    ///
    /// ```
    /// use orthogap::Seed;
    /// use orthogap::wasserstein::{Gaussian, RowMoments};
    ///
    /// let rows = Gaussian::isotropic(64, 1.2)?.sample(128, Seed(1), 0);
    /// let mut moments = RowMoments::new(64)?;
    /// moments.push_rows(&rows)?;
    /// let w2 = moments.gelbrich(&Gaussian::isotropic(64, 1.0)?)?;
    /// assert!(w2.squared > 10.0); // the truth is 64 * 0.2² = 2.56
    /// assert!((w2.debiased() - 2.56).abs() < 1.0);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::SampleTooSmall`] below two rows, [`Error::ShapeMismatch`] for a target of another
    /// dimension, [`Error::InvalidParameter`] if products of both variances leave 1e-290 to 1e300.
    pub fn gelbrich(&self, target: &Gaussian) -> Result<W2> {
        let plain = self.plain_gelbrich(target)?;
        let spectrum = self.spectrum(target)?;
        let error = self.normal_error(target, &spectrum);
        let bias = self.default_bias(&plain, target, &spectrum);
        Ok(W2 { bias: Some(bias), sampling_error: Some(error), ..plain })
    }

    /// Returns [`gelbrich`](Self::gelbrich) with a given estimate of its bias.
    ///
    /// # Errors
    /// Those of [`gelbrich`](Self::gelbrich), and [`Error::InvalidParameter`] for a random-matrix
    /// correction from too few rows.
    pub fn gelbrich_with(&self, target: &Gaussian, correction: Correction) -> Result<W2> {
        let plain = self.gelbrich(target)?;
        let spectrum = self.spectrum(target)?;
        if correction == Correction::RandomMatrix && !self.has_random_matrix_bias(&spectrum) {
            let expected = "at least two rows more than the dimension, or than the columns of a \
                factor of the target if it has fewer";
            return Err(Error::InvalidParameter {
                name: "count",
                value: self.count() as f64,
                expected,
            });
        }
        Ok(W2 { bias: Some(self.bias(&plain, target, &spectrum, correction)), ..plain })
    }

    /// The distance without bias and error.
    fn plain_gelbrich(&self, target: &Gaussian) -> Result<W2> {
        self.check_dimension("the target", target.dimension())?;
        if self.count() < 2 {
            return Err(Error::SampleTooSmall { count: self.count() as usize, minimum: 2 });
        }
        let covariance = self.covariance();
        let (variance, total_variance) = (covariance.trace(), target.total_variance());
        if variance > 0.0 && total_variance > 0.0 {
            check_product(variance * total_variance)?;
        }
        // About the target's mean: the difference of means is known to more digits than the means.
        let fitted = Gaussian::from_covariance(&covariance)?.with_mean(target.mean().as_slice())?;
        let squared = fitted.w2(target)?.squared + self.mean_less(target.mean()).norm_squared();
        Ok(W2::of_samples(squared, Kind::Lower, Of::Population))
    }

    fn spectrum(&self, target: &Gaussian) -> Result<Spectrum> {
        let factor = target.compact_factor();
        let eigen = symmetric_eigen(factor.transpose() * self.covariance() * &factor)?;
        let largest = eigen.values[0];
        if largest > 0.0 {
            check_product(largest)?;
        }
        // What is rounding is zero.
        let terms = factor.nrows().max(factor.ncols());
        let floor = terms as f64 * f64::EPSILON * largest;
        let eigenvalues: Vec<f64> =
            eigen.values.iter().map(|&mu| if mu > floor { mu } else { 0.0 }).collect();
        Ok(Spectrum { eigenvalues, directions: factor * eigen.vectors })
    }

    fn has_random_matrix_bias(&self, spectrum: &Spectrum) -> bool {
        // The rank of the target is at most the lesser side of its factor.
        let (n, k) = spectrum.directions.shape();
        (n.min(k) as u64) + 1 < self.count()
    }

    fn default_bias(&self, plain: &W2, target: &Gaussian, spectrum: &Spectrum) -> f64 {
        let random_matrix = self.has_random_matrix_bias(spectrum);
        let correction =
            if random_matrix { Correction::RandomMatrix } else { Correction::FirstOrder };
        self.bias(plain, target, spectrum, correction)
    }

    /// The bias of the plug-in distance, whose covariance has the divisor N: it shrinks by tr C/N
    /// what the mean adds, and every root of an eigenvalue by a factor.
    fn bias(
        &self,
        plain: &W2,
        target: &Gaussian,
        spectrum: &Spectrum,
        correction: Correction,
    ) -> f64 {
        let (count, degrees) = (self.count() as f64, (self.count() - 1) as f64);
        let unbiased: Vec<f64> =
            spectrum.eigenvalues.iter().map(|mu| mu * count / degrees).collect();
        let roots: f64 = unbiased.iter().map(|mu| mu.sqrt()).sum();
        let trace = self.covariance().trace() * count / degrees;
        match correction {
            Correction::FirstOrder => {
                bias::first_order(&unbiased, degrees)
                    + 2.0 * roots * (1.0 - (degrees / count).sqrt())
            }
            Correction::RandomMatrix => {
                let between_means = self.mean_less(target.mean()).norm_squared() - trace / count;
                let between_shapes = trace + target.total_variance()
                    - 2.0 * bias::random_matrix_sum_of_roots(&unbiased, degrees);
                plain.squared - between_means - between_shapes
            }
        }
    }

    /// The standard error for Gaussian rows: $`x^\top (I - T) x + 2 \delta^\top x`$ has the
    /// variance $`2 \mathrm{tr} (I - T) C (I - T) C + 4 \delta^\top C \delta`$, where
    /// $`T C T = S`$.
    fn normal_error(&self, target: &Gaussian, spectrum: &Spectrum) -> f64 {
        // In units of which squares stay in range.
        let covariance = self.covariance();
        let unit = 2f64.powi(exponent(covariance.amax()));
        let covariance = covariance / unit;
        let image = &covariance * &spectrum.directions;
        let through: f64 = spectrum
            .eigenvalues
            .iter()
            .zip(image.column_iter())
            .filter(|(mu, _)| **mu > 0.0)
            .map(|(mu, column)| column.norm_squared() / mu.sqrt())
            .sum();
        let across = spectrum.eigenvalues.iter().sum::<f64>() / unit / unit;
        let quadratic = covariance.norm_squared() - 2.0 * through + across;
        let difference = self.mean_less(target.mean());
        let linear = difference.dot(&(&covariance * &difference)) / unit;
        ((2.0 * quadratic.max(0.0) + 4.0 * linear) / self.count() as f64).sqrt() * unit
    }
}

/// Refuses a product of variances that does not keep its digits.
fn check_product(value: f64) -> Result<()> {
    let valid = (1e-290..=1e300).contains(&value);
    let (name, expected) = ("product of the variances", "from 1e-290 to 1e300, unless one is zero");
    check::parameter(name, value, valid, expected).map(|_| ())
}

impl Sample {
    /// Returns the Gelbrich distance to `target`, with a bias and a standard error for any law of
    /// the samples that has fourth moments.
    ///
    /// The standard error is the deviation (divisor N - 1) of
    /// $`(x - \bar x)^\top (I - T) (x - \bar x) + 2 (\bar x - m)^\top (x - \bar x)`$ over $`\sqrt N`$,
    /// where `T` is the transport map between the two Gaussians. The bias is that of
    /// [`RowMoments::gelbrich`] and what fourth moments of the samples add to first order in 1/N,
    ///
    /// ```math
    /// \frac{1}{2N} \sum_{ij} \frac{E\, y_i^2 y_j^2 - (1 + 2 \delta_{ij}) \mu_i \mu_j}
    ///     {\sqrt{\mu_i \mu_j} (\sqrt{\mu_i} + \sqrt{\mu_j})}
    /// ```
    ///
    /// with the coordinates y of $`F^\top (x - \bar x)`$, for the factor F of the target, along the
    /// eigenvectors of their covariance. That has mean zero for Gaussian rows. For heavy tails it
    /// is too small: rows of Student's t of 5 degrees, n = 16, N = 1600, have a bias of 0.119, of
    /// which 0.109 is stated.
    ///
    /// See [`RowMoments::gelbrich`] for the rest. It depends on first and second moments only: a
    /// law with the mean and covariance of the target is at distance zero.
    ///
    /// Cost: `O(N n² + n³)`, and `n² k` for a target with a factor of k columns; memory for two copies
    /// of the sample.
    ///
    /// # Errors
    /// Those of [`RowMoments::gelbrich`].
    pub fn gelbrich(&self, target: &Gaussian) -> Result<W2> {
        let moments = self.moments();
        let plain = moments.plain_gelbrich(target)?;
        let spectrum = moments.spectrum(target)?;
        let gaussian_bias = moments.default_bias(&plain, target, &spectrum);
        let spectrum = spectrum.positive();
        let along = self.centered() * &spectrum.directions;
        let bias = gaussian_bias + self.excess(&spectrum, &along);
        let influence = self.influence(target, &spectrum, &along);
        Ok(W2 { bias: Some(bias), ..plain }.with_influence(influence.as_slice()))
    }

    /// What samples that are not Gaussian add to the bias.
    fn excess(&self, spectrum: &Spectrum, along: &DMatrix<f64>) -> f64 {
        let (count, degrees) = (self.count() as f64, (self.count() - 1) as f64);
        let unbiased: Vec<f64> =
            spectrum.eigenvalues.iter().map(|mu| mu * count / degrees).collect();
        bias::excess(&unbiased, along, degrees)
    }

    /// The influence of each sample on the distance, up to a constant.
    fn influence(
        &self,
        target: &Gaussian,
        spectrum: &Spectrum,
        along: &DMatrix<f64>,
    ) -> DVector<f64> {
        let centered = self.centered();
        let difference = self.moments().mean_less(target.mean());
        let mut influence: DVector<f64> = centered * difference * 2.0;
        for column in centered.column_iter() {
            influence.zip_apply(&column, |sum, x| *sum += x * x);
        }
        for (&mu, column) in spectrum.eigenvalues.iter().zip(along.column_iter()) {
            let weight = mu.sqrt().recip();
            influence.zip_apply(&column, |sum, y| *sum -= weight * y * y);
        }
        influence
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::dmatrix;

    /// Rows 1, 3, 5, 7: mean 4 and variance 5, against N(3, 2²), to which the map from N(4, 5) has
    /// the slope t = 2/sqrt(5).
    #[test]
    fn one_dimension_by_hand() {
        let rows = dmatrix![1.0; 3.0; 5.0; 7.0];
        let sample = Sample::from_rows(&rows).unwrap();
        let target = Gaussian::isotropic(1, 2.0).unwrap().with_mean(&[3.0]).unwrap();
        let t = 2.0 / 5f64.sqrt();
        let moments = sample.moments().gelbrich(&target).unwrap();
        assert!((moments.squared - (1.0 + (5f64.sqrt() - 2.0).powi(2))).abs() < 1e-14);
        // Gaussian rows: 2 ((1 - t) C)² + 4 δ² C.
        let variance = 2.0 * ((1.0 - t) * 5.0).powi(2) + 4.0 * 5.0;
        assert!((moments.sampling_error.unwrap() - (variance / 4.0).sqrt()).abs() < 1e-14);
        // These rows: (1 - t) x² + 2 δ x at -3, -1, 1, 3.
        let influence = [-3.0, -1.0, 1.0, 3.0].map(|x: f64| (1.0 - t) * x * x + 2.0 * x);
        let mean = influence.iter().sum::<f64>() / 4.0;
        let variance = influence.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4.0;
        let error = sample.gelbrich(&target).unwrap().sampling_error.unwrap();
        assert!((error - (variance / 3.0).sqrt()).abs() < 1e-14);
    }

    /// Where both laws are does not matter, however the bias is told.
    #[test]
    fn estimates_move_with_both_laws() {
        let rows = dmatrix![1.0, 0.0; 3.0, 2.0; -1.0, 0.5; 2.0, 2.0; 0.0, -3.0; 1.5, 1.0];
        let of = |shift: f64, correction| {
            let target = Gaussian::diagonal(&[1.0, 2.0]).unwrap();
            let target = target.with_mean(&[shift, 1.0 - shift]).unwrap();
            let rows =
                DMatrix::from_fn(6, 2, |i, j| rows[(i, j)] + if j == 0 { shift } else { -shift });
            let sample = Sample::from_rows(&rows).unwrap();
            let told = sample.moments().gelbrich_with(&target, correction).unwrap();
            let by_default = sample.gelbrich(&target).unwrap();
            [told, by_default].map(|w2| [w2.squared, w2.bias.unwrap(), w2.sampling_error.unwrap()])
        };
        for correction in [Correction::FirstOrder, Correction::RandomMatrix] {
            let here = of(0.0, correction);
            for shift in [-4.0, 0.5, 4.0] {
                let there = of(shift, correction);
                for (here, there) in here.iter().flatten().zip(there.iter().flatten()) {
                    assert!((here - there).abs() < 1e-12, "{here} {there}");
                }
            }
        }
    }

    /// Two coordinates that are independent add up, in their variances.
    #[test]
    fn two_dimensions_are_twice_one() {
        let rows = dmatrix![1.0, 1.0; -1.0, 1.0; 1.0, -1.0; -1.0, -1.0] * 3.0;
        let moments = Sample::from_rows(&rows).unwrap().moments().clone();
        let target = Gaussian::isotropic(2, 1.0).unwrap();
        let w2 = moments.gelbrich(&target).unwrap();
        assert!((w2.squared - 8.0).abs() < 1e-14);
        // C = 9, t = 1/3: 2 * (2/3 * 9)² each.
        assert!((w2.sampling_error.unwrap() - (144.0f64 / 4.0).sqrt()).abs() < 1e-13);
    }

    /// Of 1000 rows of N(0, 1), the mean of the distance to it is 2 - 2 E s, where
    /// N s² is a chi square of N - 1 degrees of freedom: E chi_k = sqrt(k) (1 - 1/(4k) + ...).
    #[test]
    fn the_first_order_bias_is_that_of_normal_rows() {
        let (count, degrees) = (1000.0f64, 999.0f64);
        // Rows whose unbiased variance is one.
        let deviation = (degrees / count).sqrt();
        let rows =
            DMatrix::from_fn(1000, 1, |i, _| if i % 2 == 0 { 1.0 } else { -1.0 }) * deviation;
        let target = Gaussian::isotropic(1, 1.0).unwrap();
        let sample = Sample::from_rows(&rows).unwrap();
        let w2 = sample.moments().gelbrich_with(&target, Correction::FirstOrder).unwrap();
        let mean_deviation = deviation * (1.0 - 0.25 / degrees);
        assert!((w2.bias.unwrap() - (2.0 - 2.0 * mean_deviation)).abs() < 1.0 / (count * count));
    }

    /// A factor with many columns is worth as many as there are dimensions: in cost, and in rows.
    #[test]
    fn wide_factors_are_those_of_their_covariance() {
        let rows = Gaussian::isotropic(2, 1.3).unwrap().sample(50, crate::Seed(1), 0);
        for (columns, count) in [(100, 50), (100, 4), (4, 4), (3, 50)] {
            let factor = DMatrix::from_fn(2, columns, |i, j| {
                ((7 * i * i + 3 * j + i * j) % 11) as f64 - 4.0
            });
            let square = Gaussian::from_covariance(&(&factor * factor.transpose())).unwrap();
            let wide = Gaussian::from_factor(&factor).unwrap();
            let sample = Sample::from_rows(&rows.rows(0, count)).unwrap();
            let moments = sample.moments();
            assert!(moments.spectrum(&wide).unwrap().eigenvalues.len() <= 4);
            let of = |target: &Gaussian| {
                [
                    sample.gelbrich(target).unwrap(),
                    moments.gelbrich(target).unwrap(),
                    moments.gelbrich_with(target, Correction::FirstOrder).unwrap(),
                    moments.gelbrich_with(target, Correction::RandomMatrix).unwrap(),
                ]
            };
            for (wide, square) in of(&wide).into_iter().zip(of(&square)) {
                let numbers = |w2: W2| [w2.squared, w2.bias.unwrap(), w2.sampling_error.unwrap()];
                for (wide, square) in numbers(wide).into_iter().zip(numbers(square)) {
                    assert!((wide / square - 1.0).abs() < 1e-9, "{columns}: {wide} {square}");
                }
            }
        }
    }

    /// Also where the squares of variances leave the range.
    #[test]
    fn errors_have_no_scale() {
        let rows = dmatrix![1.0, 0.0; 3.0, 2.0; -1.0, 0.5; 2.0, 2.0; 0.0, -3.0; 1.5, 1.0];
        let of = |unit: f64, deviation: f64| {
            let sample = Sample::from_rows(&(&rows * unit)).unwrap();
            let target = Gaussian::isotropic(2, deviation).unwrap().with_mean(&[unit; 2]).unwrap();
            [sample.gelbrich(&target), sample.moments().gelbrich(&target)]
                .map(|w2| w2.unwrap().sampling_error.unwrap() / unit / unit)
        };
        let (one, large, small) = (1.0, 2f64.powi(490), 2f64.powi(-450));
        for unit in [large, small] {
            assert_eq!(of(unit, 0.0), of(one, 0.0));
        }
        // Beside variances like these, that of the target is none.
        assert_eq!(of(large, small), of(one, 0.0));
    }

    #[test]
    fn few_rows_have_the_first_order_correction() {
        let target = Gaussian::isotropic(1, 1.0).unwrap();
        let of = |rows: &DMatrix<f64>| Sample::from_rows(rows).unwrap().moments().clone();
        let with = |rows, correction| of(rows).gelbrich_with(&target, correction);
        let (two, three) = (dmatrix![0.0; 2.0], dmatrix![0.0; 2.0; 4.0]);
        let plain = of(&two).gelbrich(&target).unwrap();
        assert_eq!(plain, with(&two, Correction::FirstOrder).unwrap());
        let refused = with(&two, Correction::RandomMatrix).unwrap_err();
        assert!(matches!(refused, Error::InvalidParameter { name: "count", value: 2.0, .. }));
        let plain = of(&three).gelbrich(&target).unwrap();
        assert_eq!(plain, with(&three, Correction::RandomMatrix).unwrap());
        assert_ne!(plain, with(&three, Correction::FirstOrder).unwrap());
        let alone = of(&dmatrix![0.0]).gelbrich(&target);
        assert_eq!(alone, Err(Error::SampleTooSmall { count: 1, minimum: 2 }));
    }
}
