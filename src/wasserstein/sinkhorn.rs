//! Entropic optimal transport between samples, and between Gaussians (feature `sinkhorn`).

use crate::check;
use crate::wasserstein::bures::singular_values;
use crate::wasserstein::entropic_plan::EntropicPlan;
use crate::wasserstein::gaussian::in_range;
use crate::wasserstein::{Gaussian, Sample};
use crate::{Error, Result};

/// An entropic transport, $`\min_\pi \langle \pi, c \rangle + \varepsilon\, KL(\pi | a \otimes b)`$
/// with the cost c = |x - y|².
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entropic {
    /// The minimum, with the term of entropy.
    pub entropic: f64,
    /// The transport cost of the plan, $`\langle \pi, c \rangle`$ alone.
    pub sharp: f64,
    /// The L1 error of the marginals of the plan, $`\sum_i |\sum_j \pi_{ij} - a_i|`$; the other
    /// marginals are exact. [`entropic`](Self::entropic) is too small by no more than this times
    /// the largest error of a potential.
    pub marginal_error: f64,
    /// A bound on the minimum: it is at most [`entropic`](Self::entropic) plus this. It is not
    /// below [`entropic`](Self::entropic), up to rounding, for an epsilon up to 1024 times the
    /// largest excess of a cost over the smallest one from the same point of the smaller sample.
    ///
    /// The plan is rounded to one whose marginals are exact (Altschuler, Weed and Rigollet, NeurIPS
    /// 2017); its value bounds the minimum from above, the dual value from below.
    pub duality_gap: f64,
    /// Passes over the plan, two products of its matrix with a vector each.
    pub iterations: usize,
}

/// A Sinkhorn divergence, $`S(a, b) = OT(a, b) - \frac12 OT(a, a) - \frac12 OT(b, b)`$.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SinkhornDivergence {
    /// Of the entropic values (Feydy et al. 2019): not negative, zero only for equal laws.
    pub entropic: f64,
    /// Of the transport costs alone (as in `POT`'s `empirical_sinkhorn_divergence`).
    pub sharp: f64,
}

/// The marginal error at which a plan is good enough.
const TOLERANCE: f64 = 1e-11;
/// Passes over the plan, after which the search for it ends.
const BUDGET: usize = 20_000;

impl Sample {
    /// Returns the entropic transport between two empirical laws at regularisation `epsilon`.
    ///
    /// It is a statement about these samples. As an estimate of the distance between populations it
    /// is as poor as [`assignment`](Self::assignment) for a small epsilon, and a large one biases
    /// it upwards.
    ///
    /// Newton's method on the potentials of the smaller sample, with epsilon lowered step by step.
    /// The method works with sums of exponentials whose largest term is near 1, so no epsilon
    /// underflows. It ends where the [marginal error](Entropic::marginal_error) is 1e-11. An epsilon
    /// below 2^-52 of the largest squared distance is refused: the distances are not exact to that.
    ///
    /// Cost: `2 N M` numbers of memory, and passes of `2 N M` multiply-adds: about 50 to 300 where
    /// epsilon is of the order of the costs, more for a smaller one. The search ends with the step
    /// that reaches 20,000. Where M is the smaller size, a step may solve a dense system. That
    /// takes `M² N + M³/6` multiply-adds and memory for `N M + M²` more numbers, and counts as the
    /// passes of its cost.
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::wasserstein::Sample;
    ///
    /// let a = Sample::from_rows(&dmatrix![0.0; 1.0; 5.0])?;
    /// let b = Sample::from_rows(&dmatrix![5.0; 0.0; 1.0])?;
    /// let plan = a.entropic_transport(&b, 1.0)?;
    /// assert!((plan.entropic - 0.8897710995).abs() < 1e-10);
    /// assert!(plan.marginal_error <= 1e-11 && plan.duality_gap <= 1e-8);
    /// assert!(plan.iterations < 100);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`], [`Error::InvalidParameter`] for an epsilon that is not positive
    /// and finite or too small, and for a squared distance above 1e300, [`Error::NotConverged`] with
    /// the marginal error that was reached.
    pub fn entropic_transport(&self, other: &Self, epsilon: f64) -> Result<Entropic> {
        self.entropic_within(other, epsilon, BUDGET)
    }

