//! The bounds of the paper and simulations, against the width.
//!
//! Left the stationary orthogonality gap, right the squared Wasserstein-2 distance of a layer's law
//! to a Gaussian. Each is simulated, predicted by the large-width law, and bounded by Theorem 1,
//! Lemma 2 and Corollary 3: as printed, repaired and with sharp constants, under the most
//! favourable assumption. Writes CSV and SVG. `--help` lists the options.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use orthogap::normalization::Normalization;
use orthogap::report::file;
use orthogap::statistics::Moments;
use orthogap::theory::bounds::{self, A1, Version, Width};
use orthogap::theory::{stationary, wasserstein_law};
use orthogap::{Input, Network, Result, Seed};
use rayon::prelude::*;

use orthogap_examples::command::{self, seed};
use orthogap_examples::figure::{Dash, Figure, Panel, Series};
use orthogap_examples::{artifact, say};

/// Simulated gap and Wasserstein-2 distance against the bounds of the paper and the large-width law
#[derive(Parser)]
struct Options {
    /// Samples, 2 to 64
    #[arg(long = "batch", value_name = "N", value_parser = batch_size, default_value = "4")]
    batch_size: usize,
    /// Seed; equal seeds give equal files on any number of threads
    #[arg(long, value_name = "S", value_parser = seed, default_value = "1")]
    seed: Seed,
    /// Writes every number to this CSV file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/bound_gap.csv")]
    csv: PathBuf,
    /// Writes the figure to this SVG file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/bound_gap.svg")]
    svg: PathBuf,
    /// Fewer and narrower networks, in seconds
    #[arg(long)]
    quick: bool,
}

fn batch_size(text: &str) -> command::Result<usize> {
    let number = text.parse().ok().filter(|number| (2..=64).contains(number));
    number.ok_or_else(|| "expected a number from 2 to 64".into())
}

/// The widest networks that are simulated.
const WIDEST: usize = 8192;

/// All numbers of one width.
struct Row {
    width: usize,
    /// `None` if the width is not simulated.
    simulated: Option<Simulated>,
    gap: Predictions,
    distance: Predictions,
}

/// Stationary means over independent runs.
struct Simulated {
    gap: Moments,
    /// An upper bound: the mean of the distances given H.
    coupling: Moments,
    /// A lower bound: the one-dimensional distance of an image.
    lower: Moments,
    /// Lemma 2 with the simulated gap.
    lemma_2: f64,
    lemma_2_sharp: f64,
}

/// The predictions and bounds of one quantity.
struct Predictions {
    law: f64,
    printed: f64,
    repaired: f64,
    sharp: f64,
}

/// The bounds after so many layers that only their second term is left, for alpha = 1/sqrt n.
fn predictions(n: usize, width: usize) -> Result<(Predictions, Predictions)> {
    let a1 = A1::new(n, (n as f64).sqrt().recip(), u32::MAX)?;
    let d = Width::finite(n, width)?;
    let all = |law, bound: fn(Version, A1, Width) -> bounds::Bound| {
        let of = |version| bound(version, a1, d).value;
        Predictions {
            law,
            printed: of(Version::Printed),
            repaired: of(Version::Repaired),
            sharp: of(Version::Sharp),
        }
    };
    Ok((
        all(stationary::mean_gap(n, width), bounds::theorem_1),
        all(wasserstein_law::squared_distance(n, width), bounds::corollary_3),
    ))
}

/// Late layers of some runs, `n` layers apart.
fn simulate(n: usize, width: usize, runs: u32, seed: Seed) -> Result<Simulated> {
    const LAYERS: u32 = 200;
    let isotropic = Input::orthogonal(n)?;
    let one_run = |run: u32| -> Result<[f64; 4]> {
        let mut chain = Network::<f64>::new(width).chain(&isotropic, seed.replicate(run))?;
        chain.advance(10 * n)?;
        let (mut gap, mut square, mut coupling) = (Moments::new(), Moments::new(), Moments::new());
        let (mut product, mut gaussian) = (Vec::new(), Vec::new());
        for sample in 0..LAYERS {
            let layer = chain.advance(n)?;
            gap.push(layer.orthogonality_gap());
            square.push(layer.orthogonality_gap().powi(2));
            coupling.push(layer.coupling_bound());
            let input = Input::from_gram(layer.gram().clone());
            let replicate = run * LAYERS + sample;
            let [left, right] = [1, 2].map(|law| Seed(seed.0 ^ law << 32).replicate(replicate));
            product.push(after_weights(&input, width, left)?);
            gaussian.push(after_weights(&isotropic, width, right)?);
        }
        let lower = wasserstein_law::lower_bound(&product, &gaussian)?;
        Ok([gap.mean(), square.mean(), coupling.mean(), lower])
    };
    let runs: Result<Vec<_>> = (0..runs).into_par_iter().map(one_run).collect();
    let runs = runs?;
    let [gap, square, coupling, lower] =
        [0, 1, 2, 3].map(|k| runs.iter().map(|run| run[k]).collect::<Moments>());
    Ok(Simulated {
        gap,
        coupling,
        lower,
        lemma_2: bounds::lemma_2(n, gap.mean())?.value,
        lemma_2_sharp: bounds::lemma_2_sharp(n, square.mean())?.value,
    })
}

