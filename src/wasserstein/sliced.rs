//! The sliced distance: that of projections, averaged over directions.

use std::ops::Range;

use nalgebra::{DMatrix, DVector};

use crate::Result;
use crate::check;
use crate::parallel;
use crate::wasserstein::gaussian::in_range;
use crate::wasserstein::line::Scratch;
use crate::wasserstein::{Directions, Gaussian, Kind, Of, Sample, W2, normal_bins};

/// The squared distances of projections to the target's.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sliced {
    /// Their mean over the directions, $`SW_2^2`$, a lower bound on $`W_2^2`$.
    pub w2: W2,
    /// Each of them, in the order of the directions.
    pub along: Vec<f64>,
    dimension: usize,
    /// Whether the directions are orthonormal bases.
    whole_bases: bool,
}

impl Sliced {
    /// Returns the lower bound $`n\, SW_2^2 \le W_2^2`$: the squared distance is at least the sum
    /// over any orthonormal basis, so also its mean over bases.
    ///
    /// Where the directions are [whole bases](Directions::orthogonal), the value is the mean of
    /// these sums. It is a lower bound for these very directions, so its projection error is zero.
    #[must_use]
    pub fn lower_bound(&self) -> W2 {
        let bound = self.w2.scaled(self.dimension as f64);
        if self.whole_bases { W2 { projection_error: Some(0.0), ..bound } } else { bound }
    }
}

/// How many shares the directions are cut into, each with its own sum: fixed, so that results do
/// not depend on the number of threads.
const SHARES: usize = 16;

/// A share holds projections of at most so many numbers, 32 MB, or of so many directions if those are
/// more: products with fewer columns are slow.
const NUMBERS: usize = 1 << 22;
const COLUMNS: usize = 32;

/// Cuts a range into pieces of at most `most`, of which none is shorter than half of that: products
/// with few columns add up in another order.
fn pieces(range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = range.len().div_ceil(most);
    let start = move |index: usize| range.start + index * range.len() / count;
    (0..count).map(move |index| start(index)..start(index + 1))
}

impl Sample {
    /// Returns the mean over directions of the squared distance of the projected samples to the
    /// projected target, $`SW_2^2`$.
    ///
    /// The target is projected in closed form, never sampled, and all directions share one set of
    /// quantiles. Errors from samples and from directions are stated apart. The bias is that of
    /// [`NormalBins::w2`](super::NormalBins::w2), exact on average for Gaussian samples. Below 20
    /// samples intervals contain the truth too rarely.
    ///
    /// **It is insensitive to some differences**: for a covariance with the trace of the target's,
    /// $`n\, SW_2^2`$ is a fraction of about 2/(n+2) of the distance, and
    /// [`gelbrich`](Self::gelbrich) all of it.
    ///
    /// Cost: for each direction `N n` multiply-adds, `n k` for a target with a factor of k columns, and
    /// a sort, on at most 16 threads of the current pool. Memory: 16 N numbers, and for each thread
    /// about 6 N and its projections, at most 2^22 numbers or 32 N if that is more; 0.3 GB a thread
    /// for a million samples.
    ///
    /// ```
    /// use orthogap::Seed;
    /// use orthogap::statistics::Interval;
    /// use orthogap::wasserstein::{Directions, Gaussian, Sample};
    ///
    /// let rows = Gaussian::isotropic(3, 2.0)?.sample(2000, Seed(1), 0);
    /// let directions = Directions::orthogonal(3, 30, Seed(2))?;
    /// let sliced = Sample::from_rows(&rows)?.sliced(&Gaussian::isotropic(3, 1.0)?, &directions)?;
    /// let Interval { low, high } = sliced.w2.confidence_interval(0.9999)?;
    /// assert!(low < 1.0 && 1.0 < high && high - low < 0.3);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) unless sample, target and directions
    /// have the same dimension; [`Error::InvalidParameter`](crate::Error::InvalidParameter) for
    /// 2^31 samples or more.
    pub fn sliced(&self, target: &Gaussian, directions: &Directions) -> Result<Sliced> {
        self.check_dimension("the target", target.dimension())?;
        self.check_dimension("a direction", directions.dimension())?;
        let bins = normal_bins(self.count())?;
        let means = directions.columns().tr_mul(&-self.moments().mean_less(target.mean()));
        let deviations = target.deviations_along(directions.columns());
        let count = directions.count();
        let share = count.div_ceil(SHARES.min(count));
        let shares = parallel::map(count.div_ceil(share), |index| {
            let first = index * share;
            let size = share.min(count - first);
            let mut scratch = Scratch::default();
            let mut potential = DVector::zeros(self.count());
            let mut values = Vec::with_capacity(size);
            for piece in pieces(first..first + size, (NUMBERS / self.count()).max(COLUMNS)) {
                let projections = self.projections(directions, &piece);
                for (projection, l) in projections.column_iter().zip(piece) {
                    let parts =
                        bins.evaluate(projection.as_slice(), means[l], deviations[l], &mut scratch);
                    for (&place, value) in scratch.sorter.places.iter().zip(&scratch.potential) {
                        potential[place as usize] += value;
                    }
                    let bias = bins.bias(&scratch.sorter.values, deviations[l]);
                    values.push((parts.squared(), bias));
                }
            }
            (values, potential)
        });
        let mut potential = DVector::zeros(self.count());
        let (mut along, mut biases) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (values, of_share) in shares {
            potential += of_share;
            for (value, of_value) in values {
                along.push(value);
                biases.push(of_value);
            }
        }
        potential /= count as f64;
        let (projection_error, projection_degrees) = directions.standard_error(&along);
        let w2 = W2 {
            bias: biases.into_iter().sum::<Option<f64>>().map(|sum| sum / count as f64),
            projection_error,
            projection_degrees,
            ..W2::of_samples(along.iter().sum::<f64>() / count as f64, Kind::Lower, Of::Empirical)
        }
        .with_influence(potential.as_slice());
        let (dimension, whole_bases) = (self.dimension(), directions.are_bases());
        Ok(Sliced { w2, along, dimension, whole_bases })
    }

