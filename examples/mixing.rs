//! How fast a network forgets its input: the contraction of two chains with the same random numbers,
//! against the width, for several batches.
//!
//! Prints the fall of the log distance of both Gram matrices a layer, with its interval, and that
//! of infinite width, log(1 + 2/n). There are two ways to make rows from the same normals. Writes
//! CSV and SVG. `--help` lists the options.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use orthogap::experiment::coupling::{Coupling, FactorRule};
use orthogap::report::file;
use orthogap::statistics::Moments;
use orthogap::theory::stationary::decay_rate;
use orthogap::{Input, Network, Result as LibraryResult, Seed};

use orthogap_examples::command::{self, Result, seed};
use orthogap_examples::figure::{Dash, Figure, Panel, Series};
use orthogap_examples::{artifact, say};

const BATCHES: [usize; 4] = [2, 4, 8, 16];
const RULES: [(FactorRule, &str, Dash); 2] = [
    (FactorRule::SymmetricRoot, "symmetric root", Dash::Solid),
    (FactorRule::Triangular, "triangular factor", Dash::Dashed),
];

/// Contraction of coupled chains against width and batch
#[derive(Parser)]
struct Options {
    /// Runs of each batch and width
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..))]
    runs: u32,
    /// The largest width, a power of two
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(5..=20))]
    power: u32,
    /// Fewer runs, up to width 256 and a batch of 8, in a second
    #[arg(long)]
    quick: bool,
    /// Seed; equal seeds give equal files
    #[arg(long, value_name = "S", value_parser = seed, default_value = "1")]
    seed: Seed,
    /// Writes every rate to this CSV file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/mixing.csv")]
    csv: PathBuf,
    /// Writes rates against width to this SVG file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/mixing.svg")]
    svg: PathBuf,
}

impl Options {
    /// The options under `--quick`.
    fn reduced(self) -> Self {
        match self.quick {
            true => Self { runs: self.runs.min(8), power: self.power.min(8), ..self },
            false => self,
        }
    }

    fn batches(&self) -> impl Iterator<Item = usize> + use<> {
        let most = if self.quick { 8 } else { 16 };
        BATCHES.into_iter().filter(move |&n| n <= most)
    }
}

/// The fall of the log distance a layer.
struct Rate {
    batch: usize,
    width: usize,
    rule: usize,
    /// The rate of every run, less than zero where chains contract.
    growth: Moments,
}

impl Rate {
    fn fall(&self) -> f64 {
        -self.growth.mean()
    }

    /// The ends of the 95 % interval.
    fn interval(&self) -> (f64, f64) {
        match self.growth.confidence_interval(0.95) {
            Some(interval) => (-interval.high, -interval.low),
            None => (f64::NAN, f64::NAN),
        }
    }
}

/// Powers of two from four times the batch and half its square on: narrower networks lose rank.
fn widths(batch: usize, power: u32) -> impl Iterator<Item = usize> {
    (1..=power).map(|power| 1 << power).filter(move |&d| d >= 4 * batch && 2 * d >= batch * batch)
}

fn measure(options: &Options) -> LibraryResult<Vec<Rate>> {
    let mut rates = Vec::new();
    for batch in options.batches() {
        let inputs = [Input::orthogonal(batch)?, Input::spiked(batch, 0.5)?];
        // About 16 units of the logarithm at infinite width, after a relaxation time or two.
        let (first, count) = (batch + 2, 8 * batch + 6);
        for width in widths(batch, options.power) {
            let network = Network::<f64>::new(width);
            let coupling = Coupling::new(&network, [&inputs[0], &inputs[1]])?;
            for (rule, &(of, ..)) in RULES.iter().enumerate() {
                let seed = options.seed.branch((batch * width) as u64);
                let layers = first..first + count;
                let growth = coupling.with_rule(of).contraction(layers, options.runs, seed)?;
                rates.push(Rate { batch, width, rule, growth });
            }
        }
    }
    Ok(rates)
}

