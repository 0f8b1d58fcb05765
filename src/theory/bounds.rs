//! The bounds of the paper, as printed, repaired and sharpened, with their hypotheses checked.
//!
//! | claim | printed | verdict | what holds instead |
//! | --- | --- | --- | --- |
//! | [`theorem_1`] | $`2(1 - 2\alpha/3)^l + 3n/(\alpha \sqrt d)`$ | false for n >= 5 | α² for α; sharp below |
//! | [`lemma_2`] | $`W_2^2 \le 2 n E V`$ | holds | [`lemma_2_sharp`], $`n E V^2`$ |
//! | [`corollary_3`] | the two together | false for n >= 30 | α² for α |
//! | [`lemma_4`] | $`V \le 2 n \hat V`$ | holds | $`\sqrt{n(n-1)} \hat V`$, with equality |
//! | [`theorem_5`] | $`(1 - \frac23 (\frac1n - \hat V)) \hat V + 1/\sqrt d`$ | holds | 2n/(n+2) for 2/3 |
//! | [`lemma_6`] | $`1/d`$ | holds | [`noise`], $`(1 - \sum p_i^2)/d`$, with equality |
//! | [`lemma_8`] | $`(1 - \frac{2n}{n+2} \lambda_n)(\frac1n - \lambda_n)`$ | holds | it is sharp at orthogonality |
//!
//! Theorem 1 is false as printed because its proof bounds $`\sigma_n^2`$ from below by α. Its true
//! rate at orthogonality is 1 - 2/(n+2), where the printed one is $`1 - 2/(3\sqrt n)`$.
//!
//! ```
//! use orthogap::theory::bounds::{A1, Version, Width, theorem_1};
//!
//! // The best assumption there is, 200 layers, width 512: the bound says nothing.
//! let a1 = A1::new(4, 0.5, 200)?;
//! let bound = theorem_1(Version::Printed, a1, Width::finite(4, 512)?);
//! assert!(bound.vacuous && bound.value > 1.0 && bound.trivial == 0.75f64.sqrt());
//! // Width 1e6: it speaks, but true gaps are about sqrt(n/d)/2 = 0.001.
//! let wide = Width::finite(4, 1_000_000)?;
//! assert!((theorem_1(Version::Printed, a1, wide).value - 0.024).abs() < 1e-12);
//! assert!(theorem_1(Version::Sharp, a1, wide).value < 0.011);
//! # Ok::<(), orthogap::Error>(())
//! ```

use crate::metric::Spectrum;
use crate::{Error, Gram, Result};

/// An upper bound, beside what holds anyway.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Bound {
    /// What the claim bounds the quantity by.
    pub value: f64,
    /// The largest value that the quantity can have at all.
    pub trivial: f64,
    /// Whether the claim says nothing: `value >= trivial`.
    pub vacuous: bool,
}

impl Bound {
    fn new(value: f64, trivial: f64) -> Self {
        Self { value, trivial, vacuous: value >= trivial }
    }
}

/// Which reading of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// As the paper prints it.
    Printed,
    /// With the least change that makes it true.
    Repaired,
    /// The best constants that its proof gives.
    Sharp,
}

/// The width of a network with at least as many neurons as samples, or the limit of wide networks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Width {
    /// $`1/\sqrt d`$.
    noise: f64,
}

impl Width {
    /// Infinite width, where chains are deterministic.
    pub const INFINITE: Self = Self { noise: 0.0 };

    /// A width `d >= n`.
    ///
    /// # Errors
    /// [`Error::BatchTooSmall`] if `n` is 0, [`Error::BatchExceedsWidth`] if `n > d`.
    pub fn finite(batch_size: usize, width: usize) -> Result<Self> {
        nonempty(batch_size)?;
        if batch_size > width {
            return Err(Error::BatchExceedsWidth { batch_size, width });
        }
        Self::of(batch_size, width as f64)
    }

