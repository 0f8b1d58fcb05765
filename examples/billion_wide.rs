//! A network a billion neurons wide, in a few megabytes: the weights of a layer would fill four
//! exabytes.
//!
//! Given a layer, the next one depends on its `n x n` Gram matrix alone, so a layer costs `d n`
//! normal numbers and `O(n²)` memory whatever its width `d`. Prints what each layer does to a
//! nearly collinear batch and writes it as CSV. `--help` lists the options.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use orthogap::theory::stationary;
use orthogap::{Error, Input, Layer, Network, Scalar, Seed};

mod artifact;
mod command;

use command::{Arguments, Result};

const HELP: &str = "\
Orthogonality of a nearly collinear batch in a network a billion neurons wide.

Usage: cargo run --release --example billion_wide -- [OPTIONS]

  --width D         neurons of a layer              [1000000000; quick: 10000000]
  --batch N         samples in the batch, at most the width                  [16]
  --layers L        layers                                                    [3]
  --seed S          equal seeds give equal layers, whatever the threads       [1]
  --threads T       0 takes all cores                                         [0]
  --scalar TYPE     arithmetic of the rows, f32 or f64                      [f32]
  --csv PATH        every layer             [target/orthogap/billion_wide.csv]
  --quick           a hundredth of the width, in a second
  --help            this text

After Ctrl-C the layers that are done are printed and written, and the exit code is 130.
Peak memory is known on Linux alone.
";

struct Options {
    width: usize,
    batch_size: usize,
    layers: usize,
    seed: Seed,
    threads: usize,
    double: bool,
    csv: PathBuf,
}

/// What the command line asks for; nothing if it asks for help.
fn parse(mut arguments: Arguments) -> Result<Option<Options>> {
    let (mut width, mut batch_size, mut layers) = (None, 16, 3);
    let (mut seed, mut threads, mut double, mut quick) = (1, 0, false, false);
    let mut csv = PathBuf::from("target/orthogap/billion_wide.csv");
    while let Some(option) = arguments.option()? {
        match option.as_str() {
            "help" => return Ok(None),
            "quick" => quick = true,
            "width" => width = Some(arguments.positive()?),
            "batch" => batch_size = arguments.positive()?,
            "layers" => layers = arguments.positive()?,
            "seed" => seed = arguments.value()?,
            "threads" => threads = arguments.value()?,
            "scalar" => {
                double = match arguments.value::<String>()?.as_str() {
                    "f32" => false,
                    "f64" => true,
                    other => return Err(arguments.refuse(other, "neither f32 nor f64")),
                }
            }
            "csv" => csv = arguments.value()?,
            _ => return Err(arguments.unknown()),
        }
    }
    let width = width.unwrap_or(if quick { 10_000_000 } else { 1_000_000_000 });
    Ok(Some(Options { width, batch_size, layers, seed: Seed(seed), threads, double, csv }))
}

/// A finished layer and the seconds that it took.
type Record = (Layer, f64);

fn row((layer, seconds): &Record) -> String {
    let (gap, smallest) = (layer.orthogonality_gap(), layer.min_singular_value());
    format!("{:5}  {gap:9.3e}  {smallest:18.3e}  {seconds:7.2}", layer.depth())
}

/// The most memory that this process ever held, as Linux counts it; unknown elsewhere.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(format!("{:.1} MiB", kibibytes / 1024.0))
}

