//! The normalised Gram matrix of a batch, held as a factor: the state of the chain.

use std::ops::Range;

use fearless_simd::Level;
use nalgebra::{DMatrix, DVectorViewMut, Dim, Dyn, Matrix, RawStorage, Storage};

use crate::approximate::approximate;
use crate::factorization::{pivoted_triangle, triangle};
use crate::kernel::cholesky_qr::{self, RowLines};
use crate::kernel::triangular::cholesky;
use crate::scalar::exponent;
use crate::{Error, Result, Scalar, parallel};

/// The normalised Gram matrix $`C = H^\top H / \lVert H \rVert_F^2`$ of a representation `H`
/// (`d x n`, samples are columns), held as a factor `R` with $`R^\top R = C`$.
///
/// `C` is `n x n`, symmetric, positive semidefinite, and has trace one. It is stored as `R`
/// (`r x n`, where `r` is the numerical rank) because squaring would lose every singular value
/// below 1e-8: with `R`, singular values of (1, 1e-6, 1e-6, 1e-6) or (1, 1e-100) survive.
///
/// Every metric of this crate is a method here:
///
/// | method | of | range |
/// | --- | --- | --- |
/// | [`orthogonality_gap`](Self::orthogonality_gap) | Eq. 2 of the paper | 0 to sqrt(1 - 1/n) |
/// | [`lyapunov`](Self::lyapunov) | Eq. 11 of the paper | 0 to 1/n |
/// | [`isometry_gap`](Self::isometry_gap) | Meterez et al. 2024 | 0 to infinity |
/// | [`singular_values`](Self::singular_values) and [`spectrum`](Self::spectrum) | all of them | squares add up to 1 |
/// | [`min_singular_value`](Self::min_singular_value) | alpha of assumption A1 | 0 to 1/sqrt(n) |
/// | [`condition_number`](Self::condition_number) | `H` | 1 to infinity |
/// | [`stable_rank`](Self::stable_rank), [`participation_ratio`](Self::participation_ratio), [`effective_rank`](Self::effective_rank) | `C` | 1 to n |
/// | [`coupling_bound`](Self::coupling_bound) | Lemma 2 of the paper | 0 to 2 - 2/sqrt(n) |
/// | [`cosine`](Self::cosine), [`cosines`](Self::cosines) | pairs of samples | -1 to 1 |
///
/// ```
/// use orthogap::approx::assert_relative_eq;
/// use orthogap::nalgebra::{self, dmatrix};
/// use orthogap::Gram;
///
/// // Three neurons, two samples; the second sample is twice as long and orthogonal.
/// let h = dmatrix![3.0, 0.0; 4.0, 0.0; 0.0, 10.0];
/// let gram = Gram::from_columns(&h)?;
/// assert_relative_eq!(gram.matrix(), dmatrix![0.2, 0.0; 0.0, 0.8], epsilon = 1e-15);
/// assert_relative_eq!(gram.condition_number(), 2.0, epsilon = 1e-14);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Gram {
    factor: DMatrix<f64>,
}

