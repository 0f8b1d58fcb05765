//! Ten million layers of mixed recipes, without drift, memory leak or error.
//!
//! Every recipe runs a share of the layers in one chain. Its gap must stay within its range, agree
//! between the first and the second half of the run within the error of correlated layers, and
//! agree with theory if there is a law; the memory of the process must not grow. `--help` lists the
//! options.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use orthogap::Activation::{Relu, Tanh};
use orthogap::convolution::{Convolution, Images};
use orthogap::normalization::{BatchNorm, Normalization, SampleNorm};
use orthogap::report::{Table, Value};
use orthogap::statistics::{BatchMeans, Moments};
use orthogap::theory::stationary;
use orthogap::weights::Haar;
use orthogap::{Input, Network, Order, Residual, Scalar, Seed};

use orthogap_examples::command::{self, Result, at_least, seed};
use orthogap_examples::say;

/// Long chains of many recipes, watched for drift, leaks and errors
#[derive(Parser)]
struct Options {
    /// Total number of layers [quick: 200000]
    #[arg(
        long,
        value_name = "L",
        value_parser = at_least::<10000, usize>,
        default_value = "10000000",
        default_value_if("quick", "true", "200000")
    )]
    layers: usize,
    /// Seed; equal seeds give equal numbers
    #[arg(long, value_name = "S", value_parser = seed, default_value = "1")]
    seed: Seed,
    /// A short run, in seconds
    #[arg(long)]
    #[allow(dead_code, reason = "sets defaults of the others")]
    quick: bool,
}

/// The number of layers in a mean: far more than the correlation of a chain.
const BATCH: u64 = 100;

/// The result of a recipe.
struct Outcome {
    name: &'static str,
    layers: usize,
    halves: [Moments; 2],
    /// The gap that theory predicts.
    predicted: Option<f64>,
    /// Whether the gap must be stationary: without batch norm it grows, as samples become parallel.
    steady: bool,
}

impl Outcome {
    /// The difference of the halves of the run in standard errors.
    fn drift(&self) -> f64 {
        let [first, second] = &self.halves;
        let error = first.standard_error().hypot(second.standard_error());
        if error == 0.0 { 0.0 } else { (second.mean() - first.mean()) / error }
    }
}

/// Runs one recipe for its share of the layers.
struct Soak<'a> {
    layers: usize,
    seed: Seed,
    bar: &'a ProgressBar,
    outcomes: Vec<Outcome>,
}

impl Soak<'_> {
    fn run<T: Scalar>(
        &mut self,
        name: &'static str,
        share: f64,
        network: &Network<T>,
        input: &Input,
    ) -> Result<()> {
        let layers = (share * self.layers as f64) as usize;
        let n = input.batch_size();
        let largest = (1.0 - 1.0 / n as f64).sqrt() * (1.0 + 1e-12);
        let mut chain = network.chain(input, self.seed)?;
        let mut halves = [BatchMeans::new(BATCH); 2];
        chain.advance(layers / 10)?; // the transient
        for index in 0..layers {
            let layer = chain.step().map_err(|error| format!("{name}, layer {index}: {error}"))?;
            let gap = layer.orthogonality_gap();
            if !(0.0..=largest).contains(&gap) || !layer.log_scale().is_finite() {
                return Err(format!("{name}, layer {index}: gap {gap}").into());
            }
            halves[2 * index / layers].push(gap);
            if index % 1000 == 0 {
                self.bar.inc(1000);
            }
        }
        let halves = halves.map(|half| *half.moments());
        self.outcomes.push(Outcome { name, layers, halves, predicted: None, steady: true });
        Ok(())
    }

    /// The last recipe has no batch norm.
    fn allow_growth(&mut self) {
        if let Some(last) = self.outcomes.last_mut() {
            last.steady = false;
        }
    }

    /// The last recipe is the paper's, whose mean gap is known up to a relative correction below
    /// `2/width`.
    fn predict(&mut self, batch_size: usize, width: usize) {
        if let Some(last) = self.outcomes.last_mut() {
            last.predicted = Some(stationary::mean_gap(batch_size, width));
        }
    }
}

