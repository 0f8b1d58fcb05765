//! Claims about infinite width, where nothing is random: violations are searched for.

use nalgebra::{DMatrix, dmatrix};
use orthogap::theory::bounds::{self, A1, Version, Width};
use orthogap::theory::{mean_field, stationary};
use orthogap::{Gram, Input, Result, metric};

use super::claim::{Claim, Kind};

/// All of them; `quick` searches a coarser grid.
pub fn claims(quick: bool) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    let sizes: &[usize] = if quick { &[4, 5, 8, 32] } else { &[2, 3, 4, 5, 6, 8, 16, 32, 64] };
    let mut explored = Vec::new();
    for &n in sizes {
        explored.push((n, explore(n, if quick { 8 } else { 24 })?));
    }
    for (n, Explored { theorem_1, .. }) in &explored {
        claims.push(theorem_1_printed(*n, theorem_1));
    }
    for version in [Version::Repaired, Version::Sharp] {
        let worst = explored.iter().map(|(n, explored)| (*n, explored.worst(version)));
        if let Some((n, case)) = worst.max_by(|a, b| a.1.ratio().total_cmp(&b.1.ratio())) {
            claims.push(theorem_1_repaired(version, n, case));
        }
    }
    for (n, Explored { corollary_3, .. }) in &explored {
        if *n >= 30 {
            claims.push(corollary_3_printed(*n, corollary_3));
        }
    }
    claims.push(corollary_3_rate());
    claims.extend(lemma_4()?);
    claims.push(lemma_8()?);
    claims.push(theorem_5()?);
    claims.extend(appendix_e()?);
    claims.push(local_rate()?);
    Ok(claims)
}

const DETERMINISTIC: &str = "infinite width, nothing random";

/// A start and a number of layers, the gap there and its bound.
#[derive(Clone, Copy)]
struct Case {
    /// Multiplicity of the larger squared singular value.
    k: usize,
    /// `n` times the smaller one.
    n_s0: f64,
    layers: u32,
    value: f64,
    bound: f64,
}

impl Case {
    const NONE: Self = Self { k: 0, n_s0: 1.0, layers: u32::MAX, value: 0.0, bound: 1.0 };

    fn ratio(&self) -> f64 {
        self.value / self.bound
    }

    fn evidence(&self) -> String {
        let Self { k, n_s0, layers, .. } = self;
        format!("{k} larger singular values, n s0 = {n_s0}, l = {layers}; {DETERMINISTIC}")
    }
}

/// The results of a search over starts with two levels.
struct Explored {
    /// The first violation, or else the closest approach, of the printed claim.
    theorem_1: Case,
    corollary_3: Case,
    repaired: Case,
    sharp: Case,
}

impl Explored {
    fn worst(&self, version: Version) -> Case {
        match version {
            Version::Printed => self.theorem_1,
            Version::Repaired => self.repaired,
            Version::Sharp => self.sharp,
        }
    }
}

/// Follows the path from every start of a grid, with alpha the true minimum so far, until the gap
/// falls below the range of `f64`.
fn explore(n: usize, grid: u32) -> Result<Explored> {
    let none = Case::NONE;
    let mut found = Explored { theorem_1: none, corollary_3: none, repaired: none, sharp: none };
    let mut multiplicities = vec![1, n.div_ceil(8), n / 2];
    multiplicities.dedup();
    for k in multiplicities {
        for step in 1..=grid {
            // From 0.995 down to 0.76, denser towards orthogonality, where the rates differ most.
            let n_s0 = 1.0 - 0.24 * (f64::from(step) / f64::from(grid)).powi(2) - 0.005;
            follow(n, k, (n_s0 * 1e4).round() / 1e4, &mut found)?;
        }
    }
    Ok(found)
}

fn follow(n: usize, k: usize, n_s0: f64, found: &mut Explored) -> Result<()> {
    const LAST_LAYER: u32 = 4000;
    const SMALLEST_GAP: f64 = 1e-150; // its square is still a number
    let low = (n_s0 - 1.0) / n as f64;
    let high = -low * (n - k) as f64 / k as f64;
    let start: Vec<f64> = (0..n).map(|i| if i < n - k { low } else { high }).collect();
    let mut deviations = mean_field::map_of_deviations(&start)?;
    let mut alpha = f64::INFINITY;
    for layers in 1..=LAST_LAYER {
        let least = deviations.iter().copied().fold(f64::MAX, f64::min);
        alpha = alpha.min((1.0 / n as f64 + least).sqrt());
        deviations = mean_field::map_of_deviations(&deviations)?;
        let gap = deviations.iter().map(|x| x * x).sum::<f64>().sqrt();
        if gap < SMALLEST_GAP {
            break;
        }
        let a1 = A1::new(n, alpha, layers)?;
        let case = |value, bound| Case { k, n_s0, layers, value, bound };
        let theorem_1 = bounds::theorem_1(Version::Printed, a1, Width::INFINITE).value;
        first_violation(&mut found.theorem_1, case(gap, theorem_1));
        let distance = coupling(&deviations);
        let corollary = bounds::corollary_3(Version::Printed, a1, Width::INFINITE).value;
        first_violation(&mut found.corollary_3, case(distance, corollary));
        for (version, kept) in
            [(Version::Repaired, &mut found.repaired), (Version::Sharp, &mut found.sharp)]
        {
            let bound = bounds::theorem_1(version, a1, Width::INFINITE);
            // Every path comes close to a bound that is hardly below the trivial one.
            if bound.value < 0.1 * bound.trivial {
                closest(kept, case(gap, bound.value));
            }
        }
    }
    Ok(())
}

