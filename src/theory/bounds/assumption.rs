//! The assumptions of the bounds: a width, and singular values bounded away from zero.

use super::nonempty;
use crate::check;
use crate::{Error, Gram, Result};

/// The width of a network with at least as many neurons as samples, or the limit of wide networks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Width {
    /// $`1/\sqrt d`$.
    pub(super) noise: f64,
}

impl Width {
    /// Infinite width, where chains are deterministic.
    pub const INFINITE: Self = Self { noise: 0.0 };

    /// Returns a width `d >= n`.
    ///
    /// # Errors
    /// [`Error::BatchTooSmall`] if `n` is 0, [`Error::BatchExceedsWidth`] if `n > d`.
    pub fn finite(batch_size: usize, width: usize) -> Result<Self> {
        nonempty(batch_size)?;
        if batch_size > width {
            return Err(Error::BatchExceedsWidth { batch_size, width });
        }
        Self::of(batch_size, width as f64)
    }

    /// Returns a width `d >= n` that need not be an integer or fit into one, such as the smallest
    /// one at which Theorem 1 is not vacuous.
    ///
    /// ```
    /// use orthogap::theory::bounds::{A1, Version, Width, theorem_1};
    ///
    /// let a1 = A1::new(8, 1e-6, u32::MAX)?;
    /// let bound = |d| Ok::<_, orthogap::Error>(
    ///     theorem_1(Version::Repaired, a1, Width::of(8, d)?).value);
    /// // 3n/(alpha² sqrt(d)) is the second term.
    /// assert!((bound(2e29)? - bound(8e29)? - 12e12 / 2e29f64.sqrt()).abs() < 1e-14);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::BatchTooSmall`] if `n` is 0, [`Error::InvalidParameter`] unless `d` is a finite
    /// number of at least `n`.
    pub fn of(batch_size: usize, width: f64) -> Result<Self> {
        let n = nonempty(batch_size)?;
        let expected = "a finite width of at least the batch size";
        check::parameter("width", width, width >= n && width.is_finite(), expected)?;
        Ok(Self { noise: width.sqrt().recip() })
    }
}

/// The hypothesis of Theorem 1: $`\sigma_n(H_k) \ge \alpha`$ for the layers `k = 1, ..., l`.
///
/// At finite width no fixed α satisfies it almost surely for all `l`. The proof of the theorem
/// bounds the mean of the gap times the indicator of this event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct A1 {
    pub(super) batch_size: usize,
    pub(super) alpha: f64,
    pub(super) layers: u32,
}

impl A1 {
    /// Creates the assumption $`0 < \alpha \le 1/\sqrt n`$.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for any other α, [`Error::BatchTooSmall`] if `n` is 0.
    ///
    /// ```
    /// use orthogap::{Error, theory::bounds::A1};
    ///
    /// assert!(A1::new(4, 0.5, 10).is_ok());
    /// assert!(matches!(A1::new(4, 0.51, 10), Err(Error::InvalidParameter { .. })));
    /// ```
    pub fn new(batch_size: usize, alpha: f64, layers: u32) -> Result<Self> {
        nonempty(batch_size)?;
        // A rounding of 1/sqrt(n) is accepted: the largest alpha is the most interesting one.
        let largest = (batch_size as f64).sqrt().recip() * (1.0 + 4.0 * f64::EPSILON);
        let valid = alpha > 0.0 && alpha <= largest;
        check::parameter("alpha", alpha, valid, "0 < alpha <= 1/sqrt(n)")?;
        Ok(Self { batch_size, alpha, layers })
    }

    /// Returns the assumption that the proof of Theorem 1 uses: $`\lambda_n(C_k) \ge`$
    /// `eigenvalue`, where $`C_k = H_k^\top H_k`$ and `0 < eigenvalue <= 1/n`.
    ///
    /// Since $`\lambda_n = \sigma_n^2`$, [`alpha`](Self::alpha) is its square root.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for any other eigenvalue, [`Error::BatchTooSmall`] if `n` is 0.
    ///
    /// ```
    /// use orthogap::{Error, theory::bounds::A1};
    ///
    /// assert_eq!(A1::of_eigenvalue(4, 0.25, 10), A1::new(4, 0.5, 10));
    /// assert!(matches!(A1::of_eigenvalue(4, 0.26, 10), Err(Error::InvalidParameter { .. })));
    /// ```
    pub fn of_eigenvalue(batch_size: usize, eigenvalue: f64, layers: u32) -> Result<Self> {
        nonempty(batch_size)?;
        let error = || {
            let expected = "0 < eigenvalue <= 1/n";
            Error::InvalidParameter { name: "eigenvalue", value: eigenvalue, expected }
        };
        if !(eigenvalue > 0.0 && eigenvalue.is_finite()) {
            return Err(error());
        }
        Self::new(batch_size, eigenvalue.sqrt(), layers).map_err(|_| error())
    }

