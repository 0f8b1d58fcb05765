//! Entropic transport between uniform weights, by Newton's method on the potentials of one side.
//!
//! The plan is $`P_{ij} = u_i K_{ij} v_j / (n m)`$ with $`K_{ij} = e^{(f_i + g_j - c_{ij}) /
//! \varepsilon}`$. The scalings v always make the column sums exact, so only u is unknown, and the
//! dual value is a concave function of log u, whose gradient is the error of the row sums. A large
//! epsilon, where this is easy, is lowered to the one wanted. At each, three steps of Sinkhorn come
//! first, then steps of Newton, halved until they do not pass the maximum. Their systems are solved
//! by conjugate gradients (inexact Newton: Dembo, Eisenstat and Steihaug 1982), and by Cholesky
//! from the first on that takes too many. Scalings far from 1 go into f and g (Schmitzer 2019), so
//! nothing underflows.

use fearless_simd::Level;
use nalgebra::{DMatrix, DVector};

use crate::factorization;
use crate::kernel::gibbs::GibbsKernel;
use crate::kernel::product::{Operand, ProductScratch, multiply};

/// From an epsilon to the next one.
const EPSILON_RATIO: f64 = 4.0;
/// The marginal error at which a larger epsilon has served its purpose.
const WARM: f64 = 0.1;
/// Steps of Sinkhorn at each epsilon, before those of Newton.
const SINKHORN_STEPS: usize = 3;
/// Scalings within exp(±16) stay with u; a step changes them by no more.
const LOG_RANGE: f64 = 16.0;
/// The ridge of Newton's matrix, in units of the marginal error: it steadies the directions of
/// almost no curvature. It falls to the rounding of the matrix, rows times 2^-52, near the solution:
/// one direction, that of a constant, has no curvature at all.
const RIDGE: f64 = 0.01;
/// A row of the plan with a smaller sum is lost: at a smaller epsilon it may underflow as a whole.
const LOST: f64 = 1e-100;
/// Halvings of a step of Newton before one of Sinkhorn is taken.
const HALVINGS: usize = 40;
/// Steps of conjugate gradients that are tried at any size.
const LEAST_CONJUGATE_GRADIENTS: usize = 16;
/// In units of the costs, the epsilon from which on the dual value loses more digits by rounding than
/// the primal one by the marginal error.
const LARGE_EPSILON: f64 = 1024.0;

/// A plan whose column sums are exact, with the potentials that make it.
pub(super) struct EntropicPlan<'a> {
    cost: &'a DMatrix<f64>,
    epsilon: f64,
    /// The largest cost less the least one of its row.
    largest: f64,
    /// The potentials of the rows and columns that the kernel holds.
    f: Vec<f64>,
    g: Vec<f64>,
    kernel: GibbsKernel,
    u: Vec<f64>,
    v: Vec<f64>,
    /// The row sums of the plan in units of 1/n.
    row_sums: Vec<f64>,
    /// The sum of the errors of the row sums.
    pub(super) marginal_error: f64,
    /// Passes over the kernel so far, two products with it each.
    pub(super) iterations: usize,
    /// Whether conjugate gradients took too long for a step.
    dense: bool,
}

