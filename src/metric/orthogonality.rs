//! How far representations are from orthogonal.

use std::ops::RangeInclusive;

use nalgebra::{DMatrix, Dim, Matrix, RawStorage};

use crate::gram::{largest_entry, products};
use crate::kernel::cholesky_qr;
use crate::kernel::triangular::{distance_from_isotropy, is_upper_triangular};
use crate::scalar::exponent;
use crate::{Error, Gram, Result, Scalar};

/// Returns $`\sqrt{1/r - 1/n}`$, the smallest orthogonality gap of `n` samples of rank `r`, for
/// example in a network of width `r < n`.
///
/// It is reached if all `r` singular values are equal.
///
/// ```
/// use orthogap::{Input, Network, Seed, metric::gap_floor};
///
/// let input = Input::gaussian(16, 8, Seed(1))?;
/// let mut chain = Network::<f64>::new(4).chain(&input, Seed(2))?; // fewer neurons than samples
/// let layer = chain.step()?;
/// assert_eq!((layer.rank(), gap_floor(4, 8)?), (4, 0.125f64.sqrt()));
/// assert!(layer.orthogonality_gap() > gap_floor(4, 8)?);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidParameter`] for a rank of 0 or above `n`.
pub fn gap_floor(rank: usize, batch_size: usize) -> Result<f64> {
    if rank == 0 || rank > batch_size {
        let expected = "a rank from 1 to the batch size";
        return Err(Error::InvalidParameter { name: "rank", value: rank as f64, expected });
    }
    // One fraction, which does not cancel.
    Ok(((batch_size - rank) as f64 / (rank as f64 * batch_size as f64)).sqrt())
}

impl Gram {
    /// Returns the orthogonality gap $`V(H) = \lVert C - I/n \rVert_F`$ (Eq. 2 of the paper).
    ///
    /// Zero iff the samples are orthogonal and equally long; at most $`\sqrt{1 - 1/n}`$, with
    /// equality iff they are all parallel. Representations of rank `r < n` have at least
    /// [`gap_floor`](crate::metric::gap_floor). Absolute error about 1e-16; cost `r n²/2` multiply-adds,
    /// a third of that if the factor is triangular and `n < 400`.
    ///
    /// ```
    /// use orthogap::Input;
    ///
    /// assert_eq!(Input::orthogonal(4)?.gram().orthogonality_gap(), 0.0);
    /// let spiked = Input::spiked(4, 1e-6)?;
    /// assert!((spiked.gram().orthogonality_gap() - 0.75f64.sqrt()).abs() < 1e-11);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn orthogonality_gap(&self) -> f64 {
        // Dot products of a triangle's columns are a third of the work, which products in tiles make
        // up for where columns outgrow the first-level cache.
        const LARGE: usize = 32;
        const LARGE_TRIANGLE: usize = 400;
        let factor = self.factor();
        let n = factor.ncols();
        if n < LARGE || (n < LARGE_TRIANGLE && is_upper_triangular(factor)) {
            distance_from_isotropy(factor)
        } else {
            isotropy_gap(&cholesky_qr::products(factor), 1.0)
        }
    }

    /// Returns the Lyapunov function $`\hat V(H) = 1/n - \lambda_n`$ (Eq. 11 of the paper), where
    /// $`\lambda_n`$ is the smallest eigenvalue of `C`.
    ///
    /// It bounds the gap, $`V \le \sqrt{n(n-1)}\, \hat V`$ (Lemma 4 with its sharp constant). Absolute error
    /// about 1e-16.
    ///
    /// ```
    /// use orthogap::Input;
    ///
    /// let gram = Input::near_collinear(2, 1e-3)?.gram().clone();
    /// assert!(gram.orthogonality_gap() <= 2f64.sqrt() * gram.lyapunov() + 1e-15);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn lyapunov(&self) -> f64 {
        1.0 / self.batch_size() as f64 - self.min_singular_value().powi(2)
    }

    /// Returns the isometry gap, the logarithm of the ratio of arithmetic to geometric mean of
    /// the eigenvalues of `C` (Meterez et al., "Towards training without depth limits", ICLR 2024).
    ///
    /// ```math
    /// -\log n - \frac{2}{n} \sum_i \log \sigma_i
    /// ```
    ///
    /// Zero iff orthogonal, infinite if `C` is singular. Absolute error about 1e-15. Near
    /// orthogonality it is $`\frac n2 V^2`$, so it has no correct digits if the gap `V` is below
    /// 1e-7; `V` itself has.
    ///
    /// ```
    /// use orthogap::Input;
    ///
    /// assert!(Input::orthogonal(3)?.gram().isometry_gap().abs() < 1e-15);
    /// // Eigenvalues 1/2 and 1/2 have isometry gap 0; 4/5 and 1/5 have log(0.5/0.4).
    /// let gram = Input::spiked(2, 0.5)?.gram().clone();
    /// assert!((gram.isometry_gap() - 1.25f64.ln()).abs() < 1e-15);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn isometry_gap(&self) -> f64 {
        let n = self.batch_size() as f64;
        let log_mean = self.singular_values().iter().map(|sigma| sigma.ln()).sum::<f64>() / n;
        (-n.ln() - 2.0 * log_mean).max(0.0)
    }
}

