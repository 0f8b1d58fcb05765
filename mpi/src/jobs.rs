//! Numbered jobs: a thread that is free takes the next one.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::ranks::{JOBS, RESULTS};
use crate::{Error, Ranks, Result};

/// The result of a job in bytes, or the text of its error.
pub(crate) type Outcome = std::result::Result<Vec<u8>, String>;

/// The outcome of a job; a panic is passed on.
pub(crate) type Finished = (usize, std::thread::Result<Outcome>);

/// How long rank 0 sleeps when nothing has happened.
const NAP: Duration = Duration::from_micros(100);
/// The largest number of bytes of a result. MPI counts them with 31 bits.
const LONGEST: usize = 1 << 30;

/// Does a job, and sends its outcome.
pub(crate) fn perform<J: Display>(
    job: usize,
    finished: &Sender<Finished>,
    work: impl FnOnce() -> std::result::Result<Vec<u8>, J>,
) {
    let outcome = catch_unwind(AssertUnwindSafe(|| match work() {
        Ok(bytes) if bytes.len() > LONGEST => Err(format!("{} bytes", bytes.len())),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }));
    // If there is no receiver any more, the program is ending.
    let _ = finished.send((job, outcome));
}

impl Ranks {
    /// Does the jobs 0 to `jobs - 1` on all threads of all ranks, and calls `take` with every
    /// result, on rank 0 and in the order of the jobs.
    ///
    /// A thread that is free takes the next job, on any rank, so a slow job does not delay the
    /// others. Rank 0 holds the results that come before their turn. A job must depend on its
    /// number alone; then the calls of `take` do not depend on the number of ranks and threads.
    /// `take` can break, after which no job is begun. Returns whether it did, on all ranks.
    ///
    /// Call it from a thread outside of a rayon pool. Within one, the thread that distributes jobs
    /// also has to do some.
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
    /// if ranks.is_first() {
    ///     println!("{}", sum / 1000.0);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// On all ranks: [`Error::Job`] of the first job that fails, after `take` has got those before
    /// it, also for a result above 1 GiB; [`Error::Rank`] if `take` fails; [`Error::DifferentJobs`]
    /// if ranks have different numbers of jobs.
    pub fn in_order<J: Display + Send, T: Display>(
        &mut self,
        jobs: usize,
        job: impl Fn(usize) -> std::result::Result<Vec<u8>, J> + Sync,
        mut take: impl FnMut(usize, &[u8]) -> std::result::Result<ControlFlow<()>, T>,
    ) -> Result<ControlFlow<()>> {
        self.same_jobs(jobs)?;
        let mut order = InOrder::new(&mut take);
        let (sender, finished) = channel();
        let (job, sender) = (&job, &sender);
        rayon::in_place_scope(|scope| {
            let begin = |index| scope.spawn(move |_| perform(index, sender, || job(index)));
            let slots = rayon::current_num_threads();
            self.deal(0..jobs, slots, begin, &finished, |index, outcome| {
                order.next(index, outcome)
            });
        });
        let verdict = order.verdict;
        self.pronounce(verdict)
    }

    /// Returns the results of the jobs 0 to `jobs - 1`, on every rank, in the order of the jobs.
    ///
    /// Every rank holds all results; [`in_order`](Self::in_order) is for those that are too large.
    ///
    /// # Errors
    /// [`Error::Job`] and [`Error::DifferentJobs`] as for [`in_order`](Self::in_order), on all
    /// ranks.
    pub fn map<J: Display + Send>(
        &mut self,
        jobs: usize,
        job: impl Fn(usize) -> std::result::Result<Vec<u8>, J> + Sync,
    ) -> Result<Vec<Vec<u8>>> {
        let mut results = Vec::new();
        let _ = self.in_order(jobs, job, |job, bytes| {
            encode(job, &Ok(bytes.to_vec()), &mut results);
            Ok::<_, std::convert::Infallible>(ControlFlow::Continue(()))
        })?;
        let results = self.broadcast_bytes(results);
        let mut rest = &results[..];
        let decoded = std::iter::from_fn(|| (!rest.is_empty()).then(|| decode(&mut rest).1));
        Ok(decoded.flatten().collect())
    }

    /// Checks that all ranks have equally many jobs.
    pub(crate) fn same_jobs(&mut self, jobs: usize) -> Result<()> {
        let all = self.each(jobs as u64);
        match all.iter().position(|&other| other != all[0]) {
            None => Ok(()),
            Some(rank) => {
                let [first, jobs] = [all[0], all[rank]].map(|jobs| jobs as usize);
                Err(Error::DifferentJobs { first, rank, jobs })
            }
        }
    }

