//! How fast cosines approach the fixed point: the theorem on global attraction.

use super::{KernelMap, cosine_in_range};
use crate::theory::bounds::Version;
use crate::{Error, Result};

/// The one of the four statements of the theorem that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Case {
    /// $`\kappa(0) = 0`$: samples become orthogonal.
    Orthogonal,
    /// $`\kappa(0) > 0`$, $`\kappa'(1) < 1`$: samples align exponentially fast.
    Aligned,
    /// $`\kappa(0) > 0`$, $`\kappa'(1) = 1`$: samples align like a power of the depth.
    Critical,
    /// $`\kappa(0) > 0`$, $`\kappa'(1) > 1`$: samples approach an angle.
    Angle,
}

/// The theorem on global attraction (Joudaki and Hofmann, *Emergence of globally attracting fixed
/// points in deep neural networks with nonlinear activations*, AISTATS 2025,
/// [arXiv 2410.20107](https://arxiv.org/abs/2410.20107)): a bound on the distance of the cosine
/// from the fixed point at every layer.
///
/// | case | bound on the distance after l layers | |
/// | --- | --- | --- |
/// | [`Orthogonal`](Case::Orthogonal) | $`x/(1+x)`$, $`x = a^l \lvert\rho_0\rvert/(1-\lvert\rho_0\rvert)`$ | $`a = 1/(2 - \kappa'(0))`$ |
/// | [`Aligned`](Case::Aligned) | $`a^l \lvert 1 - \rho_0 \rvert`$ | $`a = \kappa'(1)`$ |
/// | [`Critical`](Case::Critical) | $`\lvert 1 - \rho_0 \rvert/(l a \lvert 1 - \rho_0 \rvert + 1)`$ | $`a = 1 - \kappa(0) - \kappa'(0)`$ |
/// | [`Angle`](Case::Angle) | $`a^l \lvert\rho_0 - \rho^*\rvert/(1 - \lvert\rho_0\rvert)`$ | below |
///
/// The last case is printed with
/// $`a = \max\{1 - \kappa(0), \kappa'(\rho^*), (1 - \rho^*)/(2 - \kappa'(\rho^*))\}`$, and false: its proof
/// takes $`\sum a_k (1 - \rho^*)^{k-1}`$ for $`1 - \rho^*`$. [`Version::Repaired`] has
/// $`1/(2 - q)`$, $`q = \kappa'(\rho^*)`$, instead of the last term, with this proof:
///
/// - Above $`\rho^*`$ the odds $`u = (\rho - \rho^*)/(1 - \rho)`$ shrink by $`1/(2 - q)`$ a layer. With
///   $`\lambda = (\rho - \rho^*)/(1 - \rho^*)`$ the map is
///   $`g(\lambda) = \sum_{k \ge 1} b_k \lambda^k`$, $`b_k \ge 0`$, $`\sum b_k = 1`$, $`b_1 = q`$, so
///   $`s = g/\lambda \le q + (1 - q) \lambda`$, and u is multiplied by
///   $`s (1 - \lambda)/(1 - s \lambda) \le (q + (1 - q) \lambda)/(1 + (1 - q) \lambda) \le 1/(2 - q)`$.
/// - In $`[0, \rho^*]`$ the distance shrinks by q or less, since $`\kappa`$ is convex.
/// - Below zero it shrinks by $`1 - \kappa(0)`$, since there
///   $`\lvert \rho^k - \rho^{*k} \rvert \le \lvert \rho - \rho^* \rvert`$ for k >= 1, and
///   $`\lvert \kappa(\rho) \rvert \le \max\{\lvert \rho \rvert, \rho^*\}`$.
///
/// [`Version::Sharp`] uses the first two from cosines that are not negative:
/// $`(1 - \rho^*) u/(1 + u)`$ with $`u = u_0 (2 - q)^{-l}`$, and $`q^l (\rho^* - \rho_0)`$.
///
/// All four are statements about infinite width: see the limits in the [module](super).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attraction {
    case: Case,
    cosine: f64,
    rate: f64,
    /// The slope at the fixed point, for the sharp version.
    slope: Option<f64>,
}

