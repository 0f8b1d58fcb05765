//! Claims about finite width, tested by simulation.

use orthogap::experiment::critical_width as measured;
use orthogap::metric::MinSingularValue;
use orthogap::normalization::Normalization;
use orthogap::statistics::Moments;
use orthogap::theory::bounds::{self, A1, Bound, Version, Width};
use orthogap::theory::mean_field::MeanFieldChain;
use orthogap::theory::{critical_width, stationary, wasserstein_law};
use orthogap::{Gram, Input, Network, Result, Seed};

use super::claim::{Claim, Kind};

/// The amount of simulation, and the seed.
#[derive(Clone, Copy)]
pub struct Effort {
    pub quick: bool,
    pub seed: Seed,
}

impl Effort {
    /// A number of runs or layers; an eighth of it under `--quick`.
    pub fn scaled(self, full: u32) -> u32 {
        if self.quick { full / 8 } else { full }
    }

    pub fn evidence(self, what: &str) -> String {
        format!("{what}, seed {}", self.seed.0)
    }
}

/// The claims of theorems and laws.
pub fn claims(effort: Effort) -> Result<Vec<Claim>> {
    let mut claims = one_layer(effort)?;
    claims.push(without_assumption(effort)?);
    claims.extend(stationary_law(effort)?);
    claims.push(wasserstein(effort)?);
    claims.push(assumption_a1(effort)?);
    claims.extend(rank_collapse(effort)?);
    Ok(claims)
}

/// Lemmas 6 and 7 and Theorem 5: many draws of the layer after one input.
fn one_layer(effort: Effort) -> Result<Vec<Claim>> {
    let (n, d) = (4, 64);
    let input = Input::near_collinear(n, 0.5)?;
    let gram = input.gram();
    let mut infinite = MeanFieldChain::new(gram)?;
    let next = infinite.step().gram().clone();
    let (mean, predicted) = (next.matrix(), next.lyapunov());
    let (mut entries, mut distance) = (vec![Moments::new(); n * n], Moments::new());
    let (mut lyapunov, mut square) = (Moments::new(), Moments::new());
    let runs = effort.scaled(40_000);
    for run in 0..runs {
        let mut chain = Network::<f64>::new(d).chain(&input, effort.seed.replicate(run))?;
        let layer = chain.step()?;
        let matrix = layer.matrix();
        entries.iter_mut().zip(&matrix).for_each(|(moments, x)| moments.push(*x));
        distance.push((matrix - &mean).norm_squared());
        lyapunov.push(layer.lyapunov());
        square.push((layer.lyapunov() - predicted).powi(2));
    }
    let z = entries
        .iter()
        .zip(&mean)
        .map(|(moments, mean)| ((moments.mean() - mean) / moments.standard_error()).abs());
    let width = Width::finite(n, d)?;
    let eigenvalues: Vec<f64> = gram.singular_values().iter().map(|sigma| sigma * sigma).collect();
    let noise = bounds::noise(&eigenvalues, width)?;
    let evidence = effort.evidence(&format!("n = {n}, d = {d}, {runs} layers after one input"));
    let mean_claim = Claim {
        name: "Lemma 6, mean".to_owned(),
        source: "Lemma 6",
        statement: "E C' = U diag(p) U^T: largest deviation of an entry, in standard errors",
        kind: Kind::Bound,
        evidence: evidence.clone(),
        value: z.fold(0.0, f64::max),
        bound: 4.5,
        standard_error: 0.0,
        vacuous: false,
    };
    let bounded = |name: &str, source, statement, moments: &Moments, bound: Bound| Claim {
        name: name.to_owned(),
        source,
        statement,
        kind: Kind::Printed,
        value: moments.mean(),
        bound: bound.value,
        standard_error: moments.standard_error(),
        vacuous: bound.vacuous,
        ..mean_claim.clone()
    };
    let theorem_5 = bounds::theorem_5(Version::Printed, n, gram.lyapunov(), width)?;
    Ok(vec![
        bounded(
            "Lemma 6",
            "Lemma 6",
            "E |C' - E C'|_F^2 <= 1/d",
            &distance,
            bounds::lemma_6(n, width)?,
        ),
        Claim {
            name: "Lemma 6, sharp".to_owned(),
            source: "rows are independent",
            statement: "E |C' - E C'|_F^2 = (1 - sum p_i^2)/d",
            kind: Kind::Equal,
            value: distance.mean(),
            bound: noise,
            standard_error: distance.standard_error(),
            ..mean_claim.clone()
        },
        bounded(
            "Lemma 7",
            "Lemma 7",
            "E (Vhat' - (1/n - p_n))^2 <= 1/d",
            &square,
            bounds::lemma_7(n, width)?,
        ),
        Claim {
            kind: Kind::Bound,
            ..bounded(
                "Lemma 7, sharp",
                "the noise has trace zero",
                "E (Vhat' - (1/n - p_n))^2 <= (1 - 1/n)(1 - sum p_i^2)/d",
                &square,
                bounds::lemma_7_sharp(&eigenvalues, width)?,
            )
        },
        bounded(
            "Theorem 5",
            "Theorem 5",
            "E Vhat' <= (1 - (2/3)(1/n - Vhat)) Vhat + 1/sqrt d",
            &lyapunov,
            theorem_5,
        ),
        mean_claim,
    ])
}

