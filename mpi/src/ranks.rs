//! The processes of an MPI program, and what they tell one another.

use std::fmt;

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives, Equivalence};
use orthogap::chain::Communicator;

use crate::{Error, Result};

/// The processes that `mpirun` has started, seen from one of them.
///
/// All methods but [`index`](Self::index), [`count`](Self::count) and
/// [`is_first`](Self::is_first) are collective: all ranks must call them, in the same order, from
/// the thread that made this.
///
/// If it is dropped by a panic, it ends the program on all ranks, which otherwise would wait for
/// this one forever.
pub struct Ranks {
    // Before the universe, so that it is dropped before MPI ends.
    communicator: SimpleCommunicator,
    universe: Option<Universe>,
}

impl Ranks {
    /// Initialises MPI, and ends it when dropped; its ranks are all processes. Once in a program.
    ///
    /// # Errors
    /// [`Error::Initialized`] the second time, [`Error::NoThreads`] if the MPI library forbids
    /// threads.
    pub fn world() -> Result<Self> {
        let initialized = mpi::initialize_with_threading(Threading::Funneled);
        let (universe, threading) = initialized.ok_or(Error::Initialized)?;
        if threading < Threading::Funneled {
            return Err(Error::NoThreads);
        }
        let mut ranks = Self::new(&universe.world());
        ranks.universe = Some(universe);
        Ok(ranks)
    }

    /// The processes of a communicator, in a program that uses MPI for other things, too. Messages
    /// go by a duplicate of it and never meet others. It must be dropped before MPI ends.
    #[must_use]
    pub fn new(communicator: &impl mpi::traits::Communicator) -> Self {
        Self { communicator: communicator.duplicate(), universe: None }
    }

    /// Which rank this process is, counted from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        usize::try_from(self.communicator.rank()).expect("a rank is not negative")
    }

    /// How many ranks there are.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::try_from(self.communicator.size()).expect("a size is not negative")
    }

    /// Whether this is rank 0, which does what only one should do, such as printing.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.index() == 0
    }

    /// What each rank has done for itself, if all succeeded: else the same error for all.
    ///
    /// ```no_run
    /// use orthogap_mpi::Ranks;
    ///
    /// let mut ranks = Ranks::world()?;
    /// let written = if ranks.is_first() { std::fs::write("out.csv", "1,2\n") } else { Ok(()) };
    /// ranks.agree(written)?; // if rank 0 cannot write, all ranks know and end
    /// # Ok::<(), orthogap_mpi::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Rank`] if any rank failed.
    pub fn agree<T, E: fmt::Display>(&mut self, own: std::result::Result<T, E>) -> Result<T> {
        let (flag, text) = match &own {
            Ok(_) => (false, String::new()),
            Err(error) => (true, error.to_string()),
        };
        let failed = self.each(flag);
        let mut texts = Vec::new();
        let lengths = self.gather(text.as_bytes(), &mut texts)?;
        match (own, failed.iter().position(|&failed| failed)) {
            (Ok(value), None) => Ok(value),
            (_, rank) => {
                let rank = rank.expect("this rank failed, if no other");
                let start = lengths[..rank].iter().sum();
                let text = &texts[start..start + lengths[rank]];
                Err(Error::Rank { rank, reason: String::from_utf8_lossy(text).into_owned() })
            }
        }
    }

    /// Whether any rank says so.
    pub(crate) fn any(&mut self, own: bool) -> bool {
        let mut any = false;
        self.communicator.all_reduce_into(&own, &mut any, SystemOperation::logical_or());
        any
    }

    /// One value of each rank.
    pub(crate) fn each<T: Equivalence + Copy + Default>(&mut self, own: T) -> Vec<T> {
        let mut all = vec![T::default(); self.count()];
        self.communicator.all_gather_into(&own, &mut all[..]);
        all
    }

    /// The values of all ranks one after the other, and how many each rank has.
    pub(crate) fn gather<T: Equivalence + Copy + Default>(
        &mut self,
        own: &[T],
        all: &mut Vec<T>,
    ) -> Result<Vec<usize>> {
        let lengths = self.each(own.len() as u64);
        let entries: u64 = lengths.iter().sum();
        let count = |entries| i32::try_from(entries).ok();
        let Some(total) = count(entries) else { return Err(Error::TooLong { entries }) };
        let counts: Vec<i32> = lengths.iter().filter_map(|&length| count(length)).collect();
        let starts: Vec<i32> = counts
            .iter()
            .scan(0, |end, count| {
                *end += count;
                Some(*end - count)
            })
            .collect();
        all.clear();
        all.resize(total as usize, T::default());
        if all.is_empty() {
            return Ok(vec![0; self.count()]);
        }
        // The address of an empty slice may be any, even the one by which MPI means "in place".
        let place = [T::default()];
        let own = if own.is_empty() { &place[..0] } else { own };
        let mut parts = PartitionMut::new(&mut all[..], counts, starts);
        self.communicator.all_gather_varcount_into(own, &mut parts);
        Ok(lengths.into_iter().map(|length| length as usize).collect())
    }
}

/// Ranks draw the rows of wide layers together, at the cost of two exchanges for each wave.
impl Communicator for Ranks {
    fn size(&self) -> usize {
        self.count()
    }

    fn rank(&self) -> usize {
        self.index()
    }

    fn all_gather(&mut self, own: &[f64], all: &mut Vec<f64>) -> orthogap::Result<()> {
        match self.gather(own, all) {
            Ok(_) => Ok(()),
            Err(error) => Err(orthogap::Error::Communicator { reason: error.to_string() }),
        }
    }
}

impl fmt::Debug for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ranks")
            .field("index", &self.index())
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.communicator.abort(1);
        }
    }
}
