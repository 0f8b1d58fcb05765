//! The positive part, and its leaky relative: the homogeneous activations.

use super::{Activation, Differentiable};
use crate::kernel::line::Lanes;
use crate::serialization::deserialize_checked;
use crate::{Error, Result};
use fearless_simd::prelude::*;

/// The positive part, $`\max(0, x)`$; NaN stays NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relu;

impl Activation for Relu {
    const HOMOGENEOUS: bool = true;

    in_both_precisions!(positive_part);
}

/// 1 for x > 0, else 0, at 0 as well: the frameworks' choice.
impl Differentiable for Relu {
    fn derivative(self, x: f64) -> f64 {
        step(x, 0.0)
    }
}

/// x for x >= 0 and `slope` times x below.
///
/// A slope of 1 makes a linear network (which [`Identity`](super::Identity) computes more sharply),
/// 0 is [`Relu`], and -1 the absolute value; the default is 0.01.
///
/// ```
/// use orthogap::{Input, Network, Seed, activation::LeakyRelu};
///
/// let network = Network::<f64>::new(512).activation(LeakyRelu::new(0.2)?);
/// let mut chain = network.chain(&Input::orthogonal(4)?, Seed(1))?;
/// assert!(chain.advance(50)?.cosine(0, 1)? > 0.1);
/// assert!(LeakyRelu::new(f64::NAN).is_err());
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LeakyRelu {
    slope: f64,
}

impl LeakyRelu {
    /// The function with a slope for negative x, of either sign.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a slope that is not finite in `f32`.
    pub fn new(slope: f64) -> Result<Self> {
        if (slope as f32).is_finite() {
            Ok(Self { slope })
        } else {
            let expected = "a slope that is finite in f32";
            Err(Error::InvalidParameter { name: "slope", value: slope, expected })
        }
    }

    /// The slope.
    #[must_use]
    pub fn slope(&self) -> f64 {
        self.slope
    }

    #[inline(always)]
    fn apply<T: Lanes, S: Simd, V: SimdFloat<S, Element = T>>(self, simd: S, x: V) -> V {
        // Else -inf would become NaN.
        if self.slope == 0.0 {
            return positive_part(simd, x);
        }
        x.simd_lt(T::default()).select(x * T::of(self.slope), x)
    }
}

deserialize_checked!(LeakyRelu { slope: f64 }, LeakyRelu::new);

impl Default for LeakyRelu {
    fn default() -> Self {
        Self { slope: 0.01 }
    }
}

impl Activation for LeakyRelu {
    const HOMOGENEOUS: bool = true;

    #[inline(always)]
    fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(self, simd: S, x: V) -> V {
        self.apply(simd, x)
    }
    #[inline(always)]
    fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(self, simd: S, x: V) -> V {
        self.apply(simd, x)
    }
}

/// 1 for x > 0, else the slope, at 0 as well: the frameworks' choice.
impl Differentiable for LeakyRelu {
    fn derivative(self, x: f64) -> f64 {
        step(x, self.slope)
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
    use super::*;
    use crate::kernel::activation::tests::f64s;

    #[test]
    fn relu_keeps_nan_and_clears_negatives() {
        let x = [-1.0, 1.0, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e-300];
        let expected = [0.0, 1.0, f64::INFINITY, 0.0, 0.0, 0.0, 1e-300];
        assert_eq!(x.map(|x| f64s(Relu, x)), expected);
        for slope in [0.0, -0.0] {
            let leaky = LeakyRelu::new(slope).unwrap();
            assert_eq!(x.map(|x| f64s(leaky, x)), expected);
            assert!(f64s(leaky, f64::NAN).is_nan() && f64s(Relu, f64::NAN).is_nan());
        }
    }

    #[test]
    fn slopes_are_checked_and_used() {
        for slope in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert!(matches!(LeakyRelu::new(slope), Err(Error::InvalidParameter { .. })));
        }
        let x = [-2.0, -0.0, 3.0, f64::NEG_INFINITY, f64::INFINITY];
        let leaky = LeakyRelu::new(-0.25).unwrap();
        assert_eq!(x.map(|x| f64s(leaky, x)), [0.5, 0.0, 3.0, f64::INFINITY, f64::INFINITY]);
        assert_eq!(LeakyRelu::default().slope(), 0.01);
    }
}
