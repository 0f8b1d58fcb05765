//! A pass over the parts of a matrix, on the threads of the current pool.

use super::entries::{Place, Target};
use super::scratch::{Scratch, with_scratch};
use crate::{Result, Scalar, parallel};

/// How a matrix is cut into independent parts.
pub(in crate::normalization) trait Parts: Sized + Send {
    type Part;

    /// The parts in their order.
    fn each(&self) -> impl Iterator<Item = Self::Part>;

    /// Where threads part, and the parts of either half, if there is work enough for two threads.
    fn halves(&self) -> Option<(Place, [Self; 2])>;
}

/// What is done to every part. It must depend on that part alone.
pub(in crate::normalization) trait Pass<T: Scalar, P: Parts>:
    Sync
{
    fn visit<E: Target<T>>(
        &self,
        entries: &mut E,
        part: &P::Part,
        scratch: &mut Scratch<T>,
    ) -> Result<()>;

    /// Visits all parts, each thread with the memory that it keeps. Returns the error of the first
    /// part that has one.
    fn run<E: Target<T>>(&self, entries: &mut E, parts: P) -> Result<()> {
        match parts.halves().filter(|_| parallel::is_shared()) {
            None => with_scratch(|scratch| {
                parts.each().try_for_each(|part| self.visit(entries, &part, scratch))
            }),
            Some((place, [of_first, of_second])) => {
                let [mut first, mut second] = entries.halves(place);
                let (first, second) = parallel::join(
                    || self.run(&mut first, of_first),
                    || self.run(&mut second, of_second),
                );
                first.and(second)
            }
        }
    }
}
