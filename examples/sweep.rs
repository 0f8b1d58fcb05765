//! The stationary orthogonality gap over a grid of widths, batch sizes, activations and
//! normalisations, with a power law in the width for each of the others.
//!
//! Every finished cell has its file: killed at any moment, the sweep resumes to the same bytes, and
//! shares of it can be run on many machines. Prints the laws, writes CSV, JSON Lines and SVG. `--help`
//! lists the options.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use orthogap::activation::{Activation, Identity, Relu, ShiftedTanh, Sin, Tanh};
use orthogap::ensemble::{Ensemble, Observed, Summary};
use orthogap::normalization::{BatchNorm, Normalization, SampleNorm};
use orthogap::report::{Table, Value};
use orthogap::statistics::{Line, Weighting};
use orthogap::sweep::{Share, Sweep};
use orthogap::{Input, Network, Order, Seed};
use serde::Serialize;

mod artifact;
mod command;
mod figure;

use command::{Arguments, Result};
use figure::{Dash, Figure, Panel, Series};

const HELP: &str = "\
The stationary gap over a grid, cell by cell, resumable.

Usage: cargo run --release --features sweep --example sweep -- [OPTIONS]

  --width D,D,...        widths                  [32,64,128,256,512; quick: 16,32,64]
  --batch N,N,...        batch sizes                            [2,4,8; quick: 2,4]
  --activation A,A,...   linear, relu, tanh, sin, shifted_tanh          [linear,tanh]
  --normalization N,...  batch_norm (the paper's), centred (the frameworks' batch
                         norm), layer_norm, none                         [batch_norm]
  --depth L              layers; the gap is averaged over the last half  [200; quick: 40]
  --runs R               random networks of each cell                     [40; quick: 8]
  --seed S               equal seeds give equal files, whatever the threads          [1]
  --threads T            0 takes all cores                                           [0]
  --share I/N            only every N-th cell, from number I on, and no files but the
                         cells'; without it, shares that are done are read
  --folder PATH          the results of cells   [target/orthogap/sweep; quick: -quick]
  --csv PATH             every cell                      [target/orthogap/sweep.csv]
  --json PATH            the same as JSON Lines        [target/orthogap/sweep.jsonl]
  --svg PATH             the gap against the width       [target/orthogap/sweep.svg]
  --quick                a smaller grid, in a second
  --help                 this text
";

/// Defines the words of an option and what they stand for.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Serialize)]
        enum $name { $(#[serde(rename = $word)] $variant),* }

        impl $name {
            fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),* })
            }
        }
    };
}

words! {
    /// What acts on entries.
    Function {
        Linear = "linear", Relu = "relu", Tanh = "tanh", Sin = "sin", ShiftedTanh = "shifted_tanh"
    }
}

words! {
    /// What normalises.
    Normalizer { Batch = "batch_norm", Centred = "centred", Layer = "layer_norm", None = "none" }
}

struct Options {
    widths: Vec<usize>,
    batch_sizes: Vec<usize>,
    functions: Vec<Function>,
    norms: Vec<Normalizer>,
    configuration: Configuration,
    threads: usize,
    share: Option<Share>,
    folder: PathBuf,
    csv: PathBuf,
    json: PathBuf,
    svg: PathBuf,
}

/// What the results of all cells depend on.
#[derive(Clone, Copy, Serialize)]
struct Configuration {
    depth: usize,
    runs: u32,
    seed: u64,
}

/// One cell of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Cell {
    width: usize,
    batch_size: usize,
    activation: Function,
    normalization: Normalizer,
}

