//! Haar weights: A. Meterez et al., "Towards training without depth limits: batch normalization without
//! gradient explosion", ICLR 2024, and laws of this crate.

use orthogap::nalgebra::{DMatrix, DVector};
use orthogap::statistics::Moments;
use orthogap::theory::haar;
use orthogap::weights::Haar;
use orthogap::{Gram, Input, Network, Result};

use crate::claim::{Claim, Kind};
use crate::finite::Effort;

/// All of them.
pub fn claims(effort: Effort) -> Result<Vec<Claim>> {
    let mut claims = isometry(effort)?;
    claims.push(stationary(effort)?);
    Ok(claims)
}

/// The isometry gap of a batch as large as the width, near isometry.
fn isometry(effort: Effort) -> Result<Vec<Claim>> {
    const PRINTED: f64 = 0.015;
    // The rate near isometry is log(1 + 2/n) = 1/(C n²) with the largest C at n = 2.
    let repaired = 1.0 / (4.0 * 2f64.ln());
    let (n, layers) = (8, 10);
    let sigma = DVector::from_fn(n, |i, _| 1.0 + 0.02 * (i as f64 / n as f64));
    let gram = Gram::from_factor(DMatrix::from_diagonal(&sigma))?;
    let start = gram.isometry_gap();
    let input = Input::from_gram(gram);
    let network = Network::<f64>::new(n).with_weights(Haar::default());
    let (mut first, mut last) = (Moments::new(), Moments::new());
    let runs = effort.scaled(8000);
    for run in 0..runs {
        let mut chain = network.chain(&input, effort.seed.branch(26).replicate(run))?;
        first.push(chain.step()?.isometry_gap() / start);
        last.push(chain.advance(layers - 1)?.isometry_gap() / start);
    }
    let d = n as f64;
    let bound = |c: f64| (-(layers as f64) / (c * d * d * (1.0 + d * start))).exp();
    let law = Claim {
        name: "Isometry under Haar weights, rate".to_owned(),
        source: "this crate",
        statement: "E phi' = phi n/(n+2) near isometry, n = d",
        kind: Kind::Near(0.005),
        evidence: effort.evidence(&format!("n = d = {n}, {runs} layers after one input")),
        value: first.mean(),
        bound: haar::isometry_decay(n),
        standard_error: first.standard_error(),
        vacuous: false,
    };
    let printed = Claim {
        name: "Isometry under Haar weights, C = 0.015".to_owned(),
        source: "Meterez et al. 2024, with the constant of their notebook",
        statement: "E phi_l <= phi_0 exp(-l/(C d² (1 + d phi_0)))",
        kind: Kind::Printed,
        evidence: effort.evidence(&format!("n = d = {n}, {runs} runs of {layers} layers")),
        value: last.mean(),
        bound: bound(PRINTED),
        standard_error: last.standard_error(),
        ..law.clone()
    };
    let repaired = Claim {
        name: "Isometry under Haar weights, C = 0.361".to_owned(),
        source: "Meterez et al. 2024, with the least constant that near isometry allows for n >= 2",
        kind: Kind::Repaired,
        bound: bound(repaired),
        ..printed.clone()
    };
    Ok(vec![printed, repaired, law])
}

/// The stationary gap of a batch smaller than the width.
fn stationary(effort: Effort) -> Result<Claim> {
    let (n, d, layers, runs) = (8, 64, 200, effort.scaled(160));
    let network = Network::<f64>::new(d).with_weights(Haar::default());
    let input = Input::orthogonal(n)?;
    let mut squares = Moments::new();
    for run in 0..runs {
        let mut chain = network.chain(&input, effort.seed.branch(27).replicate(run))?;
        chain.advance(50)?;
        let mut sum = 0.0;
        for _ in 0..layers {
            sum += chain.step()?.orthogonality_gap().powi(2);
        }
        squares.push(sum / f64::from(layers));
    }
    Ok(Claim {
        name: "Gap under Haar weights".to_owned(),
        source: "this crate",
        statement: "E V² = (n-1)(n+2)(d-n)/(n(n+1) d (2d-n)), a fit in n/d",
        kind: Kind::Near(0.03),
        evidence: effort.evidence(&format!("n = {n}, d = {d}, {runs} runs of {layers} layers")),
        value: squares.mean(),
        bound: haar::mean_squared_gap(n, d)?,
        standard_error: squares.standard_error(),
        vacuous: false,
    })
}
