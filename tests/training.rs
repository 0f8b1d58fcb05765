//! Training, against PyTorch, differences, itself interrupted, and what is known of rounding.

use nalgebra::{DMatrix, DVector};
use orthogap::Activation::{Gelu, Relu, Tanh};
use orthogap::convolution::{Convolution, Images, Pooling};
use orthogap::normalization::{BatchNorm, Normalization, SampleNorm, TrainableBatchNorm};
use orthogap::train::{Classifier, LayerParameters, Loss, Parameters, Sgd, Trainer};
use orthogap::weights::Uniform;
use orthogap::{Error, Input, Network, Order, Purpose, Replicate, Residual, Scalar, Seed};

use crate::{golden_integers, golden_rows, number};

const GOLDEN: &str = include_str!("golden/training.csv");

/// The numbers of a line of the golden file.
fn golden(case: &str, step: usize, what: &str) -> Vec<f64> {
    let row = golden_rows(GOLDEN, 76)
        .find(|row| row[0] == case && row[1] == step.to_string() && row[2] == what);
    let row = row.unwrap_or_else(|| panic!("no {case}, {step}, {what}"));
    row[3].split(' ').map(number).collect()
}

/// Numbers of the classifier in the order of PyTorch's parameters: weights row by row, then scale
/// and shift.
fn in_order(parameters: &Parameters<f64>, convolution: Option<Convolution>) -> Vec<Vec<f64>> {
    let rows = |w: &DMatrix<f64>| w.transpose().as_slice().to_vec();
    let mut all = Vec::new();
    for LayerParameters { weights, gamma, beta } in parameters.layers() {
        all.push(match convolution {
            Some(convolution) => rows(&convolution.weights_to_oihw(weights).unwrap()),
            None => rows(weights),
        });
        if !gamma.is_empty() {
            all.extend([gamma.as_slice().to_vec(), beta.as_slice().to_vec()]);
        }
    }
    all.push(rows(parameters.head()));
    all
}

/// The parameters of a classifier as if they were a gradient.
fn parameters(classifier: &Classifier<f64>) -> Parameters<f64> {
    let layers = (0..classifier.depth()).map(|layer| {
        let norm = classifier.batch_norm(layer);
        let of = |get: fn(&TrainableBatchNorm<f64>) -> &DVector<f64>| {
            norm.map_or(DVector::zeros(0), |norm| get(norm).clone())
        };
        LayerParameters {
            weights: classifier.weights(layer).clone(),
            gamma: of(TrainableBatchNorm::gamma),
            beta: of(TrainableBatchNorm::beta),
        }
    });
    Parameters::new(layers.collect(), classifier.head().clone())
}

/// Relative to the largest number of the line: entries that cancel have the errors of their terms.
fn agree(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let size = expected.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-13 * size, "{what}: {found} not {expected}");
    }
}

/// Six steps with momentum and weight decay on the same batch.
fn check_golden(
    case: &str,
    layers: [(Network<f64>, usize); 2],
    (dimension, features): (usize, usize),
    convolution: Option<Convolution>,
) {
    let samples = golden_integers(1, dimension, 8) / 64.0;
    let labels = [0, 2, 1, 1, 0, 2, 2, 1];
    let layers = (2..).zip(layers).map(|(seed, (network, inputs))| {
        let weights = golden_integers(seed, network.width(), inputs);
        let weights = match convolution {
            Some(convolution) => convolution.weights_from_oihw(&(weights / 400.0)).unwrap(),
            None => weights / 200.0,
        };
        (network, weights)
    });
    let classifier = Classifier::new(layers, golden_integers(4, 3, features) / 200.0).unwrap();
    let sgd = Sgd::new(0.05).unwrap().with_momentum(0.9).unwrap().with_weight_decay(0.01).unwrap();
    let mut trainer = Trainer::new(classifier, sgd, Seed(1));
    for step in 0..6 {
        let loss = trainer.step(&samples, &labels).unwrap();
        agree(&[loss.mean()], &golden(case, step, "loss"), case);
        if step == 0 {
            for (index, found) in in_order(trainer.gradient(), convolution).iter().enumerate() {
                let what = format!("gradient {index}");
                agree(found, &golden(case, 0, &what), &format!("{case} {what}"));
            }
        }
    }
    let classifier = trainer.classifier();
    for (index, found) in in_order(&parameters(classifier), convolution).iter().enumerate() {
        let what = format!("parameter {index}");
        agree(found, &golden(case, 6, &what), &format!("{case} {what}"));
    }
    let norms = (0..classifier.depth()).filter_map(|layer| classifier.batch_norm(layer));
    for (index, norm) in norms.enumerate() {
        for (part, found) in [norm.running_mean(), norm.running_variance()].iter().enumerate() {
            let what = format!("running {}", 2 * index + part);
            agree(found.as_slice(), &golden(case, 6, &what), &format!("{case} {what}"));
        }
    }
    let loss = classifier.evaluate(&samples, &labels).unwrap();
    agree(&[loss.mean()], &golden(case, 6, "inference"), case);
}