/// Returns [`Gram::orthogonality_gap`] of the columns of a matrix, without a factorisation.
///
/// `h` is `d x n`, samples are columns; any nalgebra matrix or view. Products of columns are summed
/// in `f64`, in an order that depends on the shape alone. Absolute error a few 1e-16, for `f32`,
/// too, and for columns of any lengths. Cost: `d n²/2` multiply-adds, memory of `n²` numbers and of
/// a block; on several threads, of a block for each and of sums, up to a quarter as many numbers as
/// `h` has. For `d < n` the eigenvalues of $`H H^\top`$ are those of $`H^\top H`$ except for zeros,
/// so `d² n/2` multiply-adds, `d²` numbers and a copy are enough.
///
/// ```
/// use orthogap::nalgebra::{self, dmatrix, Matrix3x2};
/// use orthogap::metric::orthogonality_gap;
///
/// assert!(orthogonality_gap(&Matrix3x2::<f32>::identity())? < 1e-7);
/// let parallel = dmatrix![1.0, 2.0; 1.0, 2.0; 5.0, -1.0];
/// let first_two_neurons = parallel.rows(0, 2);
/// let deviations = [0.2 - 0.5, 0.8 - 0.5, 0.4, 0.4]; // C - I/2
/// let expected = deviations.map(|x: f64| x * x).iter().sum::<f64>().sqrt();
/// assert!((orthogonality_gap(&first_two_neurons)? - expected).abs() < 1e-15);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite) and
/// [`Error::ZeroMatrix`](crate::Error::ZeroMatrix).
pub fn orthogonality_gap<T, R, C, S>(h: &Matrix<T, R, C, S>) -> Result<f64>
where
    T: Scalar,
    R: Dim,
    C: Dim,
    S: RawStorage<T, R, C>,
{
    let (d, n) = h.shape();
    if (1..n).contains(&d) {
        largest_entry(h)?; // names the place of an entry that is not finite
        let transposed = DMatrix::from_fn(n, d, |i, j| h[(j, i)]);
        return Ok(orthogonality_gap(&transposed)?.hypot(gap_floor(d, n)?));
    }
    if !h.is_empty() {
        let products = products(h, 1.0);
        let trace: f64 = (0..n).map(|i| products[(i, i)]).sum();
        if SAFE_TRACE.contains(&trace) {
            return Ok(isotropy_gap(&products, trace));
        }
    }
    // Multiplied by a power of two: exact, except for entries too small to matter.
    let unit = 2f64.powi(-exponent(largest_entry(h)?));
    let products = products(h, unit);
    Ok(isotropy_gap(&products, products.trace()))
}

/// Traces in this range are sums of squares that neither over- nor underflow where it matters.
const SAFE_TRACE: RangeInclusive<f64> = 1e-240..=1e240;

