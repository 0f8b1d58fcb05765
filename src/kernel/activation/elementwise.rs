//! Element-wise functions as kernels call them: in every lane of a vector.

use fearless_simd::prelude::*;

/// An element-wise function on SIMD vectors; [`vectorized`](super::Activation::vectorized) makes an
/// activation of it.
///
/// The methods see vectors of any width (of the crate `fearless_simd`). They must treat all lanes
/// equally, with exact IEEE arithmetic and `mul_add` only, so that results do not depend on the
/// hardware. Mark them `#[inline(always)]`: otherwise they leave the SIMD context.
///
/// ```
/// use orthogap::activation::{Elementwise, fearless_simd::{Simd, SimdFloat}};
/// use orthogap::{Activation, Input, Network, Seed};
///
/// struct Square;
///
/// impl Elementwise for Square {
///     #[inline(always)]
///     fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(&self, _: S, x: V) -> V {
///         x * x
///     }
///     #[inline(always)]
///     fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(&self, _: S, x: V) -> V {
///         x * x
///     }
/// }
///
/// let network = Network::<f64>::new(256).with_activation(Activation::vectorized("square", Square));
/// let mut chain = network.chain(&Input::orthogonal(4)?, Seed(1))?;
/// assert!(chain.advance(20)?.orthogonality_gap() > 0.1); // squares are never orthogonal
/// # Ok::<(), orthogap::Error>(())
/// ```
pub trait Elementwise: Send + Sync {
    /// The function in `f64`.
    fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(&self, simd: S, x: V) -> V;
    /// The function in `f32`.
    fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(&self, simd: S, x: V) -> V;
}

/// A function of this crate, with its derivative in `f64`: of small error for every x, and NaN at
/// NaN. At a kink it is the slope on the left, as in the frameworks.
pub(super) trait Differentiable: Elementwise {
    fn derivative(&self, x: f64) -> f64;
}
