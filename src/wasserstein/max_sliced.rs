//! The max-sliced distance: the direction in which samples and target differ most.

use nalgebra::{DMatrix, DVector};

use crate::factorization::symmetric_eigen;
use crate::parallel;
use crate::wasserstein::gaussian::Gaussian;
use crate::wasserstein::line::{NormalBins, Scratch};
use crate::wasserstein::{Directions, Sample, W2, normal_bins};
use crate::{Error, Purpose, Replicate, Result};

/// The distance along the worst direction found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MaxSliced {
    /// The squared distance of the samples that the direction was not chosen on.
    pub w2: W2,
    /// The direction.
    pub direction: DVector<f64>,
}

/// Of fewer samples, of which half are kept, intervals contain the truth too rarely.
const MINIMUM: usize = 50;
/// The most projections of an ascent.
const MAX_STEPS: usize = 60;
/// The number of eigenvectors at each end of the spectrum of `C - S` that start an ascent.
const EXTREMES: usize = 2;

impl Sample {
    /// Returns the squared distance along the direction where it is largest: a lower bound.
    ///
    /// The direction is found on every other sample, by ascent from the extreme eigenvectors of
    /// the difference of the covariances and from `starts` random directions; the distance is that
    /// of the **other** samples, since a maximum fits the noise of the samples that it is found on.
    /// Samples must come in random order.
    ///
    /// Intervals at 95 % from 50 samples contain the truth in 95 % of cases for a law that is
    /// shifted, and in 87 % for one that is narrower than the target.
    ///
    /// Cost: some 30 projections and sorts of half the samples for each start, on the threads of
    /// the current pool; memory for two copies of the sample.
    ///
    /// ```
    /// use orthogap::Seed;
    /// use orthogap::wasserstein::{Gaussian, Sample};
    ///
    /// let law = Gaussian::diagonal(&[1.0, 1.0, 4.0, 1.0])?;
    /// let sample = Sample::from_rows(&law.sample(4000, Seed(1), 0))?;
    /// let worst = sample.max_sliced(&Gaussian::isotropic(4, 1.0)?, 3, Seed(1))?;
    /// assert!(worst.direction[2].abs() > 0.99);
    /// assert!((worst.w2.debiased() - 1.0).abs() < 0.2);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::SampleTooSmall`] below 50 samples, [`Error::ShapeMismatch`].
    pub fn max_sliced(
        &self,
        target: &Gaussian,
        starts: usize,
        run: impl Into<Replicate>,
    ) -> Result<MaxSliced> {
        self.check_dimension("the target", target.dimension())?;
        if self.count() < MINIMUM {
            return Err(Error::SampleTooSmall { count: self.count(), minimum: MINIMUM });
        }
        // Differences of means only matter, and samples are centred here.
        let shift = -self.moments().mean_less(target.mean());
        let half = |first: usize| {
            let count = (self.count() - first).div_ceil(2);
            DMatrix::from_fn(count, self.dimension(), |i, j| {
                self.centered()[(2 * i + first, j)] - shift[j]
            })
        };
        let (sought, kept) = (Sample::from_rows(&half(0))?, Sample::from_rows(&half(1))?);
        let ascent = Ascent::new(&sought, target)?;
        let starts = ascent.starts(starts, run.into())?;
        let found = parallel::map(starts.ncols(), |k| ascent.climb(starts.column(k).into_owned()));
        let (_, direction) = found
            .into_iter()
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .expect("the spectrum alone gives a start");
        let centered = target.clone().with_mean(&vec![0.0; self.dimension()])?;
        let along = kept.sliced(&centered, &Directions::from_columns(&direction)?)?.w2;
        // The distance is that along this direction, not a mean over random ones.
        Ok(MaxSliced { w2: W2 { projection_error: Some(0.0), ..along }, direction })
    }
}

/// The inputs of an ascent.
struct Ascent<'a> {
    sample: &'a Sample,
    covariance: DMatrix<f64>,
    target_factor: DMatrix<f64>,
    bins: NormalBins,
}

impl<'a> Ascent<'a> {
    fn new(sample: &'a Sample, target: &Gaussian) -> Result<Self> {
        Ok(Self {
            sample,
            covariance: sample.moments().covariance(),
            target_factor: target.compact_factor(),
            bins: normal_bins(sample.count())?,
        })
    }

    /// Unit vectors to start from, the columns of a matrix.
    fn starts(&self, random: usize, run: Replicate) -> Result<DMatrix<f64>> {
        let n = self.covariance.nrows();
        let mean = self.sample.moments().mean();
        let excess = &self.covariance - &self.target_factor * self.target_factor.transpose()
            + mean * mean.transpose();
        let eigen = symmetric_eigen(excess)?;
        let largest = 0..n.min(EXTREMES);
        let smallest = largest.end.max(n.saturating_sub(EXTREMES))..n;
        let mut columns: Vec<DVector<f64>> =
            largest.chain(smallest).map(|k| eigen.vectors.column(k).into_owned()).collect();
        let mut normals = DMatrix::zeros(n, random);
        run.stream(Purpose::Projections, 0, 1).fill_normal(normals.as_mut_slice());
        columns.extend(normals.column_iter().map(|column| column.normalize()));
        Ok(DMatrix::from_columns(&columns))
    }

