//! orthogap's side of the comparison with POT: times a distance on samples from a file, on one
//! thread, for `compare_w2.py`.
//!
//! Requests are lines of standard input, each answered by one line of JSON with `ms`, the least
//! milliseconds a call, and `w2`, the squared distance:
//!
//! ```text
//! time CASE SECONDS PATH
//! ```
//!
//! `PATH` holds little-endian `f64`: rows, columns, then the matrix column by column. For `bures`
//! and `bures-general` it is a covariance, followed for the latter by another as `PATH2`; for the
//! others samples, one a row, which go to N(0, I/n) (`sliced`: 500 directions) or N(0, 1)
//! (`line`); `assignment` takes a second sample as `PATH2`. What does not depend on the sample,
//! as bins and directions, is made once and not timed; `line-cold` times it. POT has no Gaussian
//! target for `line` and `sliced`: it compares two samples, and sorts both in each call.

use std::error::Error;
use std::io::{self, Write as _};
use std::time::Instant;

use nalgebra::DMatrix;
use orthogap::Seed;
use orthogap::wasserstein::{Directions, Gaussian, Sample, normal_bins};

type Answer = Result<(f64, f64), Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    pool.install(|| {
        for line in io::stdin().lines() {
            let (ms, w2) = answer(&line?).map_err(|error| io::Error::other(error.to_string()))?;
            let mut output = io::stdout().lock();
            writeln!(output, "{{\"ms\": {ms:.6}, \"w2\": {w2:.17e}}}")?;
            output.flush()?;
        }
        io::Result::Ok(())
    })?;
    Ok(())
}

fn answer(request: &str) -> Answer {
    let words: Vec<&str> = request.split_whitespace().collect();
    let ["time", case, seconds, path, second @ ..] = &words[..] else {
        return Err(format!("{request:?} is no request").into());
    };
    let seconds: f64 = seconds.parse()?;
    let matrix = read(path)?;
    let n = matrix.ncols();
    let target = Gaussian::isotropic(n, (n as f64).sqrt().recip())?;
    let other = || read(second.first().ok_or("a second path is missing")?);
    match *case {
        "bures" => {
            measure(seconds, || Ok(Gaussian::from_covariance(&matrix)?.w2(&target)?.squared))
        }
        "bures-general" => {
            let other = other()?;
            measure(seconds, || {
                let target = Gaussian::from_covariance(&other)?;
                Ok(Gaussian::from_covariance(&matrix)?.w2(&target)?.squared)
            })
        }
        "line" => {
            let bins = normal_bins(matrix.len())?;
            measure(seconds, || Ok(bins.w2(matrix.as_slice(), 0.0, 1.0)?.w2.squared))
        }
        "line-cold" => measure(seconds, || {
            Ok(normal_bins(matrix.len())?.w2(matrix.as_slice(), 0.0, 1.0)?.w2.squared)
        }),
        "sliced" => {
            let directions = Directions::random(n, 500, Seed(1))?;
            measure(seconds, || {
                Ok(Sample::from_rows(&matrix)?.sliced(&target, &directions)?.w2.squared)
            })
        }
        "assignment" => {
            let other = other()?;
            measure(seconds, || {
                Ok(Sample::from_rows(&matrix)?.assignment(&Sample::from_rows(&other)?)?.w2.squared)
            })
        }
        _ => Err(format!("{case:?} is no case").into()),
    }
}

fn read(path: &str) -> Result<DMatrix<f64>, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let mut numbers = bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("8")));
    let (rows, columns) = numbers.next().zip(numbers.next()).ok_or("an empty file")?;
    let (rows, columns) = (rows as usize, columns as usize);
    let entries: Vec<f64> = numbers.collect();
    if entries.len() != rows * columns {
        return Err(
            format!("{path} holds {} entries, not {rows} x {columns}", entries.len()).into()
        );
    }
    Ok(DMatrix::from_vec(rows, columns, entries))
}

/// The least milliseconds of a call over `seconds`, three calls at least, and its result.
fn measure(seconds: f64, mut call: impl FnMut() -> orthogap::Result<f64>) -> Answer {
    let mut w2 = call()?;
    let (begin, mut best, mut calls) = (Instant::now(), f64::INFINITY, 0);
    while calls < 3 || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        w2 = call()?;
        best = best.min(start.elapsed().as_secs_f64());
        calls += 1;
    }
    Ok((1e3 * best, w2))
}
