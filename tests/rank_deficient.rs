//! Batches and samples with dead features, low rank and repeated columns, which defeat iterations for
//! eigenvalues that are not checked.

use nalgebra::DMatrix;
use orthogap::Activation::{Identity, Relu};
use orthogap::theory::mean_field_activation::{quasi_monte_carlo, relu};
use orthogap::train::init::{IterativeOrthogonalization, LayerwiseInit};
use orthogap::wasserstein::{Gaussian, Sample};
use orthogap::{Gram, Purpose, Seed};

fn normals(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
    let mut matrix = DMatrix::zeros(rows, columns);
    let run = Seed(seed).replicate(0);
    run.stream(Purpose::User(0), 0, 0).fill_normal(matrix.as_mut_slice());
    matrix
}

/// `count` rows of `features` features, of which every third one is alive.
fn with_dead_features(count: usize, features: usize, seed: u64) -> (DMatrix<f64>, DMatrix<f64>) {
    let alive = normals(count, features.div_ceil(3), seed);
    let all =
        DMatrix::from_fn(count, features, |i, j| if j % 3 == 0 { alive[(i, j / 3)] } else { 0.0 });
    (all, alive)
}

/// 48 identical images with every sixth pixel on have one direction; its image and those of the unseen
/// directions are orthogonal and equally long.
#[test]
fn identical_images_have_orthogonal_weights() {
    let h = DMatrix::from_fn(48, 48, |i, _| if i % 6 == 3 { 1.0 } else { 0.0 });
    let mut stack = LayerwiseInit::new(h, Seed(1)).unwrap();
    stack.dense(&IterativeOrthogonalization::recommended(), 48, &Identity).unwrap();
    let weights = stack.layers()[0].weights();
    let products = weights * weights.transpose();
    let unit = products.trace() / 48.0;
    assert!((products / unit - DMatrix::identity(48, 48)).amax() < 1e-12);
}

/// Rows j x for j = 0..5 lie on a line: with s the squared norm of x, λ = 2 s its variance, and the
/// slope t = 1/sqrt(λ) of the transport map, the influences are (1 - t)(j - 2)² s + 4 (j - 2) s. The
/// standard error with the divisor N by mpmath 1.4.1 at 30 digits; here the divisor is N - 1.
#[test]
fn standard_error_of_a_line() {
    let x = |i: usize| if i.is_multiple_of(8) { 1.0 / (i + 1) as f64 } else { 0.0 };
    let rows = DMatrix::from_fn(5, 28, |j, i| j as f64 * x(i));
    let sample = Sample::from_rows(&rows).unwrap();
    let w2 = sample.gelbrich(&Gaussian::isotropic(28, 1.0).unwrap()).unwrap();
    let error = w2.sampling_error.unwrap() * 0.8f64.sqrt();
    assert!((error - 2.583_901_270_509_17).abs() < 1e-12, "{error}");
}

/// A dead feature adds the target's variance to the distance and nothing to its error.
#[test]
fn dead_features_add_the_variance_of_the_target() {
    for seed in 0..40 {
        let features = [64, 256][seed as usize % 2];
        let (all, alive) = with_dead_features(2 + seed as usize % 9, features, seed);
        let gelbrich = |rows: &DMatrix<f64>| {
            let target = Gaussian::isotropic(rows.ncols(), 0.5).unwrap();
            Sample::from_rows(rows).unwrap().gelbrich(&target).unwrap()
        };
        let (found, expected) = (gelbrich(&all), gelbrich(&alive));
        let dead = 0.25 * (features - alive.ncols()) as f64;
        assert!((found.squared - dead - expected.squared).abs() < 1e-12 * found.squared);
        let (found_error, error) =
            (found.sampling_error.unwrap(), expected.sampling_error.unwrap());
        assert!((found_error - error).abs() < 1e-12 * (1.0 + error), "{found_error} {error}");
        assert!(found.bias.unwrap().is_finite());
    }
}

/// Rows on a line in the direction x: in a narrow target no other direction is as far.
#[test]
fn the_farthest_direction_is_found_among_dead_features() {
    for seed in 0..60 {
        let (x, _) = with_dead_features(1, 64, seed);
        let rows = DMatrix::from_fn(50, 64, |i, j| (i as f64 - 24.5) * x[j]);
        let target = Gaussian::isotropic(64, 0.1).unwrap();
        let found = Sample::from_rows(&rows).unwrap().max_sliced(&target, 1, Seed(3)).unwrap();
        let cosine = (&x * &found.direction)[0] / x.norm();
        assert!(found.w2.squared.is_finite() && cosine.abs() > 1.0 - 1e-6, "{seed} {cosine}");
    }
}

