//! What the command line asks for, and the protocols of the paper's figures.

use std::path::PathBuf;
use std::str::FromStr;

use orthogap::Seed;
use orthogap::train::Sgd;

use crate::command::{Arguments, Result};
use crate::images::Source;
use crate::init::Init;

pub const HELP: &str = "\
Initialisations side by side: ReLU networks without biases, trained on images by SGD.

Usage: cargo run --release --example train -- [OPTIONS]

  --figure F        a protocol of the paper, scaled: 3a, 3b, 4 or 7; sets what follows
  --init A,B,...    xavier, he, orthogonal, lsuv, iterative (recommended), authors,
                    printed; batch_norm: Xavier with batch normalisation
                                             [xavier,lsuv,iterative,batch_norm]
  --conv            convolutions of 3 x 3 in place of dense layers, pooled (max, 2 x 2)
                    after a third and two thirds of them
  --width D         neurons, or channels, of a hidden layer  [128; conv: 16; quick: 32; 8]
  --depth L,L,...   hidden layers                                   [15,30; quick: 6]
  --batch N         images of a step                                             [50]
  --rate X          step size                                                  [0.01]
  --momentum X      share of the velocity that lasts                              [0]
  --weight-decay X  pull of all parameters towards zero                           [0]
  --epochs E        passes over the images                           [15; quick: 2]
  --runs R          networks of each kind and depth                               [1]
  --seed S          equal seeds give equal files, whatever the threads            [1]
  --threads T       0 takes all cores; runs are shared among them                 [0]
  --scalar TYPE     f32 or f64                                                  [f32]
  --data SOURCE     digits, or cifar10:DIR with the data set's binary version [digits]
  --images N        the first N images are trained on               [all; quick: 500]
  --init-batch N    of those, so many are looked at by initialisations that do
                                                     [three widths; conv: 64 images]
  --checkpoint DIR  keeps every run after each epoch and resumes what is there to the
                    same bits; more epochs may be asked for, nothing else may differ
  --csv PATH        every epoch of every run   [target/orthogap/train.csv]
  --svg PATH        means over runs            [target/orthogap/train.svg]
  --quick           a smaller experiment, in a few seconds
  --help            this text

Images have values from -1 to 1. Test images are those of CIFAR-10, or 297 digits kept aside. Gaps
are those of the first of them, as many as a batch: of the logits, and of what comes out of the last
hidden layer. Gradient norms are means over the steps of an epoch, by the first weights and by the
head. Epoch 0 is the network before training; its loss and gradient are those of the first batch.
";

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
    /// What the paper did, in words.
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

/// The type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    Single,
    Double,
}

impl FromStr for Precision {
    type Err = &'static str;

    fn from_str(name: &str) -> std::result::Result<Self, Self::Err> {
        match name {
            "f32" => Ok(Self::Single),
            "f64" => Ok(Self::Double),
            _ => Err("expected f32 or f64"),
        }
    }
}

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

/// What depends on the protocol, or on haste.
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
        use Init::{Authors, BatchNorm, Iterative, Lsuv, Xavier};
        let convolutional = convolutional || protocol == Some(Protocol::Fig7);
        let (inits, depths, batch_size, rate): (_, &[usize], _, _) = match protocol {
            None => (vec![Xavier, Lsuv, Iterative, BatchNorm], &[15, 30], 50, 0.01),
            Some(Protocol::Fig3a) => (vec![Xavier], &[15, 30, 45, 60, 75], 50, 0.01),
            Some(Protocol::Fig3b) => (vec![Xavier], &[20], 50, 0.01),
            Some(Protocol::Fig4) => {
                (vec![Xavier, Authors, Iterative], &[15, 30, 45, 60, 75], 50, 0.01)
            }
            Some(Protocol::Fig7) => (vec![Xavier, Authors, Iterative], &[20, 80], 30, 0.001),
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

/// What the command line asks for; nothing if it asks for help.
pub fn parse(mut arguments: Arguments) -> Result<Option<Options>> {
    let (mut protocol, mut inits, mut convolutional, mut width) = (None, None, false, None);
    let (mut depths, mut batch_size, mut rate, mut epochs) = (None, None, None, None);
    let (mut momentum, mut weight_decay, mut runs, mut seed) = (0.0, 0.0, 1, 1);
    let (mut threads, mut precision, mut source) = (0, Precision::Single, Source::Digits);
    let (mut images, mut init_batch, mut checkpoint, mut quick) = (None, None, None, false);
    let mut csv = PathBuf::from("target/orthogap/train.csv");
    let mut svg = PathBuf::from("target/orthogap/train.svg");
    while let Some(option) = arguments.option()? {
        match option.as_str() {
            "help" => return Ok(None),
            "quick" => quick = true,
            "figure" => protocol = Some(arguments.value()?),
            "init" => {
                let names: String = arguments.value()?;
                let named =
                    |name: &str| name.parse().map_err(|why: String| arguments.refuse(name, why));
                inits = Some(names.split(',').map(named).collect::<Result<Vec<Init>>>()?);
            }
            "conv" => convolutional = true,
            "width" => width = Some(arguments.positive()?),
            "depth" => depths = Some(arguments.positives()?),
            "batch" => batch_size = Some(arguments.at_least(2)?),
            "rate" => rate = Some(arguments.value()?),
            "momentum" => momentum = arguments.value()?,
            "weight-decay" => weight_decay = arguments.value()?,
            "epochs" => epochs = Some(arguments.positive()?),
            "runs" => runs = arguments.positive()?,
            "seed" => seed = arguments.value()?,
            "threads" => threads = arguments.value()?,
            "scalar" => precision = arguments.value()?,
            "data" => source = arguments.value::<String>()?.parse()?,
            "images" => images = Some(arguments.at_least(2)?),
            "init-batch" => init_batch = Some(arguments.at_least(2)?),
            "checkpoint" => checkpoint = Some(arguments.value()?),
            "csv" => csv = arguments.value()?,
            "svg" => svg = arguments.value()?,
            _ => return Err(arguments.unknown()),
        }
    }
    let default = Defaults::of(protocol, quick, convolutional);
    let width = width.unwrap_or(default.width);
    let optimizer = Sgd::new(rate.unwrap_or(default.rate))?
        .with_momentum(momentum)?
        .with_weight_decay(weight_decay)?;
    Ok(Some(Options {
        protocol,
        inits: distinct(inits.unwrap_or(default.inits)),
        convolutional: default.convolutional,
        width,
        depths: distinct(depths.unwrap_or_else(|| default.depths.to_vec())),
        batch_size: batch_size.unwrap_or(default.batch_size),
        optimizer,
        epochs: epochs.unwrap_or(default.epochs),
        runs: u32::try_from(runs).map_err(|_| "--runs: too many")?,
        seed: Seed(seed),
        threads,
        precision,
        source,
        images: images.unwrap_or(if quick { 500 } else { usize::MAX }),
        init_batch: init_batch.unwrap_or(if default.convolutional { 64 } else { 3 * width }),
        checkpoint,
        csv,
        svg,
    }))
}

/// Each once: whoever names a case twice does not want it twice.
fn distinct<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    let mut seen = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}