    /// Distributes `jobs`, which only rank 0 needs to know. `begin` starts one on this rank, which
    /// does up to `slots` of them at a time; its outcome arrives by `finished`. Rank 0 calls `take`
    /// with all results as they come; after it breaks, no job is begun.
    pub(crate) fn deal(
        &mut self,
        jobs: impl Iterator<Item = usize>,
        slots: usize,
        begin: impl FnMut(usize),
        finished: &Receiver<Finished>,
        take: impl FnMut(usize, Outcome) -> ControlFlow<()>,
    ) {
        if self.is_first() {
            self.deal_out(jobs, slots, begin, finished, take);
        } else {
            self.ask_for_jobs(slots, begin, finished);
        }
    }

    /// [`deal`](Self::deal) on rank 0.
    fn deal_out(
        &mut self,
        mut jobs: impl Iterator<Item = usize>,
        slots: usize,
        mut begin: impl FnMut(usize),
        finished: &Receiver<Finished>,
        mut take: impl FnMut(usize, Outcome) -> ControlFlow<()>,
    ) {
        let mut broken_off = false;
        // For each rank: the number of its current jobs, and whether it knows that there are no
        // more.
        let mut at = vec![(0, false); self.count()];
        loop {
            let mut next = |most: usize, broken_off: bool| -> Vec<usize> {
                jobs.by_ref().take(if broken_off { 0 } else { most }).collect()
            };
            let free = slots - at[0].0;
            let own = next(free, broken_off);
            at[0] = (at[0].0 + own.len(), own.len() < free || at[0].1);
            own.into_iter().for_each(&mut begin);
            let mut idle = true;
            while let Some((rank, message)) = self.receive_any(RESULTS) {
                idle = false;
                let (wanted, mut results) = split_number(&message);
                while !results.is_empty() {
                    let (job, outcome) = decode(&mut results);
                    at[rank].0 -= 1;
                    broken_off |= take(job, outcome).is_break();
                }
                if wanted > 0 {
                    let more = next(wanted, broken_off);
                    at[rank] = (at[rank].0 + more.len(), more.len() < wanted);
                    let numbers: Vec<_> =
                        more.iter().flat_map(|&job| (job as u64).to_le_bytes()).collect();
                    self.send(rank, JOBS, &numbers);
                }
            }
            while let Some((job, outcome)) = self.finished(finished, idle && at[0].0 > 0) {
                idle = false;
                at[0].0 -= 1;
                broken_off |= take(job, outcome).is_break();
            }
            if at.iter().all(|&(jobs, told)| jobs == 0 && told) {
                return;
            }
            if idle {
                std::thread::sleep(NAP);
            }
        }
    }

    /// [`deal`](Self::deal) on another rank.
    fn ask_for_jobs(
        &mut self,
        slots: usize,
        mut begin: impl FnMut(usize),
        finished: &Receiver<Finished>,
    ) {
        let (mut at, mut told) = (0, false);
        let mut results = Vec::new();
        loop {
            let wanted = if told { 0 } else { slots - at };
            if wanted > 0 || !results.is_empty() {
                let mut message = (wanted as u64).to_le_bytes().to_vec();
                message.append(&mut results);
                self.send(0, RESULTS, &message);
            }
            if wanted > 0 {
                let numbers = self.receive(0, JOBS);
                let jobs = numbers.as_chunks::<8>().0;
                (at, told) = (at + jobs.len(), jobs.len() < wanted);
                jobs.iter().for_each(|&job| begin(u64::from_le_bytes(job) as usize));
            }
            if at == 0 && told {
                return;
            }
            while results.is_empty() && at > 0 {
                // A full message is sent before it gets too long.
                while let Some((job, outcome)) = self.finished(finished, results.is_empty()) {
                    at -= 1;
                    encode(job, &outcome, &mut results);
                    if results.len() >= LONGEST / 2 {
                        break;
                    }
                }
            }
        }
    }

    /// A job that has ended. If none has, it `wait`s for a moment, and does a job if this thread
    /// belongs to a pool. A panic ends the program.
    fn finished(&self, finished: &Receiver<Finished>, wait: bool) -> Option<(usize, Outcome)> {
        let mut found = finished.try_recv().ok();
        if found.is_none() && wait && rayon::yield_now() != Some(rayon::Yield::Executed) {
            found = finished.recv_timeout(NAP).ok();
        }
        let (job, outcome) = found?;
        match outcome {
            Ok(outcome) => Some((job, outcome)),
            Err(panic) => self.panic(panic),
        }
    }

    /// Passes a panic on; the other ranks do not wait for the current jobs of this one.
    fn panic(&self, panic: Box<dyn Any + Send>) -> ! {
        if self.count() > 1 {
            self.abort();
        }
        resume_unwind(panic)
    }

