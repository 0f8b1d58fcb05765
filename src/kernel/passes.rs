//! The passes over a block that do not depend on the factor, compiled once for `f64` and `f32`.

use crate::kernel::activation::Activate;
use crate::kernel::generator::{LaneRng, StreamKey};
use crate::kernel::line::{Lanes, Line, parts};
use crate::kernel::normal::{Normals, fill_lines};
use crate::kernel::plan::Plan;
use crate::kernel::rank_update::rank_update;
use crate::kernel::tiles::NARROW;
use fearless_simd::{Level, Simd, dispatch};

/// The scalar types for which passes are compiled.
pub trait Passes: Activate + Normals {
    /// Draws the normals of a block.
    fn fill_block(level: Level, plan: &Plan, key: StreamKey, lines: &mut [Line<Self>]);

    /// Adds sum u u^T over the rows u of a block of more than a few columns to `gram`.
    fn add_products(level: Level, plan: &Plan, lines: &[Line<Self>], gram: &mut [f64]);
}

#[inline(always)]
fn fill_block<S: Simd, T: Normals>(simd: S, plan: &Plan, key: StreamKey, lines: &mut [Line<T>]) {
    let mut stream = LaneRng::new(simd, key);
    if plan.stride == plan.batch {
        fill_lines(simd, &mut stream, lines);
    } else {
        for group in lines.chunks_exact_mut(plan.stride) {
            fill_lines(simd, &mut stream, &mut group[..plan.batch]);
        }
    }
}

#[inline(always)]
fn add_products<S: Simd, T: Lanes>(simd: S, plan: &Plan, lines: &[Line<T>], gram: &mut [f64]) {
    let (n, stride) = (plan.batch, plan.stride);
    // Tiles for 32 registers of a whole line, or 16 of half a line: there a narrow one wastes less
    // of a small triangle, a wide one reads less of a large block.
    match (parts::<S, T>(simd), n) {
        (1, _) => rank_update::<S, T, 4, 4>(simd, n, lines, stride, gram),
        (_, ..=NARROW) => rank_update::<S, T, 4, 2>(simd, n, lines, stride, gram),
        _ => rank_update::<S, T, 4, 3>(simd, n, lines, stride, gram),
    }
}

macro_rules! passes {
    ($($scalar:ty)*) => {$(
        impl Passes for $scalar {
            fn fill_block(level: Level, plan: &Plan, key: StreamKey, lines: &mut [Line<Self>]) {
                dispatch!(level, simd => fill_block(simd, plan, key, lines));
            }

            fn add_products(level: Level, plan: &Plan, lines: &[Line<Self>], gram: &mut [f64]) {
                dispatch!(level, simd => add_products(simd, plan, lines, gram));
            }
        }
    )*};
}

passes!(f32 f64);
