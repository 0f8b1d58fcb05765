//! Exact p-values, by simulating the target.

use crate::parallel;
use crate::wasserstein::{Gaussian, Sample};
use crate::{Error, Replicate, Result};

/// Returns the probability that equally many samples of the target are at least as far from it, by
/// a given statistic: the rank of the sample among `replicates` simulated ones,
/// $`(1 + \#\{\text{as far}\}) / (1 + R)`$.
///
/// It is exact: under the hypothesis that the sample comes from the target, a p-value of at most
/// alpha has probability at most alpha, for any statistic, dimension and number of samples. The
/// bootstrap is not exact: near the target a distance is not normal, and resampling doubles its
/// bias.
///
/// Cost: the statistic `replicates + 1` times, on the threads of the current pool; the result does
/// not depend on them.
///
/// ```
/// use orthogap::Seed;
/// use orthogap::wasserstein::{Gaussian, Sample, p_value};
///
/// let target = Gaussian::isotropic(4, 1.0)?;
/// let gelbrich = |sample: &Sample| Ok(sample.gelbrich(&target)?.squared);
/// let wide = Sample::from_rows(&(target.sample(500, Seed(1), 0) * 1.2))?;
/// assert_eq!(p_value(&wide, &target, 99, Seed(2), gelbrich)?, 0.01);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidParameter`] for no replicates or more than 2^32 - 2 and for a statistic that is NaN,
/// [`Error::ShapeMismatch`], and what the statistic returns. An error ends the simulation.
pub fn p_value(
    sample: &Sample,
    target: &Gaussian,
    replicates: usize,
    run: impl Into<Replicate>,
    statistic: impl Fn(&Sample) -> Result<f64> + Sync + Send,
) -> Result<f64> {
    sample.check_dimension("the target", target.dimension())?;
    if replicates == 0 || replicates >= u32::MAX as usize {
        let (value, expected) = (replicates as f64, "from 1 to 2^32 - 2");
        return Err(Error::InvalidParameter { name: "replicates", value, expected });
    }
    let run = run.into();
    let statistic = |sample: &Sample| {
        let value = statistic(sample)?;
        if value.is_nan() {
            let expected = "a number";
            return Err(Error::InvalidParameter { name: "statistic", value, expected });
        }
        Ok(value)
    };
    let observed = statistic(sample)?;
    let simulated = parallel::try_map(replicates, |replicate| {
        // Block 0 is left to the caller's own draws under the same seed.
        let rows = target.sample(sample.count(), run, replicate as u32 + 1);
        Ok(statistic(&Sample::from_rows(&rows)?)? >= observed)
    })?;
    let as_far = 1 + simulated.into_iter().filter(|&as_far| as_far).count();
    Ok(as_far as f64 / (replicates + 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    /// The error is that of the first replicate that has one, and few others are simulated.
    #[test]
    fn an_error_ends_the_simulation() {
        let target = Gaussian::isotropic(2, 1.0).unwrap();
        let sample = Sample::from_rows(&target.sample(5, Seed(1), 0)).unwrap();
        let line = Gaussian::isotropic(1, 1.0).unwrap();
        let calls = std::sync::atomic::AtomicUsize::new(0);
        let statistic = |other: &Sample| {
            calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if *other == sample { Ok(0.0) } else { Ok(other.along_axes(&line)?.squared) }
        };
        let error = p_value(&sample, &target, 100_000, Seed(1), statistic).unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { what: "the target", .. }));
        assert!(calls.into_inner() < 1000);
    }

    #[test]
    fn ties_count_as_far() {
        let target = Gaussian::isotropic(2, 1.0).unwrap();
        let sample = Sample::from_rows(&target.sample(5, Seed(1), 0)).unwrap();
        let p = |replicates, statistic: &(dyn Fn(&Sample) -> f64 + Sync)| {
            p_value(&sample, &target, replicates, Seed(1), |x| Ok(statistic(x)))
        };
        assert_eq!(p(7, &|_| 3.0), Ok(1.0));
        // No replicate is the sample itself, although both come from one seed.
        assert_eq!(p(7, &|other| f64::from(u8::from(*other == sample))), Ok(1.0 / 8.0));
        assert!(p(0, &|_| 3.0).is_err() && p(7, &|_| f64::NAN).is_err());
        let plane = Gaussian::isotropic(3, 1.0).unwrap();
        let error = p_value(&sample, &plane, 7, Seed(1), |_| Ok(3.0)).unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { what: "the target", .. }));
    }
}
