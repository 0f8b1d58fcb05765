//! The matrix with which the rows of a streamed layer are drawn.

use std::borrow::Cow;

use nalgebra::DMatrix;

use crate::factorization::triangle;
use crate::network::Operation;
use crate::statistics::SplitMean;
use crate::{Gram, Network, Result, Scalar};

/// The matrix `F` of the rows of a layer, $`y = F^\top z`$ with independent normals `z`.
///
/// It is made of a factor `R` of what the weights multiply, without what the rows do not show.
#[derive(Clone, Debug)]
pub(crate) struct RowFactor<'a> {
    /// `F`, without the columns of samples that are zero and stay so.
    pub factor: Cow<'a, DMatrix<f64>>,
    /// The columns that are left, if some are not.
    pub live: Option<Vec<usize>>,
    /// How many normals a row takes: as many as `F` has rows, or more, which do not matter.
    pub order: usize,
    /// Whether the rows of `F` are not those of `R`, perhaps centred, but a rotation of them.
    pub rotated: bool,
}

impl<'a> RowFactor<'a> {
    /// Of rows to which `operations` are done; none if all samples are zero.
    ///
    /// Rows that are `shared` by two passes are made of as many normals in both.
    pub(crate) fn new<T: Scalar>(
        network: &Network<T>,
        operations: &[Operation],
        shared: bool,
        gram: &'a Gram,
    ) -> Result<Option<Self>> {
        let linear = network.activation().is_linear() || !operations.contains(&Operation::Activate);
        let centers = network.normalization().centers();
        let r = gram.factor();
        let square = r.is_square();
        let (factor, mut rotated) = if !centers {
            (Cow::Borrowed(r), false)
        } else if operations.contains(&Operation::Normalize) {
            if linear || shared {
                (Cow::Owned(centered_rank(r)), square)
            } else {
                (Cow::Owned(centered(r)), false)
            }
        } else if shared && square {
            (Cow::Owned(mean_last(r)), true)
        } else {
            (Cow::Borrowed(r), false)
        };
        // Samples that are zero and stay so are left out: they would spoil the factorisation.
        let live = live_columns(&factor).filter(|_| network.activation().value(0.0) == 0.0);
        if live.as_ref().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        // Where one pass centres rows and the other does not, they see different samples as zero.
        let alike = !(centers && shared && network.stages().after.is_empty());
        let live = live.filter(|_| alike);
        let factor = match &live {
            Some(live) => {
                rotated |= factor.nrows() > live.len();
                Cow::Owned(low(factor.select_columns(live))?)
            }
            None => factor,
        };
        // A row takes as many normals as there are samples, or, alone, as there are directions.
        let order = if linear && !shared { factor.nrows() } else { factor.ncols() };
        Ok(Some(Self { factor, live, order, rotated }))
    }
}

/// The columns that are not zero, if some are.
fn live_columns(factor: &DMatrix<f64>) -> Option<Vec<usize>> {
    let (r, n) = factor.shape();
    if r == n {
        return None; // a factor of full rank has no zero column
    }
    let live: Vec<_> = (0..n).filter(|&j| factor.column(j).iter().any(|&x| x != 0.0)).collect();
    (live.len() < n).then_some(live)
}

/// A factor of the same Gram matrix with no more rows than columns.
fn low(factor: DMatrix<f64>) -> Result<DMatrix<f64>> {
    if factor.nrows() <= factor.ncols() {
        return Ok(factor);
    }
    let (gram, log_norm) = Gram::with_log_norm(&factor, 0.0)?;
    Ok(gram.factor() * log_norm.exp())
}

/// `R P`: the mean over the batch subtracted from every row of a factor.
fn centered(factor: &DMatrix<f64>) -> DMatrix<f64> {
    let mut centered = factor.clone();
    for mut row in centered.row_iter_mut() {
        let mean = SplitMean::of((0..row.len()).map(|j| row[j]));
        row.apply(|entry| *entry = mean.deviation(*entry));
    }
    centered
}

/// A factor of the same matrix as `R P` without the direction that centring takes away: as many
/// rows as there are samples but one, if `R` (`n x n`) has full rank.
fn centered_rank(factor: &DMatrix<f64>) -> DMatrix<f64> {
    let (r, n) = factor.shape();
    // Products with the basis cancel a mean, too, but leave its rounding errors.
    let centered = centered(factor);
    if r < n {
        return centered;
    }
    let basis = helmert(n);
    triangle(centered * &basis) * basis.transpose()
}

