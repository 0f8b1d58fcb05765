//! Distances between Gaussians: the Bures or Gelbrich distance, by Procrustes on factors.

use nalgebra::DMatrix;

use crate::factorization::{self, SingularVectors};
use crate::scalar::exponent;
use crate::wasserstein::gaussian::{Gaussian, Shape};
use crate::wasserstein::{Law, W2};
use crate::{Error, Gram, Result};

impl Gaussian {
    /// Returns the exact squared Wasserstein-2 distance of two Gaussians.
    ///
    /// With factors $`A = F F^\top`$ and $`B = H H^\top`$ and the singular values $`\sigma_i`$ of
    /// $`F^\top H`$ it is $`\lVert a - b \rVert^2 + \mathrm{tr} A + \mathrm{tr} B - 2 \sum_i \sigma_i`$.
    /// Where these terms cancel, it is the cost $`\lVert F Q - H \rVert_F^2`$ of a coupling, a sum of
    /// squares of small differences: with a polar factor `Q` of $`F^\top H`$ or with `Q = I`, whichever
    /// is less. Singular covariances are allowed, and laws with equal factors are at distance zero.
    ///
    /// Cost: `n k l` multiply-adds and the singular values of a `k x l` matrix for factors of k and l
    /// columns, its singular vectors too if the laws are close; only the singular values of one factor
    /// where the other law is isotropic; n where both are diagonal.
    ///
    /// ```
    /// use orthogap::wasserstein::Gaussian;
    ///
    /// let a = Gaussian::diagonal(&[1.0, 4.0])?.with_mean(&[3.0, 0.0])?;
    /// assert_eq!(a.w2(&Gaussian::isotropic(2, 1.0)?)?.squared, 9.0 + 1.0);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for laws of different dimensions.
    pub fn w2(&self, other: &Self) -> Result<W2> {
        let (found, expected) = ((self.dimension(), 1), (other.dimension(), 1));
        if found != expected {
            return Err(Error::ShapeMismatch { what: "the mean", found, expected });
        }
        let n = self.dimension();
        let between_means = (self.mean() - other.mean()).norm_squared();
        let between_shapes = match (&self.shape, &other.shape) {
            (Shape::Isotropic(a), Shape::Isotropic(b)) => n as f64 * (a - b).powi(2),
            (Shape::Isotropic(a), Shape::Diagonal(b))
            | (Shape::Diagonal(b), Shape::Isotropic(a)) => b.iter().map(|b| (a - b).powi(2)).sum(),
            (Shape::Diagonal(a), Shape::Diagonal(b)) => (a - b).norm_squared(),
            (Shape::Isotropic(a), Shape::Factor(f)) | (Shape::Factor(f), Shape::Isotropic(a)) => {
                to_isotropic(&singular_values(f), n, *a)
            }
            (Shape::Isotropic(a), Shape::Covariance { deviations, .. })
            | (Shape::Covariance { deviations, .. }, Shape::Isotropic(a)) => {
                to_isotropic(deviations, n, *a)
            }
            _ => procrustes(&self.factor(), &other.factor())?,
        };
        Ok(W2::exact(between_means + between_shapes, Law::Row))
    }
}

impl Gram {
    /// Returns the exact squared Wasserstein-2 distance between the law of `W H` given `H` and that
    /// of $`G/\sqrt n`$: the [coupling bound](Self::coupling_bound)
    /// $`\sum_i (\sigma_i - 1/\sqrt n)^2`$.
    ///
    /// `W` and `G` have independent N(0, 1/d) entries and `H` Frobenius norm one. Both laws are
    /// Gaussian, so the paper's coupling is optimal here. The law over random `H` is closer, see
    /// [`MatrixLaw`](crate::wasserstein::MatrixLaw).
    ///
    /// ```
    /// use orthogap::Input;
    /// use orthogap::wasserstein::{Kind, Law};
    ///
    /// let w2 = Input::spiked(4, 0.5)?.gram().w2();
    /// assert_eq!((w2.kind, w2.law), (Kind::Exact, Law::MatrixGivenH));
    /// assert!((w2.squared - (2.0 - 5.0 / 7f64.sqrt())).abs() < 1e-15);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn w2(&self) -> W2 {
        W2::exact(self.coupling_bound(), Law::MatrixGivenH)
    }
}

/// $`\sum_i (\sigma_i - \tau)^2`$ over n singular values, of which those not given are zero.
pub(super) fn to_isotropic(singular_values: &[f64], n: usize, deviation: f64) -> f64 {
    let zeros = n.saturating_sub(singular_values.len());
    let given = singular_values.iter().take(n);
    given.map(|s| (s - deviation).powi(2)).sum::<f64>() + zeros as f64 * deviation * deviation
}

/// The singular values of a matrix of any scale, descending, small ones too.
pub(super) fn singular_values(matrix: &DMatrix<f64>) -> Vec<f64> {
    let largest = matrix.amax();
    if largest == 0.0 {
        return vec![0.0];
    }
    let triangle = compressed(matrix / largest).transpose();
    let norm = largest * triangle.norm();
    let gram = Gram::from_factor(triangle).expect("finite and not zero");
    gram.singular_values().iter().map(|sigma| sigma * norm).collect()
}

