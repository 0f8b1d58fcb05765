//! Activations and the loss.

use orthogap::train::Loss;
use orthogap::{Activation, Scalar};
use serde::Deserialize;
use serde_json::json;

use crate::{Answer, Columns, columns, matrix, numbers};

#[derive(Deserialize)]
pub struct Activate {
    name: String,
    x: Vec<f64>,
}

impl Activate {
    /// Values in `f32` or in `f64`, and derivatives in `f64`.
    pub fn run(&self, single: bool) -> Answer {
        let activation: Activation = self.name.parse()?;
        let mut values = self.x.clone();
        if single {
            let mut narrow: Vec<f32> = self.x.iter().map(|&x| x as f32).collect();
            activation.apply(&mut narrow);
            values = numbers(&narrow);
        } else {
            activation.apply(&mut values);
        }
        let derivatives = self.x.iter().map(|&x| activation.derivative(x));
        let derivatives: Vec<f64> = derivatives.collect::<Result<_, _>>()?;
        Ok(json!({ "values": values, "derivatives": derivatives }))
    }
}

#[derive(Deserialize)]
pub struct Entropy {
    logits: Columns,
    labels: Vec<usize>,
}

impl Entropy {
    pub fn run<T: Scalar>(&self) -> Answer {
        let (loss, gradient) = Loss::with_gradient(&matrix::<T>(&self.logits), &self.labels)?;
        let (mean, accuracy) = (loss.mean(), loss.accuracy());
        Ok(json!({ "loss": mean, "accuracy": accuracy, "backward": columns(&gradient) }))
    }
}
