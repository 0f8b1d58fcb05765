//! After the first ones, steps allocate nothing: neither those of a streamed chain nor those of
//! training, nor normalisations of a matrix.
//!
//! A test binary of its own, because a counting allocator serves a whole process. It counts the
//! allocations of the thread that asks.

use allocation_counter::measure;
use orthogap::Activation::Relu;
use orthogap::backward::Top;
use orthogap::convolution::{Convolution, Images, Pooling};
use orthogap::normalization::{BatchNorm, Normalization, SampleNorm, TrainableBatchNorm};
use orthogap::train::{Classifier, Sgd, Trainer};
use orthogap::wasserstein::{Directions, Gaussian, Sample};
use orthogap::{Input, Network, Order, Scalar, Seed};

fn steps_allocate_nothing<T: Scalar>() {
    for (width, batch_size) in [(64, 4), (512, 16), (1000, 40)] {
        let input = Input::near_collinear(batch_size, 1e-3).unwrap();
        let linear = Network::<T>::new(width);
        let rectified = linear.clone().with_activation(Relu);
        let other = rectified.clone().with_order(Order::ActivationLinearNorm);
        for network in [linear, rectified, other] {
            let mut chain = network.chain(&input, Seed(6)).unwrap();
            chain.advance(2).unwrap();
            let seen = measure(|| {
                for _ in 0..20 {
                    chain.step().unwrap();
                }
            });
            assert_eq!(seen.count_total, 0, "{network:?}, {batch_size} samples: {seen:?}");
            assert_eq!(chain.layer().rank(), batch_size);
        }
    }
}

fn training_allocates_nothing<T: Scalar>(normalization: Normalization) {
    let layer = Network::<T>::new(24).with_normalization(normalization).with_activation(Relu);
    let classifier = Classifier::sample(&vec![layer; 5], 30, 3, Seed(1)).unwrap();
    let sgd = Sgd::new(0.01).unwrap().with_momentum(0.9).unwrap();
    let mut trainer = Trainer::new(classifier, sgd, Seed(2));
    let samples = Input::gaussian(30, 12, Seed(3)).unwrap().columns().map(T::of);
    let labels: Vec<usize> = (0..12).map(|sample| sample % 3).collect();
    trainer.step(&samples, &labels).unwrap();
    let seen = measure(|| {
        for _ in 0..5 {
            trainer.step(&samples, &labels).unwrap();
        }
    });
    assert_eq!(seen.count_total, 0, "{normalization:?}: {seen:?}");
}

/// The same of convolutions with padding, of poolings, and of a dense layer after them.
fn training_on_images_allocates_nothing<T: Scalar>(pooling: fn() -> Pooling) {
    let shape = Images::new(2, 6, 6).unwrap();
    let convolution = Convolution::new(3).unwrap();
    let standard = BatchNorm::standard(1e-5).unwrap();
    let layer = |width| Network::<T>::new(width).with_normalization(standard).with_activation(Relu);
    let images = layer(5).with_convolution(convolution, shape);
    let pooled = images.clone().with_pooling(pooling());
    let classifier =
        Classifier::sample(&[images, pooled, layer(7)], shape.len(), 3, Seed(1)).unwrap();
    let mut trainer = Trainer::new(classifier, Sgd::new(0.01).unwrap(), Seed(2));
    let samples = Input::gaussian(shape.len(), 12, Seed(3)).unwrap().columns().map(T::of);
    let labels: Vec<usize> = (0..12).map(|sample| sample % 3).collect();
    trainer.step(&samples, &labels).unwrap();
    let seen = measure(|| {
        for _ in 0..5 {
            trainer.step(&samples, &labels).unwrap();
        }
    });
    assert_eq!(seen.count_total, 0, "{seen:?}");
}

#[test]
fn steps_of_training_on_images() {
    training_on_images_allocates_nothing::<f64>(|| Pooling::max(2).unwrap());
    training_on_images_allocates_nothing::<f32>(|| Pooling::max(4).unwrap());
    training_on_images_allocates_nothing::<f32>(|| Pooling::average(2).unwrap());
    training_on_images_allocates_nothing::<f64>(Pooling::global_average);
}

#[test]
fn steps_of_training() {
    for norm in [Normalization::None, BatchNorm::standard(1e-5).unwrap().into()] {
        training_allocates_nothing::<f64>(norm);
        training_allocates_nothing::<f32>(norm);
    }
}

#[test]
fn double_precision() {
    steps_allocate_nothing::<f64>();
}

#[test]
fn single_precision() {
    steps_allocate_nothing::<f32>();
}

