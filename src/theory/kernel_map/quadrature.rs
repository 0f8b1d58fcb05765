//! Means over pairs of jointly normal numbers, of any function whose kinks are known.

use std::cell::Cell;
use std::f64::consts::{FRAC_PI_2, PI, TAU};

use crate::{Error, Result};

/// Points of Kronrod's rule, and those on either side of its centre.
const POINTS: usize = 15;
const SIDE: usize = 7;

/// Nodes on (0, 1] and weights of Kronrod's rule of 15 points; every second node, from the second
/// on, is one of Gauss's 7 (Piessens et al. 1983, *QUADPACK*).
const NODES: [f64; 8] = [
    0.991_455_371_120_812_6,
    0.949_107_912_342_758_5,
    0.864_864_423_359_769_1,
    0.741_531_185_599_394_4,
    0.586_087_235_467_691_1,
    0.405_845_151_377_397_2,
    0.207_784_955_007_898_47,
    0.0,
];
const KRONROD: [f64; 8] = [
    0.022_935_322_010_529_224,
    0.063_092_092_629_978_55,
    0.104_790_010_322_250_18,
    0.140_653_259_715_525_92,
    0.169_004_726_639_267_9,
    0.190_350_578_064_785_4,
    0.204_432_940_075_298_9,
    0.209_482_141_084_727_82,
];
const GAUSS: [f64; 4] = [
    0.129_484_966_168_869_7,
    0.279_705_391_489_276_64,
    0.381_830_050_505_118_9,
    0.417_959_183_673_469_4,
];

/// Beyond this radius a normal pair has a probability of 1e-38.
const RADIUS: f64 = 13.2;

/// Halvings of a panel, at most.
const HALVINGS: u32 = 44;

/// Points at which one mean evaluates its integrand, at most: some seconds. Two declared kinks take
/// 2e5, and more grow as the cube of their number.
const EVALUATIONS: usize = 1_000_000_000;

/// The error of a panel that is accepted, relative to the whole.
const TOLERANCE: f64 = 1e-13;

/// A function that replaces numbers by its values, many at a time.
pub(in crate::theory) type Function<'a> = &'a dyn Fn(&mut [f64]);

/// The law of the length of a pair whose direction is uniform once the pair is made uncorrelated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::theory) enum Radius {
    /// A pair of normal numbers.
    Normal,
    /// Two coordinates of a uniform point on the sphere of radius `length` in `dimension` > 2
    /// dimensions, with R = length sin t.
    Sphere { dimension: usize, length: f64 },
}

impl Radius {
    /// Where the parameter t ends, which begins at zero.
    fn end(self) -> f64 {
        match self {
            Self::Normal => RADIUS,
            Self::Sphere { .. } => FRAC_PI_2,
        }
    }

    /// The length at a parameter, and the density of the parameter.
    fn at(self, t: f64) -> (f64, f64) {
        match self {
            Self::Normal => (t, t * (-0.5 * t * t).exp()),
            Self::Sphere { dimension, length } => {
                let (sine, cosine) = t.sin_cos();
                let density = (dimension - 2) as f64 * sine * cosine.powf(dimension as f64 - 3.0);
                (length * sine, density)
            }
        }
    }

    /// The parameter at which the length is `radius`; NaN or beyond the end where it never is.
    fn parameter(self, radius: f64) -> f64 {
        match self {
            Self::Normal => radius,
            Self::Sphere { length, .. } => (radius / length).asin(),
        }
    }
}

