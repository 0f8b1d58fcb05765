//! orthogap's side of the differential check against PyTorch, SciPy and POT: applies one operation
//! to the input of a request, for `differential.py`.
//!
//! Requests are lines of JSON on standard input, with the fields of [`Request`]; each is answered by
//! one line of JSON. A matrix is the list of its columns. An error of the crate is answered by
//! `{"error": NAME}`, the name of its variant; a number that is not finite is written as null.

mod network;

use std::error::Error;
use std::io::{self, Write as _};

use nalgebra::DMatrix;
use orthogap::activation::Activation;
use orthogap::convolution::{Convolution, Images, Padding, Pooling};
use orthogap::normalization::{BatchNorm, Centering, RowScale, SampleNorm, TrainableBatchNorm};
use orthogap::train::Loss;
use orthogap::wasserstein::{Gaussian, Sample, normal_bins};
use orthogap::{Gram, Scalar, metric};
use serde::Deserialize;
use serde_json::{Value, json};

/// A matrix as the list of its columns.
type Columns = Vec<Vec<f64>>;
type Answer = Result<Value, Box<dyn Error>>;

/// The arithmetic of a request, and the operation.
#[derive(Deserialize)]
struct Request {
    single: bool,
    #[serde(flatten)]
    operation: Operation,
}