    /// A width `d >= n` beyond all integers, such as those from which on Theorem 1 says something.
    ///
    /// ```
    /// use orthogap::theory::bounds::{A1, Version, Width, theorem_1};
    ///
    /// let a1 = A1::new(8, 1e-6, u32::MAX)?;
    /// let bound = |d| Ok::<_, orthogap::Error>(
    ///     theorem_1(Version::Repaired, a1, Width::of(8, d)?).value);
    /// // 3n/(alpha² sqrt(d)) is the second term.
    /// assert!((bound(2e29)? - bound(8e29)? - 12e12 / 2e29f64.sqrt()).abs() < 1e-14);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::BatchTooSmall`] if `n` is 0, [`Error::InvalidParameter`] unless `d` is a finite
    /// number of at least `n`.
    pub fn of(batch_size: usize, width: f64) -> Result<Self> {
        let n = nonempty(batch_size)?;
        if !(width >= n && width.is_finite()) {
            let expected = "a finite width of at least the batch size";
            return Err(Error::InvalidParameter { name: "width", value: width, expected });
        }
        Ok(Self { noise: width.sqrt().recip() })
    }
}

/// The hypothesis of Theorem 1: $`\sigma_n(H_k) \ge \alpha`$ for the layers `k = 1, ..., l`.
///
/// At finite width no fixed α satisfies it almost surely for all `l`; what the theorem's proof
/// bounds is the mean gap times the indicator of this event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct A1 {
    batch_size: usize,
    alpha: f64,
    layers: u32,
}

impl A1 {
    /// The assumption as such: $`0 < \alpha \le 1/\sqrt n`$.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for any other α, [`Error::BatchTooSmall`] if `n` is 0.
    ///
    /// ```
    /// use orthogap::{Error, theory::bounds::A1};
    ///
    /// assert!(A1::new(4, 0.5, 10).is_ok());
    /// assert!(matches!(A1::new(4, 0.51, 10), Err(Error::InvalidParameter { .. })));
    /// ```
    pub fn new(batch_size: usize, alpha: f64, layers: u32) -> Result<Self> {
        nonempty(batch_size)?;
        // A rounding of 1/sqrt(n) is forgiven: the largest alpha is the most interesting one.
        let largest = (batch_size as f64).sqrt().recip() * (1.0 + 4.0 * f64::EPSILON);
        if !(alpha > 0.0 && alpha <= largest) {
            let expected = "0 < alpha <= 1/sqrt(n)";
            return Err(Error::InvalidParameter { name: "alpha", value: alpha, expected });
        }
        Ok(Self { batch_size, alpha, layers })
    }

    /// The largest α for which the assumption holds on the layers `1, ..., l` of a path.
    ///
    /// # Errors
    /// [`Error::Empty`] without layers, [`Error::ShapeMismatch`] if batch sizes differ,
    /// [`Error::InvalidParameter`] if a smallest singular value is zero.
    pub fn observed<'a>(path: impl IntoIterator<Item = &'a Gram>) -> Result<Self> {
        let (mut batch_size, mut alpha, mut layers) = (None, f64::INFINITY, 0);
        for gram in path {
            let (n, expected) = (gram.batch_size(), *batch_size.get_or_insert(gram.batch_size()));
            if n != expected {
                return Err(Error::ShapeMismatch {
                    what: "a layer's Gram matrix",
                    found: (n, n),
                    expected: (expected, expected),
                });
            }
            alpha = alpha.min(gram.min_singular_value());
            layers += 1;
        }
        let batch_size = batch_size.ok_or(Error::Empty { rows: 0, columns: 0 })?;
        Self::new(batch_size, alpha, layers)
    }

    /// α.
    #[must_use]
    pub fn alpha(self) -> f64 {
        self.alpha
    }

    /// The number `l` of layers.
    #[must_use]
    pub fn layers(self) -> u32 {
        self.layers
    }
}

