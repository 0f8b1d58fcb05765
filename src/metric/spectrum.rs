//! Singular values of a representation, and what they say about its rank and its condition.

use nalgebra::{DMatrix, DVector};

use crate::approximate::approximate;
use crate::{Gram, factorization};

/// The singular values $`\sigma_1 \ge \dots \ge \sigma_n`$ of $`H / \lVert H \rVert_F`$.
///
/// Their squares $`\lambda_i`$ are the eigenvalues of `C` and add up to one. Take the spectrum
/// once to read several quantities from it.
///
/// ```
/// use orthogap::Input;
///
/// let spectrum = Input::spiked(3, 0.5)?.gram().spectrum();
/// let expected = [2.0, 1.0, 1.0].map(|s: f64| s / 6f64.sqrt());
/// for (sigma, expected) in spectrum.singular_values().iter().zip(expected) {
///     assert!((sigma - expected).abs() < 1e-15);
/// }
/// assert!((spectrum.participation_ratio() - 2.0).abs() < 1e-14);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    singular_values: DVector<f64>,
}

approximate!(Spectrum, spectrum => spectrum.singular_values.as_slice().to_vec());

impl Spectrum {
    /// Returns the `n` singular values, in descending order.
    #[must_use]
    pub fn singular_values(&self) -> &DVector<f64> {
        &self.singular_values
    }

    /// Returns the smallest singular value $`\sigma_n`$, at most $`1/\sqrt n`$.
    #[must_use]
    pub fn min_singular_value(&self) -> f64 {
        self.singular_values[self.singular_values.len() - 1]
    }

    /// Returns the condition number $`\sigma_1 / \sigma_n`$ of `H`. It is infinite if the rank is deficient, as
    /// it is for columns that [`Gram::from_columns`] finds dependent up to rounding.
    #[must_use]
    pub fn condition_number(&self) -> f64 {
        self.singular_values[0] / self.min_singular_value()
    }

    /// Returns the stable rank $`1/\lambda_1`$ of `C`, its trace over its largest eigenvalue.
    #[must_use]
    pub fn stable_rank(&self) -> f64 {
        self.singular_values[0].powi(-2)
    }

    /// Returns the participation ratio $`1 / \sum_i \lambda_i^2`$, the lower bound on the rank that
    /// Daneshmand et al. (NeurIPS 2020) follow through depth.
    #[must_use]
    pub fn participation_ratio(&self) -> f64 {
        self.eigenvalues().map(|lambda| lambda * lambda).sum::<f64>().recip()
    }

    /// Returns the effective rank $`\exp(-\sum_i \lambda_i \log \lambda_i)`$ (Roy, Vetterli 2007).
    #[must_use]
    pub fn effective_rank(&self) -> f64 {
        let surprise = |lambda: f64| if lambda > 0.0 { -lambda * lambda.ln() } else { 0.0 };
        self.eigenvalues().map(surprise).sum::<f64>().exp()
    }

    /// Returns the coupling bound $`\sum_i (\sigma_i - 1/\sqrt n)^2`$.
    ///
    /// Given `H` and Gaussian weights `W`, it is the squared Wasserstein-2 distance between the
    /// laws of `W H` and of $`G/\sqrt n`$, all entries of `W` and `G` being N(0, 1/d); its mean
    /// over `H` bounds the distance between the unconditional laws from above. It is at most
    /// $`n V^2`$, where the paper's Lemma 2 has $`2 n V`$. Near orthogonality it is $`\frac n4 V^2`$, to
    /// a relative error of about 1e-16 over `V`.
    #[must_use]
    pub fn coupling_bound(&self) -> f64 {
        let ideal = (self.singular_values.len() as f64).sqrt().recip();
        self.singular_values.iter().map(|sigma| (sigma - ideal).powi(2)).sum()
    }

    fn eigenvalues(&self) -> impl Iterator<Item = f64> {
        self.singular_values.iter().map(|sigma| sigma * sigma)
    }
}

impl Gram {
    /// Returns all singular values, each to a relative accuracy of 1e-10 or better where the rows
    /// of the factor are graded, as they are in every chain: 1e-30 beside 1 is accurate.
    ///
    /// Cost: `5/3 n³` multiply-adds, twice that if the condition number exceeds 100, and 20 times that
    /// if it exceeds 1e5. The last digits may depend on the instruction set.
    #[must_use]
    pub fn spectrum(&self) -> Spectrum {
        let mut values = singular_values(self.factor());
        values.sort_unstable_by(|a, b| b.total_cmp(a));
        values.resize(self.batch_size(), 0.0);
        Spectrum { singular_values: DVector::from_vec(values) }
    }

