//! The small matrices of the streamed reverse pass.

use nalgebra::DMatrix;

use crate::factorization::{orthonormal, triangle};
use crate::kernel::triangular::cholesky;

/// A root `B`, `k x n`, of a positive semidefinite matrix $`A = B^\top B`$ of rank `k`.
///
/// A direction whose squared share of a sample, relative to that sample's own, is at most `rounding`
/// counts as zero. Cost: `k n²` multiply-adds.
pub(super) fn semidefinite_root(a: &DMatrix<f64>, rounding: f64) -> DMatrix<f64> {
    let n = a.nrows();
    let lengths: Vec<f64> = (0..n).map(|j| a[(j, j)].max(0.0).sqrt()).collect();
    // Of columns of length one; the largest pivot first, which bounds all that is left.
    let mut rest = DMatrix::from_fn(n, n, |i, j| {
        let size = lengths[i] * lengths[j];
        if size > 0.0 { a[(i, j)] / size } else { 0.0 }
    });
    let mut rows: Vec<Vec<f64>> = Vec::new();
    while rows.len() < n {
        let pivot =
            (0..n).fold(0, |best, j| if rest[(j, j)] > rest[(best, best)] { j } else { best });
        if rest[(pivot, pivot)] <= rounding {
            break;
        }
        let length = rest[(pivot, pivot)].sqrt();
        let row: Vec<f64> = (0..n).map(|j| rest[(pivot, j)] / length).collect();
        for j in 0..n {
            for i in 0..n {
                rest[(i, j)] -= row[i] * row[j];
            }
        }
        // Zero but for rounding, which must not be a pivot again.
        rest.row_mut(pivot).fill(0.0);
        rest.column_mut(pivot).fill(0.0);
        rows.push(row);
    }
    DMatrix::from_fn(rows.len(), n, |i, j| rows[i][j] * lengths[j])
}

/// The right inverse $`F^+`$, `n x r`, of a factor `F`, `r x n` of rank `r`; none if its rank is less.
pub(super) fn right_inverse(factor: &DMatrix<f64>) -> Option<DMatrix<f64>> {
    let transposed = factor.transpose();
    let upper = triangle(transposed.clone());
    let mut frame = orthonormal(transposed).transpose();
    // With F^T = Q R, F^+ = Q R^-T.
    upper.tr_solve_upper_triangular_mut(&mut frame).then(|| frame.transpose())
}

/// What goes down from the layer above: $`G = Q U + (I - Q Q^\top) Z B`$, in units of its weights'
/// deviation.
#[derive(Clone, Debug)]
pub(super) struct Below {
    /// $`U = V^\top \Delta`$, `r x n`.
    pub along: DMatrix<f64>,
    /// `B` with $`B^\top B = \Delta^\top \Delta`$, `n x n`; rows beyond the rank are zero.
    pub across: DMatrix<f64>,
    /// `F`, `r x n`, with $`X = Q F`$.
    pub frame: DMatrix<f64>,
    /// Whether the rows of `F` are those of the factor of $`X^\top X`$.
    pub own_rows: bool,
    /// Logarithm of the unit of `U` and `B`.
    pub log_unit: f64,
}

impl Below {
    /// The coefficients `K` of the rows $`g = K^\top (p, \zeta)`$ of `G`, `(k + n) x n`, where
    /// coordinates `p` are a basis of the columns of `Q`, with $`P^\top P = T^\top T`$ and `Q` the columns
    /// `kept` (of that `T`) of $`P T^{-1}`$:
    ///
    /// ```math
    /// K = \begin{pmatrix} T^{-1} (U - S B) \\ B \end{pmatrix}, \qquad S = Q^\top Z.
    /// ```
    ///
    /// `lower` is the transpose of `T`, `products` is $`P^\top Z`$.
    pub(super) fn coefficients(
        &self,
        lower: &DMatrix<f64>,
        products: &DMatrix<f64>,
        kept: &[usize],
    ) -> DMatrix<f64> {
        let (k, n) = products.shape();
        let mut shares = products.clone();
        // The diagonal is positive, so this cannot fail.
        lower.solve_lower_triangular_mut(&mut shares);
        let along = &self.along - shares.select_rows(kept) * &self.across;
        let mut embedded = DMatrix::zeros(k, n);
        for (row, &place) in along.row_iter().zip(kept) {
            embedded.set_row(place, &row);
        }
        lower.tr_solve_lower_triangular_mut(&mut embedded);
        let mut all = DMatrix::zeros(k + n, n);
        all.rows_mut(0, k).copy_from(&embedded);
        all.rows_mut(k, n).copy_from(&self.across);
        all
    }
}

