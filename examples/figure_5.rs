//! Figure 5 of the paper: batch normalisation keeps images apart in rectified networks, dense and
//! convolutional, in which they become parallel without it.
//!
//! The orthogonality gap, layer by layer, over batches of images. `--help` lists the options.

use std::process::ExitCode;

use orthogap::Activation::Relu;
use orthogap::convolution::{self, Convolution};
use orthogap::experiment::{ChainExperiment, Observable, Summary};
use orthogap::normalization::{BatchNorm, Normalization};
use orthogap::report::{Table, Value};
use orthogap::weights::Gaussian;
use orthogap::{Input, Network, Order, Replicate};

use orthogap_examples::command::Result;
use orthogap_examples::figure::{Dash, Figure, Panel, Series};
use orthogap_examples::images::Images;
use orthogap_examples::paper::{
    Comparison, Job, Options, Outcome, Paper, STATISTICS, band, run_all, statistics,
};

const PAPER: Paper = Paper {
    name: "figure_5",
    about: "The gap of batches of 8 images against depth, in rectified MLPs and ConvNets with and\n\
            without batch normalisation (Figure 5). A run is a batch and a network of its own.",
    runs: (50, 4),
    images: true,
};

const BATCH: usize = 8;
const DEPTH: usize = 30;
/// Neurons of a layer of the MLP, channels of the ConvNet.
const WIDTH: usize = 100;
const KERNEL: usize = 3;
/// The mean that the authors subtract from pixels, and the deviation by which they divide.
const PIXELS: (f64, f64) = (0.1307, 0.3081);
/// The epsilon of frameworks.
const EPSILON: f64 = 1e-5;
const GAP: &str = "orthogonality_gap";

const ARCHITECTURES: [&str; 2] = ["MLP", "ConvNet"];
const NORMALIZATIONS: [&str; 2] = ["with batch norm", "without"];

/// A batch, normalised as by the authors; networks of all kinds get the same batches.
fn batch(images: &Images, run: Replicate, batches: u32) -> orthogap::Result<Input> {
    let (mean, deviation) = PIXELS;
    let pixels = images
        .batch(BATCH, run.seed().replicate(run.index() % batches))
        .expect("there are enough images");
    Input::from_columns(&pixels.map(|pixel| (pixel - mean) / deviation))
}

fn at(summary: &Summary, layer: usize) -> &Observable {
    summary.at(layer, GAP).expect("observed")
}

/// The gap of parallel samples, and the least gap of centred samples.
fn extremes() -> (f64, f64) {
    let n = BATCH as f64;
    ((1.0 - 1.0 / n).sqrt(), (n * (n - 1.0)).sqrt().recip())
}

fn figure(summaries: &[Summary], options: &Options, images: &str) -> Figure {
    let (parallel, least) = extremes();
    let panel = |(of_panel, title): (&[Summary], &str)| {
        let series = |(colour, summary): (usize, &Summary)| Series {
            label: NORMALIZATIONS[colour].to_owned(),
            colour,
            points: (0..=DEPTH).map(|l| (l as f64, at(summary, l).moments().mean())).collect(),
            band: (0..=DEPTH).map(|l| band(at(summary, l))).collect(),
            dash: Dash::Solid,
        };
        let series = of_panel.iter().enumerate().map(series).collect();
        // A ConvNet centres over batch and space, so its samples may keep a mean.
        let dense = std::iter::once(least).filter(|_| title.starts_with(ARCHITECTURES[0]));
        let levels = dense.chain([parallel]).map(|level| (level, 6)).collect();
        Panel { title: title.to_owned(), series, levels }
    };
    let titles = ["MLP, 100 neurons a layer", "ConvNet, 100 channels, kernel 3 x 3"];
    Figure {
        title: format!(
            "Batches of {BATCH} {images} in rectified networks, {} batches",
            options.runs
        ),
        x_label: "layer (0 is the input)".to_owned(),
        y_label: "orthogonality gap".to_owned(),
        panels: summaries.chunks(2).zip(titles).map(panel).collect(),
        keys: vec![
            ("mean".to_owned(), Dash::Solid),
            (
                "parallel samples (above), least gap of centred ones (below)".to_owned(),
                Dash::Dotted,
            ),
        ],
        band: "95 % of batches",
        ..Figure::default()
    }
}

