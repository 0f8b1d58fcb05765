//! [`orthogap`] on many machines, by MPI: the bits do not depend on how many there are.
//!
//! Work of four kinds is shared by [`Ranks`], the processes that `mpirun` has started:
//!
//! - the rows of one very wide layer, because [`Ranks`] are a [`Communicator`](orthogap::chain::Communicator):
//!   [`Chain::step_with`](orthogap::Chain::step_with);
//! - the runs of an [`Ensemble`](orthogap::experiment::Ensemble): [`Ranks::ensemble`];
//! - the cells of a [`Sweep`](orthogap::experiment::sweep::Sweep): [`Ranks::sweep`];
//! - any other numbered jobs: [`Ranks::in_order`].
//!
//! Sums of floating point numbers depend on their order, and the order of an MPI reduction on the
//! number of ranks. So the sums of a layer are [cut into integers](orthogap::chain::Communicator),
//! which `MPI_Allreduce` adds up; results of jobs are taken in the order of their numbers. Any
//! number of ranks computes the same bits as one process, provided that their processors round
//! alike, as all with a fused multiply-add do.
//!
//! ```no_run
//! use orthogap::{Input, Network, Seed};
//! use orthogap_mpi::Ranks;
//!
//! let mut ranks = Ranks::world()?;
//! let network = Network::<f32>::new(1_000_000_000_000);
//! let mut chain = network.chain(&Input::near_collinear(16, 1e-3)?, Seed(1))?;
//! let layer = chain.step_with(&mut ranks)?; // the same on all ranks
//! if ranks.is_first() {
//!     println!("{}", layer.orthogonality_gap());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Started without `mpirun`, a program is a single rank and gets the same results. Within a rank
//! the threads of rayon's global pool share the work; `RAYON_NUM_THREADS` is their number, by
//! default that of the cores to which a rank is bound. `mpirun` may bind it to one.
//!
//! # When something fails
//!
//! Ranks wait for one another, so an error must reach all of them. Every error of [`Ranks`] is
//! returned on all ranks, and [`Ranks::agree`] turns an error of the caller on one rank into an
//! error on all. A rank that panics ends the whole program. So does MPI by default if a connection
//! breaks or a process is killed. Files stay, and [`Ranks::sweep`] continues from them.
//!
//! # How it scales
//!
//! [`simulated`] has the cost model, and ranks that are threads. The example `scaling_model` prints
//! a table of it, and compares it with the ranks that it is run on.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod ensembles;
mod error;
mod jobs;
mod ranks;
pub mod simulated;

pub use error::{Error, Result};
pub use mpi;
pub use ranks::Ranks;
