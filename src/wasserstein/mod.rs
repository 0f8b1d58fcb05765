//! The Wasserstein-2 distance to a Gaussian.

#[cfg(feature = "assignment")]
mod assignment;
mod bias;
mod bracket;
mod bures;
mod calibration;
mod directions;
mod distance;
mod gaussian;
mod gelbrich;
mod line;
mod max_sliced;
mod moments;
mod order;
mod parallel;
mod polar;
mod quantile;
mod radial;
mod sample;
mod singular_values;
#[cfg(feature = "sinkhorn")]
mod sinkhorn;
mod sliced;

#[cfg(feature = "assignment")]
pub use assignment::Assignment;
pub use bracket::{Bound, Bracket};
pub use calibration::p_value;
pub use directions::Directions;
pub use distance::{Kind, Law, Of, W2};
pub use gaussian::Gaussian;
pub use gelbrich::Correction;
pub use line::{LineW2, NormalBins, normal_bins, weighted_line_w2};
pub use max_sliced::MaxSliced;
pub use moments::RowMoments;
pub use sample::Sample;
pub use singular_values::MatrixLaw;
#[cfg(feature = "sinkhorn")]
pub use sinkhorn::{Entropic, SinkhornDivergence};
pub use sliced::Sliced;
