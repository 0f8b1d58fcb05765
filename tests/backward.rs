//! The reverse pass, against differences of the forward one, and what is known of gradients.

use std::fmt::Debug;

use nalgebra::DMatrix;
use orthogap::activation::{Differentiable, Gelu, Identity, Relu, ShiftedTanh, Silu, Tanh};
use orthogap::backward::{Scaled, Tape};
use orthogap::convolution::{Convolution, Images, Padding, Pooling};
use orthogap::normalization::{BatchNorm, Centering, Normalization, RowScale, SampleNorm};
use orthogap::statistics::Moments;
use orthogap::weights::{Gaussian, Orthogonal, Spherical, Uniform, WeightInit};
use orthogap::{Error, Input, Network, Order, Purpose, Residual, Scalar, Seed};

/// Independent normals, as many as are asked for.
fn normals<T: Scalar>((rows, columns): (usize, usize), which: u32) -> DMatrix<T> {
    let mut matrix = DMatrix::zeros(rows, columns);
    Seed(11).replicate(which).stream(Purpose::User(9), 0, 0).fill_normal(matrix.as_mut_slice());
    matrix
}

fn normalizations() -> Vec<Normalization> {
    let standard = BatchNorm::standard(0.1).unwrap();
    vec![
        Normalization::None,
        BatchNorm::paper().into(),
        BatchNorm::paper().with_centering(Centering::Batch).into(),
        standard.into(),
        standard.with_row_scale(RowScale::UnitNorm).into(),
        SampleNorm::layer(0.0).unwrap().into(),
        SampleNorm::rms(0.2).unwrap().into(),
        SampleNorm::group(2, 0.1).unwrap().into(),
    ]
}

/// Every order, normalisation and residual connection; layers keep the shape of their input, or not.
fn dense<A: Differentiable + Debug>(activation: A) -> Vec<Network<f64, A>> {
    let weight = Residual::new(0.7).unwrap();
    let by_layer = Residual::by_layer(|layer| 1.0 / layer as f64);
    let residuals = [None, Some(weight), Some(by_layer), Some(weight.post_norm())];
    let orders =
        [Order::LinearNormActivation, Order::ActivationLinearNorm, Order::NormActivationLinear];
    let mut networks = Vec::new();
    for normalization in normalizations() {
        for order in orders {
            for residual in residuals {
                let plain = Network::<f64>::new(6)
                    .weights(Gaussian::new(1.3).unwrap())
                    .normalization(normalization)
                    .order(order)
                    .activation(activation);
                networks.push(residual.map_or(plain, |residual| plain.residual(residual)));
            }
        }
    }
    networks
}

/// The same as convolutions.
fn convolutional<A: Differentiable + Debug>(
    activation: A,
) -> Vec<(Network<f64, A>, Images, usize)> {
    let images = Images::new(6, 4, 4).unwrap();
    let same = Convolution::new(3).unwrap();
    let circular = same.with_padding(Padding::Circular);
    let shrinking = Convolution::new(2).unwrap().with_stride(2).unwrap();
    let poolings = [Pooling::max(2).unwrap(), Pooling::average(3).unwrap()];
    let mut networks = Vec::new();
    for network in dense(activation) {
        for convolution in [circular, shrinking] {
            let fan_in = convolution.fan_in(images);
            networks.push((network.convolution(convolution, images), images, fan_in));
        }
        for pooling in poolings {
            let network = network.convolution(same, images).pooling(pooling);
            networks.push((network, images, same.fan_in(images)));
        }
    }
    networks
}

/// The derivative along a line at 0: central differences, extrapolated. The error is the step to the
/// fourth power by the fifth derivative, and rounding over the step.
fn derivative(step: f64, f: impl Fn(f64) -> f64) -> f64 {
    let difference = |t: f64| (f(t) - f(-t)) / (2.0 * t);
    (4.0 * difference(step / 2.0) - difference(step)) / 3.0
}

/// Holds the gradients of layer 3 of a network against derivatives along random lines.
fn check_layer<A: Differentiable + Debug, W: WeightInit>(
    network: &Network<f64, A, W>,
    (input, images, fan_in): ((usize, usize), Option<Images>, usize),
    step: f64,
) {
    let (h, w) = (normals(input, 1), normals((network.width(), fan_in), 2) * 0.4);
    // A unit that is not one: everything is told in true terms.
    let unit = 0.3f64;
    let tape = |h: &DMatrix<f64>, w: &DMatrix<f64>| -> DMatrix<f64> {
        let h = Scaled::new(h / unit.exp(), unit);
        Tape::new(network, 3, h, images, w).unwrap().output().to_matrix()
    };
    let direction = normals(tape(&h, &w).shape(), 3);
    let scaled = Scaled::new(&h / unit.exp(), unit);
    let recorded = Tape::new(network, 3, scaled, images, &w).unwrap();
    let gradient = recorded.pull_back(Scaled::new(&direction / 2.0, 2f64.ln())).unwrap();
    let by_weights = gradient.weights().unwrap();
    assert!((gradient.log_weights_norm().unwrap() - by_weights.log_norm()).abs() < 1e-9);
    let (by_input, by_weights) = (gradient.input().to_matrix(), by_weights.to_matrix());
    for line in 4..8 {
        let (along_h, along_w) = (normals(h.shape(), line), normals(w.shape(), line + 10) * 0.4);
        let of_h = derivative(step, |t| tape(&(&h + &along_h * t), &w).dot(&direction));
        let of_w = derivative(step, |t| tape(&h, &(&w + &along_w * t)).dot(&direction));
        for (gradient, along, expected) in
            [(&by_input, &along_h, of_h), (&by_weights, &along_w, of_w)]
        {
            let size = gradient.norm() * along.norm() / (along.len() as f64).sqrt();
            let error = (gradient.dot(along) - expected).abs();
            assert!(error < 1e-7 * size, "{network:?}: {expected} is {error} off");
        }
    }
}

/// Every recipe with smooth activations: gradients by input and weights. Steps leave an error of
/// about 1e-12 by fifth derivatives and 1e-13 by rounding; the tolerance is 1e-7 of the gradient.
#[test]
fn gradients_of_dense_layers() {
    fn check<A: Differentiable + Debug>(activation: A) {
        for network in dense(activation) {
            check_layer(&network, ((6, 4), None, 6), 1e-4);
            check_layer(&network, ((8, 4), None, 8), 1e-4); // no room for a connection
        }
    }
    check(Tanh);
    check(Gelu);
    check(Identity);
}

#[test]
fn gradients_of_convolutional_layers() {
    for (network, images, fan_in) in convolutional(Silu) {
        check_layer(&network, ((6, 16 * 2), Some(images), fan_in), 1e-5);
    }
}

/// Away from kinks: the steps are so short that no entry changes its sign.
#[test]
fn gradients_of_rectified_layers() {
    for network in dense(Relu) {
        check_layer(&network, ((6, 4), None, 6), 1e-5);
    }
}
