//! Convolutions and pooling of batches of images.
//!
//! Pure functions of matrices in the layout of [`Images`]: `C x (S n)`, a row is one channel over
//! batch and space. There a convolution is a product of weights `W` (`C' x (C k²)`) and *patches*
//! `P` (`(C k²) x (S' n)`), the windows of the images unfolded into columns:
//!
//! ```math
//! Y = W P, \qquad P = \mathrm{unfold}(H).
//! ```
//!
//! Every map comes with its adjoint, so a reverse pass needs nothing else. For the gradient `G` of
//! a loss by `Y`:
//!
//! ```math
//! \nabla_W = G P^\top, \qquad \nabla_H = \mathrm{fold}(W^\top G).
//! ```

mod images;
mod pooling;
mod windows;

use nalgebra::DMatrix;

pub use images::Images;
pub use pooling::Pooling;

use crate::{Error, Result, Scalar};
use windows::Windows;

/// The largest kernel.
const MAX_KERNEL: usize = 1024;

/// Patches that [`Convolution::apply`] aims to hold at a time, in numbers: enough columns for an
/// efficient product.
const PATCHES_AT_ONCE: usize = 1 << 20;

/// What lies beyond the border of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Padding {
    /// Zeros.
    Zeros,
    /// The image again, as if it tiled the plane: its opposite borders are neighbours.
    Circular,
}

/// A two-dimensional convolution with a square kernel (like frameworks, strictly a correlation).
///
/// With kernel side `k`, stride `s` and padding width `p`, output channel `o` at the output pixel
/// `(y, x)` is
///
/// ```math
/// \sum_{i, j < k} \sum_{c < C} W_{o,\,(i k + j) C + c}\, H_c(s y + i - p,\; s x + j - p).
/// ```
///
/// So the columns of the weights, and the rows of the patches, are ordered by row of the window,
/// then by its column, channels innermost. The default is stride 1 and padding with zeros, `k/2`
/// wide (rounded down), which keeps the size of images under odd kernels.
///
/// ```
/// use nalgebra::dmatrix;
/// use orthogap::convolution::{Convolution, Images, Padding};
///
/// // The sum of the neighbours on the left and on the right, on a line and on a circle.
/// let shape = Images::new(1, 1, 4)?;
/// let h = dmatrix![1.0, 2.0, 3.0, 4.0];
/// let weights = dmatrix![0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0];
/// let line = Convolution::new(3)?;
/// assert_eq!(line.apply(shape, &weights, &h)?, dmatrix![2.0, 4.0, 6.0, 3.0]);
/// let circle = line.with_padding(Padding::Circular);
/// assert_eq!(circle.apply(shape, &weights, &h)?, dmatrix![6.0, 4.0, 6.0, 4.0]);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    kernel: usize,
    stride: usize,
    padding: Padding,
    padding_width: usize,
}

impl Convolution {
    /// A convolution with a kernel of `kernel x kernel` pixels.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] unless the kernel is from 1 to 1024.
    pub fn new(kernel: usize) -> Result<Self> {
        if !(1..=MAX_KERNEL).contains(&kernel) {
            let expected = "a kernel side from 1 to 1024";
            return Err(Error::InvalidParameter { name: "kernel", value: kernel as f64, expected });
        }
        Ok(Self { kernel, stride: 1, padding: Padding::Zeros, padding_width: kernel / 2 })
    }

    /// The same with windows so many pixels apart.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a stride of 0.
    pub fn with_stride(self, stride: usize) -> Result<Self> {
        if stride == 0 {
            let expected = "at least 1";
            return Err(Error::InvalidParameter { name: "stride", value: 0.0, expected });
        }
        Ok(Self { stride, ..self })
    }

    /// The same with something else beyond the border.
    #[must_use]
    pub fn with_padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    /// The same with so many pixels of padding on each of the four sides.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] unless it is narrower than the kernel, so that every window
    /// sees the image.
    pub fn with_padding_width(self, padding_width: usize) -> Result<Self> {
        if padding_width >= self.kernel {
            return Err(Error::InvalidParameter {
                name: "padding width",
                value: padding_width as f64,
                expected: "less than the kernel side",
            });
        }
        Ok(Self { padding_width, ..self })
    }

