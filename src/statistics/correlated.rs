//! Means of correlated numbers, such as a quantity over the layers of one run.

use super::Moments;
use super::mean::SplitMean;
use crate::approximate::approximate;
use crate::serialization::deserialize_checked;
use crate::{Error, Result};

/// The most lags that are summed before neighbours are averaged.
const MOST_LAGS: usize = 512;

/// The mean of a stationary series with the standard error that its correlation leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CorrelatedMean {
    /// The mean.
    pub mean: f64,
    /// Its standard error: that of `autocorrelation_time` times fewer independent numbers.
    pub standard_error: f64,
    /// $`\tau = 1 + 2 \sum_k \rho_k`$: so many numbers of the series are worth an independent one.
    pub autocorrelation_time: f64,
}

approximate!(CorrelatedMean, mean => vec![mean.mean, mean.standard_error, mean.autocorrelation_time]);

/// Returns the mean of a stationary series with the standard error that its correlation leaves.
///
/// Uses Geyer's initial monotone sequence (*Practical Markov chain Monte Carlo*, 1992):
/// correlations are summed in pairs of lags as long as the pairs are positive, and no pair counts
/// more than the one before. The sum over M lags has a noise of about $`\sqrt{2 (2M + 1)/n}`$ of
/// the variance. If negative correlations cancel it down to four times the noise, neighbours are
/// averaged until they are no longer negatively correlated, and the means are summed in the same
/// way. The result is at least the noise. Neighbours are also averaged if the correlation reaches
/// beyond 512 lags.
///
/// The error is reliable if the series is about 50 times as long as its autocorrelation time, and
/// either reversible or negatively correlated. It is a fifth too large for 1000 numbers whose
/// neighbours have a correlation of -0.9. It is up to four times too large if positive correlations
/// are followed by negative ones (a damped oscillation), and for differences of neighbours in
/// another series, whose sum does not grow. [`BatchMeans`] is an independent check.
///
/// `None` below four numbers, and if a number, or the sum of the squares of deviations, is not finite.
/// Cost: as many passes over the series as its correlation is long, at most about 1000.
///
/// ```
/// use orthogap::statistics::correlated_mean;
/// use orthogap::{Input, Network, Seed, theory::stationary};
///
/// let chain = Network::<f64>::new(256).chain(&Input::orthogonal(4)?, Seed(7))?;
/// let gaps = chain.skip(50).take(4000).map(|layer| Ok(layer?.orthogonality_gap()));
/// let gaps = gaps.collect::<Result<Vec<_>, orthogap::Error>>()?;
/// let mean = correlated_mean(&gaps).expect("enough layers");
/// assert!((mean.mean - stationary::mean_gap(4, 256)).abs() < 4.0 * mean.standard_error);
/// assert!(mean.autocorrelation_time > 1.5); // layers are correlated
/// # Ok::<(), orthogap::Error>(())
/// ```
#[must_use]
pub fn correlated_mean(series: &[f64]) -> Option<CorrelatedMean> {
    let n = series.len();
    if n < 4 {
        return None;
    }
    let mean = SplitMean::of(series.iter().copied());
    let deviations: Vec<f64> = series.iter().map(|&x| mean.deviation(x)).collect();
    let mean = mean.high;
    let variance = covariance(&deviations, 0);
    if !variance.is_finite() {
        return None;
    }
    if variance == 0.0 {
        return Some(CorrelatedMean { mean, standard_error: 0.0, autocorrelation_time: 1.0 });
    }
    // At least 1/n: no number is worth more than n independent ones.
    let time = (long_run_variance(deviations) / variance).max(1.0 / n as f64);
    let standard_error = (variance * time / (n - 1) as f64).sqrt();
    Some(CorrelatedMean { mean, standard_error, autocorrelation_time: time })
}

/// Returns the variance of the mean times the number of deviations.
fn long_run_variance(mut deviations: Vec<f64>) -> f64 {
    let mut length = 1.0;
    loop {
        if let Some(variance) = initial_sequence(&deviations, length > 1.0) {
            return length * variance;
        }
        deviations = deviations.chunks_exact(2).map(|pair| 0.5 * (pair[0] + pair[1])).collect();
        length *= 2.0;
    }
}

