//! Matrices with a scale of their own, beyond the range of floating point.

use std::f64::consts::LN_2;

use nalgebra::DMatrix;

use crate::check;
use crate::product::fit;
use crate::scalar::{exp_factors, exponent, largest, times_plus};
use crate::{Error, Result, Scalar};

/// A matrix in units of exp(`log_unit`): its value is $`e^{\mathrm{log\_unit}}`$ times the matrix
/// held.
///
/// ```
/// use orthogap::nalgebra::{self, dmatrix};
/// use orthogap::backward::Scaled;
///
/// let huge = Scaled::new(dmatrix![3.0, 4.0], 5000.0);
/// assert!((huge.log_norm() - (5000.0 + 5f64.ln())).abs() < 1e-12);
/// assert_eq!(Scaled::from(dmatrix![0.0f32]).log_norm(), f64::NEG_INFINITY);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Scaled<T> {
    pub(crate) matrix: DMatrix<T>,
    pub(crate) log_unit: f64,
}

impl<T: Scalar> Scaled<T> {
    /// Returns a matrix times exp(`log_unit`).
    #[must_use]
    pub fn new(matrix: DMatrix<T>, log_unit: f64) -> Self {
        Self { matrix, log_unit }
    }

    /// Returns the matrix in units of exp([`log_unit`](Self::log_unit)).
    #[must_use]
    pub fn matrix(&self) -> &DMatrix<T> {
        &self.matrix
    }

    /// Returns the natural logarithm of the unit.
    #[must_use]
    pub fn log_unit(&self) -> f64 {
        self.log_unit
    }

    /// Returns the matrix itself, with infinities and zeros where it leaves the range of `T`. Exact
    /// if the unit is a power of two, up to four roundings of its logarithm.
    #[must_use]
    pub fn to_matrix(&self) -> DMatrix<T> {
        let factors = exp_factors(self.log_unit);
        self.matrix.map(|x| T::of(factors.iter().fold(x.into(), |x, factor| x * factor)))
    }

    /// Returns the natural logarithm of the Frobenius norm, minus infinity for a matrix of zeros,
    /// NaN with a NaN.
    #[must_use]
    pub fn log_norm(&self) -> f64 {
        let largest = largest(self.matrix.as_slice());
        if largest == 0.0 {
            return f64::NEG_INFINITY;
        }
        if !largest.is_finite() {
            return self.log_unit + largest;
        }
        let squares: f64 = self.matrix.iter().map(|&x| (x.into() / largest).powi(2)).sum();
        self.log_unit + largest.ln() + 0.5 * squares.ln()
    }

    /// Refuses numbers that are not finite.
    pub(crate) fn check(&self) -> Result<()> {
        check::entries(&self.matrix)?;
        if !self.log_unit.is_finite() {
            let (name, expected) = ("log unit", "a finite number");
            return Err(Error::InvalidParameter { name, value: self.log_unit, expected });
        }
        Ok(())
    }

    /// [`check`](Self::check) of a computed result: what is not finite has left the range.
    pub(super) fn check_result(&self, what: &'static str) -> Result<()> {
        self.check().map_err(|error| match error {
            Error::NotFinite { row, value, .. } => Error::Overflow { what, row, value },
            other => other,
        })
    }

    /// Takes another unit, so that the largest entry has size one to two, exactly.
    ///
    /// # Errors
    /// [`Error::Overflow`] if an entry is not finite.
    pub(super) fn balance(&mut self, what: &'static str) -> Result<()> {
        self.check_result(what)?;
        let power = exponent(largest(self.matrix.as_slice()));
        if power != 0 {
            let scale = 2f64.powi(-power);
            self.matrix.apply(|x| *x = T::of((*x).into() * scale));
            self.log_unit += f64::from(power) * LN_2;
        }
        Ok(())
    }

    /// Returns the same matrix in `f64`, in a unit in which fourth powers of entries, and sums of
    /// them, are in range: its own unless entries are large or small.
    pub(super) fn in_safe_unit(&self) -> Scaled<f64> {
        const SAFE: i32 = 200; // of exponents of two
        let power = match exponent(largest(self.matrix.as_slice())) {
            power if power.abs() > SAFE => power,
            _ => 0,
        };
        let scale = 2f64.powi(-power);
        let log_unit = self.log_unit + f64::from(power) * LN_2;
        Scaled::new(self.matrix.map(|x| x.into() * scale), log_unit)
    }

    /// Becomes `weight` times itself plus `other`, in the larger unit of both.
    pub(super) fn times_plus(&mut self, weight: f64, other: &Self) {
        self.log_unit = times_plus(
            (self.matrix.as_mut_slice(), self.log_unit),
            weight,
            (other.matrix.as_slice(), other.log_unit),
        );
    }

    /// Becomes a copy of another, in the same memory where it suffices.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        fit(&mut self.matrix, other.matrix.shape());
        self.matrix.copy_from(&other.matrix);
        self.log_unit = other.log_unit;
    }
}

/// Nothing yet.
impl<T: Scalar> Default for Scaled<T> {
    fn default() -> Self {
        Self::new(DMatrix::zeros(0, 0), 0.0)
    }
}

