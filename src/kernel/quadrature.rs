//! One node of the integrals over products of many factors behind the infinite-width laws.

use crate::kernel::triangular::vectorized;

/// Writes the fractions $`x_i / (b + x_i)`$ with $`x_i = s v_i`$ and returns the weight
/// $`\prod_i (b + x_i)^{-1/2}`$; `base` is `b` and `scale` is `s`.
///
/// All $`b + x_i`$ must be positive, finite and normal. Exponents are added as integers, so the
/// product neither overflows nor loses digits however long it is; a weight below the normal range
/// is 0 or subnormal.
pub fn node(base: f64, scale: f64, values: &[f64], fractions: &mut [f64]) -> f64 {
    vectorized(
        values.len(),
        #[inline(always)]
        || node_loops(base, scale, values, fractions),
    )
}

#[inline(always)]
fn node_loops(base: f64, scale: f64, values: &[f64], fractions: &mut [f64]) -> f64 {
    // 512 mantissas below two to a lane cannot overflow.
    const BLOCK: usize = 512 * 8;
    let mut product = Product::ONE;
    for (values, fractions) in values.chunks(BLOCK).zip(fractions.chunks_mut(BLOCK)) {
        let (values, last_values) = values.as_chunks::<8>();
        let (fractions, last_fractions) = fractions.as_chunks_mut::<8>();
        let (mut mantissas, mut exponents) = ([1.0; 8], [0u64; 8]);
        for (values, fractions) in values.iter().zip(fractions) {
            for lane in 0..8 {
                let x = scale * values[lane];
                let factor = base + x;
                fractions[lane] = x / factor;
                let (mantissa, exponent) = split(factor);
                mantissas[lane] *= mantissa;
                exponents[lane] += exponent;
            }
        }
        for (mantissa, exponent) in mantissas.into_iter().zip(exponents) {
            product.multiply(mantissa);
            product.exponent += exponent as i64 - BIAS * values.len() as i64;
        }
        for (value, fraction) in last_values.iter().zip(last_fractions) {
            let x = scale * value;
            *fraction = x / (base + x);
            product.multiply(base + x);
        }
    }
    product.inverse_square_root()
}

const BIAS: i64 = 1023;

/// A normal number as its mantissa in [1, 2) and its biased exponent.
#[inline(always)]
fn split(x: f64) -> (f64, u64) {
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = x.to_bits();
    (f64::from_bits(bits & MANTISSA | 1.0f64.to_bits()), bits >> 52)
}

/// A positive number of any size.
struct Product {
    mantissa: f64,
    exponent: i64,
}

impl Product {
    const ONE: Self = Self { mantissa: 1.0, exponent: 0 };

    #[inline(always)]
    fn multiply(&mut self, factor: f64) {
        let (mantissa, exponent) = split(factor);
        let (mantissa, carry) = split(self.mantissa * mantissa);
        self.mantissa = mantissa;
        self.exponent += exponent as i64 + carry as i64 - 2 * BIAS;
    }

    #[inline(always)]
    fn inverse_square_root(&self) -> f64 {
        let (half, odd) = (self.exponent.div_euclid(2), self.exponent.rem_euclid(2));
        let power = i32::try_from(-half).map_or(0.0, |power| 2f64.powi(power));
        power / (self.mantissa * (1 + odd) as f64).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_logarithms(
            values in proptest::collection::vec(-12.0..0.0f64, 1..100),
            base in 1.0..1e3f64, log_scale in -30.0..40.0f64,
        ) {
            let values: Vec<f64> = values.iter().map(|log| log.exp()).collect();
            let scale = log_scale.exp();
            let mut fractions = vec![0.0; values.len()];
            let weight = node(base, scale, &values, &mut fractions);
            let log: f64 = values.iter().map(|v| (base + scale * v).ln()).sum();
            if log < 1400.0 {
                prop_assert!((weight / (-0.5 * log).exp() - 1.0).abs() < 1e-12);
            }
            for (fraction, v) in fractions.iter().zip(&values) {
                prop_assert_eq!(*fraction, scale * v / (base + scale * v));
            }
        }
    }

    #[test]
    fn long_products_neither_overflow_nor_lose_digits() {
        let n = 10_000;
        let mut fractions = vec![0.0; n];
        // (1 + 1e-300)^... is 1; 1.5^2500 alone would overflow nothing, 1e200^10000 would.
        assert_eq!(node(1.0, 1e-300, &vec![1.0; n], &mut fractions), 1.0);
        assert_eq!(node(1.0, 1e200, &vec![1.0; n], &mut fractions), 0.0);
        let weight = node(1.0, 1.0, &vec![0.1; n], &mut fractions);
        assert!((weight.ln() / (-0.5 * n as f64 * 1.1f64.ln()) - 1.0).abs() < 1e-14);
    }
}
