//! Work on blocks in parallel, in waves: on the threads of the caller's pool, or on its own.

/// How many of `blocks` blocks to work on at once: more than one only where there are enough of
/// them, above about a millisecond of work, for threads to pay. A few for each thread, so that
/// none waits long for the others, unless a worker holds more than half a megabyte of `numbers`.
pub(crate) fn workers(blocks: usize, numbers: usize) -> usize {
    #[cfg(feature = "rayon")]
    if blocks >= 4 {
        let each = if numbers > 1 << 16 { 1 } else { 4 };
        return (each * rayon::current_num_threads()).min(blocks);
    }
    let _ = (blocks, numbers);
    1
}

/// Runs the workers, each with its number.
pub(crate) fn for_each<W: Send>(workers: &mut [W], run: impl Fn(usize, &mut W) + Sync) {
    #[cfg(feature = "rayon")]
    if workers.len() > 1 {
        use rayon::prelude::*;
        workers.par_iter_mut().enumerate().for_each(|(index, worker)| run(index, worker));
        return;
    }
    workers.iter_mut().enumerate().for_each(|(index, worker)| run(index, worker));
}
