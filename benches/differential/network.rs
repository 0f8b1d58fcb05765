//! Steps of stochastic gradient descent of a small classifier.

use nalgebra::DMatrix;
use orthogap::normalization::{BatchNorm, Normalization};
use orthogap::train::{Classifier, Sgd, Trainer};
use orthogap::{Network, Scalar, Seed};
use serde::Deserialize;
use serde_json::json;

use crate::{Answer, Columns, columns, matrix, numbers};

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
        let classifier = Classifier::new(layers, matrix(&self.head))?;
        let optimizer =
            Sgd::new(self.rate)?.with_momentum(self.momentum)?.with_weight_decay(self.decay)?;
        let mut trainer = Trainer::new(classifier, optimizer, Seed(1));
        let (mut losses, mut first) = (Vec::new(), None);
        for (batch, labels) in self.batches.iter().zip(&self.labels) {
            losses.push(trainer.step(&matrix(batch), labels)?.mean());
            first.get_or_insert_with(|| trainer.gradient().clone());
        }
        let first = first.ok_or("no batch")?;
        let classifier = trainer.classifier();
        let depths = 0..classifier.depth();
        let norms: Vec<_> = depths.clone().filter_map(|l| classifier.batch_norm(l)).collect();
        Ok(json!({
            "losses": losses,
            "gradient": first.layers().iter().map(|l| columns(&l.weights)).collect::<Vec<_>>(),
            "gradient_gamma": first.layers().iter().map(|l| numbers(l.gamma.as_slice())).collect::<Vec<_>>(),
            "gradient_beta": first.layers().iter().map(|l| numbers(l.beta.as_slice())).collect::<Vec<_>>(),
            "gradient_head": columns(first.head()),
            "weights": depths.map(|l| columns(classifier.weights(l))).collect::<Vec<_>>(),
            "head": columns(classifier.head()),
            "gamma": norms.iter().map(|n| numbers(n.gamma().as_slice())).collect::<Vec<_>>(),
            "beta": norms.iter().map(|n| numbers(n.beta().as_slice())).collect::<Vec<_>>(),
            "mean": norms.iter().map(|n| numbers(n.running_mean().as_slice())).collect::<Vec<_>>(),
            "variance": norms.iter().map(|n| numbers(n.running_variance().as_slice())).collect::<Vec<_>>(),
        }))
    }
}
