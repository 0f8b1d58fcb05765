//! Any sample against any Gaussian, lines through any points, theory of any numbers.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use nalgebra::DMatrix;
use orthogap::statistics::{
    Interval, Line, Weighting, correlated_mean, quantile, quantile_interval,
};
use orthogap::theory::mean_field::{map, map_of_deviations};
use orthogap::theory::mean_field_activation::Kernel;
use orthogap::theory::wasserstein_law::lower_bound;
use orthogap::wasserstein::{Directions, Gaussian, Sample, W2, normal_bins, weighted_line_w2};
use orthogap::{Result, Seed};
use orthogap_fuzz::Floats;

#[derive(Debug, Arbitrary)]
struct Case {
    rows: Floats,
    other: Floats,
    mean: Vec<f64>,
    variances: Vec<f64>,
    kind: u8,
    number: f64,
    level: f64,
}

fn number(what: &str, x: f64) {
    assert!(x.is_finite(), "{what} is {x}");
}

fn distance(what: &str, w2: W2, level: f64) {
    number(what, w2.squared);
    assert!(!w2.distance().is_nan() && !w2.debiased().is_nan(), "{what}: {w2:?}");
    if let Ok(Interval { low, high }) = w2.confidence_interval(level) {
        assert!(low <= high, "{what}: {w2:?}");
    }
}

fn gaussian(case: &Case) -> Result<Gaussian> {
    let law = match case.kind % 4 {
        0 => Gaussian::isotropic(case.mean.len().min(9), case.number)?,
        1 => Gaussian::diagonal(&case.variances)?,
        2 => Gaussian::from_factor(&case.other.0)?,
        _ => Gaussian::from_covariance(&case.other.0)?,
    };
    law.with_mean(&case.mean)
}

fn distances(case: &Case) -> Result<()> {
    let sample = Sample::from_rows(&case.rows.0)?;
    let law = gaussian(case)?;
    distance("gelbrich", sample.gelbrich(&law)?, case.level);
    distance("axes", sample.along_axes(&law)?, case.level);
    distance("radial", sample.radial(&law).or_else(|_| sample.gelbrich(&law))?, case.level);
    let directions = Directions::orthogonal(sample.dimension(), 8, Seed(1))?;
    distance("sliced", sample.sliced(&law, &directions)?.lower_bound(), case.level);
    // The least number of samples that is not refused.
    let rows = &case.rows.0;
    let rows =
        DMatrix::from_fn(rows.nrows().max(50), rows.ncols(), |i, j| rows[(i % rows.nrows(), j)]);
    let sample = Sample::from_rows(&rows)?;
    distance("max sliced", sample.max_sliced(&law, 2, Seed(1))?.w2, case.level);
    let bracket = sample.bracket(&law, None, Seed(1))?;
    distance("lower", bracket.lower().1, case.level);
    distance("upper", bracket.upper().1, case.level);
    distance("bures", law.w2(&law)?, case.level);
    Ok(())
}

/// Entropic transport at any epsilon, which no squared distance bounds from below or above.
fn entropic(case: &Case) -> Result<()> {
    let (a, b) = (Sample::from_rows(&case.rows.0)?, Sample::from_rows(&case.other.0)?);
    for (a, b) in [(&a, &b), (&a, &a)] {
        let plan = a.entropic_transport(b, case.number)?;
        number("entropic", plan.entropic);
        number("sharp", plan.sharp);
        // The terms of entropy are not negative, and no transport at all has none.
        let size = case.rows.0.norm_squared() + case.other.0.norm_squared();
        let slack = 1e-9 * size + 1e-300;
        assert!(plan.sharp >= 0.0 && plan.entropic >= plan.sharp - slack, "{plan:?}");
        let divergence = a.sinkhorn_divergence(b, case.number)?;
        number("divergence", divergence.entropic);
    }
    Ok(())
}

fuzz_target!(|case: Case| {
    let _ = distances(&case);
    let _ = entropic(&case);
    if let Ok(law) = gaussian(&case) {
        if let Ok(cost) = law.entropic_transport(&law, case.number) {
            number("entropic", cost);
        }
    }
    if let Ok(directions) = Directions::from_columns(&case.other.0) {
        assert!(directions.columns().iter().all(|x| x.is_finite()));
    }
    let numbers = &case.mean;
    if let Ok(line) =
        normal_bins(numbers.len()).and_then(|b| b.w2(numbers, case.level, case.number))
    {
        distance("line", line.w2, case.level);
    }
    if let Ok(line) = weighted_line_w2(numbers, &case.variances, case.level, case.number) {
        distance("weighted line", line.w2, case.level);
    }
    let pairs: Vec<_> = numbers.iter().zip(&case.variances).map(|(&x, &y)| (x, y)).collect();
    let triples: Vec<_> = pairs.iter().map(|&(x, y)| (x, y, case.number)).collect();
    for line in [
        Line::through(&pairs),
        Line::with_errors(&triples, Weighting::Equal),
        Line::with_errors(&triples, Weighting::InverseVariance),
    ]
    .into_iter()
    .flatten()
    {
        number("slope", line.slope());
        number("intercept", line.intercept());
        assert!(!line.slope_error().is_nan() && !line.intercept_error().is_nan(), "{line:?}");
    }
    if let Some(found) = correlated_mean(numbers) {
        assert!(found.mean.is_finite() && found.standard_error >= 0.0);
    }
    let _ = (quantile(numbers, case.level), quantile_interval(numbers, case.level, case.number));
    if let Ok(mapped) = map(numbers) {
        assert!((mapped.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{mapped:?}");
    }
    if let Ok(mapped) = map_of_deviations(numbers) {
        mapped.iter().for_each(|&x| number("deviation", x));
    }
    for kernel in [Kernel::Linear, Kernel::ArcCosine, Kernel::ArcSine, Kernel::Sine] {
        if let Ok(next) = kernel.layer(&case.other.0) {
            next.iter().for_each(|&x| number("kernel", x));
        }
    }
    let rows = |matrix: &DMatrix<f64>| -> Vec<Vec<f64>> {
        matrix.row_iter().map(|row| row.iter().copied().collect()).collect()
    };
    if let Ok(bound) = lower_bound(rows(&case.rows.0), rows(&case.other.0)) {
        number("lower bound", bound);
    }
});