    /// The entropic transport, if so many passes are enough.
    fn entropic_within(&self, other: &Self, epsilon: f64, budget: usize) -> Result<Entropic> {
        self.check_dimension("the other sample", other.dimension())?;
        check::positive("epsilon", epsilon)?;
        let (few, many) = if self.count() <= other.count() { (self, other) } else { (other, self) };
        let cost = few.squared_distances(many);
        let largest = cost.max();
        in_range("largest squared distance", largest)?;
        if epsilon < f64::EPSILON * largest {
            let expected = "at least 2^-52 times the largest squared distance; \
                `assignment` is the limit of a small one";
            return Err(Error::InvalidParameter { name: "epsilon", value: epsilon, expected });
        }
        let mut plan = EntropicPlan::new(&cost, epsilon, TOLERANCE, budget);
        let (marginal_error, iterations) = (plan.marginal_error, plan.iterations);
        if marginal_error.is_nan() || marginal_error > TOLERANCE {
            return Err(Error::NotConverged {
                what: "entropic transport",
                iterations,
                error: marginal_error,
                tolerance: TOLERANCE,
                advice: "use a larger epsilon, or `assignment` for the limit of a small one",
            });
        }
        let duality_gap = plan.duality_gap();
        let (entropic, sharp) = plan.values();
        Ok(Entropic { entropic, sharp, marginal_error, duality_gap, iterations })
    }

    /// Returns the Sinkhorn divergence between two empirical laws.
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::wasserstein::Sample;
    ///
    /// let a = Sample::from_rows(&dmatrix![0.0, 0.0; 1.0, 0.0])?;
    /// let b = Sample::from_rows(&dmatrix![0.0, 3.0; 1.0, 3.0])?;
    /// assert!((a.sinkhorn_divergence(&b, 1.0)?.entropic - 9.0).abs() < 1e-11); // a translation
    /// assert!(a.sinkhorn_divergence(&a, 1.0)?.entropic.abs() < 1e-11);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`entropic_transport`](Self::entropic_transport).
    pub fn sinkhorn_divergence(&self, other: &Self, epsilon: f64) -> Result<SinkhornDivergence> {
        let across = self.entropic_transport(other, epsilon)?;
        let a = self.entropic_transport(self, epsilon)?;
        let b = other.entropic_transport(other, epsilon)?;
        Ok(SinkhornDivergence {
            entropic: across.entropic - (a.entropic + b.entropic) / 2.0,
            sharp: across.sharp - (a.sharp + b.sharp) / 2.0,
        })
    }
}

impl Gaussian {
    /// Returns the entropic transport value between two Gaussians, in closed form (Janati et al.,
    /// NeurIPS 2020).
    ///
    /// With the singular values $`\sigma_i`$ of $`F_B^\top F_A`$, F factors of A and B, and
    /// $`r_i = \sqrt{1 + 16 \sigma_i^2 / \varepsilon^2}`$,
    ///
    /// ```math
    /// \lVert a - b \rVert^2 + \mathrm{tr} A + \mathrm{tr} B
    ///   - \frac\varepsilon2 \sum_i \left( r_i - 1 - \log \frac{1 + r_i}{2} \right)
    /// ```
    ///
    /// Cost: `n² k` multiply-adds for a factor of k columns, and the singular values of a matrix of
    /// at most 2 n rows and columns.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`], [`Error::InvalidParameter`] for an epsilon that is not positive
    /// and finite.
    pub fn entropic_transport(&self, other: &Self, epsilon: f64) -> Result<f64> {
        let (found, expected) = ((self.dimension(), 1), (other.dimension(), 1));
        if found != expected {
            return Err(Error::ShapeMismatch { what: "the mean", found, expected });
        }
        check::positive("epsilon", epsilon)?;
        let through = other.compact_factor().tr_mul(&self.compact_factor());
        let term = |sigma: f64| {
            let size = 4.0 * sigma;
            let ratio = size / epsilon;
            let root = ratio.hypot(1.0);
            if root.is_finite() {
                // root - 1, which would cancel for a large epsilon.
                let excess = ratio * (ratio / (1.0 + root));
                epsilon * (excess - (0.5 * excess).ln_1p())
            } else {
                size - epsilon * (1.0 + (0.5 * size).ln() - epsilon.ln())
            }
        };
        Ok((self.mean() - other.mean()).norm_squared()
            + self.total_variance()
            + other.total_variance()
            - 0.5 * singular_values(&through).into_iter().map(term).sum::<f64>())
    }

