//! One run of an experiment, and its record.

use std::fmt;
use std::ops::RangeInclusive;

use super::Stop;
use crate::serialization::deserialize_checked;
use crate::{Error, Event, Replicate, Result};

/// The largest number whose squares can be added up over 2^32 runs.
const LARGEST: f64 = 1e148;

/// An experiment that can be repeated, with the same observables each time.
///
/// A run fills a table, its [`Record`]: a column for each observable, a row for each layer, or each
/// range of layers that is averaged over. A run that ends early leaves rows empty.
/// [`ChainExperiment`](super::ChainExperiment) fills it with the layers of a network; [`from_fn`]
/// makes an experiment from a closure.
pub trait Experiment: Sync {
    /// Returns the names of the columns.
    fn observables(&self) -> &[String];

    /// Returns the layers of the rows.
    fn layers(&self) -> &[Layers];

    /// Runs the experiment once.
    ///
    /// # Errors
    /// An error of the numbers of this run [stops](super::Summary::stops) it. It keeps its earlier
    /// records, and the ensemble continues. These are [`Error::Collapsed`],
    /// [`Error::AllSamplesZero`], [`Error::ScaleOutOfRange`], [`Error::Diverged`],
    /// [`Error::NotFinite`], [`Error::Overflow`], [`Error::SumOutOfRange`], [`Error::ZeroMatrix`],
    /// [`Error::ZeroColumn`], [`Error::RankDeficient`], [`Error::DegenerateRow`] and
    /// [`Error::DegenerateSample`]. Any other error means that the experiment cannot be run, and
    /// ends the ensemble; failures of the experiment's own code are [`Error::Experiment`].
    fn run(&self, run: Replicate, record: &mut Record) -> Result<()>;
}

/// The layers of a row of a [`Record`]: one, or a range that is averaged over.
///
/// ```
/// use orthogap::experiment::Layers;
///
/// assert_eq!(Layers::from(7).to_string(), "7");
/// assert_eq!(Layers::from(101..=500).to_string(), "101-500");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Layers {
    /// The first layer; 0 is the input.
    pub first: usize,
    /// The last layer.
    pub last: usize,
}

impl Layers {
    /// Refuses layers that end before they begin.
    fn check(self) -> Result<Self> {
        let Self { first, last } = self;
        if last < first {
            let (name, expected) = ("the last of some layers", "a layer not before the first");
            return Err(Error::InvalidParameter { name, value: last as f64, expected });
        }
        Ok(self)
    }
}

deserialize_checked!(Layers { first: usize, last: usize }, |first, last| {
    Layers { first, last }.check()
});

/// Refuses to observe nothing, layers that end before they begin, and observables of one name.
pub(super) fn check(observables: &[String], layers: &[Layers]) -> Result<()> {
    for (name, count) in
        [("the number of observables", observables.len()), ("the number of layers", layers.len())]
    {
        if count == 0 {
            return Err(Error::InvalidParameter { name, value: 0.0, expected: "at least one" });
        }
    }
    for (index, name) in observables.iter().enumerate() {
        if observables[..index].contains(name) {
            let expected = "a name that no other observable has";
            return Err(Error::Unreadable { text: name.clone(), expected });
        }
    }
    layers.iter().try_for_each(|layers| layers.check().map(drop))
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

/// The numbers of one run: a table with a row for each layer, empty if the run did not reach it.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Record {
    pub(super) run: Replicate,
    pub(super) rows: Vec<Option<Vec<f64>>>,
    columns: usize,
    pub(super) stop: Option<Stop>,
    pub(super) first_events: FirstEvents,
}

/// The layers at which a run met its first event of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub(super) struct FirstEvents {
    pub dead_samples: Option<usize>,
    pub rank_loss: Option<usize>,
}

impl Record {
    pub(super) fn new(experiment: &dyn Experiment, run: Replicate) -> Self {
        let (rows, columns) = (experiment.layers().len(), experiment.observables().len());
        let first_events = FirstEvents::default();
        Self { run, rows: vec![None; rows], columns, stop: None, first_events }
    }

