//! The ensembles of a figure, one after the other under one progress bar.

use std::ops::ControlFlow;

use indicatif::{ProgressBar, ProgressStyle};
use orthogap::experiment::{Ensemble, Experiment, Observable, Summary};
use orthogap::report::Value;

use super::Options;
use crate::command::{self, Result};

/// One case of a figure.
pub struct Job<'a> {
    /// Its name, for messages.
    pub name: String,
    /// Its experiment.
    pub experiment: Box<dyn Experiment + 'a>,
    /// The time of a run, in any unit.
    pub cost: usize,
}

/// Computes the summaries of all cases, and reports runs that ended early.
///
/// Each case and each round has its own runs. With the same runs, networks of different widths
/// would share random numbers, and the error of a line through their means would be wrong.
pub fn run_all(jobs: &[Job], options: &Options, round: u32) -> Result<Vec<Summary>> {
    let style = ProgressStyle::with_template("{bar:40} {percent}%, {eta} left, {msg}")?;
    let count = u64::from(options.runs);
    let total: u64 = jobs.iter().map(|job| job.cost as u64 * count).sum();
    let progress = ProgressBar::new(total).with_style(style);
    let mut done = 0;
    let first_case = round * jobs.len() as u32;
    let summaries = (first_case..).zip(jobs).map(|(case, job)| {
        progress.set_message(job.name.clone());
        let ensemble = Ensemble::new(&*job.experiment, options.seed);
        let mut summary = Summary::new(&ensemble, case * options.runs);
        ensemble.extend_while(&mut summary, options.runs, |runs| {
            progress.set_position(done + u64::from(runs) * job.cost as u64);
            ControlFlow::Continue(())
        })?;
        done += count * job.cost as u64;
        if let Some(first) = summary.stops().first() {
            let (name, stopped, total) = (&job.name, summary.stopped(), summary.runs());
            let line = format!("{name}: {stopped} of {total} runs ended early; run {}", first.run);
            progress.suspend(|| command::complain(&format_args!("{line}: {}", first.reason)));
        }
        Ok(summary)
    });
    let summaries = summaries.collect();
    progress.finish_and_clear();
    summaries
}

/// The names of the values of [`statistics`].
pub const STATISTICS: [&str; 6] = ["mean", "standard_error", "runs", "q025", "median", "q975"];

/// Mean, standard error, number of runs, and the quantiles .025, .5 and .975 of runs.
pub fn statistics(observable: &Observable) -> [Value; 6] {
    let moments = observable.moments();
    let quantile = |p| Value::from(observable.quantile(p));
    [
        moments.mean().into(),
        moments.standard_error().into(),
        moments.count().into(),
        quantile(0.025),
        quantile(0.5),
        quantile(0.975),
    ]
}

/// The central 95 % of runs.
pub fn band(observable: &Observable) -> (f64, f64) {
    let quantile = |p| observable.quantile(p).unwrap_or(f64::NAN);
    (quantile(0.025), quantile(0.975))
}
