//! The trapezoidal rule behind the integrals over t.

use crate::kernel::quadrature::node;

/// The step in log t.
pub(super) const STEP: f64 = 0.25;

/// The integrand at one t.
pub(in crate::theory) struct Node<'a> {
    /// `b`, which is added to all `2 t v_i`.
    pub base: f64,
    /// $`\prod_i (b + 2 t v_i)^{-1/2}`$.
    pub weight: f64,
    /// $`2 t v_i / (b + 2 t v_i)`$.
    pub fractions: &'a [f64],
}

/// Visits the nodes of the trapezoidal rule in log t, from so small a t that less than 1e-17 of
/// the integrals is missing to so large a one.
///
/// The eigenvalues behind `values` are at most one; `smallest` is the least positive one. For the
/// upper end it is enough to watch its integrand, `t W(t)/(1 + 2 t λ_n)`: relative to it all others
/// fall with t. It is log-concave in log t, so once it has fallen far it keeps falling.
pub(in crate::theory) fn for_each_node(
    base: impl Fn(f64) -> f64,
    values: &[f64],
    smallest: f64,
    mut visit: impl FnMut(Node<'_>),
) {
    const NEGLIGIBLE: f64 = 1e-20;
    let mut fractions = vec![0.0; values.len()];
    // The largest p is at least 1/n, and below t it gains at most t.
    let mut log = -((40.0 + (values.len() as f64).ln()) / STEP).ceil() * STEP;
    let mut peak = 0.0f64;
    loop {
        let scale = log.exp();
        let base = base(scale);
        let weight = node(base, scale, values, &mut fractions);
        visit(Node { base, weight, fractions: &fractions });
        let last = scale * weight / (1.0 + scale * smallest);
        if last < NEGLIGIBLE * peak {
            return;
        }
        peak = peak.max(last);
        log += STEP;
    }
}
