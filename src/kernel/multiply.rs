//! Products y = M^T z of a packed factor with groups of rows, norms on the fly.
//!
//! A *group* is 8 (`f64`) or 16 (`f32`) rows: `stride` lines, the first of which hold their
//! entries. A *strip* is a few consecutive groups, small enough for the first-level cache.

use crate::kernel::factor::{Factor, Form};
use crate::kernel::line::{Lanes, Line};
use fearless_simd::prelude::*;

/// Dot products of the columns of one tile with the rows of `R` groups, added to `sums`.
///
/// Entries are added in increasing order for every tile, one multiply-add each.
#[inline(always)]
pub fn dot<S: Simd, T: Lanes, const C: usize, const R: usize>(
    simd: S,
    tile: &[[T; C]],
    groups: [&[Line<T>]; R],
    mut sums: [[T::Logical<S>; R]; C],
) -> [[T::Logical<S>; R]; C] {
    // Equal lengths let the compiler drop the bounds checks of the loop.
    let groups = groups.map(|group| &group[..tile.len()]);
    for (i, row) in tile.iter().enumerate() {
        let mut z = [T::Logical::splat(simd, T::default()); R];
        for r in 0..R {
            z[r] = groups[r][i].load(simd);
        }
        for c in 0..C {
            let m = T::Logical::splat(simd, row[c]);
            for r in 0..R {
                sums[c][r] = z[r].mul_add(m, sums[c][r]);
            }
        }
    }
    sums
}

/// Returns the squared norms |M^T z|² of the rows of a strip of `R` groups.
#[inline(always)]
pub fn norms<S: Simd, T: Lanes, const C: usize, const R: usize>(
    simd: S,
    factor: &Factor<T>,
    strip: &[Line<T>],
    stride: usize,
) -> [T::Logical<S>; R] {
    let zero = T::Logical::splat(simd, T::default());
    let groups: [_; R] = core::array::from_fn(|r| &strip[r * stride..]);
    let mut squares = [zero; R];
    for tile in (0..factor.columns().div_ceil(C)).rev() {
        let rows = factor.tile::<C>(tile, 0..factor.tile_rows(tile));
        let sums = dot(simd, rows, groups, [[zero; R]; C]);
        add_squares::<S, T, C, R>(&mut squares, &sums);
    }
    squares
}

/// Replaces every row z of a strip of `R` groups by M^T z and returns the squared norms.
///
/// `copy` holds the strip; a triangular factor does not need it and works in place.
#[inline(always)]
pub fn multiply<S: Simd, T: Lanes, const C: usize, const R: usize>(
    simd: S,
    factor: &Factor<T>,
    strip: &mut [Line<T>],
    stride: usize,
    copy: &mut [Line<T>],
) -> [T::Logical<S>; R] {
    let zero = T::Logical::splat(simd, T::default());
    let general = factor.form() == Form::General;
    if general {
        copy[..R * stride].copy_from_slice(&strip[..R * stride]);
    }
    let mut squares = [zero; R];
    // Backwards: no later tile reads the columns that a triangular tile overwrites.
    for tile in (0..factor.columns().div_ceil(C)).rev() {
        let rows = factor.tile::<C>(tile, 0..factor.tile_rows(tile));
        let source = if general { &*copy } else { &*strip };
        let groups: [_; R] = core::array::from_fn(|r| &source[r * stride..]);
        let sums = dot(simd, rows, groups, [[zero; R]; C]);
        add_squares::<S, T, C, R>(&mut squares, &sums);
        let first = tile * C;
        let kept = C.min(factor.columns() - first);
        for r in 0..R {
            let lines = &mut strip[r * stride + first..][..kept];
            for c in 0..C {
                if c < kept {
                    lines[c].store(sums[c][r]);
                }
            }
        }
    }
    squares
}