/// $`E f(x) f(y)`$ for standard normal x and y with the cosine (correlation) `rho`, where `f` has
/// kinks or jumps at zero and at `kinks`, nowhere else; for another law of the length of the pair in
/// its uncorrelated coordinates, the mean under that law.
///
/// In polar coordinates x = r cos θ, y = r cos(θ - α), cos α = `rho`, a kink at zero lies on
/// the rays θ = ±π/2 and α ± π/2, and one at c on r = c/cos θ and r = c/cos(θ - α). Panels end there,
/// so the integrand is smooth in each, however close `rho` is to ±1.
///
/// # Errors
/// [`Error::NotConverged`] if the error cannot be brought below 1e-12 of the mean of |f f| in some
/// seconds.
pub(in crate::theory) fn mean_product(
    f: Function<'_>,
    kinks: &[f64],
    law: Radius,
    rho: f64,
) -> Result<f64> {
    mean_within(&Budget::new(EVALUATIONS), f, kinks, law, rho, |x, y, _| x * y)
}

/// The derivative of $`E f(x) f(y)`$ of a normal pair by `rho`, -1 < `rho` < 1, from values of `f`
/// alone, which may jump.
///
/// The density p of the pair has
/// $`\partial p/\partial\rho = \partial^2 p/\partial x \partial y = w p`$ with
/// $`w = (\rho - r^2 \sin\theta \sin(\theta - \alpha))/(1 - \rho^2)`$. The mean squares of f(x) and
/// f(y) do not depend on `rho`, so the derivative is $`-\frac12 E (f(x) - f(y))^2 w`$, which does
/// not cancel where x and y are nearly equal. Near -1 the error grows like $`1/(1 - \rho^2)`$.
///
/// # Errors
/// Those of [`mean_product`].
pub(super) fn slope_of_mean_product(f: Function<'_>, kinks: &[f64], rho: f64) -> Result<f64> {
    let square_of_sine = (1.0 - rho) * (1.0 + rho);
    mean_within(&Budget::new(EVALUATIONS), f, kinks, Radius::Normal, rho, |x, y, product| {
        -0.5 * (x - y) * (x - y) * (rho - product) / square_of_sine
    })
}

/// $`E g(z) f(c + z)`$ for a standard normal z and the centre c, with `f` as in [`mean_product`].
///
/// # Errors
/// Those of [`mean_product`].
pub(super) fn mean_about(
    f: Function<'_>,
    kinks: &[f64],
    center: f64,
    weight: impl Fn(f64) -> f64,
) -> Result<f64> {
    let budget = Budget::new(EVALUATIONS);
    let mut integrand = |z: &mut [f64]| {
        if !budget.allows(z) {
            return;
        }
        let mut values = [0.0; POINTS];
        let values = &mut values[..z.len()];
        values.iter_mut().zip(&*z).for_each(|(value, z)| *value = center + z);
        f(values);
        for (z, value) in z.iter_mut().zip(values) {
            *z = weight(*z) * (-0.5 * *z * *z).exp() * *value;
        }
    };
    let breaks = within(-RADIUS, RADIUS, kinks.iter().chain([&0.0]).map(|kink| kink - center));
    let whole = integrate(&mut integrand, &breaks, 0.1 * TOLERANCE);
    let unit = TAU.sqrt();
    budget.finish(whole.value / unit, whole.unfinished / unit, whole.size / unit)
}

