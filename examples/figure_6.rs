//! Figure 6 of the paper: with an activation, too, the Gram matrix concentrates as the width grows,
//! about a mean that depends on the activation.
//!
//! Layers H' = N(W F(H)) of rows of norm one (Appendix F). How far the Gram matrix is from its
//! stationary mean, on average over late layers, against the width. `--help` lists the options.

use std::process::ExitCode;

use orthogap::Activation;
use orthogap::Activation::{Identity, Relu, ShiftedTanh, Sin, Tanh};
use orthogap::experiment::{ChainExperiment, Layers, Observable, Summary};
use orthogap::report::{Table, Value};
use orthogap::statistics::{Line, Weighting};
use orthogap::theory::stationary;
use orthogap::{Error, Input, Layer, Network, Order};

use orthogap_examples::command::Result;
use orthogap_examples::figure::{Dash, Figure, Panel, Series, Stack};
use orthogap_examples::paper::{Comparison, Job, Known, Options, Outcome, Paper, run_all};

const PAPER: Paper = Paper {
    name: "figure_6",
    about: "How far the Gram matrix of 4 samples is from its stationary mean, against the width,\n\
            for five activations (Figure 6). The mean comes from as many runs of its own. The CSV\n\
            has the slope of each activation behind its widths.",
    runs: (100, 4),
    images: false,
};

const BATCH: usize = 4;
const WIDTHS: [usize; 5] = [16, 32, 64, 128, 256];
/// Layers that are averaged over, after those that forget the start.
const LAYERS: Layers = Layers { first: 101, last: 1100 };

/// An activation, and known numbers from one run of a thousand layers at each width.
struct Case {
    name: &'static str,
    activation: Activation,
    /// The distance at widths 64 and 256.
    distances: [f64; 2],
    slope: f64,
    /// n times the stationary off-diagonal at infinite width.
    off_diagonal: f64,
}

const fn case(
    name: &'static str,
    activation: Activation,
    distances: [f64; 2],
    slope: f64,
    off_diagonal: f64,
) -> Case {
    Case { name, activation, distances, slope, off_diagonal }
}

static CASES: [Case; 5] = [
    case("identity", Identity, [0.1424, 0.0709], -0.511, 0.0),
    case("ReLU", Relu, [0.1500, 0.0740], -0.532, 0.2905),
    case("tanh", Tanh, [0.1437, 0.0716], -0.513, 0.0),
    case("sin", Sin, [0.1432, 0.0710], -0.514, 0.0),
    case("1 + tanh", ShiftedTanh, [0.0794, 0.0401], -0.452, 0.7902),
];

/// The observable of a layer.
#[derive(Clone, Copy)]
enum Observe {
    /// The mean off-diagonal entry of the Gram matrix: samples are exchangeable, so the stationary
    /// mean has no other number, except for the diagonal, 1/n.
    OffDiagonal,
    /// The distance to the matrix with this off-diagonal.
    Distance(f64),
}

const OBSERVABLE: &str = "observable";

impl Observe {
    fn of(self, layer: &Layer) -> orthogap::Result<f64> {
        // A sample that a rectifier sets to zero stays zero: the rest is another chain.
        let mut columns = layer.factor().column_iter();
        if let Some(column) = columns.position(|column| column.amax() == 0.0) {
            return Err(Error::ZeroColumn { column });
        }
        let mut gram = layer.matrix();
        let n = BATCH as f64;
        Ok(match self {
            Self::OffDiagonal => (gram.sum() - gram.trace()) / (n * (n - 1.0)),
            Self::Distance(off_diagonal) => {
                let diagonal = gram.diagonal().add_scalar(off_diagonal - 1.0 / n);
                gram.set_diagonal(&diagonal);
                gram.add_scalar(-off_diagonal).norm()
            }
        })
    }
}

