//! Identities that hold in every run: of the chain rule, of Euler's theorem, of normalisations.

use nalgebra::{DMatrix, DVector};

use crate::Activation::{Identity, Relu, Tanh};
use crate::backward::{BatchGradient, Top};
use crate::normalization::{BatchNorm, Normalization};
use crate::weights::Gaussian;
use crate::{Gram, Input, Network, Order, Scalar, Seed};

const TOPS: [Top; 3] = [Top::RandomDirection, Top::Representation, Top::ReadOut];
const ORDERS: [Order; 3] =
    [Order::LinearNormActivation, Order::ActivationLinearNorm, Order::NormActivationLinear];

/// Independent samples, dependent ones and one that is zero, of four.
fn inputs() -> [Input; 3] {
    let independent = Input::gaussian(9, 4, Seed(1)).unwrap();
    let mut columns = independent.columns().clone();
    let mean = 0.5 * (columns.column(0) + columns.column(1));
    columns.set_column(2, &mean);
    let dependent = Input::from_gram(Gram::from_columns(&columns).unwrap());
    columns.column_mut(0).fill(0.0);
    [independent, dependent, Input::from_gram(Gram::from_columns(&columns).unwrap())]
}

fn vanilla<T: Scalar>(width: usize) -> Network<T> {
    Network::new(width)
        .with_normalization(Normalization::None)
        .with_weights(Gaussian::new(1.4).unwrap())
}

fn layers<T: Scalar>(
    network: &Network<T>,
    input: &Input,
    depth: usize,
    top: Top,
) -> Vec<BatchGradient> {
    network.gradients(input, Seed(7), depth, top).unwrap().map(Result::unwrap).collect()
}

/// Lengths of the samples of a layer.
fn lengths(layer: &BatchGradient) -> Vec<f64> {
    let products = layer.representation().to_matrix();
    products.diagonal().iter().map(|square| square.sqrt()).collect()
}

/// `H^T G`.
fn pairings(layer: &BatchGradient) -> DMatrix<f64> {
    let (lengths, logs) = (lengths(layer), layer.log_sample_norms());
    let n = lengths.len();
    DMatrix::from_fn(n, n, |i, j| layer.cosine(i, j).unwrap() * lengths[i] * logs[j].exp())
}

/// `G^T G`.
fn squares(layer: &BatchGradient) -> DMatrix<f64> {
    layer.gram().unwrap().matrix() * (2.0 * layer.log_norm()).exp()
}

/// An error relative to the lengths of `H` and `G`.
fn relative(error: f64, layer: &BatchGradient) -> f64 {
    error / (DVector::from_vec(lengths(layer)).norm() * layer.log_norm().exp())
}

/// In a linear network `h^T g` of any two samples is the same at every layer, as `(W x)^T d` is
/// `x^T (W^T d)`.
#[test]
fn linear_layers_keep_inner_products() {
    fn check<T: Scalar>(tolerance: f64) {
        for input in inputs() {
            for (top, order) in TOPS.into_iter().zip(ORDERS) {
                let network = vanilla::<T>(12).with_order(order);
                let layers = layers(&network, &input, 4, top);
                assert_eq!(layers.len(), 5);
                for layer in &layers[1..] {
                    let error = relative((pairings(layer) - pairings(&layers[0])).amax(), layer);
                    assert!(error < tolerance, "{top:?}: {error:e}");
                }
            }
        }
    }
    check::<f64>(1e-11);
    check::<f32>(1e-4);
}

/// The same down to an input of many blocks of rows.
#[test]
fn wide_inputs_keep_inner_products() {
    let input = Input::gaussian(20_000, 3, Seed(31)).unwrap();
    for order in ORDERS {
        let layers = layers(&vanilla::<f64>(12).with_order(order), &input, 2, Top::ReadOut);
        let error = (pairings(&layers[2]) - pairings(&layers[0])).amax();
        assert!(relative(error, &layers[2]) < 1e-11, "{order:?}: {error:e}");
    }
}