/// What the command line asks for; nothing if it asks for help.
fn parse(mut arguments: Arguments) -> Result<Option<Options>> {
    let (mut widths, mut batch_sizes, mut depth, mut runs) = (None, None, None, None);
    let (mut functions, mut norms) =
        (vec![Function::Linear, Function::Tanh], vec![Normalizer::Batch]);
    let (mut seed, mut threads, mut quick, mut share) = (1, 0, false, None);
    let mut folder = None;
    let mut csv = PathBuf::from("target/orthogap/sweep.csv");
    let mut json = PathBuf::from("target/orthogap/sweep.jsonl");
    let mut svg = PathBuf::from("target/orthogap/sweep.svg");
    while let Some(option) = arguments.option()? {
        match option.as_str() {
            "help" => return Ok(None),
            "quick" => quick = true,
            "width" => widths = Some(arguments.positives()?),
            "batch" => batch_sizes = Some(arguments.positives()?),
            "activation" => functions = words(&mut arguments, Function::parse)?,
            "normalization" => norms = words(&mut arguments, Normalizer::parse)?,
            "depth" => depth = Some(arguments.at_least(2)?),
            "runs" => runs = Some(arguments.at_least(2)?),
            "seed" => seed = arguments.value()?,
            "threads" => threads = arguments.value()?,
            "share" => share = Some(arguments.value()?),
            "folder" => folder = Some(arguments.value()?),
            "csv" => csv = arguments.value()?,
            "json" => json = arguments.value()?,
            "svg" => svg = arguments.value()?,
            _ => return Err(arguments.unknown()),
        }
    }
    let default = match quick {
        true => (vec![16, 32, 64], vec![2, 4], 40, 8, "target/orthogap/sweep-quick"),
        false => (vec![32, 64, 128, 256, 512], vec![2, 4, 8], 200, 40, "target/orthogap/sweep"),
    };
    let runs = u32::try_from(runs.unwrap_or(default.3)).map_err(|_| "--runs: too many")?;
    Ok(Some(Options {
        widths: widths.unwrap_or(default.0),
        batch_sizes: batch_sizes.unwrap_or(default.1),
        functions,
        norms,
        configuration: Configuration { depth: depth.unwrap_or(default.2), runs, seed },
        threads,
        share,
        folder: folder.unwrap_or_else(|| PathBuf::from(default.4)),
        csv,
        json,
        svg,
    }))
}

/// The value of an option, words with commas between them.
fn words<W>(arguments: &mut Arguments, parse: fn(&str) -> Option<W>) -> Result<Vec<W>> {
    let text: String = arguments.value()?;
    let unknown = |word| arguments.refuse(&text, format!("{word:?} is not known"));
    text.split(',').map(|word| parse(word).ok_or_else(|| unknown(word))).collect()
}

impl Options {
    /// The cells, cheap ones first within each kind of network.
    fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &normalization in &self.norms {
            for &activation in &self.functions {
                for &batch_size in &self.batch_sizes {
                    for &width in &self.widths {
                        cells.push(Cell { width, batch_size, activation, normalization });
                    }
                }
            }
        }
        cells
    }
}

/// The mean gap over the last half of the layers, over runs.
fn simulate(cell: &Cell, configuration: Configuration) -> orthogap::Result<Summary> {
    let network = Network::<f64>::new(cell.width).order(Order::ActivationLinearNorm).normalization(
        match cell.normalization {
            Normalizer::Batch => BatchNorm::paper().into(),
            Normalizer::Centred => BatchNorm::standard(1e-5)?.into(),
            Normalizer::Layer => SampleNorm::layer(1e-5)?.into(),
            Normalizer::None => Normalization::None,
        },
    );
    match cell.activation {
        Function::Linear => of_network(network.activation(Identity), cell, configuration),
        Function::Relu => of_network(network.activation(Relu), cell, configuration),
        Function::Tanh => of_network(network.activation(Tanh), cell, configuration),
        Function::Sin => of_network(network.activation(Sin), cell, configuration),
        Function::ShiftedTanh => of_network(network.activation(ShiftedTanh), cell, configuration),
    }
}

fn of_network<A: Activation>(
    network: Network<f64, A>,
    cell: &Cell,
    configuration: Configuration,
) -> orthogap::Result<Summary> {
    let Configuration { depth, runs, seed } = configuration;
    let input = Input::orthogonal(cell.batch_size)?;
    let experiment = Observed::new(&network, &input)
        .observe("orthogonality_gap", |layer| Ok(layer.orthogonality_gap()))
        .mean_over(depth / 2 + 1..=depth);
    // Cells are independent, so that errors of laws through them are right.
    let numbers =
        [cell.width, cell.batch_size, cell.activation as usize, cell.normalization as usize];
    let seed = numbers.iter().fold(Seed(seed), |seed, &number| seed.branch(number as u64));
    Ensemble::new(&experiment, seed).run(runs)
}

