//! Quantiles of the normal law and of Student's.

use std::f64::consts::SQRT_2;

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::function::erf::erfc_inv;

/// The `z` that a standard normal number does not exceed in size with probability `level`.
pub(super) fn normal_quantile(level: f64) -> Option<f64> {
    (level > 0.0 && level < 1.0).then(|| SQRT_2 * erfc_inv(1.0 - level))
}

/// The same of Student's law.
pub(crate) fn two_sided(level: f64, degrees_of_freedom: u64) -> Option<f64> {
    let z = normal_quantile(level)?;
    let degrees = degrees_of_freedom as f64;
    if degrees_of_freedom > 10_000_000 {
        // The first term of Cornish and Fisher; the next is below 1e-13.
        return Some(z + z * (z * z + 1.0) / (4.0 * degrees));
    }
    let law = StudentsT::new(0.0, 1.0, degrees).ok()?;
    Some(law.inverse_cdf(0.5 + 0.5 * level))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against mpmath's root of the regularised incomplete beta function.
    #[test]
    fn quantiles_match_mpmath() {
        for (level, degrees, expected) in [
            (0.5, 1, 1.0),
            (0.5, 2, 0.816_496_580_927_726),
            (0.95, 1, 12.706_204_736_174_7),
            (0.95, 9, 2.262_157_162_798_206),
            (0.95, 1000, 1.962_339_080_826_408),
            (0.95, 20_000_000, 1.959_964_103_153_623),
            (0.999, 2, 31.599_054_576_443_62),
            (0.999, 9, 4.780_912_585_931_139),
            (0.999, 1_000_000, 3.290_536_461_248_691),
        ] {
            let ours = two_sided(level, degrees).unwrap();
            assert!((ours / expected - 1.0f64).abs() < 1e-10, "{level} {degrees}: {ours}");
        }
        assert!((normal_quantile(0.95).unwrap() - 1.959_963_984_540_054).abs() < 1e-14);
        assert_eq!(two_sided(0.95, 0), None);
        assert_eq!(two_sided(1.0, 3), None);
        assert_eq!(two_sided(f64::NAN, 3), None);
    }
}