/// Multiples of one sample, most of them zero: ReLU leaves at most two directions, and the limit of
/// infinite width is known. With c the factors of the samples, it is max(c, 0) max(c, 0)ᵀ + max(-c, 0)
/// max(-c, 0)ᵀ, scaled to trace one.
#[test]
fn mean_field_maps_of_one_direction() {
    for seed in 0..60 {
        let (factors, _) = with_dead_features(1, 64, seed);
        let gram = Gram::from_factor(factors.clone()).unwrap();
        let part = |sign: f64| factors.map(|c| (sign * c).max(0.0));
        let halves = [1.0, -1.0].map(|sign| part(sign).transpose() * part(sign));
        let expected = (&halves[0] + &halves[1]) / factors.norm_squared();
        assert!((relu(&gram).unwrap().matrix() - &expected).amax() < 1e-13, "{seed}");
        // Rows of equal length have one of two signs: the estimate is exact for each, and only the
        // shares of the signs, one half each, have an error. 12 x 64 independent signs would have
        // one of 0.018, and four of these are allowed; points of a lattice are more even.
        let estimate = quasi_monte_carlo(&gram, &Relu, 1.0, 64, Seed(1)).unwrap().gram.matrix();
        let shares = [0, 1].map(|k| estimate.dot(&halves[k]) / halves[k].dot(&halves[k]));
        let found = &halves[0] * shares[0] + &halves[1] * shares[1];
        assert!((estimate - found).amax() < 1e-13, "{seed}");
        let positive = shares[0] / (shares[0] + shares[1]);
        assert!((positive - 0.5).abs() < 4.0 * 0.5 / 768f64.sqrt(), "{seed}: {positive}");
    }
}

/// Equal laws are at distance zero, however ill conditioned; turned factors at rounding.
#[test]
fn equal_ill_conditioned_laws() {
    for (n, power) in [(8, 4), (40, 8), (40, 12), (100, 8)] {
        let frame = normals(n, n, n as u64).qr().q();
        let decay = |i: usize| 10f64.powf(-f64::from(power) * i as f64 / (n - 1) as f64);
        let spectrum = DMatrix::from_fn(n, n, |i, j| if i == j { decay(i) } else { 0.0 });
        let covariance = &frame * spectrum * frame.transpose();
        let covariance = (&covariance + covariance.transpose()) / 2.0;
        let law = Gaussian::from_covariance(&covariance).unwrap();
        assert_eq!(law.w2(&law).unwrap().squared, 0.0);
        let turn = normals(n, n, 7).qr().q();
        let turned = Gaussian::from_factor(&(law.factor() * turn)).unwrap();
        for squared in [law.w2(&turned).unwrap().squared, turned.w2(&law).unwrap().squared] {
            assert!(squared < 1e-26 * law.total_variance(), "{n} {power} {squared}");
        }
        // A shift of the scale by a part in a million, which no difference of traces would see.
        let near = Gaussian::from_factor(&(law.factor() * (1.0 + 1e-6))).unwrap();
        let squared = law.w2(&near).unwrap().squared;
        assert!((squared / (1e-12 * law.total_variance()) - 1.0).abs() < 1e-6, "{squared}");
    }
}

/// One lost direction among many, and values that fall to 1e-30: the spectrum keeps its digits.
#[test]
fn spectra_of_nearly_singular_factors() {
    for n in [3, 20, 90] {
        let (left, right) = (normals(n, n, 1).qr().q(), normals(n, n, 2).qr().q());
        for power in [3.0, 9.6, 30.0] {
            // Graded rows times a turn have exactly these values in either order.
            let decay = |i: usize| 10f64.powf(-power * i as f64 / (n - 1) as f64);
            let factor = DMatrix::from_fn(n, n, |i, j| decay(i) * right[(i, j)]);
            let found = Gram::from_factor(factor).unwrap().singular_values();
            let norm = (0..n).map(|i| decay(i).powi(2)).sum::<f64>().sqrt();
            for i in 0..n {
                assert!((found[i] * norm / decay(i) - 1.0).abs() < 1e-12, "{n} {power} {i}");
            }
        }
        // The same row twice.
        let twins = DMatrix::from_fn(n, n, |i, j| left[(i.min(n - 2), j)]);
        let found = Gram::from_factor(twins).unwrap().singular_values();
        assert!((found[0] / found[1] - 2f64.sqrt()).abs() < 1e-13 && found[n - 1] < 1e-16);
    }
}
