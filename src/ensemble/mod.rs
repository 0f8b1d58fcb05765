//! Replicates of an experiment: statistics of many independent runs that can be trusted, and
//! repeated to the bit on any number of threads.
//!
//! An [`Experiment`] says what one run is and what is recorded of it; [`Observed`] is the one that
//! sends a batch through a network and looks at its layers. An [`Ensemble`] repeats it and makes a
//! [`Summary`].
//!
//! ```
//! use orthogap::ensemble::{Ensemble, Observed};
//! use orthogap::{Input, Network, Seed};
//!
//! let (network, input) = (Network::<f64>::new(128), Input::spiked(4, 1e-6)?);
//! let experiment = Observed::new(&network, &input)
//!     .observe("orthogonality_gap", |layer| Ok(layer.orthogonality_gap()))
//!     .observe("effective_rank", |layer| Ok(layer.spectrum().effective_rank()))
//!     .at((0..=40).step_by(10))
//!     .mean_over(31..=40);
//! let summary = Ensemble::new(&experiment, Seed(7)).run(200)?;
//!
//! let gap = summary.at(40, "orthogonality_gap").expect("observed");
//! assert_eq!(gap.moments().count(), 200);
//! let interval = gap.moments().confidence_interval(0.95).expect("enough runs");
//! assert!(interval.contains(0.1) && interval.high < 0.12);
//! println!("{}", summary.table());
//! # Ok::<(), orthogap::Error>(())
//! ```
//!
//! # Repeatability
//!
//! Run `k` of an ensemble is [`Seed::replicate`]`(k)`, whoever does it. Records come back in the order
//! of runs and are taken in one by one, so equal seeds give equal bits on any number of threads or
//! machines, and 100 runs followed by 100 more are the same as 200.
//!
//! Run `k` draws from the same random numbers whatever the network: those of widths `d` and `2 d`
//! have half of theirs in common, and their means are correlated. Where errors of several ensembles
//! are put together, as those of the points of a [`Line`](crate::statistics::Line), each ensemble
//! needs a seed of its own: [`Seed::branch`].

mod experiment;
mod observed;
mod summary;

pub use experiment::{Experiment, FromFn, Layers, Record, from_fn};
pub use observed::Observed;
pub use summary::{Observable, Stop, Summary};

use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use crate::{Error, Result, Seed};

/// Many independent runs of an [`Experiment`].
#[derive(Clone, Copy)]
pub struct Ensemble<'a> {
    experiment: &'a dyn Experiment,
    seed: Seed,
}

/// When an ensemble has seen enough.
///
/// ```
/// use orthogap::ensemble::{Ensemble, Observed, Precision};
/// use orthogap::{Input, Network, Seed};
///
/// let (network, input) = (Network::<f64>::new(64), Input::orthogonal(4)?);
/// let experiment = Observed::new(&network, &input)
///     .observe("orthogonality_gap", |layer| Ok(layer.orthogonality_gap()))
///     .at([20]);
/// let enough = Precision { layer: 20, observable: "orthogonality_gap", standard_error: 2e-3 };
/// let summary = Ensemble::new(&experiment, Seed(7)).run_until(enough, 10_000)?;
/// assert!(summary.runs() < 1000);
/// assert!(summary.at(20, "orthogonality_gap").expect("observed").moments().standard_error() <= 2e-3);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precision<'a> {
    /// The layer, or the last of the layers that are averaged over.
    pub layer: usize,
    /// The name of the observable.
    pub observable: &'a str,
    /// The standard error of its mean that is small enough.
    pub standard_error: f64,
}

/// How often an ensemble looks whether it has seen enough, in runs, and the least that it needs: so
/// rarely that an error which is small by chance seldom stops it.
const LOOK: u32 = 32;

impl<'a> Ensemble<'a> {
    /// Runs of an experiment under a seed.
    #[must_use]
    pub fn new(experiment: &'a dyn Experiment, seed: Seed) -> Self {
        Self { experiment, seed }
    }

    /// The experiment.
    #[must_use]
    pub fn experiment(&self) -> &'a dyn Experiment {
        self.experiment
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// A summary without runs, to [`extend`](Self::extend).
    #[must_use]
    pub fn empty(&self) -> Summary {
        Summary::new(self.experiment, 0)
    }

    /// A share of the runs, for one of many machines or jobs; [`Summary::merge`] puts shares together.
    ///
    /// ```
    /// use orthogap::Seed;
    /// use orthogap::ensemble::{Ensemble, from_fn};
    ///
    /// let experiment = from_fn(["index"], 0, |run| Ok([f64::from(run.index())]));
    /// let ensemble = Ensemble::new(&experiment, Seed(1));
    /// let mut all = ensemble.share(0..4)?;
    /// all.merge(&ensemble.share(4..9)?)?;
    /// assert_eq!((all.runs(), all.at(0, "index").map(|index| index.moments().mean())), (9, Some(4.0)));
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub fn share(&self, runs: Range<u32>) -> Result<Summary> {
        let mut summary = Summary::new(self.experiment, runs.start);
        self.extend(&mut summary, runs.end.saturating_sub(runs.start))?;
        Ok(summary)
    }

