//! Shaped networks: leaky ReLU with slopes 1 + c/(2 sqrt(d)) and 1 - c/(2 sqrt(d)), and a depth
//! proportional to the width.
//!
//! The cosine of two samples follows a stochastic equation in t = layer/width as the width grows
//! (Li, Nica and Roy 2022, "The neural covariance SDE"):
//! d rho = (nu - rho (1 - rho²)/2) dt + (1 - rho²) dB,
//! nu = c²/(2 pi) (sqrt(1 - rho²) - rho arccos rho).

use std::f64::consts::TAU;

use orthogap::nalgebra::dmatrix;
use orthogap::normalization::Normalization;
use orthogap::{Activation, Input, Network, Purpose, Replicate, Result};

/// Steps of the equation for a unit of time.
const STEPS: usize = 500;

/// The difference `c` of both slopes, in units of one over the root of the width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shaped(pub f64);

impl Shaped {
    /// The network of this width. Its scale does not affect cosines.
    pub fn network(self, width: usize) -> Network<f64> {
        // Slopes on either side of one: their mean square is one up to 1/d, not 1/sqrt(d).
        let half = 0.5 * self.0 / (width as f64).sqrt();
        let slope = (1.0 - half) / (1.0 + half);
        Network::new(width)
            .with_normalization(Normalization::None)
            .with_activation(Activation::LeakyRelu { slope })
    }

    /// Solves the equation from `start` up to time 1: the cosines after each of `points` equal
    /// intervals.
    ///
    /// Uses Euler's method in x = artanh rho, where the noise is dB and rho stays within its range:
    /// dx = (nu/(1 - rho²) + rho/2) dt + dB.
    pub fn equation(self, start: f64, points: usize, run: Replicate) -> Vec<f64> {
        let substeps = STEPS.div_ceil(points);
        let step = 1.0 / (points * substeps) as f64;
        let mut normals = vec![0.0f64; points * substeps];
        run.stream(Purpose::User(0), 0, 0).fill_normal(&mut normals);
        let mut x = start.atanh();
        let stretch = |normals: &[f64]| {
            for z in normals {
                let rho = x.tanh();
                let variance = x.cosh().powi(-2);
                let nu = self.0 * self.0 / TAU * (variance.sqrt() - rho * rho.acos());
                // Next to -1 the drift is so large that one step would overshoot.
                let drift = step * (nu / variance.max(f64::MIN_POSITIVE) + 0.5 * rho);
                x += drift.min(0.5) + step.sqrt() * z;
            }
            x.tanh()
        };
        normals.chunks(substeps).map(stretch).collect()
    }
}

/// Two samples of length one with this cosine.
pub fn pair(cosine: f64) -> Result<Input> {
    Input::from_columns(&dmatrix![1.0, cosine; 0.0, (1.0 - cosine * cosine).sqrt()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use orthogap::Seed;
    use orthogap::statistics::Moments;

    /// Euler's method in rho itself has .341(4) and .595 at c = 1 from .3; 8000 runs, 4 standard errors.
    #[test]
    fn the_equation_has_its_moments() {
        let path = |run| Shaped(1.0).equation(0.3, 1, Seed(5).replicate(run))[0];
        let moments: Moments = (0..8000).map(path).collect();
        assert!((moments.mean() - 0.341).abs() < 4.0 * (0.004 + moments.standard_error()));
        assert!((moments.sample_variance().sqrt() - 0.595).abs() < 0.02);
    }

    /// However strong the drift is.
    #[test]
    fn paths_stay_within_bounds() {
        for run in 0..200 {
            let path = Shaped(3.0).equation(-0.99, 20, Seed(6).replicate(run));
            assert!(path.len() == 20 && path.iter().all(|rho| rho.abs() <= 1.0));
        }
    }
}
