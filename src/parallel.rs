//! Work on chunks of a slice, on the threads of the current pool where it is worth them.

/// Numbers read or written from which threads pay: about a millisecond.
pub(crate) const WORTH_SHARING: usize = 1 << 20;

/// Calls `work` with the number of every chunk of `len` numbers, the chunk, and what `scratch` makes for
/// each thread; on several threads only if `shared`.
///
/// Every chunk must depend on its number alone, so results are the same on any number of threads.
pub(crate) fn for_each_chunk<T: Send, S>(
    numbers: &mut [T],
    len: usize,
    shared: bool,
    scratch: impl Fn() -> S + Sync + Send,
    work: impl Fn(&mut S, usize, &mut [T]) + Sync + Send,
) {
    #[cfg(feature = "rayon")]
    if shared && rayon::current_num_threads() > 1 {
        use rayon::prelude::*;
        let chunks = numbers.par_chunks_mut(len).enumerate();
        chunks.for_each_init(scratch, |scratch, (index, chunk)| work(scratch, index, chunk));
        return;
    }
    let _ = shared;
    let mut scratch = scratch();
    for (index, chunk) in numbers.chunks_mut(len).enumerate() {
        work(&mut scratch, index, chunk);
    }
}
