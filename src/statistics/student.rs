//! Quantiles of Student's law.

use std::f64::consts::{FRAC_PI_2, PI};

use super::gamma::gamma_ratio;
use super::normal::normal_quantile;

/// From here on Student's law is the normal law to the last digit.
const MOST_DEGREES: f64 = 1e30;

/// Returns the `t` that a number of Student's law does not exceed in size with probability `level`.
///
/// Infinitely many degrees of freedom give the normal law. The relative error is below 1e-14, apart
/// from that of `1 - level`. `None` for a level outside (0, 1) and below half a degree of freedom.
/// Takes a few microseconds.
pub(crate) fn two_sided(level: f64, degrees_of_freedom: f64) -> Option<f64> {
    if !(level > 0.0 && level < 1.0 && degrees_of_freedom >= 0.5) {
        return None;
    }
    let degrees = degrees_of_freedom.min(MOST_DEGREES);
    // The normal quantile is smaller. Newton's method for the logarithm of the smaller probability,
    // a concave function of the logarithm of t, converges from there.
    let mut t =
        if level > 0.01 { -normal_quantile(0.5 - 0.5 * level) } else { FRAC_PI_2.sqrt() * level };
    for _ in 0..100 {
        let Sizes { slope, below, above } = sizes(t, degrees);
        let step = if level < 0.5 {
            (level / below).ln() * below / slope
        } else {
            (above / (1.0 - level)).ln() * above / slope
        };
        t *= step.exp();
        if step.abs() < 1e-15 {
            break;
        }
    }
    Some(t)
}

/// The law of the size of a number of Student's law.
struct Sizes {
    /// How fast `below` grows with the logarithm of `t`.
    slope: f64,
    /// The probability of a size below `t`, and of one above.
    below: f64,
    above: f64,
}

/// Computes the law at `t > 0`, both probabilities to a few roundings of the smaller one.
fn sizes(t: f64, n: f64) -> Sizes {
    let ratio = t * t / n;
    let density = gamma_ratio(0.5 * n) / (n * PI).sqrt() * (-0.5 * (n + 1.0) * ratio.ln_1p()).exp();
    let slope = 2.0 * t * density;
    if t * t < 3.0 {
        // DLMF 8.17.8, a series of positive terms.
        let share = ratio / (1.0 + ratio);
        let (mut term, mut sum, mut k) = (1.0, 1.0, 0.0);
        while term > 0.5 * f64::EPSILON * sum {
            term *= (0.5 * (n + 1.0) + k) / (1.5 + k) * share;
            sum += term;
            k += 1.0;
        }
        let below = slope * sum;
        return Sizes { slope, below, above: 1.0 - below };
    }
    // The same function by Gauss's continued fraction (DLMF 15.7.5) after Pfaff's transformation
    // (15.8.1), which makes all its terms positive: nothing cancels for many degrees of freedom.
    let (c, w) = (0.5 * n + 1.0, ratio.recip());
    let (mut fraction, mut numerator, mut denominator, mut m) = (1.0, 1.0, 0.0, 0.0);
    loop {
        let term = 0.5 * (m + 1.0) * (c - 1.0 + 0.5 * m) * w / ((c + m - 1.0) * (c + m));
        numerator = 1.0 + term / numerator;
        denominator = 1.0 / (1.0 + term * denominator);
        fraction *= numerator * denominator;
        if (numerator * denominator - 1.0).abs() <= 4.0 * f64::EPSILON {
            break;
        }
        m += 1.0;
    }
    let above = slope / n * (1.0 + ratio) / ratio / fraction;
    Sizes { slope, below: 1.0 - above, above }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::golden::check;

    #[test]
    fn quantiles_match_mpmath() {
        assert!(check("student", 1e-14, |degrees, level| two_sided(level, degrees).unwrap()) > 250);
    }

    /// One and two degrees of freedom have closed forms: tan(pi p/2), and p sqrt(2/(1 - p^2)).
    #[test]
    fn closed_forms() {
        for k in 1..1000 {
            let level = f64::from(k) / 1000.0;
            for (degrees, expected) in [
                (1.0, (FRAC_PI_2 * level).tan()),
                (2.0, level * (2.0 / ((1.0 - level) * (1.0 + level))).sqrt()),
            ] {
                let found = two_sided(level, degrees).unwrap();
                assert!((found / expected - 1.0).abs() < 1e-13, "{level} {degrees}: {found}");
            }
        }
    }

    /// More degrees of freedom give narrower intervals, down to the normal law's.
    #[test]
    fn quantiles_fall_with_the_degrees_of_freedom() {
        for level in [0.1, 0.5, 0.95, 1.0 - 1e-12] {
            let mut last = f64::INFINITY;
            for k in -1..100 {
                let t = two_sided(level, 2f64.powi(k)).unwrap();
                assert!(t <= last * (1.0 + 1e-14), "{level} 2^{k}: {t} {last}");
                last = t;
            }
            let normal = -normal_quantile(0.5 - 0.5 * level);
            assert!((last / normal - 1.0).abs() < 1e-13, "{level}: {last} {normal}");
        }
    }

    #[test]
    fn impossible_levels_are_none() {
        for level in [0.0, 1.0, -0.5, f64::NAN] {
            assert_eq!(two_sided(level, 3.0), None);
        }
        assert_eq!((two_sided(0.95, 0.0), two_sided(0.95, f64::NAN)), (None, None));
    }
}
