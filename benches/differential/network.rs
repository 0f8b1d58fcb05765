//! Activations, the loss, and steps of stochastic gradient descent of a small classifier.

use nalgebra::{DMatrix, DVector};
use orthogap::normalization::{BatchNorm, Normalization, TrainableBatchNorm};
use orthogap::train::{Classifier, Loss, Sgd, Trainer};
use orthogap::{Activation, Network, Scalar, Seed};
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

/// Layers `F(N(W H))` with batch normalisation by `epsilon`, if there is one, and a linear head.
#[derive(Deserialize)]
pub struct Training {
    activation: String,
    epsilon: Option<f64>,
    weights: Vec<Columns>,
    head: Columns,
    rate: f64,
    momentum: f64,
    decay: f64,
    batches: Vec<Columns>,
    labels: Vec<Vec<usize>>,
}

impl Training {
    /// One step for each batch; the first gradient, the losses, and what the steps lead to.
    pub fn run<T: Scalar>(&self) -> Answer {
        let optimizer =
            Sgd::new(self.rate)?.with_momentum(self.momentum)?.with_weight_decay(self.decay)?;
        let mut trainer = Trainer::new(self.classifier::<T>()?, optimizer, Seed(1));
        let (mut losses, mut first) = (Vec::new(), None);
        for (batch, labels) in self.batches.iter().zip(&self.labels) {
            losses.push(trainer.step(&matrix(batch), labels)?.mean());
            first.get_or_insert_with(|| trainer.gradient().clone());
        }
        let first = first.ok_or("no batch")?;
        let classifier = trainer.classifier();
        let depths = 0..classifier.depth();
        let weights = first.layers().iter().map(|layer| columns(&layer.weights));
        let trained = depths.clone().map(|layer| columns(classifier.weights(layer)));
        let norms: Vec<_> = depths.filter_map(|layer| classifier.batch_norm(layer)).collect();
        let of_norms = |of: fn(&TrainableBatchNorm<T>) -> &DVector<T>| -> Columns {
            norms.iter().map(|norm| numbers(of(norm).as_slice())).collect()
        };
        let vectors = |of: &dyn Fn(usize) -> DVector<T>| -> Columns {
            (0..first.layers().len()).map(|layer| numbers(of(layer).as_slice())).collect()
        };
        Ok(json!({
            "losses": losses,
            "gradient": weights.collect::<Vec<_>>(),
            "gradient_gamma": vectors(&|layer| first.layers()[layer].gamma.clone()),
            "gradient_beta": vectors(&|layer| first.layers()[layer].beta.clone()),
            "gradient_head": columns(first.head()),
            "weights": trained.collect::<Vec<_>>(),
            "head": columns(classifier.head()),
            "gamma": of_norms(TrainableBatchNorm::gamma),
            "beta": of_norms(TrainableBatchNorm::beta),
            "mean": of_norms(TrainableBatchNorm::running_mean),
            "variance": of_norms(TrainableBatchNorm::running_variance),
        }))
    }

    fn classifier<T: Scalar>(&self) -> Result<Classifier<T>, orthogap::Error> {
        let normalization = match self.epsilon {
            Some(epsilon) => BatchNorm::standard(epsilon)?.into(),
            None => Normalization::None,
        };
        let mut layers = Vec::new();
        for weights in &self.weights {
            let weights: DMatrix<T> = matrix(weights);
            let recipe = Network::new(weights.nrows())
                .with_normalization(normalization)
                .with_activation(self.activation.parse()?);
            layers.push((recipe, weights));
        }
        Classifier::new(layers, matrix(&self.head))
    }
}
