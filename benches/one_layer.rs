//! A few layers of a chain and nothing else, for `instructions.sh` to count the instructions of.
//!
//! Arguments: `KIND D N SCALAR LAYERS [ACTIVATION]` with a kind `streamed` or `explicit` and a scalar
//! `f32` or `f64`.

use std::error::Error;

use orthogap::{Activation, Input, Layer, Network, Scalar, Seed};

/// The last of so many layers.
fn last_layer<T: Scalar>(
    kind: &str,
    (width, batch_size): (usize, usize),
    layers: usize,
    activation: Activation,
) -> Result<Layer, Box<dyn Error>> {
    let input = Input::near_collinear(batch_size, 1e-3)?;
    let network = Network::<T>::new(width).with_activation(activation);
    match kind {
        "streamed" => Ok(network.chain(&input, Seed(1))?.advance(layers)?.clone()),
        "explicit" => Ok(network.explicit_chain(&input, Seed(1))?.advance(layers)?.clone()),
        _ => Err(format!("kind {kind:?} is neither streamed nor explicit").into()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, width, batch_size, scalar, layers, activation @ ..] = arguments.as_slice() else {
        return Err("arguments: KIND D N SCALAR LAYERS [ACTIVATION]".into());
    };
    let activation = activation.first().map_or("linear", String::as_str).parse()?;
    let (shape, layers) = ((width.parse()?, batch_size.parse()?), layers.parse()?);
    let layer = match scalar.as_str() {
        "f32" => last_layer::<f32>(kind, shape, layers, activation)?,
        "f64" => last_layer::<f64>(kind, shape, layers, activation)?,
        _ => return Err(format!("scalar {scalar:?} is neither f32 nor f64").into()),
    };
    println!("gap {} at layer {}", layer.orthogonality_gap(), layer.depth());
    Ok(())
}