/// A line for each cell.
fn table(cells: &[Cell], summaries: &[Summary]) -> Table {
    let columns =
        ["normalization", "activation", "batch_size", "width", "layers", "runs", "stopped"];
    let results = ["mean_gap", "standard_error", "low", "high"];
    let mut table = Table::new(columns.into_iter().chain(results));
    for (cell, summary) in cells.iter().zip(summaries) {
        for &layers in summary.layers() {
            let found = summary.over(layers, "orthogonality_gap").map(|found| *found.moments());
            let moments = found.unwrap_or_default();
            let interval = moments.confidence_interval(0.95);
            table.push([
                Value::from(cell.normalization.to_string()),
                cell.activation.to_string().into(),
                cell.batch_size.into(),
                cell.width.into(),
                layers.to_string().into(),
                moments.count().into(),
                u64::from(summary.stopped()).into(),
                moments.mean().into(),
                moments.standard_error().into(),
                interval.map(|interval| interval.low).into(),
                interval.map(|interval| interval.high).into(),
            ]);
        }
    }
    table
}

/// The mean gap of a cell with its standard error.
fn mean_gap(summary: &Summary) -> Option<(f64, f64)> {
    let layers = *summary.layers().first()?;
    let moments = summary.over(layers, "orthogonality_gap")?.moments();
    (moments.count() > 1).then(|| (moments.mean(), moments.standard_error()))
}

/// Cells that differ in their width alone.
struct Family {
    /// One of them, but for its width.
    cell: Cell,
    /// Width, mean gap, its standard error.
    points: Vec<(f64, f64, f64)>,
}

fn families(cells: &[Cell], summaries: &[Summary]) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for (cell, summary) in cells.iter().zip(summaries) {
        let common = Cell { width: 0, ..*cell };
        if families.last().is_none_or(|last| last.cell != common) {
            families.push(Family { cell: common, points: Vec::new() });
        }
        if let (Some(family), Some((gap, error))) = (families.last_mut(), mean_gap(summary)) {
            family.points.push((cell.width as f64, gap, error));
        }
    }
    families
}

/// The power of the width that the gap follows, for each family of two widths or more.
fn laws(families: &[Family]) -> Table {
    let columns = ["normalization", "activation", "batch_size", "slope", "standard_error"];
    let mut table = Table::new(columns.into_iter().chain(["low", "high", "straightness"]));
    for Family { cell: family, points } in families {
        let logarithms: Vec<_> =
            points.iter().map(|(width, gap, error)| (width.ln(), gap.ln(), error / gap)).collect();
        if let Ok(line) = Line::with_errors(&logarithms, Weighting::InverseVariance) {
            let interval = line.slope_interval(0.95);
            table.push([
                Value::from(family.normalization.to_string()),
                family.activation.to_string().into(),
                family.batch_size.into(),
                line.slope().into(),
                line.slope_error().into(),
                interval.map(|interval| interval.low).into(),
                interval.map(|interval| interval.high).into(),
                line.straightness().into(),
            ]);
        }
    }
    table
}

/// The gap against the width, both logarithmic: a panel for each kind of network.
fn figure(families: &[Family], options: &Options) -> Figure {
    let mut panels: Vec<Panel> = Vec::new();
    for Family { cell: family, points } in families {
        let title = format!("{}, {}", family.activation, family.normalization);
        if panels.last().is_none_or(|panel| panel.title != title) {
            panels.push(Panel { title, ..Panel::default() });
        }
        let Some(panel) = panels.last_mut() else { continue };
        let colour = options.batch_sizes.iter().position(|&n| n == family.batch_size);
        panel.series.push(Series {
            label: format!("batch {}", family.batch_size),
            colour: colour.unwrap_or(0),
            points: points.iter().map(|(width, gap, _)| (*width, *gap)).collect(),
            band: points.iter().map(|(_, gap, e)| (gap - 1.96 * e, gap + 1.96 * e)).collect(),
            dash: Dash::Solid,
        });
    }
    Figure {
        title: format!("Stationary gap, {} networks a point", options.configuration.runs),
        x_label: "width".to_owned(),
        y_label: "mean orthogonality gap".to_owned(),
        log_x: true,
        log_y: true,
        panels,
        keys: vec![("mean".to_owned(), Dash::Solid)],
        band: "95 % interval of the mean",
    }
}