/// Goes through the layers and prints each, until `stop`, which is told how many rows of all
/// layers are done. Returns what was finished, and why there is no more.
fn simulate<T: Scalar>(
    options: &Options,
    stop: impl Fn(u64) -> bool,
) -> Result<(Vec<Record>, Option<Error>)> {
    let Options { width, batch_size, layers, seed, .. } = *options;
    let input = Input::near_collinear(batch_size, 1e-3)?;
    let mut chain = Network::<T>::new(width).chain(&input, seed)?;
    println!(
        "{batch_size} nearly collinear samples, {width} neurons wide, {}, threads: {}\n\
         W of one layer would take {:.1e} bytes (an exabyte is 1e18); it is never drawn.\n\
         The large-width prediction of the mean gap, once stationary: {:.3e}\n\n\
         layer        gap  min singular value  seconds",
        std::any::type_name::<T>(),
        rayon::current_num_threads(),
        (width as f64).powi(2) * size_of::<T>() as f64,
        stationary::mean_gap(batch_size, width)
    );
    let style = ProgressStyle::with_template("{bar:40} {percent}% of all rows, {eta} left")?;
    let progress = ProgressBar::new((width as u64).saturating_mul(layers as u64)).with_style(style);
    let mut records = vec![(chain.layer().clone(), 0.0)];
    println!("{}", row(&records[0]));
    let started = Instant::now();
    let outcome = (1..=layers).try_for_each(|layer| {
        let (above, started) = (progress.position(), Instant::now());
        // A layer too narrow to be cut into pieces cannot be broken off: ask between them, too.
        if stop(above) {
            return Err(Error::Interrupted { layer, rows: 0 });
        }
        let layer = chain.step_while(|rows| {
            progress.set_position(above + rows as u64);
            if stop(progress.position()) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        records.push((layer.clone(), started.elapsed().as_secs_f64()));
        progress.suspend(|| println!("{}", row(&records[records.len() - 1])));
        Ok(())
    });
    let normals = progress.position() as f64 * batch_size as f64;
    let seconds = started.elapsed().as_secs_f64();
    progress.finish_and_clear(); // and it forgets its position
    println!(
        "\n{normals:.3e} normals in {seconds:.2} s, {:.3e} a second; peak memory {}",
        normals / seconds,
        peak_memory().as_deref().unwrap_or("unknown")
    );
    Ok((records, outcome.err()))
}

fn csv(records: &[Record]) -> String {
    let mut text = "layer,orthogonality_gap,min_singular_value,log_scale,seconds\n".to_owned();
    for (layer, seconds) in records {
        let (gap, smallest) = (layer.orthogonality_gap(), layer.min_singular_value());
        let (depth, scale) = (layer.depth(), layer.log_scale());
        let _ = writeln!(text, "{depth},{gap:e},{smallest:e},{scale},{seconds:.3}");
    }
    text
}

/// The whole job. Whatever ends it, the layers that are done are written.
fn experiment(options: &Options, stop: impl Fn(u64) -> bool + Send) -> Result<ExitCode> {
    // The chain is made in the pool, too: it makes room for as many threads as it finds.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?;
    let (records, ended) = pool.install(|| match options.double {
        true => simulate::<f64>(options, stop),
        false => simulate::<f32>(options, stop),
    })?;
    artifact::publish(&options.csv, csv(&records))?;
    match ended {
        None => Ok(ExitCode::SUCCESS),
        Some(error @ Error::Interrupted { .. }) => {
            eprintln!("billion_wide: {error}");
            Ok(ExitCode::from(130)) // what shells expect of a program that SIGINT ended
        }
        Some(error) => Err(error.into()),
    }
}

fn main() -> ExitCode {
    static INTERRUPTED: AtomicBool = AtomicBool::new(false);
    command::run("billion_wide", HELP, parse, |options| {
        ctrlc::set_handler(|| {
            // Whoever asks twice does not want to wait.
            if INTERRUPTED.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        })?;
        experiment(&options, |_| INTERRUPTED.load(Ordering::Relaxed))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &str) -> Result<Options> {
        Ok(parse(Arguments::typed(arguments))?.expect("help was not asked for"))
    }

    /// The lines of the CSV of a run, without their seconds, and its exit code.
    fn run(name: &str, arguments: &str, stop: fn(u64) -> bool) -> (Vec<String>, String) {
        let name = format!("orthogap-billion-wide-{}-{name}.csv", std::process::id());
        let csv = std::env::temp_dir().join(name);
        let code =
            experiment(&Options { csv: csv.clone(), ..options(arguments).unwrap() }, stop).unwrap();
        let text = std::fs::read_to_string(&csv).unwrap();
        std::fs::remove_file(csv).unwrap();
        let without_seconds = |line: &str| line.rsplit_once(',').unwrap().0.to_owned();
        (text.lines().map(without_seconds).collect(), format!("{code:?}"))
    }

    #[test]
    fn wrong_options_get_one_clear_line() {
        for (arguments, message) in [
            ("--bogus", "unknown option --bogus"),
            ("--width", "missing argument for option '--width'"),
            ("--width 1e9", "--width \"1e9\": expected a whole number above 0"),
            ("--layers 0", "--layers \"0\": expected a whole number above 0"),
            ("--scalar f16", "--scalar \"f16\": neither f32 nor f64"),
            ("--quick=yes", "unexpected argument for option '--quick': \"yes\""),
            ("32", "unexpected argument \"32\""),
            ("--width 8", "a batch of 16 samples cannot be orthogonal in width 8"),
            ("--width 1099511627777", "expected a width from 1 to 2^40"),
        ] {
            let outcome = options(arguments).and_then(|options| experiment(&options, |_| false));
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains(message) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn layers_do_not_depend_on_threads() {
        let [one, three] = ["--threads 1 --width 200000", "--threads 3 --width 200000"]
            .map(|arguments| run(&arguments[10..11], arguments, |_| false));
        assert_eq!(one, three);
        assert_eq!((one.0.len(), one.1), (1 + 4, format!("{:?}", ExitCode::SUCCESS)));
    }

    #[test]
    fn breaking_off_keeps_the_layers_that_are_done() {
        let (arguments, broken_off) =
            ("--width 200000 --threads 1", format!("{:?}", ExitCode::from(130)));
        let (whole, _) = run("whole", arguments, |_| false);
        let part = run("part", arguments, |rows| rows > 250_000); // in the second layer
        assert_eq!(part, (whole[..3].to_vec(), broken_off));
        let (narrow, _) = run("narrow", "--width 64 --layers 9", |rows| rows >= 128);
        assert_eq!(narrow.len(), 1 + 3, "{narrow:?}");
    }
}
