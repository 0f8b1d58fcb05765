//! Activations of numbers in place, and their pullback.

use fearless_simd::{Level, dispatch, prelude::*};
use nalgebra::{RealField, convert};

use super::{Activation, Differentiable, Elementwise};
use super::{elu, erf, gelu, identity, logistic, relu, sin, tanh};
use crate::Result;
use crate::kernel::line::{Lanes, Line};

impl Activation {
    /// Multiplies the gradient by $`F'(\text{unit} \cdot x)`$, number by number.
    ///
    /// # Errors
    /// [`Error::MissingDerivative`] of a custom activation without one.
    pub(crate) fn pull_back<T: RealField + Copy + Into<f64>>(
        &self,
        x: &[T],
        unit: f64,
        gradient: &mut [T],
    ) -> Result<()> {
        if self.is_linear() {
            return Ok(());
        }
        let unit: T = convert(unit);
        with_function!(
            self,
            function => scale(gradient, x, |x| function.derivative((x * unit).into())),
            custom => {
                let derivative = custom.derivative()?;
                scale(gradient, x, |x| derivative((x * unit).into()));
            }
        );
        Ok(())
    }

    /// Computes F of every number in place.
    ///
    /// ```
    /// use orthogap::{Activation, nalgebra};
    ///
    /// let mut h = nalgebra::dmatrix![1.0f32, -2.0; 0.5, 3.0];
    /// Activation::Relu.apply(h.as_mut_slice());
    /// assert_eq!(h, nalgebra::dmatrix![1.0, 0.0; 0.5, 3.0]);
    /// ```
    pub fn apply<T: Activate>(&self, values: &mut [T]) {
        const LINES: usize = 32;
        if self.is_linear() {
            return;
        }
        let mut lines = [T::ZERO; LINES];
        for piece in values.chunks_mut(LINES * T::LANES) {
            let mut count = 0;
            for (line, numbers) in lines.iter_mut().zip(piece.chunks(T::LANES)) {
                line.0.as_mut()[..numbers.len()].copy_from_slice(numbers);
                count += 1;
            }
            self.apply_to_lines(Level::new(), &mut lines[..count], (1, 1));
            for (line, numbers) in lines.iter().zip(piece.chunks_mut(T::LANES)) {
                numbers.copy_from_slice(&line.0.as_ref()[..numbers.len()]);
            }
        }
    }

    /// Computes F of the first `batch` lines of every `stride` lines in place.
    pub(crate) fn apply_to_lines<T: Activate>(
        &self,
        level: Level,
        lines: &mut [Line<T>],
        (stride, batch): (usize, usize),
    ) {
        T::activate_lines(self, level, lines, (stride, batch));
    }
}

/// The scalar types that activations act on; compiled here for all functions of this crate.
pub trait Activate: Lanes {
    /// Evaluates a function in every lane.
    fn evaluate<S: Simd, E: Elementwise, V: SimdFloat<S, Element = Self>>(
        function: &E,
        simd: S,
        x: V,
    ) -> V;

    /// Applies an activation to the first `batch` lines of every `stride` lines.
    fn activate_lines(
        activation: &Activation,
        level: Level,
        lines: &mut [Line<Self>],
        shape: (usize, usize),
    );
}

macro_rules! activate {
    ($($scalar:ident $lines:ident;)*) => {$(
        impl Activate for $scalar {
            #[inline(always)]
            fn evaluate<S: Simd, E: Elementwise, V: SimdFloat<S, Element = Self>>(
                function: &E,
                simd: S,
                x: V,
            ) -> V {
                function.$scalar(simd, x)
            }

            fn activate_lines(
                activation: &Activation,
                level: Level,
                lines: &mut [Line<Self>],
                shape: (usize, usize),
            ) {
                with_function!(
                    activation,
                    function => dispatch!(level, simd => each_line(simd, function, lines, shape)),
                    custom => custom.$lines(level, lines, shape)
                );
            }
        }
    )*};
}

activate! {
    f64 lines_f64;
    f32 lines_f32;
}

/// Multiplies numbers by a function of others.
fn scale<T: RealField + Copy>(numbers: &mut [T], x: &[T], factor: impl Fn(T) -> f64) {
    for (number, &x) in numbers.iter_mut().zip(x) {
        *number *= convert::<f64, T>(factor(x));
    }
}

#[inline(always)]
pub(super) fn each_line<S: Simd, T: Activate, E: Elementwise>(
    simd: S,
    function: &E,
    lines: &mut [Line<T>],
    (stride, batch): (usize, usize),
) {
    for group in lines.chunks_exact_mut(stride) {
        for line in &mut group[..batch] {
            line.store(T::evaluate(function, simd, line.load(simd)));
        }
    }
}
