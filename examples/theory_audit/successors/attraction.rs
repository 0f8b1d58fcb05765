//! A. Joudaki and T. Hofmann, "Emergence of globally attracting fixed points in deep neural networks with
//! nonlinear activations", AISTATS 2025.

use std::f64::consts::PI;

use orthogap::Activation::{
    self, Elu, Erf, Gelu, LeakyRelu, Logistic, Relu, ShiftedTanh, Silu, Sin, Tanh,
};
use orthogap::Result;
use orthogap::theory::bounds::Version;
use orthogap::theory::kernel_map::{Attraction, KernelMap};

use crate::claim::{Claim, Kind};

const ATTRACTION: &str = "Joudaki and Hofmann 2025, global attraction";

/// All of them.
pub fn claims() -> Result<Vec<Claim>> {
    let mut claims = attraction()?;
    claims.push(relu_slope()?);
    claims.push(relu_decay()?);
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
        Claim {
            source: "this crate, proved in kernel_map::Attraction",
            ..closest(
                "Attraction, an angle, sharp",
                "above rho* (rho - rho*)/(1 - rho) falls by 2 - kappa'(rho*), in [0, rho*] the distance",
                &angle,
                (Kind::Bound, Version::Sharp),
            )?
        },
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
        // A start next to one needs many layers to leave it.
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
