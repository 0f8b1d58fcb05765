//! The law of one row of `W H`, collected over independent runs.

use nalgebra::{DMatrix, RowDVector};

use super::{Bracket, Gaussian, Sample};
use crate::statistics::Moments;
use crate::{Error, Gram, Purpose, Replicate, Result};

/// One row of `W H` from each of many runs, where `W` has independent N(0, 1) entries and `H` is of
/// Frobenius norm one.
///
/// At large width a row is close to Gaussian: its squared distance is about $`n^4/(128 d^2)`$
/// ([`row_squared_distance`](crate::theory::wasserstein_law::row_squared_distance)), below the noise of
/// fewer than about $`d^2`$ rows.
///
/// The rows of one `W H` share their `H`, so they are not independent, and a [`Sample`] of them has
/// wrong standard errors. Here each run gives one row.
///
/// ```
/// use orthogap::wasserstein::{Gaussian, RowLaw};
/// use orthogap::{Input, Network, Seed};
///
/// let (network, input) = (Network::<f64>::new(64), Input::orthogonal(4)?);
/// let mut rows = RowLaw::new(4)?;
/// for index in 0..200 {
///     let run = Seed(1).replicate(index);
///     rows.push(network.chain(&input, run)?.advance(20)?, run)?;
/// }
/// let target = Gaussian::isotropic(4, 0.5)?; // the deviation of orthogonal samples, 1/sqrt(n)
/// let bracket = rows.bracket(&target, Seed(2))?;
/// assert!(bracket.lower().1.debiased() < bracket.upper().1.debiased());
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RowLaw {
    batch_size: usize,
    rows: Vec<RowDVector<f64>>,
    coupling: Moments,
}

/// The layer of a run's [`Purpose::Targets`] stream that rows are drawn from; those before it are
/// [`MatrixLaw`](super::MatrixLaw)'s.
const LAYER: u32 = 3;

impl RowLaw {
    /// Creates a collector without rows, for batches of `n` samples.
    ///
    /// # Errors
    /// [`Error::Empty`] if `n` is 0.
    pub fn new(batch_size: usize) -> Result<Self> {
        if batch_size == 0 {
            return Err(Error::Empty { rows: 0, columns: 0 });
        }
        Ok(Self { batch_size, rows: Vec::new(), coupling: Moments::new() })
    }

    /// Draws a row of `W H` given the final Gram matrix of a run, and adds it.
    ///
    /// The normals of the row depend on the run alone, so push one Gram matrix of each run. Cost:
    /// `r n` multiply-adds, and n numbers of memory for each run.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] of the batch size.
    pub fn push(&mut self, gram: &Gram, run: impl Into<Replicate>) -> Result<()> {
        let n = self.batch_size;
        if gram.batch_size() != n {
            let (found, expected) = ((gram.batch_size(), gram.batch_size()), (n, n));
            return Err(Error::ShapeMismatch { what: "the Gram matrix", found, expected });
        }
        let mut normals = RowDVector::zeros(gram.rank());
        run.into().stream(Purpose::Targets, LAYER, 0).fill_normal(normals.as_mut_slice());
        self.rows.push(normals * gram.factor());
        self.coupling.push(gram.coupling_bound());
        Ok(())
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Returns the rows as independent samples.
    ///
    /// # Errors
    /// [`Error::Empty`] if there are none.
    pub fn sample(&self) -> Result<Sample> {
        if self.rows.is_empty() {
            return Err(Error::Empty { rows: 0, columns: self.batch_size });
        }
        Sample::from_rows(&DMatrix::from_rows(&self.rows))
    }

    /// Computes certified bounds on the squared distance of the row law to a Gaussian: see
    /// [`Sample::bracket`].
    ///
    /// The coupling bound of Lemma 2 is among them if the target is N(0, I/n), made by
    /// [`Gaussian::isotropic`]. Directions are drawn from streams of `run`.
    ///
    /// # Errors
    /// Those of [`sample`](Self::sample) and of [`Sample::bracket`].
    pub fn bracket(&self, target: &Gaussian, run: impl Into<Replicate>) -> Result<Bracket> {
        let deviation = (self.batch_size as f64).sqrt().recip();
        let is_limit = target.isotropic_deviation().is_some_and(|tau| {
            (tau - deviation).abs() <= 4.0 * f64::EPSILON && target.mean().iter().all(|&m| m == 0.0)
        });
        self.sample()?.bracket(target, is_limit.then_some(&self.coupling), run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasserstein::Bound;
    use crate::{Input, Seed};

    /// Covariances of 4,000 rows of one Gram matrix: ten entries at 4.5 standard errors, a false
    /// alarm rate of 7e-5; the seed is fixed.
    #[test]
    fn rows_have_the_gram_matrix_as_their_covariance() {
        const RUNS: u32 = 4000;
        let input = Input::near_collinear(4, 0.5).unwrap();
        let mut rows = RowLaw::new(4).unwrap();
        for run in 0..RUNS {
            rows.push(input.gram(), Seed(5).replicate(run)).unwrap();
        }
        assert_eq!(rows.count(), RUNS as usize);
        let (sample, expected) = (rows.sample().unwrap(), input.gram().matrix());
        let found = sample.moments().covariance();
        for i in 0..4 {
            for j in i..4 {
                let product = expected[(i, i)] * expected[(j, j)];
                let error = ((product + expected[(i, j)].powi(2)) / f64::from(RUNS)).sqrt();
                let z = (found[(i, j)] - expected[(i, j)]) / error;
                assert!(z.abs() < 4.5, "({i}, {j}): {z}");
            }
        }
    }

    /// The bound of Lemma 2 is one to N(0, I/n), to nothing near it.
    #[test]
    fn coupling_bounds_belong_to_one_target() {
        let input = Input::near_collinear(4, 0.5).unwrap();
        let mut rows = RowLaw::new(4).unwrap();
        for run in 0..50 {
            rows.push(input.gram(), Seed(6).replicate(run)).unwrap();
        }
        let coupling = |target: Gaussian| {
            let bracket = rows.bracket(&target, Seed(7)).unwrap();
            let bound = bracket.upper_bounds.iter().find(|(bound, _)| *bound == Bound::Coupling);
            bound.map(|(_, w2)| w2.squared)
        };
        let limit = Gaussian::isotropic(4, 0.5).unwrap();
        let expected = input.gram().coupling_bound();
        assert!((coupling(limit.clone()).unwrap() - expected).abs() < 1e-14);
        for tau in [0.5 + 1e-9, 0.5 - 1e-9, 1.0, 0.25] {
            assert_eq!(coupling(Gaussian::isotropic(4, tau).unwrap()), None);
        }
        assert_eq!(coupling(limit.with_mean(&[0.0, 0.0, 1e-9, 0.0]).unwrap()), None);
        let other = Gaussian::diagonal(&[0.25, 0.25, 0.25, 0.3]).unwrap();
        assert_eq!(coupling(other), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(RowLaw::new(0).is_err());
        let mut rows = RowLaw::new(3).unwrap();
        assert!(matches!(rows.sample(), Err(Error::Empty { .. })));
        let four = Input::orthogonal(4).unwrap();
        assert!(matches!(rows.push(four.gram(), Seed(1)), Err(Error::ShapeMismatch { .. })));
    }
}
