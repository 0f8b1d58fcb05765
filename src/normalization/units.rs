//! Normalisations of representations that are held in a unit.

use std::f64::consts::LN_2;

use nalgebra::{DMatrix, DMatrixViewMut};

use super::Normalization;
use crate::scalar::{exp_factors, exponent, largest};
use crate::{Result, Scalar};

/// The normalisation of representations that are held in units of exp(`log_unit`).
///
/// Its epsilon is divided by the square of the unit. Where that leaves the range, what is held is
/// multiplied by a power of two first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InUnits {
    pub(super) normalization: Normalization,
    pub(super) log_unit: f64,
}

/// The logarithm to base 2 of an epsilon that is in range with its square root, and sums of squares
/// beside it.
const IN_RANGE: f64 = 1000.0;

impl InUnits {
    /// The epsilon of numbers that are held times 2^-power, and this power, at least `least`.
    fn epsilon(&self, least: impl Fn() -> f64) -> (f64, f64) {
        let epsilon = self.normalization.epsilon();
        let held = epsilon * (-2.0 * self.log_unit).exp();
        if epsilon == 0.0 || held.is_normal() {
            return (if epsilon == 0.0 { 0.0 } else { held }, 0.0);
        }
        let log = epsilon.log2() - 2.0 * self.log_unit / LN_2;
        let power = (0.5 * (log - log.clamp(-IN_RANGE, IN_RANGE))).round();
        let power = if power < 0.0 { power.max(least()) } else { power };
        ((log - 2.0 * power).exp2(), power)
    }

    /// Normalises some rows of `H` in place, or all of it; see [`Normalization::normalize_mut`].
    pub(crate) fn normalize_mut<T: Scalar>(
        self,
        h: &mut DMatrixViewMut<'_, T>,
        pixels: usize,
    ) -> Result<()> {
        let (epsilon, power) = self.epsilon(|| {
            let sizes = h.iter().map(|&x| x.to_f64().abs());
            least_power::<T>(sizes.fold(0.0, f64::max))
        });
        if power != 0.0 {
            times_power(h.iter_mut(), -power);
        }
        // Below all floats it matters only where a variance is zero: there the result is zero.
        let none = epsilon == 0.0 && self.normalization.epsilon() > 0.0;
        let epsilon = if none { f64::from_bits(1) } else { epsilon };
        self.normalization.with_epsilon(epsilon)?.normalize_mut(h, pixels)
    }

    /// Replaces the gradient with respect to the normalised matrix by the gradient with respect to
    /// what is held; see [`Normalization::pullback_mut`].
    pub(crate) fn pullback_mut<T: Scalar>(
        self,
        h: &DMatrix<T>,
        gradient: &mut DMatrix<T>,
        pixels: usize,
    ) -> Result<()> {
        let (epsilon, power) = self.epsilon(|| least_power::<T>(largest(h.as_slice())));
        // The gradient is divided by the root of epsilon and by 2^power, which must be a number.
        let divides = T::of((-power - 0.5 * IN_RANGE).exp2()) > T::zero();
        let epsilon = if power > 0.0 && !divides { f64::INFINITY } else { epsilon };
        let normalization = self.normalization.with_epsilon(epsilon)?;
        if power == 0.0 {
            return normalization.pullback_mut(h, gradient, pixels);
        }
        let mut h = h.clone();
        times_power(h.iter_mut(), -power);
        normalization.pullback_mut(&h, gradient, pixels)?;
        times_power(gradient.iter_mut(), -power);
        Ok(())
    }
}

/// The least power by which numbers up to `largest` can be divided, with squares of `f64` in range.
fn least_power<T: Scalar>(largest: f64) -> f64 {
    f64::from(exponent(largest) - exponent(T::LARGEST) / 2).min(0.0)
}

