//! Pooling: every channel of an image summarised window by window.

use nalgebra::DMatrix;

use super::{Images, check_finite, check_overflow};
use crate::{Error, Result, Scalar};

/// The average or the maximum of every channel over windows that tile the image.
///
/// Windows of `k x k` pixels, `k` apart. Where `k` does not divide a side, the rest at the right
/// and at the bottom is dropped, as in PyTorch.
///
/// ```
/// use nalgebra::dmatrix;
/// use orthogap::convolution::{Images, Pooling};
///
/// let shape = Images::new(1, 2, 5)?; // the last column is dropped
/// let h = dmatrix![1.0, 2.0, 5.0, 6.0, 9.0, 3.0, 4.0, 7.0, 8.0, 9.0];
/// assert_eq!(Pooling::max(2)?.apply(shape, &h)?, dmatrix![4.0, 8.0]);
/// assert_eq!(Pooling::average(2)?.apply(shape, &h)?, dmatrix![2.5, 6.5]);
/// assert_eq!(Pooling::global_average().apply(shape, &h)?, dmatrix![5.4]);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pooling {
    summary: Summary,
    /// The side of the windows; the whole image if there is none.
    side: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Summary {
    Average,
    Max,
}

impl Pooling {
    /// Averages over windows of `side x side` pixels.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a side of 0.
    pub fn average(side: usize) -> Result<Self> {
        Self::new(Summary::Average, side)
    }

    /// Maxima over windows of `side x side` pixels.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a side of 0.
    pub fn max(side: usize) -> Result<Self> {
        Self::new(Summary::Max, side)
    }

    /// The average over the whole image: one pixel is left.
    #[must_use]
    pub fn global_average() -> Self {
        Self { summary: Summary::Average, side: None }
    }

    fn new(summary: Summary, side: usize) -> Result<Self> {
        if side == 0 {
            let expected = "at least 1";
            return Err(Error::InvalidParameter { name: "pooling window", value: 0.0, expected });
        }
        Ok(Self { summary, side: Some(side) })
    }

    /// The shape of the output: the same channels, sides divided by `k` and rounded down.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if the window exceeds the image.
    pub fn output(&self, shape: Images) -> Result<Images> {
        let (height, width) = self.window(shape);
        let (rows, columns) = (shape.height() / height, shape.width() / width);
        if rows == 0 || columns == 0 {
            return Err(Error::InvalidParameter {
                name: "pooling window",
                value: height as f64,
                expected: "a window no larger than the image",
            });
        }
        Images::new(shape.channels(), rows, columns)
    }

    /// Pools a batch, `C x (S n)` to `C x (S' n)`. Cost: `O(C S n)`.
    ///
    /// # Errors
    /// Those of [`output`](Self::output) and of [`Images::batch_size`]; [`Error::NotFinite`];
    /// [`Error::Overflow`] of a sum.
    pub fn apply<T: Scalar>(&self, shape: Images, h: &DMatrix<T>) -> Result<DMatrix<T>> {
        let output = self.output(shape)?;
        let batch_size = shape.batch_size(h)?;
        check_finite(h)?;
        let mut pooled = output.zeros(batch_size)?;
        for (window, mut summary) in pooled.column_iter_mut().enumerate() {
            let mut pixels = self.pixels(shape, output, window).map(|pixel| h.column(pixel));
            match self.summary {
                Summary::Average => pixels.for_each(|pixel| summary += pixel),
                Summary::Max => {
                    summary.copy_from(&pixels.next().expect("no window is empty"));
                    pixels.for_each(|pixel| summary.zip_apply(&pixel, |max, x| *max = max.max(x)));
                }
            }
        }
        if self.summary == Summary::Average {
            pooled /= self.area::<T>(shape);
        }
        check_overflow("pooled images", pooled)
    }

    /// The adjoint of the derivative of [`apply`](Self::apply) at `h`: takes the gradient of a loss
    /// by the pooled batch, `C x (S' n)`, to its gradient by `h`, `C x (S n)`.
    ///
    /// An average hands each of its pixels an equal share, whatever `h`; a maximum hands everything
    /// to the pixel that attained it, the first of several (row by row). Cost: `O(C S n)`.
    ///
    /// # Errors
    /// Those of [`output`](Self::output) and of [`Images::batch_size`]; [`Error::ShapeMismatch`]
    /// of the gradient; [`Error::NotFinite`].
    pub fn adjoint<T: Scalar>(
        &self,
        shape: Images,
        h: &DMatrix<T>,
        gradient: &DMatrix<T>,
    ) -> Result<DMatrix<T>> {
        let output = self.output(shape)?;
        let expected = (shape.channels(), output.pixels() * shape.batch_size(h)?);
        if gradient.shape() != expected {
            let (what, found) = ("the gradient", gradient.shape());
            return Err(Error::ShapeMismatch { what, found, expected });
        }
        check_finite(h)?;
        check_finite(gradient)?;
        let share = T::one() / self.area::<T>(shape);
        let mut result = DMatrix::zeros(h.nrows(), h.ncols());
        let mut winners = vec![0; shape.channels()];
        for (window, gradient) in gradient.column_iter().enumerate() {
            let mut pixels = self.pixels(shape, output, window);
            match self.summary {
                Summary::Average => {
                    pixels.for_each(|pixel| {
                        result.column_mut(pixel).axpy(share, &gradient, T::one())
                    });
                }
                Summary::Max => {
                    winners.fill(pixels.next().expect("no window is empty"));
                    for pixel in pixels {
                        for (channel, winner) in winners.iter_mut().enumerate() {
                            if h[(channel, pixel)] > h[(channel, *winner)] {
                                *winner = pixel;
                            }
                        }
                    }
                    for (channel, &winner) in winners.iter().enumerate() {
                        result[(channel, winner)] = gradient[channel];
                    }
                }
            }
        }
        Ok(result)
    }

    /// Height and width of a window.
    fn window(&self, shape: Images) -> (usize, usize) {
        self.side.map_or((shape.height(), shape.width()), |side| (side, side))
    }

    /// The number of pixels in a window.
    fn area<T: Scalar>(&self, shape: Images) -> T {
        let (height, width) = self.window(shape);
        T::of((height * width) as f64)
    }

    /// The columns of a batch that lie in a window, that is, under a column of the output.
    fn pixels(
        &self,
        shape: Images,
        output: Images,
        window: usize,
    ) -> impl Iterator<Item = usize> + use<> {
        let (height, width) = self.window(shape);
        let (sample, pixel) = (window / output.pixels(), window % output.pixels());
        let (row, column) = (pixel / output.width(), pixel % output.width());
        let corner = sample * shape.pixels() + row * height * shape.width() + column * width;
        (0..height).flat_map(move |row| {
            let first = corner + row * shape.width();
            first..first + width
        })
    }
}
