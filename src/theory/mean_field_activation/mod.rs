//! One layer of infinite width with an activation: the mean of the next Gram matrix.
//!
//! A row of the next layer is $`u = F(r \, y/\lVert y \rVert)`$ with $`y \sim N(0, C)`$ and the
//! length `r` that the normalisation gives to rows, 1 in the paper and $`\sqrt n`$ in frameworks
//! (without centring). The next Gram matrix is $`E \, u u^\top`$, scaled to trace one. There is a
//! formula for
//!
//! - no activation: [`mean_field`](super::mean_field);
//! - ReLU, at any `r`: [`relu`];
//! - networks without normalisation, where a pair of samples is enough: [`Kernel`].
//!
//! Given `H` itself, [`normalized_product`] is the limit of N(W F(H)) for any activation.
//!
//! For everything else [`quasi_monte_carlo`] gives the matrix with its standard error.

use std::f64::consts::{PI, TAU};

use nalgebra::DMatrix;

use super::mean_field::{MeanFieldChain, for_each_node};
use crate::activation::Activation;
use crate::factorization::{Eigen, check_symmetric, symmetric_eigen, symmetric_eigenvalues};
use crate::kernel::activation::apply;
use crate::scalar::check_finite;
use crate::statistics::Moments;
use crate::{Error, Gram, Purpose, Result, Run};

/// The next Gram matrix under batch normalisation without centring and ReLU, at infinite width.
///
/// ReLU lets scales pass, so $`1/\lVert y \rVert^2 = \int e^{-t \lVert y \rVert^2} dt`$ makes of the
/// mean an integral over t of the arc-cosine kernel κ ([`Kernel::ArcCosine`]) of a Gaussian whose
/// eigenvalues are $`\lambda_i/(1 + 2 t \lambda_i)`$:
///
/// ```math
/// E \, u u^\top = \int_0^\infty \prod_j (1 + 2 t \lambda_j)^{-1/2} \,
///   \kappa\!\left( C (I + 2 t C)^{-1} \right) dt
/// ```
///
/// Absolute error about 1e-15 in every entry, so dependent samples stay so to rounding only.
/// Cost: 200 to 600 times `n³`.
///
/// ```
/// use orthogap::{Input, theory::mean_field_activation::relu};
///
/// // Two orthogonal samples: a right angle becomes the mean of cos θ sin θ over its quadrant.
/// let next = relu(Input::orthogonal(2)?.gram())?;
/// assert!((next.cosine(0, 1)? - 1.0 / std::f64::consts::PI).abs() < 1e-14);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// Those of [`MeanFieldChain::new`](super::mean_field::MeanFieldChain::new).
pub fn relu(gram: &Gram) -> Result<Gram> {
    let (singular_values, axes) = gram.principal_axes();
    let eigenvalues: Vec<f64> =
        singular_values.iter().map(|sigma| (sigma / singular_values[0]).powi(2)).collect();
    super::mean_field::map(&eigenvalues)?;
    let (n, smallest) = (gram.batch_size(), eigenvalues[eigenvalues.len() - 1]);
    let (mut next, mut covariance) = (DMatrix::zeros(n, n), DMatrix::zeros(n, n));
    for_each_node(
        |_| 1.0,
        &eigenvalues,
        smallest,
        |node| {
            let mut half = axes.clone();
            for (mut column, fraction) in half.column_iter_mut().zip(node.fractions) {
                column *= fraction.sqrt();
            }
            covariance.gemm(1.0, &half, &half.transpose(), 0.0);
            add_kernel(Kernel::ArcCosine, &covariance, node.weight, &mut next);
        },
    );
    from_matrix(next)
}

/// Adds `weight` times the kernel of a covariance matrix to `sum`.
fn add_kernel(kernel: Kernel, covariance: &DMatrix<f64>, weight: f64, sum: &mut DMatrix<f64>) {
    for j in 0..sum.ncols() {
        for i in 0..=j {
            let variances = (covariance[(i, i)], covariance[(j, j)]);
            let value = weight * kernel.mean_product(variances, covariance[(i, j)]);
            sum[(i, j)] += value;
            if i < j {
                sum[(j, i)] += value;
            }
        }
    }
}

