//! Products of matrices that are there, on the threads of the current pool.

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
