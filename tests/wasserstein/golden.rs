//! Expected values of `golden/`, computed by independent means before the code was written.

use approx::{assert_abs_diff_eq, assert_relative_eq};
use nalgebra::DMatrix;
use orthogap::wasserstein::{normal_bins, weighted_line_w2};

use crate::number;

/// The generator of `golden/README.md`.
fn bits(seed: u64, k: usize) -> u64 {
    let mut z = ((seed << 32) + k as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Uniform on [0, 1).
fn u(seed: u64, k: usize) -> f64 {
    (bits(seed, k) >> 16) as f64 * 2f64.powi(-48)
}

/// Nearly N(0, 1).
fn ih(seed: u64, k: usize) -> f64 {
    (0..12).map(|q| u(seed, 12 * k + q)).sum::<f64>() - 6.0
}

/// Integers from -8 to 7.
fn i4(seed: u64, k: usize) -> f64 {
    (bits(seed, k) >> 60) as f64 - 8.0
}

/// Heavy tails.
fn t2(seed: u64, k: usize) -> f64 {
    let t = 2.0 * (u(seed, k) + 2f64.powi(-49)) - 1.0;
    t / ((1.0 - t) * (1.0 + t)).sqrt()
}

/// A matrix of one of them, row by row.
fn matrix(of: fn(u64, usize) -> f64, seed: u64, rows: usize, columns: usize) -> DMatrix<f64> {
    DMatrix::from_fn(rows, columns, |i, j| of(seed, i * columns + j))
}

/// The fields of a line; commas between quotation marks do not separate.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().unwrap().push(other),
        }
    }
    fields
}

/// The rows of a golden file without its header.
fn rows(csv: &str) -> impl Iterator<Item = Vec<String>> {
    csv.lines().skip(1).map(fields)
}

#[test]
fn line() {
    for row in rows(include_str!("../golden/w2_line.csv")) {
        let id = row[0].as_str();
        let count = number(&row[1]) as usize;
        let all = |of: &dyn Fn(usize) -> f64| (0..count).map(of).collect::<Vec<_>>();
        let x = match id {
            "n1_at_mean" => vec![0.0],
            "n2" => vec![2.0, -0.25],
            "s0" => all(&|i| ih(201, i)),
            "ih_N1000" => all(&|i| ih(202, i)),
            "t2_N10" | "t2_N1000" => all(&|i| t2(204, i)),
            "offset30_N1000" => all(&|i| 2f64.powi(30) + ih(206, i)),
            "uniform_N1000" => all(&|i| (u(208, i) - 0.5) * 3.5),
            "w_N7" => all(&|i| ih(210, i)),
            other => panic!("{other}: unknown sample"),
        };
        let (mean, deviation) = (number(&row[3]), number(&row[4]));
        let line = if id == "w_N7" {
            let weights: Vec<f64> = (0..count).map(|i| (1 + i % 3) as f64).collect();
            weighted_line_w2(&x, &weights, mean, deviation)
        } else {
            normal_bins(count).unwrap().w2(&x, mean, deviation)
        };
        let line = line.unwrap();
        println!("{id}");
        assert_relative_eq!(line.w2.sq, number(&row[5]), max_relative = 1e-11);
        assert_relative_eq!(line.w2.dist(), number(&row[6]), max_relative = 1e-11);
        assert_relative_eq!(line.location, number(&row[7]), max_relative = 1e-11);
        assert_relative_eq!(line.scale, number(&row[8]), max_relative = 1e-11);
        assert_relative_eq!(line.shape, number(&row[9]), max_relative = 1e-10);
    }
}

#[test]
fn quantile_bins() {
    for row in rows(include_str!("../golden/w2_quantile_bins.csv")) {
        let bins = normal_bins(number(&row[0]) as usize).unwrap();
        match number(&row[1]) as usize {
            0 => assert_relative_eq!(bins.remainder(), number(&row[2]), max_relative = 1e-9),
            i => assert_abs_diff_eq!(bins.means()[i - 1], number(&row[2]), epsilon = 1e-16),
        }
    }
}

#[test]
fn null_bias() {
    for row in rows(include_str!("../golden/w2_null_bias.csv")) {
        let bins = normal_bins(number(&row[0]) as usize).unwrap();
        assert_relative_eq!(bins.null_bias(), number(&row[1]), max_relative = 1e-9);
    }
}
