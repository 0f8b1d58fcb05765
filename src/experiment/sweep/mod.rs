//! Grids of experiments on disk, which can be killed at any moment and resume to the same bits.
//!
//! A [`Sweep`] is a folder with a file for every finished cell of a grid, written whole or not at
//! all. A cell with a file is read, not computed again. Every file holds its configuration and a
//! checksum: results of another configuration, and damaged ones, are errors. Several processes can
//! fill one folder at a time. They do not divide the cells among themselves: without
//! [shares](Grid::share), two processes compute the same cells, and the first result of each is
//! kept.
//!
//! On a file system without hard links, a process that is killed can leave a part of a file. Such a
//! file is [`Error::Damaged`] and has to be deleted.
//!
//! Every `f64` of a configuration, a cell or a result reads back as it was, NaN and infinities
//! included. As everywhere in JSON, `Some(None)` reads back as `None`.
//!
//! ```
//! use orthogap::experiment::{ChainExperiment, Ensemble};
//! use orthogap::statistics::{Line, Weighting};
//! use orthogap::experiment::sweep::Sweep;
//! use orthogap::{Error, Input, Network, Seed};
//!
//! #[derive(serde::Serialize)]
//! struct Configuration { batch_size: usize, depth: usize, runs: u32, seed: u64 }
//! #[derive(serde::Serialize)]
//! struct Cell { width: usize }
//!
//! # let folder = std::env::temp_dir().join(format!("orthogap-doc-{}", std::process::id()));
//! # let folder = folder.as_path();
//! let configuration = Configuration { batch_size: 4, depth: 30, runs: 100, seed: 7 };
//! let sweep = Sweep::open(folder, &configuration)?;
//! let cells = [32, 64, 128].map(|width| Cell { width });
//! let summaries = sweep
//!     .over(&cells)
//!     .on_progress(|progress| println!("{} of {} cells", progress.done, progress.cells))
//!     .run(|cell| {
//!         let network = Network::<f64>::new(cell.width);
//!         let input = Input::orthogonal(configuration.batch_size)?;
//!         let experiment = ChainExperiment::new(&network, &input)
//!             .observe("log_gap", |layer| Ok(layer.orthogonality_gap().ln()))
//!             .at([configuration.depth]);
//!         let seed = Seed(configuration.seed).branch(cell.width as u64); // cells are independent
//!         Ensemble::new(&experiment, seed).run(configuration.runs)
//!     })?;
//!
//! let points = cells.iter().zip(&summaries).map(|(cell, summary)| {
//!     let log_gap = summary.at(30, "log_gap").expect("observed").moments();
//!     ((cell.width as f64).ln(), log_gap.mean(), log_gap.standard_error())
//! });
//! let line = Line::with_errors(&points.collect::<Vec<_>>(), Weighting::Equal)?;
//! assert!((line.slope() + 0.5).abs() < 5.0 * line.slope_error());
//!
//! // The same folder, another configuration:
//! let changed = Configuration { runs: 200, ..configuration };
//! let error = Sweep::open(folder, &changed).expect_err("results of 100 runs");
//! assert!(error.to_string().contains("configuration.runs is 100, not 200"));
//! # std::fs::remove_dir_all(folder).expect("made above");
//! # Ok::<(), Error>(())
//! ```
//!
//! # On many machines
//!
//! [`Grid::share`] takes a share of the cells: jobs of an array, each with its own share, fill one
//! folder, or folders whose files are then merged. A last run without a share reads them all.

mod exact;
mod store;

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::report::file;
use crate::{Error, Result};

/// The file of the configuration.
const MANIFEST: &str = "sweep.json";

/// A folder of results, one file for each finished cell.
#[derive(Clone, Debug)]
pub struct Sweep {
    folder: PathBuf,
    /// The configuration of all results of this folder.
    identity: Value,
}

impl Sweep {
    /// Opens a folder, or creates it, for results of a configuration: everything that they depend
    /// on except the cell, such as depth, runs and seed.
    ///
    /// Removes the temporary files of processes that were killed. If `sweep.json`, which holds the
    /// configuration, is missing, it is written, unless a finished cell has another configuration.
    ///
    /// # Errors
    /// [`Error::ConfigurationMismatch`] if the folder holds results of another configuration or of
    /// another version of this crate, [`Error::Damaged`] and [`Error::File`] with the file and the
    /// reason, also for an empty path.
    pub fn open(folder: impl Into<PathBuf>, configuration: &impl Serialize) -> Result<Self> {
        let folder = folder.into();
        let failed = |error| file::failed(&folder, &error);
        if folder.as_os_str().is_empty() {
            return Err(file::failed(&folder, &"an empty path names no folder"));
        }
        fs::create_dir_all(&folder).map_err(failed)?;
        file::remove_leftovers(&folder).map_err(failed)?;
        let manifest = folder.join(MANIFEST);
        let configuration = to_value(&manifest, configuration)?;
        let identity = json!({
            "orthogap": env!("CARGO_PKG_VERSION"),
            "configuration": configuration,
        });
        let found = match store::read(&manifest)? {
            Some(found) => Some(found),
            None => {
                for cell in store::cells(&folder)? {
                    let Some(mut found) = store::read(&cell)? else { continue };
                    if let Some(entries) = found.as_object_mut() {
                        entries.retain(|name, _| identity.get(name).is_some());
                    }
                    unchanged(&cell, &found, &identity)?;
                }
                // Another process may have been faster, with another configuration.
                store::create(&manifest, &identity)?;
                store::read(&manifest)?
            }
        };
        unchanged(&manifest, &found.unwrap_or_default(), &identity)?;
        Ok(Self { folder, identity })
    }

