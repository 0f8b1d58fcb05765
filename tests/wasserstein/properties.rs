//! What holds for every input: metric axioms, equivariance, order of bounds.

use nalgebra::DMatrix;
use orthogap::wasserstein::{Directions, Gaussian, RowMoments, Sample, W2, normal_bins, p_value};
use orthogap::{Error, Input, Seed};
use proptest::prelude::*;

/// Gaussians of one dimension, singular ones among them.
fn gaussians(count: usize) -> impl Strategy<Value = Vec<Gaussian>> {
    (1usize..6).prop_flat_map(move |n| {
        let gaussian = (1usize..8, 0..4, any::<u64>()).prop_map(move |(k, kind, seed)| {
            let normals = Gaussian::isotropic(n, 1.0).unwrap().sample(k + 1, Seed(seed), 0);
            let variances: Vec<f64> = normals.row(0).iter().map(|x| x * x).collect();
            let law = match kind {
                0 => Gaussian::isotropic(n, variances[0]),
                1 => Gaussian::diagonal(&variances),
                _ => Gaussian::from_factor(&normals.rows(0, k).transpose()),
            };
            let mean: Vec<f64> = normals.row(k).iter().map(|x| 0.3 * x).collect();
            law.unwrap().with_mean(&mean).unwrap()
        });
        proptest::collection::vec(gaussian, count)
    })
}

/// A random rotation.
fn rotation(order: usize, seed: u64) -> DMatrix<f64> {
    Input::gaussian(order, order, Seed(seed)).unwrap().columns().clone().qr().q()
}

/// The image of a Gaussian under a linear map.
fn image(map: &DMatrix<f64>, law: &Gaussian) -> Gaussian {
    let image = Gaussian::from_factor(&(map * law.factor())).unwrap();
    image.with_mean((map * law.mean()).as_slice()).unwrap()
}

