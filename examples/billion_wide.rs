//! A network a billion neurons wide, in a few megabytes: the weights of a layer would fill four
//! exabytes.
//!
//! Given a layer, the next one depends only on its `n x n` Gram matrix, so a layer of any width `d`
//! costs `d n` normal numbers and `O(n²)` memory. Prints the metrics of a nearly collinear batch at
//! each layer and writes them as CSV. `--help` lists the options.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use orthogap::backward::Top;
use orthogap::report::file;
use orthogap::theory::stationary;
use orthogap::{Error, Input, Layer, Network, Scalar, Seed};

use orthogap_examples::command::{self, Precision, Result, positive, seed, threads};
use orthogap_examples::{artifact, memory, say};

const NOTES: &str = "\
After Ctrl-C, SIGTERM or SIGHUP the layers that are done are printed and written, and the exit code
is 130. Peak memory is known on Linux alone.";

/// Orthogonality of a nearly collinear batch in a network a billion neurons wide
#[derive(Parser)]
#[command(after_help = NOTES)]
struct Options {
    /// Neurons of a layer [quick: 10000000]
    #[arg(
        long,
        value_name = "D",
        value_parser = positive::<usize>,
        default_value = "1000000000",
        default_value_if("quick", "true", "10000000")
    )]
    width: usize,
    /// Samples in the batch, at most the width
    #[arg(long = "batch", value_name = "N", value_parser = positive::<usize>, default_value = "16")]
    batch_size: usize,
    /// Layers
    #[arg(long, value_name = "L", value_parser = positive::<usize>, default_value = "3")]
    layers: usize,
    /// Seed; equal seeds give equal files on any number of threads
    #[arg(long, value_name = "S", value_parser = seed, default_value = "1")]
    seed: Seed,
    /// Threads; 0 uses all cores
    #[arg(long, value_name = "T", value_parser = threads, default_value = "0")]
    threads: usize,
    /// Arithmetic of the rows
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    scalar: Precision,
    /// Writes every layer to this CSV file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/billion_wide.csv")]
    csv: PathBuf,
    /// Draw gradients of a random loss, too, from the top down, and write them
    #[arg(long, value_name = "PATH")]
    gradients: Option<PathBuf>,
    /// A hundredth of the width, in a second
    #[arg(long)]
    #[allow(dead_code, reason = "sets defaults of the others")]
    quick: bool,
}

/// A finished layer and its time in seconds.
type Record = (Layer, f64);
/// The records so far, which a signal handler may read at any time.
type Records = Mutex<Vec<Record>>;

fn locked(records: &Records) -> MutexGuard<'_, Vec<Record>> {
    records.lock().unwrap_or_else(PoisonError::into_inner)
}

fn row((layer, seconds): &Record) -> String {
    let (gap, smallest) = (layer.orthogonality_gap(), layer.min_singular_value());
    format!("{:5}  {gap:9.3e}  {smallest:18.3e}  {seconds:7.2}", layer.depth())
}

/// The peak memory of this process, as Linux counts it; unknown elsewhere.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(format!("{:.1} MiB", kibibytes / 1024.0))
}

