//! One layer on representations that are held.

use std::borrow::Cow;

use nalgebra::DMatrix;

use super::product::{Draw, Products, Source};
use super::{Layer, Proceed, layer_coordinate};
use crate::convolution::Images;
use crate::network::Operation;
use crate::scalar::{norm, times_exp, times_plus};
use crate::weights::Fans;
use crate::{Error, Gram, Input, Network, Replicate, Result, Scalar};

/// Representations, `d x n` in units of exp(`log_unit`), and the means to go a layer further.
///
/// The unit is one if a network normalises; a vanilla network can grow without bound in it. Images
/// lie in the matrix as [`Images`] says.
#[derive(Clone, Debug)]
pub(super) struct Materialized<T: Scalar> {
    representation: DMatrix<T>,
    log_unit: f64,
    images: Option<Images>,
    products: Products<T>,
}

/// The logarithm of a scale beyond which `f32` has too little range for larger and smaller entries.
const FAR: f64 = 60.0;

impl<T: Scalar> Materialized<T> {
    pub(super) fn new(network: &Network<T>, input: &Input, source: Source) -> Result<Self> {
        let (mut representation, log_unit) = in_units(input);
        let images = network.convolution_layer().map(|layer| layer.input);
        if let Some(images) = images {
            representation = images.batch_from_nchw(&representation)?;
        }
        Ok(Self { representation, log_unit, images, products: Products::new(source) })
    }

    pub(super) fn representation(&self) -> &DMatrix<T> {
        &self.representation
    }

    pub(super) fn log_unit(&self) -> f64 {
        self.log_unit
    }

    pub(super) fn images(&self) -> Option<Images> {
        self.images
    }

    /// Takes the representations for images of a shape, or for plain columns.
    pub(super) fn reshape(&mut self, images: Option<Images>) -> Result<()> {
        match (self.images, images) {
            (Some(from), None) => {
                self.representation = from.flatten(&self.representation)?.into_owned();
            }
            (None, Some(to)) => self.representation = to.unflatten(self.representation.clone())?,
            (Some(from), Some(to)) if from != to => {
                return Err(Error::ShapeMismatch {
                    what: "an image of the layer before (channels x pixels)",
                    found: (from.channels(), from.pixels()),
                    expected: (to.channels(), to.pixels()),
                });
            }
            _ => (),
        }
        self.images = images;
        Ok(())
    }

    /// What to draw for the layer after `layer`.
    pub(super) fn draw(&self, network: &Network<T>, run: Replicate, layer: &Layer) -> Result<Draw> {
        let rows = network.width();
        let window =
            network.convolution_layer().map_or(1, |layer| layer.convolution.kernel().pow(2));
        let fans = Fans { inputs: self.representation.nrows() * window, outputs: rows * window };
        let layer = layer_coordinate(layer.depth + 1)?;
        Ok(Draw { init: network.weights().clone(), fans, rows, run, layer })
    }

    /// Goes one layer further; stays where it is on an error.
    pub(super) fn step(
        &mut self,
        network: &Network<T>,
        draw: &Draw,
        layer: &Layer,
        proceed: Proceed<'_>,
    ) -> Result<Layer> {
        let (mut h, unit, images) = self.forward(network, draw, proceed)?;
        let (depth, batch_size) = (layer.depth + 1, layer.batch_size());
        let log_rms = log_rms(&h);
        if log_rms == f64::NEG_INFINITY {
            return Err(Error::AllSamplesZero { layer: depth, batch_size });
        }
        let log_scale = unit + log_rms;
        let smallest_normal = 4.0 / T::LARGEST; // numbers below it have lost digits
        if !log_scale.is_finite() || log_rms < smallest_normal.ln() {
            return Err(Error::ScaleOutOfRange { layer: depth, log_scale: layer.log_scale });
        }
        let vanilla = network.normalization().passes_scale();
        // A normalised layer is held as it is; one that grows without bound, or that a connection
        // leaves far from 1, at root mean square 1.
        let held_unit = if vanilla || log_scale.abs() > FAR { log_scale } else { 0.0 };
        if unit != held_unit {
            times_exp(h.as_mut_slice(), unit - held_unit);
        }
        let gram = match images {
            None => Gram::quick(&h)?.0,
            Some(images) => Gram::quick(&images.flatten(&h)?)?.0,
        };
        if !vanilla && gram.rank() == 1 && layer.rank() > 1 {
            return Err(Error::Collapsed { layer: depth, batch_size });
        }
        (self.representation, self.log_unit, self.images) = (h, held_unit, images);
        Ok(Layer { depth, gram, log_scale, events: Vec::new() })
    }

