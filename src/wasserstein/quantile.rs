//! Quantiles, probabilities and densities of the standard normal law.

use libm::erfc; // that of statrs is off by 1e-10
use statrs::function::erf::erfc_inv;
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

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    /// From mpmath at 40 digits.
    #[test]
    fn digits() {
        for (z, p) in [
            (-0.5, 0.3085375387259869),
            (-1.0, 0.15865525393145705),
            (-2.0, 0.02275013194817921),
            (-3.0, 0.0013498980316300945),
            (-6.0, 9.86587645037698e-10),
            (-9.0, 1.1285884059538406e-19),
        ] {
            assert_relative_eq!(normal_cdf(z), p, max_relative = 1e-15);
        }
        for (p, z) in [
            (0.4, -0.2533471031357997),
            (0.1, -1.2815515655446004),
            (0.001, -3.0902323061678135),
            (1e-10, -6.361340902404056),
            (1e-300, -37.0470962993612),
        ] {
            assert_relative_eq!(normal_quantile(p), z, max_relative = 1e-15);
        }
    }
}
