//! The stationary orthogonality gap over a grid of widths, batch sizes, activations and
//! normalisations, with a power law in the width for each of the others.
//!
//! Every finished cell has a file, so the sweep can be killed at any moment and resumes to the same
//! bytes. Shares of it can be run on many machines. Prints the laws, writes CSV, JSON Lines and
//! SVG. `--help` lists the options.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, ValueEnum};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use orthogap::experiment::sweep::{Share, Sweep};
use orthogap::experiment::{ChainExperiment, Ensemble, Summary};
use orthogap::normalization::{BatchNorm, Normalization, SampleNorm};
use orthogap::report::{Table, Value, file};
use orthogap::statistics::{Line, Weighting};
use orthogap::{Activation, Input, Network, Order, Seed};
use serde::Serialize;

use orthogap_examples::command::{self, Result, at_least, positive, threads};
use orthogap_examples::figure::{Dash, Figure, Panel, Series};
use orthogap_examples::{artifact, memory, say};

/// The normalisation of a network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
enum Normalizer {
    /// The paper's batch norm
    BatchNorm,
    /// The frameworks' batch norm
    Centred,
    LayerNorm,
    None,
}

/// The word that stands for a value on the command line.
fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().expect("no value is skipped").get_name().to_owned()
}

/// The configuration on which the results of all cells depend.
#[derive(Args, Clone, Copy, Serialize)]
struct Configuration {
    /// Layers; the gap is averaged over the last half [quick: 40]
    #[arg(
        long,
        value_name = "L",
        value_parser = at_least::<2, usize>,
        default_value = "200",
        default_value_if("quick", "true", "40")
    )]
    depth: usize,
    /// Random networks of each cell [quick: 8]
    #[arg(
        long,
        value_name = "R",
        value_parser = at_least::<2, u32>,
        default_value = "40",
        default_value_if("quick", "true", "8")
    )]
    runs: u32,
    /// Seed; equal seeds give equal files on any number of threads
    #[arg(long, value_name = "S", default_value = "1")]
    seed: u64,
}

/// One cell of the grid.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Cell {
    width: usize,
    batch_size: usize,
    activation: Activation,
    normalization: Normalizer,
}

/// The stationary gap over a grid, cell by cell, resumable
#[derive(Parser)]
struct Options {
    /// Widths [quick: 16,32,64]
    #[arg(
        long = "width",
        value_name = "D,D,...",
        value_delimiter = ',',
        value_parser = positive::<usize>,
        default_value = "32,64,128,256,512",
        default_value_if("quick", "true", "16,32,64")
    )]
    widths: Vec<usize>,
    /// Batch sizes [quick: 2,4]
    #[arg(
        long = "batch",
        value_name = "N,N,...",
        value_delimiter = ',',
        value_parser = positive::<usize>,
        default_value = "2,4,8",
        default_value_if("quick", "true", "2,4")
    )]
    batch_sizes: Vec<usize>,
    /// Activations
    #[arg(
        long = "activation",
        value_name = "A,A,...",
        value_delimiter = ',',
        default_value = "linear,tanh"
    )]
    functions: Vec<Activation>,
    /// Normalisations
    #[arg(
        long = "normalization",
        value_name = "N,N,...",
        value_delimiter = ',',
        default_value = "batch_norm"
    )]
    norms: Vec<Normalizer>,
    #[command(flatten)]
    configuration: Configuration,
    /// Threads; 0 uses all cores
    #[arg(long, value_name = "T", value_parser = threads, default_value = "0")]
    threads: usize,
    /// Only every K-th cell, from number I on, and no files except the cells'; without it, shares that
    /// are done are read
    #[arg(long, value_name = "I/K")]
    share: Option<Share>,
    /// The results of cells
    #[arg(
        long,
        value_name = "DIR",
        default_value = "target/orthogap/sweep",
        default_value_if("quick", "true", "target/orthogap/sweep-quick")
    )]
    folder: PathBuf,
    /// Writes a line for each cell to this CSV file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/sweep.csv")]
    csv: PathBuf,
    /// The same as JSON Lines
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/sweep.jsonl")]
    json: PathBuf,
    /// Writes the gap against the width to this SVG file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/sweep.svg")]
    svg: PathBuf,
    /// A smaller grid, in a second
    #[arg(long)]
    #[allow(dead_code, reason = "sets defaults of the others")]
    quick: bool,
}

