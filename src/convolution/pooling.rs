//! Pooling: every channel of an image summarised window by window.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use fearless_simd::Level;
use nalgebra::DMatrix;

use super::{Images, check_sums};
use crate::check;
use crate::kernel::pooling::Tiling;
use crate::parallel::{WORTH_SHARING, for_each_chunk};
use crate::serialization::deserialize_checked;
use crate::{Error, Result, Scalar};

/// The average or the maximum of every channel over windows that tile the image.
///
/// Windows have `k x k` pixels and are `k` apart. If `k` does not divide a side, the rest at the
/// right or at the bottom is dropped, as in PyTorch.
///
/// ```
/// use orthogap::nalgebra::{self, dmatrix};
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
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Pooling {
    summary: Summary,
    /// The side of the windows; the whole image if there is none.
    side: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Summary {
    Average,
    Max,
}

impl Pooling {
    /// Creates the average over windows of `side x side` pixels.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a side of 0.
    pub fn average(side: usize) -> Result<Self> {
        Self::new(Summary::Average, side)
    }

    /// Creates the maximum over windows of `side x side` pixels.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a side of 0.
    pub fn max(side: usize) -> Result<Self> {
        Self::new(Summary::Max, side)
    }

    /// Creates the average over the whole image, which leaves one pixel.
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

    /// Returns the shape of the output: the same channels, sides divided by `k` and rounded down.
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
    /// [`Error::Overflow`] of a sum, which is taken in `f64`.
    pub fn apply<T: Scalar>(&self, shape: Images, h: &DMatrix<T>) -> Result<DMatrix<T>> {
        let mut pooled = DMatrix::zeros(0, 0);
        self.apply_to(shape, h, &mut pooled)?;
        Ok(pooled)
    }

    /// [`apply`](Self::apply) into a matrix that takes the shape it needs.
    pub(crate) fn apply_to<T: Scalar>(
        &self,
        shape: Images,
        h: &DMatrix<T>,
        pooled: &mut DMatrix<T>,
    ) -> Result<()> {
        let output = self.output(shape)?;
        output.fit(pooled, shape.batch_size(h)?)?;
        let tiling = self.tiling(shape);
        let (level, out) = (Level::new(), pooled.as_mut_slice());
        let finite = AtomicBool::new(true);
        let shared = h.len() >= WORTH_SHARING;
        for_each_chunk(
            out,
            output.len(),
            shared,
            || (),
            |(), sample, out| {
                let image = &h.as_slice()[sample * shape.len()..][..shape.len()];
                let is_finite = match self.summary {
                    Summary::Average => T::means(level, &tiling, image, out),
                    Summary::Max => T::maxima(level, &tiling, image, out),
                };
                finite.fetch_and(is_finite, Relaxed);
            },
        );
        let finite = finite.into_inner();
        if !finite || !self.covers(shape) {
            check::entries(h)?;
        }
        if finite { Ok(()) } else { check_sums("pooled images", pooled) }
    }

    /// Applies the adjoint derivative of [`apply`](Self::apply) at `h`: maps the gradient of a loss
    /// with respect to the pooled batch, `C x (S' n)`, to the gradient with respect to `h`,
    /// `C x (S n)`.
    ///
    /// An average gives each of its pixels an equal share, for every `h`. A maximum gives the whole
    /// gradient to the pixel that attains it, the first of several (row by row). Cost: `O(C S n)`.
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
        let mut result = DMatrix::zeros(0, 0);
        self.adjoint_to(shape, h, gradient, &mut result)?;
        Ok(result)
    }

    /// [`adjoint`](Self::adjoint) into a matrix that takes the shape it needs.
    pub(crate) fn adjoint_to<T: Scalar>(
        &self,
        shape: Images,
        h: &DMatrix<T>,
        gradient: &DMatrix<T>,
        result: &mut DMatrix<T>,
    ) -> Result<()> {
        let output = self.output(shape)?;
        let batch_size = shape.batch_size(h)?;
        let expected = (shape.channels(), output.pixels() * batch_size);
        if gradient.shape() != expected {
            let (what, found) = ("the gradient", gradient.shape());
            return Err(Error::ShapeMismatch { what, found, expected });
        }
        if self.covers(shape) {
            shape.fit(result, batch_size)?;
        } else {
            shape.zeros_in(result, batch_size)?;
        }
        let tiling = self.tiling(shape);
        let (level, numbers, out) = (Level::new(), gradient.as_slice(), result.as_mut_slice());
        let finite = AtomicBool::new(true);
        let shared = h.len() >= WORTH_SHARING;
        for_each_chunk(
            out,
            shape.len(),
            shared,
            || (),
            |(), sample, out| {
                let image = &h.as_slice()[sample * shape.len()..][..shape.len()];
                let numbers = &numbers[sample * output.len()..][..output.len()];
                let is_finite = match self.summary {
                    Summary::Average => T::to_means(level, &tiling, numbers, out),
                    Summary::Max => T::to_maxima(level, &tiling, image, numbers, out),
                };
                finite.fetch_and(is_finite, Relaxed);
            },
        );
        let finite = finite.into_inner();
        if !finite || !self.covers(shape) || self.summary == Summary::Average {
            check::entries(h)?;
        }
        if finite { Ok(()) } else { check::entries(gradient) }
    }

    /// Height and width of a window.
    fn window(&self, shape: Images) -> (usize, usize) {
        self.side.map_or((shape.height(), shape.width()), |side| (side, side))
    }

    /// Whether every pixel is in a window.
    fn covers(&self, shape: Images) -> bool {
        let (height, width) = self.window(shape);
        shape.height().is_multiple_of(height) && shape.width().is_multiple_of(width)
    }

    fn tiling(&self, shape: Images) -> Tiling {
        Tiling {
            channels: shape.channels(),
            image: (shape.height(), shape.width()),
            window: self.window(shape),
        }
    }
}

