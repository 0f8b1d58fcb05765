//! Strategies for property tests of conjectures: representations, Gram matrices, spectra, inputs and
//! networks (feature `proptest`).
//!
//! ```
//! use orthogap::metric::gap_floor;
//! use orthogap::proptest::{proptest::prelude::*, representations};
//! use orthogap::Gram;
//!
//! proptest!(ProptestConfig::with_cases(64), |(h in representations(1..=8, 1..=6))| {
//!     let gram = Gram::from_columns(&h).unwrap();
//!     let floor = gap_floor(gram.rank(), gram.batch_size()).unwrap();
//!     prop_assert!(gram.orthogonality_gap() >= floor - 1e-15);
//! });
//! ```
//!
//! Matrices are `d x n`, samples are columns, and hold at most 2^40 numbers. Shapes shrink.
//! Entries are normals of a seed, which does not shrink.

use std::ops::RangeInclusive;

/// The crate that runs these strategies.
pub use ::proptest;
use ::proptest::prelude::*;
use nalgebra::DMatrix;

use crate::check;
use crate::normalization::{BatchNorm, Centering, Normalization, RowScale, SampleNorm};
use crate::weights::{Gaussian, Haar, Spherical, Uniform, Weights};
use crate::{Activation, Gram, Input, Network, Order, Residual, Seed, Stream};

/// Why a shape is passed over.
const IN_MEMORY: &str = "more than 2^40 numbers in a matrix";

/// Whether a matrix fits memory.
fn fits(rows: usize, columns: usize) -> bool {
    check::size("d x n", (rows, columns)).is_ok()
}

/// Generates representations of every kind: [`generic`], [`nearly_collinear`], [`graded`] and
/// [`rank_deficient`].
pub fn representations(
    d: RangeInclusive<usize>,
    n: RangeInclusive<usize>,
) -> impl Strategy<Value = DMatrix<f64>> {
    prop_oneof![
        generic(d.clone(), n.clone()),
        nearly_collinear(d.clone(), n.clone()),
        graded(d.clone(), n.clone()),
        rank_deficient(d, n),
    ]
}

/// Generates matrices of independent standard normals.
pub fn generic(
    d: RangeInclusive<usize>,
    n: RangeInclusive<usize>,
) -> impl Strategy<Value = DMatrix<f64>> {
    let parts = (d, n, any::<u64>()).prop_filter(IN_MEMORY, |&(d, n, _)| fits(d, n));
    parts.prop_map(|(d, n, seed)| normals(d, n, seed))
}

/// Generates one random sample and others that differ from it by a share of 1e-1 to 1e-9 of its length.
pub fn nearly_collinear(
    d: RangeInclusive<usize>,
    n: RangeInclusive<usize>,
) -> impl Strategy<Value = DMatrix<f64>> {
    let parts = (d, n, any::<u64>(), -9i32..=-1);
    let parts = parts.prop_filter(IN_MEMORY, |&(d, n, ..)| fits(d, n));
    parts.prop_map(|(d, n, seed, log_share)| {
        let mut h = normals(d, n, seed);
        let Some(first) = h.column_iter().next().map(|first| first.into_owned()) else {
            return h;
        };
        let difference = first.norm() * 10f64.powi(log_share);
        for mut sample in h.column_iter_mut().skip(1) {
            let length = sample.norm();
            sample.zip_apply(&first, |x, first| *x = first + *x / length * difference);
        }
        h
    })
}

/// Generates independent samples whose lengths differ by up to twelve orders of magnitude.
pub fn graded(
    d: RangeInclusive<usize>,
    n: RangeInclusive<usize>,
) -> impl Strategy<Value = DMatrix<f64>> {
    n.prop_flat_map(move |n| (d.clone(), prop::collection::vec(-12i32..=0, n), any::<u64>()))
        .prop_filter(IN_MEMORY, |(d, log_sizes, _)| fits(*d, log_sizes.len()))
        .prop_map(|(d, log_sizes, seed)| {
            let mut h = normals(d, log_sizes.len(), seed);
            for (mut sample, log_size) in h.column_iter_mut().zip(log_sizes) {
                sample *= 10f64.powi(log_size);
            }
            h
        })
}