/// Theorem 1: under [`A1`], a bound on the mean gap $`E V(H_{l+1})`$ of the next layer.
///
/// | version | bound |
/// | --- | --- |
/// | printed | $`2 (1 - \frac23 \alpha)^l + 3n / (\alpha \sqrt d)`$, false for n >= 5 at infinite width |
/// | repaired | $`2 (1 - \frac23 \alpha^2)^l + 3n / (\alpha^2 \sqrt d)`$, the version of the proof |
/// | sharp | $`\sqrt{1 - 1/n} \, [(1 - \frac{2n}{n+2} \alpha^2)^l + \frac{n+2}{2 \alpha^2 \sqrt d}]`$ |
///
/// The proof assumes $`\lambda_n \ge \alpha`$ of the Gram matrix, where the statement has $`\sigma_n`$:
/// its bound is the repaired one at $`\sqrt\alpha`$.
///
/// The sharp one iterates the sharp [`theorem_5`] from $`\hat V \le 1/n`$ and ends with the sharp
/// [`lemma_4`]. Its rate is the true one at orthogonality, where α² is 1/n. At finite width all of
/// them bound $`E[V \, 1_{A1}]`$.
///
/// ```
/// use orthogap::theory::{bounds::{A1, Version, Width, theorem_1}, stationary};
///
/// let bound = |l| Ok::<_, orthogap::Error>(
///     theorem_1(Version::Sharp, A1::new(8, 8f64.sqrt().recip(), l)?, Width::INFINITE).value);
/// assert!((bound(51)? / bound(50)? - stationary::decay_rate(8)).abs() < 1e-14);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[must_use]
pub fn theorem_1(version: Version, a1: A1, width: Width) -> Bound {
    let n = a1.batch_size as f64;
    let strength = match version {
        Version::Printed => a1.alpha,
        Version::Repaired | Version::Sharp => a1.alpha * a1.alpha,
    };
    let power = |rate: f64| (f64::from(a1.layers) * (-rate).ln_1p()).exp();
    let value = match version {
        Version::Printed | Version::Repaired => {
            2.0 * power(2.0 * strength / 3.0) + 3.0 * n / strength * width.noise
        }
        Version::Sharp => {
            let rate = contraction(Version::Sharp, n) * strength;
            (1.0 - 1.0 / n).sqrt() * (power(rate) + n * width.noise / rate)
        }
    };
    Bound::new(value, largest_gap(n))
}

/// Lemma 2: $`W_2^2 \le 2 n E V`$ between the laws of `W H` and of $`G/\sqrt n`$, all entries of
/// `W` and `G` (`d x n`) being N(0, 1/d).
///
/// It is at most 2 without any assumption, by the independent coupling.
///
/// # Errors
/// [`Error::InvalidParameter`] for a mean gap outside 0 to sqrt(1 - 1/n).
pub fn lemma_2(batch_size: usize, mean_gap: f64) -> Result<Bound> {
    let n = nonempty(batch_size)?;
    let mean_gap = within("mean gap", mean_gap, largest_gap(n), "0 to sqrt(1 - 1/n)")?;
    Ok(Bound::new(2.0 * n * mean_gap, LARGEST_W2))
}

/// What the proof of Lemma 2 gives: $`W_2^2 \le n E V^2`$.
///
/// Between the two stands the mean of the [coupling bound](Gram::coupling_bound).
///
/// ```
/// use orthogap::theory::{bounds::{lemma_2, lemma_2_sharp}, stationary};
///
/// let printed = lemma_2(4, stationary::mean_gap(4, 512))?;
/// let sharp = lemma_2_sharp(4, stationary::mean_squared_gap(4, 512))?;
/// assert!((printed.value - 0.400).abs() < 0.001 && sharp.value < 0.011);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidParameter`] for a mean squared gap outside 0 to 1 - 1/n.
pub fn lemma_2_sharp(batch_size: usize, mean_squared_gap: f64) -> Result<Bound> {
    let n = nonempty(batch_size)?;
    let mean_squared_gap =
        within("mean squared gap", mean_squared_gap, 1.0 - 1.0 / n, "0 to 1 - 1/n")?;
    Ok(Bound::new(n * mean_squared_gap, LARGEST_W2))
}

/// Corollary 3: [`lemma_2`] after [`theorem_1`], a bound on the squared Wasserstein-2 distance of
/// the law of $`W H_{l+1}`$ to that of $`G/\sqrt n`$.
///
/// As printed it is false at infinite width for n >= 30.
#[must_use]
pub fn corollary_3(version: Version, a1: A1, width: Width) -> Bound {
    let gap = theorem_1(version, a1, width);
    Bound::new(2.0 * a1.batch_size as f64 * gap.value, LARGEST_W2)
}

