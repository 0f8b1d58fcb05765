//! How the rows of a layer are cut into blocks and super-blocks.
//!
//! Every block has its own stream; a super-block is the unit of work of a thread or a machine. The
//! cut depends on d, n and the scalar type alone, so neither hardware nor threads change a bit.

use crate::kernel::exact_sum::MOST_ADDENDS;
use crate::kernel::line::Lanes;
use crate::kernel::tiles::FUSED;

/// Groups of a block of a small batch: a few first-level caches full.
const SMALL_GROUPS: usize = 128;
/// Groups of a block of a larger batch: enough to hide the cost of a flush, few enough that the
/// lines of a tile stay in the first-level cache while others pass by.
const GROUPS: usize = 48;
/// The same where the block would outgrow a second-level cache of 1 MiB.
const FEW_GROUPS: usize = 32;
/// Lines of a second-level cache.
const CACHE_LINES: usize = 1 << 14;
/// Multiply-adds of a super-block: about a third of a millisecond.
const SUPER_BLOCK_WORK: usize = 1 << 23;

/// How the rows of a layer are cut, fixed by their number d, the batch n and the scalar type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Rows of the layer.
    pub(super) rows: usize,
    /// Entries of a row.
    pub(super) batch: usize,
    /// Rows of a group.
    pub(super) lanes: usize,
    /// Lines from one group to the next.
    pub(super) stride: usize,
    /// Groups of a full block.
    pub(super) groups: usize,
    /// Blocks of a full super-block.
    pub(super) super_block: usize,
}

impl Plan {
    /// Returns the cut of `rows` rows of `batch` entries.
    pub fn new<T: Lanes>(rows: usize, batch: usize) -> Self {
        assert!(rows > 0 && batch > 0, "{rows} x {batch} has no entries");
        // An odd stride visits all sets of the cache.
        let stride = if batch <= FUSED { batch } else { batch | 1 };
        let groups = match batch {
            0..=FUSED => SMALL_GROUPS,
            _ if GROUPS * stride <= CACHE_LINES => GROUPS,
            _ => FEW_GROUPS,
        };
        let work = groups * T::LANES * batch * (batch + 16);
        let all = rows.div_ceil(groups * T::LANES);
        assert!(all <= 1 << 32, "{rows} rows: too many blocks");
        let blocks = (SUPER_BLOCK_WORK / work).max(all.div_ceil(MOST_ADDENDS)).max(1);
        Self { rows, batch, lanes: T::LANES, stride, groups, super_block: blocks }
    }

    /// Rows of the layer.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns how many super-blocks the rows make.
    pub fn super_blocks(&self) -> usize {
        self.rows.div_ceil(self.super_block_rows())
    }

    /// Returns how many blocks the rows make.
    pub fn blocks(&self) -> usize {
        self.rows.div_ceil(self.block_rows())
    }

    /// Rows of a full super-block.
    pub fn super_block_rows(&self) -> usize {
        self.block_rows() * self.super_block
    }

    /// Rows of a full block.
    pub fn block_rows(&self) -> usize {
        self.groups * self.lanes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn super_blocks_cover_the_rows() {
        for batch in [1, 2, 6, 7, 16, 64, 256, 1000] {
            for rows in [1, 8, 383, 384, 385, 100_000, 1_000_000_007, 1 << 37] {
                let plan = Plan::new::<f64>(rows, batch);
                let each = plan.super_block_rows();
                assert!(
                    (plan.super_blocks() - 1) * each < rows && rows <= plan.super_blocks() * each
                );
                assert!(plan.stride >= batch && (batch <= FUSED || plan.stride % 2 == 1));
                assert!(plan.super_blocks() <= MOST_ADDENDS);
            }
        }
    }

    /// The widest layers have no more super-blocks than can be summed, and not many fewer.
    #[test]
    fn super_blocks_of_the_widest_layers_grow() {
        for batch in [1, 16, 64, 512, 1000, 2048] {
            let plan = Plan::new::<f64>(1 << 40, batch);
            let blocks = plan.super_blocks();
            assert!(blocks <= MOST_ADDENDS && (batch < 512 || blocks > MOST_ADDENDS / 2));
        }
    }

    #[test]
    #[should_panic(expected = "no entries")]
    fn an_empty_layer_is_refused() {
        Plan::new::<f32>(0, 3);
    }
}
