//! Directions to project samples onto.

use nalgebra::{DMatrix, Dim, Matrix, RawStorage};

use crate::factorization::orthonormal;
use crate::statistics::Moments;
use crate::wasserstein::gaussian::finite_matrix;
use crate::wasserstein::quantile::normal_quantile;
use crate::{Error, Purpose, Replicate, Result, Scalar};

/// L unit vectors in n dimensions, the columns of an `n x L` matrix.
///
/// | constructor | error of an average over them |
/// | --- | --- |
/// | [`random`](Self::random) | the standard one, stated |
/// | [`orthogonal`](Self::orthogonal) | smaller, stated from the means of bases |
/// | [`low_discrepancy`](Self::low_discrepancy) | smaller still in few dimensions; the one stated is too large |
/// | [`axes`](Self::axes) | as if they were a random basis |
/// | [`from_columns`](Self::from_columns) | as if they were random |
///
/// On a line all directions agree, and the error is zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Directions {
    columns: DMatrix<f64>,
    /// Whether they are orthonormal bases, one after the other.
    bases: bool,
}

impl Directions {
    /// Returns the directions of these columns (`n x L`, any lengths).
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::wasserstein::Directions;
    ///
    /// let directions = Directions::from_columns(&dmatrix![3.0, 1.0; 4.0, 0.0])?;
    /// assert_eq!(directions.columns()[(1, 0)], 0.8);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`], [`Error::ZeroColumn`].
    pub fn from_columns<T, R, C, S>(columns: &Matrix<T, R, C, S>) -> Result<Self>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        let mut columns = finite_matrix(columns)?;
        for (index, mut column) in columns.column_iter_mut().enumerate() {
            let largest = column.amax();
            if largest == 0.0 {
                return Err(Error::ZeroColumn { column: index });
            }
            column /= largest;
            let norm = column.norm();
            column /= norm;
        }
        let bases = columns.nrows() == 1;
        Ok(Self { columns, bases })
    }

    /// Returns the axes of n dimensions, an orthonormal basis.
    ///
    /// # Errors
    /// [`Error::Empty`] in dimension 0.
    pub fn axes(dimension: usize) -> Result<Self> {
        let axes = DMatrix::<f64>::identity(dimension, dimension);
        Ok(Self { bases: true, ..Self::from_columns(&axes)? })
    }

    /// Draws independent uniform directions.
    ///
    /// ```
    /// use orthogap::Seed;
    /// use orthogap::wasserstein::Directions;
    ///
    /// let directions = Directions::random(16, 500, Seed(7))?;
    /// assert_eq!(directions.columns().shape(), (16, 500));
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`] in dimension 0 or for no directions.
    pub fn random(dimension: usize, count: usize, run: impl Into<Replicate>) -> Result<Self> {
        Self::from_columns(&normals(dimension, count, run.into()))
    }

    /// Draws independent uniform orthonormal bases: the fewest that have `count` directions or
    /// more.
    ///
    /// A quantity that is nearly quadratic in the direction has nearly the same sum over every
    /// basis, so its average is far more exact than over independent directions. Errors are stated
    /// from the means of bases, and intervals are Student's. A single basis has an error for n >= 3
    /// only, as large as independent directions would have it or larger.
    ///
    /// ```
    /// use orthogap::Seed;
    /// use orthogap::wasserstein::Directions;
    ///
    /// assert_eq!(Directions::orthogonal(2, 5, Seed(1))?.count(), 6);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`] in dimension 0 or for no directions.
    pub fn orthogonal(dimension: usize, count: usize, run: impl Into<Replicate>) -> Result<Self> {
        if dimension == 0 || count == 0 {
            return Err(Error::Empty { rows: dimension, columns: count });
        }
        let bases = count.div_ceil(dimension);
        let mut columns = normals(dimension, bases * dimension, run.into());
        for basis in 0..bases {
            let mut block = columns.columns_mut(basis * dimension, dimension);
            let q = orthonormal(block.clone_owned());
            block.copy_from(&q);
        }
        Ok(Self { bases: true, ..Self::from_columns(&columns)? })
    }

    /// Draws evenly spread directions: a randomly shifted lattice of the generalised golden ratio
    /// (M. Roberts, 2018), made normal and taken to length one; on the plane equal angles.
    ///
    /// # Errors
    /// [`Error::Empty`] in dimension 0 or for no directions.
    pub fn low_discrepancy(
        dimension: usize,
        count: usize,
        run: impl Into<Replicate>,
    ) -> Result<Self> {
        if dimension == 0 || count == 0 {
            return Err(Error::Empty { rows: dimension, columns: count });
        }
        let shifts = normals(dimension, 1, run.into());
        let shift = |i: usize| crate::wasserstein::quantile::normal_cdf(shifts[i]);
        if dimension == 2 {
            let turn = |j: usize| (j as f64 + shift(0)) / count as f64 * std::f64::consts::PI;
            let columns =
                DMatrix::from_fn(
                    2,
                    count,
                    |i, j| {
                        if i == 0 { turn(j).cos() } else { turn(j).sin() }
                    },
                );
            return Self::from_columns(&columns);
        }
        // The positive root of x^(n+1) = x + 1.
        let power = dimension as f64 + 1.0;
        let ratio = (0..60).fold(2.0f64, |x, _| (1.0 + x).powf(power.recip()));
        let columns = DMatrix::from_fn(dimension, count, |i, j| {
            let step = ratio.powi(-(i as i32 + 1));
            let place = (shift(i) + step * (j + 1) as f64).fract();
            normal_quantile(place.clamp(f64::EPSILON, 1.0 - f64::EPSILON))
        });
        Self::from_columns(&columns)
    }

    /// Returns the directions, `n x L`.
    #[must_use]
    pub fn columns(&self) -> &DMatrix<f64> {
        &self.columns
    }

    /// Returns the number n of dimensions.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.columns.nrows()
    }

    /// Returns the number L of directions.
    #[must_use]
    pub fn count(&self) -> usize {
        self.columns.ncols()
    }

    /// Whether they are orthonormal bases, one after the other.
    pub(super) fn are_bases(&self) -> bool {
        self.bases
    }

    /// The standard error of the mean of an even function that has these values at the directions,
    /// and its degrees of freedom.
    ///
    /// From two bases on, it is the error of the mean of their means. In one basis, values of
    /// spherical harmonics of degree l have the correlation $`P_l(0)`$ (Legendre's polynomial in
    /// n dimensions, one at 1). That is largest for l = 4, where it is
    /// $`\frac{3}{(n - 1)(n + 1)}`$. So the variance of their mean is at most
    /// $`\frac{(n - 1)(n + 4)}{(n - 2)(n + 2)}`$ times what the sample variance says on average;
    /// on the plane there is no such bound.
    pub(super) fn standard_error(&self, values: &[f64]) -> (Option<f64>, f64) {
        let n = self.dimension();
        if n == 1 {
            return (Some(0.0), f64::INFINITY);
        }
        let (block, excess) = if !self.bases {
            (1, 1.0)
        } else if values.len() > n {
            (n, 1.0)
        } else {
            let n = n as f64;
            (1, (n - 1.0) * (n + 4.0) / ((n - 2.0) * (n + 2.0)))
        };
        let sums = values.chunks_exact(block).map(|block| block.iter().sum::<f64>());
        let means: Moments = sums.map(|sum| sum / block as f64).collect();
        let error = excess.sqrt() * means.standard_error();
        (error.is_finite().then_some(error), means.count() as f64 - 1.0)
    }
}

