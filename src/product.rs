//! Products of matrices in memory, on the threads of the current pool.

use fearless_simd::Level;
use nalgebra::DMatrix;

use crate::Scalar;
use crate::kernel::product::{Operand, ProductScratch};
#[cfg(feature = "rayon")]
use crate::parallel::WORTH_SHARING;

/// Working memory of products, one a thread.
#[derive(Clone, Debug)]
pub(crate) struct Products<T: Scalar> {
    level: Level,
    scratches: Vec<ProductScratch<T>>,
}

impl<T: Scalar> Products<T> {
    pub(crate) fn new() -> Self {
        Self { level: Level::new(), scratches: Vec::new() }
    }

    /// Makes `out` the product of two matrices; the same bits on any number of threads.
    ///
    /// Allocates nothing once it has seen a product as large.
    pub(crate) fn multiply(
        &mut self,
        left: Operand<'_, T>,
        right: Operand<'_, T>,
        out: &mut DMatrix<T>,
    ) {
        fit(out, (left.shape().0, right.shape().1));
        self.multiply_to(left, right, out.as_mut_slice());
    }

    /// [`multiply`](Self::multiply) into memory of the size of the product.
    pub(crate) fn multiply_to(
        &mut self,
        left: Operand<'_, T>,
        right: Operand<'_, T>,
        out: &mut [T],
    ) {
        let ((rows, terms), columns) = (left.shape(), right.shape().1);
        let share = columns.div_ceil(threads(rows * terms * columns));
        let count = columns.div_ceil(share);
        if self.scratches.len() < count {
            self.scratches.resize_with(count, ProductScratch::default);
        }
        let level = self.level;
        let part = |(index, (out, scratch)): (usize, (&mut [T], &mut ProductScratch<T>))| {
            let first = index * share;
            let some = first..(first + share).min(columns);
            T::multiply(level, left, right.columns(some), out, scratch);
        };
        let scratches = &mut self.scratches[..count];
        #[cfg(feature = "rayon")]
        if count > 1 {
            use rayon::prelude::*;
            let parts = out.par_chunks_mut(rows * share);
            return parts.zip(scratches.par_iter_mut()).enumerate().for_each(part);
        }
        out.chunks_mut(rows * share).zip(scratches).enumerate().for_each(part);
    }
}

/// The product of two matrices; the same bits on any number of threads and any instructions.
pub(crate) fn product<T: Scalar>(left: &DMatrix<T>, right: &DMatrix<T>) -> DMatrix<T> {
    let mut out = DMatrix::zeros(left.nrows(), right.ncols());
    let [a, b] = [left, right].map(|matrix| Operand::new(matrix.as_slice(), matrix.nrows()));
    Products::new().multiply(a, b, &mut out);
    out
}

/// How many threads share a product.
fn threads(work: usize) -> usize {
    #[cfg(feature = "rayon")]
    if work >= WORTH_SHARING {
        return rayon::current_num_threads();
    }
    let _ = work;
    1
}

/// Gives a matrix another shape: the same numbers in memory, as far as they reach. Allocates only
/// for more numbers than it has ever held.
pub(crate) fn fit<T: Scalar>(matrix: &mut DMatrix<T>, (rows, columns): (usize, usize)) {
    if matrix.shape() != (rows, columns) {
        let mut entries: Vec<T> = std::mem::replace(matrix, DMatrix::zeros(0, 0)).data.into();
        entries.resize(rows * columns, T::zero());
        *matrix = DMatrix::from_vec(rows, columns, entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proptest::normals;

    fn operand(matrix: &DMatrix<f64>) -> Operand<'_, f64> {
        Operand::new(matrix.as_slice(), matrix.nrows())
    }

    /// Against nalgebra's product: small ones, and ones that threads share, with a last share of other
    /// size.
    #[test]
    fn products_are_those_of_nalgebra() {
        let mut products = Products::new();
        let mut out = DMatrix::repeat(3, 2, f64::NAN);
        for (rows, terms, columns) in [(1, 1, 1), (5, 3, 4), (120, 100, 101), (2, 3, 200_001)] {
            let (left, right) = (normals(rows, terms, 1), normals(terms, columns, 2));
            let exact = &left * &right;
            products.multiply(operand(&left), operand(&right), &mut out);
            assert_eq!(out.shape(), (rows, columns));
            assert!((&out - &exact).amax() < 1e-12, "{rows} {terms} {columns}");
            let flipped = left.transpose();
            out.fill(f64::NAN);
            let left = operand(&flipped).transposed();
            products.multiply_to(left, operand(&right), out.as_mut_slice());
            assert!((&out - &exact).amax() < 1e-12, "{rows} {terms} {columns}");
        }
    }

    #[test]
    fn matrices_change_their_shape_and_keep_their_numbers() {
        let mut matrix = nalgebra::dmatrix![1.0, 3.0; 2.0, 4.0];
        fit(&mut matrix, (1, 3));
        assert_eq!(matrix, nalgebra::dmatrix![1.0, 2.0, 3.0]);
        fit(&mut matrix, (2, 2));
        assert_eq!(matrix, nalgebra::dmatrix![1.0, 3.0; 2.0, 0.0]);
        fit(&mut matrix, (0, 5));
        assert_eq!(matrix.shape(), (0, 5));
    }
}
