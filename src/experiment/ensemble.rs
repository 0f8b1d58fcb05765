//! Many runs of an experiment, on all threads, in the order of runs.

use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use super::{Experiment, Record, Summary};
use crate::check;
use crate::statistics::Moments;
use crate::{Error, Result, Seed};

/// Many independent runs of an [`Experiment`].
#[derive(Clone, Copy)]
pub struct Ensemble<'a> {
    experiment: &'a dyn Experiment,
    seed: Seed,
}

/// The precision at which an ensemble stops.
///
/// ```
/// use orthogap::experiment::{Ensemble, ChainExperiment, Precision};
/// use orthogap::{Input, Network, Seed};
///
/// let (network, input) = (Network::<f64>::new(64), Input::orthogonal(4)?);
/// let experiment = ChainExperiment::new(&network, &input)
///     .observe("orthogonality_gap", |layer| Ok(layer.orthogonality_gap()))
///     .at([20]);
/// let enough = Precision { layer: 20, observable: "orthogonality_gap", standard_error: 2e-3 };
/// let summary = Ensemble::new(&experiment, Seed(7)).run_until(enough, 10_000)?;
/// assert!(summary.runs() < 1000);
/// assert!(summary.mean(20, "orthogonality_gap")?.standard_error <= 2e-3);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precision<'a> {
    /// The layer, or the last of the layers that are averaged over. If several rows end with it, it
    /// is the first of them.
    pub layer: usize,
    /// The name of the observable.
    pub observable: &'a str,
    /// The standard error of its mean that is small enough.
    pub standard_error: f64,
}

/// The number of runs between two checks of [`Ensemble::run_until`] is this number, or an eighth of
/// the runs so far if that is more. Checks are rare, so an error that is small by chance seldom
/// stops it.
const LOOK: u32 = 32;

/// The runs that [`Ensemble::run_until`] needs for each unit of squared skewness. A rare event must
/// happen this many times.
const RUNS_FOR_SKEWNESS: f64 = 50.0;

/// The most records that [`Ensemble::run_until`] holds.
const AT_ONCE: u32 = 1024;

impl<'a> Ensemble<'a> {
    /// Creates an ensemble of an experiment under a seed.
    #[must_use]
    pub fn new(experiment: &'a dyn Experiment, seed: Seed) -> Self {
        Self { experiment, seed }
    }

