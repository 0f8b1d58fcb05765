//! The processes of an MPI program, and their messages.

use std::fmt;

use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::request::{Request, StaticScope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{
    Communicator as _, CommunicatorCollectives, Destination, Equivalence, MatchedReceiveVec, Root,
    Source,
};
use mpi::{Tag, Threading};
use orthogap::chain::Communicator;

use crate::{Error, Result};

/// The processes that `mpirun` has started, seen from one of them.
///
/// All methods are collective, except [`index`](Self::index), [`count`](Self::count),
/// [`is_first`](Self::is_first) and the requests to stop of a [`Communicator`]: all ranks must call
/// them, in the same order, from the thread that created the value.
///
/// If a panic drops it, it ends the program on all ranks, which otherwise would wait for this one
/// forever.
pub struct Ranks {
    // Before the universe, so that it is dropped before MPI ends.
    communicator: SimpleCommunicator,
    universe: Option<Universe>,
    /// Requests to stop that this rank has sent since the last exchange, and how many it has received.
    stops_sent: Vec<Request<'static, u8, StaticScope>>,
    stops_received: usize,
}

/// The content of a request to stop.
static STOP: u8 = 1;
/// The tags of messages: requests to stop, results and requests of jobs, and jobs.
const STOPS: Tag = 1;
pub(crate) const RESULTS: Tag = 2;
pub(crate) const JOBS: Tag = 3;
/// The largest number of bytes of a message; MPI counts up to 2^31.
const PART: usize = 1 << 30;

impl Ranks {
    /// Initialises MPI, once in a program, with all processes as ranks. MPI ends when the value is
    /// dropped.
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

    /// Creates ranks from the processes of a communicator, in a program that also uses MPI for
    /// other things. Messages go through a duplicate of it, apart from all others. The value must
    /// be dropped before MPI ends.
    #[must_use]
    pub fn new(communicator: &impl mpi::traits::Communicator) -> Self {
        let communicator = communicator.duplicate();
        Self { communicator, universe: None, stops_sent: Vec::new(), stops_received: 0 }
    }

    /// Returns the rank of this process, counted from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        usize::try_from(self.communicator.rank()).expect("a rank is not negative")
    }

    /// Returns the number of ranks.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::try_from(self.communicator.size()).expect("a size is not negative")
    }

    /// Returns whether this is rank 0, which does what only one should do, such as printing.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.index() == 0
    }

    /// Returns the value of each rank if all succeeded, otherwise the same error on all.
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
    /// [`Error::Rank`] with the first rank that failed, on all ranks.
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

    /// Sends rank 0's bytes to all.
    pub(crate) fn broadcast_bytes(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let root = self.communicator.process_at_rank(0);
        let mut length = bytes.len() as u64;
        root.broadcast_into(&mut length);
        bytes.resize(length as usize, 0);
        for part in bytes.chunks_mut(PART) {
            root.broadcast_into(part);
        }
        bytes
    }

    /// Sends bytes to a rank. There must be fewer than 2^31.
    pub(crate) fn send(&mut self, rank: usize, tag: Tag, bytes: &[u8]) {
        self.communicator.process_at_rank(rank as i32).send_with_tag(bytes, tag);
    }

    /// Waits for bytes from a rank.
    pub(crate) fn receive(&mut self, rank: usize, tag: Tag) -> Vec<u8> {
        self.communicator.process_at_rank(rank as i32).receive_vec_with_tag(tag).0
    }

    /// Bytes that a rank has sent, and that rank, if there are any.
    pub(crate) fn receive_any(&mut self, tag: Tag) -> Option<(usize, Vec<u8>)> {
        let found = self.communicator.any_process().immediate_matched_probe_with_tag(tag)?;
        let (bytes, status) = found.matched_receive_vec();
        Some((status.source_rank() as usize, bytes))
    }

    /// Ends the program on all ranks.
    pub(crate) fn abort(&self) -> ! {
        self.communicator.abort(1)
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

/// Ranks draw the rows of wide layers together, by collectives of the MPI library: `MPI_Allreduce`
/// of `MPI_INT64_T` by `MPI_SUM`, and `MPI_Bcast`. An exchange carries 8 bytes more than it is given.
impl Communicator for Ranks {
    fn size(&self) -> usize {
        self.count()
    }

    fn rank(&self) -> usize {
        self.index()
    }

    fn all_reduce_sum(&mut self, numbers: &mut [i64]) -> orthogap::Result<()> {
        // The last number counts the ranks that have asked to stop: each has sent a message to all.
        let stops = i64::from(!self.stops_sent.is_empty());
        let own = [&*numbers, &[stops]].concat();
        let mut all = vec![0; own.len()];
        self.communicator.all_reduce_into(&own[..], &mut all[..], SystemOperation::sum());
        let (sums, stopped) = all.split_at(numbers.len());
        numbers.copy_from_slice(sums);
        let others = (stopped[0] - stops) as usize;
        while self.stops_received < others {
            let _ = self.communicator.any_process().receive_with_tag::<u8>(STOPS);
            self.stops_received += 1;
        }
        // A message that belongs to the next exchange is counted there.
        self.stops_received -= others;
        self.stops_sent.drain(..).for_each(Request::wait_without_status);
        Ok(())
    }

    fn broadcast(&mut self, root: usize, numbers: &mut [i64]) -> orthogap::Result<()> {
        self.communicator.process_at_rank(root as i32).broadcast_into(numbers);
        Ok(())
    }

    fn request_stop(&mut self) -> orthogap::Result<()> {
        if self.stops_sent.is_empty() {
            let others = (0..self.count()).filter(|&rank| rank != self.index());
            self.stops_sent = others
                .map(|rank| self.communicator.process_at_rank(rank as i32))
                .map(|other| other.immediate_send_with_tag(StaticScope, &STOP, STOPS))
                .collect();
        }
        Ok(())
    }

    fn stop_requested(&mut self) -> orthogap::Result<bool> {
        let any = self.communicator.any_process();
        while self.stops_received == 0 && any.immediate_probe_with_tag(STOPS).is_some() {
            let _ = any.receive_with_tag::<u8>(STOPS);
            self.stops_received += 1;
        }
        Ok(self.stops_received > 0)
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
            self.abort();
        }
        self.stops_sent.drain(..).for_each(Request::wait_without_status);
    }
}
