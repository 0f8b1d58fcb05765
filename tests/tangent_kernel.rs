//! The tangent kernel: against its definition, and laws of its mean.

use std::f64::consts::PI;

use nalgebra::DMatrix;
use orthogap::Activation::{Identity, Relu, Tanh};
use orthogap::backward::{Scaled, Tape};
use orthogap::convolution::{Convolution, Images};
use orthogap::normalization::{BatchNorm, Normalization, SampleNorm};
use orthogap::statistics::Moments;
use orthogap::weights::{Gaussian, Weights};
use orthogap::{Error, Input, Network, Order, Purpose, Residual, Seed};

use crate::gradients::Unknown;
use crate::significance::kolmogorov_smirnov;

const DEPTH: usize = 3;

fn vanilla(width: usize) -> Network<f64> {
    Network::new(width).with_normalization(Normalization::None)
}

/// The kernel by its definition, a reverse pass for each sample on weights that are drawn: the terms of
/// the layers, and that of the read-out.
fn naive(network: &Network<f64>, input: &Input, seed: Seed) -> Vec<DMatrix<f64>> {
    let n = input.batch_size();
    let mut chain = network.explicit_chain(input, seed).unwrap();
    let mut weights = Vec::new();
    let convolution = network.convolution();
    let first = match convolution {
        Some((_, images)) => images.batch_from_nchw(input.columns()).unwrap(),
        None => input.columns().clone(),
    };
    let (mut inputs, mut images) = (vec![Scaled::from(first)], vec![convolution.map(|c| c.1)]);
    for _ in 0..DEPTH {
        let layer = chain.step().unwrap();
        weights.push(layer.weights().clone());
        let log_scale = layer.layer().log_scale();
        let h = layer.representation().clone();
        // A vanilla representation is held in units of its scale.
        let unit = if network.normalization() == Normalization::None { log_scale } else { 0.0 };
        inputs.push(Scaled::new(h, unit));
        images.push(layer.images());
    }
    let output = inputs[DEPTH].to_matrix();
    let (rows, columns) = (output.nrows(), output.ncols());
    let entries = rows * columns / n;
    let mut read_out = vec![0.0; entries];
    let stream = orthogap::Replicate::from(seed).stream(Purpose::LossGradient, 0, 0);
    stream.fill_normal(&mut read_out);
    let gradients: Vec<Vec<DMatrix<f64>>> = (0..n)
        .map(|sample| {
            let mut top = DMatrix::<f64>::zeros(rows, columns);
            let own = &mut top.as_mut_slice()[sample * entries..][..entries];
            let deviation = (entries as f64).sqrt().recip();
            own.iter_mut().zip(&read_out).for_each(|(to, v)| *to = v * deviation);
            let mut gradient = Scaled::from(top);
            let mut by_weights = Vec::new();
            for layer in (1..=DEPTH).rev() {
                let input = inputs[layer - 1].clone();
                let tape = Tape::new(network, layer, input, images[layer - 1], &weights[layer - 1])
                    .unwrap();
                let by_layer = tape.pull_back(gradient).unwrap();
                by_weights.push(by_layer.weights().unwrap().to_matrix());
                gradient = by_layer.into_input();
            }
            by_weights
        })
        .collect();
    let samples = DMatrix::from_column_slice(entries, n, output.as_slice());
    let term =
        |layer: usize| DMatrix::from_fn(n, n, |i, j| gradients[i][layer].dot(&gradients[j][layer]));
    let mut terms: Vec<_> = (0..DEPTH).rev().map(term).collect();
    terms.push(samples.transpose() * &samples);
    terms
}

