//! Claims about finite width, held against simulation.

use orthogap::activation::fearless_simd::{Simd, SimdFloat};
use orthogap::activation::{Activation, Relu, Sin, Tanh};
use orthogap::collapse;
use orthogap::metric::MinSingularValue;
use orthogap::normalization::Normalization;
use orthogap::statistics::Moments;
use orthogap::theory::bounds::{self, A1, Bound, Version, Width};
use orthogap::theory::mean_field::MeanFieldChain;
use orthogap::theory::{critical_width, stationary, wasserstein_law};
use orthogap::{Gram, Input, Network, Result, Seed};

use super::claim::{Claim, Kind};

/// How much is simulated, from which seed.
#[derive(Clone, Copy)]
pub struct Effort {
    pub quick: bool,
    pub seed: Seed,
}

impl Effort {
    /// A number of runs or layers; an eighth of it under `--quick`.
    fn scaled(self, full: u32) -> u32 {
        if self.quick { full / 8 } else { full }
    }

    fn evidence(self, what: &str) -> String {
        format!("{what}, seed {}", self.seed.0)
    }
}

/// All of them.
pub fn claims(effort: Effort) -> Result<Vec<Claim>> {
    let mut claims = one_layer(effort)?;
    claims.extend(stationary_law(effort)?);
    claims.push(wasserstein(effort)?);
    claims.push(assumption_a1(effort)?);
    claims.extend(figure_2b(effort)?);
    claims.extend(appendix_f(effort)?);
    claims.push(dead_samples(effort)?);
    claims.extend(rank_collapse(effort)?);
    Ok(claims)
}

/// Lemma 6 and Theorem 5: many draws of the layer after one input.
fn one_layer(effort: Effort) -> Result<Vec<Claim>> {
    let (n, d) = (4, 64);
    let input = Input::near_collinear(n, 0.5)?;
    let gram = input.gram();
    let mut infinite = MeanFieldChain::new(gram)?;
    let mean = infinite.step().matrix();
    let (mut entries, mut distance) = (vec![Moments::new(); n * n], Moments::new());
    let mut lyapunov = Moments::new();
    let runs = effort.scaled(40_000);
    for run in 0..runs {
        let mut chain = Network::<f64>::new(d).chain(&input, effort.seed.replicate(run))?;
        let layer = chain.step()?;
        let matrix = layer.matrix();
        entries.iter_mut().zip(&matrix).for_each(|(moments, x)| moments.push(*x));
        distance.push((matrix - &mean).norm_squared());
        lyapunov.push(layer.lyapunov());
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
            bounds::lemma_6(width),
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
            "Theorem 5",
            "Theorem 5",
            "E Vhat' <= (1 - (2/3)(1/n - Vhat)) Vhat + 1/sqrt d",
            &lyapunov,
            theorem_5,
        ),
        mean_claim,
    ])
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

/// Section 5 of the theory, and what the paper's bounds say in the same place.
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
    let law = |name, statement, moments: &Moments, predicted, allowed| Claim {
        bound: predicted,
        vacuous: false,
        ..claim(
            name,
            "linearisation, large width",
            statement,
            Kind::Near(allowed),
            moments,
            bounds::lemma_6(Width::INFINITE),
        )
    };
    // The kindest assumption: alpha = 1/sqrt n on so many layers that the first term is gone.
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

/// Section 6: the distance between the laws of W H and G/sqrt n, from below.
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
    let vanilla = Network::<f64>::new(d).normalization(Normalization::None);
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

/// The slope of y over log d by least squares.
fn slope(widths: &[usize], y: &[f64]) -> f64 {
    let x: Vec<f64> = widths.iter().map(|d| (*d as f64).ln()).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (x_mean, y_mean) = (mean(&x), mean(y));
    let products = x.iter().zip(y).map(|(x, y)| (x - x_mean) * (y - y_mean));
    products.sum::<f64>() / x.iter().map(|x| (x - x_mean).powi(2)).sum::<f64>()
}

fn figure_2b(effort: Effort) -> Result<Vec<Claim>> {
    let (n, widths) = (4, [16, 32, 64, 128, 256, 512]);
    let input = Input::spiked(n, 1e-6)?;
    let (mut all, mut late) = (Moments::new(), Moments::new());
    let runs = effort.scaled(160);
    for run in 0..runs {
        let mut logs = [const { Vec::new() }; 2];
        for d in widths {
            let chain = Network::<f64>::new(d).chain(&input, effort.seed.replicate(run))?;
            let gaps: Result<Vec<f64>> =
                chain.take(500).map(|layer| Ok(layer?.orthogonality_gap())).collect();
            let gaps = gaps?;
            for (logs, skipped) in logs.iter_mut().zip([0, 100]) {
                let late = &gaps[skipped..];
                logs.push((late.iter().sum::<f64>() / late.len() as f64).ln());
            }
        }
        all.push(slope(&widths, &logs[0]));
        late.push(slope(&widths, &logs[1]));
    }
    let printed = Claim {
        name: "Figure 2b, slope".to_owned(),
        source: "Figure 2b",
        statement: "log mean gap of 500 layers against log d, n = 4: slope -0.46",
        kind: Kind::Near(0.02),
        evidence: effort.evidence(&format!("{runs} runs, d = 16 to 512")),
        value: all.mean(),
        bound: -0.46,
        standard_error: all.standard_error(),
        vacuous: false,
    };
    let law = Claim {
        name: "Figure 2b without its transient".to_owned(),
        source: "linearisation, large width",
        statement: "the same without the first 100 layers: slope -1/2 at large width",
        kind: Kind::Near(0.03),
        value: late.mean(),
        bound: -0.5,
        standard_error: late.standard_error(),
        ..printed.clone()
    };
    Ok(vec![printed, law])
}

