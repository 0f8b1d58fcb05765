//! The shape of images, and how a batch of them lies in a matrix.

use nalgebra::{DMatrix, DMatrixView, Dyn};

use crate::check::MAX_LEN;
use crate::serialization::deserialize_checked;
use crate::{Error, Result, Scalar};

/// The shape of each image of a batch: channels, height and width in pixels.
///
/// A batch of `n` images with `C` channels and `S` = height x width pixels is a `C x (S n)`
/// matrix. Its columns are pixels, row by row from the top left, one sample after the other, so a
/// row holds one channel over batch and space: batch normalisation of images is
/// [`BatchNorm`](crate::normalization::BatchNorm) of this matrix. In memory, which is
/// column-major, this is the layout NHWC ("channels last").
///
/// ```
/// use orthogap::nalgebra::{self, dmatrix};
/// use orthogap::convolution::Images;
///
/// // One sample, flattened as frameworks do: all of channel 0, then all of channel 1.
/// let flattened = dmatrix![1.0; 2.0; 3.0; 10.0; 20.0; 30.0];
/// let shape = Images::new(2, 1, 3)?;
/// let h = shape.batch_from_nchw(&flattened)?;
/// assert_eq!(h, dmatrix![1.0, 2.0, 3.0; 10.0, 20.0, 30.0]);
/// assert_eq!(shape.batch_to_nchw(&h)?, flattened);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Images {
    channels: usize,
    height: usize,
    width: usize,
}

impl Images {
    /// Creates a shape of images: channels, height and width in pixels.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if one of them is 0 or if an image exceeds 2^40 numbers.
    pub fn new(channels: usize, height: usize, width: usize) -> Result<Self> {
        let sides = [("channels", channels), ("height", height), ("width", width)];
        if let Some((name, _)) = sides.into_iter().find(|&(_, side)| side == 0) {
            return Err(Error::InvalidParameter { name, value: 0.0, expected: "at least 1" });
        }
        let len = channels.checked_mul(height).and_then(|area| area.checked_mul(width));
        if len.is_none_or(|len| len as u64 > MAX_LEN) {
            let value = channels as f64 * height as f64 * width as f64;
            let expected = "at most 2^40 numbers in an image";
            return Err(Error::InvalidParameter {
                name: "channels x height x width",
                value,
                expected,
            });
        }
        Ok(Self { channels, height, width })
    }

    /// Returns the number `C` of channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Returns the height in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Returns the width in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the number `S` of pixels, height x width.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Returns the numbers in an image, `C S`: the width of the flattened layer.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no image is empty")]
    pub fn len(&self) -> usize {
        self.channels * self.pixels()
    }

    /// Returns the number of images in a `C x (S n)` matrix.
    ///
    /// # Errors
    /// [`Error::Empty`] for a matrix without columns; [`Error::ShapeMismatch`] unless it has `C`
    /// rows and whole images of columns (expected: the next whole one).
    pub fn batch_size<T: Scalar>(&self, h: &DMatrix<T>) -> Result<usize> {
        self.batch_size_of("the batch of images", h)
    }

