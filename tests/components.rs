//! What modern components do to representations, against laws that are known.

use nalgebra::DMatrix;
use orthogap::Activation;
use orthogap::Activation::{Identity, Relu, ShiftedTanh, Sin, Tanh};
use orthogap::backward::Top;
use orthogap::normalization::{BatchNorm, Centering, Normalization, SampleNorm};
use orthogap::statistics::Moments;
use orthogap::weights::{Gaussian, Haar, Spherical, Uniform, Weights};
use orthogap::{Error, Event, Input, Layer, Network, Order, Residual, Scalar, Seed};

/// The network of the paper's Appendix F: Q' = BN(W F(Q)), rows of norm one.
fn appendix_f(width: usize, activation: Activation) -> Network<f64> {
    Network::new(width).with_activation(activation).with_order(Order::ActivationLinearNorm)
}

/// The Gram matrices of some layers of the stationary chain, one vector for each of `RUNS` runs.
fn stationary_grams(network: Network<f64>) -> Vec<Vec<DMatrix<f64>>> {
    (0..RUNS)
        .map(|run| {
            let input = Input::gaussian(64, 4, Seed(5).replicate(run)).unwrap();
            let mut chain = network.chain(&input, Seed(6).replicate(run)).unwrap();
            chain.advance(100).unwrap();
            chain.take(LAYERS).map(|layer| layer.unwrap().matrix()).collect()
        })
        .collect()
}

const RUNS: u32 = 24;
const LAYERS: usize = 1000;

/// Mean off-diagonal entry of a Gram matrix of order 4.
fn off_diagonal(gram: &DMatrix<f64>) -> f64 {
    (gram.sum() - gram.trace()) / 12.0
}

/// The table of deviations from the stationary mean Gram matrix, 1000 layers a value: its values
/// are known to the scatter of one run, ours to that over sqrt(24). Ten comparisons at 3.5 standard
/// errors of 23 degrees of freedom: false alarm rate 1.9 % (seeds are fixed).
fn deviation(width: usize, activation: Activation, expected: f64) {
    let runs = stationary_grams(appendix_f(width, activation));
    let all: Moments = runs.iter().flatten().map(off_diagonal).collect();
    let mean = DMatrix::from_fn(4, 4, |i, j| if i == j { 0.25 } else { all.mean() });
    let of_run = |grams: &Vec<DMatrix<f64>>| {
        grams.iter().map(|gram| (gram - &mean).norm()).sum::<f64>() / LAYERS as f64
    };
    let deviations: Moments = runs.iter().map(of_run).collect();
    let scatter = (deviations.sample_variance() * (1.0 + 1.0 / f64::from(RUNS))).sqrt();
    let z = (deviations.mean() - expected) / scatter;
    assert!(z.abs() < 3.5, "width {width}: {} is {z} from {expected}", deviations.mean());
    assert!(scatter < 0.02 * expected, "scatter {scatter} is too large an error for this bound");
}

#[test]
fn deviations_from_the_stationary_gram_matrix() {
    for (width, [identity, relu, tanh, sin, shifted_tanh]) in [
        (64, [0.1424, 0.1500, 0.1437, 0.1432, 0.0794]),
        (256, [0.0709, 0.0740, 0.0716, 0.0710, 0.0401]),
    ] {
        deviation(width, Identity, identity);
        deviation(width, Relu, relu);
        deviation(width, Tanh, tanh);
        deviation(width, Sin, sin);
        deviation(width, ShiftedTanh, shifted_tanh);
    }
}

/// n times the stationary off-diagonal entry at infinite width, extrapolated from widths 256 and 512:
/// its correction is of order 1/d. Two comparisons at 3.5 standard errors of 23 degrees of freedom
/// or more: false alarm rate at most 0.4 %.
#[test]
fn stationary_angles_at_infinite_width() {
    let at = |width| {
        let means = |grams: Vec<Vec<DMatrix<f64>>>| -> Moments {
            grams
                .iter()
                .map(|run| run.iter().map(off_diagonal).sum::<f64>() / LAYERS as f64)
                .collect()
        };
        [
            means(stationary_grams(appendix_f(width, Relu))),
            means(stationary_grams(appendix_f(width, ShiftedTanh))),
        ]
    };
    let (narrow, wide) = (at(256), at(512));
    for ((narrow, wide), expected) in narrow.iter().zip(wide).zip([0.2905, 0.7902]) {
        let limit = 4.0 * (2.0 * wide.mean() - narrow.mean());
        let error = 4.0 * (2.0 * wide.standard_error()).hypot(narrow.standard_error());
        assert!((limit - expected).abs() < 3.5 * error + 5e-5, "{limit} +- {error}: {expected}");
        assert!(error < 0.005, "{error} is too large an error for this bound");
    }
}