    /// The side `k` of the kernel.
    #[must_use]
    pub fn kernel(&self) -> usize {
        self.kernel
    }

    /// The distance `s` of windows in pixels.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// What lies beyond the border.
    #[must_use]
    pub fn padding(&self) -> Padding {
        self.padding
    }

    /// The pixels `p` of padding on each side.
    #[must_use]
    pub fn padding_width(&self) -> usize {
        self.padding_width
    }

    /// The number `C k²` of inputs of an output: the columns of the weights of `shape`.
    #[must_use]
    pub fn fan_in(&self, shape: Images) -> usize {
        shape.channels().saturating_mul(self.kernel.pow(2))
    }

    /// The shape of the output: sides of `(side + 2 p - k)/s + 1` pixels, rounded down.
    ///
    /// ```
    /// use orthogap::convolution::{Convolution, Images};
    ///
    /// let image = Images::new(3, 32, 31)?;
    /// assert_eq!(Convolution::new(3)?.output(image, 100)?, Images::new(100, 32, 31)?);
    /// let halving = Convolution::new(3)?.with_stride(2)?;
    /// assert_eq!(halving.output(image, 8)?, Images::new(8, 16, 16)?);
    /// assert!(Convolution::new(33)?.with_padding_width(0)?.output(image, 8).is_err());
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if the kernel exceeds the padded image, and those of
    /// [`Images::new`].
    pub fn output(&self, shape: Images, out_channels: usize) -> Result<Images> {
        let side = |side: usize| match (side + 2 * self.padding_width).checked_sub(self.kernel) {
            Some(rest) => Ok(rest / self.stride + 1),
            None => Err(Error::InvalidParameter {
                name: "kernel",
                value: self.kernel as f64,
                expected: "a kernel no larger than the padded image",
            }),
        };
        Images::new(out_channels, side(shape.height())?, side(shape.width())?)
    }

    /// The patches of a batch: `C x (S n)` to `(C k²) x (S' n)`, one window a column.
    ///
    /// `S'` is the number of pixels of the [`output`](Self::output). Copies `C k² S' n` numbers, in
    /// runs of `C k` away from the border.
    ///
    /// ```
    /// use nalgebra::dmatrix;
    /// use orthogap::convolution::{Convolution, Images};
    ///
    /// let corners = Convolution::new(2)?.with_padding_width(0)?;
    /// let image = dmatrix![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // 2 x 3 pixels
    /// let patches = corners.unfold(Images::new(1, 2, 3)?, &image)?;
    /// assert_eq!(patches, dmatrix![1.0, 2.0; 2.0, 3.0; 4.0, 5.0; 5.0, 6.0]);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`output`](Self::output) and of [`Images::batch_size`]; [`Error::NotFinite`].
    pub fn unfold<T: Scalar>(&self, shape: Images, h: &DMatrix<T>) -> Result<DMatrix<T>> {
        let unfolded = self.unfolded(shape)?;
        let batch_size = shape.batch_size(h)?;
        check_finite(h)?;
        let mut patches = unfolded.zeros(batch_size)?;
        Windows::new(self, shape, unfolded).unfold(h.as_slice(), patches.as_mut_slice());
        Ok(patches)
    }

    /// The adjoint of [`unfold`](Self::unfold): `(C k²) x (S' n)` to `C x (S n)`, every patch added
    /// to the pixels that it would be copied from.
    ///
    /// ```math
    /// \langle \mathrm{unfold}(H), P \rangle = \langle H, \mathrm{fold}(P) \rangle
    /// ```
    ///
    /// # Errors
    /// Those of [`output`](Self::output); [`Error::Empty`]; [`Error::ShapeMismatch`] unless there
    /// are `C k²` rows and whole images of `S'` columns; [`Error::NotFinite`]; [`Error::Overflow`].
    pub fn fold<T: Scalar>(&self, shape: Images, patches: &DMatrix<T>) -> Result<DMatrix<T>> {
        let unfolded = self.unfolded(shape)?;
        let batch_size = unfolded.batch_size_of("the batch of patches", patches)?;
        check_finite(patches)?;
        let mut h = shape.zeros(batch_size)?;
        Windows::new(self, shape, unfolded).fold(patches.as_slice(), h.as_mut_slice());
        check_overflow("folded patches", h)
    }

