//! Centring of rows over the batch, without rescaling.

use nalgebra::{Dim, Matrix, RawStorageMut};

use crate::statistics::SplitMean;
use crate::{Error, Result, Scalar, check};

/// Subtracts from every row of `h` (`d x n`) its mean over the batch.
///
/// It is its own pullback, since the projection $`I - 1 1^\top / n`$ is symmetric. Sums are taken
/// in `f64`, relative to the first column, and corrected once.
///
/// # Errors
/// [`Error::BatchTooSmall`] for one column; [`Error::NotFinite`] of `h`; [`Error::Overflow`] if
/// deviations exceed the range of `T`.
pub(super) fn subtract_row_means<T, R, C, S>(h: &mut Matrix<T, R, C, S>) -> Result<()>
where
    T: Scalar,
    R: Dim,
    C: Dim,
    S: RawStorageMut<T, R, C>,
{
    let n = h.ncols();
    check::batch(n, 2)?;
    let first = h.column(0);
    let mut means: Vec<_> = first.iter().map(|&x| SplitMean { high: x.into(), low: 0.0 }).collect();
    let mut sums = vec![0.0; means.len()];
    for _ in 0..2 {
        sums.fill(0.0);
        for column in h.column_iter() {
            for ((sum, mean), &x) in sums.iter_mut().zip(&means).zip(&column) {
                *sum += mean.deviation(x.into());
            }
        }
        for (mean, sum) in means.iter_mut().zip(&sums) {
            *mean = mean.shifted(sum / n as f64);
        }
    }
    if let Some(row) = sums.iter().position(|sum| !sum.is_finite()) {
        let entries = h.row(row);
        let mut entries = entries.iter().map(|&x| -> f64 { x.into() }).enumerate();
        if let Some((column, value)) = entries.find(|(_, x)| !x.is_finite()) {
            return Err(Error::NotFinite { row, column, value });
        }
    }
    for mut column in h.column_iter_mut() {
        for (row, (x, mean)) in column.iter_mut().zip(&means).enumerate() {
            let value = mean.deviation((*x).into());
            *x = T::of(value);
            if !x.is_finite() {
                return Err(Error::Overflow { what: "deviation from the mean", row, value });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, dmatrix};
    use proptest::prelude::*;

    use super::*;
    use crate::proptest::normals;

    fn centred(mut h: DMatrix<f64>) -> Result<DMatrix<f64>> {
        subtract_row_means(&mut h).map(|()| h)
    }

    proptest! {
        #[test]
        fn rows_lose_their_mean_and_nothing_else(
            (d, n) in (1..6_usize, 2..9_usize), seed: u64, offset in -1e9..1e9,
        ) {
            let h = normals(d, n, seed);
            let centred_h = centred(h.add_scalar(offset)).unwrap();
            let reference = &h - h.column_mean() * DMatrix::from_element(1, n, 1.0);
            // Adding the offset rounds entries to about 1e-7.
            prop_assert!((centred_h.clone() - reference).amax() <= 2e-16 * offset.abs() + 1e-15);
            prop_assert!(centred_h.column_sum().amax() <= 1e-14 * n as f64);
        }
    }

    #[test]
    fn constant_rows_become_zero_at_every_scale() {
        for x in [0.1, 1e308, 1e-308, -7.0] {
            assert_eq!(centred(DMatrix::from_element(2, 7, x)).unwrap(), DMatrix::zeros(2, 7));
        }
    }

    #[test]
    fn what_cannot_be_centred_is_named() {
        let error = |h: DMatrix<f64>| centred(h).unwrap_err();
        assert_eq!(error(dmatrix![1.0]), Error::BatchTooSmall { batch_size: 1, minimum: 2 });
        let text = error(dmatrix![1.0, 2.0; 3.0, f64::NAN]).to_string();
        assert!(text.contains("entry (1, 1) is NaN"), "{text}");
        let text = error(dmatrix![f64::MAX, -f64::MAX]).to_string();
        assert!(text.contains("deviation from the mean of row 0"), "{text}");
    }
}