    /// Fills a row, with a number for each observable.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for more or fewer numbers than observables, and for a row that does
    /// not exist; [`Error::NotFinite`], with row and column of the record, for a number that is not
    /// finite; [`Error::Overflow`] for one above 1e148, since sums of squares must be finite.
    pub fn set(&mut self, row: usize, values: &[f64]) -> Result<()> {
        if row >= self.rows.len() || values.len() != self.columns {
            let (found, expected) =
                ((row.saturating_add(1), values.len()), (self.rows.len(), self.columns));
            return Err(Error::ShapeMismatch { what: "the record of a run", found, expected });
        }
        if let Some(column) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::NotFinite { row, column, value: values[column] });
        }
        if let Some(&value) = values.iter().find(|value| value.abs() > LARGEST) {
            return Err(Error::Overflow { what: "observable, to be squared,", row, value });
        }
        self.rows[row] = Some(values.to_vec());
        Ok(())
    }

    /// Returns a row, a number for each observable; `None` if the run did not reach it.
    ///
    /// ```
    /// use orthogap::Seed;
    /// use orthogap::experiment::{Ensemble, from_fn};
    ///
    /// let experiment = from_fn(["index"], 0, |run| Ok([f64::from(run.index())]));
    /// let records = Ensemble::new(&experiment, Seed(1)).records(3..4);
    /// assert_eq!(records[0].as_ref().unwrap().row(0), Some([3.0].as_slice()));
    /// ```
    #[must_use]
    pub fn row(&self, row: usize) -> Option<&[f64]> {
        self.rows.get(row)?.as_deref()
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Marks the run as ended early, with the reason. Rows that were filled are kept.
    pub fn stop(&mut self, reason: &Error) {
        self.stop = Some(Stop { run: self.run.index(), reason: reason.to_string() });
    }

    /// Records an irreversible event of a chain. [`ChainExperiment`](super::ChainExperiment)
    /// records all of them, and a [`Summary`](super::Summary) counts the runs that met one.
    pub fn note(&mut self, event: &Event) {
        let first = match event {
            Event::DeadSamples { .. } => &mut self.first_events.dead_samples,
            Event::RankLoss { .. } => &mut self.first_events.rank_loss,
        };
        *first = Some(first.map_or(event.layer(), |first| first.min(event.layer())));
    }
}

deserialize_checked!(
    Record {
        run: Replicate,
        rows: Vec<Option<Vec<f64>>>,
        columns: usize,
        stop: Option<Stop>,
        first_events: FirstEvents
    },
    |run, rows, columns, stop, first_events| {
        let stopped = stop.as_ref().map_or(run.index(), |stop| stop.run);
        if run.index() == u32::MAX || stopped != run.index() {
            let expected = "a number below 2^32 - 1, the same for the run and its stop";
            return Err(Error::InvalidParameter { name: "run", value: stopped.into(), expected });
        }
        let empty = vec![None; rows.len()];
        let mut record = Record { run, rows: empty, columns, stop, first_events };
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

/// Creates an experiment from a closure that returns `N` numbers, the observables, about some
/// layers.
///
/// If the closure returns an error of its run, such as [`Error::Collapsed`], the run
/// [stops](super::Summary::stops). [`Experiment::run`] lists these errors.
///
/// The logarithm of a run's mean gap, which is not the mean of its logarithm:
///
/// ```
/// use orthogap::experiment::{Ensemble, from_fn};
/// use orthogap::{Input, Network, Result, Seed};
///
/// let (network, input) = (Network::<f64>::new(32), Input::orthogonal(4)?);
/// let experiment = from_fn(["log_mean_gap"], 1..=100, |run| {
///     let gaps = network.chain(&input, run)?.take(100).map(|layer| Ok(layer?.orthogonality_gap()));
///     Ok([(gaps.sum::<Result<f64>>()? / 100.0).ln()])
/// });
/// let summary = Ensemble::new(&experiment, Seed(7)).run(50)?;
/// assert!((summary.mean(1..=100, "log_mean_gap")?.value + 1.6).abs() < 0.1);
/// # Ok::<(), orthogap::Error>(())
/// ```
pub fn from_fn<const N: usize, F>(
    observables: [&str; N],
    layers: impl Into<Layers>,
    function: F,
) -> FromFn<F>
where
    F: Fn(Replicate) -> Result<[f64; N]> + Sync,
{
    FromFn { observables: observables.map(str::to_owned).into(), layers: [layers.into()], function }
}

impl<const N: usize, F: Fn(Replicate) -> Result<[f64; N]> + Sync> Experiment for FromFn<F> {
    fn observables(&self) -> &[String] {
        &self.observables
    }

    fn layers(&self) -> &[Layers] {
        &self.layers
    }

    fn run(&self, run: Replicate, record: &mut Record) -> Result<()> {
        record.set(0, &(self.function)(run)?)
    }
}
