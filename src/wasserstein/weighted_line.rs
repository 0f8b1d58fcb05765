//! The exact distance of weighted numbers to a normal law.

use crate::statistics::SplitMean;
use crate::wasserstein::LineW2;
use crate::wasserstein::line::{Parts, bin_means, check_count, check_normal, finite};
use crate::wasserstein::quantile::normal_quantile;
use crate::{Error, Result, Scalar};

/// Returns the squared Wasserstein-2 distance of weighted numbers to N(mean, deviation²), exactly.
///
/// Weights are positive and need not add up to one. Bias and standard error are left unknown:
/// they depend on where the weights come from.
///
/// ```
/// use orthogap::wasserstein::{normal_bins, weighted_line_w2};
///
/// let weighted = weighted_line_w2(&[1.0, -2.0], &[1.0, 2.0], 0.0, 1.0)?;
/// let repeated = normal_bins(3)?.w2(&[1.0, -2.0, -2.0], 0.0, 1.0)?;
/// assert!((weighted.w2.squared - repeated.w2.squared).abs() < 1e-15);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`], [`Error::ShapeMismatch`] unless there are as many weights as numbers,
/// [`Error::NotFinite`], [`Error::InvalidParameter`] for a weight that is not positive and finite
/// or whose share of their sum underflows, for 2^31 numbers or more, for a mean that is not finite,
/// for a deviation that is negative or not finite, and where squares would overflow.
pub fn weighted_line_w2<T: Scalar>(
    numbers: &[T],
    weights: &[f64],
    mean: f64,
    deviation: f64,
) -> Result<LineW2> {
    check_count(numbers.len())?;
    if weights.len() != numbers.len() {
        let (found, expected) = ((weights.len(), 1), (numbers.len(), 1));
        return Err(Error::ShapeMismatch { what: "the list of weights", found, expected });
    }
    if let Some(&value) = weights.iter().find(|w| !(**w > 0.0 && w.is_finite())) {
        let expected = "a positive finite number";
        return Err(Error::InvalidParameter { name: "weight", value, expected });
    }
    let numbers = finite(numbers)?;
    check_normal(mean, deviation)?;
    let total: f64 = weights.iter().sum();
    if let Some(&value) = weights.iter().find(|w| *w / total == 0.0) {
        let expected = "weights whose sum is finite, and of which none underflows beside it";
        return Err(Error::InvalidParameter { name: "weight", value, expected });
    }
    let pairs = numbers.into_iter().zip(weights.iter().map(|w| w / total));
    let center = SplitMean::weighted(pairs.clone());
    let shift = -center.deviation(mean);
    let mut points: Vec<(f64, f64)> = pairs.map(|(x, w)| (center.deviation(x), w)).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Masses are summed from either end, so that small ones keep their digits.
    let mut below = vec![0.0; points.len() - 1];
    let mut above = below.clone();
    let mut mass = 0.0;
    for (below, (_, w)) in below.iter_mut().zip(&points) {
        mass += w;
        *below = mass;
    }
    mass = 0.0;
    for (above, (_, w)) in above.iter_mut().rev().zip(points.iter().rev()) {
        mass += w;
        *above = mass;
    }
    let edge = |(&below, &above): (&f64, &f64)| {
        if below < above { normal_quantile(below) } else { -normal_quantile(above) }
    };
    let edges: Vec<f64> = below.iter().zip(&above).map(edge).collect();
    let means = bin_means(&edges);
    let sigma: f64 = points.iter().zip(&means).map(|((x, _), c)| x * c).sum();
    let remainder = 1.0 - points.iter().zip(&means).map(|((_, w), c)| c * c / w).sum::<f64>();
    let residual = |((x, w), c): (&(f64, f64), &f64)| w * (x - sigma * c / w).powi(2);
    let parts = Parts {
        sigma,
        location: shift * shift,
        scale: (deviation - sigma).powi(2),
        shape: points.iter().zip(&means).map(residual).sum::<f64>() + sigma * sigma * remainder,
    };
    parts.into_line()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_a_point_mass() {
        let line = weighted_line_w2(&[3.0], &[2.0], 1.0, 2.0).unwrap();
        assert_eq!((line.w2.squared, line.location, line.shape), (8.0, 4.0, 0.0));
    }

    /// Equal numbers, and scales whose squares barely are numbers.
    #[test]
    fn corners_agree_with_the_naive_formula() {
        for (numbers, weights) in [
            (vec![2.0], vec![3.0]),
            (vec![2.0; 3], vec![1.0, 1e-9, 5.0]),
            (vec![1.0, -1.0], vec![1e-12, 1.0]),
            (vec![1.0, -1.0, 1.0], vec![1e200, 2e200, 1e199]),
        ] {
            let total: f64 = weights.iter().sum();
            let mut sorted: Vec<(f64, f64)> =
                numbers.iter().zip(&weights).map(|(&x, w)| (x, w / total)).collect();
            sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
            for scale in [1e-160, 1e-100, 1.0, 1e100, 1e149] {
                for (mean, s) in [(0.0, 0.0), (0.0, 1.5), (2.0, 0.0), (-1.0, 2.0)] {
                    let scaled: Vec<f64> = numbers.iter().map(|x| x * scale).collect();
                    let line =
                        weighted_line_w2(&scaled, &weights, mean * scale, s * scale).unwrap();
                    let density = |below: f64| {
                        if below <= 0.0 || below >= 1.0 - 1e-15 {
                            return 0.0;
                        }
                        crate::wasserstein::quantile::normal_density(normal_quantile(below))
                    };
                    let (mut below, mut naive) = (0.0, s * s);
                    for (x, w) in &sorted {
                        let c = density(below) - density(below + w);
                        naive += w * (x - mean).powi(2) - 2.0 * s * x * c;
                        below += w;
                    }
                    // Squares of the smallest numbers have few digits left.
                    let tolerance = if scale == 1e-160 { 1e-3 } else { 1e-12 };
                    let squared = line.w2.squared / scale / scale;
                    assert!(
                        (squared - naive).abs() <= tolerance * (1.0 + naive),
                        "{squared} {naive}"
                    );
                }
            }
        }
    }

    #[test]
    fn whole_weights_are_repetitions() {
        let numbers = [2.0, -1.0, 0.5];
        for weights in [[1, 1, 1], [1, 1, 3], [3, 1, 2], [1, 5, 1], [2, 1, 4]] {
            let repeated: Vec<f64> =
                numbers.iter().zip(weights).flat_map(|(&x, w)| vec![x; w]).collect();
            let bins = crate::wasserstein::normal_bins(repeated.len()).unwrap();
            let expected = bins.w2(&repeated, 0.3, 1.5).unwrap();
            let line = weighted_line_w2(&numbers, &weights.map(|w| w as f64), 0.3, 1.5).unwrap();
            for (part, expected) in [
                (line.w2.squared, expected.w2.squared),
                (line.location, expected.location),
                (line.scale, expected.scale),
                (line.shape, expected.shape),
            ] {
                assert!((part - expected).abs() < 1e-14, "{weights:?}: {part} {expected}");
            }
        }
    }

    /// Near 1e15 numbers are multiples of an eighth, and these differences are exact.
    #[test]
    fn an_offset_costs_no_digits() {
        let of = |offset: f64| {
            let numbers = [0.0, 1.0, 4.0, -2.5].map(|x| x + offset);
            weighted_line_w2(&numbers, &[3.0, 1.0, 2.0, 0.7], offset + 0.5, 1.5).unwrap()
        };
        let (here, there) = (of(0.0), of(1e15));
        for (here, there) in [
            (here.w2.squared, there.w2.squared),
            (here.location, there.location),
            (here.scale, there.scale),
            (here.shape, there.shape),
        ] {
            assert!((here - there).abs() <= 1e-14 * here, "{here} {there}");
        }
    }

    #[test]
    fn bad_lists_are_named() {
        let none = weighted_line_w2::<f64>(&[], &[], 0.0, 1.0);
        assert_eq!(none, Err(Error::Empty { rows: 0, columns: 1 }));
        for (mean, deviation) in [(f64::NAN, 1.0), (0.0, -1.0)] {
            let error = weighted_line_w2(&[1.0], &[1.0], mean, deviation).unwrap_err();
            assert!(matches!(error, Error::InvalidParameter { .. }));
        }
    }
}
