//! Activations: element-wise functions of the normalised rows, applied inside the row kernels.

/// The methods of an activation that one generic function serves in both precisions.
macro_rules! in_both_precisions {
    ($function:path) => {
        #[inline(always)]
        fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(self, simd: S, x: V) -> V {
            $function(simd, x)
        }
        #[inline(always)]
        fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(self, simd: S, x: V) -> V {
            $function(simd, x)
        }
    };
}

mod closure;
mod erf;
pub(crate) mod exponential;
mod gain;
mod gelu;
mod logistic;
mod normal_tail;
mod relu;
mod sin;
mod tanh;

pub use closure::{FromFn, WithDerivative, from_fn};
pub use erf::Erf;
pub use gain::gain;
pub use gelu::Gelu;
pub use logistic::{Logistic, Silu};
pub use relu::{LeakyRelu, Relu};
pub use sin::Sin;
pub use tanh::{ShiftedTanh, Tanh};

use fearless_simd::{Level, dispatch, prelude::*};

use crate::kernel::line::Lanes;
use crate::serialization::serialize_by_name;

/// An element-wise function of the normalised rows.
///
/// [`from_fn`] makes one of a closure; an implementation of your own is faster. The methods see vectors of any width (of the crate `fearless_simd`) and must treat every lane
/// alike, with exact IEEE arithmetic and `mul_add` only, so that results do not depend on the
/// hardware. Mark them `#[inline(always)]`: otherwise they leave the SIMD context.
///
/// ```
/// use orthogap::activation::{Activation, fearless_simd::{Simd, SimdFloat}};
/// use orthogap::{Input, Network, Seed};
///
/// #[derive(Clone, Copy)]
/// struct Square;
///
/// impl Activation for Square {
///     #[inline(always)]
///     fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(self, _: S, x: V) -> V {
///         x * x
///     }
///     #[inline(always)]
///     fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(self, _: S, x: V) -> V {
///         x * x
///     }
/// }
///
/// let network = Network::<f64>::new(256).activation(Square);
/// let mut chain = network.chain(&Input::orthogonal(4)?, Seed(1))?;
/// assert!(chain.advance(20)?.orthogonality_gap() > 0.1); // squares are never orthogonal
/// # Ok::<(), orthogap::Error>(())
/// ```
pub trait Activation: Copy + Send + Sync {
    /// Whether F(x) = x: a linear network has a sharper engine.
    const LINEAR: bool = false;
    /// Whether F(s x) = s F(x) for s > 0: the scale of a vanilla network then never overflows.
    const HOMOGENEOUS: bool = Self::LINEAR;

    /// The function in `f64`.
    fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(self, simd: S, x: V) -> V;
    /// The function in `f32`.
    fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(self, simd: S, x: V) -> V;
}

/// An activation with a derivative, for whoever goes backwards through a network.
///
/// Derivatives are `f64`, of small error for every x, and NaN at NaN. Where the function has a kink
/// the value is the frameworks': the slope on the left, at 0.
///
/// ```
/// use orthogap::activation::{Differentiable, Logistic, Relu, Tanh};
///
/// assert_eq!(Tanh.derivative(0.0), 1.0);
/// assert_eq!(Relu.derivative(0.0), 0.0);
/// // Where the function itself has long been 1.
/// assert!((Logistic.derivative(100.0) / (-100f64).exp() - 1.0).abs() < 1e-14);
/// ```
pub trait Differentiable: Activation {
    /// $`F'(x)`$.
    fn derivative(self, x: f64) -> f64;
}

/// Applies an activation to every number of a slice.
pub(crate) fn apply<T: Lanes, A: Activation>(activation: A, values: &mut [T]) {
    dispatch!(Level::new(), simd => {
        for chunk in values.chunks_mut(T::LANES) {
            let mut line = T::ZERO;
            line.0.as_mut()[..chunk.len()].copy_from_slice(chunk);
            let activated = T::activate(activation, simd, line.load(simd));
            line.store(activated);
            chunk.copy_from_slice(&line.0.as_ref()[..chunk.len()]);
        }
    });
}

/// No activation: a linear network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity;

impl Activation for Identity {
    const LINEAR: bool = true;

    #[inline(always)]
    fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(self, _: S, x: V) -> V {
        x
    }
    #[inline(always)]
    fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(self, _: S, x: V) -> V {
        x
    }
}

/// The constant 1.
impl Differentiable for Identity {
    fn derivative(self, x: f64) -> f64 {
        if x.is_nan() { x } else { 1.0 }
    }
}

serialize_by_name!(Identity, Relu, Tanh, ShiftedTanh, Sin, Logistic, Silu, Erf, Gelu);

#[cfg(test)]
mod tests;
