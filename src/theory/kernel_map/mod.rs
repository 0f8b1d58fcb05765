//! The cosine of two samples from layer to layer, at infinite width and without coupling between
//! samples: per-sample normalisation, or pre-activations of variance one.
//!
//! There the cosine $`\rho`$ of two samples follows a map, its kernel map:
//!
//! ```math
//! \rho' = \kappa(\rho) = \frac{E \, F(x) F(y)}{E \, F(x)^2},
//! \qquad x, y \sim N(0, 1), \quad E \, x y = \rho.
//! ```
//!
//! $`\kappa`$ is a power series with coefficients that are not negative and add up to one (those of F in
//! Hermite polynomials, squared). So it is convex on [0, 1], and besides 1 it has at most one
//! attracting fixed point there: where $`\kappa'(1) > 1`$. On [-1, 0) only -1 can be fixed, where F
//! is odd. [`KernelMap::fixed_point`] finds the attracting one and the rate there.
//!
//! The maps are limits of infinite width at a fixed depth. A layer of width `d` adds noise with a
//! variance of the order 1/d and a bias of the order 1/d, which add up over layers where the rate
//! is near 1. So the limit holds for depths far below `d` (beyond, see Li, Nica and Roy 2022 and
//! the example `shaped`).
//!
//! ```
//! use orthogap::Activation;
//! use orthogap::theory::kernel_map::KernelMap;
//!
//! for name in ["tanh", "relu", "gelu", "silu"] {
//!     let map = KernelMap::new(&name.parse()?)?;
//!     let attracting = map.fixed_point()?.expect("not linear");
//!     println!("{name:5} {:.6} at rate {:.6}", attracting.cosine, attracting.rate);
//! }
//! let gelu = KernelMap::new(&Activation::Gelu)?.fixed_point()?.expect("not linear");
//! assert!((gelu.cosine - 0.760402).abs() < 1e-6);
//! # Ok::<(), orthogap::Error>(())
//! ```

mod attraction;
mod product;
pub(super) mod quadrature;

pub use attraction::{Attraction, Case};

use product::{SlopeSource, closed_form, mean, product_less, slope_of_product};

use crate::check;
use crate::{Activation, Result};

/// The map $`\kappa`$ of the cosine of two samples by one layer of an activation.
///
/// Closed forms for the identity, ReLU, leaky ReLU, sin and erf; otherwise adaptive quadrature in
/// the plane, to 1e-12. Cost of a value: nanoseconds in closed form, about a millisecond by
/// quadrature; for many declared kinks it grows as the cube of their number.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelMap {
    activation: Activation,
    /// Where its derivative is not continuous, except for zero.
    kinks: Vec<f64>,
    slopes: SlopeSource,
    /// What is subtracted from F: its mean, or zero.
    mean: f64,
    /// What is subtracted from $`E \, F(x) F(y)`$ where that has a closed form: the squared mean,
    /// or zero.
    offset: f64,
    /// The mean square of F after that.
    scale: f64,
    /// The square of the weight of the skip connection.
    skip: f64,
}

/// The limit of cosines under the kernel map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FixedPoint {
    /// The fixed point $`\rho^*`$.
    pub cosine: f64,
    /// $`\kappa'(\rho^*)`$, the factor by which a layer multiplies small distances to it. If it is
    /// 1, the distance falls like a power of the depth: ReLU's $`1 - \rho_l`$ like
    /// $`9\pi^2/(2 l^2)`$.
    pub rate: f64,
}

impl KernelMap {
    /// Returns the map of an activation that is smooth except for a kink or jump at zero, as all
    /// built-in ones are.
    ///
    /// # Errors
    /// [`Error::NotConverged`](crate::Error::NotConverged) unless $`E \, F(x)^2`$ exists, and where it
    /// cannot be found to 1e-12; [`Error::InvalidParameter`](crate::Error::InvalidParameter) if it is zero.
    pub fn new(activation: &Activation) -> Result<Self> {
        Self::from_piecewise(activation, [])
    }

