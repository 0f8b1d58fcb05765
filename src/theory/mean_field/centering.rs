//! The Gram matrix of samples that are centred over the batch.

use nalgebra::DMatrix;

use crate::check;
use crate::{Error, Gram, Result};

/// Returns the Gram matrix of the batch after its mean has been subtracted from every sample:
/// $`P C P`$, scaled to trace one, with $`P = I - \frac1n 1 1^\top`$.
///
/// Centred batch normalisation depends on `C` only through this matrix. So a law without centring
/// of this module or of [`mean_field_activation`](crate::theory::mean_field_activation), applied to
/// it, is the law with centring. Its rank is at most `n - 1`.
///
/// Centring cancels digits: if the factor has a relative error of 1e-16, samples that differ by a
/// relative 1e-8 keep half of theirs. Cost: `O(n³)`.
///
/// ```
/// use orthogap::{Input, theory::mean_field::centered};
///
/// let gram = centered(Input::orthogonal(4)?.gram())?;
/// assert_eq!(gram.rank(), 3);
/// assert!((gram.cosine(0, 1)? + 1.0 / 3.0).abs() < 1e-15);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::BatchTooSmall`] below two samples; [`Error::ZeroMatrix`] if all samples are equal up to
/// rounding.
pub fn centered(gram: &Gram) -> Result<Gram> {
    let n = gram.batch_size();
    check::batch(n, 2)?;
    let basis = helmert(n);
    let coordinates = gram.factor() * &basis;
    if coordinates.norm() < n as f64 * f64::EPSILON {
        return Err(Error::ZeroMatrix { rows: gram.rank(), columns: n });
    }
    let reduced = Gram::from_columns(&coordinates)?;
    Gram::from_factor(reduced.factor() * basis.transpose())
}

/// An orthonormal basis of the vectors of `n` entries that add up to zero (`n x (n-1)`): with it the
/// rank cannot exceed `n - 1` by rounding.
fn helmert(n: usize) -> DMatrix<f64> {
    DMatrix::from_fn(n, n - 1, |i, j| {
        let k = j as f64 + 1.0;
        let length = (k * (k + 1.0)).sqrt();
        match i {
            _ if i <= j => 1.0 / length,
            _ if i == j + 1 => -k / length,
            _ => 0.0,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalization::{BatchNorm, Centering};
    use crate::statistics::Moments;
    use crate::theory::mean_field::MeanFieldChain;
    use crate::{Input, Network, Seed};
    use approx::assert_relative_eq;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Against P C P itself, entry by entry.
        #[test]
        fn centring_is_a_projection_from_both_sides(n in 2usize..9, d in 1usize..12, seed in any::<u64>()) {
            let independent = Input::gaussian(n + 12, n, Seed(seed)).unwrap();
            let gram = Gram::from_columns(&independent.columns().rows(0, d)).unwrap();
            let projection = DMatrix::identity(n, n) - DMatrix::repeat(n, n, 1.0 / n as f64);
            let product = &projection * gram.matrix() * &projection;
            let centred = centered(&gram).unwrap();
            prop_assert!(centred.rank() < n);
            let difference = centred.matrix() - &product / product.trace();
            prop_assert!(difference.amax() < 1e-11);
        }
    }

    #[test]
    fn equal_samples_and_single_ones_have_no_centred_matrix() {
        let twins = Gram::from_factor(nalgebra::dmatrix![0.1, 0.1, 0.1; 0.3, 0.3, 0.3]).unwrap();
        assert_eq!(centered(&twins), Err(Error::ZeroMatrix { rows: 2, columns: 3 }));
        let single = Error::BatchTooSmall { batch_size: 1, minimum: 2 };
        assert_eq!(centered(Input::orthogonal(1).unwrap().gram()), Err(single));
    }

    /// One layer of the paper's batch norm with centring has the mean of the map at any width: 10
    /// entries at width 8 from a batch that is not centred, seed 41, 4000 runs; at four standard errors a
    /// false alarm in 1500 seeds.
    #[test]
    fn one_centred_layer_has_the_mean_of_the_map() {
        let input = Input::spiked(4, 0.5).unwrap();
        let mut chain = MeanFieldChain::new(input.gram()).unwrap().with_centering().unwrap();
        let expected = chain.step().matrix();
        let centred = BatchNorm::paper().with_centering(Centering::Batch);
        let network = Network::<f64>::new(8).with_normalization(centred);
        let mut entries = vec![Moments::new(); 16];
        for run in 0..4000 {
            let mut chain = network.chain(&input, Seed(41).replicate(run)).unwrap();
            let matrix = chain.step().unwrap().matrix();
            entries.iter_mut().zip(&matrix).for_each(|(moments, x)| moments.push(*x));
        }
        for (moments, expected) in entries.iter().zip(&expected) {
            let z = (moments.mean() - expected) / moments.standard_error();
            assert!(z.abs() < 4.0, "{z} standard errors from {expected}");
        }
    }

    /// Centring again changes nothing, so the chain need not.
    #[test]
    fn the_centred_chain_stays_centred() {
        let input = Input::near_collinear(5, 0.1).unwrap();
        let chain = MeanFieldChain::new(input.gram()).unwrap().with_centering().unwrap();
        for layer in chain.take(5) {
            assert_eq!(layer.rank(), 4);
            let again = centered(&layer).unwrap();
            assert_relative_eq!(again.matrix(), layer.matrix(), epsilon = 1e-14);
        }
    }
}
