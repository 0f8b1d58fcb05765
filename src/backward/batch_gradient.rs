//! The gradient of a loss at one layer, through its inner products over the batch.

use nalgebra::DMatrix;

use super::Scaled;
use crate::{Error, Gram, Result};

/// The gradient of a loss at one layer, with respect to its representation `H`, `d x n`, and to its
/// weights `W`.
///
/// The gradient `G` with respect to `H` is held as its norms, its Gram matrix and its cosines to
/// `H`. The gradients $`\delta_j x_j^\top`$ of single samples with respect to `W` are held as their
/// inner products, where $`\delta_j`$ is the gradient with respect to column `j` of the product
/// $`W X`$. [`Gradients`](super::Gradients) yields one of these for each layer.
///
/// ```
/// use orthogap::backward::Top;
/// use orthogap::{Input, Network, Seed};
///
/// let network = Network::<f64>::new(100_000);
/// let input = Input::orthogonal(4)?;
/// let top = network.gradients(&input, Seed(1), 3, Top::default())?.step()?;
/// assert_eq!(top.depth(), 3);
/// assert!(top.log_norm().abs() < 1e-12); // a direction of norm one
/// assert!(top.gram().is_some_and(|gram| gram.orthogonality_gap() < 0.03)); // of random columns
/// assert!(top.cosine(0, 1)?.abs() < 0.03); // which do not know the samples
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BatchGradient {
    depth: usize,
    gram: Option<Gram>,
    log_norm: f64,
    log_sample_norms: Vec<f64>,
    cosines: DMatrix<f64>,
    /// $`H^\top H`$.
    representation: Scaled<f64>,
    weights: Option<ByWeights>,
}

/// The gradient by the weights of a layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ByWeights {
    /// Logarithm of the norm of the batch's gradient $`\sum_j \delta_j x_j^\top`$.
    pub log_norm: f64,
    /// The inner products of the samples' gradients $`\delta_j x_j^\top`$.
    pub products: Scaled<f64>,
}

impl BatchGradient {
    /// Of layer `depth`, by the products of the columns of `[H G]`, `2n x 2n`, a factor of
    /// $`G^\top G`$, and the logarithms of the units of `H` and `G`.
    pub(super) fn new(
        depth: usize,
        (products, root): (&DMatrix<f64>, DMatrix<f64>),
        [of_h, log_unit]: [f64; 2],
        weights: Option<ByWeights>,
    ) -> Result<Self> {
        let n = products.nrows() / 2;
        let representation = Scaled::new(products.view((0, 0), (n, n)).into_owned(), 2.0 * of_h);
        let square = |j: usize| products[(j, j)];
        let log_sample_norms: Vec<f64> =
            (n..2 * n).map(|j| log_unit + 0.5 * square(j).ln()).collect();
        let log_norm = log_unit + 0.5 * (n..2 * n).map(square).sum::<f64>().ln();
        let cosines = DMatrix::from_fn(n, n, |i, j| {
            let size = square(i).sqrt() * square(n + j).sqrt();
            if size > 0.0 { (products[(i, n + j)] / size).clamp(-1.0, 1.0) } else { 0.0 }
        });
        let gram = match Gram::from_factor(root) {
            Err(Error::ZeroMatrix { .. } | Error::Empty { .. }) => None,
            gram => Some(gram?),
        };
        Ok(Self { depth, gram, log_norm, log_sample_norms, cosines, representation, weights })
    }

    /// Returns the number of the layer; 0 is the input.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Returns the Gram matrix of the gradient `G` with respect to the representation, scaled to
    /// trace one, with all its metrics; `None` if the gradient is zero.
    ///
    /// On the streamed engine it comes from sums of products. A direction counts as zero if its
    /// share of every sample is rounding: below about $`1.5 \cdot 10^{-8} \sqrt n`$ of the sample's
    /// length, or in `f32` below 5e-7 if that is larger.
    ///
    /// ```
    /// use orthogap::backward::Top;
    /// use orthogap::{Input, Network, Seed};
    ///
    /// // The gradients of a wide linear network become isotropic for every input.
    /// let network = Network::<f64>::new(20_000);
    /// let gradients = network.gradients(&Input::orthogonal(8)?, Seed(1), 40, Top::ReadOut)?;
    /// let layers = gradients.collect::<Result<Vec<_>, _>>()?;
    /// let gap = |layer: usize| layers[40 - layer].gram().map_or(1.0, |g| g.orthogonality_gap());
    /// assert!(gap(40) > 0.93 && gap(0) < 0.3);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn gram(&self) -> Option<&Gram> {
        self.gram.as_ref()
    }

    /// Returns the natural logarithm of the Frobenius norm of the gradient with respect to the
    /// representation, minus infinity if it is zero.
    #[must_use]
    pub fn log_norm(&self) -> f64 {
        self.log_norm
    }

    /// Returns the natural logarithms of the norms of the gradients with respect to each sample,
    /// the columns of `G`.
    #[must_use]
    pub fn log_sample_norms(&self) -> &[f64] {
        &self.log_sample_norms
    }

    /// Returns the cosine of the angle between sample `i` of the representation and the gradient
    /// with respect to sample `j`; 0 if either is zero.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a sample that is not in the batch.
    pub fn cosine(&self, i: usize, j: usize) -> Result<f64> {
        let n = self.cosines.nrows();
        match [i, j].into_iter().find(|&sample| sample >= n) {
            None => Ok(self.cosines[(i, j)]),
            Some(sample) => {
                let (name, expected) = ("sample", "the number of a sample of the batch");
                Err(Error::InvalidParameter { name, value: sample as f64, expected })
            }
        }
    }

    /// The inner products of the samples, $`H^\top H`$.
    pub(super) fn representation(&self) -> &Scaled<f64> {
        &self.representation
    }

    /// Returns the natural logarithm of the Frobenius norm of the gradient
    /// $`\sum_j \delta_j x_j^\top`$ with respect to the weights that lead to this layer; `None` for
    /// the input.
    #[must_use]
    pub fn log_weights_norm(&self) -> Option<f64> {
        self.weights.as_ref().map(|weights| weights.log_norm)
    }

    /// Returns the inner products of the samples' shares $`\delta_j x_j^\top`$ of the gradient with
    /// respect to the weights, `n x n`; `None` for the input. In a dense layer they are
    /// $`(\Delta^\top \Delta) \circ (X^\top X)`$.
    ///
    /// The squared norms of the shares are on the diagonal. With
    /// [`Top::ReadOut`](super::Top::ReadOut) and without normalisation across samples, the matrix
    /// is the layer's term of the tangent kernel.
    #[must_use]
    pub fn weights_products(&self) -> Option<&Scaled<f64>> {
        self.weights.as_ref().map(|weights| &weights.products)
    }
}
