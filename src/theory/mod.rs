//! The laws behind the simulations: pure functions that know nothing of chains.

pub mod growth;
pub mod stationary;
