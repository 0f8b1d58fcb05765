//! Figure 2b of the paper: the orthogonality gap falls with the width.
//!
//! Four samples of very unequal length. The gap is averaged over the 500 layers of a run, and the
//! logarithm of that over runs, against the width. `--help` lists the options.

use std::process::ExitCode;

use orthogap::experiment::{Summary, from_fn};
use orthogap::report::{Table, Value};
use orthogap::statistics::{Line, Weighting};
use orthogap::theory::stationary;
use orthogap::{Input, Network, Replicate};

use orthogap_examples::command::Result;
use orthogap_examples::figure::{Dash, Figure, Panel, Series};
use orthogap_examples::paper::{Comparison, Job, Known, Options, Outcome, Paper, known, run_all};

const PAPER: Paper = Paper {
    name: "figure_2b",
    about: "The gap of 4 samples averaged over 500 layers, against the width (Figure 2b).\n\
            The CSV ends with the slope of its logarithm against that of the width.",
    runs: (1000, 40),
    images: false,
};

const BATCH: usize = 4;
const WIDTHS: [usize; 6] = [16, 32, 64, 128, 256, 512];
const LAYERS: usize = 500;
/// The number of layers that depend on the start.
const TRANSIENT: usize = 100;
/// The logarithm of a run's mean gap over all layers, and over those after the transient.
const OBSERVABLES: [&str; 2] = ["all", "late"];

/// The observables of one run at a width.
fn log_mean_gaps(width: usize, input: &Input, run: Replicate) -> orthogap::Result<[f64; 2]> {
    let chain = Network::<f64>::new(width).chain(input, run)?.take(LAYERS);
    let gaps = chain.map(|layer| Ok(layer?.orthogonality_gap()));
    let gaps: Vec<f64> = gaps.collect::<orthogap::Result<_>>()?;
    let log_mean = |gaps: &[f64]| (gaps.iter().sum::<f64>() / gaps.len() as f64).ln();
    Ok([log_mean(&gaps), log_mean(&gaps[TRANSIENT..])])
}

/// The points of a curve, and the line through their logarithms with equal weights.
struct Curve {
    points: Vec<(f64, f64)>,
    line: Line,
}

impl Curve {
    fn new(summaries: &[Summary], observable: &str) -> Result<Self> {
        let moments = summaries.iter().map(|summary| summary.at(LAYERS, observable));
        let moments = moments.map(|cell| *cell.expect("observed").moments());
        let logs: Vec<_> = WIDTHS
            .iter()
            .zip(moments)
            .map(|(&width, log)| ((width as f64).ln(), log.mean(), log.standard_error()))
            .collect();
        let points = logs.iter().map(|&(x, y, _)| (x.exp(), y.exp())).collect();
        Ok(Self { points, line: Line::with_errors(&logs, Weighting::Equal)? })
    }

    fn series(&self, colour: usize, what: &str) -> [Series; 2] {
        let (slope, error) = (self.line.slope(), self.line.slope_error());
        let fitted = |&(width, _): &(f64, f64)| (width, self.line.at(width.ln()).exp());
        let label = format!("{what}: slope {slope:.4} ± {error:.4}").replace('-', "−");
        let (points, dash) = (self.points.clone(), Dash::Points);
        let line = self.points.iter().map(fitted).collect();
        [
            Series { colour, points: line, dash: Dash::Dashed, ..Series::default() },
            Series { label, colour, points, dash, band: Vec::new() },
        ]
    }
}

fn figure(all: &Curve, late: &Curve, runs: u32) -> Figure {
    let law = |&width: &usize| (width as f64, stationary::mean_gap(BATCH, width));
    let law = WIDTHS.iter().map(law).collect();
    let law = Series { colour: 6, points: law, dash: Dash::Dotted, ..Series::default() };
    let mut series = vec![law];
    series.extend(all.series(0, &format!("layers 1 to {LAYERS}, as the paper")));
    series.extend(late.series(1, &format!("layers {} to {LAYERS}", TRANSIENT + 1)));
    Figure {
        title: format!("Orthogonality gap of {BATCH} samples against the width, {runs} runs"),
        x_label: "width d (neurons)".to_owned(),
        y_label: "gap averaged over layers".to_owned(),
        log_x: true,
        log_y: true,
        panels: vec![Panel { series, ..Panel::default() }],
        keys: vec![
            ("mean".to_owned(), Dash::Points),
            ("line fitted to logarithms (slope ± standard error)".to_owned(), Dash::Dashed),
            ("large-width law, slope −1/2".to_owned(), Dash::Dotted),
        ],
        ..Figure::default()
    }
}

