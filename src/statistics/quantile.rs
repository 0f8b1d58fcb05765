//! Quantiles of sorted numbers, and their confidence intervals.

use std::iter::successors;

use super::Interval;

/// Returns the `p`-quantile of ascending numbers, linear between neighbours (type 7 of Hyndman and
/// Fan, the default of NumPy and R).
///
/// `None` for an empty slice, for `p` outside 0 to 1, and if the result is not defined: between -∞
/// and ∞, or beside NaN.
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
    let share = position.fract();
    let between = match high - low {
        _ if low == high => low,
        difference if difference.is_finite() => low + difference * share,
        _ => (1.0 - share) * low + share * high,
    };
    (!between.is_nan()).then_some(between)
}

/// Returns an interval that contains the true `p`-quantile with probability at least `level`. Its
/// ends are two order statistics, as few ranks apart as the binomial law allows.
///
/// For N independent numbers of a continuous law the number of them below the quantile is binomial,
/// so the interval from rank l to rank u contains it with probability
/// $`\sum_{k=l}^{u-1} \binom{N}{k} p^k (1 - p)^{N-k}`$. Since ranks are whole, that exceeds the level
/// by up to one term. Of two equally likely intervals the lower one is returned.
///
/// `None` for `p` or a level outside (0, 1), and where the interval would need ranks beyond the
/// sample. Cost: $`O(\sqrt N)`$.
///
/// ```
/// use orthogap::statistics::quantile_interval;
///
/// let ascending: Vec<f64> = (1..=100).map(f64::from).collect();
/// let median = quantile_interval(&ascending, 0.5, 0.95).expect("enough numbers");
/// assert_eq!((median.low, median.high), (40.0, 60.0)); // with probability .954
/// assert_eq!(quantile_interval(&ascending, 0.999, 0.95), None);
/// ```
#[must_use]
pub fn quantile_interval(ascending: &[f64], p: f64, level: f64) -> Option<Interval> {
    let in_range = |x: f64| x > 0.0 && x < 1.0;
    if !(in_range(p) && in_range(level)) {
        return None;
    }
    let [low, high] = narrowest_ranks(ascending.len(), p, level)?;
    Some(Interval { low: ascending[low - 1], high: ascending[high - 1] })
}

