//! Sums over the super-blocks of a layer, drawn by threads and machines in any order.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::OnceLock;

use fearless_simd::Level;

use super::Proceed;
use super::communicator::{Communicator, Joint, Report, share};
use crate::kernel::exact_sum::{DIGITS, ExactSum, MOST_ADDENDS, Refused, Shape, Units};
use crate::kernel::plan::Plan;
use crate::parallel;
use crate::{Error, Result};

/// The sums of a pass over rows, and what threads need to draw them.
///
/// Every super-block is summed in `f64`, of `f32` rows in runs of up to 128 products that are
/// summed in `f32`. Super-blocks are added [without order](ExactSum). A layer of one super-block
/// has its sum as it is.
#[derive(Clone, Debug)]
pub(crate) struct Reduction<S> {
    level: Level,
    shape: Shape,
    workers: Vec<Worker<S>>,
    units: Units,
    message: Vec<i64>,
}

/// What one thread works with.
#[derive(Clone, Debug)]
struct Worker<S> {
    scratch: S,
    /// The sum of one super-block.
    block: Vec<f64>,
    sum: ExactSum,
    /// The first of its super-blocks that cannot be drawn.
    failed: Option<(usize, Error)>,
}

/// Which layer is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn<'a> {
    pub plan: &'a Plan,
    pub layer: usize,
}

impl<S: Send> Reduction<S> {
    /// Sums of matrices of these orders, with `scratch` for every thread.
    pub(crate) fn new(plan: &Plan, orders: &[usize], scratch: impl FnMut() -> S) -> Self {
        let mut reduction = Self {
            level: Level::new(),
            shape: Shape::default(),
            workers: Vec::new(),
            units: Units::default(),
            message: Vec::new(),
        };
        reduction.fit(plan, orders, scratch);
        reduction
    }

    /// Allocates memory for other sums; keeps the scratch of threads.
    pub(crate) fn fit(&mut self, plan: &Plan, orders: &[usize], mut scratch: impl FnMut() -> S) {
        self.shape = Shape::new(orders);
        let worker = || Worker {
            scratch: scratch(),
            block: Vec::new(),
            sum: ExactSum::default(),
            failed: None,
        };
        self.workers.resize_with(parallel::threads(plan.super_blocks()), worker);
        for worker in &mut self.workers {
            worker.block.resize(self.shape.entries(), 0.0);
        }
    }

    /// The scratch of one thread.
    pub(crate) fn scratch(&mut self) -> &mut S {
        &mut self.workers[0].scratch
    }

    /// Writes the sums of all super-blocks to the upper triangles of `total`.
    ///
    /// `draw` adds a super-block to matrices that are zero. `proceed` gets the approximate number
    /// of finished rows now and then, and may stop. Returns whether all sums are finite; otherwise
    /// they must not be used.
    ///
    /// Members must agree on the `fingerprint` of the rows.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if a member stops before all rows are done; the first error of
    /// `draw`; [`Error::SumOutOfRange`], and [`Error::Communicator`].
    pub(crate) fn sum(
        &mut self,
        Drawn { plan, layer }: Drawn<'_>,
        team: &mut dyn Communicator,
        fingerprint: impl FnOnce() -> u64,
        draw: impl Fn(usize, &mut S, &mut [f64]) -> Result<()> + Sync,
        proceed: Proceed<'_>,
        total: &mut [f64],
    ) -> Result<bool> {
        let (blocks, shared) = (plan.super_blocks(), team.size() > 1);
        assert!(blocks <= MOST_ADDENDS, "{blocks} super-blocks");
        if shared {
            let sums = if blocks > 1 { DIGITS * self.shape.pairs() } else { 0 };
            announce(team, fingerprint(), sums, &mut self.message)?;
        }
        let mut told = 0;
        let mut report_rows = |rows| {
            told = rows;
            proceed(rows)
        };
        let ((done, first_block), asked) = if blocks == 1 {
            (self.only_block(shared, draw, total), Ok(()))
        } else {
            self.own_blocks(plan, team, draw, &mut report_rows)
        };
        let failed = self.workers.iter_mut().filter_map(|worker| worker.failed.take());
        let failed = failed.min_by_key(|(block, _)| *block);
        let Refused { not_finite, out_of_range } = self.workers[0].sum.refused();
        let mut joint = Joint { not_finite, out_of_range, done };
        if shared {
            // Others wait in the exchange, whatever became of this member.
            let (differs, failed) = (false, failed.is_some() || asked.is_err());
            let report = Report { differs, failed, not_finite, out_of_range, done, first_block };
            let exchanged = self.exchange(team, blocks, report);
            asked?;
            joint = exchanged?;
        }
        if let Some((_, error)) = failed {
            return Err(error);
        }
        let rows = (joint.done * plan.super_block_rows()).min(plan.rows());
        if joint.done < blocks {
            return Err(Error::Interrupted { layer, rows });
        }
        if told < rows {
            let _ = proceed(rows); // a layer that is done is kept
        }
        if blocks > 1 {
            if joint.out_of_range && !joint.not_finite {
                return Err(Error::SumOutOfRange { layer });
            }
            let sum = &mut self.workers[0].sum;
            sum.total(self.level, &self.units, total);
            joint.not_finite |= sum.refused().not_finite;
        }
        Ok(!joint.not_finite)
    }