/// The mean of `combine` of f(x), f(y) and $`r^2 \sin\theta \sin(\theta - \alpha)`$.
fn mean_within(
    budget: &Budget,
    f: Function<'_>,
    kinks: &[f64],
    law: Radius,
    rho: f64,
    combine: impl Fn(f64, f64, f64) -> f64,
) -> Result<f64> {
    let angle = ((1.0 - rho) * (1.0 + rho)).sqrt().atan2(rho);
    let mut tails = 0.0f64;
    let mut along_ray = |theta: f64| {
        let (cosine, other) = (theta.cos(), (theta - angle).cos());
        let sines = theta.sin() * (theta - angle).sin();
        let circles = kinks.iter().flat_map(|c| [c / cosine, c / other]);
        let breaks = within(0.0, law.end(), circles.map(|radius| law.parameter(radius)));
        let mut integrand = |t: &mut [f64]| {
            if !budget.allows(t) {
                return;
            }
            let mut pairs = [0.0; 2 * POINTS];
            let (x, y) = pairs.split_at_mut(t.len());
            let mut products = [0.0; POINTS];
            for (((t, x), y), product) in t.iter_mut().zip(x).zip(y).zip(&mut products) {
                let (radius, density) = law.at(*t);
                (*x, *y, *t) = (radius * cosine, radius * other, density);
                *product = radius * radius * sines;
            }
            f(&mut pairs[..2 * t.len()]);
            let (x, y) = pairs.split_at(t.len());
            for (((t, x), y), product) in t.iter_mut().zip(x).zip(y).zip(products) {
                *t *= combine(*x, *y, product);
            }
        };
        let whole = integrate(&mut integrand, &breaks, 0.1 * TOLERANCE);
        let mut tail = [law.end()];
        if law == Radius::Normal {
            integrand(&mut tail);
        } else {
            tail = [0.0];
        }
        // What lies beyond the radius is smaller than what lies just before it.
        let (tail, most) = (tail[0].abs(), TOLERANCE * whole.size);
        tails += if tail > most { tail } else { whole.unfinished };
        whole.value
    };
    // Where two circles of kinks meet, too.
    let meetings = kinks.iter().flat_map(|c| kinks.iter().map(move |b| b / c)).map(|ratio| {
        let (sine, cosine) = angle.sin_cos();
        (ratio - cosine).atan2(sine)
    });
    let rays = [0.0, angle, PI, PI + angle].map(|ray| ray - 0.5 * PI);
    let meetings = meetings.flat_map(|ray| [ray, ray - PI, ray + PI]);
    // Exchanging x and y reflects directions about α/2, so half of them are enough.
    let turns = |ray: f64| [ray, ray + TAU];
    let first = 0.5 * angle;
    let breaks = within(first, first + PI, rays.into_iter().chain(meetings).flat_map(turns));
    let mut along_rays = |theta: &mut [f64]| {
        theta.iter_mut().for_each(|theta| *theta = along_ray(*theta));
    };
    let whole = integrate(&mut along_rays, &breaks, TOLERANCE);
    budget.finish(whole.value / PI, (whole.unfinished + tails) / PI, whole.size / PI)
}

/// The same for two numbers whose pair has a fixed length in its uncorrelated coordinates, and a
/// function with kinks or jumps at zero only.
///
/// # Errors
/// [`Error::NotConverged`] as [`mean_product`].
pub(in crate::theory) fn mean_product_on_circle(
    f: Function<'_>,
    length: f64,
    rho: f64,
) -> Result<f64> {
    let angle = ((1.0 - rho) * (1.0 + rho)).sqrt().atan2(rho);
    let first = 0.5 * angle;
    let rays = [0.5 * PI, angle + 0.5 * PI];
    let budget = Budget::new(EVALUATIONS);
    let mut integrand = |theta: &mut [f64]| {
        if !budget.allows(theta) {
            return;
        }
        let mut pairs = [0.0; 2 * POINTS];
        let (x, y) = pairs.split_at_mut(theta.len());
        for ((theta, x), y) in theta.iter().zip(x).zip(y) {
            (*x, *y) = (length * theta.cos(), length * (theta - angle).cos());
        }
        f(&mut pairs[..2 * theta.len()]);
        let (x, y) = pairs.split_at(theta.len());
        theta.iter_mut().zip(x).zip(y).for_each(|((theta, x), y)| *theta = x * y);
    };
    let whole = integrate(&mut integrand, &within(first, first + PI, rays), TOLERANCE);
    budget.finish(whole.value / PI, whole.unfinished / PI, whole.size / PI)
}

/// The evaluations that are left to an integral. Once they are spent its integrand counts as zero,
/// so it ends soon, and its result is refused.
struct Budget {
    all: usize,
    left: Cell<usize>,
}

