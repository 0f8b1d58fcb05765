//! The bias of the Gelbrich distance of a sample, by two methods.
//!
//! Both are functions of the eigenvalues mu of $`S^{1/2} C S^{1/2}`$, with the sample covariance
//! `C` and the covariance `S` of the target, and of the degrees of freedom N of `C`. Rows that are not
//! Gaussian add [`excess`].

use nalgebra::DMatrix;

/// The first-order bias of $`-2 \sum \sqrt{\mu_i}`$,
/// $`\frac{1}{2N} \sum_{ij} (1 + \delta_{ij}) \frac{\sqrt{\mu_i \mu_j}}{\sqrt{\mu_i} + \sqrt{\mu_j}}`$.
pub(super) fn first_order(eigenvalues: &[f64], degrees: f64) -> f64 {
    let roots: Vec<f64> = eigenvalues.iter().filter(|mu| **mu > 0.0).map(|mu| mu.sqrt()).collect();
    let pair = |(a, b): (f64, f64)| a * b / (a + b);
    let pairs = roots.iter().flat_map(|&a| roots.iter().map(move |&b| (a, b)));
    (pairs.map(pair).sum::<f64>() + roots.iter().sum::<f64>() / 2.0) / (2.0 * degrees)
}

/// What fourth moments other than those of Gaussian rows add to the [first-order](first_order) bias,
/// $`\frac{1}{2N} \sum_{ij} \frac{\sqrt{\mu_i \mu_j}}{\sqrt{\mu_i} + \sqrt{\mu_j}} (k_{ij} - 1 - 2 \delta_{ij})`$
/// with $`k_{ij} = E\, y_i^2 y_j^2`$ of coordinates y of mean zero, variance one and no correlation.
///
/// `along` holds such coordinates of N + 1 rows up to their scale, a column for each eigenvalue. If the
/// rows are Gaussian, the columns at equal length are a random orthonormal frame. Its $`k_{ij}`$ have
/// the mean $`(1 + 2 \delta_{ij}) N/(N + 2)`$ for all eigenvalues (divisor N + 1). So the
/// mean of this excess is exactly zero.
///
/// Cost: `N n²` multiply-adds.
pub(super) fn excess(eigenvalues: &[f64], along: &DMatrix<f64>, degrees: f64) -> f64 {
    let mut squares = along.map(|y| y * y);
    for mut column in squares.column_iter_mut() {
        let variance = column.mean();
        if variance > 0.0 {
            column /= variance;
        }
    }
    let scale = (degrees + 2.0) / degrees / (degrees + 1.0);
    let fourth_moments = squares.tr_mul(&squares) * scale;
    let roots: Vec<f64> = eigenvalues.iter().map(|mu| mu.sqrt()).collect();
    let mut sum = 0.0;
    for (i, a) in roots.iter().enumerate() {
        for (j, b) in roots.iter().enumerate() {
            let gaussian = if i == j { 3.0 } else { 1.0 };
            sum += a * b / (a + b) * (fourth_moments[(i, j)] - gaussian);
        }
    }
    sum / (2.0 * degrees)
}

/// The sum of the roots of the eigenvalues of the population, estimated consistently from those of
/// the sample as n and N grow together, n < N (Tiomoko and Couillet, arXiv 1903.03447).
///
/// With the Stieltjes transform of the N x N companion matrix,
/// $`\tilde m(x) = -\frac1x \prod_j \frac{x - \zeta_j}{x - \lambda_j}`$, whose zeros interlace
/// with the eigenvalues $`\zeta_1 < \lambda_1 < \zeta_2 < \dots`$, the contour integral over the
/// root shrinks to its cuts:
///
/// ```math
/// \sum_i \sqrt{\nu_i} \approx \frac{2N}{\pi} \sum_i \int_{\zeta_i}^{\lambda_i} \sqrt{\tilde m(x)}\, dx
/// ```
///
/// That is exact for complex samples; the covariance of real ones adds the diagonal of the
/// [first-order](first_order) sum, $`\frac{1}{8N} \sum \sqrt{\lambda_i}`$, of relative order 1/n.
///
/// Cost: some hundred n² operations.
pub(super) fn random_matrix_sum_of_roots(eigenvalues: &[f64], degrees: f64) -> f64 {
    const MAX_NODES: usize = 256;
    let mut lambda: Vec<f64> = eigenvalues.iter().copied().filter(|mu| *mu > 0.0).collect();
    lambda.sort_by(f64::total_cmp);
    let below = zeros_below(&lambda, degrees);
    let mut nodes = 8;
    let mut value = quadrature(&lambda, &below, nodes);
    while nodes < MAX_NODES {
        nodes *= 2;
        let finer = quadrature(&lambda, &below, nodes);
        let change = (finer - value).abs();
        value = finer;
        if change <= 1e-12 * value {
            break;
        }
    }
    let diagonal = lambda.iter().map(|mu| mu.sqrt()).sum::<f64>() / (8.0 * degrees);
    2.0 * degrees * value / std::f64::consts::PI + diagonal
}

