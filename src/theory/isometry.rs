//! The isometry of samples, and its gain by normalising each of them.
//!
//! The isometry of `n` samples is $`\det(C)^{1/n} / (\mathrm{tr}(C)/n)`$, the geometric mean of the
//! eigenvalues of their Gram matrix over the arithmetic one; minus its logarithm is
//! [`Gram::isometry_gap`]. Joudaki, Daneshmand and Bach 2023
//! ([arXiv 2305.18399](https://arxiv.org/abs/2305.18399)) show that it does not fall when samples are
//! scaled to one length, as layer normalisation does. [`gain`] is the exact gain.
//!
//! The other half of a layer is the activation. For a pair of samples, the share $`\beta_0`$ of its
//! linear part is [`KernelMap::linear_share`](super::kernel_map::KernelMap::linear_share).

use super::bounds::Version;
use crate::scalar::norm;
use crate::{Error, Gram, Result};

/// Returns the Gram matrix of the samples scaled to equal lengths.
///
/// ```
/// use orthogap::nalgebra::{self, dmatrix};
/// use orthogap::{Gram, theory::isometry};
///
/// let gram = Gram::from_columns(&dmatrix![3.0, 0.0; 0.0, 4.0])?;
/// assert!(isometry::normalized(&gram)?.isometry_gap() < 1e-15);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::ZeroColumn`] for a sample that is zero.
pub fn normalized(gram: &Gram) -> Result<Gram> {
    let lengths = lengths(gram)?;
    let mut factor = gram.factor().clone();
    for (mut column, length) in factor.column_iter_mut().zip(lengths) {
        column /= length;
    }
    Gram::from_factor(factor)
}

/// Returns a lower bound on the fall of the [isometry gap](Gram::isometry_gap) when samples are
/// scaled to equal lengths. It is a function of their lengths $`a_i`$ alone.
///
/// | version | gain |
/// | --- | --- |
/// | [`Printed`](Version::Printed), [`Repaired`](Version::Repaired) | $`\log(1 + \mathrm{Var}(a)/\bar a^2)`$ (Joudaki, Daneshmand and Bach 2023) |
/// | [`Sharp`](Version::Sharp) | $`\log \frac1n \sum_i a_i^2 - \frac1n \sum_i \log a_i^2`$, with equality |
///
/// Scaling divides the determinant by $`\prod_i a_i^2`$ and makes the trace `n`, which is the second
/// row; the first follows, since the geometric mean of the lengths is at most their mean.
///
/// ```
/// use orthogap::nalgebra::{self, dmatrix};
/// use orthogap::{Gram, theory::{bounds::Version, isometry}};
///
/// let gram = Gram::from_columns(&dmatrix![1.0, 2.0; 0.0, 1.0])?;
/// let after = isometry::normalized(&gram)?.isometry_gap();
/// let gain = isometry::gain(Version::Sharp, &gram)?;
/// assert!((gram.isometry_gap() - after - gain).abs() < 1e-14);
/// assert!(isometry::gain(Version::Printed, &gram)? < gain);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::ZeroColumn`] for a sample that is zero.
pub fn gain(version: Version, gram: &Gram) -> Result<f64> {
    let lengths = lengths(gram)?;
    let n = lengths.len() as f64;
    let mean = lengths.iter().sum::<f64>() / n;
    let variance = lengths.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / n;
    let printed = (variance / (mean * mean)).ln_1p();
    // With a = mean (1 + e) the sharp gain has the mean of 2 (e - log(1 + e)) more, since all e add
    // up to zero. No term is negative, except by rounding.
    let more = |a: &f64| {
        let e = (a - mean) / mean;
        let log = if e > -0.5 { e.ln_1p() } else { (a / mean).ln() };
        (e - log).max(0.0)
    };
    Ok(match version {
        Version::Printed | Version::Repaired => printed,
        Version::Sharp => printed + 2.0 * lengths.iter().map(more).sum::<f64>() / n,
    })
}