    /// Returns the Sinkhorn divergence of two Gaussians, of entropic values.
    ///
    /// ```
    /// use orthogap::wasserstein::Gaussian;
    ///
    /// let (a, b) = (Gaussian::isotropic(3, 1.0)?, Gaussian::isotropic(3, 2.0)?);
    /// let w2 = a.w2(&b)?.squared;
    /// assert!((a.sinkhorn_divergence(&b, 1e-6)? - w2).abs() < 1e-5);
    /// assert!(a.sinkhorn_divergence(&b, 1.0)? < w2);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`entropic_transport`](Self::entropic_transport).
    pub fn sinkhorn_divergence(&self, other: &Self, epsilon: f64) -> Result<f64> {
        let across = self.entropic_transport(other, epsilon)?;
        let within = |law: &Self| law.entropic_transport(law, epsilon);
        Ok(across - (within(self)? + within(other)?) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use nalgebra::{DMatrix, dmatrix};

    fn of(rows: DMatrix<f64>) -> Sample {
        Sample::from_rows(&rows).unwrap()
    }

    /// The points 0 and 1: a share q = 1/(1 + e^(1/epsilon)) of the mass goes to the other one.
    #[test]
    fn two_points() {
        let pair = of(dmatrix![0.0; 1.0]);
        for epsilon in [0.1f64, 1.0, 10.0] {
            let leak = (-1.0 / epsilon).exp();
            let (sharp, entropic) = (leak / (1.0 + leak), -epsilon * ((1.0 + leak) / 2.0).ln());
            for other in [pair.clone(), of(dmatrix![1.0; 0.0]), of(dmatrix![0.0; 0.0; 1.0; 1.0])] {
                let plan = pair.entropic_transport(&other, epsilon).unwrap();
                assert_relative_eq!(plan.sharp, sharp, epsilon = 1e-11);
                assert_relative_eq!(plan.entropic, entropic, epsilon = 1e-11);
            }
            // A translation costs its square besides; the terms of entropy cancel.
            let apart = of(dmatrix![3.0; 4.0]);
            let divergence = pair.sinkhorn_divergence(&apart, epsilon).unwrap();
            assert_relative_eq!(divergence.entropic, 9.0, epsilon = 1e-10);
            assert_relative_eq!(divergence.sharp, 9.0, epsilon = 1e-10);
        }
        let plane = of(dmatrix![0.0, 0.0]);
        assert!(matches!(pair.entropic_transport(&plane, 1.0), Err(Error::ShapeMismatch { .. })));
    }

    /// From issue reports on Sinkhorn solvers, where the plain iteration is refused after a million
    /// steps. The two samples are one set, so both have the same potentials, and the mean of a
    /// potential and its next one contracts.
    #[test]
    fn three_points_in_another_order() {
        let (a, b) = (of(dmatrix![0.0; 1.0; 5.0]), of(dmatrix![5.0; 0.0; 1.0]));
        for (epsilon, entropic, sharp) in [
            (1.0, 0.889_771_099_501_525_4, 0.179_295_298_828_602_1),
            (0.1, 0.109_858_202_273_529_87, 3.026_524_580_162_294_4e-5),
        ] {
            let cost = a.squared_distances(&a);
            let mut f = [0.0; 3];
            for _ in 0..200 {
                let next = next_potentials(&cost, &f, epsilon);
                f.iter_mut().zip(next).for_each(|(f, next)| *f = 0.5 * (*f + next));
            }
            let naive = naive_values(&cost, &f, &f, epsilon);
            let plan = a.entropic_transport(&b, epsilon).unwrap();
            for (values, tolerance) in
                [((entropic, sharp), 1e-10), (naive, 1e-10), ((0.889771, 0.179295), 1e-6)]
            {
                if epsilon == 1.0 || tolerance < 1e-6 {
                    assert_relative_eq!(plan.entropic, values.0, epsilon = tolerance);
                    assert_relative_eq!(plan.sharp, values.1, epsilon = tolerance);
                }
            }
            assert!(plan.marginal_error <= TOLERANCE);
        }
    }

    /// $`-\varepsilon \log \frac1m \sum_j e^{(g_j - c_{ij})/\varepsilon}`$, with the largest term taken
    /// out of the sum.
    fn next_potentials(cost: &DMatrix<f64>, g: &[f64], epsilon: f64) -> Vec<f64> {
        let soft_minimum = |costs: Vec<f64>| {
            let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
            let sum: f64 = costs.iter().map(|c| ((least - c) / epsilon).exp()).sum();
            least - epsilon * (sum / costs.len() as f64).ln()
        };
        let rows = cost.row_iter();
        rows.map(|row| soft_minimum(row.iter().zip(g).map(|(c, g)| c - g).collect())).collect()
    }

    fn naive_values(cost: &DMatrix<f64>, f: &[f64], g: &[f64], epsilon: f64) -> (f64, f64) {
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let plan = cost
            .map_with_location(|i, j, c| ((f[i] + g[j] - c) / epsilon).exp() / cost.len() as f64);
        (mean(f) + mean(g), plan.dot(cost))
    }

    /// Against the plain iteration in the log domain, until no potential moves.
    #[test]
    fn agrees_with_the_plain_iteration() {
        let normal = |count, dimension, seed| {
            let law = Gaussian::isotropic(dimension, 1.0).unwrap();
            of(law.sample(count, crate::Seed(seed), 0))
        };
        for (rows, columns, dimension, epsilon) in
            [(12, 12, 2, 0.5), (30, 20, 2, 1.0), (40, 60, 16, 4.0), (25, 25, 3, 1e4)]
        {
            let (a, b) = (normal(rows, dimension, 1), normal(columns, dimension, 2));
            let cost = a.squared_distances(&b);
            let (across, mut g) = (cost.transpose(), vec![0.0; columns]);
            let (f, g) = (0..100_000)
                .find_map(|_| {
                    let f = next_potentials(&cost, &g, epsilon);
                    let next = next_potentials(&across, &f, epsilon);
                    let moved = next.iter().zip(&g).map(|(x, y)| (x - y).abs()).sum::<f64>();
                    g = next;
                    (moved <= 1e-12 * columns as f64 * (1.0 + 1e-2 * epsilon))
                        .then(|| (f, g.clone()))
                })
                .unwrap_or_else(|| panic!("{rows} x {columns}"));
            let (entropic, sharp) = naive_values(&cost, &f, &g, epsilon);
            let plan = a.entropic_transport(&b, epsilon).unwrap();
            assert_relative_eq!(plan.entropic, entropic, max_relative = 1e-10);
            assert_relative_eq!(plan.sharp, sharp, max_relative = 1e-9);
            let rounding = 1e-12 * (1.0 + entropic);
            assert!(plan.entropic <= entropic + rounding);
            assert!(entropic <= plan.entropic + plan.duality_gap + rounding);
            assert!(plan.duality_gap <= 1e-11 * (1e3 + 100.0 * epsilon), "{}", plan.duality_gap);
            assert!((1..1000).contains(&plan.iterations));
        }
    }

    /// The points 0 and 1 at an epsilon so large that the potentials round to nothing beside it.
    #[test]
    fn any_large_epsilon_tends_to_the_mean_cost() {
        let pair = of(dmatrix![0.0; 1.0]);
        let law = Gaussian::isotropic(1, 1.0).unwrap();
        for epsilon in [1e2, 1e3, 2e3, 1e5, 1e8, 1e12, 1e20, 1e100, 1e300, f64::MAX] {
            let plan = pair.entropic_transport(&pair, epsilon).unwrap();
            let entropic = -epsilon * (0.5 * (-1.0 / epsilon).exp_m1()).ln_1p();
            assert_relative_eq!(plan.entropic, entropic, max_relative = 1e-12);
            assert_relative_eq!(
                plan.sharp,
                0.5 - 0.25 / epsilon,
                epsilon = 0.1 / epsilon.powi(2) + 1e-15
            );
            assert!(pair.sinkhorn_divergence(&pair, epsilon).unwrap().entropic.abs() < 1e-12);
            // 2 - (4 σ)²/(8 ε) to leading order.
            let value = law.entropic_transport(&law, epsilon).unwrap();
            assert_relative_eq!(
                value,
                2.0 - 2.0 / epsilon,
                epsilon = 2.0 / epsilon.powi(2) + 1e-15
            );
        }
    }

    /// What is out of the range of floats is refused with its value; nothing is NaN.
    #[test]
    fn extremes_are_refused_with_their_values() {
        let pair = of(dmatrix![0.0; 1.0]);
        let refused = |a: &Sample, b: &Sample, epsilon| match a.entropic_transport(b, epsilon) {
            Err(Error::InvalidParameter { name, value, .. }) => (name, value),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&pair, &pair, 1e-300), ("epsilon", 1e-300));
        assert_eq!(refused(&pair, &pair, 5e-324), ("epsilon", 5e-324));
        assert_eq!(refused(&pair, &pair, f64::EPSILON / 2.0), ("epsilon", f64::EPSILON / 2.0));
        let (left, right) = (of(dmatrix![-0.9e150]), of(dmatrix![0.9e150]));
        for epsilon in [1e-300, 1.0, 1e300] {
            let (name, value) = refused(&left, &right, epsilon);
            assert_eq!(name, "largest squared distance");
            assert_relative_eq!(value, 3.24e300);
            assert!(left.sinkhorn_divergence(&right, epsilon).is_err());
        }
        assert!(Sample::from_rows(&dmatrix![1e155]).is_err());
        // The largest distance, and one that underflows.
        let far = of(dmatrix![0.0; 0.9e150]);
        for epsilon in [1e285, 1e298, 1e300, f64::MAX] {
            let plan = far.entropic_transport(&far, epsilon).unwrap();
            let share = (-8.1e299 / epsilon).exp() / 2.0 / (1.0 + (-8.1e299 / epsilon).exp());
            assert_relative_eq!(
                plan.sharp,
                2.0 * share * 8.1e299,
                max_relative = 1e-12,
                epsilon = 1e285
            );
            assert!(plan.entropic.is_finite());
        }
        let near = of(dmatrix![0.0; 1e-170]);
        for epsilon in [5e-324, 1e-300, 1e300] {
            let plan = near.entropic_transport(&near, epsilon).unwrap();
            assert_eq!((plan.entropic, plan.sharp), (0.0, 0.0));
        }
    }

    /// The least epsilon that is accepted, and the value that it has: the limit is nothing.
    #[test]
    fn the_least_epsilon_gives_the_assignment() {
        let (a, b) = (of(dmatrix![0.0; 1.0; 5.0]), of(dmatrix![5.0; 0.0; 1.5]));
        for epsilon in [1e-14, 1e-12, 1e-6] {
            let plan = a.entropic_transport(&b, epsilon).unwrap();
            assert_relative_eq!(plan.entropic, 0.25 / 3.0, epsilon = 2.0 * epsilon + 1e-12);
            assert_relative_eq!(plan.sharp, 0.25 / 3.0, epsilon = 1e-12);
        }
    }

    #[test]
    fn an_error_names_what_was_reached() {
        let (a, b) = (of(dmatrix![0.0; 1.0; 5.0]), of(dmatrix![5.0; 0.0; 2.0]));
        let error = a.entropic_within(&b, 1.0, 2).unwrap_err();
        assert!(
            matches!(error, Error::NotConverged { iterations: 2..40, error, tolerance: TOLERANCE, .. }
                if error > TOLERANCE),
            "{error}"
        );
        assert!(error.to_string().starts_with("entropic transport did not converge: after "));
    }

    /// A point has no entropy: its distance to two others is the mean one, and to itself none.
    #[test]
    fn from_a_point() {
        let (point, others) = (of(dmatrix![0.0]), of(dmatrix![1.0; 3.0]));
        let plan = point.entropic_transport(&others, 0.5).unwrap();
        assert_relative_eq!(plan.sharp, 5.0, max_relative = 1e-13);
        assert_relative_eq!(plan.entropic, 5.0, max_relative = 1e-13);
        let divergence = point.sinkhorn_divergence(&others, 0.5).unwrap();
        let within = others.entropic_transport(&others, 0.5).unwrap();
        assert_relative_eq!(divergence.entropic, 5.0 - within.entropic / 2.0, epsilon = 1e-12);
        assert_relative_eq!(divergence.sharp, 5.0 - within.sharp / 2.0, epsilon = 1e-12);
    }

    #[test]
    fn between_gaussians_a_translation_adds_its_square() {
        let law = Gaussian::diagonal(&[1.0, 2.0]).unwrap();
        let (left, right) =
            (law.clone().with_mean(&[1.0, 2.0]), law.clone().with_mean(&[-2.0, 6.0]));
        let apart = left.unwrap().entropic_transport(&right.unwrap(), 0.3).unwrap();
        let within = law.entropic_transport(&law, 0.3).unwrap();
        assert_relative_eq!(apart, within + 25.0, max_relative = 1e-14);
    }

    #[test]
    fn wide_factors_are_those_of_their_covariance() {
        let wide = DMatrix::from_fn(2, 50, |i, j| ((7 * i * i + 3 * j + i * j) % 11) as f64 - 4.0);
        let square = Gaussian::from_covariance(&(&wide * wide.transpose())).unwrap();
        let wide = Gaussian::from_factor(&wide).unwrap();
        let expected = square.entropic_transport(&square, 3.0).unwrap();
        for (a, b) in [(&wide, &wide), (&wide, &square), (&square, &wide)] {
            let value = a.entropic_transport(b, 3.0).unwrap();
            assert_relative_eq!(value, expected, epsilon = 1e-12 * wide.total_variance());
        }
    }

    /// Points that are equal, single points, and scales whose squares barely are numbers, against the
    /// value at scale one.
    #[test]
    fn corners_have_no_scale() {
        let samples = [
            (of(dmatrix![2.0]), of(dmatrix![2.0])),
            (of(dmatrix![2.0; 2.0; 2.0]), of(dmatrix![2.0; 2.0])),
            (of(dmatrix![1.0; 1.0]), of(dmatrix![1.0; 2.0; 1.0])),
            (of(dmatrix![0.0; 1.0; 5.0]), of(dmatrix![5.0; 0.0; 2.0; 2.0])),
        ];
        for (a, b) in samples {
            let at = |scale: f64| {
                let [a, b] = [&a, &b].map(|sample| {
                    let mean = DMatrix::from_element(sample.count(), 1, sample.moments().mean()[0]);
                    of((sample.centered() + mean) * scale)
                });
                let plan = a.entropic_transport(&b, scale * scale).unwrap();
                [plan.entropic, plan.sharp, plan.duality_gap].map(|x| x / scale / scale)
            };
            let expected = at(1.0);
            for scale in [1e-160, 1e-140, 1e100, 1e149] {
                // Squares of the smallest numbers have few digits left.
                let tolerance = if scale == 1e-160 { 1e-2 } else { 1e-8 };
                for (value, expected) in at(scale).into_iter().zip(expected) {
                    assert!((value - expected).abs() <= tolerance, "{scale}: {value} {expected}");
                }
            }
        }
    }

    /// Also where deviations are beyond all floats in units of epsilon.
    #[test]
    fn entropic_values_tend_to_the_distance() {
        let (a, b) = (Gaussian::isotropic(2, 1.0).unwrap(), Gaussian::isotropic(2, 3.0).unwrap());
        for epsilon in [1e-12, 1e-300, 1e-308, 5e-324] {
            let value = a.entropic_transport(&b, epsilon).unwrap();
            assert!((value - 8.0).abs() < 1e-10, "{epsilon:e}: {value}");
        }
    }
}