proptest! {
    #[test]
    fn distances_between_gaussians_are_a_metric(laws in gaussians(3)) {
        let distance = |a: usize, b: usize| laws[a].w2(&laws[b]).unwrap().distance();
        let scale: f64 = laws.iter().map(|p| p.total_variance().sqrt() + p.mean().norm()).sum();
        prop_assert!(distance(0, 0) <= 2e-14 * scale);
        prop_assert!((distance(0, 1) - distance(1, 0)).abs() <= 1e-13 * scale);
        prop_assert!(distance(0, 2) <= distance(0, 1) + distance(1, 2) + 1e-13 * scale);
    }

    #[test]
    fn distances_turn_and_scale_with_the_laws(laws in gaussians(2), seed: u64, power in -30i32..30) {
        let n = laws[0].dimension();
        let scale = 10f64.powi(power);
        let map = rotation(n, seed) * scale;
        let before = laws[0].w2(&laws[1]).unwrap().distance();
        let after = image(&map, &laws[0]).w2(&image(&map, &laws[1])).unwrap().distance();
        let size = laws[0].total_variance().sqrt() + laws[1].total_variance().sqrt();
        prop_assert!((after / scale - before).abs() <= 1e-13 * (size + before), "{before} {after}");
    }

    /// One distance, however the law was made.
    #[test]
    fn representations_agree(laws in gaussians(2)) {
        let plain = laws[0].w2(&laws[1]).unwrap().squared;
        let size = laws[0].total_variance() + laws[1].total_variance();
        let again = |law: &Gaussian| {
            let factor = law.factor();
            Gaussian::from_covariance(&(&factor * factor.transpose()))
                .unwrap()
                .with_mean(law.mean().as_slice())
                .unwrap()
        };
        let dense = again(&laws[0]).w2(&again(&laws[1])).unwrap().squared;
        // A covariance knows no variance below rounding: its root is 1e-8.
        prop_assert!((dense - plain).abs() <= 1e-7 * (size + plain), "{dense} {plain}");
    }

    #[test]
    fn lines_are_equivariant(
        x in proptest::collection::vec(-3.0..3.0f64, 1..60),
        mean in -2.0..2.0f64,
        deviation in 0.0..3.0f64,
        (shift, power) in (-5.0..5.0f64, -20i32..20),
    ) {
        let bins = normal_bins(x.len()).unwrap();
        let scale = -(10f64.powi(power));
        let plain = bins.w2(&x, mean, deviation).unwrap();
        let moved: Vec<f64> = x.iter().map(|x| (x + shift) * scale).collect();
        let image = bins.w2(&moved, (mean + shift) * scale, deviation * -scale).unwrap();
        for (a, b) in [
            (plain.w2.squared, image.w2.squared),
            (plain.location, image.location),
            (plain.scale, image.scale),
            (plain.shape, image.shape),
        ] {
            prop_assert!((b / (scale * scale) - a).abs() <= 1e-12 * (1.0 + a), "{a} {b}");
        }
        prop_assert!(plain.shape >= 0.0);
        // The naive formula, by the integral of the squared difference over each bin.
        let mut sorted = x.clone();
        sorted.sort_by(f64::total_cmp);
        let cross: f64 = sorted.iter().zip(bins.means()).map(|(x, c)| x * c).sum();
        let mean_square = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        let naive = mean_square + deviation.powi(2) - 2.0 * deviation * cross;
        prop_assert!((naive - plain.w2.squared).abs() <= 1e-12 * (1.0 + naive));
    }

    /// Of the empirical law, projections and moments tell no more than the whole: Gelbrich is at
    /// most the distance, which on the line is known.
    #[test]
    fn bounds_are_ordered_on_the_line(x in proptest::collection::vec(-3.0..3.0f64, 4..60)) {
        let column = DMatrix::from_column_slice(x.len(), 1, &x);
        let sample = Sample::from_rows(&column).unwrap();
        let target = Gaussian::isotropic(1, 1.0).unwrap();
        let exact = normal_bins(x.len()).unwrap().w2(&x, 0.0, 1.0).unwrap().w2;
        let directions = Directions::random(1, 3, Seed(1)).unwrap();
        let sliced = sample.sliced(&target, &directions).unwrap().w2;
        prop_assert!((sliced.squared - exact.squared).abs() <= 1e-13 * (1.0 + exact.squared));
        prop_assert_eq!(exact.sampling_error.is_some(), x.len() >= 20);
        if let Some(error) = exact.sampling_error {
            let difference = sliced.sampling_error.unwrap() - error;
            prop_assert!(difference.abs() <= 1e-12 * (1.0 + exact.squared));
        }
        prop_assert_eq!(sliced.projection_error, Some(0.0));
        prop_assert!(sample.gelbrich(&target).unwrap().squared <= exact.squared * (1.0 + 1e-12) + 1e-14);
        prop_assert!(sample.radial(&target).unwrap().squared <= exact.squared * (1.0 + 1e-12) + 1e-12);
    }

    #[test]
    fn estimators_turn_with_the_sample(n in 2usize..5, seed: u64) {
        let rows = Gaussian::isotropic(n, 1.3).unwrap().sample(40, Seed(seed), 0);
        let target = Gaussian::isotropic(n, 1.0).unwrap();
        let turn = rotation(n, seed);
        let [plain, turned] = [rows.clone(), &rows * turn.transpose()]
            .map(|rows| Sample::from_rows(&rows).unwrap());
        let pairs = [
            (plain.gelbrich(&target).unwrap(), turned.gelbrich(&target).unwrap()),
            (plain.radial(&target).unwrap(), turned.radial(&target).unwrap()),
        ];
        for (a, b) in pairs {
            prop_assert!((a.squared - b.squared).abs() < 1e-12 && (a.debiased() - b.debiased()).abs() < 1e-9);
            let errors = a.sampling_error.unwrap() - b.sampling_error.unwrap();
            prop_assert!(errors.abs() < 1e-12);
        }
        let directions = Directions::random(n, 7, Seed(seed)).unwrap();
        let turned_directions = Directions::from_columns(&(turn * directions.columns())).unwrap();
        let a = plain.sliced(&target, &directions).unwrap().w2;
        let b = turned.sliced(&target, &turned_directions).unwrap().w2;
        prop_assert!((a.squared - b.squared).abs() < 1e-12);
    }
}

