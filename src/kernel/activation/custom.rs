//! User-defined activations.

use core::fmt;
use std::borrow::Cow;
use std::sync::Arc;

use super::Elementwise;
use super::apply::each_line;
use crate::kernel::line::Line;
use crate::{Error, Result};
use fearless_simd::{Level, dispatch, prelude::*};

/// A user-defined function with its known properties, made by
/// [`Activation::custom`](super::Activation::custom) and
/// [`Activation::vectorized`](super::Activation::vectorized).
#[derive(Clone)]
pub struct Custom {
    name: Cow<'static, str>,
    function: Arc<dyn Lines>,
    derivative: Option<Arc<Derivative>>,
    homogeneous: bool,
}

/// A derivative.
pub(super) type Derivative = dyn Fn(f64) -> f64 + Send + Sync;

/// An element-wise function behind a pointer, compiled where it is made.
pub(super) trait Lines: Send + Sync {
    fn lines_f64(&self, level: Level, lines: &mut [Line<f64>], shape: (usize, usize));
    fn lines_f32(&self, level: Level, lines: &mut [Line<f32>], shape: (usize, usize));
}

impl<E: Elementwise> Lines for E {
    fn lines_f64(&self, level: Level, lines: &mut [Line<f64>], shape: (usize, usize)) {
        dispatch!(level, simd => each_line(simd, self, lines, shape));
    }

    fn lines_f32(&self, level: Level, lines: &mut [Line<f32>], shape: (usize, usize)) {
        dispatch!(level, simd => each_line(simd, self, lines, shape));
    }
}

impl Custom {
    pub(super) fn new(name: Cow<'static, str>, function: Arc<dyn Lines>) -> Self {
        Self { name, function, derivative: None, homogeneous: false }
    }

    pub(super) fn with_derivative(self, derivative: Arc<Derivative>) -> Self {
        Self { derivative: Some(derivative), ..self }
    }

    pub(super) fn with_homogeneity(self) -> Self {
        Self { homogeneous: true, ..self }
    }

    pub(super) fn is_homogeneous(&self) -> bool {
        self.homogeneous
    }

    pub(super) fn derivative(&self) -> Result<&Derivative> {
        let missing = || Error::MissingDerivative { activation: self.name.clone().into_owned() };
        self.derivative.as_deref().ok_or_else(missing)
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn lines_f64(&self, level: Level, lines: &mut [Line<f64>], shape: (usize, usize)) {
        self.function.lines_f64(level, lines, shape);
    }

    pub(super) fn lines_f32(&self, level: Level, lines: &mut [Line<f32>], shape: (usize, usize)) {
        self.function.lines_f32(level, lines, shape);
    }
}

/// Whether one is a clone of the other.
impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        let derivatives = match (&self.derivative, &other.derivative) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        Arc::ptr_eq(&self.function, &other.function)
            && derivatives
            && (&self.name, self.homogeneous) == (&other.name, other.homogeneous)
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, derivative, homogeneous, .. } = self;
        f.debug_struct("Custom")
            .field("name", name)
            .field("has_derivative", &derivative.is_some())
            .field("homogeneous", homogeneous)
            .finish_non_exhaustive()
    }
}

/// A function of a number, called lane by lane.
pub(super) struct EachLane<F>(pub F);

impl<F: Fn(f64) -> f64 + Send + Sync> Elementwise for EachLane<F> {
    #[inline(always)]
    fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(&self, _: S, mut x: V) -> V {
        for lane in 0..V::LEN {
            x[lane] = (self.0)(x[lane]);
        }
        x
    }
    #[inline(always)]
    fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(&self, _: S, mut x: V) -> V {
        for lane in 0..V::LEN {
            x[lane] = (self.0)(f64::from(x[lane])) as f32;
        }
        x
    }
}