fn experiment(options: &Options) -> Result<Outcome> {
    let images = Images::load(&options.source)?;
    let (channels, height, width) = images.shape();
    let shape = convolution::Images::new(channels, height, width)?;
    images.batch(BATCH, options.seed)?; // are there enough?
    let network = Network::<f32>::new(WIDTH)
        .with_weights(Gaussian::xavier())
        .with_activation(Relu)
        .with_order(Order::ActivationLinearNorm);
    let convolutional = network.clone().with_convolution(Convolution::new(KERNEL)?, shape);
    let mut jobs = Vec::new();
    for (architecture, network) in ARCHITECTURES.into_iter().zip([network, convolutional]) {
        let normalizations = [BatchNorm::standard(EPSILON)?.into(), Normalization::None];
        for (name, normalization) in NORMALIZATIONS.into_iter().zip(normalizations) {
            let network = network.clone().with_normalization(normalization);
            let images = &images;
            jobs.push(Job {
                name: format!("{architecture} {name}"),
                experiment: Box::new(
                    ChainExperiment::with_inputs(&network, |run| batch(images, run, options.runs))
                        .observe(GAP, |layer| Ok(layer.orthogonality_gap()))
                        .at(0..=DEPTH),
                ),
                cost: if architecture == "MLP" { 1 } else { 1 + height * width },
            });
        }
    }
    let summaries = run_all(&jobs, options, 0)?;

    let columns = ["architecture", "batch_norm", "layer"];
    let mut data = Table::new(columns.into_iter().chain(STATISTICS));
    let names = jobs.iter().map(|job| job.name.as_str());
    let mut text = Table::new(["layer"].into_iter().chain(names));
    let mut comparisons = Vec::new();
    for (index, summary) in summaries.iter().enumerate() {
        let norm = ["yes", "no"][index % 2];
        for layer in 0..=DEPTH {
            let start = [ARCHITECTURES[index / 2].into(), norm.into(), Value::from(layer)];
            data.push(start.into_iter().chain(statistics(at(summary, layer))))?;
        }
        if norm == "yes" {
            let mean = |layer: &usize| at(summary, *layer).moments().mean();
            let order = |a: &usize, b: &usize| mean(a).total_cmp(&mean(b));
            let lowest = (1..=DEPTH).min_by(order).expect("there are layers");
            let quantity = format!("{}, lowest gap, at layer {lowest}", jobs[index].name);
            comparisons.push(Comparison::mean(quantity, at(summary, lowest), None));
        }
        let paper = ["stays low", "grows towards that of parallel samples"][index % 2];
        let quantity = format!("{}, gap at layer {DEPTH}", jobs[index].name);
        comparisons.push(Comparison::mean(quantity, at(summary, DEPTH), None).paper(paper));
    }
    for layer in (0..=DEPTH).filter(|layer| *layer < 5 || layer.is_multiple_of(5)) {
        let means = summaries.iter().map(|summary| at(summary, layer).moments().mean().into());
        text.push(std::iter::once(Value::from(layer)).chain(means))?;
    }
    let (parallel, least) = extremes();
    Ok(Outcome {
        text: format!(
            "Mean orthogonality gap of {BATCH} {} after layers H' = N(W relu(H)), Xavier normal W.\n\n\
             {text}\nThe gap of parallel samples is {parallel:.4}. Batch norm of frameworks centres \
             over the batch, so in the MLP no\ngap is below {least:.4}, that of samples around their \
             mean; in the ConvNet, which centres over batch\nand space, it may be.\n",
            images.name
        ),
        comparisons,
        data,
        svg: figure(&summaries, options, images.name).svg(),
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
        let options = promises::options(&PAPER, "--data cifar10:nowhere --quick").unwrap();
        let error = experiment(&options).err().unwrap().to_string();
        assert!(error.starts_with("nowhere") && !error.contains('\n'), "{error}");
    }

    /// Equal files, and what the paper shows: seed 1, three batches.
    #[test]
    fn files_do_not_depend_on_threads() {
        let [csv, svg] = promises::files_do_not_depend_on_threads(&PAPER, experiment, "--runs 3");
        assert!(csv.starts_with("architecture,batch_norm,layer,mean,"));
        assert_eq!(csv.lines().count(), 1 + 4 * 31);
        assert!(svg.contains(">with batch norm<") && svg.contains(">95 % of batches<"));
        let gap = |case: &str, layer: usize| {
            let start = format!("{case},{layer},");
            let line = csv.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
            line.split(',').next().unwrap().parse::<f64>().unwrap()
        };
        let (parallel, least) = extremes();
        for architecture in ARCHITECTURES {
            let [with, without] = ["yes", "no"].map(|norm| format!("{architecture},{norm}"));
            assert!(gap(&with, 30) < 0.7 * gap(&without, 30));
            assert!(gap(&without, 30) > gap(&without, 1) && gap(&without, 30) < parallel);
            assert_eq!(gap(&with, 0), gap(&without, 0));
        }
        assert!((1..=30).all(|layer| gap("MLP,yes", layer) > least));
    }
}