    /// Adds up what all members have: the one exchange of a pass that grows with the batch.
    fn exchange(
        &mut self,
        team: &mut dyn Communicator,
        blocks: usize,
        report: Report,
    ) -> Result<Joint> {
        let Self { workers, message, .. } = self;
        let sum = &mut workers[0].sum;
        report.write(team, message);
        let integers = &mut message[Report::LENGTH..];
        if blocks > 1 {
            integers.copy_from_slice(sum.integers());
        }
        team.all_reduce_sum(message)?;
        let joint = Joint::read(team, message);
        if blocks > 1 {
            sum.set_integers(&message[Report::LENGTH..]);
            return joint;
        }
        joint.map(|joint| Joint { done: 1, ..joint })
    }

    /// Draws the only super-block there is.
    fn only_block(
        &mut self,
        shared: bool,
        draw: impl Fn(usize, &mut S, &mut [f64]) -> Result<()>,
        total: &mut [f64],
    ) -> (usize, u64) {
        let worker = &mut self.workers[0];
        worker.sum.clear(&Shape::default());
        worker.draw(0, &draw);
        total.copy_from_slice(&worker.block);
        (1, worker.hash_of_block(shared))
    }

    /// Draws the super-blocks of this member. Returns how many, a hash of the first of all, and
    /// whether the others could be asked to stop.
    fn own_blocks(
        &mut self,
        plan: &Plan,
        team: &mut dyn Communicator,
        draw: impl Fn(usize, &mut S, &mut [f64]) -> Result<()> + Sync,
        proceed: Proceed<'_>,
    ) -> ((usize, u64), Result<()>) {
        let Self { level, shape, workers, units, .. } = self;
        let (level, shape, size) = (*level, &*shape, team.size());
        workers.iter_mut().for_each(|worker| worker.sum.clear(shape));
        let mut own = share(team, plan.super_blocks());
        let has_first = own.contains(&0);
        own.start += usize::from(has_first);
        let (known, spare) = (OnceLock::new(), std::mem::take(units));
        let mut first_block = 0;
        // The first super-block of all gives the units, so every member draws it, at once.
        let lead = |worker: &mut Worker<S>| {
            worker.draw(0, &draw);
            first_block = worker.hash_of_block(size > 1);
            let units = units_of(&known, shape, spare, &worker.block);
            if has_first {
                worker.sum.add(level, units, &worker.block);
            }
        };
        let work = |worker: &mut Worker<S>, block| {
            worker.draw(block, &draw);
            let units = worker.wait_for_units(&known, shape, &draw);
            worker.sum.add(level, units, &worker.block);
        };
        let first = usize::from(has_first);
        let (mut failed, rows) = (Ok(()), plan.super_block_rows());
        let done = parallel::take_turns(workers, own, lead, work, |done| {
            let all = ((first + done) * rows).saturating_mul(size).min(plan.rows());
            let flow = proceed(all);
            if size == 1 {
                return flow;
            }
            let stop = if flow.is_break() {
                team.request_stop().map(|()| true)
            } else {
                team.stop_requested()
            };
            match stop {
                Ok(false) => ControlFlow::Continue(()),
                stop => {
                    failed = stop.map(drop);
                    ControlFlow::Break(())
                }
            }
        });
        *units = known.into_inner().unwrap_or_default();
        let (one, others) = workers.split_at_mut(1);
        others.iter_mut().for_each(|other| one[0].sum.merge(&mut other.sum));
        ((first + done, first_block), failed)
    }
}

impl<S> Worker<S> {
    /// Draws a super-block.
    fn draw(&mut self, block: usize, draw: impl Fn(usize, &mut S, &mut [f64]) -> Result<()>) {
        self.block.fill(0.0);
        if let Err(error) = draw(block, &mut self.scratch, &mut self.block)
            && self.failed.as_ref().is_none_or(|(first, _)| block < *first)
        {
            self.failed = Some((block, error));
        }
    }

