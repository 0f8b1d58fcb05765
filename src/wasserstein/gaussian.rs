//! Gaussian laws, the targets of distances.

use nalgebra::{DMatrix, DVector, Dim, Matrix, RawStorage};

use crate::check;
use crate::factorization::{check_symmetric, cholesky, symmetric_eigenvalues};
use crate::{Error, Gram, Purpose, Replicate, Result, Scalar};

/// A Gaussian law on vectors of n numbers, possibly singular.
///
/// The covariance is held as a factor `F` (`n x k`) with $`A = F F^\top`$, so singular ones are
/// valid, and no root of a rounding error is taken.
///
/// ```
/// use orthogap::nalgebra::{self, dmatrix};
/// use orthogap::wasserstein::Gaussian;
///
/// // Rank one: the diagonal of the plane.
/// let line = Gaussian::from_factor(&dmatrix![1.0; 1.0])?;
/// let plane = Gaussian::isotropic(2, 1.0)?;
/// let distance = line.w2(&plane)?;
/// let expected = (2f64.sqrt() - 1.0).powi(2) + 1.0;
/// assert!((distance.squared - expected).abs() < 1e-15);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    mean: DVector<f64>,
    pub(super) shape: Shape,
}

/// The covariance.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// All directions have this standard deviation.
    Isotropic(f64),
    /// The coordinates are independent and have these standard deviations.
    Diagonal(DVector<f64>),
    /// A factor, `n x k`.
    Factor(DMatrix<f64>),
    /// A well-conditioned matrix and the standard deviations along its eigenvectors.
    Covariance { matrix: DMatrix<f64>, deviations: Vec<f64> },
}

/// Where the smallest eigenvalue of a covariance is larger than this part of the largest, the roots
/// of all of them are exact to 1e-13 of the largest.
const WELL_CONDITIONED: f64 = 1e-6;

impl Gaussian {
    /// Creates $`N(0, \tau^2 I)`$ with `deviation` $`\tau`$; zero gives the point mass at the
    /// origin.
    ///
    /// The law of a row at perfect orthogonality is that of deviation $`1/\sqrt n`$ (see
    /// [`Law`](super::Law) for the scale of rows).
    ///
    /// # Errors
    /// [`Error::Empty`] in dimension 0, [`Error::InvalidParameter`] for a deviation that is
    /// negative or not finite, and for a total variance above 1e300.
    pub fn isotropic(dimension: usize, deviation: f64) -> Result<Self> {
        check::not_negative("deviation", deviation)?;
        Self::centered(dimension, Shape::Isotropic(deviation))
    }

    /// Creates the law of independent coordinates with these variances.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::InvalidParameter`] for a variance that is negative or not finite,
    /// and for a total above 1e300.
    pub fn diagonal(variances: &[f64]) -> Result<Self> {
        for &variance in variances {
            check::not_negative("variance", variance)?;
        }
        let deviations =
            DVector::from_iterator(variances.len(), variances.iter().map(|v| v.sqrt()));
        Self::centered(variances.len(), Shape::Diagonal(deviations))
    }

