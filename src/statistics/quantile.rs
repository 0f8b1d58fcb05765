//! Quantiles of numbers in order, and how far to trust them.

use super::Interval;
use super::student::normal_quantile;

/// The `p`-quantile of ascending numbers, linear between neighbours (type 7 of Hyndman and Fan,
/// the default of NumPy and R); none of no numbers or for `p` outside 0 to 1.
///
/// ```
/// use orthogap::statistics::quantile;
///
/// assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
/// assert_eq!(quantile(&[], 0.5), None);
/// ```
#[must_use]
pub fn quantile(ascending: &[f64], p: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&p) {
        return None;
    }
    let position = p * ascending.len().checked_sub(1)? as f64;
    let low = ascending[position.floor() as usize];
    let high = ascending[position.ceil() as usize];
    Some(low + (high - low) * position.fract())
}

/// The interval that holds the true `p`-quantile with probability `level` or so: that of order
/// statistics whose ranks the binomial law allows, in its normal approximation; none of no numbers,
/// for `p` or a level outside (0, 1), and where the interval would need ranks beyond the sample.
///
/// ```
/// use orthogap::statistics::quantile_interval;
///
/// let ascending: Vec<f64> = (1..=100).map(f64::from).collect();
/// let median = quantile_interval(&ascending, 0.5, 0.95).expect("enough numbers");
/// assert_eq!((median.low, median.high), (40.0, 61.0)); // the textbook's ranks of 100 numbers
/// assert_eq!(quantile_interval(&ascending, 0.999, 0.95), None);
/// ```
#[must_use]
pub fn quantile_interval(ascending: &[f64], p: f64, level: f64) -> Option<Interval> {
    if !(p > 0.0 && p < 1.0) {
        return None;
    }
    let n = ascending.len() as f64;
    let half = normal_quantile(level)? * (n * p * (1.0 - p)).sqrt();
    // Ranks are counted from one.
    let low = (n * p - half).floor();
    let high = (n * p + half).ceil() + 1.0;
    if !(low >= 1.0 && high <= n) {
        return None;
    }
    Some(Interval { low: ascending[low as usize - 1], high: ascending[high as usize - 1] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn impossible_quantiles_are_none() {
        assert_eq!(quantile(&[1.0, 2.0], f64::NAN), None);
        assert_eq!(quantile_interval(&[], 0.5, 0.95), None);
        assert_eq!(quantile_interval(&[1.0, 2.0], f64::NAN, 0.95), None);
    }

    /// Of 1000 samples of 200 uniform numbers, seed 1: the binomial probability of the ranks
    /// used is .961 (median) and .957 (p = 0.1); 4 standard errors of a count of 1000 are .026.
    #[test]
    fn intervals_cover() {
        let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(1);
        for p in [0.5, 0.1] {
            let mut covered = 0;
            for _ in 0..1000 {
                let mut sample: Vec<f64> = (0..200).map(|_| rng.random()).collect();
                sample.sort_by(f64::total_cmp);
                let interval = quantile_interval(&sample, p, 0.95).unwrap();
                covered += usize::from(interval.contains(p));
            }
            assert!((930..=986).contains(&covered), "{p}: {covered}");
        }
    }
}
