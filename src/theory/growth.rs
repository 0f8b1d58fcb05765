//! How vanilla linear networks grow: the Lyapunov exponents of products of Gaussian matrices.

use crate::Result;
use crate::check;

/// Returns the `n` top Lyapunov exponents of a vanilla linear network of `width` neurons with
/// weights N(0, gain²/d), in descending order.
///
/// The sum of the first k is the growth a layer of the logarithm of a k-dimensional volume.
///
/// ```math
/// \lambda_k = \log \mathrm{gain} + \tfrac12 \left( \psi\!\left(\tfrac{d - k + 1}{2}\right)
/// + \log \tfrac2d \right), \qquad k = 1, \dots, n
/// ```
///
/// (Newman, *The distribution of Lyapunov exponents*, 1986; psi is the digamma function.) At large
/// width they are about log gain - k/(2d): samples become parallel at a rate of 1/(2d) a layer.
///
/// ```
/// use orthogap::theory::growth::lyapunov_exponents;
///
/// // Width 1: E log|z| of a standard normal z is -(gamma + log 2)/2.
/// let exponent = lyapunov_exponents(1, 1, 1.0)?[0];
/// assert!((exponent + (0.577_215_664_901_532_9 + 2f64.ln()) / 2.0).abs() < 1e-14);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// They are exact at any width. The mean growth in a finite chain differs from them by about one
/// over its depth, since its input is not along the Lyapunov directions.
///
/// There are only `d` exponents, so at most `d` are returned.
///
/// # Errors
/// [`Error::InvalidParameter`](crate::Error::InvalidParameter) unless the gain is positive and
/// finite.
pub fn lyapunov_exponents(width: usize, batch_size: usize, gain: f64) -> Result<Vec<f64>> {
    check::positive("gain", gain)?;
    let d = width as f64;
    let exponents = (0..batch_size.min(width))
        .map(|k| {
            // log((d - k)/d), so that nothing cancels in wide networks.
            let log_share = (-(k as f64) / d).ln_1p();
            gain.ln() + 0.5 * (log_share + digamma_minus_log((width - k) as f64 / 2.0))
        })
        .collect();
    Ok(exponents)
}

/// The digamma function less the logarithm, $`\psi(x) - \log x`$, for x >= 1/2.
pub(super) fn digamma_minus_log(x: f64) -> f64 {
    // psi(x) = psi(x + 1) - 1/x, up to where the asymptotic series has all digits.
    let (mut sum, mut y) = (0.0, x);
    while y < 10.0 {
        sum -= 1.0 / y;
        y += 1.0;
    }
    let square = 1.0 / (y * y);
    let series =
        [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0, 1.0 / 132.0, -691.0 / 32760.0]
            .iter()
            .rev()
            .fold(0.0, |tail, coefficient| (tail + coefficient) * square);
    sum + (y / x).ln() - 0.5 / y - series
}

#[cfg(test)]
mod tests {
    use super::*;

    /// psi(1) = -gamma and psi(1/2) = -gamma - 2 log 2: at width 2, where log(2/d) is zero.
    #[test]
    fn there_are_as_many_exponents_as_neurons() {
        const GAMMA: f64 = 0.577_215_664_901_532_9;
        let exponents = lyapunov_exponents(2, 5, 3f64.exp()).unwrap();
        assert_eq!(exponents.len(), 2);
        assert!((exponents[0] - (3.0 - GAMMA / 2.0)).abs() < 1e-14);
        assert!((exponents[1] - (3.0 - GAMMA / 2.0 - 2f64.ln())).abs() < 1e-14);
        assert_eq!(lyapunov_exponents(2, 1, 3f64.exp()).unwrap(), exponents[..1]);
        assert_eq!(lyapunov_exponents(0, 3, 1.0), Ok(Vec::new()));
    }

    #[test]
    fn gains_without_a_logarithm_are_refused() {
        for gain in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = lyapunov_exponents(4, 2, gain).unwrap_err();
            assert!(error.to_string().contains("gain ="), "{error}");
        }
    }

    /// Exponents of wide networks are small differences of large numbers; values by mpmath.
    #[test]
    fn wide_networks_keep_their_digits() {
        for (width, k, value) in [
            (1000, 2, -0.0015021706746160322),
            (1_000_000, 0, -5.000_001_666_666_666e-7),
            (1_000_000, 3, -2.000_003_916_676_667e-6),
            (1_000_000_000, 1, -1.0000000009166667e-9),
        ] {
            let exponent = lyapunov_exponents(width, k + 1, 1.0).unwrap()[k];
            assert!((exponent / value - 1.0).abs() < 1e-15, "{width} {k}: {exponent}");
        }
    }

    /// Exact values at halves and integers, by gamma, log 2 and rational numbers.
    #[test]
    fn digamma_at_halves() {
        const GAMMA: f64 = 0.577_215_664_901_532_9;
        let digamma = |x: f64| digamma_minus_log(x) + x.ln();
        let mut half = -GAMMA - 2.0 * 2f64.ln();
        let mut whole = -GAMMA;
        for k in 0..60 {
            let odd = digamma(k as f64 + 0.5);
            let even = digamma(k as f64 + 1.0);
            assert!((odd - half).abs() < 4e-15 * half.abs().max(1.0), "psi({k} + 1/2) = {odd}");
            assert!((even - whole).abs() < 4e-15 * whole.abs().max(1.0), "psi({k} + 1) = {even}");
            half += 1.0 / (k as f64 + 0.5);
            whole += 1.0 / (k as f64 + 1.0);
        }
    }
}
