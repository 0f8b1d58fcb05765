//! Shaped networks against their stochastic equation: leaky ReLU with slopes 1 + c/(2 sqrt(d)) and
//! 1 - c/(2 sqrt(d)), as deep as they are wide (Li, Nica and Roy 2022).
//!
//! The cosine of two samples stays random in such networks of any width. Its law is that of a
//! stochastic equation in layer/width. Prints mean and standard deviation of both, and writes them
//! as CSV and SVG. `--help` lists the options.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use orthogap::experiment::{ChainExperiment, Ensemble};
use orthogap::report::file;
use orthogap::statistics::Moments;
use orthogap::{Result as LibraryResult, Seed};

use orthogap_examples::command::{self, Result, seed};
use orthogap_examples::figure::{Dash, Figure, Panel, Series};
use orthogap_examples::shaped::{Shaped, pair};
use orthogap_examples::{artifact, say};

/// Points of a curve.
const POINTS: usize = 25;
/// Differences of the two slopes, times the root of the width.
const STRENGTHS: [f64; 3] = [0.0, 1.0, 2.0];

/// Cosines in shaped networks, and the stochastic equation that they follow
#[derive(Parser)]
struct Options {
    /// Width, and depth
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u16).range(POINTS as i64..))]
    width: u16,
    /// Runs of each network, and of each equation
    #[arg(long, default_value_t = 16_000, value_parser = clap::value_parser!(u32).range(2..))]
    runs: u32,
    /// The cosine of the inputs
    #[arg(long, default_value_t = 0.3)]
    cosine: f64,
    /// Narrower networks and fewer runs, in a second
    #[arg(long)]
    quick: bool,
    /// Seed; equal seeds give equal files
    #[arg(long, value_name = "S", value_parser = seed, default_value = "1")]
    seed: Seed,
    /// Writes every point to this CSV file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/shaped.csv")]
    csv: PathBuf,
    /// Writes moments against layer/width to this SVG file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/shaped.svg")]
    svg: PathBuf,
}

impl Options {
    /// The options under `--quick`.
    fn reduced(self) -> Self {
        match self.quick {
            true => Self { runs: self.runs.min(400), width: self.width.min(50), ..self },
            false => self,
        }
    }
}

/// Cosines at one layer.
struct Point {
    strength: f64,
    layer: usize,
    network: Moments,
    equation: Moments,
}

fn measure(options: &Options) -> LibraryResult<Vec<Point>> {
    let (width, input) = (usize::from(options.width), pair(options.cosine)?);
    let layers: Vec<usize> = (1..=POINTS).map(|point| point * width / POINTS).collect();
    let mut points = Vec::new();
    for (branch, strength) in STRENGTHS.into_iter().enumerate() {
        let shaped = Shaped(strength);
        let network = shaped.network(width);
        let experiment = ChainExperiment::new(&network, &input)
            .observe("cosine", |layer| layer.cosine(0, 1))
            .at(layers.iter().copied());
        let seed = options.seed.branch(branch as u64);
        let summary = Ensemble::new(&experiment, seed).run(options.runs)?;
        let mut equation = [Moments::new(); POINTS];
        for run in 0..options.runs {
            let path = shaped.equation(options.cosine, POINTS, seed.replicate(run));
            equation.iter_mut().zip(path).for_each(|(moments, cosine)| moments.push(cosine));
        }
        for (&layer, equation) in layers.iter().zip(equation) {
            let network = summary.at(layer, "cosine").map_or_else(Moments::new, |at| *at.moments());
            points.push(Point { strength, layer, network, equation });
        }
    }
    Ok(points)
}

fn deviation(moments: &Moments) -> f64 {
    moments.sample_variance().sqrt()
}

fn table(points: &[Point]) -> String {
    let mut text = "at the last layer: mean, and standard deviation, of the cosine\n\
         c        network             equation\n"
        .to_owned();
    for points in points.chunk_by(|a, b| a.strength == b.strength) {
        let Some(Point { strength, network, equation, .. }) = points.last() else { continue };
        let _ = write!(text, "{strength:3.1}");
        for moments in [network, equation] {
            let (mean, error) = (moments.mean(), moments.standard_error());
            let _ = write!(text, "  {mean:6.3} +- {error:.3}, {:.3}", deviation(moments));
        }
        text.push('\n');
    }
    text
}

fn csv(points: &[Point], width: u16) -> String {
    let mut text = "strength,width,layer,network_mean,network_error,network_deviation,\
                    equation_mean,equation_error,equation_deviation\n"
        .to_owned();
    for Point { strength, layer, network, equation } in points {
        let _ = write!(text, "{strength},{width},{layer}");
        for moments in [network, equation] {
            let (mean, error) = (moments.mean(), moments.standard_error());
            let _ = write!(text, ",{mean},{error},{}", deviation(moments));
        }
        text.push('\n');
    }
    text
}

fn figure(points: &[Point], options: &Options) -> Figure {
    let width = f64::from(options.width);
    let panel = |title: &str, at_zero: f64, value: fn(&Moments) -> f64| {
        let mut series = Vec::new();
        for (colour, points) in points.chunk_by(|a, b| a.strength == b.strength).enumerate() {
            let curve = |of: fn(&Point) -> &Moments| {
                points.iter().map(move |point| (point.layer as f64 / width, value(of(point))))
            };
            let start = std::iter::once((0.0, at_zero));
            series.push(Series {
                label: format!("c = {}", points[0].strength),
                colour,
                points: start.chain(curve(|point| &point.equation)).collect(),
                ..Series::default()
            });
            series.push(Series {
                colour,
                points: curve(|point| &point.network).collect(),
                dash: Dash::Points,
                ..Series::default()
            });
        }
        Panel { title: title.to_owned(), series, levels: Vec::new() }
    };
    Figure {
        title: format!("Cosine of two samples, leaky ReLU of slopes 1 ± c/(2√d), d = {width}"),
        x_label: "layer / width".to_owned(),
        y_label: "cosine".to_owned(),
        panels: vec![
            panel("mean", options.cosine, Moments::mean),
            panel("standard deviation", 0.0, deviation),
        ],
        keys: vec![
            ("stochastic equation".to_owned(), Dash::Solid),
            ("network".to_owned(), Dash::Points),
        ],
        ..Figure::default()
    }
}

fn experiment(options: &Options) -> Result<()> {
    let started = Instant::now();
    file::check([&options.csv, &options.svg])?;
    let points = measure(options)?;
    say!("{}", table(&points));
    let (csv, svg) = (csv(&points, options.width), figure(&points, options).svg());
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

    /// The last layer of every strength, mean and deviation: six comparisons, at 4 standard errors beside
    /// 0.02 for the width.
    #[test]
    fn networks_follow_the_equation() {
        let options = command::typed::<Options>("--runs 2000 --width 100").unwrap();
        let points = measure(&options).unwrap();
        assert_eq!(points.len(), STRENGTHS.len() * POINTS);
        assert_eq!(csv(&points, 100).lines().count(), points.len() + 1);
        for point in points.iter().filter(|point| point.layer == 100) {
            let (network, equation) = (&point.network, &point.equation);
            let error = network.standard_error().hypot(equation.standard_error());
            assert!((network.mean() - equation.mean()).abs() < 4.0 * error + 0.02);
            assert!((deviation(network) - deviation(equation)).abs() < 4.0 * error + 0.02);
        }
    }
}
