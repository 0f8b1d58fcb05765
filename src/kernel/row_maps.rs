//! From the sums of rows to the affine maps that normalise them, sixteen rows at a time.

use core::ops::RangeInclusive;

use crate::kernel::wide::{Wide, load, shift};
use fearless_simd::{Level, Simd, dispatch, f64x8, mask64x8, prelude::*};

/// Squares of norms in this range, and everything made of them, neither over- nor underflow.
const SAFE: RangeInclusive<f64> = 1e-240..=1e240;
/// Factors that, times a number in range, underflow only where the result does.
const SAFE_SCALE: RangeInclusive<f64> = 1e-250..=1e250;
/// How large a share of its squares may be due to an error of the mean.
const CORRECTED: f64 = 1.0 / 1024.0;

/// Sums over the entries of sixteen rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Moments {
    /// What is subtracted from entries is `high + low`.
    pub high: Wide,
    /// The lower part of it.
    pub low: Wide,
    /// The sum of deviations.
    pub sum: Wide,
    /// The sum of their squares.
    pub squares: Wide,
    /// The sum of their products with those of other rows.
    pub products: Wide,
}

/// The maps `(x - high - low) (scale + scale_low) + offset` of the entries x of sixteen rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Map {
    /// What is subtracted is `high + low`.
    pub high: Wide,
    /// The lower part of it.
    pub low: Wide,
    /// The factor, rounded.
    pub scale: Wide,
    /// The rest of the factor: with it results are rounded once.
    pub scale_low: Wide,
    /// What is added.
    pub offset: Wide,
    /// 0, or NaN for rows that are not to be trusted.
    pub check: Wide,
}

impl Map {
    /// Returns whether the map of a lane is within the range that the passes are made for.
    pub fn is_trusted(&self, lane: usize) -> bool {
        self.check[lane / 8][lane % 8] == 0.0
    }

    /// Returns whether all lanes are.
    pub fn are_trusted(&self) -> bool {
        self.check.as_flattened().iter().sum::<f64>() == 0.0
    }
}

/// How rows are divided, and which of them are left to the caller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Whether means are subtracted.
    pub is_centered: bool,
    /// Entries of a row.
    pub len: f64,
    /// The squared norm of normalised rows: a row y is divided by sqrt(|y|²/share + epsilon).
    pub share: f64,
    /// What is added to squares.
    pub epsilon: f64,
    /// Rows with results that may be larger are not trusted.
    pub largest: f64,
    /// Rows with larger unbiased variances are not trusted.
    pub largest_variance: f64,
}

/// Scales and offsets of sixteen rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// The factors of normalised entries.
    pub gamma: Wide,
    /// What is added to them.
    pub beta: Wide,
}

impl Affine {
    /// Leaves normalised entries as they are.
    pub const IDENTITY: Self = Self { gamma: [[1.0; 8]; 2], beta: [[0.0; 8]; 2] };
}

/// Turns sums of differences into means.
pub fn finish_means(level: Level, len: f64, rows: &mut [Moments]) {
    // What rounding makes of it is corrected with the sum of deviations from it.
    let share = 1.0 / len;
    dispatch!(level, simd => for row in rows {
        let (high, low, sum) = (load(simd, &row.high), load(simd, &row.low), load(simd, &row.sum));
        for half in 0..2 {
            let (high, low) = shift(high[half], low[half], sum[half] * share);
            high.store_array(&mut row.high[half]);
            low.store_array(&mut row.low[half]);
        }
        row.sum = Wide::default();
    });
}

/// Corrects the means of a half by the sums of deviations from them, and the squares with them.
///
/// Returns the correction and whether it is small beside the squares; that of NaN is not.
#[inline(always)]
fn correct<S: Simd>(simd: S, len: f64, half: usize, row: &mut Moments) -> (f64x8<S>, mask64x8<S>) {
    let [high, low, sum, squares] = [&row.high, &row.low, &row.sum, &row.squares]
        .map(|statistic| f64x8::load_array_ref(simd, &statistic[half]));
    let by = sum * (1.0 / len);
    let excess = by * sum;
    let (high, low) = shift(high, low, by);
    high.store_array(&mut row.high[half]);
    low.store_array(&mut row.low[half]);
    (squares - excess).store_array(&mut row.squares[half]);
    (by, excess.simd_le(squares * CORRECTED))
}

#[inline(always)]
fn is_in<S: Simd>(x: f64x8<S>, range: &RangeInclusive<f64>) -> mask64x8<S> {
    x.simd_ge(*range.start()) & x.simd_le(*range.end())
}

