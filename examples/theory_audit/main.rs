//! The theory, claim by claim: the statement, the verdict, and the number that shows it.
//!
//! Searches for counterexamples and compares laws with simulations. Prints a table and writes it
//! as CSV; fails if a repaired claim or a law does not hold. `--help` lists the options.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use orthogap::Seed;
use orthogap::report::file;

use orthogap_examples::command::{self, Result, seed};
use orthogap_examples::{artifact, say};
mod claim;
mod figures;
mod finite;
mod infinite;
mod successors;

use claim::{Claim, Verdict};

/// Every claim of the theory with its verdict and the number that shows it
#[derive(Parser)]
struct Options {
    /// Seed; equal seeds give equal files
    #[arg(long, value_name = "S", value_parser = seed, default_value = "1")]
    seed: Seed,
    /// Writes the table to this CSV file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/theory_audit.csv")]
    csv: PathBuf,
    /// A coarser search and less simulation, in seconds
    #[arg(long)]
    quick: bool,
}

fn audit(options: &Options) -> orthogap::Result<Vec<Claim>> {
    let mut claims = infinite::claims(options.quick)?;
    let effort = finite::Effort { quick: options.quick, seed: options.seed };
    claims.extend(finite::claims(effort)?);
    claims.extend(figures::claims(effort)?);
    claims.extend(successors::claims(effort)?);
    Ok(claims)
}

fn experiment(options: Options) -> Result<()> {
    let started = Instant::now();
    file::check([&options.csv])?;
    let claims = audit(&options)?;
    say!("{}", claim::table(&claims).trim_end());
    artifact::publish([(&*options.csv, Some(claim::csv(&claims).into()))])?;
    for verdict in Verdict::ALL {
        let count = claims.iter().filter(|claim| claim.verdict() == verdict).count();
        say!("{count:4}  {}", verdict.name());
    }
    say!("in {:.1?}", started.elapsed());
    let broken = claims.iter().filter(|claim| claim.verdict() == Verdict::Broken);
    let broken: Vec<_> = broken.map(|claim| claim.name.as_str()).collect();
    if broken.is_empty() {
        Ok(())
    } else {
        Err(format!("does not hold: {}", broken.join("; ")).into())
    }
}

