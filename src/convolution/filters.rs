//! The order of the weights of a convolution, here and in frameworks.

use nalgebra::DMatrix;

use super::{Convolution, Images};
use crate::{Error, Result, Scalar};

impl Convolution {
    /// Returns weights `C' x (C k²)` in the order of this crate from those of frameworks: their
    /// shape is (C', C, k, k), flattened to `C' x (C k²)` with the input channel outermost.
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::convolution::Convolution;
    ///
    /// // One output, two inputs, kernel 2: (c, i, j) = 000, 001, 010, 011, 100, 101, 110, 111.
    /// let oihw = dmatrix![0, 1, 2, 3, 4, 5, 6, 7].map(f64::from);
    /// let weights = Convolution::new(2)?.weights_from_oihw(&oihw)?;
    /// assert_eq!(weights, dmatrix![0, 4, 1, 5, 2, 6, 3, 7].map(f64::from));
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`]; [`Error::ShapeMismatch`] unless the number of columns is a multiple of
    /// `k²`.
    pub fn weights_from_oihw<T: Scalar>(&self, weights: &DMatrix<T>) -> Result<DMatrix<T>> {
        let filters = self.filters(weights)?;
        let batch = filters.batch_from_nchw(&weights.transpose())?;
        Ok(filters.flatten(&batch)?.transpose())
    }

    /// Inverts [`weights_from_oihw`](Self::weights_from_oihw).
    ///
    /// # Errors
    /// Those of [`weights_from_oihw`](Self::weights_from_oihw).
    pub fn weights_to_oihw<T: Scalar>(&self, weights: &DMatrix<T>) -> Result<DMatrix<T>> {
        let filters = self.filters(weights)?;
        let batch = filters.unflatten(weights.transpose())?;
        Ok(filters.batch_to_nchw(&batch)?.transpose())
    }

    /// The shape of the rows of the weights, which are themselves images of `k x k` pixels.
    fn filters<T: Scalar>(&self, weights: &DMatrix<T>) -> Result<Images> {
        let (rows, columns) = weights.shape();
        if weights.is_empty() {
            return Err(Error::Empty { rows, columns });
        }
        let area = self.kernel.pow(2);
        let channels = columns.div_ceil(area);
        if columns != channels * area {
            return Err(Error::ShapeMismatch {
                what: "the weight matrix",
                found: (rows, columns),
                expected: (rows, channels * area),
            });
        }
        Images::new(channels, self.kernel, self.kernel)
    }
}
