//! Sums and maxima of pixels, whose channels are contiguous, over windows that tile images.
//!
//! Some channels at a time go through all pixels of a window. What is not finite shows in `0 x`,
//! which the same pass adds up.

use fearless_simd::{Level, dispatch};
use num_traits::{AsPrimitive, float::FloatCore as Float};

use crate::kernel::line::Lanes;

/// Channels that go through a window together, where there are as many.
const WIDE: usize = 16;
/// The same for the rest of the channels, before they go one by one.
const NARROW: usize = 4;

/// Windows that tile images, row by row; what is left at the right and at the bottom is in none.
#[derive(Clone, Copy, Debug)]
pub struct Tiling {
    /// Contiguous numbers of a pixel.
    pub channels: usize,
    /// Height and width of an image, in pixels.
    pub image: (usize, usize),
    /// Height and width of a window, in pixels.
    pub window: (usize, usize),
}

impl Tiling {
    /// Numbers in an image, and in what is left of it.
    pub fn lengths(&self) -> (usize, usize) {
        let rows = self.image.0 / self.window.0;
        let columns = self.image.1 / self.window.1;
        (self.channels * self.image.0 * self.image.1, self.channels * rows * columns)
    }

    /// The number from the first one of a window to that of its pixel in row i and column j.
    #[inline(always)]
    fn pixel(&self, i: usize, j: usize) -> usize {
        (i * self.image.1 + j) * self.channels
    }

    /// Shows the first number of every window of an image.
    #[inline(always)]
    fn for_each_window(&self, mut visit: impl FnMut(usize)) {
        for row in 0..self.image.0 / self.window.0 {
            for column in 0..self.image.1 / self.window.1 {
                visit(self.pixel(row * self.window.0, column * self.window.1));
            }
        }
    }

    /// Shows the number of every pixel of a window that begins at 0, row by row.
    #[inline(always)]
    fn for_each_pixel(&self, mut visit: impl FnMut(usize)) {
        for i in 0..self.window.0 {
            for j in 0..self.window.1 {
                visit(self.pixel(i, j));
            }
        }
    }
}

/// The scalar types for which pooling is compiled. Slices hold whole images.
pub trait Pooling: Lanes {
    /// Writes the maxima of windows; returns whether all their numbers are finite.
    fn maxima(level: Level, tiling: &Tiling, images: &[Self], out: &mut [Self]) -> bool;

    /// Writes the means of windows; returns whether these are finite.
    fn means(level: Level, tiling: &Tiling, images: &[Self], out: &mut [Self]) -> bool;

    /// Gives the number of a window to the pixel that attains its maximum, the first of several,
    /// and zero to the others; pixels in no window are left as they are. Returns whether all
    /// numbers are finite.
    fn to_maxima(
        level: Level,
        tiling: &Tiling,
        images: &[Self],
        numbers: &[Self],
        out: &mut [Self],
    ) -> bool;

    /// Hands an equal share of the number of a window to each pixel; pixels in no window are left as
    /// they are. Returns whether all numbers are finite.
    fn to_means(level: Level, tiling: &Tiling, numbers: &[Self], out: &mut [Self]) -> bool;
}

/// `N` numbers from one on.
#[inline(always)]
fn load<T: Copy, const N: usize>(numbers: &[T], first: usize) -> [T; N] {
    let some = &numbers[first..][..N];
    core::array::from_fn(|c| some[c])
}

/// Adds `0 x` to sums, which become NaN where x is not finite.
#[inline(always)]
fn watch<T: Float, const N: usize>(sums: &mut [T; N], x: [T; N]) {
    for c in 0..N {
        sums[c] = sums[c] + x[c] * T::zero();
    }
}

/// Whether all that was [watched](watch) is finite.
#[inline(always)]
fn is_zero<T: Float, const N: usize>(sums: [T; N]) -> bool {
    sums.iter().all(|&sum| sum == T::zero())
}

/// What is done to some channels of the windows of an image.
trait Work<T> {
    /// Does it to `N` channels of a window that begins at `from`, of which `to` is left.
    fn channels<const N: usize>(&mut self, from: usize, to: usize);
}

/// Goes through the windows of an image, [`WIDE`] channels at a time.
#[inline(always)]
fn for_each_channel<T>(tiling: &Tiling, work: &mut impl Work<T>) {
    let channels = tiling.channels;
    let mut to = 0;
    tiling.for_each_window(
        #[inline(always)]
        |from| {
            let mut c = 0;
            while c + WIDE <= channels {
                work.channels::<WIDE>(from + c, to + c);
                c += WIDE;
            }
            while c + NARROW <= channels {
                work.channels::<NARROW>(from + c, to + c);
                c += NARROW;
            }
            while c < channels {
                work.channels::<1>(from + c, to + c);
                c += 1;
            }
            to += channels;
        },
    );
}

