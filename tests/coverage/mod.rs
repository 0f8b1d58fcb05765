//! Coverage of every stated error: how often intervals contain the truth, by repeated simulation.
//!
//! Repetitions are few by default; with `ORTHOGAP_COVERAGE=full` in the environment they are ten
//! times as many. `cargo test coverage -- --nocapture` prints a row for each case and level.

mod directions;
mod ensemble;
mod line;
mod statistics;
mod theory;

/// The levels that each case is held to.
pub const LEVELS: [f64; 2] = [0.68, 0.95];

/// A function whose stated errors are put to the test, under one law and at one size.
pub struct Case<'a> {
    pub function: &'a str,
    /// The law of the data and their size.
    pub law: &'a str,
    /// How often the experiment is repeated; ten times as often for a release.
    pub repetitions: u64,
    /// By how much the true coverage may fall below the level, because a statement is asymptotic.
    pub shortfall: f64,
    /// By how much it may exceed the level, because a statement is conservative or discrete.
    pub excess: f64,
}

impl Case<'_> {
    /// Asserts that intervals at [`LEVELS`] contain the truth as often as they say.
    ///
    /// `contains` is given the number of a repetition, from which it makes its seed. A case fails
    /// by chance if a binomial proportion is four standard errors off, on the one or the other
    /// side, at either level: with probability 1.3e-4 at the most where the normal approximation
    /// holds.
    pub fn check(&self, mut contains: impl FnMut(u64) -> [bool; LEVELS.len()]) {
        let full = std::env::var_os("ORTHOGAP_COVERAGE").is_some_and(|value| value == "full");
        let repetitions = self.repetitions * if full { 10 } else { 1 };
        let mut hits = [0u64; LEVELS.len()];
        for repetition in 0..repetitions {
            for (hits, contained) in hits.iter_mut().zip(contains(repetition)) {
                *hits += u64::from(contained);
            }
        }
        for (level, hits) in LEVELS.into_iter().zip(hits) {
            let covered = hits as f64 / repetitions as f64;
            let error = (level * (1.0 - level) / repetitions as f64).sqrt();
            let row =
                format!("{} | {} | {level} | {covered:.3} ± {error:.3}", self.function, self.law);
            println!("{row}");
            assert!(covered >= level - self.shortfall - 4.0 * error, "covers too rarely: {row}");
            assert!(covered <= level + self.excess + 4.0 * error, "covers too often: {row}");
        }
    }
}

#[test]
fn a_true_interval_passes_and_one_that_is_too_narrow_does_not() {
    use orthogap::{Purpose, Seed};
    use rand::RngExt;

    // A uniform number is below `share` times the level with that probability.
    let passes = |share: f64| {
        let case = Case {
            function: "harness",
            law: "uniform",
            repetitions: 2000,
            shortfall: 0.0,
            excess: 0.0,
        };
        std::panic::catch_unwind(|| {
            case.check(|repetition| {
                let stream = Seed(repetition).replicate(0).stream(Purpose::User(0), 0, 0);
                let x: f64 = stream.rng().random();
                LEVELS.map(|level| x < share * level)
            });
        })
        .is_ok()
    };
    assert!(passes(1.0) && !passes(0.8) && !passes(1.05));
}
