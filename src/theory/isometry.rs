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
    let mean_square = lengths.iter().map(|a| a * a).sum::<f64>() / n;
    Ok(match version {
        Version::Printed | Version::Repaired => {
            let mean = lengths.iter().sum::<f64>() / n;
            let variance = lengths.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / n;
            (variance / (mean * mean)).ln_1p()
        }
        Version::Sharp => -lengths.iter().map(|a| (a * a / mean_square).ln()).sum::<f64>() / n,
    })
}

/// The lengths of the samples, all positive.
fn lengths(gram: &Gram) -> Result<Vec<f64>> {
    let length = |(column, sample): (usize, nalgebra::DVectorView<'_, f64>)| {
        let length = sample.norm();
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
            prop_assert!(0.0 <= printed && printed <= sharp + 1e-14);
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

    #[test]
    fn samples_of_length_zero_have_no_direction() {
        let gram = Gram::from_factor(nalgebra::dmatrix![1.0, 0.0; 0.5, 0.0]).unwrap();
        assert!(matches!(normalized(&gram), Err(Error::ZeroColumn { .. })));
        assert!(gain(Version::Sharp, &gram).is_err());
    }
}
