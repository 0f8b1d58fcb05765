//! The upper triangle of sum u u^T over the rows u of a block.

use crate::kernel::line::{Lanes, Line, parts};
use fearless_simd::prelude::*;

/// Adds u_i u_j, i <= j, summed over the rows of `block`, to the row-major n x n `gram`.
///
/// Every lane of every pair is one running sum over the groups of the block, in order; the lanes
/// are then added in `f64`. The result does not depend on the tile of `I` x `J` pairs, which
/// must fit the batch: I, J <= n.
#[inline(always)]
pub fn rank_update<S: Simd, T: Lanes, const I: usize, const J: usize>(
    simd: S,
    n: usize,
    block: &[Line<T>],
    stride: usize,
    gram: &mut [f64],
) {
    for first_i in (0..n).step_by(I) {
        for first_j in (first_i / J * J..n).step_by(J) {
            // A tile that would cross the border moves back inside; `keep` drops the repeats.
            let (i0, j0) = (first_i.min(n - I), first_j.min(n - J));
            let sums = tile::<S, T, I, J>(simd, block, stride, i0, j0);
            for (i, sums) in (i0..).zip(&sums) {
                let keep = i.max(first_j);
                for (j, sum) in (j0..).zip(sums) {
                    if i >= first_i && j >= keep {
                        gram[i * n + j] += T::add_lanes(sum);
                    }
                }
            }
        }
    }
}

/// The sums of one tile, lane by lane.
#[inline(always)]
fn tile<S: Simd, T: Lanes, const I: usize, const J: usize>(
    simd: S,
    block: &[Line<T>],
    stride: usize,
    i0: usize,
    j0: usize,
) -> [[Line<T>; J]; I] {
    let mut sums = [[T::ZERO; J]; I];
    for part in 0..parts::<S, T>(simd) {
        let mut sum = [[T::Native::splat(simd, T::default()); J]; I];
        for group in block.chunks_exact(stride) {
            let (left, lines) = (&group[i0..][..I], &group[j0..][..J]);
            let mut right = [T::Native::splat(simd, T::default()); J];
            for j in 0..J {
                right[j] = lines[j].load_part(simd, part);
            }
            for i in 0..I {
                let left = left[i].load_part(simd, part);
                for j in 0..J {
                    sum[i][j] = left.mul_add(right[j], sum[i][j]);
                }
            }
        }
        for i in 0..I {
            for j in 0..J {
                sums[i][j].store_part(simd, part, sum[i][j]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::line::fused_levels;
    use fearless_simd::{Level, dispatch};
    use proptest::prelude::*;

    fn run<T: Lanes, const I: usize, const J: usize>(
        level: Level,
        n: usize,
        block: &[Line<T>],
    ) -> Vec<f64> {
        let mut gram = vec![0.0; n * n];
        dispatch!(level, simd => rank_update::<_, T, I, J>(simd, n, block, n | 1, &mut gram));
        gram
    }

    fn check<T: Lanes>(n: usize, groups: usize, numbers: &[f64], tolerance: f64) {
        let stride = n | 1;
        let mut block = vec![T::ZERO; groups * stride];
        let mut numbers = numbers.iter().cycle();
        for value in block.iter_mut().flat_map(|line| line.0.as_mut()) {
            *value = T::of_f64(*numbers.next().unwrap());
        }
        let gram = run::<T, 4, 4>(Level::new(), n, &block);
        for level in fused_levels() {
            assert_eq!(run::<T, 4, 4>(level, n, &block), gram);
            assert_eq!(run::<T, 4, 2>(level, n, &block), gram);
            assert_eq!(run::<T, 2, 5>(level, n, &block), gram);
        }
        for i in 0..n {
            for j in 0..n {
                let terms = || {
                    block.chunks_exact(stride).flat_map(|group| {
                        (0..T::LANES).map(|l| {
                            group[i].0.as_ref()[l].as_f64() * group[j].0.as_ref()[l].as_f64()
                        })
                    })
                };
                let (sum, size) = (terms().sum::<f64>(), terms().map(f64::abs).sum::<f64>());
                let expected = if i <= j { sum } else { 0.0 };
                assert!((gram[i * n + j] - expected).abs() <= tolerance * size, "{n} {i} {j}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_the_definition(
            n in 7usize..40, groups in 1usize..20, numbers in prop::collection::vec(-1e3..1e3, 50..500),
        ) {
            check::<f64>(n, groups, &numbers, 1e-14);
            check::<f32>(n, groups, &numbers, 5e-6);
        }
    }
}
