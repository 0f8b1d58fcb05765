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
//! Every map has its adjoint here, so a reverse pass needs nothing else. If `G` is the gradient of
//! a loss with respect to `Y`, then
//!
//! ```math
//! \nabla_W = G P^\top, \qquad \nabla_H = \mathrm{fold}(W^\top G).
//! ```

mod filters;
mod images;
mod pooling;
mod windows;

use fearless_simd::Level;
use nalgebra::DMatrix;

pub use images::Images;
pub use pooling::Pooling;

use crate::check;
use crate::kernel::product::{Operand, ProductScratch};
use crate::parallel::{WORTH_SHARING, for_each_chunk};
use crate::serialization::deserialize_checked;
use crate::{Error, Result, Scalar};
use windows::Windows;

/// The largest kernel.
const MAX_KERNEL: usize = 1024;

/// Patches that [`Convolution::apply`] aims to hold at a time, in numbers: what stays in the
/// second-level cache.
const PATCHES_AT_ONCE: usize = 1 << 17;

/// The values beyond the border of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Padding {
    /// Zeros.
    Zeros,
    /// The image itself, repeated: its opposite borders are neighbours.
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
/// use orthogap::nalgebra::{self, dmatrix};
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
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Convolution {
    kernel: usize,
    stride: usize,
    padding: Padding,
    padding_width: usize,
}

impl Convolution {
    /// Returns a convolution with a kernel of `kernel x kernel` pixels.
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

    /// Sets the distance between windows in pixels.
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

    /// Sets the padding beyond the border.
    #[must_use]
    pub fn with_padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    /// Sets the pixels of padding on each of the four sides.
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

    /// Returns the side `k` of the kernel.
    #[must_use]
    pub fn kernel(&self) -> usize {
        self.kernel
    }

    /// Returns the distance `s` between windows in pixels.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Returns the padding.
    #[must_use]
    pub fn padding(&self) -> Padding {
        self.padding
    }

    /// Returns the pixels `p` of padding on each side.
    #[must_use]
    pub fn padding_width(&self) -> usize {
        self.padding_width
    }

    /// Returns the number `C k²` of inputs of an output: the columns of the weights for images of
    /// this shape.
    #[must_use]
    pub fn fan_in(&self, shape: Images) -> usize {
        shape.channels().saturating_mul(self.kernel.pow(2))
    }

    /// Returns the shape of the output: sides of `(side + 2 p - k)/s + 1` pixels, rounded down.
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

