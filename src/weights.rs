//! Gaussian weight matrices.

use nalgebra::DMatrix;

use crate::{Error, Result, Scalar, Stream};

/// Independent Gaussian weights N(0, gain²/m) for a layer with `m` inputs.
///
/// The default has gain 1: the variance 1/m that every Wasserstein statement of the theory
/// assumes. The paper's batch normalisation does not see the gain; an epsilon does, and so does a
/// vanilla network.
///
/// ```
/// use orthogap::{Purpose, Seed, weights::Gaussian};
///
/// let stream = Seed(7).replicate(0).stream(Purpose::Weights, 1, 0);
/// let w = Gaussian::new(2f64.sqrt())?.sample::<f64>(100, 50, stream);
/// let variance = w.norm_squared() / (100.0 * 50.0);
/// assert!((variance * 50.0 / 2.0 - 1.0).abs() < 0.1); // 5 standard errors
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gaussian {
    gain: f64,
}

impl Gaussian {
    /// Weights of standard deviation `gain / sqrt(m)`.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] unless the gain is positive and finite.
    pub fn new(gain: f64) -> Result<Self> {
        if gain.is_finite() && gain > 0.0 {
            Ok(Self { gain })
        } else {
            let expected = "a positive finite gain";
            Err(Error::InvalidParameter { name: "gain", value: gain, expected })
        }
    }

    /// The gain.
    #[must_use]
    pub fn gain(&self) -> f64 {
        self.gain
    }

    /// Draws a `rows x inputs` matrix from the beginning of a stream, column by column.
    #[must_use]
    pub fn sample<T: Scalar>(&self, rows: usize, inputs: usize, stream: Stream) -> DMatrix<T> {
        let mut weights = DMatrix::zeros(rows, inputs);
        self.sample_to(stream, &mut weights);
        weights
    }

    /// Draws into a matrix, `rows x inputs`; no allocation.
    pub fn sample_to<T: Scalar>(&self, stream: Stream, weights: &mut DMatrix<T>) {
        stream.fill_normal(weights.as_mut_slice());
        *weights *= T::of(self.gain / (weights.ncols() as f64).sqrt());
    }
}

impl Default for Gaussian {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}
