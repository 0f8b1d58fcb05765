//! Initial weights of a multilayer perceptron for any framework: from a batch of real images, layer
//! by layer, so that its samples are closer to orthogonal after each product than before.
//!
//! Prints the orthogonality gap around every layer, of the batch and of images that it did not
//! contain; writes the weights as `safetensors`. `--help` lists the options.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nalgebra::DMatrix;
use orthogap::activation::{Identity, Relu};
use orthogap::weights::export::{self, Tensor};
use orthogap::weights::{InitialLayer, Iterative, LayerInit, Lsuv, Stack, Uniform};
use orthogap::{Seed, metric};

mod artifact;
mod command;
mod images;

use command::{Arguments, Result};
use images::{Images, Source};

const HELP: &str = "\
Initial weights of a ReLU network from a batch of images, written for PyTorch, candle, burn, NumPy.

Usage: cargo run --release --example initialize -- [OPTIONS]

  --width D         neurons of a hidden layer                        [256; quick: 64]
  --depth L         layers with weights, the head among them           [15; quick: 5]
  --classes K       outputs of the head, which is Xavier's                       [10]
  --batch N         images of the batch    [3 D, or all but those kept aside if less]
  --fresh N         images kept aside, to measure gaps on                        [50]
  --variant NAME    recommended, printed, authors, lsuv or xavier       [recommended]
  --seed S          equal seeds give equal files                                  [1]
  --data SOURCE     digits, or cifar10:DIR with the data set's binary version [digits]
  --out PATH        weights, f32, layers.I.weight
                                        [target/orthogap/initial.safetensors]
  --csv PATH        what is printed     [target/orthogap/initialize.csv]
  --npy DIR         also every weight matrix, and batch.npy, images by pixels in [-1, 1]
  --quick           a smaller network, in a second
  --help            this text
";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Variant {
    Iterative(Iterative),
    Lsuv,
    Xavier,
}

impl std::str::FromStr for Variant {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        Ok(match name {
            "recommended" => Self::Iterative(Iterative::recommended()),
            "printed" => Self::Iterative(Iterative::printed()),
            "authors" => Self::Iterative(Iterative::authors()),
            "lsuv" => Self::Lsuv,
            "xavier" => Self::Xavier,
            _ => return Err("expected recommended, printed, authors, lsuv or xavier".to_owned()),
        })
    }
}

struct Options {
    width: usize,
    depth: usize,
    classes: usize,
    batch_size: Option<usize>,
    fresh: usize,
    variant: Variant,
    seed: Seed,
    source: Source,
    out: PathBuf,
    csv: PathBuf,
    npy: Option<PathBuf>,
}

/// What the command line asks for; nothing if it asks for help.
fn parse(mut arguments: Arguments) -> Result<Option<Options>> {
    let (mut width, mut depth, mut batch_size, mut npy) = (None, None, None, None);
    let (mut classes, mut fresh, mut seed, mut quick) = (10, 50, 1, false);
    let mut variant = Variant::Iterative(Iterative::recommended());
    let mut source = Source::Digits;
    let mut out = PathBuf::from("target/orthogap/initial.safetensors");
    let mut csv = PathBuf::from("target/orthogap/initialize.csv");
    while let Some(option) = arguments.option()? {
        match option.as_str() {
            "help" => return Ok(None),
            "quick" => quick = true,
            "width" => width = Some(arguments.positive()?),
            "depth" => depth = Some(arguments.at_least(2)?),
            "classes" => classes = arguments.positive()?,
            "batch" => batch_size = Some(arguments.positive()?),
            "fresh" => fresh = arguments.positive()?,
            "variant" => variant = arguments.value()?,
            "seed" => seed = arguments.value()?,
            "data" => source = arguments.value::<String>()?.parse()?,
            "out" => out = arguments.value()?,
            "csv" => csv = arguments.value()?,
            "npy" => npy = Some(arguments.value()?),
            _ => return Err(arguments.unknown()),
        }
    }
    let default = if quick { (64, 5) } else { (256, 15) };
    Ok(Some(Options {
        width: width.unwrap_or(default.0),
        depth: depth.unwrap_or(default.1),
        classes,
        batch_size,
        fresh,
        variant,
        seed: Seed(seed),
        source,
        out,
        csv,
        npy,
    }))
}

/// The network, initialised from a batch (pixels by samples).
fn network(options: &Options, batch: DMatrix<f32>) -> Result<Stack<f32>> {
    let xavier = Uniform::xavier().with_gain(std::f64::consts::SQRT_2)?;
    let mut network = Stack::new(batch, options.seed)?;
    for _ in 1..options.depth {
        match options.variant {
            Variant::Iterative(init) => hidden(&mut network, init, options.width)?,
            Variant::Lsuv => hidden(&mut network, Lsuv, options.width)?,
            Variant::Xavier => hidden(&mut network, xavier, options.width)?,
        }
    }
    network.dense(xavier, options.classes, Identity)?;
    Ok(network)
}

fn hidden(network: &mut Stack<f32>, init: impl LayerInit, width: usize) -> Result<()> {
    network.dense(init, width, Relu)?;
    Ok(())
}

