//! The command line of an example: values of options, errors in one line, threads.

use std::fmt::Display;
use std::io::Write;
use std::num::ParseIntError;
use std::process::{ExitCode, Termination};
use std::thread::available_parallelism;

use clap::error::ErrorKind;
use clap::{ArgAction, FromArgMatches, Parser, ValueEnum};
use indicatif::{ParallelProgressIterator, ProgressBar, ProgressStyle};
use orthogap::Seed;
use rayon::prelude::*;

use crate::{console, say};

/// Any error, which is printed as one line.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// The result of an example.
pub type Result<T> = std::result::Result<T, Error>;

/// The type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// `f32`.
    #[value(name = "f32")]
    Single,
    /// `f64`.
    #[value(name = "f64")]
    Double,
}

/// The largest width, depth or number of anything.
const LARGEST: usize = 1 << 40;

/// Reads a whole number that must not be too small.
pub fn at_least<const LEAST: usize, N: TryFrom<usize>>(text: &str) -> Result<N> {
    let number = text.parse().ok().filter(|number| (LEAST..=LARGEST).contains(number));
    let number = number.and_then(|number: usize| N::try_from(number).ok());
    let bytes = size_of::<N>() as i32;
    let largest = (2f64.powi(8 * bytes) - 1.0).min(LARGEST as f64);
    number.ok_or_else(|| format!("expected a whole number from {LEAST} to {largest}").into())
}

/// Reads a positive whole number.
pub fn positive<N: TryFrom<usize>>(text: &str) -> Result<N> {
    at_least::<1, N>(text)
}

/// Reads a seed.
pub fn seed(text: &str) -> std::result::Result<Seed, ParseIntError> {
    text.parse().map(Seed)
}

/// Reads a number of threads, 0 for all cores.
pub fn threads(text: &str) -> Result<usize> {
    // More would only wait for each other, and starting a million takes minutes.
    let most = available_parallelism().map_or(1, usize::from).max(1024);
    let threads = text.parse().ok().filter(|threads| *threads <= most);
    threads.ok_or_else(|| format!("expected 0, for all cores, to {most}").into())
}

/// Checks the numbers of threads that rayon takes from the environment.
fn check_environment() -> Result<()> {
    for name in ["RAYON_NUM_THREADS", "RAYON_RS_NUM_CPUS"] {
        // Rayon ignores what is no number.
        let Ok(text) = std::env::var(name) else { continue };
        if text.parse::<usize>().is_ok() {
            threads(&text).map_err(|error| format!("{name}={text}: {error}"))?;
        }
    }
    Ok(())
}

/// Runs an example: reads the options and does the work, or prints the help. An error is printed as
/// one line, and is a failure.
pub fn run<O: Parser, R: Termination>(work: impl FnOnce(O) -> Result<R>) -> ExitCode {
    run_as(O::command(), work)
}