/// Late layers of the network of Appendix F.
fn job<'a>(width: usize, case: &Case, input: &'a Input, observe: Observe) -> Job<'a> {
    let network = Network::<f64>::new(width)
        .with_activation(case.activation.clone())
        .with_order(Order::ActivationLinearNorm);
    Job {
        name: format!("width {width}"),
        experiment: Box::new(
            ChainExperiment::new(&network, input)
                .observe(OBSERVABLE, move |layer| observe.of(layer))
                .mean_over(LAYERS),
        ),
        cost: width + 64,
    }
}

/// The results of one activation: a summary at each width, and the line of the distances.
struct Curve<'a> {
    case: &'a Case,
    off_diagonals: &'a [Summary],
    distances: &'a [Summary],
    line: Line,
}

fn cell(summary: &Summary) -> &Observable {
    summary.over(LAYERS, OBSERVABLE).expect("observed")
}

impl<'a> Curve<'a> {
    fn new(case: &'a Case, off_diagonals: &'a [Summary], distances: &'a [Summary]) -> Result<Self> {
        let logs: Vec<_> = WIDTHS
            .iter()
            .zip(distances)
            .map(|(&width, summary)| {
                let moments = cell(summary).moments();
                let error = moments.standard_error() / moments.mean();
                ((width as f64).ln(), moments.mean().ln(), error)
            })
            .collect();
        let line = Line::with_errors(&logs, Weighting::Equal)?;
        Ok(Self { case, off_diagonals, distances, line })
    }

    /// The line of n times the off-diagonal against 1/d, for d from 64 on: its intercept is the
    /// value at infinite width.
    fn limit(&self) -> Result<Line> {
        let n = BATCH as f64;
        let wide = WIDTHS.iter().zip(self.off_diagonals).filter(|&(&width, _)| width >= 64);
        let points: Vec<_> = wide
            .map(|(&width, summary)| {
                let moments = cell(summary).moments();
                (1.0 / width as f64, n * moments.mean(), n * moments.standard_error())
            })
            .collect();
        Ok(Line::with_errors(&points, Weighting::InverseVariance)?)
    }

    /// Adds the comparisons of known numbers with measured ones.
    fn compare(&self, comparisons: &mut Vec<Comparison>) -> Result<()> {
        let Case { name, distances, slope, off_diagonal, .. } = *self.case;
        for (width, distance) in [64, 256].into_iter().zip(distances) {
            let found = WIDTHS.iter().position(|&found| found == width).expect("one of them");
            let found = cell(&self.distances[found]);
            let of_one_run = found.moments().sample_variance().sqrt();
            let known = Known::printed(distance, 4, of_one_run);
            let quantity = format!("{name}, distance, width {width}");
            comparisons.push(Comparison::mean(quantity, found, Some(known)));
        }
        let runs = cell(&self.distances[0]).moments().count() as f64;
        let known = Known::printed(slope, 3, self.line.slope_error() * runs.sqrt());
        let quantity = format!("{name}, slope of the distance");
        comparisons.push(Comparison::slope(quantity, &self.line, Some(known)).paper("-1/2"));
        let limit = self.limit()?;
        comparisons.push(Comparison {
            quantity: format!("{name}, n x off-diagonal, d -> inf"),
            measured: limit.intercept(),
            error: limit.intercept_error(),
            known: Some(match off_diagonal {
                0.0 => Known::exact(0.0), // odd activations
                limit => Known::printed(limit, 4, 0.0),
            }),
            paper: "",
        });
        Ok(())
    }

    fn series(&self, colour: usize, at: fn(&Self, usize, f64) -> (f64, f64)) -> [Series; 2] {
        let (mut points, mut band) = (Vec::new(), Vec::new());
        for (index, width) in WIDTHS.map(|width| width as f64).into_iter().enumerate() {
            let (mean, error) = at(self, index, width);
            points.push((width, mean));
            band.push((mean - 1.96 * error, mean + 1.96 * error));
        }
        let (slope, error) = (self.line.slope(), self.line.slope_error());
        let label = format!("{}: slope {slope:.4} ± {error:.4}", self.case.name).replace('-', "−");
        let dots =
            Series { colour, points: points.clone(), dash: Dash::Points, ..Series::default() };
        [Series { label, colour, points, band, dash: Dash::Solid }, dots]
    }
}

