//! Gradients of wide networks: G. Yang et al., "A mean field theory of batch normalization", ICLR 2019; B.
//! Hanin and M. Nica, "Products of many large random matrices and gradients in deep neural networks",
//! 2018; A. Meterez et al., "Towards training without depth limits: batch normalization without gradient
//! explosion", ICLR 2024.

use orthogap::Activation::Relu;
use orthogap::backward::Top;
use orthogap::normalization::{BatchNorm, Normalization};
use orthogap::statistics::Moments;
use orthogap::theory::backward::{
    RECTIFIED_SQUARED_GROWTH, haar_share, rectified_log_growth, squared_growth,
    squared_growth_centred,
};
use orthogap::weights::{Gaussian, Haar};
use orthogap::{Input, Network, Replicate, Result, Seed};

use crate::claim::{Claim, Kind};
use crate::finite::Effort;

/// Growth of the gradient of a wide linear network, a layer.
pub fn claims(effort: Effort) -> Result<Vec<Claim>> {
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
        rectified(effort)?,
        vanilla(effort)?,
        bounded(effort)?,
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

/// The log squared norm at layer `bottom` less that at layer `top`, a layer.
fn log_growth(
    network: &Network<f64>,
    input: &Input,
    run: Replicate,
    [bottom, top, depth]: [usize; 3],
) -> Result<f64> {
    let mut at = [0.0; 2];
    for layer in network.gradients(input, run, depth, Top::RandomDirection)? {
        let layer = layer?;
        for (at, depth) in at.iter_mut().zip([bottom, top]) {
            if layer.depth() == depth {
                *at = 2.0 * layer.log_norm();
            }
        }
    }
    Ok((at[0] - at[1]) / (top - bottom) as f64)
}

/// A large batch under centred batch norm and rectifiers.
fn rectified(effort: Effort) -> Result<Claim> {
    let (n, width, runs) = (128, 1024, effort.scaled(24));
    let network = Network::<f64>::new(width)
        .with_normalization(BatchNorm::standard(0.0)?)
        .with_activation(Relu);
    let input = Input::gaussian(n, n, Seed(1))?;
    let mut growth = Moments::new();
    for run in 0..runs {
        let run = effort.seed.branch(23).replicate(run);
        growth.push(log_growth(&network, &input, run, [6, 14, 16])?);
    }
    Ok(Claim {
        name: "Gradients explode, batch norm and ReLU".to_owned(),
        source: "Yang et al. 2019, rectified networks, large batch",
        statement: "the squared norm grows by pi/(pi - 1) a layer: its logarithm",
        kind: Kind::Near(0.05),
        evidence: format!("n = {n}, width {width}, {runs} runs of 8 layers"),
        value: growth.mean(),
        bound: RECTIFIED_SQUARED_GROWTH.ln(),
        standard_error: growth.standard_error(),
        vacuous: false,
    })
}

/// One sample without normalisation.
fn vanilla(effort: Effort) -> Result<Claim> {
    let (width, runs) = (50, effort.scaled(16_000));
    let network = Network::<f64>::new(width)
        .with_normalization(Normalization::None)
        .with_weights(Gaussian::he())
        .with_activation(Relu);
    let input = Input::orthogonal(1)?;
    let mut growth = Moments::new();
    for run in 0..runs {
        let run = effort.seed.branch(24).replicate(run);
        growth.push(log_growth(&network, &input, run, [2, 18, 20])?);
    }
    Ok(Claim {
        name: "Gradients of ReLU networks drift down".to_owned(),
        source: "Hanin and Nica 2018, one sample; at any width: this crate",
        statement: "the log squared norm falls by 5/(2d) a layer: E psi(K/2) + log(4/d), K binomial",
        kind: Kind::Near(0.005),
        evidence: effort.evidence(&format!("width {width}, {runs} runs of 16 layers")),
        value: growth.mean(),
        bound: rectified_log_growth(width)?,
        standard_error: growth.standard_error(),
        vacuous: false,
    })
}

/// Haar weights and a batch as large as the width.
fn bounded(effort: Effort) -> Result<Claim> {
    let (n, depth, runs) = (8, 200, effort.scaled(1600));
    let network = Network::<f64>::new(n).with_weights(Haar::default());
    let input = Input::orthogonal(n)?;
    let mut share = Moments::new();
    for run in 0..runs {
        let run = effort.seed.branch(25).replicate(run);
        let rate = log_growth(&network, &input, run, [0, depth, depth])?;
        share.push((rate * depth as f64).exp());
    }
    Ok(Claim {
        name: "No explosion with Haar weights".to_owned(),
        source: "Meterez et al. 2024, bounded gradients; the share: this crate",
        statement: "of the squared norm (n-1)/(2n) is left at any depth, n = d",
        kind: Kind::Near(0.01),
        evidence: effort.evidence(&format!("n = {n}, {runs} runs of {depth} layers")),
        value: share.mean(),
        bound: haar_share(n)?,
        standard_error: share.standard_error(),
        vacuous: false,
    })
}
