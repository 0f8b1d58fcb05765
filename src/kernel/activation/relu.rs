//! ReLU and leaky ReLU: the homogeneous activations.

use super::{Differentiable, Elementwise};
use crate::kernel::line::Lanes;
use fearless_simd::prelude::*;

/// The positive part, $`\max(0, x)`$; NaN stays NaN.
#[derive(Clone, Copy, Debug)]
pub struct Relu;

impl Elementwise for Relu {
    in_both_precisions!(positive_part);
}

/// 1 for x > 0, else 0, at 0 as well: the frameworks' choice.
impl Differentiable for Relu {
    fn derivative(&self, x: f64) -> f64 {
        step(x, 0.0)
    }
}

/// x for x >= 0 and the slope times x below.
#[derive(Clone, Copy, Debug)]
pub struct LeakyRelu(pub f64);

impl LeakyRelu {
    #[inline(always)]
    fn value<T: Lanes, S: Simd, V: SimdFloat<S, Element = T>>(&self, simd: S, x: V) -> V {
        // Else -inf would become NaN.
        if self.0 == 0.0 {
            return positive_part(simd, x);
        }
        x.simd_lt(T::default()).select(x * T::of_f64(self.0), x)
    }
}

impl Elementwise for LeakyRelu {
    #[inline(always)]
    fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(&self, simd: S, x: V) -> V {
        self.value(simd, x)
    }
    #[inline(always)]
    fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(&self, simd: S, x: V) -> V {
        self.value(simd, x)
    }
}

/// 1 for x > 0, else the slope, at 0 as well: the frameworks' choice.
impl Differentiable for LeakyRelu {
    fn derivative(&self, x: f64) -> f64 {
        step(x, self.0)
    }
}

/// Zero where x < 0, x elsewhere: unlike `max`, the same on every level for NaN and -0.
#[inline(always)]
fn positive_part<S: Simd, V: SimdFloat<S>>(simd: S, x: V) -> V {
    let zero = V::splat(simd, V::Element::default());
    x.simd_lt(zero).select(zero, x)
}

/// 1 for x > 0, else `below`; NaN stays NaN.
fn step(x: f64, below: f64) -> f64 {
    if x.is_nan() {
        x
    } else if x > 0.0 {
        1.0
    } else {
        below
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::activation::Activation;
    use crate::kernel::activation::tests::f64s;

    #[test]
    fn relu_keeps_nan_and_clears_negatives() {
        let x = [-1.0, 1.0, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e-300];
        let expected = [0.0, 1.0, f64::INFINITY, 0.0, 0.0, 0.0, 1e-300];
        assert_eq!(x.map(|x| f64s(&Activation::Relu, x)), expected);
        assert!(f64s(&Activation::Relu, f64::NAN).is_nan());
        for slope in [0.0, -0.0] {
            let leaky = Activation::LeakyRelu { slope };
            assert_eq!(x.map(|x| f64s(&leaky, x)), expected);
            assert!(f64s(&leaky, f64::NAN).is_nan());
        }
    }

    #[test]
    fn slopes_are_checked_and_used() {
        for slope in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert!(Activation::LeakyRelu { slope }.check().is_err());
        }
        let x = [-2.0, -0.0, 3.0, f64::NEG_INFINITY, f64::INFINITY];
        let leaky = Activation::LeakyRelu { slope: -0.25 };
        assert_eq!(x.map(|x| f64s(&leaky, x)), [0.5, 0.0, 3.0, f64::INFINITY, f64::INFINITY]);
    }
}
