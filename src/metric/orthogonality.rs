//! How far representations are from orthogonal.

use crate::kernel::triangular::distance_from_isotropy;
use crate::{Error, Gram, Result};

/// Returns $`\sqrt{1/r - 1/n}`$, the smallest orthogonality gap of `n` samples of rank `r`: of all
/// networks of width `r < n`, for example.
///
/// It is reached where all `r` singular values are equal.
///
/// ```
/// use orthogap::{Input, Network, Seed, metric::gap_floor};
///
/// let input = Input::gaussian(16, 8, Seed(1))?;
/// let mut chain = Network::<f64>::new(4).chain(&input, Seed(2))?; // fewer neurons than samples
/// let layer = chain.advance(30)?;
/// assert_eq!((layer.rank(), gap_floor(4, 8)?), (4, 0.125f64.sqrt()));
/// assert!(layer.orthogonality_gap() > gap_floor(4, 8)?);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidParameter`] for a rank of 0 or above `n`.
pub fn gap_floor(rank: usize, batch_size: usize) -> Result<f64> {
    if rank == 0 || rank > batch_size {
        let expected = "a rank from 1 to the batch size";
        return Err(Error::InvalidParameter { name: "rank", value: rank as f64, expected });
    }
    // One fraction, which does not cancel.
    Ok(((batch_size - rank) as f64 / (rank as f64 * batch_size as f64)).sqrt())
}

impl Gram {
    /// The orthogonality gap $`V(H) = \lVert C - I/n \rVert_F`$ (Eq. 2 of the paper).
    ///
    /// Zero iff the samples are orthogonal and equally long; at most $`\sqrt{1 - 1/n}`$, with
    /// equality iff they are all parallel. Representations of rank `r < n` have at least
    /// [`gap_floor`](crate::metric::gap_floor). Absolute error about 1e-16; cost `r n²/2` multiply-adds,
    /// a third of that where the factor is triangular.
    ///
    /// ```
    /// use orthogap::Input;
    ///
    /// assert_eq!(Input::orthogonal(4)?.gram().orthogonality_gap(), 0.0);
    /// let spiked = Input::spiked(4, 1e-6)?;
    /// assert!((spiked.gram().orthogonality_gap() - 0.75f64.sqrt()).abs() < 1e-11);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn orthogonality_gap(&self) -> f64 {
        distance_from_isotropy(self.factor())
    }

    /// The Lyapunov function $`\hat V(H) = 1/n - \lambda_n`$ (Eq. 11 of the paper), where
    /// $`\lambda_n`$ is the smallest eigenvalue of `C`.
    ///
    /// It bounds the gap, $`V \le \sqrt{n(n-1)}\, \hat V`$ (Lemma 4 with its sharp constant).
    ///
    /// ```
    /// use orthogap::Input;
    ///
    /// let gram = Input::near_collinear(2, 1e-3)?.gram().clone();
    /// assert!(gram.orthogonality_gap() <= 2f64.sqrt() * gram.lyapunov() + 1e-15);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn lyapunov(&self) -> f64 {
        1.0 / self.batch_size() as f64 - self.min_singular_value().powi(2)
    }

    /// The isometry gap, the logarithm of the ratio of the arithmetic to the geometric mean of
    /// the eigenvalues of `C` (Meterez et al., "Towards training without depth limits", ICLR 2024).
    ///
    /// ```math
    /// -\log n - \frac{2}{n} \sum_i \log \sigma_i
    /// ```
    ///
    /// Zero iff orthogonal, infinite if `C` is singular.
    ///
    /// ```
    /// use orthogap::Input;
    ///
    /// assert!(Input::orthogonal(3)?.gram().isometry_gap().abs() < 1e-15);
    /// // Eigenvalues 1/2 and 1/2 have isometry gap 0; 4/5 and 1/5 have log(0.5/0.4).
    /// let gram = Input::spiked(2, 0.5)?.gram().clone();
    /// assert!((gram.isometry_gap() - 1.25f64.ln()).abs() < 1e-15);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn isometry_gap(&self) -> f64 {
        let n = self.batch_size() as f64;
        let log_mean = self.singular_values().iter().map(|sigma| sigma.ln()).sum::<f64>() / n;
        (-n.ln() - 2.0 * log_mean).max(0.0)
    }
}
