//! Working memory of passes over rows, kept by each thread.

use std::any::{Any, TypeId};
use std::cell::Cell;

use crate::Scalar;
use crate::kernel::row_maps::{Map, Moments};
use crate::kernel::row_passes::Chunk;
use crate::kernel::wide::WIDTH;
use crate::normalization::row::pullback::SlowRow;
use crate::normalization::row::{Row, RowMap};

/// Working memory of a pass.
#[derive(Debug)]
pub(in crate::normalization) struct Scratch<T> {
    /// A block, and one of gradients.
    pub(super) packed: [Packed<T>; 2],
    /// The sums of their rows.
    pub(super) moments: [Vec<Moments>; 2],
    pub(in crate::normalization) maps: Vec<Map>,
    /// The rows of a block that the kernels leave alone, with their maps.
    pub(in crate::normalization) slow: Vec<(usize, RowMap)>,
    /// The same for gradients.
    pub(super) slow_pulls: Vec<(usize, SlowRow)>,
}

/// Means and unbiased variances of rows.
#[derive(Debug, Default)]
pub(in crate::normalization) struct Memory {
    pub(in crate::normalization) means: Vec<f64>,
    pub(in crate::normalization) variances: Vec<f64>,
}

impl Memory {
    /// Replaces what is remembered of a row.
    pub(in crate::normalization) fn set(&mut self, row: usize, statistics: &Row) {
        self.means[row] = statistics.mean();
        self.variances[row] = statistics.unbiased_variance();
    }
}

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Self {
            packed: [Packed::default(), Packed::default()],
            moments: Default::default(),
            maps: Vec::new(),
            slow: Vec::new(),
            slow_pulls: Vec::new(),
        }
    }
}

impl<T: Scalar> Scratch<T> {
    /// Memory for two columns, of any content.
    pub(in crate::normalization) fn two_columns(&mut self, len: usize) -> [&mut [T]; 2] {
        self.packed.each_mut().map(|packed| packed.column(len))
    }

    /// Memory for a column, of any content.
    pub(in crate::normalization) fn column(&mut self, len: usize) -> &mut [T] {
        self.packed[0].column(len)
    }
}

/// Entries packed in chunks that begin at cache lines.
#[derive(Debug)]
pub(super) struct Packed<T> {
    entries: Vec<T>,
}

impl<T> Default for Packed<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T: Scalar> Packed<T> {
    /// Memory for a column, of any content.
    fn column(&mut self, len: usize) -> &mut [T] {
        &mut self.chunks(len.div_ceil(WIDTH)).as_flattened_mut()[..len]
    }

    /// So many chunks, of any content.
    pub(super) fn chunks(&mut self, count: usize) -> &mut [Chunk<T>] {
        const LINE: usize = 64;
        let margin = LINE / size_of::<T>();
        if self.entries.len() < count * WIDTH + margin {
            self.entries.resize(count * WIDTH + margin, T::zero());
        }
        let skipped = self.entries.as_ptr().align_offset(LINE).min(margin);
        self.entries[skipped..][..count * WIDTH].as_chunks_mut().0
    }
}

thread_local! {
    /// What the thread keeps for `f64` and for other types.
    static KEPT: [Cell<Option<Box<dyn Any>>>; 2] = const { [Cell::new(None), Cell::new(None)] };
    /// The same of memories.
    static MEMORY: Cell<Memory> = const { Cell::new(Memory { means: Vec::new(), variances: Vec::new() }) };
}

/// Works with a memory of so many rows, of any content, that this thread keeps.
pub(in crate::normalization) fn with_memory<R>(
    rows: usize,
    work: impl FnOnce(&mut Memory) -> R,
) -> R {
    let mut memory = MEMORY.try_with(Cell::take).unwrap_or_default();
    memory.means.resize(rows, 0.0);
    memory.variances.resize(rows, 0.0);
    let result = work(&mut memory);
    let _ = MEMORY.try_with(|kept| kept.set(memory));
    result
}

/// Works with the memory of this thread: allocates nothing once it has seen a matrix as large.
pub(in crate::normalization) fn with_scratch<T: Scalar, R>(
    work: impl FnOnce(&mut Scratch<T>) -> R,
) -> R {
    let place = usize::from(TypeId::of::<T>() != TypeId::of::<f64>());
    // Taken, not borrowed: storage of another crate could come back here. A thread that ends keeps
    // nothing.
    let kept = KEPT.try_with(|kept| kept[place].take()).ok().flatten();
    let mut scratch: Box<Scratch<T>> =
        kept.and_then(|kept| kept.downcast().ok()).unwrap_or_default();
    let result = work(&mut scratch);
    let _ = KEPT.try_with(|kept| kept[place].set(Some(scratch)));
    result
}