/// Singular values of W H for H of norm one, or G/sqrt n for orthogonal H; W is N(0, 1/d).
fn after_weights(input: &Input, width: usize, run: orthogap::Replicate) -> Result<Vec<f64>> {
    let vanilla = Network::<f64>::new(width).with_normalization(Normalization::None);
    let mut chain = vanilla.chain(input, run)?;
    let before = chain.layer().log_scale();
    let layer = chain.step()?;
    let length = (layer.log_scale() - before).exp();
    Ok(layer.singular_values().iter().map(|sigma| sigma * length).collect())
}

fn rows(options: &Options) -> Result<Vec<Row>> {
    let n = options.batch_size;
    // From well above the critical width, where no direction is lost, to where bounds are not
    // vacuous.
    let first = (n * n).max(2 * n).next_power_of_two();
    let (simulated, last, runs) = if options.quick { (4, 16, 8) } else { (10, 18, 32) };
    let widths = (0..last).map(|power| first << power);
    widths
        .enumerate()
        .map(|(index, width)| {
            let (gap, distance) = predictions(n, width)?;
            let feasible = index < simulated && width <= WIDEST;
            let simulated = feasible.then(|| simulate(n, width, runs, options.seed));
            Ok(Row { width, simulated: simulated.transpose()?, gap, distance })
        })
        .collect()
}

fn csv(n: usize, rows: &[Row]) -> String {
    let mut text = "n,d,gap,gap_standard_error,gap_law,theorem_1_printed,theorem_1_repaired,\
                    theorem_1_sharp,w2_lower,w2_lower_standard_error,w2_upper,\
                    w2_upper_standard_error,w2_law,lemma_2,lemma_2_sharp,corollary_3_printed,\
                    corollary_3_repaired,corollary_3_sharp\n"
        .to_owned();
    for Row { width, simulated, gap, distance } in rows {
        let number = |of: fn(&Simulated) -> f64| {
            simulated.as_ref().map_or(String::new(), |simulated| format!("{:e}", of(simulated)))
        };
        let _ = writeln!(
            text,
            "{n},{width},{},{},{:e},{:e},{:e},{:e},{},{},{},{},{:e},{},{},{:e},{:e},{:e}",
            number(|s| s.gap.mean()),
            number(|s| s.gap.standard_error()),
            gap.law,
            gap.printed,
            gap.repaired,
            gap.sharp,
            number(|s| s.lower.mean()),
            number(|s| s.lower.standard_error()),
            number(|s| s.coupling.mean()),
            number(|s| s.coupling.standard_error()),
            distance.law,
            number(|s| s.lemma_2),
            number(|s| s.lemma_2_sharp),
            distance.printed,
            distance.repaired,
            distance.sharp
        );
    }
    text
}