/// Multiplies numbers by a power of two.
fn times_power<'a, T: Scalar>(numbers: impl Iterator<Item = &'a mut T>, power: f64) {
    let factors = exp_factors(power * LN_2);
    numbers.for_each(|x| *x = T::of(factors.iter().fold(x.to_f64(), |x, factor| x * factor)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalization::{BatchNorm, SampleNorm};
    use crate::{Error, Scalar};
    use approx::assert_relative_eq;
    use nalgebra::dmatrix;

    fn kinds(epsilon: f64) -> [Normalization; 3] {
        [
            BatchNorm::standard(epsilon).unwrap().into(),
            SampleNorm::layer(epsilon).unwrap().into(),
            SampleNorm::rms(epsilon).unwrap().into(),
        ]
    }

    fn normalized<T: Scalar>(
        norm: Normalization,
        h: &DMatrix<T>,
        log_unit: f64,
    ) -> Result<DMatrix<T>> {
        let mut h = h.clone();
        let (rows, columns) = h.shape();
        let mut view = DMatrixViewMut::from_slice(h.as_mut_slice(), rows, columns);
        norm.in_units(log_unit)?.normalize_mut(&mut view, 1)?;
        Ok(h)
    }

    /// As without a unit, where the numbers themselves are in range.
    #[test]
    fn epsilons_beyond_the_range() {
        let h = dmatrix![1.0, -0.5, 0.3; 0.2, 0.7, -1.1; -0.4, 0.1, 0.9];
        let g = dmatrix![0.3, 0.1, -1.0; 0.5, -0.2, 0.4; 1.0, 0.6, -0.7];
        for (unit, epsilon) in [(1e-160, 1e-5), (1e-150, 1e5), (1e-165, 1e-300), (1e155, 1e-5)] {
            for norm in kinds(epsilon) {
                let log_unit = f64::ln(unit);
                let expected = normalized(norm, &(&h * unit), 0.0).unwrap();
                let found = normalized(norm, &h, log_unit).unwrap();
                let size = expected.amax();
                assert!(size > 1e-170);
                assert_relative_eq!(&found / size, &expected / size, epsilon = 1e-11);
                let (mut found, mut expected) = (g.clone(), g.clone());
                norm.in_units(log_unit).unwrap().pullback_mut(&h, &mut found, 1).unwrap();
                norm.pullback_mut(&(&h * unit), &mut expected, 1).unwrap();
                expected *= unit;
                let size = expected.amax();
                assert_relative_eq!(&found / size, &expected / size, epsilon = 1e-11);
            }
        }
    }

    /// Epsilon is positive, however large the unit: a dead sample is zero.
    #[test]
    fn dead_samples_in_large_units() {
        fn check<T: Scalar>() {
            let h = dmatrix![1.0, 0.0, 0.3; 0.2, 0.0, -1.1; -0.4, 0.0, 0.9].map(T::of);
            for log_unit in [380.0, 700.0, 5000.0] {
                for (norm, plain) in kinds(1e-5).into_iter().zip(kinds(0.0)).skip(1) {
                    let found = normalized(norm, &h, log_unit).unwrap();
                    assert!(found.column(1).iter().all(|x| x.is_zero()));
                    assert!(matches!(
                        normalized(plain, &h, log_unit),
                        Err(Error::DegenerateSample { sample: 1, .. })
                    ));
                    let others = h.select_columns(&[0, 2]);
                    let expected = normalized(plain, &others, 0.0).unwrap();
                    let found = found.select_columns(&[0, 2]);
                    assert!((found - expected).amax() <= T::of(8.0 * T::EPSILON));
                }
            }
        }
        check::<f64>();
        check::<f32>();
    }

    /// A gradient that would be zero for its unit is an error.
    #[test]
    fn gradients_below_the_range_are_refused() {
        let h = dmatrix![1.0f32, -0.5; 0.2, 0.7];
        for norm in kinds(1e-5) {
            let mut gradient = dmatrix![1.0f32, 0.0; 0.0, 0.0];
            let pulled = norm.in_units(-400.0).unwrap().pullback_mut(&h, &mut gradient, 1);
            assert!(matches!(pulled, Err(Error::InvalidParameter { name: "epsilon", .. })));
        }
    }
}