fn experiment(options: &Options) -> Result<Outcome> {
    let input = &Input::spiked(BATCH, 1e-6)?;
    let job = |&width: &usize| Job {
        name: format!("width {width}"),
        experiment: Box::new(from_fn(OBSERVABLES, 1..=LAYERS, move |run| {
            log_mean_gaps(width, input, run)
        })),
        cost: width + 64,
    };
    let jobs: Vec<_> = WIDTHS.iter().map(job).collect();
    let summaries = run_all(&jobs, options, 0)?;

    let mut data = Table::new(["width", "mean_log_gap", "standard_error", "runs"]);
    let (mut comparisons, mut points) = (Vec::new(), Vec::new());
    for (&width, summary) in WIDTHS.iter().zip(&summaries) {
        let log_gap = summary.at(LAYERS, OBSERVABLES[0]).expect("observed");
        let moments = log_gap.moments();
        let row: [Value; 4] = [
            width.into(),
            moments.mean().into(),
            moments.standard_error().into(),
            moments.count().into(),
        ];
        data.push(row)?;
        let known = known(&PAPER.name["figure_".len()..], "batch_norm", width).pop();
        points.extend(known.map(|known| ((width as f64).ln(), known.value, known.error)));
        comparisons.push(Comparison::mean(format!("mean log gap, width {width}"), log_gap, known));
    }
    let [all, late] = OBSERVABLES.map(|observable| Curve::new(&summaries, observable));
    let (all, late) = (all?, late?);
    let (slope, error) = (all.line.slope(), all.line.slope_error());
    data.push([Value::from("slope"), slope.into(), error.into()])?;

    let expected = Line::with_errors(&points, Weighting::Equal)?;
    let expected = Known { layer: 0, value: expected.slope(), error: expected.slope_error() };
    let slope = Comparison::slope("slope, all layers", &all.line, Some(expected)).paper("-0.46");
    comparisons.push(slope);
    let known = Known::printed(-0.510, 3, 0.0);
    let after = format!("slope after layer {TRANSIENT}");
    comparisons
        .push(Comparison::slope(after, &late.line, Some(known)).paper("-1/2 at large width"));
    Ok(Outcome {
        text: format!(
            "{data}\nThe logarithm of the gap averaged over layers 1 to {LAYERS}. The published axis is \
             lower by log 20 = 3.00:\nit was divided by the number of runs twice. Errors are \
             standard errors; known is a simulation with\nexplicit weights.\n"
        ),
        comparisons,
        data,
        svg: figure(&all, &late, options.runs).svg(),
    })
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
        let [csv, svg] = promises::files_do_not_depend_on_threads(&PAPER, experiment, "--runs 5");
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!((lines[0], lines.len()), ("width,mean_log_gap,standard_error,runs", 8));
        assert!(lines[1].starts_with("16,-1.1") && lines[6].ends_with(",5"));
        let last: Vec<_> = lines[7].split(',').collect();
        assert_eq!((last[0], last.len(), last[3]), ("slope", 4, ""));
        assert!((last[1].parse::<f64>().unwrap() + 0.468).abs() < 0.02);
        assert!(last[2].parse::<f64>().unwrap() < 0.02);
        assert!(svg.contains(">512<") && svg.contains("slope −0.4"));
    }

    /// Six means and two slopes, seed 1.
    #[test]
    fn numbers_are_as_known() {
        let options = promises::options(&PAPER, "--quick").unwrap();
        promises::numbers_are_as_known(&experiment(&options).unwrap().comparisons, 8);
    }
}