    /// Returns the map of an activation with kinks or jumps away from zero, at which its derivative
    /// is not continuous.
    ///
    /// ```
    /// use orthogap::Activation;
    /// use orthogap::theory::kernel_map::KernelMap;
    ///
    /// let hard_tanh = Activation::custom("hard_tanh", |x| x.clamp(-1.0, 1.0))
    ///     .with_derivative(|x| f64::from(u8::from(x.abs() < 1.0)));
    /// let map = KernelMap::from_piecewise(&hard_tanh, [-1.0, 1.0])?;
    /// let attracting = map.fixed_point()?.expect("not linear");
    /// assert_eq!(attracting.cosine, 0.0);
    /// assert!((attracting.rate - 0.903124).abs() < 1e-6);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`new`](Self::new); [`Error::InvalidParameter`](crate::Error::InvalidParameter) for a
    /// kink that is not finite.
    pub fn from_piecewise(
        activation: &Activation,
        kinks: impl IntoIterator<Item = f64>,
    ) -> Result<Self> {
        let finite = kinks.into_iter().map(|kink| check::finite("kink", kink));
        let mut kinks = finite.collect::<Result<Vec<f64>>>()?;
        kinks.retain(|&kink| kink != 0.0);
        let slopes = SlopeSource::Derivative;
        let map = Self {
            activation: activation.clone(),
            kinks,
            slopes,
            mean: 0.0,
            offset: 0.0,
            scale: 1.0,
            skip: 0.0,
        };
        let scale = map.product(1.0)?;
        check::positive("second moment of the activation", scale)?;
        Ok(map.with_scale(scale))
    }

    fn with_scale(self, scale: f64) -> Self {
        let slopes = SlopeSource::of(&self.activation, self.mean, &self.kinks, scale);
        Self { slopes, scale, ..self }
    }

    /// $`E \, F(x) F(y)`$ less what is subtracted.
    fn product(&self, cosine: f64) -> Result<f64> {
        match closed_form(&self.activation, cosine) {
            Some(product) => Ok(product - self.offset),
            None => product_less(&self.activation, self.mean, &self.kinks, cosine),
        }
    }

    /// Adds a skip connection of weight r: $`(1 - r^2) \kappa(\rho) + r^2 \rho`$,
    /// where both branches have norm one.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) unless 0 <= r < 1.
    pub fn with_residual(self, weight: f64) -> Result<Self> {
        let valid = (0.0..1.0).contains(&weight);
        check::parameter("residual weight", weight, valid, "0 <= r < 1")?;
        Ok(Self { skip: weight * weight, ..self })
    }

