//! The Wasserstein-2 distance to a Gaussian.

mod bias;
mod bures;
mod distance;
mod gaussian;
mod gelbrich;
mod line;
mod moments;
mod order;
mod quantile;
mod sample;

pub use distance::{Kind, Law, Of, W2};
pub use gaussian::Gaussian;
pub use gelbrich::Correction;
pub use line::{LineW2, NormalBins, normal_bins, weighted_line_w2};
pub use moments::RowMoments;
pub use sample::Sample;