    /// Returns the patches of a batch: `C x (S n)` to `(C k²) x (S' n)`, one window a column.
    ///
    /// `S'` is the number of pixels of the [`output`](Self::output). Copies `C k² S' n` numbers,
    /// away from the border in runs of `C k`.
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
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
        let mut patches = DMatrix::zeros(0, 0);
        self.unfold_to(shape, h, &mut patches)?;
        Ok(patches)
    }

    /// [`unfold`](Self::unfold) into a matrix that takes the shape it needs.
    pub(crate) fn unfold_to<T: Scalar>(
        &self,
        shape: Images,
        h: &DMatrix<T>,
        patches: &mut DMatrix<T>,
    ) -> Result<()> {
        let unfolded = self.unfolded(shape)?;
        let batch_size = shape.batch_size(h)?;
        check::entries(h)?;
        unfolded.fit(patches, batch_size)?;
        let windows = Windows::new(self, shape, unfolded);
        let shared = patches.len() >= WORTH_SHARING;
        let each = unfolded.len();
        for_each_chunk(
            patches.as_mut_slice(),
            each,
            shared,
            || (),
            |(), sample, patches| {
                windows.unfold(&h.as_slice()[sample * shape.len()..][..shape.len()], patches);
            },
        );
        Ok(())
    }

    /// Adds every patch to the pixels that [`unfold`](Self::unfold) copies it from,
    /// `(C k²) x (S' n)` to `C x (S n)`. It is the adjoint of `unfold`:
    ///
    /// ```math
    /// \langle \mathrm{unfold}(H), P \rangle = \langle H, \mathrm{fold}(P) \rangle
    /// ```
    ///
    /// # Errors
    /// Those of [`output`](Self::output); [`Error::Empty`]; [`Error::ShapeMismatch`] unless there
    /// are `C k²` rows and whole images of `S'` columns; [`Error::NotFinite`]; [`Error::Overflow`].
    pub fn fold<T: Scalar>(&self, shape: Images, patches: &DMatrix<T>) -> Result<DMatrix<T>> {
        let mut h = DMatrix::zeros(0, 0);
        self.fold_to(shape, patches, &mut h)?;
        Ok(h)
    }

    /// [`fold`](Self::fold) into a matrix that takes the shape it needs.
    pub(crate) fn fold_to<T: Scalar>(
        &self,
        shape: Images,
        patches: &DMatrix<T>,
        h: &mut DMatrix<T>,
    ) -> Result<()> {
        let unfolded = self.unfolded(shape)?;
        let batch_size = unfolded.batch_size_of("the batch of patches", patches)?;
        check::entries(patches)?;
        shape.zeros_in(h, batch_size)?;
        let windows = Windows::new(self, shape, unfolded);
        let (shared, each) = (patches.len() >= WORTH_SHARING, unfolded.len());
        for_each_chunk(
            h.as_mut_slice(),
            shape.len(),
            shared,
            || (),
            |(), sample, image| {
                windows.fold(&patches.as_slice()[sample * each..][..each], image);
            },
        );
        check_sums("folded patches", h)
    }

    /// Convolves a batch, `C x (S n)` to `C' x (S' n)`: the weights, `C' x (C k²)`, times
    /// the patches.
    ///
    /// Cost: `C' C k² S' n` multiply-adds. Each thread unfolds and multiplies a few samples at a
    /// time, about a hundred thousand numbers or one sample. So the memory of patches does not grow
    /// with the batch. Every sum is taken in the order of the patch, one fused multiply-add a term.
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
            return Err(Error::ShapeMismatch { what: "the weight matrix", found, expected });
        }
        let (output, unfolded) = (self.output(shape, out_channels)?, self.unfolded(shape)?);
        let batch_size = shape.batch_size(h)?;
        check::entries(weights)?;
        // What a window sees and is not finite shows in the sums.
        if self.stride > 1 {
            check::entries(h)?;
        }
        let samples = (PATCHES_AT_ONCE / unfolded.len()).clamp(1, batch_size);
        let windows = Windows::new(self, shape, unfolded);
        let mut result = DMatrix::zeros(0, 0);
        output.fit(&mut result, batch_size)?;
        let level = Level::new();
        let shared = result.len().saturating_mul(fan_in) >= WORTH_SHARING << 4;
        let scratch = || (vec![T::zero(); unfolded.len() * samples], ProductScratch::default());
        let len = output.len() * samples;
        for_each_chunk(result.as_mut_slice(), len, shared, scratch, |scratch, index, result| {
            let (patches, scratch) = scratch;
            let images = &h.as_slice()[index * samples * shape.len()..];
            let count = result.len() / output.len();
            let patches = &mut patches[..unfolded.len() * count];
            windows.unfold(&images[..count * shape.len()], patches);
            let right = Operand::new(patches, fan_in).columns(0..output.pixels() * count);
            T::multiply(
                level,
                Operand::new(weights.as_slice(), out_channels),
                right,
                result,
                scratch,
            );
        });
        if !T::all_finite(level, result.as_slice()) {
            check::entries(h)?;
        }
        check_overflow("convolution", result)
    }

    /// The shape of unfolded images: patches are pixels of `C k²` channels.
    fn unfolded(&self, shape: Images) -> Result<Images> {
        self.output(shape, self.fan_in(shape))
    }
}

deserialize_checked!(
    Convolution { kernel: usize, stride: usize, padding: Padding, padding_width: usize },
    |kernel, stride, padding, padding_width| Convolution::new(kernel)?
        .with_padding(padding)
        .with_stride(stride)?
        .with_padding_width(padding_width)
);

/// Refuses a matrix of sums of finite numbers that are not finite.
fn check_overflow<T: Scalar>(what: &'static str, sums: DMatrix<T>) -> Result<DMatrix<T>> {
    check_sums(what, &sums)?;
    Ok(sums)
}