    /// Returns the verdict of rank 0 on all ranks.
    pub(crate) fn pronounce(
        &mut self,
        verdict: std::result::Result<ControlFlow<()>, (Option<usize>, String)>,
    ) -> Result<ControlFlow<()>> {
        const NO_JOB: u64 = u64::MAX;
        let message = match verdict {
            Ok(flow) => vec![u8::from(flow.is_break())],
            Err((job, reason)) => {
                let job = job.map_or(NO_JOB, |job| job as u64);
                [&job.to_le_bytes()[..], reason.as_bytes()].concat()
            }
        };
        let message = self.broadcast_bytes(message);
        match message[..] {
            [0] => Ok(ControlFlow::Continue(())),
            [_] => Ok(ControlFlow::Break(())),
            _ => {
                let (job, reason) = split_number(&message);
                let reason = String::from_utf8_lossy(reason).into_owned();
                Err(match job as u64 {
                    NO_JOB => Error::Rank { rank: 0, reason },
                    _ => Error::Job { job, reason },
                })
            }
        }
    }
}

/// Takes the outcome of a job, and may break off.
type Take<'a, T> = &'a mut dyn FnMut(usize, &[u8]) -> std::result::Result<ControlFlow<()>, T>;

/// Puts results into the order of jobs.
pub(crate) struct InOrder<'a, T> {
    take: Take<'a, T>,
    /// The job whose turn it is, and results of later ones.
    turn: usize,
    early: BTreeMap<usize, Outcome>,
    /// The outcome so far; of an error also the job, if it is that of a job.
    pub verdict: std::result::Result<ControlFlow<()>, (Option<usize>, String)>,
}

impl<'a, T: Display> InOrder<'a, T> {
    fn new(take: Take<'a, T>) -> Self {
        let verdict = Ok(ControlFlow::Continue(()));
        Self { take, turn: 0, early: BTreeMap::new(), verdict }
    }

    /// Adds a result. Breaks if no later job is needed.
    fn next(&mut self, job: usize, outcome: Outcome) -> ControlFlow<()> {
        let failed = outcome.is_err();
        self.early.insert(job, outcome);
        while matches!(self.verdict, Ok(ControlFlow::Continue(())))
            && let Some(outcome) = self.early.remove(&self.turn)
        {
            self.verdict = match outcome {
                Ok(bytes) => {
                    (self.take)(self.turn, &bytes).map_err(|error| (None, error.to_string()))
                }
                Err(reason) => Err((Some(self.turn), reason)),
            };
            self.turn += 1;
        }
        match self.verdict {
            // Jobs before one that failed have begun, and those after it do not matter.
            Ok(flow) if !failed => flow,
            _ => ControlFlow::Break(()),
        }
    }
}

/// Appends an outcome: its job, whether it is a result, its length, its bytes.
fn encode(job: usize, outcome: &Outcome, message: &mut Vec<u8>) {
    let (good, bytes) = match outcome {
        Ok(bytes) => (true, &bytes[..]),
        Err(reason) => (false, reason.as_bytes()),
    };
    message.extend((job as u64).to_le_bytes());
    message.push(u8::from(good));
    message.extend((bytes.len() as u64).to_le_bytes());
    message.extend(bytes);
}

/// Takes the first result off a message.
fn decode(message: &mut &[u8]) -> (usize, Outcome) {
    let (job, rest) = split_number(message);
    let (good, rest) = rest.split_first().expect("a message of this program");
    let (length, rest) = split_number(rest);
    let (bytes, rest) = rest.split_at(length);
    *message = rest;
    let outcome = match good {
        1 => Ok(bytes.to_vec()),
        _ => Err(String::from_utf8_lossy(bytes).into_owned()),
    };
    (job, outcome)
}

/// Takes a number off a message.
fn split_number(message: &[u8]) -> (usize, &[u8]) {
    let (number, rest) = message.split_first_chunk().expect("a message of this program");
    (u64::from_le_bytes(*number) as usize, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_written() {
        let results = [
            Ok(vec![1, 2, 3]),
            Err("no".to_owned()),
            Ok(vec![]),
            Err(String::new()),
            Ok(vec![0; 999]),
        ];
        let mut message = Vec::new();
        results.iter().enumerate().for_each(|(job, result)| encode(7 * job, result, &mut message));
        let mut rest = &message[..];
        for (job, result) in results.into_iter().enumerate() {
            assert_eq!(decode(&mut rest), (7 * job, result));
        }
        assert!(rest.is_empty());
    }

    /// Whatever order they come in; nothing is taken after the first that fails.
    #[test]
    fn results_are_taken_in_order() {
        let mut taken = Vec::new();
        let mut take = |job: usize, _: &[u8]| {
            taken.push(job);
            Ok::<_, String>(ControlFlow::Continue(()))
        };
        let mut order = InOrder::new(&mut take);
        for job in [2, 0, 1, 5] {
            assert!(order.next(job, Ok(vec![])).is_continue());
        }
        assert!(order.next(4, Err("no".to_owned())).is_break());
        assert!(order.next(3, Ok(vec![])).is_break());
        assert_eq!(order.verdict, Err((Some(4), "no".to_owned())));
        assert_eq!(taken, [0, 1, 2, 3]);
    }
}
