//! What one run of an experiment is, and what is recorded of it.

use std::fmt;
use std::ops::RangeInclusive;

use super::Stop;
use crate::serialization::deserialize_checked;
use crate::{Error, Result, Run};

/// Something that can be run many times, and tells the same few numbers each time.
///
/// A run fills a table, its [`Record`]: a column for each observable, a row for each layer, or each
/// stretch of layers that is averaged over. [`Observed`](super::Observed) does so with the layers of
/// a network; [`from_fn`] makes an experiment of a closure.
pub trait Experiment: Sync {
    /// The names of the columns.
    fn observables(&self) -> &[String];

    /// What the rows are about.
    fn layers(&self) -> &[Layers];

    /// Does one run. A run that ends early is recorded with [`Record::stop`].
    ///
    /// # Errors
    /// Whatever means that the experiment cannot be run at all: it ends the ensemble.
    fn run(&self, run: Run, record: &mut Record) -> Result<()>;
}

/// The layers that a row of a [`Record`] is about: one, or a stretch that is averaged over.
///
/// ```
/// use orthogap::ensemble::Layers;
///
/// assert_eq!(Layers::from(7).to_string(), "7");
/// assert_eq!(Layers::from(101..=500).to_string(), "101-500");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Layers {
    /// The first layer; 0 is the input.
    pub first: usize,
    /// The last layer.
    pub last: usize,
}

impl From<usize> for Layers {
    fn from(layer: usize) -> Self {
        Self { first: layer, last: layer }
    }
}

impl From<RangeInclusive<usize>> for Layers {
    fn from(layers: RangeInclusive<usize>) -> Self {
        Self { first: *layers.start(), last: *layers.end() }
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// What one run tells: a table of numbers, with gaps where the run did not get to.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Record {
    pub(super) run: u32,
    pub(super) rows: Vec<Option<Vec<f64>>>,
    columns: usize,
    pub(super) stop: Option<Stop>,
}

impl Record {
    pub(super) fn new(experiment: &dyn Experiment, run: Run) -> Self {
        let (rows, columns) = (experiment.layers().len(), experiment.observables().len());
        Self { run: run.index(), rows: vec![None; rows], columns, stop: None }
    }

    /// Fills a row, with a number for each observable.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for the wrong number of numbers or a row that does not exist,
    /// [`Error::NotFinite`] (of row and column of the record) for what is no finite number.
    pub fn set(&mut self, row: usize, values: &[f64]) -> Result<()> {
        if row >= self.rows.len() || values.len() != self.columns {
            let (found, expected) = ((row + 1, values.len()), (self.rows.len(), self.columns));
            return Err(Error::ShapeMismatch { what: "the record of a run", found, expected });
        }
        if let Some(column) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::NotFinite { row, column, value: values[column] });
        }
        self.rows[row] = Some(values.to_vec());
        Ok(())
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Says that the run ended early, and why; what was recorded counts.
    pub fn stop(&mut self, reason: &Error) {
        self.stop = Some(Stop { run: self.run, reason: reason.to_string() });
    }
}

deserialize_checked!(
    Record { run: u32, rows: Vec<Option<Vec<f64>>>, columns: usize, stop: Option<Stop> },
    |run, rows, columns, stop| {
        let stopped = stop.as_ref().map_or(run, |stop| stop.run);
        if run == u32::MAX || stopped != run {
            let expected = "a number below 2^32 - 1, the same for the run and its stop";
            return Err(Error::InvalidParameter { name: "run", value: stopped.into(), expected });
        }
        let mut record = Record { run, rows: vec![None; rows.len()], columns, stop };
        for (row, values) in rows.iter().enumerate() {
            if let Some(values) = values {
                record.set(row, values)?;
            }
        }
        Ok(record)
    }
);

/// An experiment that records one row, made by [`from_fn`].
#[derive(Clone, Debug)]
pub struct FromFn<F> {
    observables: Vec<String>,
    layers: [Layers; 1],
    function: F,
}

/// An experiment of a closure that tells `N` numbers, the observables, about some layers.
///
/// The logarithm of a run's mean gap, which is not the mean of its logarithm:
///
/// ```
/// use orthogap::ensemble::{Ensemble, from_fn};
/// use orthogap::{Input, Network, Result, Seed};
///
/// let (network, input) = (Network::<f64>::new(32), Input::orthogonal(4)?);
/// let experiment = from_fn(["log_mean_gap"], 1..=100, |run| {
///     let gaps = network.chain(&input, run)?.take(100).map(|layer| Ok(layer?.orthogonality_gap()));
///     Ok([(gaps.sum::<Result<f64>>()? / 100.0).ln()])
/// });
/// let summary = Ensemble::new(&experiment, Seed(7)).run(50)?;
/// assert!(summary.at(100, "log_mean_gap").is_some_and(|mean| (mean.moments().mean() + 1.6).abs() < 0.1));
/// # Ok::<(), orthogap::Error>(())
/// ```
pub fn from_fn<const N: usize, F>(
    observables: [&str; N],
    layers: impl Into<Layers>,
    function: F,
) -> FromFn<F>
where
    F: Fn(Run) -> Result<[f64; N]> + Sync,
{
    FromFn { observables: observables.map(str::to_owned).into(), layers: [layers.into()], function }
}

impl<const N: usize, F: Fn(Run) -> Result<[f64; N]> + Sync> Experiment for FromFn<F> {
    fn observables(&self) -> &[String] {
        &self.observables
    }

    fn layers(&self) -> &[Layers] {
        &self.layers
    }

    fn run(&self, run: Run, record: &mut Record) -> Result<()> {
        record.set(0, &(self.function)(run)?)
    }
}
