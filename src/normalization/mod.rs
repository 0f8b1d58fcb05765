//! Batch, layer and group normalisation, and their reverse passes.

mod batch_norm;
mod mean_only;
mod row;
mod sample_norm;
mod shape;
mod trainable;
mod units;

use nalgebra::{DMatrix, DMatrixViewMut, Dyn, Matrix, RawStorage};

use self::mean_only::subtract_row_means;
use self::shape::{owned, same_shape};
use self::units::InUnits;
use crate::check;
use crate::{Error, Result, Scalar};

pub use batch_norm::{BatchNorm, Centering, RowScale};
pub use sample_norm::SampleNorm;
pub use trainable::TrainableBatchNorm;

/// The normalisation of a network.
///
/// ```
/// use orthogap::{Input, Network, Seed, normalization::{Normalization, SampleNorm}};
///
/// let paper = Network::<f64>::new(64); // BatchNorm::paper() is the default
/// let vanilla = paper.clone().with_normalization(Normalization::None);
/// let layer_norm = paper.clone().with_normalization(SampleNorm::layer(1e-5)?);
/// let input = Input::near_collinear(4, 0.1)?;
/// let gap = |network: Network<f64>| {
///     Ok::<_, orthogap::Error>(network.chain(&input, Seed(1))?.advance(50)?.orthogonality_gap())
/// };
/// assert!(gap(paper)? < 0.3 && gap(vanilla)? > 0.6 && gap(layer_norm)? > 0.6);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Normalization {
    /// No normalisation: a vanilla network. Its scale is held as a logarithm, so no depth
    /// overflows.
    None,
    /// Batch normalisation of every row (neuron) over the batch.
    BatchNorm(BatchNorm),
    /// Mean-only batch normalisation (Salimans and Kingma 2016): the mean over the batch is
    /// subtracted from every row, and nothing is rescaled. The scale is held as in a vanilla
    /// network.
    ///
    /// On Gram matrices it is $`C \mapsto P C P`$, scaled to trace one, with
    /// $`P = I - 1 1^\top / n`$.
    ///
    /// ```
    /// use orthogap::{Input, Network, Seed, normalization::Normalization};
    ///
    /// let network = Network::<f64>::new(64).with_normalization(Normalization::MeanOnly);
    /// let mut chain = network.chain(&Input::gaussian(8, 3, Seed(1))?, Seed(2))?;
    /// let gram = chain.advance(5)?.gram().matrix();
    /// assert!(gram.row_sum().amax() < 1e-15); // centred samples add up to zero
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    MeanOnly,
    /// Normalisation of every column (sample) over its features.
    SampleNorm(SampleNorm),
}

