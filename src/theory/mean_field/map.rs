//! The map of eigenvalues, and the same for their deviations from equal ones.

use super::nodes::{STEP, for_each_node};
use crate::check;
use crate::{Error, Result};

/// The smallest positive eigenvalue over the largest that does not leave the range of `f64`.
const SMALLEST_RATIO: f64 = 1e-280;

/// Returns the infinite-width map `p` of the eigenvalues `λ` of a Gram matrix.
///
/// Eigenvalues may have any scale and any order. The result is in the same order and adds up to
/// one. Zeros stay zeros. The map keeps the order of size, raises the smallest positive eigenvalue
/// and lowers the largest (relative to the sum). Its fixed points have equal positive eigenvalues.
///
/// Relative error below 1e-14 of every entry, at any condition number. Cost: `200 n` to `600 n`
/// divisions and multiplications, 0.4 ms for n = 512.
///
/// ```
/// use orthogap::theory::mean_field::map;
///
/// // Two samples: p is proportional to the singular values.
/// let p = map(&[1.0, 1e-12])?;
/// assert!((p[1] * 1.000001 / 1e-6 - 1.0).abs() < 1e-14);
/// // 30 digits of another program say .13587772815753315 and .34885568279341156.
/// let p = map(&[1.0, 2.0, 3.0, 4.0])?;
/// assert!((p[0] - 0.13587772815753315).abs() < 1e-15);
/// assert!((p[3] - 0.34885568279341156).abs() < 1e-15);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`] without eigenvalues, [`Error::ZeroMatrix`] if all are zero, and
/// [`Error::InvalidParameter`] unless all are finite, not negative, and either zero or at least
/// 1e-280 times the largest.
pub fn map(eigenvalues: &[f64]) -> Result<Vec<f64>> {
    let n = eigenvalues.len();
    if n == 0 {
        return Err(Error::Empty { rows: 0, columns: 0 });
    }
    let largest = eigenvalues.iter().copied().fold(0.0, f64::max);
    for &value in eigenvalues {
        let valid = value == 0.0 || value >= SMALLEST_RATIO * largest;
        if !(valid && value.is_finite()) {
            let expected = "zero, or from 1e-280 times the largest eigenvalue on";
            return Err(Error::InvalidParameter { name: "eigenvalue", value, expected });
        }
    }
    if largest == 0.0 {
        return Err(Error::ZeroMatrix { rows: n, columns: n });
    }
    let scaled: Vec<f64> = eigenvalues.iter().map(|lambda| lambda / largest).collect();
    Ok(map_scaled(&scaled))
}

/// Refuses singular values, in descending order, whose squares [`map`] refuses: those that
/// underflow would count as zeros, and their directions be lost.
pub(in crate::theory) fn check_singular_values(values: &[f64]) -> Result<()> {
    let (name, expected) = ("singular value", "at least 1e-140 times the largest one");
    let smallest = SMALLEST_RATIO.sqrt() * values[0];
    values.iter().try_for_each(|&value| {
        check::parameter(name, value, value >= smallest, expected).map(|_| ())
    })
}

/// [`map`] of eigenvalues of which the largest is one and the rest is valid.
pub(super) fn map_scaled(eigenvalues: &[f64]) -> Vec<f64> {
    let smallest = eigenvalues.iter().copied().filter(|&x| x > 0.0).fold(1.0, f64::min);
    let mut p = vec![0.0; eigenvalues.len()];
    for_each_node(
        |_| 1.0,
        eigenvalues,
        smallest,
        |node| {
            p.iter_mut().zip(node.fractions).for_each(|(p, fraction)| *p += node.weight * fraction);
        },
    );
    p.iter_mut().for_each(|p| *p *= 0.5 * STEP);
    p
}

