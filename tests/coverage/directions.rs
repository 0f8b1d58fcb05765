//! Sliced, max-sliced and radial distances, brackets, and the matrix law.

use nalgebra::DMatrix;
use orthogap::statistics::Interval;
use orthogap::wasserstein::{Directions, Gaussian, MatrixLaw, Sample, W2};
use orthogap::{Input, Seed};

use super::{Case, LEVELS};

/// The squared distance of s g to g on the line, for a normal number g and s of .5 or 1.5, equally
/// likely; in eight dimensions, with one s for all. From `population_truth.csv`, as in
/// `tests/golden`: by quadrature.
const MIXTURE: f64 = 0.04836542849587;
const MIXTURE_8: f64 = 0.8534863565829;
/// The same of the sphere of radius sqrt(8) in eight dimensions, 16 - 2 sqrt(8) E chi_8.
const SPHERE_8: f64 = 0.4910288045767;

/// Rows of N(0, I).
fn normal(count: usize, n: usize, run: u64) -> DMatrix<f64> {
    Gaussian::isotropic(n, 1.0).unwrap().sample(count, Seed(run), 0)
}

/// Rows of N(0, I), each times .5 or 1.5.
fn mixture(count: usize, n: usize, run: u64) -> DMatrix<f64> {
    let mut rows = normal(count, n + 1, run);
    for mut row in rows.row_iter_mut() {
        let scale = if row[n] < 0.0 { 0.5 } else { 1.5 };
        row *= scale;
    }
    rows.remove_column(n)
}

fn shifted(mut rows: DMatrix<f64>, shift: f64) -> Sample {
    rows.column_mut(0).add_scalar_mut(shift);
    Sample::from_rows(&rows).unwrap()
}

fn standard(n: usize) -> Gaussian {
    Gaussian::isotropic(n, 1.0).unwrap()
}

fn inside(w2: &W2, truth: f64) -> [bool; 2] {
    LEVELS.map(|level| {
        let Interval { low, high } = w2.confidence_interval(level).unwrap();
        low <= truth && truth <= high
    })
}

type Rows = fn(usize, usize, u64) -> DMatrix<f64>;

/// Laws that are 3 from the target in one coordinate, with the squared distance of their
/// projections averaged over all directions: 9/n, and what is left of the shape.
const LAWS: [(&str, Rows, f64); 2] = [("normal", normal, 0.0), ("mixture", mixture, MIXTURE)];

#[test]
fn sliced() {
    for (name, rows, shape) in LAWS {
        for (n, count, samples) in [(2, 5, 500), (5, 12, 500), (7, 64, 2000)] {
            let truth = 9.0 / n as f64 + shape;
            Case {
                function: "sliced",
                law: &format!("{name}, n = {n}, L = {count}, N = {samples}"),
                repetitions: 200,
                shortfall: 0.02,
                // The error of few bases is that of one number in few degrees of freedom.
                excess: 0.05,
            }
            .check(|run| {
                let sample = shifted(rows(samples, n, run), 3.0);
                let directions = Directions::orthogonal(n, count, Seed(run)).unwrap();
                inside(&sample.sliced(&standard(n), &directions).unwrap().w2, truth)
            });
        }
    }
}

/// Covariances: directions of a quadratic form, whole bases of which agree, and single ones. With one
/// basis nearly all intervals contain the truth, so only the lower side is checked.
#[test]
fn sliced_covariances() {
    for (n, count, samples, excess) in [(3, 3, 2000, 0.32), (8, 8, 2000, 0.32), (8, 40, 1000, 0.02)]
    {
        let variances: Vec<f64> = (0..n).map(|i| if i == 0 { 9.0 } else { 1.0 }).collect();
        let law = Gaussian::diagonal(&variances).unwrap();
        let truth = law.sliced_to_isotropic(1.0).unwrap();
        Case {
            function: "sliced",
            law: &format!("N(0, diag(9, 1, ..)), n = {n}, L = {count}, N = {samples}"),
            repetitions: 200,
            shortfall: 0.02,
            excess,
        }
        .check(|run| {
            let sample = Sample::from_rows(&law.sample(samples, Seed(run), 0)).unwrap();
            let directions = Directions::orthogonal(n, count, Seed(run)).unwrap();
            inside(&sample.sliced(&standard(n), &directions).unwrap().w2, truth)
        });
    }
}

