//! Convolutions and pooling, forward and backward. Images come and go flattened as NCHW, one sample
//! a column.

use orthogap::Scalar;
use orthogap::convolution::{Convolution, Images, Padding, Pooling};
use serde::Deserialize;
use serde_json::json;

use crate::{Answer, Columns, columns, matrix};

#[derive(Deserialize)]
pub struct Window {
    kernel: usize,
    stride: usize,
    padding: usize,
    circular: bool,
}

impl Window {
    pub fn convolution(&self) -> orthogap::Result<Convolution> {
        Convolution::new(self.kernel)?
            .with_stride(self.stride)?
            .with_padding(if self.circular { Padding::Circular } else { Padding::Zeros })
            .with_padding_width(self.padding)
    }
}

/// The weights are OIHW, one output channel a column.
#[derive(Deserialize)]
pub struct Convolve {
    shape: [usize; 3],
    #[serde(flatten)]
    window: Window,
    weights: Columns,
    h: Columns,
    gradient: Columns,
}

impl Convolve {
    pub fn run<T: Scalar>(&self) -> Answer {
        let convolution = self.window.convolution()?;
        let shape = images(self.shape)?;
        let weights = convolution.weights_from_oihw(&matrix::<T>(&self.weights).transpose())?;
        let h = shape.batch_from_nchw(&matrix::<T>(&self.h))?;
        let output = convolution.output(shape, weights.nrows())?;
        let gradient = output.batch_from_nchw(&matrix::<T>(&self.gradient))?;
        let by_h = convolution.fold(shape, &(weights.transpose() * &gradient))?;
        let by_weights = &gradient * convolution.unfold(shape, &h)?.transpose();
        Ok(json!({
            "forward": columns(&output.batch_to_nchw(&convolution.apply(shape, &weights, &h)?)?),
            "backward": columns(&shape.batch_to_nchw(&by_h)?),
            "by_weights": columns(&convolution.weights_to_oihw(&by_weights)?.transpose()),
        }))
    }
}

#[derive(Deserialize)]
pub struct Pool {
    shape: [usize; 3],
    kind: String,
    side: usize,
    h: Columns,
    gradient: Columns,
}

impl Pool {
    pub fn run<T: Scalar>(&self) -> Answer {
        let pooling = pooling(&self.kind, self.side)?;
        let shape = images(self.shape)?;
        let output = pooling.output(shape)?;
        let h = shape.batch_from_nchw(&matrix::<T>(&self.h))?;
        let gradient = output.batch_from_nchw(&matrix::<T>(&self.gradient))?;
        Ok(json!({
            "forward": columns(&output.batch_to_nchw(&pooling.apply(shape, &h)?)?),
            "backward": columns(&shape.batch_to_nchw(&pooling.adjoint(shape, &h, &gradient)?)?),
        }))
    }
}

pub fn pooling(kind: &str, side: usize) -> orthogap::Result<Pooling> {
    match kind {
        "max" => Pooling::max(side),
        "average" => Pooling::average(side),
        _ => Ok(Pooling::global_average()),
    }
}

pub fn images([channels, height, width]: [usize; 3]) -> orthogap::Result<Images> {
    Images::new(channels, height, width)
}
