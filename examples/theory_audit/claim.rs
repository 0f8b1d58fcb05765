//! A claim, the number that tests it, and the verdict that follows.

use std::fmt::Write;

/// The relation between the number of a claim and its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// The paper: at most the bound.
    Printed,
    /// A repaired claim of the paper: at most the bound.
    Repaired,
    /// A law: at most the bound.
    Bound,
    /// An identity: equal to the bound.
    Equal,
    /// A law for large widths: equal to the bound, up to this relative error.
    Near(f64),
}

/// The verdict on a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Holds,
    /// Holds, and a smaller bound does not.
    Tight,
    Repaired,
    FalseAsPrinted,
    /// A law of this crate or a repaired claim does not hold.
    Broken,
}

impl Verdict {
    pub const ALL: [Self; 5] =
        [Self::Holds, Self::Tight, Self::Repaired, Self::FalseAsPrinted, Self::Broken];

    pub fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Tight => "tight",
            Self::Repaired => "repaired",
            Self::FalseAsPrinted => "false as printed",
            Self::Broken => "BROKEN",
        }
    }
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Claim {
    /// A unique name.
    pub name: String,
    /// Its source.
    pub source: &'static str,
    /// Its statement.
    pub statement: &'static str,
    pub kind: Kind,
    /// The experiment that gave the number.
    pub evidence: String,
    /// The number.
    pub value: f64,
    /// The bound or the prediction for it.
    pub bound: f64,
    /// The standard error of the number; 0 without randomness.
    pub standard_error: f64,
    /// Whether the bound is vacuous.
    pub vacuous: bool,
}

impl Claim {
    /// The verdict, at four standard errors.
    pub fn verdict(&self) -> Verdict {
        /// A bound is tight if a case comes this close to it.
        const TIGHT: f64 = 0.99;
        const ROUNDING: f64 = 1e-9;
        let error = 4.0 * self.standard_error;
        let holds = match self.kind {
            Kind::Equal => (self.value / self.bound - 1.0).abs() <= ROUNDING + error / self.bound,
            Kind::Near(relative) => {
                (self.value - self.bound).abs() <= error + relative * self.bound.abs()
            }
            _ => self.value <= self.bound * (1.0 + ROUNDING) + error,
        };
        match self.kind {
            Kind::Printed if !holds => Verdict::FalseAsPrinted,
            _ if !holds => Verdict::Broken,
            Kind::Repaired => Verdict::Repaired,
            Kind::Equal => Verdict::Tight,
            Kind::Near(_) => Verdict::Holds,
            _ if self.value >= TIGHT * self.bound && !self.vacuous => Verdict::Tight,
            _ => Verdict::Holds,
        }
    }
}

/// The claims for a reader.
pub fn table(claims: &[Claim]) -> String {
    let mut text = String::new();
    for claim in claims {
        let sign = match claim.kind {
            Kind::Equal | Kind::Near(_) => "predicted",
            _ => "bound",
        };
        let error = match claim.standard_error {
            0.0 => String::new(),
            error => format!(" ± {error:.1e}"),
        };
        let vacuous = if claim.vacuous { ", which says nothing" } else { "" };
        let _ = writeln!(
            text,
            "{:<16}  {} ({})\n{:18}{}\n{:18}{:.5e}{error}, {sign} {:.5e}{vacuous}: {}\n",
            claim.verdict().name(),
            claim.name,
            claim.source,
            "",
            claim.statement,
            "",
            claim.value,
            claim.bound,
            claim.evidence
        );
    }
    text
}

/// The claims for a program.
pub fn csv(claims: &[Claim]) -> String {
    let mut text = "claim,source,verdict,evidence,value,bound,standard_error,vacuous\n".to_owned();
    let quoted = |field: &str| format!("\"{}\"", field.replace('"', "\"\""));
    for claim in claims {
        let _ = writeln!(
            text,
            "{},{},{},{},{:e},{:e},{:e},{}",
            quoted(&claim.name),
            quoted(claim.source),
            claim.verdict().name(),
            quoted(&claim.evidence),
            claim.value,
            claim.bound,
            claim.standard_error,
            claim.vacuous
        );
    }
    text
}