/// How far below each eigenvalue the next zero of the transform is: where
/// $`\frac1N \sum_j \lambda_j/(\lambda_j - x) = 1`$, which grows from one eigenvalue to the next.
fn zeros_below(lambda: &[f64], degrees: f64) -> Vec<f64> {
    let excess = |i: usize, distance: f64| {
        let terms = lambda.iter().map(|l| l / (l - lambda[i] + distance));
        terms.sum::<f64>() / degrees - 1.0
    };
    let zero = |i: usize| {
        let (mut near, mut far) = (0.0, lambda[i] - if i == 0 { 0.0 } else { lambda[i - 1] });
        // Halves relative to the distance: it may be tiny.
        for _ in 0..200 {
            let middle = 0.5 * (near + far);
            if middle <= near || middle >= far || far - near <= 1e-15 * far {
                break;
            }
            if excess(i, middle) > 0.0 { near = middle } else { far = middle }
        }
        far
    };
    (0..lambda.len()).map(zero).collect()
}

/// The sum of the integrals; with $`\lambda_i - x = \delta_i \sin^2 \theta`$ the integrands are
/// smooth and periodic, and the midpoint rule converges geometrically.
fn quadrature(lambda: &[f64], below: &[f64], nodes: usize) -> f64 {
    let step = std::f64::consts::FRAC_PI_2 / nodes as f64;
    let mut sum = 0.0;
    for (i, &width) in below.iter().enumerate().filter(|(_, width)| **width > 0.0) {
        for k in 0..nodes {
            let (sin, cos) = ((k as f64 + 0.5) * step).sin_cos();
            let down = width * sin * sin;
            let mut product = 1.0 / (lambda[i] - down);
            for (j, (l, b)) in lambda.iter().zip(below).enumerate() {
                if j != i {
                    let to_pole = lambda[i] - l - down;
                    product *= 1.0 + b / to_pole;
                }
            }
            sum += width * cos * cos * product.abs().sqrt();
        }
    }
    2.0 * step * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exact means of Wishart matrices: C = s² chi²_N/N for n = 1, and
    /// E chi_N/sqrt(N) = 1 - 1/(4N) + O(1/N²).
    #[test]
    fn one_dimension() {
        for degrees in [50.0, 1000.0] {
            let random_matrix = random_matrix_sum_of_roots(&[4.0], degrees);
            assert!(
                (random_matrix - 2.0 * (1.0 + 0.25 / degrees)).abs() < 1.0 / (degrees * degrees)
            );
            // -2 E sqrt: 2 * 2/(4N).
            assert!((first_order(&[4.0], degrees) - 1.0 / degrees).abs() < 1e-15);
        }
    }

    #[test]
    fn equal_eigenvalues_and_zeros_are_no_exception() {
        let twins = random_matrix_sum_of_roots(&[1.0, 1.0, 2.0, 0.0], 10.0);
        let apart = random_matrix_sum_of_roots(&[1.0, 1.0 + 1e-9, 2.0], 10.0);
        // A gap that the quadrature does not resolve costs the root of the gap.
        assert!((twins - apart).abs() < 1e-4, "{twins} {apart}");
    }

    /// Rows of four corners and their centre: variances 4/5 and k of 5/4 on the diagonal and off it.
    #[test]
    fn fourth_moments_of_corners() {
        let corners = nalgebra::dmatrix![1.0, 3.0; -1.0, 3.0; 1.0, -3.0; -1.0, -3.0; 0.0, 0.0];
        let k = 1.25 * 6.0 / 4.0;
        // Roots 1 and 2: a b/(a + b) is 1/2, 1 and twice 2/3.
        let expected = (1.5 * (k - 3.0) + 4.0 / 3.0 * (k - 1.0)) / 8.0;
        let found = excess(&[1.0, 4.0], &corners, 4.0);
        assert!((found - expected).abs() < 1e-15, "{found} {expected}");
        // A coordinate of zeros, whose eigenvalue is rounding, adds nothing that counts.
        let padded = corners.insert_column(2, 0.0);
        assert!((excess(&[1.0, 4.0, 1e-32], &padded, 4.0) - expected).abs() < 1e-14);
    }

    /// For many degrees of freedom both corrections are the same.
    #[test]
    fn corrections_agree_to_first_order() {
        let eigenvalues = [1.0f64, 2.0, 3.0, 5.0];
        let roots = eigenvalues.iter().map(|mu| mu.sqrt()).sum::<f64>();
        for degrees in [1e3, 1e5] {
            let excess = random_matrix_sum_of_roots(&eigenvalues, degrees) - roots;
            let expected = first_order(&eigenvalues, degrees) / 2.0;
            assert!((excess / expected - 1.0).abs() < 10.0 / degrees, "{excess} {expected}");
        }
    }
}
