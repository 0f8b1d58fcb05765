//! Singular values of a graded matrix, each to full relative accuracy.
//!
//! Plain loops over slices, compiled for every SIMD level; nothing is fused, so the bits are the same
//! on all of them.

use nalgebra::DMatrix;

use crate::kernel::triangular::{dot, vectorized};

/// The singular values of `factor`, unsorted, one for every row.
///
/// If `factor = D B` with a diagonal `D`, the relative error of every singular value depends on the
/// condition of `B` alone (Demmel and Veselić, "Jacobi's method is more accurate than QR", 1992),
/// however small it is: bidiagonalisation has only an absolute error of epsilon.
///
/// Two QR factorisations, the first with pivoting, leave a nearly diagonal triangle (Drmač and
/// Veselić, "New fast and accurate Jacobi SVD algorithm", 2008); one-sided rotations make its columns
/// orthogonal, whose lengths are then the singular values. Columns are kept as unit vectors beside
/// their lengths, so that no square underflows.
///
/// Cost: about `5 n³` multiply-adds, and 3 to 6 sweeps of `n³/2` to `3/2 n³`.
pub(crate) fn singular_values(factor: &DMatrix<f64>) -> Vec<f64> {
    let mut columns = Columns::of(factor.transpose());
    vectorized(
        columns.unit.ncols(),
        #[inline(always)]
        || columns.orthogonalize(),
    );
    columns.length.resize(factor.nrows(), 0.0);
    columns.length
}

/// The singular values, unsorted, one for every row, and the right singular vectors that belong to
/// them, the columns of a matrix; those of singular values of zero are arbitrary.
pub(crate) fn principal_axes(factor: &DMatrix<f64>) -> (Vec<f64>, DMatrix<f64>) {
    let (r, n) = factor.shape();
    let mut columns = Columns::of(factor.transpose());
    vectorized(
        n,
        #[inline(always)]
        || {
            let reflections = columns.orthogonalize();
            let turned = std::mem::replace(&mut columns.unit, DMatrix::zeros(0, 0));
            columns.unit = turned.resize(n, r, 0.0);
            for column in columns.unit.as_mut_slice().chunks_exact_mut(n) {
                reflections.apply(column);
            }
        },
    );
    columns.length.resize(r, 0.0);
    (columns.length, columns.unit)
}

/// Vectors as multiples of unit vectors; zeros stay zero.
struct Columns {
    unit: DMatrix<f64>,
    length: Vec<f64>,
}

/// Householder reflections $`I - v v^\top / h`$, one for each column of `vectors`, from its diagonal
/// entry down.
struct Reflections {
    vectors: DMatrix<f64>,
    /// `h`, half the squared length of `v`; infinite for the identity.
    halves: Vec<f64>,
}

impl Reflections {
    /// Applies the reflections in reverse order: multiplies by `Q`.
    #[inline(always)]
    fn apply(&self, x: &mut [f64]) {
        let vectors = self.vectors.as_slice().chunks_exact(self.vectors.nrows());
        for (k, (v, half)) in vectors.zip(&self.halves).enumerate().rev() {
            reflect(&v[k..], *half, &mut x[k..]);
        }
    }
}

#[inline(always)]
fn reflect(v: &[f64], half: f64, x: &mut [f64]) {
    let along = dot(v, x) / half;
    for (x, v) in x.iter_mut().zip(v) {
        *x -= along * v;
    }
}

impl Columns {
    fn of(matrix: DMatrix<f64>) -> Self {
        let mut columns = Self { length: vec![1.0; matrix.ncols()], unit: matrix };
        columns.normalize();
        columns
    }

    /// Takes columns back to unit length.
    #[inline(always)]
    fn normalize(&mut self) {
        let rows = self.unit.nrows();
        for (column, length) in
            self.unit.as_mut_slice().chunks_exact_mut(rows).zip(&mut self.length)
        {
            *length *= normalize(column);
        }
    }

    /// Replaces the columns by orthogonal ones with the same singular values, as many as there are
    /// rows or columns. The reflections returned turn them into the left singular vectors.
    #[inline(always)]
    fn orthogonalize(&mut self) -> Reflections {
        let reflections = self.transpose_triangle(true);
        self.transpose_triangle(false);
        self.rotate_all();
        reflections
    }

