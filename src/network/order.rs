//! The order of normalisation and activation around the linear map, and the residual connection.

use std::f64::consts::LN_2;
use std::fmt;
use std::sync::Arc;

use crate::check;
use crate::scalar::exponent;
use crate::serialization::deserialize_checked;
use crate::{Error, Result};

/// Where normalisation `N` and activation `F` stand in a layer.
///
/// All orders repeat the same loop: linear map, normalisation, activation. They differ in where a
/// layer ends, so in what is measured and what a residual connection adds.
///
/// ```
/// use orthogap::{Activation, Input, Network, Order, Seed};
///
/// let input = Input::near_collinear(4, 1e-3)?;
/// let gap = |order| {
///     let network = Network::<f64>::new(256).with_activation(Activation::Relu).with_order(order);
///     Ok::<_, orthogap::Error>(network.chain(&input, Seed(1))?.advance(50)?.orthogonality_gap())
/// };
/// // Rectified representations lie in one orthant; before the rectifier their angles are wider.
/// assert!(gap(Order::ActivationLinearNorm)? < gap(Order::LinearNormActivation)?);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Order {
    /// `H' = F(N(W H))`: a layer ends after its activation (frameworks).
    #[default]
    LinearNormActivation,
    /// `H' = N(W F(H))`: a layer ends after its normalisation (the paper's Appendix F).
    ActivationLinearNorm,
    /// `H' = W F(N(H))`: a layer ends after its linear map ("pre-norm").
    ///
    /// A dense layer after convolutions normalises flattened images, channels innermost: see
    /// [`Classifier::new`](crate::train::Classifier::new) for PyTorch's order.
    NormActivationLinear,
}

/// A residual connection: `H' = H + c branch(H)`, where the branch is the layer without it.
///
/// | order, with [`Residual::new`] | layer |
/// | --- | --- |
/// | [`Order::LinearNormActivation`] | `H + c F(N(W H))` |
/// | [`Order::ActivationLinearNorm`] | `H + c N(W F(H))` |
/// | [`Order::NormActivationLinear`] | `H + c W F(N(H))`, pre-norm |
/// | any, with [`with_post_norm`](Residual::with_post_norm) | `N(H + c branch(H))`, the branch without norm |
///
/// A layer whose input and output differ in shape has no connection: it is the branch alone, with
/// weight one. A dense layer as wide as the flattened images before it has one, and adds them with
/// channels innermost: see [`Classifier::new`](crate::train::Classifier::new) for PyTorch's order.
///
/// ```
/// use orthogap::{Activation, Input, Network, Order, Residual, Seed};
///
/// let plain = Network::<f64>::new(128)
///     .with_activation(Activation::Tanh)
///     .with_order(Order::ActivationLinearNorm);
/// let residual = plain.with_residual(Residual::depth_scaled(1.0, 100)?); // c = 1/sqrt(100)
/// let input = Input::gaussian(128, 4, Seed(1))?;
/// let mut chain = residual.chain(&input, Seed(2))?;
/// // After one layer the sample has hardly changed.
/// let first = chain.advance(1)?.cosine(0, 1)?;
/// assert!((first - input.gram().cosine(0, 1)?).abs() < 0.05);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Residual {
    weight: BranchWeight,
    post_norm: bool,
}

/// The weight `c` of the branch at each layer.
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum BranchWeight {
    Constant(f64),
    #[cfg_attr(feature = "serde", serde(skip))]
    ByLayer(Arc<dyn Fn(usize) -> f64 + Send + Sync>),
}

/// Functions are equal if they are clones of each other.
impl PartialEq for BranchWeight {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Constant(a), Self::Constant(b)) => a == b,
            (Self::ByLayer(a), Self::ByLayer(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl fmt::Debug for BranchWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(weight) => weight.fmt(f),
            Self::ByLayer(_) => f.write_str("by layer"),
        }
    }
}

impl Residual {
    /// Returns a connection whose branch has the same weight `c` at every layer.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if `c` is not finite.
    pub fn new(weight: f64) -> Result<Self> {
        Ok(Self { weight: BranchWeight::Constant(finite(weight)?), post_norm: false })
    }

    /// Returns a connection whose branch has weight `c / sqrt(depth)`, so that a network of `depth`
    /// layers has a limit as it grows deep.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if `c` is not finite or the depth is 0.
    pub fn depth_scaled(weight: f64, depth: usize) -> Result<Self> {
        if depth == 0 {
            let expected = "at least 1";
            return Err(Error::InvalidParameter { name: "depth", value: 0.0, expected });
        }
        Self::new(weight / (depth as f64).sqrt())
    }