fn infinite_width(batch: usize) -> f64 {
    -decay_rate(batch).ln()
}

fn table(rates: &[Rate]) -> String {
    let mut text =
        "batch  width  rule               fall a layer (95 %)        infinite width\n".to_owned();
    for rate in rates {
        let ((low, high), name) = (rate.interval(), RULES[rate.rule].1);
        let _ = writeln!(
            text,
            "{:5}{:7}  {name:17}  {:.4} ({low:.4} to {high:.4})  {:.4}",
            rate.batch,
            rate.width,
            rate.fall(),
            infinite_width(rate.batch)
        );
    }
    text
}

fn csv(rates: &[Rate]) -> String {
    let mut text = "batch,width,rule,runs,fall,low,high,infinite_width\n".to_owned();
    for rate in rates {
        let ((low, high), name) = (rate.interval(), RULES[rate.rule].1);
        let (batch, width, runs) = (rate.batch, rate.width, rate.growth.count());
        let infinite = infinite_width(batch);
        let _ =
            writeln!(text, "{batch},{width},{name},{runs},{},{low},{high},{infinite}", rate.fall());
    }
    text
}

fn figure(rates: &[Rate], options: &Options) -> Figure {
    let (mut series, mut levels) = (Vec::new(), Vec::new());
    for (colour, batch) in options.batches().enumerate() {
        levels.push((infinite_width(batch), colour));
        for (rule, &(_, _, dash)) in RULES.iter().enumerate() {
            let of = || rates.iter().filter(|rate| (rate.batch, rate.rule) == (batch, rule));
            let named = rule == 0;
            series.push(Series {
                label: if named { format!("n = {batch}") } else { String::new() },
                colour,
                points: of().map(|rate| (rate.width as f64, rate.fall())).collect(),
                band: if named { of().map(Rate::interval).collect() } else { Vec::new() },
                dash,
            });
        }
    }
    let mut keys: Vec<_> = RULES.iter().map(|&(_, name, dash)| (name.to_owned(), dash)).collect();
    keys.push(("infinite width, log(1 + 2/n)".to_owned(), Dash::Dotted));
    Figure {
        title: "Two inputs, one seed: how fast their Gram matrices meet".to_owned(),
        x_label: "width d".to_owned(),
        y_label: "fall of the log distance a layer".to_owned(),
        log_x: true,
        log_y: true,
        panels: vec![Panel { title: String::new(), series, levels }],
        keys,
        band: "95 % interval",
    }
}

fn experiment(options: &Options) -> Result<()> {
    let started = Instant::now();
    file::check([&options.csv, &options.svg])?;
    let rates = measure(options)?;
    say!("{}", table(&rates));
    let (csv, svg) = (csv(&rates), figure(&rates, options).svg());
    artifact::publish([(&*options.csv, Some(csv.into())), (&*options.svg, svg.map(Into::into))])?;
    say!("in {:.1?}", started.elapsed());
    Ok(())
}

fn main() -> ExitCode {
    command::run(|options: Options| experiment(&options.reduced()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_networks_forget_at_the_rate_of_theory() {
        let options = command::typed::<Options>("--quick").unwrap().reduced();
        let rates = measure(&options).unwrap();
        assert_eq!(csv(&rates).lines().count(), rates.len() + 1);
        assert!(figure(&rates, &options).svg().is_some());
        for rate in rates.iter().filter(|rate| rate.batch == 2 && rate.width == 256) {
            let (error, law) = (rate.growth.standard_error(), infinite_width(2));
            assert!((rate.fall() - law).abs() < 6.0 * error + 0.01, "{} {law}", rate.fall());
        }
        // Near the critical width chains meet more slowly.
        let narrow = rates.iter().find(|rate| (rate.batch, rate.width) == (8, 32)).unwrap();
        assert!(narrow.fall() < 0.8 * infinite_width(8));
    }
}