    /// The singular values, in descending order, and the eigenvectors of `C` that belong to them,
    /// the columns of a matrix (`n x r`): at most `n`, and none of a zero.
    ///
    /// As accurate as [`spectrum`](Self::spectrum), always by Jacobi's method.
    pub(crate) fn principal_axes(&self) -> (Vec<f64>, DMatrix<f64>) {
        let (values, axes) = factorization::principal_axes(self.factor());
        let mut order: Vec<usize> = (0..values.len()).filter(|&k| values[k] > 0.0).collect();
        order.sort_unstable_by(|&a, &b| values[b].total_cmp(&values[a]));
        order.truncate(self.batch_size());
        (order.iter().map(|&k| values[k]).collect(), axes.select_columns(&order))
    }

    /// Returns the singular values of $`H / \lVert H \rVert_F`$ in descending order.
    ///
    /// ```
    /// use orthogap::Input;
    ///
    /// let singular_values = Input::spiked(4, 1e-6)?.gram().singular_values();
    /// assert!((singular_values[3] / 1e-6 - 1.0).abs() < 1e-11); // norm: 1 + 1.5e-12
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn singular_values(&self) -> DVector<f64> {
        self.spectrum().singular_values
    }

    /// Returns [`Spectrum::min_singular_value`], the `alpha` that A1 of the paper requires
    /// bounded from below over all layers (see [`MinSingularValue`]).
    #[must_use]
    pub fn min_singular_value(&self) -> f64 {
        self.spectrum().min_singular_value()
    }

    /// Returns [`Spectrum::condition_number`] of `H` (not of `C`, which has its square).
    #[must_use]
    pub fn condition_number(&self) -> f64 {
        self.spectrum().condition_number()
    }

    /// Returns [`Spectrum::stable_rank`] of `C`.
    #[must_use]
    pub fn stable_rank(&self) -> f64 {
        self.spectrum().stable_rank()
    }

    /// Returns [`Spectrum::participation_ratio`] of `C`.
    #[must_use]
    pub fn participation_ratio(&self) -> f64 {
        self.spectrum().participation_ratio()
    }

    /// Returns [`Spectrum::effective_rank`] of `C`.
    #[must_use]
    pub fn effective_rank(&self) -> f64 {
        self.spectrum().effective_rank()
    }

    /// Returns [`Spectrum::coupling_bound`] on the squared Wasserstein-2 distance to a Gaussian.
    ///
    /// ```
    /// use orthogap::Input;
    ///
    /// let gram = Input::near_collinear(2, 0.5)?.gram().clone();
    /// let n = 2.0;
    /// assert!(gram.coupling_bound() <= n * gram.orthogonality_gap().powi(2));
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn coupling_bound(&self) -> f64 {
        self.spectrum().coupling_bound()
    }
}

/// The singular values of a factor, unsorted: by the fastest of three methods whose error, epsilon
/// times the largest value that it sees, is small beside the smallest value.
fn singular_values(factor: &DMatrix<f64>) -> Vec<f64> {
    const SMALLEST_SQUARE: f64 = 1e-4;
    const SMALLEST: f64 = 1e-5;
    let finite = "a factor has finite entries";
    let squares = factorization::symmetric_eigenvalues(factor * factor.transpose()).expect(finite);
    let smallest = squares.last().copied().unwrap_or(0.0);
    if smallest > SMALLEST_SQUARE * squares[0] {
        return squares.iter().map(|square| square.sqrt()).collect();
    }
    if smallest > SMALLEST * SMALLEST * squares[0] {
        let values = factorization::singular_values(factor.clone()).expect(finite);
        if values[values.len() - 1] > SMALLEST * values[0] {
            return values;
        }
    }
    factorization::graded_singular_values(factor)
}

/// The running minimum of the smallest singular value along a chain: the largest `alpha` for
/// which assumption A1(alpha, l) of the paper holds on the layers observed so far.
///
/// A1 speaks of layers 1 to l; the input does not count.
///
/// ```
/// use orthogap::{Input, Network, Seed, metric::MinSingularValue};
///
/// let mut alpha = MinSingularValue::new();
/// let network = Network::<f64>::new(32);
/// for layer in network.chain(&Input::spiked(4, 1e-3)?, Seed(1))?.take(20) {
///     alpha.observe(layer?.gram());
/// }
/// assert!(alpha.value() > 0.0 && alpha.value() < 0.5);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MinSingularValue {
    value: f64,
}