    /// Returns the largest α for which the assumption holds on the layers `1, ..., l` of a path.
    ///
    /// # Errors
    /// [`Error::Empty`] without layers, [`Error::ShapeMismatch`] if batch sizes differ,
    /// [`Error::InvalidParameter`] if a smallest singular value is zero.
    pub fn observed<'a>(path: impl IntoIterator<Item = &'a Gram>) -> Result<Self> {
        let (mut batch_size, mut alpha, mut layers) = (None, f64::INFINITY, 0);
        for gram in path {
            let (n, expected) = (gram.batch_size(), *batch_size.get_or_insert(gram.batch_size()));
            if n != expected {
                return Err(Error::ShapeMismatch {
                    what: "a layer's Gram matrix",
                    found: (n, n),
                    expected: (expected, expected),
                });
            }
            alpha = alpha.min(gram.min_singular_value());
            layers += 1;
        }
        let batch_size = batch_size.ok_or(Error::Empty { rows: 0, columns: 0 })?;
        Self::new(batch_size, alpha, layers)
    }

    /// Returns α.
    #[must_use]
    pub fn alpha(self) -> f64 {
        self.alpha
    }

    /// Returns the number `l` of layers.
    #[must_use]
    pub fn layers(self) -> u32 {
        self.layers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use nalgebra::dmatrix;

    #[test]
    fn assumptions_are_checked() {
        assert_eq!(A1::new(0, 0.5, 1), Err(Error::BatchTooSmall { batch_size: 0, minimum: 1 }));
        assert!(Width::finite(0, 5).is_err() && Width::finite(5, 4).is_err());
        assert!(Width::finite(4, 4).is_ok());
        assert_eq!(Width::of(4, 4.0), Width::finite(4, 4));
        assert!(Width::of(0, 5.0).is_err());
        for width in [3.5, f64::NAN, f64::INFINITY] {
            assert!(matches!(Width::of(4, width), Err(Error::InvalidParameter { .. })), "{width}");
        }
        assert!(A1::of_eigenvalue(0, 0.5, 1).is_err());
        for value in [0.0, -0.1, 0.2501, f64::INFINITY, f64::NAN] {
            let error = A1::of_eigenvalue(4, value, 1).unwrap_err();
            assert!(matches!(error, Error::InvalidParameter { name: "eigenvalue", .. }), "{value}");
        }
        for n in 1..200 {
            // Whichever way it is rounded.
            let n_f64 = n as f64;
            for largest in [n_f64.sqrt().recip(), n_f64.recip().sqrt(), n_f64.sqrt() / n_f64] {
                assert!(A1::new(n, largest, 1).is_ok(), "{n}");
            }
            assert!(A1::new(n, n_f64.sqrt().recip() * (1.0 + 1e-14), 1).is_err());
            assert!(A1::of_eigenvalue(n, n_f64.recip(), 1).is_ok(), "{n}");
        }
    }

    #[test]
    fn a_path_tells_its_alpha() {
        let path = [0.5, 0.25, 1.0].map(|s| Gram::from_factor(dmatrix![1.0, 0.0; 0.0, s]).unwrap());
        let a1 = A1::observed(&path).unwrap();
        assert_relative_eq!(a1.alpha(), 1.0 / 17f64.sqrt(), max_relative = 1e-14);
        assert_eq!(a1.layers(), 3);
        let lost = Gram::from_factor(dmatrix![1.0, 1.0]).unwrap();
        assert!(matches!(A1::observed([&lost]), Err(Error::InvalidParameter { value: 0.0, .. })));
    }
}