    /// The samples less their mean along some of the directions, a column for each.
    fn projections(&self, directions: &Directions, range: &Range<usize>) -> DMatrix<f64> {
        self.centered() * directions.columns().columns(range.start, range.len())
    }

    /// Returns the sum over the axes of the squared distances of single coordinates: a lower bound,
    /// exact where coordinates are independent under both laws.
    ///
    /// The bound holds for a basis fixed in advance. A basis chosen on the sample fits its noise.
    ///
    /// # Errors
    /// Those of [`sliced`](Self::sliced).
    pub fn along_axes(&self, target: &Gaussian) -> Result<W2> {
        Ok(self.sliced(target, &Directions::axes(self.dimension())?)?.lower_bound())
    }

    pub(super) fn check_dimension(&self, what: &'static str, dimension: usize) -> Result<()> {
        self.moments().check_dimension(what, dimension)
    }
}

impl Gaussian {
    /// Returns $`SW_2^2`$ of this law to $`N(0, \tau^2 I)`$ with `deviation` $`\tau`$, exactly: the
    /// mean over all directions theta of $`(\sqrt{\theta^\top A \theta} - \tau)^2`$, and a share
    /// 1/n of the squared mean.
    ///
    /// With a standard normal g, the mean root is that of $`\sqrt{g^\top A g}`$ over that of |g|,
    /// and $`E \sqrt{Q} = \frac{1}{2 \sqrt\pi} \int_0^\infty (1 - E e^{-tQ}) t^{-3/2} dt`$.
    ///
    /// ```
    /// use orthogap::wasserstein::Gaussian;
    ///
    /// let law = Gaussian::isotropic(5, 3.0)?.with_mean(&[1.0, 0.0, 0.0, 0.0, 0.0])?;
    /// assert!((law.sliced_to_isotropic(1.0)? - (4.0 + 0.2)).abs() < 1e-12);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) for a deviation that is negative
    /// or not finite, and for a square of it above 1e300.
    pub fn sliced_to_isotropic(&self, deviation: f64) -> Result<f64> {
        check::not_negative("deviation", deviation)?;
        in_range("squared deviation", deviation * deviation)?;
        let n = self.dimension() as f64;
        let variances: Vec<f64> = super::bures::singular_values(&self.factor())
            .into_iter()
            .map(|sigma| sigma * sigma)
            .collect();
        let mean_variance = variances.iter().sum::<f64>() / n;
        let shape = if mean_variance == 0.0 {
            deviation * deviation
        } else {
            let unit: Vec<f64> = variances.iter().map(|v| v / mean_variance).collect();
            let root = mean_root(&unit, n) * mean_variance.sqrt();
            (mean_variance.sqrt() - deviation).powi(2)
                + 2.0 * deviation * (mean_variance.sqrt() - root)
        };
        Ok(self.mean().norm_squared() / n + shape)
    }
}

