//! Singular values of a graded matrix, each to full relative accuracy.

use nalgebra::DMatrix;

/// The singular values of `factor`, unsorted, one for every row.
///
/// One-sided Jacobi rotations make the rows orthogonal; their lengths are then the singular
/// values. If `factor = D B` with a diagonal `D`, the relative error of every singular value
/// depends on the condition of `B` alone (Demmel and Veselić, "Jacobi's method is more accurate
/// than QR", 1992), however small it is: bidiagonalisation has only an absolute error of epsilon.
/// Rows are kept as unit vectors beside their lengths, so that no square underflows.
///
/// Cost: about `5 n³` operations a sweep, 4 to 10 sweeps.
pub(super) fn singular_values(factor: &DMatrix<f64>) -> Vec<f64> {
    principal_axes(factor).0
}

/// The same with the right singular vectors that belong to them, the columns of a matrix.
pub(super) fn principal_axes(factor: &DMatrix<f64>) -> (Vec<f64>, DMatrix<f64>) {
    const MAX_SWEEPS: usize = 60; // 4 to 10 are usual, and convergence is quadratic
    let tolerance = f64::EPSILON * (factor.ncols() as f64).sqrt();
    let mut unit = factor.transpose();
    let mut length: Vec<f64> = (0..unit.ncols()).map(|k| normalize(&mut unit, k)).collect();
    for _ in 0..MAX_SWEEPS {
        let mut largest_cosine = 0.0f64;
        for p in 0..length.len() {
            for q in p + 1..length.len() {
                largest_cosine = largest_cosine.max(rotate(&mut unit, &mut length, p, q));
            }
        }
        if largest_cosine <= tolerance {
            break;
        }
    }
    (length, unit)
}

/// Scales a column to unit length and returns the length it had.
fn normalize(unit: &mut DMatrix<f64>, k: usize) -> f64 {
    let mut column = unit.column_mut(k);
    let largest = column.amax();
    if largest == 0.0 {
        return 0.0;
    }
    column /= largest;
    let norm = column.norm();
    column /= norm;
    largest * norm
}

/// Makes two columns orthogonal and returns the cosine that they had.
fn rotate(unit: &mut DMatrix<f64>, length: &mut [f64], p: usize, q: usize) -> f64 {
    let (long, short) = if length[p] >= length[q] { (p, q) } else { (q, p) };
    if length[short] == 0.0 {
        return 0.0;
    }
    let cosine = unit.column(long).dot(&unit.column(short));
    if cosine.abs() <= f64::EPSILON {
        return cosine.abs();
    }
    // With lengths 1 and `ratio` the angle has tangent `ratio * slope`, where `slope` is of the
    // order of the cosine even if `ratio` is 1e-300.
    let ratio = length[short] / length[long];
    let excess = (1.0 - ratio) * (1.0 + ratio);
    let slope = 2.0 * cosine / (excess + excess.hypot(2.0 * ratio * cosine));
    let tangent = ratio * slope;
    let (mut a, mut b) = unit.columns_range_pair_mut(long, short);
    for (a, b) in a.iter_mut().zip(b.iter_mut()) {
        (*a, *b) = (*a + tangent * ratio * *b, *b - slope * *a);
    }
    let shrink = tangent.hypot(1.0).recip();
    length[long] *= shrink * normalize(unit, long);
    length[short] *= shrink * normalize(unit, short);
    cosine.abs()
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
            let mut unit = rows.transpose();
            let mut length: Vec<f64> = (0..2).map(|k| normalize(&mut unit, k)).collect();
            let cosine = rotate(&mut unit, &mut length, 0, 1);
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
