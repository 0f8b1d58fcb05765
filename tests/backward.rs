//! The reverse pass, against differences of the forward one, and what is known of gradients.

use nalgebra::DMatrix;
use orthogap::Activation::{Gelu, Identity, Relu, Silu, Tanh};
use orthogap::backward::{Scaled, Tape};
use orthogap::convolution::{Convolution, Images, Padding, Pooling};
use orthogap::normalization::{BatchNorm, Centering, Normalization, RowScale, SampleNorm};
use orthogap::statistics::Moments;
use orthogap::weights::{Gaussian, Haar, Spherical, Uniform, Weights};
use orthogap::{Activation, Error, Input, Network, Order, Purpose, Residual, Scalar, Seed};

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
        Normalization::MeanOnly,
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
fn dense(activation: Activation) -> Vec<Network<f64>> {
    let weight = Residual::new(0.7).unwrap();
    let by_layer = Residual::by_layer(|layer| 1.0 / layer as f64);
    let residuals = [None, Some(weight.clone()), Some(by_layer), Some(weight.with_post_norm())];
    let orders =
        [Order::LinearNormActivation, Order::ActivationLinearNorm, Order::NormActivationLinear];
    let mut networks = Vec::new();
    for normalization in normalizations() {
        for order in orders {
            for residual in residuals.clone() {
                let plain = Network::<f64>::new(6)
                    .with_weights(Gaussian::new(1.3).unwrap())
                    .with_normalization(normalization)
                    .with_order(order)
                    .with_activation(activation.clone());
                networks.push(match residual {
                    Some(residual) => plain.with_residual(residual),
                    None => plain,
                });
            }
        }
    }
    networks
}

