//! orthogap's side of the differential check against PyTorch, SciPy and POT: applies one operation
//! to the input of a request, for `differential.py`.
//!
//! Requests are lines of JSON on standard input: the name of an operation, whether its arithmetic is
//! that of `f32`, and its fields; each is answered by one line of JSON. A matrix is the list of its
//! columns. An error of the crate is answered by `{"error": NAME}`, the name of its variant; a number
//! that is not finite is written as null.

mod images;
mod laws;
mod network;
mod normalize;
mod training;

use std::error::Error;
use std::io::{self, Write as _};

use nalgebra::DMatrix;
use orthogap::Scalar;
use serde::Deserialize;
use serde_json::{Value, json};

/// A matrix as the list of its columns.
type Columns = Vec<Vec<f64>>;
type Answer = Result<Value, Box<dyn Error>>;

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
    BatchNorm(normalize::Batch),
    TrainableBatchNorm(normalize::Trainable),
    SampleNorm(normalize::Samples),
    Activation(network::Activate),
    Convolution(images::Convolve),
    Pooling(images::Pool),
    Loss(network::Entropy),
    Train(training::Training),
    TrainImages(training::Training),
    Metrics(laws::Metrics),
    Bures(laws::Bures),
    Line(laws::Line),
    Sliced(laws::Sliced),
    Assignment(laws::Assignment),
    Sinkhorn(laws::Sinkhorn),
}

impl Operation {
    fn run<T: Scalar>(&self) -> Answer {
        match self {
            Self::BatchNorm(operation) => operation.run::<T>(),
            Self::TrainableBatchNorm(operation) => operation.run::<T>(),
            Self::SampleNorm(operation) => operation.run::<T>(),
            Self::Activation(operation) => operation.run(T::EPSILON > f64::EPSILON),
            Self::Convolution(operation) => operation.run::<T>(),
            Self::Pooling(operation) => operation.run::<T>(),
            Self::Loss(operation) => operation.run::<T>(),
            Self::Train(operation) | Self::TrainImages(operation) => operation.run::<T>(),
            Self::Metrics(operation) => operation.run::<T>(),
            Self::Bures(operation) => operation.run::<T>(),
            Self::Line(operation) => operation.run::<T>(),
            Self::Sliced(operation) => operation.run::<T>(),
            Self::Assignment(operation) => operation.run::<T>(),
            Self::Sinkhorn(operation) => operation.run::<T>(),
        }
    }
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

fn answer(line: &str) -> Answer {
    let Request { single, operation } = serde_json::from_str(line)?;
    if single { operation.run::<f32>() } else { operation.run::<f64>() }
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
