//! Reverse passes: exact gradients of a loss through a random network.
//!
//! [`Network::gradients`] is the reverse pass of a random network, layer by layer. At each layer it
//! gives the norms of the gradients with respect to `H` and `W`, the Gram matrix of the gradient
//! with respect to `H`, and its angles to `H`. The streamed engine holds neither weights nor
//! representations, and is exact in law at any width. [`Network::gradient_norms`] returns the norms
//! only. [`Network::tangent_kernel`] takes one reverse pass for all outputs.
//!
//! A [`Tape`] records a layer with given weights. From the gradient of a loss with respect to the
//! layer's output it computes the gradients with respect to its input and its weights. The formulas
//! of the reverse pass are at the operators
//! ([`BatchNorm::pullback`](crate::normalization::BatchNorm::pullback),
//! [`Convolution::fold`](crate::convolution::Convolution::fold),
//! [`Activation::derivative`](crate::Activation::derivative)); this module applies them in order.
//!
//! Everything is in logarithmic units ([`Scaled`]), so neither a vanilla network nor the explosion
//! of gradients under batch normalisation leaves the range of floating point at any depth.

mod batch_gradient;
mod explicit;
mod gradients;
mod record;
mod scaled;
mod streamed;
mod tangent_kernel;
mod tape;
mod top;

pub use batch_gradient::BatchGradient;
use explicit::Explicit;
pub use gradients::Gradients;
pub(crate) use record::{Gradient, Parameters, Record, Statistics, Step, Units, operand};
pub use scaled::Scaled;
pub use tangent_kernel::TangentKernel;
pub use tape::{LayerGradient, Tape};
pub use top::Top;

use crate::serialization::deserialize_checked;
#[cfg(feature = "serde")]
use crate::{Error, serialization::Extended};
use crate::{Input, Network, Replicate, Result, Scalar};

/// The norms of the gradient of a loss, layer by layer: natural logarithms of Frobenius norms,
/// minus infinity where a gradient is zero.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct GradientNorms {
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialization::list"))]
    representations: Vec<f64>,
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialization::list"))]
    weights: Vec<f64>,
}

impl GradientNorms {
    /// The same in the order of layers, of norms from the output down.
    fn in_order_of_layers(mut self) -> Self {
        self.representations.reverse();
        self.weights.reverse();
        self
    }

    /// Returns the log norms of the gradients with respect to the representations. Entry `l` is
    /// that of layer `l`, from the input, 0, to the output.
    #[must_use]
    pub fn representations(&self) -> &[f64] {
        &self.representations
    }

    /// Returns the log norms of the gradients with respect to the weights. Entry `l - 1` is that of
    /// layer `l`, from 1 to the last.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }
}

deserialize_checked!(
    GradientNorms { representations: Vec<Extended>, weights: Vec<Extended> },
    |representations, weights| {
        if representations.len() != weights.len() + 1 {
            let (found, expected) = ((representations.len(), 1), (weights.len() + 1, 1));
            return Err(Error::ShapeMismatch { what: "the list of norms", found, expected });
        }
        let logarithm = |Extended(value): Extended| match value < f64::INFINITY {
            true => Ok(value),
            false => {
                let (name, expected) = ("log norm", "a number, or minus infinity");
                Err(Error::InvalidParameter { name, value, expected })
            }
        };
        let logarithms = |values: Vec<_>| values.into_iter().map(logarithm).collect::<Result<_>>();
        Ok(GradientNorms {
            representations: logarithms(representations)?,
            weights: logarithms(weights)?,
        })
    }
);

impl<T: Scalar> Network<T> {
    /// Draws the norms of the gradients of a loss at every layer. The loss is linear in the output,
    /// in a random direction of norm one.
    ///
    /// They are the norms of [`gradients`](Self::gradients) with [`Top::RandomDirection`], at the
    /// cost and on the engine stated there.
    ///
    /// Batch normalisation makes gradients explode (Yang et al. 2019, *A mean field theory of batch
    /// normalization*): some rows are nearly zero, and dividing by their length stretches the
    /// gradient. In a wide linear network with Gaussian weights the squared norm grows backwards by
    /// (n - 1)/(n - 2) a layer. Its part across a row is (n - 1)/n, and the mean of the squared
    /// length times the mean of its inverse is n/(n - 2). Centred rows have one dimension less,
    /// which gives (n - 2)/(n - 3).
    ///
    /// ```
    /// use orthogap::{Input, Network, Seed};
    ///
    /// let network = Network::<f64>::new(256);
    /// let norms = network.gradient_norms(&Input::orthogonal(4)?, Seed(7), 60)?;
    /// let growth = (norms.representations()[10] - norms.representations()[60]) / 50.0;
    /// assert!((growth - 0.5 * 1.5f64.ln()).abs() < 0.04);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`gradients`](Self::gradients) and its steps.
    pub fn gradient_norms(
        &self,
        input: &Input,
        run: impl Into<Replicate>,
        depth: usize,
    ) -> Result<GradientNorms> {
        let mut norms = GradientNorms { representations: Vec::new(), weights: Vec::new() };
        for layer in self.gradients(input, run, depth, Top::RandomDirection)? {
            let layer = layer?;
            norms.representations.push(layer.log_norm());
            norms.weights.extend(layer.log_weights_norm());
        }
        Ok(norms.in_order_of_layers())
    }

    /// Returns the norms of the gradients of any loss at every layer, given its gradient at the
    /// output of `depth` layers.
    ///
    /// Layers are those of [`explicit_chain`](Self::explicit_chain). `loss_gradient` gets the
    /// true representation `H`, `d x n` (of images `C x (S n)`), and returns the gradient with
    /// respect to it, of its shape: a matrix, or a [`Scaled`] one.
    ///
    /// Cost: every weight matrix is drawn twice, with about three times the multiply-adds of the
    /// chain. Every `H` is held, `d n` numbers a layer, and one weight matrix at a time. The result
    /// does not depend on the number of threads. The last digits of products can depend on the
    /// instruction set.
    ///
    /// ```
    /// use orthogap::{Input, Network, Seed, normalization::Normalization, weights::Gaussian};
    ///
    /// // Half the squared norm, whose gradient is H itself, of a network that grows like 2^l: its
    /// // gradient is 4^3000 at the input.
    /// let vanilla = Network::<f64>::new(16)
    ///     .with_normalization(Normalization::None)
    ///     .with_weights(Gaussian::new(2.0)?);
    /// let norms =
    ///     vanilla.gradient_norms_of(&Input::orthogonal(2)?, Seed(1), 3000, |h| h.clone())?;
    /// assert!(norms.representations()[0] > 3000.0 && norms.weights()[0] > 3000.0);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`explicit_chain`](Self::explicit_chain) and of its steps, and of [`Tape::new`] and
    /// [`Tape::pull_back`].
    pub fn gradient_norms_of<G: Into<Scaled<T>>>(
        &self,
        input: &Input,
        run: impl Into<Replicate>,
        depth: usize,
        loss_gradient: impl FnOnce(&Scaled<T>) -> G,
    ) -> Result<GradientNorms> {
        let mut explicit = Explicit::new(self, input, run.into(), depth, loss_gradient)?;
        let mut norms = GradientNorms { representations: Vec::new(), weights: Vec::new() };
        norms.representations.push(explicit.gradient().log_norm());
        while let Some(weights) = explicit.descend(|by_layer| by_layer.log_weights_norm())? {
            norms.weights.push(weights);
            norms.representations.push(explicit.gradient().log_norm());
        }
        Ok(norms.in_order_of_layers())
    }
}