fn figure(n: usize, rows: &[Row]) -> Figure {
    let curve = |label: &str, colour, dash, of: &dyn Fn(&Row) -> Option<f64>| {
        let point = |row: &Row| Some(((row.width as f64).log10(), of(row)?));
        let points = rows.iter().filter_map(point).collect();
        Series { label: label.to_owned(), colour, points, dash, band: Vec::new() }
    };
    let simulated = |label: &str, colour, dash, of: fn(&Simulated) -> f64| {
        curve(label, colour, dash, &|row| row.simulated.as_ref().map(of))
    };
    let theory = |of: fn(&Row) -> &Predictions| {
        [
            curve("as printed", 1, Dash::Dashed, &|row| Some(of(row).printed)),
            curve("repaired", 4, Dash::Dashed, &|row| Some(of(row).repaired)),
            curve("sharp constants", 2, Dash::Dashed, &|row| Some(of(row).sharp)),
            curve("", 0, Dash::Dotted, &|row| Some(of(row).law)),
        ]
    };
    let mut gap = Vec::from(theory(|row| &row.gap));
    gap.push(simulated("simulated", 0, Dash::Solid, |s| s.gap.mean()));
    let mut distance = Vec::from(theory(|row| &row.distance));
    distance.push(simulated("Lemma 2 on simulated gaps", 3, Dash::Dashed, |s| s.lemma_2));
    distance.push(simulated("Lemma 2, sharp: n E V²", 5, Dash::Dashed, |s| s.lemma_2_sharp));
    distance.push(simulated("simulated, distance given H", 6, Dash::Solid, |s| s.coupling.mean()));
    distance.push(simulated("simulated", 0, Dash::Solid, |s| s.lower.mean()));
    let trivial = (1.0 - 1.0 / n as f64).sqrt();
    Figure {
        title: format!("What networks do and what was proved: {n} samples after many layers"),
        x_label: "$log_{10}$ of the width d".to_owned(),
        y_label: "gap, squared distance".to_owned(),
        log_y: true,
        panels: vec![
            Panel {
                title: "orthogonality gap, E V".to_owned(),
                series: gap,
                levels: vec![(trivial, 6)],
            },
            Panel {
                title: "squared Wasserstein-2 distance".to_owned(),
                series: distance,
                levels: vec![(2.0, 6)],
            },
        ],
        keys: vec![
            ("simulated".to_owned(), Dash::Solid),
            ("bound".to_owned(), Dash::Dashed),
            ("large-width law; in black the largest possible value".to_owned(), Dash::Dotted),
        ],
        ..Figure::default()
    }
}

fn table(rows: &[Row]) -> String {
    let mut text = "      width        gap        law    printed   W2^2 lower        law   given H\
                    \x20   Lemma 2   Cor. 3 printed\n"
        .to_owned();
    for Row { width, simulated, gap, distance } in rows {
        let Some(simulated) = simulated else { continue };
        let _ = writeln!(
            text,
            "{width:11}  {:9.3e}  {:9.3e}  {:9.3e}    {:9.3e}  {:9.3e}  {:8.2e}  {:9.3e}  {:15.3e}",
            simulated.gap.mean(),
            gap.law,
            gap.printed,
            simulated.lower.mean(),
            distance.law,
            simulated.coupling.mean(),
            simulated.lemma_2,
            distance.printed
        );
    }
    text
}

fn experiment(options: Options) -> command::Result<()> {
    let started = Instant::now();
    file::check([&options.csv, &options.svg])?;
    let rows = rows(&options)?;
    say!("{}", table(&rows));
    let (csv, svg) = (csv(options.batch_size, &rows), figure(options.batch_size, &rows).svg());
    artifact::publish([(&*options.csv, Some(csv.into())), (&*options.svg, svg.map(Into::into))])?;
    say!("in {:.1?}", started.elapsed());
    Ok(())
}

fn main() -> ExitCode {
    command::run(experiment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &str) -> command::Result<Options> {
        command::typed(arguments)
    }

    #[test]
    fn options_are_read_or_refused_in_one_line() {
        let given = options("--quick --csv a.csv --svg=b.svg --batch 8").unwrap();
        assert_eq!((given.csv, given.svg), ("a.csv".into(), "b.svg".into()));
        assert_eq!((given.batch_size, given.quick), (8, true));
        assert!(options("--help").is_err());
        for (arguments, message) in [
            ("--bogus", "unexpected argument '--bogus' found"),
            ("--csv", "a value is required for '--csv <PATH>' but none was supplied"),
            ("--batch 1", "invalid value '1' for '--batch <N>': expected a number from 2 to 64"),
            ("3", "unexpected argument '3' found"),
        ] {
            assert_eq!(options(arguments).err().unwrap().to_string(), message);
        }
    }

    /// Numbers in the order in which theory has them, and equal files from equal seeds.
    #[test]
    fn rows_are_ordered() {
        let options = options("--quick").unwrap();
        let rows = rows(&options).unwrap();
        assert_eq!(csv(4, &rows), csv(4, &super::rows(&options).unwrap()));
        for row in &rows {
            let Some(simulated) = &row.simulated else { continue };
            assert!(simulated.gap.mean() < row.gap.sharp && row.gap.sharp < row.gap.printed);
            let chain = [
                simulated.lower.mean(),
                simulated.coupling.mean(),
                simulated.lemma_2_sharp,
                simulated.lemma_2,
                row.distance.sharp,
                row.distance.printed,
            ];
            assert!(chain.is_sorted(), "{} {chain:?}", row.width);
        }
        assert!(figure(4, &rows).svg().unwrap().contains("as printed"));
    }
}
