//! Haar orthogonal weights.

use nalgebra::DMatrix;

use super::{Fans, ProductLaw, WeightInit};
use crate::check;
use crate::factorization::orthonormal;
use crate::serialization::deserialize_checked;
use crate::{Result, Scalar, Stream};

/// A gain times a Haar matrix, which has orthonormal columns, or orthonormal rows if `W`
/// (`rows x m`) has more columns than rows. No rotation from either side changes its law.
///
/// With batch normalisation and a batch as large as the width, `n = d`, they drive the
/// orthogonality gap of a linear network to zero with depth, and gradients do not explode (Meterez
/// et al., ICLR 2024). For `n < d` the rows of `W H` differ in length even if the samples are
/// orthogonal. Batch normalisation then perturbs the samples in every layer, and the gap converges
/// to a positive value, lower than with Gaussian weights.
///
/// ```
/// use orthogap::approx::assert_relative_eq;
/// use orthogap::nalgebra::DMatrix;
/// use orthogap::{Seed, weights::{Haar, WeightInit}};
///
/// let w = Haar::new(2.0)?.sample::<f64>(3, 5, Seed(7))?;
/// assert_relative_eq!(&w * w.transpose(), DMatrix::identity(3, 3) * 4.0, epsilon = 1e-14);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Haar {
    gain: f64,
}

impl Haar {
    /// Creates a Haar matrix times `gain`.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) unless the gain is positive and
    /// finite.
    pub fn new(gain: f64) -> Result<Self> {
        Ok(Self { gain: check::positive("gain", gain)? })
    }
}

deserialize_checked!(Haar { gain: f64 }, Haar::new);

impl Default for Haar {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}

impl WeightInit for Haar {
    /// Cost: a QR factorisation of a matrix of this shape, or of its transpose, in `T`.
    fn sample_to<T: Scalar>(&self, weights: &mut DMatrix<T>, _: Fans, stream: Stream) {
        let (rows, columns) = weights.shape();
        let frame = frame(rows.max(columns), rows.min(columns), stream) * T::of(self.gain);
        if rows < columns {
            frame.transpose_to(weights);
        } else {
            weights.copy_from(&frame);
        }
    }

    fn product_law(&self, _: Fans) -> ProductLaw {
        ProductLaw::Orthogonal { gain: self.gain }
    }
}

/// A uniform frame: `count <= dimension` orthonormal columns of a Haar matrix.
pub(crate) fn frame<T: Scalar>(dimension: usize, count: usize, stream: Stream) -> DMatrix<T> {
    let mut normals = DMatrix::zeros(dimension, count);
    stream.fill_normal(normals.as_mut_slice());
    orthonormal(normals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Purpose, Seed};

    /// Signs and sizes of single entries of a Haar matrix of order 3: mean 0, mean square 1/3, and
    /// the square's variance 4/45; 4000 matrices, 18 comparisons at 4.5 standard errors: 1e-4.
    #[test]
    fn frames_are_uniform() {
        const RUNS: u32 = 4000;
        let (mut mean, mut square) = (DMatrix::<f64>::zeros(3, 3), DMatrix::<f64>::zeros(3, 3));
        for run in 0..RUNS {
            let stream = Seed(9).replicate(run).stream(Purpose::Weights, 1, 0);
            let q: DMatrix<f64> = frame(3, 3, stream);
            mean += &q / f64::from(RUNS);
            square += q.component_mul(&q) / f64::from(RUNS);
        }
        let standard_error = f64::from(RUNS).sqrt().recip();
        assert!(mean.amax() < 4.5 * (1.0f64 / 3.0).sqrt() * standard_error, "{mean}");
        let deviation = square.add_scalar(-1.0 / 3.0).amax();
        assert!(deviation < 4.5 * (4.0f64 / 45.0).sqrt() * standard_error, "{square}");
    }
}
