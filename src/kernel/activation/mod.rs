//! Activations: element-wise functions of the normalised rows, applied to blocks that lie in cache.

/// The methods of an element-wise function that one generic function serves in both precisions.
macro_rules! in_both_precisions {
    ($function:path) => {
        #[inline(always)]
        fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(&self, simd: S, x: V) -> V {
            $function(simd, x)
        }
        #[inline(always)]
        fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(&self, simd: S, x: V) -> V {
            $function(simd, x)
        }
    };
}

/// Evaluates an expression for the function behind an activation; a custom one has an expression of
/// its own.
macro_rules! with_function {
    ($activation:expr, $function:ident => $all:expr, $custom:ident => $own:expr) => {
        match $activation {
            Activation::Identity => {
                let $function = &identity::Identity;
                $all
            }
            Activation::Relu => {
                let $function = &relu::Relu;
                $all
            }
            Activation::LeakyRelu { slope } => {
                let $function = &relu::LeakyRelu(*slope);
                $all
            }
            Activation::Tanh => {
                let $function = &tanh::Tanh;
                $all
            }
            Activation::ShiftedTanh => {
                let $function = &tanh::ShiftedTanh;
                $all
            }
            Activation::Logistic => {
                let $function = &logistic::Logistic;
                $all
            }
            Activation::Silu => {
                let $function = &logistic::Silu;
                $all
            }
            Activation::Erf => {
                let $function = &erf::Erf;
                $all
            }
            Activation::Gelu => {
                let $function = &gelu::Gelu;
                $all
            }
            Activation::Elu => {
                let $function = &elu::Elu;
                $all
            }
            Activation::Sin => {
                let $function = &sin::Sin;
                $all
            }
            Activation::Custom($custom) => $own,
        }
    };
}

mod apply;
mod custom;
mod elementwise;
mod elu;
mod erf;
pub(crate) mod exponential;
mod gain;
mod gelu;
mod identity;
mod logistic;
mod name;
mod normal_tail;
mod relu;
mod sin;
mod tanh;
mod unit;

pub use apply::Activate;
pub use custom::Custom;
pub use elementwise::Elementwise;
pub(crate) use unit::FAR;

use elementwise::Differentiable;

use std::borrow::Cow;
use std::sync::Arc;

use crate::{Error, Result};

