//! The operations of a recipe, done to representations that are held.

use nalgebra::{DMatrix, DMatrixViewMut};

use super::{Network, Operation};
use crate::scalar::{exp_in_range, times_exp};
use crate::{Result, Scalar};

impl<T: Scalar> Network<T> {
    /// Does an operation to representations in units of exp(`log_unit`): some rows of `H`, or all
    /// of it where the operation is not row-wise, column by column, `pixels` columns a sample.
    pub(crate) fn operate(
        &self,
        operation: Operation,
        (entries, rows): (&mut [T], usize),
        pixels: usize,
        log_unit: f64,
    ) -> Result<()> {
        match operation {
            Operation::Normalize => {
                let columns = entries.len() / rows;
                let mut h = DMatrixViewMut::from_slice(entries, rows, columns);
                self.normalization.in_units(log_unit)?.normalize_mut(&mut h, pixels)
            }
            Operation::Activate => {
                if !self.activation.passes_unit(log_unit) {
                    times_exp(entries, log_unit);
                    self.activation.apply(entries);
                } else {
                    self.activation.in_unit(log_unit).apply(entries);
                }
                Ok(())
            }
        }
    }

    /// The unit of what an operation makes of representations in units of exp(`log_unit`): one,
    /// unless the operation lets the unit pass.
    pub(crate) fn unit_after(&self, operation: Operation, log_unit: f64) -> f64 {
        let passes = match operation {
            Operation::Normalize => self.normalization.passes_scale(),
            Operation::Activate => self.activation.passes_unit(log_unit),
        };
        if passes { log_unit } else { 0.0 }
    }

    /// The logarithm of the factor that [`pull_back`](Self::pull_back) leaves out.
    pub(crate) fn log_factor_of_pullback(&self, operation: Operation, log_unit: f64) -> f64 {
        match operation {
            // What was normalised is smaller than the truth, so the result changes faster.
            Operation::Normalize if !self.normalization.passes_scale() => -log_unit,
            Operation::Normalize | Operation::Activate => 0.0,
        }
    }

    /// Takes the gradient of a loss with respect to what [`operate`](Self::operate) makes of all of
    /// `h`, which is held in units of exp(`log_unit`), in place to its gradient with respect to the
    /// true input. Returns the logarithm of a factor that the result lacks.
    pub(crate) fn pull_back(
        &self,
        operation: Operation,
        (h, pixels, log_unit): (&DMatrix<T>, usize, f64),
        gradient: &mut DMatrix<T>,
    ) -> Result<f64> {
        match operation {
            Operation::Normalize => {
                self.normalization.in_units(log_unit)?.pullback_mut(h, gradient, pixels)?;
            }
            Operation::Activate => {
                // The slope of a homogeneous function is the same at every scale.
                let homogeneous = self.activation.is_homogeneous();
                let log_unit = if homogeneous { 0.0 } else { log_unit };
                let gradient = gradient.as_mut_slice();
                if let Some(unit) = exp_in_range::<T>(log_unit) {
                    self.activation.pull_back(h.as_slice(), unit.into(), gradient)?;
                } else {
                    let mut h = h.clone();
                    times_exp(h.as_mut_slice(), log_unit);
                    self.activation.pull_back(h.as_slice(), 1.0, gradient)?;
                }
            }
        }
        Ok(self.log_factor_of_pullback(operation, log_unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation;
    use nalgebra::dmatrix;

    /// A zero in a unit beyond all floats is a zero; numbers in one below all floats keep theirs.
    #[test]
    fn activations_in_units_beyond_the_range() {
        let network = Network::<f64>::new(2).with_activation(Activation::Tanh);
        let h = dmatrix![0.0, 2.0; -1.0, 1e-310];
        for (log_unit, unit_after, expected, slopes) in [
            (800.0, 0.0, dmatrix![0.0, 1.0; -1.0, 1.0], dmatrix![1.0, 0.0; 0.0, 0.0]),
            (-800.0, -800.0, h.clone(), dmatrix![1.0, 1.0; 1.0, 1.0]),
        ] {
            let mut values = h.clone();
            network.operate(Operation::Activate, (values.as_mut_slice(), 2), 1, log_unit).unwrap();
            assert!((values - expected).amax() < 1e-15);
            assert_eq!(network.unit_after(Operation::Activate, log_unit), unit_after);
            let mut gradient = dmatrix![1.0, 1.0; 1.0, 1.0];
            network.pull_back(Operation::Activate, (&h, 1, log_unit), &mut gradient).unwrap();
            assert_eq!(gradient, slopes);
        }
    }
}