    /// The first `runs` runs, on the threads of the current rayon pool.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for no runs, [`Error::StreamExhausted`] for runs beyond number
    /// 2^32 - 2, and those of the experiment, which mean that it
    /// cannot be run at all. What happens to single runs is in [`Summary::stops`].
    pub fn run(&self, runs: u32) -> Result<Summary> {
        let mut summary = self.empty();
        self.extend(&mut summary, runs)?;
        Ok(summary)
    }

    /// Runs until a mean is known well enough, or `most` runs are done.
    ///
    /// Looks every 32 runs, so the number of runs does not depend on threads. As with every rule that
    /// stops on what it sees, the last standard error is a few per cent too small.
    ///
    /// # Errors
    /// Those of [`run`](Self::run); [`Error::InvalidParameter`] if there is no such observable or
    /// layer, or for a standard error that is not positive.
    pub fn run_until(&self, enough: Precision<'_>, most: u32) -> Result<Summary> {
        let mut summary = self.empty();
        let Precision { layer, observable, standard_error } = enough;
        if summary.at(layer, observable).is_none() {
            let expected = "a layer at which the observable is recorded";
            return Err(Error::InvalidParameter { name: "layer", value: layer as f64, expected });
        }
        if standard_error.is_nan() || standard_error <= 0.0 {
            let expected = "a positive number";
            return Err(Error::InvalidParameter {
                name: "standard error",
                value: standard_error,
                expected,
            });
        }
        let mut done = 0;
        while done < most {
            done += LOOK.min(most - done);
            self.extend(&mut summary, done)?;
            let found = summary.at(layer, observable).map(|found| found.moments().standard_error());
            if found.is_some_and(|found| found <= standard_error) {
                break;
            }
        }
        Ok(summary)
    }

    /// Adds runs to a summary until it has `runs` of them; what it has must be of this ensemble.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), with the summary as far as it came, and
    /// [`Error::ShapeMismatch`] if the summary is that of another experiment.
    pub fn extend(&self, summary: &mut Summary, runs: u32) -> Result<()> {
        self.extend_while(summary, runs, |_| ControlFlow::Continue(()))
    }

    /// [`extend`](Self::extend) for runs that take a while: `proceed` is told about ten times a
    /// second how many runs the summary has, and may break off; what was done is kept.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use orthogap::Seed;
    /// use orthogap::ensemble::{Ensemble, from_fn};
    ///
    /// let experiment = from_fn(["index"], 0, |run| Ok([f64::from(run.index())]));
    /// let ensemble = Ensemble::new(&experiment, Seed(1));
    /// let mut summary = ensemble.empty();
    /// ensemble.extend_while(&mut summary, 1_000_000, |_| ControlFlow::Break(()))?;
    /// assert!(summary.runs() < 1_000_000);
    /// ensemble.extend(&mut summary, 1000)?;
    /// assert!(summary.runs() >= 1000);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`extend`](Self::extend).
    pub fn extend_while(
        &self,
        summary: &mut Summary,
        runs: u32,
        mut proceed: impl FnMut(u32) -> ControlFlow<()>,
    ) -> Result<()> {
        if runs == 0 {
            let expected = "at least one run";
            return Err(Error::InvalidParameter { name: "runs", value: 0.0, expected });
        }
        // Runs are numbered below 2^32 - 1: there a range could not end.
        let missing = runs.saturating_sub(summary.runs());
        if summary.next_run().checked_add(missing).is_none() {
            let value = summary.next_run() as usize + missing as usize;
            return Err(Error::StreamExhausted { coordinate: "run", value });
        }
        let mut wave = threads();
        while summary.runs() < runs {
            let started = Instant::now();
            let first = summary.next_run();
            let wave_runs = wave.min(runs - summary.runs());
            for record in self.records(first..first.saturating_add(wave_runs)) {
                summary.push(&record?)?;
            }
            if proceed(summary.runs()).is_break() {
                break;
            }
            if started.elapsed() < Duration::from_millis(50) {
                wave = wave.saturating_mul(2);
            }
        }
        Ok(())
    }

    /// What the runs of a range record, in their order, on the threads of the current rayon pool.
    ///
    /// For whoever deals runs out to machines: a [`Summary`] takes records in, in the order of runs.
    #[must_use]
    pub fn records(&self, runs: Range<u32>) -> Vec<Result<Record>> {
        let record = |index| {
            let run = self.seed.replicate(index);
            let mut record = Record::new(self.experiment, run);
            self.experiment.run(run, &mut record)?;
            Ok(record)
        };
        #[cfg(feature = "rayon")]
        {
            use rayon::prelude::*;
            runs.into_par_iter().map(record).collect()
        }
        #[cfg(not(feature = "rayon"))]
        runs.map(record).collect()
    }
}

/// How many runs go on at once.
fn threads() -> u32 {
    #[cfg(feature = "rayon")]
    return u32::try_from(rayon::current_num_threads()).unwrap_or(u32::MAX);
    #[cfg(not(feature = "rayon"))]
    1
}