/// As [`run`], with a changed description of the options.
pub fn run_as<O: FromArgMatches, R: Termination>(
    command: clap::Command,
    work: impl FnOnce(O) -> Result<R>,
) -> ExitCode {
    console::begin();
    let matches = last_wins(command).try_get_matches();
    let outcome = match matches.and_then(|matches| O::from_arg_matches(&matches)) {
        Ok(options) => check_environment().and_then(|()| work(options)).map(R::report),
        Err(help) if help.kind() == ErrorKind::DisplayHelp => {
            say!("{}", help.to_string().trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(in_one_line(&error)),
    };
    let printed = console::finish().map_err(|error| format!("standard output: {error}"));
    outcome.and_then(|code| Ok(printed.map(|()| code)?)).unwrap_or_else(|error| {
        complain(&error);
        ExitCode::FAILURE
    })
}

/// Lets an option that is given twice override itself, so that scripts can append theirs.
fn last_wins(command: clap::Command) -> clap::Command {
    let set = |arg: clap::Arg| match arg.get_action() {
        ArgAction::Append => arg.action(ArgAction::Set), // of a list, too
        _ => arg,
    };
    command.args_override_self(true).mut_args(set)
}

/// Prints a line on standard error, which may be closed, under the name of the program.
pub fn complain(line: &dyn Display) {
    let name = std::env::args_os().next().map(std::path::PathBuf::from);
    let name = name.as_ref().and_then(|path| path.file_stem()).unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "{}: {line}", name.display());
}

/// The message of an error without hints and usage.
fn in_one_line(error: &clap::Error) -> Error {
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or_default();
    let lines: Vec<_> = message.lines().map(str::trim).collect();
    lines.join(" ").trim_start_matches("error: ").into()
}

/// The options of these words.
pub fn typed<O: Parser>(words: &str) -> Result<O> {
    typed_as(O::command(), words)
}

/// As [`typed`], with a changed description of the options.
pub fn typed_as<O: FromArgMatches>(command: clap::Command, words: &str) -> Result<O> {
    let words = std::iter::once("example").chain(words.split_whitespace());
    let matches = last_wins(command).try_get_matches_from(words);
    matches.and_then(|it| O::from_arg_matches(&it)).map_err(|error| in_one_line(&error))
}

/// Refuses a batch that is larger than a width: the predictions that figures show do not hold for it.
pub fn check_batch(batch_size: usize, widths: &[usize]) -> Result<()> {
    match widths.iter().find(|&&width| batch_size > width) {
        Some(&width) => Err(orthogap::Error::BatchExceedsWidth { batch_size, width }.into()),
        None => Ok(()),
    }
}

/// Does jobs on so many threads, 0 for all cores, with a progress bar; results are in their order.
pub fn in_parallel<J: Sync, R: Send>(
    threads: usize,
    jobs: &[J],
    work: impl Fn(&J) -> R + Sync + Send,
) -> Result<Vec<R>> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {eta} left")?;
    let progress = ProgressBar::new(jobs.len() as u64).with_style(style);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let results =
        pool.install(|| jobs.par_iter().progress_with(progress.clone()).map(work).collect());
    progress.finish_and_clear();
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Parser)]
    struct Options {
        #[arg(
            long = "width",
            value_name = "D,D,...",
            value_delimiter = ',',
            value_parser = positive::<usize>,
            default_value = "32,64",
            default_value_if("quick", "true", "8,16")
        )]
        widths: Vec<usize>,
        #[arg(long, value_name = "R", value_parser = at_least::<2, u32>, default_value = "9")]
        runs: u32,
        #[arg(long, value_name = "S", value_parser = seed, default_value = "1")]
        seed: Seed,
        #[arg(long, value_name = "T", value_parser = threads, default_value = "0")]
        threads: usize,
        #[arg(long, value_name = "TYPE", default_value = "f32")]
        scalar: Precision,
        #[arg(long, value_name = "PATH", default_value = "a.csv")]
        csv: std::path::PathBuf,
        #[arg(long)]
        quick: bool,
    }

    #[test]
    fn options_have_defaults() {
        let (usual, quick) = (typed::<Options>("").unwrap(), typed::<Options>("--quick").unwrap());
        assert_eq!((usual.widths, quick.widths), (vec![32, 64], vec![8, 16]));
        let given =
            "--width 7,8,9 --quick --width=4,5 --seed 3 --scalar f64 --threads 2 --csv b --runs 2";
        let found = typed::<Options>(given).unwrap();
        assert_eq!((found.widths, found.runs, found.seed), (vec![4, 5], 2, Seed(3)));
        assert_eq!((found.scalar, found.threads), (Precision::Double, 2));
    }

    #[test]
    fn wrong_options_get_one_clear_line() {
        for (arguments, message) in [
            ("--bogus", "unexpected argument '--bogus' found"),
            ("32", "unexpected argument '32' found"),
            ("--width", "a value is required for '--width <D,D,...>' but none was supplied"),
            ("--csv=", "a value is required for '--csv <PATH>' but none was supplied"),
            ("--quick=yes", "unexpected value 'yes' for '--quick' found; no more were expected"),
            (
                "--width 32,x",
                "invalid value 'x' for '--width <D,D,...>': expected a whole number from 1 to 1099511627776",
            ),
            (
                "--width 18446744073709551615",
                "invalid value '18446744073709551615' for '--width <D,D,...>': expected a whole number from 1 to 1099511627776",
            ),
            (
                "--runs 1",
                "invalid value '1' for '--runs <R>': expected a whole number from 2 to 4294967295",
            ),
            (
                "--runs 4294967296",
                "invalid value '4294967296' for '--runs <R>': expected a whole number from 2 to 4294967295",
            ),
            ("--seed x", "invalid value 'x' for '--seed <S>': invalid digit found in string"),
            (
                "--scalar f16",
                "invalid value 'f16' for '--scalar <TYPE>' [possible values: f32, f64]",
            ),
            (
                "--threads 1000000",
                "invalid value '1000000' for '--threads <T>': expected 0, for all cores, to 1024",
            ),
        ] {
            assert_eq!(typed::<Options>(arguments).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn results_keep_the_order_of_their_jobs() {
        let jobs: Vec<u32> = (0..100).collect();
        assert_eq!(in_parallel(3, &jobs, |job| *job).unwrap(), jobs);
    }
}