    /// Factors these columns, `Q R`, and replaces them by those of the transpose of `R`. With pivoting
    /// the longest remaining column comes next.
    #[inline(always)]
    fn transpose_triangle(&mut self, pivoting: bool) -> Reflections {
        let (rows, columns) = self.unit.shape();
        let count = rows.min(columns);
        let mut vectors = DMatrix::zeros(rows, count);
        let mut halves = vec![f64::INFINITY; count];
        // Of the unit vectors: scales of columns commute with reflections.
        let mut rest: Vec<f64> =
            self.length.iter().map(|&l| f64::from(u8::from(l > 0.0))).collect();
        for k in 0..count {
            if pivoting {
                let size = |j: usize| rest[j] * self.length[j];
                let longest = (k..columns).fold(k, |a, b| if size(b) > size(a) { b } else { a });
                self.unit.swap_columns(k, longest);
                self.length.swap(k, longest);
                rest.swap(k, longest);
            }
            let norm = rest[k];
            let (done, remaining) = self.unit.as_mut_slice().split_at_mut((k + 1) * rows);
            let pivot = &mut done[k * rows + k..];
            let v = &mut vectors.as_mut_slice()[k * rows + k..(k + 1) * rows];
            if norm > 0.0 {
                v.iter_mut().zip(&*pivot).for_each(|(v, x)| *v = x / norm);
                let sign = 1f64.copysign(v[0]);
                halves[k] = 1.0 + v[0].abs();
                v[0] += sign;
                pivot[0] = -sign * norm;
            }
            for (column, rest) in remaining.chunks_exact_mut(rows).zip(&mut rest[k + 1..]) {
                reflect(v, halves[k], &mut column[k..]);
                *rest = norm_of(&column[k + 1..]);
            }
        }
        let triangle = |j: usize, k: usize| {
            if k <= j { self.unit[(k, j)] * self.length[j] } else { 0.0 }
        };
        *self = Self::of(DMatrix::from_fn(columns, count, triangle));
        Reflections { vectors, halves }
    }

    /// Rotates pairs of columns until all are orthogonal.
    #[inline(always)]
    fn rotate_all(&mut self) {
        const MAX_SWEEPS: usize = 60; // 3 to 6 are usual, and convergence is quadratic
        const TILE: usize = 8; // columns that stay in cache
        let (rows, columns) = self.unit.shape();
        let tolerance = f64::EPSILON * (rows as f64).sqrt();
        for _ in 0..MAX_SWEEPS {
            let mut largest_cosine = 0.0f64;
            for first in (0..columns).step_by(TILE) {
                for second in (first..columns).step_by(TILE) {
                    for p in first..columns.min(first + TILE) {
                        for q in second.max(p + 1)..columns.min(second + TILE) {
                            largest_cosine = largest_cosine.max(self.rotate(p, q));
                        }
                    }
                }
            }
            self.normalize();
            if largest_cosine <= tolerance {
                break;
            }
        }
    }

    /// Makes two columns (p < q) orthogonal and returns the cosine that they had.
    #[inline(always)]
    fn rotate(&mut self, p: usize, q: usize) -> f64 {
        const CANCELS: f64 = 0.1;
        let rows = self.unit.nrows();
        let (before, after) = self.unit.as_mut_slice().split_at_mut(q * rows);
        let (mut a, mut b) = (&mut before[p * rows..(p + 1) * rows], &mut after[..rows]);
        let (mut long, mut short) = (p, q);
        if self.length[p] < self.length[q] {
            std::mem::swap(&mut a, &mut b);
            std::mem::swap(&mut long, &mut short);
        }
        if self.length[short] == 0.0 {
            return 0.0;
        }
        let cosine = dot(a, b);
        if cosine.abs() <= f64::EPSILON {
            return cosine.abs();
        }
        // With lengths 1 and `ratio` the angle has tangent `ratio * slope`, where `slope` is of the
        // order of the cosine even if `ratio` is 1e-300.
        let ratio = self.length[short] / self.length[long];
        let excess = (1.0 - ratio) * (1.0 + ratio);
        let slope = 2.0 * cosine / (excess + excess.hypot(2.0 * ratio * cosine));
        let tangent = ratio * slope;
        let along = tangent * ratio;
        let squared_long = 1.0 + along * (2.0 * cosine + along);
        let squared_short = 1.0 + slope * (slope - 2.0 * cosine);
        let shrink = tangent.hypot(1.0).recip();
        let cancels = squared_short < CANCELS;
        let long_norm = squared_long.sqrt();
        let short_norm = if cancels { 1.0 } else { squared_short.sqrt() };
        let (from_a, from_b) = (1.0 / long_norm, 1.0 / short_norm);
        for (a, b) in a.iter_mut().zip(b.iter_mut()) {
            (*a, *b) = ((*a + along * *b) * from_a, (*b - slope * *a) * from_b);
        }
        let short_norm = if cancels { normalize(b) } else { short_norm };
        self.length[long] *= shrink * long_norm;
        self.length[short] *= shrink * short_norm;
        cosine.abs()
    }
}

