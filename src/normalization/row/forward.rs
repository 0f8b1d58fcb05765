//! Normalising passes: statistics of a block, maps of its rows, results.

use fearless_simd::Level;

use super::blocks::{Block, Cut};
use super::entries::{Entries, Target};
use super::pass::Pass;
use super::scratch::{Memory, Scratch};
use super::{Row, RowMap};
use crate::kernel::row_maps::{Affine, Map, Moments, Rule, finish_maps, finish_means};
use crate::normalization::batch_norm::BatchNorm;
use crate::{Result, Scalar};

/// Normalises the rows of `entries`, or checks that they can be. An error may leave them half done.
pub(in crate::normalization) fn normalize<T: Scalar, E: Target<T>>(
    operator: &BatchNorm,
    entries: &mut E,
) -> Result<()> {
    let shape = entries.shape();
    let pass = Normalize { operator, level: Level::new(), rule: operator.rule(shape.1) };
    pass.run(entries, Cut::new::<T>(shape, 1))
}

struct Normalize<'a> {
    operator: &'a BatchNorm,
    level: Level,
    rule: Rule,
}

impl<T: Scalar> Pass<T, Cut> for Normalize<'_> {
    fn visit<E: Target<T>>(
        &self,
        entries: &mut E,
        block: &Block,
        scratch: &mut Scratch<T>,
    ) -> Result<()> {
        let Self { operator, level, rule } = *self;
        statistics(level, rule, block, entries, scratch);
        finish(level, rule, block, |_| Affine::IDENTITY, scratch);
        find_slow(block, scratch, |row| operator.row_map(&Row::of(entries, row)?, row))?;
        if E::WRITES {
            let slow_entry = |_, map: &RowMap, entry| map.apply(entry);
            map(level, rule.is_centered, block, entries, scratch, slow_entry);
        }
        Ok(())
    }
}

/// Packs a block and sums up its rows.
pub(in crate::normalization) fn statistics<T: Scalar>(
    level: Level,
    rule: Rule,
    block: &Block,
    entries: &impl Entries<T>,
    scratch: &mut Scratch<T>,
) {
    let (packing, [packed, _], [moments, _]) =
        (block.packing, &mut scratch.packed, &mut scratch.moments);
    let moments = begin(block, moments);
    if !rule.is_centered {
        block.for_each_part(entries, true, packed, |_, chunks| {
            T::add_squares(level, packing, chunks, moments);
        });
        return;
    }
    block.for_each_part(entries, true, packed, |first, chunks| {
        T::add_differences(level, packing, first == 0, chunks, moments);
    });
    finish_means(level, rule.len, moments);
    block.for_each_part(entries, false, packed, |_, chunks| {
        T::add_deviations(level, packing, chunks, moments);
    });
}

/// Clears the sums of the rows of a block.
pub(super) fn begin<'a>(block: &Block, moments: &'a mut Vec<Moments>) -> &'a mut [Moments] {
    moments.clear();
    moments.resize(block.packing.groups, Moments::default());
    moments
}

/// Turns the sums of a block into maps.
pub(in crate::normalization) fn finish<T: Scalar>(
    level: Level,
    rule: Rule,
    block: &Block,
    affine: impl Fn(usize) -> Affine,
    scratch: &mut Scratch<T>,
) {
    scratch.maps.resize(block.packing.groups, Map::default());
    finish_maps(level, rule, affine, &mut scratch.moments[0], &mut scratch.maps);
}

/// Writes mean and unbiased variance of each row of a block to the memory.
pub(in crate::normalization) fn memorize<T>(
    rule: Rule,
    block: &Block,
    scratch: &Scratch<T>,
    memory: &mut Memory,
) {
    let end = block.first + block.rows;
    for (group, sums) in scratch.moments[0].iter().enumerate() {
        let rows = block.row(group)..end.min(block.row(group + 1));
        memory.means[rows.clone()].copy_from_slice(&sums.high.as_flattened()[..rows.len()]);
        let squares = sums.squares.as_flattened();
        for (variance, squares) in memory.variances[rows].iter_mut().zip(squares) {
            *variance = squares / (rule.len - 1.0);
        }
    }
}

/// Finds the maps of the rows that the kernels leave alone.
pub(in crate::normalization) fn find_slow<T>(
    block: &Block,
    scratch: &mut Scratch<T>,
    mut row_map: impl FnMut(usize) -> Result<RowMap>,
) -> Result<()> {
    let Scratch { maps, slow, .. } = scratch;
    slow.clear();
    untrusted(block, maps).try_for_each(|row| {
        slow.push((row, row_map(row)?));
        Ok(())
    })
}

/// The rows of a block that the kernels leave alone.
pub(in crate::normalization) fn untrusted(
    block: &Block,
    maps: &[Map],
) -> impl Iterator<Item = usize> {
    let end = block.first + block.rows;
    let groups = maps.iter().enumerate().filter(|(_, map)| !map.are_trusted());
    groups.flat_map(move |(group, map)| {
        let rows = block.row(group)..end.min(block.row(group + 1));
        rows.enumerate().filter(|(lane, _)| !map.is_trusted(*lane)).map(|(_, row)| row)
    })
}

/// Maps the entries of a block, those of slow rows by `slow_entry`.
pub(in crate::normalization) fn map<T: Scalar>(
    level: Level,
    is_centered: bool,
    block: &Block,
    entries: &mut impl Target<T>,
    scratch: &mut Scratch<T>,
    slow_entry: impl Fn(usize, &RowMap, f64) -> f64,
) {
    let Scratch { packed: [packed, _], maps, slow, .. } = scratch;
    for columns in block.parts() {
        let chunks = block.pack(entries, columns.clone(), !block.is_whole(&columns), packed);
        T::map(level, block.packing, is_centered, chunks, maps);
        for (row, map) in &*slow {
            for column in columns.clone() {
                let entry = entries.get(*row, column).into();
                *block.entry(chunks, *row, column - columns.start) =
                    T::of(slow_entry(*row, map, entry));
            }
        }
        block.unpack(entries, columns.start, chunks);
    }
}

/// Maps the centred entries of a block. Entries of rows that the kernels leave alone, or whose
/// results come near the end of the range, are mapped by `slow_entry`.
pub(in crate::normalization) fn map_checked<T: Scalar, E: Target<T>>(
    level: Level,
    block: &Block,
    entries: &mut E,
    scratch: &mut Scratch<T>,
    slow_entry: impl Fn(&E, usize, usize) -> Result<T>,
) -> Result<()> {
    let Scratch { packed: [packed, _], maps, .. } = scratch;
    for columns in block.parts() {
        let chunks = block.pack(entries, columns.clone(), true, packed);
        T::map_checked(level, block.packing, chunks, maps);
        for row in untrusted(block, maps) {
            for column in columns.clone() {
                *block.entry(chunks, row, column - columns.start) =
                    slow_entry(entries, row, column)?;
            }
        }
        if E::WRITES {
            block.unpack(entries, columns.start, chunks);
        }
    }
    Ok(())
}
