//! Distances to a Gaussian.

mod bracket;
mod gaussian;
mod laws;
mod sample;
mod w2;

pub use bracket::Bracket;
pub use gaussian::Gaussian;
pub use laws::{MatrixLaw, RowLaw};
pub use sample::{LineW2, Sample};
pub use sample::{line_w2, w2_to_gaussian};
pub use w2::W2;
