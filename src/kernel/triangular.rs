//! Small matrices beside the rows: a Cholesky factorisation, products with its factor, their gap.
//!
//! Plain loops over slices, compiled for every SIMD level. They multiply and add without fusing, so
//! the bits are the same on all of them.

use fearless_simd::{Level, dispatch};
use nalgebra::DMatrix;

/// Turns the lower triangle of `a` (`n x n`) into its Cholesky factor `L`, $`a = L L^\top`$.
///
/// Returns the smallest pivot relative to its diagonal entry: about the precision that is left of
/// it in units of that of `a`. If that is not positive, `a` is not a factor. The upper triangle is
/// neither read nor written.
///
/// Cost: `n³/6` multiply-adds, no allocation.
pub fn cholesky(a: &mut DMatrix<f64>) -> f64 {
    vectorized(
        a.nrows(),
        #[inline(always)]
        || cholesky_loops(a),
    )
}

#[inline(always)]
fn cholesky_loops(a: &mut DMatrix<f64>) -> f64 {
    let n = a.nrows();
    let a = a.as_mut_slice();
    let mut smallest = 1.0;
    for k in 0..n {
        let (done, rest) = a.split_at_mut((k + 1) * n);
        let mut explained = 0.0;
        for j in 0..k {
            explained += done[j * n + k] * done[j * n + k];
        }
        let column = &mut done[k * n + k..];
        let pivot = column[0];
        if !(pivot > 0.0 && pivot < f64::INFINITY) {
            return 0.0;
        }
        smallest = f64::min(smallest, pivot / (pivot + explained));
        let inverse = 1.0 / pivot.sqrt();
        for x in &mut *column {
            *x *= inverse;
        }
        for (below, target) in (1..).zip(rest.chunks_exact_mut(n)) {
            let (target, column) = (&mut target[k + below..], &column[below..]);
            for i in 0..target.len() {
                target[i] -= column[0] * column[i];
            }
        }
    }
    smallest
}

/// Writes $`L^\top R`$ for upper triangular `R` into `product`; all are `n x n`.
///
/// Cost: `n³/6` multiply-adds; allocates only if `product` has another shape.
pub fn transposed_times_upper(
    lower: &DMatrix<f64>,
    upper: &DMatrix<f64>,
    product: &mut DMatrix<f64>,
) {
    let n = lower.nrows();
    if product.shape() != (n, n) {
        *product = DMatrix::zeros(n, n);
    }
    let (lower, upper, product) = (lower.as_slice(), upper.as_slice(), product.as_mut_slice());
    vectorized(
        n,
        #[inline(always)]
        || {
            for j in 0..n {
                let column = &mut product[j * n..][..n];
                for i in 0..=j {
                    column[i] = dot(&lower[i * n..][i..=j], &upper[j * n..][i..=j]);
                }
                column[j + 1..].fill(0.0);
            }
        },
    );
}

/// $`\lVert R^\top R - I/n \rVert_F`$ for a factor `R`, `r x n`.
///
/// Cost: `r n²/2` multiply-adds, a third of that if `R` is upper triangular; no allocation.
pub fn distance_from_isotropy(factor: &DMatrix<f64>) -> f64 {
    let (r, n) = factor.shape();
    let triangular = is_upper_triangular(factor);
    let entries = factor.as_slice();
    let sum_of_squares: f64 = vectorized(
        n,
        #[inline(always)]
        || {
            let mut sum_of_squares = 0.0;
            for j in 0..n {
                for i in 0..=j {
                    let length = if triangular { i + 1 } else { r };
                    let product = dot(&entries[i * r..][..length], &entries[j * r..][..length]);
                    sum_of_squares += if i < j {
                        2.0 * product * product
                    } else {
                        (product - 1.0 / n as f64) * (product - 1.0 / n as f64)
                    };
                }
            }
            sum_of_squares
        },
    );
    sum_of_squares.sqrt()
}

/// Returns whether a matrix is square and zero below its diagonal.
pub fn is_upper_triangular(factor: &DMatrix<f64>) -> bool {
    let n = factor.ncols();
    let mut columns = factor.as_slice().chunks_exact(n).enumerate();
    factor.is_square() && columns.all(|(j, column)| column[j + 1..].iter().all(|&x| x == 0.0))
}

/// Runs loops over an `n x n` matrix, on the best SIMD level where that is worth a dispatch.
#[inline(always)]
pub fn vectorized<R>(n: usize, loops: impl FnOnce() -> R) -> R {
    if n < 16 { loops() } else { dispatch!(Level::new(), _simd => loops()) }
}

/// Returns a dot product with eight partial sums, so that the compiler can use vectors.
#[inline(always)]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut sum = 0.0;
    for i in 0..a_rest.len().min(b_rest.len()) {
        sum += a_rest[i] * b_rest[i];
    }
    if a.is_empty() {
        return sum;
    }
    let mut sums = [0.0; 8];
    for k in 0..a.len().min(b.len()) {
        for lane in 0..8 {
            sums[lane] += a[k][lane] * b[k][lane];
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    sum + (((a + e) + (c + g)) + ((b + f) + (d + h)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_nalgebra(n in 1usize..40, seed in any::<u64>()) {
            let columns = crate::Input::gaussian(n + 5, n, crate::Seed(seed)).unwrap();
            let columns = columns.columns();
            let a = columns.transpose() * columns;
            let mut ours = a.clone();
            ours.fill_upper_triangle(f64::NAN, 1);
            let pivot = cholesky(&mut ours);
            ours.fill_upper_triangle(0.0, 1);
            let naive = a.clone().cholesky().unwrap().unpack();
            prop_assert!((&ours - &naive).amax() < 1e-10 * a.amax());
            let smallest = (0..n).map(|k| naive[(k, k)].powi(2) / a[(k, k)]).fold(1.0, f64::min);
            prop_assert!((pivot - smallest).abs() < 1e-9);
            let upper = columns.clone().qr().r();
            let mut product = DMatrix::zeros(n, n);
            transposed_times_upper(&ours, &upper, &mut product);
            prop_assert!((product - ours.transpose() * &upper).amax() < 1e-12 * a.amax());
            for factor in [&upper, columns] {
                let naive = factor.transpose() * factor - DMatrix::identity(n, n) / n as f64;
                prop_assert!((distance_from_isotropy(factor) / naive.norm() - 1.0).abs() < 1e-12);
            }
        }
    }

    /// Dispatched and plain loops multiply and add alike.
    #[test]
    fn levels_agree_to_the_bit() {
        let columns = crate::Input::gaussian(50, 40, crate::Seed(1)).unwrap().columns().clone();
        let a = columns.transpose() * &columns;
        let (mut plain, mut dispatched) = (a.clone(), a);
        assert_eq!(cholesky_loops(&mut plain), cholesky(&mut dispatched));
        assert_eq!(plain, dispatched);
        let plain_dot = dot(columns.column(0).as_slice(), columns.column(1).as_slice());
        let dispatched_dot =
            vectorized(40, || dot(columns.column(0).as_slice(), columns.column(1).as_slice()));
        assert_eq!(plain_dot, dispatched_dot);
    }

    #[test]
    fn singular_and_invalid_matrices_are_refused() {
        assert_eq!(cholesky(&mut DMatrix::from_element(2, 2, 1.0)), 0.0);
        assert_eq!(cholesky(&mut DMatrix::from_element(1, 1, f64::NAN)), 0.0);
        assert_eq!(cholesky(&mut DMatrix::from_element(1, 1, -1.0)), 0.0);
    }
}
