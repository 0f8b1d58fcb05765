//! The operations of a recipe, done to representations that are held.

use nalgebra::DMatrixViewMut;

use super::{Network, Operation};
use crate::activation::Activation;
use crate::kernel::activation::apply;
use crate::normalization::Normalization;
use crate::weights::WeightInit;
use crate::{Result, Scalar};

impl<T: Scalar, A: Activation, W: WeightInit> Network<T, A, W> {
    /// Does an operation to representations in units of exp(`log_unit`): some rows of `H`, or all
    /// of it where the operation is not row-wise, column by column, `pixels` columns a sample.
    pub(crate) fn operate(
        &self,
        operation: Operation,
        (entries, rows): (&mut [T], usize),
        pixels: usize,
        log_unit: f64,
    ) -> Result<()> {
        let columns = entries.len() / rows;
        let mut h = DMatrixViewMut::from_slice(entries, rows, columns);
        match operation {
            Operation::Normalize => match self.normalization_in_units(log_unit)? {
                Normalization::None => Ok(()),
                Normalization::BatchNorm(norm) => norm.normalize_rows(&mut h),
                Normalization::SampleNorm(norm) => norm.normalize_images(&mut h, pixels),
            },
            Operation::Activate => {
                if self.unit_after(operation, log_unit) != log_unit {
                    h *= T::of(log_unit.exp());
                }
                if !A::LINEAR {
                    apply(self.activation, entries);
                }
                Ok(())
            }
        }
    }

    /// The normalisation of what is held in units of exp(`log_unit`): it is smaller than the truth,
    /// so epsilon is, too.
    pub(super) fn normalization_in_units(&self, log_unit: f64) -> Result<Normalization> {
        let scale = (-2.0 * log_unit).exp();
        let held = |epsilon: f64| if epsilon == 0.0 { 0.0 } else { epsilon * scale };
        Ok(match self.normalization {
            Normalization::None => Normalization::None,
            Normalization::BatchNorm(norm) => norm.with_epsilon(held(norm.epsilon()))?.into(),
            Normalization::SampleNorm(norm) => norm.with_epsilon(held(norm.epsilon()))?.into(),
        })
    }

    /// The unit of what an operation makes of representations in units of exp(`log_unit`): one,
    /// unless the operation lets a scale pass.
    pub(crate) fn unit_after(&self, operation: Operation, log_unit: f64) -> f64 {
        let passes = match operation {
            Operation::Normalize => !self.is_normalized(),
            Operation::Activate => A::LINEAR || A::HOMOGENEOUS,
        };
        if passes { log_unit } else { 0.0 }
    }
}
