//! The kernels compiled for `f64` and `f32`: once, here, not again in every crate that uses them.

use fearless_simd::Level;

use super::block::{self, Rows, Scratch};
use super::cholesky_qr::RowLines;
use super::column_passes::ColumnPasses;
use super::factor::Factor;
use super::generator::StreamKey;
use super::normal;
use super::passes::Passes;
use super::plan::Plan;
use super::pooling::Pooling;
use super::product::{self, Operand, OperandColumns, ProductScratch};
use super::row_passes::RowPasses;
use super::slices::Slices;
use super::weights::{self, RowBlock, WeightPlan, WeightScratch};

/// The scalar types for which kernels are compiled.
pub trait Kernels: Passes + RowPasses + ColumnPasses + Pooling + Slices {
    /// [`block::accumulate`].
    fn accumulate(
        level: Level,
        plan: &Plan,
        rows: &Rows<'_, Self>,
        key: StreamKey,
        index: usize,
        scratch: &mut Scratch<Self>,
        gram: &mut [f64],
    );

    /// [`block::normals`].
    fn block_normals(
        level: Level,
        plan: &Plan,
        key: StreamKey,
        block: usize,
        scratch: &mut Scratch<Self>,
        visit: &mut dyn FnMut(usize, usize, Self),
    );

    /// [`block::normal_columns`].
    fn normal_columns(
        level: Level,
        plan: &Plan,
        key: StreamKey,
        block: usize,
        scratch: &mut Scratch<Self>,
        out: &mut [Self],
    );

    /// [`weights::multiply_weights`].
    fn multiply_weights<'a>(
        level: Level,
        plan: &WeightPlan,
        h: &Factor<Self>,
        key: StreamKey,
        block: usize,
        scratch: &'a mut WeightScratch<Self>,
    ) -> RowBlock<'a, Self>;

    /// [`weights::weights`].
    fn weights(
        level: Level,
        plan: &WeightPlan,
        key: StreamKey,
        scratch: &mut WeightScratch<Self>,
        out: &mut [Self],
    );

    /// [`product::multiply`].
    fn multiply(
        level: Level,
        left: Operand<'_, Self>,
        right: OperandColumns<'_, Self>,
        out: &mut [Self],
        scratch: &mut ProductScratch<Self>,
    );

    /// [`RowLines::pack`].
    fn pack(level: Level, column: usize, entries: &[Self], lines: &mut RowLines);

    /// [`normal::fill`].
    fn fill_normal(level: Level, key: StreamKey, out: &mut [Self]);
}

macro_rules! kernels {
    ($($scalar:ty)*) => {$(
        impl Kernels for $scalar {
            fn accumulate(
                level: Level,
                plan: &Plan,
                rows: &Rows<'_, Self>,
                key: StreamKey,
                index: usize,
                scratch: &mut Scratch<Self>,
                gram: &mut [f64],
            ) {
                block::accumulate(level, plan, rows, key, index, scratch, gram);
            }

            fn block_normals(
                level: Level,
                plan: &Plan,
                key: StreamKey,
                block: usize,
                scratch: &mut Scratch<Self>,
                visit: &mut dyn FnMut(usize, usize, Self),
            ) {
                block::normals(level, plan, key, block, scratch, visit);
            }

            fn normal_columns(
                level: Level,
                plan: &Plan,
                key: StreamKey,
                block: usize,
                scratch: &mut Scratch<Self>,
                out: &mut [Self],
            ) {
                block::normal_columns(level, plan, key, block, scratch, out);
            }

            fn multiply_weights<'a>(
                level: Level,
                plan: &WeightPlan,
                h: &Factor<Self>,
                key: StreamKey,
                block: usize,
                scratch: &'a mut WeightScratch<Self>,
            ) -> RowBlock<'a, Self> {
                weights::multiply_weights(level, plan, h, key, block, scratch)
            }

            fn weights(
                level: Level,
                plan: &WeightPlan,
                key: StreamKey,
                scratch: &mut WeightScratch<Self>,
                out: &mut [Self],
            ) {
                weights::weights(level, plan, key, scratch, out);
            }

            fn multiply(
                level: Level,
                left: Operand<'_, Self>,
                right: OperandColumns<'_, Self>,
                out: &mut [Self],
                scratch: &mut ProductScratch<Self>,
            ) {
                product::multiply(level, left, right, out, scratch);
            }

            fn pack(level: Level, column: usize, entries: &[Self], lines: &mut RowLines) {
                lines.pack(level, column, entries);
            }

            fn fill_normal(level: Level, key: StreamKey, out: &mut [Self]) {
                normal::fill(level, key, out);
            }
        }
    )*};
}

kernels!(f32 f64);
