//! Operators on matrices of any numbers in any layout of memory: normalisations in place, out of
//! place and backwards, activations, metrics.
#![no_main]

use std::fmt::Debug;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use nalgebra::{DMatrix, DVector};
use orthogap::Gram;
use orthogap::metric::{self, Metric};
use orthogap::normalization::{BatchNorm, Centering, RowScale, SampleNorm, TrainableBatchNorm};
use orthogap::{Result, Scalar};
use orthogap_fuzz::{Floats, Held, Layout, check_metrics};

#[derive(Debug, Arbitrary)]
struct Case {
    h: Floats,
    gradient: Floats,
    layouts: [Layout; 2],
    /// Powers of two that rows and columns are multiplied by.
    powers: [i16; 8],
    all_alike: bool,
    centered: bool,
    unit_rms: bool,
    epsilon: f64,
    groups: u8,
    momentum: f64,
    affine: Floats,
    running: Floats,
    single: bool,
}

fn bits<T: Scalar>(matrix: &DMatrix<T>) -> Vec<u64> {
    matrix.iter().map(|&x| if x.into().is_nan() { u64::MAX } else { x.into().to_bits() }).collect()
}

fn finite<T: Scalar>(what: &str, matrix: &DMatrix<T>) {
    assert!(matrix.iter().all(|x| x.is_finite()), "{what}: {matrix}");
}

/// The same numbers or the same error, whose text alone compares where a number is NaN.
fn same<T: Scalar>(what: &str, found: &Result<DMatrix<T>>, expected: &Result<DMatrix<T>>) {
    match (found, expected) {
        (Ok(found), Ok(expected)) => {
            assert_eq!(bits(found), bits(expected), "{what}: {found} {expected}");
        }
        (Err(found), Err(expected)) => {
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{what}");
        }
        (found, expected) => panic!("{what}: {found:?} {expected:?}"),
    }
}

/// What an operator in place made of the matrix; after an error it must be as it was, if `kept`.
fn in_place<T: Scalar>(
    what: &str,
    before: &DMatrix<T>,
    kept: bool,
    mut held: Held<T>,
    operator: impl FnOnce(&mut Held<T>) -> Result<()>,
) -> Result<DMatrix<T>> {
    let result = operator(&mut held);
    let matrix = held.matrix();
    match result {
        Ok(()) => {
            finite(what, &matrix);
            Ok(matrix)
        }
        Err(error) => {
            assert!(!kept || bits(&matrix) == bits(before), "{what}: changed by {error:?}");
            Err(error)
        }
    }
}

fn batch_norm<T: Scalar>(norm: BatchNorm, case: &Case, h: &DMatrix<T>, gradient: &DMatrix<T>) {
    let [first, second] = case.layouts;
    let expected = norm.normalize(h);
    let held = first.hold(h);
    let view = held.view();
    let found = in_place("normalize_mut", h, true, first.hold(h), |h| {
        norm.normalize_mut(&mut h.view_mut())
    });
    same("normalize_mut", &found, &expected);
    let found = in_place("normalize_to", h, false, second.hold(h), |output| {
        norm.normalize_to(&view, &mut output.view_mut())
    });
    same("normalize_to", &found, &expected);
    if let Ok(normalized) = &expected {
        let length = if case.unit_rms { 1.0 } else { (h.ncols() as f64).sqrt().recip() };
        let most = length * (h.ncols() as f64).sqrt() * (1.0 + 1e-6);
        for row in normalized.row_iter() {
            let norm = row.iter().map(|&x| x.into().powi(2)).sum::<f64>().sqrt();
            assert!(norm <= most, "{norm}: {normalized}");
            if case.epsilon == 0.0 {
                assert!(norm >= most * (1.0 - 1e-5), "{norm}: {normalized}");
            }
        }
    }
    let expected_gradient = norm.pullback(h, gradient);
    assert!(expected.is_ok() || expected_gradient.is_err(), "a pullback where nothing is normal");
    let found = in_place("pullback_mut", gradient, false, second.hold(gradient), |gradient| {
        norm.pullback_mut(&view, &mut gradient.view_mut())
    });
    same("pullback_mut", &found, &expected_gradient);
    held.matrix();
}

