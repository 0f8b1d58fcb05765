//! Replicates of an experiment: statistics of many independent runs, with the same bits on any
//! number of threads.
//!
//! An [`Experiment`] defines one run and its record. [`ChainExperiment`] sends a batch through a
//! network and observes its layers. An [`Ensemble`] repeats an experiment and returns a
//! [`Summary`].
//!
//! ```
//! use orthogap::experiment::{ChainExperiment, Ensemble, Metric};
//! use orthogap::{Input, Network, Seed};
//!
//! let (network, input) = (Network::<f64>::new(128), Input::spiked(4, 1e-6)?);
//! let experiment = ChainExperiment::new(&network, &input)
//!     .observe_metrics([Metric::OrthogonalityGap, Metric::EffectiveRank])
//!     .observe("first_cosine", |layer| layer.cosine(0, 1))
//!     .at((0..=40).step_by(10))
//!     .mean_over(31..=40);
//! let summary = Ensemble::new(&experiment, Seed(7)).run(200)?;
//!
//! let gap = summary.mean(40, "orthogonality_gap")?;
//! assert!(gap.runs == 200 && gap.interval.contains(0.1) && gap.interval.high < 0.12);
//! println!("{gap}\n{}", summary.table());
//! # Ok::<(), orthogap::Error>(())
//! ```
//!
//! # Runs that end early, and runs that are absorbed
//!
//! A run stops if its representations collapse, become zero or leave the range of floating point;
//! the ensemble continues. Means at later layers are over the runs that reached them.
//! [`Summary::stopped`] counts the stops.
//!
//! A run continues after an [`Event`](crate::Event): samples that died, as they do under a
//! rectifier, or a rank that fell. Its layers count like those of any other run, so a mean includes
//! absorbed runs. [`Summary::dead_samples`] and [`Summary::rank_loss`] count the absorbed runs by
//! layer, as do the last two columns of [`Summary::table`].
//!
//! # Repeatability
//!
//! Run `k` of an ensemble is [`Seed::replicate`](crate::Seed::replicate)`(k)` on every machine.
//! Records are added in the order of runs, so equal seeds give equal bits on any number of threads
//! or machines, and 100 runs followed by 100 more are the same as 200.
//!
//! Run `k` draws from the same random numbers for every network: those of widths `d` and `2 d` have
//! half of theirs in common, and their means are correlated. If errors of several ensembles are
//! combined, as in a [`Line`](crate::statistics::Line), each ensemble needs its own seed:
//! [`Seed::branch`](crate::Seed::branch).

mod chain_experiment;
pub mod coupling;
pub mod critical_width;
mod ensemble;
mod events;
mod observable;
mod run;
mod summary;
#[cfg(feature = "sweep")]
pub mod sweep;

pub use crate::metric::Metric;
pub use chain_experiment::ChainExperiment;
pub use ensemble::{Ensemble, Precision};
pub use events::EventCount;
pub use observable::{Mean, Observable};
pub use run::{Experiment, FromFn, Layers, Record, from_fn};
pub use summary::{Stop, Summary};
