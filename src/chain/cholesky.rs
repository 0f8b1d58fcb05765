//! The Cholesky factorisation of a small moment matrix, in place, and products with its factor.

use nalgebra::DMatrix;

/// Turns the lower triangle of `a` (`n x n`) into its Cholesky factor `L`, $`a = L L^\top`$.
///
/// Returns the smallest pivot relative to its diagonal entry: about the precision that is left of
/// it in units of that of `a`. If that is not positive, `a` is not a factor. The upper triangle is
/// neither read nor written.
///
/// Cost: `n³/6` multiply-adds, no allocation.
pub(super) fn cholesky(a: &mut DMatrix<f64>) -> f64 {
    let n = a.nrows();
    let a = a.as_mut_slice();
    let mut smallest = 1.0;
    for k in 0..n {
        let (done, rest) = a.split_at_mut((k + 1) * n);
        let explained: f64 = (0..k).map(|j| done[j * n + k] * done[j * n + k]).sum();
        let column = &mut done[k * n + k..];
        let pivot = column[0];
        if pivot.is_nan() || pivot <= 0.0 {
            return 0.0;
        }
        smallest = f64::min(smallest, pivot / (pivot + explained));
        let inverse = pivot.sqrt().recip();
        column.iter_mut().for_each(|x| *x *= inverse);
        for (below, target) in (1..).zip(rest.chunks_exact_mut(n)) {
            let factor = column[below];
            for (x, l) in target[k + below..].iter_mut().zip(&column[below..]) {
                *x -= factor * l;
            }
        }
    }
    smallest
}

/// Writes $`L^\top R`$ for upper triangular `R` into `product`; all are `n x n`.
///
/// Cost: `n³/6` multiply-adds; allocates only if `product` has another shape.
pub(super) fn transposed_times_upper(
    lower: &DMatrix<f64>,
    upper: &DMatrix<f64>,
    product: &mut DMatrix<f64>,
) {
    let n = lower.nrows();
    if product.shape() != (n, n) {
        *product = DMatrix::zeros(n, n);
    }
    let (lower, upper) = (lower.as_slice(), upper.as_slice());
    for (j, column) in product.as_mut_slice().chunks_exact_mut(n).enumerate() {
        for (i, entry) in column[..=j].iter_mut().enumerate() {
            *entry = dot(&lower[i * n..][i..=j], &upper[j * n..][i..=j]);
        }
        column[j + 1..].fill(0.0);
    }
}

/// A dot product with eight partial sums, so that the compiler may use vectors.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h)) + rest
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
            prop_assert!((product - ours.transpose() * upper).amax() < 1e-12 * a.amax());
        }
    }

    #[test]
    fn singular_and_invalid_matrices_are_refused() {
        assert_eq!(cholesky(&mut DMatrix::from_element(2, 2, 1.0)), 0.0);
        assert_eq!(cholesky(&mut DMatrix::from_element(1, 1, f64::NAN)), 0.0);
        assert_eq!(cholesky(&mut DMatrix::from_element(1, 1, -1.0)), 0.0);
    }
}
