//! The matrix law over runs: an optimal transport between vectors of singular values.

use nalgebra::{DMatrix, DVector};

use crate::factorization;
use crate::statistics::Moments;
use crate::wasserstein::bracket::coupling_bound;
use crate::wasserstein::bures::singular_values;
use crate::wasserstein::distance::combine;
use crate::wasserstein::{Bound, Bracket, Kind, Law, Of, W2};
use crate::{Error, Gram, Purpose, Replicate, Result};

/// Samples of the law of `W H` over runs, and of the law of $`G/\sqrt n`$ beside them, through
/// their sorted singular values.
///
/// `H` is random with Frobenius norm one, `W` is fresh, all entries of `W` and `G` are N(0, 1/d).
/// The law of `W H` is invariant under rotations from the left, and where `H` is stationary under
/// rotations from the right as well. Then its squared distance to $`G/\sqrt n`$ **equals** the
/// optimal transport cost between the laws of the n sorted singular values: a problem in n
/// dimensions, not in d n. In general that cost is a lower bound (Mirsky's inequality). Stationary means
/// runs of several times n/2 layers, above the critical width of about n²/4.
///
/// ```
/// use orthogap::statistics::Interval;
/// use orthogap::wasserstein::{Bound, MatrixLaw};
/// use orthogap::{Input, Network, Seed};
///
/// let (n, d) = (4, 512);
/// let mut law = MatrixLaw::new(n, d)?;
/// let input = Input::orthogonal(n)?;
/// for run in 0..200 {
///     let run = Seed(7).replicate(run);
///     law.push(Network::<f64>::new(d).chain(&input, run)?.advance(20)?.gram(), run)?;
/// }
/// let bracket = law.bracket()?;
/// // The limit is 5.131e-4; the coupling is 2.65e-3.
/// let Interval { low, high } = bracket.confidence_interval(0.99)?;
/// assert!(low < 5.13e-4 && 2.6e-3 < high);
/// assert_eq!(bracket.upper().0, Bound::Coupling);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixLaw {
    batch_size: usize,
    width: usize,
    coupling: Moments,
    /// Singular values of `W H`, descending, one vector a run.
    of_product: Vec<DVector<f64>>,
    /// Singular values of $`G/\sqrt n`$.
    of_gaussian: Vec<DVector<f64>>,
}

/// The uses that a run has of its [`Purpose::Targets`] stream, by layer.
#[derive(Clone, Copy)]
enum Draw {
    Weights = 1,
    Gaussian = 2,
}

impl MatrixLaw {
    /// Creates a collector without runs, for networks of batch size n and width d.
    ///
    /// # Errors
    /// [`Error::Empty`] if one of them is zero.
    pub fn new(batch_size: usize, width: usize) -> Result<Self> {
        if batch_size == 0 || width == 0 {
            return Err(Error::Empty { rows: width, columns: batch_size });
        }
        Ok(Self {
            batch_size,
            width,
            coupling: Moments::new(),
            of_product: Vec::new(),
            of_gaussian: Vec::new(),
        })
    }

    /// Adds the `H` of a run. All runs must differ, since `W` and `G` are drawn from their streams.
    ///
    /// Cost: `2 d n` normals and `O(d n²)` operations, `O(n²)` memory.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for another batch size.
    pub fn push(&mut self, gram: &Gram, run: impl Into<Replicate>) -> Result<()> {
        let n = self.batch_size;
        if gram.batch_size() != n {
            let (found, expected) = ((gram.batch_size(), gram.batch_size()), (n, n));
            return Err(Error::ShapeMismatch { what: "the Gram matrix", found, expected });
        }
        let run = run.into();
        let ideal = DMatrix::from_diagonal_element(n, n, (n as f64).sqrt().recip());
        self.coupling.push(gram.coupling_bound());
        self.of_product.push(self.draw(gram.factor(), run, Draw::Weights));
        self.of_gaussian.push(self.draw(&ideal, run, Draw::Gaussian));
        Ok(())
    }

    /// The singular values of `Z R` for the factor `R` (`r x n`) and `Z` (`d x r`) with entries
    /// N(0, 1/d).
    fn draw(&self, factor: &DMatrix<f64>, run: Replicate, draw: Draw) -> DVector<f64> {
        const ROWS: usize = 256;
        let (n, d, r) = (self.batch_size, self.width, factor.nrows());
        // Z = Q M with a triangle M, row block by row block.
        let mut triangle = DMatrix::<f64>::zeros(0, r);
        for (block, first) in (0..).zip((0..d).step_by(ROWS)) {
            let rows = ROWS.min(d - first);
            let mut normals = DMatrix::<f64>::zeros(rows, r);
            run.stream(Purpose::Targets, draw as u32, block).fill_normal(normals.as_mut_slice());
            let above = triangle.nrows();
            let mut stacked = triangle.resize_vertically(above + rows, 0.0);
            stacked.rows_mut(above, rows).copy_from(&normals);
            triangle = if stacked.nrows() > r { factorization::triangle(stacked) } else { stacked };
        }
        let product = triangle * factor / (d as f64).sqrt();
        let mut values = singular_values(&product);
        values.sort_by(|a, b| b.total_cmp(a));
        values.resize(n, 0.0);
        DVector::from_vec(values)
    }