/// The lower triangular root of products of columns that are independent; none if they are not.
pub(super) fn lower_root(mut products: DMatrix<f64>) -> Option<DMatrix<f64>> {
    let smallest = cholesky(&mut products);
    products.fill_upper_triangle(0.0, 1);
    (smallest > 0.0).then_some(products)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Input, Seed};

    fn normals(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
        let order = rows.max(columns);
        let all = Input::gaussian(order, order, Seed(seed)).unwrap().columns().clone();
        all.view((0, 0), (rows, columns)).into_owned()
    }

    proptest! {
        #[test]
        fn roots_square_to_their_matrix(
            n in 1usize..9, rank in 1usize..9, seed in any::<u64>(), powers in proptest::collection::vec(-30..30i32, 9),
        ) {
            let rank = rank.min(n);
            let mut factor = normals(rank, n, seed);
            for (mut column, &power) in factor.column_iter_mut().zip(&powers) {
                column *= 2f64.powi(power);
            }
            let a = factor.transpose() * &factor;
            let root = semidefinite_root(&a, 1e-13);
            prop_assert!(root.nrows() <= rank);
            let again = root.transpose() * &root;
            for i in 0..n {
                for j in 0..n {
                    let size = (a[(i, i)] * a[(j, j)]).sqrt();
                    prop_assert!((again[(i, j)] - a[(i, j)]).abs() < 1e-11 * size);
                }
            }
        }

        #[test]
        fn right_inverses_invert(r in 1usize..7, more in 0usize..4, seed in any::<u64>(), digits in 0..8i32) {
            let mut factor = normals(r, r + more, seed);
            factor.row_mut(r - 1).scale_mut(10f64.powi(-digits));
            let inverse = right_inverse(&factor).unwrap();
            let error = &factor * &inverse - DMatrix::identity(r, r);
            prop_assert!(error.amax() < 1e-13 * factor.norm() * inverse.norm());
        }

        /// One layer's algebra against the definition, with `Q`, `Z` held: coordinates in any basis.
        #[test]
        fn coefficients_are_those_of_the_definition(
            (k, r) in (1usize..6).prop_flat_map(|k| (Just(k), 1..=k)),
            n in 1usize..6, more in 0usize..30, seed in any::<u64>(),
        ) {
            let d = k + n + more;
            let (p, z) = (normals(d, k, seed), normals(d, n, seed ^ 1));
            let kept: Vec<usize> = (k - r..k).collect();
            let below = Below {
                along: normals(r, n, seed ^ 2),
                across: normals(n, n, seed ^ 3),
                frame: DMatrix::zeros(0, 0),
                own_rows: true,
                log_unit: 0.0,
            };
            let lower = lower_root(p.transpose() * &p).unwrap();
            let coefficients = below.coefficients(&lower, &(p.transpose() * &z), &kept);
            let q = orthonormal(p.clone()).select_columns(&kept);
            let rest = &z - &q * (q.transpose() * &z);
            let naive = &q * &below.along + rest * &below.across;
            let mut both = p.insert_columns(k, n, 0.0);
            both.columns_mut(k, n).copy_from(&z);
            let ours = both * coefficients;
            let size = 1.0 + naive.amax();
            prop_assert!((ours - naive).amax() < 1e-8 * size);
        }
    }

    #[test]
    fn zero_has_a_root_without_rows() {
        assert_eq!(semidefinite_root(&DMatrix::zeros(3, 3), 1e-15).shape(), (0, 3));
        assert!(lower_root(DMatrix::zeros(2, 2)).is_none());
    }
}
