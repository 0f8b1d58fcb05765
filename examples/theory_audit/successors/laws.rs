//! Laws of this crate that sharpen or extend those of the paper: centring, the critical width.

use orthogap::Activation::Relu;
use orthogap::normalization::BatchNorm;
use orthogap::statistics::Moments;
use orthogap::theory::critical_width::lower_edge;
use orthogap::theory::mean_field_activation::equiangular_point;
use orthogap::theory::stationary::SingularValueLaw;
use orthogap::{Input, Network, Result};

use crate::claim::{Claim, Kind};
use crate::finite::Effort;

/// All of them.
pub fn claims(effort: Effort) -> Result<Vec<Claim>> {
    Ok(vec![centred(effort)?, edge()?])
}

/// The cosine of samples after centred batch norm and ReLU.
fn centred(effort: Effort) -> Result<Claim> {
    let (n, d, runs) = (8, 4096, effort.scaled(160));
    let norm = BatchNorm::standard(0.0)?;
    let network = Network::<f32>::new(d).with_normalization(norm).with_activation(Relu);
    let input = Input::orthogonal(n)?;
    let mut cosines = Moments::new();
    for run in 0..runs {
        let mut chain = network.chain(&input, effort.seed.branch(30).replicate(run))?;
        let matrix = chain.advance(20)?.matrix();
        let trace = matrix.trace();
        cosines.push((matrix.sum() - trace) / ((n - 1) as f64 * trace));
    }
    Ok(Claim {
        name: "Centred batch norm and ReLU, fixed point".to_owned(),
        source: "this crate",
        statement: "cosine (sqrt(1-r²) + r (pi - arccos r))/pi at r = -1/(n-1)",
        kind: Kind::Near(0.005),
        evidence: effort.evidence(&format!("n = {n}, d = {d}, {runs} runs, layer 20")),
        value: cosines.mean(),
        bound: equiangular_point(&Relu, &norm, n)?.post_activation,
        standard_error: cosines.standard_error(),
        vacuous: false,
    })
}

/// The lower edge of the singular values, which is zero at the critical width.
fn edge() -> Result<Claim> {
    let (n, d) = (128, 65_536);
    Ok(Claim {
        name: "Critical width, leading order".to_owned(),
        source: "this crate",
        statement: "the least singular value is 1/sqrt n - sqrt(n/(4d)), zero at d = n²/4",
        kind: Kind::Near(0.02),
        evidence: format!("mean of the singular value law at n = {n}, d = {d}"),
        value: SingularValueLaw::new(n, d)?.mean_smallest(),
        bound: lower_edge(n, d),
        standard_error: 0.0,
        vacuous: false,
    })
}
