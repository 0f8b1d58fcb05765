//! Lower and upper bounds side by side.

use crate::statistics::{Interval, Moments};
use crate::wasserstein::{Directions, Gaussian, Kind, Law, Of, Sample, W2};
use crate::{Error, Replicate, Result};

/// The source of a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bound {
    /// [`Sample::gelbrich`].
    Gelbrich,
    /// [`Sample::along_axes`].
    Axes,
    /// [`Sliced::lower_bound`](super::Sliced::lower_bound).
    Sliced,
    /// [`Sample::radial`].
    Radial,
    /// [`Sample::max_sliced`].
    MaxSliced,
    /// The laws of $`\lVert \sigma - \bar\sigma \rVert`$ for vectors sigma of singular values.
    SingularValueSpread,
    /// The means of the vectors of singular values.
    SingularValueMeans,
    /// The independent coupling, $`\lVert a - b \rVert^2 + \mathrm{tr} A + \mathrm{tr} B`$.
    Independent,
    /// The paper's coupling, the mean over `H` of $`\sum_i (\sigma_i - 1/\sqrt n)^2`$.
    Coupling,
}

/// A squared distance between its certified bounds.
///
/// Every bound is on the distance of the **population**, estimated from samples, with its bias and
/// its standard error.
#[derive(Clone, Debug, PartialEq)]
pub struct Bracket {
    /// The lower bounds, one at least.
    pub(super) lower_bounds: Vec<(Bound, W2)>,
    /// The upper bounds, one at least.
    pub(super) upper_bounds: Vec<(Bound, W2)>,
}

impl Bracket {
    /// Returns all lower bounds, at least one.
    #[must_use]
    pub fn lower_bounds(&self) -> &[(Bound, W2)] {
        &self.lower_bounds
    }

    /// Returns all upper bounds, at least one.
    #[must_use]
    pub fn upper_bounds(&self) -> &[(Bound, W2)] {
        &self.upper_bounds
    }

    /// Returns the largest lower bound by its debiased value, and where it comes from.
    #[must_use]
    pub fn lower(&self) -> (Bound, W2) {
        best(&self.lower_bounds, |bound| bound.debiased())
    }

    /// Returns the smallest upper bound by its debiased value, and where it comes from.
    #[must_use]
    pub fn upper(&self) -> (Bound, W2) {
        best(&self.upper_bounds, |bound| -bound.debiased())
    }

    /// Returns an interval that contains the squared distance with probability at least `level`:
    /// the largest lower end and the smallest upper end of the [intervals](W2::confidence_interval)
    /// of all bounds, at a level that allows for this choice (Bonferroni).
    ///
    /// # Errors
    /// [`InvalidParameter`](crate::Error::InvalidParameter) unless `level` lies strictly between 0
    /// and 1.
    pub fn confidence_interval(&self, level: f64) -> Result<Interval> {
        let choices = (self.lower_bounds.len() + self.upper_bounds.len()) as f64;
        // Only one end of each interval can fail.
        let each = 1.0 - 2.0 * (1.0 - level) / choices;
        // What is no level stays none.
        let each = if level > 0.0 && level < 1.0 { each } else { level };
        let (mut low, mut high) = (0.0f64, f64::INFINITY);
        for (_, bound) in &self.lower_bounds {
            low = low.max(bound.confidence_interval(each)?.low);
        }
        for (_, bound) in &self.upper_bounds {
            high = high.min(bound.confidence_interval(each)?.high);
        }
        Ok(Interval { low, high })
    }
}

fn best(bounds: &[(Bound, W2)], value: impl Fn(&W2) -> f64) -> (Bound, W2) {
    *bounds
        .iter()
        .max_by(|a, b| value(&a.1).total_cmp(&value(&b.1)))
        .expect("every bracket has a bound on either side")
}

/// The directions of the sliced bound, in whole bases, and random starts of the max-sliced one.
const DIRECTIONS: usize = 64;
const STARTS: usize = 4;
/// From fewer samples a dimension, the error of Gelbrich's bound is stated too small.
const SAMPLES_PER_DIMENSION: usize = 4;

