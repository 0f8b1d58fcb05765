//! Shared code of the examples for the paper's figures: command line, runs, tables and files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{CommandFactory, Parser};
use orthogap::Seed;
use orthogap::report::{Table, file};

pub use comparison::{Comparison, Known, known};
pub use ensembles::{Job, STATISTICS, band, run_all, statistics};

use crate::command::{self, Result, at_least, seed, threads};
use crate::images::Source;
use crate::{artifact, say};

mod comparison;
mod ensembles;
pub mod promises;

/// An example that repeats a figure of the paper.
pub struct Paper {
    /// Its name, which is also that of its files.
    pub name: &'static str,
    /// Its description, the first lines of the help.
    pub about: &'static str,
    /// The number of runs by default, and under `--quick`.
    pub runs: (u32, u32),
    /// Whether it has an option for the images.
    pub images: bool,
}

/// The options.
#[derive(Debug, Parser)]
pub struct Options {
    /// Independent runs of each case, at least 2
    #[arg(long, value_name = "R", value_parser = at_least::<2, u32>)]
    pub runs: u32,
    /// Equal seeds give equal files, whatever the threads
    #[arg(long, value_name = "S", value_parser = seed, default_value = "1")]
    pub seed: Seed,
    /// 0 takes all cores
    #[arg(long, value_name = "T", value_parser = threads, default_value = "0")]
    pub threads: usize,
    /// digits, or cifar10:DIR with the data set's binary version
    #[arg(long = "data", value_name = "SOURCE", default_value = "digits")]
    pub source: Source,
    /// Every number
    #[arg(long, value_name = "PATH")]
    pub csv: PathBuf,
    /// The same as JSON Lines
    #[arg(long, value_name = "PATH")]
    pub json: Option<PathBuf>,
    /// The figure
    #[arg(long, value_name = "PATH")]
    pub svg: PathBuf,
    /// Fewer runs, in a second or two
    #[arg(long)]
    pub quick: bool,
}

/// The results of an example.
pub struct Outcome {
    /// The text that is printed first.
    pub text: String,
    /// Measured numbers and known ones.
    pub comparisons: Vec<Comparison>,
    /// All numbers, for the files.
    pub data: Table,
    /// The figure; `None` if there is nothing to draw.
    pub svg: Option<String>,
}

/// The largest number of runs of a case, so that those of 64 cases have 32 bits.
const MAX_RUNS: u32 = u32::MAX / 64;

/// The experiment of an example.
pub type Experiment = fn(&Options) -> Result<Outcome>;

impl Paper {
    /// Runs the example: parses the arguments, does the experiment, prints and writes.
    pub fn main(&self, experiment: Experiment) -> ExitCode {
        command::run_as(self.command(), |options| self.work(&options, experiment))
    }

    /// The options with the defaults of this example.
    fn command(&self) -> clap::Command {
        let number = |runs: u32| clap::builder::OsStr::from(runs.to_string());
        let file =
            |kind| clap::builder::OsStr::from(format!("target/orthogap/{}.{kind}", self.name));
        let (usual, quick) = (number(self.runs.0), number(self.runs.1));
        let images = self.images;
        let command = Options::command().about(self.about);
        let command = command
            .mut_arg("runs", |runs| {
                let help =
                    format!("Independent runs of each case, at least 2 [quick: {}]", self.runs.1);
                runs.help(help)
                    .required(false)
                    .default_value(usual)
                    .default_value_if("quick", "true", quick)
            })
            .mut_arg("csv", |csv| csv.required(false).default_value(file("csv")))
            .mut_arg("svg", |svg| svg.required(false).default_value(file("svg")));
        match images {
            true => command,
            // There is nothing to choose from.
            false => command.mut_arg("source", |source| source.hide(true).value_parser(no_images)),
        }
    }

    fn work(&self, options: &Options, experiment: Experiment) -> Result<()> {
        let started = Instant::now();
        if options.runs > MAX_RUNS {
            return Err(format!("--runs: at most {MAX_RUNS}").into());
        }
        let json = options.json.as_deref();
        file::check([&*options.csv, &*options.svg].into_iter().chain(json))?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?;
        let outcome = pool.install(|| experiment(options))?;
        say!("{}", outcome.text);
        say!("{}", Comparison::table(&outcome.comparisons)?);
        let lines = json
            .map(|path| Ok::<_, command::Error>((path, Some(outcome.data.json_lines()?.into()))));
        let files: [(&Path, Option<Vec<u8>>); 2] = [
            (&options.csv, Some(outcome.data.csv().into())),
            (&options.svg, outcome.svg.map(Into::into)),
        ];
        artifact::publish(files.into_iter().chain(lines.transpose()?))?;
        say!("{} runs of each case in {:.1?}", options.runs, started.elapsed());
        Ok(())
    }
}

/// Accepts only the default of `--data`.
fn no_images(text: &str) -> Result<Source> {
    let refused = || "this example has no images".into();
    text.parse().ok().filter(|source| *source == Source::Digits).ok_or_else(refused)
}