/// The distance along the direction that was found, which is fixed given the other samples.
#[test]
fn max_sliced() {
    for (samples, repetitions) in [(50, 400), (400, 200)] {
        for (name, rows, shape) in LAWS {
            Case {
                function: "max_sliced",
                law: &format!("{name}, n = 3, N = {samples}"),
                repetitions,
                shortfall: 0.02,
                excess: 0.05,
            }
            .check(|run| {
                let sample = shifted(rows(samples, 3, run), 3.0);
                let worst = sample.max_sliced(&standard(3), 1, Seed(run)).unwrap();
                inside(&worst.w2, (3.0 * worst.direction[0]).powi(2) + shape)
            });
        }
        Case {
            function: "max_sliced",
            law: &format!("0.4 times normal, n = 3, N = {samples}"),
            repetitions,
            // The less a narrow sample varies, the farther it seems.
            shortfall: if samples == 50 { 0.12 } else { 0.02 },
            excess: 0.02,
        }
        .check(|run| {
            let sample = Sample::from_rows(&(normal(samples, 3, run) * 0.4)).unwrap();
            inside(&sample.max_sliced(&standard(3), 1, Seed(run)).unwrap().w2, 0.36)
        });
    }
}

/// Lengths of a scaled normal law, of a mixture and of a sphere.
#[test]
fn radial() {
    let sphere: Rows = |count, n, run| {
        let mut rows = normal(count, n, run);
        rows.row_iter_mut().for_each(|mut row| row *= (n as f64).sqrt() / row.norm());
        rows
    };
    let wide: Rows = |count, n, run| normal(count, n, run) * 1.3;
    let laws = [("1.3 times normal", wide, 0.72), ("mixture", mixture, MIXTURE_8)];
    for (name, rows, truth) in laws {
        for samples in [20, 400] {
            Case {
                function: "radial",
                law: &format!("{name}, n = 8, N = {samples}"),
                repetitions: 200,
                shortfall: 0.03,
                excess: 0.05,
            }
            .check(|run| {
                let sample = Sample::from_rows(&rows(samples, 8, run)).unwrap();
                inside(&sample.radial(&standard(8)).unwrap(), truth)
            });
        }
    }
    // All lengths are equal, and nothing is left but rounding.
    for samples in [20, 4000] {
        let sample = Sample::from_rows(&sphere(samples, 8, 1)).unwrap();
        let w2 = sample.radial(&standard(8)).unwrap();
        assert!((w2.debiased() - SPHERE_8).abs() < 1e-12, "{w2:?}");
    }
}

/// Whether a lower end is lower, and an upper end upper, as often as the level says. It is so more often,
/// since bounds are not sharp: in up to .92 of all cases instead of .68, and nearly always for the
/// mixture.
#[test]
fn brackets_of_samples() {
    let narrow: Rows = |count, n, run| normal(count, n, run) * 0.5;
    // A shift by 3 and the rest of a distance add up.
    for (name, rows, n, shift, truth, excess) in [
        ("normal", normal as Rows, 2, 3.0, 9.0, 0.24),
        ("normal", normal, 7, 3.0, 9.0, 0.24),
        ("mixture", mixture, 8, 3.0, 9.0 + MIXTURE_8, 0.32),
        ("half a normal", narrow, 8, 0.0, 2.0, 0.24),
    ] {
        for (samples, repetitions) in [(50, 1000), (2000, 100)] {
            Case {
                function: "Sample::bracket",
                law: &format!("{name}, n = {n}, N = {samples}"),
                repetitions,
                shortfall: 0.0,
                excess,
            }
            .check(|run| {
                let sample = shifted(rows(samples, n, run), shift);
                let bracket = sample.bracket(&standard(n), None, Seed(run)).unwrap();
                LEVELS.map(|level| {
                    let Interval { low, high } = bracket.confidence_interval(level).unwrap();
                    low <= truth && truth <= high
                })
            });
        }
    }
}

