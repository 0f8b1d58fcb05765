//! The chain at infinite width: the map of eigenvalues, and the deterministic chain built on it.
//!
//! Given `C = U diag(λ) Uᵀ`, the mean of the next Gram matrix of a linear network with the paper's
//! batch normalisation is `U diag(p(λ)) Uᵀ` at any width (Lemma 6), and at infinite width it is the
//! next Gram matrix itself. With independent standard normal $`w_k`$,
//!
//! ```math
//! p_i(\lambda) = E \frac{\lambda_i w_i^2}{\sum_k \lambda_k w_k^2}
//!   = \int_0^\infty \frac{\lambda_i}{1 + 2 t \lambda_i} \prod_j (1 + 2 t \lambda_j)^{-1/2} \, dt
//! ```
//!
//! The integral is a trapezoidal sum over log t with step 1/4. The integrand is analytic and
//! bounded for |Im log t| < π/2, so the step costs a relative error of about
//! $`e^{-\pi^2/(1/4)} < 10^{-16}`$; what is cut off at either end is of the order of 1e-17. So the
//! map is accurate to rounding, about 1e-15, at any condition number: tiny eigenvalues keep their
//! digits.
//!
//! The paper's rows keep their mean. Where rows are centred over the batch first, as the frameworks
//! do, `C` is replaced by `P C P` with $`P = I - \frac1n 1 1^\top`$, and nothing else changes:
//! [`centered`] makes that matrix, and [`MeanFieldChain::with_centering`] follows it.
//!
//! At finite width the mean of one layer is exact (z-scores at widths 6 and 64 in the tests). A
//! chain of many layers is that of infinite width up to a relative 1/d in the mean and a gap of
//! about $`\sqrt{n/d}/2`$ per run ([`stationary`](super::stationary)). Where the gap of the
//! mean-field chain is below that, simulations stay at about $`\sqrt{n/d}/2`$.

mod centering;
mod chain;
mod deviations;
mod map;
mod nodes;

pub use centering::centered;
pub use chain::{MeanFieldChain, MeanFieldLayer};
pub use deviations::Deviations;
pub(super) use map::check_singular_values;
pub use map::{map, map_of_deviations};
pub(super) use nodes::for_each_node;