/// An element-wise function between the layers of a network.
///
/// | | name | formula | range | homogeneous | at 0 |
/// | --- | --- | --- | --- | --- | --- |
/// | [`Identity`](Self::Identity) | `linear` | $`x`$ | all numbers | yes, linear | 0 |
/// | [`Relu`](Self::Relu) | `relu` | $`\max(0, x)`$ | $`[0, \infty)`$ | yes | 0 |
/// | [`LeakyRelu`](Self::LeakyRelu) | `leaky_relu(0.2)` | $`x`$ for x >= 0, $`s x`$ below | all numbers if s > 0 | yes | 0 |
/// | [`Tanh`](Self::Tanh) | `tanh` | $`\tanh x`$ | $`(-1, 1)`$ | no | 0 |
/// | [`ShiftedTanh`](Self::ShiftedTanh) | `shifted_tanh` | $`1 + \tanh x`$ | $`(0, 2)`$ | no | 1 |
/// | [`Logistic`](Self::Logistic) | `logistic` | $`1/(1 + e^{-x})`$ | $`(0, 1)`$ | no | 1/2 |
/// | [`Silu`](Self::Silu) | `silu` | $`x/(1 + e^{-x})`$ | $`[-0.2785, \infty)`$ | no | 0 |
/// | [`Erf`](Self::Erf) | `erf` | $`\mathrm{erf}(x)`$ | $`(-1, 1)`$ | no | 0 |
/// | [`Gelu`](Self::Gelu) | `gelu` | $`x \Phi(x)`$ | $`[-0.1700, \infty)`$ | no | 0 |
/// | [`Elu`](Self::Elu) | `elu` | $`x`$ for x >= 0, $`e^x - 1`$ below | $`(-1, \infty)`$ | no | 0 |
/// | [`Sin`](Self::Sin) | `sin` | $`\sin x`$ | $`[-1, 1]`$ | no | 0 |
/// | [`custom`](Self::custom) | yours | any closure | its own | if declared | its own |
/// | [`vectorized`](Self::vectorized) | yours | any [`Elementwise`] | its own | if declared | its own |
///
///
/// The functions of this crate are vectorised, with errors of a few units in the last place in `f64`
/// and in `f32`. Where a function has a tail, the error is relative to the tail, down to the smallest
/// normal number. NaN propagates. An infinity gives the limit, except for [`Sin`](Self::Sin), which
/// has none. The [gain](Self::gain) is the scale of weights that a vanilla network with the activation
/// needs.
///
/// Activations are read from their names and written as them:
///
/// ```
/// use orthogap::{Activation, Input, Network, Seed};
///
/// let input = Input::near_collinear(4, 1e-3)?;
/// for name in ["linear", "relu", "tanh", "leaky_relu(0.2)"] {
///     let activation: Activation = name.parse()?;
///     assert_eq!(activation.to_string(), name);
///     let network = Network::<f64>::new(256).with_activation(activation);
///     let gap = network.chain(&input, Seed(1))?.advance(50)?.orthogonality_gap();
///     println!("{name:16} {gap:.4}");
/// }
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// $`x`$: a linear network, for which there is a sharper engine. Its name is `linear`.
    #[default]
    Identity,
    /// $`\max(0, x)`$.
    Relu,
    /// $`x`$ for x >= 0, and $`s x`$ below.
    ///
    /// A slope of 1 makes a linear network, which [`Identity`](Self::Identity) computes more sharply;
    /// 0 is [`Relu`](Self::Relu), and -1 the absolute value. The name `leaky_relu` without a slope
    /// means 0.01.
    LeakyRelu {
        /// The slope for negative x, of either sign; finite in `f32`.
        slope: f64,
    },
    /// The hyperbolic tangent, correct to 2 ulp.
    Tanh,
    /// $`1 + \tanh x`$: an activation whose mean is not zero, from Appendix F of
    /// [arXiv 2106.03970](https://arxiv.org/abs/2106.03970). 4 ulp.
    ShiftedTanh,
    /// The logistic function $`1/(1 + e^{-x})`$, often called the sigmoid. 4 ulp.
    Logistic,
    /// $`x/(1 + e^{-x})`$, also called swish (Elfwing, Uchibe and Doya 2018,
    /// [arXiv 1702.03118](https://arxiv.org/abs/1702.03118)). 4 ulp.
    Silu,
    /// The error function $`\mathrm{erf}(x) = \frac{2}{\sqrt\pi} \int_0^x e^{-t^2} dt`$. 2 ulp.
    Erf,
    /// $`x \Phi(x)`$ with the normal distribution function $`\Phi`$, not its approximation by a tanh
    /// (Hendrycks and Gimpel 2016, [arXiv 1606.08415](https://arxiv.org/abs/1606.08415)). 6 ulp.
    Gelu,
    /// $`x`$ for x >= 0, and $`e^x - 1`$ below (Clevert, Unterthiner and Hochreiter 2016,
    /// [arXiv 1511.07289](https://arxiv.org/abs/1511.07289)). 4 ulp.
    Elu,
    /// $`\sin x`$, 2 ulp for every finite number.
    Sin,
    /// A function of your own: see [`Activation::custom`] and [`Activation::vectorized`].
    Custom(Custom),
}

/// The activations without parameters and their names, the first of which is written.
const NAMES: [(Activation, &[&str]); 10] = [
    (Activation::Identity, &["linear", "identity"]),
    (Activation::Relu, &["relu"]),
    (Activation::Tanh, &["tanh"]),
    (Activation::ShiftedTanh, &["shifted_tanh"]),
    (Activation::Logistic, &["logistic", "sigmoid"]),
    (Activation::Silu, &["silu", "swish"]),
    (Activation::Erf, &["erf"]),
    (Activation::Gelu, &["gelu"]),
    (Activation::Elu, &["elu"]),
    (Activation::Sin, &["sin"]),
];

impl Activation {
    /// The activations of this crate, a leaky ReLU with the slope of PyTorch's.
    ///
    /// ```
    /// use orthogap::{Activation, Input, Network, Seed};
    ///
    /// let input = Input::near_collinear(4, 1e-3)?;
    /// for activation in Activation::ALL {
    ///     let network = Network::<f64>::new(64).with_activation(activation.clone());
    ///     let gap = network.chain(&input, Seed(1))?.advance(20)?.orthogonality_gap();
    ///     println!("{activation:16} {gap:.4}");
    /// }
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    pub const ALL: &[Self] = &[
        Self::Identity,
        Self::Relu,
        Self::LeakyRelu { slope: name::SLOPE },
        Self::Tanh,
        Self::ShiftedTanh,
        Self::Logistic,
        Self::Silu,
        Self::Erf,
        Self::Gelu,
        Self::Elu,
        Self::Sin,
    ];

