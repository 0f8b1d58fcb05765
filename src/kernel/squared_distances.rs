//! Squared distances between the rows of two matrices.

use nalgebra::{DMatrix, DVector};

use crate::kernel::triangular::vectorized;

/// Returns the matrix of $`\sum_k (a_{ik} - b_{jk} + s_k)^2`$ for the rows of `a` and `b`.
///
/// Cost: `N M n` multiplications. Every entry is one running sum in the order of k, not fused, so
/// its bits depend on no instruction set.
pub fn squared_distances(a: &DMatrix<f64>, b: &DMatrix<f64>, shift: &DVector<f64>) -> DMatrix<f64> {
    let (rows, columns, terms) = (a.nrows(), b.nrows(), shift.len());
    let mut squares = DMatrix::zeros(rows, columns);
    vectorized(
        rows,
        #[inline(always)]
        || {
            for j in 0..columns {
                let squares = &mut squares.as_mut_slice()[j * rows..][..rows];
                for k in 0..terms {
                    let (a, b, shift) = (&a.as_slice()[k * rows..][..rows], b[(j, k)], shift[k]);
                    for i in 0..rows {
                        let difference = a[i] - b + shift;
                        squares[i] += difference * difference;
                    }
                }
            }
        },
    );
    squares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_what_plain_loops_give(
            rows in 1usize..40,
            columns in 1usize..20,
            terms in 1usize..10,
            numbers in prop::collection::vec(-10.0f64..10.0, 60 * 10 + 10),
        ) {
            let a = DMatrix::from_fn(rows, terms, |i, k| numbers[i * terms + k]);
            let b = DMatrix::from_fn(columns, terms, |j, k| numbers[(40 + j) * terms + k]);
            let shift = DVector::from_fn(terms, |k, _| numbers[numbers.len() - 1 - k]);
            let expected = DMatrix::from_fn(rows, columns, |i, j| {
                (0..terms).fold(0.0, |sum, k| sum + (a[(i, k)] - b[(j, k)] + shift[k]).powi(2))
            });
            prop_assert_eq!(squared_distances(&a, &b, &shift), expected);
        }
    }
}
