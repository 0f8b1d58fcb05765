//! The statistics of an ensemble: a cell for each observable of each layer.

use super::{Experiment, Layers, Record};
use crate::report::{Table, Value};
use crate::serialization::deserialize_checked;
use crate::statistics::{Moments, quantile};
use crate::{Error, Result};

/// Statistics of consecutive runs of an experiment.
///
/// Takes [`Record`]s in one by one, in the order of runs. A run that stopped early counts at the
/// layers that it reached, so the numbers of runs can fall with depth: [`stopped`](Self::stopped)
/// says whether they do, and means of what is left are means of survivors.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Summary {
    observables: Vec<String>,
    layers: Vec<Layers>,
    first_run: u32,
    runs: u32,
    /// Row by row.
    cells: Vec<Observable>,
    stopped: u32,
    stops: Vec<Stop>,
}

/// A run that ended before its last layer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Stop {
    /// The number of the run.
    pub run: u32,
    /// The error that ended it, in words.
    pub reason: String,
}

/// What the runs tell of one observable at one layer, or on average over some.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Observable {
    moments: Moments,
    sample: Vec<f64>,
}

/// How many values of a cell are kept: the error of a quantile is below .016 in probability.
const SAMPLE: usize = 1000;

/// How many stops are kept with their reason.
const STOPS: usize = 16;

impl Observable {
    /// Mean and variance over all runs.
    #[must_use]
    pub fn moments(&self) -> &Moments {
        &self.moments
    }

    /// The values of the first 1000 runs that got here, in their order: since runs are independent,
    /// as good a sample as any.
    #[must_use]
    pub fn sample(&self) -> &[f64] {
        &self.sample
    }

    /// The `p`-quantile of [`sample`](Self::sample), by [`quantile`]; none of no values.
    #[must_use]
    pub fn quantile(&self, p: f64) -> Option<f64> {
        let mut ascending = self.sample.clone();
        ascending.sort_by(f64::total_cmp);
        quantile(&ascending, p)
    }

    fn push(&mut self, value: f64) {
        self.moments.push(value);
        if self.sample.len() < SAMPLE {
            self.sample.push(value);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.moments.merge(&other.moments).expect("a number a run, and runs have 32 bits");
        let room = SAMPLE.saturating_sub(self.sample.len());
        self.sample.extend(other.sample.iter().take(room));
    }
}

impl Summary {
    /// Of no runs yet, the first to be `first_run`.
    #[must_use]
    pub fn new(experiment: &dyn Experiment, first_run: u32) -> Self {
        let (observables, layers) = (experiment.observables(), experiment.layers());
        Self {
            observables: observables.to_vec(),
            layers: layers.to_vec(),
            first_run,
            runs: 0,
            cells: vec![Observable::default(); observables.len() * layers.len()],
            stopped: 0,
            stops: Vec::new(),
        }
    }

    /// The names of what was observed.
    #[must_use]
    pub fn observables(&self) -> &[String] {
        &self.observables
    }

    /// The layers that were looked at.
    #[must_use]
    pub fn layers(&self) -> &[Layers] {
        &self.layers
    }

    /// How many runs there were.
    #[must_use]
    pub fn runs(&self) -> u32 {
        self.runs
    }

    /// The number of the run that comes next.
    #[must_use]
    pub fn next_run(&self) -> u32 {
        self.first_run.saturating_add(self.runs)
    }

    /// How many runs ended early.
    #[must_use]
    pub fn stopped(&self) -> u32 {
        self.stopped
    }

    /// The first 16 runs that ended early, and why.
    #[must_use]
    pub fn stops(&self) -> &[Stop] {
        &self.stops
    }

    /// An observable at a layer, or averaged over the layers that end with it; none if that was not
    /// looked at.
    ///
    /// Where both were, it is the one that comes first in [`layers`](Self::layers); [`over`] is exact.
    ///
    /// [`over`]: Self::over
    #[must_use]
    pub fn at(&self, layer: usize, observable: &str) -> Option<&Observable> {
        let row = self.layers.iter().position(|layers| layers.last == layer)?;
        self.cell(row, observable)
    }

    /// An observable averaged over a stretch of layers, or at a single one.
    #[must_use]
    pub fn over(&self, layers: impl Into<Layers>, observable: &str) -> Option<&Observable> {
        let layers = layers.into();
        let row = self.layers.iter().position(|&found| found == layers)?;
        self.cell(row, observable)
    }

    fn cell(&self, row: usize, observable: &str) -> Option<&Observable> {
        let column = self.observables.iter().position(|name| name == observable)?;
        self.cells.get(row * self.observables.len() + column)
    }

    /// Takes in the record of the next run.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if it is of another run than the [next](Self::next_run),
    /// [`Error::ShapeMismatch`] if it has another shape.
    pub fn push(&mut self, record: &Record) -> Result<()> {
        let columns = self.observables.len();
        self.expect_next(record.run)?;
        let found = (record.rows.len(), record.columns());
        self.expect_shape("the record of a run", found)?;
        for (row, values) in record.rows.iter().enumerate() {
            let cells = &mut self.cells[row * columns..][..columns];
            for (cell, &value) in cells.iter_mut().zip(values.iter().flatten()) {
                cell.push(value);
            }
        }
        self.runs += 1;
        self.stopped += u32::from(record.stop.is_some());
        self.keep_stops(record.stop.as_slice());
        Ok(())
    }