/// A rotation of `R` (`n x n`) whose first rows, centred, are those of [`centered_rank`], and whose
/// last row is constant: rows that are drawn with it and then centred are those drawn with the other.
fn mean_last(factor: &DMatrix<f64>) -> DMatrix<f64> {
    let n = factor.nrows();
    let mut basis = helmert(n).insert_column(n - 1, (n as f64).sqrt().recip());
    let upper = triangle(factor * &basis);
    basis.transpose_mut();
    upper * basis
}

/// Helmert's orthonormal basis of the rows of mean zero, `n x (n - 1)`.
fn helmert(n: usize) -> DMatrix<f64> {
    DMatrix::from_fn(n, n - 1, |i, k| {
        let norm = (((k + 1) * (k + 2)) as f64).sqrt();
        match i {
            _ if i <= k => 1.0 / norm,
            _ if i == k + 1 => -((k + 1) as f64) / norm,
            _ => 0.0,
        }
    })
}

/// An upper triangular `S` (`r x r`) with $`\lVert S^\top z \rVert = \lVert R^\top z \rVert`$ for
/// all `z`: the RQ factorisation of `R` (`r x n`, r <= n), by way of the QR factorisation of what
/// is turned about.
pub(super) fn triangle_of_same_norms(factor: &DMatrix<f64>) -> DMatrix<f64> {
    let r = factor.nrows();
    let turned = DMatrix::from_fn(factor.ncols(), r, |i, j| factor[(r - 1 - j, i)]);
    let upper = triangle(turned);
    DMatrix::from_fn(r, r, |i, j| upper[(r - 1 - j, r - 1 - i)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::triangular::is_upper_triangular;
    use crate::{Input, Seed};

    proptest! {
        #[test]
        fn triangles_have_the_norms_of_their_factor(
            n in 1usize..9, missing in 0usize..3, seed in any::<u64>(),
        ) {
            let columns = Input::gaussian(9, 9, Seed(seed)).unwrap().columns().clone();
            let r = n.saturating_sub(missing).max(1);
            let factor = columns.view((0, 0), (r, n)).into_owned();
            let triangle = triangle_of_same_norms(&factor);
            prop_assert!(is_upper_triangular(&triangle));
            let z = columns.view((0, 8), (r, 1));
            let (ours, naive) = ((triangle.transpose() * z).norm(), (factor.transpose() * z).norm());
            prop_assert!((ours - naive).abs() < 1e-13 * naive.max(1.0));
        }

        /// Both ways to centre a factor.
        #[test]
        fn centered_factors_agree(
            n in 2usize..9, missing in 0usize..2, seed in any::<u64>(),
        ) {
            let columns = Input::gaussian(9, 9, Seed(seed)).unwrap().columns().clone();
            let factor = columns.view((0, 0), (n - missing, n)).into_owned();
            let (plain, ranked) = (centered(&factor), centered_rank(&factor));
            prop_assert_eq!(ranked.nrows(), n - 1);
            let difference = plain.transpose() * &plain - ranked.transpose() * ranked;
            prop_assert!(difference.amax() < 1e-13 * plain.norm_squared());
        }

        /// Rows that are drawn with one and centred are those drawn with the other.
        #[test]
        fn a_constant_last_row_is_lost_by_centring(n in 2usize..9, seed in any::<u64>()) {
            let factor = Input::gaussian(9, 9, Seed(seed)).unwrap().columns().clone();
            let factor = factor.view((0, 0), (n, n)).into_owned();
            let rotated = mean_last(&factor);
            let tolerance = 1e-13 * factor.norm_squared().max(1.0);
            let square = factor.transpose() * &factor - rotated.transpose() * &rotated;
            prop_assert!(square.amax() < tolerance);
            let short = centered_rank(&factor);
            let difference = centered(&rotated) - short.resize_vertically(n, 0.0);
            prop_assert!(difference.amax() < tolerance);
        }

        /// Of integers far from zero, whose mean is not a float.
        #[test]
        fn offsets_are_subtracted_exactly(
            n in 2usize..9, missing in 0usize..2, seed in any::<u64>(),
        ) {
            let columns = Input::gaussian(9, 9, Seed(seed)).unwrap().columns().clone();
            let factor = columns.view((0, 0), (n - missing, n)).map(|x| (10.0 * x).round());
            let far = factor.add_scalar(2f64.powi(52));
            let expected = centered(&factor);
            prop_assert!((centered(&far) - &expected).amax() < 1e-13);
            let ranked = centered_rank(&far);
            let square = expected.transpose() * &expected;
            let difference = ranked.transpose() * ranked - &square;
            prop_assert!(difference.amax() < 1e-13 * (1.0 + square.amax()));
        }
    }
}