/// The mean product $`E \, F(x) F(y)`$ of two centred jointly Gaussian numbers, in closed form.
///
/// Applied to every entry of a covariance matrix it is one layer of an infinitely wide network
/// without normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// F(x) = x.
    Linear,
    /// F = ReLU: $`\frac{\sqrt{ab}}{2\pi} (\sin\theta + (\pi - \theta) \cos\theta)`$ with
    /// $`\cos\theta = c/\sqrt{ab}`$ (Cho and Saul 2009).
    ArcCosine,
    /// F = erf: $`\frac2\pi \arcsin \frac{2c}{\sqrt{(1 + 2a)(1 + 2b)}}`$ (Williams 1997).
    ArcSine,
    /// F = sin: $`e^{-(a + b)/2} \sinh c`$.
    Sine,
}

impl Kernel {
    /// $`E \, F(x) F(y)`$ for variances `(a, b)` and covariance `c`.
    ///
    /// Finite for all finite variances. A covariance beyond $`\pm\sqrt{ab}`$, which no two numbers
    /// have, is taken for that limit, except by `Linear`; `Sine` takes it for $`\pm(a + b)/2`$.
    ///
    /// ```
    /// use orthogap::theory::mean_field_activation::Kernel;
    ///
    /// // One and the same number: E max(x, 0)² = 1/2, E sin(x)² = (1 - exp(-2))/2.
    /// let same = |kernel: Kernel| kernel.mean_product((1.0, 1.0), 1.0);
    /// assert_eq!(same(Kernel::Linear), 1.0);
    /// assert!((same(Kernel::ArcCosine) - 0.5).abs() < 1e-15);
    /// assert!((same(Kernel::Sine) - (1.0 - (-2f64).exp()) / 2.0).abs() < 1e-15);
    /// ```
    #[must_use]
    pub fn mean_product(self, variances: (f64, f64), covariance: f64) -> f64 {
        let ((a, b), c) = (variances, covariance);
        match self {
            Self::Linear => c,
            Self::ArcCosine => {
                // A product of roots, which neither overflows nor underflows.
                let scale = a.sqrt() * b.sqrt();
                if scale == 0.0 {
                    return 0.0;
                }
                let cosine = (c / scale).clamp(-1.0, 1.0);
                let sine = ((1.0 - cosine) * (1.0 + cosine)).sqrt();
                // An angle from sine and cosine keeps its digits where they are 0 and 1.
                let angle = sine.atan2(cosine);
                scale * ((sine + (PI - angle) * cosine) / TAU)
            }
            Self::ArcSine => {
                // c/sqrt(p q) from the smaller factor q, so that nothing overflows, nor underflows
                // before the result does; 1/16 keeps q/p a normal number.
                let (p, q) = (a.max(b) + 0.5, a.min(b) + 0.5);
                let cosine = c / q * (q / (p * 0.0625)).sqrt() * 0.25;
                cosine.clamp(-1.0, 1.0).asin() / (PI / 2.0)
            }
            Self::Sine => {
                // |c| - (a + b)/2 from differences, which are exact where they nearly cancel; at
                // most zero. The rest is sinh without its cancellation at zero.
                let size = c.abs();
                let exponent = 0.5 * (size - a) + 0.5 * (size - b);
                let rest = -(-2.0 * size).exp_m1();
                (0.5 * exponent.clamp(f64::NEG_INFINITY, 0.0).exp() * rest).copysign(c)
            }
        }
    }