impl<'a> EntropicPlan<'a> {
    /// Looks for the plan of a cost matrix, with no more rows than columns.
    ///
    /// Ends where the marginal error is within the tolerance, or soon after `budget` iterations.
    pub(super) fn new(cost: &'a DMatrix<f64>, epsilon: f64, tolerance: f64, budget: usize) -> Self {
        let (rows, columns) = cost.shape();
        // With these no entry of the kernel exceeds 1, and every row and column has one that is 1.
        let f: Vec<f64> = cost.row_iter().map(|row| row.min()).collect();
        let reduced = |j: usize| cost.column(j).into_iter().zip(&f).map(|(c, f)| c - f);
        let g = (0..columns).map(|j| reduced(j).fold(f64::INFINITY, f64::min)).collect();
        let largest = (0..columns).flat_map(reduced).fold(0.0, f64::max);
        let mut plan = Self {
            cost,
            epsilon,
            largest,
            f,
            g,
            kernel: GibbsKernel::new(rows, columns),
            u: vec![1.0; rows],
            v: vec![1.0; columns],
            row_sums: vec![0.0; rows],
            marginal_error: f64::INFINITY,
            iterations: 0,
            dense: false,
        };
        let levels = ((largest / (8.0 * epsilon)).ln() / EPSILON_RATIO.ln()).max(0.0) as i32;
        for level in (0..=levels).rev() {
            let goal = if level == 0 { tolerance } else { tolerance.max(WARM) };
            plan.absorb(epsilon * EPSILON_RATIO.powi(level));
            plan.balance_columns();
            let mut step = 0;
            while plan.marginal_error > goal && plan.iterations < budget {
                if step < SINKHORN_STEPS || !plan.newton_step(goal) {
                    plan.sinkhorn_step();
                }
                let outside = |u: &f64| u.ln().abs() > LOG_RANGE;
                if plan.u.iter().any(outside) {
                    plan.absorb(plan.epsilon);
                }
                step += 1;
            }
        }
        plan
    }

    /// Moves the scalings into the potentials, and computes the kernel of an epsilon.
    fn absorb(&mut self, epsilon: f64) {
        for (potentials, scalings) in [(&mut self.f, &mut self.u), (&mut self.g, &mut self.v)] {
            for (potential, scaling) in potentials.iter_mut().zip(scalings) {
                *potential += self.epsilon * scaling.ln();
                *scaling = 1.0;
            }
        }
        self.epsilon = epsilon;
        self.kernel.fill(self.cost, epsilon, &self.f, &self.g);
    }

    /// Computes v of u, the row sums, and their error.
    fn balance_columns(&mut self) {
        let (rows, columns) = (self.u.len() as f64, self.v.len() as f64);
        let scalings = &mut self.v;
        let weight = |j: usize, sum: f64| {
            scalings[j] = rows / sum;
            scalings[j] / columns
        };
        self.kernel.pass(&self.u, weight, &mut self.row_sums);
        self.row_sums.iter_mut().zip(&self.u).for_each(|(sum, u)| *sum *= u);
        self.marginal_error = self.row_sums.iter().map(|sum| (sum - 1.0).abs()).sum::<f64>() / rows;
        self.iterations += 1;
    }

    /// Makes the row sums exact, then the column sums. Neither the dual value falls nor the
    /// marginal error rises, except where lost rows are found again.
    fn sinkhorn_step(&mut self) {
        let kept = self.u.iter_mut().zip(&self.row_sums).filter(|(_, sum)| **sum >= LOST);
        kept.for_each(|(u, sum)| *u /= sum);
        if self.row_sums.iter().any(|&sum| sum < LOST) {
            self.find_lost_rows();
        }
        self.balance_columns();
    }

    /// Sets the potentials of lost rows so that the largest entry of their kernel is 1.
    fn find_lost_rows(&mut self) {
        self.absorb(self.epsilon);
        for i in (0..self.f.len()).filter(|&i| self.row_sums[i] < LOST) {
            let reduced = self.cost.row(i).into_iter().zip(&self.g).map(|(c, g)| c - g);
            self.f[i] = reduced.fold(f64::INFINITY, f64::min);
        }
        self.kernel.fill(self.cost, self.epsilon, &self.f, &self.g);
    }

    /// Goes along Newton's direction as far as the dual value rises, or half the error is gone.
    /// Returns whether it found such a place; the plan is what it was if not.
    fn newton_step(&mut self, goal: f64) -> bool {
        let Some(direction) = self.newton_direction(goal) else { return false };
        let start = (self.u.clone(), self.row_sums.clone(), self.marginal_error);
        let mut length = (LOG_RANGE / direction.amax()).min(1.0);
        for _ in 0..HALVINGS {
            for ((u, start), along) in self.u.iter_mut().zip(&start.0).zip(&direction) {
                *u = start * (length * along).exp();
            }
            self.balance_columns();
            let slopes = self.row_sums.iter().zip(&direction).map(|(sum, d)| (1.0 - sum) * d);
            if slopes.sum::<f64>() >= 0.0 || self.marginal_error <= 0.5 * start.2 {
                return true;
            }
            length *= 0.5;
        }
        (self.u, self.row_sums, self.marginal_error) = start;
        self.balance_columns();
        false
    }

