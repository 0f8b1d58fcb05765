//! Laws of gradients against simulation, by z-scores.

use orthogap::Activation::Relu;
use orthogap::backward::{BatchGradient, Top};
use orthogap::normalization::{BatchNorm, Normalization};
use orthogap::statistics::Moments;
use orthogap::theory::backward::{
    RECTIFIED_SQUARED_GROWTH, haar_share, rectified_log_growth, squared_growth,
    squared_growth_centred, traceless_growth,
};
use orthogap::weights::{Gaussian, Haar};
use orthogap::{Gram, Input, Network, Seed};

/// Asserts that a mean is `expected`, up to a bias and the error of the mean. By Student's law one
/// seed in 16,000 fails by chance.
fn agree(name: &str, moments: &Moments, expected: f64, bias: f64) {
    let interval = moments.confidence_interval(1.0 - 6e-5).unwrap();
    let noise = (interval.high - interval.low) / 2.0;
    let error = moments.mean() - expected;
    println!("{name}: {error:.5} off, {bias} and {noise:.5} allowed");
    assert!(error.abs() < noise + bias, "{name}: {} is not {expected}", moments.mean());
    assert!(
        noise + bias < 0.25 * expected.abs(),
        "{name}: {noise} is too large an error for this bound"
    );
}

/// Layers of a pass, from the input to the output.
fn layers(
    network: &Network<f64>,
    input: &Input,
    run: u32,
    depth: usize,
    top: Top,
) -> Vec<BatchGradient> {
    let pass = network.gradients(input, Seed(11).replicate(run), depth, top).unwrap();
    let mut layers: Vec<_> = pass.map(Result::unwrap).collect();
    layers.reverse();
    layers
}

/// Log squared growth a layer over `from..to`.
fn growth(layers: &[BatchGradient], from: usize, to: usize) -> f64 {
    2.0 * (layers[from].log_norm() - layers[to].log_norm()) / (to - from) as f64
}

/// 8 runs of 40 layers of width 10,000; the width biases a rate by less than 0.003.
#[test]
fn linear_networks_under_batch_norm() {
    let input = Input::orthogonal(6).unwrap();
    let paper = Network::<f64>::new(10_000);
    let centred = paper.clone().with_normalization(BatchNorm::standard(0.0).unwrap());
    let laws = [squared_growth(6).unwrap(), squared_growth_centred(6).unwrap()];
    for (network, law) in [paper, centred].into_iter().zip(laws) {
        let rate = |run| growth(&layers(&network, &input, run, 44, Top::default()), 2, 42);
        agree("linear", &(0..8).map(rate).collect(), law.ln(), 0.003);
    }
}

/// The distance of the gradient's Gram matrix from isotropy, over 6 layers of width 100,000, 64 runs.
#[test]
fn gradients_become_isotropic() {
    let input = Input::orthogonal(8).unwrap();
    let network = Network::<f64>::new(100_000);
    let law = traceless_growth(8).unwrap() / squared_growth(8).unwrap();
    let rate = |run| {
        let layers = layers(&network, &input, run, 6, Top::ReadOut);
        let gap = |layer: usize| layers[layer].gram().map_or(1.0, Gram::orthogonality_gap);
        (gap(0) / gap(6)).ln() / 6.0
    };
    agree("traceless", &(0..64).map(rate).collect(), law.ln(), 0.003);
}

/// A batch of 128 at width 1024, from a stationary chain; both are biases of about 0.01. 8 runs.
#[test]
fn rectified_networks_under_centred_batch_norm() {
    let network = Network::<f64>::new(1024)
        .with_normalization(BatchNorm::standard(0.0).unwrap())
        .with_activation(Relu);
    let input = Input::gaussian(128, 128, Seed(1)).unwrap();
    let rate = |run| growth(&layers(&network, &input, run, 16, Top::default()), 6, 14);
    agree("rectified", &(0..8).map(rate).collect(), RECTIFIED_SQUARED_GROWTH.ln(), 0.02);
}

/// One sample, 20 layers, 6000 runs at two widths: the mean of a rate and its variance, 5/d + 21/d². Of
/// 200,000 runs at widths 30, 64 and 100 the means were .2, .2 and -.9 standard errors off.
#[test]
fn he_weights_and_rectifiers() {
    for width in [30, 100] {
        let network = Network::<f64>::new(width)
            .with_normalization(Normalization::None)
            .with_weights(Gaussian::he())
            .with_activation(Relu);
        let input = Input::gaussian(width, 1, Seed(1)).unwrap();
        let rate = |run| growth(&layers(&network, &input, run, 20, Top::RandomDirection), 0, 20);
        let moments: Moments = (0..6000).map(rate).collect();
        agree("He", &moments, rectified_log_growth(width).unwrap(), 0.0);
        let d = width as f64;
        let variance = moments.sample_variance() * 20.0;
        let law = 5.0 / d + 21.0 / (d * d);
        assert!((variance / law - 1.0).abs() < 0.08, "{variance} {law}"); // 4 standard errors
    }
}

/// 300 networks of 200 layers.
#[test]
fn haar_weights_of_a_full_batch() {
    let network = Network::<f64>::new(8).with_weights(Haar::default());
    let input = Input::orthogonal(8).unwrap();
    let share = |run| {
        let layers = layers(&network, &input, run, 200, Top::default());
        (2.0 * (layers[0].log_norm() - layers[200].log_norm())).exp()
    };
    agree("Haar", &(0..300).map(share).collect(), haar_share(8).unwrap(), 0.0);
}
