//! The largest eigenvalue of the Gaussian orthogonal ensemble, exactly at every order.
//!
//! Symmetric `n x n` matrices with independent entries, N(0, 1) on the diagonal and N(0, 1/2) off
//! it. Stationary fluctuations of the chain are such a matrix without its trace, and the trace is
//! independent of the rest and has mean zero.

use nalgebra::{DMatrix, DVector};

/// Returns the mean of the largest eigenvalue, to a relative error of about 1e-12 for n <= 512 and
/// 1e-6 above.
///
/// Integration by parts of its distribution function `F`, a ratio of Pfaffians: with the Hermite
/// functions $`\phi_i`$ and their integrals $`\Phi_i`$ from minus infinity,
/// $`F(x)^2 = \det A(x) / \det A(\infty)`$ and
/// $`A_{ij}(x) = \int_{-\infty}^x (\phi_j \Phi_i - \phi_i \Phi_j)`$, with the border
/// $`\Phi_i(x)`$ if `n` is odd (de Bruijn 1955; Mehta, Random Matrices, section 5).
///
/// Cost: about `30 n³`.
pub fn mean_largest_eigenvalue(order: usize) -> f64 {
    const LARGEST_EXACT: usize = 512;
    if order > LARGEST_EXACT {
        return continued(order, LARGEST_EXACT);
    }
    // F is analytic and its derivative a bell 0.9 of a unit wide: steps of half a unit are exact.
    let n = order as f64;
    let unit = width_of_edge(n) * std::f64::consts::SQRT_2;
    let edge = (2.0 * n).sqrt();
    let (left, right, step) = (edge - 9.0 * unit, edge + 8.0 * unit, unit / 2.0);
    let mut pfaffian = Pfaffian::at_infinity(order, right);
    let whole = pfaffian.log_determinant();
    let mut sum = 0.5; // F is one at the right end
    while pfaffian.x > left {
        pfaffian.go_left(step);
        sum += (0.5 * (pfaffian.log_determinant() - whole)).exp();
    }
    right - step * sum
}

/// The mean at a large order: the limit law at the edge of the spectrum, and the next term of its
/// expansion from a smaller order.
fn continued(order: usize, from: usize) -> f64 {
    const TRACY_WIDOM_MEAN: f64 = -1.206_533_574_582_093_7;
    let edge = |n: f64| (2.0 * n - 1.0).sqrt() + TRACY_WIDOM_MEAN * width_of_edge(n);
    let (n, m) = (order as f64, from as f64);
    edge(n) + (mean_largest_eigenvalue(from) - edge(m)) * (m / n).powf(5.0 / 6.0)
}

/// Scale of the largest eigenvalue's fluctuations.
fn width_of_edge(n: f64) -> f64 {
    n.powf(-1.0 / 6.0) / std::f64::consts::SQRT_2
}

/// The skew-symmetric matrix `A(x)` on its way from infinity to the left.
struct Pfaffian {
    x: f64,
    /// $`\int_x^\infty \phi_0`$.
    tail: f64,
    matrix: DMatrix<f64>,
    /// $`\int \phi_i`$ over the line.
    integrals: DVector<f64>,
}

/// Gauss-Legendre with six nodes on [-1, 1]: the positive nodes and their weights.
const GAUSS: [(f64, f64); 3] = [
    (0.238_619_186_083_196_9, 0.467_913_934_572_691),
    (0.661_209_386_466_264_5, 0.360_761_573_048_138_6),
    (0.932_469_514_203_152, 0.171_324_492_379_170_35),
];

/// Nodes and weights between two ends.
fn gauss(low: f64, high: f64) -> impl Iterator<Item = (f64, f64)> {
    let (middle, half) = (low.midpoint(high), (high - low) / 2.0);
    let both = |(node, weight): (f64, f64)| [(-node, weight), (node, weight)];
    GAUSS.into_iter().flat_map(both).map(move |(x, w)| (middle + half * x, half * w))
}

