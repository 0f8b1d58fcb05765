//! Normalisations, forward and backward.

use orthogap::Scalar;
use orthogap::normalization::{BatchNorm, Centering, RowScale, SampleNorm, TrainableBatchNorm};
use serde::Deserialize;
use serde_json::json;

use crate::{Answer, Columns, columns, matrix, numbers};

#[derive(Deserialize)]
pub struct Batch {
    centered: bool,
    unit_rms: bool,
    epsilon: f64,
    h: Columns,
    gradient: Columns,
}

impl Batch {
    pub fn run<T: Scalar>(&self) -> Answer {
        let norm = BatchNorm::paper()
            .with_centering(if self.centered { Centering::Batch } else { Centering::None })
            .with_row_scale(if self.unit_rms { RowScale::UnitRms } else { RowScale::UnitNorm })
            .with_epsilon(self.epsilon)?;
        let (h, gradient) = (matrix::<T>(&self.h), matrix::<T>(&self.gradient));
        Ok(json!({
            "forward": columns(&norm.normalize(&h)?),
            "backward": columns(&norm.pullback(&h, &gradient)?),
        }))
    }
}

#[derive(Deserialize)]
pub struct Samples {
    kind: String,
    groups: usize,
    epsilon: f64,
    h: Columns,
    gradient: Columns,
}

impl Samples {
    pub fn run<T: Scalar>(&self) -> Answer {
        let norm = match self.kind.as_str() {
            "layer" => SampleNorm::layer(self.epsilon),
            "rms" => SampleNorm::rms(self.epsilon),
            _ => SampleNorm::group(self.groups, self.epsilon),
        }?;
        let (h, gradient) = (matrix::<T>(&self.h), matrix::<T>(&self.gradient));
        Ok(json!({
            "forward": columns(&norm.normalize(&h)?),
            "backward": columns(&norm.pullback(&h, &gradient)?),
        }))
    }
}

/// Training batches one after the other, then another batch in inference.
#[derive(Deserialize)]
pub struct Trainable {
    epsilon: f64,
    momentum: f64,
    gamma: Vec<f64>,
    beta: Vec<f64>,
    batches: Vec<Columns>,
    other: Columns,
}

impl Trainable {
    pub fn run<T: Scalar>(&self) -> Answer {
        let mut layer = TrainableBatchNorm::new(self.gamma.len(), self.epsilon, self.momentum)?;
        layer.gamma_mut().iter_mut().zip(&self.gamma).for_each(|(to, &x)| *to = T::of(x));
        layer.beta_mut().iter_mut().zip(&self.beta).for_each(|(to, &x)| *to = T::of(x));
        let mut train = Vec::new();
        for batch in &self.batches {
            train.push(columns(&layer.train(&matrix(batch))?));
        }
        Ok(json!({
            "train": train,
            "mean": numbers(layer.running_mean().as_slice()),
            "variance": numbers(layer.running_variance().as_slice()),
            "infer": columns(&layer.infer(&matrix(&self.other))?),
        }))
    }
}
