//! The quality of [`Stream::fill_normal`]: its numbers against the normal law, and for independence.
//!
//! The sample is what the library draws: not one long stream but many short ones, four seeds, runs,
//! layers and blocks each. Every comparison yields a p-value, and by Bonferroni the smallest of all
//! must stay above 1e-3 over their number: in one choice of seeds out of a thousand a perfect
//! generator fails (the seeds are fixed, so one that passes passes always). All p-values are those
//! of large samples. At the level that decides, the furthest from truth is that of the eighth
//! moment, too small by a factor of two.

use libm::{erfc, lgamma};
use orthogap::{Purpose, Scalar, Seed, Stream};
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Seeds, runs, layers and blocks of the sample.
const SIDE: usize = 4;
/// Streams of the sample.
const STREAMS: usize = SIDE.pow(4);
/// Normals of a stream, about as many as a block of a layer takes.
const LENGTH: usize = 1 << 14;
/// Normals of the sample.
const COUNT: usize = STREAMS * LENGTH;
/// Distances within a stream: neighbouring lanes, the two halves of a Box-Muller pair (8 in `f64`,
/// 16 in `f32`), and successive numbers of a lane (16 and 32).
const LAGS: [usize; 5] = [1, 2, 8, 16, 32];
/// The coordinates of a stream, that of stride 1 last.
const COORDINATES: [&str; 4] = ["seed", "replicate", "layer", "block"];
/// Comparisons of one sample: moments, Kolmogorov-Smirnov, Anderson-Darling, tails, correlations.
const COMPARISONS: usize = 8 + 1 + 1 + 6 + 2 * (LAGS.len() + COORDINATES.len());
/// The level of one comparison out of those of two samples.
const LEVEL: f64 = 1e-3 / (2 * COMPARISONS) as f64;

/// The sample, one stream after the other.
fn sample<T: Scalar>() -> Vec<f64> {
    let stream = |index: usize| -> Stream {
        let [seed, replicate, layer, block] =
            [3, 2, 1, 0].map(|place| (index / SIDE.pow(place) % SIDE) as u32);
        Seed(seed.into()).replicate(replicate).stream(Purpose::Rows, layer, block)
    };
    let mut normals = vec![T::zero(); LENGTH];
    let mut all = Vec::with_capacity(COUNT);
    for index in 0..STREAMS {
        stream(index).fill_normal(&mut normals);
        all.extend(normals.iter().map(|&x| -> f64 { x.into() }));
    }
    all
}

/// Every comparison: its name and its p-value.
fn comparisons(mut x: Vec<f64>) -> Vec<(String, f64)> {
    let mut all = moments(&x);
    all.extend(tails(&x));
    all.extend(correlations("", &x));
    let squares: Vec<f64> = x.iter().map(|x| (x * x - 1.0) / SQRT_2).collect();
    all.extend(correlations(" of squares", &squares));
    x.sort_unstable_by(f64::total_cmp);
    all.extend(distribution(&x));
    assert_eq!(all.len(), COMPARISONS);
    all
}

/// The probability that a standard normal is larger than `z` in size.
fn two_sided(z: f64) -> f64 {
    erfc(z.abs() * FRAC_1_SQRT_2)
}

/// The mean of every power up to the eighth, in standard errors.
fn moments(x: &[f64]) -> Vec<(String, f64)> {
    let mut sums = [0.0; 8];
    for &x in x {
        let mut power = 1.0;
        for sum in &mut sums {
            power *= x;
            *sum += power;
        }
    }
    let count = x.len() as f64;
    let moment = |k: i32| if k % 2 == 1 { 0.0 } else { (1..k).step_by(2).map(f64::from).product() };
    let p = |(k, sum): (i32, f64)| {
        let variance = moment(2 * k) - moment(k).powi(2);
        let z = (sum / count - moment(k)) / (variance / count).sqrt();
        (format!("moment {k}"), two_sided(z))
    };
    (1..).zip(sums).map(p).collect()
}

/// How many lie beyond 3, 4 and 5 on either side, against the law of rare events.
fn tails(x: &[f64]) -> Vec<(String, f64)> {
    let count = |beyond: &dyn Fn(f64) -> bool| x.iter().filter(|&&x| beyond(x)).count();
    let p = |t: f64| {
        let expected = 0.5 * erfc(t * FRAC_1_SQRT_2) * x.len() as f64;
        [
            (format!("above {t}"), poisson(count(&|x| x > t), expected)),
            (format!("below -{t}"), poisson(count(&|x| x < -t), expected)),
        ]
    };
    [3.0, 4.0, 5.0].into_iter().flat_map(p).collect()
}

/// Twice the probability that a Poisson count is as low, or as high, as this.
fn poisson(count: usize, expected: f64) -> f64 {
    let term = |k: usize| (k as f64 * expected.ln() - expected - lgamma(k as f64 + 1.0)).exp();
    // Terms fall on either side of the mean; beyond this many nothing is left of them.
    let span = 100 + 40 * expected.sqrt() as usize;
    let low: f64 = (count.saturating_sub(span)..=count).map(term).sum();
    let high: f64 = (count..=count + span).map(term).sum();
    (2.0 * low.min(high)).min(1.0)
}

