//! Activations: element-wise functions of the normalised rows, applied inside the row kernels.

mod sin;
mod tanh;

pub use sin::Sin;
pub use tanh::Tanh;

use fearless_simd::{Level, dispatch, prelude::*};

use crate::kernel::line::Lanes;

/// An element-wise function of the normalised rows.
///
/// The methods see vectors of any width (of the crate `fearless_simd`) and must treat every lane
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

/// The positive part; NaN stays NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relu;

impl Activation for Relu {
    const HOMOGENEOUS: bool = true;

    #[inline(always)]
    fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(self, simd: S, x: V) -> V {
        positive_part(simd, x)
    }
    #[inline(always)]
    fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(self, simd: S, x: V) -> V {
        positive_part(simd, x)
    }
}

/// Zero where x < 0, x elsewhere: unlike `max`, the same on every level for NaN and -0.
#[inline(always)]
fn positive_part<S: Simd, V: SimdFloat<S>>(simd: S, x: V) -> V {
    let zero = V::splat(simd, V::Element::default());
    x.simd_lt(zero).select(zero, x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::{Level, dispatch, f64x8};

    #[test]
    fn relu_keeps_nan_and_clears_negatives() {
        let x = [-1.0, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e-300];
        let y = dispatch!(Level::new(), simd => {
            Relu.f64(simd, f64x8::from_slice(simd, &x)).to_array()
        });
        assert!(y[2].is_nan());
        assert_eq!(
            [y[0], y[1], y[3], y[4], y[5], y[6], y[7]],
            [0.0, 1.0, f64::INFINITY, 0.0, 0.0, 0.0, 1e-300]
        );
    }
}