fn main() -> ExitCode {
    command::run(experiment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_or_refused_in_one_line() {
        let options = |arguments: &str| command::typed::<Options>(arguments);
        let given = options("--quick --csv a.csv --seed=9").unwrap();
        assert_eq!((given.csv, given.seed, given.quick), ("a.csv".into(), Seed(9), true));
        assert!(options("--help").is_err());
        for (arguments, message) in [
            ("--bogus", "unexpected argument '--bogus' found"),
            ("--csv", "a value is required for '--csv <PATH>' but none was supplied"),
            ("3", "unexpected argument '3' found"),
        ] {
            assert_eq!(options(arguments).err().unwrap().to_string(), message);
        }
    }

    /// The verdicts, each derived from its numbers.
    #[test]
    fn verdicts() {
        let options = Options { seed: Seed(1), csv: PathBuf::new(), quick: true };
        let claims = audit(&options).unwrap();
        let verdict =
            |name: &str| claims.iter().find(|claim| claim.name == name).map(Claim::verdict);
        for (name, expected) in [
            ("Theorem 1, n = 4", Verdict::Holds),
            ("Theorem 1, n = 5", Verdict::FalseAsPrinted),
            ("Theorem 1, n = 8", Verdict::FalseAsPrinted),
            ("Theorem 5, infinite width", Verdict::Holds),
            ("Theorem 1, repaired", Verdict::Repaired),
            ("Theorem 1, sharp", Verdict::Holds),
            ("Theorem 1, d = 512", Verdict::Holds),
            ("Corollary 3, n = 32", Verdict::FalseAsPrinted),
            ("Corollary 3, rate at n = 30", Verdict::FalseAsPrinted),
            ("Lemma 2", Verdict::Holds),
            ("Lemma 4", Verdict::Holds),
            ("Lemma 4, sharp", Verdict::Tight),
            ("Lemma 6", Verdict::Holds),
            ("Lemma 6, sharp", Verdict::Tight),
            ("Lemma 7", Verdict::Holds),
            ("Lemma 7, sharp", Verdict::Holds),
            ("Lemma 8", Verdict::Tight),
            ("Appendix B.1", Verdict::Holds),
            ("Theorem 5", Verdict::Holds),
            ("Appendix E, orthogonal V'", Verdict::Repaired),
            ("Appendix E, V' a slice of V", Verdict::FalseAsPrinted),
            ("A1(alpha, l) for all l", Verdict::FalseAsPrinted),
            ("rank is kept whenever d >= n", Verdict::FalseAsPrinted),
            ("Attraction, orthogonal", Verdict::Tight),
            ("Attraction, an angle", Verdict::FalseAsPrinted),
            ("Attraction, an angle, repaired", Verdict::Repaired),
            ("ReLU aligns exponentially", Verdict::FalseAsPrinted),
            ("ReLU aligns like a power", Verdict::Holds),
            ("Gradients explode, centred batch norm", Verdict::Holds),
            ("Isometry rises, sharp", Verdict::Tight),
            ("Isometry under Haar weights, C = 0.015", Verdict::FalseAsPrinted),
            ("Isometry under Haar weights, rate", Verdict::Holds),
            ("Geometric mixing, rate", Verdict::Holds),
            ("Shaped networks", Verdict::Holds),
        ] {
            assert_eq!(verdict(name), Some(expected), "{name}");
        }
        assert!(claims.iter().all(|claim| claim.verdict() != Verdict::Broken));
        let vacuous = |name: &str| claims.iter().any(|claim| claim.name == name && claim.vacuous);
        assert!(vacuous("Theorem 1, d = 512") && vacuous("Corollary 3, d = 512"));
        let csv = claim::csv(&claims);
        assert!(csv.starts_with(
            "claim,source,verdict,evidence,value,bound,standard_error,vacuous\n\
             \"Theorem 1, n = 4\",\"Theorem 1\",holds,\""
        ));
        assert_eq!(csv.lines().count(), claims.len() + 1);
    }

    /// A verdict can go every way.
    #[test]
    fn verdicts_follow_from_the_numbers() {
        let with = |kind, value, bound, standard_error| {
            let (name, evidence) = (String::new(), String::new());
            let (source, statement, vacuous) = ("", "", false);
            Claim { name, source, statement, kind, evidence, value, bound, standard_error, vacuous }
                .verdict()
        };
        use claim::Kind::{Bound, Equal, Near, Printed, Repaired};
        assert_eq!(with(Printed, 1.0, 2.0, 0.0), Verdict::Holds);
        assert_eq!(with(Printed, 1.999, 2.0, 0.0), Verdict::Tight);
        assert_eq!(with(Printed, 2.1, 2.0, 0.0), Verdict::FalseAsPrinted);
        assert_eq!(with(Printed, 2.1, 2.0, 0.1), Verdict::Tight);
        assert_eq!(with(Repaired, 1.0, 2.0, 0.0), Verdict::Repaired);
        assert_eq!(with(Repaired, 2.1, 2.0, 0.0), Verdict::Broken);
        assert_eq!(with(Bound, 2.1, 2.0, 0.0), Verdict::Broken);
        assert_eq!(with(Equal, 2.0, 2.0, 0.0), Verdict::Tight);
        assert_eq!(with(Equal, 2.1, 2.0, 0.01), Verdict::Broken);
        assert_eq!(with(Near(0.1), 2.1, 2.0, 0.0), Verdict::Holds);
        assert_eq!(with(Near(0.1), 2.3, 2.0, 0.0), Verdict::Broken);
    }
}
