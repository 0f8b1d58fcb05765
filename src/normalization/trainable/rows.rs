//! The passes of a layer over the blocks of a batch.

use std::sync::{Mutex, MutexGuard, PoisonError};

use fearless_simd::Level;
use nalgebra::DVector;

use super::{TrainableBatchNorm, check_variance};
use crate::kernel::row_maps::{Affine, Map, Rule, running_maps};
use crate::kernel::wide::Wide;
use crate::normalization::row::blocks::{Block, Cut};
use crate::normalization::row::entries::{Entries, Target};
use crate::normalization::row::forward::{
    find_slow, finish, map, map_checked, memorize, statistics as sum_rows, untrusted,
};
use crate::normalization::row::pass::Pass;
use crate::normalization::row::scratch::{Memory, Scratch};
use crate::normalization::row::{Row, RowMap};
use crate::{Error, Result, Scalar};

impl<T: Scalar> TrainableBatchNorm<T> {
    /// The rule of training batches of `n` samples.
    fn rule(&self, n: usize) -> Rule {
        let largest = T::LARGEST / 4.0;
        Rule { largest, largest_variance: largest, ..self.operator.rule(n) }
    }

    /// Scales and shifts of sixteen neurons.
    fn affine(&self, first: usize) -> Affine {
        Affine { gamma: wide(&self.gamma, first), beta: wide(&self.beta, first) }
    }

    /// Normalises, scales and shifts the rows of a training batch by its statistics, or checks that
    /// they can be; writes these statistics to the memory.
    pub(super) fn train_rows<E: Target<T>>(
        &self,
        entries: &mut E,
        memory: &mut Memory,
    ) -> Result<()> {
        let (shape, memory) = (entries.shape(), Mutex::new(memory));
        let pass = Train { layer: self, level: Level::new(), rule: self.rule(shape.1), memory };
        pass.run(entries, Cut::new::<T>(shape, 1))
    }

    /// Writes the statistics of a training batch to the memory.
    pub(super) fn sum_rows(&self, entries: &mut impl Target<T>, memory: &mut Memory) -> Result<()> {
        let (shape, memory) = (entries.shape(), Mutex::new(memory));
        let pass = Remember { level: Level::new(), rule: self.rule(shape.1), memory };
        pass.run(entries, Cut::new::<T>(shape, 1))
    }

    /// Moves the running statistics towards those of a batch.
    pub(super) fn remember_rows(&mut self, memory: &Memory) {
        let momentum = self.momentum;
        let move_towards = |running: &mut T, batch: f64| {
            let old: f64 = (*running).into();
            let new = (1.0 - momentum) * old + momentum * batch;
            // Rounding could lead out of the range between the two, and of floats.
            *running = T::of(new.max(old.min(batch)).min(old.max(batch)));
        };
        let pairs = self.running_mean.as_mut_slice().iter_mut().zip(&memory.means);
        pairs.for_each(|(running, &batch)| move_towards(running, batch));
        let pairs = self.running_variance.as_mut_slice().iter_mut().zip(&memory.variances);
        pairs.for_each(|(running, &batch)| move_towards(running, batch));
    }

    /// Normalises, scales and shifts rows by the running statistics, or checks that they can be. An
    /// error may leave them half done.
    pub(super) fn infer_rows<E: Target<T>>(&self, entries: &mut E) -> Result<()> {
        let cut = Cut::new::<T>(entries.shape(), 1);
        Infer { layer: self, level: Level::new() }.run(entries, cut)
    }

    /// The first error of the rows of a block, in their order.
    fn first_error(&self, entries: &impl Entries<T>, block: &Block) -> Result<T> {
        for row in block.first..block.first + block.rows {
            for column in 0..entries.shape().1 {
                let value = entries.get(row, column).into();
                if !value.is_finite() {
                    return Err(Error::NotFinite { row, column, value });
                }
            }
            self.check_results(entries, row, self.running_map(row)?)?;
        }
        Err(Error::Overflow { what: "normalised entry", row: block.first, value: f64::NAN })
    }
}

