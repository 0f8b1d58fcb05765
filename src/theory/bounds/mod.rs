//! The bounds of the paper, as printed, repaired and sharpened, with their hypotheses checked.
//!
//! | claim | printed | verdict | what holds instead |
//! | --- | --- | --- | --- |
//! | [`theorem_1`] | $`2(1 - 2\alpha/3)^l + 3n/(\alpha \sqrt d)`$ | false for n >= 5 | α² for α; sharp below |
//! | [`theorem_1_proof`] | $`2(1 - 2\alpha/3)^l + 3n/(2 \alpha \sqrt d)`$ | holds | its α bounds $`\lambda_n`$, not $`\sigma_n`$ |
//! | [`lemma_2`] | $`W_2^2 \le 2 n E V`$ | holds | [`lemma_2_sharp`], $`n E V^2`$ |
//! | [`corollary_3`] | the two together | false for n >= 30 | α² for α |
//! | [`lemma_4`] | $`V \le 2 n \hat V`$ | holds | $`\sqrt{n(n-1)} \hat V`$, with equality |
//! | [`theorem_5`] | $`(1 - \frac23 (\frac1n - \hat V)) \hat V + 1/\sqrt d`$ | holds | 2n/(n+2) for 2/3 |
//! | [`lemma_6`] | $`1/d`$ | holds | [`noise`], $`(1 - \sum p_i^2)/d`$, with equality |
//! | [`lemma_7`] | $`1/d`$ | holds | [`lemma_7_sharp`], $`(1 - \frac1n)(1 - \sum p_i^2)/d`$ |
//! | [`lemma_8`] | $`(1 - \frac{2n}{n+2} \lambda_n)(\frac1n - \lambda_n)`$ | holds | it is sharp at orthogonality |
//! | [`appendix_b1`] | $`\frac32 (\hat V(H_0)/l + 1/\sqrt d)`$ | holds | (n+2)/(2n) for 3/2 |
//!
//! Theorem 1 is false as printed because its proof bounds $`\sigma_n^2`$ from below by α. Its true
//! rate at orthogonality is 1 - 2/(n+2), where the printed one is $`1 - 2/(3\sqrt n)`$. The numbers
//! are those of the paper: H. Daneshmand, A. Joudaki and F. Bach, "Batch Normalization
//! Orthogonalizes Representations in Deep Random Networks", NeurIPS 2021, arXiv 2106.03970.
//!
//! ```
//! use orthogap::theory::bounds::{A1, Version, Width, theorem_1};
//!
//! // The strongest assumption, 200 layers, width 512: the bound is vacuous.
//! let a1 = A1::new(4, 0.5, 200)?;
//! let bound = theorem_1(Version::Printed, a1, Width::finite(4, 512)?);
//! assert!(bound.vacuous && bound.value > 1.0 && bound.trivial == 0.75f64.sqrt());
//! // Width 1e6: the bound holds, but true gaps are about sqrt(n/d)/2 = 0.001.
//! let wide = Width::finite(4, 1_000_000)?;
//! assert!((theorem_1(Version::Printed, a1, wide).value - 0.024).abs() < 1e-12);
//! assert!(theorem_1(Version::Sharp, a1, wide).value < 0.011);
//! # Ok::<(), orthogap::Error>(())
//! ```

mod assumption;
mod gap;
mod gaussian_approximation;
mod initialization;
mod lyapunov;
mod noise;

pub use assumption::{A1, Width};
pub use gap::{lemma_4, theorem_1, theorem_1_proof};
pub use gaussian_approximation::{corollary_3, lemma_2, lemma_2_sharp};
pub use initialization::appendix_e;
pub use lyapunov::{appendix_b1, lemma_8, theorem_5};
pub use noise::{lemma_6, lemma_7, lemma_7_sharp, noise};

use crate::Result;
use crate::check;

/// An upper bound, with the trivial one.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Bound {
    /// The bound of the claim.
    pub value: f64,
    /// An upper bound on the quantity that holds without the claim.
    pub trivial: f64,
    /// Whether the claim is vacuous: `value >= trivial`.
    pub vacuous: bool,
}