    /// Creates $`N(0, F F^\top)`$ with the factor `F` (`n x k`, any k).
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`], [`Error::InvalidParameter`] for a total variance above
    /// 1e300.
    pub fn from_factor<T, R, C, S>(factor: &Matrix<T, R, C, S>) -> Result<Self>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        Self::centered(factor.nrows(), Shape::Factor(finite_matrix(factor)?))
    }

    /// Creates $`N(0, A)`$ with the covariance `A` (`n x n`).
    ///
    /// Unless it is well conditioned, it is factored by a pivoted Cholesky factorisation, which
    /// ends when the rest is below n roundings of the largest variance. Directions of smaller
    /// variance count as zero. [`from_factor`](Self::from_factor) loses nothing.
    ///
    /// Cost: `2/3 n³` multiply-adds for its eigenvalues, and `n² r` at rank r if it is ill
    /// conditioned.
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::wasserstein::Gaussian;
    ///
    /// let singular = Gaussian::from_covariance(&dmatrix![1.0, 2.0; 2.0, 4.0])?;
    /// assert_eq!(singular.w2(&singular)?.squared, 0.0);
    /// assert!(Gaussian::from_covariance(&dmatrix![1.0, 2.0; 2.0, 3.9]).is_err());
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`], [`Error::ShapeMismatch`] if it is not square,
    /// [`Error::InvalidParameter`] if it is not symmetric or not positive semidefinite, and for a
    /// trace above 1e300.
    pub fn from_covariance<T, R, C, S>(covariance: &Matrix<T, R, C, S>) -> Result<Self>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        let found = covariance.shape();
        if found.0 != found.1 {
            let expected = (found.0, found.0);
            return Err(Error::ShapeMismatch { what: "the covariance", found, expected });
        }
        let matrix = finite_matrix(covariance)?;
        check_symmetric("covariance", &matrix, T::EPSILON)?;
        let eigenvalues = symmetric_eigenvalues(matrix.clone())?;
        let largest = eigenvalues[0];
        if largest > 0.0 && eigenvalues.iter().all(|&mu| mu > WELL_CONDITIONED * largest) {
            let deviations = eigenvalues.iter().map(|mu| mu.sqrt()).collect();
            return Self::centered(found.0, Shape::Covariance { matrix, deviations });
        }
        let factor = pivoted_cholesky(matrix, T::EPSILON)?;
        Self::centered(found.0, Shape::Factor(factor))
    }

    /// Returns the law of a row of `W H` given `H`: $`N(0, C)`$, with the Gram matrix `C` of `H`.
    #[must_use]
    pub fn of_row(gram: &Gram) -> Self {
        let mean = DVector::zeros(gram.batch_size());
        Self { mean, shape: Shape::Factor(gram.factor().transpose()) }
    }

    /// Sets the mean.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`], [`Error::NotFinite`], [`Error::InvalidParameter`] for a squared norm
    /// above 1e300.
    pub fn with_mean(self, mean: &[f64]) -> Result<Self> {
        let (found, expected) = ((mean.len(), 1), (self.dimension(), 1));
        if found != expected {
            return Err(Error::ShapeMismatch { what: "the mean", found, expected });
        }
        let mean = finite_matrix(&DVector::from_column_slice(mean))?.column(0).into_owned();
        in_range("squared norm of the mean", mean.norm_squared())?;
        Ok(Self { mean, ..self })
    }

    fn centered(dimension: usize, shape: Shape) -> Result<Self> {
        if dimension == 0 {
            return Err(Error::Empty { rows: 0, columns: 0 });
        }
        let law = Self { mean: DVector::zeros(dimension), shape };
        in_range("total variance", law.total_variance())?;
        Ok(law)
    }

    /// Returns the dimension n.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.mean.len()
    }

    /// Returns the mean.
    #[must_use]
    pub fn mean(&self) -> &DVector<f64> {
        &self.mean
    }

    /// Returns a factor of the covariance, `n x k`.
    #[must_use]
    pub fn factor(&self) -> DMatrix<f64> {
        let n = self.dimension();
        match &self.shape {
            Shape::Isotropic(deviation) => DMatrix::from_diagonal_element(n, n, *deviation),
            Shape::Diagonal(deviations) => DMatrix::from_diagonal(deviations),
            Shape::Factor(factor) => factor.clone(),
            Shape::Covariance { matrix, .. } => {
                cholesky(matrix.clone()).expect("it is well conditioned")
            }
        }
    }

    /// Returns the trace of the covariance.
    #[must_use]
    pub fn total_variance(&self) -> f64 {
        match &self.shape {
            Shape::Isotropic(deviation) => self.dimension() as f64 * deviation * deviation,
            Shape::Diagonal(deviations) => deviations.norm_squared(),
            Shape::Factor(factor) => factor.norm_squared(),
            Shape::Covariance { matrix, .. } => matrix.trace(),
        }
    }

    /// Rows times the factor: `N x n` to `N x k`.
    pub(super) fn rows_times_factor(&self, rows: &DMatrix<f64>) -> DMatrix<f64> {
        match &self.shape {
            Shape::Isotropic(deviation) => rows * *deviation,
            Shape::Diagonal(deviations) => {
                let mut scaled = rows.clone();
                for (mut column, &deviation) in scaled.column_iter_mut().zip(deviations) {
                    column *= deviation;
                }
                scaled
            }
            Shape::Factor(factor) => rows * factor,
            Shape::Covariance { .. } => rows * self.factor(),
        }
    }

    /// The factor times rows, back again: `N x k` to `N x n`, $`Y F^\top`$.
    fn rows_times_transposed_factor(&self, rows: &DMatrix<f64>) -> DMatrix<f64> {
        match &self.shape {
            Shape::Factor(factor) => rows * factor.transpose(),
            Shape::Covariance { .. } => rows * self.factor().transpose(),
            _ => self.rows_times_factor(rows),
        }
    }

    /// The columns of the factor.
    pub(super) fn factor_columns(&self) -> usize {
        match &self.shape {
            Shape::Factor(factor) => factor.ncols(),
            _ => self.dimension(),
        }
    }

    /// The standard deviations of the projections onto the columns of `directions` (`n x L`).
    pub(super) fn deviations_along(&self, directions: &DMatrix<f64>) -> Vec<f64> {
        let through = self.rows_times_factor(&directions.transpose());
        through.row_iter().map(|row| row.norm()).collect()
    }

    /// Draws `count` independent samples, the rows of a `count x n` matrix.
    ///
    /// Stream `block` of purpose [`Targets`](Purpose::Targets) and layer 0 of the run:
    /// different blocks are independent.
    ///
    /// Cost: `count k` normals and, for a factor of k columns, `count n k` multiply-adds; k is n unless
    /// the law was made from a factor or a singular covariance. It holds the `count k` normals beside
    /// the samples.
    #[must_use]
    pub fn sample(&self, count: usize, run: impl Into<Replicate>, block: u32) -> DMatrix<f64> {
        let mut normals = DMatrix::zeros(count, self.factor_columns());
        run.into().stream(Purpose::Targets, 0, block).fill_normal(normals.as_mut_slice());
        let mut rows = self.rows_times_transposed_factor(&normals);
        for (mut column, &mean) in rows.column_iter_mut().zip(&self.mean) {
            column.add_scalar_mut(mean);
        }
        rows
    }
}