    /// Subtracts the mean of the activation:
    /// $`(\kappa(\rho) - \kappa(0))/(1 - \kappa(0))`$, which fixes zero.
    ///
    /// A skip connection is added after it, in either order of the two methods. The mean is
    /// subtracted before products are integrated, so a large one costs no digits beyond those that
    /// the activation itself has lost.
    ///
    /// # Errors
    /// [`Error::NotConverged`](crate::Error::NotConverged), also where too few digits are left;
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) for an activation that is
    /// constant up to rounding.
    pub fn centered(self) -> Result<Self> {
        // Below, F less its mean has few digits or none.
        const SMALLEST_SHARE: f64 = 1e-24;
        let plain = Self { mean: 0.0, offset: 0.0, ..self };
        let second_moment = plain.product(1.0)?;
        let (mean, offset) = match closed_form(&plain.activation, 0.0) {
            Some(offset) => (0.0, offset),
            None => (mean(&plain.activation, &plain.kinks)?, 0.0),
        };
        let map = Self { mean, offset, ..plain };
        let scale = map.product(1.0)?;
        let (name, share) = ("share of the activation that is not constant", scale / second_moment);
        check::parameter(name, share, share > SMALLEST_SHARE, "more than 1e-24")?;
        Ok(map.with_scale(scale))
    }

    /// Returns $`\kappa(\rho)`$, for $`-1 \le \rho \le 1`$.
    ///
    /// ```
    /// use orthogap::Activation;
    /// use orthogap::theory::kernel_map::KernelMap;
    ///
    /// let relu = KernelMap::new(&Activation::Relu)?;
    /// assert!((relu.value(0.0)? - 1.0 / std::f64::consts::PI).abs() < 1e-15);
    /// assert_eq!(relu.centered()?.value(0.0)?, 0.0);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) for any other cosine;
    /// [`Error::NotConverged`](crate::Error::NotConverged).
    pub fn value(&self, cosine: f64) -> Result<f64> {
        cosine_in_range(cosine)?;
        let branch = self.product(cosine)? / self.scale;
        Ok((1.0 - self.skip) * branch + self.skip * cosine)
    }

    /// Returns $`\kappa'(\rho) = E \, F'(x) F'(y) / E \, F(x)^2`$.
    ///
    /// If the activation jumps, or the derivative given to it is not its own, as that of a
    /// surrogate, the slope is computed from values of F. Then it is infinite at 1 for jumps, and
    /// its error near -1 grows like $`1/(1 - \rho^2)`$.
    ///
    /// ```
    /// use orthogap::Activation;
    /// use orthogap::theory::kernel_map::KernelMap;
    ///
    /// assert_eq!(KernelMap::new(&Activation::Relu)?.derivative(1.0)?, 1.0);
    /// let gelu = KernelMap::new(&Activation::Gelu)?;
    /// assert!((gelu.derivative(1.0)? - 1.072032).abs() < 1e-6);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`value`](Self::value);
    /// [`Error::MissingDerivative`](crate::Error::MissingDerivative) for a custom activation
    /// without one; [`Error::Unsupported`](crate::Error::Unsupported) at ±1 if the derivative is
    /// not that of the activation, except for jumps at 1.
    pub fn derivative(&self, cosine: f64) -> Result<f64> {
        cosine_in_range(cosine)?;
        let slope = slope_of_product(&self.activation, &self.kinks, self.slopes, cosine)?;
        Ok((1.0 - self.skip) * slope / self.scale + self.skip)
    }

    /// Returns the attracting fixed point in [0, 1], which attracts every cosine in (-1, 1); `None`
    /// if the map is the identity.
    ///
    /// # Errors
    /// Those of [`derivative`](Self::derivative).
    pub fn fixed_point(&self) -> Result<Option<FixedPoint>> {
        const ROUNDING: f64 = 1e-11;
        let at_zero = self.value(0.0)?;
        let at = |cosine| Ok(Some(FixedPoint { cosine, rate: self.derivative(cosine)? }));
        if at_zero <= ROUNDING {
            // Convex with kappa(0) = 0 and kappa(1) = 1: below the diagonal, or the diagonal itself.
            let is_identity = self.derivative(0.0)? >= 1.0 - ROUNDING;
            return if is_identity { Ok(None) } else { at(0.0) };
        }
        if self.derivative(1.0)? <= 1.0 + ROUNDING {
            return at(1.0);
        }
        // Above the diagonal at 0, below it just left of 1.
        let (mut low, mut high) = (0.0, 1.0 - f64::EPSILON);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            *if self.value(middle)? > middle { &mut low } else { &mut high } = middle;
        }
        at(0.5 * (low + high))
    }

    /// Returns an iterator over the cosines at layers 1, 2, ... from this input. It ends only after
    /// an error.
    ///
    /// ```
    /// use orthogap::Activation;
    /// use orthogap::theory::kernel_map::KernelMap;
    ///
    /// // ReLU aligns samples like a power of the depth.
    /// let relu = KernelMap::new(&Activation::Relu)?;
    /// let last = relu.layers(0.3).nth(1999).expect("no end")?;
    /// let law = 4.5 * (std::f64::consts::PI / 2000.0).powi(2);
    /// assert!(((1.0 - last) / law - 0.984).abs() < 1e-3);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    pub fn layers(&self, cosine: f64) -> impl Iterator<Item = Result<f64>> + '_ {
        let mut state = Some(cosine);
        std::iter::from_fn(move || {
            let next = self.value(state?).map(|next| next.clamp(-1.0, 1.0));
            state = next.as_ref().ok().copied();
            Some(next)
        })
    }

    /// Returns the number of layers from `cosine` until the distance to
    /// [`fixed_point`](Self::fixed_point) is at most `tolerance`; `None` if `most` layers are not
    /// enough or there is no such point.
    ///
    /// # Errors
    /// Those of [`fixed_point`](Self::fixed_point);
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) for a tolerance that is negative
    /// or not finite.
    pub fn layers_to(&self, cosine: f64, tolerance: f64, most: usize) -> Result<Option<usize>> {
        cosine_in_range(cosine)?;
        check::not_negative("tolerance", tolerance)?;
        let Some(goal) = self.fixed_point()? else { return Ok(None) };
        let near = |cosine: f64| (cosine - goal.cosine).abs() <= tolerance;
        if near(cosine) {
            return Ok(Some(0));
        }
        for (index, cosine) in self.layers(cosine).take(most).enumerate() {
            if near(cosine?) {
                return Ok(Some(index + 1));
            }
        }
        Ok(None)
    }

    /// Returns $`\beta_0 = c_1^2 / \sum_{k \ge 1} c_k^2`$, the linear share of the non-constant
    /// part, where $`c_k`$ are the coefficients of F in normalised Hermite polynomials:
    /// $`\kappa'(0)`$ of the [`centered`](Self::centered) map (Joudaki, Daneshmand and Bach 2023,
    /// [arXiv 2305.18399](https://arxiv.org/abs/2305.18399)).
    ///
    /// One only for affine activations. The smaller it is, the faster a layer makes samples orthogonal.
    ///
    /// # Errors
    /// Those of [`derivative`](Self::derivative) and [`centered`](Self::centered).
    pub fn linear_share(&self) -> Result<f64> {
        Self { skip: 0.0, ..self.clone() }.centered()?.derivative(0.0)
    }
}

