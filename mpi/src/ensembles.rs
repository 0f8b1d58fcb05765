//! Replicates and grids over ranks.

use std::fmt::Display;
use std::ops::ControlFlow;

use orthogap::experiment::sweep::{Share, Sweep};
use orthogap::experiment::{Ensemble, Record, Summary};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Ranks, Result};

/// Runs that a rank does between two messages.
const CHUNK: u32 = 16;

impl Ranks {
    /// The first `runs` runs of an ensemble, dealt out to ranks: on all of them the summary, to the bit, that
    /// [`Ensemble::run`] gives.
    ///
    /// Records travel, not statistics: every rank takes all of them in, in the order of runs.
    ///
    /// ```no_run
    /// use orthogap::experiment::{ChainExperiment, Ensemble};
    /// use orthogap::{Input, Network, Seed};
    /// use orthogap_mpi::Ranks;
    ///
    /// let mut ranks = Ranks::world()?;
    /// let (network, input) = (Network::<f64>::new(512), Input::spiked(4, 1e-6)?);
    /// let experiment = ChainExperiment::new(&network, &input)
    ///     .observe("orthogonality_gap", |layer| Ok(layer.orthogonality_gap()))
    ///     .at((0..=50).step_by(10));
    /// let summary = ranks.ensemble(&Ensemble::new(&experiment, Seed(7)), 1_000_000)?;
    /// if ranks.is_first() {
    ///     println!("{}", summary.table());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Job`](crate::Error::Job) with the error of the experiment, on all ranks.
    pub fn ensemble(&mut self, ensemble: &Ensemble<'_>, runs: u32) -> Result<Summary> {
        type Failure = Box<dyn std::error::Error + Send + Sync>;
        let mut summary = ensemble.empty();
        let jobs = runs.div_ceil(CHUNK) as usize;
        let chunk = |job: usize| {
            let first = u32::try_from(job)? * CHUNK;
            let records = ensemble.records(first..runs.min(first.saturating_add(CHUNK)));
            let records = records.into_iter().collect::<orthogap::Result<Vec<_>>>()?;
            Ok::<_, Failure>(serde_json::to_vec(&records)?)
        };
        let _ = self.in_order(jobs, chunk, |_, bytes| {
            let records: Vec<Record> = serde_json::from_slice(bytes)?;
            records.iter().try_for_each(|record| summary.push(record))?;
            Ok::<_, Failure>(ControlFlow::Continue(()))
        })?;
        Ok(summary)
    }

    /// The cells of a sweep, dealt out to ranks: each does every so-manieth cell into the same folder, then
    /// all read all results.
    ///
    /// The folder must be on a file system that all ranks see. What was done before is read, and a rank that
    /// is killed loses at most the cell it was at.
    ///
    /// # Errors
    /// [`Error::Rank`](crate::Error::Rank) with the first error of a rank, on all ranks.
    pub fn sweep<C, R, E>(
        &mut self,
        sweep: &Sweep,
        cells: &[C],
        compute: impl FnMut(&C) -> std::result::Result<R, E>,
    ) -> Result<Vec<R>>
    where
        C: Serialize,
        R: Serialize + DeserializeOwned,
        E: From<orthogap::Error> + Display,
    {
        let share = Share::new(self.index(), self.count()).expect("an index is below its count");
        let own = sweep.over(cells).share(share).run(compute);
        self.agree(own)?;
        let all: orthogap::Result<Vec<Option<R>>> =
            cells.iter().map(|cell| sweep.finished(cell)).collect();
        Ok(self.agree(all)?.into_iter().flatten().collect())
    }
}