impl Pfaffian {
    /// At `x` so large that nothing is beyond.
    fn at_infinity(n: usize, x: f64) -> Self {
        let mut integrals = DVector::zeros(n);
        integrals[0] = std::f64::consts::SQRT_2 * std::f64::consts::PI.powf(0.25);
        // Hermite functions: sqrt((i+1)/2) φ_{i+1} = sqrt(i/2) φ_{i-1} - φ_i'.
        for i in 1..n.saturating_sub(1) {
            integrals[i + 1] = (i as f64 / (i + 1) as f64).sqrt() * integrals[i - 1];
        }
        // products_ij: the integral of φ_j Φ_i, by the same recurrence in j and in i, except for a
        // symmetric part, which starts from the first entry and cancels below.
        let mut products = DMatrix::<f64>::zeros(n, n);
        let root = |i: usize| (i as f64 / 2.0).sqrt();
        for j in 0..n - 1 {
            let before = if j > 0 { root(j) * products[(0, j - 1)] } else { 1.0 };
            products[(0, j + 1)] = before / root(j + 1);
        }
        for i in 0..n - 1 {
            for j in 0..n {
                let before = if i > 0 { root(i) * products[(i - 1, j)] } else { 0.0 };
                let overlap = if i == j { 1.0 } else { 0.0 };
                products[(i + 1, j)] = (before - overlap) / root(i + 1);
            }
        }
        let matrix = &products - products.transpose();
        Self { x, tail: 0.0, matrix, integrals }
    }

    /// Subtracts the integral over the next stretch.
    fn go_left(&mut self, step: f64) {
        const PANELS: usize = 4;
        let panel = step / PANELS as f64;
        for _ in 0..PANELS {
            let (low, high) = (self.x - panel, self.x);
            for (y, weight) in gauss(low, high) {
                let tail = self.tail + integral_of_ground_state(y, high);
                let (functions, primitives) = self.functions(y, tail);
                self.matrix.ger(-weight, &primitives, &functions, 1.0);
                self.matrix.ger(weight, &functions, &primitives, 1.0);
            }
            self.tail += integral_of_ground_state(low, high);
            self.x = low;
        }
    }

    /// $`\phi_i`$ and $`\Phi_i`$ at a point.
    fn functions(&self, x: f64, tail: f64) -> (DVector<f64>, DVector<f64>) {
        let n = self.integrals.len();
        let (mut functions, mut tails) = (DVector::zeros(n), DVector::zeros(n));
        functions[0] = ground_state(x);
        tails[0] = tail;
        for i in 0..n - 1 {
            let (below, tail_below) =
                if i > 0 { (functions[i - 1], tails[i - 1]) } else { (0.0, 0.0) };
            let (root, scale) = ((i as f64 / 2.0).sqrt(), (2.0 / (i + 1) as f64).sqrt());
            functions[i + 1] = (x * functions[i] - root * below) * scale;
            tails[i + 1] = (root * tail_below + functions[i]) * scale;
        }
        (functions, &self.integrals - tails)
    }

    fn log_determinant(&self) -> f64 {
        let n = self.integrals.len();
        let mut matrix = self.matrix.clone();
        if n % 2 == 1 {
            let (_, border) = self.functions(self.x, self.tail);
            matrix = matrix.resize(n + 1, n + 1, 0.0);
            matrix.view_mut((0, n), (n, 1)).copy_from(&border);
            matrix.view_mut((n, 0), (1, n)).copy_from(&-border.transpose());
        }
        matrix.lu().u().diagonal().iter().map(|pivot| pivot.abs().ln()).sum()
    }
}

fn ground_state(x: f64) -> f64 {
    (-x * x / 2.0).exp() * std::f64::consts::PI.powf(-0.25)
}

fn integral_of_ground_state(low: f64, high: f64) -> f64 {
    gauss(low, high).map(|(x, weight)| weight * ground_state(x)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    /// One, two and three eigenvalues by hand; more from the same integrals at twice the resolution in
    /// another language, confirmed by 20,000 random matrices each.
    #[test]
    fn means() {
        assert!(mean_largest_eigenvalue(1).abs() < 1e-13);
        assert!((mean_largest_eigenvalue(2) - PI.sqrt() / 2.0).abs() < 1e-13);
        let known = [
            (3, 1.465_807_535_708_760_8),
            (4, 1.922_461_325_480_775),
            (8, 3.245_102_993_273_343_7),
            (16, 5.017_106_330_508_433),
            (32, 7.451_298_839_673_898),
        ];
        for (n, mean) in known {
            assert!((mean_largest_eigenvalue(n) / mean - 1.0).abs() < 1e-12, "{n}");
        }
    }

    /// The way on to large orders, tried where it is not needed.
    #[test]
    fn the_edge_continues_smoothly() {
        let (predicted, large) = (continued(400, 200), mean_largest_eigenvalue(400));
        assert!((predicted - large).abs() < 3e-5, "{predicted} {large}");
    }
}