/// Lemma 4: the gap by the Lyapunov function, $`V \le 2 n \hat V`$; sharp,
/// $`V \le \sqrt{n(n-1)} \hat V`$, with equality if all eigenvalues but the largest are equal.
///
/// ```
/// use orthogap::{Input, theory::bounds::{Version, lemma_4}};
///
/// let gram = Input::spiked(4, 0.5)?.gram().clone();
/// let bound = lemma_4(Version::Sharp, 4, gram.lyapunov())?;
/// assert!((bound.value - gram.orthogonality_gap()).abs() < 1e-15);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidParameter`] for a Lyapunov function outside 0 to 1/n.
pub fn lemma_4(version: Version, batch_size: usize, lyapunov: f64) -> Result<Bound> {
    let n = nonempty(batch_size)?;
    let lyapunov = within("lyapunov", lyapunov, 1.0 / n, "0 to 1/n")?;
    let constant = match version {
        Version::Printed | Version::Repaired => 2.0 * n,
        Version::Sharp => (n * (n - 1.0)).sqrt(),
    };
    Ok(Bound::new(constant * lyapunov, largest_gap(n)))
}

/// Theorem 5: a bound on the mean of the next layer's Lyapunov function given this one's,
/// $`(1 - c \lambda_n) \hat V + 1/\sqrt d`$ with $`\lambda_n = 1/n - \hat V`$.
///
/// The constant `c` is 2/3 as printed, and 2n/(n+2) by [`lemma_8`], which is sharp.
///
/// # Errors
/// [`Error::InvalidParameter`] for a Lyapunov function outside 0 to 1/n.
pub fn theorem_5(
    version: Version,
    batch_size: usize,
    lyapunov: f64,
    width: Width,
) -> Result<Bound> {
    let n = nonempty(batch_size)?;
    let lyapunov = within("lyapunov", lyapunov, 1.0 / n, "0 to 1/n")?;
    let rate = contraction(version, n) * (1.0 / n - lyapunov);
    Ok(Bound::new((1.0 - rate) * lyapunov + width.noise, 1.0 / n))
}

/// Lemma 6: $`E \lVert C' - E C' \rVert_F^2 \le 1/d`$ for the next Gram matrix `C'` given this one.
#[must_use]
pub fn lemma_6(width: Width) -> Bound {
    // Trace one: no Gram matrix is farther than this from the mean of its law.
    Bound::new(width.noise * width.noise, 1.0)
}

/// What Lemma 6 bounds, exactly: $`E \lVert C' - E C' \rVert_F^2 = (1 - \sum_i p_i^2)/d`$ with the
/// [infinite-width map](super::mean_field::map) `p` of the eigenvalues.
///
/// ```
/// use orthogap::theory::bounds::{Width, noise};
///
/// // At orthogonality p = 1/n.
/// assert!((noise(&[0.25; 4], Width::finite(4, 100)?)? - 0.0075).abs() < 1e-16);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// Those of [`map`](super::mean_field::map).
pub fn noise(eigenvalues: &[f64], width: Width) -> Result<f64> {
    let p = super::mean_field::map(eigenvalues)?;
    // The products of different entries: nothing cancels where one of them is nearly one.
    let products = p.iter().scan(0.0, |sum, p| {
        let product = *sum * p;
        *sum += p;
        Some(product)
    });
    Ok(2.0 * products.sum::<f64>() * width.noise * width.noise)
}

/// Lemma 8: a bound on $`1/n - p_n`$, the Lyapunov function after a layer of infinite width,
/// $`(1 - \frac{2n}{n+2} \lambda_n)(\frac1n - \lambda_n)`$. Sharp at orthogonality.
///
/// ```
/// use orthogap::theory::{bounds::lemma_8, mean_field};
///
/// let spectrum = [0.25 + 3e-6, 0.25 - 1e-6, 0.25 - 1e-6, 0.25 - 1e-6];
/// let next = 0.25 - mean_field::map(&spectrum)?[3];
/// let bound = lemma_8(4, spectrum[3])?.value;
/// assert!(next <= bound && next > bound * (1.0 - 1e-5));
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidParameter`] for a smallest eigenvalue outside 0 to 1/n.
pub fn lemma_8(batch_size: usize, smallest_eigenvalue: f64) -> Result<Bound> {
    let n = nonempty(batch_size)?;
    let smallest = within("smallest eigenvalue", smallest_eigenvalue, 1.0 / n, "0 to 1/n")?;
    let rate = contraction(Version::Sharp, n) * smallest;
    Ok(Bound::new((1.0 - rate) * (1.0 / n - smallest), 1.0 / n))
}

/// Appendix E: the singular values of `W H` for
/// $`W = V' \Sigma^{-1/2} U^\top / \lVert \Sigma^{1/2} \rVert_F`$, where $`H = U \Sigma V^\top`$ and
/// `V'` is orthogonal: the square roots, scaled to sum of squares one.
///
/// The gap of `W H` is at most that of `H`, and equal only if all positive singular values are.
/// With a literal slice of `V` for `V'`, as printed, the claim is false.
///
/// ```
/// use orthogap::{Gram, Input, theory::bounds::appendix_e};
/// use nalgebra::{DMatrix, DVector};
///
/// let gram = Input::spiked(3, 0.25)?.gram().clone();
/// let next = appendix_e(&gram.spectrum());
/// assert!((next[0] / next[2] - 2.0).abs() < 1e-14);
/// let next = Gram::from_factor(DMatrix::from_diagonal(&DVector::from_vec(next)))?;
/// assert!(next.orthogonality_gap() < gram.orthogonality_gap());
/// # Ok::<(), orthogap::Error>(())
/// ```
#[must_use]
pub fn appendix_e(spectrum: &Spectrum) -> Vec<f64> {
    let values = spectrum.singular_values();
    let norm = values.sum().sqrt();
    values.iter().map(|sigma| sigma.sqrt() / norm).collect()
}