/// The largest of `N` channels over a window; all numbers are watched.
#[inline(always)]
fn maximum<T: Float, const N: usize>(
    tiling: &Tiling,
    image: &[T],
    from: usize,
    watched: &mut [T; N],
) -> [T; N] {
    let mut largest = load(image, from);
    tiling.for_each_pixel(
        #[inline(always)]
        |pixel| {
            let x = load(image, from + pixel);
            for c in 0..N {
                largest[c] = if x[c] > largest[c] { x[c] } else { largest[c] };
            }
            watch(watched, x);
        },
    );
    largest
}

/// [`Pooling::maxima`] of one image.
struct Maxima<'a, T> {
    tiling: &'a Tiling,
    image: &'a [T],
    out: &'a mut [T],
    watched: [T; WIDE],
}

impl<T: Float> Work<T> for Maxima<'_, T> {
    #[inline(always)]
    fn channels<const N: usize>(&mut self, from: usize, to: usize) {
        let mut watched = load(&self.watched, 0);
        let largest = maximum::<T, N>(self.tiling, self.image, from, &mut watched);
        self.watched[..N].copy_from_slice(&watched);
        self.out[to..][..N].copy_from_slice(&largest);
    }
}

/// [`Pooling::means`] of one image.
struct Means<'a, T> {
    tiling: &'a Tiling,
    image: &'a [T],
    out: &'a mut [T],
    area: f64,
    watched: [T; WIDE],
}

impl<T: Float + AsPrimitive<f64>> Work<T> for Means<'_, T>
where
    f64: AsPrimitive<T>,
{
    /// Sums are `f64`: one of ones in `f32` ends at 2^24.
    #[inline(always)]
    fn channels<const N: usize>(&mut self, from: usize, to: usize) {
        let mut sum = [0.0f64; N];
        self.tiling.for_each_pixel(
            #[inline(always)]
            |pixel| {
                let x: [T; N] = load(self.image, from + pixel);
                for c in 0..N {
                    sum[c] += x[c].as_();
                }
            },
        );
        let mean = sum.map(|sum| (sum / self.area).as_());
        let mut watched = load(&self.watched, 0);
        watch::<T, N>(&mut watched, mean);
        self.watched[..N].copy_from_slice(&watched);
        self.out[to..][..N].copy_from_slice(&mean);
    }
}

/// [`Pooling::to_maxima`] of one image.
struct ToMaxima<'a, T> {
    tiling: &'a Tiling,
    image: &'a [T],
    numbers: &'a [T],
    out: &'a mut [T],
    watched: [T; WIDE],
}

impl<T: Float> Work<T> for ToMaxima<'_, T> {
    #[inline(always)]
    fn channels<const N: usize>(&mut self, from: usize, to: usize) {
        let mut watched = load(&self.watched, 0);
        let largest = maximum::<T, N>(self.tiling, self.image, from, &mut watched);
        // What is left to hand out.
        let mut rest: [T; N] = load(self.numbers, to);
        watch(&mut watched, rest);
        self.watched[..N].copy_from_slice(&watched);
        let (image, out) = (self.image, &mut *self.out);
        self.tiling.for_each_pixel(
            #[inline(always)]
            |pixel| {
                let x: [T; N] = load(image, from + pixel);
                let out = &mut out[from + pixel..][..N];
                for c in 0..N {
                    let attained = x[c] == largest[c];
                    out[c] = if attained { rest[c] } else { T::zero() };
                    rest[c] = if attained { T::zero() } else { rest[c] };
                }
            },
        );
    }
}

/// [`Pooling::to_means`] of one image.
struct ToMeans<'a, T> {
    tiling: &'a Tiling,
    numbers: &'a [T],
    out: &'a mut [T],
    area: T,
    watched: [T; WIDE],
}

impl<T: Float> Work<T> for ToMeans<'_, T> {
    #[inline(always)]
    fn channels<const N: usize>(&mut self, from: usize, to: usize) {
        let mut share: [T; N] = load(self.numbers, to);
        let mut watched = load(&self.watched, 0);
        watch(&mut watched, share);
        self.watched[..N].copy_from_slice(&watched);
        share = share.map(|number| number / self.area);
        let out = &mut *self.out;
        self.tiling.for_each_pixel(
            #[inline(always)]
            |pixel| out[from + pixel..][..N].copy_from_slice(&share),
        );
    }
}

