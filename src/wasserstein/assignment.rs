//! Optimal transport between samples, as an assignment (feature `assignment`).

use nalgebra::{DMatrix, DVector};

use crate::parallel;
use crate::statistics::Moments;
use crate::wasserstein::transportation::Flow;
use crate::wasserstein::{Kind, Law, MatrixLaw, Of, Sample, W2, transportation};
use crate::{Error, Result};

/// The largest cost matrix that is formed has as many rows: half a gigabyte.
const LARGEST: usize = 8192;

/// An optimal transport between two samples.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Assignment {
    /// The squared distance between the empirical laws.
    pub w2: W2,
    /// For samples of equal size, the sample of the other that each goes to.
    pub partner: Option<Vec<usize>>,
}

impl Sample {
    /// Returns the exact squared Wasserstein-2 distance between two empirical laws.
    ///
    /// It is a poor estimate of the distance between populations. For two samples of one law it is
    /// about $`N^{-2/n}`$ times the variance, and from n = 16 on no number of samples is enough
    /// (10.8 for a true value of 0.64). All other estimators here use what is known of a Gaussian
    /// target. [`debiased_to`](Self::debiased_to) subtracts most of the bias.
    ///
    /// Cost: two sorts in one dimension. Otherwise `N M` numbers of memory and up to `O(N³)` for N
    /// about M, by successive shortest paths (Crouse 2016, with masses that may be split).
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::wasserstein::Sample;
    ///
    /// let a = Sample::from_rows(&dmatrix![0.0, 0.0; 1.0, 0.0])?;
    /// let b = Sample::from_rows(&dmatrix![1.0, 1.0; 0.0, 1.0])?;
    /// let assignment = a.assignment(&b)?;
    /// assert!((assignment.w2.squared - 1.0).abs() < 1e-15);
    /// assert_eq!(assignment.partner, Some(vec![1, 0]));
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless the dimensions are equal, [`Error::InvalidParameter`] for
    /// more than 8192 samples in two or more dimensions.
    pub fn assignment(&self, other: &Self) -> Result<Assignment> {
        self.check_dimension("the other sample", other.dimension())?;
        let (ours, theirs) = (self.count(), other.count());
        let (flows, sum) = if self.dimension() == 1 {
            let (a, b) = (self.centered().as_slice(), other.centered().as_slice());
            let shift = self.moments().mean_less_that_of(other.moments())[0];
            let flows = transportation::of_numbers(a, b);
            let sum = cost(&flows, |i, j| (a[i] - b[j] + shift).powi(2));
            (flows, sum)
        } else {
            let largest = ours.max(theirs);
            if largest > LARGEST {
                let (value, expected) = (largest as f64, "at most 8192; `sliced` takes any number");
                return Err(Error::InvalidParameter { name: "count", value, expected });
            }
            let squares = other.squared_distances(self);
            let flows = transportation::cheapest(&squares);
            let sum = cost(&flows, |i, j| squares[(j, i)]);
            (flows, sum)
        };
        let partner = (ours == theirs).then(|| {
            let mut partner = vec![0; ours];
            flows.iter().for_each(|flow| partner[flow.from] = flow.to);
            partner
        });
        let w2 = W2::of_samples(sum, Kind::Exact, Of::Empirical);
        Ok(Assignment { w2, partner })
    }

    /// Returns the distance of this sample to `first`, with the distance between `first` and
    /// `second`, two samples of the same law and of this size, as its bias.
    ///
    /// The bias of the empirical distance is mostly that of noise against noise, which the second
    /// distance shows. That is exact if all three samples have one law. The noise of this sample has
    /// its own scale, so the second distance is multiplied by
    /// $`\sqrt{\mathrm{tr}\, C_x/\mathrm{tr}\, C_y}`$ with the covariances of this sample and of
    /// `first`. That gives 9.6 for a bias of 9.5 where this law is twice as wide (n = 8, N = 100,
    /// isotropic Gaussians). For laws of different shape it is a guess.
    ///
    /// # Errors
    /// Those of [`assignment`](Self::assignment).
    pub fn debiased_to(&self, first: &Self, second: &Self) -> Result<W2> {
        let plain = self.assignment(first)?.w2;
        let null = first.assignment(second)?.w2;
        let [ours, theirs] = [self, first].map(|sample| sample.moments().covariance().trace());
        // A point mass has no noise, and against one there is none.
        let scale = if theirs > 0.0 { (ours / theirs).sqrt() } else { 0.0 };
        Ok(W2 { bias: Some(scale * null.squared), kind: Kind::Estimate, ..plain })
    }
}

