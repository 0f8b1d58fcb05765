//! Means of correlated series, lines through points, quantiles.

use orthogap::statistics::{
    BatchMeans, Interval, Line, Moments, Weighting, correlated_mean, quantile_interval,
};
use orthogap::{Purpose, Seed};
use rand::Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};

use super::{Case, LEVELS};

/// A law of one number, with mean 0 and variance 1.
type Law = (&'static str, fn(&mut dyn Rng) -> f64);

const NORMAL: Law = ("normal", |rng| StandardNormal.sample(rng));
const EXPONENTIAL: Law = ("exponential", |rng| {
    let x: f64 = Exp1.sample(rng);
    x - 1.0
});

fn rng(repetition: u64) -> impl Rng {
    Seed(repetition).replicate(0).stream(Purpose::User(0), 0, 0).rng()
}

fn case<'a>(function: &'a str, law: &'a str, repetitions: u64) -> Case<'a> {
    Case { function, law, repetitions, shortfall: 0.0, excess: 0.0 }
}

/// An autoregressive series with mean 0 and correlation `memory` between neighbours, after a hundred
/// numbers that are left out.
fn autoregressive(law: Law, memory: f64, length: usize, repetition: u64) -> Vec<f64> {
    let mut rng = rng(repetition);
    let mut x = 0.0;
    let mut next = || {
        x = memory * x + (1.0 - memory * memory).sqrt() * law.1(&mut rng);
        x
    };
    (0..length + 100).map(|_| next()).skip(100).collect()
}

fn mean_contains_zero(series: &[f64]) -> [bool; 2] {
    let found = correlated_mean(series).expect("a series");
    // Quantiles of the normal law at the levels.
    [0.994_457_883_209_753, 1.959_963_984_540_054]
        .map(|quantile| found.mean.abs() <= quantile * found.standard_error)
}

/// Series of 50 times the autocorrelation time or more. The standard error is estimated from about as
/// many independent numbers, but taken for certain, which costs up to .04; the search for a negative
/// correlation ends a little too early, which gives up to .06, and .10 at -0.9 (.093 measured). 16 cases.
#[test]
fn means_of_autoregressive_series() {
    for (memory, length, repetitions, excess) in [
        (-0.5, 100, 1000, 0.06),
        (-0.5, 1000, 1000, 0.06),
        (-0.7, 1000, 1000, 0.06),
        (-0.9, 1000, 1000, 0.10),
        (-0.95, 10_000, 200, 0.06),
        (0.0, 200, 1000, 0.06),
        (0.8, 450, 1000, 0.06),
        (0.8, 4000, 400, 0.06),
    ] {
        for law in [NORMAL, EXPONENTIAL] {
            let name = format!("AR(1), {memory}, {}, n = {length}", law.0);
            let case = case("correlated_mean", &name, repetitions);
            Case { shortfall: 0.04, excess, ..case }.check(|repetition| {
                mean_contains_zero(&autoregressive(law, memory, length, repetition))
            });
        }
    }
}

/// Differences of neighbours in a series of independent numbers: the standard error is about three
/// times too large, at either length, but not more (as the documentation says). 2 cases.
#[test]
fn means_of_differences() {
    for (length, repetitions) in [(100, 1000), (10_000, 100)] {
        let name = format!("differences, n = {length}");
        let (mut means, mut errors) = (Moments::new(), Moments::new());
        Case { excess: 0.32, ..case("correlated_mean", &name, repetitions) }.check(|repetition| {
            let numbers = autoregressive(NORMAL, 0.0, length + 1, repetition);
            let series: Vec<f64> = numbers.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let found = correlated_mean(&series).expect("a series");
            means.push(found.mean);
            errors.push(found.standard_error.powi(2));
            mean_contains_zero(&series)
        });
        let ratio = (errors.mean() / means.sample_variance()).sqrt();
        assert!((1.5..4.5).contains(&ratio), "{name}: {ratio}");
    }
}

/// Batches of ten times the memory: 20 and 100 of them. 4 cases.
#[test]
fn batch_means() {
    for law in [NORMAL, EXPONENTIAL] {
        for batches in [20, 100] {
            let name = format!("AR(1), .8, {}, {batches} batches", law.0);
            let case = case("BatchMeans", &name, 500);
            Case { shortfall: 0.02, ..case }.check(|repetition| {
                let mut means = BatchMeans::new(100);
                autoregressive(law, 0.8, 100 * batches, repetition)
                    .into_iter()
                    .for_each(|x| means.push(x));
                let interval = |level| means.moments().confidence_interval(level);
                LEVELS.map(|level| interval(level).expect("two batches").contains(0.0))
            });
        }
    }
}

/// How the errors of points are known.
#[derive(Clone, Copy, Debug)]
enum Errors {
    /// They are not: the scatter about the line gives them.
    Unknown,
    /// Exactly, and they differ thirtyfold.
    Known(Weighting),
    /// From so many runs each.
    Runs(u32, Weighting),
}

/// A line through points about 1 - x/2.
fn line(law: Law, points: u32, errors: Errors, repetition: u64) -> Line {
    let mut rng = rng(repetition);
    let truth = |k: u32| (f64::from(k), 1.0 - 0.5 * f64::from(k));
    match errors {
        Errors::Unknown => {
            let points: Vec<_> =
                (0..points).map(truth).map(|(x, y)| (x, y + law.1(&mut rng))).collect();
            Line::through(&points)
        }
        Errors::Known(weighting) => {
            let point = |k: u32| {
                let error = 30f64.powf(f64::from(k % 3) / 2.0);
                (truth(k).0, truth(k).1 + error * law.1(&mut rng), error)
            };
            Line::with_errors(&(0..points).map(point).collect::<Vec<_>>(), weighting)
        }
        Errors::Runs(runs, weighting) => {
            let point = |k: u32| {
                let y: Moments = (0..runs).map(|_| truth(k).1 + law.1(&mut rng)).collect();
                (truth(k).0, y.mean(), y.standard_error())
            };
            Line::with_errors(&(0..points).map(point).collect::<Vec<_>>(), weighting)
        }
    }
    .expect("a line")
}

/// Intervals of slope and intercept. Off the normal law those of few points are approximate, and skewed
/// deviations correlate with their estimated errors, which costs up to .08. Where one point of five
/// weighs most they have its law: a single exponential deviation lies within one standard error in .86 of
/// all cases, not in .68. Errors from 3 runs each, under equal weights, amount to some 20 degrees of freedom, where
/// the normal law is used. 32 cases.
#[test]
fn slopes_and_intercepts() {
    use Errors::{Known, Runs, Unknown};
    use Weighting::{Equal, InverseVariance};
    for law in [NORMAL, EXPONENTIAL] {
        for (points, errors, shortfall, excess) in [
            (5, Unknown, 0.0, 0.0),
            (20, Unknown, 0.0, 0.0),
            (5, Known(Equal), 0.0, 0.0),
            (20, Known(Equal), 0.0, 0.0),
            (5, Known(InverseVariance), 0.0, 0.0),
            (20, Known(InverseVariance), 0.0, 0.0),
            (10, Runs(3, Equal), 0.04, 0.0),
            (10, Runs(30, InverseVariance), 0.03, 0.0),
        ] {
            let off = if law.0 == "normal" { 0.0 } else { 0.08 };
            let alone =
                matches!((law.0, points, errors), ("exponential", 5, Known(InverseVariance)));
            let excess = if alone { 0.18 } else { excess + off };
            let shortfall = shortfall + off;
            let name = format!("{errors:?}, {}, {points} points", law.0);
            let slope = |line: &Line, level| line.slope_interval(level);
            let intercept = |line: &Line, level| line.intercept_interval(level);
            let check = |function, truth, of: &dyn Fn(&Line, f64) -> Option<Interval>| {
                Case { shortfall, excess, ..case(function, &name, 1000) }.check(|repetition| {
                    let line = line(law, points, errors, repetition);
                    LEVELS.map(|level| of(&line, level).expect("a level").contains(truth))
                });
            };
            check("Line::slope_interval", -0.5, &slope);
            check("Line::intercept_interval", 1.0, &intercept);
        }
    }
}

/// Points on a straight line, with errors that differ thirtyfold: the probability is uniform under
/// either weighting. Squares of exponential deviations scatter more. 8 cases.
#[test]
fn straightness() {
    for (law, slack) in [(NORMAL, 0.0), (EXPONENTIAL, 0.12)] {
        for weighting in [Weighting::Equal, Weighting::InverseVariance] {
            for points in [5, 20] {
                let name = format!("{weighting:?}, {}, {points} points", law.0);
                let case = case("Line::straightness", &name, 1000);
                Case { shortfall: slack, excess: slack, ..case }.check(|repetition| {
                    let line = line(law, points, Errors::Known(weighting), repetition);
                    let probability = line.straightness().expect("more than two points");
                    LEVELS.map(|level| probability >= 1.0 - level)
                });
            }
        }
    }
}

/// Ranks are whole, so intervals contain the quantile too often by up to the largest probability
/// of one rank; laws without ties are all alike. 8 cases.
#[test]
fn quantiles() {
    for (law, quantile) in [
        (NORMAL, [0.0, -1.281_551_565_544_600_5]),
        (EXPONENTIAL, [2f64.ln() - 1.0, -(0.9f64.ln()) - 1.0]),
    ] {
        for (p, truth, count, excess) in [
            (0.5, quantile[0], 10, 0.25),
            (0.5, quantile[0], 200, 0.06),
            (0.1, quantile[1], 40, 0.21),
            (0.1, quantile[1], 200, 0.1),
        ] {
            let name = format!("{}, p = {p}, n = {count}", law.0);
            Case { excess, ..case("quantile_interval", &name, 1000) }.check(|repetition| {
                let mut rng = rng(repetition);
                let mut sample: Vec<f64> = (0..count).map(|_| law.1(&mut rng)).collect();
                sample.sort_by(f64::total_cmp);
                LEVELS.map(|level| {
                    let interval = quantile_interval(&sample, p, level).expect("enough numbers");
                    interval.contains(truth)
                })
            });
        }
    }
}
