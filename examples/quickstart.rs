//! A batch of images passes through random networks: with batch normalisation its samples become
//! orthogonal, without it parallel.
//!
//! Prints the metrics of the batch at each layer, with the large-width prediction; writes every
//! layer of every run as CSV and the gap against depth as SVG. `--help` lists the options.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use orthogap::normalization::{BatchNorm, Normalization};
use orthogap::report::file;
use orthogap::statistics::{Moments, quantile};
use orthogap::theory::stationary;
use orthogap::{Error, Input, Layer, Network, Seed};

use orthogap_examples::command::{self, Result, positive, seed, threads};
use orthogap_examples::figure::{Dash, Figure, Panel, Series};
use orthogap_examples::images::{Images, Source};
use orthogap_examples::{artifact, memory, say};

/// Orthogonality of a batch of images in random networks, with and without batch normalisation
#[derive(Parser)]
struct Options {
    /// Widths of the networks [quick: 32,128]
    #[arg(
        long = "width",
        value_name = "D,D,...",
        value_delimiter = ',',
        value_parser = positive::<usize>,
        default_value = "32,128,512,2048",
        default_value_if("quick", "true", "32,128")
    )]
    widths: Vec<usize>,
    /// Images in the batch, at most the smallest width
    #[arg(long = "batch", value_name = "N", value_parser = positive::<usize>, default_value = "8")]
    batch_size: usize,
    /// Layers [quick: 30]
    #[arg(
        long,
        value_name = "L",
        value_parser = positive::<usize>,
        default_value = "100",
        default_value_if("quick", "true", "30")
    )]
    depth: usize,
    /// Random networks of each kind [quick: 10]
    #[arg(
        long,
        value_name = "R",
        value_parser = positive::<u32>,
        default_value = "40",
        default_value_if("quick", "true", "10")
    )]
    runs: u32,
    /// Seed; equal seeds give equal files on any number of threads
    #[arg(long, value_name = "S", value_parser = seed, default_value = "1")]
    seed: Seed,
    /// Threads; 0 uses all cores
    #[arg(long, value_name = "T", value_parser = threads, default_value = "0")]
    threads: usize,
    /// digits, or cifar10:DIR with the data set's binary version
    #[arg(long = "data", value_name = "SOURCE", default_value = "digits")]
    source: Source,
    /// Writes every layer of every run to this CSV file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/quickstart.csv")]
    csv: PathBuf,
    /// Writes the gap against depth to this SVG file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/quickstart.svg")]
    svg: PathBuf,
    /// A smaller experiment, in a second
    #[arg(long)]
    #[allow(dead_code, reason = "sets defaults of the others")]
    quick: bool,
}

/// The two kinds of network.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    BatchNorm,
    Vanilla,
}

impl Kind {
    const ALL: [Self; 2] = [Self::BatchNorm, Self::Vanilla];

    fn name(self) -> &'static str {
        match self {
            Self::BatchNorm => "batch_norm",
            Self::Vanilla => "vanilla",
        }
    }

    fn network(self, width: usize) -> Network<f64> {
        Network::new(width).with_normalization(match self {
            Self::BatchNorm => BatchNorm::paper().into(),
            Self::Vanilla => Normalization::None,
        })
    }

    /// The gap that the large-width theory predicts: the stationary one under batch normalisation,
    /// and that of the input without it, because infinitely wide linear layers keep every angle.
    fn predicted_gap(self, width: usize, input: &Input) -> f64 {
        match self {
            Self::BatchNorm => stationary::mean_gap(input.batch_size(), width),
            Self::Vanilla => input.gram().orthogonality_gap(),
        }
    }
}

/// What is recorded of a layer.
#[derive(Clone, Copy)]
struct Record {
    gap: f64,
    min_singular_value: f64,
    effective_rank: f64,
    w2_upper: f64,
}

impl Record {
    fn of(layer: &Layer) -> Self {
        let spectrum = layer.spectrum();
        Self {
            gap: layer.orthogonality_gap(),
            min_singular_value: spectrum.min_singular_value(),
            effective_rank: spectrum.effective_rank(),
            w2_upper: spectrum.coupling_bound(),
        }
    }
}

/// All runs of one kind of network at one width; a run starts with the input, layer 0.
struct Case {
    width: usize,
    kind: Kind,
    predicted_gap: f64,
    runs: Vec<Vec<Record>>,
}

impl Case {
    /// A quantity of a layer, over the runs that reached it.
    fn at(&self, layer: usize, quantity: fn(&Record) -> f64) -> Vec<f64> {
        self.runs.iter().filter_map(|run| run.get(layer)).map(quantity).collect()
    }
}