fn normals(rows: usize, columns: usize, run: Replicate) -> DMatrix<f64> {
    let mut normals = DMatrix::zeros(rows, columns);
    run.stream(Purpose::Projections, 0, 0).fill_normal(normals.as_mut_slice());
    normals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    #[test]
    fn bases_are_orthonormal() {
        let directions = Directions::orthogonal(3, 8, Seed(1)).unwrap();
        let gram = directions.columns().transpose() * directions.columns();
        for (i, j) in (0..9).flat_map(|i| (0..9).map(move |j| (i, j))) {
            if i == j {
                assert!((gram[(i, j)] - 1.0).abs() < 1e-14);
            } else {
                assert_eq!(gram[(i, j)].abs() < 1e-14, i / 3 == j / 3, "{i} {j}");
            }
        }
    }

    #[test]
    fn on_the_plane_angles_are_equal() {
        let directions = Directions::low_discrepancy(2, 7, Seed(1)).unwrap();
        let columns = directions.columns();
        for j in 0..6 {
            let (x, y) = (columns.column(j), columns.column(j + 1));
            let turn = (x[0] * y[1] - x[1] * y[0]).atan2(x.dot(&y));
            assert!((turn - std::f64::consts::PI / 7.0).abs() < 1e-14);
        }
        let other = Directions::low_discrepancy(2, 7, Seed(2)).unwrap();
        assert!((columns - other.columns()).amax() > 1e-3, "the shift is random");
    }

    /// Second and fourth moments on the sphere are 1/n and 3/(n (n + 2)), odd ones zero. Even ones
    /// of independent directions would be twice as far off.
    #[test]
    fn lattices_are_even() {
        for n in [3, 4, 6] {
            let directions = Directions::low_discrepancy(n, 4000, Seed(1)).unwrap();
            let mean = |f: &dyn Fn(usize) -> f64| (0..4000).map(f).sum::<f64>() / 4000.0;
            let (size, columns) = (n as f64, directions.columns());
            for i in 0..n {
                let power = |k: i32| mean(&|j| columns[(i, j)].powi(k));
                assert!(power(1).abs() < 6e-3 && (power(2) - 1.0 / size).abs() < 2e-3, "{n} {i}");
                assert!((power(4) - 3.0 / (size * (size + 2.0))).abs() < 2e-3, "{n} {i}");
                let product = mean(&|j| columns[(i, j)] * columns[((i + 1) % n, j)]);
                assert!(product.abs() < 6e-3, "{n} {i}");
            }
        }
        let on_a_line = Directions::low_discrepancy(1, 100, Seed(1)).unwrap();
        assert!(on_a_line.columns().iter().all(|x| x.abs() == 1.0));
        assert!(on_a_line.columns().sum().abs() <= 2.0);
        for (dimension, count) in [(0, 1), (1, 0)] {
            assert!(Directions::low_discrepancy(dimension, count, Seed(1)).is_err());
            assert!(Directions::orthogonal(dimension, count, Seed(1)).is_err());
        }
    }

    #[test]
    fn whole_bases_tell_the_error() {
        let bases = Directions::orthogonal(2, 5, Seed(1)).unwrap();
        assert_eq!(bases.count(), 6);
        // Means of bases 2, 3 and 7, of variance 7.
        let (error, degrees) = bases.standard_error(&[1.0, 3.0, 2.0, 4.0, 5.0, 9.0]);
        assert!((error.unwrap() - (7.0f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(degrees, 2.0);
        // One basis of the plane says nothing, nor does one direction.
        assert_eq!(bases.standard_error(&[1.0, 2.0]).0, None);
        let random = |n, count| Directions::random(n, count, Seed(1)).unwrap();
        assert_eq!(random(2, 1).standard_error(&[1.0]).0, None);
        let (error, degrees) = random(2, 2).standard_error(&[1.0, 4.0]);
        assert_eq!((error, degrees), (Some(1.5), 1.0));
        // On a line there is one direction.
        assert_eq!(random(1, 1).standard_error(&[1.0]).0, Some(0.0));
    }

    /// x^4 + y^4 has the same values in one basis of the plane; what harmonics of degree 4 have in
    /// one basis of space, against the variance of their mean: 4000 bases, to four standard errors.
    #[test]
    fn the_error_of_one_basis_is_not_too_small() {
        for n in [3, 4, 8] {
            let size = n as f64;
            // The zonal harmonic of degree 4 about the first axis.
            let harmonic = |x: f64| {
                let x2 = x * x;
                x2 * x2 - 6.0 * x2 / (size + 4.0) + 3.0 / ((size + 2.0) * (size + 4.0))
            };
            let (mut square, mut stated) = (Moments::new(), Moments::new());
            for seed in 0..4000 {
                let basis = Directions::orthogonal(n, 1, Seed(seed)).unwrap();
                let values: Vec<f64> =
                    basis.columns().row(0).iter().map(|&x| harmonic(x)).collect();
                square.push((values.iter().sum::<f64>() / size).powi(2));
                stated.push(basis.standard_error(&values).0.unwrap().powi(2));
            }
            let difference = square.mean() - stated.mean();
            let error = square.standard_error().hypot(stated.standard_error());
            assert!(difference.abs() < 4.0 * error, "{n}: {square:?} {stated:?}");
            assert!(error < 0.1 * square.mean(), "{n}: {square:?}");
        }
    }
}
