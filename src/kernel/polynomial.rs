//! Polynomials in Horner's order, one multiply-add a coefficient.

use fearless_simd::prelude::*;

/// Returns the polynomial with `coefficients` (constant term first) at `x`.
///
/// The constants of this crate are minimax fits (Remez exchange in 60 digits, then rounded) that
/// `polynomial_fit.py` beside this file prints. Errors quoted with them are those of the rounded
/// coefficients.
#[inline(always)]
pub fn horner<S: Simd, V: SimdFloat<S>>(simd: S, x: V, coefficients: &[V::Element]) -> V {
    // The slices are constants, so the loop unrolls.
    let (last, rest) = coefficients.split_last().expect("a polynomial has a coefficient");
    let mut sum = V::splat(simd, *last);
    for c in rest.iter().rev() {
        sum = sum.mul_add(x, V::splat(simd, *c));
    }
    sum
}
