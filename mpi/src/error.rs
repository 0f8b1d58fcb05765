//! What can go wrong between ranks: an error that all of them get.

use std::fmt;

/// The result of every fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why ranks could not do something together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// MPI was initialised before, by this program, which then has a communicator for
    /// [`Ranks::new`](crate::Ranks::new).
    Initialized,
    /// MPI cannot be used in a program with threads.
    NoThreads,
    /// A job failed. Of several it is the first.
    Job {
        /// Its number.
        job: usize,
        /// Why it failed, in its own words.
        reason: String,
    },
    /// A rank failed at what it did for itself. Of several it is the first.
    Rank {
        /// The rank.
        rank: usize,
        /// Why it failed, in its own words.
        reason: String,
    },
    /// Ranks were given different numbers of jobs.
    DifferentJobs {
        /// The jobs of rank 0.
        first: usize,
        /// A rank that has others.
        rank: usize,
        /// The jobs of that rank.
        jobs: usize,
    },
    /// Messages too long together for MPI, which counts with 31 bits.
    TooLong {
        /// Entries of all messages.
        entries: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Initialized => write!(f, "MPI has been initialised already"),
            Self::NoThreads => write!(f, "this MPI library does not allow a program any threads"),
            Self::Job { job, reason } => write!(f, "job {job}: {reason}"),
            Self::Rank { rank, reason } => write!(f, "rank {rank}: {reason}"),
            Self::DifferentJobs { first, rank, jobs } => {
                write!(f, "rank 0 has {first} jobs, but rank {rank} has {jobs}")
            }
            Self::TooLong { entries } => {
                write!(f, "messages of {entries} entries, of which MPI counts {}", i32::MAX)
            }
        }
    }
}

impl std::error::Error for Error {}