/// The same by Geyer's sequence; `None` if neighbours should be averaged (further).
fn initial_sequence(deviations: &[f64], averaged: bool) -> Option<f64> {
    let n = deviations.len();
    let [variance, next] = [0, 1].map(|lag| covariance(deviations, lag));
    let (mut sum, mut last, mut lags) = (0.0, f64::INFINITY, 0);
    while lags + 1 < n {
        let pair = covariance(deviations, lags) + covariance(deviations, lags + 1);
        if pair <= 0.0 {
            break;
        }
        if lags == MOST_LAGS {
            return None;
        }
        last = pair.min(last);
        sum += last;
        lags += 2;
    }
    let total = 2.0 * sum - variance;
    // The last of the lags is `lags - 1`.
    let noise = (2.0 * (2 * lags.max(2) - 1) as f64 / n as f64).sqrt() * variance;
    // Below zero by more than the noise of one correlation.
    let negative = next * (n as f64).sqrt() < -variance;
    // Means of neighbours are not a reversible chain, so Geyer's sequence ends early in their tail.
    let average = n >= 8 && negative && (averaged || total < 4.0 * noise);
    (!average).then(|| total.max(noise))
}

/// Returns the covariance of numbers `lag` places apart, about zero.
fn covariance(deviations: &[f64], lag: usize) -> f64 {
    let products = deviations[lag..].iter().zip(deviations).map(|(x, y)| x * y);
    products.sum::<f64>() / deviations.len() as f64
}

/// Moments of means over batches of consecutive numbers: a stream of correlated numbers in constant
/// memory, mergeable over runs.
///
/// Means of batches much longer than the correlation are almost independent.
///
/// ```
/// use orthogap::statistics::BatchMeans;
/// use orthogap::{Input, Network, Seed};
///
/// let network = Network::<f64>::new(64);
/// let input = Input::orthogonal(4)?;
/// let mut all = BatchMeans::new(50); // layers; the autocorrelation of the gap halves in less than two
/// for run in 0..4 {
///     let mut of_run = BatchMeans::new(50);
///     for layer in network.chain(&input, Seed(7).replicate(run))?.skip(50).take(1000) {
///         of_run.push(layer?.orthogonality_gap());
///     }
///     all.merge(&of_run)?;
/// }
/// assert_eq!(all.moments().count(), 80);
/// assert!(all.moments().standard_error() < 0.002);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BatchMeans {
    length: u64,
    current: Moments,
    means: Moments,
}

impl BatchMeans {
    /// Creates batch means without numbers, for batches of `length`; 0 counts as 1.
    #[must_use]
    pub fn new(length: u64) -> Self {
        Self { length: length.max(1), current: Moments::new(), means: Moments::new() }
    }

    /// Adds a number.
    pub fn push(&mut self, value: f64) {
        self.current.push(value);
        if self.current.count() == self.length {
            self.means.push_split(self.current.split_mean());
            self.current = Moments::new();
        }
    }

    /// Adds the full batches of another stream, without its unfinished one.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if its batches have another length; those of
    /// [`Moments::merge`].
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if other.length != self.length {
            let (name, value) = ("length of the other's batches", other.length as f64);
            let expected = "the same length";
            return Err(Error::InvalidParameter { name, value, expected });
        }
        self.means.merge(&other.means)
    }

    /// Returns the moments of the means of all full batches.
    #[must_use]
    pub fn moments(&self) -> &Moments {
        &self.means
    }
}

