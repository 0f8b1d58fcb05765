//! Shapes through a stack of layers: what each takes and what comes out.

use crate::convolution::Images;
use crate::{Error, Network, Result, Scalar};

/// What is known of a stack before its next layer.
#[derive(Clone, Copy)]
pub(super) struct Shapes {
    /// Numbers in a sample of the input.
    pub dimension: usize,
    /// Numbers of a sample that the next layer takes.
    pub features: usize,
    /// Its shape, if it is an image.
    images: Option<Images>,
}

impl Shapes {
    /// Before the first layer, of a recipe whose weights have so many inputs if they are dense.
    pub fn of_input<T: Scalar>(first: &Network<T>, inputs: usize) -> Self {
        let images = first.convolution_layer().map(|layer| layer.input);
        let dimension = images.map_or(inputs, |images| images.len());
        Self { dimension, features: dimension, images }
    }

    /// Returns the images that a layer takes, the inputs of its weights, and what comes after it.
    pub fn layer<T: Scalar>(self, recipe: &Network<T>) -> Result<(Option<Images>, usize, Self)> {
        recipe.check_layer()?;
        let Some((layer, images)) = recipe.convolution_layer().zip(self.images) else {
            if recipe.convolution_layer().is_some() {
                let needs = "images, which a dense layer before it does not return";
                return Err(Error::Unsupported { what: "a convolution", needs });
            }
            let next = Self { features: recipe.width(), images: None, ..self };
            return Ok((None, self.features, next));
        };
        let output = layer.output(images, recipe.width())?;
        let next = Self { features: output.len(), images: Some(output), ..self };
        Ok((Some(images), layer.convolution.fan_in(images), next))
    }
}