impl Sample {
    /// Returns all bounds on the squared distance of the samples' law to `target` that follow from
    /// samples: several lower bounds, none of which is always the largest, and the upper bound of
    /// the independent coupling, which is weak. [`gelbrich`](Self::gelbrich) is among them from
    /// four samples a dimension on, [`radial`](Self::radial) if the target is isotropic.
    ///
    /// Over the runs of a network, the mean over `H` of the exact distance given `H` is a far
    /// better upper bound: pass it as `coupling`, the moments of
    /// [`Gram::coupling_bound`](crate::Gram::coupling_bound) or of [`Gaussian::w2`] over
    /// independent runs.
    ///
    /// Cost: that of the bounds it is made of; about 0.1 s for 4000 samples of 32 numbers.
    ///
    /// ```
    /// use orthogap::Seed;
    /// use orthogap::statistics::Interval;
    /// use orthogap::wasserstein::{Bound, Gaussian, Sample};
    ///
    /// // On a sphere, with the mean and the covariance of the target: only lengths differ.
    /// let target = Gaussian::isotropic(8, 1.0)?;
    /// let mut rows = target.sample(2000, Seed(1), 0);
    /// rows.row_iter_mut().for_each(|mut row| row *= 8f64.sqrt() / row.norm());
    /// let bracket = Sample::from_rows(&rows)?.bracket(&target, None, Seed(2))?;
    /// assert_eq!(bracket.lower().0, Bound::Radial);
    /// let Interval { low, high } = bracket.confidence_interval(0.99)?;
    /// assert!(low < 0.4911 && 0.4910 < high && low > 0.4);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`SampleTooSmall`](crate::Error::SampleTooSmall) below 50 samples and for a `coupling` of no
    /// runs, and those of [`gelbrich`](Self::gelbrich) and [`sliced`](Self::sliced).
    pub fn bracket(
        &self,
        target: &Gaussian,
        coupling: Option<&Moments>,
        run: impl Into<Replicate>,
    ) -> Result<Bracket> {
        let run = run.into();
        let directions = Directions::orthogonal(self.dimension(), DIRECTIONS, run)?;
        let mut lower_bounds = vec![
            (Bound::Axes, self.along_axes(target)?),
            (Bound::Sliced, self.sliced(target, &directions)?.lower_bound()),
            (Bound::MaxSliced, self.max_sliced(target, STARTS, run)?.w2),
        ];
        if self.count() >= SAMPLES_PER_DIMENSION * self.dimension() {
            lower_bounds.push((Bound::Gelbrich, self.gelbrich(target)?));
        }
        if target.isotropic_deviation().is_some() {
            lower_bounds.push((Bound::Radial, self.radial(target)?));
        }
        for (_, bound) in &mut lower_bounds {
            bound.of = Of::Population;
        }
        let mut upper_bounds = vec![(Bound::Independent, self.independent_coupling(target))];
        if let Some(moments) = coupling {
            if moments.count() == 0 {
                return Err(Error::SampleTooSmall { count: 0, minimum: 1 });
            }
            upper_bounds.push((Bound::Coupling, coupling_bound(moments, Law::Row)));
        }
        Ok(Bracket { lower_bounds, upper_bounds })
    }

    /// The mean squared distance to independent draws from the target.
    fn independent_coupling(&self, target: &Gaussian) -> W2 {
        let shift = self.moments().mean_less(target.mean());
        let squares: Vec<f64> = self
            .centered()
            .row_iter()
            .map(|row| row.iter().zip(&shift).map(|(x, s)| (x + s).powi(2)).sum())
            .collect();
        let count = squares.len() as f64;
        let squared = squares.iter().sum::<f64>() / count + target.total_variance();
        W2 { bias: Some(0.0), ..W2::of_samples(squared, Kind::Upper, Of::Population) }
            .with_influence(&squares)
    }
}

