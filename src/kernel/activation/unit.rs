//! Activations of numbers that are held in a unit.

use std::borrow::Cow;

use super::Activation;

/// The logarithm of a scale up to which `f32` holds squares, and their inverses, with all digits.
pub(crate) const FAR: f64 = 35.0;

/// The logarithm of the smallest unit in which functions are evaluated; below, F(u x)/u has its
/// limit to more digits than there are, if it has one.
const SMALLEST_UNIT: f64 = -600.0;

fn unit_in_range(log_unit: f64) -> f64 {
    log_unit.max(SMALLEST_UNIT).exp()
}

impl Activation {
    /// Whether F of numbers in units of exp(`log_unit`) is held in the same unit: if F is
    /// homogeneous, or the unit far below one and F(0) = 0, since squares of the values would leave
    /// the range of `f32`. Not if F leaves the range of `f64` itself, as |x|² can.
    pub(crate) fn passes_unit(&self, log_unit: f64) -> bool {
        if self.is_homogeneous() {
            return true;
        }
        if log_unit >= -FAR || self.value(0.0) != 0.0 {
            return false;
        }
        let size = |unit: f64| self.value(unit).abs().max(self.value(-unit).abs());
        let (unit, larger) = (unit_in_range(log_unit), (SMALLEST_UNIT + 10.0).exp());
        let slope = |unit: f64| size(unit) / unit;
        let proportional = || (slope(unit) / slope(larger) - 1.0).abs() < 1e-9;
        size(unit) >= 1e-290 && (log_unit >= SMALLEST_UNIT || proportional())
    }

    /// F in a unit that it [passes](Self::passes_unit), u = exp(`log_unit`): the function F(u x)/u.
    pub(crate) fn in_unit(&self, log_unit: f64) -> Cow<'_, Self> {
        if self.is_homogeneous() {
            return Cow::Borrowed(self);
        }
        let unit = unit_in_range(log_unit);
        Cow::Owned(self.after(unit, unit.recip()))
    }

    /// The function F(u x) c.
    pub(crate) fn after(&self, unit: f64, factor: f64) -> Self {
        let this = self.clone();
        Self::custom(self.to_string(), move |x| this.value(unit * x) * factor)
    }
}