impl Normalization {
    /// Returns the normalised matrix, newly allocated; `h` is `d x n`, samples are columns.
    ///
    /// ```
    /// use orthogap::nalgebra::dmatrix;
    /// use orthogap::normalization::{BatchNorm, Normalization, SampleNorm};
    ///
    /// let h = dmatrix![3.0, 5.0; 0.0, 4.0];
    /// assert_eq!(Normalization::MeanOnly.normalize(&h)?, dmatrix![-1.0, 1.0; -2.0, 2.0]);
    /// for norm in [BatchNorm::paper().into(), SampleNorm::layer(1e-5)?.into(), Normalization::None] {
    ///     println!("{norm:?} {}", Normalization::normalize(norm, &h)?);
    /// }
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`BatchNorm::normalize_mut`] and [`SampleNorm::normalize_mut`];
    /// [`Error::BatchTooSmall`], [`Error::NotFinite`] and [`Error::Overflow`] of the mean-only one.
    pub fn normalize<T: Scalar, S: RawStorage<T, Dyn, Dyn>>(
        self,
        h: &Matrix<T, Dyn, Dyn, S>,
    ) -> Result<DMatrix<T>> {
        let mut output = owned(h);
        self.normalize_mut(&mut output.as_view_mut(), 1)?;
        Ok(output)
    }

    /// Returns the gradient of a loss by `h`, given that by the normalised matrix; both are `d x n`.
    ///
    /// # Errors
    /// Those of [`normalize`](Self::normalize), [`Error::NotFinite`] of the gradient, too;
    /// [`Error::ShapeMismatch`]; [`Error::Overflow`].
    pub fn pullback<T, S, S2>(
        self,
        h: &Matrix<T, Dyn, Dyn, S>,
        gradient: &Matrix<T, Dyn, Dyn, S2>,
    ) -> Result<DMatrix<T>>
    where
        T: Scalar,
        S: RawStorage<T, Dyn, Dyn>,
        S2: RawStorage<T, Dyn, Dyn>,
    {
        same_shape("the gradient", gradient.shape(), h.shape())?;
        let mut output = owned(gradient);
        match self {
            Self::BatchNorm(norm) => norm.pullback_mut(h, &mut output)?,
            Self::SampleNorm(norm) => norm.pullback_mut(h, &mut output)?,
            Self::MeanOnly => subtract_row_means(&mut output)?,
            Self::None => (),
        }
        Ok(output)
    }

    /// Whether it lets a scale pass, so that scales grow or fall exponentially with depth.
    pub(crate) fn passes_scale(self) -> bool {
        match self {
            Self::None | Self::MeanOnly => true,
            Self::BatchNorm(_) | Self::SampleNorm(_) => false,
        }
    }

    /// Whether rows have a mean of zero over the batch after it.
    pub(crate) fn centers(self) -> bool {
        match self {
            Self::BatchNorm(norm) => norm.centering() == Centering::Batch,
            Self::MeanOnly => true,
            Self::None | Self::SampleNorm(_) => false,
        }
    }

    /// Whether each normalised sample depends on the whole batch.
    pub(crate) fn mixes_samples(self) -> bool {
        match self {
            Self::BatchNorm(_) | Self::MeanOnly => true,
            Self::None | Self::SampleNorm(_) => false,
        }
    }

    /// Whether it acts on the rows of `H` one by one.
    pub(crate) fn is_row_wise(self) -> bool {
        match self {
            Self::None | Self::BatchNorm(_) | Self::MeanOnly => true,
            Self::SampleNorm(_) => false,
        }
    }

    /// Returns the batch normalisation, if it is one.
    pub(crate) fn batch_norm(self) -> Option<BatchNorm> {
        match self {
            Self::BatchNorm(norm) => Some(norm),
            Self::None | Self::MeanOnly | Self::SampleNorm(_) => None,
        }
    }

    /// Returns the normalisation of representations that are held in units of exp(`log_unit`).
    pub(crate) fn in_units(self, log_unit: f64) -> Result<InUnits> {
        let expected = "a number";
        check::parameter("log unit", log_unit, !log_unit.is_nan(), expected)?;
        Ok(InUnits { normalization: self, log_unit })
    }

    /// The number added to variances; 0 without one.
    fn epsilon(self) -> f64 {
        match self {
            Self::None | Self::MeanOnly => 0.0,
            Self::BatchNorm(norm) => norm.epsilon(),
            Self::SampleNorm(norm) => norm.epsilon(),
        }
    }

    /// The same with another epsilon, if it has one.
    fn with_epsilon(self, epsilon: f64) -> Result<Self> {
        Ok(match self {
            Self::None | Self::MeanOnly => self,
            Self::BatchNorm(norm) => norm.with_epsilon(epsilon)?.into(),
            Self::SampleNorm(norm) => norm.with_epsilon(epsilon)?.into(),
        })
    }

    /// Normalises some rows of `H` in place, or all of it unless it is
    /// [row-wise](Self::is_row_wise); a sample has `pixels` columns.
    pub(crate) fn normalize_mut<T: Scalar>(
        self,
        h: &mut DMatrixViewMut<'_, T>,
        pixels: usize,
    ) -> Result<()> {
        match self {
            Self::None => Ok(()),
            Self::BatchNorm(norm) => norm.normalize_rows(h),
            Self::MeanOnly => subtract_row_means(h),
            Self::SampleNorm(norm) => norm.normalize_images(h, pixels),
        }
    }

    /// Replaces the gradient of a loss with respect to the normalised matrix by the gradient with
    /// respect to `h`; a sample has `pixels` columns.
    pub(crate) fn pullback_mut<T: Scalar>(
        self,
        h: &DMatrix<T>,
        gradient: &mut DMatrix<T>,
        pixels: usize,
    ) -> Result<()> {
        match self {
            Self::None => Ok(()),
            Self::BatchNorm(norm) => norm.pullback_mut(h, gradient),
            Self::MeanOnly => subtract_row_means(gradient),
            Self::SampleNorm(norm) => norm.pull_back_images(h, gradient, pixels),
        }
    }

    /// Returns a layer of `width` rows with the parameters and running statistics of this
    /// normalisation; `None` if it has none.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for batch normalisation that is mean-only or not
    /// [`BatchNorm::standard`].
    pub(crate) fn trainable<T: Scalar>(
        self,
        width: usize,
    ) -> Result<Option<TrainableBatchNorm<T>>> {
        /// PyTorch's momentum of running statistics.
        const MOMENTUM: f64 = 0.1;
        let norm = match self {
            Self::None | Self::SampleNorm(_) => return Ok(None),
            Self::BatchNorm(norm) => norm,
            Self::MeanOnly => {
                let needs =
                    "Normalization::None or BatchNorm::standard: its running means are not kept";
                return Err(Error::Unsupported {
                    what: "mean-only normalisation in training",
                    needs,
                });
            }
        };
        if (norm.centering(), norm.row_scale()) != (Centering::Batch, RowScale::UnitRms) {
            let needs = "BatchNorm::standard, centred and of unit root mean square";
            return Err(Error::Unsupported { what: "a batch normalisation in training", needs });
        }
        Ok(Some(TrainableBatchNorm::new(width, norm.epsilon(), MOMENTUM)?))
    }
}

impl From<BatchNorm> for Normalization {
    fn from(batch_norm: BatchNorm) -> Self {
        Self::BatchNorm(batch_norm)
    }
}

impl From<SampleNorm> for Normalization {
    fn from(sample_norm: SampleNorm) -> Self {
        Self::SampleNorm(sample_norm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::dmatrix;

    #[test]
    fn every_normalisation_of_a_matrix_and_its_pullback() {
        let (h, g) = (dmatrix![3.0, 5.0; 0.5, 4.0], dmatrix![1.0, 2.0; -1.0, 0.5]);
        let (batch, layer) = (BatchNorm::paper(), SampleNorm::layer(1e-5).unwrap());
        let of =
            |norm: Normalization| (norm.normalize(&h).unwrap(), norm.pullback(&h, &g).unwrap());
        let paper = (batch.normalize(&h).unwrap(), batch.pullback(&h, &g).unwrap());
        assert_eq!(of(batch.into()), paper);
        assert_eq!(
            of(layer.into()),
            (layer.normalize(&h).unwrap(), layer.pullback(&h, &g).unwrap())
        );
        assert_eq!(of(Normalization::None), (h.clone(), g.clone()));
        let centered = (dmatrix![-1.0, 1.0; -1.75, 1.75], dmatrix![-0.5, 0.5; -0.75, 0.75]);
        assert_eq!(of(Normalization::MeanOnly), centered);
        assert!(Normalization::None.pullback(&h, &h.transpose().remove_row(0)).is_err());
    }
}
