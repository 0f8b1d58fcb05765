//! Operators on a matrix of one's own, for `compare_ops.py`: on normals, column-major, on one thread.

use std::error::Error;
use std::hint::black_box;

use nalgebra::DMatrix;
use orthogap::convolution::{Convolution, Images, Pooling};
use orthogap::normalization::{BatchNorm, SampleNorm, TrainableBatchNorm};
use orthogap::wasserstein::{Directions, Gaussian, Sample, normal_bins};
use orthogap::weights::{Fans, Gaussian as GaussianWeights, Haar, WeightInit};
use orthogap::{Gram, Input, Network, Purpose, Scalar, Seed, metric};

use crate::{Timing, measure};

/// Images of a batch, and the layers that a gradient passes.
const BATCH: usize = 50;
const DEPTH: usize = 20;

type Answer = Result<Timing, Box<dyn Error>>;

/// The least microseconds of a call of an operator on `d x n` matrices.
pub fn time(
    operator: &str,
    scalar: &str,
    shape: (usize, usize),
    seconds: f64,
) -> Result<f64, Box<dyn Error>> {
    let timing = match scalar {
        "f64" => time_in::<f64>(operator, shape, seconds),
        "f32" => time_in::<f32>(operator, shape, seconds),
        _ => return Err(format!("unknown scalar {scalar:?}: f64 or f32").into()),
    };
    Ok(timing?.us)
}

fn time_in<T: Scalar>(operator: &str, shape: (usize, usize), seconds: f64) -> Answer {
    match operator {
        "gram_gap" | "gram_product" | "gram_spectrum" => of_gram(operator, shape, seconds),
        "haar" | "gaussian_weights" => of_weights::<T>(operator, shape, seconds),
        "conv3" | "maxpool2" | "gradient_norms" => of_network::<T>(operator, shape, seconds),
        "bures" | "bures_isotropic" | "line" | "line_cold" | "sliced" | "assignment"
        | "sinkhorn" => of_transport(operator, shape, seconds),
        _ => of_matrix::<T>(operator, shape, seconds),
    }
}

fn of_matrix<T: Scalar>(operator: &str, (d, n): (usize, usize), seconds: f64) -> Answer {
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
        "layernorm" => measure(seconds, || sample.normalize_to(&h, &mut output).map(|()| 0.0)),
        "gap_of_matrix" => measure(seconds, || metric::orthogonality_gap(&h)),
        "singular_values" => measure(seconds, || Ok(Gram::from_columns(&h)?.singular_values()[0])),
        _ => return Err(format!("unknown operator {operator:?}").into()),
    };
    Ok(timing?)
}

/// Of the factor of a Gram matrix.
fn of_gram(operator: &str, (d, n): (usize, usize), seconds: f64) -> Answer {
    let gram = Gram::from_columns(&normals::<f64>(d, n, 1))?;
    let gram = black_box(&gram);
    Ok(match operator {
        "gram_gap" => measure(seconds, || Ok(gram.orthogonality_gap())),
        "gram_product" => measure(seconds, || Ok(gram.matrix()[0])),
        _ => measure(seconds, || {
            black_box(gram.spectrum());
            Ok(0.0)
        }),
    }?)
}

/// Draws of weights.
fn of_weights<T: Scalar>(operator: &str, (rows, columns): (usize, usize), seconds: f64) -> Answer {
    let stream = || Seed(1).replicate(0).stream(Purpose::Weights, 1, 0);
    let fans = Fans { inputs: columns, outputs: rows };
    let mut weights = DMatrix::<T>::zeros(rows, columns);
    Ok(measure(seconds, || {
        match operator {
            "haar" => Haar::default().sample_to(&mut weights, fans, stream()),
            _ => GaussianWeights::he().sample_to(&mut weights, fans, stream()),
        }
        Ok(weights[0].into())
    })?)
}

/// Of a batch of images with so many channels and sides of so many pixels, or of a network.
fn of_network<T: Scalar>(operator: &str, (channels, side): (usize, usize), seconds: f64) -> Answer {
    if operator == "gradient_norms" {
        let (network, input) =
            (Network::<T>::new(channels), Input::gaussian(channels, side, Seed(1))?);
        return Ok(measure(seconds, || {
            black_box(network.gradient_norms(&input, Seed(3), DEPTH)?);
            Ok(0.0)
        })?);
    }
    let images = Images::new(channels, side, side)?;
    let h = normals::<T>(channels, side * side * BATCH, 3);
    let weights = normals::<T>(channels.max(64), channels * 9, 4);
    let (convolution, pooling) = (Convolution::new(3)?, Pooling::max(2)?);
    Ok(measure(seconds, || {
        let result = match operator {
            "conv3" => convolution.apply(images, &weights, &h)?,
            _ => pooling.apply(images, &h)?,
        };
        Ok(black_box(result)[0].into())
    })?)
}

/// Distances between samples, one a row, and between Gaussians.
fn of_transport(operator: &str, (count, n): (usize, usize), seconds: f64) -> Answer {
    if operator.starts_with("bures") {
        let covariance = |seed| {
            let h = normals::<f64>(4 * n, n, seed);
            h.transpose() * &h / (4 * n * n) as f64
        };
        let (a, b) = (covariance(6), covariance(7));
        let ideal = Gaussian::isotropic(n, (n as f64).sqrt().recip())?;
        return Ok(measure(seconds, || {
            let a = Gaussian::from_covariance(&a)?;
            let w2 = match operator {
                "bures" => a.w2(&Gaussian::from_covariance(&b)?),
                _ => a.w2(&ideal),
            };
            Ok(w2?.squared)
        })?);
    }
    let (x, y) = (normals::<f64>(count, n, 6), normals::<f64>(count, n, 7));
    let of = |rows: &DMatrix<f64>| Sample::from_rows(rows);
    Ok(match operator {
        "line" => {
            let bins = normal_bins(count)?;
            measure(seconds, || Ok(bins.w2(x.as_slice(), 0.0, 1.0)?.w2.squared))
        }
        "line_cold" => {
            measure(seconds, || Ok(normal_bins(count)?.w2(x.as_slice(), 0.0, 1.0)?.w2.squared))
        }
        "sliced" => {
            let (target, directions) =
                (Gaussian::isotropic(n, 1.0)?, Directions::random(n, 500, Seed(1))?);
            measure(seconds, || Ok(of(&x)?.sliced(&target, &directions)?.w2.squared))
        }
        "assignment" => measure(seconds, || Ok(of(&x)?.assignment(&of(&y)?)?.w2.squared)),
        _ => measure(seconds, || Ok(of(&x)?.entropic_transport(&of(&y)?, 1.0)?.sharp)),
    }?)
}

fn normals<T: Scalar>(d: usize, n: usize, seed: u64) -> DMatrix<T> {
    let mut matrix = DMatrix::zeros(d, n);
    let stream = Seed(seed).replicate(0).stream(Purpose::User(0), 0, 0);
    stream.fill_normal(matrix.as_mut_slice());
    matrix
}