/// Keeps the violation after the fewest layers; without one the closest approach.
fn first_violation(kept: &mut Case, case: Case) {
    match (kept.ratio() > 1.0, case.ratio() > 1.0) {
        (false, _) => closest(kept, case),
        (true, true) if case.layers < kept.layers => *kept = case,
        (true, _) => {}
    }
}

fn closest(kept: &mut Case, case: Case) {
    if case.ratio() > kept.ratio() {
        *kept = case;
    }
}

/// The squared Wasserstein-2 distance given H, from deviations.
fn coupling(deviations: &[f64]) -> f64 {
    let mean = 1.0 / deviations.len() as f64;
    let difference = |delta: &f64| delta / ((mean + delta).sqrt() + mean.sqrt());
    deviations.iter().map(|delta| difference(delta).powi(2)).sum()
}

fn theorem_1_printed(n: usize, case: &Case) -> Claim {
    Claim {
        name: format!("Theorem 1, n = {n}"),
        source: "Theorem 1",
        statement: "sigma_n >= alpha in layers 1..l  =>  E V_{l+1} <= 2 (1 - 2 alpha/3)^l + 3n/(alpha sqrt d)",
        kind: Kind::Printed,
        evidence: case.evidence(),
        value: case.value,
        bound: case.bound,
        standard_error: 0.0,
        vacuous: false,
    }
}

fn theorem_1_repaired(version: Version, n: usize, case: Case) -> Claim {
    let (name, statement, kind) = match version {
        Version::Sharp => (
            "Theorem 1, sharp",
            "V_{l+1} <= sqrt(1 - 1/n) [(1 - 2n alpha^2/(n+2))^l + (n+2)/(2 alpha^2 sqrt d)]",
            Kind::Bound,
        ),
        _ => (
            "Theorem 1, repaired",
            "V_{l+1} <= 2 (1 - 2 alpha^2/3)^l + 3n/(alpha^2 sqrt d)",
            Kind::Repaired,
        ),
    };
    Claim {
        name: name.to_owned(),
        source: "its proof, with sigma_n^2 >= alpha^2",
        statement,
        kind,
        evidence: format!("closest approach of all paths searched: n = {n}, {}", case.evidence()),
        value: case.value,
        bound: case.bound,
        standard_error: 0.0,
        vacuous: case.bound >= (1.0 - 1.0 / n as f64).sqrt(),
    }
}

fn corollary_3_printed(n: usize, case: &Case) -> Claim {
    Claim {
        name: format!("Corollary 3, n = {n}"),
        source: "Corollary 3",
        statement: "W2(W H_{l+1}, G/sqrt n)^2 <= 2n [2 (1 - 2 alpha/3)^l + 3n/(alpha sqrt d)]",
        kind: Kind::Printed,
        evidence: case.evidence(),
        value: case.value,
        bound: case.bound,
        standard_error: 0.0,
        vacuous: false,
    }
}

/// The smallest batch at which the printed rate is too small, so that the claim fails at some
/// depth.
fn corollary_3_rate() -> Claim {
    let printed = |n: usize| 1.0 - 2.0 / (3.0 * (n as f64).sqrt());
    let true_rate = |n: usize| stationary::decay_rate(n).powi(2);
    let first = (1..).find(|&n| true_rate(n) > printed(n)).unwrap_or(usize::MAX);
    Claim {
        name: format!("Corollary 3, rate at n = {first}"),
        source: "Corollary 3",
        statement: "near orthogonality W2^2 shrinks by at least 1 - 2/(3 sqrt n) a layer",
        kind: Kind::Printed,
        evidence: format!(
            "true rate (n/(n+2))^2; n = {first} is the first batch at which it is larger"
        ),
        value: true_rate(first),
        bound: printed(first),
        standard_error: 0.0,
        vacuous: false,
    }
}

fn lemma_4() -> Result<Vec<Claim>> {
    let n = 8;
    let gram = Input::spiked(n, 0.5)?.gram().clone();
    let claim = |version, name: &str, statement| {
        let bound = bounds::lemma_4(version, n, gram.lyapunov())?;
        Ok(Claim {
            name: name.to_owned(),
            source: "Lemma 4",
            statement,
            kind: if version == Version::Printed { Kind::Printed } else { Kind::Bound },
            evidence: "n = 8, all eigenvalues equal but the largest".to_owned(),
            value: gram.orthogonality_gap(),
            bound: bound.value,
            standard_error: 0.0,
            vacuous: bound.vacuous,
        })
    };
    Ok(vec![
        claim(Version::Printed, "Lemma 4", "V <= 2n Vhat")?,
        claim(Version::Sharp, "Lemma 4, sharp", "V <= sqrt(n(n-1)) Vhat")?,
    ])
}