/// Generates samples in a random subspace of fewer dimensions than samples; a single sample is
/// generic.
pub fn rank_deficient(
    d: RangeInclusive<usize>,
    n: RangeInclusive<usize>,
) -> impl Strategy<Value = DMatrix<f64>> {
    let parts = (d, n, any::<u64>(), any::<prop::sample::Index>());
    let parts = parts.prop_filter(IN_MEMORY, |&(d, n, ..)| fits(d, n));
    parts.prop_map(|(d, n, seed, index)| {
        let most = d.min(n.max(2) - 1);
        let rank = if most == 0 { 0 } else { 1 + index.index(most) };
        normals(d, rank, seed) * normals(rank, n, !seed)
    })
}

/// Generates Gram matrices of batches of `n` samples, of every kind of [`representations`].
pub fn gram_matrices(n: RangeInclusive<usize>) -> impl Strategy<Value = Gram> {
    let d = *n.start()..=2 * *n.end();
    representations(d, n).prop_filter_map("zero", |h| Gram::from_columns(&h).ok())
}

/// Generates spectra of normalised Gram matrices: `n` positive eigenvalues in descending order,
/// whose sum is one, with ratios up to 1e12.
pub fn spectra(n: RangeInclusive<usize>) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-12.0..0.0f64, n).prop_map(|logarithms| {
        let mut eigenvalues: Vec<f64> = logarithms.iter().map(|log| 10f64.powf(*log)).collect();
        eigenvalues.sort_by(|a, b| b.total_cmp(a));
        let trace: f64 = eigenvalues.iter().sum();
        eigenvalues.iter().map(|eigenvalue| eigenvalue / trace).collect()
    })
}

/// Generates batches of `n` linearly independent samples: generic, nearly collinear or graded, in
/// `n` to `2 n` dimensions.
pub fn inputs(n: RangeInclusive<usize>) -> impl Strategy<Value = Input> {
    n.prop_flat_map(|n| {
        let (d, n) = (n..=2 * n, n..=n);
        let graded = graded(d.clone(), n.clone());
        prop_oneof![generic(d.clone(), n.clone()), nearly_collinear(d, n), graded]
    })
    .prop_filter_map("dependent", |h| Input::from_columns(&h).ok())
}

/// Generates networks of dense layers of every kind: activations, weights, normalisations, orders
/// and residual connections.
pub fn networks(width: RangeInclusive<usize>) -> impl Strategy<Value = Network<f64>> {
    let order = prop::sample::select(vec![
        Order::LinearNormActivation,
        Order::ActivationLinearNorm,
        Order::NormActivationLinear,
    ]);
    let residual =
        prop::option::of((-1.0..1.0f64, any::<bool>()).prop_map(|(weight, post_norm)| {
            let residual = Residual::new(weight).expect("the weight is finite");
            if post_norm { residual.with_post_norm() } else { residual }
        }));
    (width, activations(), weights(), normalizations(), order, residual).prop_map(
        |(width, activation, weights, normalization, order, residual)| {
            let network = Network::new(width)
                .with_activation(activation)
                .with_weights(weights)
                .with_normalization(normalization)
                .with_order(order);
            match residual {
                Some(residual) => network.with_residual(residual),
                None => network,
            }
        },
    )
}

/// Generates activations of this crate.
pub fn activations() -> impl Strategy<Value = Activation> {
    use Activation::*;
    let slopes = (-1.0..1.0f64).prop_map(|slope| LeakyRelu { slope });
    let known = [Identity, Relu, Tanh, ShiftedTanh, Logistic, Silu, Erf, Gelu, Elu, Sin];
    prop_oneof![4 => prop::sample::select(known.to_vec()), 1 => slopes]
}