impl Options {
    /// The cells, cheap ones first within each kind of network.
    fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &normalization in &self.norms {
            for activation in &self.functions {
                for &batch_size in &self.batch_sizes {
                    for &width in &self.widths {
                        let activation = activation.clone();
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
    let normalization = match cell.normalization {
        Normalizer::BatchNorm => BatchNorm::paper().into(),
        Normalizer::Centred => BatchNorm::standard(1e-5)?.into(),
        Normalizer::LayerNorm => SampleNorm::layer(1e-5)?.into(),
        Normalizer::None => Normalization::None,
    };
    let network = Network::<f64>::new(cell.width)
        .with_order(Order::ActivationLinearNorm)
        .with_normalization(normalization)
        .with_activation(cell.activation.clone());
    let Configuration { depth, runs, seed } = configuration;
    let input = Input::orthogonal(cell.batch_size)?;
    let experiment = ChainExperiment::new(&network, &input)
        .observe("orthogonality_gap", |layer| Ok(layer.orthogonality_gap()))
        .mean_over(depth / 2 + 1..=depth);
    // Cells are independent, so that errors of laws through them are right.
    let sizes = [cell.width, cell.batch_size, cell.normalization as usize].map(|size| size as u64);
    let name = cell.activation.to_string();
    let seed = sizes.into_iter().chain(name.bytes().map(u64::from)).fold(Seed(seed), Seed::branch);
    Ensemble::new(&experiment, seed).run(runs)
}

/// A line for each cell.
fn table(cells: &[Cell], summaries: &[Summary]) -> Result<Table> {
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
                Value::from(word(cell.normalization)),
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
            ])?;
        }
    }
    Ok(table)
}

/// The mean gap of a cell with its standard error.
fn mean_gap(summary: &Summary) -> Option<(f64, f64)> {
    let layers = *summary.layers().first()?;
    let moments = summary.over(layers, "orthogonality_gap")?.moments();
    (moments.count() > 1).then(|| (moments.mean(), moments.standard_error()))
}

/// Cells that differ only in their width.
struct Family {
    /// One of them, without its width.
    cell: Cell,
    /// Width, mean gap, its standard error.
    points: Vec<(f64, f64, f64)>,
}

fn families(cells: &[Cell], summaries: &[Summary]) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for (cell, summary) in cells.iter().zip(summaries) {
        let common = Cell { width: 0, ..cell.clone() };
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
fn laws(families: &[Family]) -> Result<Table> {
    let columns = ["normalization", "activation", "batch_size", "slope", "standard_error"];
    let mut table = Table::new(columns.into_iter().chain(["low", "high", "straightness"]));
    for Family { cell: family, points } in families {
        let logarithms: Vec<_> =
            points.iter().map(|(width, gap, error)| (width.ln(), gap.ln(), error / gap)).collect();
        if let Ok(line) = Line::with_errors(&logarithms, Weighting::InverseVariance) {
            let interval = line.slope_interval(0.95);
            table.push([
                Value::from(word(family.normalization)),
                family.activation.to_string().into(),
                family.batch_size.into(),
                line.slope().into(),
                line.slope_error().into(),
                interval.map(|interval| interval.low).into(),
                interval.map(|interval| interval.high).into(),
                line.straightness().into(),
            ])?;
        }
    }
    Ok(table)
}

/// The gap against the width, both logarithmic: a panel for each kind of network.
fn figure(families: &[Family], options: &Options) -> Figure {
    let mut panels: Vec<Panel> = Vec::new();
    for Family { cell: family, points } in families {
        let title = format!("{}, {}", family.activation, word(family.normalization));
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
    file::check([&options.csv, &options.json, &options.svg])?;
    for cell in &cells {
        // Layer norm needs the representations, the others their Gram matrix.
        let rows = match cell.normalization {
            Normalizer::LayerNorm => cell.width,
            _ => cell.batch_size,
        };
        let axes = [2, rows, cell.batch_size];
        memory::check("the state of a chain", &axes, size_of::<f64>())?;
    }
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
        say!("{} cells of this share are in {}", summaries.len(), sweep.folder().display());
        return Ok(());
    }
    let families = families(&cells, &summaries);
    say!("The gap as a power of the width, with the 95 % interval of the power, and how likely");
    say!("points about a straight line scatter as much as these:\n\n{}", laws(&families)?);
    let table = table(&cells, &summaries)?;
    let (json, svg) = (table.json_lines()?, figure(&families, options).svg());
    artifact::publish([
        (&*options.csv, Some(table.csv().into())),
        (&*options.json, Some(json.into())),
        (&*options.svg, svg.map(Into::into)),
    ])
}

fn main() -> ExitCode {
    command::run(|options: Options| experiment(&options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &str) -> Result<Options> {
        command::typed(arguments)
    }

    #[test]
    fn wrong_options_get_one_clear_line() {
        for (arguments, message) in [
            (
                "--activation relu,cosine",
                "invalid value 'cosine' for '--activation <A,A,...>': unknown activation \"cosine\": expected linear, relu, leaky_relu(0.01), tanh",
            ),
            (
                "--share 3/3",
                "invalid value '3/3' for '--share <I/K>': share = 3 is invalid: expected a share from 0 to",
            ),
            (
                "--runs 1",
                "invalid value '1' for '--runs <R>': expected a whole number from 2 to 4294967295",
            ),
            (
                "--batch 0",
                "invalid value '0' for '--batch <N,N,...>': expected a whole number from 1 to 1099511627776",
            ),
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
        let bad =
            format!("--batch 1 --normalization centred --folder {}", base.join("bad").display());
        let error = experiment(&options(&bad).unwrap()).unwrap_err().to_string();
        assert!(error.contains("batch_size: 1,") && error.contains("is too small"), "{error}");
        std::fs::remove_dir_all(base).unwrap();
    }
}
