//! Gaussian weights.

use nalgebra::DMatrix;

use super::{Fan, Fans, ProductLaw, WeightInit};
use crate::check;
use crate::serialization::deserialize_checked;
use crate::{Result, Scalar, Stream};

/// Independent Gaussian weights N(0, gain²/m) for a layer with `m` inputs, or
/// N(0, 2 gain²/(m + rows)) if they come from [`xavier`](Self::xavier).
///
/// The default has gain 1: the variance 1/m that every Wasserstein statement of the theory assumes.
/// The gain has no effect under the paper's batch normalisation. It matters with an epsilon, and in
/// a vanilla network.
///
/// ```
/// use orthogap::{Seed, weights::{Gaussian, WeightInit}};
///
/// let w = Gaussian::he().sample::<f64>(100, 50, Seed(7))?;
/// let variance = w.norm_squared() / (100.0 * 50.0);
/// assert!((variance * 50.0 / 2.0 - 1.0).abs() < 0.1); // 5 standard errors
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Gaussian {
    gain: f64,
    fan: Fan,
}

impl Gaussian {
    /// Creates weights with standard deviation `gain / sqrt(m)`.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) unless the gain is positive and
    /// finite.
    pub fn new(gain: f64) -> Result<Self> {
        Ok(Self { gain: check::positive("gain", gain)?, fan: Fan::In })
    }

    /// Creates weights with variance 2/m, which keeps the second moment under ReLU (He et al.
    /// 2015).
    #[must_use]
    pub fn he() -> Self {
        Self { gain: std::f64::consts::SQRT_2, fan: Fan::In }
    }

    /// Creates weights with variance 2/(m + rows), with gain 1 (Glorot and Bengio 2010).
    #[must_use]
    pub fn xavier() -> Self {
        Self { gain: 1.0, fan: Fan::Average }
    }

    /// Sets the gain, to which the standard deviation is proportional.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) unless the gain is positive and
    /// finite.
    pub fn with_gain(self, gain: f64) -> Result<Self> {
        Ok(Self { gain: check::positive("gain", gain)?, ..self })
    }

    /// Returns the gain.
    #[must_use]
    pub fn gain(&self) -> f64 {
        self.gain
    }

    fn deviation(&self, fans: Fans) -> f64 {
        self.gain / self.fan.of(fans).sqrt()
    }
}

deserialize_checked!(Gaussian { gain: f64, fan: Fan }, |gain, fan| Gaussian { gain: 1.0, fan }
    .with_gain(gain));

impl WeightInit for Gaussian {
    /// Column by column; no allocation.
    fn sample_to<T: Scalar>(&self, weights: &mut DMatrix<T>, fans: Fans, stream: Stream) {
        stream.fill_normal(weights.as_mut_slice());
        *weights *= T::of(self.deviation(fans));
    }

    fn product_law(&self, fans: Fans) -> ProductLaw {
        ProductLaw::Gaussian { deviation: self.deviation(fans) }
    }
}

impl Default for Gaussian {
    fn default() -> Self {
        Self { gain: 1.0, fan: Fan::In }
    }
}