impl MinSingularValue {
    /// Creates the minimum over no layer, which is infinite.
    #[must_use]
    pub fn new() -> Self {
        Self { value: f64::INFINITY }
    }

    /// Adds a layer and returns its smallest singular value.
    pub fn observe(&mut self, gram: &Gram) -> f64 {
        let current = gram.min_singular_value();
        self.value = self.value.min(current);
        current
    }

    /// Returns the minimum so far.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }
}

impl Default for MinSingularValue {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use nalgebra::dmatrix;

    fn of(singular_values: &[f64]) -> Gram {
        let factor = DMatrix::from_diagonal(&DVector::from_column_slice(singular_values));
        Gram::from_factor(factor).unwrap()
    }

    /// From the largest value down, each with its own axis, and none of a zero.
    #[test]
    fn principal_axes_are_in_order() {
        let factor = dmatrix![1.0, 0.0, 0.0, 0.0; 0.0, 0.0, 3.0, 0.0; 0.0, 2.0, 0.0, 0.0];
        let gram = Gram::from_factor(factor).unwrap();
        let (values, axes) = gram.principal_axes();
        let expected = [3.0, 2.0, 1.0].map(|value: f64| value / 14f64.sqrt());
        assert_eq!(axes.shape(), (4, 3));
        for ((value, expected), (axis, place)) in
            values.iter().zip(expected).zip(axes.column_iter().zip([2, 1, 0]))
        {
            assert!((value - expected).abs() < 1e-15);
            assert!((axis[place].abs() - 1.0).abs() < 1e-15);
        }
        assert_eq!(values.len(), 3);
    }

    /// Of k equal directions of n, each kind of rank is k.
    #[test]
    fn ranks_of_equal_directions() {
        for (k, n) in [(1, 1), (1, 3), (2, 3), (4, 4), (5, 9)] {
            let values: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i < k))).collect();
            let gram = of(&values);
            for rank in [gram.stable_rank(), gram.participation_ratio(), gram.effective_rank()] {
                assert_relative_eq!(rank, k as f64, max_relative = 1e-14);
            }
            let condition_number = if k == n { 1.0 } else { f64::INFINITY };
            assert_relative_eq!(gram.condition_number(), condition_number, max_relative = 1e-14);
            let coupling = 2.0 - 2.0 * (k as f64 / n as f64).sqrt();
            assert_relative_eq!(gram.coupling_bound(), coupling, epsilon = 1e-15);
        }
        // Eigenvalues 1/2, 1/4, 1/4: two halvings a bit and a half of surprise.
        let gram = of(&[1.0, 0.5f64.sqrt(), 0.5f64.sqrt()]);
        assert_relative_eq!(gram.stable_rank(), 2.0, max_relative = 1e-14);
        assert_relative_eq!(gram.participation_ratio(), 8.0 / 3.0, max_relative = 1e-14);
        assert_relative_eq!(gram.effective_rank(), 8f64.sqrt(), max_relative = 1e-14);
    }

    #[test]
    fn principal_axes_take_the_matrix_apart() {
        for factor in [
            dmatrix![0.1, 0.0, 0.0; 0.0, 0.3, 0.0; 0.0, 0.0, 0.2],
            dmatrix![0.0, 0.0; 1.0, 2.0; 2.0, 4.0],
            dmatrix![1.0, 0.0; 0.0, 1.0; 1.0, 1.0; -2.0, 1.0],
        ] {
            let gram = Gram::from_factor(factor).unwrap();
            let (values, axes) = gram.principal_axes();
            assert!(values.is_sorted_by(|a, b| a >= b) && values.iter().all(|&x| x > 0.0));
            assert!(values.len() <= gram.batch_size() && values.len() == axes.ncols());
            let squares = DVector::from_iterator(values.len(), values.iter().map(|x| x * x));
            let rebuilt = &axes * DMatrix::from_diagonal(&squares) * axes.transpose();
            assert_relative_eq!(rebuilt, gram.matrix(), epsilon = 1e-15);
        }
    }

    #[test]
    fn the_smallest_singular_value_of_a_path() {
        let mut alpha = MinSingularValue::default();
        assert_eq!(alpha.value(), f64::INFINITY);
        for (other, least) in [(3.0, 0.1f64.sqrt()), (2.0, 0.1f64.sqrt()), (7.0, 0.02f64.sqrt())] {
            let current = alpha.observe(&of(&[1.0, other]));
            assert_relative_eq!(current, 1.0 / f64::hypot(1.0, other), max_relative = 1e-14);
            assert_relative_eq!(alpha.value(), least, max_relative = 1e-14);
        }
    }
}