/// Adds the squares of a tile's columns, last column first, so that the order of the whole sum
/// does not depend on the width of the tiles.
#[inline(always)]
fn add_squares<S: Simd, T: Lanes, const C: usize, const R: usize>(
    squares: &mut [T::Logical<S>; R],
    sums: &[[T::Logical<S>; R]; C],
) {
    for c in (0..C).rev() {
        for r in 0..R {
            squares[r] = sums[c][r].mul_add(sums[c][r], squares[r]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::line::fused_levels;
    use crate::kernel::tiles::NARROW;
    use fearless_simd::{Level, dispatch};
    use proptest::prelude::*;

    /// Products and squared norms of a strip of `R` groups, with tiles of `C` columns.
    fn run<T: Lanes, const C: usize, const R: usize>(
        level: Level,
        factor: &Factor<T>,
        strip: &[Line<T>],
        stride: usize,
    ) -> (Vec<Line<T>>, Vec<Line<T>>) {
        let (mut product, mut copy) = (strip.to_vec(), strip.to_vec());
        let (mut squares, mut only) = (vec![T::ZERO; R], vec![T::ZERO; R]);
        dispatch!(level, simd => {
            let norms = norms::<_, T, C, R>(simd, factor, strip, stride);
            let with = multiply::<_, T, C, R>(simd, factor, &mut product, stride, &mut copy);
            for r in 0..R {
                only[r].store(norms[r]);
                squares[r].store(with[r]);
            }
        });
        assert_eq!(squares, only);
        (product, squares)
    }

    fn check<T: Lanes>(n: usize, form: Form, numbers: &[f64], tolerance: f64) {
        let stride = n | 1;
        let at = |i: usize| T::of_f64(numbers[i % numbers.len()]);
        let mut factor = Factor::<T>::new(n, n, form);
        let m = |i: usize, j: usize| {
            if form == Form::General || i <= j { at(i * 7 + j * 31 + 5) } else { T::default() }
        };
        factor.pack(m);
        let mut strip = vec![T::ZERO; 4 * stride];
        for (k, line) in strip.iter_mut().enumerate() {
            for (l, value) in line.0.as_mut().iter_mut().enumerate() {
                *value = at(k * 13 + l * 3);
            }
        }
        let mut results = Vec::new();
        for level in fused_levels() {
            results.push(run::<T, 4, 4>(level, &factor, &strip, stride));
        }
        assert!(results.windows(2).all(|w| w[0] == w[1]));
        let (product, squares) = &results[0];
        for r in 0..4 {
            for lane in 0..T::LANES {
                let z = |i: usize| strip[r * stride + i].0.as_ref()[lane].as_f64();
                let y = |j: usize| (0..n).map(|i| m(i, j).as_f64() * z(i)).sum::<f64>();
                let size = |j: usize| (0..n).map(|i| (m(i, j).as_f64() * z(i)).abs()).sum::<f64>();
                for j in 0..n {
                    let got = product[r * stride + j].0.as_ref()[lane].as_f64();
                    assert!((got - y(j)).abs() <= tolerance * size(j), "{n} {r} {lane} {j}");
                }
                let norm: f64 = (0..n).map(|j| y(j) * y(j)).sum();
                let bound: f64 = (0..n).map(|j| size(j) * size(j)).sum();
                assert!((squares[r].0.as_ref()[lane].as_f64() - norm).abs() <= tolerance * bound);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_the_definition(
            n in 7..=NARROW, general: bool, numbers in prop::collection::vec(-1e3..1e3, 17..400),
        ) {
            let form = if general { Form::General } else { Form::UpperTriangular };
            check::<f64>(n, form, &numbers, 1e-14);
            check::<f32>(n, form, &numbers, 5e-6);
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_strip() {
        let n = 29;
        let mut factor = Factor::<f64>::new(n, n, Form::UpperTriangular);
        factor.pack(|i, j| ((i * 31 + j * 17) % 97) as f64 / 97.0 - 0.4);
        let strip: Vec<_> = (0..4 * n)
            .map(|k| Line(core::array::from_fn(|l| ((k * 53 + l * 71) % 101) as f64 / 101.0 - 0.5)))
            .collect();
        let whole = run::<f64, 6, 4>(Level::new(), &factor, &strip, n);
        for r in 0..4 {
            let group = &strip[r * n..][..n];
            let one = run::<f64, 6, 1>(Level::new(), &factor, group, n);
            assert_eq!((&one.0[..], one.1[0]), (&whole.0[r * n..][..n], whole.1[r]));
        }
    }
}
