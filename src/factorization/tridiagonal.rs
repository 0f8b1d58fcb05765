//! Eigenvalues of a symmetric matrix: Householder's reduction to three diagonals, then QL.
//!
//! Plain loops over slices, compiled for every SIMD level; sums run in eight lanes. Nothing is
//! fused, so the bits are the same on all of them.

use nalgebra::DMatrix;

use super::symmetric;
use crate::kernel::triangular::vectorized;

/// The eigenvalues of a symmetric matrix of random numbers, unsorted: same bits on every
/// instruction set.
pub(crate) fn drawn_eigenvalues(matrix: DMatrix<f64>) -> Vec<f64> {
    eigenvalues(matrix.clone()).unwrap_or_else(|| symmetric::by_rotations(&matrix).values)
}

/// The eigenvalues of a symmetric matrix, unsorted, with an absolute error of about n roundings of
/// the largest; none if the iteration does not converge, which it does for finite entries. Only the
/// lower triangle is read.
///
/// Cost: `2/3 n³` multiply-adds in one pass over the triangle for each column.
pub(super) fn eigenvalues(mut a: DMatrix<f64>) -> Option<Vec<f64>> {
    let n = a.nrows();
    let scale = a.amax();
    if scale == 0.0 {
        return Some(vec![0.0; n]);
    }
    a /= scale;
    let (mut diagonal, mut beside) = (vec![0.0; n], vec![0.0; n]);
    vectorized(
        n,
        #[inline(always)]
        || reduce(a.as_mut_slice(), &mut diagonal, &mut beside),
    );
    converge(&mut diagonal, &mut beside).then(|| diagonal.iter().map(|x| x * scale).collect())
}

const LANES: usize = 8;

/// Householder reflections from the left and from the right, one for each column. The rank-two
/// update of the reflection before and the product with the next vector share one pass.
#[inline(always)]
fn reduce(a: &mut [f64], diagonal: &mut [f64], beside: &mut [f64]) {
    let n = diagonal.len();
    // The pending update is A - v wᵀ - w vᵀ; u is the next v, and p = A u.
    let (mut v, mut w) = (vec![0.0; n], vec![0.0; n]);
    let (mut u, mut p) = (vec![0.0; n], vec![0.0; n]);
    for k in 0..n {
        let column = &mut a[k * n..(k + 1) * n];
        for i in k..n {
            column[i] -= v[i] * w[k] + w[i] * v[k];
        }
        diagonal[k] = column[k];
        if k + 1 == n {
            break;
        }
        let squares: f64 = column[k + 1..].iter().map(|x| x * x).sum();
        let head = column[k + 1];
        let pivot = -squares.sqrt().copysign(head);
        beside[k] = pivot;
        u[..=k].fill(0.0);
        u[k + 1..].copy_from_slice(&column[k + 1..]);
        u[k + 1] -= pivot;
        // Half the squared length of u; zero where nothing is left to reflect.
        let half = squares - head * pivot;
        let inverse = if half > 0.0 { 1.0 / half } else { 0.0 };
        p.fill(0.0);
        for j in k + 1..n {
            let column = &mut a[j * n + j..(j + 1) * n];
            p[j] += pass(column, &v[j..], &w[j..], &u[j..], &mut p[j..]);
        }
        // The reflection is I - u uᵀ inverse, so w = inverse p - inverse² (uᵀ p)/2 u.
        let along: f64 = u[k + 1..].iter().zip(&p[k + 1..]).map(|(u, p)| u * p).sum();
        let shift = 0.5 * inverse * inverse * along;
        std::mem::swap(&mut u, &mut v);
        for i in 0..n {
            w[i] = inverse * p[i] - shift * v[i];
        }
    }
}