    /// The kernel of every entry of a covariance matrix (`n x n`, any scale).
    ///
    /// ```
    /// use orthogap::theory::mean_field_activation::Kernel;
    ///
    /// let covariance = nalgebra::dmatrix![1.0, 0.5; 0.5, 1.0];
    /// let next = Kernel::ArcCosine.layer(&covariance)?;
    /// assert!(next[(0, 1)] / next[(0, 0)] > 0.5); // vanilla networks align
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::ShapeMismatch`] unless it is square, [`Error::NotFinite`],
    /// [`Error::InvalidParameter`] for a negative variance and for a matrix that is not symmetric or
    /// not positive semidefinite, except for rounding.
    pub fn layer(self, covariance: &DMatrix<f64>) -> Result<DMatrix<f64>> {
        let (rows, columns) = covariance.shape();
        if covariance.is_empty() {
            return Err(Error::Empty { rows, columns });
        }
        if rows != columns {
            let expected = (rows.max(columns), rows.max(columns));
            return Err(Error::ShapeMismatch {
                what: "covariance",
                found: (rows, columns),
                expected,
            });
        }
        check_finite(covariance)?;
        if let Some(&value) = covariance.diagonal().iter().find(|&&variance| variance < 0.0) {
            let expected = "a number >= 0";
            return Err(Error::InvalidParameter { name: "variance", value, expected });
        }
        check_symmetric("covariance", covariance, f64::EPSILON)?;
        let eigenvalues = symmetric_eigenvalues(covariance.clone())?;
        let (largest, value) = (eigenvalues[0], eigenvalues[rows - 1]);
        if value < -16.0 * rows as f64 * f64::EPSILON * largest {
            let expected = "no negative eigenvalue";
            return Err(Error::InvalidParameter { name: "covariance", value, expected });
        }
        let mut next = DMatrix::zeros(rows, rows);
        add_kernel(self, covariance, 1.0, &mut next);
        Ok(next)
    }
}

/// A Gram matrix with the standard errors of its entries.
#[derive(Clone, Debug, PartialEq)]
pub struct GramEstimate {
    /// The estimate.
    pub gram: Gram,
    /// The standard error of each entry of [`Gram::matrix`] (`n x n`).
    pub standard_error: DMatrix<f64>,
}

/// The next Gram matrix at infinite width for any activation after a normalisation of rows to the
/// length `row_norm`, by quasi-Monte Carlo.
///
/// Twelve independent random shifts of a Richtmyer lattice of `points` points each (multiples of
/// the roots of primes, weighted so that both ends fade out), made Gaussian by the Box-Muller
/// transform of folded coordinates: the result is unbiased up to the normalisation of the trace,
/// and the shifts give the standard error (a Student variable of 11 degrees of freedom). It falls
/// about as 1/points: 3e-4 for 4000 points, 3e-5 for 32,000 and tanh of four samples, where plain
/// Monte Carlo has 7e-4 and 2e-4. Cost: `12 points n²`.
///
/// ```
/// use orthogap::{Input, Seed, activation::Relu};
/// use orthogap::theory::mean_field_activation::{quasi_monte_carlo, relu};
///
/// let input = Input::near_collinear(3, 0.5)?;
/// let estimate = quasi_monte_carlo(input.gram(), Relu, 1.0, 4096, Seed(1))?;
/// let error = (estimate.gram.matrix() - relu(input.gram())?.matrix()).abs();
/// assert!(estimate.standard_error.max() < 1e-3);
/// assert!(error.component_div(&estimate.standard_error).max() < 6.0);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// The standard error is only true where points meet every region that matters. A homogeneous
/// activation with a kink, such as ReLU, sends a share θ/π of all rows to values of different sign
/// for two samples at an angle θ, and of equal sign for a share 1 - θ/π. So at least
/// $`2 \pi/\theta`$ points are required for the smallest angle to a multiple of another sample:
/// with a twentieth as many, 95 % intervals covered 0.78 to 0.82. Samples that are multiples of each
/// other to rounding count as one. The regions of other activations are not known here, so their
/// errors need the same care: enlarge `points` until results agree.
///
/// # Errors
/// [`Error::SampleTooSmall`] with the number of points that a homogeneous activation needs;
/// [`Error::InvalidParameter`] unless `row_norm` is positive and finite and there is a point;
/// [`Error::ZeroMatrix`] or [`Error::NotFinite`] if the activation sends all points to zero or one
/// beyond all numbers.
pub fn quasi_monte_carlo<A: Activation>(
    gram: &Gram,
    activation: A,
    row_norm: f64,
    points: usize,
    run: impl Into<Run>,
) -> Result<GramEstimate> {
    const SHIFTS: u32 = 12;
    if !(row_norm > 0.0 && row_norm.is_finite()) {
        let expected = "a positive number";
        return Err(Error::InvalidParameter { name: "row_norm", value: row_norm, expected });
    }
    if points == 0 {
        let expected = "at least one point";
        return Err(Error::InvalidParameter { name: "points", value: 0.0, expected });
    }
    let minimum = if A::HOMOGENEOUS && !A::LINEAR { fewest_points(gram) } else { 1 };
    if points < minimum {
        return Err(Error::SampleTooSmall { count: points, minimum });
    }
    let (n, run) = (gram.batch_size(), run.into());
    let mut moments = vec![Moments::new(); n * n];
    for shift in 0..SHIFTS {
        let lattice = Lattice::new(gram.rank().next_multiple_of(2), run, shift);
        let sum = shifted_sum(gram, activation, row_norm, points, &lattice);
        let trace = sum.trace();
        if let Some(index) = sum.iter().position(|x| !x.is_finite()) {
            return Err(Error::NotFinite { row: index % n, column: index / n, value: sum[index] });
        }
        if trace <= 0.0 {
            return Err(Error::ZeroMatrix { rows: points, columns: n });
        }
        moments.iter_mut().zip(&sum).for_each(|(moments, x)| moments.push(x / trace));
    }
    let matrix = DMatrix::from_iterator(n, n, moments.iter().map(Moments::mean));
    let errors = moments.iter().map(Moments::standard_error);
    let standard_error = DMatrix::from_iterator(n, n, errors);
    Ok(GramEstimate { gram: from_matrix(matrix)?, standard_error })
}

/// The number of points of which two are expected between the sign changes of any two samples.
fn fewest_points(gram: &Gram) -> usize {
    const ROUNDING: f64 = 1e-14;
    let factor = gram.factor();
    let norms = factor.column_iter().map(|column| column.norm()).collect::<Vec<_>>();
    let unit = |j: usize| factor.column(j) / norms[j];
    let mut smallest = PI;
    for j in (0..norms.len()).filter(|&j| norms[j] > 0.0) {
        let axis = unit(j);
        for i in (0..j).filter(|&i| norms[i] > 0.0) {
            let other = unit(i);
            let (apart, together) = ((&axis - &other).norm(), (&axis + &other).norm());
            let angle = 2.0 * apart.min(together).atan2(apart.max(together));
            if angle > ROUNDING {
                smallest = smallest.min(angle);
            }
        }
    }
    (TAU / smallest).ceil() as usize
}

/// The Gram matrix of N(W F(H)) at infinite width, given `H` (`d x n`, samples are columns): the
/// activation is applied to `H`, and [`MeanFieldChain`] goes one layer deeper.
///
/// It is the order of the paper's Appendix F. Exact to about 1e-10 in every eigenvalue. Cost: a QR
/// factorisation of F(H), `2 d n²`, and the spectrum of its Gram matrix.
///
/// ```
/// use nalgebra::dmatrix;
/// use orthogap::{activation::Relu, theory::mean_field_activation::normalized_product};
///
/// // F(H) has orthogonal columns of lengths 3 and 4: p is proportional to them.
/// let next = normalized_product(&dmatrix![3.0, -1.0; -2.0, 4.0], Relu)?.matrix();
/// assert!((next[(0, 0)] - 3.0 / 7.0).abs() < 1e-14 && next[(0, 1)].abs() < 1e-14);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::Empty`], [`Error::NotFinite`], [`Error::ZeroMatrix`] of F(H), and those of
/// [`MeanFieldChain::new`].
pub fn normalized_product<A: Activation>(columns: &DMatrix<f64>, activation: A) -> Result<Gram> {
    let mut activated = columns.clone();
    apply(activation, activated.as_mut_slice());
    let mut chain = MeanFieldChain::new(&Gram::from_columns(&activated)?)?;
    Ok(chain.step().gram().clone())
}

/// The weighted sum of $`u u^\top`$ over the points of a lattice.
fn shifted_sum<A: Activation>(
    gram: &Gram,
    activation: A,
    row_norm: f64,
    points: usize,
    lattice: &Lattice,
) -> DMatrix<f64> {
    const BLOCK: usize = 256;
    let (r, n) = gram.factor().shape();
    let transposed = gram.factor().transpose();
    let mut sum = DMatrix::zeros(n, n);
    for first in (0..points).step_by(BLOCK) {
        let count = BLOCK.min(points - first);
        let mut normals = DMatrix::zeros(r, count);
        for (k, mut column) in normals.column_iter_mut().enumerate() {
            lattice.normals(first + k, column.as_mut_slice());
        }
        let mut rows = &transposed * normals;
        for mut row in rows.column_iter_mut() {
            let norm = row.norm();
            if norm > 0.0 {
                row *= row_norm / norm;
            }
        }
        apply(activation, rows.as_mut_slice());
        for (k, mut row) in rows.column_iter_mut().enumerate() {
            let place = ((first + k) as f64 + 0.5) / points as f64;
            row *= (place * (1.0 - place)).sqrt();
        }
        sum.gemm(1.0, &rows, &rows.transpose(), 1.0);
    }
    sum
}

/// A Richtmyer lattice under one random shift, in the unit cube of an even dimension.
struct Lattice {
    generators: Vec<f64>,
    shift: Vec<f64>,
}

impl Lattice {
    fn new(dimension: usize, run: Run, index: u32) -> Self {
        use rand::RngExt;
        let mut rng = run.stream(Purpose::Lattice, 0, index).rng();
        let generators = primes().take(dimension).map(|prime| (prime as f64).sqrt().fract());
        let shift = (0..dimension).map(|_| rng.random()).collect();
        Self { generators: generators.collect(), shift }
    }

