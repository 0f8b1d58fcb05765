//! Orthonormal columns: nearest to given ones, and those that are missing.

use nalgebra::DMatrix;

use crate::factorization::{Eigen, orthonormal, symmetric_eigen};
use crate::{Result, Stream};

/// Eigenvalues of $`A^\top A`$ below this multiple of the largest belong to directions that `A`
/// has lost.
const LOST: f64 = 1e-10;

/// The matrix with orthonormal columns that is nearest to `a` (`d x r`, `r <= d`): its polar factor.
///
/// Directions that `a` has lost are completed at random, from the stream. Orthonormal to a few
/// roundings; cost about `d r²` multiply-adds and a symmetric eigendecomposition of order `r`.
pub(super) fn nearest(a: &DMatrix<f64>, stream: Stream) -> Result<DMatrix<f64>> {
    let count = a.ncols();
    let Eigen { values, vectors } = symmetric_eigen(a.transpose() * a)?;
    let kept = values.iter().take_while(|&&value| value > 0.0 && value > LOST * values[0]).count();
    let mut known = a * vectors.columns(0, kept);
    for (mut column, value) in known.column_iter_mut().zip(&values) {
        column /= value.sqrt();
    }
    let known = refine(known);
    let missing = complement(&known, count - kept, stream);
    Ok(known * vectors.columns(0, kept).transpose()
        + missing * vectors.columns(kept, count - kept).transpose())
}

/// Random orthonormal columns, `count` of them, orthogonal to those of `known`: uniform among all
/// such frames. There must be enough dimensions.
pub(super) fn complement(known: &DMatrix<f64>, count: usize, stream: Stream) -> DMatrix<f64> {
    let mut normals = DMatrix::zeros(known.nrows(), count);
    stream.fill_normal(normals.as_mut_slice());
    if count == 0 {
        return normals;
    }
    // Twice is enough: what the first time leaves of `known` is small beside columns of length one.
    for _ in 0..2 {
        let along = known.transpose() * &normals;
        normals -= known * along;
        normals = orthonormal(normals);
    }
    normals
}

/// Makes nearly orthonormal columns orthonormal: Newton's iteration for the polar factor, which
/// squares the error in each step (Higham, *Functions of Matrices*, 2008, section 8.3).
pub(super) fn refine(mut frame: DMatrix<f64>) -> DMatrix<f64> {
    const MAX_STEPS: usize = 8;
    let tolerance = 4.0 * f64::EPSILON * frame.nrows() as f64;
    for _ in 0..MAX_STEPS {
        let mut step = frame.transpose() * &frame * -0.5;
        for k in 0..step.ncols() {
            step[(k, k)] += 0.5;
        }
        let error = step.norm();
        frame += &frame * step;
        if error < tolerance.sqrt() {
            break; // the step just done has squared it
        }
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Purpose, Seed};
    use nalgebra::dmatrix;
    use proptest::prelude::*;

    fn stream(seed: u64) -> Stream {
        Seed(seed).replicate(0).stream(Purpose::Weights, 1, 0)
    }

    fn normals(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
        let mut matrix = DMatrix::zeros(rows, columns);
        Seed(seed).replicate(1).stream(Purpose::User(0), 0, 0).fill_normal(matrix.as_mut_slice());
        matrix
    }

    fn defect(frame: &DMatrix<f64>) -> f64 {
        (frame.transpose() * frame - DMatrix::identity(frame.ncols(), frame.ncols())).amax()
    }

    proptest! {
        /// Against the polar factor by a singular value decomposition.
        #[test]
        fn nearest_is_the_polar_factor(r in 1usize..9, more in 0usize..5, seed in 0u64..1000) {
            let a = normals(r + more, r, seed);
            let svd = a.clone().svd(true, true);
            prop_assume!(svd.singular_values.min() > 1e-3 * svd.singular_values.max());
            let polar = svd.u.unwrap() * svd.v_t.unwrap();
            let found = nearest(&a, stream(seed)).unwrap();
            prop_assert!((&found - polar).amax() < 1e-9);
            prop_assert!(defect(&found) < 1e-14);
        }

        /// Directions that are lost are completed; those that are not keep their place.
        #[test]
        fn lost_directions_are_completed(d in 2usize..9, rank in 0usize..9, seed in 0u64..1000) {
            let rank = rank.min(d - 1);
            let a = normals(d, rank, seed) * normals(rank, d, seed + 5000);
            let found = nearest(&a, stream(seed)).unwrap();
            prop_assert!(defect(&found) < 1e-13);
            // The polar factor maximises the inner product, which is the sum of singular values.
            let sum = a.clone().svd(false, false).singular_values.sum();
            prop_assert!((a.dot(&found) - sum).abs() < 1e-6 * (1.0 + sum));
        }

        #[test]
        fn complements_are_orthonormal(d in 1usize..12, known in 0usize..12, seed in 0u64..1000) {
            let known = known.min(d);
            let frame: DMatrix<f64> = crate::weights::frame(d, known, stream(seed));
            let rest = complement(&frame, d - known, stream(seed + 1));
            let whole = DMatrix::from_fn(d, d, |i, j| {
                if j < known { frame[(i, j)] } else { rest[(i, j - known)] }
            });
            prop_assert!(defect(&whole) < 1e-13);
        }
    }

    #[test]
    fn refining_reaches_rounding() {
        let rough = dmatrix![1.0, 0.01; -0.02, 1.01; 0.0, 0.005];
        assert!(defect(&refine(rough)) < 1e-15);
    }
}
