//! Normalisation layers.

mod batch_norm;
mod row;
mod sample_norm;
mod shape;
mod trainable;

pub use batch_norm::{BatchNorm, Centering, RowScale};
pub use sample_norm::SampleNorm;
pub use trainable::TrainableBatchNorm;

/// How a network normalises.
///
/// ```
/// use orthogap::{Input, Network, Seed, normalization::{Normalization, SampleNorm}};
///
/// let paper = Network::<f64>::new(64); // BatchNorm::paper() is the default
/// let vanilla = paper.normalization(Normalization::None);
/// let layer_norm = paper.normalization(SampleNorm::layer(1e-5)?);
/// let input = Input::near_collinear(4, 0.1)?;
/// let gap = |network: Network<f64>| {
///     Ok::<_, orthogap::Error>(network.chain(&input, Seed(1))?.advance(50)?.orthogonality_gap())
/// };
/// assert!(gap(paper)? < 0.3 && gap(vanilla)? > 0.6 && gap(layer_norm)? > 0.6);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Normalization {
    /// Nothing: a vanilla network. Its scale is carried as a logarithm, so no depth overflows.
    None,
    /// Batch normalisation of every row (neuron) over the batch.
    BatchNorm(BatchNorm),
    /// Normalisation of every column (sample) over its features.
    SampleNorm(SampleNorm),
}

impl From<BatchNorm> for Normalization {
    fn from(batch_norm: BatchNorm) -> Self {
        Self::BatchNorm(batch_norm)
    }
}

impl From<SampleNorm> for Normalization {
    fn from(sample_norm: SampleNorm) -> Self {
        Self::SampleNorm(sample_norm)
    }
}