#[test]
fn agrees_with_pytorch() {
    let plain = Network::<f64>::new(7).with_normalization(Normalization::None);
    let relu = plain.clone().with_activation(Relu);
    check_golden("relu", [(relu.clone(), 6), (relu, 7)], (6, 7), None);
    let tanh = plain.clone().with_activation(Tanh);
    check_golden("tanh", [(tanh.clone(), 6), (tanh.clone(), 7)], (6, 7), None);
    let norm = tanh.clone().with_normalization(BatchNorm::standard(1e-3).unwrap());
    check_golden("norm", [(norm.clone(), 6), (norm, 7)], (6, 7), None);
    let convolution = Convolution::new(3).unwrap();
    let conv = Network::<f64>::new(5)
        .with_normalization(BatchNorm::standard(1e-3).unwrap())
        .with_activation(Tanh)
        .with_convolution(convolution, Images::new(2, 4, 4).unwrap())
        .with_pooling(Pooling::average(2).unwrap());
    check_golden("conv", [(conv.clone(), 2 * 9), (conv, 5 * 9)], (32, 5), Some(convolution));
}

/// Independent normals.
fn normals<T: Scalar>(rows: usize, columns: usize, which: u32) -> DMatrix<T> {
    let mut matrix = DMatrix::zeros(rows, columns);
    Seed(21).replicate(which).stream(Purpose::User(9), 0, 0).fill_normal(matrix.as_mut_slice());
    matrix
}

/// Labels that depend on the samples.
fn labels<T: Scalar>(samples: &DMatrix<T>, classes: usize) -> Vec<usize> {
    let class = |x: f64| ((x.abs() * 3.0) as usize) % classes;
    samples.row(0).iter().map(|&x| class(x.into())).collect()
}

/// The gradient by all parameters along random lines, against extrapolated differences of the loss:
/// their error is 1e-10 or so, by the fifth derivative and by rounding. Steps are shorter where
/// maxima have kinks.
fn check_differences(layers: &[Network<f64>], dimension: usize, step: f64) {
    let classifier = Classifier::sample(layers, dimension, 3, Seed(5)).unwrap();
    let samples = normals(dimension, 6, 1);
    let labels = labels(&samples, 3);
    let (loss, gradient) = classifier.gradient(&samples, &labels).unwrap();
    let at = parameters(&classifier);
    let moved = |along: &Parameters<f64>, t: f64| {
        let to = |at: &DMatrix<f64>, along: &DMatrix<f64>| at + along * t;
        let weights = at.layers().iter().zip(along.layers());
        let pairs =
            layers.iter().cloned().zip(weights.clone().map(|(a, b)| to(&a.weights, &b.weights)));
        let mut moved = Classifier::new(pairs, to(at.head(), along.head())).unwrap();
        for (layer, (at, along)) in weights.enumerate() {
            if let Some(norm) = classifier.batch_norm(layer) {
                let mut norm = norm.clone();
                norm.gamma_mut().copy_from(&(&at.gamma + &along.gamma * t));
                norm.beta_mut().copy_from(&(&at.beta + &along.beta * t));
                moved = moved.with_batch_norm(layer, norm).unwrap();
            }
        }
        moved.gradient(&samples, &labels).unwrap().0.mean()
    };
    assert_eq!(moved(&at, 0.0), loss.mean());
    for line in 0..4 {
        let random =
            |shape: (usize, usize), k: u32| normals(shape.0, shape.1, 100 * (line + 1) + k) * 0.3;
        let layer = |(k, layer): (u32, &LayerParameters<f64>)| LayerParameters {
            weights: random(layer.weights.shape(), 3 * k),
            gamma: random(layer.gamma.shape(), 3 * k + 1)
                .column_iter()
                .next()
                .unwrap()
                .into_owned(),
            beta: random(layer.beta.shape(), 3 * k + 2).column_iter().next().unwrap().into_owned(),
        };
        let along = Parameters::new(
            (0..).zip(at.layers()).map(layer).collect(),
            random(at.head().shape(), 99),
        );
        let found: f64 = gradient.head().dot(along.head())
            + gradient
                .layers()
                .iter()
                .zip(along.layers())
                .map(|(g, a)| {
                    g.weights.dot(&a.weights) + g.gamma.dot(&a.gamma) + g.beta.dot(&a.beta)
                })
                .sum::<f64>();
        let difference = |t: f64| (moved(&along, t) - moved(&along, -t)) / (2.0 * t);
        let expected = (4.0 * difference(step) - difference(2.0 * step)) / 3.0;
        assert!((found / expected - 1.0).abs() < 1e-7, "{layers:?}: {found} not {expected}");
    }
}

