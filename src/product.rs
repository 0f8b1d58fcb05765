//! Products of matrices that are there, on the threads of the current pool.

use fearless_simd::Level;
use nalgebra::DMatrix;

use super::scaled::fit;
use crate::Scalar;
use crate::kernel::product::{Operand, ProductScratch};

/// Multiply-adds from which threads pay.
#[cfg(feature = "rayon")]
const WORTH_SHARING: usize = 1 << 20;

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
        let ((rows, terms), columns) = (left.shape(), right.shape().1);
        fit(out, (rows, columns));
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
            let parts = out.as_mut_slice().par_chunks_mut(rows * share);
            return parts.zip(scratches.par_iter_mut()).enumerate().for_each(part);
        }
        out.as_mut_slice().chunks_mut(rows * share).zip(scratches).enumerate().for_each(part);
    }
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
