//! Mean products of an activation, and of its derivative, at two normal numbers.

use std::f64::consts::{FRAC_PI_2, PI};

use super::quadrature::{Radius, mean_about, mean_product, slope_of_mean_product};
use crate::theory::mean_field_activation::Kernel;
use crate::{Activation, Error, Result};

/// $`E \, F(x) F(y)`$ by quadrature, where F is the activation less `mean`.
pub(super) fn product_less(
    activation: &Activation,
    mean: f64,
    kinks: &[f64],
    rho: f64,
) -> Result<f64> {
    mean_product(&less(activation, mean), kinks, Radius::Normal, rho)
}

/// E F(x), by quadrature.
pub(super) fn mean(activation: &Activation, kinks: &[f64]) -> Result<f64> {
    mean_about(&less(activation, 0.0), kinks, 0.0, |_| 1.0)
}

/// The activation less a number, of many numbers.
fn less(activation: &Activation, mean: f64) -> impl Fn(&mut [f64]) + '_ {
    move |x| {
        activation.apply(x);
        x.iter_mut().for_each(|x| *x -= mean);
    }
}

/// $`E \, F(x) F(y)`$ by a formula, for the activations that have one.
pub(super) fn closed_form(activation: &Activation, rho: f64) -> Option<f64> {
    let unit = (1.0, 1.0);
    Some(match *activation {
        Activation::Identity => rho,
        Activation::Relu => Kernel::ArcCosine.mean_product(unit, rho),
        Activation::LeakyRelu { slope } => {
            // F(x) = (1 + s)/2 x + (1 - s)/2 |x|.
            let (sine, angle) = sine_and_angle(rho);
            let (odd, even) = halves(slope);
            odd * odd * rho + even * even * (sine + rho * (FRAC_PI_2 - angle)) / FRAC_PI_2
        }
        Activation::Sin => Kernel::Sine.mean_product(unit, rho),
        Activation::Erf => Kernel::ArcSine.mean_product(unit, rho),
        _ => return None,
    })
}

/// What the slope of a map is computed from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SlopeSource {
    /// The derivative of the activation.
    Derivative,
    /// Values of the activation: its derivative is that of another function, or it jumps.
    Values {
        /// Whether the activation jumps at zero or at a declared kink.
        jumps: bool,
    },
}

impl SlopeSource {
    /// Compares the derivative with the values less `mean`, of mean square `scale`: by parts,
    /// $`E F'(c + z) = E \, z F(c + z)`$ for every centre c unless F jumps (Stein's lemma).
    pub(super) fn of(activation: &Activation, mean: f64, kinks: &[f64], scale: f64) -> Self {
        const CENTERS: [f64; 2] = [-0.4, 0.9];
        if !matches!(activation, Activation::Custom(_)) || activation.derivative(0.0).is_err() {
            return Self::Derivative;
        }
        let size = scale.sqrt();
        let fits = CENTERS.into_iter().all(|center| {
            let slope = mean_about(&slopes(activation), kinks, center, |_| 1.0);
            let by_parts = mean_about(&less(activation, mean), kinks, center, |z| z);
            matches!((slope, by_parts), (Ok(a), Ok(b)) if (a - b).abs() <= 1e-9 * size)
        });
        let jumps = |kink: f64| {
            let near = (4.0 * f64::EPSILON * kink.abs()).max(1e-300);
            let change = activation.value(kink + near) - activation.value(kink - near);
            change.abs() > 1e-6 * size
        };
        match fits {
            true => Self::Derivative,
            false => Self::Values { jumps: jumps(0.0) || kinks.iter().any(|&kink| jumps(kink)) },
        }
    }
}

/// The derivative of $`E \, F(x) F(y)`$ by `rho`.
pub(super) fn slope_of_product(
    activation: &Activation,
    kinks: &[f64],
    source: SlopeSource,
    rho: f64,
) -> Result<f64> {
    match source {
        SlopeSource::Derivative => derivative_product(activation, kinks, rho),
        SlopeSource::Values { .. } if rho.abs() < 1.0 => {
            slope_of_mean_product(&less(activation, 0.0), kinks, rho)
        }
        SlopeSource::Values { jumps: true } if rho == 1.0 => Ok(f64::INFINITY),
        SlopeSource::Values { .. } => Err(Error::Unsupported {
            what: "the slope of a kernel map at -1 or 1",
            needs: "the derivative of the activation itself, not of a surrogate, and no jumps",
        }),
    }
}

/// $`E \, F'(x) F'(y)`$, which is the same unless F jumps.
fn derivative_product(activation: &Activation, kinks: &[f64], rho: f64) -> Result<f64> {
    Ok(match *activation {
        Activation::Identity => 1.0,
        Activation::Relu => (PI - sine_and_angle(rho).1) / (2.0 * PI),
        Activation::LeakyRelu { slope } => {
            let (odd, even) = halves(slope);
            odd * odd + even * even * (FRAC_PI_2 - sine_and_angle(rho).1) / FRAC_PI_2
        }
        Activation::Sin => (-1f64).exp() * rho.cosh(),
        Activation::Erf => (4.0 / (3.0 * PI)) / (1.0 - 4.0 / 9.0 * rho * rho).sqrt(),
        _ => {
            activation.derivative(0.0)?; // a custom one may have none
            mean_product(&slopes(activation), kinks, Radius::Normal, rho)?
        }
    })
}

/// The derivative of an activation that has one, of many numbers.
fn slopes(activation: &Activation) -> impl Fn(&mut [f64]) + '_ {
    |values| {
        for x in values.chunks_mut(64) {
            let mut gradient = [1.0; 64];
            let slopes = &mut gradient[..x.len()];
            let known = activation.pull_back(x, 1.0, slopes);
            known.expect("its derivative was found at zero");
            x.copy_from_slice(slopes);
        }
    }
}

fn halves(slope: f64) -> (f64, f64) {
    (0.5 * (1.0 + slope), 0.5 * (1.0 - slope))
}

fn sine_and_angle(rho: f64) -> (f64, f64) {
    let sine = ((1.0 - rho) * (1.0 + rho)).sqrt();
    (sine, sine.atan2(rho))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Closed forms against quadrature, which is what all others rest on.
        #[test]
        fn closed_forms_are_the_integrals(rho in -1.0..=1.0f64, slope in -2.0..2.0f64) {
            use Activation::*;
            for activation in [Identity, Relu, LeakyRelu { slope }, Sin, Erf] {
                let value = |x: &mut [f64]| activation.apply(x);
                let slopes = |values: &mut [f64]| {
                    values.iter_mut().for_each(|x| *x = activation.derivative(*x).unwrap());
                };
                let exact = closed_form(&activation, rho).expect("it has one");
                let steep = derivative_product(&activation, &[], rho)?;
                let close = |found: f64, exact: f64| (found - exact).abs() < 4e-12;
                prop_assert!(close(mean_product(&value, &[], Radius::Normal, rho)?, exact), "{activation}");
                prop_assert!(close(mean_product(&slopes, &[], Radius::Normal, rho)?, steep), "{activation}");
            }
        }
    }
}
