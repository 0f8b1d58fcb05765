//! The statistics of an ensemble: a cell for each observable of each layer.

use super::{Ensemble, EventCount, Layers, Mean, Observable, Record};
use crate::report::{Table, Value};
use crate::serialization::deserialize_checked;
use crate::{Error, Result, Seed};

/// Statistics of consecutive runs of an experiment.
///
/// Adds [`Record`]s in the order of runs. A run that stopped early counts at the layers that it
/// reached, so the number of runs can fall with depth, and means at deep layers are over surviving
/// runs. [`stopped`](Self::stopped) counts the others. A run in which samples
/// [died](Self::dead_samples) or the [rank fell](Self::rank_loss) counts at all layers.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Summary {
    observables: Vec<String>,
    layers: Vec<Layers>,
    seed: Seed,
    first_run: u32,
    runs: u32,
    /// Row by row.
    cells: Vec<Observable>,
    stopped: u32,
    stops: Vec<Stop>,
    dead_samples: EventCount,
    rank_loss: EventCount,
}

/// A run that ended before its last layer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Stop {
    /// The number of the run.
    pub run: u32,
    /// The error that ended it, as a text.
    pub reason: String,
}

/// How many stops are kept with their reason.
const STOPS: usize = 16;

impl Summary {
    /// Creates an empty summary of an ensemble, whose first run will be `first_run`.
    #[must_use]
    pub fn new(ensemble: &Ensemble<'_>, first_run: u32) -> Self {
        let experiment = ensemble.experiment();
        let (observables, layers) = (experiment.observables(), experiment.layers());
        Self {
            observables: observables.to_vec(),
            layers: layers.to_vec(),
            seed: ensemble.seed(),
            first_run,
            runs: 0,
            cells: vec![Observable::default(); observables.len() * layers.len()],
            stopped: 0,
            stops: Vec::new(),
            dead_samples: EventCount::default(),
            rank_loss: EventCount::default(),
        }
    }

    /// Returns the names of the observables.
    #[must_use]
    pub fn observables(&self) -> &[String] {
        &self.observables
    }

    /// Returns the layers that were observed.
    #[must_use]
    pub fn layers(&self) -> &[Layers] {
        &self.layers
    }

    /// Returns the seed of the runs.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Returns the number of runs.
    #[must_use]
    pub fn runs(&self) -> u32 {
        self.runs
    }

    /// Returns the number of the next run.
    #[must_use]
    pub fn next_run(&self) -> u32 {
        self.first_run.saturating_add(self.runs)
    }

    /// Returns the number of runs that ended early.
    #[must_use]
    pub fn stopped(&self) -> u32 {
        self.stopped
    }

    /// Returns the first 16 runs that ended early, and why.
    #[must_use]
    pub fn stops(&self) -> &[Stop] {
        &self.stops
    }

    /// Returns the runs in which samples died, by the layer at which the first did.
    ///
    /// ```
    /// use orthogap::experiment::{ChainExperiment, Ensemble, Metric};
    /// use orthogap::{Activation, Input, Network, Seed, normalization::Normalization};
    ///
    /// let narrow = Network::<f64>::new(4)
    ///     .with_activation(Activation::Relu)
    ///     .with_normalization(Normalization::None);
    /// let input = Input::orthogonal(3)?;
    /// let observed =
    ///     ChainExperiment::new(&narrow, &input).observe_metrics([Metric::OrthogonalityGap]).at([1, 20]);
    /// let summary = Ensemble::new(&observed, Seed(1)).run(100)?;
    /// let dead = summary.dead_samples();
    /// assert!(dead.until(1) > 0 && dead.until(1) < dead.runs());
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn dead_samples(&self) -> &EventCount {
        &self.dead_samples
    }

    /// Returns the runs in which the rank fell, by the layer at which it first did.
    #[must_use]
    pub fn rank_loss(&self) -> &EventCount {
        &self.rank_loss
    }