impl Budget {
    fn new(all: usize) -> Self {
        Self { all, left: Cell::new(all) }
    }

    /// Whether the integrand may be evaluated at these points; otherwise makes them its values,
    /// zero.
    fn allows(&self, points: &mut [f64]) -> bool {
        let left = self.left.get().saturating_sub(points.len());
        self.left.set(left);
        if left == 0 {
            points.fill(0.0);
        }
        left > 0
    }

    /// The value, unless the budget is spent or its error is above 1e-12 of the size of what was
    /// integrated.
    fn finish(&self, value: f64, error: f64, size: f64) -> Result<f64> {
        let tolerance = 1e-12 * size;
        let left = self.left.get();
        let error = if left == 0 { f64::INFINITY } else { error };
        if error > tolerance || !value.is_finite() {
            return Err(Error::NotConverged {
                what: "the mean of a product of activations",
                iterations: self.all - left,
                error,
                tolerance,
                advice: "declare kinks away from zero; F(x)² must grow more slowly than exp(x²/2)",
            });
        }
        Ok(value)
    }
}

/// `from`, `to`, and those of `points` between them, in ascending order.
fn within(from: f64, to: f64, points: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let inside = points.into_iter().filter(|&point| from < point && point < to);
    let mut points: Vec<f64> = inside.chain([from, to]).collect();
    points.sort_by(f64::total_cmp);
    points
}

/// An integral, that of the size of the integrand, and the error of panels that were not halved
/// any further.
struct Integral {
    value: f64,
    size: f64,
    unfinished: f64,
}

/// Adaptive Gauss-Kronrod quadrature from the first of `breaks` to the last: halves panels until the
/// error of each is below `tolerance` times the integral of the size of the integrand.
fn integrate(f: &mut dyn FnMut(&mut [f64]), breaks: &[f64], tolerance: f64) -> Integral {
    const PANELS: u32 = 3;
    let mut whole = Integral { value: 0.0, size: 0.0, unfinished: 0.0 };
    let mut panels = Vec::new();
    for pair in breaks.windows(2) {
        let width = (pair[1] - pair[0]) / f64::from(PANELS);
        let starts = (0..PANELS).map(|index| pair[0] + width * f64::from(index));
        panels.extend(starts.map(|start| (Panel::of(f, start, width), 0)));
    }
    let size: f64 = panels.iter().map(|(panel, _)| panel.size).sum();
    let accepted = tolerance * size + f64::MIN_POSITIVE;
    while let Some((panel, halvings)) = panels.pop() {
        if panel.error > accepted && halvings < HALVINGS {
            let half = 0.5 * panel.width;
            for start in [panel.start, panel.start + half] {
                panels.push((Panel::of(f, start, half), halvings + 1));
            }
            continue;
        }
        whole.value += panel.value;
        whole.size += panel.size;
        whole.unfinished += if panel.error > accepted { panel.error } else { 0.0 };
    }
    whole
}

/// Kronrod's rule on one panel, and an estimate of its error.
struct Panel {
    start: f64,
    width: f64,
    value: f64,
    size: f64,
    error: f64,
}

