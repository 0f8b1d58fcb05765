//! Equality up to a tolerance, by the traits of the crate `approx`.

/// Implements `AbsDiffEq` and `RelativeEq` for a type by the numbers that it consists of.
macro_rules! approximate {
    ($type:ty, $this:ident => $numbers:expr) => {
        /// Compares number by number.
        impl approx::AbsDiffEq for $type {
            type Epsilon = f64;

            fn default_epsilon() -> f64 {
                f64::EPSILON
            }

            fn abs_diff_eq(&self, other: &Self, epsilon: f64) -> bool {
                let numbers = |$this: &Self| -> Vec<f64> { $numbers };
                numbers(self)[..].abs_diff_eq(&numbers(other)[..], epsilon)
            }
        }

        /// Compares number by number.
        impl approx::RelativeEq for $type {
            fn default_max_relative() -> f64 {
                f64::EPSILON
            }

            fn relative_eq(&self, other: &Self, epsilon: f64, max_relative: f64) -> bool {
                let numbers = |$this: &Self| -> Vec<f64> { $numbers };
                numbers(self)[..].relative_eq(&numbers(other)[..], epsilon, max_relative)
            }
        }
    };
}

pub(crate) use approximate;

#[cfg(test)]
mod tests {
    use approx::{assert_abs_diff_eq, assert_abs_diff_ne, assert_relative_eq, assert_relative_ne};
    use nalgebra::dmatrix;

    use crate::Gram;
    use crate::statistics::{Interval, Moments};

    #[test]
    fn tolerances_are_those_of_every_number() {
        let (a, b) = (Interval { low: 1.0, high: 1e6 }, Interval { low: 1.0, high: 1e6 + 0.1 });
        assert_relative_eq!(a, b, max_relative = 1e-6);
        assert_relative_ne!(a, b, max_relative = 1e-8);
        assert_abs_diff_eq!(a, b, epsilon = 0.2);
        assert_abs_diff_ne!(a, b, epsilon = 0.05);
        let moments = |numbers: &[f64]| numbers.iter().copied().collect::<Moments>();
        assert_relative_eq!(moments(&[1.0, 2.0]), moments(&[2.0, 1.0 + 1e-15]), epsilon = 1e-14);
        assert_relative_ne!(moments(&[1.0, 2.0]), moments(&[1.0, 2.0, 1.0, 2.0]), epsilon = 1e-3);
    }

    /// A factor is unique up to a rotation: what counts is the Gram matrix.
    #[test]
    fn gram_matrices_are_compared_not_factors() {
        let turned = Gram::from_factor(dmatrix![0.6, 0.8; -0.8, 0.6] * 3.0).unwrap();
        let straight = Gram::from_factor(dmatrix![1.0, 0.0; 0.0, 1.0]).unwrap();
        assert_ne!(turned, straight);
        assert_abs_diff_eq!(turned, straight, epsilon = 1e-15);
        assert_relative_eq!(turned.spectrum(), straight.spectrum(), epsilon = 1e-15);
        let one_sample = Gram::from_factor(dmatrix![1.0]).unwrap();
        assert_abs_diff_ne!(straight, one_sample, epsilon = 1.0);
    }
}
