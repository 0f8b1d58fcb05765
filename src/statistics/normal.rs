//! The standard normal law.

use libm::erfc; // that of statrs is off by 1e-10
use statrs::function::erf::erfc_inv;
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Returns the quantile $`\Phi^{-1}(p)`$ of the standard normal law: the `z` that a standard normal
/// number does not exceed with probability `p`.
///
/// It is infinite at 0 and 1, and NaN outside `0..=1`. The relative error is below 1e-15, also for
/// small `p`. The quantile of a large probability `1 - p` is `-normal_quantile(p)`. A two-sided
/// interval at a level takes the quantile at `(1 + level)/2`.
///
/// ```
/// use orthogap::statistics::normal_quantile;
///
/// assert!((normal_quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-14);
/// assert!((normal_quantile(1e-300) + 37.047_096_299_361_2).abs() < 1e-12);
/// assert_eq!(normal_quantile(0.5), 0.0);
/// ```
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    if (0.0..=1.0).contains(&p) { -SQRT_2 * erfc_inv(2.0 * p) } else { f64::NAN }
}

/// Returns the distribution function $`\Phi(z)`$ of the standard normal law: the probability that a
/// standard normal number is at most `z`.
///
/// The relative error is below $`10^{-15} + 2^{-52} z^2`$ for negative `z`, where the probability
/// is small. The probability above `z` is `normal_cdf(-z)`.
///
/// ```
/// use orthogap::statistics::{normal_cdf, normal_quantile};
///
/// assert!((normal_cdf(1.0) - 0.841_344_746_068_543).abs() < 1e-15);
/// assert!((normal_cdf(normal_quantile(1e-9)) / 1e-9 - 1.0).abs() < 1e-13);
/// ```
#[must_use]
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * erfc(-z * FRAC_1_SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::golden::check;

    #[test]
    fn quantiles_match_mpmath() {
        assert!(check("normal_quantile", 1e-15, |_, p| normal_quantile(p)) > 100);
        assert!(normal_quantile(-1e-9).is_nan() && normal_quantile(1.5).is_nan());
        assert!(normal_quantile(f64::NAN).is_nan());
        let ends = [normal_quantile(0.0), normal_quantile(1.0)];
        assert_eq!(ends, [f64::NEG_INFINITY, f64::INFINITY]);
    }

    #[test]
    fn probabilities_match_mpmath() {
        // The product with 1/sqrt 2 is rounded, by which the probability changes by z² roundings.
        assert!(check("normal_cdf", 2e-13, |_, z| normal_cdf(z)) > 50);
        let near = |z: f64| if z > -3.0 { normal_cdf(z) } else { f64::NAN };
        assert!(check("normal_cdf", 2e-15, |_, z| near(z)) > 10);
    }
}
