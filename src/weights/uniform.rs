//! Uniform weights.

use nalgebra::DMatrix;
use rand::RngExt;

use super::{Fan, Fans, WeightInit};
use crate::check;
use crate::serialization::deserialize_checked;
use crate::{Result, Scalar, Stream};

/// Independent weights, uniform on an interval around 0, with variance gain²/m, or
/// 2 gain²/(m + rows) if they come from [`xavier`](Self::xavier).
///
/// ```
/// use orthogap::{Seed, weights::{Uniform, WeightInit}};
///
/// let w = Uniform::xavier().sample::<f64>(300, 100, Seed(7))?;
/// let bound = (6.0 / 400.0f64).sqrt();
/// assert!(w.amax() < bound && w.amax() > 0.999 * bound);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Uniform {
    gain: f64,
    fan: Fan,
}

impl Uniform {
    /// Creates weights with variance 2/m (He et al. 2015).
    #[must_use]
    pub fn he() -> Self {
        Self { gain: std::f64::consts::SQRT_2, fan: Fan::In }
    }

    /// Creates weights with variance 2/(m + rows), with gain 1 (Glorot and Bengio 2010).
    #[must_use]
    pub fn xavier() -> Self {
        Self { gain: 1.0, fan: Fan::Average }
    }

    /// Sets the gain, to which the standard deviation is proportional. PyTorch's `Linear` draws
    /// `Uniform::he().with_gain(1/sqrt(3))`.
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
}

deserialize_checked!(Uniform { gain: f64, fan: Fan }, |gain, fan| Uniform { gain: 1.0, fan }
    .with_gain(gain));

impl WeightInit for Uniform {
    /// Column by column; no allocation.
    fn sample_to<T: Scalar>(&self, weights: &mut DMatrix<T>, fans: Fans, stream: Stream) {
        let bound = self.gain * (3.0 / self.fan.of(fans)).sqrt();
        let mut rng = stream.rng();
        weights.apply(|w| *w = T::of(bound * midpoint(rng.random())));
    }
}

/// A number between -1 and 1: the midpoint of one of 2^53 cells, never 0, and symmetric. Cells are
/// counted from the middle, since midpoints beyond 2^52 are no floats.
fn midpoint(bits: u64) -> f64 {
    let cell = (bits >> 11) as i64 - (1 << 52);
    (cell as f64 + 0.5) * 0.5f64.powi(52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Purpose, Seed};

    #[test]
    fn midpoints_are_symmetric() {
        let cell = 1 << 11;
        for bits in [0, 1, cell, 12345 * cell, (1 << 63) - 1, 1 << 63, 0x9abc_def0_1234_5678] {
            assert_eq!(midpoint(bits), -midpoint(!bits));
            assert!((0.5f64.powi(53)..1.0).contains(&midpoint(bits).abs()));
        }
        assert_eq!(midpoint(1 << 63), 0.5f64.powi(53));
        assert_eq!(midpoint((1 << 63) + cell), 3.0 * 0.5f64.powi(53));
        assert_eq!(midpoint(u64::MAX), 1.0 - 0.5f64.powi(53));
    }

    /// Variance and fourth moment over 120,000 entries; five standard errors, 6e-7 each.
    #[test]
    fn moments() {
        let stream = Seed(5).replicate(0).stream(Purpose::Weights, 1, 0);
        let w = Uniform::he().sample::<f64>(300, 400, stream).unwrap() * 200f64.sqrt();
        let mean_of = |power| w.map(|x: f64| x.powi(power)).mean();
        let tolerance = 5.0 / 120_000f64.sqrt();
        assert!(mean_of(1).abs() < tolerance);
        assert!((mean_of(2) - 1.0).abs() < 0.8f64.sqrt() * tolerance);
        assert!((mean_of(4) - 1.8).abs() < (9.0 - 1.8f64.powi(2)).sqrt() * tolerance);
        // An input that feeds nine windows: the fans of a 3 x 3 convolution of 4 into 8 channels.
        let mut kernel = DMatrix::<f64>::zeros(8, 36);
        Uniform::xavier().sample_to(&mut kernel, Fans { inputs: 36, outputs: 72 }, stream);
        let bound = (6.0f64 / 108.0).sqrt();
        assert!(kernel.amax() < bound && kernel.amax() > 0.98 * bound);
    }
}