/// On explicit weights, the same weights: every kind of layer without batch normalisation.
#[test]
fn kernels_are_inner_products_of_gradients() {
    let unknown = || Weights::custom(Unknown(Gaussian::new(1.3).unwrap()));
    let dense = vanilla(6).with_weights(unknown()).with_activation(Tanh);
    let norm = SampleNorm::layer(0.1).unwrap();
    let input = Input::gaussian(6, 3, Seed(1)).unwrap();
    let check = |network: Network<f64>, input: &Input| {
        let kernel = network.tangent_kernel(input, Seed(2), DEPTH).unwrap();
        assert_eq!(kernel.layers().len(), DEPTH);
        let mut expected = naive(&network, input, Seed(2));
        expected.push(expected.iter().sum());
        let sum = kernel.matrix();
        let terms = kernel.layers().iter().chain([kernel.read_out(), &sum]);
        for (ours, naive) in terms.zip(expected) {
            assert!((ours.to_matrix() - &naive).amax() < 1e-10 * naive.amax(), "{network:?}");
        }
    };
    check(dense.clone(), &input);
    check(dense.clone().with_order(Order::ActivationLinearNorm), &input);
    check(dense.clone().with_order(Order::NormActivationLinear), &input);
    check(dense.clone().with_normalization(norm), &input);
    check(dense.clone().with_residual(Residual::new(0.5).unwrap()), &input);
    let images = Images::new(2, 3, 3).unwrap();
    let pictures = Input::gaussian(images.len(), 3, Seed(3)).unwrap();
    let convolution = Convolution::new(3).unwrap();
    check(dense.with_convolution(convolution, images), &pictures);
}

/// Streamed and explicit kernels have one law: 4 numbers of 500 kernels each, of 6 recipes, at
/// 1e-3 / 24 each.
#[test]
fn streamed_kernels_have_the_law_of_explicit_ones() {
    let input = Input::gaussian(5, 3, Seed(4)).unwrap();
    for order in [Order::LinearNormActivation, Order::ActivationLinearNorm] {
        for activation in [Identity, Relu, Tanh] {
            let network = vanilla(7).with_activation(activation).with_order(order);
            let gaussian = Gaussian::new(1.3).unwrap();
            let sample = |weights: Weights, seed: u64| {
                let network = network.clone().with_weights(weights);
                let mut samples = vec![Vec::new(); 4];
                for run in 0..500 {
                    let kernel = network.tangent_kernel(&input, Seed(seed).replicate(run), DEPTH);
                    let kernel = match kernel {
                        Ok(kernel) => kernel.matrix().to_matrix(),
                        Err(Error::AllSamplesZero { .. }) => DMatrix::zeros(3, 3),
                        Err(error) => panic!("{network:?}: {error}"),
                    };
                    let numbers = [
                        kernel[(0, 0)].max(1e-9).ln(),
                        kernel[(0, 1)],
                        kernel[(1, 2)] / kernel[(0, 0)].max(1e-9),
                        kernel.trace(),
                    ];
                    samples.iter_mut().zip(numbers).for_each(|(sample, x)| sample.push(x));
                }
                samples
            };
            let streamed = sample(gaussian.into(), 1);
            let explicit = sample(Weights::custom(Unknown(gaussian)), 2);
            for (left, right) in streamed.into_iter().zip(explicit) {
                let p = kolmogorov_smirnov(left, right);
                assert!(p > 1e-3 / 24.0, "{network:?}: p = {p:e}");
            }
        }
    }
}

/// Linear, width 8, four layers and a read-out, a sample of norm one: every term has mean one. 20,000
/// kernels; the mean may be 4 standard errors off, one seed in 16,000.
#[test]
fn mean_of_a_linear_kernel() {
    let columns = Input::gaussian(8, 1, Seed(1)).unwrap().columns().normalize();
    let input = Input::from_columns(&columns).unwrap();
    let kernel = |run| {
        let run = Seed(7).replicate(run);
        vanilla(8).tangent_kernel(&input, run, 4).unwrap().matrix().to_matrix()[(0, 0)]
    };
    let moments: Moments = (0..20_000).map(kernel).collect();
    let z = (moments.mean() - 5.0) / moments.standard_error();
    assert!(z.abs() < 4.0, "{moments:?}: z = {z}");
}