fn sample_norm<T: Scalar>(norm: SampleNorm, case: &Case, h: &DMatrix<T>, gradient: &DMatrix<T>) {
    let [first, second] = case.layouts;
    let (held, expected) = (first.hold(h), norm.normalize(h));
    let found = in_place("samples, normalize_mut", h, false, first.hold(h), |h| {
        norm.normalize_mut(&mut h.view_mut())
    });
    same("samples, normalize_mut", &found, &expected);
    same("samples, of a view", &norm.normalize(&held.view()), &expected);
    let expected_gradient = norm.pullback(h, gradient);
    assert!(expected.is_ok() || expected_gradient.is_err(), "a pullback where nothing is normal");
    let found = in_place("samples, pullback_mut", gradient, false, second.hold(gradient), |g| {
        norm.pullback_mut(&held.view(), &mut g.view_mut())
    });
    same("samples, pullback_mut", &found, &expected_gradient);
}

/// Statistics up to roundings, of means relative to the largest entry.
fn near<T: Scalar>(what: &str, found: &DVector<T>, expected: &DVector<T>, h: &DMatrix<T>) {
    let largest = h.iter().map(|&x| x.into().abs()).fold(0.0, f64::max);
    let rounding = if size_of::<T>() == 4 { 1e-7 } else { 1e-15 };
    for (&found, &expected) in found.iter().zip(expected) {
        let (found, expected): (f64, f64) = (found.into(), expected.into());
        let tolerance = 8.0 * rounding * (found.abs() + expected.abs()) + 1e-12 * largest;
        let is_near = (found - expected).abs() <= tolerance;
        assert!(is_near, "{what}: {found:e}, not {expected:e}");
    }
}

fn trainable<T: Scalar>(case: &Case, h: &DMatrix<T>) -> Result<()> {
    let width = h.nrows();
    let mut layer = TrainableBatchNorm::<T>::new(width, case.epsilon, case.momentum)?;
    let column = |floats: &Floats, offset: usize| -> DVector<T> {
        floats.cycled(width, 2).column(offset).map(T::of)
    };
    if !case.affine.0.is_empty() {
        layer.gamma_mut().copy_from(&column(&case.affine, 0));
        layer.beta_mut().copy_from(&column(&case.affine, 1));
    }
    if let Ok(other) = layer
        .clone()
        .with_running_statistics(column(&case.running, 0), column(&case.running, 1).abs())
    {
        layer = other;
    }
    let [first, second] = case.layouts;
    let held = first.hold(h);
    let state = |layer: &TrainableBatchNorm<T>| format!("{layer:?}");

    let expected = layer.infer(h);
    let found =
        in_place("infer_mut", h, true, first.hold(h), |h| layer.infer_mut(&mut h.view_mut()));
    same("infer_mut", &found, &expected);
    let found = in_place("infer_to", h, false, second.hold(h), |output| {
        layer.infer_to(&held.view(), &mut output.view_mut())
    });
    same("infer_to", &found, &expected);

    let mut layers: [_; 4] = std::array::from_fn(|_| layer.clone());
    let expected = layers[0].train(h);
    let found =
        in_place("train_mut", h, true, first.hold(h), |h| layers[1].train_mut(&mut h.view_mut()));
    same("train_mut", &found, &expected);
    let found = in_place("train_to", h, false, second.hold(h), |output| {
        layers[2].train_to(&held.view(), &mut output.view_mut())
    });
    same("train_to", &found, &expected);
    let remembered = layers[3].remember(&held.view());
    for trained in &layers[..3] {
        let before = if expected.is_ok() { &layers[0] } else { &layer };
        assert_eq!(state(trained), state(before));
    }
    assert!(remembered.is_ok() || state(&layers[3]) == state(&layer));
    if expected.is_ok() && remembered.is_ok() {
        // Rows with results at the ends of the range have sums of their own.
        let [remembered, trained] =
            [&layers[3], &layers[0]].map(|layer| (layer.running_mean(), layer.running_variance()));
        near("running mean", remembered.0, trained.0, h);
        near("running variance", remembered.1, trained.1, h);
    }
    let trained = &layers[0];
    finite("running mean", &DMatrix::from_columns(&[trained.running_mean().clone()]));
    let variances = trained.running_variance();
    assert!(variances.iter().all(|&v| v.is_finite() && v >= T::zero()), "{variances}");
    Ok(())
}

