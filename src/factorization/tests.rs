//! Every decomposition against Jacobi's method or closed forms, on matrices that defeat others.

use nalgebra::DMatrix;
use proptest::prelude::*;

use super::*;
use crate::{Purpose, Seed};

fn normals(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
    let mut matrix = DMatrix::zeros(rows, columns);
    let run = Seed(seed).replicate(0);
    run.stream(Purpose::User(0), 0, 0).fill_normal(matrix.as_mut_slice());
    matrix
}

/// `B Bᵀ` for B (`order x rank`) with about 30 % of its rows alive.
fn dead_features(order: usize, rank: usize, seed: u64) -> DMatrix<f64> {
    let mut b = normals(order, rank, seed);
    let uniform = normals(order, 1, seed + 1_000_000);
    for i in 0..order {
        if uniform[i] > -0.524 {
            b.row_mut(i).fill(0.0); // a normal is below with probability 0.3
        }
    }
    &b * b.transpose()
}

/// Checks values and vectors, and returns the values.
fn check_symmetric(matrix: &DMatrix<f64>) -> Vec<f64> {
    let n = matrix.nrows();
    let unit = 2f64.powi(exponent(matrix.amax()));
    let small = matrix / unit;
    let bound = 1e-15 * n as f64 * small.norm();
    let Eigen { values, vectors } = symmetric_eigen(matrix.clone()).unwrap();
    let alone = symmetric_eigenvalues(matrix.clone()).unwrap();
    let rotated = {
        let mut values = symmetric::by_rotations(&small).values;
        values.sort_by(|a, b| b.total_cmp(a));
        values
    };
    for k in 0..n {
        assert!((values[k] / unit - rotated[k]).abs() <= bound, "{} {}", values[k], rotated[k]);
        assert!((alone[k] / unit - rotated[k]).abs() <= bound, "{} {}", alone[k], rotated[k]);
    }
    let multiples = DMatrix::from_fn(n, n, |i, j| vectors[(i, j)] * (values[j] / unit));
    assert!((&small * &vectors - multiples).norm() <= bound);
    assert!((vectors.transpose() * &vectors - DMatrix::identity(n, n)).norm() <= 1e-15 * n as f64);
    values
}

/// Checks values and vectors, and returns the values.
fn check_singular(matrix: &DMatrix<f64>) -> Vec<f64> {
    let unit = 2f64.powi(exponent(matrix.amax()));
    let small = matrix / unit;
    let (m, n) = matrix.shape();
    let bound = 1e-15 * m.max(n) as f64 * small.norm();
    let values = singular_values(matrix.clone()).unwrap();
    let mut rotated = graded_singular_values(&small);
    rotated.sort_by(|a, b| b.total_cmp(a));
    for (value, rotated) in values.iter().zip(&rotated) {
        assert!((value / unit - rotated).abs() <= bound, "{value} {rotated}");
    }
    let Some(SingularVectors { left, right }) = singular_vectors(matrix.clone()).unwrap() else {
        // Of a few matrices of low rank faer's vectors have an error of 1e-13, and are refused.
        assert!(values.last() <= Some(&(1e-10 * values[0])), "{values:?}");
        return values;
    };
    let scaled = DMatrix::from_fn(m, left.ncols(), |i, j| left[(i, j)] * (values[j] / unit));
    let residual = (scaled * right.transpose() - small).norm();
    assert!(residual <= 4.0 * bound, "{residual:e} {bound:e} {values:?}");
    values
}

/// A product of 5 x 2 and 2 x 11 normals whose singular vectors faer finds to 1e-13 only.
#[test]
fn inaccurate_vectors_are_refused() {
    let seed = 2690799734845320148;
    let matrix = normals(5, 2, seed) * normals(2, 11, seed ^ 1);
    let values = check_singular(&matrix);
    assert!(values[1] > 1.0 && values[2] < 1e-14);
}

/// nalgebra's `symmetric_eigen` is not finite on 41 of 60 such matrices of order 256.
#[test]
fn dead_features_at_low_rank() {
    for seed in 0..20 {
        let rank = 1 + (seed % 10) as usize;
        let values = check_symmetric(&dead_features(256, rank, seed));
        assert!(values[rank - 1] > 0.1, "{rank}: {:?}", &values[..rank]);
        assert!(values[rank].abs() < 1e-12 * values[0]);
    }
    for seed in 0..200 {
        check_symmetric(&dead_features(64, 1 + (seed % 10) as usize, 1000 + seed));
    }
    for seed in 0..10 {
        check_singular(&dead_features(64, 1 + seed as usize, 2000 + seed));
    }
}

