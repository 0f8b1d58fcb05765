//! The pass that pulls gradients back through a normalisation.

use fearless_simd::Level;

use super::blocks::{Block, Cut};
use super::entries::{Entries, Target};
use super::forward::{begin, untrusted};
use super::pass::Pass;
use super::scratch::Scratch;
use super::{Row, RowMap};
use crate::kernel::row_maps::{Map, Rule, finish_means, finish_pullback};
use crate::normalization::batch_norm::BatchNorm;
use crate::statistics::SplitMean;
use crate::{Error, Result, Scalar};

/// Pulls gradients at `h` back, of matrices of one shape. An error may leave them half done.
pub(in crate::normalization) fn pull_back<T: Scalar>(
    operator: &BatchNorm,
    h: &impl Entries<T>,
    gradient: &mut impl Target<T>,
) -> Result<()> {
    let rule = operator.rule(h.shape().1);
    let rule = Rule { largest: T::LARGEST / 4.0, ..rule };
    let pass = PullBack { operator, level: Level::new(), rule, h };
    pass.run(gradient, Cut::new::<T>(h.shape(), 2))
}

struct PullBack<'a, H> {
    operator: &'a BatchNorm,
    level: Level,
    rule: Rule,
    h: &'a H,
}

impl<T: Scalar, H: Entries<T>> Pass<T, Cut> for PullBack<'_, H> {
    fn visit<E: Target<T>>(
        &self,
        gradient: &mut E,
        block: &Block,
        scratch: &mut Scratch<T>,
    ) -> Result<()> {
        let Self { operator, level, rule, h } = *self;
        statistics(level, rule, block, h, gradient, scratch);
        let Scratch { maps, slow_pulls, .. } = scratch;
        slow_pulls.clear();
        untrusted(block, maps).try_for_each(|row| {
            slow_pulls.push((row, SlowRow::of(operator, h, gradient, row)?));
            Ok(())
        })?;
        map(level, block, h, gradient, scratch)
    }
}

/// Packs a block of both and sums up its rows.
fn statistics<T: Scalar>(
    level: Level,
    rule: Rule,
    block: &Block,
    h: &impl Entries<T>,
    gradient: &impl Entries<T>,
    scratch: &mut Scratch<T>,
) {
    let Scratch { packed: [packed, pulls], moments: [rows, gradients], maps, .. } = scratch;
    let (rows, gradients) = (begin(block, rows), begin(block, gradients));
    let packing = block.packing;
    if rule.is_centered {
        block.for_each_part(h, true, packed, |first, chunks| {
            T::add_differences(level, packing, first == 0, chunks, rows);
        });
        block.for_each_part(gradient, true, pulls, |first, chunks| {
            T::add_differences(level, packing, first == 0, chunks, gradients);
        });
        finish_means(level, rule.len, rows);
        finish_means(level, rule.len, gradients);
    }
    for columns in block.parts() {
        let is_new = !rule.is_centered || !block.is_whole(&columns);
        let chunks = block.pack(h, columns.clone(), is_new, packed);
        let pulls = block.pack(gradient, columns, is_new, pulls);
        T::add_joint(level, packing, [chunks, pulls], rows, gradients);
    }
    maps.resize(packing.groups, Map::default());
    finish_pullback(level, rule, T::EPSILON > f64::EPSILON, rows, gradients, maps);
}

/// Replaces the gradients of a block, those of slow rows one by one.
fn map<T: Scalar>(
    level: Level,
    block: &Block,
    h: &impl Entries<T>,
    gradient: &mut impl Target<T>,
    scratch: &mut Scratch<T>,
) -> Result<()> {
    let Scratch { packed: [packed, pulls], moments: [rows, gradients], maps, slow_pulls, .. } =
        scratch;
    for columns in block.parts() {
        let is_new = !block.is_whole(&columns);
        let chunks = block.pack(h, columns.clone(), is_new, packed);
        let pulls = block.pack(gradient, columns.clone(), is_new, pulls);
        T::pull_back(level, block.packing, chunks, pulls, rows, gradients, maps);
        for (row, slow) in &*slow_pulls {
            for column in columns.clone() {
                let entry = [h.get(*row, column).into(), gradient.get(*row, column).into()];
                *block.entry(pulls, *row, column - columns.start) = slow.pull::<T>(entry, *row)?;
            }
        }
        block.unpack(gradient, columns.start, pulls);
    }
    Ok(())
}

/// What pulls the gradient of one row of any size back.
#[derive(Clone, Copy, Debug)]
pub(in crate::normalization) struct SlowRow {
    map: RowMap,
    /// A power of two by which entries of the gradient are multiplied, and their mean.
    unit: f64,
    mean: SplitMean,
    /// The share of the normalised row that is taken from its gradient.
    along: f64,
}

impl SlowRow {
    pub(in crate::normalization) fn of<T: Scalar>(
        operator: &BatchNorm,
        h: &impl Entries<T>,
        gradient: &impl Entries<T>,
        row: usize,
    ) -> Result<Self> {
        let map = operator.row_map(&Row::of(h, row)?, row)?;
        let Row { unit, mean, len, .. } = Row::of(gradient, row)?;
        let mean = operator.subtracted(mean);
        let product = |column: usize| {
            let entry: f64 = gradient.get(row, column).into();
            map.apply(h.get(row, column).into()) * mean.deviation(entry * unit)
        };
        let along = (0..len).map(product).sum::<f64>() / operator.share(len);
        Ok(Self { map, unit, mean, along })
    }

    /// The gradient by an entry of `h`.
    pub(in crate::normalization) fn pull<T: Scalar>(
        &self,
        [entry, gradient]: [f64; 2],
        row: usize,
    ) -> Result<T> {
        let Self { map, unit, mean, along } = self;
        let value = self.divided(mean.deviation(gradient * unit) - map.apply(entry) * along);
        let result = T::of(value);
        if result.is_finite() {
            Ok(result)
        } else {
            Err(Error::Overflow { what: "gradient", row, value })
        }
    }

    /// What is left of the gradient in its unit, as a gradient by entries.
    fn divided(&self, across: f64) -> f64 {
        let (up, down) = (self.map.unit, 1.0 / self.unit);
        let ratio = across / self.map.divisor;
        // Two powers of two: their product is exact where one would leave the range that the other
        // leads back into.
        if (up > 1.0) == (down > 1.0) { ratio * up * down } else { ratio * (up * down) }
    }
}

#[cfg(test)]
impl SlowRow {
    /// How long the gradient is, divided as results are: what their errors are relative to.
    pub(super) fn size(&self, gradient: impl Iterator<Item = f64>) -> f64 {
        let Self { unit, mean, .. } = self;
        self.divided(gradient.map(|g| mean.deviation(g * unit).powi(2)).sum::<f64>().sqrt())
    }
}