/// Of one sample, rectified networks without normalisation are homogeneous of degree one (Euler).
#[test]
fn rectified_layers_keep_the_inner_product_of_a_sample() {
    for input in inputs() {
        for (top, order) in TOPS.into_iter().zip(ORDERS) {
            let network = vanilla::<f64>(12).with_order(order).with_activation(Relu);
            let layers = layers(&network, &input, 4, top);
            let first = pairings(&layers[0]).diagonal();
            for layer in &layers[1..] {
                let error = relative((pairings(layer).diagonal() - &first).amax(), layer);
                assert!(error < 1e-11, "{top:?} {order:?}: {error:e}");
            }
        }
    }
}

/// Scaling the whole input of a normalised layer changes nothing, and neither does adding the same to all
/// its samples if it is centred: gradients are perpendicular to both. Other losses of a linear network
/// have no gradient there, as the length and the mean of what is normalised are constant.
#[test]
fn gradients_do_not_see_what_normalisation_takes_away() {
    let input = Input::gaussian(9, 4, Seed(2)).unwrap();
    let paper = Network::<f64>::new(12);
    let standard = paper.clone().with_normalization(BatchNorm::standard(0.0).unwrap());
    let epsilon = paper.clone().with_normalization(BatchNorm::standard(0.3).unwrap());
    for network in [&paper, &standard] {
        for layer in &layers(network, &input, 3, Top::RandomDirection)[1..] {
            let error = relative(pairings(layer).trace().abs(), layer);
            assert!(error < 1e-11, "{network:?}: {error:e}");
        }
    }
    for network in [&standard, &epsilon] {
        for layer in &layers(network, &input, 3, Top::RandomDirection)[1..] {
            let sums = (pairings(layer) * DVector::repeat(4, 1.0)).amax();
            let error = relative(sums, layer);
            assert!(error < 1e-11, "{network:?}: {error:e}");
            let sums = layer.gram().unwrap().matrix() * DVector::repeat(4, 1.0);
            assert!(sums.amax() < 1e-11, "{network:?}: {:e}", sums.amax());
        }
    }
}

/// The squared norm of the batch's gradient by the weights is the sum of the inner products of the
/// samples' shares; in a linear network these are products of those of `H` below and `G` above.
#[test]
fn gradients_by_weights_are_those_of_their_factors() {
    for input in inputs() {
        for activation in [Identity, Tanh] {
            let is_linear = activation.is_linear();
            let network = vanilla::<f64>(12).with_activation(activation);
            let layers = layers(&network, &input, 3, Top::ReadOut);
            for pair in layers.windows(2) {
                let products = pair[0].weights_products().unwrap().to_matrix();
                let norm = 2.0 * pair[0].log_weights_norm().unwrap();
                assert!((products.sum() / norm.exp() - 1.0).abs() < 1e-11);
                if is_linear {
                    let below = pair[1].representation().to_matrix();
                    let expected = squares(&pair[0]).component_mul(&below);
                    assert!((&products - &expected).amax() < 1e-11 * expected.amax());
                }
            }
            assert_eq!(layers[3].log_weights_norm(), None);
        }
    }
}

/// Weights N(0, s²/m) that the gradient `D` does not know make `G^T G` = s² `D^T D` for large m, up to
/// sqrt(2/m); the seed is fixed.
#[test]
fn wide_layers_multiply_squares_by_the_gain() {
    let input = Input::gaussian(20_000, 3, Seed(3)).unwrap();
    for top in [Top::RandomDirection, Top::ReadOut] {
        let layers = layers(&vanilla::<f64>(20_000), &input, 2, top);
        for pair in layers.windows(2) {
            let expected = squares(&pair[0]) * 1.96;
            let error = (squares(&pair[1]) - &expected).amax() / expected.amax();
            assert!(error < 0.04, "{top:?}: {error}"); // four standard deviations
        }
    }
}
