//! Random weight matrices: the laws of initial weights.
//!
//! | weights | law of an entry of `W` (`rows x m`) | a layer costs |
//! | --- | --- | --- |
//! | [`Gaussian::new`] | N(0, gain²/m) | the streamed chain: `d n` normals |
//! | [`Gaussian::xavier`], [`Gaussian::he`] | N(0, 2/(m + rows)), N(0, 2/m) | the same |
//! | [`Uniform::xavier`], [`Uniform::he`] | uniform, with those variances | `W` itself: `d²` numbers |
//! | [`Haar`] | Haar: orthonormal columns (or rows), times a gain | a QR of `d x n` |
//! | [`Spherical`] | rows uniform on a sphere: weight normalisation | `d n` normals, `H` held |
//! | your own [`WeightInit`] | your own | `W` itself |
//!
//! These laws are independent of data. Initialisations that depend on a batch are in
//! [`train::init`](crate::train::init).
//!
//! The [`ProductLaw`] of a law determines the engine of a chain: whether `W H` can be drawn without
//! `W`.
//!
//! # User-defined weights
//!
//! Sparse weights: each entry is zero with probability 1 - p, else plus or minus one, scaled to
//! variance 1/m.
//!
//! ```
//! use orthogap::nalgebra::DMatrix;
//! use orthogap::{Input, Network, Scalar, Seed, Stream};
//! use orthogap::weights::{Fans, WeightInit, Weights};
//! use orthogap::rand::RngExt;
//!
//! #[derive(Debug)]
//! struct Sparse {
//!     density: f64,
//! }
//!
//! impl WeightInit for Sparse {
//!     fn sample_to<T: Scalar>(&self, weights: &mut DMatrix<T>, fans: Fans, stream: Stream) {
//!         let size = T::of((self.density * fans.inputs as f64).sqrt().recip());
//!         let mut rng = stream.rng();
//!         weights.apply(|w| {
//!             let sign = if rng.random() { size } else { -size };
//!             *w = if rng.random_bool(self.density) { sign } else { T::zero() };
//!         });
//!     }
//! }
//!
//! let weights = Weights::custom(Sparse { density: 0.2 });
//! let network = Network::<f64>::new(128).with_weights(weights);
//! // (Few inputs would leave rows without weights, which batch norm refuses.)
//! let mut chain = network.chain(&Input::gaussian(100, 4, Seed(1))?, Seed(2))?;
//! assert!(chain.advance(60)?.orthogonality_gap() < 0.25); // batch norm separates samples here, too
//! # Ok::<(), orthogap::Error>(())
//! ```

mod custom;
mod gaussian;
mod haar;
mod spherical;
mod uniform;

use std::fmt::Debug;

use nalgebra::DMatrix;

pub use custom::Custom;
pub use gaussian::Gaussian;
pub use haar::Haar;
pub(crate) use haar::frame;
pub use spherical::Spherical;
pub use uniform::Uniform;

use crate::check;
use crate::{Result, Scalar, Stream};

/// The law of the weights of a network, as a value.
///
/// ```
/// use orthogap::weights::{Gaussian, Haar, Weights};
/// use orthogap::{Input, Network, Seed};
///
/// let input = Input::near_collinear(4, 1e-3)?;
/// for weights in [Weights::from(Gaussian::he()), Haar::default().into()] {
///     let network = Network::<f64>::new(64).with_weights(weights);
///     assert!(network.chain(&input, Seed(1))?.advance(60)?.orthogonality_gap() < 0.5);
/// }
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Weights {
    /// Independent Gaussian entries.
    Gaussian(Gaussian),
    /// Independent uniform entries.
    Uniform(Uniform),
    /// Orthonormal columns or rows.
    Haar(Haar),
    /// Rows of one length.
    Spherical(Spherical),
    /// A user-defined law, which cannot be serialised.
    #[cfg_attr(feature = "serde", serde(skip))]
    Custom(Custom),
}

impl Weights {
    /// Creates weights of a user-defined law.
    #[must_use]
    pub fn custom(law: impl WeightInit + 'static) -> Self {
        Self::Custom(Custom::new(law))
    }
}

/// [`Gaussian::default`], the law of the theory.
impl Default for Weights {
    fn default() -> Self {
        Gaussian::default().into()
    }
}

impl WeightInit for Weights {
    fn sample_to<T: Scalar>(&self, weights: &mut DMatrix<T>, fans: Fans, stream: Stream) {
        match self {
            Self::Gaussian(law) => law.sample_to(weights, fans, stream),
            Self::Uniform(law) => law.sample_to(weights, fans, stream),
            Self::Haar(law) => law.sample_to(weights, fans, stream),
            Self::Spherical(law) => law.sample_to(weights, fans, stream),
            Self::Custom(law) => law.sample_to(weights, fans, stream),
        }
    }

    fn product_law(&self, fans: Fans) -> ProductLaw {
        match self {
            Self::Gaussian(law) => law.product_law(fans),
            Self::Uniform(law) => law.product_law(fans),
            Self::Haar(law) => law.product_law(fans),
            Self::Spherical(law) => law.product_law(fans),
            Self::Custom(law) => law.product_law(fans),
        }
    }
}

