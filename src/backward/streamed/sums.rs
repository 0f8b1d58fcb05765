//! Sums over the blocks of a layer: in waves on the threads of a pool, in the order of the blocks.

use std::hash::{DefaultHasher, Hash, Hasher};

use nalgebra::DMatrix;

use super::rows::{Rows, Source, Worker};
use crate::chain::{Communicator, Shares};
use crate::kernel::generator::StreamKey;
use crate::parallel;
use crate::{Error, Result, Scalar};

/// The workers of a reverse pass.
#[derive(Debug)]
pub(super) struct Workers<T: Scalar>(Vec<Worker<T>>);

impl<T: Scalar> Default for Workers<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Scalar> Workers<T> {
    /// The sum of `length` numbers that `add` makes of every block of rows; the same bits on any
    /// number of threads and members.
    ///
    /// Members of a team must agree on the stream `key` and the `numbers` that go into the rows.
    pub(super) fn sum(
        &mut self,
        rows: &Rows<'_, T>,
        length: usize,
        (key, numbers): (StreamKey, &DMatrix<T>),
        team: &mut impl Communicator,
        add: impl Fn(usize, &mut Worker<T>) -> Result<()> + Sync,
    ) -> Result<Vec<f64>> {
        let plan = &rows.plan;
        let total = plan.super_blocks();
        let blocks = plan.super_block_rows() / plan.block_rows();
        let count = parallel::workers(total, length);
        self.0.resize_with(count, Worker::default);
        let mut shares = Shares::agree(team, count, || fingerprint(rows, key, numbers))?;
        let (mut sum, mut outcome) = (vec![0.0; length], Ok(()));
        for first in (0..total).step_by(shares.wave()) {
            let wave = shares.wave().min(total - first);
            let own = shares.own(wave);
            let workers = &mut self.0[..own.len()];
            parallel::for_each(workers, |offset, worker| {
                worker.sums.clear();
                worker.sums.resize(length, 0.0);
                let begin = (first + own.start + offset) * blocks;
                let end = (begin + blocks).min(plan.blocks());
                worker.outcome = (begin..end).try_for_each(|block| add(block, worker));
                if worker.outcome.is_err() {
                    worker.sums.fill(f64::NAN); // so that no member waits for another
                }
            });
            for worker in workers.iter_mut() {
                outcome = outcome.and(std::mem::replace(&mut worker.outcome, Ok(())));
            }
            let sums = workers.iter().map(|worker| &worker.sums[..]);
            let add_up = |share: &[f64]| sum.iter_mut().zip(share).for_each(|(to, x)| *to += x);
            shares.add_up(wave, length, sums, false, add_up)?;
        }
        outcome?;
        if sum.iter().all(|x| x.is_finite()) {
            return Ok(sum);
        }
        let value = sum.into_iter().find(|x| !x.is_finite()).unwrap_or(f64::NAN);
        Err(Error::Overflow { what: "sum of products of gradients", row: 0, value })
    }
}

/// A hash of what the sums of a pass depend on.
fn fingerprint<T: Scalar>(rows: &Rows<'_, T>, key: StreamKey, numbers: &DMatrix<T>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, rows.plan.rows(), rows.plan.block_rows(), rows.batch_size()).hash(&mut hasher);
    let drawn: &[T] = match &rows.source {
        Source::Drawn { factor, .. } => factor.as_slice(),
        Source::Held { states } => states[0].as_slice(),
    };
    for &number in drawn.iter().chain(numbers) {
        let number: f64 = number.into();
        number.to_bits().hash(&mut hasher);
    }
    hasher.finish()
}

/// The symmetric matrix of the pairs i <= j that `sums[i k + j]` holds.
pub(super) fn symmetric(sums: &[f64], k: usize) -> DMatrix<f64> {
    DMatrix::from_fn(k, k, |i, j| sums[i.min(j) * k + i.max(j)])
}
