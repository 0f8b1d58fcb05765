//! Initial weights of a network that will be trained, drawn layer by layer while a batch passes.
//!
//! A [`LayerwiseInit`] draws the weights of each layer by a [`LayerInit`]. Every law of
//! [`weights`](crate::weights) is one that ignores the batch. Two use it:
//! [`IterativeOrthogonalization`] makes its samples orthogonal, [`Lsuv`] only scales them.
//! [`export`](super::export) writes the weights for other frameworks.

mod layer_init;
mod layerwise;
mod lsuv;
mod orthogonalization;

pub use layer_init::{LayerInit, Site};
pub use layerwise::{InitialLayer, LayerwiseInit};
pub use lsuv::Lsuv;
pub use orthogonalization::{Alignment, IterativeOrthogonalization, Scale};
