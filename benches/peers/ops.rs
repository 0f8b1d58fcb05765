//! Operators on a matrix of one's own, for `compare_ops.py`: normals, column-major, on one thread.

use std::error::Error;
use std::hint::black_box;

use nalgebra::DMatrix;
use orthogap::normalization::{BatchNorm, SampleNorm, TrainableBatchNorm};
use orthogap::{Gram, Purpose, Scalar, Seed, metric};

use crate::measure;

/// The least microseconds of a call of an operator on `d x n` matrices.
pub fn time(
    operator: &str,
    scalar: &str,
    (d, n): (usize, usize),
    seconds: f64,
) -> Result<f64, Box<dyn Error>> {
    match scalar {
        "f64" => time_in::<f64>(operator, (d, n), seconds),
        "f32" => time_in::<f32>(operator, (d, n), seconds),
        _ => Err(format!("unknown scalar {scalar:?}: f64 or f32").into()),
    }
}

fn time_in<T: Scalar>(
    operator: &str,
    (d, n): (usize, usize),
    seconds: f64,
) -> Result<f64, Box<dyn Error>> {
    let h = normals::<T>(d, n, 1);
    let (mut output, gradient) = (DMatrix::<T>::zeros(d, n), normals::<T>(d, n, 2));
    let (paper, standard) = (BatchNorm::paper(), BatchNorm::standard(1e-5)?);
    let (mut layer, sample) = (TrainableBatchNorm::new(d, 1e-5, 0.1)?, SampleNorm::layer(1e-5)?);
    let timing = match operator {
        "bn_paper_to" => measure(seconds, || paper.normalize_to(&h, &mut output).map(|()| 0.0)),
        "bn_standard_to" => {
            measure(seconds, || standard.normalize_to(&h, &mut output).map(|()| 0.0))
        }
        "bn_train_to" => measure(seconds, || layer.train_to(&h, &mut output).map(|()| 0.0)),
        "bn_infer_to" => measure(seconds, || layer.infer_to(&h, &mut output).map(|()| 0.0)),
        "bn_pullback" => measure(seconds, || {
            output.copy_from(&gradient);
            standard.pullback_mut(&h, &mut output).map(|()| 0.0)
        }),
        "layernorm" => measure(seconds, || {
            black_box(sample.normalize(&h)?);
            Ok(0.0)
        }),
        "gap_of_matrix" => measure(seconds, || metric::orthogonality_gap(&h)),
        "singular_values" => measure(seconds, || Ok(Gram::from_columns(&h)?.singular_values()[0])),
        "gram_gap" => {
            let gram = Gram::from_columns(&h)?;
            measure(seconds, || Ok(black_box(&gram).orthogonality_gap()))
        }
        "gram_product" => {
            let gram = Gram::from_columns(&h)?;
            measure(seconds, || Ok(black_box(&gram).matrix()[0]))
        }
        _ => return Err(format!("unknown operator {operator:?}").into()),
    };
    Ok(timing?.us)
}

fn normals<T: Scalar>(d: usize, n: usize, seed: u64) -> DMatrix<T> {
    let mut matrix = DMatrix::zeros(d, n);
    let stream = Seed(seed).replicate(0).stream(Purpose::User(0), 0, 0);
    stream.fill_normal(matrix.as_mut_slice());
    matrix
}
