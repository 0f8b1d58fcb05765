//! The options, and the protocols of the paper's figures.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;
use orthogap::Seed;
use orthogap::train::Sgd;
use orthogap_examples::command::{Precision, Result, at_least, positive, seed, threads};
use orthogap_examples::images::Source;

use crate::init::Init;

const NOTES: &str = "\
Images have values from -1 to 1. Test images are those of CIFAR-10, or 297 digits kept aside. Gaps
are those of the first of them, as many as a batch: of the logits, and of what comes out of the last
hidden layer. Gradient norms are means over the steps of an epoch, by the first weights and by the
head. Epoch 0 is the network before training; its loss and gradient are those of the first batch.";

/// A protocol of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Loss and initial gap against depth, Xavier.
    Fig3a,
    /// Loss and gap against epoch, Xavier.
    Fig3b,
    /// Loss against depth, Xavier and iterative orthogonalisation.
    Fig4,
    /// Loss against epoch, convolutions.
    Fig7,
}

impl FromStr for Protocol {
    type Err = &'static str;

    fn from_str(name: &str) -> std::result::Result<Self, Self::Err> {
        Ok(match name {
            "3a" => Self::Fig3a,
            "3b" => Self::Fig3b,
            "4" => Self::Fig4,
            "7" => Self::Fig7,
            _ => return Err("expected 3a, 3b, 4 or 7"),
        })
    }
}

impl Protocol {
    /// The protocol of the paper as a text.
    pub fn of_the_paper(self) -> &'static str {
        match self {
            Self::Fig3a => {
                "Fig. 3a: Xavier, width 800, depths 15, 30, 45, 60, 75, batch 500, step 0.01, 30 epochs"
            }
            Self::Fig3b => {
                "Fig. 3b: Xavier, width 800 (the code: 1000), depth 20, batch 500, step 0.01, 50 epochs"
            }
            Self::Fig4 => {
                "Fig. 4: Xavier and iterative orthogonalisation (here: authors), width 800, depths 15, \
                 30, 45, 60, 75, batch 500, step 0.01, 30 epochs"
            }
            Self::Fig7 => {
                "Fig. 7: ConvNets of 20 and 80 layers, Xavier and iterative orthogonalisation, batch \
                 30, step 0.001"
            }
        }
    }
}

/// An experiment.
pub struct Options {
    pub protocol: Option<Protocol>,
    pub inits: Vec<Init>,
    pub convolutional: bool,
    pub width: usize,
    pub depths: Vec<usize>,
    pub batch_size: usize,
    pub optimizer: Sgd,
    pub epochs: usize,
    pub runs: u32,
    pub seed: Seed,
    pub threads: usize,
    pub precision: Precision,
    pub source: Source,
    pub images: usize,
    pub init_batch: usize,
    pub checkpoint: Option<PathBuf>,
    pub csv: PathBuf,
    pub svg: PathBuf,
}

/// The defaults, which depend on the protocol and on `--quick`.
struct Defaults {
    inits: Vec<Init>,
    convolutional: bool,
    width: usize,
    depths: &'static [usize],
    batch_size: usize,
    rate: f64,
    epochs: usize,
}

impl Defaults {
    fn of(protocol: Option<Protocol>, quick: bool, convolutional: bool) -> Self {
        use Init::{Authors, BatchNorm, IterativeOrthogonalization, Lsuv, Xavier};
        let convolutional = convolutional || protocol == Some(Protocol::Fig7);
        let (inits, depths, batch_size, rate): (_, &[usize], _, _) = match protocol {
            None => {
                (vec![Xavier, Lsuv, IterativeOrthogonalization, BatchNorm], &[15, 30], 50, 0.01)
            }
            Some(Protocol::Fig3a) => (vec![Xavier], &[15, 30, 45, 60, 75], 50, 0.01),
            Some(Protocol::Fig3b) => (vec![Xavier], &[20], 50, 0.01),
            Some(Protocol::Fig4) => {
                (vec![Xavier, Authors, IterativeOrthogonalization], &[15, 30, 45, 60, 75], 50, 0.01)
            }
            Some(Protocol::Fig7) => {
                (vec![Xavier, Authors, IterativeOrthogonalization], &[20, 80], 30, 0.001)
            }
        };
        let (width, epochs) = if convolutional { (16, 15) } else { (128, 15) };
        let this = Self { inits, convolutional, width, depths, batch_size, rate, epochs };
        if !quick {
            return this;
        }
        let depths: &[usize] = if protocol.is_some() { &[6, 12] } else { &[6] };
        Self { width: width / if convolutional { 2 } else { 4 }, depths, epochs: 2, ..this }
    }
}

