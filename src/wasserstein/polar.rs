//! The polar factor of a matrix, singular or not.

use nalgebra::{DMatrix, DVector};

/// The polar factor `Q` of a matrix `M` with no more rows than columns: orthonormal rows, and
/// $`M Q^\top`$ symmetric positive semidefinite; completed where `M` is singular.
///
/// Bidiagonalisation is fast, but nalgebra's goes wrong on one in a few hundred singular matrices:
/// its result is checked, and Jacobi rotations, which cannot fail, take over.
pub(super) fn polar(matrix: DMatrix<f64>) -> DMatrix<f64> {
    const MAX_ITERATIONS: usize = 10_000;
    let (rows, columns) = matrix.shape();
    let scale = matrix.norm();
    let tolerance = 8.0 * f64::EPSILON * columns as f64;
    matrix
        .clone()
        .try_svd_unordered(true, true, f64::EPSILON, MAX_ITERATIONS)
        .and_then(|svd| Some((svd.u? * svd.v_t?, svd.singular_values.sum())))
        .filter(|(q, sum)| {
            let root = &matrix * q.transpose();
            let skew = (&root - root.transpose()).norm();
            let error = (q * q.transpose() - DMatrix::identity(rows, rows)).norm();
            error <= tolerance
                && skew <= tolerance * scale
                && (root.trace() - sum).abs() <= tolerance * rows as f64 * scale
        })
        .map_or_else(|| by_rotations(matrix), |(q, _)| q)
}

/// Turns the rows of `M` until they are orthogonal (one-sided Jacobi): $`J M = \Sigma V^\top`$, so
/// $`Q = J^\top V^\top`$.
fn by_rotations(mut rest: DMatrix<f64>) -> DMatrix<f64> {
    const MAX_SWEEPS: usize = 60; // 4 to 10 are usual, and convergence is quadratic
    let (rows, columns) = rest.shape();
    let scale = rest.amax();
    if scale > 0.0 {
        rest /= scale;
    }
    // What rounding leaves of a row that depends on others.
    let floor = f64::EPSILON * rest.norm() * columns as f64;
    // Both transposed, so that rows lie together.
    let mut turned = rest.transpose();
    let mut rotation = DMatrix::identity(rows, rows);
    for _ in 0..MAX_SWEEPS {
        let mut done = true;
        for p in 0..rows {
            for q in p + 1..rows {
                let (a, b) = (turned.column(p).norm_squared(), turned.column(q).norm_squared());
                let product = turned.column(p).dot(&turned.column(q));
                let negligible = floor * a.max(b).sqrt();
                if product.abs() <= (f64::EPSILON * (a * b).sqrt()).max(negligible * f64::EPSILON) {
                    continue;
                }
                done = false;
                let slope = (b - a) / (2.0 * product);
                let tangent = slope.signum() / (slope.abs() + slope.hypot(1.0));
                let cosine = tangent.hypot(1.0).recip();
                for matrix in [&mut turned, &mut rotation] {
                    let (mut x, mut y) = matrix.columns_range_pair_mut(p, q);
                    for (x, y) in x.iter_mut().zip(y.iter_mut()) {
                        (*x, *y) = (cosine * (*x - tangent * *y), cosine * (*y + tangent * *x));
                    }
                }
            }
        }
        if done {
            break;
        }
    }
    let mut order: Vec<usize> = (0..rows).collect();
    let norms: Vec<f64> = turned.column_iter().map(|column| column.norm()).collect();
    order.sort_by(|&a, &b| norms[b].total_cmp(&norms[a]));
    // Longest first, each made orthogonal to those before; unit vectors fill in for zeros.
    let mut basis: Vec<DVector<f64>> = Vec::with_capacity(rows);
    let mut units =
        (0..columns).map(|k| DVector::from_fn(columns, |i, _| f64::from(u8::from(i == k))));
    for &k in &order {
        let own = (norms[k] > floor).then(|| turned.column(k).into_owned());
        let candidates = own.into_iter().chain(units.by_ref());
        let next = candidates.map(|candidate| orthogonalized(candidate, &basis));
        // Of n unit vectors, at most as many as the basis has lie nearly inside its span.
        basis.extend(next.flatten().next());
    }
    let mut vectors = DMatrix::zeros(rows, columns);
    for (&k, vector) in order.iter().zip(&basis) {
        vectors.set_row(k, &vector.transpose());
    }
    rotation * vectors
}

/// The unit vector along what of `vector` is orthogonal to an orthonormal basis, if that is not
/// nearly nothing. Two passes of Gram and Schmidt.
fn orthogonalized(vector: DVector<f64>, basis: &[DVector<f64>]) -> Option<DVector<f64>> {
    let mut vector = vector.normalize();
    let mut kept = 1.0;
    for _ in 0..2 {
        for other in basis {
            let along = other.dot(&vector);
            vector.axpy(-along, other, 1.0);
        }
        kept *= vector.norm();
        if kept < 0.5 / (vector.len() as f64).sqrt() {
            return None;
        }
        vector.normalize_mut();
    }
    Some(vector)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::dmatrix;

    fn check(matrix: &DMatrix<f64>, q: &DMatrix<f64>) {
        let rows = matrix.nrows();
        let scale = matrix.norm();
        let root = matrix * q.transpose();
        assert!((q * q.transpose() - DMatrix::identity(rows, rows)).amax() < 2e-14, "{matrix}{q}");
        assert!((&root - root.transpose()).amax() <= 1e-13 * scale, "{matrix}{q}");
        assert!(root.symmetric_eigenvalues().min() >= -1e-13 * scale, "{matrix}{q}");
    }

    #[test]
    fn singular_matrices_have_complete_polar_factors() {
        for matrix in [
            DMatrix::zeros(2, 3),
            dmatrix![1.0, 2.0; 2.0, 4.0],
            dmatrix![0.0, 1.0, 0.0; 0.0, 0.0, 0.0; 0.0, 0.0, 0.0],
            DMatrix::from_fn(4, 6, |i, j| ((i + 1) * (j + 1)) as f64),
        ] {
            check(&matrix, &polar(matrix.clone()));
            check(&matrix, &by_rotations(matrix.clone()));
        }
    }

    /// Products of random matrices, most of them singular: some defeat the bidiagonal method.
    #[test]
    fn products_have_polar_factors() {
        for seed in 0..2000u64 {
            let n = 1 + (seed % 6) as usize;
            let rank = 1 + (seed / 6 % n as u64) as usize;
            let run = crate::Seed(seed).replicate(0);
            let normals = |layer, rows, columns| {
                let mut normals = DMatrix::<f64>::zeros(rows, columns);
                let stream = run.stream(crate::Purpose::Targets, layer, 0);
                stream.fill_normal(normals.as_mut_slice());
                normals
            };
            let matrix = normals(0, n, rank) * normals(1, rank, n + (seed % 3) as usize);
            check(&matrix, &polar(matrix.clone()));
            check(&matrix, &by_rotations(matrix.clone()));
        }
    }
}