/// Bases are whole, so whatever of a shift the directions see, they see all of it: 64 directions of
/// which the last belonged to half a basis saw more or less than 9 by .2.
#[test]
fn lower_bounds_of_a_shift_have_no_noise_from_directions() {
    let rows = normal(4000, 7, 1);
    let mean = rows.row_mean();
    // The sample's own mean is the shift.
    let sample = Sample::from_rows(&DMatrix::from_fn(4000, 7, |i, j| {
        rows[(i, j)] - mean[j] + if j == 0 { 3.0 } else { 0.0 }
    }))
    .unwrap();
    for seed in 0..20 {
        let bracket = sample.bracket(&standard(7), None, Seed(seed)).unwrap();
        let (_, sliced) = bracket.lower_bounds()[1];
        assert_eq!(sliced.projection_error, Some(0.0));
        assert!((sliced.debiased() - 9.0).abs() < 0.02, "{sliced:?}");
    }
}

/// The runs of a law of `H`: normal columns, nearly and far from orthogonal.
fn matrix_law(rows: usize, runs: u64, first: u64) -> MatrixLaw {
    let mut law = MatrixLaw::new(3, 12).unwrap();
    for run in first..first + runs {
        let run = Seed(rows as u64).replicate(u32::try_from(run).unwrap());
        law.push(Input::gaussian(rows, 3, run).unwrap().gram(), run).unwrap();
    }
    law
}

#[test]
fn brackets_of_the_matrix_law() {
    // Few rows make coupling bounds far from normal.
    for rows in [3, 30] {
        let truth = matrix_law(rows, 40_000, 1_000_000).bracket().unwrap();
        let below = truth.lower_bounds().iter().map(|bound| bound.1.debiased()).fold(0.0, f64::max);
        let above = truth.upper().1.squared;
        for runs in [4, 32] {
            let law = |run| matrix_law(rows, runs, runs * run).bracket().unwrap();
            Case {
                function: "MatrixLaw::bracket, upper",
                law: &format!("normal {rows} x 3, {runs} runs"),
                repetitions: 500,
                shortfall: if rows == 3 { 0.05 } else { 0.02 },
                excess: 0.02,
            }
            .check(|run| inside(&law(run).upper().1, above));
            Case {
                function: "MatrixLaw::bracket",
                law: &format!("normal {rows} x 3, {runs} runs"),
                repetitions: 500,
                shortfall: 0.0,
                excess: 0.15,
            }
            .check(|run| {
                let bracket = law(run);
                LEVELS.map(|level| {
                    let Interval { low, high } = bracket.confidence_interval(level).unwrap();
                    low <= below && above <= high
                })
            });
        }
    }
}

#[cfg(feature = "assignment")]
#[test]
fn transports_of_the_matrix_law() {
    const BATCH: usize = 8;
    for rows in [3, 30] {
        let truth = matrix_law(rows, 32_000, 1_000_000).transport(BATCH).unwrap().debiased();
        for groups in [2, 3, 16] {
            let runs = (2 * BATCH) as u64 * groups;
            Case {
                function: "MatrixLaw::transport",
                law: &format!("normal {rows} x 3, {groups} groups"),
                repetitions: 500,
                shortfall: 0.03,
                excess: 0.03,
            }
            .check(|run| {
                inside(&matrix_law(rows, runs, runs * run).transport(BATCH).unwrap(), truth)
            });
        }
    }
}
