//! Metrics of a representation, and Wasserstein distances.

use orthogap::wasserstein::{Directions, Gaussian, Sample, normal_bins};
use orthogap::{Gram, Scalar, metric};
use serde::Deserialize;
use serde_json::json;

use crate::{Answer, Columns, matrix};

#[derive(Deserialize)]
pub struct Metrics {
    h: Columns,
}

impl Metrics {
    pub fn run<T: Scalar>(&self) -> Answer {
        let h = matrix::<T>(&self.h);
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
}

/// Two Gaussians by their covariances and means.
#[derive(Deserialize)]
pub struct Bures {
    a: Columns,
    b: Columns,
    means: [Vec<f64>; 2],
}

impl Bures {
    pub fn run<T: Scalar>(&self) -> Answer {
        let [a, b] = &self.means;
        let a = Gaussian::from_covariance(&matrix::<T>(&self.a))?.with_mean(a)?;
        let b = Gaussian::from_covariance(&matrix::<T>(&self.b))?.with_mean(b)?;
        Ok(json!({ "squared": a.w2(&b)?.squared }))
    }
}

/// Numbers, and a normal law.
#[derive(Deserialize)]
pub struct Line {
    x: Vec<f64>,
    mean: f64,
    deviation: f64,
}

impl Line {
    pub fn run<T: Scalar>(&self) -> Answer {
        let x: Vec<T> = self.x.iter().map(|&x| T::of(x)).collect();
        let line = normal_bins(x.len())?.w2(&x, self.mean, self.deviation)?;
        Ok(json!({ "squared": line.w2.squared }))
    }
}

/// Points, a Gaussian of covariance `F F'`, and directions of any length, one a column.
#[derive(Deserialize)]
pub struct Sliced {
    points: Columns,
    factor: Columns,
    mean: Vec<f64>,
    directions: Columns,
}

impl Sliced {
    pub fn run<T: Scalar>(&self) -> Answer {
        let factor = matrix::<f64>(&self.factor);
        let covariance = &factor * factor.transpose();
        let target = Gaussian::from_covariance(&covariance)?.with_mean(&self.mean)?;
        let directions = Directions::from_columns(&matrix::<T>(&self.directions))?;
        let sliced = sample::<T>(&self.points)?.sliced(&target, &directions)?;
        Ok(json!({
            "along": sliced.along,
            "squared": sliced.w2.squared,
            "lower_bound": sliced.lower_bound().squared,
        }))
    }
}

/// Two samples, one point a column.
#[derive(Deserialize)]
pub struct Assignment {
    a: Columns,
    b: Columns,
}

impl Assignment {
    pub fn run<T: Scalar>(&self) -> Answer {
        let transport = sample::<T>(&self.a)?.assignment(&sample::<T>(&self.b)?)?;
        Ok(json!({ "squared": transport.w2.squared, "partner": transport.partner }))
    }
}

#[derive(Deserialize)]
pub struct Sinkhorn {
    a: Columns,
    b: Columns,
    epsilon: f64,
}

impl Sinkhorn {
    pub fn run<T: Scalar>(&self) -> Answer {
        let (a, b) = (sample::<T>(&self.a)?, sample::<T>(&self.b)?);
        Ok(json!({ "sharp": a.entropic_transport(&b, self.epsilon)?.sharp }))
    }
}

fn sample<T: Scalar>(points: &Columns) -> orthogap::Result<Sample> {
    Sample::from_rows(&matrix::<T>(points).transpose())
}