    /// The convolution of a batch, `C x (S n)` to `C' x (S' n)`: the weights, `C' x (C k²)`, times
    /// the patches.
    ///
    /// Cost: `C' C k² S' n` multiply-adds. Patches are unfolded and multiplied a few samples at a
    /// time, about a million numbers but at least one sample, so their memory does not grow with
    /// the batch. The product is nalgebra's, whose last digits can depend on the instruction set.
    ///
    /// # Errors
    /// Those of [`output`](Self::output) and of [`Images::batch_size`]; [`Error::ShapeMismatch`]
    /// unless the weights have `C k²` columns; [`Error::NotFinite`]; [`Error::Overflow`].
    pub fn apply<T: Scalar>(
        &self,
        shape: Images,
        weights: &DMatrix<T>,
        h: &DMatrix<T>,
    ) -> Result<DMatrix<T>> {
        let (out_channels, fan_in) = (weights.nrows(), self.fan_in(shape));
        if weights.ncols() != fan_in {
            let (found, expected) = (weights.shape(), (out_channels, fan_in));
            return Err(Error::ShapeMismatch { what: "the weights", found, expected });
        }
        let (output, unfolded) = (self.output(shape, out_channels)?, self.unfolded(shape)?);
        let batch_size = shape.batch_size(h)?;
        check_finite(weights)?;
        check_finite(h)?;
        let samples = (PATCHES_AT_ONCE / unfolded.len()).clamp(1, batch_size);
        let windows = Windows::new(self, shape, unfolded);
        let mut patches = unfolded.zeros(samples)?;
        let mut result = output.zeros(batch_size)?;
        let mut first = 0;
        for images in h.as_slice().chunks(shape.len() * samples) {
            // Padding stays zero: it is at the same place in every sample.
            windows.unfold(images, patches.as_mut_slice());
            let columns = output.pixels() * (images.len() / shape.len());
            result.columns_mut(first, columns).gemm(
                T::one(),
                weights,
                &patches.columns(0, columns),
                T::zero(),
            );
            first += columns;
        }
        check_overflow("convolution", result)
    }

    /// Weights `C' x (C k²)` from those of frameworks, of shape (C', C, k, k), flattened to
    /// `C' x (C k²)` with the input channel outermost.
    ///
    /// ```
    /// use nalgebra::dmatrix;
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

    /// The way back from [`weights_from_oihw`](Self::weights_from_oihw).
    ///
    /// # Errors
    /// Those of [`weights_from_oihw`](Self::weights_from_oihw).
    pub fn weights_to_oihw<T: Scalar>(&self, weights: &DMatrix<T>) -> Result<DMatrix<T>> {
        let filters = self.filters(weights)?;
        let batch = filters.unflatten(weights.transpose())?;
        Ok(filters.batch_to_nchw(&batch)?.transpose())
    }

    /// The shape of unfolded images: patches are pixels of `C k²` channels.
    fn unfolded(&self, shape: Images) -> Result<Images> {
        self.output(shape, self.fan_in(shape))
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
                what: "the weights",
                found: (rows, columns),
                expected: (rows, channels * area),
            });
        }
        Images::new(channels, self.kernel, self.kernel)
    }
}

/// Refuses a matrix with an entry that is not finite.
fn check_finite<T: Scalar>(matrix: &DMatrix<T>) -> Result<()> {
    match first_not_finite(matrix) {
        None => Ok(()),
        Some((row, column, value)) => Err(Error::NotFinite { row, column, value }),
    }
}

/// Refuses a matrix of sums of finite numbers that are not finite.
fn check_overflow<T: Scalar>(what: &'static str, sums: DMatrix<T>) -> Result<DMatrix<T>> {
    match first_not_finite(&sums) {
        None => Ok(sums),
        Some((row, _, value)) => Err(Error::Overflow { what, row, value }),
    }
}

/// Row, column and value of the first entry that is not finite.
fn first_not_finite<T: Scalar>(matrix: &DMatrix<T>) -> Option<(usize, usize, f64)> {
    let index = matrix.iter().position(|entry| !entry.is_finite())?;
    let (row, column) = matrix.vector_to_matrix_index(index);
    Some((row, column, matrix[index].into()))
}
