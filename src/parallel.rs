//! Work on the threads of the current pool, with the same results on any number of them.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The results for 0 to `count`, in order on any number of threads.
pub(crate) fn map<R: Send>(count: usize, work: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
    #[cfg(feature = "rayon")]
    {
        use rayon::prelude::*;
        (0..count).into_par_iter().map(work).collect()
    }
    #[cfg(not(feature = "rayon"))]
    (0..count).map(work).collect()
}

/// The results for 0 to `count`, or the error of the least number that has one; no larger number is
/// begun once an error is known.
pub(crate) fn try_map<R: Send, E: Send>(
    count: usize,
    work: impl Fn(usize) -> Result<R, E> + Sync + Send,
) -> Result<Vec<R>, E> {
    let failed = AtomicUsize::new(usize::MAX);
    let results = map(count, |index| {
        if index > failed.load(Ordering::Relaxed) {
            return None;
        }
        let result = work(index);
        if result.is_err() {
            failed.fetch_min(index, Ordering::Relaxed);
        }
        Some(result)
    });
    results.into_iter().flatten().collect()
}

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

/// How many threads to use for `blocks` blocks: more than one only where there are enough of them,
/// above about a millisecond of work, to pay.
pub(crate) fn threads(blocks: usize) -> usize {
    #[cfg(feature = "rayon")]
    if blocks >= 4 {
        return rayon::current_num_threads().min(blocks);
    }
    let _ = blocks;
    1
}

/// Lets workers take `items` one by one, each the next one when it is free, and returns how many
/// are done. The order is not defined.
///
/// The calling thread is the first worker. It does `lead` before its items, and after that and each
/// of them passes the number of finished items to `proceed`; if that stops, no further item is
/// begun.
pub(crate) fn take_turns<W: Send>(
    workers: &mut [W],
    items: Range<usize>,
    lead: impl FnOnce(&mut W),
    work: impl Fn(&mut W, usize) + Sync,
    mut proceed: impl FnMut(usize) -> ControlFlow<()>,
) -> usize {
    let (next, done) = (AtomicUsize::new(items.start), AtomicUsize::new(0));
    let stopped = AtomicBool::new(false);
    let turn = |worker: &mut W| {
        if stopped.load(Ordering::Relaxed) {
            return None;
        }
        let item = next.fetch_add(1, Ordering::Relaxed);
        items.contains(&item).then(|| {
            work(worker, item);
            done.fetch_add(1, Ordering::Relaxed) + 1
        })
    };
    let Some((own, others)) = workers.split_first_mut() else { return 0 };
    let lead = |own: &mut W| {
        lead(own);
        let mut count = Some(0);
        while let Some(done) = count {
            if proceed(done).is_break() {
                stopped.store(true, Ordering::Relaxed);
            }
            count = turn(own);
        }
    };
    #[cfg(feature = "rayon")]
    if !others.is_empty() {
        let turn = &turn;
        rayon::in_place_scope(|scope| {
            for worker in others {
                scope.spawn(move |_| while turn(worker).is_some() {});
            }
            lead(own);
        });
        return done.load(Ordering::Relaxed);
    }
    let _ = others;
    lead(own);
    done.load(Ordering::Relaxed)
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

/// Sums of `len` numbers over the rows of a matrix of this shape, as many operations a row.
///
/// `add` adds the rows of a share to zeros, in memory that `scratch` makes for so many rows. A few
/// shares take a millisecond. They are then added to each other in their order, so results depend
/// on the shape alone.
pub(crate) fn sum_over_rows<W>(
    (rows, columns): (usize, usize),
    len: usize,
    scratch: impl Fn(usize) -> W + Sync + Send,
    add: impl Fn(&mut W, Range<usize>, &mut [f64]) + Sync + Send,
) -> Vec<f64> {
    /// Operations of a share.
    const SHARE: usize = 1 << 22;
    // The sums of all shares are at most a quarter as many numbers as the matrix has.
    let share = (4 * len / columns.max(1)).max(SHARE / len.max(1)).min(rows.max(1));
    let range = |index: usize| index * share..rows.min((index + 1) * share);
    let add_sums = |sums: &mut [f64], more: &[f64]| {
        sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    };
    let mut sums = vec![0.0; len];
    let count = rows.div_ceil(share);
    #[cfg(feature = "rayon")]
    if count > 1 && is_shared() {
        use rayon::prelude::*;
        let of_share = |scratch: &mut W, index| {
            let mut sums = vec![0.0; len];
            add(scratch, range(index), &mut sums);
            sums
        };
        let shares = (0..count).into_par_iter().map_init(|| scratch(share), of_share);
        let shares: Vec<Vec<f64>> = shares.collect();
        shares.iter().for_each(|share| add_sums(&mut sums, share));
        return sums;
    }
    let mut scratch = scratch(share);
    add(&mut scratch, range(0), &mut sums);
    let mut more = Vec::new();
    for index in 1..count {
        more.clear();
        more.resize(len, 0.0);
        add(&mut scratch, range(index), &mut more);
        add_sums(&mut sums, &more);
    }
    sums
}

/// The results of two tasks, on two threads if one is free.
pub(crate) fn join<A: Send, B: Send>(
    a: impl FnOnce() -> A + Send,
    b: impl FnOnce() -> B + Send,
) -> (A, B) {
    #[cfg(feature = "rayon")]
    return rayon::join(a, b);
    #[cfg(not(feature = "rayon"))]
    (a(), b())
}

/// Whether there are several threads.
pub(crate) fn is_shared() -> bool {
    #[cfg(feature = "rayon")]
    return rayon::current_num_threads() > 1;
    #[cfg(not(feature = "rayon"))]
    false
}

/// Numbers read or written from which threads pay: about a millisecond.
pub(crate) const WORTH_SHARING: usize = 1 << 20;

/// Numbers of which another thread may take half: a quarter of a millisecond.
pub(crate) const WORTH_HALVING: usize = WORTH_SHARING / 2;

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
    if shared && is_shared() {
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