/// Generates laws of weights of this crate, with gains from 1/2 to 2.
pub fn weights() -> impl Strategy<Value = Weights> {
    (0.5..2.0f64).prop_flat_map(|gain| {
        let law = |law: crate::Result<Weights>| law.expect("the gain is positive");
        prop::sample::select(vec![
            law(Gaussian::new(gain).map(Into::into)),
            law(Gaussian::xavier().with_gain(gain).map(Into::into)),
            law(Uniform::he().with_gain(gain).map(Into::into)),
            law(Haar::new(gain).map(Into::into)),
            law(Spherical::new(gain).map(Into::into)),
        ])
    })
}

/// Generates normalisations. Batch norms that centre, and norms of samples, have an epsilon of
/// 1e-3, since a rectifier can make features constant.
pub fn normalizations() -> impl Strategy<Value = Normalization> {
    const EPSILON: f64 = 1e-3;
    let positive = "the epsilon is positive";
    prop::sample::select(vec![
        Normalization::None,
        Normalization::MeanOnly,
        BatchNorm::paper().into(),
        BatchNorm::paper().with_row_scale(RowScale::UnitRms).into(),
        BatchNorm::paper()
            .with_centering(Centering::Batch)
            .with_epsilon(EPSILON)
            .expect(positive)
            .into(),
        BatchNorm::standard(EPSILON).expect(positive).into(),
        SampleNorm::layer(EPSILON).expect(positive).into(),
        SampleNorm::rms(EPSILON).expect(positive).into(),
    ])
}

/// Independent standard normals of a seed.
pub(crate) fn normals(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
    let mut matrix = DMatrix::zeros(rows, columns);
    Stream::from(Seed(seed)).fill_normal(matrix.as_mut_slice());
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_that_fit_no_memory_are_passed_over() {
        use ::proptest::test_runner::TestRunner;
        let mut runner = TestRunner::deterministic();
        let side = 1 << 32..=1 << 32;
        assert!(generic(side.clone(), side.clone()).new_tree(&mut runner).is_err());
        assert!(nearly_collinear(side.clone(), side.clone()).new_tree(&mut runner).is_err());
        assert!(rank_deficient(side.clone(), side).new_tree(&mut runner).is_err());
    }

    proptest! {
        #[test]
        fn kinds_are_what_they_say(
            generic in generic(3..=9, 1..=3),
            collinear in nearly_collinear(2..=9, 2..=5),
            deficient in rank_deficient(1..=9, 2..=6),
            spectrum in spectra(1..=9),
            input in inputs(1..=6),
        ) {
            prop_assert_eq!(Gram::from_columns(&generic).unwrap().rank(), generic.ncols());
            let cosine = Gram::from_columns(&collinear).unwrap().cosine(0, 1).unwrap();
            prop_assert!(cosine > 0.99, "{}", cosine);
            let smallest = Gram::from_columns(&deficient).unwrap().min_singular_value();
            prop_assert!(smallest < 1e-13, "{}", smallest);
            prop_assert!((spectrum.iter().sum::<f64>() - 1.0).abs() < 1e-14);
            prop_assert!(spectrum.is_sorted_by(|a, b| a >= b) && spectrum[spectrum.len() - 1] > 0.0);
            prop_assert_eq!(input.gram().rank(), input.batch_size());
        }

        /// A chain of any network either goes on or says why not; no metric is NaN.
        #[test]
        fn networks_run(network in networks(1..=12), input in inputs(1..=5)) {
            let Ok(mut chain) = network.chain(&input, Seed(1)) else { return Ok(()) };
            for layer in chain.by_ref().take(3).flatten() {
                let gap = layer.orthogonality_gap();
                prop_assert!((0.0..=1.0).contains(&gap), "{gap}");
                prop_assert!(layer.gram().rank() <= layer.batch_size());
            }
        }
    }
}