/// Appendix B.1: a mean over the first layers of two samples, at a width at which it is not
/// vacuous.
fn without_assumption(effort: Effort) -> Result<Claim> {
    let (n, d, layers) = (2, 1024, 100);
    let input = Input::near_collinear(n, 0.01)?;
    let mut products = Moments::new();
    let runs = effort.scaled(400);
    for run in 0..runs {
        let mut chain = Network::<f64>::new(d).chain(&input, effort.seed.replicate(run))?;
        let mut mean = Moments::new();
        for _ in 0..layers {
            let lyapunov = chain.step()?.lyapunov();
            mean.push(lyapunov * (0.5 - lyapunov));
        }
        products.push(mean.mean());
    }
    let lyapunov = input.gram().lyapunov();
    let width = Width::finite(n, d)?;
    let bound = bounds::appendix_b1(Version::Printed, n, lyapunov, layers, width)?;
    let evidence = format!("n = {n}, d = {d}, {runs} runs of {layers} layers after one input");
    Ok(Claim {
        name: "Appendix B.1".to_owned(),
        source: "Appendix B.1",
        statement: "mean over layers of E Vhat (1/n - Vhat) <= (3/2) (Vhat(H_0)/l + 1/sqrt d)",
        kind: Kind::Printed,
        evidence: effort.evidence(&evidence),
        value: products.mean(),
        bound: bound.value,
        standard_error: products.standard_error(),
        vacuous: bound.vacuous,
    })
}

/// Means over late layers of some numbers, one mean a run.
fn late_means<const K: usize>(
    effort: Effort,
    (n, d): (usize, usize),
    measure: impl Fn(&Gram) -> [f64; K],
) -> Result<[Moments; K]> {
    let mut moments = [Moments::new(); K];
    for run in 0..effort.scaled(400) {
        let input = Input::orthogonal(n)?;
        let mut chain = Network::<f64>::new(d).chain(&input, effort.seed.replicate(run))?;
        chain.advance(20 * n)?;
        let mut means = [Moments::new(); K];
        for _ in 0..20 {
            let values = measure(chain.advance(n)?.gram());
            means.iter_mut().zip(values).for_each(|(moments, x)| moments.push(x));
        }
        moments.iter_mut().zip(means).for_each(|(moments, mean)| moments.push(mean.mean()));
    }
    Ok(moments)
}

