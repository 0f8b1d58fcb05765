//! The integration tests, one binary: what holds across modules.

mod backward;
mod bad_input;
mod bad_input_table;
mod components;
mod convolution;
mod coverage;
mod documentation;
mod engines;
mod ensemble;
mod golden_values;
mod gradient_laws;
mod gradients;
mod invariants;
mod normals;
mod paper_figures;
mod progress;
mod rank_deficient;
mod repeatability;
mod significance;
mod stationary;
mod tangent_kernel;
mod team;
mod theory;
#[cfg(feature = "rayon")]
mod threads;
mod training;
mod wasserstein;

use golden_values::{golden_integers, golden_rows, number};
