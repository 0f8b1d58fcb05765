//! A few layers of a chain, or calls of an operator, and nothing else, for `instructions.sh` to count
//! the instructions of.
//!
//! Arguments: `KIND D N SCALAR TIMES [ACTIVATION]` with a scalar `f32` or `f64` and a kind `streamed` or
//! `explicit` or `vanilla` (streamed, without normalisation), or an operator on a matrix: `batch_norm`,
//! `pullback`, `train`, `infer`, `sample_norm`, `gap` or `factor`, or on D channels of an image of N x N
//! pixels: `convolution` or `pooling`, or `haar` for a D x N frame, or `bures`
//! between Gaussians with D x N factors, or `line` of D numbers.

use std::error::Error;

use nalgebra::DMatrix;
use orthogap::convolution::{Convolution, Images, Pooling};
use orthogap::normalization::{BatchNorm, Normalization, SampleNorm, TrainableBatchNorm};
use orthogap::wasserstein::{Gaussian, normal_bins};
use orthogap::weights::{Fans, Haar, WeightInit};
use orthogap::{Activation, Gram, Input, Layer, Network, Purpose, Scalar, Seed, metric};

/// The last of so many layers.
fn last_layer<T: Scalar>(
    kind: &str,
    (width, batch_size): (usize, usize),
    layers: usize,
    activation: Activation,
) -> Result<Layer, Box<dyn Error>> {
    let input = Input::near_collinear(batch_size, 1e-3)?;
    let network = Network::<T>::new(width).with_activation(activation);
    match kind {
        "streamed" => Ok(network.chain(&input, Seed(1))?.advance(layers)?.clone()),
        "vanilla" => {
            let network = network.with_normalization(Normalization::None);
            Ok(network.chain(&input, Seed(1))?.advance(layers)?.clone())
        }
        "explicit" => Ok(network.explicit_chain(&input, Seed(1))?.advance(layers)?.clone()),
        _ => Err(format!("kind {kind:?} is neither streamed, vanilla nor explicit").into()),
    }
}

/// Calls an operator on images, weights or laws so many times; `None` if it is another one.
fn repeat_other<T: Scalar>(
    kind: &str,
    (d, n): (usize, usize),
    times: usize,
) -> Result<Option<f64>, Box<dyn Error>> {
    let normals = |rows, columns| {
        let mut numbers = DMatrix::<f64>::zeros(rows, columns);
        let stream = Seed(1).replicate(0).stream(Purpose::User(0), 0, 0);
        stream.fill_normal(numbers.as_mut_slice());
        numbers
    };
    let mut sum = 0.0;
    match kind {
        "convolution" | "pooling" => {
            let h: DMatrix<T> = normals(d, n * n).map(T::of);
            let weights: DMatrix<T> = normals(d, 9 * d).map(T::of);
            let shape = Images::new(d, n, n)?;
            for _ in 0..times {
                let result = match kind {
                    "convolution" => Convolution::new(3)?.apply(shape, &weights, &h)?,
                    _ => Pooling::max(2)?.apply(shape, &h)?,
                };
                sum += result[0].into();
            }
        }
        "haar" => {
            let mut weights = DMatrix::<T>::zeros(d, n);
            for time in 0..times {
                let stream = Seed(time as u64).replicate(0).stream(Purpose::Weights, 1, 0);
                Haar::default().sample_to(&mut weights, Fans { inputs: n, outputs: d }, stream);
                sum += weights[0].into();
            }
        }
        "bures" => {
            let of = |factor: &DMatrix<f64>| Gaussian::from_factor(factor);
            let (a, b) = (of(&normals(d, n))?, of(&normals(d + 1, n).rows(1, d).into_owned())?);
            for _ in 0..times {
                sum += a.w2(&b)?.squared;
            }
        }
        "line" => {
            let (numbers, bins) = (normals(d, 1), normal_bins(d)?);
            for _ in 0..times {
                sum += bins.w2(numbers.as_slice(), 0.0, 1.0)?.w2.squared;
            }
        }
        _ => return Ok(None),
    }
    Ok(Some(sum))
}

/// Calls an operator so many times; returns a number of the result.
fn repeat<T: Scalar>(
    kind: &str,
    (d, n): (usize, usize),
    times: usize,
) -> Result<f64, Box<dyn Error>> {
    if let Some(sum) = repeat_other::<T>(kind, (d, n), times)? {
        return Ok(sum);
    }
    let h: DMatrix<T> = Input::gaussian(d, n, Seed(1))?.columns().map(T::of);
    let (mut output, norm) = (h.clone(), BatchNorm::standard(1e-5)?);
    let mut layer = TrainableBatchNorm::new(d, 1e-5, 0.1)?;
    for _ in 0..times {
        match kind {
            "batch_norm" => norm.normalize_to(&h, &mut output)?,
            "pullback" => norm.pullback_mut(&h, &mut output)?,
            "train" => layer.train_to(&h, &mut output)?,
            "infer" => layer.infer_to(&h, &mut output)?,
            "sample_norm" => SampleNorm::layer(1e-5)?.normalize_mut(&mut output)?,
            "gap" => output[0] = T::of(metric::orthogonality_gap(&h)?),
            "factor" => output[0] = T::of(Gram::from_columns(&h)?.factor()[0]),
            _ => return Err(format!("unknown kind {kind:?}").into()),
        }
    }
    Ok(output[0].into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, width, batch_size, scalar, layers, activation @ ..] = arguments.as_slice() else {
        return Err("arguments: KIND D N SCALAR TIMES [ACTIVATION]".into());
    };
    let activation = activation.first().map_or("linear", String::as_str).parse()?;
    let (shape, layers) = ((width.parse()?, batch_size.parse()?), layers.parse()?);
    let is_chain = ["streamed", "vanilla", "explicit"].contains(&kind.as_str());
    match (scalar.as_str(), is_chain) {
        ("f32", true) => report(&last_layer::<f32>(kind, shape, layers, activation)?),
        ("f64", true) => report(&last_layer::<f64>(kind, shape, layers, activation)?),
        ("f32", false) => println!("{}", repeat::<f32>(kind, shape, layers)?),
        ("f64", false) => println!("{}", repeat::<f64>(kind, shape, layers)?),
        _ => return Err(format!("scalar {scalar:?} is neither f32 nor f64").into()),
    }
    Ok(())
}

fn report(layer: &Layer) {
    println!("gap {} at layer {}", layer.orthogonality_gap(), layer.depth());
}
