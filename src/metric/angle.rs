//! Angles between the representations of single samples.

use nalgebra::DMatrix;

use crate::{Error, Gram, Result};

impl Gram {
    /// Returns the cosine of samples `i` and `j`, to an absolute error of about 1e-16. It does not
    /// resolve an angle below 1e-8.
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

    /// Returns all pairwise cosines (`n x n`, ones on the diagonal). Cost: `O(n³)`.
    ///
    /// ```
    /// use orthogap::{Input, nalgebra};
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
        Ok(cosines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use nalgebra::dmatrix;

    /// Three directions of the plane, at 0, 60 and 90 degrees, of sizes whose squares underflow.
    #[test]
    fn angles_of_samples_of_any_size() {
        let h = dmatrix![1.0, 0.5e-200, 0.0; 0.0, 0.75f64.sqrt() * 1e-200, 1e-300];
        let cosines = Gram::from_factor(h).unwrap().cosines().unwrap();
        let thirty = 0.75f64.sqrt();
        let expected = dmatrix![1.0, 0.5, 0.0; 0.5, 1.0, thirty; 0.0, thirty, 1.0];
        assert_relative_eq!(cosines, expected, epsilon = 1e-15);
    }

    /// Products of unit vectors exceed one by a rounding, now and then.
    #[test]
    fn no_cosine_exceeds_one() {
        for k in 0..100 {
            let direction = |i: usize| ((3 * i + 7 * k) as f64).sin();
            let h = DMatrix::from_fn(5, 2, |i, j| if j == 0 { 1.0 } else { -2.0 } * direction(i));
            let gram = Gram::from_factor(h).unwrap();
            let (same, opposite) = (gram.cosine(0, 0).unwrap(), gram.cosine(0, 1).unwrap());
            assert!((1.0 - 1e-15..=1.0).contains(&same));
            assert!((-1.0..-1.0 + 1e-15).contains(&opposite));
        }
    }

    #[test]
    fn zero_samples_have_no_angle() {
        let gram = Gram::from_factor(dmatrix![1.0, 0.0]).unwrap();
        assert_eq!(gram.cosine(0, 1), Err(Error::ZeroColumn { column: 1 }));
        assert_eq!(gram.cosines(), Err(Error::ZeroColumn { column: 1 }));
        assert!(matches!(gram.cosine(2, 0), Err(Error::InvalidParameter { value: 2.0, .. })));
        let alone = Gram::from_factor(dmatrix![-3.0]).unwrap();
        assert_eq!(alone.cosines(), Ok(dmatrix![1.0]));
    }
}