/// The stationary law, and the bounds of the paper on the same quantities.
fn stationary_law(effort: Effort) -> Result<Vec<Claim>> {
    let (n, d) = (4, 512);
    let [gap, square, lyapunov, coupling] = late_means(effort, (n, d), |gram| {
        let gap = gram.orthogonality_gap();
        [gap, gap * gap, gram.lyapunov(), gram.coupling_bound()]
    })?;
    let runs = effort.scaled(400);
    let evidence = effort.evidence(&format!("n = {n}, d = {d}, {runs} runs of 20 late layers"));
    let claim = |name: &str, source, statement, kind, moments: &Moments, bound: Bound| Claim {
        name: name.to_owned(),
        source,
        statement,
        kind,
        evidence: evidence.clone(),
        value: moments.mean(),
        bound: bound.value,
        standard_error: moments.standard_error(),
        vacuous: bound.vacuous,
    };
    let any = bounds::lemma_6(n, Width::INFINITE)?; // its numbers are replaced
    let law = |name, statement, moments: &Moments, predicted, allowed| Claim {
        bound: predicted,
        vacuous: false,
        ..claim(name, "linearisation, large width", statement, Kind::Near(allowed), moments, any)
    };
    // The most favourable assumption: alpha = 1/sqrt n on so many layers that the first term
    // vanishes.
    let a1 = A1::new(n, 0.5, 10_000)?;
    let width = Width::finite(n, d)?;
    let theorem_1 = "E V(H_{l+1}) <= 2 (1 - 2 alpha/3)^l + 3n/(alpha sqrt d), alpha = 1/sqrt n";
    let corollary_3 = "W2^2 <= 2n times the bound of Theorem 1, alpha = 1/sqrt n";
    Ok(vec![
        claim(
            "Theorem 1, d = 512",
            "Theorem 1",
            theorem_1,
            Kind::Printed,
            &gap,
            bounds::theorem_1(Version::Printed, a1, width),
        ),
        claim(
            "Corollary 3, d = 512",
            "Corollary 3",
            corollary_3,
            Kind::Printed,
            &coupling,
            bounds::corollary_3(Version::Printed, a1, width),
        ),
        claim(
            "Lemma 2",
            "Lemma 2",
            "W2^2 <= E sum (sigma_i - 1/sqrt n)^2 <= 2n E V",
            Kind::Printed,
            &coupling,
            bounds::lemma_2(n, gap.mean())?,
        ),
        claim(
            "Lemma 2, sharp",
            "its proof",
            "W2^2 <= E sum (sigma_i - 1/sqrt n)^2 <= n E V^2",
            Kind::Bound,
            &coupling,
            bounds::lemma_2_sharp(n, square.mean())?,
        ),
        // Corrections of relative order 1/d; of 1/sqrt d where an extreme eigenvalue is.
        law(
            "stationary E V",
            "sqrt(E V^2) times a chi mean",
            &gap,
            stationary::mean_gap(n, d),
            3e-3,
        ),
        law(
            "stationary E V^2",
            "(1 - 1/n)(n+2)^2 / (4(n+1)d)",
            &square,
            stationary::mean_squared_gap(n, d),
            5e-3,
        ),
        law(
            "stationary E Vhat",
            "largest eigenvalue of the Gaussian orthogonal ensemble",
            &lyapunov,
            stationary::mean_lyapunov(n, d),
            0.03,
        ),
        law(
            "stationary coupling bound",
            "E sum (sigma_i - 1/sqrt n)^2 = n E V^2 / 4",
            &coupling,
            stationary::mean_coupling_bound(n, d),
            0.01,
        ),
    ])
}