/// Draws the layers and prints each, until `stop`, which gets the number of finished rows of all
/// layers. Keeps the finished layers, and returns the error that ended it.
fn simulate<T: Scalar>(
    options: &Options,
    records: &Records,
    stop: impl Fn(u64) -> bool,
) -> Result<Option<Error>> {
    let Options { width, batch_size, layers, seed, .. } = *options;
    let input = Input::near_collinear(batch_size, 1e-3)?;
    let mut chain = Network::<T>::new(width).chain(&input, seed)?;
    say!(
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
    let keep = |record: Record| {
        say!("{}", row(&record));
        locked(records).push(record);
    };
    keep((chain.layer().clone(), 0.0));
    let started = Instant::now();
    let outcome = (1..=layers).try_for_each(|layer| {
        let (above, started) = (progress.position(), Instant::now());
        // A layer too narrow to be cut into pieces cannot be interrupted: ask between layers, too.
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
        progress.suspend(|| keep((layer.clone(), started.elapsed().as_secs_f64())));
        Ok(())
    });
    let normals = progress.position() as f64 * batch_size as f64;
    let seconds = started.elapsed().as_secs_f64();
    progress.finish_and_clear(); // and it forgets its position
    say!(
        "\n{normals:.3e} normals in {seconds:.2} s, {:.3e} a second; peak memory {}",
        normals / seconds,
        peak_memory().as_deref().unwrap_or("unknown")
    );
    Ok(outcome.err())
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

/// Draws the layers once more, goes down from the top, and prints each gradient. Returns the rows
/// of the CSV, and the error that ended it.
fn pull_back<T: Scalar>(
    options: &Options,
    stop: impl Fn() -> bool,
) -> Result<(String, Option<Error>)> {
    let Options { width, batch_size, layers, seed, .. } = *options;
    let input = Input::near_collinear(batch_size, 1e-3)?;
    let started = Instant::now();
    let mut text = "layer,log_norm,log_weights_norm,seconds\n".to_owned();
    let gradients =
        Network::<T>::new(width).gradients(&input, seed, layers, Top::RandomDirection)?;
    say!("\nlayer  log norm by H  by W       seconds");
    for gradient in gradients {
        let gradient = match gradient {
            Ok(gradient) if !stop() => gradient,
            Ok(_) => return Ok((text, Some(Error::Interrupted { layer: 0, rows: 0 }))),
            Err(error) => return Ok((text, Some(error))),
        };
        let (depth, by_h) = (gradient.depth(), gradient.log_norm());
        let by_w =
            gradient.log_weights_norm().map_or_else(String::new, |norm| format!("{norm:.6}"));
        let seconds = started.elapsed().as_secs_f64();
        say!("{depth:5}  {by_h:13.6}  {by_w:9}  {seconds:7.2}");
        let _ = writeln!(text, "{depth},{by_h:.9},{by_w},{seconds:.3}");
    }
    say!("\npeak memory {}", peak_memory().as_deref().unwrap_or("unknown"));
    Ok((text, None))
}

/// Writes the layers that are done.
fn publish(options: &Options, records: &Records) -> Result<()> {
    let csv = csv(&locked(records));
    artifact::publish([(&*options.csv, Some(csv.into()))])
}

/// The whole job. The layers that are done are written, even after an error or a signal.
fn experiment(
    options: &Options,
    records: &Records,
    stop: impl Fn(u64) -> bool + Send + Sync,
) -> Result<ExitCode> {
    file::check([&options.csv].into_iter().chain(&options.gradients))?;
    command::check_batch(options.batch_size, &[options.width])?;
    let grams = [2, options.batch_size, options.batch_size];
    memory::check("the state of a chain", &grams, size_of::<f64>())?;
    // The chain is also created in the pool: it allocates memory for the threads of its pool.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?;
    let mut ended = pool.install(|| match options.scalar {
        Precision::Double => simulate::<f64>(options, records, &stop),
        Precision::Single => simulate::<f32>(options, records, &stop),
    })?;
    publish(options, records)?;
    if let (Some(path), None) = (&options.gradients, &ended) {
        let stop = || stop(0);
        let (text, error) = pool.install(|| match options.scalar {
            Precision::Double => pull_back::<f64>(options, stop),
            Precision::Single => pull_back::<f32>(options, stop),
        })?;
        artifact::publish([(&**path, Some(text.into()))])?;
        ended = error;
    }
    match ended {
        None => Ok(ExitCode::SUCCESS),
        Some(error @ Error::Interrupted { .. }) => {
            command::complain(&error);
            Ok(ExitCode::from(INTERRUPTED))
        }
        Some(error) => Err(error.into()),
    }
}

/// What shells expect of a program that SIGINT ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    command::run(|options: Options| {
        let asked = Arc::new(AtomicBool::new(false));
        let shared = Arc::new((options, Records::default()));
        let (handler, stop) = (shared.clone(), asked.clone());
        ctrlc::set_handler(move || {
            // The second signal does not wait for the layer to be interrupted.
            if asked.swap(true, Ordering::Relaxed) {
                let (options, records) = &*handler;
                if let Err(error) = publish(options, records) {
                    command::complain(&error);
                }
                std::process::exit(INTERRUPTED.into());
            }
        })?;
        let (options, records) = &*shared;
        experiment(options, records, |_| stop.load(Ordering::Relaxed))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &str) -> Result<Options> {
        command::typed(arguments)
    }

    /// The lines of the CSV of a run, without their seconds, and its exit code.
    fn run(name: &str, arguments: &str, stop: fn(u64) -> bool) -> (Vec<String>, String) {
        let name = format!("orthogap-billion-wide-{}-{name}.csv", std::process::id());
        let csv = std::env::temp_dir().join(name);
        let code = experiment(
            &Options { csv: csv.clone(), ..options(arguments).unwrap() },
            &Records::default(),
            stop,
        )
        .unwrap();
        let text = std::fs::read_to_string(&csv).unwrap();
        std::fs::remove_file(csv).unwrap();
        let without_seconds = |line: &str| line.rsplit_once(',').unwrap().0.to_owned();
        (text.lines().map(without_seconds).collect(), format!("{code:?}"))
    }

    #[test]
    fn wrong_options_get_one_clear_line() {
        for (arguments, message) in [
            ("--bogus", "unexpected argument '--bogus' found"),
            ("--width", "a value is required for '--width <D>' but none was supplied"),
            (
                "--width 1e9",
                "invalid value '1e9' for '--width <D>': expected a whole number from 1 to 1099511627776",
            ),
            (
                "--layers 0",
                "invalid value '0' for '--layers <L>': expected a whole number from 1 to 1099511627776",
            ),
            (
                "--scalar f16",
                "invalid value 'f16' for '--scalar <TYPE>' [possible values: f32, f64]",
            ),
            ("--quick=yes", "unexpected value 'yes' for '--quick' found; no more were expected"),
            ("32", "unexpected argument '32' found"),
            ("--width 8", "a batch of 16 samples cannot be orthogonal in width 8"),
            ("--width 1099511627777", "expected a whole number from 1 to 1099511627776"),
        ] {
            let outcome = options(arguments)
                .and_then(|options| experiment(&options, &Records::default(), |_| false));
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
    fn gradients_are_written_from_the_top_down() {
        let name = format!("orthogap-billion-wide-{}-gradients.csv", std::process::id());
        let path = std::env::temp_dir().join(name);
        let arguments = format!("--width 200000 --gradients {}", path.display());
        run("reverse", &arguments, |_| false);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        let layers = text.lines().skip(1).map(|line| line.split_once(',').unwrap().0);
        assert_eq!(layers.collect::<Vec<_>>(), ["3", "2", "1", "0"]);
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
