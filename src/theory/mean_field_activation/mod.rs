//! One layer of infinite width with an activation: the mean of the next Gram matrix.
//!
//! A row of the next layer is $`u = F(r \, y/\lVert y \rVert)`$ with $`y \sim N(0, C)`$ and the
//! length `r` that the normalisation gives to rows, 1 in the paper and $`\sqrt n`$ in frameworks.
//! The next Gram matrix is $`E \, u u^\top`$, scaled to trace one. With centring, as in frameworks, `C`
//! is that of the [`centered`](super::mean_field::centered) samples. There is a formula for
//!
//! - no activation: [`mean_field`](super::mean_field);
//! - ReLU, at any `r`: [`relu`];
//! - networks without normalisation, where a pair of samples is enough: [`Kernel`].
//!
//! Given `H` itself, [`normalized_product`] is the limit of N(W F(H)) for any activation.
//!
//! For everything else [`quasi_monte_carlo`] gives the matrix with its standard error.
//! [`ActivationChain`] follows the Gram matrices before and after the activation from layer to
//! layer, and [`equiangular_point`] is its limit if all samples are equivalent.

mod chain;
mod equiangular;
mod kernel;
mod quasi_monte_carlo;
mod relu;

use nalgebra::DMatrix;

pub use chain::{ActivationChain, ActivationLayer};
pub use equiangular::{EquiangularPoint, equiangular_point};
pub use kernel::Kernel;
pub use quasi_monte_carlo::{GramEstimate, quasi_monte_carlo};
pub use relu::relu;

use crate::activation::Activation;
use crate::factorization::{Eigen, symmetric_eigen};
use crate::theory::mean_field::MeanFieldChain;
use crate::{Gram, Result};

/// Returns the Gram matrix of N(W F(H)) at infinite width, given `H` (`d x n`, samples are
/// columns): the activation is applied to `H`, and [`MeanFieldChain`] goes one layer deeper.
///
/// This is the order of the paper's Appendix F. Given `H`, it is the mean of the next Gram matrix
/// at any width; a layer of width `d` deviates from it by less than $`1/\sqrt d`$ (root mean
/// square). Exact to about 1e-10 in every eigenvalue. Cost: a QR factorisation of F(H), `2 d n²`,
/// and the spectrum of its Gram matrix.
///
/// ```
/// use orthogap::nalgebra::{self, dmatrix};
/// use orthogap::{Activation, theory::mean_field_activation::normalized_product};
///
/// // F(H) has orthogonal columns of lengths 3 and 4: p is proportional to them.
/// let next = normalized_product(&dmatrix![3.0, -1.0; -2.0, 4.0], &Activation::Relu)?.matrix();
/// assert!((next[(0, 0)] - 3.0 / 7.0).abs() < 1e-14 && next[(0, 1)].abs() < 1e-14);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Empty`](crate::Error::Empty), [`NotFinite`](crate::Error::NotFinite),
/// [`ZeroMatrix`](crate::Error::ZeroMatrix) for F(H), and those of [`MeanFieldChain::new`].
pub fn normalized_product(columns: &DMatrix<f64>, activation: &Activation) -> Result<Gram> {
    let mut activated = columns.clone();
    activation.apply(activated.as_mut_slice());
    let mut chain = MeanFieldChain::new(&Gram::from_columns(&activated)?)?;
    Ok(chain.step().gram().clone())
}

/// The Gram matrix of a symmetric matrix that is positive semidefinite except for rounding.
fn from_matrix(matrix: DMatrix<f64>) -> Result<Gram> {
    let n = matrix.nrows();
    let Eigen { values, vectors } = symmetric_eigen(matrix)?;
    let noise = n as f64 * f64::EPSILON * values[0];
    let rank = values.iter().take_while(|&&value| value > noise).count();
    let mut factor = vectors.columns(0, rank).transpose();
    for (mut row, value) in factor.row_iter_mut().zip(&values) {
        row *= value.sqrt();
    }
    Gram::from_factor(factor)
}
