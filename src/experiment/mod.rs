//! Replicates of an experiment: statistics of many independent runs that can be trusted, and
//! repeated to the bit on any number of threads.
//!
//! An [`Experiment`] says what one run is and what is recorded of it; [`ChainExperiment`] is the one that
//! sends a batch through a network and looks at its layers. An [`Ensemble`] repeats it and makes a
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
//! A run that cannot go on, because its representations collapsed, became zero or left the range of
//! floating point, stops, and the ensemble goes on. Means at the layers beyond are means of the
//! runs that got there: [`Summary::stopped`] counts the stops.
//!
//! A run goes on after an [`Event`](crate::Event): samples that died, as they do under a rectifier,
//! or a rank that fell. Its layers count like those of any other run, so a mean mixes absorbed runs
//! with living ones. [`Summary::dead_samples`] and [`Summary::rank_loss`] count the absorbed runs
//! by layer, as do the last two columns of [`Summary::table`].
//!
//! # Repeatability
//!
//! Run `k` of an ensemble is [`Seed::replicate`](crate::Seed::replicate)`(k)` on every machine. Records come back in the order
//! of runs and are taken in one by one, so equal seeds give equal bits on any number of threads or
//! machines, and 100 runs followed by 100 more are the same as 200.
//!
//! Run `k` draws from the same random numbers for every network: those of widths `d` and `2 d`
//! have half of theirs in common, and their means are correlated. Where errors of several ensembles
//! are put together, as those of the points of a [`Line`](crate::statistics::Line), each ensemble
//! needs a seed of its own: [`Seed::branch`](crate::Seed::branch).

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
