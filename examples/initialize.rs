//! Initial weights of a multilayer perceptron for any framework: from a batch of real images, layer
//! by layer, so that its samples are closer to orthogonal after each product than before.
//!
//! Prints the orthogonality gap around every layer, of the batch and of images that it did not
//! contain; writes the weights as `safetensors`. `--help` lists the options.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use nalgebra::DMatrix;
use orthogap::Activation::{Identity, Relu};
use orthogap::report::file;
use orthogap::train::export::{self, Tensor};
use orthogap::train::init::{
    InitialLayer, IterativeOrthogonalization, LayerInit, LayerwiseInit, Lsuv,
};
use orthogap::weights::Uniform;
use orthogap::{Seed, metric};

use orthogap_examples::command::{self, Result, at_least, positive, seed};
use orthogap_examples::images::{Images, Source};
use orthogap_examples::{artifact, memory, say};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Variant {
    IterativeOrthogonalization(IterativeOrthogonalization),
    Lsuv,
    Xavier,
}

impl std::str::FromStr for Variant {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        Ok(match name {
            "recommended" => {
                Self::IterativeOrthogonalization(IterativeOrthogonalization::recommended())
            }
            "printed" => Self::IterativeOrthogonalization(IterativeOrthogonalization::printed()),
            "authors" => Self::IterativeOrthogonalization(IterativeOrthogonalization::authors()),
            "lsuv" => Self::Lsuv,
            "xavier" => Self::Xavier,
            _ => return Err("expected recommended, printed, authors, lsuv or xavier".to_owned()),
        })
    }
}

/// Initial weights of a ReLU network from a batch of images, written for PyTorch, candle, burn, NumPy
#[derive(Parser)]
struct Options {
    /// Neurons of a hidden layer [quick: 64]
    #[arg(
        long,
        value_name = "D",
        value_parser = positive::<usize>,
        default_value = "256",
        default_value_if("quick", "true", "64")
    )]
    width: usize,
    /// Layers with weights, including the head [quick: 5]
    #[arg(
        long,
        value_name = "L",
        value_parser = at_least::<2, usize>,
        default_value = "15",
        default_value_if("quick", "true", "5")
    )]
    depth: usize,
    /// Outputs of the head, which has Xavier's weights
    #[arg(long, value_name = "K", value_parser = positive::<usize>, default_value = "10")]
    classes: usize,
    /// Images of the batch [default: 3 D, or all except those held out]
    #[arg(long = "batch", value_name = "N", value_parser = positive::<usize>)]
    batch_size: Option<usize>,
    /// Held-out images to measure gaps on
    #[arg(long, value_name = "N", value_parser = positive::<usize>, default_value = "50")]
    fresh: usize,
    /// recommended, printed, authors, lsuv or xavier
    #[arg(long, value_name = "NAME", default_value = "recommended")]
    variant: Variant,
    /// Seed; equal seeds give equal files
    #[arg(long, value_name = "S", value_parser = seed, default_value = "1")]
    seed: Seed,
    /// digits, or cifar10:DIR with the data set's binary version
    #[arg(long = "data", value_name = "SOURCE", default_value = "digits")]
    source: Source,
    /// Weights, f32, layers.I.weight
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/initial.safetensors")]
    out: PathBuf,
    /// Writes what is printed to this CSV file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/initialize.csv")]
    csv: PathBuf,
    /// Folder for every weight matrix and batch.npy, images by pixels in [-1, 1]
    #[arg(long, value_name = "DIR")]
    npy: Option<PathBuf>,
    /// A smaller network, in a second
    #[arg(long)]
    #[allow(dead_code, reason = "sets defaults of the others")]
    quick: bool,
}

/// The network, initialised from a batch (pixels by samples).
fn network(options: &Options, batch: DMatrix<f32>) -> Result<LayerwiseInit<f32>> {
    let xavier = Uniform::xavier().with_gain(std::f64::consts::SQRT_2)?;
    let mut network = LayerwiseInit::new(batch, options.seed)?;
    for _ in 1..options.depth {
        match options.variant {
            Variant::IterativeOrthogonalization(init) => {
                hidden(&mut network, &init, options.width)?
            }
            Variant::Lsuv => hidden(&mut network, &Lsuv, options.width)?,
            Variant::Xavier => hidden(&mut network, &xavier, options.width)?,
        }
    }
    network.dense(&xavier, options.classes, &Identity)?;
    Ok(network)
}

fn hidden(network: &mut LayerwiseInit<f32>, init: &impl LayerInit, width: usize) -> Result<()> {
    network.dense(init, width, &Relu)?;
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

fn npy(tensor: &Tensor<f32>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    export::write_npy(&mut bytes, tensor)?;
    Ok(bytes)
}

fn experiment(options: &Options) -> Result<()> {
    let batch = options.npy.iter().map(|folder| folder.join("batch.npy"));
    file::check([&options.out, &options.csv].into_iter().cloned().chain(batch))?;
    let weights = [options.depth, options.width, options.width];
    memory::check("the weights of all layers", &weights, size_of::<f32>())?;
    let head = [options.classes, options.width];
    memory::check("the weights of the head", &head, size_of::<f32>())?;
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

    say!(
        "{batch_size} {} at width {}: gaps around each layer's weights, root mean square of their \
         product,\nand the gap of {} other images behind the layer\n\n\
         layer  gap before  gap after  scale   gap of others",
        images.name,
        options.width,
        options.fresh
    );
    let mut csv = "layer,gap_before,gap_after,scale,fresh_gap\n".to_owned();
    for ((index, layer), fresh_gap) in (1..).zip(network.layers()).zip(fresh_gaps) {
        let (before, after, scale) = (layer.gap_before(), layer.gap_after(), layer.scale());
        say!("{index:5}  {before:10.4}  {after:9.4}  {scale:<7.3}  {fresh_gap:12.4}");
        writeln!(csv, "{index},{before:e},{after:e},{scale:e},{fresh_gap:e}")?;
    }
    say!("");
    let tensors = export::named(&network);
    let mut bytes = Vec::new();
    export::write_safetensors(&mut bytes, &tensors)?;
    let mut outputs = vec![(options.out.clone(), bytes), (options.csv.clone(), csv.into())];
    if let Some(folder) = &options.npy {
        let path = |name: &str| folder.join(format!("{name}.npy"));
        for (name, tensor) in &tensors {
            outputs.push((path(name), npy(tensor)?));
        }
        outputs.push((path("batch"), npy(&Tensor::from_matrix(&batch.transpose()))?));
    }
    artifact::publish(outputs.iter().map(|(path, bytes)| (&**path, Some(bytes.clone()))))
}

fn main() -> ExitCode {
    command::run(|options: Options| experiment(&options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &str) -> Result<Options> {
        command::typed(arguments)
    }

    #[test]
    fn wrong_options_get_one_clear_line() {
        for (arguments, message) in [
            (
                "--depth 1",
                "invalid value '1' for '--depth <L>': expected a whole number from 2 to 1099511627776",
            ),
            (
                "--variant best",
                "invalid value 'best' for '--variant <NAME>': expected recommended, printed, authors, lsuv or xavier",
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
