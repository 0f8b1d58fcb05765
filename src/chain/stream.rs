//! The streamed engine: between layers it holds only a Gram matrix.

use super::communicator::Communicator;
use super::materialized::{in_units, operate};
use super::rows::{Pass, RowStream};
use super::{Layer, Proceed, layer_coordinate};
use crate::network::Operation;
use crate::normalization::Normalization;
use crate::{Gram, Input, Network, Purpose, Replicate, Result, Scalar};

/// Draws layers by their Gram matrix alone.
///
/// A layer ends where its order says, but what the next weights multiply, its image, is always the
/// activation of the normalised rows. If the image is not the layer, the same rows are drawn twice,
/// once for each.
#[derive(Clone, Debug)]
pub(super) struct Streamed<T: Scalar> {
    rows: RowStream<T>,
    /// Of the weights of the next layer.
    log_gain: f64,
    /// Where the next layer is written, recycled.
    next: Layer,
    image: Option<Image<T>>,
    /// Whether all rows are drawn, even where the law of their products is known.
    again: bool,
}

/// What the next weights multiply, where that is not the layer.
#[derive(Clone, Debug)]
struct Image<T: Scalar> {
    rows: RowStream<T>,
    current: Layer,
    /// Where the next one is written, recycled.
    next: Layer,
}

impl<T: Scalar> Streamed<T> {
    pub(super) fn new(network: &Network<T>, input: &Input) -> Result<Self> {
        let layer = Layer::input(input);
        let does_something = |&operation: &_| match operation {
            Operation::Normalize => network.normalization() != Normalization::None,
            Operation::Activate => !network.activation().is_linear(),
        };
        let before = network.stages().before;
        let image = if before.iter().any(does_something) {
            let (mut x, mut log_unit) = in_units(input);
            for &operation in before {
                operate(network, operation, &mut x, None, &mut log_unit)?;
            }
            let (gram, log_norm) = Gram::quick(&x)?;
            let log_scale = log_unit + log_norm - 0.5 * (x.len() as f64).ln();
            let current = Layer { gram, log_scale, ..layer.clone() };
            let rows = RowStream::new(network.width(), input.batch_size());
            Some(Image { rows, next: current.clone(), current })
        } else {
            None
        };
        let rows = RowStream::new(network.width(), input.gram().rank());
        let log_gain = network.log_gain(input.dimension());
        Ok(Self { rows, log_gain, next: layer, image, again: false })
    }

    /// Draws all rows, for a reverse pass that draws them again.
    pub(super) fn draw_rows(&mut self) {
        self.again = true;
    }

    /// What the next weights multiply, where that is not the layer.
    pub(super) fn image(&self) -> Option<&Layer> {
        self.image.as_ref().map(|image| &image.current)
    }

    /// Goes one layer further; stays where it is on an error.
    ///
    /// Allocates nothing for a factor of full rank without centring.
    pub(super) fn step(
        &mut self,
        network: &Network<T>,
        run: Replicate,
        layer: &mut Layer,
        team: &mut dyn Communicator,
        proceed: Proceed<'_>,
    ) -> Result<()> {
        let Self { rows, log_gain, next, image, again } = self;
        let coordinate = layer_coordinate(layer.depth + 1)?;
        let pass = Pass {
            operations: network.stages().after,
            shared: image.is_some(),
            again: *again,
            key: run.stream(Purpose::Rows, coordinate, 0).key(),
            diagonal: run.stream(Purpose::RowNorms, coordinate, 0),
            log_gain: *log_gain,
        };
        if let Some(image) = image {
            let (d, from) = (network.width(), &image.current);
            rows.next_layer(network, pass, from, next, team, &mut |done| proceed(done / 2))?;
            let pass = Pass { operations: &[Operation::Normalize, Operation::Activate], ..pass };
            let rest = &mut |done: usize| proceed((d + done).div_ceil(2));
            image.rows.next_layer(network, pass, from, &mut image.next, team, rest)?;
            std::mem::swap(&mut image.current, &mut image.next);
        } else {
            rows.next_layer(network, pass, layer, next, team, proceed)?;
        }
        std::mem::swap(layer, next);
        if layer.depth == 1 {
            *log_gain = network.log_gain(network.width());
        }
        Ok(())
    }
}