/// The norm of a vector of any size.
#[inline(always)]
fn norm_of(x: &[f64]) -> f64 {
    let squares = dot(x, x);
    if (1e-280..1e280).contains(&squares) {
        return squares.sqrt();
    }
    let largest = x.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    largest * x.iter().map(|x| (x / largest).powi(2)).sum::<f64>().sqrt()
}

/// Scales a vector to unit length and returns the length it had.
#[inline(always)]
fn normalize(x: &mut [f64]) -> f64 {
    let largest = x.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    x.iter_mut().for_each(|x| *x /= largest);
    let norm = dot(x, x).sqrt();
    x.iter_mut().for_each(|x| *x /= norm);
    largest * norm
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use nalgebra::dmatrix;
    use proptest::prelude::*;

    fn sorted(factor: &DMatrix<f64>) -> Vec<f64> {
        let mut values = singular_values(factor);
        values.sort_by(|a, b| b.total_cmp(a));
        values
    }

    #[test]
    fn closed_form_of_a_graded_two_by_two() {
        // R = [[1, 1], [0, t]]: product of singular values t, sum of squares 2 + t².
        for t in [1e-3, 1e-8, 1e-100, 1e-300] {
            let values = sorted(&dmatrix![1.0, 1.0; 0.0, t]);
            assert_relative_eq!(values[0], (2.0f64 + t * t / 2.0).sqrt(), max_relative = 1e-6);
            assert_relative_eq!(values[0] * values[1], t, max_relative = 1e-14);
        }
    }

    #[test]
    fn one_rotation_makes_two_rows_orthogonal() {
        for ratio in [1.0, 0.9, 0.1, 1e-5] {
            let rows = dmatrix![1.0, 2.0, -1.0; 3.0 * ratio, ratio, ratio];
            let mut columns = Columns::of(rows.transpose());
            let cosine = columns.rotate(0, 1);
            let Columns { unit, length } = columns;
            assert_relative_eq!(cosine, 4.0 / 66f64.sqrt(), max_relative = 1e-14);
            assert!(unit.column(0).dot(&unit.column(1)).abs() < 1e-15, "{ratio}");
            let area = ratio * (6.0f64 * 11.0 - 16.0).sqrt();
            assert_relative_eq!(length[0] * length[1], area, max_relative = 1e-14);
            assert_relative_eq!(length[0].hypot(length[1]), rows.norm(), max_relative = 1e-14);
        }
    }

    #[test]
    fn rows_that_underflow_are_zero() {
        // Rows nearly parallel, in units of the smallest number: what they differ by is lost.
        let values = sorted(&(dmatrix![1.0, 5.0; 1.0, 6.0; 1.0, 7.0] * f64::from_bits(1)));
        assert!(values[0] > 0.0 && values[1..] == [0.0; 2], "{values:?}");
    }

    #[test]
    fn zero_rows_have_zero_singular_values() {
        assert_eq!(sorted(&dmatrix![3.0, 4.0; 0.0, 0.0]), [5.0, 0.0]);
    }

    proptest! {
        /// Against nalgebra's bidiagonal SVD where that is accurate, and by the determinant,
        /// a product of all singular values, where it is not.
        #[test]
        fn agrees_with_the_bidiagonal_method(
            (n, entries) in (1usize..8)
                .prop_flat_map(|n| (Just(n), proptest::collection::vec(-1.0..1.0f64, n * n))),
            grade in 0..60i32,
        ) {
            let even = DMatrix::from_vec(n, n, entries);
            let naive = even.clone().svd(false, false).singular_values;
            for (value, expected) in sorted(&even).iter().zip(naive.iter()) {
                prop_assert!((value - expected).abs() < 1e-14 * n as f64);
            }
            prop_assume!(naive[n - 1] > 1e-3);
            let graded = DMatrix::from_fn(n, n, |i, j| {
                even[(i, j)] * 10f64.powi(-(grade * i as i32) / n as i32)
            });
            let log_determinant: f64 = even.determinant().abs().ln()
                - (0..n as i32).map(|i| f64::from(grade * i / n as i32)).sum::<f64>() * 10f64.ln();
            let log_product: f64 = sorted(&graded).iter().map(|s| s.ln()).sum();
            prop_assert!((log_product - log_determinant).abs() < 1e-11);
        }
    }
}
