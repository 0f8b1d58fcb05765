//! What golden files say.
#![allow(dead_code, reason = "each test binary uses its own part of this file")]

use nalgebra::DMatrix;

/// The generator of `golden/README.md`: integers from -128 to 127.
pub fn golden_integers(seed: u64, rows: usize, columns: usize) -> DMatrix<f64> {
    DMatrix::from_fn(rows, columns, |i, j| {
        let k = (i * columns + j) as u64;
        let mut z = ((seed << 32) + k + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 56) as f64 - 128.0
    })
}

/// The rows of a golden file without its header, which are `count`.
pub fn golden_rows(csv: &str, count: usize) -> impl Iterator<Item = Vec<&str>> {
    assert_eq!(csv.lines().count(), 1 + count, "rows of a golden file");
    csv.lines().skip(1).map(|line| line.split(',').collect())
}

/// Parses a golden number.
pub fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} in a golden file is no number"))
}