impl Gram {
    /// Computes the Gram matrix of the columns of `h` (`d x n`), by the triangular factor of a QR
    /// factorisation of `h`.
    ///
    /// Any nalgebra matrix or view is accepted. Columns may differ in size by hundreds of orders of
    /// magnitude. Columns that are linearly dependent to working precision (relative residual below
    /// four roundings of `T` or `max(d, n)` of `f64`) are taken as exactly dependent, so that
    /// rounding noise never counts as a direction of the data; see [`rank`](Self::rank).
    ///
    /// If there are at least twice as many rows as columns, and the condition number of the
    /// columns, scaled to about equal lengths, is below about 1e7, the factor comes from products
    /// of columns in two steps (CholeskyQR2; Yamamoto et al. 2015). This is as accurate as the
    /// reflections that are used otherwise, and several times faster.
    ///
    /// Cost: `3/2 d n²` multiply-adds by products, `d n²` slower ones by reflections; one `d x n` copy.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`] and [`Error::ZeroMatrix`].
    pub fn from_columns<T, R, C, S>(h: &Matrix<T, R, C, S>) -> Result<Self>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        Ok(Self::with_log_norm(h, dependent(h))?.0)
    }

    /// The Gram matrix of the columns of `h` and the logarithm of its Frobenius norm: the Cholesky factor of
    /// $`H^\top H`$ if that loses at most five of sixteen digits, else [`from_columns`](Self::from_columns).
    pub(crate) fn quick<T, S>(h: &Matrix<T, Dyn, Dyn, S>) -> Result<(Self, f64)>
    where
        T: Scalar,
        S: Storage<T, Dyn, Dyn>,
    {
        const WELL_CONDITIONED: f64 = 1e-5;
        if h.is_empty() || h.nrows() < h.ncols() {
            return Self::with_log_norm(h, dependent(h));
        }
        let mut products = products(h, 1.0);
        let log_norm = 0.5 * products.trace().ln();
        if cholesky(&mut products) > WELL_CONDITIONED {
            Ok((Self::from_factor(products.transpose())?, log_norm))
        } else {
            Self::with_log_norm(h, dependent(h))
        }
    }

    /// Returns the Gram matrix $`R^\top R`$ of a factor (`r x n`, any `r`), scaled to trace one.
    ///
    /// Cost: `r n` operations. A factor of up to `n` rows is taken as it is, so its rank counts as
    /// `r`. A taller one is factored, at the cost of [`from_columns`](Self::from_columns).
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::Gram;
    ///
    /// let gram = Gram::from_factor(dmatrix![1.0, 0.0; 0.0, 1e-100])?;
    /// assert!((gram.condition_number() / 1e100 - 1.0).abs() < 1e-14);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`] and [`Error::ZeroMatrix`].
    pub fn from_factor(mut factor: DMatrix<f64>) -> Result<Self> {
        if factor.nrows() > factor.ncols() {
            return Ok(Self::with_log_norm(&factor, 0.0)?.0);
        }
        let largest = largest_entry(&factor)?;
        factor /= largest;
        factor /= factor.norm();
        Ok(Self { factor })
    }

    /// The Gram matrix and the logarithm of the Frobenius norm that was divided out; a relative
    /// residual of up to `dependent` passes for rounding.
    pub(crate) fn with_log_norm<T, R, C, S>(
        h: &Matrix<T, R, C, S>,
        dependent: f64,
    ) -> Result<(Self, f64)>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        let (d, n) = h.shape();
        let mut columns = DMatrix::<f64>::zeros(d, n);
        let mut exponents = Vec::with_capacity(n);
        let mut largest = 0.0f64;
        for j in 0..n {
            let column = &mut columns.as_mut_slice()[j * d..][..d];
            for (i, x) in column.iter_mut().enumerate() {
                *x = h[(i, j)].into();
            }
            let of_column = largest_finite(column);
            largest = largest.max(of_column);
            exponents.push(exponent(of_column));
        }
        if !(0.0 < largest && largest.is_finite()) {
            largest = largest_entry(h)?;
        }
        let top = exponent(largest);
        // Powers of two make all columns about equally long: exact, and no square can underflow.
        for (mut column, &e) in columns.column_iter_mut().zip(&exponents).filter(|(_, e)| **e != 0)
        {
            column *= 2f64.powi(-e);
        }
        let mut factor = independent_rows(triangular_factor(columns), dependent);
        for (mut column, &e) in factor.column_iter_mut().zip(&exponents) {
            column *= 2f64.powi(e - top);
        }
        let norm = factor.norm();
        factor /= norm;
        Ok((Self { factor }, f64::from(top) * std::f64::consts::LN_2 + norm.ln()))
    }

    /// Lets `write` change the factor, scales it to norm one, and returns the norm it had, which
    /// the caller must check to be positive and finite. Removes zero rows, which are directions
    /// below the smallest float: the rank falls.
    pub(crate) fn rewrite(&mut self, write: impl FnOnce(&mut DMatrix<f64>)) -> f64 {
        write(&mut self.factor);
        let norm = self.factor.norm();
        self.factor /= norm;
        let is_zero = |i: &usize| self.factor.row(*i).iter().all(|&x| x == 0.0);
        if (0..self.rank()).any(|i| is_zero(&i)) {
            let zero_rows: Vec<usize> = (0..self.rank()).filter(is_zero).collect();
            self.factor = std::mem::take(&mut self.factor).remove_rows_at(&zero_rows);
        }
        norm
    }

    /// Puts the columns at their places in a batch of `n`, whose other samples are zero.
    pub(crate) fn spread(&mut self, places: &[usize], n: usize) {
        let mut factor = DMatrix::zeros(self.rank(), n);
        for (column, &place) in self.factor.column_iter().zip(places) {
            factor.set_column(place, &column);
        }
        self.factor = factor;
    }

    /// Returns the batch size `n`, the order of the matrix.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        self.factor.ncols()
    }

    /// Returns the numerical rank `r`: the number of rows of the factor.
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::Gram;
    ///
    /// let twins = dmatrix![0.1, 0.1, 0.7; 0.2, 0.2, -0.3; 0.3, 0.3, 0.9];
    /// assert_eq!(Gram::from_columns(&twins)?.rank(), 2);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn rank(&self) -> usize {
        self.factor.nrows()
    }

    /// Returns the factor `R` (`r x n`, Frobenius norm one) with $`R^\top R = C`$.
    ///
    /// It is unique only up to a rotation from the left, and need not be triangular.
    #[must_use]
    pub fn factor(&self) -> &DMatrix<f64> {
        &self.factor
    }

    /// Returns the matrix `C` itself (`n x n`, trace one). Cost: `r n²` multiply-adds.
    ///
    /// ```
    /// use orthogap::{Input, nalgebra};
    ///
    /// let gram = Input::orthogonal(4)?.gram().clone();
    /// assert_eq!(gram.matrix(), nalgebra::DMatrix::identity(4, 4) * 0.25);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn matrix(&self) -> DMatrix<f64> {
        // An explicit transpose feeds the blocked product, which `tr_mul` does not reach.
        self.factor.transpose() * &self.factor
    }
}