#[derive(Clone, Copy)]
struct OnePlusTanh;

impl Activation for OnePlusTanh {
    #[inline(always)]
    fn f64<S: Simd, V: SimdFloat<S, Element = f64>>(self, simd: S, x: V) -> V {
        Tanh.f64(simd, x) + V::splat(simd, 1.0)
    }
    #[inline(always)]
    fn f32<S: Simd, V: SimdFloat<S, Element = f32>>(self, simd: S, x: V) -> V {
        Tanh.f32(simd, x) + V::splat(simd, 1.0)
    }
}

fn appendix_f(effort: Effort) -> Result<Vec<Claim>> {
    Ok(vec![
        appendix_f_of(effort, "ReLU", Relu)?,
        appendix_f_of(effort, "tanh", Tanh)?,
        appendix_f_of(effort, "sin", Sin)?,
        appendix_f_of(effort, "1 + tanh", OnePlusTanh)?,
    ])
}

fn appendix_f_of<A: Activation>(effort: Effort, name: &str, activation: A) -> Result<Claim> {
    let (n, widths) = (4, [16, 32, 64, 128, 256]);
    let (runs, layers) = (effort.scaled(64), 1000);
    let mut slopes = Moments::new();
    for run in 0..runs {
        let mut logs = Vec::new();
        for d in widths {
            let network = Network::<f64>::new(d).activation(activation);
            let mut chain = network.chain(&Input::orthogonal(n)?, effort.seed.replicate(run))?;
            chain.advance(50)?;
            let matrices: Result<Vec<_>> =
                (0..layers).map(|_| Ok(chain.step()?.matrix())).collect();
            let matrices = matrices?;
            // Samples are exchangeable, so two numbers make the stationary mean.
            let (mut diagonal, mut others) = (Moments::new(), Moments::new());
            for matrix in &matrices {
                diagonal.push(matrix.trace() / n as f64);
                others.push((matrix.sum() - matrix.trace()) / (n * (n - 1)) as f64);
            }
            let mut mean = matrices[0].clone();
            mean.fill(others.mean());
            mean.fill_diagonal(diagonal.mean());
            let distance = matrices.iter().map(|matrix| (matrix - &mean).norm()).sum::<f64>();
            logs.push((distance / f64::from(layers)).ln());
        }
        slopes.push(slope(&widths, &logs));
    }
    Ok(Claim {
        name: format!("Appendix F, {name}"),
        source: "Appendix F, Figure 6",
        statement: "E |Gram - stationary mean|_F = O(1/sqrt d): the slope against d = 16 to 256",
        kind: Kind::Near(0.15),
        evidence: effort.evidence(&format!("n = {n}, {runs} runs of {layers} layers")),
        value: slopes.mean(),
        bound: -0.5,
        standard_error: slopes.standard_error(),
        vacuous: false,
    })
}

/// A sample that all neurons rectify to zero never comes back.
fn dead_samples(effort: Effort) -> Result<Claim> {
    let (n, d) = (4, 10); // three samples of four at once would be a collapse: one run in 10^8
    let mut dead = Moments::new();
    let runs = effort.scaled(320_000);
    let input = Input::orthogonal(n)?;
    for run in 0..runs {
        let network = Network::<f64>::new(d).activation(Relu);
        let mut chain = network.chain(&input, effort.seed.replicate(run))?;
        let columns = chain.step()?.factor().column_iter().filter(|c| c.amax() == 0.0).count();
        dead.push(columns as f64);
    }
    Ok(Claim {
        name: "Appendix F, ReLU is not ergodic".to_owned(),
        source: "signs are independent",
        statement: "samples lost for good in a layer: n 2^-d",
        kind: Kind::Equal,
        evidence: effort.evidence(&format!("n = {n}, d = {d}, {runs} first layers")),
        value: dead.mean(),
        bound: n as f64 * 0.5f64.powi(d as i32),
        standard_error: dead.standard_error(),
        vacuous: false,
    })
}

fn rank_collapse(effort: Effort) -> Result<Vec<Claim>> {
    let layers = effort.scaled(160_000) as usize;
    let decay = collapse::growth_rate(8, 16, layers, effort.seed)?;
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
        let critical = collapse::critical_width(n, layers / 2, effort.seed)?;
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
