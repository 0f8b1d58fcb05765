//! Quantiles of the standard normal and of the chi distribution.

use statrs::function::erf::{erfc, erfc_inv};
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

/// $`\Phi^{-1}(p)`$, to 2.5e-16; infinite at 0 and 1. Small `p` keep their digits.
pub(super) fn normal_quantile(p: f64) -> f64 {
    -SQRT_2 * erfc_inv(2.0 * p)
}

/// $`\Phi(z)`$, with full relative accuracy for negative `z`.
pub(super) fn normal_cdf(z: f64) -> f64 {
    0.5 * erfc(-z * FRAC_1_SQRT_2)
}

/// The density of the standard normal; 0 at infinity.
pub(super) fn normal_density(z: f64) -> f64 {
    (-0.5 * z * z).exp() * (FRAC_1_SQRT_2 * std::f64::consts::FRAC_2_SQRT_PI * 0.5)
}