fn soak(options: &Options) -> Result<()> {
    let started = Instant::now();
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} layers, {eta} left")?;
    let bar = ProgressBar::new(options.layers as u64).with_style(style);
    let mut soak =
        Soak { layers: options.layers, seed: options.seed, bar: &bar, outcomes: Vec::new() };
    let four = Input::orthogonal(4)?;
    let epsilon = 1e-5;

    let paper = Network::<f64>::new(256);
    let framework = BatchNorm::standard(epsilon)?;
    soak.run("linear, paper's batch norm", 0.3, &paper, &four)?;
    soak.predict(4, 256);
    let memory = resident_bytes();
    soak.run("the same in f32", 0.2, &Network::<f32>::new(512), &four)?;
    soak.predict(4, 512);
    soak.run("linear, six nearly equal samples", 0.1, &paper, &Input::near_collinear(6, 1e-9)?)?;
    soak.run(
        "relu, framework's batch norm",
        0.15,
        &paper.clone().with_normalization(framework).with_activation(Relu),
        &four,
    )?;
    soak.run(
        "tanh, eight samples",
        0.1,
        &paper.clone().with_activation(Tanh),
        &Input::orthogonal(8)?,
    )?;
    let after = paper.with_order(Order::ActivationLinearNorm).with_activation(Tanh);
    soak.run("tanh before the weights", 0.05, &after, &four)?;
    soak.run(
        "vanilla, four of width 4096",
        0.005,
        &Network::<f32>::new(4096).with_normalization(Normalization::None),
        &four,
    )?;
    soak.allow_growth();
    let residual = Network::<f64>::new(32)
        .with_normalization(SampleNorm::layer(epsilon)?)
        .with_residual(Residual::new(0.5)?);
    soak.run("residual, layer norm", 0.045, &residual, &four)?;
    soak.allow_growth();
    soak.run(
        "orthogonal weights",
        0.02,
        &Network::<f64>::new(16).with_weights(Haar::default()),
        &four,
    )?;
    let images = Images::new(1, 4, 4)?;
    let convolution = Network::<f64>::new(16)
        .with_activation(Relu)
        .with_normalization(framework)
        .with_convolution(Convolution::new(3)?, images);
    soak.run("convolution", 0.03, &convolution, &Input::gaussian(images.len(), 4, options.seed)?)?;
    bar.finish_and_clear();

    say!("{}", table(&soak.outcomes)?);
    let total: usize = soak.outcomes.iter().map(|outcome| outcome.layers).sum();
    say!("{total} layers in {:.1?}", started.elapsed());
    let steady = || soak.outcomes.iter().filter(|outcome| outcome.steady);
    if let Some(outcome) = steady().find(|outcome| outcome.drift().abs() > 5.0) {
        return Err(format!("{}: the gap drifts", outcome.name).into());
    }
    for outcome in steady() {
        let Some(predicted) = outcome.predicted else { continue };
        let mean = 0.5 * (outcome.halves[0].mean() + outcome.halves[1].mean());
        let error =
            0.5 * outcome.halves[0].standard_error().hypot(outcome.halves[1].standard_error());
        if (mean - predicted).abs() > 5.0 * error + 0.01 * predicted {
            return Err(format!("{}: gap {mean}, not {predicted}", outcome.name).into());
        }
    }
    if let (Some(before), Some(now)) = (memory, resident_bytes()) {
        say!("memory: {:.1} MiB, then {:.1}", mebibytes(before), mebibytes(now));
        if now > before + (8 << 20) {
            return Err("the memory grows".into());
        }
    }
    Ok(())
}

fn table(outcomes: &[Outcome]) -> orthogap::Result<Table> {
    let columns = ["recipe", "layers", "first_half", "second_half", "difference_z", "predicted"];
    let mut table = Table::new(columns);
    for outcome in outcomes {
        let [first, second] = &outcome.halves;
        table.push([
            Value::from(outcome.name),
            outcome.layers.into(),
            first.mean().into(),
            second.mean().into(),
            outcome.drift().into(),
            outcome.predicted.into(),
        ])?;
    }
    Ok(table)
}

/// The resident memory of this process, if the system reports it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn main() -> ExitCode {
    command::run(|options| soak(&options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halves(shift: f64) -> Outcome {
        let half = |start: f64| (0..100).map(|k| start + f64::from(k % 10)).collect();
        let halves = [half(0.0), half(shift)];
        Outcome { name: "test", layers: 200, halves, predicted: None, steady: true }
    }

    #[test]
    fn drift_is_seen() {
        assert!(halves(0.0).drift().abs() < 1e-9);
        assert!(halves(3.0).drift() > 5.0 && halves(-3.0).drift() < -5.0);
    }

    #[test]
    fn wrong_options_get_one_clear_line() {
        let error = command::typed::<Options>("--layers 5").err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some(
                "invalid value '5' for '--layers <L>': expected a whole number from 10000 to 1099511627776"
            )
        );
    }
}