macro_rules! pooling {
    ($($scalar:ty)*) => {$(
        impl Pooling for $scalar {
            fn maxima(level: Level, tiling: &Tiling, images: &[Self], out: &mut [Self]) -> bool {
                let (whole, left) = tiling.lengths();
                let mut finite = true;
                dispatch!(level, _simd => {
                    let images = images.chunks_exact(whole);
                    for (image, out) in images.zip(out.chunks_exact_mut(left)) {
                        let mut work = Maxima { tiling, image, out, watched: [0.0; WIDE] };
                        for_each_channel(tiling, &mut work);
                        finite &= is_zero(work.watched);
                    }
                });
                finite
            }

            fn means(level: Level, tiling: &Tiling, images: &[Self], out: &mut [Self]) -> bool {
                let (whole, left) = tiling.lengths();
                let area = (tiling.window.0 * tiling.window.1) as f64;
                let mut finite = true;
                dispatch!(level, _simd => {
                    let images = images.chunks_exact(whole);
                    for (image, out) in images.zip(out.chunks_exact_mut(left)) {
                        let mut work = Means { tiling, image, out, area, watched: [0.0; WIDE] };
                        for_each_channel(tiling, &mut work);
                        finite &= is_zero(work.watched);
                    }
                });
                finite
            }

            fn to_maxima(
                level: Level,
                tiling: &Tiling,
                images: &[Self],
                numbers: &[Self],
                out: &mut [Self],
            ) -> bool {
                let (whole, left) = tiling.lengths();
                let mut finite = true;
                dispatch!(level, _simd => {
                    let images = images.chunks_exact(whole).zip(numbers.chunks_exact(left));
                    for ((image, numbers), out) in images.zip(out.chunks_exact_mut(whole)) {
                        let mut work =
                            ToMaxima { tiling, image, numbers, out, watched: [0.0; WIDE] };
                        for_each_channel(tiling, &mut work);
                        finite &= is_zero(work.watched);
                    }
                });
                finite
            }

            fn to_means(
                level: Level,
                tiling: &Tiling,
                numbers: &[Self],
                out: &mut [Self],
            ) -> bool {
                let (whole, left) = tiling.lengths();
                let area = (tiling.window.0 * tiling.window.1) as $scalar;
                let mut finite = true;
                dispatch!(level, _simd => {
                    let numbers = numbers.chunks_exact(left);
                    for (numbers, out) in numbers.zip(out.chunks_exact_mut(whole)) {
                        let mut work = ToMeans { tiling, numbers, out, area, watched: [0.0; WIDE] };
                        for_each_channel(tiling, &mut work);
                        finite &= is_zero(work.watched);
                    }
                });
                finite
            }
        }
    )*};
}

pooling!(f32 f64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::line::fused_levels;
    use proptest::prelude::*;

    proptest! {
        /// Every level gives the same bits, and finds what is not finite in a window.
        #[test]
        fn levels_agree(
            channels in 1usize..40, side in 2usize..7, window in 1usize..4,
            numbers in prop::collection::vec(-1.0..1.0f64, 100..200), place: prop::sample::Index,
        ) {
            prop_assume!(window <= side);
            let tiling = Tiling { channels, image: (side, side + 1), window: (window, window) };
            let (whole, left) = tiling.lengths();
            let mut images: Vec<f64> = numbers.iter().copied().cycle().take(2 * whole).collect();
            let gradient: Vec<f64> = numbers.iter().copied().cycle().skip(7).take(2 * left).collect();
            let run = |level, images: &[f64]| {
                let mut out = [(); 2].map(|()| vec![0.5; 2 * left]);
                let mut back = [(); 2].map(|()| vec![0.5; 2 * whole]);
                let finite = [
                    f64::maxima(level, &tiling, images, &mut out[0]),
                    f64::means(level, &tiling, images, &mut out[1]),
                    f64::to_maxima(level, &tiling, images, &gradient, &mut back[0]),
                    f64::to_means(level, &tiling, &gradient, &mut back[1]),
                ];
                (out, back, finite)
            };
            let runs: Vec<_> =
                fused_levels().into_iter().map(|level| run(level, &images)).collect();
            prop_assert!(runs.windows(2).all(|pair| pair[0] == pair[1]));
            prop_assert_eq!(runs[0].2, [true; 4]);
            let place = place.index(images.len());
            images[place] = f64::NEG_INFINITY;
            let (y, x) = (place % whole / channels / (side + 1), place % whole / channels % (side + 1));
            let seen = y < side / window * window && x < (side + 1) / window * window;
            prop_assert_eq!(run(Level::new(), &images).2, [!seen, !seen, !seen, true]);
        }
    }
}
