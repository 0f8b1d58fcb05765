//! Statistics of any numbers: what comes out is right, up to rounding, or refused.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use orthogap::statistics::{
    BatchMeans, Interval, Line, Moments, Weighting, correlated_mean, normal_cdf, normal_quantile,
    quantile, quantile_interval,
};

#[derive(Debug, Arbitrary)]
struct Case {
    wild: Vec<f64>,
    small: Vec<(i16, i16, u8)>,
    /// What is added to small numbers, without rounding: a multiple of their unit.
    offset: i64,
    share: f64,
    level: f64,
    degrees: u32,
    length: u8,
}

fn ordered(interval: Option<Interval>) {
    if let Some(Interval { low, high }) = interval {
        assert!(low <= high, "{low} {high}");
    }
}

fn near(what: &str, found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{what}: {found}, expected {expected}");
}

/// Any floats: finite results of finite numbers whose squares are, no panic of others.
fn wild(case: &Case) {
    let numbers = &case.wild;
    let tame = numbers.iter().all(|x| x.abs() < 1e150);
    let (mut moments, mut batches) =
        (numbers.iter().copied().collect::<Moments>(), BatchMeans::new(case.length.into()));
    numbers.iter().for_each(|&x| batches.push(x));
    let mut half: Moments = numbers[..numbers.len() / 2].iter().copied().collect();
    half.merge(&numbers[numbers.len() / 2..].iter().copied().collect()).expect("few numbers");
    let difference = moments.difference(batches.moments());
    if tame {
        let scale = numbers.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        for moments in [&moments, &half, batches.moments()] {
            ordered(moments.confidence_interval(case.level));
            if moments.count() > 0 {
                let rounding = 1e-12 * scale;
                assert!(moments.mean().abs() <= scale + rounding, "{moments:?}");
                assert!(moments.sample_variance() >= 0.0 || moments.count() == 1, "{moments:?}");
            }
        }
        if let Ok(difference) = difference {
            ordered(difference.confidence_interval(case.level));
        }
    }
    moments.push(case.share);
    if let Some(found) = correlated_mean(numbers) {
        assert!(found.mean.is_finite() && found.standard_error >= 0.0, "{found:?}");
        assert!(found.autocorrelation_time > 0.0, "{found:?}");
    }
    let pairs: Vec<_> = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let triples: Vec<_> = numbers.chunks_exact(3).map(|x| (x[0], x[1], x[2])).collect();
    check(Line::through(&pairs).ok(), case);
    for weighting in [Weighting::Equal, Weighting::InverseVariance] {
        check(Line::with_errors(&triples, weighting).ok(), case);
    }
    let mut ascending = numbers.clone();
    ascending.sort_by(f64::total_cmp);
    let found = quantile(&ascending, case.share);
    if let Some(found) = found {
        assert!(!found.is_nan(), "{found}");
        if ascending.iter().all(|x| !x.is_nan()) {
            let (least, most) = (ascending[0], ascending[ascending.len() - 1]);
            assert!(least <= found && found <= most, "{found}");
        }
    }
    if ascending.iter().all(|x| !x.is_nan()) {
        ordered(quantile_interval(&ascending, case.share, case.level));
    }
    let z = normal_quantile(case.share);
    if (1e-300..0.9).contains(&case.share) {
        near("normal", normal_cdf(z) / case.share, 1.0, 1e-12);
    }
}

fn check(line: Option<Line>, case: &Case) {
    let Some(line) = line else { return };
    for (name, value) in [("slope", line.slope()), ("intercept", line.intercept())] {
        assert!(value.is_finite(), "{name}: {line:?}");
    }
    assert!(line.slope_error() >= 0.0 && line.intercept_error() >= 0.0, "{line:?}");
    assert!(line.straightness().is_none_or(|p| (0.0..=1.0).contains(&p)), "{line:?}");
    ordered(line.slope_interval(case.level));
    ordered(line.intercept_interval(case.level));
}

/// Whole numbers with an offset: against integers.
fn offset(case: &Case) {
    let offset = case.offset >> 12; // below 2^51, so that sums with small numbers are exact
    let numbers: Vec<i64> = case.small.iter().map(|point| i64::from(point.0)).collect();
    let floats: Vec<f64> = numbers.iter().map(|x| (offset + x) as f64).collect();
    let n = numbers.len() as i64;
    if n < 2 {
        return;
    }
    let sum: i64 = numbers.iter().sum();
    let squares: i128 = numbers.iter().map(|x| i128::from(n * x - sum).pow(2)).sum();
    let variance = squares as f64 / (n * n) as f64 / (n - 1) as f64;
    let moments: Moments = floats.iter().copied().collect();
    near("variance", moments.sample_variance(), variance, 1e-10 * variance);
    if let (Some(here), Some(there)) = (
        correlated_mean(&numbers.iter().map(|&x| x as f64).collect::<Vec<_>>()),
        correlated_mean(&floats),
    ) {
        // The same decisions may fall otherwise where a pair of correlations is zero but for rounding.
        near("mean", there.mean - offset as f64, here.mean, 1.0 + 1e-9);
        assert!(there.standard_error.is_finite() && here.standard_error.is_finite());
    }
    let points = |by: i64| -> Vec<(f64, f64, f64)> {
        let point = |&(x, y, error): &(i16, i16, u8)| {
            ((by + i64::from(x)) as f64, f64::from(y), f64::from(error) + 1.0)
        };
        case.small.iter().map(point).collect()
    };
    for weighting in [Weighting::Equal, Weighting::InverseVariance] {
        let here = Line::with_errors(&points(0), weighting);
        let there = Line::with_errors(&points(offset), weighting);
        match (here, there) {
            (Ok(here), Ok(there)) => {
                let error = here.slope_error();
                near("slope", there.slope(), here.slope(), 1e-6 * (here.slope().abs() + error));
                near("slope error", there.slope_error(), error, 1e-6 * error);
            }
            (here, there) => assert!(here.is_err() && there.is_err(), "{here:?} {there:?}"),
        }
    }
}

/// Intervals narrow with the number of numbers, and contain the mean.
fn students(case: &Case) {
    if case.level < 1e-290 {
        return; // whose quantiles are subnormal and have few digits
    }
    let doublings = case.degrees % 52;
    let mut last = f64::INFINITY;
    let mut moments: Moments = [-1.0, 1.0].into_iter().collect();
    for _ in 0..doublings {
        moments.merge(&moments.clone()).expect("below 2^53 numbers");
        let Some(interval) = moments.confidence_interval(case.level) else { return };
        let quantile = 0.5 * (interval.high - interval.low) / moments.standard_error();
        assert!(quantile <= last * (1.0 + 1e-12), "{moments:?}: {quantile} {last}");
        // A small level is lost beside one half, and the density next to zero is constant.
        let normal = match case.level {
            level if level < 1e-6 => level * std::f64::consts::FRAC_PI_2.sqrt(),
            level => -normal_quantile(0.5 - 0.5 * level),
        };
        assert!(quantile >= normal * (1.0 - 1e-9), "{moments:?}: {quantile} {normal}");
        last = quantile;
    }
}

fuzz_target!(|case: Case| {
    wild(&case);
    offset(&case);
    students(&case);
});
