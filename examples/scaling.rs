//! The cost of a streamed layer: linear in the width d, and between n and n² in the batch.
//!
//! Measures microseconds per layer on one thread, over d at n = 16 and over n at d = 4096; prints
//! them with slopes and writes them as CSV and SVG. `--help` lists the options.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use orthogap::report::file;
use orthogap::{Input, Network, Scalar, Seed};

use orthogap_examples::command::{self, Result};
use orthogap_examples::figure::{Dash, Figure, Panel, Series};
use orthogap_examples::{artifact, say};

/// The batch of the sweep over widths.
const BATCH: usize = 16;
/// The width of the sweep over batches.
const WIDTH: usize = 4096;
/// The number of timed batches of layers, of which the fastest counts.
const REPEATS: usize = 7;

/// Microseconds per layer of a linear network with the paper's batch normalisation, on one thread
#[derive(Parser)]
struct Options {
    /// Writes every measurement to this CSV file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/scaling.csv")]
    csv: PathBuf,
    /// Writes the cost against width and batch to this SVG file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/scaling.svg")]
    svg: PathBuf,
    /// Smaller layers, measured more roughly
    #[arg(long)]
    quick: bool,
}

/// The variable of a sweep.
#[derive(Clone, Copy, PartialEq)]
enum Sweep {
    Width,
    Batch,
}

impl Sweep {
    const ALL: [Self; 2] = [Self::Width, Self::Batch];

    fn name(self) -> &'static str {
        match self {
            Self::Width => "d",
            Self::Batch => "n",
        }
    }

    /// Width and batch of the layer of this size.
    fn shape(self, size: usize) -> (usize, usize) {
        match self {
            Self::Width => (size, BATCH),
            Self::Batch => (WIDTH, size),
        }
    }

    /// Powers of two.
    fn sizes(self, quick: bool) -> impl Iterator<Item = usize> {
        let powers = match (self, quick) {
            (Self::Width, true) => 5..=11,
            (Self::Width, false) => 5..=14,
            (Self::Batch, true) => 1..=7,
            (Self::Batch, false) => 1..=10,
        };
        powers.map(|power| 1 << power)
    }
}

/// One sweep of one scalar type.
struct Case {
    sweep: Sweep,
    scalar: &'static str,
    /// Size and microseconds per layer.
    costs: Vec<(usize, f64)>,
}

impl Case {
    fn measure<T: Scalar>(sweep: Sweep, scalar: &'static str, quick: bool) -> Result<Self> {
        let batch = Duration::from_millis(if quick { 1 } else { 10 });
        let cost = |size| Ok((size, microseconds::<T>(sweep.shape(size), batch)?));
        let costs: orthogap::Result<_> = sweep.sizes(quick).map(cost).collect();
        Ok(Self { sweep, scalar, costs: costs? })
    }

    /// Powers of the size with which the cost grows, from each size to the next.
    fn slopes(&self) -> impl Iterator<Item = f64> {
        self.costs.windows(2).map(|pair| {
            let [(size, cost), (larger, more)] = [pair[0], pair[1]];
            (more / cost).ln() / (larger as f64 / size as f64).ln()
        })
    }
}

/// Microseconds per layer: the fastest of some batches of layers, each of about this duration.
fn microseconds<T: Scalar>(
    (width, batch_size): (usize, usize),
    batch: Duration,
) -> orthogap::Result<f64> {
    let mut chain = Network::<T>::new(width).chain(&Input::orthogonal(batch_size)?, Seed(1))?;
    let mut timed = |layers: usize| {
        let started = Instant::now();
        chain.advance(layers).map(|_| started.elapsed())
    };
    let mut layers = 1;
    while timed(layers)? < batch {
        layers *= 2;
    }
    let mut fastest = Duration::MAX;
    for _ in 0..REPEATS {
        fastest = fastest.min(timed(layers)?);
    }
    Ok(fastest.as_secs_f64() * 1e6 / layers as f64)
}

/// All sweeps, on one thread whatever the width.
fn measure(quick: bool) -> Result<Vec<Case>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    pool.install(|| {
        let mut cases = Vec::new();
        for sweep in Sweep::ALL {
            cases.push(Case::measure::<f64>(sweep, "f64", quick)?);
            cases.push(Case::measure::<f32>(sweep, "f32", quick)?);
        }
        Ok(cases)
    })
}