/// The same as convolutions.
fn convolutional(activation: Activation) -> Vec<(Network<f64>, Images, usize)> {
    let images = Images::new(6, 4, 4).unwrap();
    let same = Convolution::new(3).unwrap();
    let circular = same.with_padding(Padding::Circular);
    let shrinking = Convolution::new(2).unwrap().with_stride(2).unwrap();
    let poolings = [Pooling::max(2).unwrap(), Pooling::average(3).unwrap()];
    let mut networks = Vec::new();
    for network in dense(activation) {
        for convolution in [circular, shrinking] {
            let fan_in = convolution.fan_in(images);
            networks.push((network.clone().with_convolution(convolution, images), images, fan_in));
        }
        for pooling in poolings {
            let network = network.clone().with_convolution(same, images).with_pooling(pooling);
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
fn check_layer(
    network: &Network<f64>,
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
    fn check(activation: Activation) {
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

/// The gradient of `<direction, f>` by every entry of `at`, by differences.
fn naive_gradient(
    at: &DMatrix<f64>,
    direction: &DMatrix<f64>,
    f: impl Fn(&DMatrix<f64>) -> DMatrix<f64>,
) -> DMatrix<f64> {
    DMatrix::from_fn(at.nrows(), at.ncols(), |i, j| {
        derivative(1e-5, |t| {
            let mut moved = at.clone();
            moved[(i, j)] += t;
            f(&moved).dot(direction)
        })
    })
}

/// Holds up to three layers against the explicit chain, and the norms of their gradients against
/// the chain rule, with every entry of every gradient by differences. Their error is 1e-10 or so.
fn check_network(network: &Network<f64>, input: &Input, images: Option<Images>) {
    let mut h = images.map_or_else(
        || input.columns().clone(),
        |images| images.batch_from_nchw(input.columns()).unwrap(),
    );
    let mut layers = Vec::new();
    let (mut chain, mut shape) = (network.explicit_chain(input, Seed(4)).unwrap(), images);
    // Pooled images are soon used up.
    while let (true, Ok(layer)) = (layers.len() < 3, chain.step()) {
        let weights = layer.weights().clone();
        let depth = layers.len() + 1;
        let tape = Tape::new(network, depth, h.clone().into(), shape, &weights).unwrap();
        let output = tape.output().to_matrix();
        let rms = layer.representation().norm() / (output.len() as f64).sqrt();
        let expected = layer.representation() * (layer.layer().log_scale().exp() / rms);
        assert!((&output - &expected).amax() < 1e-12 * expected.amax(), "{network:?}");
        assert_eq!(tape.images(), layer.images());
        layers.push((std::mem::replace(&mut h, output), shape, weights.clone()));
        shape = layer.images();
    }
    let depth = layers.len();
    assert!(if images.is_some() { depth > 0 } else { depth == 3 }, "{network:?}: {depth} layers");

    let direction = normals(h.shape(), 21);
    let norms = network.gradient_norms_of(input, Seed(4), depth, |output| {
        assert!((output.to_matrix() - &h).amax() < 1e-11 * h.amax());
        direction.clone()
    });
    let norms = norms.unwrap();
    assert_eq!((norms.representations().len(), norms.weights().len()), (depth + 1, depth));
    let agree = |log_norm: f64, gradient: &DMatrix<f64>| {
        let expected = gradient.norm();
        let error = (log_norm.exp() / expected - 1.0).abs();
        assert!(error < 1e-6, "{network:?}: {expected} is {error} off");
    };
    let mut gradient = direction.clone();
    agree(norms.representations()[depth], &gradient);
    for (index, (h, images, weights)) in layers.iter().enumerate().rev() {
        let output = |h: &DMatrix<f64>, weights: &DMatrix<f64>| {
            let tape = Tape::new(network, index + 1, h.clone().into(), *images, weights);
            tape.unwrap().output().to_matrix()
        };
        agree(norms.weights()[index], &naive_gradient(weights, &gradient, |w| output(h, w)));
        gradient = naive_gradient(h, &gradient, |h| output(h, weights));
        agree(norms.representations()[index], &gradient);
    }
}

#[test]
fn norms_follow_the_chain_rule() {
    let input = Input::gaussian(6, 4, Seed(2)).unwrap();
    for network in dense(Tanh) {
        check_network(&network, &input, None);
    }
    // As many samples as inputs: the gradient by the weights is formed.
    let full = Input::gaussian(6, 6, Seed(2)).unwrap();
    fn law(weights: impl Into<Weights>, input: &Input) {
        let network = Network::<f64>::new(6).with_activation(Gelu).with_weights(weights);
        check_network(&network, input, None);
    }
    law(Gaussian::he(), &full);
    law(Uniform::xavier(), &full);
    law(Haar::new(1.5).unwrap(), &full);
    law(Spherical::new(0.7).unwrap(), &full);
}

#[test]
fn norms_of_convolutional_networks_follow_the_chain_rule() {
    // Every connection, order and convolution with some normalisation.
    for (network, images, _) in convolutional(Silu).into_iter().step_by(17) {
        let input = Input::gaussian(images.len(), 4, Seed(2)).unwrap();
        check_network(&network, &input, Some(images));
    }
}

/// Half of the squared norm of a vanilla network with weights twice as large: layer l grows by 2^l,
/// so the gradient by layer l of L by 2^(2L - l), and by its weights by half that.
#[test]
fn scales_leave_the_range_of_floating_point() {
    const DEPTH: usize = 3000;
    fn check<T: Scalar>(activation: Activation, residual: bool, tolerance: f64) {
        let norms = |gain| {
            let network = Network::<T>::new(12)
                .with_normalization(Normalization::None)
                .with_weights(Gaussian::new(gain).unwrap())
                .with_activation(activation.clone());
            // The branch of weight zero adds nothing, whatever its scale.
            let still = Residual::by_layer(|layer| if layer > 1 { 0.0 } else { 1.0 });
            let network = if residual { network.clone().with_residual(still) } else { network };
            let input = Input::gaussian(12, 2, Seed(3)).unwrap();
            network.gradient_norms_of(&input, Seed(5), DEPTH, Scaled::clone).unwrap()
        };
        let (one, two) = (norms(1.5), norms(3.0));
        if residual {
            assert_eq!(one.weights()[1..], [f64::NEG_INFINITY; DEPTH - 1]);
            return assert!(one.representations()[0].is_finite());
        }
        let ln_2 = 2f64.ln();
        for (layer, (one, two)) in
            one.representations().iter().zip(two.representations()).enumerate()
        {
            let expected = one + (2 * DEPTH - layer) as f64 * ln_2;
            assert!((two - expected).abs() < tolerance, "layer {layer}: {two} not {expected}");
        }
        for (layer, (one, two)) in (1..).zip(one.weights().iter().zip(two.weights())) {
            let expected = one + (2 * DEPTH - 1) as f64 * ln_2;
            assert!((two - expected).abs() < tolerance, "layer {layer}: {two} not {expected}");
        }
        assert!(two.representations()[0] > 3000.0);
    }
    check::<f64>(Identity, false, 1e-8);
    check::<f32>(Identity, false, 1e-2);
    check::<f64>(Relu, true, 0.0);
    // Batch normalisation stretches gradients out of the range of f64, too: two samples explode
    // fastest.
    let input = Input::gaussian(48, 2, Seed(3)).unwrap();
    let norms = Network::<f64>::new(48).gradient_norms(&input, Seed(5), DEPTH).unwrap();
    assert!(norms.representations()[0] > 710.0, "{}", norms.representations()[0]);
}

/// Single precision, on the same weights.
#[test]
fn single_precision_agrees() {
    let to_f32 = |x: &DMatrix<f64>| x.map(|x| x as f32);
    let (h, w, g) = (normals::<f64>((24, 6), 1), normals((24, 24), 2) * 0.2, normals((24, 6), 3));
    let (h, w, g) = (to_f32(&h), to_f32(&w), to_f32(&g));
    let to_f64 = |x: &DMatrix<f32>| x.map(f64::from);
    fn pull_back<T: Scalar>(h: DMatrix<T>, w: &DMatrix<T>, g: DMatrix<T>) -> [DMatrix<T>; 2] {
        let network = Network::<T>::new(24)
            .with_normalization(BatchNorm::standard(0.01).unwrap())
            .with_residual(Residual::new(0.5).unwrap())
            .with_activation(Tanh);
        let tape = Tape::new(&network, 1, h.into(), None, w).unwrap();
        let gradient = tape.pull_back(g.into()).unwrap();
        [gradient.input().to_matrix(), gradient.weights().unwrap().to_matrix()]
    }
    let single = pull_back(h.clone(), &w, g.clone());
    let double = pull_back(to_f64(&h), &to_f64(&w), to_f64(&g));
    for (single, double) in single.iter().zip(double) {
        assert!((to_f64(single) - &double).norm() < 1e-6 * double.norm());
    }
}

/// The rate at which log gradient norms grow, backwards, far from both ends of 120 layers.
fn rates(network: Network<f64>, runs: u32) -> Moments {
    let input = Input::gaussian(network.width(), 8, Seed(1)).unwrap();
    let rate = |run| {
        let norms = network.gradient_norms(&input, Seed(3).replicate(run), 120).unwrap();
        (norms.representations()[20] - norms.representations()[100]) / 80.0
    };
    (0..runs).map(rate).collect()
}

/// Under batch normalisation gradients explode (Yang et al. 2019): in linear networks the squared
/// norm by (n-1)/(n-2) a layer, centred (n-2)/(n-3), up to O(1/d), which two widths extrapolate away.
/// Two comparisons at 3.5 standard errors of 24 runs, 23 degrees of freedom or more: false alarm rate
/// at most 0.4 %.
#[test]
fn batch_norm_makes_gradients_explode() {
    let centered = BatchNorm::paper().with_centering(Centering::Batch);
    for (norm, squared) in [(BatchNorm::paper(), 7.0 / 6.0), (centered, 6.0 / 5.0)] {
        let [narrow, wide] =
            [64, 128].map(|width| rates(Network::<f64>::new(width).with_normalization(norm), 24));
        assert!(wide.mean() > 10.0 * wide.standard_error());
        let limit = 2.0 * wide.mean() - narrow.mean();
        let error = (2.0 * wide.standard_error()).hypot(narrow.standard_error());
        let expected = 0.5 * f64::ln(squared);
        assert!((limit - expected).abs() < 3.5 * error, "{limit} +- {error} is not {expected}");
        assert!(error < 0.05 * expected, "{error} is too large an error for this bound");
    }
}

/// Haar weights keep a full batch (n = d) orthogonal, or make it so, and gradients bounded at any
/// depth (Meterez et al., ICLR 2024); those of Gaussian weights still explode, as do those of Haar
/// weights where n < d, as frames that are not square have rows of different lengths.
#[test]
fn haar_weights_keep_gradients_bounded() {
    let haar = Network::<f64>::new(16).with_weights(Haar::default());
    for input in [Input::orthogonal(16).unwrap(), Input::gaussian(16, 16, Seed(3)).unwrap()] {
        for run in 0..4 {
            let run = Seed(4).replicate(run);
            let norms = haar.gradient_norms(&input, run, 1000).unwrap();
            let bounded = norms.representations().iter().all(|norm| norm.abs() < 4.0);
            assert!(bounded, "{:?}", norms.representations());
            let deep = &norms.representations()[300..700];
            assert!((deep[0] - deep[399]).abs() < 0.01, "{} {}", deep[0], deep[399]);
        }
    }
    let thin = Input::gaussian(16, 4, Seed(3)).unwrap();
    assert!(haar.gradient_norms(&thin, Seed(4), 400).unwrap().representations()[0] > 20.0);
    let square = Input::orthogonal(16).unwrap();
    let gaussian =
        haar.clone().with_weights(Gaussian::default()).gradient_norms(&square, Seed(4), 1000);
    assert!(gaussian.unwrap().representations()[0] > 4.0);
}

/// He's variance keeps the mean square of the gradient of a vanilla rectified network at every
/// layer. 500 runs, two comparisons at 4 standard errors.
#[test]
fn he_weights_neither_stretch_nor_shrink_gradients() {
    let network = Network::<f64>::new(64)
        .with_normalization(Normalization::None)
        .with_activation(Relu)
        .with_weights(Gaussian::he());
    let input = Input::gaussian(64, 4, Seed(1)).unwrap();
    let (mut half, mut whole) = (Moments::new(), Moments::new());
    for run in 0..500 {
        let norms = network.gradient_norms(&input, Seed(3).replicate(run), 10).unwrap();
        assert!(norms.representations()[10].abs() < 1e-12); // the direction has norm one
        half.push((2.0 * norms.representations()[5]).exp());
        whole.push((2.0 * norms.representations()[0]).exp());
    }
    for moments in [half, whole] {
        let error = moments.standard_error();
        assert!((moments.mean() - 1.0).abs() < 4.0 * error, "{} +- {error}", moments.mean());
        assert!(error < 0.05);
    }
}

#[test]
fn bad_input_is_named() {
    let network = Network::<f64>::new(3);
    let (h, w) = (normals((3, 2), 1), normals((3, 3), 2));
    let shape = |what| move |error: Error| matches!(error, Error::ShapeMismatch { what: w, .. } if w == what);
    let error = Tape::new(&network, 1, h.clone().into(), None, &normals((3, 2), 2)).unwrap_err();
    assert!(shape("the weight matrix")(error));
    let error = Tape::new(&network, 1, (&h * f64::NAN).into(), None, &w).unwrap_err();
    assert!(matches!(error, Error::NotFinite { row: 0, column: 0, .. }));
    let error = Tape::new(&network, 1, Scaled::new(h.clone(), f64::INFINITY), None, &w);
    assert!(matches!(error.unwrap_err(), Error::InvalidParameter { name: "log unit", .. }));
    let vanilla = network.clone().with_normalization(Normalization::None);
    for (rows, columns) in [(0, 2), (3, 0)] {
        let error = Tape::new(&vanilla, 1, DMatrix::zeros(rows, columns).into(), None, &w);
        assert_eq!(error.unwrap_err(), Error::Empty { rows, columns });
    }
    let images = Images::new(3, 2, 2).unwrap();
    let group = network
        .clone()
        .with_normalization(SampleNorm::layer(0.0).unwrap())
        .with_order(Order::NormActivationLinear)
        .with_convolution(Convolution::new(1).unwrap(), images);
    let tape = Tape::new(&group, 1, normals((3, 8), 1).into(), None, &w).unwrap();
    assert_eq!(tape.images(), Some(images));
    let pooled = group.clone().with_pooling(Pooling::max(2).unwrap());
    let tape = Tape::new(&pooled, 1, normals((3, 8), 1).into(), None, &w).unwrap();
    assert_eq!(tape.images(), Some(Images::new(3, 1, 1).unwrap()));
    let error = Tape::new(&group, 1, normals((3, 5), 1).into(), None, &w).unwrap_err();
    assert!(shape("the batch of images")(error));
    let error = Tape::new(&vanilla, 1, (&h * 1e200).into(), None, &(&w * 1e200)).unwrap_err();
    assert!(matches!(error, Error::Overflow { what: "product W H", .. }));
    let silu = vanilla.clone().with_activation(Silu);
    let error = Tape::new(&silu, 1, Scaled::new(h.clone(), 800.0), None, &w).unwrap_err();
    assert!(matches!(error, Error::Overflow { what: "output of the layer", .. }));
    // By the weights it is the product of two matrices that are numbers, and is not one itself.
    let wide = Network::<f64>::new(3).with_normalization(Normalization::None);
    let (one, large) = (DMatrix::identity(3, 3), DMatrix::from_element(3, 3, 1e200));
    let tape = Tape::new(&wide, 1, large.clone().into(), None, &one).unwrap();
    let gradient = tape.pull_back(large.into()).unwrap();
    let log_norm = gradient.log_weights_norm().unwrap();
    assert!((log_norm - 400.0 * 10f64.ln() - 9f64.ln()).abs() < 1e-9, "{log_norm}");
    assert!((gradient.weights().unwrap().log_norm() - log_norm).abs() < 1e-9);
    let tape = Tape::new(&network, 1, h.clone().into(), None, &w).unwrap();
    assert!(shape("the gradient")(tape.pull_back(w.clone().into()).unwrap_err()));
    let error = tape.pull_back((&h * f64::INFINITY).into()).unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }));
    let input = Input::gaussian(3, 2, Seed(1)).unwrap();
    let error = network.gradient_norms_of(&input, Seed(1), 2, |_| w.clone()).unwrap_err();
    assert!(shape("the gradient")(error));
    // No layers: the gradient by the input is that by the output. A gradient of zero has no norm.
    let norms = network.gradient_norms(&input, Seed(1), 0).unwrap();
    assert!(norms.representations()[0].abs() < 1e-14 && norms.weights().is_empty());
    let norms = network.gradient_norms_of(&input, Seed(1), 2, |h| h.to_matrix() * 0.0).unwrap();
    assert_eq!(norms.representations(), [f64::NEG_INFINITY; 3]);
    assert_eq!(norms.weights(), [f64::NEG_INFINITY; 2]);
}

/// A branch of a weight beyond all floats is all that there is, one far below them is nothing.
#[test]
fn weights_of_branches_leave_the_range_of_floating_point() {
    fn check<T: Scalar>() {
        let plain = Network::<T>::new(5).with_normalization(Normalization::None);
        let (h, w, g) = (normals::<T>((5, 3), 1), normals((5, 5), 2), normals::<T>((5, 3), 3));
        let norms = |network: &Network<T>| {
            let tape = Tape::new(network, 1, h.clone().into(), None, &w).unwrap();
            let gradient = tape.pull_back(g.clone().into()).unwrap();
            [tape.output().log_norm(), gradient.input().log_norm()]
        };
        let input = Input::from_columns(&h).unwrap();
        let gap = |network: &Network<T>| {
            let mut chain = network.explicit_chain(&input, Seed(4)).unwrap();
            chain.advance(3).unwrap().orthogonality_gap()
        };
        let (branch, skip) = (norms(&plain), [Scaled::from(h.clone()), g.clone().into()]);
        for (weight, expected, of_layers) in [
            (-1e300, branch.map(|log_norm| log_norm + 1e300f64.ln()), gap(&plain)),
            (1e-300, skip.map(|skip| skip.log_norm()), input.gram().orthogonality_gap()),
        ] {
            let network = plain.clone().with_residual(Residual::new(weight).unwrap());
            for (found, expected) in norms(&network).into_iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{weight}: {found} {expected}");
            }
            assert!((gap(&network) - of_layers).abs() < 1e-5, "{weight}");
        }
    }
    check::<f32>();
    check::<f64>();
}
