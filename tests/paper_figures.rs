//! The means behind Figures 1, 2a and 2b of the paper, from `golden/paper_figures.csv`.
//!
//! Each comparison allows 4 standard errors of the difference; of 30 comparisons, one by chance in
//! 500 suites (the seeds are fixed, so a passing suite passes always).

use orthogap::normalization::{BatchNorm, Normalization};
use orthogap::statistics::Moments;
use orthogap::{Input, Layer, Network, Seed};

use crate::{golden_rows, number};

/// Expected means and standard errors of one figure at one width, by layer.
fn golden(figure: &str, network: &str, width: usize) -> Vec<(usize, f64, f64)> {
    let rows: Vec<_> = golden_rows(include_str!("golden/paper_figures.csv"), 30)
        .filter(|row| row[0] == figure && row[1] == network && number(row[2]) == width as f64)
        .map(|row| {
            let error = if row[5].is_empty() { 0.0 } else { number(row[5]) };
            (number(row[3]) as usize, number(row[4]), error)
        })
        .collect();
    assert!(!rows.is_empty());
    rows
}

/// A mean against its golden value and standard error; `digits` is what printing rounded away.
fn assert_agree(moments: &Moments, (layer, mean, error): (usize, f64, f64), digits: f64) {
    let tolerance = 4.0 * moments.standard_error().hypot(error) + digits;
    let difference = moments.mean() - mean;
    assert!(
        difference.abs() <= tolerance,
        "layer {layer}: {} against {mean}, allowed {tolerance}",
        moments.mean()
    );
}

/// `measure` of layers 0 (the input) to `depth`, over runs.
fn by_layer(
    network: Network<f64>,
    input: &Input,
    runs: u32,
    depth: usize,
    measure: fn(&Layer) -> f64,
) -> Vec<Moments> {
    let mut moments = vec![Moments::new(); depth + 1];
    for run in 0..runs {
        let mut chain = network.chain(input, Seed(1).replicate(run)).unwrap();
        moments[0].push(measure(chain.layer()));
        for moments in &mut moments[1..] {
            moments.push(measure(chain.step().unwrap()));
        }
    }
    moments
}

#[test]
fn figure_1() {
    let cosine = |layer: &Layer| layer.cosine(0, 1).unwrap().abs();
    let cases = [
        ("batch_norm", BatchNorm::paper().into(), Input::near_collinear(2, 1e-3).unwrap()),
        ("vanilla", Normalization::None, Input::orthogonal(2).unwrap()),
    ];
    for (name, normalization, input) in cases {
        let network = Network::new(32).with_normalization(normalization);
        let moments = by_layer(network, &input, 4000, 49, cosine);
        for row in golden("1", name, 32) {
            assert_agree(&moments[row.0 - 1], row, 5e-8); // plot layer 1 is the input
        }
    }
}

#[test]
fn figure_2a() {
    let log_gap = |layer: &Layer| layer.orthogonality_gap().ln();
    for (width, runs) in [(32, 4000), (512, 1000)] {
        let input = Input::spiked(4, 1e-6).unwrap();
        let moments = by_layer(Network::new(width), &input, runs, 50, log_gap);
        for row in golden("2a", "batch_norm", width) {
            assert_agree(&moments[row.0], row, 5e-5);
        }
    }
}

#[test]
fn figure_2b() {
    let input = Input::spiked(4, 1e-6).unwrap();
    for width in [16, 32, 64, 128, 256, 512] {
        let network = Network::<f64>::new(width);
        let log_mean = |run| {
            let chain = network.chain(&input, Seed(2).replicate(run)).unwrap();
            let gaps = chain.take(500).map(|layer| layer.unwrap().orthogonality_gap());
            (gaps.sum::<f64>() / 500.0).ln()
        };
        let moments: Moments = (0..100).map(log_mean).collect();
        for row in golden("2b", "batch_norm", width) {
            assert_agree(&moments, row, 5e-5);
        }
    }
}