fn experiment(options: &Options) -> Result<()> {
    let cells = options.cells();
    let sweep = Sweep::open(&options.folder, &options.configuration)?;
    let bar = ProgressBar::new(cells.len() as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} cells, {msg}")?);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?;
    let run = sweep
        .over(&cells)
        .share(options.share.unwrap_or(Share::ALL))
        .cost(|cell| (cell.width * cell.batch_size * (cell.batch_size + 16)) as f64)
        .on_progress(|progress| {
            bar.set_length(progress.cells as u64);
            bar.set_position(progress.done as u64);
            let left = progress.remaining.map(|left| format!("{} left", HumanDuration(left)));
            bar.set_message(left.unwrap_or_default());
        });
    let summaries = run.run(|cell| {
        pool.install(|| simulate(cell, options.configuration))
            .map_err(|error| command::Error::from(format!("{cell:?}: {error}")))
    })?;
    bar.finish_and_clear();
    if options.share.is_some() {
        println!("{} cells of this share are in {}", summaries.len(), sweep.folder().display());
        return Ok(());
    }
    let families = families(&cells, &summaries);
    println!(
        "The gap as a power of the width, with the 95 % interval of the power, and how likely"
    );
    println!("points about a straight line scatter as much as these:\n\n{}", laws(&families));
    let table = table(&cells, &summaries);
    artifact::publish(&options.csv, table.csv())?;
    artifact::publish(&options.json, table.json_lines())?;
    if let Some(svg) = figure(&families, options).svg() {
        artifact::publish(&options.svg, &svg)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    command::run("sweep", HELP, parse, |options| experiment(&options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &str) -> Result<Options> {
        Ok(parse(Arguments::typed(arguments))?.expect("help was not asked for"))
    }

    #[test]
    fn wrong_options_get_one_clear_line() {
        for (arguments, message) in [
            ("--activation relu,cosine", "--activation \"relu,cosine\": \"cosine\" is not known"),
            ("--share 3/3", "--share \"3/3\": share = 3 is invalid: expected a share from 0 to"),
            ("--runs 1", "--runs \"1\": expected a whole number from 2 on"),
            ("--batch 0", "--batch \"0\": expected a whole number above 0"),
        ] {
            let error = options(arguments).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.starts_with(message)), "{error:?}");
        }
    }

    /// On one thread, on three, and in shares that are put together: equal files.
    #[test]
    fn files_depend_on_neither_threads_nor_shares() {
        let base = std::env::temp_dir().join(format!("orthogap-sweep-{}", std::process::id()));
        let run = |name: &str, more: &str| {
            let path = base.join(name);
            let paths = ["folder", "csv", "json", "svg"]
                .map(|kind| format!("--{kind} {}", path.join(kind).display()));
            let words = format!("--quick --runs 3 --width 8,16 {} {more}", paths.join(" "));
            experiment(&options(&words).unwrap()).unwrap();
            ["csv", "json", "svg"].map(|kind| std::fs::read_to_string(path.join(kind)).ok())
        };
        let whole = run("one", "--threads 1");
        assert_eq!(whole[0].as_ref().unwrap().lines().count(), 1 + 2 * 2 * 2);
        assert_eq!(run("three", "--threads 3"), whole);
        assert_eq!(run("shared", "--share 1/2"), [None, None, None]);
        run("shared", "--share 0/2");
        assert_eq!(run("shared", ""), whole);

        // What cannot be computed is named by its cell.
        let bad = format!("--batch 20 --width 8 --folder {}", base.join("bad").display());
        let error = experiment(&options(&bad).unwrap()).unwrap_err().to_string();
        assert!(
            error.contains("batch_size: 20") && error.contains("cannot be orthogonal"),
            "{error}"
        );
        std::fs::remove_dir_all(base).unwrap();
    }
}