    /// Returns the number of runs so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.of_product.len()
    }

    /// Returns the vectors of singular values of `W H` and of $`G/\sqrt n`$, one a run.
    #[must_use]
    pub fn singular_values(&self) -> (&[DVector<f64>], &[DVector<f64>]) {
        (&self.of_product, &self.of_gaussian)
    }

    /// Returns certified bounds on the squared distance of the matrix laws.
    ///
    /// From below, the laws of the spread $`\lVert \sigma - \bar\sigma \rVert`$ of singular values
    /// about their own mean, a 1-Lipschitz image on a line, which is sharp for wide stationary
    /// networks; and the means of sigma. From above, the mean coupling bound.
    ///
    /// # Errors
    /// [`Error::SampleTooSmall`] below four runs.
    pub fn bracket(&self) -> Result<Bracket> {
        if self.count() < 4 {
            return Err(Error::SampleTooSmall { count: self.count(), minimum: 4 });
        }
        Ok(Bracket {
            lower_bounds: vec![
                (Bound::SingularValueSpread, self.spread_bound()),
                (Bound::SingularValueMeans, self.means_bound()),
            ],
            upper_bounds: vec![(Bound::Coupling, coupling_bound(&self.coupling, Law::Matrix))],
        })
    }

    fn spread_bound(&self) -> W2 {
        let spreads = |vectors: &[DVector<f64>]| {
            vectors.iter().map(|sigma| sigma.add_scalar(-sigma.mean()).norm()).collect::<Vec<_>>()
        };
        let (x, y) = (spreads(&self.of_product), spreads(&self.of_gaussian));
        let (squared, influence) = two_samples(x.clone(), y.clone());
        // Halves of one sample show what noise alone adds, twice as much as for the whole.
        let null = |values: &[f64]| {
            let half = values.len() / 2;
            two_samples(values[..half].to_vec(), values[half..2 * half].to_vec()).0
        };
        let bias = (null(&x) + null(&y)) / 4.0;
        matrix_lower_bound(squared, bias, influence)
    }

    fn means_bound(&self) -> W2 {
        let count = self.count() as f64;
        let mean = |vectors: &[DVector<f64>]| vectors.iter().sum::<DVector<f64>>() / count;
        let (a, b) = (mean(&self.of_product), mean(&self.of_gaussian));
        let difference = &a - &b;
        let mut bias = 0.0;
        let mut influence = |vectors: &[DVector<f64>], mean: &DVector<f64>| {
            let total: f64 = vectors.iter().map(|sigma| (sigma - mean).norm_squared()).sum();
            bias += total / (count - 1.0) / count;
            vectors.iter().map(|sigma| 2.0 * sigma.dot(&difference)).collect()
        };
        let influence = [influence(&self.of_product, &a), influence(&self.of_gaussian, &b)];
        matrix_lower_bound(difference.norm_squared(), bias, influence)
    }
}

/// A bound from two independent samples, with the influence of each of their members.
fn matrix_lower_bound(squared: f64, bias: f64, influence: [Moments; 2]) -> W2 {
    let errors = influence.map(|values| values.standard_error());
    let degrees = influence.map(|values| values.count() as f64 - 1.0);
    let (error, sampling_degrees) = combine(errors, degrees);
    W2 {
        law: Law::Matrix,
        bias: Some(bias),
        sampling_error: Some(error),
        sampling_degrees,
        ..W2::of_samples(squared, Kind::Lower, Of::Population)
    }
}

