//! After the first ones, steps allocate nothing: neither those of a streamed chain nor those of
//! training.
//!
//! A test binary of its own, because a counting allocator serves a whole process. It counts the
//! allocations of the thread that asks.

use allocation_counter::measure;
use orthogap::Activation::Relu;
use orthogap::normalization::{BatchNorm, Normalization};
use orthogap::train::{Classifier, Sgd, Trainer};
use orthogap::{Input, Network, Scalar, Seed};

fn steps_allocate_nothing<T: Scalar>() {
    for (width, batch_size) in [(64, 4), (512, 16), (1000, 40)] {
        let input = Input::near_collinear(batch_size, 1e-3).unwrap();
        let mut chain = Network::<T>::new(width).chain(&input, Seed(6)).unwrap();
        chain.advance(2).unwrap();
        let seen = measure(|| {
            for _ in 0..20 {
                chain.step().unwrap();
            }
        });
        assert_eq!(seen.count_total, 0, "{width} x {batch_size}: {seen:?}");
        assert_eq!(chain.layer().rank(), batch_size);
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

/// What the others find missing is what is counted here.
#[test]
fn the_counter_counts() {
    let chain = Network::<f64>::new(64).chain(&Input::orthogonal(4).unwrap(), Seed(6)).unwrap();
    assert!(measure(|| drop(chain.clone())).count_total > 0);
}