    /// The units, once the leading thread has them. If that takes longer than it should, this thread
    /// draws the first super-block, too: to wait on could be to wait for oneself.
    fn wait_for_units<'a>(
        &mut self,
        known: &'a OnceLock<Units>,
        shape: &Shape,
        draw: impl Fn(usize, &mut S, &mut [f64]) -> Result<()>,
    ) -> &'a Units {
        const PATIENCE: usize = 1000;
        for _ in 0..PATIENCE {
            if let Some(units) = known.get() {
                return units;
            }
            std::thread::yield_now();
        }
        let first = vec![0.0; self.block.len()];
        let own = std::mem::replace(&mut self.block, first);
        self.draw(0, draw);
        let first = std::mem::replace(&mut self.block, own);
        units_of(known, shape, Units::default(), &first)
    }

    /// A hash of the block that was drawn last.
    fn hash_of_block(&self, wanted: bool) -> u64 {
        let mut hasher = DefaultHasher::new();
        if wanted {
            self.block.iter().for_each(|number| number.to_bits().hash(&mut hasher));
        }
        hasher.finish()
    }
}

/// The units that the first super-block gives, which is the same on every thread and member.
fn units_of<'a>(
    known: &'a OnceLock<Units>,
    shape: &Shape,
    mut spare: Units,
    first_block: &[f64],
) -> &'a Units {
    known.get_or_init(|| {
        spare.take(shape, first_block);
        spare
    })
}

/// Makes sure that all members draw the same rows, and makes `message` as long as theirs: a report
/// and this number of `sums`. A member that draws others reports that instead of drawing them.
fn announce(
    team: &mut dyn Communicator,
    fingerprint: u64,
    sums: usize,
    message: &mut Vec<i64>,
) -> Result<()> {
    let own = [fingerprint as i64, (Report::LENGTH + sums) as i64];
    let mut first = own;
    team.broadcast(0, &mut first)?;
    message.clear();
    message.resize(usize::try_from(first[1]).unwrap_or(Report::LENGTH), 0);
    if first == own {
        return Ok(());
    }
    Report { differs: true, ..Report::default() }.write(team, message);
    team.all_reduce_sum(message)?;
    Joint::read(team, message).map(drop)
}

/// Makes sure that all members draw the same layer, where each draws it alone.
pub(super) fn agree(team: &mut dyn Communicator, fingerprint: u64) -> Result<()> {
    let mut message = Vec::new();
    announce(team, fingerprint, 0, &mut message)?;
    Report::default().write(team, &mut message);
    team.all_reduce_sum(&mut message)?;
    Joint::read(team, &message).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::communicator::SingleProcess;
    use super::super::communicator::tests::Member;
    use super::*;

    fn sum(
        plan: &Plan,
        team: &mut dyn Communicator,
        draw: impl Fn(usize, &mut (), &mut [f64]) -> Result<()> + Sync,
    ) -> Result<bool> {
        let mut reduction = Reduction::new(plan, &[2], || ());
        let proceed: Proceed<'_> = &mut |_| ControlFlow::Continue(());
        reduction.sum(Drawn { plan, layer: 1 }, team, || 7, draw, proceed, &mut [0.0; 4])
    }

    /// The last bit of the first super-block, and of no other, shows in the message of a member.
    #[test]
    fn members_report_what_they_have_drawn_first() {
        for rows in [1, 10_000_000] {
            let plan = Plan::new::<f64>(rows, 2);
            assert_eq!(plan.super_blocks() > 1, rows > 1);
            let hash = |first: f64, later: f64| {
                let mut team = Member::new(0, 2);
                let draw = |block: usize, (): &mut (), sum: &mut [f64]| {
                    sum.fill(if block == 0 { first } else { later });
                    Ok(())
                };
                assert!(sum(&plan, &mut team, draw).unwrap());
                team.message[7]
            };
            assert_eq!(hash(1.0, 1.0), hash(1.0, 1.5));
            assert_ne!(hash(1.0, 1.0), hash(1.0f64.next_up(), 1.0));
        }
    }

    /// Of several super-blocks that fail, the first one is the error, on any number of threads.
    #[test]
    fn the_first_failure_is_the_error() {
        let plan = Plan::new::<f64>(10_000_000, 2);
        let blocks = plan.super_blocks();
        for first in [0, 1, blocks - 1] {
            let draw = |block: usize, (): &mut (), _: &mut [f64]| {
                let reason = block.to_string();
                if block >= first { Err(Error::Communicator { reason }) } else { Ok(()) }
            };
            let reason = first.to_string();
            let found = sum(&plan, &mut SingleProcess, draw);
            assert_eq!(found, Err(Error::Communicator { reason }));
        }
    }
}
