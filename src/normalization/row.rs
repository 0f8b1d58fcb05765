//! Statistics of one row (a neuron over the batch) and the affine map that normalises it.

pub(super) mod blocks;
pub(super) mod column;
pub(super) mod entries;
pub(super) mod forward;
pub(super) mod pass;
pub(super) mod pullback;
pub(super) mod scratch;
#[cfg(test)]
pub(super) mod tests;

use self::entries::Entries;
use crate::scalar::exponent;
use crate::statistics::SplitMean;
use crate::{Error, Result, Scalar};

/// The affine map that normalises the entries of one row, multiplied by `unit` first.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowMap {
    pub(super) unit: f64,
    pub(super) mean: SplitMean,
    pub(super) divisor: f64,
}

impl RowMap {
    pub(super) fn apply(&self, value: f64) -> f64 {
        self.mean.deviation(value * self.unit) / self.divisor
    }

    /// The normalised entry times `gamma` plus `beta`, right wherever it is representable.
    pub(super) fn affine(&self, value: f64, gamma: f64, beta: f64) -> f64 {
        let deviation = self.mean.deviation(value * self.unit);
        if !deviation.is_finite() {
            let Self { unit, mean: SplitMean { high, low }, divisor } = *self;
            let mean = SplitMean { high: 0.5 * high, low: 0.5 * low };
            let half = Self { unit: 0.5 * unit, mean, divisor: 0.5 * divisor };
            return half.affine(value, gamma, beta);
        }
        let normalized = deviation / self.divisor;
        let result = gamma * normalized + beta;
        if result.is_finite() && (normalized.is_normal() || deviation == 0.0) {
            return result;
        }
        // An intermediate result left the range, so powers of two are multiplied last.
        let split = |x: f64| (x * 2f64.powi(-exponent(x)), exponent(x));
        let ((gamma, up), (deviation, more), (divisor, down)) =
            (split(gamma), split(deviation), split(self.divisor));
        let (product, power) = (gamma * (deviation / divisor), up + more - down);
        if power > 1000 {
            4.0 * (times_power_of_two(product, power - 2) + beta / 4.0)
        } else {
            times_power_of_two(product, power) + beta
        }
    }
}

/// `x` times 2 to the `power`, which need not be a float itself.
fn times_power_of_two(x: f64, power: i32) -> f64 {
    let power = power.clamp(-2000, 2000);
    x * 2f64.powi(power / 2) * 2f64.powi(power - power / 2)
}

/// Statistics of one row, in `f64`.
pub(super) struct Row {
    pub(super) first: f64,
    pub(super) len: usize,
    /// The entries are multiplied by this power of two before the sums below are taken: 1 unless
    /// their squares could over- or underflow.
    pub(super) unit: f64,
    pub(super) mean: SplitMean,
    pub(super) squares: f64,
    /// Exactly zero for a constant row.
    pub(super) squares_about_mean: f64,
}

impl Row {
    /// Reads row `row` of a matrix that has columns.
    pub(super) fn of<T: Scalar>(h: &impl Entries<T>, row: usize) -> Result<Self> {
        let entry = |column: usize| -> f64 { h.get(row, column).into() };
        let len = h.shape().1;
        let mut largest = 0.0f64;
        for column in 0..len {
            let value = entry(column);
            if !value.is_finite() {
                return Err(Error::NotFinite { row, column, value });
            }
            largest = largest.max(value.abs());
        }
        let first = entry(0);
        let magnitude = exponent(largest);
        let unit = if magnitude.abs() > 400 { 2f64.powi(-magnitude) } else { 1.0 };
        let entry = |column: usize| entry(column) * unit;
        let mean = SplitMean::of((0..len).map(entry));
        let (mut squares, mut squares_about_mean) = (0.0, 0.0);
        for column in 0..len {
            squares += entry(column).powi(2);
            squares_about_mean += mean.deviation(entry(column)).powi(2);
        }
        Ok(Self { first, len, unit, mean, squares, squares_about_mean })
    }

    /// The mean of the entries.
    pub(super) fn mean(&self) -> f64 {
        self.mean.high / self.unit
    }

    /// The unbiased variance of the entries.
    pub(super) fn unbiased_variance(&self) -> f64 {
        self.squares_about_mean / (self.len - 1) as f64 / self.unit / self.unit
    }
}