/// In units of one.
impl<T: Scalar> From<DMatrix<T>> for Scaled<T> {
    fn from(matrix: DMatrix<T>) -> Self {
        Self::new(matrix, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_of_what_is_not_finite() {
        let log_norm = |x: f64| Scaled::new(nalgebra::dmatrix![x, 1.0], 3.0).log_norm();
        assert!(log_norm(f64::NAN).is_nan());
        assert_eq!(log_norm(f64::NEG_INFINITY), f64::INFINITY);
    }

    /// Balancing keeps units of powers of two, and giving them up loses nothing.
    #[test]
    fn powers_of_two_come_back_exactly() {
        for power in [-900, -60, -47, 31, 60, 800] {
            let matrix = nalgebra::dmatrix![1.1, -0.3; 0.7, 0.0] * 2f64.powi(power);
            let mut scaled = Scaled::from(matrix.clone());
            scaled.balance("test").unwrap();
            assert!(scaled.matrix().amax() >= 1.0 && scaled.matrix().amax() < 2.0);
            assert_eq!(scaled.to_matrix(), matrix, "{power}");
        }
        // The product is a number, though the unit is none.
        let small = Scaled::new(nalgebra::dmatrix![2f64.powi(-1000), 0.0], 1500.0 * LN_2);
        assert_eq!(small.to_matrix(), nalgebra::dmatrix![2f64.powi(500), 0.0]);
    }

    /// Fourth powers of a safe unit are numbers; it changes no digit, nor any matrix of moderate size.
    #[test]
    fn safe_units_keep_the_matrix() {
        for power in [-1000, -300, 0, 150, 300, 1000] {
            let matrix = nalgebra::dmatrix![1.1, -0.3; 0.7, 0.0] * 2f64.powi(power);
            let scaled = Scaled::new(matrix.clone(), 3.0);
            let safe = scaled.in_safe_unit();
            assert!(safe.matrix().amax().powi(4).is_normal(), "{power}");
            assert!((safe.log_norm() - scaled.log_norm()).abs() < 1e-12, "{power}");
            assert_eq!(safe == scaled, power.abs() <= 150, "{power}");
        }
    }

    /// Against the sum in plain numbers.
    #[test]
    fn sums_are_those_of_the_matrices() {
        let (a, b) =
            (nalgebra::dmatrix![1.5, -2.0; 0.0, 3.0], nalgebra::dmatrix![-4.0, 0.5; 1.0, 2.0]);
        for (power, other, unit) in [(3, 5, 5), (5, 3, 5), (-2, -2, -2)] {
            let log = |power: i32| f64::from(power) * LN_2;
            let mut sum = Scaled::new(a.clone(), log(power));
            sum.times_plus(-0.75, &Scaled::new(b.clone(), log(other)));
            assert_eq!(sum.log_unit(), log(unit));
            let plain = &a * (-0.75 * 2f64.powi(power)) + &b * 2f64.powi(other);
            assert!((sum.to_matrix() - plain).amax() < 1e-13);
        }
    }

    /// Zeros have no size, whatever their unit; a weight of zero forgets what was there.
    #[test]
    fn sums_with_zeros_keep_the_unit_of_the_other() {
        let (zeros, some) = (DMatrix::zeros(1, 2), nalgebra::dmatrix![3.0, -1.0]);
        let huge = Scaled::new(zeros.clone(), 9000.0);
        let small = Scaled::new(some.clone(), -5.0);
        let mut sum = huge.clone();
        sum.times_plus(0.5, &small);
        assert_eq!(sum, small);
        let mut sum = small.clone();
        sum.times_plus(2.0, &huge);
        assert_eq!(sum, Scaled::new(some.clone() * 2.0, -5.0));
        let mut sum = Scaled::new(some, 9000.0);
        sum.times_plus(0.0, &small);
        assert_eq!(sum, small);
    }

    #[test]
    fn norms_neither_overflow_nor_see_zeros() {
        for size in [1e-300f64, 1.0, 1e300] {
            let scaled = Scaled::new(nalgebra::dmatrix![3.0 * size, 0.0; 0.0, -4.0 * size], 7.0);
            assert!((scaled.log_norm() - (7.0 + 5f64.ln() + size.ln())).abs() < 1e-12);
        }
        assert_eq!(Scaled::new(DMatrix::<f64>::zeros(2, 1), 3.0).log_norm(), f64::NEG_INFINITY);
    }

    #[test]
    fn numbers_beyond_the_range_are_refused() {
        let mut infinite = Scaled::from(nalgebra::dmatrix![0.0; f64::INFINITY]);
        let error = Error::Overflow { what: "test", row: 1, value: f64::INFINITY };
        assert_eq!(infinite.balance("test"), Err(error));
        assert!(Scaled::new(nalgebra::dmatrix![1.0], f64::NAN).check().is_err());
        let mut zeros = Scaled::new(DMatrix::<f64>::zeros(1, 2), 3.0);
        zeros.balance("test").unwrap();
        assert_eq!(zeros, Scaled::new(DMatrix::zeros(1, 2), 3.0));
    }
}
