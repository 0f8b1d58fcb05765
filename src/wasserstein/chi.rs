//! The chi law of n degrees of freedom: lengths of standard normal vectors.

use crate::statistics::{binet, gamma_below_and_above};
use crate::wasserstein::line::binomial_mean;
use crate::wasserstein::quantile::normal_quantile;

/// The chi law in bins of equal mass.
pub(super) struct ChiBins {
    pub(super) edges: Vec<f64>,
    /// The integrals of r over the bins.
    pub(super) means: Vec<f64>,
    /// $`n - N \sum c_i^2`$.
    pub(super) remainder: f64,
    /// The mean squared distance of N draws from the law to it.
    null_bias: f64,
    /// $`p (1 - p)/f`$ with the density f at the edges, and zeros at both ends.
    weights: Vec<f64>,
    /// The mean over N draws of the gaps between them times these weights.
    mean_noise: f64,
}

/// The mean and the variance.
fn mean_and_variance(n: f64) -> (f64, f64) {
    let z = 0.5 * n;
    let log = z * (0.5 / z).ln_1p() - 0.5 + binet(z + 0.5) - binet(z);
    (n.sqrt() * log.exp(), -n * (2.0 * log).exp_m1())
}

fn density(n: f64, r: f64) -> f64 {
    let log = (r / n.sqrt()).ln();
    let exponent = (n - 1.0) * log - 0.5 * n * (2.0 * log).exp_m1() - binet(0.5 * n);
    exponent.exp() * (0.5 * std::f64::consts::FRAC_2_SQRT_PI)
}

/// The probabilities below and above r > 0, the smaller of which keeps its digits.
fn below_and_above(n: f64, r: f64) -> (f64, f64) {
    gamma_below_and_above(0.5 * n, 0.5 * r * r)
}

impl ChiBins {
    pub(super) fn new(dimension: usize, count: usize) -> Self {
        let (n, masses) = (dimension as f64, count as f64);
        let mut edges = Vec::with_capacity(count - 1);
        // Wilson and Hilferty's approximation starts the lowest one.
        let third = 2.0 / (9.0 * n);
        let cube_root = 1.0 - third + third.sqrt() * normal_quantile(masses.recip());
        let mut guess = n.sqrt() * cube_root.max(0.1).powf(1.5);
        let mut last = 0.0;
        for i in 1..count {
            last = quantile(n, i as f64 / masses, last, guess);
            guess = last + (density(n, last) * masses).recip();
            edges.push(last);
        }
        // Partial means are probabilities of one more degree of freedom. What they exceed those of
        // equal bins by keeps the digits that the squares of large n would take.
        let (mean, variance) = mean_and_variance(n);
        let mut last = (0.0, 1.0);
        let mut excess: Vec<f64> = Vec::with_capacity(count);
        for next in edges.iter().map(|&edge| below_and_above(n + 1.0, edge)).chain([(1.0, 0.0)]) {
            let mass = if next.0 < 0.5 { next.0 - last.0 } else { last.1 - next.1 };
            excess.push(mean * (mass - masses.recip()));
            last = next;
        }
        let remainder = variance - masses * excess.iter().map(|d| d * d).sum::<f64>();
        let inner = (1..).zip(&edges).map(|(i, &edge)| {
            let p = f64::from(i) / masses;
            p * (1.0 - p) / density(n, edge)
        });
        let weights: Vec<f64> = std::iter::once(0.0).chain(inner).chain([0.0]).collect();
        let (pairing, mean_noise) = expectations(n, mean, &excess, &weights);
        let null_bias = 2.0 * (variance - pairing);
        let means = excess.into_iter().map(|d| d + mean / masses).collect();
        Self { edges, means, remainder, null_bias, weights, mean_noise }
    }

    /// The bias of the squared distance of N sorted numbers to tau times the law; `None` for one.
    ///
    /// To first order, for numbers of distribution function F at $`x = F^{-1}(p)`$ and the density
    /// f of the target, it is $`\frac1N \int p (1 - p) / f\, dx`$. The sum over gaps that estimates
    /// the integral is scaled so that on average it is exact for the law itself, of any scale.
    pub(super) fn bias(&self, sorted: &[f64], tau: f64) -> Option<f64> {
        let gaps = sorted.windows(2).map(|pair| pair[1] - pair[0]);
        let noise: f64 = gaps.zip(&self.weights[1..]).map(|(gap, weight)| gap * weight).sum();
        (sorted.len() > 1).then(|| tau * self.null_bias * noise / self.mean_noise)
    }
}