    /// Returns the experiment.
    #[must_use]
    pub fn experiment(&self) -> &'a dyn Experiment {
        self.experiment
    }

    /// Returns the seed.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Returns a summary without runs, to [`extend`](Self::extend).
    #[must_use]
    pub fn empty(&self) -> Summary {
        Summary::new(self, 0)
    }

    /// Returns a share of the runs, for one of many machines or jobs. [`Summary::merge`] combines
    /// shares.
    ///
    /// ```
    /// use orthogap::Seed;
    /// use orthogap::experiment::{Ensemble, from_fn};
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
    /// Those of [`run`](Self::run): an empty range is an error, too.
    pub fn share(&self, runs: Range<u32>) -> Result<Summary> {
        let mut summary = Summary::new(self, runs.start);
        self.extend(&mut summary, runs.end.saturating_sub(runs.start))?;
        Ok(summary)
    }

    /// Returns the first `runs` runs, on the threads of the current rayon pool.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for no runs, for an experiment that observes nothing, and for
    /// layers that end before they begin; [`Error::Unreadable`] if two observables have one name;
    /// [`Error::StreamExhausted`] for runs beyond number 2^32 - 2; and the errors of the experiment
    /// that do not [stop a run](Experiment::run).
    pub fn run(&self, runs: u32) -> Result<Summary> {
        let mut summary = self.empty();
        self.extend(&mut summary, runs)?;
        Ok(summary)
    }

    /// Runs until a mean is known well enough, or `most` runs are done.
    ///
    /// It stops if the standard error is small enough and the runs are at least 50 times the
    /// squared skewness $`\gamma^2`$ of their numbers. With fewer the standard error itself is not
    /// known. An event of probability `p` has $`\gamma^2 \approx 1/p`$ and must have happened about
    /// 50 times. If all runs give the same number, there is no estimate of the error, and all
    /// `most` runs are done. It checks every 32 runs, or when their number has grown by an eighth,
    /// so the number of runs does not depend on threads.
    ///
    /// The mean is biased, because its own error stops the runs: after `N` runs by about
    /// $`-\gamma/\sqrt N`$ standard errors, so at most by 0.15 where the runs show their skewness.
    /// Measured biases, in units of the spread of the mean: -0.10 for an event of probability 0.01
    /// after 10,000 runs, and +0.14 after 5000, where the second condition stops them; -0.10 for
    /// exponential numbers after 400; -0.15 after 2000 and -0.22 after 1000 for log-normal ones
    /// ($`\sigma = 1`$), which rarely show their skewness of 6.2. Runs that did not decide the stop
    /// are unbiased: [`share`](Self::share)`(n..2 * n)`, where `n` is the number of runs at the
    /// stop.
    ///
    /// Memory: a number for each run, and the records of up to 1024 runs.
    ///
    /// # Errors
    /// Those of [`run`](Self::run); [`Error::UnknownName`] if there is no such observable or layer;
    /// [`Error::InvalidParameter`] for a standard error that is not positive.
    pub fn run_until(&self, enough: Precision<'_>, most: u32) -> Result<Summary> {
        let mut summary = self.empty();
        let Precision { layer, observable, standard_error } = enough;
        let (row, column) = summary.position(|layers| layers.last == layer, layer, observable)?;
        let valid = standard_error > 0.0;
        check::parameter("standard error", standard_error, valid, "a positive number")?;
        at_least_one(most)?;
        let mut values = Vec::new();
        while summary.runs() < most {
            let done = summary.runs();
            let next_look = done + LOOK.max(done / 8).min(most - done);
            while summary.runs() < next_look {
                let some = AT_ONCE.min(next_look - summary.runs());
                self.take_in(&mut summary, some, |record| {
                    values.extend(record.rows[row].as_ref().map(|values| values[column]));
                })?;
            }
            if is_known(&values, standard_error) {
                break;
            }
        }
        Ok(summary)
    }

    /// Adds runs to a summary of this ensemble until it has `runs` of them.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), after which the summary has the runs before the one that
    /// failed, and [`Error::OtherEnsemble`] if the summary is of another experiment or seed.
    pub fn extend(&self, summary: &mut Summary, runs: u32) -> Result<()> {
        self.extend_while(summary, runs, |_| ControlFlow::Continue(()))
    }

    /// Does what [`extend`](Self::extend) does, and lets `proceed` stop it. `proceed` gets the
    /// number of runs in the summary about ten times a second, or after one run on each thread if
    /// that takes longer. Finished runs are kept.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use orthogap::Seed;
    /// use orthogap::experiment::{Ensemble, from_fn};
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
        at_least_one(runs)?;
        summary.expect_alike(&self.empty())?;
        // Runs are numbered below 2^32 - 1, which is where a range can end.
        let missing = runs.saturating_sub(summary.runs());
        if summary.next_run().checked_add(missing).is_none() {
            let value = summary.next_run() as usize + missing as usize;
            return Err(Error::StreamExhausted { coordinate: "run", value });
        }
        let mut wave = threads();
        while summary.runs() < runs {
            let started = Instant::now();
            self.take_in(summary, wave.min(runs - summary.runs()), |_| ())?;
            if proceed(summary.runs()).is_break() {
                break;
            }
            if started.elapsed() < Duration::from_millis(50) {
                wave = wave.saturating_mul(2);
            }
        }
        Ok(())
    }

    /// Does the next runs, and shows the record of each.
    fn take_in(
        &self,
        summary: &mut Summary,
        runs: u32,
        mut see: impl FnMut(&Record),
    ) -> Result<()> {
        let first = summary.next_run();
        for record in self.records(first..first.saturating_add(runs)) {
            let record = record?;
            summary.push(&record)?;
            see(&record);
        }
        Ok(())
    }

    /// Returns the records of a range of runs, in their order, on the threads of the current rayon
    /// pool.
    ///
    /// For distributed schedulers: [`Summary::push`] adds records in the order of runs. Each record
    /// is an error if nothing is observed, two observables have one name, or layers end before they
    /// begin. Memory: all records at once.
    #[must_use]
    pub fn records(&self, runs: Range<u32>) -> Vec<Result<Record>> {
        let record = |index| {
            let run = self.seed.replicate(index);
            super::run::check(self.experiment.observables(), self.experiment.layers())?;
            let mut record = Record::new(self.experiment, run);
            match self.experiment.run(run, &mut record) {
                Err(error) if error.ends_a_run() => record.stop(&error),
                done => done?,
            }
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

fn at_least_one(runs: u32) -> Result<()> {
    check::parameter("runs", f64::from(runs), runs > 0, "at least one run").map(drop)
}

/// Whether the mean of some numbers has a standard error that is small enough, and known.
fn is_known(values: &[f64], standard_error: f64) -> bool {
    let moments: Moments = values.iter().copied().collect();
    let deviation = moments.sample_variance().sqrt();
    let cubes = values.iter().map(|x| ((x - moments.mean()) / deviation).powi(3));
    let skewness = cubes.sum::<f64>() / values.len() as f64;
    // The skewness of equal numbers is NaN, and never small enough.
    moments.standard_error() <= standard_error
        && RUNS_FOR_SKEWNESS * skewness * skewness <= values.len() as f64
}

/// How many runs are done at once.
fn threads() -> u32 {
    #[cfg(feature = "rayon")]
    return u32::try_from(rayon::current_num_threads()).unwrap_or(u32::MAX);
    #[cfg(not(feature = "rayon"))]
    1
}
