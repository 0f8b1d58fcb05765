//! What the examples behind the paper's figures share: their command line, their runs, and how
//! their numbers are shown and written.
#![allow(dead_code, unused_imports, reason = "each example uses its own part of this file")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use orthogap::Seed;
use orthogap::report::Table;

pub use comparison::{Comparison, Known, known};
pub use ensembles::{Job, STATISTICS, band, run_all, statistics};

use crate::artifact;
use crate::command::{self, Arguments, Result};
use crate::images::Source;

mod comparison;
mod ensembles;
#[cfg(test)]
pub mod tests;

/// An example that repeats a figure of the paper.
pub struct Paper {
    /// Its name, which its files bear, too.
    pub name: &'static str,
    /// What it shows, the first lines of the help.
    pub about: &'static str,
    /// How many runs there are by default, and quickly.
    pub runs: (u32, u32),
    /// Whether it can be told which images to take.
    pub images: bool,
}

/// What the command line asks for.
pub struct Options {
    /// Independent runs of each case.
    pub runs: u32,
    /// Equal seeds give equal files.
    pub seed: Seed,
    /// 0 for all cores.
    pub threads: usize,
    /// Where images come from.
    pub source: Source,
    /// The file of all numbers.
    pub csv: PathBuf,
    /// The same as JSON Lines, if asked for.
    pub json: Option<PathBuf>,
    /// The file of the figure.
    pub svg: PathBuf,
}

/// What an example found.
pub struct Outcome {
    /// What is printed first, for people.
    pub text: String,
    /// Numbers beside those that are known.
    pub comparisons: Vec<Comparison>,
    /// All numbers, for the files.
    pub data: Table,
    /// The figure; nothing if there was nothing to draw.
    pub svg: Option<String>,
}

/// So many that the runs of 64 cases can be counted.
const MAX_RUNS: u32 = u32::MAX / 64;

/// What an example does.
pub type Experiment = fn(&Options) -> Result<Outcome>;

impl Paper {
    /// The `main` of the example: parses the arguments, does the experiment, prints and writes.
    pub fn main(&self, experiment: Experiment) -> ExitCode {
        let parse = |arguments| self.parse(arguments);
        command::run(self.name, &self.help(), parse, |options| self.work(&options, experiment))
    }

    fn help(&self) -> String {
        let Self { name, about, runs: (usual, quick), .. } = self;
        let images = "  --data SOURCE   digits, or cifar10:DIR with the data set's binary version \
                      [digits]\n";
        let images = if self.images { images } else { "" };
        format!(
            "{about}\n\nUsage: cargo run --release --example {name} -- [OPTIONS]\n\n\
             \x20 --runs R        independent runs of each case, at least 2 [{usual}; quick: {quick}]\n\
             \x20 --seed S        equal seeds give equal files, whatever the threads [1]\n\
             \x20 --threads T     0 takes all cores [0]\n{images}\
             \x20 --csv PATH      every number [target/orthogap/{name}.csv]\n\
             \x20 --json PATH     the same as JSON Lines [not written]\n\
             \x20 --svg PATH      the figure [target/orthogap/{name}.svg]\n\
             \x20 --quick         fewer runs, in a second or two\n\
             \x20 --help          this text\n"
        )
    }

    /// The options; nothing if help is asked for.
    fn parse(&self, mut arguments: Arguments) -> Result<Option<Options>> {
        let file = |kind| PathBuf::from(format!("target/orthogap/{}.{kind}", self.name));
        let (mut runs, mut quick) = (None, false);
        let mut options = Options {
            runs: 0,
            seed: Seed(1),
            threads: 0,
            source: Source::Digits,
            csv: file("csv"),
            json: None,
            svg: file("svg"),
        };
        while let Some(option) = arguments.option()? {
            match option.as_str() {
                "help" => return Ok(None),
                "quick" => quick = true,
                "runs" => runs = Some(arguments.at_least(2)?),
                "seed" => options.seed = Seed(arguments.value()?),
                "threads" => options.threads = arguments.value()?,
                "data" if self.images => options.source = arguments.value::<String>()?.parse()?,
                "csv" => options.csv = arguments.value()?,
                "json" => options.json = Some(arguments.value()?),
                "svg" => options.svg = arguments.value()?,
                _ => return Err(arguments.unknown()),
            }
        }
        let default = if quick { self.runs.1 } else { self.runs.0 };
        options.runs = runs.map_or(Ok(default), u32::try_from).unwrap_or(u32::MAX);
        if options.runs > MAX_RUNS {
            return Err(format!("--runs: at most {MAX_RUNS}").into());
        }
        Ok(Some(options))
    }

    fn work(&self, options: &Options, experiment: Experiment) -> Result<()> {
        let started = Instant::now();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?;
        let outcome = pool.install(|| experiment(options))?;
        println!("{}", outcome.text);
        println!("{}", Comparison::table(&outcome.comparisons));
        artifact::publish(&options.csv, outcome.data.csv())?;
        if let Some(path) = &options.json {
            artifact::publish(path, outcome.data.json_lines())?;
        }
        if let Some(svg) = outcome.svg {
            artifact::publish(&options.svg, &svg)?;
        }
        println!("{} runs of each case in {:.1?}", options.runs, started.elapsed());
        Ok(())
    }
}