#[test]
fn gradients_agree_with_differences() {
    let norm = BatchNorm::standard(0.1).unwrap();
    let dense =
        Network::<f64>::new(6).with_normalization(Normalization::None).with_activation(Gelu);
    let orders =
        [Order::LinearNormActivation, Order::ActivationLinearNorm, Order::NormActivationLinear];
    for order in orders {
        for network in [dense.clone(), dense.clone().with_normalization(norm)] {
            let network = network.clone().with_order(order);
            check_differences(&vec![network.clone(); 3], 5, 1e-4);
            let residual = network.with_residual(Residual::new(0.7).unwrap());
            check_differences(&vec![residual; 3], 6, 1e-4);
        }
        let residual = Residual::new(0.7).unwrap().with_post_norm();
        let post = dense.clone().with_normalization(norm).with_order(order).with_residual(residual);
        check_differences(&vec![post; 3], 5, 1e-4);
    }
    let layer_norm = dense.clone().with_normalization(SampleNorm::layer(0.1).unwrap());
    check_differences(&vec![layer_norm; 3], 5, 1e-4);
    // Two convolutions, one of them pooled, and dense layers on top.
    let images = Images::new(2, 4, 4).unwrap();
    for order in orders {
        for normalization in [Normalization::None, norm.into()] {
            let dense = dense.clone().with_normalization(normalization).with_order(order);
            let first = dense.clone().with_convolution(Convolution::new(3).unwrap(), images);
            let second = first.clone().with_pooling(Pooling::max(2).unwrap());
            check_differences(&[first, second, dense.clone(), dense], images.len(), 1e-6);
        }
    }
}

/// A small deep network on normal samples.
fn trainer<T: Scalar>(normalization: Normalization, rate: f64) -> (Trainer<T>, DMatrix<T>) {
    let layer = Network::<T>::new(24)
        .with_normalization(normalization)
        .with_activation(Relu)
        .with_weights(Uniform::he());
    let classifier = Classifier::sample(&vec![layer; 6], 10, 4, Seed(7)).unwrap();
    let sgd = Sgd::new(rate).unwrap().with_momentum(0.8).unwrap().with_weight_decay(1e-3).unwrap();
    (Trainer::new(classifier, sgd, Seed(8)), normals(10, 50, 3))
}

fn bits<T: Scalar>(classifier: &Classifier<T>) -> Vec<u64> {
    let mut numbers: Vec<T> = classifier.head().as_slice().to_vec();
    for layer in 0..classifier.depth() {
        numbers.extend(classifier.weights(layer).iter());
        if let Some(norm) = classifier.batch_norm(layer) {
            for part in [norm.gamma(), norm.beta(), norm.running_mean(), norm.running_variance()] {
                numbers.extend(part.iter());
            }
        }
    }
    numbers.into_iter().map(|x| -> u64 { Into::<f64>::into(x).to_bits() }).collect()
}

fn normalizations() -> [Normalization; 2] {
    [Normalization::None, BatchNorm::standard(1e-3).unwrap().into()]
}