/// Sliced distances of all kinds of directions agree within their errors: 3 comparisons at 5
/// standard errors.
#[test]
fn kinds_of_directions_agree() {
    let law = Gaussian::diagonal(&[0.3, 1.0, 2.0, 4.0]).unwrap();
    let truth = law.sliced_to_isotropic(1.0).unwrap();
    let target = Gaussian::isotropic(4, 1.0).unwrap();
    let sample = Sample::from_rows(&law.sample(20_000, Seed(1), 0)).unwrap();
    let mut errors = Vec::new();
    for directions in [
        Directions::random(4, 400, Seed(2)).unwrap(),
        Directions::orthogonal(4, 400, Seed(2)).unwrap(),
        Directions::low_discrepancy(4, 400, Seed(2)).unwrap(),
    ] {
        let w2 = sample.sliced(&target, &directions).unwrap().w2;
        let error = w2.standard_error().unwrap();
        assert!((w2.debiased() - truth).abs() < 5.0 * error, "{w2:?} {truth}");
        errors.push(w2.projection_error.unwrap());
    }
    assert!(errors[1] < 0.7 * errors[0], "{errors:?}");
}

/// p-values under the null: uniform on the multiples of 1/20. Of 4000, the share that is at most 0.1
/// has a standard error of 0.0047. Four are allowed; counting one value too many gives 0.05 or 0.15.
#[test]
fn p_values_are_exact() {
    let target = Gaussian::from_factor(&nalgebra::dmatrix![1.0, 0.0; 2.0, 0.5]).unwrap();
    let small = (0..4000)
        .filter(|&replicate| {
            let run = Seed(3).replicate(replicate);
            let sample = Sample::from_rows(&target.sample(20, run, 0)).unwrap();
            let statistic = |sample: &Sample| Ok(sample.gelbrich(&target)?.squared);
            p_value(&sample, &target, 19, run, statistic).unwrap() <= 0.1 + 1e-12
        })
        .count() as f64
        / 4000.0;
    assert!((small - 0.1).abs() < 0.02, "{small}");
}

#[test]
fn bad_input_is_named() {
    let invalid = |error| matches!(error, Error::InvalidParameter { .. });
    assert!(invalid(Gaussian::isotropic(2, -1.0).unwrap_err()));
    assert!(invalid(Gaussian::isotropic(2, f64::NAN).unwrap_err()));
    assert!(invalid(Gaussian::diagonal(&[1.0, -1e-300]).unwrap_err()));
    for covariance in [
        nalgebra::dmatrix![1.0, 2.0; 2.0, 1.0],
        nalgebra::dmatrix![-1.0, 0.0; 0.0, 1.0],
        nalgebra::dmatrix![0.0, 1.0; 1.0, 0.0],
        nalgebra::dmatrix![1.0, 0.5; 0.4, 1.0],
        nalgebra::dmatrix![-1.0],
    ] {
        assert!(invalid(Gaussian::from_covariance(&covariance).unwrap_err()), "{covariance}");
    }
    let wide = nalgebra::dmatrix![1.0, 0.0];
    assert!(matches!(Gaussian::from_covariance(&wide), Err(Error::ShapeMismatch { .. })));
    assert!(matches!(Gaussian::isotropic(0, 1.0), Err(Error::Empty { .. })));
    assert!(matches!(
        Gaussian::from_factor(&nalgebra::dmatrix![f64::NAN]),
        Err(Error::NotFinite { row: 0, column: 0, .. })
    ));
    let plane = Gaussian::isotropic(2, 1.0).unwrap();
    assert!(matches!(
        plane.w2(&Gaussian::isotropic(3, 1.0).unwrap()),
        Err(Error::ShapeMismatch { .. })
    ));
    let sample = Sample::from_rows(&nalgebra::dmatrix![1.0, 2.0]).unwrap();
    assert!(matches!(sample.gelbrich(&plane), Err(Error::SampleTooSmall { .. })));
    assert!(matches!(sample.max_sliced(&plane, 0, Seed(1)), Err(Error::SampleTooSmall { .. })));
    let bins = normal_bins(2).unwrap();
    assert!(matches!(bins.w2(&[1.0], 0.0, 1.0), Err(Error::ShapeMismatch { .. })));
    assert!(matches!(bins.w2(&[1.0, f32::INFINITY], 0.0, 1.0), Err(Error::NotFinite { .. })));
    assert!(matches!(bins.w2(&[1.0, 2.0], 0.0, -1.0), Err(Error::InvalidParameter { .. })));
    assert!(matches!(normal_bins(0), Err(Error::Empty { .. })));
    assert!(plane.w2(&plane).unwrap().confidence_interval(1.0).is_err());
}