    /// The solution d of Newton's system, $`(D - P B^{-1} P^\top) d = a - r`$ for the row sums r,
    /// with D the row sums and the ridge; to what is left of the marginal error, or a tenth of it.
    /// `None` where rounding has left nothing of the matrix.
    fn newton_direction(&mut self, goal: f64) -> Option<DVector<f64>> {
        let rounding = self.u.len() as f64 * f64::EPSILON;
        let ridge = 1.0 + (RIDGE * self.marginal_error).max(rounding);
        let diagonal =
            DVector::from_iterator(self.u.len(), self.row_sums.iter().map(|r| r * ridge));
        let gradient = diagonal.map_with_location(|i, _, _| 1.0 - self.row_sums[i]);
        if !self.dense {
            let share = self.marginal_error.max(0.1 * goal / self.marginal_error).min(0.1);
            if let Some(direction) = self.conjugate_gradients(&diagonal, &gradient, share) {
                return Some(direction);
            }
            self.dense = true;
        }
        self.dense_solution(&diagonal, gradient)
    }

    /// Solves Newton's system until the residual is that share of the right-hand side, in L1.
    /// `None` where a dense solution is faster.
    fn conjugate_gradients(
        &mut self,
        diagonal: &DVector<f64>,
        gradient: &DVector<f64>,
        share: f64,
    ) -> Option<DVector<f64>> {
        let rows = self.u.len();
        let goal = share * gradient.lp_norm(1);
        let mut solution = DVector::zeros(rows);
        let mut residual = gradient.clone();
        let mut direction = residual.component_div(diagonal);
        let mut size = residual.dot(&direction);
        let mut image = DVector::zeros(rows);
        for _ in 0..LEAST_CONJUGATE_GRADIENTS + self.dense_iterations() {
            self.apply(diagonal, &direction, &mut image);
            let curvature = direction.dot(&image);
            if curvature.is_nan() || curvature <= 0.0 {
                return None;
            }
            let length = size / curvature;
            solution.axpy(length, &direction, 1.0);
            residual.axpy(-length, &image, 1.0);
            if residual.lp_norm(1) <= goal {
                return Some(solution);
            }
            let next = residual.component_div(diagonal);
            let next_size = residual.dot(&next);
            direction.axpy(1.0, &next, next_size / size);
            size = next_size;
        }
        None
    }

    /// Multiplies Newton's matrix by a vector.
    fn apply(&mut self, diagonal: &DVector<f64>, x: &DVector<f64>, image: &mut DVector<f64>) {
        let scaled: Vec<f64> = self.u.iter().zip(x).map(|(u, x)| u * x).collect();
        let (v, masses) = (&self.v, self.cost.len() as f64);
        let weight = |j: usize, sum: f64| sum * v[j] * v[j] / masses;
        self.kernel.pass(&scaled, weight, image.as_mut_slice());
        for i in 0..self.u.len() {
            image[i] = diagonal[i] * x[i] - self.u[i] * image[i];
        }
        self.iterations += 1;
    }

    /// Passes that cost about as much as a dense solution.
    fn dense_iterations(&self) -> usize {
        let (rows, columns) = (self.u.len(), self.v.len());
        rows / 8 + rows * rows / (12 * columns)
    }