/// Training that diverges stops at a step that is not taken: everything is finite and as it was after
/// the last good step, and a smaller rate goes on from there.
fn divergence_keeps_the_last_good_step<T: Scalar>(normalization: Normalization, rate: f64) {
    let (mut trainer, samples) = trainer::<T>(normalization, rate);
    let labels = labels(&samples, 4);
    let (mut before, mut velocity) = (bits(trainer.classifier()), trainer.velocity().clone());
    let error = loop {
        assert!(trainer.progress().steps < 10_000, "{normalization:?} does not diverge");
        match trainer.step(&samples, &labels) {
            Ok(_) => {
                (before, velocity) = (bits(trainer.classifier()), trainer.velocity().clone());
                assert!(before.iter().all(|&bits| f64::from_bits(bits).is_finite()));
            }
            Err(error) => break error,
        }
    };
    let step = trainer.progress().steps;
    assert!(matches!(error, Error::Diverged { step: at, .. } if at == step), "{error}");
    assert_eq!(bits(trainer.classifier()), before);
    assert_eq!(trainer.velocity(), &velocity);
    // What was kept can be resumed.
    let (classifier, progress) = (trainer.classifier().clone(), trainer.progress());
    let again = Trainer::resume(classifier, trainer.optimizer(), Seed(8), velocity, progress);
    let again = again.unwrap().step(&samples, &labels).unwrap_err();
    assert_eq!(again.to_string(), error.to_string()); // a loss of NaN equals none
}

#[test]
fn diverged_training_keeps_the_last_good_step() {
    for normalization in normalizations() {
        divergence_keeps_the_last_good_step::<f32>(normalization, 1e35);
        divergence_keeps_the_last_good_step::<f64>(normalization, 1e307);
    }
    divergence_keeps_the_last_good_step::<f64>(Normalization::None, 10.0);
}

/// A gradient that is finite, with new weights that are not: nothing of the step is taken, not the
/// running statistics either.
#[test]
fn new_weights_are_looked_at_before_the_step() {
    let norm = BatchNorm::standard(1e-3).unwrap();
    let layer = Network::<f64>::new(3).with_normalization(norm).with_activation(Tanh);
    let classifier = Classifier::sample(&vec![layer; 2], 4, 2, Seed(1)).unwrap();
    let mut trainer = Trainer::new(classifier, Sgd::new(1e-3).unwrap(), Seed(2));
    let (samples, labels) = (normals::<f64>(4, 6, 3), [0, 1, 0, 1, 1, 0]);
    trainer.step(&samples, &labels).unwrap();
    let before = trainer.classifier().batch_norm(0).unwrap().clone();
    let (weights, velocity) = (trainer.classifier().weights(0).clone(), trainer.velocity().clone());
    let sgd = Sgd::new(1.7e308).unwrap().with_weight_decay(1.7e308).unwrap();
    trainer.set_optimizer(sgd);
    let error = trainer.step(&samples, &labels).unwrap_err();
    let Error::Diverged { step: 1, loss } = error else { panic!("{error}") };
    assert!(loss.is_finite());
    assert_eq!(trainer.classifier().batch_norm(0), Some(&before));
    assert_eq!(trainer.classifier().weights(0), &weights);
    assert_eq!(trainer.velocity(), &velocity);
}

#[test]
fn rates_that_are_infinite_in_the_arithmetic_are_refused() {
    let (mut trainer, samples) = trainer::<f32>(Normalization::None, 0.02);
    let labels = labels(&samples, 4);
    let sgd = trainer.optimizer();
    for (bad, expected) in [
        (sgd.with_learning_rate(1e39).unwrap(), "learning rate"),
        (sgd.with_weight_decay(1e39).unwrap(), "weight decay"),
    ] {
        trainer.set_optimizer(bad);
        let refused = |error| match error {
            Error::InvalidParameter { name, value, .. } => (name, value) == (expected, 1e39),
            _ => false,
        };
        assert!(refused(trainer.step(&samples, &labels).unwrap_err()));
        assert!(refused(trainer.epoch(&samples, &labels, 10).unwrap_err()));
    }
    assert_eq!(trainer.progress().steps, 0);
}

