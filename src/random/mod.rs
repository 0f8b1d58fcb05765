//! Randomness that can be repeated: one [`Seed`], a stream for every purpose.

mod normal;
mod philox;
mod seed;

pub(crate) use normal::fill;
pub use seed::{Purpose, Run, Seed, Stream};
