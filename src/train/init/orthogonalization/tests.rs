//! Appendix E of the paper and its counterexample; the formulas against nalgebra's decomposition.

use super::*;
use crate::metric::orthogonality_gap;
use crate::weights::WeightInit;
use crate::{Error, Purpose, Seed};
use nalgebra::dmatrix;
use proptest::prelude::*;

const VARIANTS: [Alignment; 3] = [Alignment::Samples, Alignment::Haar, Alignment::Slice];

fn fans(rows: usize, inputs: usize) -> Fans {
    Fans { inputs, outputs: rows }
}

fn batch(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
    let mut batch = DMatrix::zeros(rows, columns);
    Seed(seed).replicate(0).stream(Purpose::Input, 0, 0).fill_normal(batch.as_mut_slice());
    batch
}

/// A batch of some rank whose first singular value stands out, as after ReLU.
fn spiked(rows: usize, columns: usize, rank: usize, seed: u64) -> DMatrix<f64> {
    let mut sum = DMatrix::from_element(rows, columns, 0.7);
    for k in 1..rank {
        let part = seed + 1000 * k as u64;
        sum += batch(rows, 1, part) * batch(1, columns, part + 500) / columns as f64;
    }
    sum
}

fn weights(
    init: IterativeOrthogonalization,
    h: &DMatrix<f64>,
    rows: usize,
    seed: u64,
) -> DMatrix<f64> {
    init.weights(h, rows, fans(rows, h.nrows()), Site::new(Seed(seed), 1)).unwrap()
}

proptest! {
    /// Appendix E: the gap falls for every orthogonal V', every power and n <= d.
    #[test]
    fn the_gap_falls(
        n in 2usize..10,
        more in 0usize..6,
        inputs in 2usize..12,
        power in 0.05..1.0f64,
        seed in 0u64..1000,
    ) {
        let d = n + more;
        let h = spiked(inputs, n, n.min(inputs), seed);
        let before = orthogonality_gap(&h).unwrap();
        for init in [IterativeOrthogonalization::recommended(), IterativeOrthogonalization::printed()] {
            let init = init.with_power(power).unwrap();
            let after = orthogonality_gap(&(weights(init, &h, d, seed) * &h)).unwrap();
            let floor = (1.0 / inputs.min(n) as f64 - 1.0 / n as f64).sqrt();
            // A batch that is as orthogonal as its rank allows stays so.
            prop_assert!(after < before || before - floor < 1e-9, "{before} -> {after}");
        }
    }

    /// More samples than neurons: the gap does not grow where no singular value is dropped.
    #[test]
    fn the_gap_does_not_grow_with_large_batches(
        d in 2usize..8, times in 2usize..5, seed in 0u64..1000,
    ) {
        let h = spiked(d, d * times, d, seed);
        let values = h.clone().singular_values();
        prop_assume!(values.min() > 10.0 * principal::SMALLEST * values.max());
        let before = orthogonality_gap(&h).unwrap();
        for init in [IterativeOrthogonalization::recommended(), IterativeOrthogonalization::printed()] {
            let after = orthogonality_gap(&(weights(init, &h, d, seed) * &h)).unwrap();
            prop_assert!(after <= before + 1e-12, "{before} -> {after}");
        }
        let whole = IterativeOrthogonalization::recommended().with_power(1.0).unwrap();
        let after = orthogonality_gap(&(weights(whole, &h, d, seed) * &h)).unwrap();
        let floor = (1.0 / d as f64 - 1.0 / (d * times) as f64).sqrt();
        prop_assert!((after - floor).abs() < 1e-7, "{after} {floor}");
    }

    /// Singular values of W H are those of H to the power 1 - p, and Eq. 6 has its printed norm.
    #[test]
    fn products_have_the_singular_values_of_the_formula(
        inputs in 1usize..10,
        n in 1usize..10,
        d in 1usize..10,
        power in 0.1..1.0f64,
        seed in 0u64..1000,
    ) {
        let h = batch(inputs, n, seed);
        let naive = h.clone().svd(false, false).singular_values;
        prop_assume!(naive.min() > 1e-2 * naive.max());
        let used = naive.len().min(d);
        for alignment in [Alignment::Samples, Alignment::Haar] {
            let init = IterativeOrthogonalization::printed().with_alignment(alignment).with_power(power).unwrap();
            let w = weights(init, &h, d, seed);
            let found = (&w * &h).svd(false, false).singular_values;
            let expected = naive.rows(0, used).map(|value| value.powf(1.0 - power));
            let expected = &expected / expected.norm();
            for k in 0..used {
                prop_assert!((found[k] - expected[k]).abs() < 1e-9, "{found} {expected}");
            }
            prop_assert!((found.norm() - 1.0).abs() < 1e-12);
        }
        let half = IterativeOrthogonalization::printed();
        let printed = naive.rows(0, used).map(|value| value.powf(-0.5)).norm()
            / naive.rows(0, used).map(f64::sqrt).norm();
        prop_assert!((weights(half, &h, d, seed).norm() / printed - 1.0).abs() < 1e-9);
    }

    /// Directions outside the batch: lost when printed, kept when recommended, at its mean gain; the
    /// batch cannot tell.
    #[test]
    fn unseen_directions_pass(
        rank in 1usize..5, n in 5usize..8, inputs in 5usize..12, d in 5usize..12, seed in 0u64..1000,
    ) {
        let h = batch(inputs, rank, seed) * batch(rank, n, seed + 5000);
        prop_assume!(Principal::of(&h, 1).unwrap().values[rank - 1] > 1e-2);
        let kept = weights(IterativeOrthogonalization::recommended(), &h, d, seed);
        let blind =
            weights(IterativeOrthogonalization { blind: true, ..IterativeOrthogonalization::recommended() }, &h, d, seed);
        prop_assert!((&kept * &h - &blind * &h).amax() < 1e-7);
        let ranks = [&blind, &kept].map(|w| w.rank(1e-8 * w.norm()));
        prop_assert_eq!(ranks, [rank, inputs.min(d)]);
        let mean_square = blind.norm_squared() / rank as f64;
        let expected = mean_square * inputs.min(d) as f64;
        prop_assert!((kept.norm_squared() / expected - 1.0).abs() < 1e-7);
    }

    /// Neuron i answers to sample i: with no more samples than neurons and p = 1, W H is the
    /// identity on top of zeros.
    #[test]
    fn neurons_answer_to_samples(n in 1usize..8, more in 0usize..4, seed in 0u64..1000) {
        let h = batch(n + more, n, seed);
        prop_assume!(h.clone().svd(false, false).singular_values.min() > 1e-2);
        let d = n + 1;
        for alignment in [Alignment::Samples, Alignment::Slice] {
            let init = IterativeOrthogonalization::printed().with_alignment(alignment).with_power(1.0).unwrap();
            let product = weights(init, &h, d, seed) * &h * (n as f64).sqrt();
            prop_assert!((product - DMatrix::identity(d, n)).amax() < 1e-9);
        }
    }
}