/// An operation and its input.
#[derive(Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
enum Operation {
    BatchNorm {
        centered: bool,
        unit_rms: bool,
        epsilon: f64,
        h: Columns,
        gradient: Columns,
    },
    TrainableBatchNorm {
        epsilon: f64,
        momentum: f64,
        gamma: Vec<f64>,
        beta: Vec<f64>,
        batches: Vec<Columns>,
        other: Columns,
    },
    SampleNorm {
        kind: String,
        groups: usize,
        epsilon: f64,
        h: Columns,
        gradient: Columns,
    },
    Activation {
        name: String,
        x: Vec<f64>,
    },
    /// Images and gradient flattened as NCHW, one sample a column; weights as OIHW, one output
    /// channel a column.
    Convolution {
        shape: [usize; 3],
        kernel: usize,
        stride: usize,
        padding: usize,
        circular: bool,
        weights: Columns,
        h: Columns,
        gradient: Columns,
    },
    Pooling {
        shape: [usize; 3],
        kind: String,
        side: usize,
        h: Columns,
        gradient: Columns,
    },
    Loss {
        logits: Columns,
        labels: Vec<usize>,
    },
    Train(network::Training),
    Metrics {
        h: Columns,
    },
    Bures {
        a: Columns,
        b: Columns,
        means: [Vec<f64>; 2],
    },
    Line {
        x: Vec<f64>,
        mean: f64,
        deviation: f64,
    },
    Assignment {
        a: Columns,
        b: Columns,
    },
    Sinkhorn {
        a: Columns,
        b: Columns,
        epsilon: f64,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    for line in io::stdin().lines() {
        let reply = answer(&line?).unwrap_or_else(|error| json!({ "error": name(&*error) }));
        let mut output = io::stdout().lock();
        writeln!(output, "{reply}")?;
        output.flush()?;
    }
    Ok(())
}

/// The name of an error that `differential.py` expects, and the text of another.
fn name(error: &(dyn Error + 'static)) -> String {
    use orthogap::Error::{
        BatchTooSmall, DegenerateRow, DegenerateSample, InvalidParameter, Overflow, ZeroMatrix,
    };
    let name = match error.downcast_ref() {
        Some(BatchTooSmall { .. }) => "BatchTooSmall",
        Some(DegenerateRow { .. }) => "DegenerateRow",
        Some(DegenerateSample { .. }) => "DegenerateSample",
        Some(InvalidParameter { .. }) => "InvalidParameter",
        Some(Overflow { .. }) => "Overflow",
        Some(ZeroMatrix { .. }) => "ZeroMatrix",
        _ => return error.to_string(),
    };
    name.to_owned()
}

fn answer(line: &str) -> Answer {
    let request: Request = serde_json::from_str(line)?;
    let Request { single, operation } = request;
    if single { apply::<f32>(operation, single) } else { apply::<f64>(operation, single) }
}

fn apply<T: Scalar>(operation: Operation, single: bool) -> Answer {
    match operation {
        Operation::BatchNorm { centered, unit_rms, epsilon, h, gradient } => {
            let norm = BatchNorm::paper()
                .with_centering(if centered { Centering::Batch } else { Centering::None })
                .with_row_scale(if unit_rms { RowScale::UnitRms } else { RowScale::UnitNorm })
                .with_epsilon(epsilon)?;
            let (h, gradient) = (matrix::<T>(&h), matrix::<T>(&gradient));
            let forward = norm.normalize(&h)?;
            Ok(json!({
                "forward": columns(&forward),
                "backward": columns(&norm.pullback(&h, &gradient)?),
            }))
        }
        Operation::TrainableBatchNorm { epsilon, momentum, gamma, beta, batches, other } => {
            let mut layer = TrainableBatchNorm::<T>::new(gamma.len(), epsilon, momentum)?;
            layer.gamma_mut().iter_mut().zip(&gamma).for_each(|(to, &x)| *to = T::of(x));
            layer.beta_mut().iter_mut().zip(&beta).for_each(|(to, &x)| *to = T::of(x));
            let mut train = Vec::new();
            for batch in &batches {
                train.push(columns(&layer.train(&matrix(batch))?));
            }
            Ok(json!({
                "train": train,
                "mean": numbers(layer.running_mean().as_slice()),
                "variance": numbers(layer.running_variance().as_slice()),
                "infer": columns(&layer.infer(&matrix(&other))?),
            }))
        }
        Operation::SampleNorm { kind, groups, epsilon, h, gradient } => {
            let norm = match kind.as_str() {
                "layer" => SampleNorm::layer(epsilon),
                "rms" => SampleNorm::rms(epsilon),
                _ => SampleNorm::group(groups, epsilon),
            }?;
            let (h, gradient) = (matrix::<T>(&h), matrix::<T>(&gradient));
            Ok(json!({
                "forward": columns(&norm.normalize(&h)?),
                "backward": columns(&norm.pullback(&h, &gradient)?),
            }))
        }
        Operation::Convolution {
            shape,
            kernel,
            stride,
            padding,
            circular,
            weights,
            h,
            gradient,
        } => {
            let convolution = Convolution::new(kernel)?
                .with_stride(stride)?
                .with_padding(if circular { Padding::Circular } else { Padding::Zeros })
                .with_padding_width(padding)?;
            let shape = images(shape)?;
            let weights = convolution.weights_from_oihw(&matrix::<T>(&weights).transpose())?;
            let h = shape.batch_from_nchw(&matrix::<T>(&h))?;
            let output = convolution.output(shape, weights.nrows())?;
            let gradient = output.batch_from_nchw(&matrix::<T>(&gradient))?;
            let by_h = convolution.fold(shape, &(weights.transpose() * &gradient))?;
            let by_weights = &gradient * convolution.unfold(shape, &h)?.transpose();
            Ok(json!({
                "forward": columns(&output.batch_to_nchw(&convolution.apply(shape, &weights, &h)?)?),
                "backward": columns(&shape.batch_to_nchw(&by_h)?),
                "by_weights": columns(&convolution.weights_to_oihw(&by_weights)?.transpose()),
            }))
        }
        Operation::Pooling { shape, kind, side, h, gradient } => {
            let pooling = match kind.as_str() {
                "max" => Pooling::max(side)?,
                "average" => Pooling::average(side)?,
                _ => Pooling::global_average(),
            };
            let shape = images(shape)?;
            let output = pooling.output(shape)?;
            let h = shape.batch_from_nchw(&matrix::<T>(&h))?;
            let gradient = output.batch_from_nchw(&matrix::<T>(&gradient))?;
            Ok(json!({
                "forward": columns(&output.batch_to_nchw(&pooling.apply(shape, &h)?)?),
                "backward": columns(&shape.batch_to_nchw(&pooling.adjoint(shape, &h, &gradient)?)?),
            }))
        }
        Operation::Activation { name, x } => activate(&name.parse()?, &x, single),
        Operation::Loss { logits, labels } => {
            let logits = matrix::<T>(&logits);
            let (loss, gradient) = Loss::with_gradient(&logits, &labels)?;
            Ok(json!({
                "loss": loss.mean(),
                "accuracy": loss.accuracy(),
                "backward": columns(&gradient),
            }))
        }
        Operation::Train(training) => training.run::<T>(),
        Operation::Metrics { h } => {
            let h = matrix::<T>(&h);
            let gram = Gram::from_columns(&h)?;
            Ok(json!({
                "gap": [gram.orthogonality_gap(), metric::orthogonality_gap(&h)?],
                "singular_values": gram.singular_values().as_slice(),
                "lyapunov": gram.lyapunov(),
                "stable_rank": gram.stable_rank(),
                "participation_ratio": gram.participation_ratio(),
                "effective_rank": gram.effective_rank(),
                "coupling_bound": gram.coupling_bound(),
            }))
        }
        Operation::Bures { a, b, means: [mean_a, mean_b] } => {
            let a = Gaussian::from_covariance(&matrix::<T>(&a))?.with_mean(&mean_a)?;
            let b = Gaussian::from_covariance(&matrix::<T>(&b))?.with_mean(&mean_b)?;
            Ok(json!({ "squared": a.w2(&b)?.squared }))
        }
        Operation::Line { x, mean, deviation } => {
            let x: Vec<T> = x.iter().map(|&x| T::of(x)).collect();
            let line = normal_bins(x.len())?.w2(&x, mean, deviation)?;
            Ok(json!({ "squared": line.w2.squared }))
        }
        Operation::Assignment { a, b } => {
            let assignment = sample::<T>(&a)?.assignment(&sample::<T>(&b)?)?;
            Ok(json!({ "squared": assignment.w2.squared, "partner": assignment.partner }))
        }
        Operation::Sinkhorn { a, b, epsilon } => {
            let plan = sample::<T>(&a)?.entropic_transport(&sample::<T>(&b)?, epsilon)?;
            Ok(json!({ "sharp": plan.sharp }))
        }
    }
}

fn activate(activation: &Activation, x: &[f64], single: bool) -> Answer {
    let (mut narrow, mut wide): (Vec<f32>, _) = (x.iter().map(|&x| x as f32).collect(), x.to_vec());
    if single {
        wide = numbers(&narrow);
    }
    let slopes: Vec<f64> =
        wide.iter().map(|&x| activation.derivative(x)).collect::<Result<_, _>>()?;
    if single {
        activation.apply(&mut narrow);
        wide = numbers(&narrow);
    } else {
        activation.apply(&mut wide);
    }
    Ok(json!({ "values": wide, "derivatives": slopes }))
}

fn images([channels, height, width]: [usize; 3]) -> orthogap::Result<Images> {
    Images::new(channels, height, width)
}

/// A sample whose points are the columns.
fn sample<T: Scalar>(points: &Columns) -> orthogap::Result<Sample> {
    Sample::from_rows(&matrix::<T>(points).transpose())
}

/// The matrix of some columns.
fn matrix<T: Scalar>(columns: &Columns) -> DMatrix<T> {
    let rows = columns.first().map_or(0, Vec::len);
    let entries = columns.iter().flatten().map(|&x| T::of(x));
    DMatrix::from_iterator(rows, columns.len(), entries)
}

/// The columns of a matrix.
fn columns<T: Scalar>(matrix: &DMatrix<T>) -> Columns {
    matrix.column_iter().map(|column| column.iter().map(|&x| x.to_f64()).collect()).collect()
}

fn numbers<T: Scalar>(values: &[T]) -> Vec<f64> {
    values.iter().map(|&x| x.to_f64()).collect()
}