    /// Returns a view of the batch with one column a sample, `(C S) x n`. Nothing is copied.
    ///
    /// A column has the channels innermost, not outermost as in frameworks. The Gram matrix and
    /// every metric of it do not depend on the order of rows.
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::{Gram, convolution::Images};
    ///
    /// let h = dmatrix![1.0, 0.0, 0.0, 3.0; 2.0, 0.0, 0.0, 4.0]; // two images, 2 channels, 1 x 2
    /// let flat = Images::new(2, 1, 2)?;
    /// assert_eq!(flat.flatten(&h)?, dmatrix![1.0, 0.0; 2.0, 0.0; 0.0, 3.0; 0.0, 4.0]);
    /// assert_eq!(Gram::from_columns(&flat.flatten(&h)?)?.cosine(0, 1)?, 0.0);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`batch_size`](Self::batch_size).
    pub fn flatten<'a, T: Scalar>(&self, h: &'a DMatrix<T>) -> Result<DMatrixView<'a, T>> {
        let batch_size = self.batch_size(h)?;
        Ok(DMatrixView::from_slice(h.as_slice(), self.len(), batch_size))
    }

    /// Inverts [`flatten`](Self::flatten), `(C S) x n` to `C x (S n)`; nothing is copied.
    ///
    /// # Errors
    /// [`Error::Empty`]; [`Error::ShapeMismatch`] unless `columns` has `C S` rows.
    pub fn unflatten<T: Scalar>(&self, columns: DMatrix<T>) -> Result<DMatrix<T>> {
        let batch_size = self.flattened(&columns)?;
        Ok(columns.reshape_generic(Dyn(self.channels), Dyn(self.pixels() * batch_size)))
    }

    /// Returns the batch `C x (S n)` of images flattened one a column, `(C S) x n`, in the order
    /// of frameworks (NCHW: channels outermost, then rows, then columns of the image).
    ///
    /// Copies every number once, NaN and infinities included.
    ///
    /// # Errors
    /// [`Error::Empty`]; [`Error::ShapeMismatch`] unless `columns` has `C S` rows.
    pub fn batch_from_nchw<T: Scalar>(&self, columns: &DMatrix<T>) -> Result<DMatrix<T>> {
        let mut h = DMatrix::zeros(0, 0);
        self.batch_from_nchw_to(columns, &mut h)?;
        Ok(h)
    }

    /// [`batch_from_nchw`](Self::batch_from_nchw) into a matrix that takes the shape it needs.
    pub(crate) fn batch_from_nchw_to<T: Scalar>(
        &self,
        columns: &DMatrix<T>,
        h: &mut DMatrix<T>,
    ) -> Result<()> {
        let batch_size = self.flattened(columns)?;
        self.zeros_in(h, batch_size)?;
        self.transpose_each(columns, h, self.pixels(), self.channels);
        Ok(())
    }

    /// Inverts [`batch_from_nchw`](Self::batch_from_nchw), `C x (S n)` to `(C S) x n`.
    ///
    /// # Errors
    /// Those of [`batch_size`](Self::batch_size).
    pub fn batch_to_nchw<T: Scalar>(&self, h: &DMatrix<T>) -> Result<DMatrix<T>> {
        let batch_size = self.batch_size(h)?;
        let mut columns = DMatrix::zeros(self.len(), batch_size);
        self.transpose_each(h, &mut columns, self.channels, self.pixels());
        Ok(columns)
    }

    /// Transposes every image, taken as a `rows x columns` matrix.
    fn transpose_each<T: Scalar>(
        &self,
        from: &DMatrix<T>,
        to: &mut DMatrix<T>,
        rows: usize,
        columns: usize,
    ) {
        let samples = from.as_slice().chunks_exact(self.len());
        for (from, to) in samples.zip(to.as_mut_slice().chunks_exact_mut(self.len())) {
            for (row, to) in to.chunks_exact_mut(columns).enumerate() {
                let entries = from[row..].iter().step_by(rows);
                to.iter_mut().zip(entries).for_each(|(to, &from)| *to = from);
            }
        }
    }

    /// [`batch_size`](Self::batch_size) of what an error calls by another name.
    pub(super) fn batch_size_of<T: Scalar>(
        &self,
        what: &'static str,
        h: &DMatrix<T>,
    ) -> Result<usize> {
        whole_samples(what, h, self.channels, self.pixels())
    }

    /// Makes a matrix a batch of zeros, in its memory where that suffices.
    pub(super) fn zeros_in<T: Scalar>(&self, h: &mut DMatrix<T>, batch_size: usize) -> Result<()> {
        // New memory comes as zeros.
        let is_new = h.len() < self.len().saturating_mul(batch_size);
        self.fit(h, batch_size)?;
        if !is_new {
            h.fill(T::zero());
        }
        Ok(())
    }

    /// Gives a matrix the shape of a batch, in its memory where that suffices; its entries are any.
    pub(super) fn fit<T: Scalar>(&self, h: &mut DMatrix<T>, batch_size: usize) -> Result<()> {
        let (rows, columns) = (self.channels, self.pixels().saturating_mul(batch_size));
        match self.len().checked_mul(batch_size) {
            Some(len) if h.shape() == (rows, columns) && h.len() == len => Ok(()),
            Some(len) if h.len() >= len => {
                let mut entries: Vec<T> = std::mem::replace(h, DMatrix::zeros(0, 0)).data.into();
                entries.truncate(len);
                *h = DMatrix::from_vec(rows, columns, entries);
                Ok(())
            }
            Some(len) if len as u64 <= MAX_LEN => {
                let mut entries: Vec<T> = std::mem::replace(h, DMatrix::zeros(0, 0)).data.into();
                if entries.capacity() < len {
                    *h = DMatrix::zeros(rows, columns);
                } else {
                    entries.clear();
                    entries.resize(len, T::zero());
                    *h = DMatrix::from_vec(rows, columns, entries);
                }
                Ok(())
            }
            _ => Err(Error::InvalidParameter {
                name: "batch size x image size",
                value: batch_size as f64 * self.len() as f64,
                expected: "at most 2^40 numbers in a batch",
            }),
        }
    }

    /// The batch size of a flattened batch.
    fn flattened<T: Scalar>(&self, columns: &DMatrix<T>) -> Result<usize> {
        whole_samples("the batch of flattened images", columns, self.len(), 1)
    }
}