impl MatrixLaw {
    /// Returns the optimal transport cost between the laws of singular-value vectors: where `H` is
    /// stationary, the squared distance of the matrix laws itself.
    ///
    /// Batches of runs are transported to one another and debiased by transports between two
    /// batches of the same law: $`\frac12 (d(A, B) + d(A', B')) - \frac12 (d(A, A') + d(B, B'))`$
    /// with `squared` the first half and the bias the second, for two batches of runs, A and A' of
    /// `W H`, B and B' of $`G/\sqrt n`$. The standard error is that of the mean over such groups, and
    /// intervals are Student's.
    ///
    /// Runs after the last whole group are not used, at most `2 batch - 1` of them.
    ///
    /// Cost: four assignments of `batch` vectors for every two batches, on the threads of the current
    /// pool. Each thread holds a cost matrix of `batch²` numbers: 0.5 GB for a batch of 8192.
    ///
    /// # Errors
    /// [`Error::SampleTooSmall`] if there are fewer than four batches of runs,
    /// [`Error::InvalidParameter`] for a batch of none or more than 8192.
    pub fn transport(&self, batch: usize) -> Result<W2> {
        if batch == 0 || batch > LARGEST {
            let (value, expected) = (batch as f64, "from 1 to 8192");
            return Err(Error::InvalidParameter { name: "batch", value, expected });
        }
        let groups = self.count() / (2 * batch);
        if groups < 2 {
            return Err(Error::SampleTooSmall { count: self.count(), minimum: 4 * batch });
        }
        let (product, gaussian) = self.singular_values();
        let costs = parallel::map(groups, |group| {
            let first = 2 * group * batch;
            let [a, b] = [product, gaussian].map(|all| all[first..first + batch].to_vec());
            let [c, d] = [product, gaussian].map(|all| all[first + batch..][..batch].to_vec());
            let across = (assignment_cost(&a, &b) + assignment_cost(&c, &d)) / 2.0;
            let within = (assignment_cost(&a, &c) + assignment_cost(&b, &d)) / 2.0;
            (across, within)
        });
        let across: Moments = costs.iter().map(|(across, _)| *across).collect();
        let within: Moments = costs.iter().map(|(_, within)| *within).collect();
        let debiased: Moments = costs.iter().map(|(across, within)| across - within).collect();
        Ok(W2 {
            law: Law::Matrix,
            bias: Some(within.mean()),
            sampling_error: Some(debiased.standard_error()),
            sampling_degrees: (groups - 1) as f64,
            ..W2::of_samples(across.mean(), Kind::Estimate, Of::Population)
        })
    }
}

/// The mean squared distance under the best assignment of equally many vectors.
fn assignment_cost(a: &[DVector<f64>], b: &[DVector<f64>]) -> f64 {
    let squares = DMatrix::from_fn(b.len(), a.len(), |j, i| (&a[i] - &b[j]).norm_squared());
    cost(&transportation::cheapest(&squares), |i, j| squares[(j, i)])
}

