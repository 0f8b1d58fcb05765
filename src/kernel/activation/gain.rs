//! The gain of the weights that keeps the second moment of a vanilla network.

use core::f64::consts::PI;

use super::Activation;
use super::exponential::exp_minus_square;
use crate::kernel::line::Line;
use crate::{Error, Result};
use fearless_simd::{Level, dispatch, f64x8, prelude::*};

impl Activation {
    /// Computes $`1/\sqrt{E F(Z)^2}`$, Z standard normal: with weights N(0, gain²/m) the
    /// pre-activations of a wide vanilla network stay of unit variance through all layers.
    ///
    /// He et al. 2015 ([arXiv 1502.01852](https://arxiv.org/abs/1502.01852)) have it for ReLU,
    /// $`\sqrt 2`$, and leaky ReLU, $`\sqrt{2/(1 + s^2)}`$ with slope s.
    ///
    /// By Gauss-Legendre quadrature with eight nodes on each interval of length 1/8 between -32 and
    /// 32: 4096 values of F. The relative error is about 1e-14 for the functions of this crate, and
    /// for any F that is smooth between the multiples of 1/8, such as a piecewise linear one with
    /// its kinks and jumps there. Elsewhere a kink costs $`E F(Z)^2`$ about 1e-5 times the jump of
    /// the slope of F², a jump about 1e-2 times that of F²; and an F that changes much over lengths
    /// below 1/8 is not resolved.
    ///
    /// ```
    /// use orthogap::{Activation, Input, Network, Seed, normalization::Normalization, weights::Gaussian};
    ///
    /// let gain = Activation::Relu.gain()?;
    /// assert!((gain - 2f64.sqrt()).abs() < 1e-14);
    ///
    /// let network = Network::<f64>::new(1024)
    ///     .with_activation(Activation::Relu)
    ///     .with_normalization(Normalization::None)
    ///     .with_weights(Gaussian::new(gain)?);
    /// let mut chain = network.chain(&Input::orthogonal(4)?, Seed(1))?;
    /// let before = chain.advance(1)?.log_scale();
    /// let after = chain.advance(20)?.log_scale();
    /// assert!((after - before).abs() < 0.5); // 20 ln sqrt 2 = 6.9 with gain 1
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if the second moment is zero, not finite, or made of values so far
    /// from zero that the quadrature does not see its end; of a slope that is not finite in `f32`.
    pub fn gain(&self) -> Result<f64> {
        self.check()?;
        let level = Level::new();
        let (mut sum, mut ends) = (0.0, 0.0);
        for panel in -PANELS..PANELS {
            let left = f64::from(panel) * LENGTH;
            let nodes = Line::<f64>(NODES.map(|node| node.mul_add(LENGTH, left)));
            let mut values = [nodes];
            self.apply_to_lines(level, &mut values, (1, 1));
            let terms = dispatch!(level, simd => {
                // Both roots first: neither F² nor the density leaves the range of floats then.
                let x: f64x8<_> = nodes.load(simd);
                let root: f64x8<_> = values[0].load(simd);
                let root = root * exp_minus_square(simd, 0.25, x).value();
                (root * root * f64x8::from_slice(simd, &WEIGHTS)).to_array()
            });
            let part: f64 = terms.iter().sum();
            sum += part;
            if panel == -PANELS || panel == PANELS - 1 {
                ends += part;
            }
        }
        let value = sum * LENGTH / (2.0 * PI).sqrt();
        let valid = value > 0.0 && value.is_finite() && ends <= NEGLIGIBLE * sum;
        let expected = "positive, finite and not made of |Z| near 32";
        let name = "second moment of the activation";
        if valid {
            Ok(1.0 / value.sqrt())
        } else {
            Err(Error::InvalidParameter { name, value, expected })
        }
    }
}