/// Returns ranks, counted from one, with the fewest outcomes between them that together have a
/// probability of `level`: those of a binomial variable from the lower rank to one below the higher.
fn narrowest_ranks(count: usize, p: f64, level: f64) -> Option<[usize; 2]> {
    let (n, odds) = (count as f64, p / (1.0 - p));
    let mode = ((n + 1.0) * p).min(n) as usize;
    // Probabilities relative to the mode's.
    let below = successors(Some((mode, 1.0)), |&(k, term)| {
        (k > 0).then(|| (k - 1, term * k as f64 / (n - (k - 1) as f64) / odds))
    });
    let above = successors(Some((mode, 1.0)), |&(k, term)| {
        (k < count).then(|| (k + 1, term * (n - k as f64) / (k + 1) as f64 * odds))
    });
    let counts = |&(_, term): &(usize, f64)| term > 1e-20;
    let mut outcomes: Vec<_> =
        below.take_while(counts).chain(above.take_while(counts).skip(1)).collect();
    let wanted = level * outcomes.iter().map(|outcome| outcome.1).sum::<f64>();
    // On either side of the mode probabilities fall, so the likeliest outcomes are consecutive.
    outcomes.retain(|outcome| (1..count).contains(&outcome.0));
    outcomes.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let (mut covered, mut low, mut high) = (0.0, count, 0);
    for (outcome, term) in outcomes {
        (low, high) = (low.min(outcome), high.max(outcome + 1));
        covered += term;
        if covered >= wanted {
            return Some([low, high]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn impossible_quantiles_are_none() {
        assert_eq!(quantile(&[1.0, 2.0], f64::NAN), None);
        assert_eq!(quantile(&[f64::NAN; 2], 0.5), None);
        assert_eq!(quantile(&[f64::NEG_INFINITY, f64::INFINITY], 0.5), None);
        assert_eq!(quantile_interval(&[], 0.5, 0.95), None);
        assert_eq!(quantile_interval(&[1.0], 0.5, 0.1), None);
        assert_eq!(quantile_interval(&[1.0, 2.0], f64::NAN, 0.95), None);
        assert_eq!(quantile_interval(&[1.0, 2.0], 0.5, f64::NAN), None);
        let many = [0.0; 100];
        assert!(quantile_interval(&many, 0.5, 0.9).is_some());
        for outside in [-0.5, 0.0, 1.0, 1.5] {
            assert_eq!(quantile_interval(&many, 0.5, outside), None);
            assert_eq!(quantile_interval(&many, outside, 0.9), None);
        }
    }

    /// The median of twenty numbers lies between the 6th and the 15th with probability 0.9586.
    #[test]
    fn ends_are_numbers_of_the_sample() {
        let ascending: Vec<f64> = (1..=20).map(f64::from).collect();
        let interval = quantile_interval(&ascending, 0.5, 0.95);
        assert_eq!(interval, Some(Interval { low: 6.0, high: 15.0 }));
    }

    #[test]
    fn quantiles_of_the_largest_numbers() {
        let (inf, most) = (f64::INFINITY, f64::MAX);
        for (ascending, p, expected) in [
            (&[1.0, 2.0, inf, inf][..], 1.0, inf),
            (&[1.0, 2.0, inf, inf], 0.5, inf),
            (&[1.0, 2.0, inf, inf], 0.25, 1.75),
            (&[-inf, 1.0], 0.5, -inf),
            (&[-inf, 1.0], 1.0, 1.0),
            (&[-inf, inf], 1.0, inf),
            (&[-1.7e308, 1.7e308], 0.5, 0.0),
            (&[-most, most], 0.5, 0.0),
            (&[most, most], 0.3, most),
        ] {
            assert_eq!(quantile(ascending, p), Some(expected), "{ascending:?} {p}");
        }
    }

    /// The probability of ranks, from terms that are computed each on its own.
    fn probability(n: usize, p: f64, [low, high]: [usize; 2]) -> f64 {
        let term = |k: usize| {
            let log = |k: usize| (1..=k).map(|i| (i as f64).ln()).sum::<f64>();
            let choose = log(n) - log(k) - log(n - k);
            (choose + k as f64 * p.ln() + (n - k) as f64 * (-p).ln_1p()).exp()
        };
        (low..high).map(term).sum()
    }

    proptest! {
        /// Against all pairs of ranks.
        #[test]
        fn no_ranks_are_nearer(n in 1usize..25, p in 0.001..0.999, level in 0.001..0.999) {
            let pairs = (1..n).flat_map(|low| (low + 1..=n).map(move |high| [low, high]));
            let enough = pairs.filter(|&ranks| probability(n, p, ranks) >= level);
            let length = |[low, high]: [usize; 2]| high - low;
            let found = narrowest_ranks(n, p, level);
            prop_assert_eq!(found.map(length), enough.map(length).min());
            let found = found.map_or(1.0, |ranks| probability(n, p, ranks));
            prop_assert!(found >= level * (1.0 - 1e-12), "{}", found);
        }
    }

    /// Probabilities of the binomial law beyond those that are summed above: for a trillion numbers
    /// the normal law's, 1.959964 deviations of 500,000 on each side of the middle.
    #[test]
    fn ranks_of_many_numbers() {
        let [low, high] = narrowest_ranks(1_000_000_000_000, 0.5, 0.95).unwrap();
        assert!(
            (high - low).abs_diff(1_959_964) < 3 && (high + low).abs_diff(1_000_000_000_000) < 3
        );
        assert_eq!(narrowest_ranks(1000, 1e-300, 0.5), None);
    }
}
