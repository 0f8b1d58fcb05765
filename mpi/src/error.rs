//! The error type, which all ranks get at once.

use std::fmt;

/// The result of every fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// The error of an operation of all ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// This program has already initialised MPI. [`Ranks::new`](crate::Ranks::new) takes its
    /// communicator.
    Initialized,
    /// MPI cannot be used in a program with threads.
    NoThreads,
    /// A job failed. If several did, this is the first.
    Job {
        /// Its number.
        job: usize,
        /// The text of its error.
        reason: String,
    },
    /// A rank failed at its own work. If several did, this is the first.
    Rank {
        /// The rank.
        rank: usize,
        /// The text of its error.
        reason: String,
    },
    /// Ranks were given different numbers of jobs.
    DifferentJobs {
        /// The number of jobs of rank 0.
        first: usize,
        /// The first rank that has another number.
        rank: usize,
        /// Its number of jobs.
        jobs: usize,
    },
    /// Messages are too long together for MPI, which counts with 31 bits.
    TooLong {
        /// The number of entries of all messages.
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
