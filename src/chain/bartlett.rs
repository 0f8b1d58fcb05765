//! The Cholesky factor of a Wishart matrix, at a cost independent of its degrees of freedom.

use fearless_simd::Level;
use nalgebra::DMatrix;
use rand::Rng;
use rand_distr::{ChiSquared, Distribution};

use crate::kernel::compiled::Kernels;
use crate::kernel::generator::StreamKey;

/// Makes a square matrix of zeros above its diagonal the lower triangular `L` whose $`L L^\top`$ has the
/// law of $`\sum_{k \le d} z_k z_k^\top`$, $`z_k \sim N(0, I)`$, for `d` at least its order n (Bartlett 1933).
///
/// Entry i of the diagonal, from 0, is the root of a chi-squared number with d - i degrees of freedom;
/// those below it are normal. Cost: `n(n+1)/2` random numbers, no allocation.
pub(super) fn draw_wishart_root(
    root: &mut DMatrix<f64>,
    degrees: usize,
    normals: StreamKey,
    diagonal: &mut impl Rng,
) {
    let n = root.nrows();
    let entries = root.as_mut_slice();
    let count = n * (n - 1) / 2;
    f64::fill_normal(Level::new(), normals, &mut entries[..count]);
    // Where column j ends among the normals; its place is further on, so the last one moves first.
    let mut end = count;
    for j in (0..n).rev() {
        let below = n - 1 - j;
        entries.copy_within(end - below..end, j * n + j + 1);
        end -= below;
        entries[j * n..][..j].fill(0.0);
        let degrees = (degrees - j) as f64;
        let law = ChiSquared::new(degrees).expect("a positive number of degrees of freedom");
        entries[j * n + j] = law.sample(diagonal).sqrt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalization::Normalization;
    use crate::{Input, Layer, Network, Purpose, Scalar, Seed};
    use statrs::distribution::{ChiSquared as Law, ContinuousCDF};

    fn root(n: usize, degrees: usize, seed: u64) -> DMatrix<f64> {
        let run = Seed(seed).replicate(0);
        let mut root = DMatrix::repeat(n, n, f64::NAN);
        let normals = run.stream(Purpose::Rows, 1, 0).key();
        let mut diagonal = run.stream(Purpose::RowNorms, 1, 0).rng();
        draw_wishart_root(&mut root, degrees, normals, &mut diagonal);
        root
    }

    /// The largest difference of two empirical distribution functions.
    fn distance(mut a: Vec<f64>, mut b: Vec<f64>) -> f64 {
        a.sort_unstable_by(f64::total_cmp);
        b.sort_unstable_by(f64::total_cmp);
        let share = |x: &[f64], at: f64| x.partition_point(|&x| x <= at) as f64 / x.len() as f64;
        a.iter().chain(&b).map(|&at| (share(&a, at) - share(&b, at)).abs()).fold(0.0, f64::max)
    }

    /// Kolmogorov and Smirnov's distance that a share `alpha` of pairs of samples of n numbers exceed.
    fn critical(n: usize, alpha: f64) -> f64 {
        (-(alpha / 2.0).ln() / n as f64).sqrt()
    }

    /// Each entry of the diagonal, whose degrees of freedom go from 1 to the largest width, beside its
    /// distribution function: seeds 0 to 1999, 2000 numbers each, 18 comparisons at 1e-5 each.
    #[test]
    fn diagonals_are_chi_squared() {
        const RUNS: usize = 2000;
        for degrees in [3, 4, 10, 1000, 1 << 20, 1 << 40] {
            let roots: Vec<_> = (0..RUNS as u64).map(|seed| root(3, degrees, seed)).collect();
            for j in 0..3 {
                let law = Law::new((degrees - j) as f64).unwrap();
                let mut uniform: Vec<f64> =
                    roots.iter().map(|root| law.cdf(root[(j, j)].powi(2))).collect();
                uniform.sort_unstable_by(f64::total_cmp);
                let far = uniform.iter().enumerate().map(|(k, u)| {
                    (u - k as f64 / RUNS as f64).max((k + 1) as f64 / RUNS as f64 - u)
                });
                let far = far.fold(0.0, f64::max);
                assert!(far < critical(2 * RUNS, 1e-5), "{degrees} {j}: {far}");
            }
        }
    }

    #[test]
    fn normals_are_below_the_diagonal_alone() {
        let root = root(6, 9, 3);
        let mut all: Vec<f64> = Vec::new();
        for j in 0..6 {
            for i in 0..6 {
                assert!(if i < j { root[(i, j)] == 0.0 } else { root[(i, j)].is_finite() });
                if i > j {
                    all.push(root[(i, j)]);
                }
            }
        }
        let mut expected = vec![0.0; 15];
        Seed(3).replicate(0).stream(Purpose::Rows, 1, 0).fill_normal(&mut expected);
        assert_eq!(all, expected);
    }

    /// A network without normalisation or activation beside the same one with its weights drawn:
    /// seeds 0 to 999, 1000 chains of two layers each, on widths from the batch size to its triple,
    /// three metrics, 18 comparisons at 1e-5 each.
    fn same_law_as_weights<T: Scalar>() {
        const RUNS: u64 = 1000;
        let input = Input::near_collinear(4, 0.1).unwrap();
        for width in [4, 5, 12] {
            let network = Network::<T>::new(width).with_normalization(Normalization::None);
            let metrics = |layer: &Layer| {
                [layer.log_scale(), layer.orthogonality_gap(), layer.min_singular_value()]
            };
            let mut ours = [const { Vec::new() }; 3];
            let mut theirs = [const { Vec::new() }; 3];
            for seed in 0..RUNS {
                let mut chain = network.chain(&input, Seed(seed)).unwrap();
                let mut explicit = network.explicit_chain(&input, Seed(seed)).unwrap();
                let pair =
                    [metrics(chain.advance(2).unwrap()), metrics(explicit.advance(2).unwrap())];
                for k in 0..3 {
                    ours[k].push(pair[0][k]);
                    theirs[k].push(pair[1][k]);
                }
            }
            for (k, (ours, theirs)) in ours.into_iter().zip(theirs).enumerate() {
                let far = distance(ours, theirs);
                assert!(far < critical(RUNS as usize, 1e-5), "{width} {k}: {far}");
            }
        }
    }

    #[test]
    fn networks_have_the_law_of_drawn_weights() {
        same_law_as_weights::<f64>();
        same_law_as_weights::<f32>();
    }

    /// The cost does not depend on the width, and the scale is that of the law of large numbers.
    #[test]
    fn the_widest_network_is_drawn_at_once() {
        let network = Network::<f32>::new(1 << 40).with_normalization(Normalization::None);
        let mut chain = network.chain(&Input::near_collinear(3, 0.5).unwrap(), Seed(1)).unwrap();
        let (gap, scale) = (chain.layer().orthogonality_gap(), chain.layer().log_scale());
        let layer = chain.advance(100).unwrap();
        assert!((layer.orthogonality_gap() - gap).abs() < 1e-4);
        assert!((layer.log_scale() - scale).abs() < 1e-4);
    }
}