/// [`check_overflow`] of a borrowed matrix.
fn check_sums<T: Scalar>(what: &'static str, sums: &DMatrix<T>) -> Result<()> {
    match check::first_not_finite(sums) {
        None => Ok(()),
        Some((row, _, value)) => Err(Error::Overflow { what, row, value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Integers from `-range` to `range - 1`: sums of their products are exact.
    pub(super) fn integers<T: Scalar>(
        seed: u64,
        rows: usize,
        columns: usize,
        range: u64,
    ) -> DMatrix<T> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        DMatrix::from_fn(rows, columns, |_, _| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            T::of((state >> 33).rem_euclid(2 * range) as f64 - range as f64)
        })
    }

    /// The sum of products of entries.
    pub(super) fn dot<T: Scalar>(a: &DMatrix<T>, b: &DMatrix<T>) -> f64 {
        assert_eq!(a.shape(), b.shape());
        a.iter().zip(b.iter()).map(|(&a, &b)| a.into() * b.into()).sum()
    }

    /// The definition: six loops, images and weights in the order of frameworks.
    fn naive<T: Scalar>(
        convolution: &Convolution,
        shape: Images,
        output: Images,
        oihw: &DMatrix<T>,
        nchw: &DMatrix<T>,
    ) -> DMatrix<T> {
        let (k, s, p) =
            (convolution.kernel, convolution.stride, convolution.padding_width as isize);
        let (height, width) = (shape.height() as isize, shape.width() as isize);
        DMatrix::from_fn(output.len(), nchw.ncols(), |index, sample| {
            let (o, pixel) = (index / output.pixels(), index % output.pixels());
            let (y, x) = (pixel / output.width(), pixel % output.width());
            let mut sum = T::zero();
            for c in 0..shape.channels() {
                for i in 0..k {
                    for j in 0..k {
                        let (mut row, mut column) =
                            ((y * s + i) as isize - p, (x * s + j) as isize - p);
                        if convolution.padding == Padding::Circular {
                            (row, column) = (row.rem_euclid(height), column.rem_euclid(width));
                        }
                        if (0..height).contains(&row) && (0..width).contains(&column) {
                            let pixel = row as usize * shape.width() + column as usize;
                            sum += oihw[(o, (c * k + i) * k + j)]
                                * nchw[(c * shape.pixels() + pixel, sample)];
                        }
                    }
                }
            }
            sum
        })
    }

    fn check<T: Scalar>(
        convolution: &Convolution,
        shape: Images,
        out_channels: usize,
        n: usize,
        seed: u64,
    ) {
        let output = convolution.output(shape, out_channels).unwrap();
        let fan_in = convolution.fan_in(shape);
        let nchw = integers::<T>(seed, shape.len(), n, 8);
        let oihw = integers::<T>(seed + 1, out_channels, fan_in, 8);
        let h = shape.batch_from_nchw(&nchw).unwrap();
        let weights = convolution.weights_from_oihw(&oihw).unwrap();
        assert_eq!(convolution.weights_to_oihw(&weights).unwrap(), oihw);

        let y = convolution.apply(shape, &weights, &h).unwrap();
        let expected = naive(convolution, shape, output, &oihw, &nchw);
        assert_eq!(output.batch_to_nchw(&y).unwrap(), expected);
        let patches = convolution.unfold(shape, &h).unwrap();
        assert_eq!(&weights * &patches, y);

        // Adjoints, exactly: of unfolding, and of the product by either factor.
        let other = integers::<T>(seed + 2, patches.nrows(), patches.ncols(), 8);
        let folded = convolution.fold(shape, &other).unwrap();
        assert_eq!(dot(&patches, &other), dot(&h, &folded));
        let gradient = integers::<T>(seed + 3, y.nrows(), y.ncols(), 8);
        let by_weights = &gradient * patches.transpose();
        let by_h = convolution.fold(shape, &weights.tr_mul(&gradient)).unwrap();
        assert_eq!(dot(&gradient, &y), dot(&by_weights, &weights));
        assert_eq!(dot(&gradient, &y), dot(&by_h, &h));
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            (kernel, stride, width_of_padding) in (1usize..6, 1usize..4, 0usize..5),
            circular: bool,
            (channels, height, width) in (1usize..5, 1usize..8, 1usize..8),
            (out_channels, n, seed) in (1usize..8, 1usize..4, 0u64..1000),
        ) {
            let padding = if circular { Padding::Circular } else { Padding::Zeros };
            let convolution = Convolution::new(kernel).unwrap().with_stride(stride).unwrap();
            let convolution = convolution
                .with_padding(padding)
                .with_padding_width(width_of_padding % kernel)
                .unwrap();
            let shape = Images::new(channels, height, width).unwrap();
            let padded = height.min(width) + 2 * convolution.padding_width();
            prop_assert_eq!(kernel <= padded, convolution.output(shape, 1).is_ok());
            prop_assume!(kernel <= padded);
            check::<f64>(&convolution, shape, out_channels, n, seed);
            check::<f32>(&convolution, shape, out_channels, n, seed);
        }
    }

    #[test]
    fn batches_beyond_what_is_unfolded_at_once() {
        // 9 x 4096 x 16 numbers a sample: one at a time; 4 samples of 9 x 4096 x 5 and a rest.
        for (channels, n) in [(32, 2), (5, 11)] {
            let shape = Images::new(channels, 64, 64).unwrap();
            let convolution = Convolution::new(3).unwrap();
            let at_once = PATCHES_AT_ONCE / convolution.unfolded(shape).unwrap().len();
            assert!(at_once < n && (at_once == 0 || n % at_once != 0));
            let h = integers::<f32>(1, channels, shape.pixels() * n, 8);
            let weights = integers(2, 7, 9 * channels, 8);
            let whole = &weights * convolution.unfold(shape, &h).unwrap();
            assert_eq!(convolution.apply(shape, &weights, &h).unwrap(), whole);
        }
    }

    #[test]
    fn bad_input_is_named() {
        let text = |error: Error| error.to_string();
        for kernel in [0, 1025] {
            assert_eq!(
                text(Convolution::new(kernel).unwrap_err()),
                format!("kernel = {kernel} is invalid: expected a kernel side from 1 to 1024")
            );
        }
        let convolution = Convolution::new(3).unwrap();
        assert_eq!(
            text(convolution.with_stride(0).unwrap_err()),
            "stride = 0 is invalid: expected at least 1"
        );
        assert_eq!(
            text(convolution.with_padding_width(3).unwrap_err()),
            "padding width = 3 is invalid: expected less than the kernel side"
        );
        let shape = Images::new(2, 5, 4).unwrap();
        let valid = Convolution::new(5).unwrap().with_padding_width(0).unwrap();
        assert_eq!(
            text(valid.output(shape, 1).unwrap_err()),
            "kernel = 5 is invalid: expected a kernel no larger than the padded image"
        );

        let mut h = DMatrix::<f32>::repeat(2, 40, 1.0);
        let mut weights = DMatrix::<f32>::repeat(3, 18, 1.0);
        let apply = |weights: &_, h: &_| convolution.apply(shape, weights, h);
        let narrow = weights.columns(0, 17).into_owned();
        assert_eq!(
            text(apply(&narrow, &h).unwrap_err()),
            "the weight matrix is 3 x 17, expected 3 x 18"
        );
        assert!(convolution.weights_from_oihw(&narrow).is_err());
        assert!(convolution.weights_to_oihw(&narrow).is_err());
        let none = weights.rows(0, 0).into_owned();
        assert!(matches!(apply(&none, &h), Err(Error::InvalidParameter { name: "channels", .. })));
        assert!(matches!(convolution.weights_from_oihw(&none), Err(Error::Empty { rows: 0, .. })));
        let half = h.columns(0, 30).into_owned();
        assert!(matches!(apply(&weights, &half), Err(Error::ShapeMismatch { .. })));
        assert!(matches!(convolution.unfold(shape, &half), Err(Error::ShapeMismatch { .. })));
        assert!(matches!(convolution.fold(shape, &half), Err(Error::ShapeMismatch { .. })));

        h.fill(f32::MAX);
        let overflow = Error::Overflow { what: "convolution", row: 0, value: f64::INFINITY };
        assert_eq!(apply(&weights, &h), Err(overflow));
        let patches = DMatrix::repeat(18, 40, f32::MAX);
        assert!(matches!(convolution.fold(shape, &patches), Err(Error::Overflow { .. })));
        h[(1, 7)] = f32::NAN;
        let place = |result| match result {
            Err(Error::NotFinite { row, column, .. }) => (row, column),
            other => panic!("{other:?}"),
        };
        assert_eq!(place(apply(&weights, &h)), (1, 7));
        assert_eq!(place(convolution.unfold(shape, &h)), (1, 7));
        weights[(2, 3)] = f32::INFINITY;
        assert_eq!(place(apply(&weights, &DMatrix::zeros(2, 20))), (2, 3));
        assert_eq!(place(Convolution::new(1).unwrap().fold(shape, &h)), (1, 7));
    }

    #[test]
    fn what_fits_no_memory_is_refused() {
        // 2^20 channels of one pixel, but 2^20 x 2^20 numbers in a patch, 1024 x 1024 patches.
        let shape = Images::new(1 << 20, 1, 1).unwrap();
        let convolution = Convolution::new(1024).unwrap().with_padding_width(1023).unwrap();
        let h = DMatrix::<f32>::zeros(1 << 20, 1);
        let error = convolution.unfold(shape, &h).unwrap_err();
        assert!(matches!(error, Error::InvalidParameter { value, .. } if value == 2f64.powi(60)));
        // 2^39 numbers in the patches of a sample, but there are four.
        let shape = Images::new(1, 512, 512).unwrap();
        let convolution = Convolution::new(1024).unwrap().with_padding_width(767).unwrap();
        let h = DMatrix::<f32>::zeros(1, 4 << 18);
        let error = convolution.unfold(shape, &h).unwrap_err();
        assert!(error.to_string().contains("at most 2^40 numbers in a batch"), "{error}");
    }
}