/// Initialisations side by side: ReLU networks without biases, trained on images by SGD
#[derive(Parser)]
#[command(after_help = NOTES)]
pub struct Arguments {
    /// A protocol of the paper, scaled: 3a, 3b, 4 or 7; sets what follows
    #[arg(long = "figure", value_name = "F")]
    protocol: Option<Protocol>,
    /// xavier, he, orthogonal, lsuv, iterative (recommended), authors, printed; batch_norm: Xavier with
    /// batch normalisation [default: xavier,lsuv,iterative,batch_norm]
    #[arg(long = "init", value_name = "A,B,...", value_delimiter = ',')]
    inits: Option<Vec<Init>>,
    /// Convolutions of 3 x 3 instead of dense layers, pooled (max, 2 x 2) after a third and two thirds
    /// of them
    #[arg(long = "conv")]
    convolutional: bool,
    /// Neurons, or channels, of a hidden layer [default: 128; conv: 16; quick: 32; 8]
    #[arg(long, value_name = "D", value_parser = positive::<usize>)]
    width: Option<usize>,
    /// Hidden layers [default: 15,30; quick: 6]
    #[arg(
        long = "depth",
        value_name = "L,L,...",
        value_delimiter = ',',
        value_parser = positive::<usize>
    )]
    depths: Option<Vec<usize>>,
    /// Images of a batch [default: 50]
    #[arg(long = "batch", value_name = "N", value_parser = at_least::<2, usize>)]
    batch_size: Option<usize>,
    /// Step size [default: 0.01]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    rate: Option<f64>,
    /// Momentum
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value = "0")]
    momentum: f64,
    /// Weight decay
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value = "0")]
    weight_decay: f64,
    /// Epochs [default: 15; quick: 2]
    #[arg(long, value_name = "E", value_parser = positive::<usize>)]
    epochs: Option<usize>,
    /// Networks of each kind and depth
    #[arg(long, value_name = "R", value_parser = positive::<u32>, default_value = "1")]
    runs: u32,
    /// Seed; equal seeds give equal files on any number of threads
    #[arg(long, value_name = "S", value_parser = seed, default_value = "1")]
    seed: Seed,
    /// Threads, which share the runs; 0 uses all cores
    #[arg(long, value_name = "T", value_parser = threads, default_value = "0")]
    threads: usize,
    /// Arithmetic
    #[arg(long = "scalar", value_name = "TYPE", default_value = "f32")]
    precision: Precision,
    /// digits, or cifar10:DIR with the data set's binary version
    #[arg(long = "data", value_name = "SOURCE", default_value = "digits")]
    source: Source,
    /// The first N images are trained on [default: all; quick: 500]
    #[arg(long, value_name = "N", value_parser = at_least::<2, usize>)]
    images: Option<usize>,
    /// Images for data-dependent initialisations [default: three widths; conv: 64 images]
    #[arg(long, value_name = "N", value_parser = at_least::<2, usize>)]
    init_batch: Option<usize>,
    /// Keeps every run after each epoch and resumes what is there to the same bits; more epochs may be
    /// asked for, nothing else may differ
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// Writes every epoch of every run to this CSV file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/train.csv")]
    csv: PathBuf,
    /// Writes means over runs to this SVG file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/train.svg")]
    svg: PathBuf,
    /// A smaller experiment, in a few seconds
    #[arg(long)]
    quick: bool,
}

impl Arguments {
    /// The experiment, with the defaults of its protocol.
    pub fn options(self) -> Result<Options> {
        let default = Defaults::of(self.protocol, self.quick, self.convolutional);
        let width = self.width.unwrap_or(default.width);
        let optimizer = Sgd::new(self.rate.unwrap_or(default.rate))?
            .with_momentum(self.momentum)?
            .with_weight_decay(self.weight_decay)?;
        let init_batch = if default.convolutional { 64 } else { width.saturating_mul(3) };
        Ok(Options {
            protocol: self.protocol,
            inits: distinct(self.inits.unwrap_or(default.inits)),
            convolutional: default.convolutional,
            width,
            depths: distinct(self.depths.unwrap_or_else(|| default.depths.to_vec())),
            batch_size: self.batch_size.unwrap_or(default.batch_size),
            optimizer,
            epochs: self.epochs.unwrap_or(default.epochs),
            runs: self.runs,
            seed: self.seed,
            threads: self.threads,
            precision: self.precision,
            source: self.source,
            images: self.images.unwrap_or(if self.quick { 500 } else { usize::MAX }),
            init_batch: self.init_batch.unwrap_or(init_batch),
            checkpoint: self.checkpoint,
            csv: self.csv,
            svg: self.svg,
        })
    }
}

/// Each item once, in the order of first appearance.
fn distinct<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    let mut seen = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}
