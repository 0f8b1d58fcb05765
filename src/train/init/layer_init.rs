//! Initialisations that may depend on the batch at a layer.

use std::fmt::Debug;

use nalgebra::DMatrix;

use crate::weights::{Fans, WeightInit, draw};
use crate::{Purpose, Replicate, Result, Scalar, Stream};

/// An initialisation of a layer: a law of weights, or a function of the batch at its input.
///
/// Every [`WeightInit`] is an initialisation that ignores the batch;
/// [`IterativeOrthogonalization`](super::IterativeOrthogonalization) and [`Lsuv`](super::Lsuv) use
/// it. A [`LayerwiseInit`](super::LayerwiseInit) initialises a network layer by layer.
pub trait LayerInit: Debug + Send + Sync {
    /// Returns the weights, `rows x m`, of a layer with the input `inputs`, `m x n`: columns are
    /// samples, or the windows of a convolution.
    ///
    /// # Errors
    /// Those of the initialisation; of one that ignores `inputs` those of
    /// [`WeightInit::sample`].
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
        draw(self, (rows, inputs.nrows()), fans, site.stream(0))
    }
}

/// The place of a layer among the random streams of a run.
///
/// Weights of a law other than a Gaussian one are those of the layer with this number in an
/// [`ExplicitChain`](crate::ExplicitChain) of the same run. Gaussian weights have the same law, but
/// are other numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    run: Replicate,
    layer: u32,
}

impl Site {
    /// Creates the site of layer `layer` of a run; the first one is 1.
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
    /// let site = Site::new(Seed(1), 1);
    /// let weights = IterativeOrthogonalization::recommended().weights(&inputs, 2, fans, site)?;
    /// let rms = (&weights * &inputs).norm() / 2.0;
    /// assert!((rms - 1.0).abs() < 1e-14);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn new(run: impl Into<Replicate>, layer: u32) -> Self {
        Self { run: run.into(), layer }
    }

    /// Returns a stream of random numbers of this layer.
    #[must_use]
    pub fn stream(self, block: u32) -> Stream {
        self.run.stream(Purpose::Weights, self.layer, block)
    }
}