/// Centred batch norm forces the stationary mean Gram matrix whatever the activation: 1/n on the
/// diagonal, -1/(n(n-1)) off it; the rank is n-1, and the gap never falls below 1/sqrt(n(n-1)).
/// Three activations, 16 entries each, at 4.2 standard errors of 23 degrees of freedom: false alarm
/// rate at most 1.6 %.
#[test]
fn centering_forces_the_gram_matrix() {
    let centered = BatchNorm::paper().with_centering(Centering::Batch);
    let forced = |grams: Vec<Vec<DMatrix<f64>>>| {
        for i in 0..4 {
            for j in 0..4 {
                let mean = |run: &Vec<DMatrix<f64>>| {
                    run.iter().map(|gram| gram[(i, j)]).sum::<f64>() / LAYERS as f64
                };
                let entry: Moments = grams.iter().map(mean).collect();
                let expected = if i == j { 0.25 } else { -1.0 / 12.0 };
                let z = (entry.mean() - expected) / entry.standard_error();
                assert!(z.abs() < 4.2, "({i}, {j}): {} is {z} off", entry.mean());
                assert!(entry.standard_error() < 1e-3);
            }
        }
        let floor = 1.0 / 12f64.sqrt();
        let gap = |gram: &DMatrix<f64>| (gram - DMatrix::identity(4, 4) / 4.0).norm();
        assert!(grams.iter().flatten().all(|gram| gap(gram) >= floor - 1e-12));
    };
    forced(stationary_grams(Network::<f64>::new(64).with_normalization(centered)));
    forced(stationary_grams(appendix_f(64, Relu).with_normalization(centered)));
    forced(stationary_grams(appendix_f(64, ShiftedTanh).with_normalization(centered)));
    let mut chain = appendix_f(64, Tanh)
        .with_normalization(centered)
        .chain(&Input::orthogonal(4).unwrap(), Seed(1))
        .unwrap();
    assert_eq!(chain.advance(20).unwrap().rank(), 3);
}

/// A batch as large as the width: Haar weights leave nothing random at orthogonality, and the gap
/// of a linear network falls to zero. Narrower batches stay at a gap below that of Gaussian
/// weights.
#[test]
fn haar_weights_reach_orthogonality() {
    let mut haar = Network::<f64>::new(8)
        .with_weights(Haar::default())
        .chain(&Input::near_collinear(8, 0.1).unwrap(), Seed(3))
        .unwrap();
    let gap = |layer: &orthogap::Layer| layer.orthogonality_gap();
    let (early, late) = (gap(haar.advance(60).unwrap()), gap(haar.advance(240).unwrap()));
    assert!(early < 0.5 && late < 1e-9 * early, "{early} {late}");
    let stationary = |runs: Vec<Vec<DMatrix<f64>>>| -> Moments {
        let gap = |gram: &DMatrix<f64>| (gram - DMatrix::identity(4, 4) / 4.0).norm();
        runs.iter().map(|run| run.iter().map(gap).sum::<f64>() / LAYERS as f64).collect()
    };
    let network = Network::<f64>::new(64);
    let gaussian = stationary(stationary_grams(network.clone()));
    let haar = stationary(stationary_grams(network.clone().with_weights(Haar::default())));
    assert!(0.4 * gaussian.mean() < haar.mean() && haar.mean() < 0.9 * gaussian.mean());
}

/// The orders differ in where a layer ends. Let G be the layer that ends after its linear map. Then
/// N(G) is the layer that ends after its normalisation, and F(N(G)) that after its activation, if the
/// inputs are related in the same way and the weights are the same.
#[test]
fn orders_measure_the_same_loop() {
    let norm = BatchNorm::paper().with_epsilon(0.1).unwrap();
    let network = Network::<f64>::new(16).with_normalization(norm).with_activation(Tanh);
    let fifth = |order, input: &DMatrix<f64>| {
        let input = Input::from_columns(input).unwrap();
        let mut chain = network.clone().with_order(order).explicit_chain(&input, Seed(2)).unwrap();
        chain.advance(4).unwrap();
        let layer = chain.step().unwrap();
        let h = layer.representation();
        let rms = h.norm() / (h.len() as f64).sqrt();
        h * (layer.layer().log_scale().exp() / rms)
    };
    let start = Input::gaussian(16, 3, Seed(1)).unwrap().columns().clone();
    let normalized = norm.normalize(&start).unwrap();
    let by_map = fifth(Order::NormActivationLinear, &start);
    let by_norm = fifth(Order::ActivationLinearNorm, &normalized);
    let by_activation = fifth(Order::LinearNormActivation, &normalized.map(f64::tanh));
    assert!((norm.normalize(&by_map).unwrap() - &by_norm).amax() < 1e-12);
    assert!((by_norm.map(f64::tanh) - by_activation).amax() < 1e-12);
}

