//! The passes of one group of features, laid out as a column.

use fearless_simd::Level;

use crate::Scalar;
use crate::kernel::column_passes::{ColumnMap, ColumnSums};
use crate::normalization::batch_norm::BatchNorm;
use crate::statistics::SplitMean;

/// Squares of norms in this range, and everything made of them, neither over- nor underflow.
const SAFE: std::ops::RangeInclusive<f64> = 1e-240..=1e240;
/// How large a share of its squares may be due to an error of the mean.
const CORRECTED: f64 = 1.0 / 1024.0;

/// Normalises numbers; returns false and leaves them unless they are in the safe range.
pub(in crate::normalization) fn normalize_column<T: Scalar>(
    level: Level,
    operator: &BatchNorm,
    numbers: &mut [T],
) -> bool {
    let rule = operator.rule(numbers.len());
    let Some((mean, squares)) = statistics(level, rule.is_centered, numbers) else {
        return false;
    };
    let square = squares / rule.share + rule.epsilon;
    if !(SAFE.contains(&squares) && SAFE.contains(&square)) {
        return false;
    }
    let divisor = square.sqrt();
    let scale = 1.0 / divisor;
    let scale_low = (-scale).mul_add(divisor, 1.0) / divisor;
    let SplitMean { high, low } = mean;
    T::map_column(level, numbers, ColumnMap { high, low, scale, scale_low });
    true
}

/// Pulls a gradient at `h` back; returns false and leaves it unless both are in the safe range.
pub(in crate::normalization) fn pull_back_column<T: Scalar>(
    level: Level,
    operator: &BatchNorm,
    h: &[T],
    gradient: &mut [T],
) -> bool {
    let rule = operator.rule(h.len());
    let [Some((mean, squares)), Some((pull_mean, pulls))] =
        [h, &*gradient].map(|numbers| statistics(level, rule.is_centered, numbers))
    else {
        return false;
    };
    let square = squares / rule.share + rule.epsilon;
    // Squares of widened numbers do not underflow: without any, all numbers are zero.
    let is_zero = pulls == 0.0 && T::EPSILON > f64::EPSILON;
    if !(SAFE.contains(&squares) && SAFE.contains(&square) && (is_zero || SAFE.contains(&pulls))) {
        return false;
    }
    let divisor = square.sqrt();
    // By Cauchy and Schwarz, what is subtracted is no longer than the gradient.
    if 2.0 * pulls.sqrt() / divisor > T::LARGEST / 4.0 {
        return false;
    }
    let means = [mean, pull_mean].map(|SplitMean { high, low }| [high, low]);
    let along = T::sum_products(level, [h, gradient], means) / square / rule.share;
    T::pull_back_column(level, h, gradient, means, along, 1.0 / divisor);
    true
}

/// The mean that is subtracted, the sum of squares about it, or none if the mean
/// is not certain.
fn statistics<T: Scalar>(
    level: Level,
    is_centered: bool,
    numbers: &[T],
) -> Option<(SplitMean, f64)> {
    if !is_centered {
        let ColumnSums { squares, .. } = T::sum_deviations(level, numbers, 0.0, 0.0);
        return Some((SplitMean::default(), squares));
    }
    let (len, first) = (numbers.len() as f64, numbers[0].into());
    let mean = SplitMean { high: first, low: 0.0 };
    let mean = mean.shifted(T::sum_differences(level, numbers, first) / len);
    let sums = T::sum_deviations(level, numbers, mean.high, mean.low);
    let by = sums.sum / len;
    let excess = by * sums.sum;
    let is_small = excess <= sums.squares * CORRECTED;
    is_small.then(|| (mean.shifted(by), sums.squares - excess))
}
