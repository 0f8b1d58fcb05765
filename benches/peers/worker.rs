//! orthogap's side of the comparison with NumPy and PyTorch: times one layer of a random
//! batch-normalised network, on one thread, for `compare.py`.
//!
//! Requests are lines of standard input; each is answered by one line of JSON, and the end of the
//! input ends the program:
//!
//! ```text
//! time ours D N SCALAR SECONDS            the streamed chain, which draws no weights
//! time ours-explicit D N SCALAR SECONDS   the chain with its weights drawn
//! operator NAME D N SCALAR SECONDS        an operator on a matrix, for `compare_ops.py`
//! ```
//!
//! `D` is the width, `N` the batch size, `SCALAR` f64 or f32. The answer holds `us`, the least
//! microseconds a layer, and `gap`, the mean orthogonality gap of the timed layers; both are null
//! where the case is not timed, and `why` says why. A bad request is answered by `error`.
//! The stopwatch is that of `measure` in `peers.py`.

mod ops;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Instant;

use orthogap::{Input, Network, Scalar, Seed};
use rayon::ThreadPoolBuilder;

/// Weights a layer beyond which the explicit chain is not timed, as in `peers.py`.
const LARGEST_EXPLICIT: usize = 1 << 28;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = ThreadPoolBuilder::new().num_threads(1).build()?;
    pool.install(|| {
        for line in io::stdin().lines() {
            let reply = answer(&line?)
                .unwrap_or_else(|error| format!("{{\"error\": {}}}", quoted(&error.to_string())));
            let mut output = io::stdout().lock();
            writeln!(output, "{reply}")?;
            output.flush()?;
        }
        io::Result::Ok(())
    })?;
    Ok(())
}

/// The reply to one request.
fn answer(line: &str) -> Result<String, Box<dyn Error>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if let &["operator", name, d, n, scalar, seconds] = words.as_slice() {
        let us = ops::time(name, scalar, (d.parse()?, n.parse()?), positive(seconds)?)?;
        return Ok(format!("{{\"us\": {us:.4}}}"));
    }
    let &["time", engine, d, n, scalar, seconds] = words.as_slice() else {
        return Err(format!("unknown request {line:?}: time ENGINE D N SCALAR SECONDS").into());
    };
    let case = match (d.parse(), n.parse()) {
        (Ok(d), Ok(n)) if 1 <= n && n <= d => Case { d, n, seconds: positive(seconds)? },
        _ => {
            return Err(format!(
                "width {d:?} and batch {n:?} must be integers with 1 <= batch <= width"
            )
            .into());
        }
    };
    let explicit = match engine {
        "ours" => false,
        "ours-explicit" => true,
        _ => return Err(format!("unknown engine {engine:?}: ours or ours-explicit").into()),
    };
    if explicit && case.d.saturating_mul(case.d) > LARGEST_EXPLICIT {
        let why = format!("more than {LARGEST_EXPLICIT} weights a layer");
        return Ok(format!("{{\"us\": null, \"gap\": null, \"why\": {}}}", quoted(&why)));
    }
    let timing = match (scalar, explicit) {
        ("f64", false) => case.streamed::<f64>()?,
        ("f32", false) => case.streamed::<f32>()?,
        ("f64", true) => case.explicit::<f64>()?,
        ("f32", true) => case.explicit::<f32>()?,
        _ => return Err(format!("unknown scalar {scalar:?}: f64 or f32").into()),
    };
    let Timing { us, gap, layers } = timing;
    Ok(format!("{{\"us\": {us:.4}, \"gap\": {gap:.6}, \"layers\": {layers}}}"))
}

/// What to time, and for how long.
struct Case {
    d: usize,
    n: usize,
    seconds: f64,
}

impl Case {
    fn streamed<T: Scalar>(&self) -> orthogap::Result<Timing> {
        let mut chain = Network::<T>::new(self.d).chain(&Input::orthogonal(self.n)?, Seed(1))?;
        measure(self.seconds, || Ok(chain.step()?.orthogonality_gap()))
    }

    fn explicit<T: Scalar>(&self) -> orthogap::Result<Timing> {
        let network = Network::<T>::new(self.d);
        let mut chain = network.explicit_chain(&Input::orthogonal(self.n)?, Seed(1))?;
        measure(self.seconds, || Ok(chain.step()?.layer().orthogonality_gap()))
    }
}

/// What was measured over `layers` layers.
struct Timing {
    /// Microseconds a layer in the fastest batch.
    us: f64,
    /// The mean gap.
    gap: f64,
    layers: usize,
}

/// Times batches of about 1 ms, two at least, for `seconds`; `step` takes one layer to its gap.
fn measure(
    seconds: f64,
    mut step: impl FnMut() -> orthogap::Result<f64>,
) -> orthogap::Result<Timing> {
    step()?;
    let start = Instant::now();
    step()?;
    let once = start.elapsed().as_secs_f64().max(1e-7); // a coarse clock may say zero
    for _ in 0..20.min((0.05 / once) as usize) {
        step()?;
    }
    let batch = 1.max((0.001 / once) as usize);
    let (mut best, mut total, mut layers) = (f64::INFINITY, 0.0, 0);
    let begin = Instant::now();
    while layers < 2 * batch || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        for _ in 0..batch {
            total += step()?;
        }
        best = best.min(start.elapsed().as_secs_f64() / batch as f64);
        layers += batch;
    }
    Ok(Timing { us: 1e6 * best, gap: total / layers as f64, layers })
}

/// A positive finite number.
fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if 0.0 < value && value < f64::INFINITY => Ok(value),
        _ => Err(format!("{text:?} is not a positive number")),
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut json = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..' ' => write!(json, "\\u{:04x}", character as u32).expect("strings grow"),
            _ => json.push(character),
        }
    }
    json + "\""
}