impl Attraction {
    /// Applies the theorem to a map.
    ///
    /// ```
    /// use orthogap::Activation;
    /// use orthogap::theory::bounds::Version;
    /// use orthogap::theory::kernel_map::{Attraction, Case, KernelMap};
    ///
    /// let tanh = KernelMap::new(&Activation::Tanh)?;
    /// let theorem = Attraction::new(&tanh, Version::Printed)?;
    /// assert_eq!(theorem.case(), Case::Orthogonal);
    /// let tenth = tanh.layers(0.9).nth(9).expect("no end")?;
    /// assert!(tenth <= theorem.distance(0.9, 10)?);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`KernelMap::fixed_point`]; [`Error::Unsupported`] for a linear map, which has no
    /// attracting fixed point.
    pub fn new(map: &KernelMap, version: Version) -> Result<Self> {
        let Some(attracting) = map.fixed_point()? else {
            return Err(Error::Unsupported {
                what: "attraction to a fixed point",
                needs: "an activation that is not linear",
            });
        };
        let at_zero = [map.value(0.0)?, map.derivative(0.0)?];
        let fixed = [attracting.cosine, attracting.rate];
        // The slope at 1 counts only if 1 is the fixed point.
        Ok(Self::of(version, at_zero, attracting.rate, fixed))
    }

    /// From the value and the slope at 0, the slope at 1, the fixed point and the slope there.
    fn of(version: Version, zero: [f64; 2], slope_at_one: f64, fixed: [f64; 2]) -> Self {
        let ([value, slope], [cosine, rate]) = (zero, fixed);
        let sharp = (version == Version::Sharp).then_some(rate);
        let (case, rate) = if cosine == 0.0 {
            (Case::Orthogonal, 1.0 / (2.0 - slope))
        } else if cosine < 1.0 {
            let share = if version == Version::Printed { 1.0 - cosine } else { 1.0 };
            (Case::Angle, (1.0 - value).max(rate).max(share / (2.0 - rate)))
        } else if slope_at_one < 1.0 - 1e-11 {
            (Case::Aligned, slope_at_one)
        } else {
            (Case::Critical, 1.0 - value - slope)
        };
        Self { case, cosine, rate, slope: sharp }
    }

    /// Returns the statement that applies.
    #[must_use]
    pub fn case(&self) -> Case {
        self.case
    }