    /// Makes an activation of any function of a number.
    ///
    /// The function is called for each number, in `f64` even if rows are `f32`, and for others, such
    /// as 0: it must have a value everywhere. A layer with the standard library's `tanh` takes ten
    /// to twenty times as long. Results are reproducible if
    /// the function is, which the standard library does not promise for its exponentials and sines.
    /// For speed, see [`vectorized`](Self::vectorized). Two custom activations are equal if they
    /// are clones of each other.
    ///
    /// ```
    /// use orthogap::{Activation, Input, Network, Seed};
    ///
    /// let clipped = Activation::custom("clipped", |x| x.clamp(-0.5, 0.5));
    /// let network = Network::<f64>::new(256).with_activation(clipped);
    /// let mut chain = network.chain(&Input::near_collinear(4, 1e-3)?, Seed(1))?;
    /// assert!(chain.advance(40)?.orthogonality_gap() < 0.25); // odd functions separate samples
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn custom(
        name: impl Into<Cow<'static, str>>,
        function: impl Fn(f64) -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self::vectorized(name, custom::EachLane(function))
    }

    /// Makes an activation of a function that is written with vectors: see [`Elementwise`].
    #[must_use]
    pub fn vectorized(
        name: impl Into<Cow<'static, str>>,
        function: impl Elementwise + 'static,
    ) -> Self {
        Self::Custom(Custom::new(name.into(), Arc::new(function)))
    }

    /// Sets the derivative, which a reverse pass needs. For a function of this crate it makes a
    /// custom activation with another derivative, such as a surrogate gradient.
    ///
    /// ```
    /// use orthogap::Activation;
    ///
    /// let cube = Activation::custom("cube", |x| x * x * x).with_derivative(|x| 3.0 * x * x);
    /// assert_eq!(cube.derivative(2.0)?, 12.0);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn with_derivative(self, derivative: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Self {
        Self::Custom(self.into_custom().with_derivative(Arc::new(derivative)))
    }

    /// Declares that F(s x) = s F(x) for all s > 0. The scale of a network without normalisation then
    /// never overflows.
    ///
    /// ```
    /// use orthogap::Activation;
    ///
    /// let magnitude = Activation::custom("abs", f64::abs).with_homogeneity();
    /// assert!(magnitude.is_homogeneous() && !magnitude.is_linear());
    /// ```
    #[must_use]
    pub fn with_homogeneity(self) -> Self {
        Self::Custom(self.into_custom().with_homogeneity())
    }

    /// Returns whether F(x) = x.
    #[must_use]
    pub fn is_linear(&self) -> bool {
        matches!(self, Self::Identity)
    }

    /// Returns whether F(s x) = s F(x) for all s > 0, as far as is known.
    #[must_use]
    pub fn is_homogeneous(&self) -> bool {
        match self {
            Self::Identity | Self::Relu | Self::LeakyRelu { .. } => true,
            Self::Custom(custom) => custom.is_homogeneous(),
            _ => false,
        }
    }

    /// Computes F(x) in `f64`.
    ///
    /// ```
    /// use orthogap::Activation;
    ///
    /// assert_eq!(Activation::Relu.value(-1.0), 0.0);
    /// assert_eq!(Activation::LeakyRelu { slope: 0.5 }.value(-1.0), -0.5);
    /// ```
    #[must_use]
    pub fn value(&self, x: f64) -> f64 {
        let mut values = [x];
        self.apply(&mut values);
        values[0]
    }

    /// Computes $`F'(x)`$ in `f64`, with small error for every x. At a kink it is the slope on the
    /// left, as in the frameworks.
    ///
    /// ```
    /// use orthogap::Activation;
    ///
    /// assert_eq!(Activation::Tanh.derivative(0.0)?, 1.0);
    /// assert_eq!(Activation::Relu.derivative(0.0)?, 0.0);
    /// // Where the function itself has long been 1.
    /// let tail = Activation::Logistic.derivative(100.0)?;
    /// assert!((tail / (-100f64).exp() - 1.0).abs() < 1e-14);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::MissingDerivative`] of a custom activation without one.
    pub fn derivative(&self, x: f64) -> Result<f64> {
        Ok(with_function!(
            self,
            function => function.derivative(x),
            custom => custom.derivative()?(x)
        ))
    }

    /// Refuses a slope that `f32` cannot hold.
    pub(crate) fn check(&self) -> Result<()> {
        match *self {
            Self::LeakyRelu { slope } if !(slope as f32).is_finite() => {
                let expected = "a slope that is finite in f32";
                Err(Error::InvalidParameter { name: "slope", value: slope, expected })
            }
            _ => Ok(()),
        }
    }

    fn into_custom(self) -> Custom {
        let name = Cow::Owned(self.to_string());
        let homogeneous = self.is_homogeneous();
        let custom = with_function!(
            &self,
            function => {
                let function = *function;
                Custom::new(name, Arc::new(function))
                    .with_derivative(Arc::new(move |x| function.derivative(x)))
            },
            custom => custom.clone()
        );
        if homogeneous { custom.with_homogeneity() } else { custom }
    }
}

#[cfg(test)]
mod tests;
