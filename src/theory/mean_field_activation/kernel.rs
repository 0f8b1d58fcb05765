//! Mean products of two Gaussian numbers: networks without normalisation.

use std::f64::consts::{PI, TAU};

use nalgebra::DMatrix;

use crate::check;
use crate::factorization::{check_symmetric, symmetric_eigenvalues};
use crate::{Error, Result};

/// The mean product $`E \, F(x) F(y)`$ of two centred jointly Gaussian numbers, in closed form.
///
/// Applied to every entry of a covariance matrix it is one layer of an infinitely wide network
/// without normalisation, and the mean of one layer at any width. Over many layers it holds for depths far
/// below the width only, since fluctuations add up to a relative depth/width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// F(x) = x.
    Linear,
    /// F = ReLU: $`\frac{\sqrt{ab}}{2\pi} (\sin\theta + (\pi - \theta) \cos\theta)`$ with
    /// $`\cos\theta = c/\sqrt{ab}`$ (Cho and Saul 2009).
    ArcCosine,
    /// F = erf: $`\frac2\pi \arcsin \frac{2c}{\sqrt{(1 + 2a)(1 + 2b)}}`$ (Williams 1997).
    ArcSine,
    /// F = sin: $`e^{-(a + b)/2} \sinh c`$.
    Sine,
}

impl Kernel {
    /// Returns $`E \, F(x) F(y)`$ for variances `(a, b)` and covariance `c`.
    ///
    /// Finite for all finite variances. A covariance beyond $`\pm\sqrt{ab}`$, which is impossible,
    /// counts as that limit, except in `Linear`; in `Sine` the limit is $`\pm(a + b)/2`$.
    ///
    /// ```
    /// use orthogap::theory::mean_field_activation::Kernel;
    ///
    /// // One and the same number: E max(x, 0)² = 1/2, E sin(x)² = (1 - exp(-2))/2.
    /// let same = |kernel: Kernel| kernel.mean_product((1.0, 1.0), 1.0);
    /// assert_eq!(same(Kernel::Linear), 1.0);
    /// assert!((same(Kernel::ArcCosine) - 0.5).abs() < 1e-15);
    /// assert!((same(Kernel::Sine) - (1.0 - (-2f64).exp()) / 2.0).abs() < 1e-15);
    /// ```
    #[must_use]
    pub fn mean_product(self, variances: (f64, f64), covariance: f64) -> f64 {
        let ((a, b), c) = (variances, covariance);
        match self {
            Self::Linear => c,
            Self::ArcCosine => {
                // A product of roots, which neither overflows nor underflows.
                let scale = a.sqrt() * b.sqrt();
                if scale == 0.0 {
                    return 0.0;
                }
                let cosine = (c / scale).clamp(-1.0, 1.0);
                let sine = ((1.0 - cosine) * (1.0 + cosine)).sqrt();
                // An angle from sine and cosine keeps its digits where they are 0 and 1.
                let angle = sine.atan2(cosine);
                scale * ((sine + (PI - angle) * cosine) / TAU)
            }
            Self::ArcSine => {
                // c/sqrt(p q) from the smaller factor q, so that nothing overflows, nor underflows
                // before the result does; 1/16 keeps q/p a normal number.
                let (p, q) = (a.max(b) + 0.5, a.min(b) + 0.5);
                let cosine = c / q * (q / (p * 0.0625)).sqrt() * 0.25;
                cosine.clamp(-1.0, 1.0).asin() / (PI / 2.0)
            }
            Self::Sine => {
                // |c| - (a + b)/2 from differences, which are exact where they nearly cancel; at
                // most zero. The rest is sinh without its cancellation at zero.
                let size = c.abs();
                let exponent = 0.5 * (size - a) + 0.5 * (size - b);
                let rest = -(-2.0 * size).exp_m1();
                (0.5 * exponent.clamp(f64::NEG_INFINITY, 0.0).exp() * rest).copysign(c)
            }
        }
    }