/// Rows at 2^30 and 1e15 are exact multiples of an eighth, and so are their differences. What is made of
/// them and of a target that is as far away has lost no digits.
#[test]
fn offsets_cost_no_digits() {
    let near = Gaussian::isotropic(3, 2.0).unwrap().sample(101, Seed(31), 0);
    let near = near.map(|x| (8.0 * x).round() / 8.0);
    let of = |offset: f64| {
        let rows = near.add_scalar(offset);
        let target = Gaussian::isotropic(3, 1.0).unwrap().with_mean(&[offset + 0.25; 3]).unwrap();
        let sample = Sample::from_rows(&rows).unwrap();
        let mut moments = RowMoments::new(3).unwrap();
        for (start, size) in [(0, 1), (1, 70), (71, 30)] {
            moments.push_rows(&rows.rows(start, size)).unwrap();
        }
        let mut all = vec![
            sample.gelbrich(&target).unwrap(),
            moments.gelbrich(&target).unwrap(),
            sample.along_axes(&target).unwrap(),
            sample.radial(&target).unwrap(),
            sample.max_sliced(&target, 1, Seed(1)).unwrap().w2,
            normal_bins(101).unwrap().w2(rows.column(0).as_slice(), offset, 1.0).unwrap().w2,
        ];
        let bracket = sample.bracket(&target, None, Seed(1)).unwrap();
        all.extend(
            bracket.lower_bounds().iter().chain(bracket.upper_bounds()).map(|bound| bound.1),
        );
        all
    };
    let expected = of(0.0);
    for offset in [2f64.powi(30), 1e15, -1e15] {
        for (w2, expected) in of(offset).into_iter().zip(&expected) {
            let numbers = |w2: &W2| [w2.squared, w2.bias.unwrap(), w2.standard_error().unwrap()];
            for (w2, expected) in numbers(&w2).into_iter().zip(numbers(expected)) {
                assert!((w2 - expected).abs() <= 1e-11 * expected.abs(), "{w2} {expected}");
            }
        }
    }
}

/// {0, 1, 4} against {1, 3, 5}: (1 + 4 + 1)/3.
#[cfg(feature = "assignment")]
#[test]
fn assignments_far_from_zero() {
    for offset in [0.0, 2f64.powi(30), 1e15] {
        let [a, b] = [[0.0, 1.0, 4.0], [1.0, 3.0, 5.0]].map(|numbers| {
            let column = DMatrix::from_column_slice(3, 1, &numbers.map(|x| x + offset));
            Sample::from_rows(&column).unwrap()
        });
        assert!((a.assignment(&b).unwrap().w2.squared - 2.0).abs() < 1e-14);
    }
}

/// Fewer samples than dimensions, equal samples, one dimension: numbers, never NaN.
#[test]
fn degenerate_samples_have_distances() {
    for (rows, n) in [(DMatrix::zeros(50, 3), 3), (DMatrix::from_element(64, 1, 2.0), 1)] {
        let sample = Sample::from_rows(&rows).unwrap();
        let target = Gaussian::isotropic(n, 1.0).unwrap();
        let w2 = sample.gelbrich(&target).unwrap();
        assert_eq!(
            (w2.squared, w2.sampling_error),
            (rows.row(0).norm_squared() + n as f64, Some(0.0))
        );
        assert!(
            sample.bracket(&target, None, Seed(1)).unwrap().confidence_interval(0.9).unwrap().low
                >= 0.0
        );
    }
    let few = Gaussian::isotropic(20, 1.0).unwrap().sample(8, Seed(1), 0);
    let w2 = Sample::from_rows(&few).unwrap().gelbrich(&Gaussian::isotropic(20, 1.0).unwrap());
    let w2 = w2.unwrap();
    assert!(w2.squared > 10.0 && w2.bias.unwrap().is_finite() && w2.sampling_error.unwrap() > 0.0);
}

/// The same bits on one thread and on three.
#[cfg(feature = "rayon")]
#[test]
fn threads_do_not_matter() {
    let target = Gaussian::isotropic(6, 0.9).unwrap();
    let on_threads = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let sample = Sample::from_rows(&target.sample(700, Seed(4), 0)).unwrap();
            let statistic = |sample: &Sample| Ok(sample.gelbrich(&target)?.squared);
            let p = p_value(&sample, &target, 9, Seed(5), statistic).unwrap();
            (sample.bracket(&target, None, Seed(6)).unwrap(), p)
        })
    };
    assert_eq!(on_threads(1), on_threads(3));
}
