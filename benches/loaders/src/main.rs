//! Loads weights into candle and burn by the files that the documentation of
//! `orthogap::train::export` includes, and compares the outputs of both.
//!
//! A network drawn here: with the output that `orthogap` computed. A file that the example
//! `initialize` wrote, given as the argument: with products of matrices in double precision. Files
//! that lack a layer or have another shape must be errors.

use std::error::Error;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use candle_nn::{Module, VarMap};
use nalgebra::DMatrix;
use orthogap::Activation::{Identity, Relu};
use orthogap::train::export;
use orthogap::train::init::{IterativeOrthogonalization, LayerwiseInit};
use orthogap::weights::Uniform;
use orthogap::{Input, Scalar, Seed};
use safetensors::{Dtype, SafeTensors};

#[path = "../../../src/train/export/load_burn.rs"]
mod load_burn;
#[path = "../../../src/train/export/load_candle.rs"]
mod load_candle;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Of the largest output: sums of a few hundred terms, rounded to `f32` through some layers.
const TOLERANCE: f32 = 1e-5;

const SIZES: [usize; 4] = [12, 7, 7, 5]; // a square layer hides a transposition from the shapes
const SAMPLES: usize = 9;

/// Samples are columns here, rows in the frameworks.
fn with_candle(path: &Path, sizes: &[usize], batch: &DMatrix<f32>) -> Result<DMatrix<f32>> {
    let network = load_candle::load(path, sizes, &mut VarMap::new())?;
    let shape = (batch.ncols(), batch.nrows());
    let device = candle_core::Device::Cpu;
    let batch = candle_core::Tensor::from_slice(batch.as_slice(), shape, &device)?;
    let output = network.forward(&batch)?;
    let (samples, outputs) = output.dims2()?;
    Ok(DMatrix::from_vec(outputs, samples, output.flatten_all()?.to_vec1()?))
}

fn with_burn(path: &Path, sizes: &[usize], batch: &DMatrix<f32>) -> Result<DMatrix<f32>> {
    let device = Device::flex();
    let network = load_burn::Network::load(path, sizes, &device)?;
    let data = TensorData::new(batch.as_slice().to_vec(), [batch.ncols(), batch.nrows()]);
    let output = network.forward(Tensor::from_data(data, &device));
    let [samples, outputs] = output.dims();
    let values = output.into_data().try_into_vec::<f32>().map_err(|error| format!("{error:?}"))?;
    Ok(DMatrix::from_vec(outputs, samples, values))
}

/// Both frameworks give the expected output.
fn compare(
    what: &str,
    path: &Path,
    sizes: &[usize],
    batch: &DMatrix<f32>,
    expected: &DMatrix<f32>,
) -> Result<()> {
    for (framework, output) in
        [("candle", with_candle(path, sizes, batch)?), ("burn", with_burn(path, sizes, batch)?)]
    {
        let difference = (&output - expected).amax() / expected.amax();
        println!("{what}, {framework}: largest difference {difference:.1e} of the largest output");
        if !(difference <= TOLERANCE) {
            return Err(format!("{what}, {framework}: {difference:e}").into());
        }
    }
    Ok(())
}

/// Both frameworks refuse the file.
fn refused(what: &str, path: &Path, sizes: &[usize], batch: &DMatrix<f32>) -> Result<()> {
    for (framework, output) in
        [("candle", with_candle(path, sizes, batch)), ("burn", with_burn(path, sizes, batch))]
    {
        let Err(error) = output else {
            return Err(format!("{framework} loads a file with {what}").into());
        };
        let message = error.to_string();
        let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        println!("{what}, {framework}: refused, {}", line.trim());
    }
    Ok(())
}

fn drawn<T: Scalar>() -> orthogap::Result<LayerwiseInit<T>> {
    let batch = Input::gaussian(SIZES[0], SAMPLES, Seed(1))?.columns().map(T::of);
    let mut network = LayerwiseInit::new(batch, Seed(2))?;
    network.dense(&IterativeOrthogonalization::recommended(), SIZES[1], &Relu)?;
    network.dense(&Uniform::xavier(), SIZES[2], &Relu)?;
    network.dense(&Uniform::xavier(), SIZES[3], &Identity)?;
    Ok(network)
}

/// The file of a network drawn here, whole and wrong.
fn check_drawn(path: &Path) -> Result<()> {
    let network = drawn::<f32>()?;
    let batch = Input::gaussian(SIZES[0], SAMPLES, Seed(1))?.columns().map(|x| x as f32);
    let mut tensors = export::named(&network);
    export::write_safetensors(std::fs::File::create(path)?, &tensors)?;
    compare("a network drawn here", path, &SIZES, &batch, network.output())?;
    refused("another shape", path, &[SIZES[0], 8, 8, SIZES[3]], &batch)?;

    tensors.pop();
    export::write_safetensors(std::fs::File::create(path)?, &tensors)?;
    refused("a layer missing", path, &SIZES, &batch)?;

    let double = export::named(&drawn::<f64>()?);
    export::write_safetensors(std::fs::File::create(path)?, &double)?;
    if with_candle(path, &SIZES, &batch).is_ok() {
        return Err("candle loads double precision into `f32`".into());
    }
    Ok(()) // burn keeps the precision of the file
}

/// The weights of `layers.0.weight` and so on, as they are in the file.
fn weights(path: &Path) -> Result<Vec<DMatrix<f64>>> {
    let bytes = std::fs::read(path)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let layer = |i| {
        let view = file.tensor(&format!("layers.{i}.weight"))?;
        let (Dtype::F32, &[outputs, inputs]) = (view.dtype(), view.shape()) else {
            return Err(format!("layers.{i}.weight: {:?} {:?}", view.dtype(), view.shape()).into());
        };
        let values = view.data().as_chunks().0.iter().map(|&x| f64::from(f32::from_le_bytes(x)));
        Ok(DMatrix::from_row_iterator(outputs, inputs, values))
    };
    (0..file.len()).map(layer).collect()
}

/// A file of the example.
fn check_file(path: &Path) -> Result<()> {
    let weights = weights(path)?;
    let mut sizes = vec![weights.first().ok_or("no layers")?.ncols()];
    sizes.extend(weights.iter().map(DMatrix::nrows));
    let batch = Input::gaussian(sizes[0], SAMPLES, Seed(3))?.columns().map(|x| x as f32);
    let mut h = batch.map(f64::from);
    for (i, weights) in weights.iter().enumerate() {
        h = weights * h;
        if i + 1 < sizes.len() - 1 {
            h.apply(|x| *x = x.max(0.0));
        }
    }
    compare(&format!("{sizes:?}"), path, &sizes, &batch, &h.map(|x| x as f32))
}

fn main() -> Result<()> {
    let path =
        std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: orthogap-loaders FILE")?;
    check_file(&path)?;
    let own =
        std::env::temp_dir().join(format!("orthogap-loaders-{}.safetensors", std::process::id()));
    let outcome = check_drawn(&own);
    std::fs::remove_file(&own)?;
    outcome
}
