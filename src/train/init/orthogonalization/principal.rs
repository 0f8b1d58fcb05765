//! The principal axes of a batch: the left half of its singular value decomposition.

use nalgebra::DMatrix;

use super::frame::refine;
use crate::factorization::{Eigen, symmetric_eigen};
use crate::gram::largest_entry;
use crate::scalar::exponent;
use crate::{Result, Scalar};

/// A singular value below this multiple of the largest counts as zero.
pub(super) const SMALLEST: f64 = 1e-6;

/// $`H = U \Sigma V^\top`$ without the singular values that are numerically zero.
///
/// From the eigenvectors of the smaller one of $`H H^\top`$ and $`H^\top H`$: a singular value
/// $`\sigma_i`$ has a relative error of about $`\varepsilon (\sigma_1/\sigma_i)^2`$, 1e-4 at worst,
/// where they are cut off, and 1e-10 at a thousandth of the largest. `U` is orthonormal to a few
/// roundings.
pub(super) struct Principal {
    /// `U`, `m x r`.
    pub axes: DMatrix<f64>,
    /// The diagonal of $`\Sigma`$, in descending order.
    pub values: Vec<f64>,
    /// The first rows of `V`: as many as asked for, or all, if there are less.
    pub samples: DMatrix<f64>,
}

impl Principal {
    /// Of a batch `h` (`m x n`), with the rows of `V` of the first `samples` samples.
    ///
    /// Cost: `m n min(m, n)` multiply-adds, twice that if `m > n`, and an eigendecomposition.
    pub fn of<T: Scalar>(h: &DMatrix<T>, samples: usize) -> Result<Self> {
        let unit = 2f64.powi(exponent(largest_entry(h)?));
        let mut columns = h.map(|x| -> f64 { x.into() });
        columns /= unit;
        let (m, n) = columns.shape();
        let samples = samples.min(n);
        let Eigen { values: squares, vectors } = symmetric_eigen(if m <= n {
            &columns * columns.transpose()
        } else {
            columns.transpose() * &columns
        })?;
        let cut = SMALLEST * SMALLEST * squares[0];
        let rank = squares.iter().take_while(|&&square| square > cut).count();
        let vectors = vectors.columns(0, rank);
        let values: Vec<f64> = squares[..rank].iter().map(|square| square.sqrt()).collect();
        let divided = |mut product: DMatrix<f64>| {
            for (mut column, value) in product.column_iter_mut().zip(&values) {
                column /= *value;
            }
            product
        };
        let (axes, samples) = if m <= n {
            let product = columns.columns(0, samples).transpose() * vectors;
            (vectors.into_owned(), divided(product))
        } else {
            (refine(divided(columns * vectors)), vectors.rows(0, samples).into_owned())
        };
        Ok(Self { axes, values: values.iter().map(|value| value * unit).collect(), samples })
    }

    /// Returns the numerical rank `r`.
    pub fn rank(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Purpose, Seed};
    use proptest::prelude::*;

    /// A batch with given singular values, and these.
    fn batch(m: usize, n: usize, decay: f64, seed: u64) -> (DMatrix<f64>, Vec<f64>) {
        let frame = |size, block| {
            let stream = Seed(seed).replicate(0).stream(Purpose::User(0), 0, block);
            crate::weights::frame::<f64>(size, m.min(n), stream)
        };
        let values: Vec<f64> = (0..m.min(n)).map(|k| decay.powi(k as i32)).collect();
        let sigma = DMatrix::from_diagonal(&values.clone().into());
        (frame(m, 0) * sigma * frame(n, 1).transpose(), values)
    }

    proptest! {
        /// Against nalgebra's decomposition, tall and wide, in any unit.
        #[test]
        fn axes_and_values_are_those_of_the_singular_value_decomposition(
            m in 1usize..12,
            n in 1usize..12,
            decay in 0.3..0.9f64,
            log_unit in -250..250i32,
            seed in 0u64..1000,
        ) {
            let (h, _) = batch(m, n, decay, seed);
            let unit = 10f64.powi(log_unit);
            let found = Principal::of(&(&h * unit), n).unwrap();
            let svd = h.clone().svd(true, true);
            let smallest = svd.singular_values.min() / svd.singular_values.max();
            prop_assume!(smallest > 1e-5);
            prop_assert_eq!(found.rank(), m.min(n));
            let tolerance = 1e-14 / (smallest * smallest);
            for (value, &naive) in found.values.iter().zip(svd.singular_values.iter()) {
                prop_assert!((value / unit / naive - 1.0).abs() < tolerance, "{value} {naive}");
            }
            let sigma = DMatrix::from_diagonal(&found.values.clone().into()) / unit;
            let product = &found.axes * sigma * found.samples.transpose();
            prop_assert!((product - &h).amax() < tolerance);
            let naive = svd.u.unwrap();
            for (axis, naive) in found.axes.column_iter().zip(naive.column_iter()) {
                prop_assert!((axis.dot(&naive).abs() - 1.0).abs() < tolerance.max(1e-12) * 10.0);
            }
            let rank = found.rank();
            let identity = found.axes.transpose() * &found.axes;
            prop_assert!((identity - DMatrix::identity(rank, rank)).amax() < 1e-13);
        }
    }

    #[test]
    fn what_is_numerically_zero_is_cut_off() {
        for (m, n) in [(20, 8), (8, 20)] {
            let (h, values) = batch(m, n, 0.05, 3);
            let found = Principal::of(&h, n).unwrap();
            assert_eq!(found.rank(), values.iter().filter(|&&value| value > SMALLEST).count());
            let twins = DMatrix::from_fn(m, n, |i, j| h[(i, j / 2)]);
            assert!(Principal::of(&twins, 2).unwrap().rank() <= n.div_ceil(2));
        }
    }
}