/// The mean over `H` of the distance given `H`, for either law.
pub(super) fn coupling_bound(moments: &Moments, law: Law) -> W2 {
    let error = moments.standard_error();
    W2 {
        law,
        bias: Some(0.0),
        sampling_error: error.is_finite().then_some(error),
        sampling_degrees: moments.count() as f64 - 1.0,
        ..W2::of_samples(moments.mean(), Kind::Upper, Of::Population)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::dmatrix;

    fn bound(squared: f64, error: f64, kind: Kind) -> W2 {
        W2 { sampling_error: Some(error), ..W2::of_samples(squared, kind, Of::Population) }
    }

    #[test]
    fn three_bounds_share_the_risk() {
        let bracket = Bracket {
            lower_bounds: vec![
                (Bound::Axes, bound(5.0, 1.0, Kind::Lower)),
                (Bound::Sliced, bound(4.0, 0.1, Kind::Lower)),
            ],
            upper_bounds: vec![(Bound::Coupling, bound(9.0, 0.5, Kind::Upper))],
        };
        assert_eq!((bracket.lower().0, bracket.upper().0), (Bound::Axes, Bound::Coupling));
        let Interval { low, high } = bracket.confidence_interval(0.95).unwrap();
        let quantile = 2.128_045_234_184_984; // of 1 - 0.05/3
        assert!((low - (4.0 - 0.1 * quantile)).abs() < 1e-13);
        assert!((high - (9.0 + 0.5 * quantile)).abs() < 1e-13);
        for level in [-0.1, 0.0, 1.0, 1.1, f64::NAN] {
            assert!(bracket.confidence_interval(level).is_err(), "{level}");
        }
    }

    #[test]
    fn the_smallest_of_upper_bounds_counts() {
        let coupling = bound(3.0, 0.0, Kind::Upper);
        let bracket = Bracket {
            lower_bounds: vec![(Bound::Axes, bound(1.0, 0.0, Kind::Lower))],
            upper_bounds: vec![
                (Bound::Independent, bound(7.0, 0.0, Kind::Upper)),
                (Bound::Coupling, coupling),
            ],
        };
        assert_eq!(bracket.upper(), (Bound::Coupling, coupling));
        assert_eq!(bracket.confidence_interval(0.95), Ok(Interval { low: 1.0, high: 3.0 }));
    }

    #[test]
    fn what_is_known_of_runs_is_a_bound_from_above() {
        let target = Gaussian::isotropic(2, 1.0).unwrap();
        let sample = Sample::from_rows(&target.sample(50, crate::Seed(1), 0)).unwrap();
        let runs: Moments = [0.25, 0.75].into_iter().collect();
        let bracket = sample.bracket(&target, Some(&runs), crate::Seed(2)).unwrap();
        let (bound, w2) = bracket.upper();
        assert_eq!((bound, w2.squared, w2.sampling_error), (Bound::Coupling, 0.5, Some(0.25)));
        assert_eq!(bracket.lower_bounds.len(), 5);
        let alone = sample.bracket(&target, None, crate::Seed(2)).unwrap();
        assert_eq!(alone.upper().0, Bound::Independent);
        assert_eq!(alone.lower_bounds, bracket.lower_bounds);
        let no_runs = sample.bracket(&target, Some(&Moments::new()), crate::Seed(2));
        assert_eq!(no_runs, Err(Error::SampleTooSmall { count: 0, minimum: 1 }));
    }

    /// Squared lengths 17, 1, 41 and 9 about the target's mean.
    #[test]
    fn the_independent_coupling_by_hand() {
        let rows = dmatrix![4.0, 0.0; 0.0, 0.0; 4.0, 4.0; 0.0, 2.0];
        let target = Gaussian::isotropic(2, 0.5).unwrap().with_mean(&[0.0, -1.0]).unwrap();
        let w2 = Sample::from_rows(&rows).unwrap().independent_coupling(&target);
        assert!((w2.squared - (17.0 + 0.5)).abs() < 1e-14);
        let variance = (0.0f64 + 256.0 + 576.0 + 64.0) / 4.0;
        assert!((w2.standard_error().unwrap() - (variance / 3.0).sqrt()).abs() < 1e-13);
        assert_eq!(w2.bias, Some(0.0));
    }
}