/// Spectra that differ in the number of large eigenvalues and in how large they are.
fn spectra(n: usize) -> impl Iterator<Item = Vec<f64>> {
    let cases = (1..n).flat_map(|k| [1e-4, 1e-2, 0.3, 1.0, 3.0, 9.0].map(|log| (k, log)));
    cases.map(move |(k, log): (usize, f64)| {
        let sum = (n - k) as f64 + k as f64 * log.exp();
        (0..n).map(|i| if i < k { log.exp() / sum } else { 1.0 / sum }).collect()
    })
}

/// The spectrum that comes closest to a bound on the next Lyapunov function.
fn closest_spectrum(
    bound: impl Fn(usize, f64) -> Result<bounds::Bound>,
) -> Result<(usize, f64, bounds::Bound)> {
    let (mut closest, mut largest) = (None, 0.0);
    for n in [2, 4, 8, 16] {
        for spectrum in spectra(n) {
            let next = 1.0 / n as f64 - mean_field::map(&spectrum)?[n - 1];
            let bound = bound(n, spectrum[n - 1])?;
            let ratio = next / bound.value;
            // Close to the largest possible value, every ratio is close to one.
            let speaks = bound.value < 0.9 * bound.trivial || ratio > 1.0;
            if closest.is_none() || speaks && ratio > largest {
                largest = ratio;
                closest = Some((n, next, bound));
            }
        }
    }
    closest.ok_or(orthogap::Error::Empty { rows: 0, columns: 0 })
}

fn lemma_8() -> Result<Claim> {
    let (n, value, bound) = closest_spectrum(bounds::lemma_8)?;
    Ok(Claim {
        name: "Lemma 8".to_owned(),
        source: "Lemma 8",
        statement: "1/n - p_n <= (1 - (2n/(n+2)) lambda_n) (1/n - lambda_n)",
        kind: Kind::Printed,
        evidence: format!("closest approach of 156 spectra, n = 2 to 16: n = {n}; {DETERMINISTIC}"),
        value,
        bound: bound.value,
        standard_error: 0.0,
        vacuous: bound.vacuous,
    })
}

fn theorem_5() -> Result<Claim> {
    let (n, value, bound) = closest_spectrum(|n, least| {
        bounds::theorem_5(Version::Printed, n, 1.0 / n as f64 - least, Width::INFINITE)
    })?;
    Ok(Claim {
        name: "Theorem 5, infinite width".to_owned(),
        source: "Theorem 5",
        statement: "E Vhat' <= (1 - (2/3)(1/n - Vhat)) Vhat + 1/sqrt d",
        kind: Kind::Printed,
        evidence: format!("closest approach of 156 spectra, n = 2 to 16: n = {n}; {DETERMINISTIC}"),
        value,
        bound: bound.value,
        standard_error: 0.0,
        vacuous: bound.vacuous,
    })
}

fn appendix_e() -> Result<Vec<Claim>> {
    let gram = Input::near_collinear(4, 0.3)?.gram().clone();
    let roots = DMatrix::from_diagonal(&bounds::appendix_e(&gram.spectrum()).into());
    let orthogonal = Claim {
        name: "Appendix E, orthogonal V'".to_owned(),
        source: "Appendix E",
        statement: "W = V' Sigma^(-1/2) U^T / |Sigma^(1/2)|_F gives V(W H) < V(H), n <= d",
        kind: Kind::Repaired,
        evidence: "four nearly collinear samples".to_owned(),
        value: Gram::from_factor(roots)?.orthogonality_gap(),
        bound: gram.orthogonality_gap(),
        standard_error: 0.0,
        vacuous: false,
    };
    // U = Sigma = I, so W is the slice over sqrt 2.
    let root = 0.5f64.sqrt();
    let v = dmatrix![1.0, 0.0; 0.0, root; 0.0, root];
    let h = v.transpose();
    let slice = v.rows(0, 2) * &h;
    let literal = Claim {
        name: "Appendix E, V' a slice of V".to_owned(),
        statement: "the same with V' the first rows of V",
        kind: Kind::Printed,
        evidence: "H = V^T, V = [[1, 0], [0, 1/sqrt 2], [0, 1/sqrt 2]]".to_owned(),
        value: metric::orthogonality_gap(&slice)?,
        bound: metric::orthogonality_gap(&h)?,
        ..orthogonal.clone()
    };
    Ok(vec![orthogonal, literal])
}

fn local_rate() -> Result<Claim> {
    let n = 16;
    let mut deviations = vec![-1e-100; n];
    deviations[0] = 15e-100;
    let next = mean_field::map_of_deviations(&deviations)?;
    Ok(Claim {
        name: "local rate".to_owned(),
        source: "linearisation",
        statement: "near orthogonality the gap shrinks by n/(n+2) a layer",
        kind: Kind::Equal,
        evidence: format!("n = 16, a gap of 1e-99; {DETERMINISTIC}"),
        value: next[0] / deviations[0],
        bound: stationary::decay_rate(n),
        standard_error: 0.0,
        vacuous: false,
    })
}
