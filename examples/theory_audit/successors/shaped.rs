//! M. Li, M. Nica and D. Roy, "The neural covariance SDE: shaped infinite depth-and-width networks at
//! initialization", NeurIPS 2022.

use orthogap::Result;
use orthogap::statistics::Moments;
use orthogap_examples::shaped::{Shaped, pair};

use crate::claim::{Claim, Kind};
use crate::finite::Effort;

/// The mean cosine of shaped networks as deep as wide.
pub fn claim(effort: Effort) -> Result<Claim> {
    let (start, width, shaped) = (0.3, 150, Shaped(1.0));
    let (input, network) = (pair(start)?, shaped.network(width));
    let (mut measured, mut predicted) = (Moments::new(), Moments::new());
    let runs = effort.scaled(16_000);
    for run in 0..runs {
        let run = effort.seed.branch(29).replicate(run);
        measured.push(network.chain(&input, run)?.advance(width)?.cosine(0, 1)?);
        predicted.push(shaped.equation(start, 1, run)[0]);
    }
    Ok(Claim {
        name: "Shaped networks".to_owned(),
        source: "Li, Nica and Roy 2022, the covariance equation",
        statement: "mean cosine at depth = width: that of the stochastic equation, large width",
        kind: Kind::Near(0.05),
        evidence: effort
            .evidence(&format!("slopes 1 ± 1/(2 sqrt(d)), d = {width}, from {start}, {runs} runs")),
        value: measured.mean(),
        bound: predicted.mean(),
        standard_error: measured.standard_error().hypot(predicted.standard_error()),
        vacuous: false,
    })
}
