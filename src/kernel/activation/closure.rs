//! Activations made of closures.

use core::fmt;

use super::{Activation, Differentiable};
use fearless_simd::prelude::*;

/// An activation of any function of a number.
///
/// The function is called for one number after the other, in `f64` even where rows are `f32`, so a
/// layer takes longer by `d n` calls: ten to twenty times as long altogether for the standard
/// library's `tanh`. Results are the same bits wherever the function's own are, which the standard
/// library does not promise for its exponentials and sines. For speed, implement [`Activation`].
/// A network does not use that a closure is linear or homogeneous.
///
/// ```
/// use orthogap::{Input, Network, Seed, activation::from_fn};
///
/// let clipped = from_fn(|x| x.clamp(-0.5, 0.5));
/// let network = Network::<f64>::new(256).activation(clipped);
/// let mut chain = network.chain(&Input::near_collinear(4, 1e-3)?, Seed(1))?;
/// assert!(chain.advance(40)?.orthogonality_gap() < 0.25); // odd functions let samples part
/// # Ok::<(), orthogap::Error>(())
/// ```
#[must_use]
pub fn from_fn<F: Fn(f64) -> f64 + Copy + Send + Sync>(function: F) -> FromFn<F> {
    FromFn { function }
}

/// The activation of a closure; see [`from_fn`].
#[derive(Clone, Copy)]
pub struct FromFn<F> {
    function: F,
}

impl<F: Fn(f64) -> f64 + Copy + Send + Sync> FromFn<F> {
    /// The same with its derivative, for a reverse pass.
    ///
    /// ```
    /// use orthogap::activation::{Differentiable, from_fn};
    ///
    /// let cube = from_fn(|x| x * x * x).with_derivative(|x| 3.0 * x * x);
    /// assert_eq!(cube.derivative(2.0), 12.0);
    /// ```
    #[must_use]
    pub fn with_derivative<D: Fn(f64) -> f64 + Copy + Send + Sync>(
        self,
        derivative: D,
    ) -> WithDerivative<F, D> {
        WithDerivative { activation: self, derivative }
    }
}

impl<F: Fn(f64) -> f64 + Copy + Send + Sync> Activation for FromFn<F> {
    #[inline(always)]
    fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(self, _: S, mut x: V) -> V {
        for lane in 0..V::LEN {
            x[lane] = (self.function)(x[lane]);
        }
        x
    }
    #[inline(always)]
    fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(self, _: S, mut x: V) -> V {
        for lane in 0..V::LEN {
            x[lane] = (self.function)(f64::from(x[lane])) as f32;
        }
        x
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").finish_non_exhaustive()
    }
}

/// The activation of a closure, with another one for its derivative; see
/// [`FromFn::with_derivative`].
#[derive(Clone, Copy)]
pub struct WithDerivative<F, D> {
    activation: FromFn<F>,
    derivative: D,
}

impl<F, D> Activation for WithDerivative<F, D>
where
    F: Fn(f64) -> f64 + Copy + Send + Sync,
    D: Fn(f64) -> f64 + Copy + Send + Sync,
{
    #[inline(always)]
    fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(self, simd: S, x: V) -> V {
        self.activation.f64(simd, x)
    }
    #[inline(always)]
    fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(self, simd: S, x: V) -> V {
        self.activation.f32(simd, x)
    }
}

/// The closure's value, whatever it is.
impl<F, D> Differentiable for WithDerivative<F, D>
where
    F: Fn(f64) -> f64 + Copy + Send + Sync,
    D: Fn(f64) -> f64 + Copy + Send + Sync,
{
    fn derivative(self, x: f64) -> f64 {
        (self.derivative)(x)
    }
}

impl<F, D> fmt::Debug for WithDerivative<F, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithDerivative").finish_non_exhaustive()
    }
}
