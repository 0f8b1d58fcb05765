//! The laws behind the simulations: pure functions that know nothing of chains.
//!
//! | | |
//! | --- | --- |
//! | what the paper claims, and what holds | [`bounds`] |
//! | infinite width: the map of eigenvalues and the deterministic chain | [`mean_field`] |

pub mod growth;
pub mod bounds;
pub mod critical_width;
pub mod mean_field;
pub mod mean_field_activation;
pub mod stationary;