deserialize_checked!(Images { channels: usize, height: usize, width: usize }, Images::new);

/// How many samples of `rows x columns` numbers stand side by side in a matrix.
fn whole_samples<T: Scalar>(
    what: &'static str,
    matrix: &DMatrix<T>,
    rows: usize,
    columns: usize,
) -> Result<usize> {
    let found = matrix.shape();
    if found.1 == 0 {
        return Err(Error::Empty { rows: found.0, columns: 0 });
    }
    let samples = found.1.div_ceil(columns);
    let expected = (rows, samples.saturating_mul(columns));
    if found == expected {
        Ok(samples)
    } else {
        Err(Error::ShapeMismatch { what, found, expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_checked() {
        let zero = |name| Error::InvalidParameter { name, value: 0.0, expected: "at least 1" };
        assert_eq!(Images::new(0, 2, 3), Err(zero("channels")));
        assert_eq!(Images::new(1, 0, 3), Err(zero("height")));
        assert_eq!(Images::new(1, 2, 0), Err(zero("width")));
        for (channels, side) in [(1, (1 << 20) + 1), (usize::MAX, 2), (usize::MAX, usize::MAX)] {
            let error = Images::new(channels, side, side).unwrap_err();
            assert!(matches!(error, Error::InvalidParameter { value, .. } if value > 1e12));
        }
        assert_eq!(Images::new(1, 1 << 20, 1 << 20).unwrap().len(), 1 << 40);
    }

    #[test]
    fn batches_are_checked() {
        let shape = Images::new(2, 3, 5).unwrap();
        let batch = |rows, columns| DMatrix::<f64>::zeros(rows, columns);
        assert_eq!(shape.batch_size(&batch(2, 45)), Ok(3));
        assert_eq!(shape.batch_size(&batch(2, 0)), Err(Error::Empty { rows: 2, columns: 0 }));
        let error = shape.flatten(&batch(2, 31)).unwrap_err();
        assert_eq!(error.to_string(), "the batch of images is 2 x 31, expected 2 x 45");
        let error = shape.batch_to_nchw(&batch(3, 30)).unwrap_err();
        assert_eq!(error.to_string(), "the batch of images is 3 x 30, expected 2 x 30");
        let error = shape.batch_from_nchw(&batch(29, 7)).unwrap_err();
        assert_eq!(error.to_string(), "the batch of flattened images is 29 x 7, expected 30 x 7");
        assert_eq!(shape.unflatten(batch(29, 7)), Err(error));
    }

    #[test]
    fn numbers_keep_their_place() {
        let (shape, n) = (Images::new(2, 3, 5).unwrap(), 4);
        let nchw = DMatrix::from_fn(30, n, |i, sample| (100 * sample + i) as f32);
        let h = shape.batch_from_nchw(&nchw).unwrap();
        let flat = shape.flatten(&h).unwrap();
        for (sample, channel, y, x) in [(0, 0, 0, 0), (1, 1, 0, 0), (2, 0, 2, 1), (3, 1, 1, 4)] {
            let number = nchw[(channel * 15 + y * 5 + x, sample)];
            assert_eq!(h[(channel, sample * 15 + y * 5 + x)], number);
            assert_eq!(flat[((y * 5 + x) * 2 + channel, sample)], number);
        }
        assert_eq!(shape.unflatten(flat.into_owned()).unwrap(), h);
        assert_eq!(shape.batch_to_nchw(&h).unwrap(), nchw);
    }
}