fn figure(curves: &[Curve], runs: u32) -> Stack {
    // Mean and standard error at a width, from its place in the list.
    type At = fn(&Curve, usize, f64) -> (f64, f64);
    let row = |y_label: &str, at: At| {
        let series = curves.iter().enumerate();
        let series = series.flat_map(|(colour, curve)| curve.series(colour, at));
        Figure {
            x_label: "width d (neurons)".to_owned(),
            y_label: y_label.to_owned(),
            log_x: true,
            panels: vec![Panel { series: series.collect(), ..Panel::default() }],
            ..Figure::default()
        }
    };
    let mut distance = row("mean distance", |curve, index, _| scaled(&curve.distances[index], 1.0));
    let mut by_root = row("mean distance × √d", |curve, index, width| {
        scaled(&curve.distances[index], width.sqrt())
    });
    let mut off_diagonal = row("n × off-diagonal", |curve, index, _| {
        scaled(&curve.off_diagonals[index], BATCH as f64)
    });
    distance.title = format!("Gram matrix of {BATCH} samples and its stationary mean, {runs} runs");
    distance.log_y = true;
    distance.keys = vec![
        ("mean; slopes ± standard errors".to_owned(), Dash::Solid),
        ("limit of wide networks (distance: identity)".to_owned(), Dash::Dotted),
    ];
    distance.band = "95 % confidence";
    let law = WIDTHS.map(|width| (width as f64, stationary::mean_gap(BATCH, width)));
    let law = Series { points: law.to_vec(), dash: Dash::Dotted, ..Series::default() };
    distance.panels[0].series.push(law);
    by_root.panels[0].levels = vec![(stationary::mean_gap(BATCH, 1 << 20) * 1024.0, 0)];
    let limits = CASES.iter().map(|case| case.off_diagonal).enumerate();
    off_diagonal.panels[0].levels = limits.map(|(colour, limit)| (limit, colour)).collect();
    Stack { rows: vec![distance, by_root, off_diagonal] }
}

/// A mean and its standard error, times a factor.
fn scaled(summary: &Summary, factor: f64) -> (f64, f64) {
    let moments = cell(summary).moments();
    (factor * moments.mean(), factor * moments.standard_error())
}

/// The shares of runs at the smallest width that should lose a sample to the rectifier, and that
/// did. All `d` neurons of a sample are negative with probability `2^-d`, independently in each
/// layer. Sometimes samples die together, so the share is smaller by about 2 %.
fn dead_samples(curve: &Curve) -> Comparison {
    let of_layer = BATCH as f64 * 0.5f64.powi(WIDTHS[0] as i32);
    let expected = 1.0 - (1.0 - of_layer).powi(LAYERS.last as i32);
    let all = [&curve.off_diagonals[0], &curve.distances[0]];
    let runs: f64 = all.iter().map(|summary| f64::from(summary.runs())).sum();
    let stopped: f64 = all.iter().map(|summary| f64::from(summary.stopped())).sum();
    Comparison {
        quantity: format!("{}, width {}, runs that lose a sample", curve.case.name, WIDTHS[0]),
        measured: stopped / runs,
        error: (expected * (1.0 - expected) / runs).sqrt(),
        known: Some(Known { error: 0.02 * expected, ..Known::exact(expected) }),
        paper: "not mentioned",
    }
}

