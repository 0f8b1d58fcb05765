//! The small matrices of the streamed reverse pass.

use nalgebra::DMatrix;

use crate::factorization::{orthonormal, triangle};

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
        // Zero except for rounding, which must not be a pivot again.
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
    upper.solve_upper_triangular_mut(&mut frame).then(|| frame.transpose())
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
    /// The coefficients `K` of the rows $`g = K^\top (p, \zeta)`$ of `G`, `(k + n) x n`, from the
    /// products of the columns of $`[P\ Z]`$: with $`P^\top P = T^\top T`$ and $`S = Q^\top Z`$,
    ///
    /// ```math
    /// K = \begin{pmatrix} T^{-1} (U - S B) \\ B \end{pmatrix}, \qquad Q = P T^{-1}.
    /// ```
    ///
    /// Row `u` of `U` belongs to column `places[u]` of $`P T^{-1}`$. Coordinates that depend on those
    /// before them are left out: they are rounding of directions that `X` does not have.
    pub(super) fn coefficients(&self, products: &DMatrix<f64>, places: &[usize]) -> DMatrix<f64> {
        let n = self.across.ncols();
        let k = products.nrows() - n;
        let (own, lower) = independent_root(&products.view((0, 0), (k, k)).into_owned());
        let mut shares = products.view((0, k), (k, n)).select_rows(&own);
        // Diagonals are positive, so neither solution fails.
        lower.solve_lower_triangular_mut(&mut shares);
        let mut along = DMatrix::zeros(own.len(), n);
        for (row, place) in self.along.row_iter().zip(places) {
            if let Some(index) = own.iter().position(|own| own == place) {
                along.set_row(index, &(row - shares.row(index) * &self.across));
            }
        }
        lower.tr_solve_lower_triangular_mut(&mut along);
        let mut all = DMatrix::zeros(k + n, n);
        for (row, &coordinate) in along.row_iter().zip(&own) {
            all.set_row(coordinate, &row);
        }
        all.rows_mut(k, n).copy_from(&self.across);
        all
    }
}

/// The columns that do not depend on those before them, by the products of all, and the lower
/// triangular root of theirs.
fn independent_root(products: &DMatrix<f64>) -> (Vec<usize>, DMatrix<f64>) {
    let k = products.nrows();
    let rounding = k as f64 * f64::EPSILON;
    let (mut own, mut rows) = (Vec::new(), Vec::<Vec<f64>>::new());
    for j in 0..k {
        let mut row: Vec<f64> = Vec::with_capacity(own.len() + 1);
        for (i, above) in own.iter().zip(&rows) {
            let explained: f64 = above.iter().zip(&row).map(|(a, b)| a * b).sum();
            row.push((products[(*i, j)] - explained) / above[row.len()]);
        }
        let square = products[(j, j)];
        let pivot = square - row.iter().map(|x| x * x).sum::<f64>();
        if pivot > rounding * square {
            row.push(pivot.sqrt());
            own.push(j);
            rows.push(row);
        }
    }
    let order = own.len();
    let lower = DMatrix::from_fn(order, order, |i, j| rows[i].get(j).copied().unwrap_or_default());
    (own, lower)
}

#[cfg(test)]
mod tests {
    use nalgebra::dmatrix;
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
            let q = orthonormal(p.clone()).select_columns(&kept);
            let rest = &z - &q * (q.transpose() * &z);
            let naive = &q * &below.along + rest * &below.across;
            let mut both = p.insert_columns(k, n, 0.0);
            both.columns_mut(k, n).copy_from(&z);
            let products = both.transpose() * &both;
            let ours = &both * below.coefficients(&products, &kept);
            let size = 1.0 + naive.amax();
            prop_assert!((ours - naive).amax() < 1e-8 * size);
        }
    }

    #[test]
    fn dependent_columns_are_left_out() {
        assert_eq!(semidefinite_root(&DMatrix::zeros(3, 3), 1e-15).shape(), (0, 3));
        assert_eq!(independent_root(&DMatrix::zeros(2, 2)).0, [0; 0]);
        let (own, lower) = independent_root(&dmatrix![4.0, 2.0, 0.0; 2.0, 1.0, 0.0; 0.0, 0.0, 9.0]);
        assert_eq!((own, lower), (vec![0, 2], dmatrix![2.0, 0.0; 0.0, 3.0]));
    }
}