#[test]
fn constant_and_repeated_matrices() {
    for n in [1, 2, 3, 4, 17, 48, 130] {
        let ones = check_symmetric(&DMatrix::from_element(n, n, 1.0));
        assert!((ones[0] - n as f64).abs() < 1e-14 * n as f64);
        assert_eq!(check_symmetric(&DMatrix::zeros(n, n)), vec![0.0; n]);
        assert_eq!(check_symmetric(&DMatrix::identity(n, n)), vec![1.0; n]);
        assert_eq!(check_singular(&DMatrix::zeros(n, n)), vec![0.0; n]);
        check_singular(&DMatrix::from_element(n, n, 1.0));
        // Two values, each with half the dimension, in a random basis; one is negative.
        let frame = orthonormal(normals(n, n, n as u64));
        let signs =
            DMatrix::from_fn(n, n, |i, j| if i != j { 0.0 } else { 1.0 - (i % 2) as f64 * 3.0 });
        let values = check_symmetric(&(&frame * signs * frame.transpose()));
        for (k, value) in values.iter().enumerate() {
            let expected = if k < n.div_ceil(2) { 1.0 } else { -2.0 };
            assert!((value - expected).abs() < 1e-14 * n as f64, "{n} {value}");
        }
    }
}

/// A zero row and column leave the spectrum of the rest, wherever they are.
#[test]
fn zero_rows_add_zeros() {
    let dense = normals(9, 9, 5);
    let dense = &dense + dense.transpose();
    let expected = check_symmetric(&dense);
    for place in 0..10 {
        let values =
            check_symmetric(&dense.clone().insert_row(place, 0.0).insert_column(place, 0.0));
        let mut padded = expected.clone();
        padded.push(0.0);
        padded.sort_by(|a, b| b.total_cmp(a));
        for (value, expected) in values.iter().zip(&padded) {
            assert!((value - expected).abs() < 1e-13);
        }
    }
}

/// The Hilbert matrix of order 10, by mpmath 1.4.1 (`eigsy`, 60 digits).
#[test]
fn hilbert_matrix() {
    let hilbert = DMatrix::from_fn(10, 10, |i, j| 1.0 / (i + j + 1) as f64);
    let expected = HILBERT;
    for values in [check_symmetric(&hilbert), check_singular(&hilbert)] {
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-15, "{value} {expected}");
        }
    }
}

/// Rows and columns scaled from 1 to 1e-30: values are absolutely accurate, and relatively so by
/// rotations.
#[test]
fn graded_matrices() {
    for n in [4, 16, 64, 200] {
        let grade = |i: usize| 10f64.powf(-30.0 * i as f64 / (n - 1) as f64);
        let b = normals(n, n, n as u64) + DMatrix::identity(n, n) * (2.0 * (n as f64).sqrt());
        check_singular(&DMatrix::from_fn(n, n, |i, j| grade(i) * b[(i, j)]));
        let symmetric = &b + b.transpose();
        check_symmetric(&DMatrix::from_fn(n, n, |i, j| grade(i) * symmetric[(i, j)] * grade(j)));
    }
}

#[test]
fn scales_pass_through() {
    let matrix = normals(30, 30, 1);
    let symmetric = &matrix + matrix.transpose();
    let (expected, lengths) = (check_symmetric(&symmetric), check_singular(&matrix));
    for scale in [1e-300, 1e-150, 1e150, 1e300] {
        for (value, expected) in check_symmetric(&(&symmetric * scale)).iter().zip(&expected) {
            assert!((value / scale - expected).abs() < 1e-13);
        }
        for (value, expected) in check_singular(&(&matrix * scale)).iter().zip(&lengths) {
            assert!((value / scale - expected).abs() < 1e-13);
        }
        let (large, small) = (triangle(&matrix * scale), triangle(matrix.clone()));
        assert!((large / scale - small).amax() < 1e-13);
    }
}

/// Results that are off by more than rounding, or not finite, do not pass.
#[test]
fn wrong_results_are_refused() {
    let matrix = dead_features(20, 3, 1);
    let Eigen { values, vectors } = symmetric_eigen(matrix.clone()).unwrap();
    assert!(symmetric::values_fit(&matrix, &values));
    let right = Eigen { values: values.clone(), vectors: vectors.clone() };
    assert!(symmetric::fits(&matrix, &right));
    for (place, change) in [(0, 1e-10), (1, -1e-10), (19, 1e-10), (4, f64::NAN), (5, f64::INFINITY)]
    {
        let mut wrong = values.clone();
        wrong[place] += change * values[0];
        assert!(!symmetric::values_fit(&matrix, &wrong), "{place}");
        let wrong = Eigen { values: wrong, vectors: vectors.clone() };
        assert!(!symmetric::fits(&matrix, &wrong), "{place}");
        let mut turned = Eigen { values: values.clone(), vectors: vectors.clone() };
        turned.vectors[(3, place)] += change;
        assert!(!symmetric::fits(&matrix, &turned), "{place}");
    }
    let lengths = singular_values(matrix.clone()).unwrap();
    let SingularVectors { left, right } = singular_vectors(matrix.clone()).unwrap().unwrap();
    assert!(singular::lengths_fit(&matrix, &lengths));
    for (place, change) in [(0, 1e-10), (1, -1e-10), (4, f64::NAN)] {
        let mut wrong = lengths.clone();
        wrong[place] += change * lengths[0];
        assert!(!singular::lengths_fit(&matrix, &wrong), "{place}");
        let mut turned = SingularVectors { left: left.clone(), right: right.clone() };
        assert!(singular::fits(&matrix, &lengths, &turned));
        assert!(!singular::fits(&matrix, &wrong, &turned), "{place}");
        turned.right[(3, place)] += change;
        assert!(!singular::fits(&matrix, &lengths, &turned), "{place}");
    }
}