fn experiment(options: &Options) -> Result<Outcome> {
    let input = Input::orthogonal(BATCH)?;
    let kinds = || CASES.iter().flat_map(|case| WIDTHS.map(|width| (case, width)));
    let named = |case: &Case, width, observe| {
        let name = format!("{}, width {width}", case.name);
        Job { name, ..job(width, case, &input, observe) }
    };
    let jobs = kinds().map(|(case, width)| named(case, width, Observe::OffDiagonal));
    // The mean must be independent of the runs whose distance from it is measured.
    let off_diagonals = run_all(&jobs.collect::<Vec<_>>(), options, 0)?;
    let jobs = kinds().zip(&off_diagonals).map(|((case, width), summary)| {
        named(case, width, Observe::Distance(cell(summary).moments().mean()))
    });
    let distances = run_all(&jobs.collect::<Vec<_>>(), options, 1)?;

    let found = off_diagonals.chunks(WIDTHS.len()).zip(distances.chunks(WIDTHS.len()));
    let curves =
        CASES.iter().zip(found).map(|(case, (off, distances))| Curve::new(case, off, distances));
    let curves = curves.collect::<Result<Vec<_>>>()?;
    let (mut data, mut comparisons) = (table(&curves)?, Vec::new());
    let text = format!(
        "|Gram - mean|_F averaged over layers {LAYERS}, and n times the mean off-diagonal, from \
         other runs.\nA run ends where a rectifier kills a sample and does not count: \
         narrow rectified networks\nhave no stationary law, only one of those that are alive.\n\n\
         {data}\n\
         Known distances and slopes are of one run of 1000 layers; their errors are the scatter of \
         one run here.\n"
    );
    for curve in &curves {
        curve.compare(&mut comparisons)?;
        let (slope, error) = (curve.line.slope(), curve.line.slope_error());
        data.push([Value::from(curve.case.name), "slope".into(), slope.into(), error.into()])?;
    }
    comparisons.push(dead_samples(&curves[1]));
    Ok(Outcome { text, comparisons, data, svg: figure(&curves, options.runs).svg() })
}

fn table(curves: &[Curve]) -> orthogap::Result<Table> {
    let columns = ["activation", "width", "mean_distance", "standard_error", "runs", "ended_early"];
    let mut table = Table::new(columns.into_iter().chain(["n_off_diagonal", "its_error"]));
    for curve in curves {
        for (index, width) in WIDTHS.into_iter().enumerate() {
            let distance = &curve.distances[index];
            let moments = cell(distance).moments();
            let (off_diagonal, error) = scaled(&curve.off_diagonals[index], BATCH as f64);
            let row: [Value; 8] = [
                curve.case.name.into(),
                width.into(),
                moments.mean().into(),
                moments.standard_error().into(),
                moments.count().into(),
                u64::from(distance.stopped()).into(),
                off_diagonal.into(),
                error.into(),
            ];
            table.push(row)?;
        }
    }
    Ok(table)
}

fn main() -> ExitCode {
    PAPER.main(experiment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use orthogap_examples::paper::promises;

    #[test]
    fn options_are_read_or_refused_in_one_line() {
        promises::options_are_read_or_refused_in_one_line(&PAPER);
    }

    #[test]
    fn files_do_not_depend_on_threads() {
        let [csv, svg] = promises::files_do_not_depend_on_threads(&PAPER, experiment, "--runs 2");
        assert!(csv.starts_with("activation,width,mean_distance,standard_error,runs,"));
        assert_eq!(csv.lines().count(), 1 + 5 * 5 + 5);
        let slopes = csv.lines().filter(|line| line.contains(",slope,-0.")).count();
        assert_eq!(
            (slopes, svg.contains(">256<"), svg.contains(">ReLU: slope −0.5")),
            (5, true, true)
        );
    }

    /// Two distances, a slope and an angle of each activation, and the dead: 21 comparisons, seed 1.
    /// By Student's law of 24 runs, false alarms are one in 300 suites.
    #[test]
    fn numbers_are_as_known() {
        let options = promises::options(&PAPER, "--runs 24").unwrap();
        promises::numbers_are_as_known(&experiment(&options).unwrap().comparisons, 21);
    }

    /// The distance of a matrix from the mean, by hand.
    #[test]
    fn distances_are_frobenius_norms() {
        let input = Input::near_collinear(BATCH, 0.5).unwrap();
        let chain = Network::<f64>::new(8).chain(&input, orthogap::Seed(1)).unwrap();
        let gram = chain.layer().matrix();
        let mean = gram.map_with_location(|i, j, _| if i == j { 0.25 } else { 0.1 });
        let found = Observe::Distance(0.1).of(chain.layer()).unwrap();
        assert!((found - (&gram - mean).norm()).abs() < 1e-14);
    }
}