    /// The largest value met on the way uphill, and where.
    fn climb(&self, start: DVector<f64>) -> (f64, DVector<f64>) {
        let mut scratch = Scratch::default();
        let mut best = start;
        let (mut value, mut slope) = self.evaluate(&best, &mut scratch);
        let mut step = 1.0 / (self.covariance.trace() / best.len() as f64).max(f64::MIN_POSITIVE);
        for _ in 0..MAX_STEPS {
            let next = (&best + &slope * step).normalize();
            let (next_value, next_slope) = self.evaluate(&next, &mut scratch);
            if next_value > value {
                let gain = next_value - value;
                (best, value, slope, step) = (next, next_value, next_slope, 1.5 * step);
                if gain < 1e-9 * value {
                    break;
                }
            } else {
                step *= 0.25;
            }
        }
        (value, best)
    }

    /// The squared distance along a unit vector theta and half its gradient on the sphere,
    /// $`\delta \delta^\top \theta + C \theta + S \theta - \frac{\sigma_q}{s} S \theta - s \sum c_{rank} x_i`$,
    /// where s is the target's deviation along theta.
    fn evaluate(&self, theta: &DVector<f64>, scratch: &mut Scratch) -> (f64, DVector<f64>) {
        let mean = self.sample.moments().mean();
        let through = self.target_factor.tr_mul(theta);
        let deviation = through.norm();
        let projection = self.sample.centered() * theta;
        let parts = self.bins.evaluate(projection.as_slice(), -mean.dot(theta), deviation, scratch);
        let mut by_rank = DVector::zeros(self.sample.count());
        for (&place, &c) in scratch.sorter.places.iter().zip(self.bins.means()) {
            by_rank[place as usize] = c;
        }
        let mut slope = mean * mean.dot(theta) + &self.covariance * theta;
        slope -= self.sample.centered().tr_mul(&by_rank) * deviation;
        if deviation > 0.0 {
            slope += &self.target_factor * through * (1.0 - parts.sigma / deviation);
        }
        let outward = slope.dot(theta);
        slope.axpy(-outward, theta, 1.0);
        (parts.squared(), slope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    /// Two laws that differ in their means only are farthest apart along the line between these.
    #[test]
    fn a_shift_is_found() {
        let law = Gaussian::isotropic(3, 1.0).unwrap();
        let target = law.clone().with_mean(&[1.0, -1.0, 2.0]).unwrap();
        let shifted = law.with_mean(&[4.0, 3.0, 2.0]).unwrap();
        let sample = Sample::from_rows(&shifted.sample(1000, Seed(1), 0)).unwrap();
        let worst = sample.max_sliced(&target, 2, Seed(2)).unwrap();
        let along = 0.6 * worst.direction[0] + 0.8 * worst.direction[1];
        assert!(along.abs() > 0.99 && (worst.w2.debiased() / 25.0 - 1.0).abs() < 0.1);
        let line = Gaussian::isotropic(1, 1.0).unwrap();
        assert!(matches!(sample.max_sliced(&line, 2, Seed(2)), Err(Error::ShapeMismatch { .. })));
        let few = Sample::from_rows(&target.sample(49, Seed(1), 0)).unwrap();
        let refused = Error::SampleTooSmall { count: 49, minimum: 50 };
        assert_eq!(few.max_sliced(&target, 2, Seed(2)), Err(refused));
    }

    /// One coordinate in a space turned at will is a coin, and all covariances are right: nothing but
    /// the ascent leads there, where the distance is 2 - 2 sqrt(2/π).
    #[test]
    fn the_ascent_finds_what_no_spectrum_shows() {
        let law = Gaussian::isotropic(3, 1.0).unwrap();
        let mut rows = law.sample(4000, Seed(1), 0);
        rows.column_mut(0).apply(|x| *x = x.signum());
        let turn = nalgebra::dmatrix![2.0, -1.0, 2.0; 2.0, 2.0, -1.0; -1.0, 2.0, 2.0] / 3.0;
        let sample = Sample::from_rows(&(rows * &turn)).unwrap();
        let worst = sample.max_sliced(&law, 3, Seed(2)).unwrap();
        assert!((turn * worst.direction)[0].abs() > 0.99);
        assert!((worst.w2.debiased() - 0.404).abs() < 0.04);
        let ascent = Ascent::new(&sample, &law).unwrap();
        for start in ascent.starts(3, Seed(3).into()).unwrap().column_iter() {
            let (begin, _) = ascent.evaluate(&start.into_owned(), &mut Scratch::default());
            assert!(ascent.climb(start.into_owned()).0 > begin);
        }
    }

    /// Against differences of the value, with a singular target about another mean.
    #[test]
    fn slopes_are_half_the_derivatives() {
        let factor = nalgebra::dmatrix![1.0, 0.2; 0.3, 0.5; 0.0, 0.7];
        let target = Gaussian::from_factor(&factor).unwrap();
        let law = Gaussian::diagonal(&[1.0, 2.0, 0.5]).unwrap().with_mean(&[0.1, 0.5, -0.3]);
        let sample = Sample::from_rows(&law.unwrap().sample(300, Seed(1), 0)).unwrap();
        let ascent = Ascent::new(&sample, &target).unwrap();
        let starts = ascent.starts(3, Seed(2).into()).unwrap();
        let mut scratch = Scratch::default();
        for start in starts.column_iter() {
            let theta = start.into_owned();
            let (_, slope) = ascent.evaluate(&theta, &mut scratch);
            let toward = slope.normalize();
            let mut value =
                |h: f64| ascent.evaluate(&(&theta + &toward * h).normalize(), &mut scratch).0;
            let difference = (value(1e-5) - value(-1e-5)) / 2e-5;
            assert!(
                (difference - 2.0 * slope.norm()).abs() < 1e-4,
                "{difference} {}",
                slope.norm()
            );
        }
    }
}