/// The products of `unit` times the columns of `h`, in the lower triangle; zeros above it.
pub(crate) fn products<T, R, C, S>(h: &Matrix<T, R, C, S>, unit: f64) -> DMatrix<f64>
where
    T: Scalar,
    R: Dim,
    C: Dim,
    S: RawStorage<T, R, C>,
{
    let ((rows, n), level) = (h.shape(), Level::new());
    // A view may be read by several threads, whatever `S` is.
    let h = h.view((0, 0), (rows, n));
    let scratch = |rows| {
        let lines = RowLines::new(rows, n);
        let entries = vec![T::zero(); lines.rows().min(rows)];
        (lines, entries)
    };
    let add = |(lines, entries): &mut (RowLines, Vec<T>), share: Range<usize>, sums: &mut [f64]| {
        for first in share.clone().step_by(lines.rows()) {
            let height = entries.len().min(share.end - first);
            let entries = &mut entries[..height];
            for column in 0..n {
                let from = h.view((first, column), (height, 1));
                DVectorViewMut::from_slice(entries, height).copy_from(&from);
                if unit == 1.0 {
                    T::pack(level, column, entries, lines);
                } else {
                    let scaled: Vec<f64> = entries.iter().map(|&x| x.into() * unit).collect();
                    lines.pack(level, column, &scaled);
                }
            }
            lines.add_products(level, sums);
        }
    };
    let products = parallel::sum_over_rows((rows, n), n * n, scratch, add);
    DMatrix::from_vec(n, n, products)
}

approximate!(Gram, gram => gram.matrix().as_slice().to_vec());

/// The relative residual up to which a column counts as a combination of others and rounding.
fn dependent<T: Scalar, R: Dim, C: Dim, S: RawStorage<T, R, C>>(h: &Matrix<T, R, C, S>) -> f64 {
    (4.0 * T::EPSILON).max(h.nrows().max(h.ncols()) as f64 * f64::EPSILON)
}

