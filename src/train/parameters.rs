//! A number for every parameter of a classifier: a gradient, or a velocity.

use nalgebra::{DMatrix, DVector};

use crate::Scalar;
use crate::scalar::norm;

/// A number for every parameter of a [`Classifier`](super::Classifier), in their shapes: the
/// gradient of a loss, or the velocity of a descent.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters<T> {
    pub(super) layers: Vec<LayerParameters<T>>,
    pub(super) head: DMatrix<T>,
}

/// A number for every parameter of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerParameters<T> {
    /// The numbers for the weights, `d_out x d_in`, of a convolution `C' x (C k²)`.
    pub weights: DMatrix<T>,
    /// The numbers for the scale of batch normalisation; empty without it.
    pub gamma: DVector<T>,
    /// The numbers for the shift of batch normalisation; empty without it.
    pub beta: DVector<T>,
}

impl<T: Scalar> Parameters<T> {
    /// Creates parameters from parts, such as saved ones.
    #[must_use]
    pub fn new(layers: Vec<LayerParameters<T>>, head: DMatrix<T>) -> Self {
        Self { layers, head }
    }

    /// Returns the parameters of the layers, from the first.
    #[must_use]
    pub fn layers(&self) -> &[LayerParameters<T>] {
        &self.layers
    }

    /// Returns the parameters of the head, `classes x features`.
    #[must_use]
    pub fn head(&self) -> &DMatrix<T> {
        &self.head
    }

    /// Returns the Frobenius norm of every weight matrix, layer by layer, the head last.
    #[must_use]
    pub fn weight_norms(&self) -> Vec<f64> {
        self.weights().map(|weights| norm(weights.as_slice())).collect()
    }

    /// The weight matrices, the head last.
    pub(super) fn weights(&self) -> impl Iterator<Item = &DMatrix<T>> {
        self.layers.iter().map(|layer| &layer.weights).chain([&self.head])
    }

    /// The row and the value of the first number that is not finite.
    pub(super) fn first_not_finite(&self) -> Option<(usize, f64)> {
        self.slices().zip(self.shapes()).find_map(|(numbers, (rows, _))| {
            let index = numbers.iter().position(|x| !x.is_finite())?;
            Some((index % rows, numbers[index].into()))
        })
    }

    /// All numbers, in a fixed order.
    pub(super) fn slices(&self) -> impl Iterator<Item = &[T]> {
        let layers = self.layers.iter().flat_map(|LayerParameters { weights, gamma, beta }| {
            [weights.as_slice(), gamma.as_slice(), beta.as_slice()]
        });
        layers.chain([self.head.as_slice()])
    }

    /// Shapes, in the same order.
    pub(super) fn shapes(&self) -> impl Iterator<Item = (usize, usize)> {
        let of_layer = |layer: &LayerParameters<T>| {
            [layer.weights.shape(), layer.gamma.shape(), layer.beta.shape()]
        };
        self.layers.iter().flat_map(of_layer).chain([self.head.shape()])
    }

    /// All numbers, to be changed.
    pub(super) fn slices_mut(&mut self) -> impl Iterator<Item = &mut [T]> {
        let layers = self.layers.iter_mut().flat_map(|layer| {
            let LayerParameters { weights, gamma, beta } = layer;
            [weights.as_mut_slice(), gamma.as_mut_slice(), beta.as_mut_slice()]
        });
        layers.chain([self.head.as_mut_slice()])
    }
}
