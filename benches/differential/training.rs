//! Steps of stochastic gradient descent of a small classifier, of dense layers or of convolutions.

use nalgebra::{DMatrix, DVector};
use orthogap::convolution::{Convolution, Images, Pooling};
use orthogap::normalization::{BatchNorm, Normalization, TrainableBatchNorm};
use orthogap::train::{Classifier, Sgd, Trainer};
use orthogap::{Network, Scalar, Seed};
use serde::Deserialize;
use serde_json::json;

use crate::images::{Window, images, pooling};
use crate::{Answer, Columns, columns, matrix, numbers};

/// The window of a convolution, and the pooling behind it.
#[derive(Deserialize)]
struct Layer {
    #[serde(flatten)]
    window: Window,
    pooling: String,
    side: usize,
}

/// Layers `F(N(W H))` with batch normalisation by `epsilon`, if there is one, and a linear head.
/// Of convolutions, batches are NCHW, weights OIHW with one output channel a column, and the head
/// takes features in the order of PyTorch.
#[derive(Deserialize)]
pub struct Training {
    activation: String,
    epsilon: Option<f64>,
    /// The images of the first layer, if layers are convolutions.
    #[serde(default)]
    images: [usize; 3],
    #[serde(default)]
    windows: Vec<Layer>,
    weights: Vec<Columns>,
    head: Columns,
    rate: f64,
    momentum: f64,
    decay: f64,
    batches: Vec<Columns>,
    labels: Vec<Vec<usize>>,
}

/// A convolution, what it takes, and the pooling behind it.
type OfImages = (Convolution, Images, Option<Pooling>);

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
        let (convolutions, images) = self.convolutions()?;
        let of_layer = |layer: usize, weights: &DMatrix<T>| match convolutions.get(layer) {
            Some((convolution, ..)) => {
                Ok(columns(&convolution.weights_to_oihw(weights)?.transpose()))
            }
            None => Ok(columns(weights)),
        };
        let of_head = |head: &DMatrix<T>| -> orthogap::Result<_> {
            let Some(images) = images else { return Ok(columns(head)) };
            let nchw = images.batch_to_nchw(&images.unflatten(head.transpose())?)?;
            Ok(columns(&nchw.transpose()))
        };
        let weights: orthogap::Result<Vec<_>> =
            depths.clone().map(|layer| of_layer(layer, &first.layers()[layer].weights)).collect();
        let trained: orthogap::Result<Vec<_>> =
            depths.clone().map(|layer| of_layer(layer, classifier.weights(layer))).collect();
        let norms: Vec<_> = depths.filter_map(|layer| classifier.batch_norm(layer)).collect();
        let of_norms = |of: fn(&TrainableBatchNorm<T>) -> &DVector<T>| -> Columns {
            norms.iter().map(|norm| numbers(of(norm).as_slice())).collect()
        };
        let vectors = |of: &dyn Fn(usize) -> DVector<T>| -> Columns {
            (0..first.layers().len()).map(|layer| numbers(of(layer).as_slice())).collect()
        };
        Ok(json!({
            "losses": losses,
            "gradient": weights?,
            "gradient_gamma": vectors(&|layer| first.layers()[layer].gamma.clone()),
            "gradient_beta": vectors(&|layer| first.layers()[layer].beta.clone()),
            "gradient_head": of_head(first.head())?,
            "weights": trained?,
            "head": of_head(classifier.head())?,
            "gamma": of_norms(TrainableBatchNorm::gamma),
            "beta": of_norms(TrainableBatchNorm::beta),
            "mean": of_norms(TrainableBatchNorm::running_mean),
            "variance": of_norms(TrainableBatchNorm::running_variance),
        }))
    }

    fn classifier<T: Scalar>(&self) -> orthogap::Result<Classifier<T>> {
        let normalization = match self.epsilon {
            Some(epsilon) => BatchNorm::standard(epsilon)?.into(),
            None => Normalization::None,
        };
        let recipe = |width| {
            let recipe = Network::new(width).with_normalization(normalization);
            Ok::<_, orthogap::Error>(recipe.with_activation(self.activation.parse()?))
        };
        let (convolutions, images) = self.convolutions()?;
        let mut layers = Vec::new();
        for (index, weights) in self.weights.iter().map(matrix::<T>).enumerate() {
            layers.push(match convolutions.get(index) {
                None => (recipe(weights.nrows())?, weights),
                Some(&(convolution, input, pooling)) => {
                    let weights = convolution.weights_from_oihw(&weights.transpose())?;
                    let recipe = recipe(weights.nrows())?.with_convolution(convolution, input);
                    let pooled = pooling.map(|pooling| recipe.clone().with_pooling(pooling));
                    (pooled.unwrap_or(recipe), weights)
                }
            });
        }
        let mut head = matrix::<T>(&self.head);
        if let Some(images) = images {
            head = images.flatten(&images.batch_from_nchw(&head.transpose())?)?.transpose();
        }
        Classifier::new(layers, head)
    }

    /// The convolutions, and the images that the head takes.
    fn convolutions(&self) -> orthogap::Result<(Vec<OfImages>, Option<Images>)> {
        let mut shape = None;
        let mut convolutions = Vec::new();
        for (layer, weights) in self.windows.iter().zip(&self.weights) {
            let convolution = layer.window.convolution()?;
            let input = shape.map_or_else(|| images(self.images), Ok)?;
            let output = convolution.output(input, weights.len())?;
            let pooling = match layer.pooling.as_str() {
                "none" => None,
                kind => Some(pooling(kind, layer.side)?),
            };
            shape = Some(pooling.map_or(Ok(output), |pooling| pooling.output(output))?);
            convolutions.push((convolution, input, pooling));
        }
        Ok((convolutions, shape))
    }
}
