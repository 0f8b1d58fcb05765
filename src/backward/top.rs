//! The gradient at the top of a reverse pass.

/// The gradient of a loss with respect to the output `H` (`d x n`) of a network.
///
/// | | gradient | loss |
/// | --- | --- | --- |
/// | [`RandomDirection`](Self::RandomDirection) | uniform of norm one | linear in the output |
/// | [`Representation`](Self::Representation) | $`H`$ | $`\lVert H \rVert_F^2 / 2`$ |
/// | [`ReadOut`](Self::ReadOut) | `v` in every column, $`v_i \sim N(0, 1/d)`$ | $`\sum_j v^\top h_j`$ |
///
/// ```
/// use orthogap::backward::Top;
/// use orthogap::{Input, Network, Seed};
///
/// // Batch normalisation fixes the length of rows, so nothing changes half the squared norm.
/// let network = Network::<f64>::new(64);
/// let input = Input::orthogonal(3)?;
/// let mut gradients = network.gradients(&input, Seed(1), 2, Top::Representation)?;
/// assert!((gradients.step()?.log_norm() - 0.5 * 64f64.ln()).abs() < 1e-12); // H itself
/// assert!(gradients.step()?.log_norm() < -30.0); // rounding
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Top {
    /// A uniformly random direction of norm one.
    #[default]
    RandomDirection,
    /// The representation itself: the gradient of half its squared norm.
    Representation,
    /// A random linear read-out `v` of independent $`N(0, 1/d)`$ entries, the same for all samples:
    /// the gradient of the sum of the outputs $`v^\top h_j`$.
    ReadOut,
}