    /// What the recipe makes of the representations: the next ones, their unit and their shape as
    /// images.
    fn forward(
        &mut self,
        network: &Network<T>,
        draw: &Draw,
        proceed: Proceed<'_>,
    ) -> Result<(DMatrix<T>, f64, Option<Images>)> {
        let stages = network.stages();
        let Self { representation, log_unit, images, products } = self;
        let convolution = network.convolution_layer().zip(*images);

        let mut x = Cow::Borrowed(&*representation);
        let mut x_unit = *log_unit;
        for &operation in stages.before {
            operate(network, operation, x.to_mut(), *images, &mut x_unit)?;
        }
        if let Some((layer, images)) = convolution {
            x = Cow::Owned(layer.convolution.unfold(images, &x)?);
        }
        // Rows can be finished while they are in cache, unless an operation needs whole columns.
        let (in_blocks, in_whole) = if network.normalization().is_row_wise() {
            (stages.after, &[][..])
        } else {
            (&[][..], stages.after)
        };
        let finish = |rows: &mut [T], height: usize, log_gain: f64| {
            let mut unit = x_unit + log_gain;
            for &operation in in_blocks {
                network.operate(operation, (rows, height), 1, unit)?;
                unit = network.unit_after(operation, unit);
            }
            Ok(())
        };
        let (mut h, log_gain) = products.draw(draw, &x, finish, proceed)?;
        let unit_after = |unit, &operation: &Operation| network.unit_after(operation, unit);
        let mut unit = in_blocks.iter().fold(x_unit + log_gain, unit_after);
        let mut next_images = convolution
            .map(|(layer, images)| layer.convolution.output(images, draw.rows))
            .transpose()?;
        for &operation in in_whole {
            operate(network, operation, &mut h, next_images, &mut unit)?;
        }
        if let Some(residual) = network.residual()
            && (h.shape(), next_images) == (representation.shape(), *images)
        {
            let (weight, log_weight) = residual.scaled_weight(draw.layer as usize)?;
            let branch = (h.as_mut_slice(), unit + log_weight);
            unit = times_plus(branch, weight, (representation.as_slice(), *log_unit));
        }
        for &operation in stages.last {
            operate(network, operation, &mut h, next_images, &mut unit)?;
        }
        if let Some((pooling, images)) =
            convolution.and_then(|(layer, _)| layer.pooling).zip(next_images)
        {
            h = pooling.apply(images, &h)?;
            next_images = Some(pooling.output(images)?);
        }
        Ok((h, unit, next_images))
    }
}

/// An operation on all of a representation in units of exp(`log_unit`).
pub(crate) fn operate<T: Scalar>(
    network: &Network<T>,
    operation: Operation,
    h: &mut DMatrix<T>,
    images: Option<Images>,
    log_unit: &mut f64,
) -> Result<()> {
    let rows = h.nrows();
    let pixels = images.map_or(1, |images| images.pixels());
    network.operate(operation, (h.as_mut_slice(), rows), pixels, *log_unit)?;
    *log_unit = network.unit_after(operation, *log_unit);
    Ok(())
}

/// The samples of an input in units of their root mean square.
pub(crate) fn in_units<T: Scalar>(input: &Input) -> (DMatrix<T>, f64) {
    let unit = input.log_scale().exp();
    (input.columns().map(|x| T::of(x / unit)), input.log_scale())
}

/// Logarithm of the root mean square entry.
fn log_rms<T: Scalar>(h: &DMatrix<T>) -> f64 {
    norm(h.as_slice()).ln() - 0.5 * (h.len() as f64).ln()
}