/// Into a matrix or in place, of whole matrices and of parts.
fn normalizations_allocate_nothing<T: Scalar>() {
    let standard = BatchNorm::standard(1e-5).unwrap();
    for (d, n) in [(70, 5), (600, 40), (20, 5000)] {
        let h = Input::gaussian(d.max(n), d.min(n), Seed(6)).unwrap().columns().map(T::of);
        let finite = if d < n { h.transpose() } else { h };
        let mut infinite = finite.clone();
        infinite[(3, 1)] = T::of(f64::INFINITY);
        // Errors allocate nothing either.
        for h in [&finite, &infinite] {
            let (mut output, mut gradient) = (h.clone(), h.map(|_| T::of(0.5)));
            let mut layer = TrainableBatchNorm::<T>::new(d, 1e-5, 0.1).unwrap();
            let mut every = || {
                let (rows, mut part) = (h.rows(1, 17), output.rows_mut(0, 17));
                let of_rows = standard.normalize_to(&rows, &mut part);
                let paper = BatchNorm::paper().normalize_to(h, &mut output);
                output.copy_from(h);
                let in_place = standard.normalize_mut(&mut output);
                let pullback = standard.pullback_mut(h, &mut gradient);
                gradient.fill(T::of(0.5));
                let trained = layer.train_to(h, &mut output);
                output.copy_from(h);
                let trained_in_place = layer.train_mut(&mut output);
                let remembered = layer.remember(h);
                let inferred = layer.infer_to(h, &mut output);
                output.copy_from(h);
                let inferred_in_place = layer.infer_mut(&mut output);
                for result in [
                    of_rows,
                    paper,
                    in_place,
                    pullback,
                    trained,
                    trained_in_place,
                    remembered,
                    inferred,
                    inferred_in_place,
                ] {
                    assert_eq!(result.is_ok(), std::ptr::eq(h, &finite));
                }
            };
            every();
            let seen = measure(every);
            assert_eq!(seen.count_total, 0, "{d} x {n}: {seen:?}");
        }
        let (mut output, mut gradient) = (finite.clone(), finite.map(|_| T::of(0.5)));
        let mut every = || {
            let norm = SampleNorm::layer(1e-5).unwrap();
            gradient.copy_from(&finite);
            norm.pullback_mut(&finite.columns(2, n - 2), &mut gradient.columns_mut(2, n - 2))
                .unwrap();
            norm.normalize_mut(&mut output.columns_mut(2, n - 2)).unwrap();
            norm.normalize_to(&finite.columns(2, n - 2), &mut output.columns_mut(2, n - 2))
                .unwrap();
        };
        every();
        let seen = measure(every);
        assert_eq!(seen.count_total, 0, "{d} x {n}: {seen:?}");
    }
}

#[test]
fn normalizations() {
    normalizations_allocate_nothing::<f64>();
    normalizations_allocate_nothing::<f32>();
}

/// A streamed reverse pass holds less than one column of a wide layer, 8 MB.
#[test]
fn gradients_hold_no_layer() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let input = Input::orthogonal(3).unwrap();
    for order in [Order::LinearNormActivation, Order::ActivationLinearNorm] {
        let network = Network::<f64>::new(1_000_000).with_activation(Relu).with_order(order);
        let seen = pool.install(|| {
            measure(|| {
                let gradients = network.gradients(&input, Seed(1), 2, Top::default()).unwrap();
                assert!(gradients.into_iter().all(|layer| layer.is_ok()));
            })
        });
        assert!(seen.bytes_max < 8_000_000, "{seen:?}");
    }
}

/// What the others find missing is what is counted here.
#[test]
fn the_counter_counts() {
    let chain = Network::<f64>::new(64).chain(&Input::orthogonal(4).unwrap(), Seed(6)).unwrap();
    assert!(measure(|| drop(chain.clone())).count_total > 0);
}

/// One of 16 shares of a sliced distance holds few of its 33 projections of many samples at once, 17
/// here; besides there are 16 N potentials, and a few more N to sort.
#[test]
fn sliced_distances_hold_few_projections() {
    let count = 1 << 17;
    let law = Gaussian::isotropic(2, 1.0).unwrap();
    let sample = Sample::from_rows(&law.sample(count, Seed(1), 0)).unwrap();
    let directions = Directions::random(2, 16 * 33, Seed(2)).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let seen = pool.install(|| measure(|| _ = sample.sliced(&law, &directions).unwrap()));
    assert!(seen.bytes_max < 48 * 8 * count as u64, "{seen:?}");
}