fn same_number(what: &str, found: Result<f64>, expected: Result<f64>, tolerance: f64) {
    match (&found, &expected) {
        (Ok(found), Ok(expected)) if (found - expected).abs() <= tolerance => {}
        (Err(_), Err(_)) => assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{what}"),
        _ => panic!("{what}: {found:?} {expected:?}"),
    }
}

fn metrics<T: Scalar>(case: &Case, h: &DMatrix<T>) {
    let held = case.layouts[0].hold(h);
    let (view, gram) = (held.view(), Gram::from_columns(h));
    let gap = metric::orthogonality_gap(h);
    same_number("gap of a view", metric::orthogonality_gap(&view), gap.clone(), 1e-14);
    let of_gram = gram.as_ref().map(Gram::orthogonality_gap).map_err(Clone::clone);
    // Dependent columns are cut off at four roundings.
    let tolerance = if size_of::<T>() == 4 { 1e-5 } else { 1e-13 };
    same_number("gap of the Gram matrix", of_gram, gap, tolerance);
    match (Gram::from_columns(&view), &gram) {
        (Ok(of_view), Ok(gram)) => assert_eq!(&of_view, gram),
        (Err(_), Err(_)) => {}
        (of_view, gram) => panic!("{of_view:?} {gram:?}"),
    }
    let Ok(gram) = gram else { return };
    check_metrics(&gram);
    assert_eq!(metric::condition_number(&view).ok(), Some(gram.condition_number()));
    assert_eq!(metric::effective_rank(&view).ok(), Some(gram.effective_rank()));
    for metric in Metric::ALL {
        assert_eq!(metric.name().parse(), Ok(*metric));
    }
}

fn run<T: Scalar + Debug>(case: &Case) {
    let scale = |i: usize| f64::from(case.powers[if case.all_alike { 0 } else { i }] % 1100);
    // In steps, since the power alone may exceed the range of floats.
    let times = |x: f64, power: f64| x * (0.25 * power).exp2().powi(2) * (0.5 * power).exp2();
    let h = DMatrix::from_fn(case.h.0.nrows(), case.h.0.ncols(), |i, j| {
        T::of(times(case.h.0[(i, j)], scale(i) + scale((j + 3) % 8)))
    });
    let gradient = case.gradient.cycled(h.nrows(), h.ncols()).map(T::of);
    let (centering, row_scale) = (
        if case.centered { Centering::Batch } else { Centering::None },
        if case.unit_rms { RowScale::UnitRms } else { RowScale::UnitNorm },
    );
    let plain = BatchNorm::paper().with_centering(centering).with_row_scale(row_scale);
    if let Ok(norm) = plain.with_epsilon(case.epsilon) {
        batch_norm(norm, case, &h, &gradient);
    }
    for norm in [
        SampleNorm::layer(case.epsilon),
        SampleNorm::rms(case.epsilon),
        SampleNorm::group(case.groups.into(), case.epsilon),
    ]
    .into_iter()
    .flatten()
    {
        sample_norm(norm, case, &h, &gradient);
    }
    let _ = trainable(case, &h);
    metrics(case, &h);
}

fuzz_target!(|case: Case| if case.single { run::<f32>(&case) } else { run::<f64>(&case) });
