//! The command line of an example: options with values, help, errors in one line.
#![allow(dead_code, reason = "each example uses its own part of this file")]

use std::fmt::Display;
use std::process::{ExitCode, Termination};
use std::str::FromStr;

use indicatif::{ParallelProgressIterator, ProgressBar, ProgressStyle};
use lexopt::{Arg, Parser, ValueExt};
use rayon::prelude::*;

/// Any error: whatever it is, its one line is printed.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// The outcome of whatever an example does.
pub type Result<T> = std::result::Result<T, Error>;

/// The arguments of an example, read from left to right: long options and their values.
pub struct Arguments {
    parser: Parser,
    option: String,
}

impl Arguments {
    /// Those of this process.
    fn of_process() -> Self {
        Self { parser: Parser::from_env(), option: String::new() }
    }

    /// Words that a test might have typed.
    #[cfg(test)]
    pub fn typed(words: &str) -> Self {
        let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
        Self { parser: Parser::from_args(words), option: String::new() }
    }

    /// The name of the next option, without its dashes.
    pub fn option(&mut self) -> Result<Option<String>> {
        match self.parser.next()? {
            None => Ok(None),
            Some(Arg::Long(name)) => {
                self.option = name.to_owned();
                Ok(Some(self.option.clone()))
            }
            Some(argument) => Err(argument.unexpected().into()),
        }
    }

    /// The value of the option.
    pub fn value<V: FromStr<Err: Display>>(&mut self) -> Result<V> {
        let text = self.parser.value()?.string()?;
        text.parse().map_err(|error| self.refuse(&text, error))
    }

    /// The value of the option, a positive number.
    pub fn positive(&mut self) -> Result<usize> {
        let text: String = self.value()?;
        self.whole(&text)
    }

    /// The value of the option, a whole number that must not be too small.
    pub fn at_least(&mut self, least: usize) -> Result<usize> {
        let text: String = self.value()?;
        match text.parse() {
            Ok(number) if number >= least => Ok(number),
            _ => Err(self.refuse(&text, format!("expected a whole number from {least} on"))),
        }
    }

    /// The value of the option, positive numbers with commas between them.
    pub fn positives(&mut self) -> Result<Vec<usize>> {
        let text: String = self.value()?;
        text.split(',').map(|part| self.whole(part)).collect()
    }

    fn whole(&self, text: &str) -> Result<usize> {
        match text.parse() {
            Ok(0) | Err(_) => Err(self.refuse(text, "expected a whole number above 0")),
            Ok(number) => Ok(number),
        }
    }

    /// Why a value of the option will not do.
    pub fn refuse(&self, text: &str, reason: impl Display) -> Error {
        format!("--{} {text:?}: {reason}", self.option).into()
    }

    /// There is no such option.
    pub fn unknown(&self) -> Error {
        format!("unknown option --{}", self.option).into()
    }
}

/// The `main` of an example: parses the arguments and does the work, or prints the help if `parse`
/// finds nothing to do. An error is one line and a failure.
pub fn run<O, R: Termination>(
    name: &str,
    help: &str,
    parse: impl FnOnce(Arguments) -> Result<Option<O>>,
    work: impl FnOnce(O) -> Result<R>,
) -> ExitCode {
    let outcome = parse(Arguments::of_process()).and_then(|options| match options {
        None => {
            print!("{help}");
            Ok(ExitCode::SUCCESS)
        }
        Some(options) => Ok(work(options)?.report()),
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("{name}: {error}");
        ExitCode::FAILURE
    })
}

/// Does jobs on so many threads, 0 for all cores, under a progress bar; results are in their order.
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

    #[test]
    fn options_and_values_are_read_in_turn() {
        let mut arguments = Arguments::typed("--a 3 --b=4,5 --c 1e-3 --d");
        assert_eq!(arguments.option().unwrap().as_deref(), Some("a"));
        assert_eq!(arguments.positive().unwrap(), 3);
        assert_eq!(arguments.option().unwrap().as_deref(), Some("b"));
        assert_eq!(arguments.positives().unwrap(), [4, 5]);
        assert_eq!(arguments.option().unwrap().as_deref(), Some("c"));
        assert_eq!(arguments.value::<f64>().unwrap(), 1e-3);
        assert_eq!(arguments.option().unwrap().as_deref(), Some("d"));
        assert_eq!(arguments.unknown().to_string(), "unknown option --d");
        assert!(arguments.value::<f64>().is_err() && arguments.option().unwrap().is_none());
    }

    #[test]
    fn results_keep_the_order_of_their_jobs() {
        let jobs: Vec<u32> = (0..100).collect();
        assert_eq!(in_parallel(3, &jobs, |job| *job).unwrap(), jobs);
    }
}
