//! Initialisations that may look at the batch that a layer sees.

use std::fmt::Debug;

use nalgebra::DMatrix;

use crate::weights::{Fans, WeightInit};
use crate::{Purpose, Replicate, Result, Scalar, Stream};

/// How a layer is initialised: by a law of weights, or from what the layer sees of a batch.
///
/// Every [`WeightInit`] is one that does not look; [`IterativeOrthogonalization`](super::IterativeOrthogonalization) and
/// [`Lsuv`](super::Lsuv) do. A [`LayerwiseInit`](super::LayerwiseInit) initialises a network with them, layer by
/// layer.
pub trait LayerInit: Debug + Send + Sync {
    /// The weights, `rows x m`, of a layer that sees `inputs`, `m x n`: samples are columns, and
    /// so are the windows of a convolution.
    ///
    /// # Errors
    /// Those of the initialisation; what does not look at `inputs` has none.
    fn weights<T: Scalar>(
        &self,
        inputs: &DMatrix<T>,
        rows: usize,
        fans: Fans,
        site: Site,
    ) -> Result<DMatrix<T>>;
}

impl<W: WeightInit> LayerInit for W {
    fn weights<T: Scalar>(
        &self,
        inputs: &DMatrix<T>,
        rows: usize,
        fans: Fans,
        site: Site,
    ) -> Result<DMatrix<T>> {
        let mut weights = DMatrix::zeros(rows, inputs.nrows());
        self.sample_to(&mut weights, fans, site.stream(0));
        Ok(weights)
    }
}

/// The place of a layer among the random streams of a run.
///
/// Weights that do not look at their batch are those that the layer of this number has in an
/// [`ExplicitChain`](crate::ExplicitChain) of the same run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    run: Replicate,
    layer: u32,
}

impl Site {
    /// Layer `layer` of a run; the first one is 1.
    ///
    /// ```
    /// use orthogap::nalgebra::DMatrix;
    /// use orthogap::Seed;
    /// use orthogap::train::init::{IterativeOrthogonalization, LayerInit, Site};
    /// use orthogap::weights::Fans;
    ///
    /// // One layer from a batch of your own: here a single feature, seen by two neurons.
    /// let inputs = DMatrix::from_row_slice(1, 2, &[3.0f64, 4.0]);
    /// let fans = Fans { inputs: 1, outputs: 2 };
    /// let weights = IterativeOrthogonalization::recommended().weights(&inputs, 2, fans, Site::new(Seed(1), 1))?;
    /// let rms = (&weights * &inputs).norm() / 2.0;
    /// assert!((rms - 1.0).abs() < 1e-14);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn new(run: impl Into<Replicate>, layer: u32) -> Self {
        Self { run: run.into(), layer }
    }

    /// A stream of random numbers of this layer.
    #[must_use]
    pub fn stream(self, block: u32) -> Stream {
        self.run.stream(Purpose::Weights, self.layer, block)
    }
}
