//! Sums over the rows of a layer, by threads and machines.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use nalgebra::DMatrix;

use super::super::Top;
use super::rows::{Rows, Source, Worker};
use crate::chain::{Communicator, Drawn, Reduction};
use crate::kernel::generator::StreamKey;
use crate::{Error, Result, Scalar};

/// The threads of a reverse pass.
#[derive(Debug, Default)]
pub(super) struct Workers<T: Scalar>(Option<Reduction<Worker<T>>>);

/// What a pass over rows depends on, which members of a team must agree on: the layer, the loss, the
/// stream of fresh normals, and numbers that go into the rows.
pub(super) struct Pass<'a, T: Scalar> {
    pub layer: usize,
    pub top: Top,
    pub fresh: StreamKey,
    pub numbers: &'a DMatrix<T>,
}

impl<T: Scalar> Workers<T> {
    /// The sums of symmetric matrices of some `orders`, to which `add` adds every block of rows; the
    /// same bits on any number of threads and members.
    pub(super) fn sum(
        &mut self,
        rows: &Rows<'_, T>,
        orders: &[usize],
        pass: Pass<'_, T>,
        team: &mut impl Communicator,
        add: impl Fn(usize, &mut Worker<T>, &mut [f64]) -> Result<()> + Sync,
    ) -> Result<Vec<f64>> {
        let plan = &rows.plan;
        let blocks = plan.super_block_rows() / plan.block_rows();
        match &mut self.0 {
            Some(reduction) => reduction.fit(plan, orders, Worker::default),
            none => *none = Some(Reduction::new(plan, orders, Worker::default)),
        }
        let reduction = self.0.as_mut().expect("made above");
        let add = |index: usize, worker: &mut Worker<T>, sums: &mut [f64]| {
            let begin = index * blocks;
            let end = (begin + blocks).min(plan.blocks());
            (begin..end).try_for_each(|block| add(block, worker, sums))
        };
        let mut sums = vec![0.0; orders.iter().map(|order| order * order).sum()];
        let fingerprint = || fingerprint(rows, &pass);
        let go_on = &mut |_| ControlFlow::Continue(());
        let drawn = Drawn { plan, layer: pass.layer };
        let finite = reduction.sum(drawn, team, fingerprint, add, go_on, &mut sums)?;
        let value = sums.iter().copied().find(|x| !x.is_finite());
        if finite && value.is_none() {
            return Ok(sums);
        }
        let value = value.unwrap_or(f64::NAN);
        Err(Error::Overflow { what: "sum of products of gradients", row: 0, value })
    }
}

/// A hash of what the sums of a pass depend on.
fn fingerprint<T: Scalar>(rows: &Rows<'_, T>, pass: &Pass<'_, T>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (pass.top, pass.fresh).hash(&mut hasher);
    (rows.plan.rows(), rows.plan.block_rows(), rows.batch_size()).hash(&mut hasher);
    let drawn: &[T] = match &rows.source {
        Source::Drawn { factor, .. } => factor.as_slice(),
        Source::Held { states } => states[0].as_slice(),
    };
    for &number in drawn.iter().chain(pass.numbers) {
        let number: f64 = number.into();
        number.to_bits().hash(&mut hasher);
    }
    hasher.finish()
}

/// The symmetric matrix of the pairs i <= j that `sums[i k + j]` holds.
pub(super) fn symmetric(sums: &[f64], k: usize) -> DMatrix<f64> {
    DMatrix::from_fn(k, k, |i, j| sums[i.min(j) * k + i.max(j)])
}
