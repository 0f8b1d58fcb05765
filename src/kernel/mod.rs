//! The SIMD kernels of the engine: everything that runs on whole cache lines of numbers.
//!
//! From the bottom up: [`line`] is the logical vector that all hardware agrees on, [`polynomial`]
//! and [`activation`] are functions of it; [`philox`], [`generator`] and [`normal`] fill it; and
//! [`tiles`], [`plan`], [`factor`], [`multiply`], [`row_scale`], [`rank_update`] and [`fused`] are the
//! parts of a streamed layer, which [`block`] puts together and [`exact_sum`] adds up, with [`passes`] for what the factor does
//! not touch. [`weights`] multiplies weights as they are drawn, [`product`] any two matrices. [`wide`]
//! is the vector of statistics in `f64`, [`row_passes`], [`row_maps`] and [`column_passes`] normalise
//! rows and columns of data by them; [`pooling`] summarises images. [`triangular`] is for the small matrices beside the rows, which
//! [`cholesky_qr`] makes of products, [`quadrature`] for the laws at infinite width,
//! `squared_distances` and `gibbs` for transport between samples.
//! [`compiled`] is what the rest of the crate calls.

pub mod activation;
pub mod block;
pub mod cholesky_qr;
pub mod column_passes;
pub mod compiled;
pub mod exact_sum;
pub mod factor;
pub mod fused;
pub mod generator;
#[cfg(feature = "sinkhorn")]
pub mod gibbs;
pub mod line;
pub mod multiply;
pub mod normal;
pub mod passes;
pub mod philox;
pub mod plan;
pub mod polynomial;
pub mod pooling;
pub mod product;
pub mod quadrature;
pub mod rank_update;
pub mod row_maps;
pub mod row_passes;
pub mod row_scale;
pub mod slices;
#[cfg(any(feature = "assignment", feature = "sinkhorn"))]
pub mod squared_distances;
pub mod tiles;
pub mod triangular;
pub mod weights;
pub mod wide;