/// A rectifier kills the lone negative: sooner or later a whole sample dies, which is told once,
/// with its date, and the chain goes on quickly with those that live.
#[test]
fn dead_samples_are_dated() {
    let input = Input::gaussian(4, 3, Seed(2)).unwrap();
    let network =
        Network::<f64>::new(4).with_activation(Relu).with_normalization(Normalization::None);
    let mut chain = network.chain(&input, Seed(4)).unwrap();
    let mut dead = Vec::new();
    let end = loop {
        match chain.step() {
            Ok(layer) => {
                let zero: Vec<_> =
                    (0..3).filter(|&j| layer.factor().column(j).amax() == 0.0).collect();
                let died: Vec<_> = zero.iter().filter(|j| !dead.contains(*j)).copied().collect();
                let told: Vec<_> = layer
                    .events()
                    .iter()
                    .filter_map(|event| match event {
                        Event::DeadSamples { layer: at, samples } => {
                            assert_eq!(*at, layer.depth());
                            Some(samples.clone())
                        }
                        _ => None,
                    })
                    .flatten()
                    .collect();
                assert_eq!(told, died);
                assert!(dead.iter().all(|j| zero.contains(j)), "a sample came back to life");
                dead = zero;
            }
            Err(error) => break error,
        }
    };
    let layer = chain.layer().depth() + 1;
    assert_eq!(end, Error::AllSamplesZero { layer, batch_size: 3 });
    assert!(chain.events().iter().all(|event| event.layer() < layer));
}

/// Residual branches of weight zero do nothing, and post-norm sums are normalised.
#[test]
fn residual_connections() {
    let input = Input::gaussian(32, 4, Seed(7)).unwrap();
    let plain =
        Network::<f64>::new(32).with_activation(Relu).with_order(Order::ActivationLinearNorm);
    let mut still =
        plain.clone().with_residual(Residual::new(0.0).unwrap()).chain(&input, Seed(1)).unwrap();
    let layer = still.advance(10).unwrap();
    assert!((layer.matrix() - input.gram().matrix()).amax() < 1e-14);
    let post = plain.clone().with_residual(Residual::new(0.5).unwrap().with_post_norm());
    let mut chain = post.explicit_chain(&input, Seed(1)).unwrap();
    let layer = chain.step().unwrap();
    let rows = layer.representation().row_iter().map(|row| row.norm());
    assert!(rows.fold(0.0, |worst: f64, norm| worst.max((norm - 1.0).abs())) < 1e-14);
    let nan = plain
        .clone()
        .with_residual(Residual::by_layer(|layer| if layer < 3 { 1.0 } else { f64::NAN }));
    let mut chain = nan.chain(&input, Seed(1)).unwrap();
    assert!(matches!(chain.advance(5), Err(Error::InvalidParameter { .. })));
    assert_eq!(chain.layer().depth(), 2);
}

/// The layer by hand, from the weights that are lent, for every order and connection.
#[test]
fn layers_are_what_they_say() {
    let input = Input::gaussian(24, 5, Seed(7)).unwrap();
    let norm = BatchNorm::standard(0.1).unwrap();
    let n = |h: DMatrix<f64>| norm.normalize(&h).unwrap();
    let f = |h: DMatrix<f64>| h.map(f64::tanh);
    let recipe = Network::<f64>::new(24).with_normalization(norm).with_activation(Tanh);
    let residual = Residual::new(0.3).unwrap();
    type Branch<'a> = &'a dyn Fn(&DMatrix<f64>, &DMatrix<f64>) -> DMatrix<f64>;
    let cases: [(Order, Branch, Branch); 3] = [
        (Order::LinearNormActivation, &|w, h| f(n(w * h)), &|w, h| f(w * h)),
        (Order::ActivationLinearNorm, &|w, h| n(w * f(h.clone())), &|w, h| w * f(h.clone())),
        (Order::NormActivationLinear, &|w, h| w * f(n(h.clone())), &|w, h| w * f(h.clone())),
    ];
    for (order, branch, bare) in cases {
        let network = recipe.clone().with_order(order);
        let layers: [(Network<f64>, Branch); 3] = [
            (network.clone(), branch),
            (network.clone().with_residual(residual.clone()), &|w, h| h + branch(w, h) * 0.3),
            (network.clone().with_residual(residual.clone().with_post_norm()), &|w, h| {
                n(h + bare(w, h) * 0.3)
            }),
        ];
        for (network, by_hand) in layers {
            let mut chain = network.explicit_chain(&input, Seed(8)).unwrap();
            let mut h = input.columns().clone();
            for _ in 0..3 {
                let layer = chain.step().unwrap();
                let expected = by_hand(layer.weights(), &h);
                h = layer.representation().clone();
                assert!((&h - &expected).amax() < 1e-12 * expected.amax(), "{network:?}");
                let scale = (h.norm_squared() / h.len() as f64).sqrt().ln();
                assert!((layer.layer().log_scale() - scale).abs() < 1e-12);
            }
        }
    }
}

