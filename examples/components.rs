//! The effect of each component of modern networks on the representations of a batch of digits.
//!
//! One table and one figure, a row and a curve for each component: orthogonality gap and effective
//! rank against depth. `--help` lists the options; the components are in `recipes`.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use orthogap::report::file;
use orthogap::statistics::Moments;
use orthogap::theory::stationary;
use orthogap::{Input, Layer, Network, Seed};

use orthogap_examples::command::{self, Result, positive, seed, threads};
use orthogap_examples::figure::{Dash, Figure, Panel, Series, Stack};
use orthogap_examples::images::{Images, Source};
use orthogap_examples::recipes::{Component, Family, GROUPS, components};
use orthogap_examples::{artifact, memory, say};

const NOTES: &str = "\
Layers are H' = N(W F(H)) unless their name says otherwise, measured after the normalisation N.
A convolution is 3 x 3 with D/8 channels, which the CSV has for its width; its batch norm is over
batch and space, and H are flattened images.

The last field of the CSV, event, is an irreversible event at a layer. A run that cannot go on has
a last row with the reason there, the layer that is missing, and no numbers.";

/// What the components of modern networks do to the representations of a batch of images
#[derive(Parser)]
#[command(after_help = NOTES)]
struct Options {
    /// Widths of the networks, multiples of 8; the last is drawn
    #[arg(
        long = "width",
        value_name = "D,D,...",
        value_delimiter = ',',
        value_parser = grouped,
        default_value = "256"
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
    /// Random networks of each kind [quick: 4]
    #[arg(
        long,
        value_name = "R",
        value_parser = positive::<u32>,
        default_value = "20",
        default_value_if("quick", "true", "4")
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
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/components.csv")]
    csv: PathBuf,
    /// Writes means against depth to this SVG file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/components.svg")]
    svg: PathBuf,
    /// A smaller experiment, in a few seconds
    #[arg(long)]
    #[allow(dead_code, reason = "sets defaults of the others")]
    quick: bool,
}

/// Reads a width that channels and groups divide.
fn grouped(text: &str) -> Result<usize> {
    let width: usize = positive(text)?;
    let divides = width.is_multiple_of(GROUPS);
    divides.then_some(width).ok_or_else(|| format!("expected a multiple of {GROUPS}").into())
}

/// What is recorded of a layer.
#[derive(Clone)]
struct Record {
    gap: f64,
    effective_rank: f64,
    min_singular_value: f64,
    log_scale: f64,
    event: String,
}

impl Record {
    fn of(layer: &Layer) -> Self {
        let spectrum = layer.spectrum();
        let events: Vec<_> = layer.events().iter().map(ToString::to_string).collect();
        Self {
            gap: layer.orthogonality_gap(),
            effective_rank: spectrum.effective_rank(),
            min_singular_value: spectrum.min_singular_value(),
            log_scale: layer.log_scale(),
            event: events.join("; "),
        }
    }
}

/// One run: its layers, the input first, and the error that ended it.
struct Descent {
    records: Vec<Record>,
    ended: Option<orthogap::Error>,
}

impl Descent {
    fn of(component: &Component, options: &Options, input: &Input, index: u32) -> Self {
        let mut records = Vec::new();
        let run = options.seed.replicate(index);
        let mut show = |layer: &Layer| records.push(Record::of(layer));
        let mut descend = || {
            let mut chain = component.network.chain(input, run)?;
            show(chain.layer());
            (0..options.depth).try_for_each(|_| chain.step().map(&mut show))
        };
        let ended = descend().err();
        Self { records, ended }
    }

    /// The first irreversible event: its layer and its text.
    fn event(&self) -> Option<(usize, String)> {
        let seen = self.records.iter().position(|record| !record.event.is_empty());
        let seen = seen.map(|layer| (layer, self.records[layer].event.clone()));
        let end = || Some((self.records.len(), self.ended.as_ref()?.to_string()));
        seen.or_else(end)
    }
}

/// All runs of one component at one width.
struct Case {
    component: Component,
    width: usize,
    runs: Vec<Descent>,
}

impl Case {
    /// The mean of a quantity of a layer over the runs that reached it.
    fn at(&self, layer: usize, quantity: fn(&Record) -> f64) -> Moments {
        self.runs.iter().filter_map(|run| run.records.get(layer)).map(quantity).collect()
    }