    /// The `k`-th point as normals: pairs of coordinates, by the Box-Muller transform.
    fn normals(&self, k: usize, out: &mut [f64]) {
        let coordinate = |j: usize| (self.shift[j] + k as f64 * self.generators[j]).fract();
        for (pair, normals) in out.chunks_mut(2).enumerate() {
            // Folded, the radius has no jump where the coordinate begins anew.
            let folded = 1.0 - (2.0 * coordinate(2 * pair) - 1.0).abs();
            let radius = (-2.0 * (-folded).ln_1p()).min(80.0).sqrt();
            let (sine, cosine) = (TAU * coordinate(2 * pair + 1)).sin_cos();
            normals.iter_mut().zip([cosine, sine]).for_each(|(out, x)| *out = radius * x);
        }
    }
}

fn primes() -> impl Iterator<Item = usize> {
    (2..).filter(|n| (2..).take_while(|k| k * k <= *n).all(|k| n % k != 0))
}

/// The Gram matrix of a symmetric matrix that is positive semidefinite but for rounding.
fn from_matrix(matrix: DMatrix<f64>) -> Result<Gram> {
    let n = matrix.nrows();
    let Eigen { values, vectors } = symmetric_eigen(matrix)?;
    let noise = n as f64 * f64::EPSILON * values[0];
    let rank = values.iter().take_while(|&&value| value > noise).count();
    let mut factor = vectors.columns(0, rank).transpose();
    for (mut row, value) in factor.row_iter_mut().zip(&values) {
        row *= value.sqrt();
    }
    Gram::from_factor(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Identity, Tanh, from_fn};
    use crate::{Input, Seed};
    use approx::assert_relative_eq;
    use nalgebra::{DVector, dmatrix};

    #[test]
    fn kernels_of_one_number_and_its_negative() {
        for k in 1..300 {
            let a = f64::from(k) * 0.01;
            let product = |kernel: Kernel, c| kernel.mean_product((a, a), c);
            assert_relative_eq!(product(Kernel::ArcCosine, a), a / 2.0, max_relative = 1e-15);
            assert!(product(Kernel::ArcCosine, -a).abs() < 1e-15);
            let sine = (1.0 - (-2.0 * a).exp()) / 2.0;
            assert_relative_eq!(product(Kernel::Sine, a), sine, max_relative = 1e-14);
            assert_relative_eq!(product(Kernel::Sine, -a), -sine, max_relative = 1e-14);
        }
        // arcsin(1/2) is a sixth of π.
        assert_relative_eq!(Kernel::ArcSine.mean_product((1.0, 5.5), 1.5), 1.0 / 3.0);
        assert_relative_eq!(Kernel::ArcSine.mean_product((5.5, 1.0), -1.5), -1.0 / 3.0);
        for k in 1..300 {
            // Multiples of one number, so large that the cosine rounds to one or beyond.
            let (a, b) = (f64::from(k) * 1e20, 3e20);
            let product = |c| Kernel::ArcSine.mean_product((a, b), c);
            let c = a.sqrt() * b.sqrt();
            assert_relative_eq!(product(c), 1.0, epsilon = 1e-7);
            assert_relative_eq!(product(-c), -1.0, epsilon = 1e-7);
        }
        // Of large numbers only the sign is left of erf.
        for a in [1e20, 1e200, 1e300] {
            assert_eq!(Kernel::ArcSine.mean_product((a, a), a), 1.0);
            assert_eq!(Kernel::ArcSine.mean_product((a, a), -a), -1.0);
            assert_relative_eq!(Kernel::ArcSine.mean_product((a, a), a / 2.0), 1.0 / 3.0);
        }
    }

    /// Where a difference of exponentials cancels or a product overflows; values by mpmath.
    #[test]
    fn kernels_at_the_ends_of_the_range() {
        for (a, b, c, value) in [
            (1.0, 1.0, 1e-14, 3.6787944117144232e-15),
            (1.0, 1.0, -1e-17, -3.6787944117144235e-18),
            (700.0, 900.0, 790.0, 2.2699964881242426e-5),
            (1e10, 1e10 + 3.0, 1e10 + 1.0, 0.303_265_329_856_316_7),
            (1.5e308, 1.5e308, -1.5e308, -0.5),
            // What rounding leaves beyond sqrt(ab).
            (1e20, 1e20, 1e20 + 1e5, 0.5),
        ] {
            let found = Kernel::Sine.mean_product((a, b), c);
            assert_relative_eq!(found, value, max_relative = 4e-16);
        }
        for (a, b, c, value) in [
            (1e308, 1e308, 1e308, 1.0),
            (1e308, 1e308, -5e307, -1.0 / 3.0),
            (1e308, 1e-3, 5e152, 0.045_008_352_558_830_49),
            (1e308, 1e-300, 1e3, 9.003_163_161_571_06e-152),
            (1e-3, 1e308, 1e-3, 8.994_173_480_685_643e-158),
            (1.7e308, 0.0, 0.0, 0.0),
        ] {
            let found = Kernel::ArcSine.mean_product((a, b), c);
            assert_relative_eq!(found, value, max_relative = 1e-15);
        }
        let found = Kernel::ArcCosine.mean_product((1.7e308, 1.7e308), 1.7e308);
        assert_relative_eq!(found, 0.85e308, max_relative = 4e-16);
        for kernel in [Kernel::Linear, Kernel::ArcCosine, Kernel::ArcSine, Kernel::Sine] {
            assert!(kernel.mean_product((1.0, 1.0), f64::NAN).is_nan());
        }
    }

    #[test]
    fn layers_of_what_is_no_covariance_are_refused() {
        let value = |covariance: DMatrix<f64>| match Kernel::Sine.layer(&covariance) {
            Err(Error::InvalidParameter { name: "covariance", value, .. }) => value,
            other => panic!("{other:?}"),
        };
        assert_eq!(value(dmatrix![1.0, 0.25; 0.5, 1.0]), 0.25);
        assert_relative_eq!(value(dmatrix![1.0, 2.0; 2.0, 1.0]), -1.0, max_relative = 1e-15);
        // Each pair is a covariance, the whole is not: 1 - 2 · 0.9.
        let frustrated = dmatrix![1.0, 0.9, -0.9; 0.9, 1.0, 0.9; -0.9, 0.9, 1.0];
        assert_relative_eq!(value(frustrated), -0.8, max_relative = 1e-14);
        // Rounding is no reason.
        let dependent = DVector::from_fn(40, |i, _| 0.1 * (i + 1) as f64);
        for kernel in [Kernel::Linear, Kernel::ArcCosine, Kernel::ArcSine, Kernel::Sine] {
            assert!(kernel.layer(&(&dependent * dependent.transpose())).is_ok());
        }
    }

    /// ReLU lets scales pass, as far as floats reach; a constant zero stays zero.
    #[test]
    fn the_arc_cosine_kernel_has_no_scale() {
        let covariance = dmatrix![0.5, 0.25, 0.0; 0.25, 0.5, 0.0; 0.0, 0.0, 0.0];
        let third = std::f64::consts::FRAC_PI_3;
        let across = 0.5 * (third.sin() + 2.0 * third * third.cos()) / TAU;
        let expected = dmatrix![0.25, across, 0.0; across, 0.25, 0.0; 0.0, 0.0, 0.0];
        for scale in [1e-300, 1e-200, 1.0, 1e200, 1e300] {
            let next = Kernel::ArcCosine.layer(&(&covariance * scale)).unwrap() / scale;
            assert_relative_eq!(next, expected, epsilon = 1e-15);
        }
    }

    #[test]
    fn spectra_out_of_range_are_refused() {
        let lost = Gram::from_factor(dmatrix![1.0, 0.0; 0.0, 1e-150]).unwrap();
        assert!(matches!(relu(&lost), Err(Error::InvalidParameter { name: "eigenvalue", .. })));
    }

    #[test]
    fn activations_without_a_gram_matrix_are_named() {
        let one_sample = Gram::from_factor(dmatrix![0.0, 1.0]).unwrap();
        let burst = from_fn(|x: f64| if x == 0.0 { 0.0 } else { f64::INFINITY });
        let error = quasi_monte_carlo(&one_sample, burst, 1.0, 4, Seed(1)).unwrap_err();
        assert!(matches!(error, Error::NotFinite { row: 1, column: 0, .. }), "{error}");
        let error = quasi_monte_carlo(&one_sample, from_fn(|_| 0.0), 1.0, 4, Seed(1)).unwrap_err();
        assert_eq!(error, Error::ZeroMatrix { rows: 4, columns: 2 });
    }

    /// A single point is a poor lattice, but one; rows are as long as they are told to be.
    #[test]
    fn any_number_of_points_and_any_length_of_rows() {
        let gram = Input::near_collinear(3, 0.5).unwrap().gram().clone();
        let of = |points, length| quasi_monte_carlo(&gram, Identity, length, points, Seed(3));
        let one = of(1, 1.0).unwrap().gram;
        assert_relative_eq!(of(1, 7.0).unwrap().gram.matrix(), one.matrix(), epsilon = 1e-14);
        // Rows so short that tanh is the identity, and so long that it is the sign.
        let tanh = |length| quasi_monte_carlo(&gram, Tanh, length, 500, Seed(3)).unwrap().gram;
        let (short, linear) = (tanh(1e-6).matrix(), of(500, 1.0).unwrap().gram.matrix());
        assert_relative_eq!(short, linear, epsilon = 1e-10);
        assert_relative_eq!(tanh(1e9).matrix()[(0, 0)], 1.0 / 3.0, epsilon = 1e-6);
    }
}