/// One run. If it ends early, returns its earlier records and the reason.
fn run(
    options: &Options,
    case: (usize, Kind),
    index: u32,
    input: &Input,
) -> (Vec<Record>, Option<Error>) {
    let (width, kind) = case;
    let chain = kind.network(width).chain(input, options.seed.replicate(index));
    let mut chain = match chain {
        Ok(chain) => chain,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut records = vec![Record::of(chain.layer())];
    for _ in 0..options.depth {
        match chain.step() {
            Ok(layer) => records.push(Record::of(layer)),
            Err(error) => return (records, Some(error)),
        }
    }
    (records, None)
}

/// Runs everything, in parallel; the result does not depend on the number of threads.
fn simulate(options: &Options, input: &Input) -> Result<Vec<Case>> {
    for &width in &options.widths {
        Network::<f64>::new(width).chain(input, options.seed)?;
    }
    let cases: Vec<(usize, Kind)> =
        Kind::ALL.iter().flat_map(|&kind| options.widths.iter().map(move |&d| (d, kind))).collect();
    let jobs: Vec<((usize, Kind), u32)> =
        cases.iter().flat_map(|&case| (0..options.runs).map(move |index| (case, index))).collect();
    let results = command::in_parallel(options.threads, &jobs, |&(case, index)| {
        run(options, case, index, input)
    })?;
    for ((_, (_, stopped)), ((width, kind), index)) in results.iter().enumerate().zip(&jobs) {
        if let Some(error) = stopped {
            command::complain(&format_args!(
                "width {width}, {}, run {index}: {error}",
                kind.name()
            ));
        }
    }
    let mut runs = results.into_iter().map(|(records, _)| records);
    Ok(cases
        .into_iter()
        .map(|(width, kind)| Case {
            width,
            kind,
            predicted_gap: kind.predicted_gap(width, input),
            runs: runs.by_ref().take(options.runs as usize).collect(),
        })
        .collect())
}

/// Means over runs of one case, layer by layer.
fn table(case: &Case, depth: usize) -> String {
    let mut text = format!(
        "{}, width {}: means over {} runs\n\
         layer      gap  min singular value  effective rank  W2^2 bound  predicted gap\n",
        case.kind.name(),
        case.width,
        case.runs.len()
    );
    let shown =
        |layer: &usize| depth <= 20 || *layer <= 10 || layer.is_multiple_of(10) || *layer == depth;
    for layer in (0..=depth).filter(shown) {
        let mean = |quantity| case.at(layer, quantity).into_iter().collect::<Moments>().mean();
        let _ = writeln!(
            text,
            "{layer:5}  {:7.4}  {:18.6}  {:14.3}  {:10.5}  {:13.4}",
            mean(|record| record.gap),
            mean(|record| record.min_singular_value),
            mean(|record| record.effective_rank),
            mean(|record| record.w2_upper),
            case.predicted_gap
        );
    }
    text
}

fn csv(cases: &[Case]) -> String {
    let mut text = "width,network,run,layer,orthogonality_gap,min_singular_value,effective_rank,\
                    w2_upper,predicted_gap\n"
        .to_owned();
    for case in cases {
        for (index, run) in case.runs.iter().enumerate() {
            for (layer, record) in run.iter().enumerate() {
                let Record { gap, min_singular_value, effective_rank, w2_upper } = record;
                let _ = writeln!(
                    text,
                    "{},{},{index},{layer},{gap:e},{min_singular_value:e},{effective_rank},\
                     {w2_upper:e},{:e}",
                    case.width,
                    case.kind.name(),
                    case.predicted_gap
                );
            }
        }
    }
    text
}

/// The gap against depth: mean, central 95 % of runs, prediction; a panel for each kind.
fn figure(cases: &[Case], options: &Options, images: &str) -> Figure {
    let panel = |kind: Kind, title: &str| {
        let of_kind = || cases.iter().filter(|case| case.kind == kind).enumerate();
        let series = |(colour, case): (usize, &Case)| {
            let (mut points, mut band) = (Vec::new(), Vec::new());
            for layer in 0..=options.depth {
                let mut gaps = case.at(layer, |record| record.gap);
                gaps.sort_by(f64::total_cmp);
                if let (Some(low), Some(high)) = (quantile(&gaps, 0.025), quantile(&gaps, 0.975)) {
                    points.push((layer as f64, gaps.into_iter().collect::<Moments>().mean()));
                    band.push((low, high));
                }
            }
            let label = format!("width {}", case.width);
            Series { label, colour, points, band, dash: Dash::Solid }
        };
        Panel {
            title: title.to_owned(),
            series: of_kind().map(series).collect(),
            levels: of_kind().map(|(colour, case)| (case.predicted_gap, colour)).collect(),
        }
    };
    Figure {
        title: format!("{} {images} through {} random networks", options.batch_size, options.runs),
        x_label: "layer".to_owned(),
        y_label: "orthogonality gap".to_owned(),
        log_y: true,
        panels: vec![
            panel(Kind::BatchNorm, "with batch normalisation"),
            panel(Kind::Vanilla, "without (vanilla)"),
        ],
        keys: vec![
            ("mean".to_owned(), Dash::Solid),
            ("large-width prediction".to_owned(), Dash::Dotted),
        ],
        band: "95 % of runs",
        ..Figure::default()
    }
}

fn experiment(options: &Options) -> Result<()> {
    let started = Instant::now();
    file::check([&options.csv, &options.svg])?;
    command::check_batch(options.batch_size, &options.widths)?;
    let networks = [Kind::ALL.len() * options.widths.len(), options.runs as usize];
    let records = [networks[0], networks[1], options.depth + 1];
    memory::check("the records of all layers", &records, size_of::<Record>())?;
    let images = Images::load(&options.source)?;
    let batch = images.batch(options.batch_size, options.seed)?;
    let input = Input::from_columns(&batch).map_err(|error| format!("this batch: {error}"))?;
    let cases = simulate(options, &input)?;

    for kind in Kind::ALL {
        if let Some(case) = cases.iter().rev().find(|case| case.kind == kind) {
            say!("{}", table(case, options.depth));
        }
    }
    say!(
        "Gap: 0 if the {} samples are orthogonal, {:.4} if they are parallel.\n\
         W2^2 bound: to a Gaussian, given H; at large width and depth {:.5} under batch_norm.\n",
        options.batch_size,
        (1.0 - 1.0 / options.batch_size as f64).sqrt(),
        stationary::mean_coupling_bound(
            options.batch_size,
            options.widths[options.widths.len() - 1]
        )
    );
    let (csv, svg) = (csv(&cases), figure(&cases, options, images.name).svg());
    artifact::publish([(&*options.csv, Some(csv.into())), (&*options.svg, svg.map(Into::into))])?;
    say!(
        "{} layers in {:.1?}",
        cases.len() * options.runs as usize * options.depth,
        started.elapsed()
    );
    Ok(())
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
    fn given_options_override_quick_ones() {
        let options = options("--depth 7 --quick --width=16,64 --data cifar10:x --seed 9").unwrap();
        assert_eq!((options.widths, options.depth, options.runs), (vec![16, 64], 7, 10));
        assert_eq!((options.source, options.seed), (Source::Cifar10("x".into()), Seed(9)));
    }

    #[test]
    fn wrong_options_get_one_clear_line() {
        for (arguments, message) in [
            ("--bogus", "unexpected argument '--bogus' found"),
            ("--width", "a value is required for '--width <D,D,...>' but none was supplied"),
            (
                "--width 32,x",
                "invalid value 'x' for '--width <D,D,...>': expected a whole number from 1 to 1099511627776",
            ),
            (
                "--runs 0",
                "invalid value '0' for '--runs <R>': expected a whole number from 1 to 4294967295",
            ),
            ("--seed -1", "unexpected argument '-1' found"),
            (
                "--data mnist",
                "invalid value 'mnist' for '--data <SOURCE>': expected digits or cifar10:DIR",
            ),
            ("--quick=yes", "unexpected value 'yes' for '--quick' found; no more were expected"),
            ("32", "unexpected argument '32' found"),
        ] {
            let error = options(arguments).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), Some(message));
        }
    }

    #[test]
    fn bad_batches_get_one_clear_line() {
        for (arguments, message) in [
            ("--batch 16 --width 8", "a batch of 16 samples cannot be orthogonal in width 8"),
            (
                "--batch 100 --width 128",
                "this batch: the 100 columns (samples) are linearly dependent",
            ),
            ("--batch 2000 --width 4096", "a batch of 2000 from 1797 handwritten digits"),
            ("--data cifar10:nowhere", "nowhere"),
        ] {
            let error = experiment(&options(arguments).unwrap()).unwrap_err().to_string();
            assert!(error.contains(message) && !error.contains('\n'), "{error}");
        }
    }

    /// The whole job, small, on one thread and on three: equal files.
    #[test]
    fn files_do_not_depend_on_threads() {
        let folder =
            std::env::temp_dir().join(format!("orthogap-quickstart-{}", std::process::id()));
        let files = [1, 3].map(|threads| {
            let [csv, svg] = ["csv", "svg"].map(|kind| folder.join(format!("{threads}.{kind}")));
            let arguments =
                format!("--width 16,32 --batch 4 --depth 5 --runs 3 --threads {threads}");
            experiment(&Options {
                csv: csv.clone(),
                svg: svg.clone(),
                ..options(&arguments).unwrap()
            })
            .unwrap();
            [csv, svg].map(|path| std::fs::read_to_string(path).unwrap())
        });
        std::fs::remove_dir_all(folder).unwrap();
        assert_eq!(files[0], files[1]);
        let [csv, svg] = &files[0];
        assert_eq!(csv.lines().count(), 1 + 2 * 2 * 3 * 6);
        assert!(csv.starts_with("width,network,run,layer,orthogonality_gap,min_singular_value,effective_rank,w2_upper,predicted_gap\n16,batch_norm,0,0,"));
        assert!(svg.starts_with("<svg ") && svg.contains("width 32"));
    }
}