/// Sums of products of numbers of mean 0 and variance 1 some lag apart in their stream, and at the
/// same place of streams that differ by one in one coordinate.
fn correlations(of: &str, x: &[f64]) -> Vec<(String, f64)> {
    let p = |name: String, pairs: &mut dyn Iterator<Item = (&[f64], &[f64])>| {
        let (mut sum, mut count) = (0.0, 0);
        for (left, right) in pairs {
            sum += left.iter().zip(right).map(|(a, b)| a * b).sum::<f64>();
            count += left.len().min(right.len());
        }
        (name + of, two_sided(sum / (count as f64).sqrt()))
    };
    let streams: Vec<&[f64]> = x.chunks_exact(LENGTH).collect();
    let lags = LAGS.into_iter().map(|lag| {
        p(format!("lag {lag}"), &mut streams.iter().map(|stream| (*stream, &stream[lag..])))
    });
    let coordinates = (0..).zip(COORDINATES).map(|(place, name)| {
        let stride = SIDE.pow(3 - place);
        let next = |&index: &usize| index / stride % SIDE + 1 < SIDE;
        let pair = |index| (streams[index], streams[index + stride]);
        p(format!("next {name}"), &mut (0..STREAMS).filter(next).map(pair))
    });
    lags.chain(coordinates).collect()
}

/// The empirical distribution function of a sorted sample against the normal one, by its largest
/// distance (Kolmogorov-Smirnov) and by the mean square with the tails weighed up
/// (Anderson-Darling).
fn distribution(sorted: &[f64]) -> [(String, f64); 2] {
    let count = sorted.len() as f64;
    let (mut distance, mut sum) = (0.0f64, 0.0);
    for (below, &x) in sorted.iter().enumerate() {
        let below = below as f64;
        // The smaller of both tails keeps its digits.
        let tail = 0.5 * erfc(x.abs() * FRAC_1_SQRT_2);
        let (cdf, ln_cdf, ln_rest) = if x < 0.0 {
            (tail, tail.ln(), (-tail).ln_1p())
        } else {
            (1.0 - tail, (-tail).ln_1p(), tail.ln())
        };
        distance = distance.max(cdf - below / count).max((below + 1.0) / count - cdf);
        sum += (2.0 * below + 1.0) * ln_cdf + (2.0 * (count - below) - 1.0) * ln_rest;
    }
    [
        ("Kolmogorov-Smirnov".to_owned(), kolmogorov(distance * count.sqrt())),
        ("Anderson-Darling".to_owned(), anderson_darling(-count - sum / count)),
    ]
}

/// The tail of Kolmogorov's law.
fn kolmogorov(x: f64) -> f64 {
    let terms = (1..=100).map(|k: i32| {
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * (f64::from(k) * x).powi(2)).exp()
    });
    terms.sum::<f64>().clamp(0.0, 1.0)
}

/// The tail of the law of Anderson and Darling, that of a sum of squares of normals weighed by
/// 1/(j(j + 1)): far out the first, of weight 1/2, decides, and the others multiply its tail by
/// the root of 3 (V. M. Zolotarev, Theory Probab. Appl. 6, 1961).
fn anderson_darling(x: f64) -> f64 {
    (3f64.sqrt() * erfc(x.max(0.0).sqrt())).min(1.0)
}

fn passes(x: Vec<f64>) {
    for (name, p) in comparisons(x) {
        assert!(p > LEVEL, "{name}: p = {p:e}");
    }
}

#[test]
fn double_precision() {
    passes(sample::<f64>());
}

#[test]
fn single_precision() {
    passes(sample::<f32>());
}

/// Small faults of a good sample are found, each by the comparison that should.
#[test]
fn faults_are_found() {
    let good = sample::<f64>();
    let broken = |fault: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
        (0..).zip(&good).map(|(i, &x)| fault(i, x)).collect()
    };
    let found = |comparisons: Vec<(String, f64)>, name: &str| {
        let p = comparisons.iter().find(|(of, _)| of == name).expect("a comparison of this name").1;
        assert!(p < LEVEL, "{name}: p = {p:e}");
    };
    found(moments(&broken(&|_, x| 1.002 * x)), "moment 2");
    found(moments(&broken(&|_, x| x + 0.003)), "moment 1");
    found(tails(&broken(&|_, x| x.clamp(-4.0, 4.0))), "above 4");
    let before = |i: usize, lag: usize| good[i.saturating_sub(lag)];
    found(correlations("", &broken(&|i, x| x + 0.004 * before(i, 8))), "lag 8");
    found(correlations("", &broken(&|i, x| x + 0.004 * before(i, LENGTH))), "next block");
    let mut skewed = broken(&|_, x| x + 0.004 * (x * x - 1.0));
    skewed.sort_unstable_by(f64::total_cmp);
    let [ks, ad] = distribution(&skewed);
    assert!(ks.1 < LEVEL && ad.1 < LEVEL, "{ks:?}, {ad:?}");
}

/// Tables: Kolmogorov 1 % at 1.6276; Anderson-Darling 1 % at 3.857, 0.1 % at 5.97 (M. A. Stephens,
/// J. Amer. Statist. Assoc. 69, 1974); Poisson by hand.
#[test]
fn p_values_are_those_of_tables() {
    let close = |p: f64, table: f64, error: f64| {
        assert!((p / table - 1.0).abs() < error, "{p} is not {table}");
    };
    close(kolmogorov(1.6276), 0.01, 1e-3);
    close(anderson_darling(3.857), 0.01, 0.06);
    close(anderson_darling(5.97), 0.001, 0.06);
    close(poisson(0, 3.0), 2.0 * (-3f64).exp(), 1e-12);
    close(poisson(2, 0.1), 2.0 * (1.0 - 1.1 * (-0.1f64).exp()), 1e-9);
    close(poisson(1_004_000, 1e6), two_sided(4.0), 0.02);
}
