//! Quantiles, probabilities and densities of the standard normal law.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

pub(super) use crate::statistics::{normal_cdf, normal_quantile};

/// The density of the standard normal; 0 at infinity.
pub(super) fn normal_density(z: f64) -> f64 {
    (-0.5 * z * z).exp() * (FRAC_1_SQRT_2 * FRAC_2_SQRT_PI * 0.5)
}
