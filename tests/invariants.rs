//! What metrics and chains must satisfy for every input, near-collinear and ill-conditioned ones
//! included.

use nalgebra::DMatrix;
use orthogap::{Gram, Input, Network, Seed, metric};
use proptest::prelude::*;

use crate::{golden_integers, golden_rows, number};

/// Matrices `d x n` with `d >= n`: generic, nearly collinear, or with graded columns.
fn representations() -> impl Strategy<Value = DMatrix<f64>> {
    (1usize..7, 0usize..4, 0..3, 0..12i32, any::<u64>()).prop_map(
        |(n, extra, kind, power, seed)| {
            let small = 10f64.powi(-power);
            let noise = Input::gaussian(n + extra, n, Seed(seed)).unwrap().columns().clone();
            match kind {
                0 => noise,
                1 => DMatrix::from_fn(n + extra, n, |i, j| 1.0 + i as f64 + small * noise[(i, j)]),
                _ => DMatrix::from_fn(n + extra, n, |i, j| small.powi(j as i32) * noise[(i, j)]),
            }
        },
    )
}

/// A random orthogonal matrix.
fn rotation(order: usize, seed: u64) -> DMatrix<f64> {
    Input::gaussian(order, order, Seed(seed)).unwrap().columns().clone().qr().q()
}

proptest! {
    #[test]
    fn gap_is_invariant_under_scale_and_rotation(h in representations(), seed in any::<u64>()) {
        let gap = metric::orthogonality_gap(&h).unwrap();
        let turned = rotation(h.nrows(), seed) * &h * rotation(h.ncols(), seed ^ 1) * 1e-7;
        prop_assert!((metric::orthogonality_gap(&turned).unwrap() - gap).abs() < 1e-13);
    }

    #[test]
    fn gap_is_zero_for_scaled_orthonormal_columns(n in 1usize..8, extra in 0usize..4, seed in any::<u64>()) {
        let h = rotation(n + extra, seed).columns(0, n) * 1e5;
        prop_assert!(metric::orthogonality_gap(&h).unwrap() < 1e-14);
    }

    #[test]
    fn gap_is_largest_for_rank_one(h in representations()) {
        let n = h.ncols() as f64;
        let largest = (1.0 - 1.0 / n).sqrt();
        prop_assert!(metric::orthogonality_gap(&h).unwrap() <= largest + 1e-15);
        let parallel = h.column(0) * h.row(0);
        prop_assert!((metric::orthogonality_gap(&parallel).unwrap() - largest).abs() < 1e-14);
    }

    /// Orderings and bounds between the metrics, each a theorem.
    #[test]
    fn metrics_are_ordered(h in representations()) {
        let gram = Gram::from_columns(&h).unwrap();
        let spectrum = gram.spectrum();
        let n = gram.batch_size() as f64;
        let (gap, slack) = (gram.orthogonality_gap(), 1e-13);
        prop_assert!((spectrum.singular_values().norm_squared() - 1.0).abs() < slack);
        prop_assert!(gap <= (n * (n - 1.0)).sqrt() * gram.lyapunov() + slack); // Lemma 4, sharp
        prop_assert!(gram.lyapunov() <= gap + slack);
        prop_assert!(gram.coupling_bound() <= n * gap * gap + slack); // Lemma 2, sharp
        prop_assert!(gram.coupling_bound() <= 2.0 - 2.0 / n.sqrt() + slack);
        prop_assert!(gram.isometry_gap() >= 0.0);
        let ranks = [
            1.0,
            gram.stable_rank(),
            gram.participation_ratio(),
            gram.effective_rank(),
            n,
        ];
        for pair in ranks.windows(2) {
            prop_assert!(pair[0] <= pair[1] * (1.0 + slack), "{ranks:?}");
        }
        prop_assert!(gram.min_singular_value() <= n.sqrt().recip() + slack);
        prop_assert!(gram.condition_number() >= 1.0 - slack);
        prop_assert!((gap * gap - (1.0 / gram.participation_ratio() - 1.0 / n)).abs() < slack);
    }

    /// The free functions measure what the methods measure.
    #[test]
    fn functions_agree_with_methods(h in representations()) {
        let gram = Gram::from_columns(&h).unwrap();
        prop_assert_eq!(metric::lyapunov(&h).unwrap(), gram.lyapunov());
        prop_assert_eq!(metric::isometry_gap(&h).unwrap(), gram.isometry_gap());
        prop_assert_eq!(metric::min_singular_value(&h).unwrap(), gram.min_singular_value());
        prop_assert_eq!(metric::condition_number(&h).unwrap(), gram.condition_number());
        prop_assert_eq!(metric::stable_rank(&h).unwrap(), gram.stable_rank());
        prop_assert_eq!(metric::participation_ratio(&h).unwrap(), gram.participation_ratio());
        prop_assert_eq!(metric::effective_rank(&h).unwrap(), gram.effective_rank());
        prop_assert_eq!(metric::coupling_bound(&h).unwrap(), gram.coupling_bound());
    }

    /// A layer has trace one and full rank wherever it starts, and its scale is known.
    #[test]
    fn layers_are_normalized(h in representations(), extra in 0usize..300, seed in any::<u64>()) {
        let Ok(input) = Input::from_columns(&h) else { return Ok(()) };
        let n = input.batch_size();
        let network = Network::<f64>::new(n + extra);
        for layer in network.chain(&input, Seed(seed)).unwrap().take(5) {
            let layer = layer.unwrap();
            prop_assert!((layer.matrix().trace() - 1.0).abs() < 1e-13);
            prop_assert_eq!(layer.rank(), n);
            prop_assert!(layer.min_singular_value() > 0.0);
            prop_assert!((layer.log_scale() + 0.5 * (n as f64).ln()).abs() < 1e-12);
        }
    }
}

