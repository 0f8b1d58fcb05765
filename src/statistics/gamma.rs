//! The gamma function where its logarithms would cancel, and the incomplete gamma function.

use std::f64::consts::TAU;

/// Returns Binet's function
/// $`\ln \Gamma(z) - (z - \tfrac12) \ln z + z - \tfrac12 \ln 2\pi`$: the small part of the logarithm
/// that is left where large terms cancel.
pub(crate) fn binet(z: f64) -> f64 {
    let (mut z, mut sum) = (z, 0.0);
    while z < 16.0 {
        sum += (z + 0.5) * z.recip().ln_1p() - 1.0;
        z += 1.0;
    }
    let square = (z * z).recip();
    let series = [1.0 / 1188.0, -1.0 / 1680.0, 1.0 / 1260.0, -1.0 / 360.0, 1.0 / 12.0];
    sum + series.into_iter().fold(0.0, |series, term| series * square + term) / z
}

/// Returns $`\Gamma(x + 1/2) / \Gamma(x)`$ for positive `x`, to about 1e-15.
pub(crate) fn gamma_ratio(x: f64) -> f64 {
    if x < 32.0 {
        return gamma_ratio(x + 1.0) * x / (x + 0.5);
    }
    // The asymptotic series, DLMF 5.11.13; the next term is below 1e-16 here.
    let coefficients = [1.0, -1.0 / 8.0, 1.0 / 128.0, 5.0 / 1024.0, -21.0 / 32768.0]
        .into_iter()
        .chain([-399.0 / 262_144.0, 869.0 / 4_194_304.0, 39_325.0 / 33_554_432.0]);
    x.sqrt() * coefficients.rev().fold(0.0, |sum, c| sum / x + c)
}

/// Returns $`\lambda - 1 - \ln \lambda`$ of a ratio $`\lambda = x/a`$, with its digits where x is near a.
fn excess_over_logarithm(x: f64, a: f64) -> f64 {
    let difference = (x - a) / a;
    if difference.abs() > 0.1 {
        return difference - (x / a).ln();
    }
    // The logarithm is 2 artanh s with s = (x - a)/(x + a); the terms of first order cancel.
    let s = (x - a) / (x + a);
    let square = s * s;
    let series = (1..10).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    s * difference - 2.0 * s * square * series
}

/// Returns the regularised incomplete gamma functions P(a, x) and Q(a, x) of positive finite numbers:
/// the probabilities below and above `x` under the gamma law of shape `a`.
///
/// The relative error of the smaller one is a few roundings times $`1 + (x - a)^2/a`$, plus the
/// roundings of the steps, which add up to 1e-11 for a shape of half a trillion. Takes about
/// `10 sqrt(a)` steps: of the series of P below the mean, of the continued fraction of Q above it
/// (Lentz's method; Press et al., *Numerical Recipes*, 6.2).
pub(crate) fn gamma_below_and_above(a: f64, x: f64) -> (f64, f64) {
    let weight = (a / TAU).sqrt() * (-a * excess_over_logarithm(x, a) - binet(a)).exp();
    if weight == 0.0 {
        return if x < a { (0.0, 1.0) } else { (1.0, 0.0) };
    }
    if x < a + 1.0 {
        let (mut term, mut sum, mut k) = (1.0, 1.0, a);
        while term > 0.5 * f64::EPSILON * sum {
            k += 1.0;
            term *= x / k;
            sum += term;
        }
        let below = weight / a * sum;
        return (below, 1.0 - below);
    }
    let mut b = x + 1.0 - a;
    let mut d = b.recip();
    let (mut fraction, mut c, mut k) = (d, f64::INFINITY, 0.0);
    loop {
        k += 1.0;
        let numerator = k * (a - k);
        b += 2.0;
        d = (numerator * d + b).recip();
        c = b + numerator / c;
        let factor = c * d;
        fraction *= factor;
        if (factor - 1.0).abs() <= 2.0 * f64::EPSILON {
            break;
        }
    }
    let above = weight * fraction;
    (1.0 - above, above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::golden::check;

    #[test]
    fn probabilities_match_mpmath() {
        assert!(check("gamma_below", 2e-12, |a, x| gamma_below_and_above(a, x).0) > 100);
        assert!(check("gamma_above", 2e-12, |a, x| gamma_below_and_above(a, x).1) > 100);
    }

    /// Half a trillion: the probability above the mean is 1/2 - 1/(3 sqrt(2 pi a)), DLMF 8.11.12.
    #[test]
    fn shapes_beyond_the_table() {
        let a = 0.5 * (1u64 << 40) as f64;
        let (below, above) = gamma_below_and_above(a, a);
        let expected = 0.5 - 1.0 / (3.0 * (TAU * a).sqrt());
        assert!((above / expected - 1.0).abs() < 1e-10, "{above}");
        assert!((below + above - 1.0).abs() < 1e-15);
        assert_eq!(gamma_below_and_above(a, 2.0 * a), (1.0, 0.0));
        assert_eq!(gamma_below_and_above(1e4, 1e-300), (0.0, 1.0));
    }
}
