//! Between samples: optimal transport as an assignment (feature `assignment`).

use nalgebra::DVector;

use crate::statistics::Moments;
use crate::wasserstein::{Kind, Law, MatrixLaw, Of, Sample, W2, parallel};
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
    /// The exact squared Wasserstein-2 distance between two empirical laws.
    ///
    /// It is a poor estimate of the distance between populations: of two samples of one law it
    /// says about $`N^{-2/n}`$ times the variance, and at n = 16 and more no number of samples
    /// helps (10.8 for a truth of 0.64). What is known of a Gaussian target is better used, as all
    /// other estimators here do; [`debiased_to`](Self::debiased_to) subtracts the most of it.
    ///
    /// Cost: up to `O(N³)`, by shortest augmenting paths (Crouse 2016, as in SciPy); samples of
    /// different sizes are repeated up to their least common multiple.
    ///
    /// ```
    /// use nalgebra::dmatrix;
    /// use orthogap::wasserstein::Sample;
    ///
    /// let a = Sample::from_rows(&dmatrix![0.0, 0.0; 1.0, 0.0])?;
    /// let b = Sample::from_rows(&dmatrix![1.0, 1.0; 0.0, 1.0])?;
    /// let assignment = a.assignment(&b)?;
    /// assert!((assignment.w2.sq - 1.0).abs() < 1e-15);
    /// assert_eq!(assignment.partner, Some(vec![1, 0]));
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for other dimensions, [`Error::InvalidParameter`] if the common
    /// multiple of the sizes exceeds 8192.
    pub fn assignment(&self, other: &Self) -> Result<Assignment> {
        self.check_dimension("the other sample", other.dimension())?;
        let (ours, theirs) = (self.count(), other.count());
        let common = ours / gcd(ours, theirs) * theirs;
        if common > LARGEST {
            let expected = "at most 8192 for the least common multiple of the sizes";
            return Err(Error::InvalidParameter { name: "count", value: common as f64, expected });
        }
        let squares = self.squared_distances(other);
        let cost = (0..common)
            .flat_map(|i| (0..common).map(move |j| (i % ours, j % theirs)))
            .map(|place| squares[place])
            .collect();
        let partner = solve(common, cost);
        let pairs = partner.iter().enumerate().map(|(i, &j)| squares[(i % ours, j % theirs)]);
        let sq = pairs.sum::<f64>() / common as f64;
        let w2 = W2::of_samples(sq, Kind::Exact, Of::Empirical);
        Ok(Assignment { w2, partner: (ours == theirs).then_some(partner) })
    }

    /// The distance of this sample to `first`, with the distance between `first` and `second`,
    /// two samples of the same law and of this size, as its bias.
    ///
    /// The bias of the empirical distance is mostly that of noise against noise, which the second
    /// distance shows. That is exact if all three samples have one law. The noise of this sample has
    /// its own scale, so the second distance counts $`\sqrt{\mathrm{tr}\, C_x/\mathrm{tr}\, C_y}`$
    /// times, with the covariances of this sample and of `first`: 9.6 for a bias of 9.5 where this law
    /// is twice as wide (n = 8, N = 100, isotropic Gaussians). For laws of different shape it is a guess.
    ///
    /// # Errors
    /// Those of [`assignment`](Self::assignment).
    pub fn debiased_to(&self, first: &Self, second: &Self) -> Result<W2> {
        let plain = self.assignment(first)?.w2;
        let null = first.assignment(second)?.w2;
        let [ours, theirs] = [self, first].map(|sample| sample.moments().covariance().trace());
        // A point mass has no noise, and against one there is none.
        let scale = if theirs > 0.0 { (ours / theirs).sqrt() } else { 0.0 };
        Ok(W2 { bias: Some(scale * null.sq), kind: Kind::Estimate, ..plain })
    }
}

impl MatrixLaw {
    /// The optimal transport cost between the laws of singular-value vectors: where `H` is
    /// stationary, the squared distance of the matrix laws itself.
    ///
    /// Batches of runs are transported to one another and debiased by transports between two
    /// batches of the same law: $`\frac12 (d(A, B) + d(A', B')) - \frac12 (d(A, A') + d(B, B'))`$
    /// with `sq` the first half and the bias the second; the standard error is that of the mean
    /// over groups of four batches, and intervals are Student's.
    ///
    /// Cost: four assignments of `batch` vectors for every two batches.
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
            let across = (cost(&a, &b) + cost(&c, &d)) / 2.0;
            let within = (cost(&a, &c) + cost(&b, &d)) / 2.0;
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
fn cost(a: &[DVector<f64>], b: &[DVector<f64>]) -> f64 {
    let squares = |i: usize, j: usize| (&a[i] - &b[j]).norm_squared();
    let flat = (0..a.len()).flat_map(|i| (0..b.len()).map(move |j| (i, j)));
    let partner = solve(a.len(), flat.map(|(i, j)| squares(i, j)).collect());
    let total: f64 = partner.iter().enumerate().map(|(i, &j)| squares(i, j)).sum();
    total / a.len() as f64
}

/// The column that each row of a square cost matrix, row by row, is assigned to.
fn solve(order: usize, cost: Vec<f64>) -> Vec<usize> {
    lsap::solve(order, order, &cost, false).expect("finite costs can be assigned").1
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gram, Seed};

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
        assert!((w2.sq - (across + across_2) / 2.0).abs() < 1e-15);
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