    /// Returns the number `a` of the statement.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Returns the bound on $`\lvert \rho_l - \rho^* \rvert`$ after `layers` layers from `start`.
    ///
    /// It is infinite at ±1 if $`\rho^* < 1`$: the theorem does not apply there.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] unless `start` is a cosine.
    pub fn distance(&self, start: f64, layers: u32) -> Result<f64> {
        cosine_in_range(start)?;
        let power = self.rate.powf(f64::from(layers));
        let odds = |distance: f64| distance / (1.0 - start.abs());
        Ok(match self.case {
            _ if start.abs() == 1.0 && self.cosine < 1.0 => f64::INFINITY,
            Case::Orthogonal => {
                let bound = odds(start.abs()) * power;
                bound / (1.0 + bound)
            }
            Case::Angle => match self.slope {
                Some(slope) if start > self.cosine => {
                    let odds = odds(start - self.cosine) * (2.0 - slope).powf(-f64::from(layers));
                    (1.0 - self.cosine) * odds / (1.0 + odds)
                }
                Some(slope) if start >= 0.0 => {
                    (self.cosine - start) * slope.powf(f64::from(layers))
                }
                _ => odds((start - self.cosine).abs()) * power,
            },
            Case::Aligned => (1.0 - start) * power,
            Case::Critical => (1.0 - start) / (f64::from(layers) * self.rate * (1.0 - start) + 1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation;
    use proptest::prelude::*;

    /// A power series with coefficients that are not negative and add up to one.
    fn series(coefficients: &[f64]) -> (impl Fn(f64) -> f64 + '_, impl Fn(f64) -> f64 + '_) {
        let value = |rho: f64| coefficients.iter().rev().fold(0.0, |sum, a| sum * rho + a);
        let slope = |rho: f64| {
            let terms = coefficients.iter().enumerate().skip(1);
            terms.map(|(k, a)| k as f64 * a * rho.powi(k as i32 - 1)).sum()
        };
        (value, slope)
    }

    /// The largest ratio of the distance to the bound over 60 layers, without what is rounding.
    fn worst(coefficients: &[f64], start: f64, version: Version) -> f64 {
        let (value, slope) = series(coefficients);
        let cosine = if coefficients[0] == 0.0 {
            0.0
        } else if slope(1.0) <= 1.0 {
            1.0
        } else {
            let (mut low, mut high) = (0.0, 1.0 - f64::EPSILON);
            for _ in 0..60 {
                let middle: f64 = 0.5 * (low + high);
                *if value(middle) > middle { &mut low } else { &mut high } = middle;
            }
            0.5 * (low + high)
        };
        let zero = [value(0.0), slope(0.0)];
        let theorem = Attraction::of(version, zero, slope(1.0), [cosine, slope(cosine)]);
        let mut rho = start;
        (1..=60).fold(0.0, |worst: f64, layer| {
            rho = value(rho);
            // A layer rounds a few times.
            let distance = (rho - cosine).abs() - 4.0 * f64::EPSILON * f64::from(layer);
            let bound = theorem.distance(start, layer).unwrap();
            worst.max(distance / bound)
        })
    }

    /// The case that the paper gets wrong: kappa = (1 + rho³)/2.
    #[test]
    fn the_printed_rate_of_the_last_case_is_false() {
        let cubic = [0.5, 0.0, 0.0, 0.5];
        let printed = worst(&cubic, 1.0 - 1e-6, Version::Printed);
        assert!((printed - 49.0).abs() < 1.0, "{printed}");
        assert!(worst(&cubic, 1.0 - 1e-9, Version::Printed) > 600.0);
        assert!(worst(&cubic, 1.0 - 1e-6, Version::Repaired) <= 1.0);
        let sharp = worst(&cubic, 1.0 - 1e-6, Version::Sharp);
        assert!(sharp > 0.5 && sharp <= 1.0, "{sharp}");
    }

    /// The same map of an activation: F = 1 + (x³ - 3x)/sqrt(6).
    #[test]
    fn an_activation_has_the_false_case() {
        let activation = Activation::custom("cubic", |x| 1.0 + (x * x * x - 3.0 * x) / 6f64.sqrt())
            .with_derivative(|x| (3.0 * x * x - 3.0) / 6f64.sqrt());
        let map = KernelMap::new(&activation).unwrap();
        assert!((map.value(0.7).unwrap() - 0.5 * (1.0 + 0.343)).abs() < 1e-11);
        let theorem = Attraction::new(&map, Version::Printed).unwrap();
        assert_eq!(theorem.case(), Case::Angle);
        assert!((theorem.rate() - 0.572_949).abs() < 1e-6);
        assert!((theorem.cosine - 0.5 * (5f64.sqrt() - 1.0)).abs() < 1e-10);
    }

    /// The table of the documentation, worked out by hand.
    #[test]
    fn bounds_are_those_of_the_table() {
        use Version::{Printed, Repaired, Sharp};
        let all = [Printed, Repaired, Sharp];
        let check = |versions: &[Version], zero, at_one, fixed, start, layers, expected: f64| {
            for &version in versions {
                let theorem = Attraction::of(version, zero, at_one, fixed);
                let bound = theorem.distance(start, layers).unwrap();
                assert!(
                    (bound - expected).abs() < 1e-15,
                    "{theorem:?} {start}: {bound} {expected}"
                );
            }
        };
        // a = 2/3 and x = (2/3)³ 0.6/0.4 = 4/9.
        for start in [0.6, -0.6] {
            check(&all, [0.0, 0.5], 2.0, [0.0, 0.5], start, 3, 4.0 / 13.0);
        }
        check(&all, [0.5, 0.1], 0.5, [1.0, 0.5], -0.2, 3, 1.2 / 8.0);
        check(&all, [0.25, 0.25], 1.0, [1.0, 1.0], 0.2, 5, 0.8 / 3.0); // a = 1/2
        // The three terms of the last case: 1 - kappa(0), q, and (1 - rho*)/(2 - q) or 1/(2 - q).
        let angle = [0.5, 0.2];
        check(&[Printed], [0.9, 0.0], 1.5, angle, 0.75, 2, 25.0 / 324.0);
        check(&[Repaired], [0.9, 0.0], 1.5, angle, 0.75, 2, 25.0 / 81.0);
        check(&all[1..], [0.9, 0.0], 1.5, angle, -0.5, 2, 50.0 / 81.0);
        check(&[Printed, Repaired], [0.2, 0.0], 1.5, angle, 0.75, 2, 0.64);
        check(&[Printed], [0.9, 0.0], 1.5, [0.5, 0.75], 0.25, 2, 0.5625 / 3.0);
        // Above: u_0 = 1 and q = 1/2, so u = 4/9. Below: q² of the distance.
        check(&[Sharp], [0.5, 0.0], 1.5, [0.5, 0.5], 0.75, 2, 2.0 / 13.0);
        check(&[Sharp], [0.5, 0.0], 1.5, [0.5, 0.5], 0.1, 2, 0.1);
        check(&[Sharp], [0.9, 0.0], 1.5, [0.5, 0.5], 0.0, 2, 0.125);
    }

    /// Of ReLU kappa(0) = 1/pi, kappa'(0) = 1/2 and kappa'(1) = 1.
    #[test]
    fn rectifiers_are_critical() {
        let relu = KernelMap::new(&Activation::Relu).unwrap();
        let theorem = Attraction::new(&relu, Version::Printed).unwrap();
        assert_eq!(theorem.case(), Case::Critical);
        assert!((theorem.rate() - (0.5 - std::f64::consts::FRAC_1_PI)).abs() < 1e-14);
    }

    #[test]
    fn nothing_is_said_of_samples_on_one_line_unless_samples_align() {
        let of = |at_one, fixed| Attraction::of(Version::Sharp, [0.5, 0.1], at_one, fixed);
        for start in [-1.0, 1.0] {
            assert_eq!(of(1.5, [0.0, 0.5]).distance(start, 2).unwrap(), f64::INFINITY);
            assert_eq!(of(1.5, [0.5, 0.5]).distance(start, 2).unwrap(), f64::INFINITY);
        }
        assert_eq!(of(0.5, [1.0, 0.5]).distance(1.0, 2).unwrap(), 0.0);
        assert_eq!(of(0.5, [1.0, 0.5]).distance(-1.0, 2).unwrap(), 0.5);
        assert!(of(0.5, [1.0, 0.5]).distance(1.5, 2).is_err());
        // A slope of one up to the digits of quadrature.
        assert_eq!(of(1.0 - 1e-12, [1.0, 1.0]).case(), Case::Critical);
        assert_eq!(of(1.0 - 1e-10, [1.0, 1.0]).case(), Case::Aligned);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// A search for maps that break what is proved: none may.
        #[test]
        fn no_map_breaks_the_repaired_theorem(
            mut coefficients in prop::collection::vec(-6.0..0.0f64, 2..8),
            constant in any::<bool>(),
            start in prop_oneof![-0.999..0.999f64, (-9.0..-1.0f64).prop_map(|x| 1.0 - 10f64.powf(x))],
        ) {
            for log in &mut coefficients {
                *log = 10f64.powf(*log);
            }
            if !constant {
                coefficients[0] = 0.0;
            }
            let sum: f64 = coefficients.iter().sum();
            for coefficient in &mut coefficients {
                *coefficient /= sum;
            }
            let [repaired, sharp] = [Version::Repaired, Version::Sharp]
                .map(|version| worst(&coefficients, start, version));
            prop_assert!(sharp <= 1.0 + 1e-6, "{coefficients:?} from {start}: {sharp}");
            prop_assert!(repaired <= sharp * (1.0 + 1e-6), "{coefficients:?} from {start}");
        }
    }
}