/// Intervals on either side of zero.
const PANELS: i32 = 256;
const LENGTH: f64 = 0.125;
/// The part of the sum that the two outermost intervals may have.
const NEGLIGIBLE: f64 = 1e-16;
/// Gauss-Legendre nodes and weights of the interval from 0 to 1 (DLMF 3.5(v)).
const NODES: [f64; 8] = [
    0.019855071751231884,
    0.10166676129318664,
    0.2372337950418355,
    0.4082826787521751,
    0.591717321247825,
    0.7627662049581645,
    0.8983332387068134,
    0.9801449282487681,
];
const WEIGHTS: [f64; 8] = [
    0.05061426814518813,
    0.11119051722668724,
    0.15685332293894363,
    0.181341891689181,
    0.181341891689181,
    0.15685332293894363,
    0.11119051722668724,
    0.05061426814518813,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::activation::Activation::*;

    fn second_moment(activation: Activation) -> f64 {
        activation.gain().unwrap().powi(-2)
    }

    fn from_fn(function: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Activation {
        Activation::custom("a closure", function)
    }

    fn gain(activation: Activation) -> Result<f64> {
        activation.gain()
    }

    #[track_caller]
    fn assert_close(ours: f64, exact: f64) {
        assert!((ours / exact - 1.0).abs() < 1e-14, "{ours} is not {exact}");
    }

    #[test]
    fn closed_forms() {
        assert_close(gain(Identity).unwrap(), 1.0);
        assert_close(gain(Relu).unwrap(), 2f64.sqrt());
        for slope in [-1f64, 0.0, 0.01, 0.3, 1.0, 7.0] {
            let expected = (2.0 / (1.0 + slope * slope)).sqrt();
            assert_close(gain(LeakyRelu { slope }).unwrap(), expected);
        }
        assert_close(second_moment(Sin), (1.0 - (-2f64).exp()) / 2.0);
        // Williams 1998, E erf(Z)² = 2/pi asin(2/3).
        assert_close(second_moment(Erf), 2.0 / PI * (2f64 / 3.0).asin());
        // Cho and Saul's arc-cosine kernel, integrated: 1/3 + 1/(2 sqrt(3) pi).
        assert_close(second_moment(Gelu), 1.0 / 3.0 + 1.0 / (2.0 * 3f64.sqrt() * PI));
        // tanh is odd.
        assert_close(second_moment(ShiftedTanh), 1.0 + second_moment(Tanh));
        // E sigma(Z)² = (1 + E tanh(Z/2)²)/4.
        let half = second_moment(from_fn(|x: f64| (x / 2.0).tanh()));
        assert_close(second_moment(Logistic), (1.0 + half) / 4.0);
    }

    /// By mpmath's quad, 30 digits.
    #[test]
    fn integrals_without_a_closed_form() {
        assert_close(second_moment(Tanh), 0.3942944903978412);
        assert_close(second_moment(Silu), 0.35577551981735217);
    }

    #[test]
    fn kinks_on_and_off_the_grid() {
        // E min(1, |Z|)² = 1 - 2 phi(1) by parts.
        let phi = (-0.5f64).exp() / (2.0 * PI).sqrt();
        let on = second_moment(from_fn(|x| x.clamp(-1.0, 1.0)));
        assert_close(on, 1.0 - 2.0 * phi);
        // A step: E = P(Z > c), jump of F² one.
        let jump = second_moment(from_fn(|x| f64::from(x > 0.0)));
        assert_close(jump, 0.5);
        // E max(0, Z - c)² = (1 + c²) Q(c) - c phi(c), kink of F² in its second derivative.
        let c = 0.06f64;
        let (q, phi) =
            (libm::erfc(c / 2f64.sqrt()) / 2.0, (-c * c / 2.0).exp() / (2.0 * PI).sqrt());
        let off = second_moment(from_fn(move |x| (x - c).max(0.0)));
        assert!((off / ((1.0 + c * c) * q - c * phi) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn no_second_moment_is_an_error() {
        let moments = [
            gain(from_fn(|_| 0.0)),
            gain(from_fn(|_| f64::NAN)),
            gain(from_fn(|x| 1.0 / (x - x))),
            gain(from_fn(|x| (x * x / 4.0).exp())), // E F² = infinity, but no term is
            gain(from_fn(|x| f64::from(x > 100.0))),
        ];
        for moment in moments {
            assert!(matches!(moment, Err(Error::InvalidParameter { .. })), "{moment:?}");
        }
        // Large and small ones are none.
        let g = gain(from_fn(|x| 1e150 * x)).unwrap();
        assert!((g * 1e150 - 1.0).abs() < 1e-14);
    }
}
