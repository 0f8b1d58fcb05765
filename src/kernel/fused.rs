//! Small batches: multiply, normalise and sum without leaving the registers.

use crate::kernel::factor::{Factor, Form};
use crate::kernel::line::{Lanes, Line, parts};
use crate::kernel::row_scale::RowScale;
use fearless_simd::prelude::*;

/// Adds sum z z^T/|M^T z|² (divisor as in `scale`) over the rows z of `block` to `gram`.
#[inline(always)]
pub fn fused_product<S: Simd, T: Lanes, const N: usize>(
    simd: S,
    factor: &Factor<T>,
    scale: RowScale<T>,
    block: &[Line<T>],
    gram: &mut [f64],
) {
    accumulate::<S, T, N>(
        simd,
        block,
        gram,
        #[inline(always)]
        |z| {
            let y = product(simd, factor, z);
            let inverse = T::Native::splat(simd, T::of_f64(1.0)) / scale.divisor(simd, norm(&y));
            let mut scaled = z;
            for z in &mut scaled {
                *z *= inverse;
            }
            (scaled, z)
        },
    );
}

/// Turns the normals z of `block` into rows `scale y`, y = M^T z, for an activation to act on.
#[inline(always)]
pub fn fused_rows<S: Simd, T: Lanes, const N: usize>(
    simd: S,
    factor: &Factor<T>,
    scale: RowScale<T>,
    block: &mut [Line<T>],
) {
    for lines in block.as_chunks_mut::<N>().0 {
        for part in 0..parts::<S, T>(simd) {
            let mut z = [T::Native::splat(simd, T::default()); N];
            for i in 0..N {
                z[i] = lines[i].load_part(simd, part);
            }
            let y = product(simd, factor, z);
            let one = T::Native::splat(simd, T::of_f64(1.0));
            let inverse = one / scale.divisor(simd, norm(&y)).sqrt();
            for i in 0..N {
                lines[i].store_part(simd, part, y[i] * inverse);
            }
        }
    }
}

/// Adds sum u u^T over the rows u of `block` to `gram`.
#[inline(always)]
pub fn fused_sums<S: Simd, T: Lanes, const N: usize>(simd: S, block: &[Line<T>], gram: &mut [f64]) {
    accumulate::<S, T, N>(
        simd,
        block,
        gram,
        #[inline(always)]
        |u| (u, u),
    );
}

/// M^T z for one row a lane.
#[inline(always)]
fn product<S: Simd, T: Lanes, const N: usize>(
    simd: S,
    factor: &Factor<T>,
    z: [T::Native<S>; N],
) -> [T::Native<S>; N] {
    let mut y = [T::Native::splat(simd, T::default()); N];
    let triangular = factor.form() == Form::UpperTriangular;
    for (i, row) in factor.tile::<N>(0, 0..N).iter().enumerate() {
        for (j, m) in row.iter().enumerate() {
            if j >= i || !triangular {
                y[j] = z[i].mul_add(*m, y[j]);
            }
        }
    }
    y
}

/// |y|² for one row a lane, last entry first as in [`super::multiply`].
#[inline(always)]
fn norm<S: Simd, V: SimdFloat<S>, const N: usize>(y: &[V; N]) -> V {
    let mut square = y[N - 1] * y[N - 1];
    for y in y[..N - 1].iter().rev() {
        square = y.mul_add(*y, square);
    }
    square
}

/// Adds a_i b_j, i <= j, over the groups of `block`, where (a, b) = `pair(z)`.
#[inline(always)]
fn accumulate<S: Simd, T: Lanes, const N: usize>(
    simd: S,
    block: &[Line<T>],
    gram: &mut [f64],
    pair: impl Fn([T::Native<S>; N]) -> ([T::Native<S>; N], [T::Native<S>; N]),
) {
    let mut sums = [[T::ZERO; N]; N];
    for part in 0..parts::<S, T>(simd) {
        let mut sum = [[T::Native::splat(simd, T::default()); N]; N];
        for lines in block.as_chunks::<N>().0 {
            let mut z = [T::Native::splat(simd, T::default()); N];
            for i in 0..N {
                z[i] = lines[i].load_part(simd, part);
            }
            let (a, b) = pair(z);
            for i in 0..N {
                for j in i..N {
                    sum[i][j] = a[i].mul_add(b[j], sum[i][j]);
                }
            }
        }
        for i in 0..N {
            for j in i..N {
                sums[i][j].store_part(simd, part, sum[i][j]);
            }
        }
    }
    for i in 0..N {
        for j in i..N {
            gram[i * N + j] += T::add_lanes(&sums[i][j]);
        }
    }
}
