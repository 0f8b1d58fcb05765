//! Replicates and grids over ranks.

use std::fmt::Display;
use std::ops::ControlFlow;
use std::sync::mpsc::channel;

use orthogap::experiment::sweep::Sweep;
use orthogap::experiment::{Ensemble, Record, Summary};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::jobs::perform;
use crate::{Ranks, Result};

/// The number of runs that a thread does between two messages.
const CHUNK: u32 = 16;

impl Ranks {
    /// Returns the first `runs` runs of an ensemble, which all ranks share. Every rank gets the
    /// summary of [`Ensemble::run`], with the same bits.
    ///
    /// A thread that is free takes the next 16 runs. Rank 0 adds the records in the order of runs,
    /// and sends the summary to all. It holds the records that come before their turn.
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
    /// On all ranks: [`Error::Job`](crate::Error::Job) with the error of the experiment, where a
    /// job is 16 runs; [`Error::Rank`](crate::Error::Rank) if a record does not fit the summary, or
    /// the summary does not read back; [`Error::DifferentJobs`](crate::Error::DifferentJobs) if
    /// ranks have different numbers of jobs.
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
        let written = if self.is_first() { serde_json::to_vec(&summary) } else { Ok(Vec::new()) };
        let bytes = self.agree(written)?;
        let bytes = self.broadcast_bytes(bytes);
        let read = if self.is_first() { Ok(summary) } else { serde_json::from_slice(&bytes) };
        self.agree(read)
    }

    /// Returns the results of the cells of a sweep, on every rank. A rank that is free computes the
    /// next missing cell and writes its file; in the end all ranks read all results.
    ///
    /// A slow cell does not delay the others. Begin with the slowest, so that none is left for the
    /// end. The folder must be on a file system that all ranks see. A rank that dies ends the
    /// program; the files of finished cells stay, and the next program computes the others.
    ///
    /// Each rank computes one cell at a time, on a separate thread that uses rayon's global pool.
    ///
    /// # Errors
    /// On all ranks: [`Error::Job`](crate::Error::Job) with the first cell that fails, after which
    /// no cell is begun; [`Error::Rank`](crate::Error::Rank) if a rank cannot read the results;
    /// [`Error::DifferentJobs`](crate::Error::DifferentJobs) if ranks have different numbers of
    /// cells.
    pub fn sweep<C, R, E>(
        &mut self,
        sweep: &Sweep,
        cells: &[C],
        mut compute: impl FnMut(&C) -> std::result::Result<R, E> + Send,
    ) -> Result<Vec<R>>
    where
        C: Serialize + Sync,
        R: Serialize + DeserializeOwned,
        E: From<orthogap::Error> + Display,
    {
        self.same_jobs(cells.len())?;
        let missing = if self.is_first() {
            let missing = |cell: &usize| match sweep.finished::<R>(&cells[*cell]) {
                Ok(result) => result.is_none().then_some(Ok(*cell)),
                Err(error) => Some(Err(error)),
            };
            (0..cells.len()).filter_map(|cell| missing(&cell)).collect()
        } else {
            Ok(Vec::new())
        };
        let missing: Vec<usize> = self.agree(missing)?;
        let (jobs, orders) = channel();
        let (sender, finished) = channel();
        let mut failed: Option<(usize, String)> = None;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for cell in orders {
                    perform(cell, &sender, || {
                        sweep.result(&cells[cell], &mut compute).map(|_| Vec::new())
                    });
                }
            });
            let begin = |cell| jobs.send(cell).expect("the thread ends after its jobs");
            self.deal(missing.into_iter(), 1, begin, &finished, |cell, outcome| match outcome {
                Ok(_) => ControlFlow::Continue(()),
                Err(reason) => {
                    let first = failed.as_ref().is_none_or(|(before, _)| cell < *before);
                    if first {
                        failed = Some((cell, reason));
                    }
                    ControlFlow::Break(())
                }
            });
            drop(jobs);
        });
        let verdict = match failed {
            None => Ok(ControlFlow::Continue(())),
            Some((cell, reason)) => Err((Some(cell), reason)),
        };
        let _ = self.pronounce(verdict)?;
        // A file can be removed meanwhile, and a rank may not see yet what another has written.
        let read = |cell| {
            sweep.finished(cell)?.ok_or_else(|| orthogap::Error::File {
                path: sweep.folder().to_owned(),
                reason: "the result of a cell is missing after the sweep".to_owned(),
            })
        };
        self.agree(cells.iter().map(read).collect::<orthogap::Result<_>>())
    }
}
