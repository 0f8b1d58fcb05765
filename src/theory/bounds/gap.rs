//! Bounds on the orthogonality gap: Theorem 1 and Lemma 4.

use super::{A1, Bound, Version, Width, contraction, largest_gap, nonempty, within};
use crate::Result;

/// Returns the bound of Theorem 1, under [`A1`], on the mean gap $`E V(H_{l+1})`$ of the next
/// layer.
///
/// | version | bound |
/// | --- | --- |
/// | printed | $`2 (1 - \frac23 \alpha)^l + 3n / (\alpha \sqrt d)`$, false for n >= 5 at infinite width |
/// | repaired | $`2 (1 - \frac23 \alpha^2)^l + 3n / (\alpha^2 \sqrt d)`$ |
/// | sharp | $`\sqrt{1 - 1/n} \, [(1 - \frac{2n}{n+2} \alpha^2)^l + \frac{n+2}{2 \alpha^2 \sqrt d}]`$ |
///
/// The repaired version is the printed one under the assumption of the proof,
/// $`\lambda_n \ge \alpha`$; [`theorem_1_proof`] is the last line of the proof.
///
/// The sharp one iterates the sharp [`theorem_5`](super::theorem_5) from $`\hat V \le 1/n`$ and ends
/// with the sharp [`lemma_4`]. Its rate is the true one at orthogonality, where α² is 1/n. At finite
/// width all of them bound $`E[V \, 1_{A1}]`$.
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
    let value = match version {
        Version::Printed | Version::Repaired => {
            2.0 * power(2.0 * strength / 3.0, a1.layers) + noise(3.0 * n, strength, width)
        }
        Version::Sharp => {
            let rate = contraction(Version::Sharp, n) * strength;
            let largest = largest_gap(n);
            largest * power(rate, a1.layers) + noise(largest * n, rate, width)
        }
    };
    Bound::new(value, largest_gap(n))
}

/// Returns the bound at the end of the proof of Theorem 1:
/// $`E V(H_{l+1}) \le 2 (1 - \frac23 \alpha)^l + \frac{3n}{2 \alpha \sqrt d}`$ if
/// $`\lambda_n(C_k) \ge \alpha`$ for the layers `k = 1, ..., l` (Appendix B).
///
/// Here α is the eigenvalue of [`A1::of_eigenvalue`], the square of [`A1::alpha`].
///
/// The second term is half of the statement's. The factor 2n of [`lemma_4`] does not give that, but
/// its sharp factor $`\sqrt{n(n-1)} \le n`$ does, so the line holds. At infinite width it agrees
/// with the repaired [`theorem_1`]. At finite width it bounds $`E[V \, 1_{A1}]`$ and lies between
/// the sharp and the repaired version.
///
/// ```
/// use orthogap::theory::bounds::{A1, Version, Width, theorem_1, theorem_1_proof};
///
/// let a1 = A1::of_eigenvalue(4, 0.16, 30)?;
/// let repaired = theorem_1(Version::Repaired, a1, Width::INFINITE);
/// assert_eq!(theorem_1_proof(a1, Width::INFINITE), repaired);
/// // 3n/(2 alpha sqrt(d)) is 6/160.
/// let wide = theorem_1_proof(a1, Width::finite(4, 1_000_000)?);
/// assert!((wide.value - repaired.value - 6.0 / 160.0).abs() < 1e-15);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[must_use]
pub fn theorem_1_proof(a1: A1, width: Width) -> Bound {
    let (n, eigenvalue) = (a1.batch_size as f64, a1.alpha * a1.alpha);
    let decay = power(2.0 * eigenvalue / 3.0, a1.layers);
    Bound::new(2.0 * decay + noise(1.5 * n, eigenvalue, width), largest_gap(n))
}

/// The term of the noise, `constant` / (`strength` sqrt(d)): zero without noise, otherwise infinite
/// where the strength, a square, has underflowed to zero.
fn noise(constant: f64, strength: f64, width: Width) -> f64 {
    let noise = constant * width.noise;
    if noise == 0.0 { 0.0 } else { noise / strength }
}

/// $`(1 - r)^l`$.
fn power(rate: f64, layers: u32) -> f64 {
    (f64::from(layers) * (-rate).ln_1p()).exp()
}

/// Returns the bound of Lemma 4 on the gap by the Lyapunov function, $`V \le 2 n \hat V`$; sharp,
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
/// [`InvalidParameter`](crate::Error::InvalidParameter) for a Lyapunov function outside 0 to 1/n,
/// [`BatchTooSmall`](crate::Error::BatchTooSmall) if `n` is 0.
pub fn lemma_4(version: Version, batch_size: usize, lyapunov: f64) -> Result<Bound> {
    let n = nonempty(batch_size)?;
    let lyapunov = within("lyapunov", lyapunov, 1.0 / n, "0 to 1/n")?;
    let constant = match version {
        Version::Printed | Version::Repaired => 2.0 * n,
        Version::Sharp => (n * (n - 1.0)).sqrt(),
    };
    Ok(Bound::new(constant * lyapunov, largest_gap(n)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::bounds::corollary_3;

    /// Where the square of alpha underflows, or one over it overflows: at infinite width two times
    /// a factor of one, at finite width infinite or nearly so; of one sample the gap is zero.
    #[test]
    fn tiny_alphas_give_numbers() {
        use Version::{Printed, Repaired, Sharp};
        for alpha in [1e-153, 1e-160, 1e-170, 1e-308, f64::from_bits(1)] {
            let a1 = A1::new(4, alpha, 10).unwrap();
            let (limit, width) = (Width::INFINITE, Width::finite(4, 100).unwrap());
            let both = |claim: &dyn Fn(Width) -> Bound| [claim(limit), claim(width)];
            for version in [Printed, Repaired, Sharp] {
                let largest = if version == Sharp { largest_gap(4.0) } else { 2.0 };
                let [infinite, finite] = both(&|width| theorem_1(version, a1, width));
                assert!(infinite.value == largest && infinite.vacuous, "{version:?} {alpha}");
                assert!(finite.value > 1e150 && finite.vacuous, "{version:?} {alpha}");
                let [infinite, finite] = both(&|width| corollary_3(version, a1, width));
                assert!(infinite.value == 8.0 * largest && infinite.vacuous);
                assert!(finite.value > 1e150 && finite.vacuous);
            }
            let [infinite, finite] = both(&|width| theorem_1_proof(a1, width));
            assert!(infinite.value == 2.0 && infinite.vacuous);
            assert!(finite.value > 1e150 && finite.vacuous);
            let single = A1::new(1, alpha, 10).unwrap();
            for width in [limit, Width::finite(1, 100).unwrap()] {
                assert_eq!(theorem_1(Sharp, single, width).value, 0.0);
            }
        }
    }
}