/// Whatever its unit, beside a representation that is far too small for `f32` itself.
#[test]
fn a_branch_of_zeros_leaves_the_representation() {
    let h = Input::gaussian(6, 3, Seed(9)).unwrap().columns() * 1e-150;
    let input = Input::from_columns(&h).unwrap();
    let network = Network::<f32>::new(6)
        .with_order(Order::NormActivationLinear)
        .with_activation(Activation::custom("zero", |_| 0.0))
        .with_residual(Residual::new(1.0).unwrap());
    let mut chain = network.explicit_chain(&input, Seed(10)).unwrap();
    let gap = chain.advance(2).unwrap().orthogonality_gap();
    assert!((gap - input.gram().orthogonality_gap()).abs() < 1e-6, "{gap}");
}

/// The same for normalisations of samples, and with weights of every law.
#[test]
fn sample_norms_and_weight_laws() {
    fn check(weights: impl Into<Weights>) {
        let input = Input::gaussian(9, 5, Seed(7)).unwrap();
        let norm = SampleNorm::group(2, 1e-3).unwrap();
        let network = Network::<f64>::new(24)
            .with_normalization(norm)
            .with_activation(Relu)
            .with_weights(weights);
        let mut chain = network.explicit_chain(&input, Seed(8)).unwrap();
        let mut h = input.columns().clone();
        for _ in 0..2 {
            let layer = chain.step().unwrap();
            let expected = norm.normalize(&(layer.weights() * &h)).unwrap().map(|x| x.max(0.0));
            h = layer.representation().clone();
            assert!((&h - &expected).amax() < 1e-12 * expected.amax(), "{network:?}");
        }
    }
    check(Gaussian::xavier());
    check(Uniform::he());
    check(Haar::new(1.5).unwrap());
    check(Spherical::new(0.7).unwrap());
}

/// Far below one a function is its slope at zero: GELU halves, and so do the layers of a vanilla
/// network, beyond all floats.
#[test]
fn vanilla_layers_shrink_beyond_all_floats() {
    fn check<T: Scalar>(tolerance: f64) {
        let halve = Activation::custom("half", |x| 0.5 * x).with_derivative(|_| 0.5);
        let of = |activation: Activation| {
            Network::<T>::new(48)
                .with_normalization(Normalization::None)
                .with_activation(activation)
        };
        let (curved, straight) = (of(Activation::Gelu), of(halve.with_homogeneity()));
        let columns = Input::gaussian(5, 3, Seed(1)).unwrap().columns() * 1e-17;
        let input = Input::from_columns(&columns).unwrap();
        let mut streamed =
            [&curved, &straight].map(|network| network.chain(&input, Seed(2)).unwrap());
        let mut explicit =
            [&curved, &straight].map(|network| network.explicit_chain(&input, Seed(2)).unwrap());
        for _ in 0..60 {
            let layers = streamed.each_mut().map(|chain| chain.advance(25).unwrap());
            agree(layers, tolerance);
            agree(explicit.each_mut().map(|chain| chain.advance(25).unwrap()), tolerance);
        }
        assert!(streamed[0].layer().log_scale() < -1000.0);

        let norms = [&curved, &straight].map(|network| {
            let gradients = network.gradients(&input, Seed(2), 1500, Top::RandomDirection);
            gradients.unwrap().map(|layer| layer.unwrap().log_norm()).last().unwrap()
        });
        assert!((norms[0] - norms[1]).abs() < 1e3 * tolerance, "{norms:?}");
    }

    fn agree([a, b]: [&Layer; 2], tolerance: f64) {
        let gap = a.orthogonality_gap() - b.orthogonality_gap();
        let scale = a.log_scale() - b.log_scale();
        assert!(gap.abs() < tolerance && scale.abs() < tolerance, "{gap:e} {scale:e}: {a:?}");
    }

    check::<f32>(1e-3);
    check::<f64>(1e-9);
}