    /// Returns the folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the cells of a grid, to be [run](Grid::run).
    #[must_use]
    pub fn over<'a, C: Serialize>(&'a self, cells: &'a [C]) -> Grid<'a, C> {
        Grid {
            sweep: self,
            cells,
            share: Share::ALL,
            cost: Box::new(|_| 1.0),
            on_progress: Box::new(|_| ()),
        }
    }

    /// Returns the result of a cell: reads it if it exists, otherwise computes and writes it.
    ///
    /// The result is written and read back, so it is the same whether it was just computed or not.
    ///
    /// # Errors
    /// [`Error::ConfigurationMismatch`], [`Error::Damaged`] and [`Error::File`], also for a result
    /// that does not read back, and those of `compute`.
    pub fn result<C, R, E>(
        &self,
        cell: &C,
        compute: impl FnOnce(&C) -> Result<R, E>,
    ) -> Result<R, E>
    where
        C: Serialize,
        R: Serialize + DeserializeOwned,
        E: From<Error>,
    {
        match self.finished(cell)? {
            Some(result) => Ok(result),
            None => Ok(self.keep(cell, &compute(cell)?)?),
        }
    }

    /// Returns the result of a cell, if it exists.
    ///
    /// # Errors
    /// [`Error::ConfigurationMismatch`], [`Error::Damaged`] and [`Error::File`].
    pub fn finished<R: DeserializeOwned>(&self, cell: &impl Serialize) -> Result<Option<R>> {
        let (path, identity) = self.address(cell)?;
        let Some(mut found) = store::read(&path)? else {
            return Ok(None);
        };
        let result = found.as_object_mut().and_then(|entries| entries.remove("result"));
        unchanged(&path, &found, &identity)?;
        from_value(&path, result.unwrap_or_default()).map(Some)
    }

    /// Writes the result of a cell, and reads it back. The result of another process that was
    /// faster stays.
    fn keep<R: Serialize + DeserializeOwned>(
        &self,
        cell: &impl Serialize,
        result: &R,
    ) -> Result<R> {
        let (path, mut entry) = self.address(cell)?;
        let value = to_value(&path, result)?;
        let read_back = from_value(&path, value.clone())?; // or nothing is written
        entry["result"] = value;
        if store::create(&path, &entry)? {
            return Ok(read_back);
        }
        let vanished = || file::failed(&path, &"removed while the sweep ran");
        self.finished(cell)?.ok_or_else(vanished)
    }

    /// The file of a cell, and the configuration and the cell that it must hold.
    fn address(&self, cell: &impl Serialize) -> Result<(PathBuf, Value)> {
        let cell = to_value(&self.folder, cell)?;
        let path = self.folder.join(store::name_of(&cell));
        let mut identity = self.identity.clone();
        identity["cell"] = cell;
        Ok((path, identity))
    }
}

fn to_value(path: &Path, value: &impl Serialize) -> Result<Value> {
    exact::to_value(value).map_err(|error| file::failed(path, &error))
}

fn from_value<R: DeserializeOwned>(path: &Path, value: Value) -> Result<R> {
    let unread = |error| file::failed(path, &format!("the result does not read back: {error}"));
    exact::from_value(value).map_err(unread)
}

/// Refuses a file of another configuration or cell, and names the first difference.
fn unchanged(path: &Path, found: &Value, expected: &Value) -> Result<()> {
    let Some((entry, found, expected)) = difference(found, expected, String::new()) else {
        return Ok(());
    };
    let path = path.to_owned();
    Err(Error::ConfigurationMismatch {
        path,
        entry,
        found: found.to_string(),
        expected: expected.to_string(),
    })
}

/// The first entry in which two values differ.
fn difference(found: &Value, expected: &Value, place: String) -> Option<(String, Value, Value)> {
    let text = |value: &Value| value.to_string();
    let same = |left, right| text(left) == text(right); // 0 is not -0
    if same(found, expected) {
        return None;
    }
    if let (Value::Object(left), Value::Object(right)) = (found, expected) {
        let nothing = Value::Null;
        for name in left.keys().chain(right.keys()) {
            let (left, right) = (left.get(name), right.get(name));
            let (left, right) = (left.unwrap_or(&nothing), right.unwrap_or(&nothing));
            if !same(left, right) {
                let dot = if place.is_empty() { "" } else { "." };
                return difference(left, right, format!("{place}{dot}{name}"));
            }
        }
    }
    Some((place, found.clone(), expected.clone()))
}

