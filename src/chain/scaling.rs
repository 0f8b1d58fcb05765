//! The units of a streamed layer: what goes into the rows, the normalisation and the activation.

use std::borrow::Cow;

use crate::activation::Activation;
use crate::kernel::activation::FAR;
use crate::normalization::BatchNorm;

/// About exp(2 FAR).
const FAR_SQUARED: f64 = 2.6e30;

/// What makes the rows of a layer of rows that are drawn with a factor of norm one.
pub(super) struct Scaling<'a> {
    /// Those of a [`RowScale`](crate::kernel::row_scale::RowScale).
    pub weight: f64,
    pub epsilon: f64,
    /// What the rows are multiplied by before the activation.
    pub unit: f64,
    pub activation: Cow<'a, Activation>,
    /// The logarithm of what they are multiplied by after it, over that of root mean square one.
    pub log_outside: f64,
}

impl<'a> Scaling<'a> {
    /// For pre-activations whose root mean square is exp(`pre_scale`) before they are normalised, of
    /// a type with numbers up to `largest`; none if a scale leaves the range of `f64`.
    #[inline]
    pub(super) fn new(
        batch_norm: Option<BatchNorm>,
        activation: &'a Activation,
        (n, pre_scale): (usize, f64),
        largest: f64,
    ) -> Option<Self> {
        let log_order = 0.5 * (n as f64).ln();
        let plain = Self {
            weight: 0.0,
            epsilon: 1.0,
            unit: 1.0,
            activation: Cow::Borrowed(activation),
            log_outside: -log_order,
        };
        if let Some(batch_norm) = batch_norm {
            let unit = n as f64 * (2.0 * pre_scale).exp();
            let (weight, epsilon) = batch_norm.squared_factor(n, unit);
            return plain.with_row_scale(activation, weight, epsilon);
        }
        // A unit stays outside where F lets it pass, else it goes inside: into the factor, or, if
        // squares of rows would overflow, into F.
        let log_unit = log_order + pre_scale;
        if activation.passes_unit(log_unit) {
            let activation = activation.in_unit(log_unit);
            return Some(Self { activation, log_outside: pre_scale, ..plain });
        }
        let unit = (n as f64).sqrt() * pre_scale.exp();
        if !unit.is_finite() || (log_unit < -FAR && activation.value(0.0) == 0.0) {
            return None;
        }
        Some(if unit < largest.sqrt() * (-FAR / 2.0).exp() {
            Self { unit, ..plain }
        } else {
            Self { activation: Cow::Owned(activation.after(unit, 1.0)), ..plain }
        })
    }

    /// Of rows that are normalised.
    #[inline]
    fn with_row_scale(self, activation: &'a Activation, weight: f64, epsilon: f64) -> Option<Self> {
        if !epsilon.is_finite() {
            return None;
        }
        // Rows so small that epsilon alone divides them, perhaps beyond the range of `f32`.
        if epsilon > FAR_SQUARED {
            let log_unit = -0.5 * epsilon.ln();
            if activation.passes_unit(log_unit) {
                let activation = activation.in_unit(log_unit);
                let (weight, log_outside) = (weight / epsilon, log_unit + self.log_outside);
                return Some(Self { weight, activation, log_outside, ..self });
            }
        }
        Some(Self { weight, epsilon, ..self })
    }
}