/// A training batch, block by block. Threads write different rows of the memory.
struct Train<'a, T> {
    layer: &'a TrainableBatchNorm<T>,
    level: Level,
    rule: Rule,
    memory: Mutex<&'a mut Memory>,
}

impl<T: Scalar> Pass<T, Cut> for Train<'_, T> {
    fn visit<E: Target<T>>(
        &self,
        entries: &mut E,
        block: &Block,
        scratch: &mut Scratch<T>,
    ) -> Result<()> {
        let Self { layer, level, rule, ref memory } = *self;
        sum_rows(level, rule, block, entries, scratch);
        finish(level, rule, block, |group| layer.affine(block.row(group)), scratch);
        memorize(rule, block, scratch, &mut lock(memory));
        find_slow(block, scratch, |row| {
            let statistics = Row::of(entries, row)?;
            let map = layer.operator.row_map(&statistics, row)?;
            check_variance::<T>(&statistics, row)?;
            layer.check_results(entries, row, map)?;
            lock(memory).set(row, &statistics);
            Ok(map)
        })?;
        if E::WRITES {
            let slow_entry = |row, map: &RowMap, entry| layer.result(entry, row, *map);
            map(level, true, block, entries, scratch, slow_entry);
        }
        Ok(())
    }
}

/// The statistics of a training batch, block by block.
struct Remember<'a> {
    level: Level,
    rule: Rule,
    memory: Mutex<&'a mut Memory>,
}

impl<T: Scalar> Pass<T, Cut> for Remember<'_> {
    fn visit<E: Target<T>>(
        &self,
        entries: &mut E,
        block: &Block,
        scratch: &mut Scratch<T>,
    ) -> Result<()> {
        let Self { level, rule, ref memory } = *self;
        sum_rows(level, rule, block, entries, scratch);
        finish(level, rule, block, |_| Affine::IDENTITY, scratch);
        memorize(rule, block, scratch, &mut lock(memory));
        untrusted(block, &scratch.maps).try_for_each(|row| {
            let statistics = Row::of(entries, row)?;
            check_variance::<T>(&statistics, row)?;
            lock(memory).set(row, &statistics);
            Ok(())
        })
    }
}

/// What the lock holds: numbers, which a panic of another thread leaves as valid as they were.
fn lock<'a, M>(memory: &'a Mutex<M>) -> MutexGuard<'a, M> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Inference, block by block.
struct Infer<'a, T> {
    layer: &'a TrainableBatchNorm<T>,
    level: Level,
}

impl<T: Scalar> Pass<T, Cut> for Infer<'_, T> {
    fn visit<E: Target<T>>(
        &self,
        entries: &mut E,
        block: &Block,
        scratch: &mut Scratch<T>,
    ) -> Result<()> {
        let Self { layer, level } = *self;
        scratch.maps.resize(block.groups(), Map::default());
        running_maps(
            level,
            layer.operator.epsilon(),
            |group| {
                let first = block.row(group);
                [wide(&layer.running_mean, first), wide(&layer.running_variance, first)]
            },
            |group| layer.affine(block.row(group)),
            &mut scratch.maps,
        );
        map_checked(level, block, entries, scratch, |entries, row, column| {
            let (entry, map) = (entries.get(row, column).into(), layer.running_map(row));
            if let (true, Ok(map)) = (entry.is_finite(), map) {
                let value = T::of(layer.result(entry, row, map));
                if value.is_finite() {
                    return Ok(value);
                }
            }
            layer.first_error(entries, block)
        })
    }
}

/// Sixteen numbers from `first` on, zeros beyond the last.
fn wide<T: Scalar>(numbers: &DVector<T>, first: usize) -> Wide {
    let mut wide = Wide::default();
    for (wide, &number) in wide.as_flattened_mut().iter_mut().zip(&numbers.as_slice()[first..]) {
        *wide = number.into();
    }
    wide
}
