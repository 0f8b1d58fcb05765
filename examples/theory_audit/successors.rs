//! Claims of the papers that followed: kernel maps, isometry, gradients.

use std::f64::consts::PI;

use orthogap::Activation::{
    Elu, Erf, Gelu, LeakyRelu, Logistic, Relu, ShiftedTanh, Silu, Sin, Tanh,
};
use orthogap::backward::Top;
use orthogap::nalgebra::DMatrix;
use orthogap::normalization::BatchNorm;
use orthogap::statistics::Moments;
use orthogap::theory::backward::{squared_growth, squared_growth_centred};
use orthogap::theory::bounds::Version;
use orthogap::theory::kernel_map::{Attraction, KernelMap};
use orthogap::{Activation, Input, Network, Purpose, Result};

use super::claim::{Claim, Kind};
use super::finite::Effort;

const ATTRACTION: &str = "Joudaki and Hofmann 2025, global attraction";

/// All of them.
pub fn claims(effort: Effort) -> Result<Vec<Claim>> {
    let mut claims = attraction()?;
    claims.push(relu_slope()?);
    claims.push(relu_decay()?);
    claims.push(isometry(effort)?);
    claims.extend(gradients(effort)?);
    Ok(claims)
}

/// F = 1 + (x³ - 3x)/sqrt(6), whose map is (1 + rho³)/2.
fn cubic() -> Activation {
    Activation::custom("cubic", |x| 1.0 + (x * x * x - 3.0 * x) / 6f64.sqrt())
        .with_derivative(|x| (3.0 * x * x - 3.0) / 6f64.sqrt())
}

/// The four statements of the theorem, by the closest approach to the bound or the worst violation.
fn attraction() -> Result<Vec<Claim>> {
    let orthogonal = [Tanh, Sin, Erf];
    let aligned = [Logistic, ShiftedTanh];
    let critical = [Relu, LeakyRelu { slope: 0.2 }];
    let angle = [Gelu, Silu, Elu, cubic()];
    let printed = (Kind::Printed, Version::Printed);
    let repaired = (Kind::Repaired, Version::Repaired);
    Ok(vec![
        closest(
            "Attraction, orthogonal",
            "rho/(1 - rho) falls by 1/(2 - kappa'(0))",
            &orthogonal,
            printed,
        )?,
        closest("Attraction, aligned", "1 - rho falls by kappa'(1)", &aligned, printed)?,
        closest("Attraction, critical", "1 - rho falls like 1/l", &critical, printed)?,
        closest("Attraction, an angle", "the distance to rho* falls by a", &angle, printed)?,
        closest(
            "Attraction, an angle, repaired",
            "the same with 1/(2 - kappa'(rho*))",
            &angle,
            repaired,
        )?,
    ])
}

fn closest(
    name: &str,
    statement: &'static str,
    activations: &[Activation],
    (kind, version): (Kind, Version),
) -> Result<Claim> {
    const ROUNDING: f64 = 1e-9;
    let mut found = (0.0, 1.0, String::new());
    for activation in activations {
        let map = KernelMap::new(activation)?;
        let theorem = Attraction::new(&map, version)?;
        let goal = map.fixed_point()?.map_or(0.0, |point| point.cosine);
        // A start next to one takes many layers to leave it.
        for (start, layers) in [(-0.9, 8), (0.9, 8), (1.0 - 1e-6, 40)] {
            for (cosine, layer) in map.layers(start).take(layers).zip(1..) {
                let (distance, bound) = ((cosine? - goal).abs(), theorem.distance(start, layer)?);
                if distance > ROUNDING && distance * found.1 > found.0 * bound {
                    let evidence = format!("{activation} from {start}, layer {layer}");
                    found = (distance, bound, evidence);
                }
            }
        }
    }
    let (value, bound, evidence) = found;
    let (name, standard_error, vacuous) = (name.to_owned(), 0.0, false);
    Ok(Claim {
        name,
        source: ATTRACTION,
        statement,
        kind,
        evidence,
        value,
        bound,
        standard_error,
        vacuous,
    })
}

fn relu_slope() -> Result<Claim> {
    Ok(Claim {
        name: "ReLU aligns exponentially".to_owned(),
        source: "Joudaki and Hofmann 2025, table of activations",
        statement: "kappa'(1) = 0.95 < 1",
        kind: Kind::Printed,
        evidence: "closed form".to_owned(),
        value: KernelMap::new(&Relu)?.derivative(1.0)?,
        bound: 0.95,
        standard_error: 0.0,
        vacuous: false,
    })
}