/// Saved and resumed through its public parts, the last batch of each epoch smaller.
#[test]
fn resumed_training_is_uninterrupted_training() {
    fn check<T: Scalar>(normalization: Normalization) {
        let (mut whole, samples) = trainer::<T>(normalization, 0.02);
        let labels = labels(&samples, 4);
        for _ in 0..2 {
            whole.epoch(&samples, &labels, 16).unwrap();
        }
        let saved = whole.classifier();
        let layer = Network::<T>::new(24).with_normalization(normalization).with_activation(Relu);
        let layers = (0..saved.depth()).map(|l| (layer.clone(), saved.weights(l).clone()));
        let mut parts = Classifier::new(layers, saved.head().clone()).unwrap();
        for l in 0..saved.depth() {
            if let Some(norm) = saved.batch_norm(l) {
                let (mean, variance) =
                    (norm.running_mean().clone(), norm.running_variance().clone());
                let mut restored =
                    TrainableBatchNorm::new(norm.width(), norm.epsilon(), norm.momentum())
                        .unwrap()
                        .with_running_statistics(mean, variance)
                        .unwrap();
                restored.gamma_mut().copy_from(norm.gamma());
                restored.beta_mut().copy_from(norm.beta());
                parts = parts.with_batch_norm(l, restored).unwrap();
            }
        }
        let (sgd, velocity) = (whole.optimizer(), whole.velocity().clone());
        let mut resumed = Trainer::resume(parts, sgd, Seed(8), velocity, whole.progress()).unwrap();
        for _ in 0..3 {
            let epochs =
                [&mut whole, &mut resumed].map(|t| t.epoch(&samples, &labels, 16).unwrap());
            assert_eq!(epochs[0], epochs[1]);
        }
        assert_eq!(bits(whole.classifier()), bits(resumed.classifier()));
        assert_eq!((whole.progress().epochs, whole.progress().steps), (5, 20));
        let other: Replicate = Seed(9).into();
        let mut other = Trainer::new(whole.classifier().clone(), sgd, other);
        let epochs = [&mut whole, &mut other].map(|t| t.epoch(&samples, &labels, 16).unwrap());
        assert_ne!(epochs[0].loss, epochs[1].loss); // another order
    }
    for normalization in normalizations() {
        check::<f32>(normalization);
        check::<f64>(normalization);
    }
}

/// A step as small as this lowers the loss of its batch by nearly its length times the square of the
/// gradient, as the derivative says.
#[test]
fn small_steps_lower_the_loss() {
    for normalization in normalizations() {
        let (trainer, samples) = trainer::<f64>(normalization, 0.0);
        let labels = labels(&samples, 4);
        let rate = 1e-5;
        let mut trainer = Trainer::new(trainer.into_classifier(), Sgd::new(rate).unwrap(), Seed(1));
        let before = trainer.step(&samples, &labels).unwrap().mean();
        let gradient = trainer.gradient();
        let of_layer = |layer: &LayerParameters<f64>| {
            layer.weights.norm_squared() + layer.gamma.norm_squared() + layer.beta.norm_squared()
        };
        let square =
            gradient.head().norm_squared() + gradient.layers().iter().map(of_layer).sum::<f64>();
        let after = trainer.step(&samples, &labels).unwrap().mean();
        let fall = (before - after) / (rate * square);
        assert!((fall - 1.0).abs() < 0.01, "{fall}");
    }
}

/// The same bits on 1, 2 and 5 threads; products are large enough to be shared.
#[cfg(feature = "rayon")]
#[test]
fn threads_change_no_bits() {
    fn train<T: Scalar>(threads: usize) -> Vec<u64> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let layer = Network::<T>::new(160)
                .with_normalization(BatchNorm::standard(1e-3).unwrap())
                .with_activation(Relu);
            let classifier = Classifier::sample(&vec![layer; 3], 96, 4, Seed(7)).unwrap();
            let samples = normals(96, 150, 3);
            let mut trainer = Trainer::new(classifier, Sgd::new(0.1).unwrap(), Seed(1));
            trainer.epoch(&samples, &labels(&samples, 4), 90).unwrap();
            bits(trainer.classifier())
        })
    }
    assert_eq!(train::<f32>(1), train::<f32>(2));
    assert_eq!(train::<f64>(1), train::<f64>(5));
}

/// Deep batch normalisation in `f32` is flagged, the same in `f64` is not, nor is what is shallow or
/// plain. All seeds are fixed; errors are at least four times away from the threshold.
#[test]
fn gradients_that_cannot_be_trusted_are_told() {
    fn trusted<T: Scalar>(depth: usize, batch: usize, normalization: Normalization) -> bool {
        let layer = Network::<T>::new(100)
            .with_normalization(normalization)
            .with_activation(Relu)
            .with_weights(Uniform::xavier().with_gain(2f64.sqrt()).unwrap());
        let classifier = Classifier::sample(&vec![layer; depth], 64, 10, Seed(3)).unwrap();
        let samples = normals::<f64>(64, batch, 5).map(T::of);
        let labels = labels(&samples, 10);
        let error = classifier.gradient_error(&samples, &labels, Seed(4)).unwrap();
        assert_eq!(error.relative().len(), depth + 1);
        println!("{depth} {batch} {normalization:?}: {}", error.largest());
        error.is_trusted()
    }
    let norm = BatchNorm::standard(1e-5).unwrap().into();
    assert!(!trusted::<f32>(30, 4, norm) && !trusted::<f32>(40, 16, norm));
    assert!(trusted::<f64>(30, 4, norm) && trusted::<f64>(40, 16, norm));
    assert!(!trusted::<f64>(90, 4, norm));
    assert!(trusted::<f32>(15, 16, norm));
    assert!(
        trusted::<f32>(15, 16, Normalization::None) && trusted::<f32>(30, 4, Normalization::None)
    );
}

