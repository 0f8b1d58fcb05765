//! The laws behind the simulations: pure functions, independent of chains.
//!
//! | theory of | module |
//! | --- | --- |
//! | what the paper claims, and what holds | [`bounds`] |
//! | infinite width: the map of eigenvalues, the deterministic chain | [`mean_field`] |
//! | the same with an activation | [`mean_field_activation`] |
//! | large width, many layers: gap, singular values, relaxation | [`stationary`] |
//! | large width, many layers: distance to a Gaussian | [`wasserstein_law`] |
//! | small width: loss of rank | [`critical_width`] |
//! | infinite width without coupling of samples: the map of a cosine, its fixed points | [`kernel_map`] |
//! | vanilla linear networks: Lyapunov exponents | [`growth`] |
//! | Haar weights: gap and isometry | [`haar`] |
//! | normalisation of each sample: isometry | [`isometry`] |
//! | gradients: how they grow from layer to layer | [`backward`] |

pub mod backward;
pub mod bounds;
pub mod critical_width;
mod gaussian_ensemble;
pub mod growth;
pub mod haar;
pub mod isometry;
pub mod kernel_map;
pub mod mean_field;
pub mod mean_field_activation;
pub mod stationary;
pub mod wasserstein_law;
