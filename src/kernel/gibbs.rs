//! The kernel matrix of entropic transport, $`K_{ij} = e^{(f_i + g_j - c_{ij}) / \varepsilon}`$, and
//! passes over it.

use fearless_simd::{Level, dispatch, f64x8, prelude::*};
use nalgebra::DMatrix;

use crate::kernel::activation::exponential::{Constants, exp};
use crate::kernel::line::{Lanes, Line};

/// Entries in a [`Line`].
const LANES: usize = <f64 as Lanes>::LANES;
/// Partial sums of a dot product, in lines: enough to hide the latency of a multiply-add.
const SUMS: usize = 4;

/// A kernel matrix, in columns of whole lines that end in zeros.
#[derive(Clone, Debug)]
pub struct GibbsKernel {
    /// Lines in a column.
    height: usize,
    entries: Vec<Line<f64>>,
    /// The factor of the columns in a pass, and the sum of the columns.
    x: Vec<Line<f64>>,
    y: Vec<Line<f64>>,
}

impl GibbsKernel {
    /// Allocates a matrix of zeros.
    pub fn new(rows: usize, columns: usize) -> Self {
        let height = rows.div_ceil(LANES);
        let lines = |count| vec![f64::ZERO; count];
        Self { height, entries: lines(height * columns), x: lines(height), y: lines(height) }
    }

    /// Computes the matrix of a cost matrix and potentials.
    ///
    /// Cost: an exponential an entry, about one rounding in units of the exponent each.
    pub fn fill(&mut self, cost: &DMatrix<f64>, epsilon: f64, f: &[f64], g: &[f64]) {
        let (rows, height) = (cost.nrows(), self.height);
        let columns = cost.as_slice().chunks_exact(rows).zip(g);
        dispatch!(Level::new(), simd => {
            for ((cost, &g), column) in columns.zip(self.entries.chunks_exact_mut(height)) {
                for (line, entries) in column.iter_mut().enumerate() {
                    let first = line * LANES;
                    // What pads the last line has an infinite cost.
                    let (mut c, mut potential) = ([f64::INFINITY; LANES], [0.0; LANES]);
                    let filled = LANES.min(rows - first);
                    c[..filled].copy_from_slice(&cost[first..][..filled]);
                    potential[..filled].copy_from_slice(&f[first..][..filled]);
                    let sum = f64x8::load_array(simd, potential) + g;
                    // A multiplication by the inverse would overflow for the smallest epsilon.
                    let exponent = (sum - f64x8::load_array(simd, c)) / epsilon;
                    let exponent = exponent
                        .max(f64x8::splat(simd, -f64::RANGE))
                        .min(f64x8::splat(simd, f64::RANGE));
                    entries.store(exp(simd, exponent).value());
                }
            }
        });
    }

    /// Computes $`y = \sum_j w_j k_j`$ over the columns $`k_j`$, where the weight $`w_j`$ is a
    /// function of the number j and of $`k_j \cdot x`$.
    ///
    /// Two products with the matrix, which is read once. Every sum is taken in a fixed order.
    pub fn pass(&mut self, x: &[f64], mut weight: impl FnMut(usize, f64) -> f64, y: &mut [f64]) {
        let height = self.height;
        for (line, x) in self.x.iter_mut().zip(x.chunks(LANES)) {
            line.0[..x.len()].copy_from_slice(x);
        }
        self.y.fill(f64::ZERO);
        dispatch!(Level::new(), simd => {
            let (x, sums) = (&self.x[..height], &mut self.y[..height]);
            for (j, column) in self.entries.chunks_exact(height).enumerate() {
                let column = &column[..height];
                let mut partial = [f64x8::splat(simd, 0.0); SUMS];
                for line in 0..height {
                    let sum = &mut partial[line % SUMS];
                    *sum = column[line].load(simd).mul_add(x[line].load(simd), *sum);
                }
                let [a, b, c, d] = partial;
                let mut dot = f64::ZERO;
                dot.store((a + b) + (c + d));
                let weight = f64x8::splat(simd, weight(j, f64::add_lanes(&dot)));
                for line in 0..height {
                    let sum = column[line].load(simd).mul_add(weight, sums[line].load(simd));
                    sums[line].store(sum);
                }
            }
        });
        for (line, y) in self.y.iter().zip(y.chunks_mut(LANES)) {
            y.copy_from_slice(&line.0[..y.len()]);
        }
    }

    /// Returns the entries of column j, padded by zeros.
    pub fn column(&self, j: usize) -> impl Iterator<Item = f64> {
        self.entries[j * self.height..][..self.height].iter().flat_map(|line| line.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against plain loops and the exponential of the standard library, to 2 roundings of the
        /// exponent, and below the smallest normal number.
        #[test]
        fn is_what_plain_loops_give(
            rows in 1usize..40,
            columns in 1usize..6,
            epsilon in 0.01f64..10.0,
            numbers in prop::collection::vec(0.0f64..20.0, 40 * 7 + 6),
        ) {
            let (cost, rest) = numbers.split_at(rows * columns);
            let cost = DMatrix::from_column_slice(rows, columns, cost);
            let (f, g) = (&rest[..rows], &rest[rows..][..columns]);
            let mut kernel = GibbsKernel::new(rows, columns);
            kernel.fill(&cost, epsilon, f, g);
            let mut sum = vec![0.0; rows];
            for j in 0..columns {
                let column: Vec<f64> = kernel.column(j).collect();
                prop_assert_eq!(column.len(), rows.next_multiple_of(8));
                prop_assert!(column[rows..].iter().all(|&x| x == 0.0));
                let mut dot = 0.0;
                for i in 0..rows {
                    let exponent = (f[i] + g[j] - cost[(i, j)]) / epsilon;
                    let expected = exponent.clamp(-1000.0, 709.0).exp();
                    let error = 2.0 * f64::EPSILON * (exponent.abs() + 60.0 / epsilon + 1.0);
                    if exponent < 709.0 {
                        let tolerance = error * expected + f64::from_bits(1);
                        prop_assert!((column[i] - expected).abs() <= tolerance, "{exponent}");
                    }
                    dot += column[i] * f[i];
                }
                (0..rows).for_each(|i| sum[i] += column[i] * (dot / (j + 1) as f64));
            }
            if sum.iter().all(|x| x.is_finite()) {
                let mut y = vec![0.0; rows];
                kernel.pass(f, |j, dot| dot / (j + 1) as f64, &mut y);
                for (y, sum) in y.iter().zip(&sum) {
                    prop_assert!((y - sum).abs() <= 1e-13 * sum, "{y} {sum}");
                }
            }
        }
    }
}
