//! The same work on many things, on the threads of the current pool where there are any.

/// The results for 0 to `count`, in order whatever the threads.
pub(super) fn map<R: Send>(count: usize, work: impl Fn(usize) -> R + Sync + Send) -> Vec<R> {
    #[cfg(feature = "rayon")]
    {
        use rayon::prelude::*;
        (0..count).into_par_iter().map(work).collect()
    }
    #[cfg(not(feature = "rayon"))]
    (0..count).map(work).collect()
}