    /// Solves Newton's system by a Cholesky factorisation.
    fn dense_solution(
        &mut self,
        diagonal: &DVector<f64>,
        gradient: DVector<f64>,
    ) -> Option<DVector<f64>> {
        let (rows, columns) = (self.u.len(), self.v.len());
        let mut plan = DMatrix::zeros(rows, columns);
        let unit = 1.0 / ((rows * columns) as f64).sqrt();
        for j in 0..columns {
            let (kernel, scale) = (self.kernel.column(j), unit * self.v[j]);
            for ((entry, k), u) in plan.column_mut(j).iter_mut().zip(kernel).zip(&self.u) {
                *entry = scale * u * k;
            }
        }
        let mut matrix = DMatrix::zeros(rows, rows);
        let factor = Operand::new(plan.as_slice(), rows);
        let (right, out) = (factor.transposed().columns(0..rows), matrix.as_mut_slice());
        multiply(Level::new(), factor, right, out, &mut ProductScratch::default());
        matrix.neg_mut();
        for (i, d) in diagonal.iter().enumerate() {
            matrix[(i, i)] += d;
        }
        self.iterations += self.dense_iterations();
        let lower = factorization::cholesky(matrix)?;
        let half = lower.solve_lower_triangular(&gradient)?;
        lower.tr_solve_lower_triangular(&half)
    }

    /// The value with the term of entropy, and the cost of the plan alone.
    pub(super) fn values(&self) -> (f64, f64) {
        let (rows, columns) = (self.u.len() as f64, self.v.len() as f64);
        let column_cost = |(j, v): (usize, &f64)| {
            let column = self.kernel.column(j).zip(&self.u).zip(self.cost.column(j));
            // Scalings may be large, and a small cost times a part of them no number.
            column.map(|((k, u), c)| c * (k * u * v)).sum::<f64>() / rows
        };
        let sharp = self.v.iter().enumerate().map(column_cost).sum::<f64>() / columns;
        let entropic = if self.epsilon > LARGE_EPSILON * self.largest {
            // No plan is worse than the one without any transport, whose cost is the mean.
            let mean = self.cost.column_iter().map(|costs| costs.mean()).sum::<f64>() / columns;
            (sharp + self.epsilon * self.divergence()).min(mean)
        } else {
            self.dual_value()
        };
        (entropic, sharp)
    }

    /// A bound on the value of a plan with exact marginals, less the dual value.
    ///
    /// Rows that are too heavy are scaled down by x, and the missing masses δa of rows and δb of
    /// columns, m in all, are added as $`\delta_a \delta_b^\top / m`$ (Altschuler, Weed and Rigollet
    /// 2017). Of that plan the cost of what was there cancels against the dual value, so the gap is a
    /// sum of terms of the size of m; the entropy is bounded by its convexity:
    ///
    /// ```math
    /// \varepsilon \sum_i r_i x_i \log x_i - \delta_a \cdot f - \delta_b \cdot g
    ///   + \frac{\delta_a^\top C \delta_b}{m} - \varepsilon (1 - m) \log(1 - m)
    ///   + \varepsilon m \left( KL(\delta_a / m | a) + KL(\delta_b / m | b) \right)
    /// ```
    pub(super) fn duality_gap(&mut self) -> f64 {
        let (rows, columns) = (self.u.len() as f64, self.v.len() as f64);
        // Masses in units of those of a row and of a column.
        let missing_rows: Vec<f64> = self.row_sums.iter().map(|r| (1.0 - r).max(0.0)).collect();
        let removed: Vec<f64> = self.row_sums.iter().map(|r| 1.0 - 1.0 / r.max(1.0)).collect();
        let scaled: Vec<f64> = removed.iter().zip(&self.u).map(|(x, u)| x * u).collect();
        let (v, mut missing_columns) = (&self.v, vec![0.0; self.v.len()]);
        let weight = |j: usize, sum: f64| {
            missing_columns[j] = sum * v[j] / rows;
            0.0
        };
        self.kernel.pass(&scaled, weight, &mut vec![0.0; self.u.len()]);
        let mass = missing_columns.iter().sum::<f64>() / columns;
        // What is missing of the rows, too, with the same sum.
        let of_rows = missing_rows.iter().sum::<f64>() / rows;
        if mass <= 0.0 || of_rows <= 0.0 {
            return mass.max(of_rows) * self.largest;
        }
        let missing_rows: Vec<f64> = missing_rows.iter().map(|m| m * (mass / of_rows)).collect();
        let potentials = |masses: &[f64], potentials: &[f64], scalings: &[f64]| {
            let term = |((m, f), u): ((&f64, &f64), &f64)| m * (f + self.epsilon * u.ln());
            let terms = masses.iter().zip(potentials).zip(scalings).map(term);
            terms.sum::<f64>() / masses.len() as f64
        };
        // Of two laws with densities that are the missing masses over m.
        let divergence = |masses: &[f64]| {
            let dense = masses.iter().map(|m| m / mass).filter(|&x| x > 0.0);
            dense.map(|x| x * x.ln()).sum::<f64>() / masses.len() as f64
        };
        let column_cost = |(j, m): (usize, &f64)| {
            let costs = self.cost.column(j).into_iter().zip(&missing_rows);
            m / mass * (costs.map(|(c, m)| c * m).sum::<f64>() / rows)
        };
        let cost = missing_columns.iter().enumerate().map(column_cost).sum::<f64>() / columns;
        let scaled_down =
            removed.iter().zip(&self.row_sums).map(|(x, r)| (1.0 - x) * r * (-x).ln_1p());
        let entropy = scaled_down.sum::<f64>() / rows - (1.0 - mass) * (-mass).ln_1p()
            + mass * (divergence(&missing_rows) + divergence(&missing_columns));
        let gap = cost + self.epsilon * entropy
            - potentials(&missing_rows, &self.f, &self.u)
            - potentials(&missing_columns, &self.g, &self.v);
        // Potentials that are constant are as close as this (Hoeffding's lemma).
        gap.max(0.0).min(self.largest * (self.largest / self.epsilon) / 8.0)
    }