#[test]
fn what_is_not_finite_is_named() {
    for bad in [f64::NAN, f64::INFINITY] {
        let mut matrix = DMatrix::identity(3, 3);
        matrix[(1, 2)] = bad;
        let named = |error| matches!(error, crate::Error::NotFinite { row: 1, column: 2, .. });
        assert!(symmetric_eigen(matrix.clone()).is_err_and(named));
        assert!(symmetric_eigenvalues(matrix.clone()).is_err_and(named));
        assert!(singular_values(matrix.clone()).is_err_and(named));
        assert!(singular_vectors(matrix).is_err_and(named));
    }
}

proptest! {
    /// Any shape and rank, against rotations; graded rows against the values of their reverse.
    #[test]
    fn rectangular_matrices(m in 1usize..24, n in 1usize..24, rank in 0usize..24, seed: u64) {
        let matrix = normals(m, rank, seed) * normals(rank, n, seed ^ 1);
        let values = check_singular(&matrix);
        prop_assert_eq!(values.len(), m.min(n));
        let (lengths, axes) = principal_axes(&matrix);
        prop_assert_eq!((lengths.len(), axes.shape()), (m, (n, m)));
        // The axes of positive values are orthonormal, and the matrix maps them to orthogonal images.
        let kept: Vec<usize> =
            (0..m).filter(|&k| lengths[k] > 1e-10 * values[0].max(1.0)).collect();
        let axes = axes.select_columns(&kept);
        let count = kept.len();
        prop_assert!((axes.transpose() * &axes - DMatrix::identity(count, count)).amax() < 1e-12);
        let images = &matrix * &axes;
        for (image, &k) in images.column_iter().zip(&kept) {
            prop_assert!((image.norm() - lengths[k]).abs() < 1e-13 * matrix.norm());
        }
        prop_assert!((images * axes.transpose() - &matrix).norm() < 1e-12 * (1.0 + matrix.norm()));
    }

    /// Rows scaled over 600 orders of magnitude: all products of lengths are the determinant.
    #[test]
    fn graded_rows_keep_every_digit(n in 2usize..40, grade in 0.0..600.0f64, seed: u64) {
        let b = orthonormal(normals(n, n, seed)) + DMatrix::identity(n, n) * 1.5;
        let order = |i: usize| (i * 7919 + seed as usize % 97) % n;
        let log = |i: usize| 300.0 - grade * order(i) as f64 / n as f64;
        let factor = DMatrix::from_fn(n, n, |i, j| b[(i, j)] * 10f64.powf(log(i)));
        let found: f64 = graded_singular_values(&factor).iter().map(|value| value.log10()).sum();
        let expected = b.determinant().abs().log10() + (0..n).map(log).sum::<f64>();
        prop_assert!((found - expected).abs() < 1e-12 * n as f64 + 1e-13 * expected.abs(), "{found} {expected}");
    }

    #[test]
    fn cholesky_gives_the_matrix_back(n in 1usize..40, seed: u64) {
        let b = normals(n, n + 5, seed);
        let matrix = &b * b.transpose();
        let root = cholesky(matrix.clone()).unwrap();
        prop_assert!((&root * root.transpose() - &matrix).norm() < 1e-14 * matrix.norm());
        prop_assert!(root.upper_triangle() == DMatrix::from_diagonal(&root.diagonal()));
        prop_assert!(n < 2 || cholesky(DMatrix::from_element(n, n, 1.0)).is_none());
    }
}

const HILBERT: [f64; 10] = [
    1.751_919_670_265_177_5,
    0.342_929_548_483_509_1,
    0.035_741_816_271_639_24,
    0.002_530_890_768_670_038,
    0.000_128_749_614_276_377_1,
    4.729_689_293_182_347e-6,
    1.228_967_738_751_175e-7,
    2.147_438_817_350_479e-9,
    2.266_746_747_762_926e-11,
    1.093_153_819_379_666e-13,
];