    /// Returns a connection whose branch has weight `weight(l)` at layer `l`, counted from 1. It
    /// cannot be serialised.
    ///
    /// ```
    /// use orthogap::Residual;
    ///
    /// let exponent = 0.5;
    /// let fading = Residual::by_layer(move |layer| (layer as f64).powf(-exponent));
    /// assert_eq!(fading.weight(4)?, 0.5);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn by_layer(weight: impl Fn(usize) -> f64 + Send + Sync + 'static) -> Self {
        Self { weight: BranchWeight::ByLayer(Arc::new(weight)), post_norm: false }
    }

    /// Moves the normalisation after the sum, out of the branch.
    #[must_use]
    pub fn with_post_norm(self) -> Self {
        Self { post_norm: true, ..self }
    }

    /// Returns whether the normalisation comes after the sum.
    #[must_use]
    pub fn is_post_norm(&self) -> bool {
        self.post_norm
    }

    /// Returns the weight of the branch at a layer.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if it is not finite.
    pub fn weight(&self, layer: usize) -> Result<f64> {
        match &self.weight {
            BranchWeight::Constant(weight) => finite(*weight),
            BranchWeight::ByLayer(weight) => finite(weight(layer)),
        }
    }

    /// The same as a number of moderate size and the logarithm of its unit, 0 unless the weight is
    /// very large or small.
    pub(crate) fn scaled_weight(&self, layer: usize) -> Result<(f64, f64)> {
        const MODERATE: i32 = 60; // of exponents of two
        let weight = self.weight(layer)?;
        match exponent(weight) {
            power if power.abs() > MODERATE => {
                Ok((weight * 2f64.powi(-power), f64::from(power) * LN_2))
            }
            _ => Ok((weight, 0.0)),
        }
    }
}

deserialize_checked!(Residual { weight: BranchWeight, post_norm: bool }, |weight, post_norm| {
    let residual = Residual { weight, post_norm };
    residual.weight(1)?;
    Ok(residual)
});

fn finite(weight: f64) -> Result<f64> {
    let expected = "a finite weight of the branch";
    check::parameter("residual weight", weight, weight.is_finite(), expected)
}

/// What is done to representations between linear maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Normalize,
    Activate,
}

/// The operations of a layer, in place: `last(H + c after(W before(H)))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stages {
    pub before: &'static [Operation],
    pub after: &'static [Operation],
    pub last: &'static [Operation],
}

impl Stages {
    pub(crate) fn new(order: Order, residual: Option<&Residual>) -> Self {
        use Operation::{Activate, Normalize};
        let post_norm = residual.is_some_and(|residual| residual.post_norm);
        let (before, after): (&[_], &[_]) = match (order, post_norm) {
            (Order::LinearNormActivation, false) => (&[], &[Normalize, Activate]),
            (Order::ActivationLinearNorm, false) => (&[Activate], &[Normalize]),
            (Order::NormActivationLinear, false) => (&[Normalize, Activate], &[]),
            (Order::LinearNormActivation, true) => (&[], &[Activate]),
            (_, true) => (&[Activate], &[]),
        };
        Self { before, after, last: if post_norm { &[Normalize] } else { &[] } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_what_was_asked_for() {
        let plain = Residual::new(0.3).unwrap();
        assert_eq!(Residual::depth_scaled(1.2, 16).unwrap(), plain);
        assert_ne!(Residual::new(0.4).unwrap(), plain);
        assert!(!plain.is_post_norm() && plain.clone().with_post_norm().is_post_norm());
        assert_ne!(plain.clone().with_post_norm(), plain);
        let [one, other] = [0.3, 0.3].map(|weight| Residual::by_layer(move |_| weight));
        assert_eq!(one, one.clone());
        assert!(one != other && one != plain && !one.is_post_norm());
    }

    /// Only weights far from one have a unit, and it restores them.
    #[test]
    fn weights_are_moderate_numbers_in_a_unit() {
        for weight in [0.0, 0.3, -1.0, 1e18, -1e-18] {
            let scaled = Residual::new(weight).unwrap().scaled_weight(1).unwrap();
            assert_eq!(scaled, (weight, 0.0));
        }
        for weight in [1e19, -1e19, 3e-19, -1e-300, 1e300, f64::MAX] {
            let (number, log_unit) = Residual::new(weight).unwrap().scaled_weight(1).unwrap();
            assert!((1.0..2.0).contains(&number.abs()) && number.signum() == weight.signum());
            let log = number.abs().ln() + log_unit;
            assert!((log - weight.abs().ln()).abs() <= 2e-15 * log.abs(), "{weight}");
        }
    }
}
