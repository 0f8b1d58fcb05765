//! Distances to a Gaussian, against expected values, theorems and simulation.

mod golden;
mod properties;
mod statistics;