    /// The stationary mean of the gap, if the library has its law.
    fn predicted_gap(&self, batch_size: usize) -> Option<f64> {
        self.component.linear_chain.then(|| stationary::mean_gap(batch_size, self.width))
    }
}

/// Runs everything, in parallel; the result does not depend on the number of threads.
fn simulate(options: &Options, input: &Input, shape: (usize, usize, usize)) -> Result<Vec<Case>> {
    let images = orthogap::convolution::Images::new(shape.0, shape.1, shape.2)?;
    let mut kinds = Vec::new();
    for &width in &options.widths {
        Network::<f64>::new(width).chain(input, options.seed)?;
        let components = components(width, options.depth, images)?;
        kinds.extend(components.into_iter().map(|component| (component, width)));
    }
    let jobs: Vec<_> =
        kinds.iter().flat_map(|kind| (0..options.runs).map(move |index| (kind, index))).collect();
    let descents = command::in_parallel(options.threads, &jobs, |&((component, _), index)| {
        Descent::of(component, options, input, index)
    })?;
    let mut descents = descents.into_iter();
    let runs = |_: &(Component, usize)| descents.by_ref().take(options.runs as usize).collect();
    let runs: Vec<_> = kinds.iter().map(runs).collect();
    let cases = kinds.into_iter().zip(runs);
    Ok(cases.map(|((component, width), runs)| Case { component, width, runs }).collect())
}