/// H = Vᵀ with orthonormal rows: the printed slice turns 0.4082 into 0.4714, orthonormal columns
/// leave it.
#[test]
fn the_printed_slice_can_widen_the_gap() {
    let half = 0.5f64.sqrt();
    let h = dmatrix![1.0, 0.0, 0.0; 0.0, half, half];
    let gap = |alignment| {
        let init = IterativeOrthogonalization::printed().with_alignment(alignment);
        orthogonality_gap(&(weights(init, &h, 2, 1) * &h)).unwrap()
    };
    assert!((orthogonality_gap(&h).unwrap() - (1.0f64 / 6.0).sqrt()).abs() < 1e-12);
    assert!((gap(Alignment::Slice) - 2f64.sqrt() / 3.0).abs() < 1e-9);
    assert!((gap(Alignment::Samples) - (1.0f64 / 6.0).sqrt()).abs() < 1e-9);
    assert!((gap(Alignment::Haar) - (1.0f64 / 6.0).sqrt()).abs() < 1e-9);
}

#[test]
fn scales_are_those_that_are_asked_for() {
    for (inputs, n, d) in [(7, 4, 6), (5, 20, 5), (9, 20, 4)] {
        let h = spiked(inputs, n, 4, 3) * 1e-3;
        for alignment in VARIANTS {
            for (scale, norm) in [
                (Scale::Frobenius, 1.0),
                (Scale::RootMeanSquare(0.3), 0.3 * ((d * n) as f64).sqrt()),
            ] {
                let init = IterativeOrthogonalization::recommended().with_alignment(alignment);
                let w = weights(init.with_scale(scale).unwrap(), &h, d, 1);
                assert!(((w * &h).norm() / norm - 1.0).abs() < 1e-12);
            }
        }
    }
}