/// The largest absolute entry of a matrix that is not empty, finite and not all zero.
pub(crate) fn largest_entry<T, R, C, S>(h: &Matrix<T, R, C, S>) -> Result<f64>
where
    T: Scalar,
    R: Dim,
    C: Dim,
    S: RawStorage<T, R, C>,
{
    let (rows, columns) = h.shape();
    if h.is_empty() {
        return Err(Error::Empty { rows, columns });
    }
    let mut largest = 0.0f64;
    for column in 0..columns {
        for row in 0..rows {
            let value: f64 = h[(row, column)].into();
            if !value.is_finite() {
                return Err(Error::NotFinite { row, column, value });
            }
            largest = largest.max(value.abs());
        }
    }
    if largest == 0.0 {
        return Err(Error::ZeroMatrix { rows, columns });
    }
    Ok(largest)
}

/// The largest absolute value of numbers, infinite if one of them is not finite.
fn largest_finite(numbers: &[f64]) -> f64 {
    // Side by side: one comparison would wait for the other.
    let mut largest = [0.0f64; 16];
    let larger = |largest: f64, x: f64| {
        let x = x.abs();
        if x.is_nan() { f64::INFINITY } else { f64::max(largest, x) }
    };
    let (chunks, rest) = numbers.as_chunks::<16>();
    for chunk in chunks {
        for (largest, &x) in largest.iter_mut().zip(chunk) {
            *largest = larger(*largest, x);
        }
    }
    rest.iter().chain(&largest).fold(0.0, |largest, &x| larger(largest, x))
}

/// The factor `R` of $`H = Q R`$ with a diagonal that is not negative, of columns about equally long:
/// by products of the columns where there are enough rows and the condition number allows it.
fn triangular_factor(columns: DMatrix<f64>) -> DMatrix<f64> {
    let (rows, n) = columns.shape();
    // Fewer rows are hardly more work for reflections.
    let by_products = if rows >= 2 * n { cholesky_qr::triangle(&columns) } else { None };
    by_products.unwrap_or_else(|| triangle(columns))
}