/// Squares of large rows overflow in `f32`, and beyond 1e154 in `f64`: saturated samples are near
/// one all the same, and those beside them keep their size.
#[test]
fn saturated_and_tiny_samples_side_by_side() {
    fn ratio_and_log_scale<T: Scalar>(scale: f64, n: usize) -> (f64, f64) {
        let network =
            Network::<T>::new(4000).with_normalization(Normalization::None).with_activation(Tanh);
        let input = DMatrix::from_fn(n, n, |i, j| match (i == j, j) {
            (true, 0) => scale * (n as f64).sqrt(),
            (true, _) => 1e-3 * (n as f64).sqrt(),
            _ => 0.0,
        });
        let mut chain = network.chain(&Input::from_columns(&input).unwrap(), Seed(1)).unwrap();
        let layer = chain.step().unwrap();
        let gram = layer.gram().matrix();
        (gram[(1, 1)] / gram[(0, 0)], layer.log_scale())
    }

    for n in [2, 8] {
        for (ratio, log_scale) in [
            ratio_and_log_scale::<f32>(1e20, n),
            ratio_and_log_scale::<f64>(1e20, n),
            ratio_and_log_scale::<f64>(1e160, n),
        ] {
            // The mean square of a thousandth of a normal number, within seven standard errors.
            assert!((ratio / 1e-6 - 1.0).abs() < 0.15, "{n}: {ratio:e}");
            // One sample in n has entries of 1 and -1.
            assert!((log_scale + 0.5 * (n as f64).ln()).abs() < 1e-4, "{n}: {log_scale}");
        }
    }
}

/// Functions without a slope at zero leave the range of floats, which is an error, not a number.
#[test]
fn functions_without_a_slope_at_zero() {
    let root = Activation::custom("root", |x| x.abs().sqrt());
    let square = Activation::custom("square", |x| x * x);
    let step = |activation: &Activation, gain: f64| {
        let network = Network::<f64>::new(1000)
            .with_normalization(Normalization::None)
            .with_activation(activation.clone())
            .with_weights(Gaussian::new(gain).unwrap());
        let mut chain = network.chain(&Input::orthogonal(2).unwrap(), Seed(1)).unwrap();
        chain.step().map(Layer::log_scale)
    };
    let [near, far] = [1e-250, 1e-260].map(|gain| step(&root, gain).unwrap());
    assert!((near - far - 5.0 * 10f64.ln()).abs() < 1e-9, "{near} {far}");
    let [near, far] = [1e-60, 1e-70].map(|gain| step(&square, gain).unwrap());
    assert!((near - far - 20.0 * 10f64.ln()).abs() < 1e-9, "{near} {far}");
    for (activation, gain) in [(&root, 1e-270), (&square, 1e-160)] {
        assert!(matches!(step(activation, gain), Err(Error::ScaleOutOfRange { layer: 1, .. })));
    }
}

/// Where epsilon alone divides, a batch norm multiplies every row by the same number, whatever the
/// range of the scalar.
#[test]
fn samples_far_below_epsilon() {
    fn check<T: Scalar>(scales: [f64; 2], tolerance: f64) {
        for activation in [Activation::Identity, Activation::Relu, Activation::Tanh] {
            let network = Network::<T>::new(40)
                .with_normalization(BatchNorm::standard(1e-5).unwrap())
                .with_activation(activation);
            let [a, b] = scales.map(|scale| {
                let columns = Input::gaussian(6, 4, Seed(3)).unwrap().columns() * scale;
                let mut chain =
                    network.chain(&Input::from_columns(&columns).unwrap(), Seed(4)).unwrap();
                let layer = chain.step().unwrap();
                (layer.orthogonality_gap(), layer.log_scale() - scale.ln())
            });
            let differences = [a.0 - b.0, a.1 - b.1];
            assert!(
                differences.iter().all(|x| x.abs() < tolerance),
                "{network:?}: {differences:?}"
            );
        }
    }

    check::<f32>([1e-12, 1e-23], 1e-4);
    check::<f32>([1e-12, 1e-100], 1e-4);
    check::<f64>([1e-12, 1e-140], 1e-9);
}