/// Updates a column from its diagonal entry down, adds the products of what is below it with the
/// first of `u` to `p`, and returns the product of the column with `u`.
#[inline(always)]
fn pass(column: &mut [f64], v: &[f64], w: &[f64], u: &[f64], p: &mut [f64]) -> f64 {
    let (v0, w0, u0) = (v[0], w[0], u[0]);
    column[0] -= 2.0 * v0 * w0;
    let first = column[0] * u0;
    let (column, v, w) = (&mut column[1..], &v[1..], &w[1..]);
    let (u, p) = (&u[1..], &mut p[1..]);
    let mut sums = [0.0; LANES];
    let (columns, column_rest) = column.as_chunks_mut::<LANES>();
    let (vs, v_rest) = v.as_chunks::<LANES>();
    let (ws, w_rest) = w.as_chunks::<LANES>();
    let (us, u_rest) = u.as_chunks::<LANES>();
    let (ps, p_rest) = p.as_chunks_mut::<LANES>();
    for k in 0..columns.len().min(vs.len()).min(ws.len()).min(us.len()).min(ps.len()) {
        for lane in 0..LANES {
            let x = columns[k][lane] - v0 * ws[k][lane] - w0 * vs[k][lane];
            columns[k][lane] = x;
            ps[k][lane] += x * u0;
            sums[lane] += x * us[k][lane];
        }
    }
    let mut sum = first;
    for i in 0..column_rest.len() {
        let x = column_rest[i] - v0 * w_rest[i] - w0 * v_rest[i];
        column_rest[i] = x;
        p_rest[i] += x * u0;
        sum += x * u_rest[i];
    }
    sum + sums.iter().sum::<f64>()
}

/// The implicit QL iteration with Wilkinson's shift: leaves the eigenvalues on the diagonal.
fn converge(diagonal: &mut [f64], beside: &mut [f64]) -> bool {
    const MAX_ITERATIONS: usize = 60; // two are usual
    let n = diagonal.len();
    for l in 0..n {
        let mut iterations = 0;
        loop {
            let negligible = |m: &usize| {
                let neighbours = diagonal[*m].abs() + diagonal[m + 1].abs();
                beside[*m].abs() <= f64::EPSILON * neighbours
            };
            let m = (l..n - 1).find(negligible).unwrap_or(n - 1);
            if m == l {
                break;
            }
            iterations += 1;
            if iterations > MAX_ITERATIONS {
                return false;
            }
            let half = (diagonal[l + 1] - diagonal[l]) / (2.0 * beside[l]);
            let root = half.hypot(1.0).copysign(half);
            let mut g = diagonal[m] - diagonal[l] + beside[l] / (half + root);
            let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
            let mut split = false;
            for i in (l..m).rev() {
                let (f, b) = (sine * beside[i], cosine * beside[i]);
                let length = (f * f + g * g).sqrt();
                beside[i + 1] = length;
                if length == 0.0 {
                    diagonal[i + 1] -= shift;
                    beside[m] = 0.0;
                    split = true;
                    break;
                }
                let inverse = 1.0 / length;
                (sine, cosine) = (f * inverse, g * inverse);
                g = diagonal[i + 1] - shift;
                let r = (diagonal[i] - g) * sine + 2.0 * cosine * b;
                shift = sine * r;
                diagonal[i + 1] = g + shift;
                g = cosine * r - b;
            }
            if !split {
                diagonal[l] -= shift;
                beside[l] = g;
                beside[m] = 0.0;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(mut values: Vec<f64>) -> Vec<f64> {
        values.sort_by(f64::total_cmp);
        values
    }

    proptest! {
        /// Against nalgebra's, for matrices of any rank and scale.
        #[test]
        fn agrees_with_nalgebra(n in 1usize..40, rank in 1usize..40, seed: u64, power in -100..100) {
            let mut factor = DMatrix::<f64>::zeros(n, rank);
            let run = crate::Seed(seed).replicate(0);
            run.stream(crate::Purpose::User(0), 0, 0).fill_normal(factor.as_mut_slice());
            let mut a = &factor * factor.transpose();
            a[(0, 0)] -= 3.0;
            let expected = sorted(a.clone().symmetric_eigenvalues().as_slice().to_vec());
            let scale = 10f64.powi(power);
            let found = sorted(eigenvalues(a * scale).unwrap());
            let largest = expected.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert!((found / scale - expected).abs() <= 1e-13 * largest, "{found} {expected}");
            }
        }
    }

    #[test]
    fn diagonal_and_zero_matrices() {
        assert_eq!(eigenvalues(DMatrix::zeros(3, 3)), Some(vec![0.0; 3]));
        let diagonal = DMatrix::from_diagonal(&vec![3.0, -1.0, 2.0, 2.0].into());
        assert_eq!(sorted(eigenvalues(diagonal).unwrap()), [-1.0, 2.0, 2.0, 3.0]);
    }
}