/// A share of the cells of a grid: every `of`-th, from number `index` on.
///
/// ```
/// use orthogap::experiment::sweep::Share;
///
/// assert_eq!("2/10".parse(), Ok(Share::new(2, 10)?)); // as in --share $ID/10
/// assert!("10/10".parse::<Share>().is_err()); // counted from 0
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    index: usize,
    of: usize,
}

impl Share {
    /// All cells.
    pub const ALL: Self = Self { index: 0, of: 1 };

    /// Creates share number `index`, from 0, of `of` shares.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] unless `index < of`.
    pub fn new(index: usize, of: usize) -> Result<Self> {
        if index >= of {
            let expected = "a share from 0 to their number less one";
            return Err(Error::InvalidParameter { name: "share", value: index as f64, expected });
        }
        Ok(Self { index, of })
    }
}

impl FromStr for Share {
    type Err = Error;

    /// Reads two numbers and a slash, such as `0/8`: [`Error::Unreadable`] for any other text, and
    /// the error of [`Share::new`].
    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('/');
        let parts = parts.and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        let expected = "INDEX/COUNT, such as 0/10";
        let unread = || Error::Unreadable { text: text.to_owned(), expected };
        parts.ok_or_else(unread).and_then(|(index, of)| Self::new(index, of))
    }
}

/// The progress of a sweep.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The number of cells of the share that have results.
    pub done: usize,
    /// The number of cells of the share.
    pub cells: usize,
    /// The number of cells that had results before this run.
    pub resumed: usize,
    /// The time since the beginning of this run.
    pub elapsed: Duration,
    /// The remaining time, estimated from the time of the computed cells and the costs of all;
    /// `None` before the first is computed.
    pub remaining: Option<Duration>,
}

/// The cells of a grid, run in a [`Sweep`].
pub struct Grid<'a, C> {
    sweep: &'a Sweep,
    cells: &'a [C],
    share: Share,
    cost: Box<dyn Fn(&C) -> f64 + 'a>,
    on_progress: Box<dyn FnMut(Progress) + 'a>,
}

impl<'a, C: Serialize> Grid<'a, C> {
    /// Restricts the grid to a share of its cells.
    #[must_use]
    pub fn share(self, share: Share) -> Self {
        Self { share, ..self }
    }

    /// Sets the cost of a cell, in any unit, for a better estimate of the remaining time.
    #[must_use]
    pub fn cost(self, cost: impl Fn(&C) -> f64 + 'a) -> Self {
        Self { cost: Box::new(cost), ..self }
    }

    /// Sets a function that gets the progress at the start and after each cell.
    #[must_use]
    pub fn on_progress(self, on_progress: impl FnMut(Progress) + 'a) -> Self {
        Self { on_progress: Box::new(on_progress), ..self }
    }

    /// Returns the results of all cells of the share, in order: reads existing ones, computes and
    /// writes the others one by one.
    ///
    /// # Errors
    /// Those of [`Sweep::result`]; finished cells keep their files.
    pub fn run<R, E>(mut self, mut compute: impl FnMut(&C) -> Result<R, E>) -> Result<Vec<R>, E>
    where
        R: Serialize + DeserializeOwned,
        E: From<Error>,
    {
        let cells: Vec<&C> =
            self.cells.iter().skip(self.share.index).step_by(self.share.of).collect();
        let mut results = Vec::with_capacity(cells.len());
        for cell in &cells {
            results.push(self.sweep.finished(cell)?);
        }
        let started = Instant::now();
        let resumed = results.iter().flatten().count();
        let mut left: f64 = cells
            .iter()
            .zip(&results)
            .filter(|(_, r)| r.is_none())
            .map(|(c, _)| (self.cost)(c))
            .sum();
        let (mut spent, mut done) = (0.0, resumed);
        let progress = |done, spent: f64, left: f64| {
            let elapsed = started.elapsed();
            let remaining =
                Duration::try_from_secs_f64(elapsed.as_secs_f64() * left.max(0.0) / spent);
            Progress { done, cells: cells.len(), resumed, elapsed, remaining: remaining.ok() }
        };
        (self.on_progress)(progress(done, spent, left));
        for (cell, result) in cells.iter().zip(&mut results) {
            if result.is_none() {
                *result = Some(self.sweep.result(*cell, &mut compute)?);
                let cost = (self.cost)(cell);
                (spent, left, done) = (spent + cost, left - cost, done + 1);
                (self.on_progress)(progress(done, spent, left));
            }
        }
        Ok(results.into_iter().flatten().collect())
    }
}