impl Bound {
    fn new(value: f64, trivial: f64) -> Self {
        Self { value, trivial, vacuous: value >= trivial }
    }
}

/// A version of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// As the paper prints it.
    Printed,
    /// With the least change that makes it true.
    Repaired,
    /// The best constants that its proof gives.
    Sharp,
}

/// `c` in the contraction $`1 - c \lambda_n`$ of the Lyapunov function.
fn contraction(version: Version, n: f64) -> f64 {
    match version {
        Version::Printed | Version::Repaired => 2.0 / 3.0,
        Version::Sharp => 2.0 * n / (n + 2.0),
    }
}

/// The largest possible gap, that of rank one.
fn largest_gap(n: f64) -> f64 {
    (1.0 - 1.0 / n).sqrt()
}

fn nonempty(batch_size: usize) -> Result<f64> {
    check::batch(batch_size, 1)?;
    Ok(batch_size as f64)
}

/// A number from 0 to `largest`, except for rounding.
fn within(name: &'static str, value: f64, largest: f64, expected: &'static str) -> Result<f64> {
    const ROUNDING: f64 = 1e-14;
    let valid = value >= -ROUNDING && value <= largest + ROUNDING;
    check::parameter(name, value, valid, expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use approx::assert_relative_eq;

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
            check(corollary_3(version, a1, width), 8.0 * theorem_1[k], 1.0);
            check(super::lemma_4(version, 4, 0.2).unwrap(), lemma_4[k], gap);
            check(super::theorem_5(version, 4, 0.2, width).unwrap(), theorem_5[k], 0.25);
            // (0.2/5 + 0.1) times 3/2, or 6/8 for four samples.
            let expected = [0.21, 0.21, 0.105][k];
            check(appendix_b1(version, 4, 0.2, 5, width).unwrap(), expected, 1.0 / 64.0);
        }
        // An eigenvalue of 0.15, two layers: rate 0.1.
        let a1 = A1::of_eigenvalue(4, 0.15, 2).unwrap();
        check(theorem_1_proof(a1, width), 2.0 * 0.81 + 6.0 / (0.15 * 10.0), gap);
        check(lemma_2(4, 0.1).unwrap(), 0.8, 1.0);
        check(lemma_2_sharp(4, 0.1).unwrap(), 0.4, 1.0);
        check(lemma_6(4, width).unwrap(), 0.01, 0.75);
        check(lemma_7(4, width).unwrap(), 0.01, 0.0625);
        check(lemma_8(4, 0.05).unwrap(), (1.0 - 1.0 / 15.0) * 0.2, 0.25);
    }

    /// What says no more than what holds anyway says nothing.
    #[test]
    fn equality_is_vacuous() {
        let bound = lemma_2(4, 0.125).unwrap();
        assert!(bound.value == bound.trivial && bound.vacuous);
        assert!(!lemma_2(4, 0.1249).unwrap().vacuous);
    }

    /// Both ends of a range belong to it, and little beyond them does not.
    #[test]
    fn ranges_are_closed() {
        type Claim = fn(f64) -> Result<Bound>;
        let claims: [(Claim, f64); 6] = [
            (|x| lemma_2(4, x), 0.75f64.sqrt()),
            (|x| lemma_2_sharp(4, x), 0.75),
            (|x| lemma_4(Version::Sharp, 4, x), 0.25),
            (|x| theorem_5(Version::Sharp, 4, x, Width::INFINITE), 0.25),
            (|x| lemma_8(4, x), 0.25),
            (|x| appendix_b1(Version::Printed, 4, x, 3, Width::INFINITE), 0.25),
        ];
        for (claim, largest) in claims {
            assert!(claim(0.0).is_ok() && claim(largest).is_ok());
            for value in [-1e-12, largest + 1e-12, f64::NAN] {
                assert!(matches!(claim(value), Err(Error::InvalidParameter { .. })), "{value}");
            }
        }
    }
}