#[test]
fn golden_coupling_bounds() {
    for row in golden_rows(include_str!("golden/coupling_bound.csv"), 3) {
        let (d, n) = (number(row[0]) as usize, number(row[1]) as usize);
        let seed = row[2].split_once("i8(").and_then(|(_, rest)| rest.split_once(')')).unwrap().0;
        let h = golden_integers(number(seed) as u64, d, n);
        // The description in the third field holds commas of its own: count from the end.
        let value = |from_end: usize| number(row[row.len() - from_end]);
        let gram = Gram::from_columns(&h).unwrap();
        let spectrum = gram.spectrum();
        for (ours, theirs) in [
            (spectrum.coupling_bound(), value(6)),
            (gram.orthogonality_gap(), value(5)),
            (spectrum.min_singular_value(), value(2)),
            (spectrum.singular_values()[0], value(1)),
        ] {
            assert!((ours - theirs).abs() < 1e-14, "{d} x {n}: {ours} against {theirs}");
        }
    }
}

/// Singular values far below the precision of floats survive a layer with nine digits: rows are
/// divided by small numbers, so their sums of products lose the others. The singular values of the
/// input are one and three times `epsilon`. Halving `epsilon` halves the smallest one of the layer,
/// up to a relative change of the order of `epsilon`.
#[test]
fn tiny_singular_values_survive() {
    for epsilon in [1e-6, 1e-12, 1e-30, 1e-100] {
        let network = Network::<f64>::new(32);
        let layer_of = |epsilon: f64| {
            let mut chain = network.chain(&Input::spiked(4, epsilon).unwrap(), Seed(3)).unwrap();
            chain.step().unwrap().clone()
        };
        let ratio =
            layer_of(epsilon).min_singular_value() / layer_of(epsilon / 2.0).min_singular_value();
        assert!((ratio - 2.0).abs() < 1e-9 + 10.0 * epsilon, "{epsilon}: {ratio}");
    }
}
