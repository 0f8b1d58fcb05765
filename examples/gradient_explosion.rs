//! The growth of gradients a layer, from the output of a random network to its input, against the
//! width.
//!
//! The growth is that of the log squared norm of the gradient with respect to `H`. The streamed
//! reverse pass takes networks with the paper's batch norm, the centred one, the centred one with
//! rectifiers, and vanilla networks with He weights. Explicit passes up to width 128 take Haar
//! weights. The law with rectifiers is that of an infinite batch. Prints growth rates with the laws
//! of `theory::backward`, and writes them as CSV and SVG. `--help` lists the options.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use orthogap::Activation::Relu;
use orthogap::backward::Top;
use orthogap::normalization::{BatchNorm, Normalization};
use orthogap::report::file;
use orthogap::statistics::Moments;
use orthogap::theory::backward::{
    RECTIFIED_SQUARED_GROWTH, rectified_log_growth, squared_growth, squared_growth_centred,
};
use orthogap::weights::{Gaussian, Haar};
use orthogap::{Engine, Input, Network, Seed};

use orthogap_examples::command::{self, Result};
use orthogap_examples::figure::{Dash, Figure, Panel, Series};
use orthogap_examples::{artifact, say};

/// Layers at the input and at the output that are left out of a rate.
const ENDS: usize = 4;
/// The widest network whose weights are drawn.
const EXPLICIT_WIDTH: usize = 128;

/// Growth rates of gradients against width, with the laws of infinite width
#[derive(Parser)]
struct Options {
    /// Samples of a batch
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(4..=128))]
    batch: u16,
    /// Runs of each recipe and width
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..))]
    runs: u32,
    /// Layers over which a rate is taken
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..))]
    layers: u16,
    /// The largest width, a power of ten
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=7))]
    power: u32,
    /// Fewer and shorter runs up to width 1000, in a second
    #[arg(long)]
    quick: bool,
    /// Seed of all runs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes every rate to this CSV file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/gradient_explosion.csv")]
    csv: PathBuf,
    /// Writes rates against width to this SVG file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/gradient_explosion.svg")]
    svg: PathBuf,
}

impl Options {
    /// The options under `--quick`.
    fn reduced(self) -> Self {
        match self.quick {
            true => Self { runs: self.runs.min(4), layers: self.layers.min(8), power: 3, ..self },
            false => self,
        }
    }
}

/// A network and the law of its gradients.
struct Recipe {
    name: &'static str,
    network: Network<f64>,
    /// The law of the rate at a width, if there is one.
    law: fn(batch: usize, width: usize) -> Option<f64>,
}

/// A rate of growth of the log squared norm, a layer.
struct Rate {
    recipe: &'static str,
    width: usize,
    mean: f64,
    standard_error: f64,
    theory: Option<f64>,
}

fn recipes(width: usize) -> Result<Vec<Recipe>> {
    let paper = Network::<f64>::new(width);
    let centred = paper.clone().with_normalization(BatchNorm::standard(0.0)?);
    let rectified = centred.clone().with_activation(Relu);
    let vanilla = paper
        .clone()
        .with_normalization(Normalization::None)
        .with_weights(Gaussian::he())
        .with_activation(Relu);
    let haar = paper.clone().with_weights(Haar::default());
    Ok(vec![
        Recipe { name: "paper", network: paper, law: |n, _| squared_growth(n).ok().map(f64::ln) },
        Recipe {
            name: "centred",
            network: centred,
            law: |n, _| squared_growth_centred(n).ok().map(f64::ln),
        },
        Recipe {
            name: "rectified",
            network: rectified,
            // The law of an infinite batch: at n = 8 the rate is 1.5 times as large.
            law: |n, _| (n >= 32).then(|| RECTIFIED_SQUARED_GROWTH.ln()),
        },
        Recipe { name: "vanilla", network: vanilla, law: |_, d| rectified_log_growth(d).ok() },
        Recipe { name: "haar", network: haar, law: |_, _| None },
    ])
}

/// Two widths for each power of ten, from twice the batch to the largest.
fn widths(options: &Options) -> impl Iterator<Item = usize> {
    let most = 10usize.pow(options.power);
    let batch = usize::from(options.batch);
    (1..=options.power)
        .flat_map(|power| [10usize.pow(power), 3 * 10usize.pow(power)])
        .filter(move |width| (2 * batch..=most).contains(width))
}

