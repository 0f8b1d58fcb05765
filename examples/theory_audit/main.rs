//! The theory, claim by claim: what it says, what becomes of it, and the number that shows it.
//!
//! Counterexamples are searched for, laws are held against simulation. Prints a table and writes it
//! as CSV; fails if a repaired claim or a law does not hold. `--help` lists the options.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use orthogap::Seed;

#[path = "../artifact/mod.rs"]
mod artifact;
mod claim;
#[path = "../command/mod.rs"]
mod command;
mod figures;
mod finite;
mod infinite;

use claim::{Claim, Verdict};
use command::{Arguments, Result};

const HELP: &str = "\
Every claim of the theory with its verdict and the number that shows it.

Usage: cargo run --release --example theory_audit -- [OPTIONS]

  --seed S          of all simulations; equal seeds give equal files       [1]
  --csv PATH        the table      [target/orthogap/theory_audit.csv]
  --quick           a coarser search and less simulation, in seconds
  --help            this text
";

struct Options {
    seed: Seed,
    csv: PathBuf,
    quick: bool,
}

/// What the command line asks for; nothing if it asks for help.
fn parse(mut arguments: Arguments) -> Result<Option<Options>> {
    let csv = PathBuf::from("target/orthogap/theory_audit.csv");
    let mut options = Options { seed: Seed(1), csv, quick: false };
    while let Some(option) = arguments.option()? {
        match option.as_str() {
            "help" => return Ok(None),
            "quick" => options.quick = true,
            "csv" => options.csv = arguments.value()?,
            "seed" => options.seed = Seed(arguments.value()?),
            _ => return Err(arguments.unknown()),
        }
    }
    Ok(Some(options))
}

fn audit(options: &Options) -> orthogap::Result<Vec<Claim>> {
    let mut claims = infinite::claims(options.quick)?;
    let effort = finite::Effort { quick: options.quick, seed: options.seed };
    claims.extend(finite::claims(effort)?);
    claims.extend(figures::claims(effort)?);
    Ok(claims)
}

fn experiment(options: Options) -> Result<()> {
    let started = Instant::now();
    let claims = audit(&options)?;
    print!("{}", claim::table(&claims));
    artifact::publish(&options.csv, claim::csv(&claims))?;
    for verdict in Verdict::ALL {
        let count = claims.iter().filter(|claim| claim.verdict() == verdict).count();
        println!("{count:4}  {}", verdict.name());
    }
    println!("in {:.1?}", started.elapsed());
    let broken = claims.iter().filter(|claim| claim.verdict() == Verdict::Broken);
    let broken: Vec<_> = broken.map(|claim| claim.name.as_str()).collect();
    if broken.is_empty() {
        Ok(())
    } else {
        Err(format!("does not hold: {}", broken.join("; ")).into())
    }
}

fn main() -> ExitCode {
    command::run("theory_audit", HELP, parse, experiment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_or_refused_in_one_line() {
        let options = |arguments: &str| parse(Arguments::typed(arguments));
        let given = options("--quick --csv a.csv --seed=9").unwrap().unwrap();
        assert_eq!((given.csv, given.seed, given.quick), ("a.csv".into(), Seed(9), true));
        assert!(options("--help").unwrap().is_none());
        for (arguments, message) in [
            ("--bogus", "unknown option --bogus"),
            ("--csv", "missing argument for option '--csv'"),
            ("3", "unexpected argument \"3\""),
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
            ("Lemma 8", Verdict::Tight),
            ("Theorem 5", Verdict::Holds),
            ("Appendix E, orthogonal V'", Verdict::Repaired),
            ("Appendix E, V' a slice of V", Verdict::FalseAsPrinted),
            ("A1(alpha, l) for all l", Verdict::FalseAsPrinted),
            ("rank is kept whenever d >= n", Verdict::FalseAsPrinted),
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