/// A matrix in `f64`, not empty and all finite.
pub(super) fn finite_matrix<T, R, C, S>(matrix: &Matrix<T, R, C, S>) -> Result<DMatrix<f64>>
where
    T: Scalar,
    R: Dim,
    C: Dim,
    S: RawStorage<T, R, C>,
{
    let (rows, columns) = matrix.shape();
    if matrix.is_empty() {
        return Err(Error::Empty { rows, columns });
    }
    let matrix = DMatrix::from_fn(rows, columns, |i, j| matrix[(i, j)].into());
    check::entries(&matrix)?;
    Ok(matrix)
}

/// Whether a few sums of squares like this one can be added up.
pub(super) fn in_range(name: &'static str, sum_of_squares: f64) -> Result<()> {
    check::parameter(name, sum_of_squares, sum_of_squares <= 1e300, "at most 1e300").map(|_| ())
}

/// A factor `F` (`n x r`) of a symmetric positive semidefinite matrix, $`F F^\top = A`$, by the
/// Cholesky factorisation with diagonal pivoting; r is the numerical rank. Entries come with relative
/// errors of `epsilon`.
fn pivoted_cholesky(mut rest: DMatrix<f64>, epsilon: f64) -> Result<DMatrix<f64>> {
    let n = rest.nrows();
    let largest = rest.diagonal().max();
    let tolerance = n as f64 * epsilon * largest.max(0.0);
    let invalid = |value, expected| Error::InvalidParameter { name: "covariance", value, expected };
    let indefinite = "a positive semidefinite matrix";
    let mut columns = Vec::new();
    for _ in 0..n {
        let (pivot, largest) = rest.diagonal().argmax();
        if largest <= tolerance {
            break;
        }
        let column = rest.column(pivot) / largest.sqrt();
        rest.ger(-1.0, &column, &column, 1.0);
        rest.row_mut(pivot).fill(0.0);
        rest.column_mut(pivot).fill(0.0);
        columns.push(column);
    }
    let lowest = rest.diagonal().min();
    // What is left of a semidefinite matrix is as small as its diagonal, rounding apart.
    let slack = 16.0 * tolerance;
    if lowest < -slack || rest.amax() > slack || largest < 0.0 {
        return Err(invalid(if lowest < 0.0 { lowest } else { -rest.amax() }, indefinite));
    }
    Ok(if columns.is_empty() { DMatrix::zeros(n, 1) } else { DMatrix::from_columns(&columns) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use approx::assert_relative_eq;
    use nalgebra::dmatrix;

    /// However the covariance is held, standard deviations along directions and draws are its own.
    #[test]
    fn all_shapes_are_one_law() {
        let covariance = dmatrix![4.0, 2.0; 2.0, 5.0]; // L = (2, 0; 1, 2)
        let full = Gaussian::from_covariance(&covariance).unwrap();
        let factored = Gaussian::from_factor(&dmatrix![2.0, 0.0; 1.0, 2.0]).unwrap();
        let directions = dmatrix![1.0, 0.0, 0.6; 0.0, 1.0, 0.8];
        for law in [&full, &factored] {
            let deviations = law.deviations_along(&directions);
            let along = 0.36 * 4.0 + 0.96 * 2.0 + 0.64 * 5.0;
            for (deviation, variance) in deviations.iter().zip([4.0, 5.0, along]) {
                assert_relative_eq!(deviation * deviation, variance, max_relative = 1e-14);
            }
            assert_relative_eq!(law.total_variance(), 9.0, max_relative = 1e-14);
        }
        let draws = |law: &Gaussian| law.sample(10, Seed(1), 2);
        assert_relative_eq!(draws(&full), draws(&factored), epsilon = 1e-13);
        let diagonal = Gaussian::diagonal(&[9.0, 9.0]).unwrap();
        let isotropic = Gaussian::isotropic(2, 3.0).unwrap();
        assert_eq!(draws(&diagonal), draws(&isotropic));
        assert_eq!(diagonal.deviations_along(&directions), isotropic.deviations_along(&directions));
    }

    #[test]
    fn what_is_no_covariance_is_told_by_how_much() {
        let value = |law: Result<Gaussian>| match law {
            Err(Error::InvalidParameter { value, .. }) => value,
            other => panic!("{other:?}"),
        };
        let of = |covariance: DMatrix<f64>| value(Gaussian::from_covariance(&covariance));
        assert_eq!(of(dmatrix![1.0, 0.0; 0.0, -0.5]), -0.5);
        assert_eq!(of(dmatrix![0.0, 2.0; 2.0, 0.0]), -2.0);
        assert_eq!(of(dmatrix![1.0, 0.25; 0.5, 1.0]), 0.25);
        // A skew part of rounding is none.
        let rounded = dmatrix![1e6, 10.0 + 1e-10; 10.0, 1e6];
        assert!(Gaussian::from_covariance(&rounded).is_ok());
        assert_eq!(value(Gaussian::diagonal(&[1.0, -2.0])), -2.0);
        assert_eq!(value(Gaussian::diagonal(&[1.0, f64::INFINITY])), f64::INFINITY);
        assert_eq!(value(Gaussian::isotropic(2, -1.0)), -1.0);
        assert!(value(Gaussian::isotropic(2, 1.0).unwrap().with_mean(&[1e200, 0.0])) > 1e300);
    }

    #[test]
    fn point_masses_are_laws() {
        let masses = [
            Gaussian::isotropic(2, 0.0).unwrap(),
            Gaussian::diagonal(&[0.0; 2]).unwrap(),
            Gaussian::from_covariance(&DMatrix::<f64>::zeros(2, 2)).unwrap(),
        ];
        let shifted = masses[0].clone().with_mean(&[3.0, 4.0]).unwrap();
        for mass in &masses {
            assert_eq!(mass.total_variance(), 0.0);
            assert_eq!(mass.w2(&shifted).unwrap().squared, 25.0);
            assert_eq!(mass.sliced_to_isotropic(0.0), Ok(0.0));
            assert_relative_eq!(mass.sliced_to_isotropic(3.0).unwrap(), 9.0);
        }
        for deviation in [-1.0, f64::INFINITY, f64::NAN] {
            assert!(masses[0].sliced_to_isotropic(deviation).is_err());
        }
    }
}