/// One sweep as a table; a slope belongs to the step from the size before.
fn table(case: &Case) -> String {
    let fixed = match case.sweep {
        Sweep::Width => format!("n = {BATCH}"),
        Sweep::Batch => format!("d = {WIDTH}"),
    };
    let name = case.sweep.name();
    let mut text =
        format!("over {name} at {fixed}, {}\n{name:>7}  us per layer  slope\n", case.scalar);
    let slopes = [String::new()].into_iter().chain(case.slopes().map(|s| format!("{s:5.2}")));
    for ((size, cost), slope) in case.costs.iter().zip(slopes) {
        let _ = writeln!(text, "{size:7}  {cost:12.2}  {slope}");
    }
    text
}

fn csv(cases: &[Case]) -> String {
    let mut text = "sweep,d,n,scalar,us\n".to_owned();
    for case in cases {
        for &(size, cost) in &case.costs {
            let (d, n) = case.sweep.shape(size);
            let _ = writeln!(text, "{},{d},{n},{},{cost:.4}", case.sweep.name(), case.scalar);
        }
    }
    text
}

/// The cost against the size, and straight lines of slope 1 and 2 through the last measurement.
fn figure(cases: &[Case]) -> Figure {
    let panel = |sweep: Sweep, title: String, powers: &[i32]| {
        let of_sweep = || cases.iter().filter(|case| case.sweep == sweep).enumerate();
        let mut series: Vec<_> = of_sweep()
            .map(|(colour, case)| Series {
                label: case.scalar.to_owned(),
                colour,
                points: case.costs.iter().map(|&(size, cost)| (size as f64, cost)).collect(),
                ..Series::default()
            })
            .collect();
        for (colour, case) in of_sweep() {
            let (end, cost) = case.costs[case.costs.len() - 1];
            series.extend(powers.iter().map(|&power| {
                let line = |&(size, _): &(usize, f64)| {
                    (size as f64, cost * (size as f64 / end as f64).powi(power))
                };
                // Lines far beneath the measurements would only stretch the axis.
                let least = case.costs[0].1 / 2.0;
                let points = case.costs.iter().map(line).filter(|point| point.1 > least).collect();
                Series { colour, points, dash: Dash::Dotted, ..Series::default() }
            }));
        }
        Panel { title, series, levels: Vec::new() }
    };
    Figure {
        title: "One streamed layer on one thread".to_owned(),
        x_label: "width d or batch n".to_owned(),
        y_label: "microseconds".to_owned(),
        log_x: true,
        log_y: true,
        panels: vec![
            panel(Sweep::Width, format!("over d at n = {BATCH}"), &[1]),
            panel(Sweep::Batch, format!("over n at d = {WIDTH}"), &[2]),
        ],
        keys: vec![
            ("measured".to_owned(), Dash::Solid),
            ("proportional to d, to n²".to_owned(), Dash::Dotted),
        ],
        ..Figure::default()
    }
}

fn experiment(options: &Options) -> Result<()> {
    let started = Instant::now();
    file::check([&options.csv, &options.svg])?;
    let cases = measure(options.quick)?;
    for case in &cases {
        say!("{}", table(case));
    }
    let (csv, svg) = (csv(&cases), figure(&cases).svg());
    artifact::publish([(&*options.csv, Some(csv.into())), (&*options.svg, svg.map(Into::into))])?;
    say!("in {:.1?}", started.elapsed());
    Ok(())
}

fn main() -> ExitCode {
    command::run(|options: Options| experiment(&options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_or_refused_in_one_line() {
        let options = |arguments: &str| command::typed::<Options>(arguments);
        let given = options("--quick --csv a.csv --svg=b.svg").unwrap();
        assert_eq!((given.csv, given.svg, given.quick), ("a.csv".into(), "b.svg".into(), true));
        assert!(options("--help").is_err());
        for (arguments, message) in [
            ("--bogus", "unexpected argument '--bogus' found"),
            ("--csv", "a value is required for '--csv <PATH>' but none was supplied"),
            ("3", "unexpected argument '3' found"),
        ] {
            let error = options(arguments).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), Some(message));
        }
    }

    #[test]
    fn slopes_are_powers() {
        let costs = vec![(2, 1.0), (4, 2.0), (16, 32.0)];
        let case = Case { sweep: Sweep::Batch, scalar: "f64", costs };
        assert!(case.slopes().zip([1.0, 2.0]).all(|(slope, power)| (slope - power).abs() < 1e-12));
        assert_eq!(csv(&[case]).lines().nth(3), Some("n,4096,16,f64,32.0000"));
    }
}
