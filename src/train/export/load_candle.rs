//! Loads exported weights into a network of candle.

use std::path::Path;

use candle_core::{DType, Device, Result};
use candle_nn::{Activation, Sequential, VarBuilder, VarMap, linear_no_bias, seq};

/// The layers of these sizes, inputs first; `varmap` keeps their weights for an optimiser.
pub fn load(path: impl AsRef<Path>, sizes: &[usize], varmap: &mut VarMap) -> Result<Sequential> {
    let layers = VarBuilder::from_varmap(varmap, DType::F32, &Device::Cpu).pp("layers");
    let mut network = seq();
    for (i, size) in sizes.windows(2).enumerate() {
        network = network.add(linear_no_bias(size[0], size[1], layers.pp(i))?);
        if i + 2 < sizes.len() {
            network = network.add(Activation::Relu);
        }
    }
    varmap.load(path)?;
    Ok(network)
}