#[test]
fn failures_are_typed_and_change_nothing() {
    let (mut trainer, samples) = trainer::<f64>(Normalization::None, 0.02);
    let good = labels(&samples, 4);
    trainer.step(&samples, &good).unwrap();
    let before = bits(trainer.classifier());
    let mut bad = good.clone();
    bad[17] = 4;
    let expected = Error::LabelOutOfRange { sample: 17, label: 4, classes: 4 };
    assert_eq!(trainer.step(&samples, &bad), Err(expected.clone()));
    assert_eq!(trainer.epoch(&samples, &bad, 10), Err(expected.clone()));
    assert_eq!(trainer.classifier().evaluate(&samples, &bad), Err(expected));
    let shape = |result| matches!(result, Err(Error::ShapeMismatch { .. }));
    assert!(shape(trainer.step(&samples, &good[1..])));
    assert!(shape(trainer.step(&samples.rows(0, 9).into_owned(), &good)));
    let empty = DMatrix::zeros(10, 0);
    assert!(matches!(trainer.step(&empty, &[]), Err(Error::Empty { rows: 10, columns: 0 })));
    assert!(matches!(
        trainer.epoch(&samples, &good, 0),
        Err(Error::InvalidParameter { name: "batch size", .. })
    ));
    let mut nan = samples.clone();
    nan[(2, 3)] = f64::NAN;
    assert!(matches!(trainer.step(&nan, &good), Err(Error::NotFinite { row: 2, column: 3, .. })));
    // Logits beyond the range of floating point: the step, the second, is not taken.
    let error = trainer.step(&(&samples * 1e307), &good).unwrap_err();
    assert!(matches!(error, Error::Diverged { step: 1, .. }), "{error}");
    assert_eq!(bits(trainer.classifier()), before);
    assert_eq!(trainer.progress().steps, 1);
    trainer.step(&samples, &good).unwrap();

    let plain = Network::<f64>::new(3).with_activation(Relu);
    let weights = |rows, columns| DMatrix::from_element(rows, columns, 0.1);
    let paper = Classifier::new([(plain.clone(), weights(3, 2))], weights(2, 3)).unwrap_err();
    assert!(matches!(paper, Error::Unsupported { .. }), "{paper}");
    let plain = plain.with_normalization(Normalization::None);
    let chained = [(plain.clone(), weights(3, 2)), (plain.clone(), weights(3, 2))];
    assert!(matches!(Classifier::new(chained, weights(2, 3)), Err(Error::ShapeMismatch { .. })));
    assert!(Classifier::new([(plain.clone(), weights(3, 2))], weights(2, 4)).is_err());
    let classifier = Classifier::new([(plain.clone(), weights(3, 2))], weights(2, 3)).unwrap();
    assert!(
        classifier
            .clone()
            .with_batch_norm(0, TrainableBatchNorm::new(3, 0.0, 0.1).unwrap())
            .is_err()
    );
    let _: Loss = classifier.evaluate(&weights(2, 5), &[0; 5]).unwrap();
}

/// A gradient whose squares overflow is a number all the same: the step is taken.
#[test]
fn large_gradients_are_no_divergence() {
    let layer = Network::<f64>::new(4).with_normalization(Normalization::None);
    let classifier = Classifier::sample(&[layer], 6, 2, Seed(1)).unwrap();
    let samples = Input::gaussian(6, 6, Seed(2)).unwrap().columns() * 1e160;
    let mut trainer = Trainer::new(classifier, Sgd::new(0.1).unwrap(), Seed(3));
    let loss = trainer.step(&samples, &[0, 1, 0, 1, 0, 1]).unwrap();
    assert!(loss.mean() > 1e155 && loss.mean().is_finite());
    for (norm, gradient) in trainer
        .gradient_norms()
        .iter()
        .zip([trainer.gradient().layers()[0].weights.clone(), trainer.gradient().head().clone()])
    {
        let expected = 1e160 * (gradient / 1e160).norm();
        assert!(expected > 1e155 && (norm / expected - 1.0).abs() < 1e-14);
    }
}