/// One family at one width: means over runs.
fn table(cases: &[&Case], family: Family, options: &Options) -> String {
    let (depth, early) = (options.depth, options.depth.div_ceil(10));
    let [at_early, at_depth] = [early, depth].map(|layer| format!("gap at {layer}"));
    let mut text = format!(
        "{}: {}\n{:20}  {at_early:>10}  {at_depth:>18}  theory  rank  sing. value  growth  events\n",
        family.title(),
        family.recipe(),
        ""
    );
    for case in cases {
        let mean = |layer, quantity| case.at(layer, quantity).mean();
        let gap = case.at(depth, |record| record.gap);
        let scale = |layer| mean(layer, |record| record.log_scale);
        let theory = case.predicted_gap(options.batch_size);
        let line = format!(
            "{:20}  {:10.4}  {:8.4} ± {:7.4}  {:>6}  {:4.2}  {:11.1e}  {:6.3}  {}",
            case.component.name,
            mean(early, |record| record.gap),
            gap.mean(),
            gap.standard_error(),
            theory.map_or(String::new(), |gap| format!("{gap:.4}")),
            mean(depth, |record| record.effective_rank),
            mean(depth, |record| record.min_singular_value),
            // The scale before the first layer is that of the images.
            (scale(depth) - scale(1)) / (depth - 1).max(1) as f64,
            happened(&case.runs)
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// The number of runs with an irreversible event, the first of them, and the number of runs that
/// ended.
fn happened(runs: &[Descent]) -> String {
    let events: Vec<_> = runs.iter().filter_map(Descent::event).collect();
    let Some((_, first)) = events.iter().min_by_key(|event| event.0) else {
        return String::new();
    };
    let ended = match runs.iter().filter(|run| run.ended.is_some()).count() {
        0 => String::new(),
        ended => format!("; {ended} ended early"),
    };
    format!("{} of {} runs, first {first}{ended}", events.len(), runs.len())
}

fn csv(cases: &[Case], batch_size: usize) -> String {
    let mut text = "component,width,batch,run,layer,orthogonality_gap,effective_rank,\
                    min_singular_value,log_scale,event\n"
        .to_owned();
    for Case { component, runs, .. } in cases {
        let (name, width) = (component.name, component.network.width());
        for (index, run) in runs.iter().enumerate() {
            let case = format!("{name},{width},{batch_size},{index}");
            for (layer, record) in run.records.iter().enumerate() {
                let Record { gap, effective_rank, min_singular_value, log_scale, event } = record;
                let event = field(event);
                let _ = writeln!(
                    text,
                    "{case},{layer},{gap:e},{effective_rank},{min_singular_value:e},{log_scale},\
                     {event}"
                );
            }
            if let Some(error) = &run.ended {
                let layer = run.records.len();
                let _ = writeln!(text, "{case},{layer},,,,,{}", field(&error.to_string()));
            }
        }
    }
    text
}

/// Words as one field of a CSV, in quotation marks if they need them (RFC 4180).
fn field(words: &str) -> String {
    if words.contains([',', '"', '\n']) {
        format!("\"{}\"", words.replace('"', "\"\""))
    } else {
        words.to_owned()
    }
}

/// Means over runs against depth: the gap above, the effective rank below, a column for each family.
fn figure(cases: &[&Case], options: &Options, images: &str) -> Stack {
    let panel = |family: Family, quantity: fn(&Record) -> f64| {
        let of_family = || cases.iter().filter(move |case| case.component.family == family);
        let series = |(colour, case): (usize, &&Case)| {
            let mean = |layer| (layer as f64, case.at(layer, quantity).mean());
            let points = (0..=options.depth).map(mean).collect();
            let label = case.component.name.replace('_', " ");
            Series { label, colour, points, ..Series::default() }
        };
        let drawn = of_family().filter(|case| case.component.drawn);
        Panel { series: drawn.enumerate().map(series).collect(), ..Panel::default() }
    };
    let row = |y_label: &str, quantity| Figure {
        x_label: "layer".to_owned(),
        y_label: y_label.to_owned(),
        panels: Family::ALL.map(|family| panel(family, quantity)).to_vec(),
        ..Figure::default()
    };
    let mut gap = row("orthogonality gap", |record| record.gap);
    gap.title = format!(
        "{} {images} through random networks of width {}: means of {} runs",
        options.batch_size,
        options.widths[options.widths.len() - 1],
        options.runs
    );
    gap.log_y = true;
    gap.keys = vec![("large-width prediction, linear and Gaussian".to_owned(), Dash::Dotted)];
    for (panel, family) in gap.panels.iter_mut().zip(Family::ALL) {
        panel.title = family.title().to_owned();
        let of_family = cases.iter().filter(|case| case.component.family == family);
        let levels = of_family.filter_map(|case| case.predicted_gap(options.batch_size));
        panel.levels = levels.map(|level| (level, 0)).collect();
    }
    Stack { rows: vec![gap, row("effective rank", |record| record.effective_rank)] }
}

fn experiment(options: &Options) -> Result<()> {
    let started = Instant::now();
    file::check([&options.csv, &options.svg])?;
    command::check_batch(options.batch_size, &options.widths)?;
    for &width in &options.widths {
        memory::check("the weights of an orthogonal layer", &[width, width], size_of::<f64>())?;
    }
    let images = Images::load(&options.source)?;
    let (channels, height, width) = images.shape();
    let shape = orthogap::convolution::Images::new(channels, height, width)?;
    let kinds = components(1, options.depth, shape)?.len() * options.widths.len();
    let records = [kinds, options.runs as usize, options.depth + 1];
    memory::check("the records of all layers", &records, size_of::<Record>())?;
    let batch = images.batch(options.batch_size, options.seed)?;
    let input = Input::from_columns(&batch).map_err(|error| format!("this batch: {error}"))?;
    let cases = simulate(options, &input, images.shape())?;

    for &width in &options.widths {
        say!(
            "width {width}, {} {}, means over {} runs\n",
            options.batch_size,
            images.name,
            options.runs
        );
        for family in Family::ALL {
            let of_family = |case: &&Case| case.width == width && case.component.family == family;
            let cases: Vec<_> = cases.iter().filter(of_family).collect();
            say!("{}", table(&cases, family, options));
        }
    }
    say!(
        "Gap: 0 if the samples are orthogonal, {:.4} if they are parallel; theory: its stationary \
         mean at large width.\nRank: effective, of {}. Sing. value: the smallest of H/|H|, zero \
         to rounding where batch_norm centres. Growth: of the log scale, a layer. NaN: \
         no run got there.\n",
        (1.0 - 1.0 / options.batch_size as f64).sqrt(),
        options.batch_size
    );
    let widest = options.widths[options.widths.len() - 1];
    let drawn: Vec<_> = cases.iter().filter(|case| case.width == widest).collect();
    let (csv, svg) = (csv(&cases, options.batch_size), figure(&drawn, options, images.name).svg());
    artifact::publish([(&*options.csv, Some(csv.into())), (&*options.svg, svg.map(Into::into))])?;
    say!("{} runs in {:.1?}", cases.len() * options.runs as usize, started.elapsed());
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
        assert_eq!((options.widths, options.depth, options.runs), (vec![16, 64], 7, 4));
        assert_eq!((options.source, options.seed), (Source::Cifar10("x".into()), Seed(9)));
    }

    #[test]
    fn wrong_options_and_batches_get_one_clear_line() {
        for (arguments, message) in [
            ("--bogus", "unexpected argument '--bogus' found"),
            (
                "--width 32,x",
                "invalid value 'x' for '--width <D,D,...>': expected a whole number from 1 to 1099511627776",
            ),
            (
                "--width 32,20",
                "invalid value '20' for '--width <D,D,...>': expected a multiple of 8",
            ),
            (
                "--runs 0",
                "invalid value '0' for '--runs <R>': expected a whole number from 1 to 4294967295",
            ),
            (
                "--data mnist",
                "invalid value 'mnist' for '--data <SOURCE>': expected digits or cifar10:DIR",
            ),
            ("--batch 16 --width 8", "a batch of 16 samples cannot be orthogonal in width 8"),
            (
                "--batch 100 --width 128",
                "this batch: the 100 columns (samples) are linearly dependent",
            ),
            ("--data cifar10:nowhere", "nowhere"),
        ] {
            let outcome = options(arguments).and_then(|options: Options| experiment(&options));
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains(message) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn events_and_ends_are_single_fields() {
        let record = Record {
            gap: 0.5,
            effective_rank: 2.0,
            min_singular_value: 0.25,
            log_scale: -1.0,
            event: "layer 0: samples [0, 2] died; layer 0: rank fell to 2".to_owned(),
        };
        let images = orthogap::convolution::Images::new(1, 8, 8).unwrap();
        let component = components(16, 5, images).unwrap().remove(1);
        let ended = Some(orthogap::Error::AllSamplesZero { layer: 1, batch_size: 4 });
        let runs = vec![Descent { records: vec![record], ended }];
        let case = Case { component, width: 16, runs };
        let told = happened(&case.runs);
        assert!(told.starts_with("1 of 1 runs, first layer 0: samples [0, 2] died"), "{told}");
        assert!(told.ends_with("; 1 ended early"), "{told}");
        let csv = csv(&[case], 4);
        let mut lines = csv.lines().skip(1);
        let event = "\"layer 0: samples [0, 2] died; layer 0: rank fell to 2\"";
        assert_eq!(lines.next().unwrap(), format!("relu,16,4,0,0,5e-1,2,2.5e-1,-1,{event}"));
        assert_eq!(lines.next(), Some("relu,16,4,0,1,,,,,all 4 samples are zero at layer 1"));
        assert_eq!(field("a \"b\""), "\"a \"\"b\"\"\"");
    }

    /// A family has as many colours as the palette.
    #[test]
    fn names_differ_and_colours_suffice() {
        let images = orthogap::convolution::Images::new(1, 8, 8).unwrap();
        let components = components(16, 5, images).unwrap();
        for (index, component) in components.iter().enumerate() {
            assert!(components[..index].iter().all(|other| other.name != component.name));
        }
        for family in Family::ALL {
            let of_family = components.iter().filter(|component| component.family == family);
            assert!((1..=7).contains(&of_family.filter(|component| component.drawn).count()));
        }
    }

    /// The whole job, small, on one thread and on three: equal files.
    #[test]
    fn files_do_not_depend_on_threads() {
        let folder =
            std::env::temp_dir().join(format!("orthogap-components-{}", std::process::id()));
        let files = [1, 3].map(|threads| {
            let [csv, svg] = ["csv", "svg"].map(|kind| folder.join(format!("{threads}.{kind}")));
            let arguments =
                format!("--width 16,32 --batch 4 --depth 3 --runs 2 --threads {threads}");
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
        assert!(csv.starts_with("component,width,batch,run,layer,orthogonality_gap,effective_rank,min_singular_value,log_scale,event\nlinear,16,4,0,0,"));
        // Every run gets to the end, or says why not: 31 components, 2 widths, 2 runs, 4 layers.
        assert_eq!(csv.lines().count(), 1 + 31 * 2 * 2 * 4);
        assert!(csv.lines().skip(1).all(|line| line.splitn(10, ',').count() == 10));
        assert!(
            svg.starts_with("<svg ") && svg.contains("width 32") && svg.contains(">shifted tanh<")
        );
    }
}