/// Drops the rows of a triangular factor that are rounding errors: as many rows stay as there are
/// independent columns. Columns come with about equal norms.
fn independent_rows(triangular: DMatrix<f64>, tolerance: f64) -> DMatrix<f64> {
    let (rows, columns) = triangular.shape();
    let is_independent =
        |j: usize| j < rows && triangular[(j, j)] > tolerance * triangular.column(j).norm();
    if (0..columns).all(is_independent) {
        return triangular;
    }
    // A pivoted factorisation gathers what is independent in its first rows.
    let (mut factor, order) = pivoted_triangle(triangular);
    let threshold = tolerance * factor[(0, 0)].abs();
    let rank = (0..rows).take_while(|&i| factor[(i, i)].abs() > threshold).count();
    order.inv_permute_columns(&mut factor);
    factor.rows(0, rank).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use nalgebra::dmatrix;
    use proptest::prelude::*;

    /// As many rows as are compared side by side, and one more.
    #[test]
    fn columns_of_any_height_are_scaled() {
        for rows in [15, 16, 17, 33] {
            let h = DMatrix::from_fn(rows, 2, |i, j| ((i * (j + 2)) as f64).cos());
            let expected = Gram::from_columns(&h).unwrap().orthogonality_gap();
            for scale in [1e-290, 1e290] {
                let gram = Gram::from_columns(&(&h * scale)).unwrap();
                assert!((gram.orthogonality_gap() - expected).abs() < 1e-15, "{rows} {scale:e}");
            }
            // Of different sizes, the smaller one in the rows before the last.
            let mixed = DMatrix::from_fn(rows, 2, |i, j| h[(i, j)] * [1e-200, 1.0][j]);
            let factor = Gram::from_columns(&mixed).unwrap().factor().clone();
            let length = factor[(0, 0)] / factor.column(1).norm();
            let expected = 1e-200 * h.column(0).norm() / h.column(1).norm();
            assert!((length / expected - 1.0).abs() < 1e-14, "{rows}: {length:e}");
        }
    }

    #[test]
    fn tiny_and_huge_columns_keep_their_digits() {
        for scale in [1e-300, 1e-12, 1.0, 1e150, 1e300f64] {
            let h = dmatrix![1.0, 2e-6; 1.0, 1e-6; -1.0, 3e-6] * scale;
            let (gram, log_norm) = Gram::with_log_norm(&h, 1e-15).unwrap();
            let norm = (3.0f64 + 14e-12).sqrt();
            assert_relative_eq!(log_norm, scale.ln() + norm.ln(), max_relative = 1e-14);
            // Second column: projection 0, so the factor is diagonal.
            assert_relative_eq!(
                gram.factor()[(1, 1)],
                14f64.sqrt() * 1e-6 / norm,
                max_relative = 1e-14
            );
        }
    }

    #[test]
    fn the_factor_of_full_rank_columns_is_triangular_with_positive_diagonal() {
        // nalgebra promises this sign nowhere, and Haar sampling will rest on it.
        let h = dmatrix![-1.0, 2.0; -3.0, 1.0; 0.5, 4.0];
        let factor = Gram::from_columns(&h).unwrap().factor;
        assert!(factor[(0, 0)] > 0.0 && factor[(1, 1)] > 0.0 && factor[(1, 0)] == 0.0);
    }

    #[test]
    fn more_columns_than_rows_have_the_rank_of_the_rows() {
        let gram = Gram::from_columns(&dmatrix![1.0, 2.0, 3.0; 4.0, 5.0, -6.0]).unwrap();
        assert_eq!((gram.rank(), gram.batch_size()), (2, 3));
    }

    #[test]
    fn duplicates_in_single_precision_are_duplicates() {
        let h = dmatrix![0.1f32, 0.1, 0.4; 0.2, 0.2, 0.3; 0.7, 0.7, -0.6; 0.3, 0.3, 0.2];
        assert_eq!(Gram::from_columns(&h).unwrap().rank(), 2);
        let near = dmatrix![0.1f32, 0.1001, 0.4; 0.2, 0.2, 0.3; 0.7, 0.7, -0.6; 0.3, 0.3, 0.2];
        assert_eq!(Gram::from_columns(&near).unwrap().rank(), 3);
    }

    #[test]
    fn dependence_begins_where_the_documentation_says() {
        // Two columns of 100 numbers of about one, apart by a share `apart` of their length.
        let rank = |apart: f64| {
            let h = DMatrix::from_fn(100, 2, |i, j| match (i % 2, j) {
                (_, 0) => 1.0,
                (0, _) => 1.0 + apart,
                _ => 1.0 - apart,
            });
            Gram::from_columns(&h).unwrap().rank()
        };
        let rounding = 100.0 * f64::EPSILON;
        assert_eq!((rank(0.5 * rounding), rank(1.5 * rounding)), (1, 2));
        // In single precision four roundings of it count, however few the numbers.
        let rank = |apart: f32| Gram::from_columns(&dmatrix![1.0, 1.0; 0.0, apart]).unwrap().rank();
        assert_eq!((rank(3.0 * f32::EPSILON), rank(6.0 * f32::EPSILON)), (1, 2));
    }

    #[test]
    fn directions_that_vanish_leave_the_factor() {
        for vanishing in 0..3 {
            let mut gram = Gram::from_factor(DMatrix::identity(3, 3)).unwrap();
            let norm = gram.rewrite(|factor| factor.row_mut(vanishing).fill(0.0));
            assert_relative_eq!(norm, (2.0f64 / 3.0).sqrt(), max_relative = 1e-15);
            assert_eq!((gram.rank(), gram.batch_size()), (2, 3));
            assert_eq!(gram.matrix()[(vanishing, vanishing)], 0.0);
            assert_relative_eq!(gram.matrix().trace(), 1.0, max_relative = 1e-15);
        }
    }

    #[test]
    fn spread_columns_stand_among_zeros() {
        let mut gram = Gram::from_factor(dmatrix![3.0, 4.0]).unwrap();
        gram.spread(&[2, 0], 4);
        assert_eq!(*gram.factor(), dmatrix![0.8, 0.0, 0.6, 0.0]);
    }

    #[test]
    fn bad_matrices_are_named() {
        let of = |h: &DMatrix<f64>| Gram::from_columns(h).unwrap_err();
        assert_eq!(of(&DMatrix::zeros(3, 0)), Error::Empty { rows: 3, columns: 0 });
        assert_eq!(of(&DMatrix::zeros(0, 3)), Error::Empty { rows: 0, columns: 3 });
        assert_eq!(of(&DMatrix::zeros(3, 2)), Error::ZeroMatrix { rows: 3, columns: 2 });
        let infinite = dmatrix![1.0, 2.0; f64::NEG_INFINITY, 1.0];
        assert_eq!(of(&infinite), Error::NotFinite { row: 1, column: 0, value: f64::NEG_INFINITY });
        assert!(Gram::from_factor(DMatrix::zeros(2, 2)).is_err());
    }

    proptest! {
        /// On both sides of the switch to reflections, which is at seven digits, factors are theirs.
        #[test]
        fn factors_are_those_of_reflections(
            n in 2usize..20, more in 0usize..80, seed in any::<u64>(), digits in 0.0..13.0f64,
            powers in proptest::collection::vec(-200..200i32, 20),
        ) {
            let d = 2 * n + 20 + more;
            let mut h = DMatrix::<f64>::zeros(d, n);
            let stream = crate::Seed(seed).replicate(0).stream(crate::Purpose::User(0), 0, 0);
            stream.fill_normal(h.as_mut_slice());
            // The last column is a sum of the others, up to a share 10^-digits.
            let share = 10f64.powf(-digits);
            let mut last: nalgebra::DVector<f64> = h.column(n - 1) * share;
            for j in 0..n - 1 {
                last += h.column(j) / n as f64;
            }
            h.set_column(n - 1, &last);
            let reflected = h.clone().qr().unpack_r();
            // Lengths of columns by powers of two change no digit.
            for (j, mut column) in h.column_iter_mut().enumerate() {
                column *= 2f64.powi(powers[j]);
            }
            let (gram, log_norm) = Gram::with_log_norm(&h, 1e-15).unwrap();
            prop_assert_eq!(gram.rank(), n);
            let mut factor = gram.factor().clone();
            for (j, mut column) in factor.column_iter_mut().enumerate() {
                column.iter_mut().for_each(|x| *x *= (log_norm - f64::from(powers[j]) * 2f64.ln()).exp());
            }
            let tolerance = 1e-13 * n as f64;
            prop_assert!((&factor - &reflected).column(0).amax() < tolerance * reflected.column(0).norm());
            let last = (n - 1, n - 1);
            let error = (factor[last] / reflected[last] - 1.0).abs();
            prop_assert!(error < tolerance * (1.0 + 0.1 / share), "{error} {digits}");
            let product = factor.transpose() * &factor - reflected.transpose() * &reflected;
            prop_assert!(product.amax() < tolerance * reflected.norm_squared());
        }
    }

    proptest! {
        /// The factor against the naive product, for any scale, shape and sign.
        #[test]
        fn factor_reproduces_the_naive_gram(
            (rows, columns, entries) in (1usize..9, 1usize..9).prop_flat_map(|(d, n)| {
                (Just(d), Just(n), proptest::collection::vec(-1.0..1.0f64, d * n))
            }),
            log_scale in -300..300i32,
        ) {
            let h = DMatrix::from_vec(rows, columns, entries);
            prop_assume!(h.amax() > 1e-3);
            let naive = h.transpose() * &h / h.norm_squared();
            let gram = Gram::from_columns(&(h * 10f64.powi(log_scale))).unwrap();
            prop_assert!((gram.matrix() - naive).amax() < 1e-13);
            prop_assert!(gram.rank() <= rows.min(columns));
        }
    }
}
