//! Weight normalisation: rows of fixed length and uniform direction.

use nalgebra::DMatrix;

use super::{Fans, ProductLaw, WeightInit};
use crate::check;
use crate::serialization::deserialize_checked;
use crate::{Result, Scalar, Stream};

/// Weight normalisation at initialisation (Salimans and Kingma 2016): every row of `W` is
/// `gain g/|g|` with `g` Gaussian, so uniform on a sphere.
///
/// The squared norm of a row is `gain²`, the mean of that of a [`Gaussian`](super::Gaussian) row.
/// Batch normalisation without an epsilon removes the scale of every row, so with it these weights
/// have the effect of Gaussian ones.
///
/// ```
/// use orthogap::{Seed, weights::{Spherical, WeightInit}};
///
/// let w = Spherical::new(1.5)?.sample::<f64>(100, 50, Seed(7))?;
/// assert!(w.row_iter().all(|row| (row.norm() - 1.5).abs() < 1e-14));
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Spherical {
    gain: f64,
}

impl Spherical {
    /// Creates rows of norm `gain`.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) unless the gain is positive and
    /// finite.
    pub fn new(gain: f64) -> Result<Self> {
        Ok(Self { gain: check::positive("gain", gain)? })
    }
}

deserialize_checked!(Spherical { gain: f64 }, Spherical::new);

impl Default for Spherical {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}

impl WeightInit for Spherical {
    fn sample_to<T: Scalar>(&self, weights: &mut DMatrix<T>, _: Fans, stream: Stream) {
        stream.fill_normal(weights.as_mut_slice());
        for mut row in weights.row_iter_mut() {
            let norm = row.norm();
            row *= T::of(self.gain) / norm;
        }
    }

    fn product_law(&self, _: Fans) -> ProductLaw {
        ProductLaw::Spherical { radius: self.gain }
    }
}
