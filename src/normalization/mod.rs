//! Normalisation layers.

mod batch_norm;
mod trainable;

pub use batch_norm::{BatchNorm, Centering, RowScale};
pub use trainable::TrainableBatchNorm;

/// What a network does to pre-activations after each linear map.
///
/// ```
/// use orthogap::{Network, normalization::{BatchNorm, Normalization}};
///
/// let paper = Network::<f64>::new(64); // BatchNorm::paper() is the default
/// let vanilla = Network::<f64>::new(64).normalization(Normalization::None);
/// let framework = Network::<f64>::new(64).normalization(BatchNorm::standard(1e-5)?);
/// assert_ne!(paper, vanilla);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Normalization {
    /// Nothing: a vanilla network. Its scale is carried as a logarithm, so no depth overflows.
    None,
    /// Batch normalisation of every row (neuron) over the batch.
    BatchNorm(BatchNorm),
}

impl From<BatchNorm> for Normalization {
    fn from(batch_norm: BatchNorm) -> Self {
        Self::BatchNorm(batch_norm)
    }
}