/// The squared distance of two equally large samples on a line, and the influence of each number:
/// the potentials of the optimal transport.
fn two_samples(mut x: Vec<f64>, mut y: Vec<f64>) -> (f64, [Moments; 2]) {
    x.sort_by(f64::total_cmp);
    y.sort_by(f64::total_cmp);
    let count = x.len() as f64;
    let squared = x.iter().zip(&y).map(|(x, y)| (x - y).powi(2)).sum::<f64>() / count;
    let potential = |from: &[f64], to: &[f64]| {
        let (mut twice_u, mut last) = (0.0, (from[0], to[0]));
        let values = from.iter().zip(to).map(|(&a, &b)| {
            // The map goes from one image to the next between two samples.
            twice_u += (last.1 + b) * (a - last.0);
            last = (a, b);
            a * a - twice_u
        });
        values.collect()
    };
    (squared, [potential(&x, &y), potential(&y, &x)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use approx::assert_relative_eq;
    use nalgebra::dmatrix;

    /// A shift by c has the potential -2 c x: an error of 2 c times the deviation on either side.
    #[test]
    fn two_samples_apart_by_a_shift() {
        let x = vec![0.3, -1.0, 2.0, 0.7];
        let y: Vec<f64> = x.iter().rev().map(|x| x + 3.0).collect();
        let (squared, influence) = two_samples(x.clone(), y);
        assert_relative_eq!(squared, 9.0, max_relative = 1e-14);
        let variance = x.iter().map(|x| (x - 0.5).powi(2)).sum::<f64>() / 3.0;
        let w2 = matrix_lower_bound(squared, 0.0, influence);
        let expected = 6.0 * (2.0 * variance / 4.0).sqrt();
        assert_relative_eq!(w2.sampling_error.unwrap(), expected, max_relative = 1e-14);
        // Two variances that are equal have the degrees of freedom of both.
        assert_relative_eq!(w2.sampling_degrees, 6.0, max_relative = 1e-13);
    }

    /// Blocks of rows that are drawn and forgotten, against the whole matrix.
    #[test]
    fn singular_values_are_those_of_the_product() {
        let run = Seed(3).replicate(0);
        for (factor, d) in [
            (dmatrix![1.0, 0.5; 0.0, 0.2], 600),
            (dmatrix![1.0, 0.5; 0.0, 0.2], 1),
            (dmatrix![1.0, 0.5, -0.3], 300),
        ] {
            let gram = Gram::from_factor(factor).unwrap();
            let (n, r) = (gram.batch_size(), gram.rank());
            let mut law = MatrixLaw::new(n, d).unwrap();
            law.push(&gram, run).unwrap();
            let normals = |draw: Draw, columns| {
                let mut all = DMatrix::<f64>::zeros(d, columns);
                for (block, first) in (0..).zip((0..d).step_by(256)) {
                    let mut rows = DMatrix::<f64>::zeros(256.min(d - first), columns);
                    let stream = run.stream(Purpose::Targets, draw as u32, block);
                    stream.fill_normal(rows.as_mut_slice());
                    all.rows_mut(first, rows.nrows()).copy_from(&rows);
                }
                all / (d as f64).sqrt()
            };
            let product = normals(Draw::Weights, r) * gram.factor();
            let gaussian = normals(Draw::Gaussian, n) / (n as f64).sqrt();
            let (products, gaussians) = law.singular_values();
            for (values, matrix) in [(&products[0], product), (&gaussians[0], gaussian)] {
                assert_eq!(values.len(), n);
                let squares = (matrix.transpose() * &matrix).symmetric_eigenvalues();
                let mut squares: Vec<f64> = squares.iter().copied().collect();
                squares.sort_by(|a, b| b.total_cmp(a));
                for (value, square) in values.iter().zip(squares) {
                    assert!((value * value - square).abs() < 1e-14);
                }
            }
        }
    }

    /// Singular values (s, 0) have the spread s/sqrt(2). Seven runs have halves of three.
    #[test]
    fn halves_of_a_sample_tell_the_bias() {
        let with_spreads = |spreads: [f64; 7]| {
            spreads.map(|spread| DVector::from_vec(vec![2f64.sqrt() * spread, 0.0])).to_vec()
        };
        let mut law = MatrixLaw::new(2, 1).unwrap();
        law.of_product = with_spreads([1.0, 2.0, 3.0, 5.0, 4.0, 6.0, 9.0]); // halves 3 apart
        law.of_gaussian = with_spreads([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0]); // and 1
        let w2 = law.spread_bound();
        let squares = 1.0 + 4.0 + 9.0 + 16.0 + 16.0 + 25.0 + 64.0;
        assert_relative_eq!(w2.squared, squares / 7.0, max_relative = 1e-14);
        // Twice as much noise in halves, and two samples.
        assert_relative_eq!(w2.bias.unwrap(), (9.0 + 1.0) / 4.0, max_relative = 1e-14);
    }

    /// Of one sample there is one singular value, and its spread is none.
    #[test]
    fn bounds_in_one_dimension() {
        let gram = Gram::from_factor(dmatrix![1.0]).unwrap();
        let mut law = MatrixLaw::new(1, 3).unwrap();
        for run in 0..4 {
            assert!(law.bracket().is_err());
            law.push(&gram, Seed(3).replicate(run)).unwrap();
        }
        let bracket = law.bracket().unwrap();
        let means = bracket.lower_bounds[1].1;
        let moments = |values: &[DVector<f64>]| {
            let values: Moments = values.iter().map(|x| x[0]).collect();
            (values.mean(), values.standard_error().powi(2))
        };
        let (products, gaussians) = law.singular_values();
        let ((a, square_a), (b, square_b)) = (moments(products), moments(gaussians));
        assert_relative_eq!(means.squared, (a - b).powi(2), max_relative = 1e-13);
        assert_relative_eq!(means.bias.unwrap(), square_a + square_b, max_relative = 1e-13);
        // By the derivative 2 (a - b).
        let error = 2.0 * (a - b).abs() * (square_a + square_b).sqrt();
        assert_relative_eq!(means.sampling_error.unwrap(), error, max_relative = 1e-13);
        assert_eq!(bracket.lower_bounds[0].1.squared, 0.0);
        assert_eq!(bracket.upper_bounds[0].1.squared, 0.0); // H is orthogonal
    }
}