    /// Returns the mean of an observable at a layer, or of its averages over a range of layers,
    /// with its errors.
    ///
    /// ```
    /// use orthogap::Seed;
    /// use orthogap::experiment::{Ensemble, from_fn};
    ///
    /// let experiment = from_fn(["index"], 50, |run| Ok([f64::from(run.index())]));
    /// let summary = Ensemble::new(&experiment, Seed(1)).run(9)?;
    /// let index = summary.mean(50, "index")?;
    /// assert!(index.value == 4.0 && index.interval.contains(2.0));
    /// let error = summary.mean(50, "indices").unwrap_err();
    /// assert_eq!(error.to_string(), "unknown observable \"indices\": expected index");
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownName`] for an unknown observable, or layers that were not observed;
    /// [`Error::SampleTooSmall`] if fewer than two runs reached them.
    pub fn mean(&self, layers: impl Into<Layers>, observable: &str) -> Result<Mean> {
        let layers = layers.into();
        let (row, column) = self.position(|&found| found == layers, layers, observable)?;
        self.cells[row * self.observables.len() + column].mean()
    }

    /// The first row whose layers are `wanted`, and the column of an observable.
    pub(super) fn position(
        &self,
        is_wanted: impl FnMut(&Layers) -> bool,
        wanted: impl ToString,
        observable: &str,
    ) -> Result<(usize, usize)> {
        let unknown = |what, name, known| Error::UnknownName { what, name, known };
        let column =
            self.observables.iter().position(|name| name == observable).ok_or_else(|| {
                unknown("observable", observable.to_owned(), self.observables.clone())
            })?;
        let row = self.layers.iter().position(is_wanted).ok_or_else(|| {
            let known = self.layers.iter().map(ToString::to_string).collect();
            unknown("observed layer", wanted.to_string(), known)
        })?;
        Ok((row, column))
    }

    /// Returns an observable at a layer, or averaged over a range of layers that ends with it;
    /// `None` if neither was observed.
    ///
    /// If both were, it is the one that comes first in [`layers`](Self::layers); [`over`] is exact.
    ///
    /// [`over`]: Self::over
    #[must_use]
    pub fn at(&self, layer: usize, observable: &str) -> Option<&Observable> {
        self.cell(self.position(|layers| layers.last == layer, layer, observable).ok()?)
    }

    /// Returns an observable averaged over a range of layers, or at a single one; `None` if that
    /// was not observed.
    #[must_use]
    pub fn over(&self, layers: impl Into<Layers>, observable: &str) -> Option<&Observable> {
        let layers = layers.into();
        self.cell(self.position(|&found| found == layers, layers, observable).ok()?)
    }

    fn cell(&self, (row, column): (usize, usize)) -> Option<&Observable> {
        self.cells.get(row * self.observables.len() + column)
    }

    /// Adds the record of the next run.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if it is of another run than the [next](Self::next_run),
    /// [`Error::OtherEnsemble`] if it is of another seed, [`Error::ShapeMismatch`] if it has another
    /// shape, [`Error::Experiment`] if it leaves rows empty although the run did not stop.
    pub fn push(&mut self, record: &Record) -> Result<()> {
        let columns = self.observables.len();
        self.expect_seed(record.run.seed())?;
        self.expect_next(record.run.index())?;
        let (found, expected) =
            ((record.rows.len(), record.columns()), (self.layers.len(), columns));
        if found != expected {
            return Err(Error::ShapeMismatch { what: "the record of a run", found, expected });
        }
        if let (None, Some(row)) = (&record.stop, record.rows.iter().position(Option::is_none)) {
            let (run, layers) = (self.next_run(), self.layers[row]);
            let reason = format!("run {run} recorded nothing at layer {layers} and did not stop");
            return Err(Error::Experiment { reason });
        }
        for (row, values) in record.rows.iter().enumerate() {
            let cells = &mut self.cells[row * columns..][..columns];
            for (cell, &value) in cells.iter_mut().zip(values.iter().flatten()) {
                cell.push(value);
            }
        }
        self.runs += 1;
        self.stopped += u32::from(record.stop.is_some());
        self.keep_stops(record.stop.as_slice());
        let first = record.first_events;
        for (count, layer) in
            [(&mut self.dead_samples, first.dead_samples), (&mut self.rank_loss, first.rank_loss)]
        {
            layer.into_iter().for_each(|layer| count.add(layer, 1));
        }
        Ok(())
    }

    /// Adds the statistics of the runs that follow.
    ///
    /// Except for rounding, the result is that of all runs one by one. The same shares give the
    /// same bits.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if `other` does not begin with the [next run](Self::next_run),
    /// [`Error::OtherEnsemble`] if it is of another experiment or seed.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.expect_alike(other)?;
        self.expect_next(other.first_run)?;
        self.cells.iter_mut().zip(&other.cells).for_each(|(cell, other)| cell.merge(other));
        self.runs += other.runs;
        self.stopped += other.stopped;
        self.keep_stops(&other.stops);
        self.dead_samples.merge(&other.dead_samples);
        self.rank_loss.merge(&other.rank_loss);
        Ok(())
    }

    fn expect_next(&self, run: u32) -> Result<()> {
        if run != self.next_run() {
            let expected = "the run after the last one";
            return Err(Error::InvalidParameter { name: "run", value: f64::from(run), expected });
        }
        Ok(())
    }

    fn expect_seed(&self, found: Seed) -> Result<()> {
        self.expect_same("the seed", found.0, self.seed.0)
    }

    /// Refuses a summary of another seed or experiment.
    pub(super) fn expect_alike(&self, other: &Self) -> Result<()> {
        let layers = |summary: &Self| {
            summary.layers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        self.expect_seed(other.seed)?;
        // In quotes: a name may have a comma.
        let names = |summary: &Self| format!("{:?}", summary.observables);
        self.expect_same("the list of observables", names(other), names(self))?;
        self.expect_same("the list of layers", layers(other), layers(self))
    }

    fn expect_same<V: PartialEq + ToString>(
        &self,
        entry: &'static str,
        found: V,
        expected: V,
    ) -> Result<()> {
        if found != expected {
            let (found, expected) = (found.to_string(), expected.to_string());
            return Err(Error::OtherEnsemble { entry, found, expected });
        }
        Ok(())
    }

    fn keep_stops(&mut self, stops: &[Stop]) {
        let room = STOPS.saturating_sub(self.stops.len());
        self.stops.extend(stops.iter().take(room).cloned());
    }

    /// Returns a table with a row for each observable of each layer: runs, mean, standard error,
    /// the interval that holds the mean with probability 0.95, the quantiles .025, .5 and .975 of
    /// the [first 1000 runs](Observable::sample), and how many of all runs had dead samples or had
    /// lost rank by the last of the layers.
    #[must_use]
    pub fn table(&self) -> Table {
        let columns = ["layer", "observable", "runs", "mean", "standard_error", "low", "high"];
        let more = ["q025", "median", "q975", "dead_samples", "rank_loss"];
        let mut table = Table::new(columns.into_iter().chain(more));
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
                    u64::from(self.dead_samples.until(layers.last)).into(),
                    u64::from(self.rank_loss.until(layers.last)).into(),
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
        seed: Seed,
        first_run: u32,
        runs: u32,
        cells: Vec<Observable>,
        stopped: u32,
        stops: Vec<Stop>,
        dead_samples: EventCount,
        rank_loss: EventCount
    },
    |observables, layers, seed, first_run, runs, cells, stopped, stops, dead_samples, rank_loss| {
        super::run::check(&observables, &layers)?;
        let expected = (layers.len(), observables.len());
        if cells.len() != expected.0 * expected.1 {
            let (found, expected) = ((cells.len(), 1), (expected.0 * expected.1, 1));
            return Err(Error::ShapeMismatch { what: "the list of cells", found, expected });
        }
        let most = cells.iter().map(|cell| cell.moments().count()).max();
        let counted = u64::from(stopped).max(most.unwrap_or(0));
        if first_run.checked_add(runs).is_none() || counted > runs.into() {
            let (name, expected) = ("runs", "as many as are numbered, stopped or counted");
            return Err(Error::InvalidParameter { name, value: f64::from(runs), expected });
        }
        // A row is recorded as a whole, and only runs that stopped leave one out.
        for row in cells.chunks(observables.len()) {
            let counts = row.iter().map(|cell| cell.moments().count());
            let least = u64::from(runs - stopped).max(row[0].moments().count());
            if let Some(count) = counts.into_iter().find(|&count| count < least) {
                let (name, expected) = ("runs of a cell", "those of its row, and all without stops");
                return Err(Error::InvalidParameter { name, value: count as f64, expected });
            }
        }
        dead_samples.check(runs)?;
        rank_loss.check(runs)?;
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
        Ok(Summary {
            observables,
            layers,
            seed,
            first_run,
            runs,
            cells,
            stopped,
            stops,
            dead_samples,
            rank_loss,
        })
    }
);
