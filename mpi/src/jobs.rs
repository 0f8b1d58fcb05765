//! Numbered jobs, dealt out to ranks, with results in the order of their numbers.

use std::fmt::Display;
use std::ops::{ControlFlow, Range};

use rayon::prelude::*;

use crate::{Error, Ranks, Result};

/// Jobs that a thread does before ranks wait for one another: a few, so that none waits long.
const JOBS_PER_THREAD: usize = 4;

impl Ranks {
    /// Does the jobs 0 to `jobs - 1` on all threads of all ranks and hands every result to `take`,
    /// on every rank, in the order of the jobs.
    ///
    /// Jobs are dealt out in waves, to each rank a block in proportion to its threads, so that only
    /// the results of a wave, four for each thread, are in memory. A job must depend on its number
    /// alone; then what `take` sees does not depend on ranks and threads. It can merge, write (on
    /// rank 0, say) or break off, as soon as it has enough; where it breaks off on one rank, all
    /// stop after that wave. Returns whether it did.
    ///
    /// ```no_run
    /// use std::ops::ControlFlow;
    /// use orthogap::{Error, Input, Network, Seed};
    /// use orthogap_mpi::Ranks;
    ///
    /// // The mean gap after ten layers, over a thousand replicates.
    /// let (network, input) = (Network::<f64>::new(64), Input::near_collinear(4, 1e-3)?);
    /// let (mut ranks, mut sum) = (Ranks::world()?, 0.0);
    /// let gap = |replicate| {
    ///     let run = Seed(1).replicate(replicate as u32);
    ///     let gap = network.chain(&input, run)?.advance(10)?.orthogonality_gap();
    ///     Ok::<_, Error>(gap.to_le_bytes().to_vec())
    /// };
    /// ranks.in_order(1000, gap, |_, bytes| {
    ///     sum += f64::from_le_bytes(bytes.try_into()?);
    ///     Ok::<_, std::array::TryFromSliceError>(ControlFlow::Continue(()))
    /// })?;
    /// println!("{}", sum / 1000.0); // the same on all ranks
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// On all ranks: [`Error::Job`] of the first job that fails, after `take` has seen those before
    /// it; [`Error::Rank`] if `take` fails on a rank; [`Error::DifferentJobs`] if ranks do not
    /// have the same number of them; [`Error::TooLong`] if the results of a wave exceed 2 GiB.
    pub fn in_order<J: Display + Send, T: Display>(
        &mut self,
        jobs: usize,
        job: impl Fn(usize) -> std::result::Result<Vec<u8>, J> + Sync,
        mut take: impl FnMut(usize, &[u8]) -> std::result::Result<ControlFlow<()>, T>,
    ) -> Result<ControlFlow<()>> {
        let shares = Shares::agree(self, jobs)?;
        let mut records = Vec::new();
        for first in (0..jobs).step_by(shares.wave()) {
            let wave = shares.wave().min(jobs - first);
            let own = shares.of(self.index(), wave);
            let results: Vec<_> = own.into_par_iter().map(|index| job(first + index)).collect();
            let mut message = Vec::new();
            results.into_iter().for_each(|result| encode(result, &mut message));
            // Ranks have consecutive jobs, so records come in the order of jobs.
            self.gather(&message, &mut records)?;
            let mut rest = &records[..];
            let (mut taken, mut failed) = (Ok(ControlFlow::Continue(())), None);
            for index in first..first + wave {
                match decode(&mut rest) {
                    Ok(bytes) => taken = take(index, bytes),
                    Err(reason) => failed = Some(Error::Job { job: index, reason }),
                }
                if failed.is_some() || !matches!(taken, Ok(ControlFlow::Continue(()))) {
                    break;
                }
            }
            let flow = self.agree(taken)?;
            if self.any(flow.is_break()) {
                return Ok(ControlFlow::Break(()));
            }
            if let Some(failed) = failed {
                return Err(failed);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The results of the jobs 0 to `jobs - 1`, on every rank, in the order of the jobs: for results
    /// small enough to be held together, else [`in_order`](Self::in_order).
    ///
    /// # Errors
    /// [`Error::Job`], [`Error::DifferentJobs`] and [`Error::TooLong`] as there, on all ranks.
    pub fn map<J: Display + Send>(
        &mut self,
        jobs: usize,
        job: impl Fn(usize) -> std::result::Result<Vec<u8>, J> + Sync,
    ) -> Result<Vec<Vec<u8>>> {
        let mut results = Vec::with_capacity(jobs);
        let _ = self.in_order(jobs, job, |_, bytes| {
            results.push(bytes.to_vec());
            Ok::<_, std::convert::Infallible>(ControlFlow::Continue(()))
        })?;
        Ok(results)
    }
}

/// How ranks share the jobs of a wave.
struct Shares {
    /// Where the threads of each rank begin among those of all, and where the last ones end.
    bounds: Vec<usize>,
}

impl Shares {
    fn agree(ranks: &mut Ranks, jobs: usize) -> Result<Self> {
        let all_jobs = ranks.each(jobs as u64);
        let threads = ranks.each(rayon::current_num_threads() as u64);
        let jobs_of = |rank: usize| all_jobs[rank] as usize;
        if let Some(rank) = (0..ranks.count()).find(|&rank| jobs_of(rank) != jobs_of(0)) {
            return Err(Error::DifferentJobs { first: jobs_of(0), rank, jobs: jobs_of(rank) });
        }
        Ok(Self::new(&threads))
    }

    fn new(threads: &[u64]) -> Self {
        let mut bounds = vec![0];
        for threads in threads {
            bounds.push(bounds[bounds.len() - 1] + *threads as usize);
        }
        Self { bounds }
    }

    fn threads(&self) -> usize {
        self.bounds[self.bounds.len() - 1]
    }

    /// Jobs of a full wave.
    fn wave(&self) -> usize {
        self.threads() * JOBS_PER_THREAD
    }

    /// Which of the `wave` jobs of a wave a rank does.
    fn of(&self, rank: usize, wave: usize) -> Range<usize> {
        let bound = |rank: usize| wave * self.bounds[rank] / self.threads();
        bound(rank)..bound(rank + 1)
    }
}

/// Appends a result: whether it is one, its length, its bytes.
fn encode(result: std::result::Result<Vec<u8>, impl Display>, message: &mut Vec<u8>) {
    let (good, bytes) = match result {
        Ok(bytes) => (true, bytes),
        Err(error) => (false, error.to_string().into_bytes()),
    };
    message.push(u8::from(good));
    message.extend((bytes.len() as u64).to_le_bytes());
    message.extend(bytes);
}

/// Takes the first result off a message.
fn decode<'a>(message: &mut &'a [u8]) -> std::result::Result<&'a [u8], String> {
    let encoded = "a message of this program";
    let (good, rest) = message.split_first().expect(encoded);
    let (length, rest) = rest.split_first_chunk().expect(encoded);
    let (bytes, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
    *message = rest;
    if *good == 1 { Ok(bytes) } else { Err(String::from_utf8_lossy(bytes).into_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_has_one_rank() {
        for threads in [&[1][..], &[1, 1], &[4, 1, 2], &[1, 16, 1, 1, 3]] {
            let shares = Shares::new(threads);
            for wave in 0..=shares.wave() {
                let jobs: Vec<_> =
                    (0..threads.len()).flat_map(|rank| shares.of(rank, wave)).collect();
                assert_eq!(jobs, Vec::from_iter(0..wave));
                for (rank, threads) in threads.iter().enumerate() {
                    let most = JOBS_PER_THREAD * *threads as usize;
                    assert!(shares.of(rank, wave).len() <= most, "{threads} threads, {wave} jobs");
                }
            }
        }
    }

    #[test]
    fn messages_are_read_as_written() {
        let results = [Ok(vec![1, 2, 3]), Err("no"), Ok(vec![]), Err(""), Ok(vec![0; 1000])];
        let mut message = Vec::new();
        results.iter().cloned().for_each(|result| encode(result, &mut message));
        let mut rest = &message[..];
        for result in results {
            assert_eq!(decode(&mut rest), result.as_deref().map_err(|error| error.to_string()));
        }
        assert!(rest.is_empty());
    }
}