/// The p-quantile, above `low`, by Newton's method kept inside a bracket.
fn quantile(n: f64, p: f64, low: f64, guess: f64) -> f64 {
    let (mut low, mut high, mut r) = (low, f64::INFINITY, guess);
    for _ in 0..100 {
        let (below, above) = below_and_above(n, r);
        let excess = if p < 0.5 { below - p } else { (1.0 - p) - above };
        if excess > 0.0 {
            high = high.min(r)
        } else {
            low = low.max(r)
        }
        let mut next = r - excess / density(n, r);
        if !(next > low && next < high.min(2.0 * r)) {
            next = if high.is_finite() { 0.5 * (low + high) } else { 1.5 * r };
        }
        let step = (next - r).abs();
        r = next;
        if step <= 1e-14 * r {
            break;
        }
    }
    r
}

/// For sorted draws $`x_{(i)}`$ from the law, the means of $`\sum_i d_i x_{(i)}`$, where the d_i add
/// up to zero, and of $`\sum_i w_i (x_{(i+1)} - x_{(i)})`$: by the trapezoidal rule in log r (as the
/// null bias of [`NormalBins`](super::NormalBins)).
fn expectations(n: f64, mean: f64, d: &[f64], w: &[f64]) -> (f64, f64) {
    let width = (2.0 * n).sqrt().recip();
    let step = (width / 8.0).min(0.05);
    let (low, high) = (n.sqrt().ln() - (9.0 * width).max(38.0 / n), (n.sqrt() + 9.0).ln());
    let count = d.len();
    let (mut pairing, mut noise) = (0.0, 0.0);
    for k in 0..=((high - low) / step) as usize {
        let r = (low + k as f64 * step).exp();
        let (below, above) = below_and_above(n, r);
        if below > 0.0 && above > 0.0 {
            let density_of_log = r * density(n, r) * count as f64;
            pairing += (r - mean) * density_of_log * binomial_mean(d, count - 1, below, above);
            noise += r * binomial_mean(w, count, below, above);
        }
    }
    (step * pairing, step * noise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    /// Against mpmath at 30 digits.
    #[test]
    fn probabilities_of_few_and_many_dimensions() {
        for (n, r, below, above) in [
            (1.0, 0.5, 0.382_924_922_548_026_2, 0.617_075_077_451_973_8),
            (9.0, 3.0, 0.562_725_811_086_133, 0.437_274_188_913_867_06),
            (9.0, 0.01, 8.442_877_468_373_542e-22, 1.0),
            (512.0, 30.0, 1.0, 9.372_590_165_553_465e-24),
            (4096.0, 60.0, 5.618_673_658_309_661e-9, 0.999_999_994_381_326_3),
            (4096.0, 63.0, 0.079_188_639_420_878_42, 0.920_811_360_579_121_6),
            (4097.0, 66.0, 0.997_525_908_268_775_6, 0.002_474_091_731_224_418_6),
            (100_000.0, 316.0, 0.374_234_947_081_153_44, 0.625_765_052_918_846_6),
            (100_001.0, 318.0, 0.993_846_939_267_021_4, 0.006_153_060_732_978_627),
        ] {
            let ours = below_and_above(n, r);
            // A relative error of r is multiplied by n.
            let tolerance = 1e-14 + 2e-16 * n;
            assert_relative_eq!(ours.0, below, max_relative = tolerance);
            assert_relative_eq!(ours.1, above, max_relative = tolerance);
        }
        for (n, mean) in [
            (1.0, 0.797_884_560_802_865_4),
            (8.0, 2.741_624_675_377_656_8),
            (4096.0, 63.996_093_869_245_67),
            (100_000.0, 316.226_975_448_411_1),
        ] {
            assert_relative_eq!(mean_and_variance(n).0, mean, max_relative = 4e-15);
        }
    }

    /// Two degrees of freedom: the Rayleigh law, with quantiles sqrt(-2 ln(1 - p)).
    #[test]
    fn rayleigh() {
        let chi = ChiBins::new(2, 1000);
        for (i, &edge) in (1..).zip(&chi.edges) {
            let exact = (-2.0 * (-f64::from(i) / 1000.0).ln_1p()).sqrt();
            assert_relative_eq!(edge, exact, max_relative = 1e-13);
        }
    }

    /// Every edge has its share of the law below it, counted from the nearer end.
    #[test]
    fn edges_are_quantiles() {
        for n in [1, 2, 3, 7, 100, 5000] {
            for count in [2, 3, 17, 1000] {
                let chi = ChiBins::new(n, count);
                assert_eq!(chi.edges.len(), count - 1);
                for (i, &edge) in (1..).zip(&chi.edges) {
                    let (below, above) = below_and_above(n as f64, edge);
                    let (share, rest) =
                        (i as f64 / count as f64, (count - i) as f64 / count as f64);
                    let (found, expected) =
                        if i < count - i { (below, share) } else { (above, rest) };
                    assert_relative_eq!(found, expected, max_relative = 1e-12 + 4e-15 * n as f64);
                }
            }
        }
    }

    /// One degree of freedom: twice the normal density, whose partial means are differences of it.
    #[test]
    fn half_normal() {
        let chi = ChiBins::new(1, 2);
        let density = |r: f64| (2.0 / std::f64::consts::PI).sqrt() * (-0.5 * r * r).exp();
        let median = 0.674_489_750_196_081_7;
        let means = [density(0.0) - density(median), density(median)];
        assert_relative_eq!(chi.edges[0], median, max_relative = 1e-13);
        assert_relative_eq!(chi.means[0], means[0], max_relative = 1e-13);
        assert_relative_eq!(chi.means[1], means[1], max_relative = 1e-13);
        let squares = 2.0 * (means[0] * means[0] + means[1] * means[1]);
        assert_relative_eq!(chi.remainder, 1.0 - squares, max_relative = 1e-12);
        assert_relative_eq!(chi.weights[1], 0.25 / density(median), max_relative = 1e-13);
    }

    /// The least of k Rayleigh numbers has the mean of one over sqrt(k), which gives the means of all
    /// sorted ones by inclusion and exclusion; the squared distance of N of them to the law has the
    /// mean 4 less twice the sum of those times the partial means.
    #[test]
    fn biases_of_few_rayleigh_numbers() {
        let mean = (0.5 * std::f64::consts::PI).sqrt();
        let least = |k: f64| mean / k.sqrt();
        let (two, three) = (least(2.0), least(3.0));
        let middle = 3.0 * two - 2.0 * three;
        let sorted =
            [vec![two, 2.0 * mean - two], vec![three, middle, 3.0 * mean - middle - three]];
        for sorted in sorted {
            let count = sorted.len();
            let chi = ChiBins::new(2, count);
            let cross: f64 = sorted.iter().zip(&chi.means).map(|(x, c)| x * c).sum();
            let null_bias = 4.0 - 2.0 * cross;
            assert_relative_eq!(chi.null_bias, null_bias, max_relative = 1e-10);
            let weight = |i: usize| {
                let p = i as f64 / count as f64;
                let edge = (-2.0 * (-p).ln_1p()).sqrt();
                p * (1.0 - p) / (edge * (-0.5 * edge * edge).exp())
            };
            assert_eq!((chi.weights[0], chi.weights[count]), (0.0, 0.0));
            let noise = |x: &[f64]| (1..count).map(|i| weight(i) * (x[i] - x[i - 1])).sum::<f64>();
            assert_relative_eq!(chi.mean_noise, noise(&sorted), max_relative = 1e-10);
            // Numbers that lie at the means of sorted ones have the mean bias, at any scale.
            let bias = |unit: f64| {
                let scaled: Vec<f64> = sorted.iter().map(|x| x * unit).collect();
                chi.bias(&scaled, unit).unwrap() / unit / unit
            };
            for unit in [1e-150, 1.0, 3.0, 1e149] {
                assert_relative_eq!(bias(unit), null_bias, max_relative = 1e-10);
            }
            assert_eq!(chi.bias(&vec![1.0; count], 1.0), Some(0.0));
            assert_eq!(chi.bias(&sorted, 0.0), Some(0.0));
        }
        assert_eq!(ChiBins::new(2, 1).bias(&[1.0], 1.0), None);
    }

    /// Means add up to the mean of the law; bins cut its variance to what is left within them; and
    /// at one draw the null bias is twice the variance.
    #[test]
    fn bins_of_few_and_many_dimensions() {
        for n in [1, 2, 3, 32, 512, 5000] {
            let chi = ChiBins::new(n, 300);
            let (mean, variance) = mean_and_variance(n as f64);
            assert_relative_eq!(chi.means.iter().sum::<f64>(), mean, max_relative = 1e-14);
            assert!(chi.edges.windows(2).all(|pair| pair[0] < pair[1]), "{n}");
            let squares: f64 = chi.means.iter().map(|c| c * c).sum();
            assert_relative_eq!(
                chi.remainder,
                n as f64 - 300.0 * squares,
                epsilon = 1e-15 * n as f64
            );
            assert!(chi.remainder > 0.0 && chi.remainder < 0.02 * variance, "{n}");
            assert!(chi.null_bias > chi.remainder && chi.null_bias < 0.05 * variance, "{n}");
            let one = ChiBins::new(n, 1);
            assert_relative_eq!(one.null_bias, 2.0 * variance);
            assert_relative_eq!(one.means[0], mean, max_relative = 1e-14);
            assert_relative_eq!(one.remainder, variance, max_relative = 1e-14);
        }
    }
}