/// A lower bound on the distance between the laws of W H and G/sqrt n.
fn wasserstein(effort: Effort) -> Result<Claim> {
    let (n, d) = (4, 512);
    let groups = effort.scaled(32);
    let isotropic = Input::orthogonal(n)?;
    let mut bound = Moments::new();
    for group in 0..groups {
        let mut chain = Network::<f64>::new(d).chain(&isotropic, effort.seed.replicate(group))?;
        let (mut product, mut gaussian) = (Vec::new(), Vec::new());
        for sample in 0..4000 {
            let layer = Input::from_gram(chain.advance(6)?.gram().clone());
            let run = group * 4000 + sample;
            product.push(after_weights(&layer, Seed(effort.seed.0 ^ 1 << 32), d, run)?);
            gaussian.push(after_weights(&isotropic, Seed(effort.seed.0 ^ 2 << 32), d, run)?);
        }
        bound.push(wasserstein_law::lower_bound(&product, &gaussian)?);
    }
    Ok(Claim {
        name: "W2^2 to a Gaussian".to_owned(),
        source: "rotation invariance, large width",
        statement: "W2^2 = (n+2)(n-1)/(4nd) (sqrt(1 + n(n+2)/(4(n+1))) - 1)^2",
        kind: Kind::Near(0.02),
        evidence: effort.evidence(&format!(
            "n = {n}, d = {d}, certified lower bound, {groups} groups of 4000 pairs"
        )),
        value: bound.mean(),
        bound: wasserstein_law::squared_distance(n, d),
        standard_error: bound.standard_error(),
        vacuous: false,
    })
}

/// Singular values of W H for H of norm one, or G/sqrt n for orthogonal H; W is N(0, 1/d).
fn after_weights(input: &Input, seed: Seed, d: usize, run: u32) -> Result<Vec<f64>> {
    let vanilla = Network::<f64>::new(d).with_normalization(Normalization::None);
    let mut chain = vanilla.chain(input, seed.replicate(run))?;
    let before = chain.layer().log_scale();
    let layer = chain.step()?;
    let length = (layer.log_scale() - before).exp();
    Ok(layer.singular_values().iter().map(|sigma| sigma * length).collect())
}

/// No alpha bounds the smallest singular value of all layers from below.
fn assumption_a1(effort: Effort) -> Result<Claim> {
    let (n, d, alpha, layers) = (4, 16, 0.1, effort.scaled(16_000));
    let mut broken = Moments::new();
    for run in 0..effort.scaled(320) {
        let input = Input::orthogonal(n)?;
        let mut chain = Network::<f64>::new(d).chain(&input, effort.seed.replicate(run))?;
        let mut least = MinSingularValue::new();
        for _ in 0..layers {
            least.observe(chain.step()?);
            if least.value() < alpha {
                break;
            }
        }
        broken.push(f64::from(u8::from(least.value() < alpha)));
    }
    Ok(Claim {
        name: "A1(alpha, l) for all l".to_owned(),
        source: "assumption of Theorem 1",
        statement: "sigma_n(H_k) >= alpha for all layers k: the share of runs in which it is broken",
        kind: Kind::Printed,
        evidence: effort.evidence(&format!("n = {n}, d = {d}, alpha = {alpha}, {layers} layers")),
        value: broken.mean(),
        bound: 0.0,
        standard_error: broken.standard_error(),
        vacuous: false,
    })
}

fn rank_collapse(effort: Effort) -> Result<Vec<Claim>> {
    let layers = effort.scaled(160_000) as usize;
    let decay = measured::growth_rate(8, 16, layers, effort.seed)?;
    let mut claims = vec![Claim {
        name: "rank is kept whenever d >= n".to_owned(),
        source: "common reading of the paper",
        statement: "a nearly lost direction does not shrink: minus its mean log growth a layer",
        kind: Kind::Printed,
        evidence: effort.evidence(&format!("n = 8, d = 16, {layers} layers")),
        value: -decay.mean(),
        bound: 0.0,
        standard_error: decay.standard_error(),
        vacuous: false,
    }];
    for n in [2, 3, 4, 6, 8, 12] {
        let critical = measured::estimate(n, layers / 2, effort.seed)?;
        claims.push(Claim {
            name: format!("critical width, n = {n}"),
            source: "rule of thumb n^2/4",
            statement: "a nearly lost direction neither grows nor shrinks at a width of n^2/4, within a factor of two",
            kind: Kind::Near(1.0),
            evidence: effort.evidence(&format!(
                "smallest width with growth {}, {} layers a width",
                critical.width,
                layers / 2
            )),
            value: critical.crossing,
            bound: critical_width::predicted(n),
            standard_error: critical.standard_error,
            vacuous: false,
        });
    }
    Ok(claims)
}
