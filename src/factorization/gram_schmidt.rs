//! Orthonormal columns by products: Gram-Schmidt of blocks of columns, each of them twice.

use nalgebra::DMatrix;

use crate::Scalar;
use crate::kernel::cholesky_qr::orthonormalize;
use crate::kernel::product::Operand;
use crate::product::Products;

/// Columns of a block.
const BLOCK: usize = 48;
/// Columns from which blocks pay.
const LEAST: usize = 64;

/// Replaces the columns of a matrix by the `Q` of $`M = Q R`$, where `R` has a positive diagonal.
///
/// Blocks lose their components along the columns before them and become orthonormal by the
/// Cholesky factor of their products, twice (Barlow and Smoktunowicz 2013), which is as accurate as
/// reflections. Returns false, with the matrix overwritten, if a block is too close to dependent
/// for two times to be enough, and if there are too few columns.
///
/// Cost: `2 d n²` multiply-adds. Sums are taken in an order that depends on the shape alone.
pub(super) fn orthonormalize_blocks<T: Scalar>(matrix: &mut DMatrix<T>) -> bool {
    let (rows, columns) = matrix.shape();
    if columns < LEAST || rows < columns {
        return false;
    }
    let mut products = Products::new();
    let mut shares = vec![T::zero(); columns * BLOCK];
    let mut along = vec![T::zero(); rows * BLOCK];
    for first in (0..columns).step_by(BLOCK) {
        let count = BLOCK.min(columns - first);
        let (done, rest) = matrix.as_mut_slice().split_at_mut(first * rows);
        let block = &mut rest[..count * rows];
        for turn in 0..2 {
            if first > 0 {
                let before = Operand::new(done, rows);
                let (shares, along) = (&mut shares[..first * count], &mut along[..block.len()]);
                products.multiply_to(before.transposed(), Operand::new(block, rows), shares);
                products.multiply_to(before, Operand::new(shares, first), along);
                block.iter_mut().zip(&*along).for_each(|(entry, &along)| *entry -= along);
            }
            if !orthonormalize(block, rows, turn == 1) {
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proptest::normals;
    use proptest::prelude::*;

    /// How far columns are from orthonormal, entry by entry.
    fn distance(q: &DMatrix<f64>) -> f64 {
        (q.transpose() * q - DMatrix::identity(q.ncols(), q.ncols())).amax()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        /// Of normals, square ones with condition numbers of the order of the width included.
        #[test]
        fn columns_are_those_of_reflections(
            columns in LEAST..150usize, more in 0usize..60, seed in any::<u64>(),
        ) {
            let m = normals(columns + more, columns, seed);
            let mut q = m.clone();
            prop_assert!(orthonormalize_blocks(&mut q));
            prop_assert!(distance(&q) < 2e-15, "{}", distance(&q));
            // The factor is triangular with a positive diagonal, so the columns are the only ones.
            let r = q.transpose() * &m;
            prop_assert!((&q * &r - &m).amax() < 1e-14 * m.amax() * (columns as f64).sqrt());
            for j in 0..columns {
                prop_assert!(r[(j, j)] > 0.0);
                prop_assert!(r.column(j).iter().skip(j + 1).all(|x| x.abs() < 1e-13));
            }
            let mut single = m.map(|x| x as f32);
            prop_assert!(orthonormalize_blocks(&mut single));
            prop_assert!(distance(&single.map(f64::from)) < 1e-6);
        }
    }

    /// A block with a column that nearly is a sum of others is left to reflections, which make it
    /// orthonormal all the same; one that is dependent to six digits is not.
    #[test]
    fn dependent_columns_fall_back() {
        for (apart, falls_back) in [(1e-5, false), (1e-9, true), (0.0, true)] {
            for column in [20, 70] {
                let mut m = normals(120, 90, 3);
                let sum: nalgebra::DVector<f64> = m.column(column - 3) + m.column(column - 1);
                let nearly = sum + apart * m.column(column);
                m.set_column(column, &nearly);
                let mut blocks = m.clone();
                assert_eq!(!orthonormalize_blocks(&mut blocks), falls_back, "{apart} {column}");
                assert!(distance(&super::super::orthonormal(m)) < 3e-15, "{apart} {column}");
            }
        }
    }

    #[test]
    fn few_columns_are_left_to_reflections() {
        assert!(!orthonormalize_blocks(&mut normals(200, LEAST - 1, 1)));
        assert!(!orthonormalize_blocks(&mut normals(LEAST, LEAST + 1, 1)));
    }
}