impl Panel {
    fn of(f: &mut dyn FnMut(&mut [f64]), start: f64, width: f64) -> Self {
        let half = 0.5 * width;
        let center = start + half;
        // Those left of the centre, the centre, those right of it.
        let mut values = [center; POINTS];
        for (index, node) in NODES[..SIDE].iter().enumerate() {
            values[index] -= half * node;
            values[SIDE + 1 + index] += half * node;
        }
        f(&mut values);
        let (mut value, mut size, mut gauss) = (0.0, 0.0, 0.0);
        for (index, weight) in KRONROD.into_iter().enumerate() {
            let left = values[index];
            let right = if index == SIDE { 0.0 } else { values[SIDE + 1 + index] };
            value += weight * (left + right);
            size += weight * (left.abs() + right.abs());
            if index % 2 == 1 {
                gauss += GAUSS[index / 2] * (left + right);
            }
        }
        let difference = (value - gauss).abs() * half;
        // Kronrod's rule is far better than Gauss's: the estimate of QUADPACK.
        let scale = size * half;
        let error = match scale > 0.0 {
            true => difference.min(scale * (200.0 * difference / scale).powf(1.5)),
            false => 0.0,
        };
        Self { start, width, value: value * half, size: scale, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(f: impl Fn(f64) -> f64) -> impl Fn(&mut [f64]) {
        move |values| values.iter_mut().for_each(|x| *x = f(*x))
    }

    /// Of a normal pair.
    fn mean_product(f: &dyn Fn(f64) -> f64, kinks: &[f64], rho: f64) -> Result<f64> {
        super::mean_product(&each(f), kinks, Radius::Normal, rho)
    }

    /// Polynomials up to degree 22 and a peak: Kronrod's rule has the digits that it is listed with.
    #[test]
    fn kronrods_rule_is_exact_for_polynomials() {
        for degree in 0..=22 {
            let panel = Panel::of(&mut each(|x: f64| x.powi(degree)), 0.0, 1.0);
            assert!((panel.value - 1.0 / f64::from(degree + 1)).abs() < 1e-15, "{degree}");
        }
        let peak = integrate(&mut each(|x| 1e-6 / (x * x + 1e-12)), &[-1.0, 1.0], 1e-14);
        assert!((peak.value - 2.0 * 1e6f64.atan()).abs() < 1e-12);
        assert_eq!(peak.unfinished, 0.0);
    }

    /// Hermite polynomials have E He_k(x) He_k(y) = k! rho^k.
    #[test]
    fn hermite_polynomials_give_powers() {
        let third = |x: f64| x * x * x - 3.0 * x;
        let second = |x: f64| x * x - 1.0;
        for rho in [-1.0, -0.999_999, -0.5, 0.0, 1e-9, 0.3, 0.999_999_999, 1.0] {
            let close = |f: &dyn Fn(f64) -> f64, exact: f64| {
                assert!((mean_product(f, &[], rho).unwrap() - exact).abs() < 1e-11, "{rho}");
            };
            close(&third, 6.0 * rho * rho * rho);
            close(&second, 2.0 * rho * rho);
        }
    }

    /// P(x > 1, y > 1), E |x - 1| |y - 1| and E |x² - 1| = 4 φ(1).
    #[test]
    fn declared_kinks_and_jumps_cost_no_digits() {
        let tail = 0.158_655_253_931_457_05;
        let above = |x: f64| f64::from(u8::from(x > 1.0));
        assert!((mean_product(&above, &[1.0], 0.0).unwrap() - tail * tail).abs() < 1e-14);
        assert!((mean_product(&above, &[1.0], 1.0).unwrap() - tail).abs() < 1e-14);
        let kink = |x: f64| (x - 1.0).abs();
        let density = (-0.5f64).exp() / TAU.sqrt();
        let mean = |rho| mean_product(&kink, &[1.0], rho).unwrap();
        let first = 2.0 * (density - tail) + 1.0; // E |x - 1|
        assert!((mean(1.0) - 2.0).abs() < 1e-13);
        assert!((mean(0.0) - first * first).abs() < 1e-13);
        assert!((mean(-1.0) - 4.0 * density).abs() < 1e-13);
    }

    /// How many values are asked for: panels end at kinks, where they would be halved many times.
    #[test]
    fn declared_kinks_cost_few_values() {
        let count = |f: &dyn Fn(f64) -> f64, kinks: &[f64], law, rho| {
            let count = std::cell::Cell::new(0usize);
            let counting = |values: &mut [f64]| {
                count.set(count.get() + values.len());
                values.iter_mut().for_each(|x| *x = f(*x));
            };
            super::mean_product(&counting, kinks, law, rho).unwrap();
            count.get()
        };
        let (relu, kink) = (|x: f64| x.max(0.0), |x: f64| (x - 1.0).abs());
        let clipped = |x: f64| x.clamp(-1.0, 0.5);
        let sphere = Radius::Sphere { dimension: 5, length: 2.0 };
        for rho in [-0.5, 0.3, 0.99] {
            for (law, unhalved) in [(Radius::Normal, 28_620), (sphere, 12_150)] {
                assert_eq!(count(&relu, &[], law, rho), unhalved);
                assert!(count(&kink, &[1.0], law, rho) < 110_000);
                assert!(count(&clipped, &[-1.0, 0.5], law, rho) < 235_000);
            }
        }
    }

    /// Where circles of kinks meet off the axes: hard tanh against a plain sum over the plane.
    #[test]
    fn kinks_on_either_side() {
        let clipped = |x: f64| x.clamp(-1.0, 0.5);
        let rho: f64 = 0.6;
        let normal = |x: f64| (-0.5 * x * x).exp() / TAU.sqrt();
        let (step, count) = (0.01, 900);
        let mut sum = 0.0;
        for i in -count..=count {
            for j in -count..=count {
                let (x, z) = (f64::from(i) * step, f64::from(j) * step);
                let y = rho * x + (1.0 - rho * rho).sqrt() * z;
                sum += normal(x) * normal(z) * clipped(x) * clipped(y);
            }
        }
        let plain = sum * step * step;
        assert!((mean_product(&clipped, &[-1.0, 0.5], rho).unwrap() - plain).abs() < 3e-5);
    }

    /// Moments of two coordinates of a sphere: E x² = L²/m, E x⁴ = 3 L⁴/(m(m+2)), and the share of the
    /// points whose coordinate exceeds L/2, which for m = 3 is a quarter.
    #[test]
    fn pairs_of_coordinates_of_a_sphere() {
        for dimension in [3, 4, 5, 9, 100] {
            let (m, length) = (dimension as f64, 1.7);
            let law = Radius::Sphere { dimension, length };
            let of = |f: &dyn Fn(f64) -> f64, kinks: &[f64], rho| {
                super::mean_product(&each(f), kinks, law, rho).unwrap()
            };
            let second = length * length / m;
            assert!((of(&|x| x, &[], 0.3) - 0.3 * second).abs() < 1e-12, "{m}");
            let fourth = 3.0 * m / (m + 2.0) * second * second;
            assert!((of(&|x| x * x, &[], 1.0) / fourth - 1.0).abs() < 1e-11, "{m}");
            assert!((of(&|x| x * x, &[], 0.0) / (fourth / 3.0) - 1.0).abs() < 1e-11, "{m}");
            if dimension == 3 {
                let above = |x: f64| f64::from(u8::from(x > 0.85));
                assert!((of(&above, &[0.85], 1.0) - 0.25).abs() < 1e-12);
            }
        }
    }

    /// A function of undeclared steps would take 1e12 values.
    #[test]
    fn undeclared_steps_end_with_the_budget() {
        let steps = |x: f64| (8.0 * x).round() / 8.0;
        let budget = Budget::new(2_000_000);
        let error = mean_within(&budget, &each(steps), &[], Radius::Normal, 0.5, |x, y, _| x * y);
        let error = error.unwrap_err();
        let spent = matches!(error, Error::NotConverged { iterations: 2_000_000, .. });
        assert!(spent, "{error}");
        let message = error.to_string();
        assert!(message.contains("after 2000000 iterations its error is inf"), "{message}");
    }

    #[test]
    fn what_is_not_integrable_is_refused() {
        for share in [0.3, 1.0] {
            let steep = |x: f64| (share * x * x).exp();
            assert!(matches!(mean_product(&steep, &[], 0.5), Err(Error::NotConverged { .. })));
        }
    }
}