/// Single precision: the same weights to its own rounding.
#[test]
fn single_precision_agrees() {
    let h = spiked(12, 30, 12, 1);
    let double = weights(IterativeOrthogonalization::recommended(), &h, 12, 1);
    let single = IterativeOrthogonalization::recommended()
        .weights(&h.map(|x| x as f32), 12, fans(12, 12), Site::new(Seed(1), 1))
        .unwrap();
    let difference = single.map(f64::from) - &double;
    assert!(difference.norm() < 1e-4 * double.norm());
}

/// Only as many outputs as inputs: others are Xavier's, with the gain of ReLU.
#[test]
fn layers_that_are_not_square_can_stay_random() {
    let h = spiked(6, 18, 6, 1);
    let site = Site::new(Seed(1), 3);
    let head = IterativeOrthogonalization::authors().weights(&h, 4, fans(4, 6), site).unwrap();
    let mut xavier = DMatrix::zeros(4, 6);
    IterativeOrthogonalization::xavier().sample_to(&mut xavier, fans(4, 6), site.stream(0));
    assert_eq!(head, xavier);
    let square = IterativeOrthogonalization::authors().weights(&h, 6, fans(6, 6), site).unwrap();
    assert!(((square * &h).norm() - 1.0).abs() < 1e-12);
    // A convolution of 6 channels into 6 by windows of one pixel is square, too.
    let all = IterativeOrthogonalization::authors().with_square_only(false);
    assert!(((all.weights(&h, 4, fans(4, 6), site).unwrap() * &h).norm() - 1.0).abs() < 1e-12);
}

#[test]
fn bad_parameters_and_batches_are_refused() {
    for power in [0.0, -1.0, 1.5, f64::NAN, f64::INFINITY] {
        assert!(IterativeOrthogonalization::recommended().with_power(power).is_err());
    }
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(
            IterativeOrthogonalization::recommended()
                .with_scale(Scale::RootMeanSquare(scale))
                .is_err()
        );
    }
    let of = |h: &DMatrix<f64>| {
        let site = Site::new(Seed(1), 1);
        IterativeOrthogonalization::recommended()
            .weights(h, 3, fans(3, h.nrows()), site)
            .unwrap_err()
    };
    assert_eq!(of(&DMatrix::zeros(2, 3)), Error::ZeroMatrix { rows: 2, columns: 3 });
    assert_eq!(of(&DMatrix::zeros(0, 3)), Error::Empty { rows: 0, columns: 3 });
    assert!(matches!(of(&dmatrix![1.0, f64::NAN]), Error::NotFinite { column: 1, .. }));
    assert!(matches!(of(&(dmatrix![1.0, 2.0; 3.0, 5.0] * 1e-309)), Error::Overflow { .. }));
    let tiny = dmatrix![1e-40f32, 2e-40];
    let site = Site::new(Seed(1), 1);
    let error =
        IterativeOrthogonalization::recommended().weights(&tiny, 3, fans(3, 1), site).unwrap_err();
    assert!(matches!(error, Error::Overflow { .. }), "{error}");
}

/// A deep network with ReLU: gaps fall below Xavier's, weights become nearly orthogonal, and so the
/// backward pass keeps its scale (see the docs of [`IterativeOrthogonalization`]).
#[test]
fn deep_weights_of_the_recommended_kind_are_nearly_orthogonal() {
    use crate::activation::Activation::Relu;
    use crate::train::init::LayerwiseInit;
    let deep = |init: IterativeOrthogonalization| {
        let mut stack = LayerwiseInit::new(batch(48, 96, 1), Seed(2)).unwrap();
        for _ in 0..25 {
            stack.dense(&init, 32, &Relu).unwrap();
        }
        let values = stack.layers()[24].weights().clone().svd(false, false).singular_values;
        (stack.gap().unwrap(), values.max() / values.min(), values.norm_squared() / 32.0)
    };
    let (gap, condition, mean_square) = deep(IterativeOrthogonalization::recommended());
    assert!(gap < 0.3, "{gap}");
    assert!(condition < 2.0, "{condition}");
    assert!((mean_square - 1.0).abs() < 0.2, "{mean_square}");
    let (_, condition, mean_square) = deep(IterativeOrthogonalization::printed());
    assert!(condition > 3.0 && mean_square > 2.5, "{condition} {mean_square}");
}