/// The growth of the log squared norm a layer in one run. Without normalisation the law is that of
/// one sample, so the gradient is that with respect to the first sample.
fn growth(network: &Network<f64>, input: &Input, options: &Options, run: u32) -> Result<f64> {
    let layers = usize::from(options.layers);
    let run = Seed(options.seed).replicate(run);
    let (mut top, mut bottom) = (0.0, 0.0);
    for layer in network.gradients(input, run, layers + 2 * ENDS, Top::RandomDirection)? {
        let layer = layer?;
        let log_norm = match network.normalization() {
            Normalization::None => layer.log_sample_norms()[0],
            _ => layer.log_norm(),
        };
        match layer.depth() {
            depth if depth == layers + ENDS => top = log_norm,
            ENDS => bottom = log_norm,
            _ => (),
        }
    }
    Ok(2.0 * (bottom - top) / layers as f64)
}

fn measure(options: &Options) -> Result<Vec<Rate>> {
    let batch = usize::from(options.batch);
    let input = Input::orthogonal(batch)?;
    let mut rates = Vec::new();
    for index in 0..recipes(1)?.len() {
        for width in widths(options) {
            let Recipe { name, network, law } = recipes(width)?.swap_remove(index);
            if network.engine() != Engine::Streamed && width > EXPLICIT_WIDTH {
                continue;
            }
            let mut moments = Moments::new();
            for run in 0..options.runs {
                moments.push(growth(&network, &input, options, run)?);
            }
            let (mean, standard_error) = (moments.mean(), moments.standard_error());
            rates.push(Rate {
                recipe: name,
                width,
                mean,
                standard_error,
                theory: law(batch, width),
            });
        }
    }
    Ok(rates)
}

fn table(rates: &[Rate]) -> String {
    let mut text = "recipe       width  growth a layer        theory\n".to_owned();
    for Rate { recipe, width, mean, standard_error, theory } in rates {
        let theory = theory.map_or_else(String::new, |theory| format!("{theory:8.4}"));
        let _ = writeln!(text, "{recipe:10}{width:8}  {mean:8.4} +- {standard_error:.4}  {theory}");
    }
    text
}

fn csv(rates: &[Rate], batch: u16) -> String {
    let mut text = "recipe,batch,width,log_growth,standard_error,theory\n".to_owned();
    for Rate { recipe, width, mean, standard_error, theory } in rates {
        let theory = theory.map_or_else(String::new, |theory| format!("{theory}"));
        let _ = writeln!(text, "{recipe},{batch},{width},{mean},{standard_error},{theory}");
    }
    text
}

fn figure(rates: &[Rate], batch: u16) -> Figure {
    let mut series = Vec::new();
    for (colour, rates) in rates.chunk_by(|a, b| a.recipe == b.recipe).enumerate() {
        let log = |rate: &Rate| (rate.width as f64).log10();
        series.push(Series {
            label: rates[0].recipe.to_owned(),
            colour,
            points: rates.iter().map(|rate| (log(rate), rate.mean)).collect(),
            ..Series::default()
        });
        let law = |rate: &Rate| rate.theory.map(|theory| (log(rate), theory));
        series.push(Series {
            colour,
            points: rates.iter().filter_map(law).collect(),
            dash: Dash::Dotted,
            ..Series::default()
        });
    }
    Figure {
        title: format!("Gradients of random networks, batch of {batch}"),
        x_label: "$log_{10}$ of width d".to_owned(),
        y_label: "growth of the log squared norm a layer".to_owned(),
        panels: vec![Panel { title: String::new(), series, levels: Vec::new() }],
        keys: vec![
            ("measured".to_owned(), Dash::Solid),
            ("infinite width".to_owned(), Dash::Dotted),
        ],
        ..Figure::default()
    }
}

fn experiment(options: &Options) -> Result<()> {
    let started = Instant::now();
    file::check([&options.csv, &options.svg])?;
    let rates = measure(options)?;
    say!("{}", table(&rates));
    let (csv, svg) = (csv(&rates, options.batch), figure(&rates, options.batch).svg());
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
    fn rates_are_those_of_theory() {
        let arguments = "--runs 4 --layers 10 --power 4 --batch 8";
        let options = command::typed::<Options>(arguments).unwrap();
        let rates = measure(&options).unwrap();
        let text = csv(&rates, 8);
        assert!(
            text.starts_with("recipe,batch,width,log_growth,standard_error,theory\npaper,8,30,")
        );
        for rate in rates.iter().filter(|rate| rate.width == 10_000) {
            let Some(theory) = rate.theory else { continue };
            let error = (rate.mean - theory).abs();
            assert!(error < 0.01 + 6.0 * rate.standard_error, "{}: {}", rate.recipe, rate.mean);
        }
    }
}