fn cosine_in_range(cosine: f64) -> Result<f64> {
    check::parameter("cosine", cosine, (-1.0..=1.0).contains(&cosine), "-1 <= rho <= 1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation::*;
    use crate::Error;
    use crate::theory::bounds::Version;
    use approx::assert_abs_diff_eq;

    /// NumPy and mpmath, apart from this code.
    #[test]
    fn attracting_fixed_points_of_the_built_in_activations() {
        for (activation, cosine) in [(Gelu, 0.760_402), (Silu, 0.658_667), (Elu, 0.597_568)] {
            let found = KernelMap::new(&activation).unwrap().fixed_point().unwrap().unwrap();
            assert_abs_diff_eq!(found.cosine, cosine, epsilon = 1e-6);
            assert!(found.rate < 1.0);
        }
        let tanh = KernelMap::new(&Tanh).unwrap();
        assert_abs_diff_eq!(tanh.derivative(0.0).unwrap(), 0.930_470, epsilon = 1e-6);
        assert_eq!(tanh.fixed_point().unwrap().unwrap().cosine, 0.0);
        assert_eq!(KernelMap::new(&Identity).unwrap().fixed_point().unwrap(), None);
        let relu = KernelMap::new(&Relu).unwrap().fixed_point().unwrap().unwrap();
        assert_eq!((relu.cosine, relu.rate), (1.0, 1.0));
    }

    /// The derivative is that of the value, for every variant.
    #[test]
    fn derivatives_are_those_of_the_values() {
        for activation in [Relu, Gelu, Tanh, ShiftedTanh, Logistic, LeakyRelu { slope: 0.2 }] {
            let plain = KernelMap::new(&activation).unwrap();
            let residual = plain.clone().with_residual(0.6).unwrap();
            let both = residual.clone().centered().unwrap();
            for map in [plain, residual, both] {
                assert_abs_diff_eq!(map.value(1.0).unwrap(), 1.0, epsilon = 1e-12);
                for rho in [-0.7, 0.1, 0.8] {
                    let [low, high] = [-1e-4, 1e-4].map(|by| map.value(rho + by).unwrap());
                    let slope = map.derivative(rho).unwrap();
                    assert_abs_diff_eq!((high - low) / 2e-4, slope, epsilon = 1e-7);
                }
            }
        }
    }

    #[test]
    fn a_residual_connection_adds_its_share() {
        let relu = KernelMap::new(&Relu).unwrap();
        let residual = relu.clone().with_residual(0.6).unwrap();
        let mix = |branch: f64, cosine: f64| 0.64 * branch + 0.36 * cosine;
        let branch = relu.value(0.3).unwrap();
        assert_abs_diff_eq!(residual.value(0.3).unwrap(), mix(branch, 0.3), epsilon = 1e-15);
    }

    #[test]
    fn a_kink_at_zero_need_not_be_declared() {
        let plain = KernelMap::new(&Relu).unwrap();
        let declared = KernelMap::from_piecewise(&Relu, [0.0]).unwrap();
        assert_eq!(declared.value(0.3), plain.value(0.3));
    }

    #[test]
    fn cosines_are_counted_to_their_fixed_point() {
        let map = KernelMap::new(&Sin).unwrap();
        let rate = map.fixed_point().unwrap().unwrap().rate;
        assert_abs_diff_eq!(rate, 1.0 / 1f64.sinh(), epsilon = 1e-15);
        let layers = map.layers_to(0.5, 1e-3, 1000).unwrap().unwrap();
        let before = map.layers(0.5).nth(layers - 2).unwrap().unwrap();
        assert!(before > 1e-3 && map.value(before).unwrap() <= 1e-3);
        assert_eq!(map.layers_to(0.5, 1e-3, layers - 1).unwrap(), None);
        assert_eq!(map.layers_to(1e-4, 1e-3, 0).unwrap(), Some(0));
        assert_eq!(map.layers_to(1e-3, 1e-3, 0).unwrap(), Some(0));
        assert_eq!(map.layers_to(-0.5, 1e-3, 1000).unwrap(), Some(layers));
        // From below and from above, to a point that is not zero.
        let gelu = KernelMap::new(&Gelu).unwrap();
        for cosine in [0.0, 0.999] {
            let layers = gelu.layers_to(cosine, 1e-3, 1000).unwrap().unwrap();
            let last = gelu.layers(cosine).nth(layers - 1).unwrap().unwrap();
            let before = gelu.layers(cosine).nth(layers - 2).unwrap().unwrap();
            let distance = |cosine: f64| (cosine - 0.760_402).abs();
            assert!(distance(last) < 1.01e-3 && distance(before) > 1e-3, "{layers}");
        }
    }

    #[test]
    fn linear_parts_of_relu_and_of_odd_functions() {
        // c_1² = 1/4, E F² - (E F)² = 1/2 - 1/(2π).
        let relu = KernelMap::new(&Relu).unwrap().linear_share().unwrap();
        let exact = 0.25 / (0.5 - 0.5 / std::f64::consts::PI);
        assert_abs_diff_eq!(relu, exact, epsilon = 1e-15);
        assert_eq!(KernelMap::new(&Identity).unwrap().linear_share().unwrap(), 1.0);
    }

    /// The maps of step and sign are arcsines, whose slope is infinite at one.
    #[test]
    fn jumps_have_slopes() {
        use std::f64::consts::{FRAC_2_PI, PI};
        let step = |x: f64| f64::from(u8::from(x > 0.0));
        let step = Activation::custom("step", step).with_derivative(|_| 0.0);
        let sign = Activation::custom("sign", f64::signum).with_derivative(|_| 0.0);
        let [step, sign] = [step, sign].map(|activation| KernelMap::new(&activation).unwrap());
        for rho in [-0.9f64, -0.3, 0.0, 0.5, 0.99, 1.0 - 1e-6] {
            let exact = 1.0 / (PI * ((1.0 - rho) * (1.0 + rho)).sqrt());
            for (map, exact) in [(&step, exact), (&sign, 2.0 * exact)] {
                let found = map.derivative(rho).unwrap();
                assert!((found / exact - 1.0).abs() < 1e-11, "{rho}: {found} {exact}");
            }
        }
        assert_eq!(step.derivative(1.0).unwrap(), f64::INFINITY);
        assert!(matches!(step.derivative(-1.0), Err(Error::Unsupported { .. })));
        for map in [&step, &sign, &step.clone().centered().unwrap()] {
            assert_abs_diff_eq!(map.linear_share().unwrap(), FRAC_2_PI, epsilon = 1e-12);
        }
        let attracting = step.fixed_point().unwrap().unwrap();
        assert_abs_diff_eq!(
            step.value(attracting.cosine).unwrap(),
            attracting.cosine,
            epsilon = 1e-12
        );
        assert_abs_diff_eq!(attracting.cosine, 0.79, epsilon = 5e-3);
        assert_abs_diff_eq!(attracting.rate, 0.52, epsilon = 5e-3);
        let attracting = sign.fixed_point().unwrap().unwrap();
        assert_eq!(attracting.cosine, 0.0);
        assert_abs_diff_eq!(attracting.rate, FRAC_2_PI, epsilon = 1e-12);
        let theorem = Attraction::new(&step, Version::Repaired).unwrap();
        assert_eq!(theorem.case(), Case::Angle);
        let last = step.layers(0.1).nth(9).unwrap().unwrap();
        assert!(
            (last - step.fixed_point().unwrap().unwrap().cosine).abs()
                <= theorem.distance(0.1, 10).unwrap()
        );
        // Two jumps away from zero, in opposite directions: E F = P(|x| < 1).
        let inside = |x: f64| f64::from(u8::from(x.abs() < 1.0));
        let inside = Activation::custom("inside", inside).with_derivative(|_| 0.0);
        let map = KernelMap::from_piecewise(&inside, [-1.0, 1.0]).unwrap();
        let [low, high] = [0.4 - 1e-4, 0.4 + 1e-4].map(|rho| map.value(rho).unwrap());
        assert_abs_diff_eq!((high - low) / 2e-4, map.derivative(0.4).unwrap(), epsilon = 1e-6);
        assert_eq!(map.derivative(1.0).unwrap(), f64::INFINITY);
    }

    /// Slopes are those of the values, not of a surrogate; at one they are not known.
    #[test]
    fn surrogate_derivatives_change_no_slope() {
        let cases = [
            (Tanh, Tanh.with_derivative(|x| (-x * x).exp())),
            (Gelu, Gelu.with_derivative(|x| f64::from(u8::from(x > 0.0)))),
            (Relu, Relu.with_derivative(|x| f64::from(u8::from(x > -1.0)))),
        ];
        for (activation, surrogate) in cases {
            let [exact, found] =
                [&activation, &surrogate].map(|activation| KernelMap::new(activation).unwrap());
            for rho in [-0.8, 0.0, 0.3, 0.99, 1.0 - 1e-6] {
                let [exact, found] = [&exact, &found].map(|map| map.derivative(rho).unwrap());
                assert!((found - exact).abs() < 1e-10, "{activation} {rho}: {found} {exact}");
            }
            assert!(matches!(found.derivative(1.0), Err(Error::Unsupported { .. })));
            let [exact, found] = [exact, found].map(|map| map.linear_share().unwrap());
            assert_abs_diff_eq!(exact, found, epsilon = 1e-11);
        }
        // Its own derivative is used as it is.
        let own = Tanh.with_derivative(|x| 1.0 - x.tanh().powi(2));
        let [own, tanh] = [own, Tanh].map(|x| KernelMap::new(&x).unwrap().derivative(1.0).unwrap());
        assert_abs_diff_eq!(own, tanh, epsilon = 1e-12);
    }

    /// A constant beside a variation of 1e-6 leaves ten digits of F less its mean.
    #[test]
    fn a_large_mean_costs_the_digits_of_the_activation_only() {
        let tanh = KernelMap::new(&Tanh).unwrap();
        for (size, close) in [(1.0, 1e-11), (1e-3, 1e-11), (1e-6, 1e-9)] {
            let shifted = Activation::custom("shifted", move |x| 1.0 + size * x.tanh())
                .with_derivative(move |x| size * (1.0 - x.tanh().powi(2)));
            let map = KernelMap::new(&shifted).unwrap().centered().unwrap();
            assert_eq!(map, map.clone().centered().unwrap());
            for rho in [-0.5, 0.0, 0.3, 0.9, 1.0] {
                let (value, slope) = (map.value(rho).unwrap(), map.derivative(rho).unwrap());
                assert_abs_diff_eq!(value, tanh.value(rho).unwrap(), epsilon = close);
                assert_abs_diff_eq!(slope, tanh.derivative(rho).unwrap(), epsilon = close);
            }
            let share = map.linear_share().unwrap();
            assert_abs_diff_eq!(share, tanh.derivative(0.0).unwrap(), epsilon = close);
        }
        let constant = Activation::custom("constant", |x| 0.1 + 1e-30 * x.tanh());
        assert!(KernelMap::new(&constant).unwrap().centered().is_err());
    }

    #[test]
    fn what_has_no_map_is_refused() {
        let text = |error: crate::Error| error.to_string();
        let zero = Activation::custom("zero", |_| 0.0);
        assert!(text(KernelMap::new(&zero).unwrap_err()).contains("second moment"));
        let plain = Activation::custom("abs", f64::abs);
        let error = KernelMap::new(&plain).unwrap().derivative(0.1).unwrap_err();
        assert!(text(error).contains("has no derivative"));
        let relu = KernelMap::new(&Relu).unwrap();
        assert!(text(relu.value(1.5).unwrap_err()).contains("cosine = 1.5"));
        for cosine in [-1.5, 1.5] {
            assert!(relu.value(cosine).is_err());
            assert!(relu.derivative(cosine).is_err());
            assert!(relu.layers_to(cosine, 1e-3, 10).is_err());
        }
        for tolerance in [-1e-3, f64::NAN] {
            assert!(text(relu.layers_to(0.5, tolerance, 10).unwrap_err()).contains("tolerance ="));
        }
        let one = Activation::custom("one", |_| 1.0);
        assert!(KernelMap::new(&one).unwrap().centered().is_err());
        assert!(text(relu.with_residual(1.0).unwrap_err()).contains("residual weight = 1"));
    }
}