/// The mean cost of a plan.
fn cost(flows: &[Flow], cost: impl Fn(usize, usize) -> f64) -> f64 {
    let total: usize = flows.iter().map(|flow| flow.mass).sum();
    let costs = flows.iter().map(|flow| flow.mass as f64 * cost(flow.from, flow.to));
    costs.sum::<f64>() / total as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gram, Seed};

    /// Values of the linear programme (SciPy 1.17, HiGHS) for points on a parabola and off it.
    #[test]
    fn samples_of_unequal_size() {
        let points = |count: usize, bend: f64| {
            let rows = DMatrix::from_fn(count, 2, |i, k| {
                let x = (37 * i % 101) as f64 / 10.0;
                if k == 0 { x } else { bend * x * x + (i % 7) as f64 }
            });
            Sample::from_rows(&rows).unwrap()
        };
        for (ours, theirs, expected) in [
            (7, 12, 108.716_643),
            (60, 61, 136.129_789_071_311_5),
            (90, 91, 132.992_607_110_622_7),
            (40, 100, 132.302_953_12),
        ] {
            let (a, b) = (points(ours, 0.1), points(theirs, -0.2));
            let assignment = a.assignment(&b).unwrap();
            assert!(
                (assignment.w2.squared / expected - 1.0).abs() < 1e-11,
                "{}",
                assignment.w2.squared
            );
            assert_eq!(assignment.partner, None);
            assert!((b.assignment(&a).unwrap().w2.squared / expected - 1.0).abs() < 1e-11);
        }
    }

    /// Sorting takes any number of points; the area between two staircases is the value.
    #[test]
    fn numbers_are_sorted() {
        let numbers = |count: usize| {
            let of = |i: usize| (7919 * i % count) as f64 / count as f64;
            Sample::from_rows(&DMatrix::from_fn(count, 1, |i, _| of(i))).unwrap()
        };
        let (a, b) = (numbers(9001), numbers(9000));
        let ends = (1..=9001).flat_map(|i| [9000 * i, 9001 * i]).filter(|&x| x <= 9000 * 9001);
        let mut ends: Vec<usize> = ends.collect();
        ends.sort_unstable();
        let (mut last, mut expected) = (0, 0.0);
        for end in ends {
            let difference = (last / 9000) as f64 / 9001.0 - (last / 9001) as f64 / 9000.0;
            expected += (end - last) as f64 / (9000.0 * 9001.0) * difference.powi(2);
            last = end;
        }
        let found = a.assignment(&b).unwrap().w2.squared;
        assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
    }

    /// On a line the best assignment is that of sorted numbers.
    #[test]
    fn transports_of_single_singular_values() {
        let gram = Gram::from_factor(nalgebra::dmatrix![1.0]).unwrap();
        let mut law = MatrixLaw::new(1, 8).unwrap();
        for run in 0..14 {
            law.push(&gram, Seed(3).replicate(run)).unwrap();
        }
        let (product, gaussian) = law.singular_values();
        let cost = |a: &[DVector<f64>], b: &[DVector<f64>]| {
            let sorted = |x: &[DVector<f64>]| {
                let mut x: Vec<f64> = x.iter().map(|x| x[0]).collect();
                x.sort_by(f64::total_cmp);
                x
            };
            let squares = sorted(a).into_iter().zip(sorted(b)).map(|(a, b)| (a - b).powi(2));
            squares.sum::<f64>() / 3.0
        };
        let groups = [0, 6].map(|first| {
            let ([a, c], [b, d]) = [product, gaussian]
                .map(|all| [&all[first..first + 3], &all[first + 3..first + 6]])
                .into();
            [(cost(a, b) + cost(c, d)) / 2.0, (cost(a, c) + cost(b, d)) / 2.0]
        });
        let [[across, within], [across_2, within_2]] = groups;
        let w2 = law.transport(3).unwrap();
        assert!((w2.squared - (across + across_2) / 2.0).abs() < 1e-15);
        assert!((w2.bias.unwrap() - (within + within_2) / 2.0).abs() < 1e-15);
        // The standard error of the mean of two numbers is half their distance.
        let error = ((across - within) - (across_2 - within_2)).abs() / 2.0;
        assert!((w2.sampling_error.unwrap() - error).abs() < 1e-15);

        let too_few = Error::SampleTooSmall { count: 14, minimum: 16 };
        assert_eq!(law.transport(4), Err(too_few));
        for batch in [0, LARGEST + 1] {
            assert!(matches!(law.transport(batch), Err(Error::InvalidParameter { .. })));
        }
    }
}
