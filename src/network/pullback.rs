//! The pullback of an operation: from the gradient by its output to that by its input.

use nalgebra::DMatrix;

use super::{Network, Operation};
use crate::activation::Differentiable;
use crate::normalization::Normalization;
use crate::weights::WeightInit;
use crate::{Result, Scalar};

impl<T: Scalar, A: Differentiable, W: WeightInit> Network<T, A, W> {
    /// Takes the gradient of a loss by what [`operate`](Self::operate) makes of all of `h`, which is
    /// held in units of exp(`log_unit`), in place to its gradient by the true input. Returns the
    /// logarithm of a factor that the result lacks.
    pub(crate) fn pull_back(
        &self,
        operation: Operation,
        (h, pixels, log_unit): (&DMatrix<T>, usize, f64),
        gradient: &mut DMatrix<T>,
    ) -> Result<f64> {
        match operation {
            Operation::Normalize => match self.normalization_in_units(log_unit)? {
                Normalization::None => return Ok(0.0),
                Normalization::BatchNorm(norm) => norm.pullback_mut(h, gradient)?,
                Normalization::SampleNorm(norm) => norm.pull_back_images(h, gradient, pixels)?,
            },
            Operation::Activate if A::LINEAR => return Ok(0.0),
            Operation::Activate => {
                // The slope of a homogeneous function is the same at every scale.
                let unit = if A::HOMOGENEOUS { T::one() } else { T::of(log_unit.exp()) };
                let activation = self.activation;
                gradient.zip_apply(h, |g, x| {
                    *g *= T::of(activation.derivative((x * unit).into()));
                });
                return Ok(0.0);
            }
        }
        // What was normalised is smaller than the truth, so it answers to change the more.
        Ok(-log_unit)
    }
}