macro_rules! from_law {
    ($($law:ident),*) => {$(
        impl From<$law> for Weights {
            fn from(law: $law) -> Self {
                Self::$law(law)
            }
        }
    )*};
}

from_law!(Gaussian, Uniform, Haar, Spherical);

/// A law of weight matrices, such as an initialisation.
///
/// A chain draws the product `W H` without `W` if its law is known
/// ([`product_law`](Self::product_law)), as it is for [`Gaussian`], [`Haar`] and [`Spherical`]
/// weights. Otherwise it draws `W`, `d²` numbers a layer. [`Weights::custom`] makes a value of a
/// user-defined law.
pub trait WeightInit: Debug + Send + Sync {
    /// Draws a weight matrix, `rows x m`, from the beginning of a stream.
    fn sample_to<T: Scalar>(&self, weights: &mut DMatrix<T>, fans: Fans, stream: Stream);

    /// Returns the law of `W H` given `H`, if it is known; by default it is not.
    fn product_law(&self, fans: Fans) -> ProductLaw {
        let _ = fans;
        ProductLaw::Unknown
    }

    /// Draws a new weight matrix of a dense layer, `rows x inputs`, from a stream or a seed.
    ///
    /// ```
    /// use orthogap::{Seed, weights::{Haar, WeightInit}};
    ///
    /// let rotation = Haar::default().sample::<f64>(3, 3, Seed(7))?;
    /// assert!((rotation.column(0).dot(&rotation.column(1))).abs() < 1e-15);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidParameter`](crate::Error::InvalidParameter) for more than 2^40 numbers;
    /// [`NotFinite`](crate::Error::NotFinite) of weights beyond the range of `T`.
    fn sample<T: Scalar>(
        &self,
        rows: usize,
        inputs: usize,
        stream: impl Into<Stream>,
    ) -> Result<DMatrix<T>> {
        draw(self, (rows, inputs), Fans { inputs, outputs: rows }, stream.into())
    }
}

/// Draws weights into a new matrix; refuses one that fits no memory, and weights beyond the range.
pub(crate) fn draw<T: Scalar>(
    law: &(impl WeightInit + ?Sized),
    shape: (usize, usize),
    fans: Fans,
    stream: Stream,
) -> Result<DMatrix<T>> {
    let mut weights = check::zeros("rows x inputs", shape)?;
    law.sample_to(&mut weights, fans, stream);
    check::entries(&weights)?;
    Ok(weights)
}

/// The numbers of inputs of an output, and of outputs of an input, in a layer.
///
/// A dense layer `d x m` has `m` inputs and `d` outputs. A convolution of `C` into `C'` channels
/// by `k x k` windows, whose weights are `C' x (C k²)`, has `C k²` inputs and `C' k²` outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fans {
    /// Inputs of an output, "fan in".
    pub inputs: usize,
    /// Outputs of an input, "fan out".
    pub outputs: usize,
}

/// The law of `W H` given `H`, with which it can be drawn without `W`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ProductLaw {
    /// Entries of `W` are independent N(0, deviation²), so rows of `W H` are
    /// N(0, deviation² HᵀH).
    Gaussian {
        /// Standard deviation of an entry.
        deviation: f64,
    },
    /// `W` is `gain` times a Haar matrix, so `W H` is `gain` times a uniform frame times any `R`
    /// with `RᵀR = HᵀH`.
    Orthogonal {
        /// The factor of the orthonormal matrix.
        gain: f64,
    },
    /// Rows of `W` are independent and uniform on the sphere of this radius.
    Spherical {
        /// Norm of a row.
        radius: f64,
    },
    /// Unknown: `W` itself must be drawn.
    Unknown,
}

/// The number by which the variance of an entry is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Fan {
    /// Inputs (He; LeCun).
    In,
    /// The mean of inputs and outputs (Xavier Glorot).
    Average,
}

impl Fan {
    fn of(self, Fans { inputs, outputs }: Fans) -> f64 {
        match self {
            Self::In => inputs as f64,
            Self::Average => 0.5 * (inputs as f64 + outputs as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Seed};

    /// Products of sides that wrap would be memory for no entry.
    #[test]
    fn matrices_that_fit_no_memory_are_refused() {
        let laws: [Weights; 4] = [
            Gaussian::default().into(),
            Uniform::he().into(),
            Haar::default().into(),
            Spherical::default().into(),
        ];
        for law in laws {
            for (rows, inputs) in [(1 << 32, 1 << 32), (4, 1 << 62), ((1 << 20) + 1, 1 << 20)] {
                let error = law.sample::<f64>(rows, inputs, Seed(1)).unwrap_err();
                let expected = "at most 2^40 numbers in a matrix";
                let value = rows as f64 * inputs as f64;
                assert_eq!(
                    error,
                    Error::InvalidParameter { name: "rows x inputs", value, expected }
                );
            }
        }
    }

    #[test]
    fn weights_beyond_the_range_are_refused() {
        for law in [Weights::from(Gaussian::new(1e300).unwrap()), Haar::new(1e300).unwrap().into()]
        {
            assert!(law.sample::<f64>(3, 3, Seed(1)).is_ok());
            let error = law.sample::<f32>(3, 3, Seed(1)).unwrap_err();
            assert!(matches!(error, Error::NotFinite { .. }), "{error}");
        }
    }
}
