//! Means of correlated numbers, such as a quantity over the layers of one run.

use super::Moments;
use crate::serialization::deserialize_checked;
use crate::{Error, Result};

/// The mean of a stationary series with the standard error that its correlation leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CorrelatedMean {
    /// The mean.
    pub mean: f64,
    /// Its standard error: as if there were `autocorrelation_time` times fewer numbers.
    pub standard_error: f64,
    /// $`\tau = 1 + 2 \sum_k \rho_k`$: how many numbers of the series are worth an independent one.
    pub autocorrelation_time: f64,
}

/// The mean of a stationary series, by Geyer's initial monotone sequence (*Practical Markov chain
/// Monte Carlo*, 1992): correlations are summed in pairs of lags as long as the pairs are positive and
/// fall. None below four numbers, and if a number, or the sum of their squares, is not finite.
///
/// The pairs are positive for reversible chains; for others the estimate is a good guide, to be
/// held against [`BatchMeans`]. The error can be trusted if the series is some 50 times as long as
/// its autocorrelation time. Cost: as many passes over the series as its correlation is long.
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
/// assert!(mean.autocorrelation_time > 1.5); // layers remember each other
/// # Ok::<(), orthogap::Error>(())
/// ```
#[must_use]
pub fn correlated_mean(series: &[f64]) -> Option<CorrelatedMean> {
    let n = series.len();
    if n < 4 {
        return None;
    }
    let mean = series.iter().sum::<f64>() / n as f64;
    let covariance = |lag: usize| {
        let products = series[lag..].iter().zip(series).map(|(x, y)| (x - mean) * (y - mean));
        products.sum::<f64>() / n as f64
    };
    let variance = covariance(0);
    if !variance.is_finite() {
        return None;
    }
    if variance == 0.0 {
        return Some(CorrelatedMean { mean, standard_error: 0.0, autocorrelation_time: 1.0 });
    }
    let (mut sum, mut last) = (0.0, f64::INFINITY);
    for lag in (0..n - 1).step_by(2) {
        let pair = (covariance(lag) + covariance(lag + 1)).min(last);
        if pair <= 0.0 {
            break;
        }
        sum += pair;
        last = pair;
    }
    // Never below what the numbers' own variance would leave if each were worth all of them.
    let time = (2.0 * sum / variance - 1.0).max(1.0 / n as f64);
    let standard_error = (variance * time / (n - 1) as f64).sqrt();
    Some(CorrelatedMean { mean, standard_error, autocorrelation_time: time })
}

/// Moments of means over batches of consecutive numbers: a stream of correlated numbers in constant
/// memory, mergeable over runs.
///
/// Batches much longer than the correlation are as good as independent.
///
/// ```
/// use orthogap::statistics::BatchMeans;
/// use orthogap::{Input, Network, Seed};
///
/// let network = Network::<f64>::new(64);
/// let input = Input::orthogonal(4)?;
/// let mut all = BatchMeans::new(50); // layers; the gap forgets half of itself in less than two
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
    /// No numbers yet, to be taken in batches of `length`; 0 counts as 1.
    #[must_use]
    pub fn new(length: u64) -> Self {
        Self { length: length.max(1), current: Moments::new(), means: Moments::new() }
    }

    /// Takes one more number in.
    pub fn push(&mut self, value: f64) {
        self.current.push(value);
        if self.current.count() == self.length {
            self.means.push_split(self.current.split_mean());
            self.current = Moments::new();
        }
    }

    /// Takes in the full batches of another stream; what it began is left out.
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

    /// The moments of the means of all full batches.
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

    #[test]
    fn series_that_tell_nothing() {
        assert_eq!(correlated_mean(&[1.0, 2.0, 3.0]), None);
        for bad in [f64::NAN, f64::INFINITY, 1e200] {
            assert_eq!(correlated_mean(&[1.0, 2.0, bad, 3.0, 4.0]), None);
        }
        let constant = correlated_mean(&[2.0; 10]).unwrap();
        assert_eq!((constant.mean, constant.standard_error), (2.0, 0.0));
        let alternating: Vec<f64> = (0..100).map(|k| f64::from(k % 2)).collect();
        let error = correlated_mean(&alternating).unwrap().standard_error;
        assert!((0.0..0.01).contains(&error));
    }
}
