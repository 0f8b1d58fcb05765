//! Figure 2a of the paper: the orthogonality gap falls with depth to a level that the width sets.
//!
//! Four samples of very unequal length pass through a narrow and a wide network. Prints means of
//! the logarithm of the gap over runs, layer by layer. `--help` lists the options.

use std::process::ExitCode;

use orthogap::experiment::{ChainExperiment, Observable, Summary};
use orthogap::report::{Table, Value};
use orthogap::theory::stationary;
use orthogap::{Input, Network};

use orthogap_examples::command::Result;
use orthogap_examples::figure::{Dash, Figure, Panel, Series};
use orthogap_examples::paper::{
    Comparison, Job, Options, Outcome, Paper, STATISTICS, band, known, run_all, statistics,
};

const PAPER: Paper = Paper {
    name: "figure_2a",
    about: "The gap of 4 samples against depth, in networks of width 32 and 512 (Figure 2a).",
    runs: (4000, 200),
    images: false,
};

const BATCH: usize = 4;
const WIDTHS: [usize; 2] = [32, 512];
const DEPTH: usize = 50;
const LOG_GAP: &str = "log_gap";

fn at(summary: &Summary, layer: usize) -> &Observable {
    summary.at(layer, LOG_GAP).expect("observed")
}

/// Geometric means, on a logarithmic axis: the same picture as logarithms, and gaps to read off.
fn figure(summaries: &[Summary], runs: u32) -> Figure {
    let series = |(colour, (summary, width)): (usize, (&Summary, &usize))| {
        let mean = |layer| (layer as f64, at(summary, layer).moments().mean().exp());
        let band = |layer| {
            let (low, high) = band(at(summary, layer));
            (low.exp(), high.exp())
        };
        Series {
            label: format!("width {width}"),
            colour,
            points: (0..=DEPTH).map(mean).collect(),
            band: (0..=DEPTH).map(band).collect(),
            dash: Dash::Solid,
        }
    };
    let level = |(colour, &width)| (stationary::mean_gap(BATCH, width), colour);
    Figure {
        title: format!("Orthogonality gap of {BATCH} samples against depth, {runs} runs"),
        x_label: "layer (0 is the input)".to_owned(),
        y_label: "orthogonality gap".to_owned(),
        log_y: true,
        panels: vec![Panel {
            series: summaries.iter().zip(&WIDTHS).enumerate().map(series).collect(),
            levels: WIDTHS.iter().enumerate().map(level).collect(),
            ..Panel::default()
        }],
        keys: vec![
            ("geometric mean".to_owned(), Dash::Solid),
            ("mean gap by the large-width law".to_owned(), Dash::Dotted),
        ],
        band: "95 % of runs",
        ..Figure::default()
    }
}

fn experiment(options: &Options) -> Result<Outcome> {
    let input = Input::spiked(BATCH, 1e-6)?;
    let networks = WIDTHS.map(Network::<f64>::new);
    let job = |network: &Network<f64>| Job {
        name: format!("width {}", network.width()),
        experiment: Box::new(
            ChainExperiment::new(network, &input)
                .observe(LOG_GAP, |layer| Ok(layer.orthogonality_gap().ln()))
                .at(0..=DEPTH),
        ),
        cost: network.width() + 64,
    };
    let jobs: Vec<_> = networks.iter().map(job).collect();
    let summaries = run_all(&jobs, options, 0)?;

    let mut data = Table::new(["width", "layer"].into_iter().chain(STATISTICS));
    let mut comparisons = Vec::new();
    for (summary, &width) in summaries.iter().zip(&WIDTHS) {
        for layer in 0..=DEPTH {
            let start = [Value::from(width), layer.into()];
            data.push(start.into_iter().chain(statistics(at(summary, layer))))?;
        }
        for known in known("2a", "batch_norm", width) {
            let quantity = format!("width {width}, mean log gap after layer {}", known.layer);
            comparisons.push(Comparison::mean(quantity, at(summary, known.layer), Some(known)));
        }
    }
    let mut text = Table::new(["layer", "width 32", "error", "width 512", "error"]);
    for layer in (0..=DEPTH).filter(|layer| *layer < 5 || layer.is_multiple_of(5)) {
        let numbers = summaries.iter().flat_map(|summary| {
            let moments = at(summary, layer).moments();
            [moments.mean().into(), moments.standard_error().into()]
        });
        text.push(std::iter::once(Value::from(layer)).chain(numbers))?;
    }
    let law = WIDTHS.map(|width| stationary::mean_gap(BATCH, width).ln());
    Ok(Outcome {
        text: format!(
            "Mean natural logarithm of the gap with its standard error.\n\n{text}\n\
             The paper shows gaps that fall exponentially in depth, to a lower level the wider the \
             network. By the\nlarge-width law the logarithms of the mean gaps at the end are {:.3} and \
             {:.3}; the means of logarithms\nlie lower.\n",
            law[0], law[1]
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
        assert!(
            csv.starts_with("width,layer,mean,standard_error,runs,q025,median,q975\n32,0,-0.14")
        );
        assert_eq!(csv.lines().count(), 1 + 2 * 51);
        assert!(svg.contains(">width 512<") && svg.contains(">95 % of runs<"));
    }

    /// Seven layers of each width, seed 1.
    #[test]
    fn numbers_are_as_known() {
        let options = promises::options(&PAPER, "--quick").unwrap();
        promises::numbers_are_as_known(&experiment(&options).unwrap().comparisons, 14);
    }
}