/// $`\lVert G / t - I/n \rVert_F`$ of the symmetric matrix `G` in a lower triangle.
fn isotropy_gap(products: &DMatrix<f64>, t: f64) -> f64 {
    let n = products.nrows();
    let mut sum_of_squares = 0.0;
    for (j, column) in products.as_slice().chunks_exact(n).enumerate() {
        sum_of_squares += (column[j] / t - 1.0 / n as f64).powi(2);
        sum_of_squares += 2.0 * column[j + 1..].iter().map(|x| (x / t).powi(2)).sum::<f64>();
    }
    sum_of_squares.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::proptest::normals;
    use nalgebra::dmatrix;
    use proptest::prelude::*;

    #[test]
    fn floors_of_ranks() {
        assert_eq!([1, 2, 4].map(|rank| gap_floor(rank, 4).unwrap()), [0.75f64.sqrt(), 0.5, 0.0]);
        for (rank, batch_size) in [(0, 4), (5, 4), (9, 4), (0, 0)] {
            let error = gap_floor(rank, batch_size).unwrap_err();
            assert!(matches!(error, Error::InvalidParameter { name: "rank", .. }));
        }
    }

    /// A sum of about 32 digits: a number and what it misses.
    #[derive(Clone, Copy, Default)]
    struct Double(f64, f64);

    impl Double {
        fn plus(self, x: f64) -> Self {
            let sum = self.0 + x;
            let added = sum - self.0;
            let low = (self.0 - (sum - added)) + (x - added) + self.1;
            Self(sum + low, low - ((sum + low) - sum))
        }

        fn plus_product(self, x: f64, y: f64) -> Self {
            let product = x * y;
            self.plus(product).plus(x.mul_add(y, -product))
        }

        /// Divided by another.
        fn over(self, other: Self) -> Self {
            let high = self.0 / other.0;
            let rest = self.plus_product(-high, other.0).plus(-high * other.1);
            Self(high, (rest.0 + rest.1) / other.0)
        }
    }

    /// The definition in about 32 digits, of columns whose products are in range.
    fn naive(h: &DMatrix<f64>) -> f64 {
        let n = h.ncols();
        let product = |i: usize, j: usize| {
            let (x, y) = (h.column(i), h.column(j));
            x.iter().zip(&y).fold(Double::default(), |sum, (&x, &y)| sum.plus_product(x, y))
        };
        let trace = (0..n)
            .map(|i| product(i, i))
            .fold(Double::default(), |sum, term| sum.plus(term.0).plus(term.1));
        let share = Double(1.0, 0.0).over(Double(n as f64, 0.0));
        let mut squares = Double::default();
        for i in 0..n {
            for j in 0..n {
                let entry = product(i, j).over(trace);
                let entry = if i == j { entry.plus(-share.0).plus(-share.1) } else { entry };
                squares = squares.plus_product(entry.0, entry.0);
            }
        }
        squares.0.sqrt()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Near gap 0, near the largest, between; columns of very different length; both scalars, views.
        #[test]
        fn gap_agrees_with_32_digits(
            d in 1usize..150, n in 1usize..40, seed in any::<u64>(), likeness in -17..1i32,
            lengths in prop::collection::vec(-30..30i32, 40), alike: bool, power in -1000..1000i32,
        ) {
            let mut h = normals(d + 2, n, seed);
            let first = h.column(0).clone_owned();
            for (j, &length) in lengths.iter().enumerate().take(n).skip(1) {
                // Parallel to the first column up to 10^likeness.
                let column = &first + h.column(j) * 10f64.powi(likeness);
                h.set_column(j, &column);
                if !alike {
                    h.column_mut(j).scale_mut(10f64.powi(length));
                }
            }
            let h = h.rows(1, d).into_owned();
            let expected = naive(&h);
            let found = orthogonality_gap(&h).unwrap();
            prop_assert!((found - expected).abs() < 2e-15, "{found} {expected}");
            let (part, whole) = (normals(d + 2, n + 1, seed), normals(d + 2, n + 1, seed));
            let (view, copy) = (part.view((1, 1), (d, n)), whole.view((1, 1), (d, n)).into_owned());
            prop_assert_eq!(orthogonality_gap(&view), orthogonality_gap(&copy));
            let strided = part.view_with_steps((0, 0), (d.div_ceil(2), n), (1, 0));
            prop_assert_eq!(orthogonality_gap(&strided), orthogonality_gap(&strided.into_owned()));
            let single = copy.map(|x| x as f32);
            let difference = orthogonality_gap(&single).unwrap() - naive(&single.map(f64::from));
            prop_assert!(difference.abs() < 2e-15, "{difference}");
            // A power of two changes nothing, up to the smallest floats.
            let scaled = &copy * 2f64.powi(power);
            let difference = orthogonality_gap(&scaled).unwrap() - orthogonality_gap(&copy).unwrap();
            prop_assert!(difference.abs() < 2e-15, "{difference}");
        }

        /// Orthonormal columns, of which every entry is rounded.
        #[test]
        fn gap_of_orthogonal_columns(d in 40usize..130, n in 2usize..40, seed in any::<u64>()) {
            let h = normals(d, n, seed).qr().q();
            let (found, expected) = (orthogonality_gap(&h).unwrap(), naive(&h));
            prop_assert!(found < 1e-15 && (found - expected).abs() < 1e-15);
            let gram = Gram::from_columns(&h).unwrap().orthogonality_gap();
            prop_assert!(gram < 2e-15);
        }

        /// Products in tiles against dot products, of factors of any shape.
        #[test]
        fn gap_of_a_factor(n in 32usize..70, rank in 1usize..70, seed in any::<u64>()) {
            let factor = normals(rank.min(n), n, seed);
            let gram = Gram::from_factor(factor).unwrap();
            let naive = distance_from_isotropy(gram.factor());
            prop_assert!((gram.orthogonality_gap() - naive).abs() < 1e-15);
        }
    }

    #[test]
    fn bare_matrices_that_have_no_gap_are_named() {
        let error = |h: DMatrix<f64>| orthogonality_gap(&h).unwrap_err();
        assert_eq!(error(DMatrix::zeros(3, 0)), Error::Empty { rows: 3, columns: 0 });
        assert_eq!(error(DMatrix::zeros(0, 3)), Error::Empty { rows: 0, columns: 3 });
        assert_eq!(error(DMatrix::zeros(3, 2)), Error::ZeroMatrix { rows: 3, columns: 2 });
        let value = f64::NEG_INFINITY;
        let expected = Error::NotFinite { row: 1, column: 0, value };
        assert_eq!(error(dmatrix![1.0, 2.0; value, 1.0]), expected);
        let error = error(dmatrix![1.0, f64::NAN; 1.0, 1.0]);
        assert!(matches!(error, Error::NotFinite { row: 0, column: 1, .. }));
        let parallel = dmatrix![1e200, 1e-200; 0.0, 0.0];
        assert!((orthogonality_gap(&parallel).unwrap() - 0.5f64.sqrt()).abs() < 1e-15);
    }
}