deserialize_checked!(Pooling { summary: Summary, side: Option<usize> }, |summary, side| match side {
    Some(side) => Pooling::new(summary, side),
    None => Ok(Pooling { summary, side }),
});

#[cfg(test)]
mod tests {
    use super::super::tests::{dot, integers};
    use super::*;
    use proptest::prelude::*;

    /// The numbers of a window, and which of them is the first of the largest.
    fn naive(shape: Images, h: &DMatrix<f64>, window: [usize; 6]) -> (Vec<f64>, (usize, usize)) {
        let [sample, channel, top, left, height, width] = window;
        let (mut numbers, mut winner, mut largest) = (Vec::new(), (0, 0), f64::NEG_INFINITY);
        for y in top..top + height {
            for x in left..left + width {
                let place = (channel, sample * shape.pixels() + y * shape.width() + x);
                numbers.push(h[place]);
                if h[place] > largest {
                    (winner, largest) = (place, h[place]);
                }
            }
        }
        (numbers, winner)
    }

    fn check<T: Scalar>(shape: Images, n: usize, side: Option<usize>, seed: u64) {
        let (height, width) = side.map_or((shape.height(), shape.width()), |side| (side, side));
        let (rows, columns) = (shape.height() / height, shape.width() / width);
        let average =
            side.map_or(Pooling::global_average(), |side| Pooling::average(side).unwrap());
        // From -2 to 1: maxima are often attained twice.
        let h = integers::<f64>(seed, shape.channels(), shape.pixels() * n, 2);
        let h_t = h.map(T::of);
        let averages = average.apply(shape, &h_t).unwrap();
        let maxima = side.map(|side| Pooling::max(side).unwrap().apply(shape, &h_t).unwrap());
        assert_eq!(averages.shape(), (shape.channels(), rows * columns * n));
        let gradient = integers::<f64>(seed + 1, shape.channels(), rows * columns * n, 4);
        let mut adjoint = DMatrix::<f64>::zeros(h.nrows(), h.ncols());
        for sample in 0..n {
            for channel in 0..shape.channels() {
                for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                    let window = [sample, channel, y * height, x * width, height, width];
                    let (numbers, winner) = naive(shape, &h, window);
                    let place = (channel, (sample * rows + y) * columns + x);
                    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
                    assert_eq!(averages[place], T::of(mean));
                    if let Some(maxima) = &maxima {
                        assert_eq!(maxima[place].into(), h[winner]);
                        adjoint[winner] = gradient[place];
                    }
                }
            }
        }
        let gradient = gradient.map(T::of);
        if let Some(maxima) = maxima {
            let back =
                Pooling::max(side.unwrap()).unwrap().adjoint(shape, &h_t, &gradient).unwrap();
            assert_eq!(back, adjoint.map(T::of));
            // A maximum is homogeneous: its derivative takes h to the maxima.
            assert_eq!(dot(&back, &h_t), dot(&gradient, &maxima));
        }
        let back = average.adjoint(shape, &h_t, &gradient).unwrap();
        let (left, right) = (dot(&averages, &gradient), dot(&h_t, &back));
        let terms = gradient.len() as f64 * 16.0;
        assert!((left - right).abs() <= 4.0 * T::EPSILON * terms, "{left} {right}");
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            (channels, height, width, n) in (1usize..40, 1usize..9, 1usize..9, 1usize..4),
            side in 1usize..5, global: bool, seed in 0u64..1000,
        ) {
            let shape = Images::new(channels, height, width).unwrap();
            prop_assume!(global || side <= height.min(width));
            let side = (!global).then_some(side);
            check::<f64>(shape, n, side, seed);
            check::<f32>(shape, n, side, seed);
        }
    }

    /// In `f32` the sum of one channel would end at 2^24, of a mean of 0.5.
    #[test]
    fn means_of_large_images() {
        let shape = Images::new(1, 8192, 4096).unwrap();
        let h = DMatrix::from_element(1, shape.pixels(), 1.0f32);
        let mean = Pooling::global_average().apply(shape, &h).unwrap();
        assert_eq!(mean[0], 1.0);
    }

    #[test]
    fn bad_input_is_named() {
        let shape = Images::new(1, 3, 2).unwrap();
        let pooling = Pooling::max(2).unwrap();
        let text = |error: Error| error.to_string();
        assert_eq!(
            text(Pooling::average(0).unwrap_err()),
            "pooling window = 0 is invalid: expected at least 1"
        );
        assert_eq!(
            text(Pooling::max(3).unwrap().output(shape).unwrap_err()),
            "pooling window = 3 is invalid: expected a window no larger than the image"
        );
        let mut h = DMatrix::<f32>::zeros(1, 12);
        let adjoint = pooling.adjoint(shape, &h, &DMatrix::zeros(1, 4));
        assert_eq!(text(adjoint.unwrap_err()), "the gradient is 1 x 4, expected 1 x 2");
        assert!(matches!(
            pooling.apply(shape, &h.columns(0, 5).into_owned()),
            Err(Error::ShapeMismatch { found: (1, 5), expected: (1, 6), .. })
        ));
        h[7] = f32::NAN;
        let not_finite = |result: Result<DMatrix<f32>>| {
            assert!(matches!(result, Err(Error::NotFinite { row: 0, column: 7, .. })));
        };
        not_finite(pooling.apply(shape, &h));
        not_finite(pooling.adjoint(shape, &h, &DMatrix::zeros(1, 2)));
        h.fill(f32::MAX);
        assert_eq!(pooling.apply(shape, &h).unwrap(), DMatrix::repeat(1, 2, f32::MAX));
        assert_eq!(Pooling::global_average().apply(shape, &h).unwrap(), h.columns(0, 2));
        let h = DMatrix::from_element(1, 12, f64::MAX);
        let overflow = Pooling::global_average().apply(shape, &h).unwrap_err();
        assert!(matches!(overflow, Error::Overflow { row: 0, .. }));
    }
}