/// The gap of what comes out of every layer for images that the batch did not contain.
fn fresh_gaps(layers: &[InitialLayer<f32>], mut h: DMatrix<f32>) -> Result<Vec<f64>> {
    let mut gaps = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        h = layer.weights() * h;
        if index + 1 < layers.len() {
            h.apply(|x| *x = x.max(0.0));
        }
        gaps.push(metric::orthogonality_gap(&h)?);
    }
    Ok(gaps)
}

fn write_npy(folder: &Path, name: &str, tensor: &Tensor<f32>) -> Result<()> {
    let mut bytes = Vec::new();
    export::write_npy(&mut bytes, tensor)?;
    Ok(artifact::publish(&folder.join(format!("{name}.npy")), bytes)?)
}

fn experiment(options: &Options) -> Result<()> {
    let images = Images::load(&options.source)?;
    let room = images.len().saturating_sub(options.fresh);
    let batch_size = options.batch_size.unwrap_or_else(|| (3 * options.width).min(room));
    let pixels = images
        .batch(batch_size.saturating_add(options.fresh), options.seed)?
        .map(|x| (2.0 * x - 1.0) as f32);
    let batch = pixels.columns(0, batch_size).into_owned();
    let fresh = pixels.columns(batch_size, options.fresh).into_owned();
    let network = network(options, batch.clone())?;
    let fresh_gaps = fresh_gaps(network.layers(), fresh)?;

    println!(
        "{batch_size} {} at width {}: gaps around each layer's weights, root mean square of their \
         product,\nand the gap of {} other images behind the layer\n\n\
         layer  gap before  gap after  scale   gap of others",
        images.name, options.width, options.fresh
    );
    let mut csv = "layer,gap_before,gap_after,scale,fresh_gap\n".to_owned();
    for ((index, layer), fresh_gap) in (1..).zip(network.layers()).zip(fresh_gaps) {
        let (before, after, scale) = (layer.gap_before(), layer.gap_after(), layer.scale());
        println!("{index:5}  {before:10.4}  {after:9.4}  {scale:<7.3}  {fresh_gap:12.4}");
        writeln!(csv, "{index},{before:e},{after:e},{scale:e},{fresh_gap:e}")?;
    }
    println!();
    let tensors = export::named(&network)?;
    let mut bytes = Vec::new();
    export::write_safetensors(&mut bytes, &tensors)?;
    artifact::publish(&options.out, bytes)?;
    artifact::publish(&options.csv, csv)?;
    if let Some(folder) = &options.npy {
        for (name, tensor) in &tensors {
            write_npy(folder, name, tensor)?;
        }
        write_npy(folder, "batch", &Tensor::from_matrix(&batch.transpose()))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    command::run("initialize", HELP, parse, |options| experiment(&options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &str) -> Result<Options> {
        Ok(parse(Arguments::typed(arguments))?.expect("help was not asked for"))
    }

    #[test]
    fn wrong_options_get_one_clear_line() {
        for (arguments, message) in [
            ("--depth 1", "--depth \"1\": expected a whole number from 2 on"),
            (
                "--variant best",
                "--variant \"best\": expected recommended, printed, authors, lsuv or xavier",
            ),
        ] {
            let error = options(arguments).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), Some(message));
        }
        let many = options("--batch 1790 --width 4").unwrap();
        let error = experiment(&many).unwrap_err().to_string();
        assert!(error.contains("a batch of 1840 from 1797 handwritten digits"), "{error}");
    }

    /// The whole job, small, in every variant; the same files again.
    #[test]
    fn weights_are_written() {
        let folder =
            std::env::temp_dir().join(format!("orthogap-initialize-{}", std::process::id()));
        for variant in ["recommended", "printed", "authors", "lsuv", "xavier"] {
            let files = [1, 2].map(|turn| {
                let mut options =
                    options(&format!("--width 12 --depth 4 --variant {variant}")).unwrap();
                let here = folder.join(format!("{variant}-{turn}"));
                options.out = here.join("initial.safetensors");
                options.csv = here.join("gaps.csv");
                options.npy = Some(here.clone());
                experiment(&options).unwrap();
                assert!(here.join("layers.3.weight.npy").exists());
                assert!(here.join("batch.npy").exists());
                [options.out, options.csv].map(|path| std::fs::read(path).unwrap())
            });
            assert_eq!(files[0], files[1]);
            let [weights, csv] = &files[0];
            let numbers = 12 * 64 + 2 * 12 * 12 + 10 * 12;
            let header = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
            assert_eq!(weights.len(), 8 + header + 4 * numbers);
            assert_eq!(csv.iter().filter(|&&byte| byte == b'\n').count(), 1 + 4);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn recommended_weights_are_more_orthogonal_than_xaviers() {
        let last_gap = |variant| {
            let options = options(&format!("--quick --depth 12 --variant {variant}")).unwrap();
            let images = Images::load(&options.source).unwrap();
            let pixels = images.batch(192 + 50, Seed(1)).unwrap().map(|x| (2.0 * x - 1.0) as f32);
            let network = network(&options, pixels.columns(0, 192).into_owned()).unwrap();
            let fresh = pixels.columns(192, 50).into_owned();
            fresh_gaps(network.layers(), fresh).unwrap()[10]
        };
        let (recommended, xavier) = (last_gap("recommended"), last_gap("xavier"));
        assert!(recommended < 0.5 && xavier > 0.7, "{recommended} {xavier}");
    }
}
