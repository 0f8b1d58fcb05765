//! The streamed reverse pass has the law of the explicit one.

use nalgebra::DMatrix;
use orthogap::Activation::{Identity, Relu, Tanh};
use orthogap::backward::{BatchGradient, Top};
use orthogap::normalization::{BatchNorm, Normalization};
use orthogap::weights::{Fans, Gaussian, WeightInit, Weights};
use orthogap::{Activation, Engine, Error, Gram, Input, Network, Order, Scalar, Seed, Stream};

use crate::significance::kolmogorov_smirnov;

const ORDERS: [Order; 3] =
    [Order::LinearNormActivation, Order::ActivationLinearNorm, Order::NormActivationLinear];

/// Gaussian weights of which the engine does not know that they are Gaussian.
#[derive(Debug)]
struct Unknown(Gaussian);

impl WeightInit for Unknown {
    fn sample_to<T: Scalar>(&self, weights: &mut DMatrix<T>, fans: Fans, stream: Stream) {
        self.0.sample_to(weights, fans, stream);
    }
}

/// What is compared of a layer: nine numbers, rounded because some are constant but for rounding.
const MEASURED: usize = 9;

fn measure(layer: &BatchGradient) -> [f64; MEASURED] {
    let n = layer.log_sample_norms().len();
    let gap = layer.gram().map_or(-1.0, Gram::orthogonality_gap);
    let products = layer.weights_products();
    let sign = products.map_or(0.0, |products| products.matrix()[(0, n - 1)].signum());
    let share = products.map_or(0.0, |products| {
        let matrix = products.matrix();
        matrix[(0, 0)] / matrix.trace()
    });
    let numbers = [
        layer.log_norm(),
        layer.log_weights_norm().unwrap_or(0.0),
        layer.log_sample_norms()[0],
        gap,
        layer.cosine(0, n - 1).unwrap(),
        layer.cosine(n - 1, 0).unwrap(),
        layer.cosine(0, 0).unwrap() + sign,
        layer.cosine(n - 1, n - 1).unwrap() - layer.cosine(0, 0).unwrap(),
        share,
    ];
    // What is below exp(-20) is rounding here.
    numbers.map(|x| if x.is_nan() { -20.0 } else { (x.max(-20.0) * 1e7).round() })
}

/// The smallest p-value over all numbers of all layers, of so many runs of both engines.
fn smallest_p<T: Scalar>(
    (network, gaussian): (&Network<T>, Gaussian),
    input: &Input,
    (depth, top, runs): (usize, Top, u32),
) -> f64 {
    let streamed = network.clone().with_weights(gaussian);
    let explicit = network.clone().with_weights(Weights::custom(Unknown(gaussian)));
    assert_eq!((streamed.engine(), explicit.engine()), (Engine::Streamed, Engine::Explicit));
    let sample = |network: Network<T>, seed: u64| {
        let mut samples = vec![Vec::new(); (depth + 1) * MEASURED];
        for run in 0..runs {
            let layers: Result<Vec<_>, Error> = network
                .gradients(input, Seed(seed).replicate(run), depth, top)
                .and_then(Iterator::collect);
            let numbers = match layers {
                Ok(layers) => layers.iter().flat_map(measure).collect(),
                // One row is left of rectified ones, or none: as often on both engines.
                Err(Error::AllSamplesZero { .. } | Error::Collapsed { .. }) => {
                    vec![1e6; samples.len()]
                }
                Err(error) => panic!("{network:?}: {error}"),
            };
            samples.iter_mut().zip(numbers).for_each(|(sample, x)| sample.push(x));
        }
        samples
    };
    sample(streamed, 2021)
        .into_iter()
        .zip(sample(explicit, 6103))
        .enumerate()
        .map(|(index, (left, right))| {
            let p = kolmogorov_smirnov(left, right);
            if p < 1e-4 {
                println!("layer {} number {}: {p:e}", depth - index / MEASURED, index % MEASURED);
            }
            p
        })
        .fold(1.0, f64::min)
}

/// Three orders, three activations, three normalisations; 4 layers of width 12 over inputs of
/// dimension 9, from which the layers of both engines are drawn 500 times. A test of 9 recipes makes
/// 9 x 5 x 9 = 405 comparisons at 1e-3 / 405 each: one test in a thousand would fail by chance, and
/// seeds are fixed.
const LEVEL: f64 = 1e-3 / 405.0;

fn agree(normalization: Normalization, input: &Input) {
    agree_from(Top::default(), normalization, input);
}

fn agree_from(top: Top, normalization: Normalization, input: &Input) {
    for order in ORDERS {
        for activation in [Identity, Relu, Tanh] {
            let network = Network::<f64>::new(12)
                .with_normalization(normalization)
                .with_order(order)
                .with_activation(activation);
            let gain = Gaussian::new(1.4).unwrap();
            let p = smallest_p((&network, gain), input, (4, top, 500));
            assert!(p > LEVEL, "{network:?}: p = {p:e}");
        }
    }
}

#[test]
fn under_the_papers_batch_norm() {
    agree(BatchNorm::paper().into(), &Input::gaussian(9, 4, Seed(1)).unwrap());
}

#[test]
fn under_centred_batch_norm_with_an_epsilon() {
    let norm = BatchNorm::standard(0.3).unwrap();
    agree(norm.into(), &Input::gaussian(9, 5, Seed(2)).unwrap());
}

#[test]
fn without_normalisation() {
    agree(Normalization::None, &Input::gaussian(9, 3, Seed(3)).unwrap());
}

/// Samples of unlike lengths and small angles, which every rotation of a basis changes.
fn graded() -> Input {
    let mut columns = Input::gaussian(9, 4, Seed(5)).unwrap().columns().clone();
    let first = columns.column(0).into_owned();
    for mut column in columns.column_iter_mut().skip(1) {
        column *= 0.1;
        column += &first;
    }
    columns.column_mut(3).scale_mut(4.0);
    Input::from_columns(&columns).unwrap()
}

#[test]
fn of_nearly_parallel_samples() {
    agree(BatchNorm::standard(0.3).unwrap().into(), &graded());
    agree(Normalization::None, &graded());
    agree(BatchNorm::paper().into(), &graded());
}

/// A gradient that knows the representations.
#[test]
fn of_other_losses() {
    let epsilon = BatchNorm::paper().with_epsilon(0.1).unwrap();
    for top in [Top::Representation, Top::ReadOut] {
        agree_from(top, epsilon.into(), &graded());
        agree_from(top, BatchNorm::standard(0.3).unwrap().into(), &graded());
        agree_from(top, Normalization::None, &graded());
    }
}

/// Dependent samples, one of which is the mean of two others, and a zero one.
#[test]
fn of_inputs_without_full_rank() {
    let mut columns = Input::gaussian(9, 4, Seed(4)).unwrap().columns().clone();
    let mean = (columns.column(0) + columns.column(1)) / 2.0;
    columns.set_column(2, &mean);
    let dependent = Input::from_gram(Gram::from_columns(&columns).unwrap());
    agree(BatchNorm::standard(0.3).unwrap().into(), &dependent);
    agree(Normalization::None, &dependent);
    columns.column_mut(0).fill(0.0);
    let zero = Input::from_gram(Gram::from_columns(&columns).unwrap());
    agree(BatchNorm::standard(0.3).unwrap().into(), &zero);
    agree(Normalization::None, &zero);
    let epsilon = BatchNorm::paper().with_epsilon(0.1).unwrap();
    agree(epsilon.into(), &zero);
}
