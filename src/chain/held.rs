//! One layer on representations that are held.

use std::borrow::Cow;

use nalgebra::DMatrix;

use super::product::{Draw, Products, Source};
use super::{Layer, Proceed, layer_coordinate};
use crate::activation::Activation;
use crate::network::Operation;
use crate::weights::{Fans, WeightInit};
use crate::{Error, Gram, Input, Network, Result, Run, Scalar};

/// Representations, `d x n` in units of exp(`log_unit`), and the means to go a layer further.
///
/// The unit is one wherever a network normalises; it lets a vanilla network grow for ever.
#[derive(Clone, Debug)]
pub(super) struct Held<T: Scalar> {
    representation: DMatrix<T>,
    log_unit: f64,
    products: Products<T>,
}

impl<T: Scalar> Held<T> {
    pub(super) fn new(input: &Input, source: Source) -> Self {
        let (representation, log_unit) = in_units(input);
        Self { representation, log_unit, products: Products::new(source) }
    }

    pub(super) fn representation(&self) -> &DMatrix<T> {
        &self.representation
    }

    /// The weights of the layer that was drawn last, `rows x inputs`, drawn again.
    pub(super) fn weights<W: WeightInit>(&self, draw: Draw<W>) -> DMatrix<T> {
        self.products.weights(draw)
    }

    /// What to draw for the layer after `layer`.
    pub(super) fn draw<A: Activation, W: WeightInit>(
        &self,
        network: &Network<T, A, W>,
        run: Run,
        layer: &Layer,
    ) -> Result<Draw<W>> {
        let (rows, inputs) = (network.width(), self.representation.nrows());
        let fans = Fans { inputs, outputs: rows };
        let layer = layer_coordinate(layer.depth + 1)?;
        Ok(Draw { init: network.init(), fans, rows, run, layer })
    }

    /// Goes one layer further; stays where it is on an error.
    pub(super) fn step<A: Activation, W: WeightInit>(
        &mut self,
        network: &Network<T, A, W>,
        draw: Draw<W>,
        layer: &Layer,
        proceed: Proceed<'_>,
    ) -> Result<Layer> {
        let (depth, stages) = (layer.depth + 1, network.stages());
        let Self { representation, log_unit, products } = self;
        let breakdown = |log_scale| Error::Breakdown { layer: depth, log_scale };

        let mut x = Cow::Borrowed(&*representation);
        let mut x_unit = *log_unit;
        for &operation in stages.before {
            operate(network, operation, x.to_mut(), &mut x_unit)?;
        }
        // Rows can be finished while they are in cache, unless an operation needs whole columns.
        let (in_blocks, in_whole) =
            if network.is_row_wise() { (stages.after, &[][..]) } else { (&[][..], stages.after) };
        let finish = |rows: &mut [T], height: usize, log_gain: f64| {
            let mut unit = x_unit + log_gain;
            for &operation in in_blocks {
                network.operate(operation, (rows, height), unit)?;
                unit = network.unit_after(operation, unit);
            }
            Ok(())
        };
        let (mut h, log_gain) = products.draw(draw, &x, finish, proceed)?;
        let unit_after = |unit, &operation: &Operation| network.unit_after(operation, unit);
        let mut unit = in_blocks.iter().fold(x_unit + log_gain, unit_after);
        for &operation in in_whole {
            operate(network, operation, &mut h, &mut unit)?;
        }
        if let Some(residual) = network.connection()
            && h.shape() == representation.shape()
        {
            let weight = residual.weight(depth)?;
            let top = unit.max(*log_unit);
            h *= T::of(weight * (unit - top).exp());
            let skip = T::of((*log_unit - top).exp());
            h.zip_apply(&*representation, |to, from| *to += skip * from);
            unit = top;
        }
        for &operation in stages.last {
            operate(network, operation, &mut h, &mut unit)?;
        }

        let batch_size = layer.batch_size();
        let log_rms = log_rms(&h);
        if log_rms == f64::NEG_INFINITY {
            return Err(Error::Silent { layer: depth, batch_size });
        }
        if !(unit + log_rms).is_finite() {
            return Err(breakdown(layer.log_scale));
        }
        let log_scale = unit + log_rms;
        if !network.is_normalized() {
            h /= T::of(log_rms.exp());
            unit = log_scale;
        }
        let gram = Gram::quick(&h)?.0;
        if network.is_normalized() && gram.rank() == 1 && layer.rank() > 1 {
            return Err(Error::Collapsed { layer: depth, batch_size });
        }
        *representation = h;
        *log_unit = unit;
        Ok(Layer { depth, gram, log_scale, events: Vec::new() })
    }
}

/// An operation on all of a representation in units of exp(`log_unit`).
pub(super) fn operate<T: Scalar, A: Activation, W: WeightInit>(
    network: &Network<T, A, W>,
    operation: Operation,
    h: &mut DMatrix<T>,
    log_unit: &mut f64,
) -> Result<()> {
    let rows = h.nrows();
    network.operate(operation, (h.as_mut_slice(), rows), *log_unit)?;
    *log_unit = network.unit_after(operation, *log_unit);
    Ok(())
}

/// The samples of an input in units of their root mean square.
pub(super) fn in_units<T: Scalar>(input: &Input) -> (DMatrix<T>, f64) {
    let unit = input.log_scale().exp();
    (input.columns().map(|x| T::of(x / unit)), input.log_scale())
}

/// Logarithm of the root mean square entry.
fn log_rms<T: Scalar>(h: &DMatrix<T>) -> f64 {
    let squares: f64 = h.iter().map(|&x| x.into().powi(2)).sum();
    0.5 * (squares / h.len() as f64).ln()
}