    /// The dual value, $`\frac1n \sum f + \frac1m \sum g`$.
    fn dual_value(&self) -> f64 {
        let mean = |potentials: &[f64], scalings: &[f64]| {
            let potentials = potentials.iter().zip(scalings);
            potentials.map(|(f, u)| f + self.epsilon * u.ln()).sum::<f64>() / scalings.len() as f64
        };
        mean(&self.f, &self.u) + mean(&self.g, &self.v)
    }

    /// The divergence of the plan from the one without any transport, where the two are close: the
    /// mean of $`(1 + x) \log(1 + x) - x`$ for relative differences x, by its series.
    fn divergence(&self) -> f64 {
        let term = |x: f64| x * x * (0.5 - x * (1.0 / 6.0 - x * (1.0 / 12.0 - x / 20.0)));
        let column = |(j, v): (usize, &f64)| {
            let column = self.kernel.column(j).zip(&self.u);
            column.map(|(k, u)| term(k * u * v - 1.0)).sum::<f64>()
        };
        self.v.iter().enumerate().map(column).sum::<f64>() / self.cost.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::wasserstein::{Gaussian, Sample};

    const TOLERANCE: f64 = 1e-11;

    fn normal(count: usize, dimension: usize, seed: u64) -> Sample {
        let law = Gaussian::isotropic(dimension, 1.0).unwrap();
        Sample::from_rows(&law.sample(count, Seed(seed), 0)).unwrap()
    }

    /// The plan of the form $`e^{(f_i + g_j - c_{ij}) / \varepsilon}`$ with the right marginals is
    /// unique, so plain loops over the potentials prove it, and its primal value is the dual one.
    fn check(cost: &DMatrix<f64>, epsilon: f64) {
        let plan = EntropicPlan::new(cost, epsilon, TOLERANCE, 20_000);
        assert!(plan.marginal_error <= TOLERANCE, "{epsilon}: {}", plan.marginal_error);
        let (rows, columns) = cost.shape();
        let potential = |f: f64, u: f64| f + epsilon * u.ln();
        let f: Vec<f64> = (0..rows).map(|i| potential(plan.f[i], plan.u[i])).collect();
        let g: Vec<f64> = (0..columns).map(|j| potential(plan.g[j], plan.v[j])).collect();
        let naive = DMatrix::from_fn(rows, columns, |i, j| {
            ((f[i] + g[j] - cost[(i, j)]) / epsilon).exp() / (rows * columns) as f64
        });
        // Roundings of the exponents.
        let noise = 4.0 * f64::EPSILON * cost.amax() / epsilon;
        for (sums, share) in [
            (naive.column_sum().as_slice(), 1.0 / rows as f64),
            (naive.row_sum().as_slice(), 1.0 / columns as f64),
        ] {
            let error: f64 = sums.iter().map(|sum| (sum - share).abs()).sum();
            assert!(error <= 1.1 * TOLERANCE + noise, "{epsilon}: {error}");
        }
        let (entropic, sharp) = plan.values();
        let naive_sharp = naive.dot(cost);
        assert!((sharp - naive_sharp).abs() <= (TOLERANCE + noise) * naive_sharp + 1e-300);
        let terms = naive.iter().filter(|p| **p > 0.0).map(|p| p * (p * naive.len() as f64).ln());
        let primal = naive_sharp + epsilon * terms.sum::<f64>();
        let size = cost.amax() + epsilon;
        assert!(
            (entropic - primal).abs() <= 4.0 * (TOLERANCE + noise) * size,
            "{entropic} {primal}"
        );
    }

    #[test]
    fn plans_are_scaled_kernels_with_their_marginals() {
        for (rows, columns, dimension) in [(50, 50, 2), (31, 47, 2), (1, 9, 1), (20, 60, 1)] {
            let (a, b) = (normal(rows, dimension, 1), normal(columns, dimension, 2));
            for epsilon in [0.01, 0.1, 1.0, 100.0] {
                check(&a.squared_distances(&b), epsilon);
                check(&a.squared_distances(&a), epsilon);
            }
        }
        check(&normal(120, 16, 3).squared_distances(&normal(120, 16, 4)), 0.1);
    }

    /// The gap is the naive bound on the value of the rounded plan less the dual value; that value is
    /// within it, and so is the minimum, the value of a search that goes on.
    #[test]
    fn gaps_bound_the_minimum() {
        for (rows, columns, epsilon) in [(20, 30, 0.5), (25, 25, 2.0), (10, 40, 0.1)] {
            let cost = normal(rows, 3, 1).squared_distances(&normal(columns, 3, 2));
            let minimum = EntropicPlan::new(&cost, epsilon, TOLERANCE, 20_000).values().0;
            for tolerance in [0.3, 1e-2, 1e-4, 1e-8] {
                let mut plan = EntropicPlan::new(&cost, epsilon, tolerance, 20_000);
                let (dual, gap) = (plan.dual_value(), plan.duality_gap());
                assert!(dual <= minimum + 1e-12 && minimum <= dual + gap + 1e-12, "{gap}");
                let (a, b) = (1.0 / rows as f64, 1.0 / columns as f64);
                let mut rounded = DMatrix::from_fn(rows, columns, |i, j| {
                    let kernel = plan.kernel.column(j).nth(i).unwrap();
                    a * b * plan.u[i] * kernel * plan.v[j] * (1.0 / plan.row_sums[i]).min(1.0)
                });
                let missing_rows = rounded.column_sum().map(|sum| a - sum);
                let missing_columns = rounded.row_sum().map(|sum| b - sum);
                let mass = missing_rows.sum();
                let added = missing_rows * missing_columns / mass;
                let entropy = |plan: &DMatrix<f64>, unit: f64| {
                    let entries = plan.iter().filter(|p| **p > 0.0);
                    entries.map(|p| p * (p / a / b / unit).ln()).sum::<f64>()
                };
                // The entropy of a mixture of two laws, bounded by convexity.
                let mixed =
                    entropy(&rounded, 1.0) - (1.0 - mass) * (-mass).ln_1p() + entropy(&added, mass);
                rounded += added;
                let bound = rounded.dot(&cost) + epsilon * mixed - dual;
                assert!((gap - bound).abs() <= 1e-12 + 1e-12 * bound, "{tolerance}: {bound} {gap}");
                let value = rounded.dot(&cost) + epsilon * entropy(&rounded, 1.0);
                assert!(value - dual <= gap + 1e-12, "{tolerance}: {} {gap}", value - dual);
                // What convexity gives away is the entropy of a mixture.
                let lost = mass.mul_add(-mass.ln(), mass);
                assert!(gap <= value - dual + epsilon * lost + 1e-12, "{tolerance}: {gap}");
            }
        }
    }

    /// Each entry of the plan in units of 1/(n m).
    fn entries(plan: &EntropicPlan) -> DMatrix<f64> {
        let (rows, columns) = plan.cost.shape();
        DMatrix::from_fn(rows, columns, |i, j| {
            plan.u[i] * plan.kernel.column(j).nth(i).unwrap() * plan.v[j]
        })
    }

    /// A step of Sinkhorn divides u by the row sums; the dual value does not fall, the error does not
    /// rise, and column sums stay exact. Where scalings are kept does not matter.
    #[test]
    fn steps_of_sinkhorn_are_monotonic() {
        let cost = normal(20, 3, 1).squared_distances(&normal(30, 3, 2));
        let mut plan = EntropicPlan::new(&cost, 0.3, 0.5, 1);
        plan.balance_columns();
        for _ in 0..30 {
            let before = (plan.dual_value(), plan.marginal_error);
            let expected: Vec<f64> =
                plan.u.iter().zip(&plan.row_sums).map(|(u, sum)| u / sum).collect();
            plan.sinkhorn_step();
            assert_eq!(plan.u, expected);
            assert!(plan.dual_value() >= before.0 - 1e-13 * before.0.abs());
            assert!(plan.marginal_error <= before.1 + 1e-13);
            let here = entries(&plan);
            assert!(here.row_sum().iter().all(|sum| (sum / 20.0 - 1.0).abs() < 1e-13));
            for (sum, expected) in here.column_sum().iter().zip(&plan.row_sums) {
                assert!((sum / 30.0 - expected).abs() < 1e-13);
            }
            let (dual, epsilon) = (plan.dual_value(), plan.epsilon);
            plan.absorb(epsilon);
            assert!((entries(&plan) - here).amax() < 1e-12);
            assert!((plan.dual_value() - dual).abs() <= 1e-13 * dual.abs());
        }
    }

    /// A row whose potential is far too small has no mass, and gets a potential that gives it some;
    /// the search then goes on to the same plan.
    #[test]
    fn a_lost_row_gets_another_potential() {
        let cost = normal(20, 3, 1).squared_distances(&normal(30, 3, 2));
        let mut plan = EntropicPlan::new(&cost, 0.3, TOLERANCE, 20_000);
        let expected = plan.values();
        let epsilon = plan.epsilon;
        plan.absorb(epsilon);
        plan.f[7] -= 1000.0 * epsilon;
        plan.absorb(epsilon);
        plan.balance_columns();
        assert!(plan.row_sums[7] < LOST);
        plan.find_lost_rows();
        let largest = (0..30).map(|j| plan.kernel.column(j).nth(7).unwrap()).fold(0.0, f64::max);
        assert!((largest - 1.0).abs() < 1e-12, "{largest}");
        plan.balance_columns();
        assert!(plan.row_sums.iter().all(|&sum| sum > LOST));
        while plan.marginal_error > TOLERANCE {
            assert!(plan.iterations < 20_000);
            if !plan.newton_step(TOLERANCE) {
                plan.sinkhorn_step();
            }
        }
        assert!((plan.values().0 - expected.0).abs() < 1e-10);
        assert!((plan.values().1 - expected.1).abs() < 1e-9);
    }

    /// Newton's direction is half a step too far at most: near the plan each step squares the error.
    #[test]
    fn steps_of_newton_are_quadratic() {
        let cost = normal(20, 3, 1).squared_distances(&normal(30, 3, 2));
        let mut plan = EntropicPlan::new(&cost, 0.3, 1e-2, 20_000);
        for _ in 0..3 {
            let before = plan.marginal_error;
            assert!(plan.newton_step(TOLERANCE));
            assert!(plan.marginal_error <= 10.0 * before * before + TOLERANCE, "{before}");
        }
    }

    /// At a large epsilon the divergence of the plan is that of its entries, by plain logarithms.
    #[test]
    fn the_divergence_is_that_of_the_entries() {
        let cost = normal(20, 3, 1).squared_distances(&normal(30, 3, 2));
        let epsilon = 300.0 * cost.amax();
        let plan = EntropicPlan::new(&cost, epsilon, TOLERANCE, 20_000);
        let naive = entries(&plan).map(|x| x * x.ln() - (x - 1.0)).mean();
        assert!((plan.divergence() - naive).abs() < 1e-16 + 1e-9 * naive, "{naive}");
        // The third order is seen.
        let second = entries(&plan).map(|x| 0.5 * (x - 1.0).powi(2)).mean();
        assert!((naive - second).abs() > 1e-6 * naive);
    }

    /// One entry, one row, one column, equal costs: there is nothing to choose.
    #[test]
    fn plans_without_choice() {
        for (rows, columns) in [(1, 1), (1, 6), (3, 5)] {
            for value in [0.0, 2.0, 1e300] {
                for epsilon in [1e-300, 1.0, 1e300] {
                    let cost = DMatrix::from_element(rows, columns, value);
                    let mut plan = EntropicPlan::new(&cost, epsilon, TOLERANCE, 100);
                    assert!(plan.marginal_error <= 1e-15, "{value} {epsilon}");
                    let (entropic, sharp) = plan.values();
                    assert!((entropic - value).abs() <= 1e-15 * value, "{entropic} {value}");
                    assert!((sharp - value).abs() <= 1e-15 * value, "{sharp} {value}");
                    assert_eq!(plan.duality_gap(), 0.0);
                }
            }
        }
    }

    /// Where rows underflow from one epsilon to the next: the error that is reached is a number.
    #[test]
    fn lost_rows_are_found_again() {
        let [a, b] = [1, 2].map(|seed| normal(300, 3, seed));
        let cost = a.squared_distances(&b);
        for epsilon in [1e-13, 1e-11, 1e-9, 1e-8] {
            let plan = EntropicPlan::new(&cost, epsilon, TOLERANCE, 150);
            assert!(plan.marginal_error <= 2.0, "{epsilon}: {}", plan.marginal_error);
            assert!(plan.u.iter().chain(&plan.v).all(|x| x.is_finite()), "{epsilon}");
        }
    }

    /// A few passes where epsilon is of the order of the costs, and some hundreds at the thousandth.
    #[test]
    fn passes_are_few() {
        for (count, dimension, epsilon, most) in [(500, 16, 1.0, 300), (50, 2, 0.01, 700)] {
            let [a, b] = [1, 2].map(|seed| normal(count, dimension, seed));
            let cost = a.squared_distances(&b);
            let plan = EntropicPlan::new(&cost, epsilon, TOLERANCE, 20_000);
            assert!(plan.marginal_error <= TOLERANCE, "{}", plan.marginal_error);
            assert!(plan.iterations <= most, "{}", plan.iterations);
            check(&cost, epsilon);
        }
    }

    /// Conjugate gradients and Cholesky solve the same system.
    #[test]
    fn both_solutions_of_newtons_system_agree() {
        let cost = DMatrix::from_fn(40, 50, |i, j| ((7 * i + 11 * j) % 13) as f64);
        let mut plan = EntropicPlan::new(&cost, 5.0, 0.5, 100);
        plan.u.iter_mut().enumerate().for_each(|(i, u)| *u *= 1.0 + 0.3 * (i as f64).sin());
        plan.balance_columns();
        let diagonal = DVector::from_fn(40, |i, _| plan.row_sums[i] * 1.001);
        let gradient = DVector::from_fn(40, |i, _| 1.0 - plan.row_sums[i]);
        let iterated = plan.conjugate_gradients(&diagonal, &gradient, 1e-11).unwrap();
        let dense = plan.dense_solution(&diagonal, gradient.clone()).unwrap();
        assert!((&iterated - &dense).amax() <= 1e-8 * dense.amax());
        let mut image = DVector::zeros(40);
        plan.apply(&diagonal, &dense, &mut image);
        assert!((image - &gradient).amax() <= 1e-12 * gradient.amax());
    }
}
