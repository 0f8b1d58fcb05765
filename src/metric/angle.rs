//! Angles between the representations of single samples.

use nalgebra::DMatrix;

use crate::{Error, Gram, Result};

impl Gram {
    /// The cosine of the angle between samples `i` and `j`.
    ///
    /// Cost: `3 r` multiply-adds.
    ///
    /// ```
    /// use orthogap::Input;
    ///
    /// let gram = Input::near_collinear(2, 0.5)?.gram().clone();
    /// assert!((gram.cosine(0, 1)? - 0.5f64.sqrt()).abs() < 1e-15);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ZeroColumn`] if one of them is zero, [`Error::InvalidParameter`] if there is no
    /// such sample.
    pub fn cosine(&self, i: usize, j: usize) -> Result<f64> {
        let direction = |sample: usize| {
            if sample >= self.batch_size() {
                return Err(Error::InvalidParameter {
                    name: "sample",
                    value: sample as f64,
                    expected: "an index below the batch size",
                });
            }
            // Scaled first, so that the square of a tiny column does not vanish.
            let column = self.factor().column(sample);
            let largest = column.amax();
            if largest == 0.0 {
                return Err(Error::ZeroColumn { column: sample });
            }
            Ok((column / largest).normalize())
        };
        Ok(direction(i)?.dot(&direction(j)?).clamp(-1.0, 1.0))
    }

    /// All pairwise cosines (`n x n`, ones on the diagonal). Cost: `O(n³)`.
    ///
    /// ```
    /// use orthogap::Input;
    ///
    /// let cosines = Input::orthogonal(3)?.gram().cosines()?;
    /// assert_eq!(cosines, nalgebra::DMatrix::identity(3, 3));
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ZeroColumn`] if a sample is zero.
    pub fn cosines(&self) -> Result<DMatrix<f64>> {
        let n = self.batch_size();
        let mut cosines = DMatrix::identity(n, n);
        for j in 0..n {
            for i in 0..j {
                let cosine = self.cosine(i, j)?;
                cosines[(i, j)] = cosine;
                cosines[(j, i)] = cosine;
            }
        }
        if n == 1 {
            self.cosine(0, 0)?;
        }
        Ok(cosines)
    }
}
