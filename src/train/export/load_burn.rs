//! Loads exported weights into a network of burn.

use std::path::PathBuf;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::store::{ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore, SafetensorsStoreError};
use burn::tensor::{Device, Tensor, activation};

#[derive(Debug, Module)]
pub struct Network {
    layers: Vec<Linear>, // the name gives `layers.0.weight` and so on
}

impl Network {
    /// The layers of these sizes, inputs first.
    pub fn load(
        path: impl Into<PathBuf>,
        sizes: &[usize],
        device: &Device,
    ) -> Result<Self, SafetensorsStoreError> {
        let linear =
            |size: &[usize]| LinearConfig::new(size[0], size[1]).with_bias(false).init(device);
        let mut network = Self { layers: sizes.windows(2).map(linear).collect() };
        // Transposes: weights of burn have shape (in, out).
        let mut store = SafetensorsStore::from_file(path).with_from_adapter(PyTorchToBurnAdapter);
        network.load_from(&mut store)?;
        Ok(network)
    }

    pub fn forward(&self, mut h: Tensor<2>) -> Tensor<2> {
        for (i, layer) in self.layers.iter().enumerate() {
            h = layer.forward(h);
            if i + 1 < self.layers.len() {
                h = activation::relu(h);
            }
        }
        h
    }
}