    /// Returns the kernel of every entry of a covariance matrix (`n x n`, any scale).
    ///
    /// ```
    /// use orthogap::{nalgebra, theory::mean_field_activation::Kernel};
    ///
    /// let covariance = nalgebra::dmatrix![1.0, 0.5; 0.5, 1.0];
    /// let next = Kernel::ArcCosine.layer(&covariance)?;
    /// assert!(next[(0, 1)] / next[(0, 0)] > 0.5); // vanilla networks align
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::ShapeMismatch`] unless it is square, [`Error::NotFinite`],
    /// [`Error::InvalidParameter`] for a negative variance and for a matrix that is not symmetric or
    /// not positive semidefinite, except for rounding.
    pub fn layer(self, covariance: &DMatrix<f64>) -> Result<DMatrix<f64>> {
        let (rows, columns) = covariance.shape();
        if covariance.is_empty() {
            return Err(Error::Empty { rows, columns });
        }
        if rows != columns {
            let expected = (rows.max(columns), rows.max(columns));
            return Err(Error::ShapeMismatch {
                what: "covariance",
                found: (rows, columns),
                expected,
            });
        }
        check::entries(covariance)?;
        if let Some(&value) = covariance.diagonal().iter().find(|&&variance| variance < 0.0) {
            let expected = "a number >= 0";
            return Err(Error::InvalidParameter { name: "variance", value, expected });
        }
        check_symmetric("covariance", covariance, f64::EPSILON)?;
        let eigenvalues = symmetric_eigenvalues(covariance.clone())?;
        let (largest, value) = (eigenvalues[0], eigenvalues[rows - 1]);
        if value < -16.0 * rows as f64 * f64::EPSILON * largest {
            let expected = "no negative eigenvalue";
            return Err(Error::InvalidParameter { name: "covariance", value, expected });
        }
        let mut next = DMatrix::zeros(rows, rows);
        add_kernel(self, covariance, 1.0, &mut next);
        Ok(next)
    }
}

/// Adds `weight` times the kernel of a covariance matrix to `sum`.
pub(super) fn add_kernel(
    kernel: Kernel,
    covariance: &DMatrix<f64>,
    weight: f64,
    sum: &mut DMatrix<f64>,
) {
    for j in 0..sum.ncols() {
        for i in 0..=j {
            let variances = (covariance[(i, i)], covariance[(j, j)]);
            let value = weight * kernel.mean_product(variances, covariance[(i, j)]);
            sum[(i, j)] += value;
            if i < j {
                sum[(j, i)] += value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use nalgebra::{DVector, dmatrix};

    #[test]
    fn kernels_of_one_number_and_its_negative() {
        for k in 1..300 {
            let a = f64::from(k) * 0.01;
            let product = |kernel: Kernel, c| kernel.mean_product((a, a), c);
            assert_relative_eq!(product(Kernel::ArcCosine, a), a / 2.0, max_relative = 1e-15);
            assert!(product(Kernel::ArcCosine, -a).abs() < 1e-15);
            let sine = (1.0 - (-2.0 * a).exp()) / 2.0;
            assert_relative_eq!(product(Kernel::Sine, a), sine, max_relative = 1e-14);
            assert_relative_eq!(product(Kernel::Sine, -a), -sine, max_relative = 1e-14);
        }
        // arcsin(1/2) is a sixth of π.
        assert_relative_eq!(Kernel::ArcSine.mean_product((1.0, 5.5), 1.5), 1.0 / 3.0);
        assert_relative_eq!(Kernel::ArcSine.mean_product((5.5, 1.0), -1.5), -1.0 / 3.0);
        for k in 1..300 {
            // Multiples of one number, so large that the cosine rounds to one or beyond.
            let (a, b) = (f64::from(k) * 1e20, 3e20);
            let product = |c| Kernel::ArcSine.mean_product((a, b), c);
            let c = a.sqrt() * b.sqrt();
            assert_relative_eq!(product(c), 1.0, epsilon = 1e-7);
            assert_relative_eq!(product(-c), -1.0, epsilon = 1e-7);
        }
        // Of large numbers only the sign is left of erf.
        for a in [1e20, 1e200, 1e300] {
            assert_eq!(Kernel::ArcSine.mean_product((a, a), a), 1.0);
            assert_eq!(Kernel::ArcSine.mean_product((a, a), -a), -1.0);
            assert_relative_eq!(Kernel::ArcSine.mean_product((a, a), a / 2.0), 1.0 / 3.0);
        }
    }

    /// Where a difference of exponentials cancels or a product overflows; values by mpmath.
    #[test]
    fn kernels_at_the_ends_of_the_range() {
        for (a, b, c, value) in [
            (1.0, 1.0, 1e-14, 3.6787944117144232e-15),
            (1.0, 1.0, -1e-17, -3.6787944117144235e-18),
            (700.0, 900.0, 790.0, 2.2699964881242426e-5),
            (1e10, 1e10 + 3.0, 1e10 + 1.0, 0.303_265_329_856_316_7),
            (1.5e308, 1.5e308, -1.5e308, -0.5),
            // What rounding leaves beyond sqrt(ab).
            (1e20, 1e20, 1e20 + 1e5, 0.5),
        ] {
            let found = Kernel::Sine.mean_product((a, b), c);
            assert_relative_eq!(found, value, max_relative = 4e-16);
        }
        for (a, b, c, value) in [
            (1e308, 1e308, 1e308, 1.0),
            (1e308, 1e308, -5e307, -1.0 / 3.0),
            (1e308, 1e-3, 5e152, 0.045_008_352_558_830_49),
            (1e308, 1e-300, 1e3, 9.003_163_161_571_06e-152),
            (1e-3, 1e308, 1e-3, 8.994_173_480_685_643e-158),
            (1.7e308, 0.0, 0.0, 0.0),
        ] {
            let found = Kernel::ArcSine.mean_product((a, b), c);
            assert_relative_eq!(found, value, max_relative = 1e-15);
        }
        let found = Kernel::ArcCosine.mean_product((1.7e308, 1.7e308), 1.7e308);
        assert_relative_eq!(found, 0.85e308, max_relative = 4e-16);
        for kernel in [Kernel::Linear, Kernel::ArcCosine, Kernel::ArcSine, Kernel::Sine] {
            assert!(kernel.mean_product((1.0, 1.0), f64::NAN).is_nan());
        }
    }

    #[test]
    fn layers_of_what_is_no_covariance_are_refused() {
        let value = |covariance: DMatrix<f64>| match Kernel::Sine.layer(&covariance) {
            Err(Error::InvalidParameter { name: "covariance", value, .. }) => value,
            other => panic!("{other:?}"),
        };
        assert_eq!(value(dmatrix![1.0, 0.25; 0.5, 1.0]), 0.25);
        assert_relative_eq!(value(dmatrix![1.0, 2.0; 2.0, 1.0]), -1.0, max_relative = 1e-15);
        // Each pair is a covariance, the whole is not: 1 - 2 · 0.9.
        let frustrated = dmatrix![1.0, 0.9, -0.9; 0.9, 1.0, 0.9; -0.9, 0.9, 1.0];
        assert_relative_eq!(value(frustrated), -0.8, max_relative = 1e-14);
        // Rounding is no reason.
        let dependent = DVector::from_fn(40, |i, _| 0.1 * (i + 1) as f64);
        for kernel in [Kernel::Linear, Kernel::ArcCosine, Kernel::ArcSine, Kernel::Sine] {
            assert!(kernel.layer(&(&dependent * dependent.transpose())).is_ok());
        }
    }

    /// ReLU lets scales pass, as far as floats reach; a constant zero stays zero.
    #[test]
    fn the_arc_cosine_kernel_has_no_scale() {
        let covariance = dmatrix![0.5, 0.25, 0.0; 0.25, 0.5, 0.0; 0.0, 0.0, 0.0];
        let third = std::f64::consts::FRAC_PI_3;
        let across = 0.5 * (third.sin() + 2.0 * third * third.cos()) / TAU;
        let expected = dmatrix![0.25, across, 0.0; across, 0.25, 0.0; 0.0, 0.0, 0.0];
        for scale in [1e-300, 1e-200, 1.0, 1e200, 1e300] {
            let next = Kernel::ArcCosine.layer(&(&covariance * scale)).unwrap() / scale;
            assert_relative_eq!(next, expected, epsilon = 1e-15);
        }
    }
}