/// He weights and rectifiers, width 500,000, against the recursion at infinite width. Entries
/// fluctuate by sqrt(5 L/d) = 0.6 % about it; the tolerance is 3 %.
#[test]
fn rectified_kernel_of_a_wide_network() {
    const WIDTH: usize = 500_000;
    let input = Input::gaussian(20, 3, Seed(5)).unwrap();
    let network = vanilla(WIDTH).with_weights(Gaussian::he()).with_activation(Relu);
    let kernel = network.tangent_kernel(&input, Seed(6), DEPTH).unwrap().matrix().to_matrix();

    let columns = input.columns();
    // Second moments of a row of each layer, and of the slopes at it.
    let mut moments = vec![columns.transpose() * columns / 20.0];
    let mut slopes = Vec::new();
    for layer in 0..DEPTH {
        let covariance = &moments[layer] * 2.0;
        let angle = |i: usize, j: usize| {
            let size = (covariance[(i, i)] * covariance[(j, j)]).sqrt();
            (size, (covariance[(i, j)] / size).clamp(-1.0, 1.0).acos())
        };
        slopes.push(DMatrix::from_fn(3, 3, |i, j| (PI - angle(i, j).1) / (2.0 * PI)));
        moments.push(DMatrix::from_fn(3, 3, |i, j| {
            let (size, angle) = angle(i, j);
            size * (angle.sin() + (PI - angle) * angle.cos()) / (2.0 * PI)
        }));
    }
    let width = WIDTH as f64;
    let mut expected = &moments[DEPTH] * width;
    let mut delta = slopes[DEPTH - 1].clone();
    for layer in (0..DEPTH).rev() {
        let rows = if layer == 0 { 20.0 } else { width };
        expected += delta.component_mul(&moments[layer]) * rows;
        if layer > 0 {
            delta = delta.component_mul(&slopes[layer - 1]) * 2.0;
        }
    }
    for (ours, expected) in kernel.iter().zip(&expected) {
        assert!((ours / expected - 1.0).abs() < 0.03, "{kernel} {expected}");
    }
}

#[test]
fn batch_norm_is_refused() {
    let network = Network::<f64>::new(8).with_normalization(BatchNorm::standard(0.1).unwrap());
    let error = network.tangent_kernel(&Input::orthogonal(3).unwrap(), Seed(1), 2).unwrap_err();
    assert!(
        matches!(error, Error::Unsupported { .. }) && error.to_string().contains("all samples")
    );
}

/// $`\log(E K^2 / (E K)^2)`$ of one sample over 4000 kernels, and its standard error.
fn log_fluctuation(network: &Network<f64>, depth: usize) -> (f64, f64) {
    let columns = Input::gaussian(network.width(), 1, Seed(1)).unwrap().columns().normalize();
    let input = Input::from_columns(&columns).unwrap();
    let kernel = |run| {
        let run = Seed(9).replicate(run);
        network.tangent_kernel(&input, run, depth).unwrap().matrix().to_matrix()[(0, 0)]
    };
    let kernels: Vec<f64> = (0..4000).map(kernel).collect();
    let mean = kernels.iter().copied().collect::<Moments>().mean();
    // K²/m² - 2 K/m + 2 has the same mean, and an error that the mean m does not add to.
    let ratio = |kernel: &f64| (kernel / mean).powi(2) - 2.0 * kernel / mean + 2.0;
    let ratios: Moments = kernels.iter().map(ratio).collect();
    (ratios.mean().ln(), ratios.standard_error())
}

/// They depend on depth over width alone, and grow like it: 1.3 of it in linear networks, 3.7 in
/// rectified ones (measured). Four comparisons at four standard errors: one seed in 4,000.
#[test]
fn fluctuations_grow_with_depth_over_width() {
    for (rectified, constant) in [(false, 1.3), (true, 3.7)] {
        let network = |d| match rectified {
            false => vanilla(d),
            true => vanilla(d).with_weights(Gaussian::he()).with_activation(Relu),
        };
        let [narrow, wide] = [(50, 5), (100, 10)].map(|(d, l)| log_fluctuation(&network(d), l));
        let apart = (narrow.0 - wide.0).abs();
        assert!(apart < 4.0 * narrow.1.hypot(wide.1), "{narrow:?} {wide:?}");
        let error = (wide.0 - constant * 0.1).abs();
        assert!(error < 4.0 * wide.1, "{wide:?}, expected {}", constant * 0.1);
    }
}
