//! Figure 1 of the paper: batch normalisation makes two samples orthogonal, vanilla networks make
//! them parallel.
//!
//! The mean |cosine| between the samples, layer by layer, each network from its least favourable
//! input. `--help` lists the options.

use std::f64::consts::{PI, SQRT_2};
use std::process::ExitCode;

use orthogap::experiment::{ChainExperiment, Observable, Summary};
use orthogap::normalization::{BatchNorm, Normalization};
use orthogap::report::{Table, Value};
use orthogap::theory::stationary;
use orthogap::{Input, Network};

use orthogap_examples::command::Result;
use orthogap_examples::figure::{Dash, Figure, Panel, Series};
use orthogap_examples::paper::{
    Comparison, Job, Options, Outcome, Paper, STATISTICS, band, known, run_all, statistics,
};

const PAPER: Paper = Paper {
    name: "figure_1",
    about: "The angle between 2 samples against depth, with batch normalisation from nearly\n\
            parallel and without it from orthogonal ones (Figure 1; the paper has 20 runs).",
    runs: (4000, 400),
    images: false,
};

const WIDTH: usize = 32;
/// Layers in the plot, of which the first is the input.
const PLOT_LAYERS: usize = 50;
const COSINE: &str = "cosine";

/// The two networks: name, and what they are called in the figure.
const NETWORKS: [(&str, &str); 2] =
    [("batch_norm", "batch normalisation"), ("vanilla", "vanilla (linear, no normalisation)")];

/// |cosine| at a layer of the plot.
fn at(summary: &Summary, plot_layer: usize) -> &Observable {
    summary.at(plot_layer - 1, COSINE).expect("observed")
}

/// The stationary mean |cosine| at large width: of two samples, it is one of two equally large
/// parts of the gap.
fn stationary_cosine() -> f64 {
    2.0 * SQRT_2 / PI * stationary::mean_gap(2, WIDTH)
}

fn figure(summaries: &[Summary], runs: u32) -> Figure {
    let series = |(colour, (summary, (_, label))): (usize, (&Summary, &(&str, &str)))| Series {
        label: (*label).to_owned(),
        colour,
        points: (1..=PLOT_LAYERS).map(|l| (l as f64, at(summary, l).moments().mean())).collect(),
        band: (1..=PLOT_LAYERS).map(|l| band(at(summary, l))).collect(),
        dash: Dash::Solid,
    };
    let series = summaries.iter().zip(&NETWORKS).enumerate().map(series).collect();
    let levels = vec![(stationary_cosine(), 0)];
    Figure {
        title: format!("Angle between two samples in networks of width {WIDTH}, {runs} runs"),
        x_label: "layer (1 is the input)".to_owned(),
        y_label: "|cosine| of the angle between the samples".to_owned(),
        panels: vec![Panel { series, levels, ..Panel::default() }],
        keys: vec![("mean".to_owned(), Dash::Solid), ("large-width law".to_owned(), Dash::Dotted)],
        band: "95 % of runs",
        ..Figure::default()
    }
}

fn experiment(options: &Options) -> Result<Outcome> {
    let normalizations = [BatchNorm::paper().into(), Normalization::None];
    let inputs = [Input::near_collinear(2, 1e-3)?, Input::orthogonal(2)?];
    let networks = normalizations.map(|norm| Network::<f64>::new(WIDTH).with_normalization(norm));
    let job = |((network, input), (name, _)): ((&Network<f64>, _), &(&str, &str))| Job {
        name: (*name).to_owned(),
        experiment: Box::new(
            ChainExperiment::new(network, input)
                .observe(COSINE, |layer| Ok(layer.cosine(0, 1)?.abs()))
                .at(0..PLOT_LAYERS),
        ),
        cost: 1,
    };
    let jobs: Vec<_> = networks.iter().zip(&inputs).zip(&NETWORKS).map(job).collect();
    let summaries = run_all(&jobs, options, 0)?;

    let mut data = Table::new(["network", "layer"].into_iter().chain(STATISTICS));
    let mut text = Table::new(["layer", "batch norm", "error", "vanilla", "error"]);
    let mut comparisons = Vec::new();
    for (summary, (name, _)) in summaries.iter().zip(NETWORKS) {
        for layer in 1..=PLOT_LAYERS {
            let start = [Value::from(name), layer.into()];
            data.push(start.into_iter().chain(statistics(at(summary, layer))))?;
        }
        for known in known("1", name, WIDTH) {
            let quantity = format!("{name}, mean |cosine| at layer {}", known.layer);
            comparisons.push(Comparison::mean(quantity, at(summary, known.layer), Some(known)));
        }
    }
    for layer in (1..=PLOT_LAYERS).filter(|layer| *layer < 10 || layer.is_multiple_of(5)) {
        let numbers = summaries.iter().flat_map(|summary| {
            let moments = at(summary, layer).moments();
            [moments.mean().into(), moments.standard_error().into()]
        });
        text.push(std::iter::once(Value::from(layer)).chain(numbers))?;
    }
    Ok(Outcome {
        text: format!(
            "Mean |cosine| with its standard error; layer 1 is the input.\n\n{text}\n\
             The paper shows that batch normalisation makes nearly parallel samples almost orthogonal \
             within some\n10 layers, and that vanilla networks make orthogonal samples parallel. The \
             level that is left is that of\nthe width: {:.4} by the large-width law.\n",
            stationary_cosine()
        ),
        comparisons,
        data,
        svg: figure(&summaries, options.runs).svg(),
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
        let [csv, svg] = promises::files_do_not_depend_on_threads(&PAPER, experiment, "--runs 9");
        assert!(csv.starts_with("network,layer,mean,standard_error,runs,q025,median,q975\n"));
        assert_eq!(csv.lines().count(), 1 + 2 * 50);
        assert!(csv.lines().nth(51).is_some_and(|line| line.starts_with("vanilla,1,0.0,0.0,9,")));
        assert!(svg.contains(">batch normalisation<") && svg.contains(">95 % of runs<"));
    }

    /// Five layers of each network, seed 1, and the law of the last layers.
    #[test]
    fn numbers_are_as_known() {
        let options = promises::options(&PAPER, "--quick").unwrap();
        let comparisons = experiment(&options).unwrap().comparisons;
        promises::numbers_are_as_known(&comparisons, 10);
        assert!((stationary_cosine() / 0.117 - 1.0).abs() < 0.03);
    }
}
