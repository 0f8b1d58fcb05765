//! A. Joudaki, H. Daneshmand and F. Bach, "On the impact of activation and normalization in obtaining
//! isometric embeddings at initialization", NeurIPS 2023.

use orthogap::nalgebra::DMatrix;
use orthogap::theory::bounds::Version;
use orthogap::theory::isometry;
use orthogap::{Gram, Purpose, Result};

use crate::claim::{Claim, Kind};
use crate::finite::Effort;

/// Lower bounds on the gain of isometry by normalising samples: zero, the printed gain, the exact
/// one. Each claim is a ratio of isometries that is at most one, or equal to it.
pub fn claims(effort: Effort) -> Result<Vec<Claim>> {
    let cases = effort.scaled(4000);
    let mut worst = [(f64::MIN, 0); 2];
    let mut off = (0.0f64, 0);
    for case in 0..cases {
        let (d, n) = (8, 2 + case as usize % 6);
        let mut normals = vec![0.0f64; (d + 1) * n];
        effort.seed.replicate(case).stream(Purpose::User(0), 0, 0).fill_normal(&mut normals);
        let lengths = &normals[d * n..];
        // From nearly equal lengths to very different ones.
        let spread = [2.0, 0.1, 0.5][case as usize % 3];
        let h = DMatrix::from_fn(d, n, |i, j| normals[j * d + i] * (spread * lengths[j]).exp());
        let gram = Gram::from_columns(&h)?;
        let fall = gram.isometry_gap() - isometry::normalized(&gram)?.isometry_gap();
        let printed = isometry::gain(Version::Printed, &gram)?;
        let exact = isometry::gain(Version::Sharp, &gram)?;
        for (worst, bound) in worst.iter_mut().zip([0.0, printed]) {
            *worst = if bound - fall > worst.0 { (bound - fall, n) } else { *worst };
        }
        off = if (fall - exact).abs() > off.0 { ((fall - exact).abs(), n) } else { off };
    }
    let claim = |name: &str, source, statement, kind, (excess, n): (f64, usize)| Claim {
        name: name.to_owned(),
        source,
        statement,
        kind,
        evidence: format!("the closest of {cases} random matrices, n = {n}"),
        value: excess.exp(),
        bound: 1.0,
        standard_error: 0.0,
        vacuous: false,
    };
    let source = "Joudaki, Daneshmand and Bach 2023, normalisation of columns";
    Ok(vec![
        claim(
            "Isometry never falls",
            source,
            "det^(1/n)/(tr/n) does not fall when columns are normalised",
            Kind::Printed,
            worst[0],
        ),
        claim(
            "Isometry rises with the spread of lengths",
            source,
            "it rises by a factor of 1 + Var a / (mean a)² of the lengths a, at least",
            Kind::Printed,
            worst[1],
        ),
        claim(
            "Isometry rises, sharp",
            "this crate",
            "it rises by the arithmetic mean of a² over the geometric one",
            Kind::Equal,
            off,
        ),
    ])
}