/// Writes the scale gamma / divisor, what rounding takes from it, and the check.
#[inline(always)]
fn write_scale<S: Simd>(
    simd: S,
    half: usize,
    [gamma, divisor]: [f64x8<S>; 2],
    is_safe: mask64x8<S>,
    map: &mut Map,
) {
    let inverse = f64x8::splat(simd, 1.0) / divisor;
    let scale = gamma * inverse;
    let rest = (-scale).mul_add(divisor, gamma) * inverse;
    scale.store_array(&mut map.scale[half]);
    rest.store_array(&mut map.scale_low[half]);
    let is_safe = is_safe & (gamma.simd_eq(0.0) | is_in(scale.abs(), &SAFE_SCALE));
    let check = is_safe.select(f64x8::splat(simd, 0.0), f64x8::splat(simd, f64::NAN));
    check.store_array(&mut map.check[half]);
}

/// Turns sums of deviations and their squares into corrected means, squares about them, and maps.
pub fn finish_maps(
    level: Level,
    rule: Rule,
    affine: impl Fn(usize) -> Affine,
    rows: &mut [Moments],
    maps: &mut [Map],
) {
    let Rule { is_centered, len, share, epsilon, largest, largest_variance } = rule;
    dispatch!(level, simd => for (group, (row, map)) in rows.iter_mut().zip(maps).enumerate() {
        let Affine { gamma, beta } = affine(group);
        for half in 0..2 {
            let mut is_safe = f64x8::splat(simd, 0.0).simd_eq(0.0);
            if is_centered {
                is_safe = correct(simd, len, half, row).1;
            }
            let squares = f64x8::load_array_ref(simd, &row.squares[half]);
            let gamma = f64x8::load_array_ref(simd, &gamma[half]);
            let offset = f64x8::load_array_ref(simd, &beta[half]);
            let square = squares / share + epsilon;
            let bound = gamma.abs() * share.sqrt() + offset.abs();
            is_safe = is_safe
                & is_in(squares, &SAFE)
                & is_in(square, &SAFE)
                & bound.simd_le(largest)
                & squares.simd_le(largest_variance * (len - 1.0));
            write_scale(simd, half, [gamma, square.sqrt()], is_safe, map);
            offset.store_array(&mut map.offset[half]);
        }
        (map.high, map.low) = (row.high, row.low);
    });
}

/// Makes the maps of rows with these means and variances, of which `epsilon` is added to the latter.
pub fn running_maps(
    level: Level,
    epsilon: f64,
    statistics: impl Fn(usize) -> [Wide; 2],
    affine: impl Fn(usize) -> Affine,
    maps: &mut [Map],
) {
    dispatch!(level, simd => for (group, map) in maps.iter_mut().enumerate() {
        let ([mean, variance], Affine { gamma, beta }) = (statistics(group), affine(group));
        for half in 0..2 {
            let square = f64x8::load_array_ref(simd, &variance[half]) + epsilon;
            let gamma = f64x8::load_array_ref(simd, &gamma[half]);
            write_scale(simd, half, [gamma, square.sqrt()], is_in(square, &SAFE), map);
        }
        (map.high, map.low, map.offset) = (mean, Wide::default(), beta);
    });
}

/// Turns the sums of rows and of their gradients into the maps that pull gradients back, with the
/// share of a row that is taken from its gradient as their offset.
///
/// `zeros_are_exact` says that squares do not underflow: what has none is zero.
pub fn finish_pullback(
    level: Level,
    rule: Rule,
    zeros_are_exact: bool,
    rows: &mut [Moments],
    gradients: &mut [Moments],
    maps: &mut [Map],
) {
    let Rule { is_centered, len, share, epsilon, largest, .. } = rule;
    dispatch!(level, simd => {
        for ((row, gradient), map) in rows.iter_mut().zip(gradients).zip(maps) {
            for half in 0..2 {
                let mut is_safe = f64x8::splat(simd, 0.0).simd_eq(0.0);
                let mut products = f64x8::load_array_ref(simd, &gradient.products[half]);
                if is_centered {
                    let (by, is_corrected) = correct(simd, len, half, row);
                    let (of_gradient, is_corrected_too) = correct(simd, len, half, gradient);
                    products -= by * of_gradient * len;
                    is_safe = is_corrected & is_corrected_too;
                }
                let squares = f64x8::load_array_ref(simd, &row.squares[half]);
                let pulls = f64x8::load_array_ref(simd, &gradient.squares[half]);
                let mut is_in_range = is_in(pulls, &SAFE);
                if zeros_are_exact {
                    is_in_range |= pulls.simd_eq(0.0);
                }
                let square = squares / share + epsilon;
                let divisor = square.sqrt();
                // By Cauchy and Schwarz, what is subtracted is no longer than the gradient.
                let bound = pulls.sqrt() * 2.0 / divisor;
                is_safe = is_safe
                    & is_in_range
                    & is_in(squares, &SAFE)
                    & is_in(square, &SAFE)
                    & bound.simd_le(largest);
                let along = products / square / share;
                write_scale(simd, half, [f64x8::splat(simd, 1.0), divisor], is_safe, map);
                along.store_array(&mut map.offset[half]);
            }
        }
    });
}