/// The lengths of the samples, all positive.
fn lengths(gram: &Gram) -> Result<Vec<f64>> {
    let length = |(column, sample): (usize, nalgebra::DVectorView<'_, f64>)| {
        let length = norm(sample.as_slice());
        if length > 0.0 { Ok(length) } else { Err(Error::ZeroColumn { column }) }
    };
    gram.factor().column_iter().enumerate().map(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Input, Seed};
    use nalgebra::DMatrix;
    use proptest::prelude::*;

    proptest! {
        /// Tries to break the claim and its equality: lengths over ten orders of magnitude.
        #[test]
        fn isometry_never_falls(n in 1usize..8, spread in 0.0..6.0f64, seed in any::<u64>()) {
            let input = Input::gaussian(n + 3, n, Seed(seed)).unwrap();
            let lengths = Input::gaussian(1, 1, Seed(seed ^ 1)).unwrap().columns()[(0, 0)];
            let columns = DMatrix::from_fn(n + 3, n, |i, j| {
                input.columns()[(i, j)] * (spread * (lengths * (j + 1) as f64).sin()).exp()
            });
            let gram = Gram::from_columns(&columns).unwrap();
            let after = normalized(&gram).unwrap();
            let fall = gram.isometry_gap() - after.isometry_gap();
            let [printed, sharp] =
                [Version::Printed, Version::Sharp].map(|version| gain(version, &gram).unwrap());
            let rounding = 1e-11 * (1.0 + gram.isometry_gap());
            prop_assert!((fall - sharp).abs() < rounding, "{fall} {sharp}");
            prop_assert!(0.0 <= printed && printed <= sharp);
            prop_assert!(gain(Version::Sharp, &after).unwrap().abs() < 1e-14);
        }
    }

    /// Lengths 1 and 3: their mean is 2 and their variance 1; the mean square is 5.
    #[test]
    fn gains_of_two_samples() {
        let gram = Gram::from_columns(&nalgebra::dmatrix![1.0, 0.0; 0.0, 3.0]).unwrap();
        for (version, exact) in
            [(Version::Printed, 1.25f64), (Version::Repaired, 1.25), (Version::Sharp, 5.0 / 3.0)]
        {
            assert!((gain(version, &gram).unwrap() - exact.ln()).abs() < 1e-15, "{version:?}");
        }
    }

    /// Squares of such lengths underflow: the gain is log(1/2) - log(sigma²)/2.
    #[test]
    fn tiny_samples_have_a_direction() {
        for tiny in [1e-160, 1e-170, 1e-300] {
            let gram = Gram::from_factor(nalgebra::dmatrix![1.0, 0.0; 0.0, tiny]).unwrap();
            let after = normalized(&gram).unwrap();
            assert!((after.min_singular_value() - 0.5f64.sqrt()).abs() < 1e-15, "{tiny}");
            let exact = 0.5f64.ln() - tiny.ln();
            let sharp = gain(Version::Sharp, &gram).unwrap();
            assert!((sharp / exact - 1.0).abs() < 1e-15, "{tiny}: {sharp} {exact}");
        }
    }

    /// No version is negative, and the sharp one is the larger, however close lengths are.
    #[test]
    fn gains_of_nearly_equal_lengths_are_in_order() {
        for k in 1..2000 {
            let near = 1.0 + f64::EPSILON * f64::from(k * k);
            let gram =
                nalgebra::dmatrix![1.0, 0.0, 0.0; 0.0, near, 0.0; 0.0, 0.0, 1.0 / 3.0 + near];
            let gram = Gram::from_factor(gram).unwrap();
            for gram in [normalized(&gram).unwrap(), gram] {
                let [printed, sharp] =
                    [Version::Printed, Version::Sharp].map(|version| gain(version, &gram).unwrap());
                assert!(0.0 <= printed && printed <= sharp, "{k}: {printed} {sharp}");
            }
        }
    }

    #[test]
    fn samples_of_length_zero_have_no_direction() {
        let gram = Gram::from_factor(nalgebra::dmatrix![1.0, 0.0; 0.5, 0.0]).unwrap();
        assert!(matches!(normalized(&gram), Err(Error::ZeroColumn { .. })));
        assert!(gain(Version::Sharp, &gram).is_err());
    }
}