/// Returns the same map for eigenvalues close to each other, in terms of their deviations
/// $`\delta_i = \lambda_i - 1/n`$: returns $`p_i - 1/n`$.
///
/// Where [`map`] gives deviations to 1e-16, this gives them to a relative 1e-14 of the largest, so a
/// path can be followed to a gap of 1e-300 and rates be compared over thousands of layers.
///
/// ```
/// use orthogap::theory::{mean_field::map_of_deviations, stationary};
///
/// let tiny = [3e-100, -1e-100, -1e-100, -1e-100];
/// let next = map_of_deviations(&tiny)?;
/// assert!((next[0] / tiny[0] / stationary::decay_rate(4) - 1.0).abs() < 1e-14);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`] without deviations, [`Error::InvalidParameter`] unless each is finite and above
/// -(1 - 1e-14)/n, below which the eigenvalue has no digits, and no eigenvalue is below 1e-280
/// times the largest. The sum of the deviations need not be zero, since the map does not depend on
/// scale; that of the result is zero.
pub fn map_of_deviations(deviations: &[f64]) -> Result<Vec<f64>> {
    if deviations.is_empty() {
        return Err(Error::Empty { rows: 0, columns: 0 });
    }
    let n = deviations.len() as f64;
    let bound = -(1.0 - 1e-14) / n; // beyond, the eigenvalue has no digits left
    if let Some(&value) = deviations.iter().find(|x| !(x.is_finite() && **x > bound)) {
        let expected = "a finite number above -1/n";
        return Err(Error::InvalidParameter { name: "deviation", value, expected });
    }
    let largest = 1.0 / n + deviations.iter().copied().fold(f64::MIN, f64::max);
    let least = deviations.iter().copied().fold(f64::MAX, f64::min);
    let smallest = 1.0 / n + least;
    if smallest < SMALLEST_RATIO * largest {
        let expected = "an eigenvalue from 1e-280 times the largest on";
        return Err(Error::InvalidParameter { name: "deviation", value: least, expected });
    }
    let mean = 1.0 / (n * largest);
    let scaled: Vec<f64> = deviations.iter().map(|delta| delta / largest).collect();
    let mut next = vec![0.0; deviations.len()];
    let base = |scale: f64| 1.0 + scale * mean;
    for_each_node(base, &scaled, smallest / largest, |node| {
        // x/(1+x) minus its mean over i is [r_i - mean(r)]/b, where r_i = (x_i - x)/(1 + x_i).
        let mean_fraction = node.fractions.iter().sum::<f64>() / n;
        let share = node.weight / node.base;
        let pairs = next.iter_mut().zip(node.fractions);
        pairs.for_each(|(next, fraction)| *next += share * (fraction - mean_fraction));
    });
    next.iter_mut().for_each(|next| *next *= 0.5 * STEP);
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::stationary::decay_rate;
    use proptest::prelude::*;

    fn spectra() -> impl Strategy<Value = Vec<f64>> {
        let generic = proptest::collection::vec(-28.0..0.0f64, 1..20);
        let clustered =
            (proptest::collection::vec(-1e-6..1e-6f64, 1..12), -600.0..0.0f64, 0usize..4).prop_map(
                |(mut logs, low, count)| {
                    logs.extend(vec![low; count]);
                    logs
                },
            );
        prop_oneof![generic, clustered].prop_map(|logs| logs.iter().map(|log| log.exp()).collect())
    }

    /// The same integral by the rule with half the step between much wider ends, and logarithms.
    fn naive(eigenvalues: &[f64]) -> Vec<f64> {
        let term = |log: f64, lambda: f64| {
            let t = log.exp();
            let log_product: f64 = eigenvalues.iter().map(|l| (2.0 * t * l).ln_1p()).sum();
            (log - 0.5 * log_product).exp() * lambda / (1.0 + 2.0 * t * lambda)
        };
        let nodes = || (-60 * 8..700 * 8).map(|k| f64::from(k) / 8.0);
        let integral = |&lambda: &f64| nodes().map(|log| term(log, lambda)).sum::<f64>() / 8.0;
        eigenvalues.iter().map(integral).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn agrees_with_a_finer_and_wider_rule(spectrum in spectra()) {
            let p = map(&spectrum).unwrap();
            // Logarithms of products of up to 700 digits are good to 1e-13.
            for (p, naive) in p.iter().zip(naive(&spectrum)) {
                prop_assert!((p / naive - 1.0).abs() < 3e-13, "{p} {naive}");
            }
            prop_assert!((p.iter().sum::<f64>() - 1.0).abs() < 2e-15);
        }

        #[test]
        fn two_samples_have_a_closed_form(log in -300.0..0.0f64) {
            let sigma = log.exp();
            let p = map(&[sigma * sigma, 1.0]).unwrap();
            prop_assert!((p[0] * (1.0 + sigma) / sigma - 1.0).abs() < 5e-15);
            prop_assert!((p[1] * (1.0 + sigma) - 1.0).abs() < 5e-15);
        }

        #[test]
        fn deviations_agree_with_eigenvalues(spectrum in spectra()) {
            let n = spectrum.len() as f64;
            let sum: f64 = spectrum.iter().sum();
            prop_assume!(spectrum.iter().all(|x| x / sum > 1e-2 / n));
            let deviations: Vec<f64> = spectrum.iter().map(|x| x / sum - 1.0 / n).collect();
            let (p, q) = (map(&spectrum).unwrap(), map_of_deviations(&deviations).unwrap());
            for (p, q) in p.iter().zip(q) {
                // A few roundings of numbers up to one.
                prop_assert!((p - 1.0 / n - q).abs() < 4e-15);
            }
        }
    }

    #[test]
    fn deviations_shrink_at_the_local_rate() {
        for n in [2usize, 3, 5, 30, 512] {
            let mut deviations = vec![1e-200; n];
            deviations[0] = -1e-200 * (n - 1) as f64;
            let next = map_of_deviations(&deviations).unwrap();
            for (next, deviation) in next.iter().zip(&deviations) {
                assert!((next / deviation / decay_rate(n) - 1.0).abs() < 1e-13, "{n}");
            }
        }
    }

    #[test]
    fn what_is_no_spectrum_is_refused() {
        let parameter = |result: Result<Vec<f64>>| match result {
            Err(Error::InvalidParameter { name, value, .. }) => (name, value),
            other => panic!("{other:?}"),
        };
        assert_eq!(map(&[]), Err(Error::Empty { rows: 0, columns: 0 }));
        assert_eq!(map(&[0.0; 2]), Err(Error::ZeroMatrix { rows: 2, columns: 2 }));
        assert_eq!(parameter(map(&[1.0, -1e-9])), ("eigenvalue", -1e-9));
        assert_eq!(parameter(map(&[1.0, f64::INFINITY])).0, "eigenvalue");
        assert_eq!(parameter(map(&[1.0, 1e-290])), ("eigenvalue", 1e-290));
        // Ratios count, not sizes.
        assert_eq!(parameter(map(&[1e100, 1e-190])), ("eigenvalue", 1e-190));
        assert!(map(&[1e-100, 1e-300]).is_ok() && map(&[1.0, 1e-280]).is_ok());
        assert!(parameter(map(&[f64::NAN])).1.is_nan());
        assert_eq!(parameter(map_of_deviations(&[0.5, -0.5])), ("deviation", -0.5));
        assert!(map_of_deviations(&[]).is_err());
    }
}