deserialize_checked!(
    BatchMeans { length: u64, current: Moments, means: Moments },
    |length, current, means| {
        if current.count() >= length {
            let (name, value) = ("length of batches", length as f64);
            let expected = "more than the numbers of a batch that is not full";
            return Err(Error::InvalidParameter { name, value, expected });
        }
        Ok(BatchMeans { length, current, means })
    }
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Purpose, Seed};
    use rand_distr::{Distribution, StandardNormal};

    /// An autoregressive series of mean 3 and correlation `memory` to the power of the lag, whose
    /// autocorrelation time is (1 + memory)/(1 - memory).
    fn series(length: usize, memory: f64, seed: u64) -> Vec<f64> {
        let mut rng = Seed(seed).replicate(0).stream(Purpose::User(0), 0, 0).rng();
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let mut x = normal();
        let innovation = (1.0 - memory * memory).sqrt();
        (0..length)
            .map(|_| {
                x = memory * x + innovation * normal();
                3.0 + x
            })
            .collect()
    }

    /// Four correlations, each to a tenth; the estimates scatter by about a thirtieth.
    #[test]
    fn autocorrelation_times_are_found() {
        for memory in [0.0, 0.5, 0.8, -0.4] {
            let expected = (1.0 + memory) / (1.0 - memory);
            let found = correlated_mean(&series(200_000, memory, 1)).unwrap();
            let ratio = found.autocorrelation_time / expected;
            assert!((ratio - 1.0).abs() < 0.1, "{memory}: {ratio}");
        }
    }

    /// 400 series of 4000 numbers with memory 0.8 (seeds 0 to 399): the true mean lies within 1.96
    /// standard errors in 95 %, by either estimate; 4 standard errors of the count are 17. Independent
    /// errors would cover half.
    #[test]
    fn standard_errors_are_right() {
        let (mut geyer, mut batches, mut naive) = (0, 0, 0);
        for seed in 0..400 {
            let series = series(4000, 0.8, seed);
            let within = |mean: f64, error: f64| usize::from((mean - 3.0).abs() < 1.96 * error);
            let found = correlated_mean(&series).unwrap();
            geyer += within(found.mean, found.standard_error);
            let mut means = BatchMeans::new(100);
            series.iter().for_each(|&x| means.push(x));
            batches += within(means.moments().mean(), means.moments().standard_error());
            let moments: Moments = series.into_iter().collect();
            naive += within(moments.mean(), moments.standard_error());
        }
        assert!(geyer.abs_diff(380) <= 17, "{geyer}");
        assert!(batches.abs_diff(380) <= 17, "{batches}");
        assert!(naive < 250, "{naive}");
    }

    /// Neither the mean nor the time depends on an offset, apart from the rounding of the series to
    /// multiples of 1/8192 at 1e12; the mean of 3 is then known to .002. (Found before: a mean 2.8 off
    /// and a time of 7095, after as many passes.)
    #[test]
    fn offsets_do_not_matter() {
        let near = series(200_000, 0.0, 2);
        let far: Vec<f64> = near.iter().map(|x| 1e12 + x).collect();
        let [near, far] = [near, far].map(|series| correlated_mean(&series).unwrap());
        assert!((far.mean - 1e12 - near.mean).abs() < 1e-3, "{far:?} {near:?}");
        let ratio = far.autocorrelation_time / near.autocorrelation_time;
        assert!((ratio - 1.0).abs() < 1e-3, "{far:?} {near:?}");
        let later: Vec<f64> = (0..64).map(|k| 1e15 + f64::from(k % 4)).collect();
        assert_eq!(correlated_mean(&later).unwrap().mean, 1e15 + 1.5);
    }

    /// A hundred thousand steps of a random walk, whose correlation never ends: 5e9 products if all
    /// lags were summed, under 1e8 with neighbours averaged.
    #[test]
    fn long_memories_take_linear_time() {
        let mut x = 0.0;
        let walk: Vec<f64> = series(100_000, 0.0, 3)
            .into_iter()
            .map(|step| {
                x += step - 3.0;
                x
            })
            .collect();
        let found = correlated_mean(&walk).unwrap();
        assert!(found.autocorrelation_time > 5000.0, "{found:?}");
        // The sum over all lags, by the definition, for a tenth of the walk.
        let walk = &walk[..10_000];
        let mean = walk.iter().sum::<f64>() / walk.len() as f64;
        let deviations: Vec<f64> = walk.iter().map(|x| x - mean).collect();
        let pairs = (0..walk.len() / 2)
            .map(|k| covariance(&deviations, 2 * k) + covariance(&deviations, 2 * k + 1))
            .take_while(|&pair| pair > 0.0);
        let mut last = f64::INFINITY;
        let sum: f64 = pairs
            .map(|pair| {
                last = pair.min(last);
                last
            })
            .sum();
        let time = 2.0 * sum / covariance(&deviations, 0) - 1.0;
        let found = correlated_mean(walk).unwrap().autocorrelation_time;
        assert!((found / time - 1.0).abs() < 0.02, "{found} {time}");
    }

    /// The squared error is the biased variance of the numbers times the time over n - 1. Four numbers
    /// suffice.
    #[test]
    fn errors_belong_to_times() {
        for numbers in [&[1.0, 5.0, 2.0, 4.0][..], &series(50, 0.5, 4)] {
            let n = numbers.len() as f64;
            let found = correlated_mean(numbers).unwrap();
            let variance = numbers.iter().map(|x| (x - found.mean).powi(2)).sum::<f64>() / n;
            let square = found.standard_error.powi(2);
            let expected = variance * found.autocorrelation_time / (n - 1.0);
            assert!((square / expected - 1.0).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn series_that_tell_nothing() {
        assert_eq!(correlated_mean(&[1.0, 2.0, 3.0]), None);
        for bad in [f64::NAN, f64::INFINITY, 1e200] {
            assert_eq!(correlated_mean(&[1.0, 2.0, bad, 3.0, 4.0]), None);
        }
        let constant = correlated_mean(&[2.0; 10]).unwrap();
        let CorrelatedMean { mean, standard_error, autocorrelation_time } = constant;
        assert_eq!((mean, standard_error, autocorrelation_time), (2.0, 0.0, 1.0));
        let alternating: Vec<f64> = (0..100).map(|k| f64::from(k % 2)).collect();
        let error = correlated_mean(&alternating).unwrap().standard_error;
        assert!((0.0..0.01).contains(&error));
    }
}