/// The power of two beneath a number, 1 for zero.
fn unit(value: f64) -> f64 {
    2f64.powi(exponent(value))
}

impl Gaussian {
    /// A factor of the covariance with at most twice as many columns as rows.
    pub(super) fn compact_factor(&self) -> DMatrix<f64> {
        compressed(self.factor())
    }
}

/// A matrix with at most as many columns as rows and the same product $`F F^\top`$; as it is if
/// that would not save much, for it costs roundings.
fn compressed(factor: DMatrix<f64>) -> DMatrix<f64> {
    if factor.ncols() > 2 * factor.nrows() {
        factorization::triangle(factor.transpose()).transpose()
    } else {
        factor
    }
}

/// $`\min_Q \lVert F Q - H \rVert_F^2`$ over partial isometries that keep $`F Q Q^\top F^\top`$.
///
/// The minimum is $`\lVert F \rVert^2 + \lVert H \rVert^2`$ less twice the sum of the singular values
/// of $`F^\top H`$. Where that cancels, the factors are close, and a sum of squares is exact: the
/// smaller one of those of the polar factor and of the identity. Either is the cost of a coupling, so
/// neither is below the minimum.
fn procrustes(f: &DMatrix<f64>, h: &DMatrix<f64>) -> Result<f64> {
    /// Where it is this part of the terms, the difference keeps fourteen digits.
    const CANCELS: f64 = 0.01;
    let scale = unit(f.amax().max(h.amax()));
    let (f, h) = (compressed(f / scale), compressed(h / scale));
    // The rows of Q are orthonormal, so the factor that it turns is the one with fewer columns.
    let (f, h) = if f.ncols() <= h.ncols() { (f, h) } else { (h, f) };
    let unturned = if f.shape() == h.shape() { (&f - &h).norm_squared() } else { f64::INFINITY };
    if unturned == 0.0 {
        return Ok(0.0);
    }
    let products = f.transpose() * &h;
    let total = f.norm_squared() + h.norm_squared();
    let difference = || -> Result<f64> {
        let values = factorization::singular_values(products.clone())?;
        Ok(total - 2.0 * values.iter().sum::<f64>())
    };
    // The distance is not above the cost of the identity.
    let far = if unturned > CANCELS * total { Some(difference()?) } else { None };
    let squared = match far.filter(|&difference| difference > CANCELS * total) {
        Some(difference) => difference,
        None => match factorization::singular_vectors(products.clone())? {
            Some(SingularVectors { left, right }) => {
                (f * left * right.transpose() - h).norm_squared().min(unturned)
            }
            None => difference()?.max(0.0).min(unturned),
        },
    };
    Ok(squared * scale * scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn missing_singular_values_are_zero() {
        assert_eq!(to_isotropic(&[3.0, 1.0], 4, 0.5), 6.25 + 0.25 + 2.0 * 0.25);
        assert_eq!(to_isotropic(&[3.0, 1.0, 0.5], 1, 0.5), 6.25);
    }

    /// A wide factor has a square one of the same covariance, at any scale.
    #[test]
    fn wide_factors_are_made_square() {
        let wide = DMatrix::from_fn(2, 50, |i, j| ((7 * i * i + 3 * j + i * j) % 11) as f64 - 4.0);
        for scale in [1e-160, 1.0, 1e147] {
            let factor = Gaussian::from_factor(&(&wide * scale)).unwrap().compact_factor() / scale;
            assert_eq!(factor.shape(), (2, 2));
            let difference = &factor * factor.transpose() - &wide * wide.transpose();
            assert!(difference.amax() < 1e-12 * wide.norm_squared());
        }
    }

    #[test]
    fn distances_scale_as_far_as_their_squares_do() {
        let (f, h) = (nalgebra::dmatrix![1.0, 2.0; 0.5, -1.0], nalgebra::dmatrix![0.3; 2.0]);
        let law = |factor: &DMatrix<f64>, scale| Gaussian::from_factor(&(factor * scale)).unwrap();
        let expected = law(&f, 1.0).w2(&law(&h, 1.0)).unwrap().squared;
        for scale in [1e-150, 1e-100, 1e100, 1e149] {
            let squared = law(&f, scale).w2(&law(&h, scale)).unwrap().squared;
            assert!((squared / scale / scale / expected - 1.0).abs() < 1e-13, "{scale}");
        }
    }

    proptest! {
        /// Any orthogonal Q costs at least as much, and the naive formula agrees where it can.
        #[test]
        fn procrustes_agrees_with_the_naive_formula(
            (f, h) in (1usize..6, 1usize..8, 1usize..8).prop_flat_map(|(n, k, l)| (
                proptest::collection::vec(-1.0..1.0f64, n * k)
                    .prop_map(move |f| DMatrix::from_vec(n, k, f)),
                proptest::collection::vec(-1.0..1.0f64, n * l)
                    .prop_map(move |h| DMatrix::from_vec(n, l, h)),
            )),
        ) {
            let nuclear = (f.transpose() * &h).singular_values().sum();
            let naive = f.norm_squared() + h.norm_squared() - 2.0 * nuclear;
            prop_assert!((procrustes(&f, &h).unwrap() - naive).abs() < 1e-13);
        }
    }
}
