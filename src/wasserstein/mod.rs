//! The Wasserstein-2 distance to a Gaussian.

mod distance;
mod line;
mod order;
mod quantile;

pub use distance::{Kind, Law, Of, W2};
pub use line::{LineW2, NormalBins, normal_bins, weighted_line_w2};
