//! Claims that the paper's figures make, simulated again.

use orthogap::Activation;
use orthogap::Activation::{Relu, ShiftedTanh, Sin, Tanh};
use orthogap::statistics::Moments;
use orthogap::{Input, Network, Order, Result};

use super::claim::{Claim, Kind};
use super::finite::Effort;

/// All of them.
pub fn claims(effort: Effort) -> Result<Vec<Claim>> {
    let mut claims = figure_2b(effort)?;
    claims.extend(appendix_f(effort)?);
    claims.push(dead_samples(effort)?);
    Ok(claims)
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

fn appendix_f(effort: Effort) -> Result<Vec<Claim>> {
    [("ReLU", Relu), ("tanh", Tanh), ("sin", Sin), ("1 + tanh", ShiftedTanh)]
        .into_iter()
        .map(|(name, activation)| appendix_f_of(effort, name, &activation))
        .collect()
}

fn appendix_f_of(effort: Effort, name: &str, activation: &Activation) -> Result<Claim> {
    let (n, widths) = (4, [16, 32, 64, 128, 256]);
    let (runs, layers) = (effort.scaled(64), 1000);
    let mut slopes = Moments::new();
    for run in 0..runs {
        let mut logs = Vec::new();
        for d in widths {
            let network = Network::<f64>::new(d)
                .with_activation(activation.clone())
                .with_order(Order::ActivationLinearNorm);
            let mut chain = network.chain(&Input::orthogonal(n)?, effort.seed.replicate(run))?;
            chain.advance(50)?;
            let matrices: Result<Vec<_>> =
                (0..layers).map(|_| Ok(chain.step()?.matrix())).collect();
            let matrices = matrices?;
            // Samples are exchangeable, so the stationary mean has two numbers.
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
        kind: Kind::Near(0.12),
        evidence: effort.evidence(&format!("n = {n}, {runs} runs of {layers} layers")),
        value: slopes.mean(),
        bound: -0.5,
        standard_error: slopes.standard_error(),
        vacuous: false,
    })
}

/// A sample that all neurons rectify to zero stays zero.
fn dead_samples(effort: Effort) -> Result<Claim> {
    let (n, d) = (4, 10); // three samples of four at once would be a collapse: one run in 10^8
    let mut dead = Moments::new();
    let runs = effort.scaled(320_000);
    let input = Input::orthogonal(n)?;
    for run in 0..runs {
        let network = Network::<f64>::new(d).with_activation(Relu);
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
