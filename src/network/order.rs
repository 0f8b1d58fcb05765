//! The order of normalisation and activation around the linear map, and the residual connection.

use crate::serialization::deserialize_checked;
use crate::{Error, Result};

/// Where normalisation `N` and activation `F` stand in a layer.
///
/// All orders repeat the same loop, linear map, normalisation, activation, and differ in where a
/// layer ends, so in what is measured and in what a residual connection adds.
///
/// ```
/// use orthogap::{Input, Network, Order, Seed, activation::Relu};
///
/// let input = Input::near_collinear(4, 1e-3)?;
/// let gap = |order| {
///     let network = Network::<f64>::new(256).activation(Relu).order(order);
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
/// | any, with [`post_norm`](Residual::post_norm) | `N(H + c branch(H))`, the branch without norm |
///
/// A layer whose input has another shape than its output, as the first may, has no connection: it
/// is the branch alone, with weight one. A dense layer that is as wide as the flattened images before
/// it has one, and adds them with channels innermost: see
/// [`Classifier::new`](crate::train::Classifier::new) for PyTorch's order.
///
/// ```
/// use orthogap::{Input, Network, Order, Residual, Seed, activation::Tanh};
///
/// let plain = Network::<f64>::new(128).activation(Tanh).order(Order::ActivationLinearNorm);
/// let residual = plain.residual(Residual::depth_scaled(1.0, 100)?); // c = 1/sqrt(100)
/// let input = Input::gaussian(128, 4, Seed(1))?;
/// let mut chain = residual.chain(&input, Seed(2))?;
/// // After one layer the sample has hardly changed.
/// let first = chain.advance(1)?.cosine(0, 1)?;
/// assert!((first - input.gram().cosine(0, 1)?).abs() < 0.05);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Residual {
    weight: BranchWeight,
    post_norm: bool,
}

/// The weight `c` of the branch at each layer.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum BranchWeight {
    Constant(f64),
    #[cfg_attr(feature = "serde", serde(skip))]
    ByLayer(fn(usize) -> f64),
}

impl Residual {
    /// A branch of the same weight `c` at every layer.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if `c` is not finite.
    pub fn new(weight: f64) -> Result<Self> {
        Ok(Self { weight: BranchWeight::Constant(finite(weight)?), post_norm: false })
    }

    /// A branch of weight `c / sqrt(depth)`, so that a network of `depth` layers has a limit as
    /// it grows deep.
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

    /// A branch of weight `weight(l)` at layer `l`, counted from 1.
    ///
    /// ```
    /// use orthogap::Residual;
    /// let fading = Residual::by_layer(|layer| 1.0 / layer as f64);
    /// ```
    #[must_use]
    pub fn by_layer(weight: fn(usize) -> f64) -> Self {
        Self { weight: BranchWeight::ByLayer(weight), post_norm: false }
    }

    /// The same with the normalisation after the sum in place of inside the branch.
    #[must_use]
    pub fn post_norm(self) -> Self {
        Self { post_norm: true, ..self }
    }

    /// The weight of the branch at a layer.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if it is not finite.
    pub fn weight(&self, layer: usize) -> Result<f64> {
        match self.weight {
            BranchWeight::Constant(weight) => Ok(weight),
            BranchWeight::ByLayer(weight) => finite(weight(layer)),
        }
    }
}

deserialize_checked!(Residual { weight: BranchWeight, post_norm: bool }, |weight, post_norm| {
    let residual = Residual { weight, post_norm };
    residual.weight(1)?;
    Ok(residual)
});

fn finite(weight: f64) -> Result<f64> {
    if weight.is_finite() {
        Ok(weight)
    } else {
        let expected = "a finite weight of the branch";
        Err(Error::InvalidParameter { name: "residual weight", value: weight, expected })
    }
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
    pub(crate) fn new(order: Order, residual: Option<Residual>) -> Self {
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