/// The mean of $`\sqrt{\theta^\top A \theta}`$ over directions, for eigenvalues of mean one.
fn mean_root(eigenvalues: &[f64], n: f64) -> f64 {
    // Both roots by the same trapezoidal rule in log t: most of its error cancels in the ratio.
    const STEP: f64 = 1.0 / 16.0;
    let root = |eigenvalues: &dyn Fn(f64) -> f64| {
        let node = |k: i32| {
            let t = (f64::from(k) * STEP).exp() / n;
            // 1 - E exp(-tQ), with log1p and expm1 against cancellation.
            -(-0.5 * eigenvalues(2.0 * t)).exp_m1() / t.sqrt()
        };
        (-1300..=1300).map(node).sum::<f64>()
    };
    let law = root(&|s| eigenvalues.iter().map(|v| (s * v).ln_1p()).sum());
    law / root(&|s| n * s.ln_1p())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use nalgebra::dmatrix;

    /// Any number of copies of one direction is the line itself, errors and all.
    #[test]
    fn copies_of_one_direction_are_a_line() {
        let rows = dmatrix![1.5, 7.0; -1.0, 3.0; 0.0, 4.0; 4.0, -2.0];
        let sample = Sample::from_rows(&rows).unwrap();
        let target = Gaussian::diagonal(&[4.0, 9.0]).unwrap().with_mean(&[0.5, 1.0]).unwrap();
        let bins = normal_bins(4).unwrap();
        let line = bins.w2(rows.column(0).as_slice(), 0.5, 2.0).unwrap().w2;
        let mut scratch = Scratch::default();
        bins.evaluate(rows.column(0).as_slice(), 0.5, 2.0, &mut scratch);
        let error = line.with_influence(&scratch.potential).sampling_error.unwrap();
        for copies in [1, 16, 37] {
            let axis = DMatrix::from_fn(2, copies, |i, _| if i == 0 { 1.0 } else { 0.0 });
            let directions = Directions::from_columns(&axis).unwrap();
            let sliced = sample.sliced(&target, &directions).unwrap();
            assert_eq!(sliced.along.len(), copies);
            assert!((sliced.w2.squared - line.squared).abs() < 1e-14);
            assert!((sliced.w2.bias.unwrap() - line.bias.unwrap()).abs() < 1e-14);
            assert!((sliced.w2.sampling_error.unwrap() / error - 1.0).abs() < 1e-14);
        }
        // Values come in the order of the directions.
        let axes = DMatrix::from_fn(2, 37, |i, j| f64::from(u8::from((j < 20) == (i == 0))));
        let sliced = sample.sliced(&target, &Directions::from_columns(&axes).unwrap()).unwrap();
        assert!(sliced.along[..20].iter().all(|squared| (squared - line.squared).abs() < 1e-14));
        assert!(sliced.along[20..].iter().all(|squared| (squared - line.squared).abs() > 1.0));
        let axes = sample.along_axes(&target).unwrap();
        let other = normal_bins(4).unwrap().w2(rows.column(1).as_slice(), 1.0, 3.0).unwrap().w2;
        assert!((axes.squared - line.squared - other.squared).abs() < 1e-13);
        assert_eq!(axes.projection_error, Some(0.0));
        let plane = Gaussian::isotropic(3, 1.0).unwrap();
        let error = sample.along_axes(&plane).unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { what: "the target", .. }));
    }

    /// Projections of a piece have the bits of those of all directions.
    #[test]
    fn pieces_change_no_bits() {
        for (count, n, directions) in [(50, 7, 100), (301, 33, 65), (64, 300, 129)] {
            let law = Gaussian::isotropic(n, 1.0).unwrap();
            let sample = Sample::from_rows(&law.sample(count, crate::Seed(1), 0)).unwrap();
            let directions = Directions::random(n, directions, crate::Seed(2)).unwrap();
            let range = 1..directions.count();
            let whole = sample.projections(&directions, &range);
            for most in [COLUMNS, COLUMNS + 1, 2 * COLUMNS, 1000] {
                let mut next = range.start;
                for piece in pieces(range.clone(), most) {
                    assert_eq!(piece.start, next);
                    assert!(piece.len() <= most && 2 * piece.len() >= most.min(range.len()));
                    let expected = whole.columns(piece.start - range.start, piece.len());
                    assert_eq!(sample.projections(&directions, &piece), expected);
                    next = piece.end;
                }
                assert_eq!(next, range.end);
            }
        }
    }

    /// A segment of variance 4 in the plane: the mean of |cos| is 2/π.
    #[test]
    fn a_segment_in_the_plane() {
        let segment = Gaussian::from_factor(&dmatrix![1.2; 1.6]).unwrap();
        let expected = 2.0 - 2.0 * 3.0 * 2.0 * std::f64::consts::FRAC_2_PI + 9.0;
        assert!((segment.sliced_to_isotropic(3.0).unwrap() - expected).abs() < 1e-12);
    }

    /// The largest deviation is that of targets; squares of larger ones may be no numbers.
    #[test]
    fn squares_beyond_the_range_are_refused() {
        for variance in [0.0, 1.0, 1e299] {
            let law = Gaussian::diagonal(&[variance; 3]).unwrap();
            let error = law.sliced_to_isotropic(1e200).unwrap_err();
            assert!(matches!(error, Error::InvalidParameter { name: "squared deviation", .. }));
            let expected = (1.0 - variance.sqrt() / 9e149).powi(2);
            let found = law.sliced_to_isotropic(9e149).unwrap() / 9e149 / 9e149;
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
}
