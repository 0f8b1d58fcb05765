//! Means, quantiles and differences over runs, rules that stop them, and the measured critical
//! width.

use orthogap::experiment::critical_width;
use orthogap::experiment::{Ensemble, Precision, Summary, from_fn};
use orthogap::statistics::{Interval, Moments};
use orthogap::{Purpose, Replicate, Result, Seed};
use rand::RngExt;
use rand_distr::{Distribution, Exp1, StandardNormal};

use super::{Case, LEVELS};

/// A law of one number a run: its name, its mean, and how it is drawn.
type Law = (&'static str, f64, fn(Replicate) -> f64);

const NORMAL: Law = ("normal", 0.0, |run| StandardNormal.sample(&mut rng(run)));
const EXPONENTIAL: Law = ("exponential", 1.0, |run| Exp1.sample(&mut rng(run)));
const EVENT: Law = ("event of .01", 0.01, |run| f64::from(rng(run).random::<f64>() < 0.01));
const LOG_NORMAL: Law = ("log-normal", 1.648_721_270_700_128, |run| {
    let z: f64 = StandardNormal.sample(&mut rng(run));
    z.exp()
});

fn rng(run: Replicate) -> impl rand::Rng {
    run.stream(Purpose::User(0), 0, 0).rng()
}

/// Makes a summary of an ensemble of one law.
fn summary(law: Law, seed: Seed, run: impl FnOnce(Ensemble<'_>) -> Result<Summary>) -> Summary {
    run(Ensemble::new(&from_fn(["x"], 0, |run| Ok([law.2(run)])), seed)).expect("a summary")
}

fn case<'a>(function: &'a str, law: &'a str, repetitions: u64) -> Case<'a> {
    Case { function, law, repetitions, shortfall: 0.0, excess: 0.0 }
}

/// Student's law is exact for normal numbers. Of exponential ones (skewness 2) 95 % cover .90 in 10
/// runs. 4 cases.
#[test]
fn means_over_runs() {
    for (law, runs, shortfall) in
        [(NORMAL, 10, 0.0), (NORMAL, 100, 0.0), (EXPONENTIAL, 10, 0.06), (EXPONENTIAL, 100, 0.02)]
    {
        let name = format!("{}, {runs} runs", law.0);
        Case { shortfall, ..case("Summary::mean", &name, 2000) }.check(|seed| {
            let summary = summary(law, Seed(seed), |ensemble| ensemble.run(runs));
            let x = summary.at(0, "x").expect("observed");
            let mean = summary.mean(0, "x").expect("enough runs");
            LEVELS.map(|level| {
                let interval = x.moments().confidence_interval(level).expect("enough runs");
                assert!(level < 0.9 || interval == mean.interval);
                interval.contains(law.1)
            })
        });
    }
}

/// The median of 1000 kept values of 1100 is off by .016 in probability: binomial, so a little too
/// often, since ranks are whole numbers. 2 cases.
#[test]
fn quantiles_over_runs() {
    for (law, median) in [(NORMAL, 0.0), (EXPONENTIAL, 2f64.ln())] {
        let name = format!("{}, 1100 runs", law.0);
        Case { excess: 0.02, shortfall: 0.02, ..case("Observable::quantile", &name, 400) }.check(
            |seed| {
                let summary = summary(law, Seed(seed), |ensemble| ensemble.run(1100));
                let x = summary.at(0, "x").expect("observed");
                [0.994_458, 1.959_964].map(|z| {
                    let [low, high] = [-z, z].map(|z| x.quantile(0.5 + 0.016 * z).expect("values"));
                    Interval { low, high }.contains(median)
                })
            },
        );
    }
}

/// A rule that stops on what it sees, at two precisions each. What it may fall short is what a fixed
/// number of runs falls short, too, plus the stated bias of the mean, which is checked to 0.05 and four
/// standard errors. 8 cases.
#[test]
fn means_where_runs_stop() {
    for (law, error, shortfall, stated) in [
        (NORMAL, 0.1, 0.01, 0.0),
        (NORMAL, 0.15, 0.02, 0.0),
        (EXPONENTIAL, 0.05, 0.02, -0.1),
        (EXPONENTIAL, 0.1, 0.02, -0.1),
        (EVENT, 2e-3, 0.02, 0.14),
        (EVENT, 1e-3, 0.02, -0.1),
        (LOG_NORMAL, 0.05, 0.03, -0.15),
        (LOG_NORMAL, 0.1, 0.05, -0.22),
    ] {
        let name = format!("{}, error {error}", law.0);
        let mut means = Moments::new();
        let mut errors = Moments::new();
        let case = Case { shortfall, excess: 0.03, ..case("Ensemble::run_until", &name, 500) };
        case.check(|seed| {
            let enough = Precision { layer: 0, observable: "x", standard_error: error };
            let summary = summary(law, Seed(seed), |ensemble| ensemble.run_until(enough, 100_000));
            let x = summary.at(0, "x").expect("observed").moments();
            assert!(x.standard_error() <= error && x.sample_variance() > 0.0);
            means.push(x.mean());
            errors.push(x.count() as f64);
            LEVELS.map(|level| x.confidence_interval(level).is_some_and(|i| i.contains(law.1)))
        });
        let bias = (means.mean() - law.1) / means.sample_variance().sqrt();
        let noise = 1.0 / (means.count() as f64).sqrt();
        println!("    bias {bias:.3} ± {noise:.3} spreads, {:.0} runs", errors.mean());
        assert!((bias - stated).abs() < 0.05 + 4.0 * noise, "{name}: {bias}");
    }
}

/// Two samples of different sizes and spreads. 4 cases.
#[test]
fn differences_of_means() {
    for (law, sizes, shortfall) in [
        (NORMAL, [5, 8], 0.0),
        (NORMAL, [20, 60], 0.0),
        (EXPONENTIAL, [10, 16], 0.05),
        (EXPONENTIAL, [40, 120], 0.02),
    ] {
        let name = format!("{}, {} and {} numbers", law.0, sizes[0], sizes[1]);
        // Welch's degrees of freedom are an approximation: conservative by a per cent here.
        Case { shortfall, excess: 0.015, ..case("Moments::difference", &name, 3000) }.check(
            |seed| {
                let sample = |branch, count, scale: f64| -> Moments {
                    let seed = Seed(seed).branch(branch);
                    (0..count).map(|index| scale * law.2(seed.replicate(index))).collect()
                };
                let difference = sample(0, sizes[0], 1.0).difference(&sample(1, sizes[1], 3.0));
                let difference = difference.expect("enough numbers");
                LEVELS.map(|level| {
                    let interval = difference.confidence_interval(level);
                    interval.is_some_and(|interval| interval.contains(-2.0 * law.1))
                })
            },
        );
    }
}

/// At two batch sizes, whose true crossings are measured with 200 times as many layers: 4.2591(57)
/// and 22.778(28) by `estimate(n, 400_000, Seed(1))`. The errors of the growth come from few
/// blocks of layers, 83 and 31. 2 cases.
#[test]
fn critical_widths() {
    for (batch_size, layers, crossing, repetitions) in
        [(3, 2000, 4.2591, 100), (8, 2000, 22.778, 100)]
    {
        let law = format!("n = {batch_size}, {layers} layers");
        let case =
            Case { shortfall: 0.02, excess: 0.03, ..case("critical_width", &law, repetitions) };
        let (mut crossings, mut stated) = (Moments::new(), Moments::new());
        case.check(|seed| {
            let critical =
                critical_width::estimate(batch_size, layers, Seed(seed)).expect("a width");
            crossings.push(critical.crossing);
            stated.push(critical.standard_error);
            let error = (critical.crossing - crossing).abs() / critical.standard_error;
            [0.994_458, 1.959_964].map(|z| error <= z)
        });
        let (mean, sd) = (crossings.mean(), crossings.sample_variance().sqrt());
        println!("    {mean:.3}, spread {sd:.4}, stated {:.4}", stated.mean());
    }
}