fn relu_decay() -> Result<Claim> {
    const LAYERS: usize = 2000;
    let last = KernelMap::new(&Relu)?.layers(0.3).nth(LAYERS - 1).transpose()?;
    Ok(Claim {
        name: "ReLU aligns like a power".to_owned(),
        source: "this crate",
        statement: "1 - rho = 9 pi²/(2 l²)",
        kind: Kind::Near(0.02),
        evidence: format!("iterated {LAYERS} times from 0.3"),
        value: last.map_or(f64::NAN, |cosine| 1.0 - cosine),
        bound: 4.5 * (PI / LAYERS as f64).powi(2),
        standard_error: 0.0,
        vacuous: false,
    })
}

/// det(C)^{1/n} / (tr(C)/n) before over after the columns are normalised: at most one.
fn isometry(effort: Effort) -> Result<Claim> {
    let mut worst = (0.0, 0);
    for case in 0..effort.scaled(4000) {
        let (d, n) = (8, 2 + case as usize % 6);
        let mut normals = vec![0.0f64; (d + 1) * n];
        effort.seed.replicate(case).stream(Purpose::User(0), 0, 0).fill_normal(&mut normals);
        let lengths = &normals[d * n..];
        let h = DMatrix::from_fn(d, n, |i, j| normals[j * d + i] * (2.0 * lengths[j]).exp());
        let unit =
            DMatrix::from_columns(&h.column_iter().map(|x| x.normalize()).collect::<Vec<_>>());
        let ratio = log_isometry(&h) - log_isometry(&unit);
        if case == 0 || ratio > worst.0 {
            worst = (ratio, n);
        }
    }
    Ok(Claim {
        name: "Isometry never falls".to_owned(),
        source: "Joudaki, Daneshmand and Bach 2023, normalisation of columns",
        statement: "det^(1/n)/(tr/n) does not fall when columns are normalised",
        kind: Kind::Printed,
        evidence: format!(
            "the closest of {} random matrices, n = {}",
            effort.scaled(4000),
            worst.1
        ),
        value: worst.0.exp(),
        bound: 1.0,
        standard_error: 0.0,
        vacuous: false,
    })
}

/// The logarithm of det(HᵀH)^{1/n} / (tr(HᵀH)/n).
fn log_isometry(h: &DMatrix<f64>) -> f64 {
    let n = h.ncols() as f64;
    let volume: f64 = h.clone().qr().r().diagonal().iter().map(|x| x.abs().ln()).sum();
    2.0 * volume / n - (h.norm_squared() / n).ln()
}

/// Growth of the gradient of a wide linear network, a layer.
fn gradients(effort: Effort) -> Result<Vec<Claim>> {
    const N: usize = 8;
    let paper = growth(effort, BatchNorm::paper())?;
    let centred = growth(effort, BatchNorm::standard(0.0)?)?;
    let claim = |name: &str, source, statement, growth: Moments, factor: f64| Claim {
        name: name.to_owned(),
        source,
        statement,
        kind: Kind::Near(0.02),
        evidence: format!("n = {N}, width {WIDTH}, {} runs of {DEPTH} layers", growth.count()),
        value: growth.mean(),
        bound: factor.ln(),
        standard_error: growth.standard_error(),
        vacuous: false,
    };
    Ok(vec![
        claim(
            "Gradients explode, the paper's batch norm",
            "this crate",
            "the log of the squared norm grows by log (n-1)/(n-2) a layer",
            paper,
            squared_growth(N)?,
        ),
        claim(
            "Gradients explode, centred batch norm",
            "Yang et al. 2019, linear networks",
            "the log of the squared norm grows by log (n-2)/(n-3) a layer",
            centred,
            squared_growth_centred(N)?,
        ),
    ])
}

const WIDTH: usize = 4096;
const DEPTH: usize = 40;

fn growth(effort: Effort, batch_norm: BatchNorm) -> Result<Moments> {
    let network = Network::<f64>::new(WIDTH).with_normalization(batch_norm);
    let input = Input::orthogonal(8)?;
    let mut growth = Moments::new();
    for run in 0..effort.scaled(64) {
        let run = effort.seed.branch(22).replicate(run);
        let layers = network.gradients(&input, run, DEPTH, Top::RandomDirection)?;
        let norms = layers.map(|layer| Ok(layer?.log_norm())).collect::<Result<Vec<f64>>>()?;
        // Without the layers at either end, where gradients and samples are not stationary yet.
        let (top, bottom) = (norms[5], norms[DEPTH - 5]);
        growth.push(2.0 * (bottom - top) / (DEPTH - 10) as f64);
    }
    Ok(growth)
}
