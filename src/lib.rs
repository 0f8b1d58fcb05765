//! Random deep networks through their Gram matrix.
//!
//! This crate simulates random deep networks of any width exactly, from the `n x n` Gram matrix of
//! a batch, and measures how orthogonal their representations are. It is named after the
//! orthogonality gap, $`\lVert C - I/n \rVert_F`$, where `C` is the Gram matrix scaled to trace
//! one.
//!
//! With batch normalisation, even nearly identical inputs become almost orthogonal with depth. The
//! crate implements the theory of Daneshmand, Joudaki and Bach, *Batch Normalization Orthogonalizes
//! Representations in Deep Random Networks* (NeurIPS 2021, arXiv 2106.03970), and the sharper laws
//! behind it.
//!
//! ```
//! use orthogap::{Input, Network, Seed};
//!
//! let network = Network::<f64>::new(512); // width; linear layers, the paper's batch norm
//! let input = Input::spiked(4, 1e-6)?; // four samples, diag(1, 1e-6, 1e-6, 1e-6)
//! let mut gaps = vec![input.gram().orthogonality_gap()];
//! for layer in network.chain(&input, Seed(7))?.take(50) {
//!     let layer = layer?;
//!     println!("{:3} {:.4}", layer.depth(), layer.orthogonality_gap());
//!     gaps.push(layer.orthogonality_gap());
//! }
//! assert!(gaps[0] > 0.86 && gaps[50] < 0.12);
//! # Ok::<(), orthogap::Error>(())
//! ```
//!
//! # The idea
//!
//! Let `H` (`d x n`) hold the representations of `n` samples, one a column. Given `H`, the rows of
//! `W H` are independent Gaussian vectors with covariance $`H^\top H`$: the next layer depends on
//! this one only through its Gram matrix. So **the chain is Markov in an `n x n` matrix**, and a
//! layer of any width costs `d n` normals and `O(n²)` memory instead of `d²` of each, exactly in
//! law. That matrix is the shared interface:
//!
//! ```text
//! input -> Gram -> one random layer -> Gram -> metric, theory -> statistics -> table, figure
//! ```
//!
//! Matrices with `d` rows are generic over [`f32` and `f64`](Scalar). `n x n` matrices and all
//! metrics are `f64`.
//!
//! # Where to look
//!
//! | for | see |
//! | --- | --- |
//! | a batch to start from | [`Input`] |
//! | the recipe of a network | [`Network`], [`Order`], [`Residual`] |
//! | the parts of a recipe | [`normalization`], [`activation`], [`weights`], [`convolution`] |
//! | the layers, one by one | [`Chain`]; with access to `W` and `H`, [`ExplicitChain`] |
//! | dead samples, lost directions | [`Event`] |
//! | the orthogonality gap, ranks, singular values | [`Gram`], and [`metric`] for a bare matrix |
//! | batch normalisation of a matrix of your own | [`normalization::BatchNorm`] |
//! | what theory predicts, what the paper claims | [`theory`] |
//! | the width below which rank is lost | [`experiment::critical_width`] |
//! | the Wasserstein-2 distance to a Gaussian | [`wasserstein`] |
//! | many runs: means, intervals, quantiles | [`experiment`], [`statistics`] |
//! | a grid of them on disk, resumable | `experiment::sweep`, with the feature `sweep` |
//! | tables as text, CSV, JSON Lines | [`report`] |
//! | initial weights from a batch, training, and whether to trust gradients | [`train`], [`backward`] |
//! | matrices of `ndarray` and `faer` | `interop`, with the features of these names |
//! | property tests of a conjecture | `proptest`, with the feature of that name |
//! | repeatability | [`Seed`] |
//! | errors | [`Error`] |
//!
//! The [`guide`] explains how to choose an engine and an estimator, what seeds guarantee, and how
//! to be fast.
//!
//! # Non-goals
//!
//! Automatic differentiation, GPUs and plotting; the examples draw figures.

#![cfg_attr(docsrs, feature(doc_cfg))] // docs.rs shows the feature of each item
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod activation {
    //! Activations: element-wise functions between the layers of a network.
    //!
    //! [`Activation`] has the table.

    pub use crate::kernel::activation::{Activation, Custom, Elementwise};
    /// The SIMD vectors of an [`Elementwise`] function.
    pub use fearless_simd;
}
mod approximate;
pub mod backward;
pub mod chain;
mod check;
pub mod convolution;
mod error;
pub mod experiment;
mod factorization;
mod gram;
pub mod guide;
mod input;
#[cfg(any(feature = "faer", feature = "ndarray"))]
pub mod interop;
mod json;
mod kernel;
pub mod metric;
mod network;
pub mod normalization;
mod parallel;
mod product;
#[cfg(any(test, feature = "proptest"))]
pub mod proptest;
pub mod report;
mod scalar;
mod seed;
mod serialization;
pub mod statistics;
pub mod theory;
pub mod train;
pub mod wasserstein;
pub mod weights;

pub use activation::Activation;
/// Comparisons up to a tolerance, which results implement.
pub use approx;
pub use chain::{Chain, Event, ExplicitChain, Layer};
pub use error::{Error, Result};
/// The crate whose matrices [`interop`] views.
#[cfg(feature = "faer")]
pub use faer;
pub use gram::Gram;
pub use input::Input;
/// The matrices of arguments and results.
pub use nalgebra;
/// The crate whose arrays [`interop`] views.
#[cfg(feature = "ndarray")]
pub use ndarray;
pub use network::{Engine, Network, Order, Residual};
/// The traits of a [`Scalar`].
pub use num_traits;
/// The traits of the generators of a [`Stream`].
pub use rand;
pub use scalar::Scalar;
pub use seed::{Purpose, Replicate, Seed, Stream};

/// Tests the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
