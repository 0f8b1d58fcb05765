//! A. Joudaki, H. Daneshmand and F. Bach, "On bridging the gap between mean field and finite width in deep
//! random multi-layer perceptron with batch normalization", ICML 2023, which assumes geometric mixing.

use orthogap::experiment::coupling::Coupling;
use orthogap::theory::stationary::decay_rate;
use orthogap::{Input, Network, Result};

use crate::claim::{Claim, Kind};
use crate::finite::Effort;

/// Contraction of coupled chains, wide and narrow.
pub fn claims(effort: Effort) -> Result<Vec<Claim>> {
    let narrow = contraction(effort, 16, 256)?;
    let wide = contraction(effort, 4, 4096)?;
    Ok(vec![
        Claim {
            name: "Geometric mixing".to_owned(),
            source: "Joudaki, Daneshmand and Bach 2023, assumption of geometric mixing",
            statement: "coupled chains approach each other exponentially: the factor a layer is below 1",
            kind: Kind::Printed,
            value: narrow.value.exp(),
            bound: 1.0,
            standard_error: narrow.standard_error,
            ..narrow.clone()
        },
        Claim {
            name: "Geometric mixing, rate".to_owned(),
            source: "this crate",
            statement: "at large width the log distance falls by log(1 + 2/n) a layer",
            kind: Kind::Near(0.01),
            ..wide
        },
    ])
}

/// The fall of the log distance of two chains with the symmetric root.
fn contraction(effort: Effort, n: usize, d: usize) -> Result<Claim> {
    let inputs = [Input::orthogonal(n)?, Input::spiked(n, 0.5)?];
    let network = Network::<f64>::new(d);
    let coupling = Coupling::new(&network, [&inputs[0], &inputs[1]])?;
    let (runs, start) = (effort.scaled(64), n + 2);
    let layers = start..start + 8 * n;
    let evidence = effort
        .evidence(&format!("n = {n}, d = {d}, {runs} runs of layers {layers:?}, symmetric root"));
    let growth = coupling.contraction(layers, runs, effort.seed.branch(28))?;
    Ok(Claim {
        name: String::new(),
        source: "",
        statement: "",
        kind: Kind::Equal,
        evidence,
        value: growth.mean(),
        bound: decay_rate(n).ln(),
        standard_error: growth.standard_error(),
        vacuous: false,
    })
}