/// The squared Wasserstein-2 distance is at most this by the independent coupling.
const LARGEST_W2: f64 = 2.0;

/// `c` in the contraction $`1 - c \lambda_n`$ of the Lyapunov function.
fn contraction(version: Version, n: f64) -> f64 {
    match version {
        Version::Printed | Version::Repaired => 2.0 / 3.0,
        Version::Sharp => 2.0 * n / (n + 2.0),
    }
}

/// The largest gap there is, that of rank one.
fn largest_gap(n: f64) -> f64 {
    (1.0 - 1.0 / n).sqrt()
}

fn nonempty(batch_size: usize) -> Result<f64> {
    if batch_size == 0 {
        return Err(Error::BatchTooSmall { batch_size, minimum: 1 });
    }
    Ok(batch_size as f64)
}

/// A number from 0 to `largest`, but for rounding.
fn within(name: &'static str, value: f64, largest: f64, expected: &'static str) -> Result<f64> {
    const ROUNDING: f64 = 1e-14;
    if value >= -ROUNDING && value <= largest + ROUNDING {
        Ok(value)
    } else {
        Err(Error::InvalidParameter { name, value, expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use nalgebra::dmatrix;

    const VERSIONS: [Version; 3] = [Version::Printed, Version::Repaired, Version::Sharp];

    /// Every formula at n = 4, d = 100 and a point where all its terms count, by hand.
    #[test]
    fn values_by_hand() {
        let width = Width::finite(4, 100).unwrap();
        let gap = 0.75f64.sqrt();
        let check = |bound: Bound, value: f64, trivial: f64| {
            assert_relative_eq!(bound.value, value, max_relative = 1e-14);
            assert_relative_eq!(bound.trivial, trivial, max_relative = 1e-15);
            assert_eq!(bound.vacuous, value >= trivial);
        };
        // alpha = 0.4, two layers: rates 4/15, 8/75 and 4/3 * 0.16.
        let a1 = A1::new(4, 0.4, 2).unwrap();
        let theorem_1 = [
            2.0 * (11.0f64 / 15.0).powi(2) + 12.0 / (0.4 * 10.0),
            2.0 * (67.0f64 / 75.0).powi(2) + 12.0 / (0.16 * 10.0),
            gap * ((59.0f64 / 75.0).powi(2) + 6.0 / (2.0 * 0.16 * 10.0)),
        ];
        // At lambda_n = 0.05, where the Lyapunov function is 0.2.
        let lemma_4 = [1.6, 1.6, 12f64.sqrt() * 0.2];
        let theorem_5 = [1.0 / 30.0, 1.0 / 30.0, 1.0 / 15.0].map(|rate| (1.0 - rate) * 0.2 + 0.1);
        for (k, version) in VERSIONS.into_iter().enumerate() {
            check(super::theorem_1(version, a1, width), theorem_1[k], gap);
            check(corollary_3(version, a1, width), 8.0 * theorem_1[k], 2.0);
            check(super::lemma_4(version, 4, 0.2).unwrap(), lemma_4[k], gap);
            check(super::theorem_5(version, 4, 0.2, width).unwrap(), theorem_5[k], 0.25);
        }
        check(lemma_2(4, 0.1).unwrap(), 0.8, 2.0);
        check(lemma_2_sharp(4, 0.1).unwrap(), 0.4, 2.0);
        check(lemma_6(width), 0.01, 1.0);
        check(lemma_8(4, 0.05).unwrap(), (1.0 - 1.0 / 15.0) * 0.2, 0.25);
    }

    /// Near rank one the noise is twice the small eigenvalue, which is lost beside one. Two samples:
    /// p is proportional to the singular values.
    #[test]
    fn noise_keeps_its_digits_near_rank_one() {
        let width = Width::finite(2, 100).unwrap();
        for sigma in [1.0f64, 1e-3, 1e-9, 1e-140] {
            let expected = 2.0 * sigma / (1.0 + sigma).powi(2) / 100.0;
            for spectrum in [[1.0, sigma * sigma], [sigma * sigma, 1.0]] {
                assert_relative_eq!(
                    noise(&spectrum, width).unwrap(),
                    expected,
                    max_relative = 1e-14
                );
            }
        }
    }

    /// What says no more than what holds anyway says nothing.
    #[test]
    fn equality_is_vacuous() {
        let bound = lemma_2(4, 0.25).unwrap();
        assert!(bound.value == bound.trivial && bound.vacuous);
        assert!(!lemma_2(4, 0.2499).unwrap().vacuous);
    }

    /// Both ends of a range belong to it, and little beyond them does not.
    #[test]
    fn ranges_are_closed() {
        type Claim = fn(f64) -> Result<Bound>;
        let claims: [(Claim, f64); 5] = [
            (|x| lemma_2(4, x), 0.75f64.sqrt()),
            (|x| lemma_2_sharp(4, x), 0.75),
            (|x| lemma_4(Version::Sharp, 4, x), 0.25),
            (|x| theorem_5(Version::Sharp, 4, x, Width::INFINITE), 0.25),
            (|x| lemma_8(4, x), 0.25),
        ];
        for (claim, largest) in claims {
            assert!(claim(0.0).is_ok() && claim(largest).is_ok());
            for value in [-1e-12, largest + 1e-12, f64::NAN] {
                assert!(matches!(claim(value), Err(Error::InvalidParameter { .. })), "{value}");
            }
        }
    }

    #[test]
    fn assumptions_are_checked() {
        assert_eq!(A1::new(0, 0.5, 1), Err(Error::BatchTooSmall { batch_size: 0, minimum: 1 }));
        assert!(Width::finite(0, 5).is_err() && Width::finite(5, 4).is_err());
        assert!(Width::finite(4, 4).is_ok());
        assert_eq!(Width::of(4, 4.0), Width::finite(4, 4));
        assert!(Width::of(0, 5.0).is_err());
        for width in [3.5, f64::NAN, f64::INFINITY] {
            assert!(matches!(Width::of(4, width), Err(Error::InvalidParameter { .. })), "{width}");
        }
        for n in 1..200 {
            // Whichever way it is rounded.
            let n_f64 = n as f64;
            for largest in [n_f64.sqrt().recip(), n_f64.recip().sqrt(), n_f64.sqrt() / n_f64] {
                assert!(A1::new(n, largest, 1).is_ok(), "{n}");
            }
            assert!(A1::new(n, n_f64.sqrt().recip() * (1.0 + 1e-14), 1).is_err());
        }
    }

    #[test]
    fn a_path_tells_its_alpha() {
        let path = [0.5, 0.25, 1.0].map(|s| Gram::from_factor(dmatrix![1.0, 0.0; 0.0, s]).unwrap());
        let a1 = A1::observed(&path).unwrap();
        assert_relative_eq!(a1.alpha(), 1.0 / 17f64.sqrt(), max_relative = 1e-14);
        assert_eq!(a1.layers(), 3);
        let lost = Gram::from_factor(dmatrix![1.0, 1.0]).unwrap();
        assert!(matches!(A1::observed([&lost]), Err(Error::InvalidParameter { value: 0.0, .. })));
    }

    #[test]
    fn appendix_e_takes_roots() {
        let gram = Gram::from_factor(dmatrix![0.8, 0.0; 0.0, 0.6]).unwrap();
        let next = appendix_e(&gram.spectrum());
        for (value, square) in next.iter().zip([4.0 / 7.0, 3.0 / 7.0]) {
            assert_relative_eq!(value * value, square, max_relative = 1e-14);
        }
    }
}
