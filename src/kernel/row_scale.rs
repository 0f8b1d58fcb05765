//! Row normalisation: the factor by which a row y of squared norm |y|² is multiplied.

use crate::kernel::line::{Lanes, Line};
use fearless_simd::prelude::*;

/// A row y becomes y / sqrt(weight |y|² + epsilon).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowScale<T> {
    weight: T,
    epsilon: T,
}

impl<T: Lanes> RowScale<T> {
    /// Returns the scale with this weight and epsilon, both finite and not negative.
    pub fn new(weight: f64, epsilon: f64) -> Self {
        assert!(weight >= 0.0 && weight.is_finite(), "weight {weight}");
        assert!(epsilon >= 0.0 && epsilon.is_finite(), "epsilon {epsilon}");
        Self { weight: T::of_f64(weight), epsilon: T::of_f64(epsilon) }
    }

    /// Returns the squared divisor of rows with these squared norms, never zero.
    #[inline(always)]
    pub fn divisor<S: Simd, V: SimdFloat<S, Element = T>>(self, simd: S, squared_norm: V) -> V {
        let divisor = squared_norm.mul_add(self.weight, V::splat(simd, self.epsilon));
        divisor.max(T::TINY)
    }

    /// Returns the factor of a row of this squared norm, in `f64`.
    pub fn factor(self, squared_norm: f64) -> f64 {
        let divisor = squared_norm * self.weight.as_f64() + self.epsilon.as_f64();
        divisor.max(T::TINY.as_f64()).sqrt().recip()
    }

    /// Multiplies the entries of a group by its rows' scale.
    #[inline(always)]
    pub fn apply<S: Simd>(self, simd: S, group: &mut [Line<T>], squared_norm: T::Logical<S>) {
        let divisor = self.divisor(simd, squared_norm);
        let scale = T::Logical::splat(simd, T::of_f64(1.0)) / divisor.sqrt();
        for line in group {
            line.store(line.load(simd) * scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::{Level, dispatch};

    /// One row a lane: (3, -4) times the lane's number, scaled.
    fn run(scale: RowScale<f64>) -> [Line<f64>; 2] {
        let size: [f64; 8] = [0.0, 1.0, 2.0, 1e-100, 1e100, 1e-140, 5.0, 1.5];
        let mut group = [Line(size.map(|s| 3.0 * s)), Line(size.map(|s| -4.0 * s))];
        let squares = Line::<f64>(size.map(|s| 25.0 * s * s));
        dispatch!(Level::new(), simd => {
            scale.apply(simd, &mut group, squares.load(simd));
        });
        group
    }

    #[test]
    fn unit_rows_have_norm_one_and_zero_rows_stay() {
        let [a, b] = run(RowScale::new(1.0, 0.0));
        assert_eq!((a.0[0], b.0[0]), (0.0, 0.0));
        for lane in 1..8 {
            assert!((a.0[lane] - 0.6).abs() < 1e-15 && (b.0[lane] + 0.8).abs() < 1e-15);
        }
    }

    #[test]
    fn standard_and_none() {
        let [a, _] = run(RowScale::new(0.5, 0.5));
        assert!((a.0[2] - 6.0 / (100.0f64 / 2.0 + 0.5).sqrt()).abs() < 1e-15);
        let [a, b] = run(RowScale::new(0.0, 1.0));
        assert_eq!((a.0[2], b.0[2], a.0[1]), (6.0, -8.0, 3.0));
    }

    #[test]
    #[should_panic(expected = "epsilon -1")]
    fn negative_epsilon() {
        RowScale::<f64>::new(1.0, -1.0);
    }
}
