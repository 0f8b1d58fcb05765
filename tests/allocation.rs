//! A streamed layer costs no memory: after the first ones, steps allocate nothing.
//!
//! A test binary of its own, because a counting allocator serves a whole process. It counts the
//! allocations of the thread that asks.

use allocation_counter::measure;
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