    /// Takes in the statistics of the runs that follow.
    ///
    /// The result is that of all runs one by one but for rounding; equal shares give equal bits.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if `other` does not begin with the [next run](Self::next_run),
    /// [`Error::ShapeMismatch`] if it is of another experiment.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.expect_next(other.first_run)?;
        self.expect_shape("the summary", (other.layers.len(), other.observables.len()))?;
        if (&self.layers, &self.observables) != (&other.layers, &other.observables) {
            let name = "the summary of another experiment";
            let expected = "the same layers and observables";
            return Err(Error::InvalidParameter {
                name,
                value: f64::from(other.first_run),
                expected,
            });
        }
        self.cells.iter_mut().zip(&other.cells).for_each(|(cell, other)| cell.merge(other));
        self.runs += other.runs;
        self.stopped += other.stopped;
        self.keep_stops(&other.stops);
        Ok(())
    }

    fn expect_next(&self, run: u32) -> Result<()> {
        if run != self.next_run() {
            let expected = "the run after the last one";
            return Err(Error::InvalidParameter { name: "run", value: f64::from(run), expected });
        }
        Ok(())
    }

    fn expect_shape(&self, what: &'static str, found: (usize, usize)) -> Result<()> {
        let expected = (self.layers.len(), self.observables.len());
        if found != expected {
            return Err(Error::ShapeMismatch { what, found, expected });
        }
        Ok(())
    }

    fn keep_stops(&mut self, stops: &[Stop]) {
        let room = STOPS.saturating_sub(self.stops.len());
        self.stops.extend(stops.iter().take(room).cloned());
    }

    /// A line for each observable of each layer: runs, mean, standard error, the interval that holds
    /// the mean with probability 0.95, and the quantiles .025, .5 and .975 of runs.
    #[must_use]
    pub fn table(&self) -> Table {
        let columns = ["layer", "observable", "runs", "mean", "standard_error", "low", "high"];
        let mut table = Table::new(columns.into_iter().chain(["q025", "median", "q975"]));
        for (cells, layers) in self.cells.chunks(self.observables.len().max(1)).zip(&self.layers) {
            for (cell, observable) in cells.iter().zip(&self.observables) {
                let moments = cell.moments();
                let interval = moments.confidence_interval(0.95);
                let row = [
                    Value::from(layers.to_string()),
                    observable.as_str().into(),
                    moments.count().into(),
                    moments.mean().into(),
                    moments.standard_error().into(),
                    interval.map(|interval| interval.low).into(),
                    interval.map(|interval| interval.high).into(),
                    cell.quantile(0.025).into(),
                    cell.quantile(0.5).into(),
                    cell.quantile(0.975).into(),
                ];
                table.push(row).expect("a value for each column");
            }
        }
        table
    }
}

deserialize_checked!(
    Summary {
        observables: Vec<String>,
        layers: Vec<Layers>,
        first_run: u32,
        runs: u32,
        cells: Vec<Observable>,
        stopped: u32,
        stops: Vec<Stop>
    },
    |observables, layers, first_run, runs, cells, stopped, stops| {
        let expected = (layers.len(), observables.len());
        if cells.len() != expected.0 * expected.1 {
            let (found, expected) = ((cells.len(), 1), (expected.0 * expected.1, 1));
            return Err(Error::ShapeMismatch { what: "the list of cells", found, expected });
        }
        let most = cells.iter().map(|cell| cell.moments.count()).max();
        let counted = u64::from(stopped).max(most.unwrap_or(0));
        if first_run.checked_add(runs).is_none() || counted > runs.into() {
            let (name, expected) = ("runs", "as many as are numbered, stopped or counted");
            return Err(Error::InvalidParameter { name, value: f64::from(runs), expected });
        }
        let kept = STOPS.min(stopped as usize);
        if stops.len() != kept {
            let (found, expected) = ((stops.len(), 1), (kept, 1));
            return Err(Error::ShapeMismatch { what: "the list of stops", found, expected });
        }
        let mut next = first_run;
        for stop in &stops {
            if !(next..first_run + runs).contains(&stop.run) {
                let (name, expected) = ("run of a stop", "one of the runs, after the last stop");
                return Err(Error::InvalidParameter { name, value: stop.run.into(), expected });
            }
            next = stop.run + 1;
        }
        Ok(Summary { observables, layers, first_run, runs, cells, stopped, stops })
    }
);

deserialize_checked!(
    Observable { moments: Moments, sample: Vec<f64> },
    |moments, sample| {
        let kept = moments.count().min(SAMPLE as u64) as usize;
        if sample.len() != kept {
            let (found, expected) = ((sample.len(), 1), (kept, 1));
            return Err(Error::ShapeMismatch { what: "the sample", found, expected });
        }
        match sample.iter().position(|value| !value.is_finite()) {
            Some(row) => Err(Error::NotFinite { row, column: 0, value: sample[row] }),
            None => Ok(Observable { moments, sample }),
        }
    }
);
