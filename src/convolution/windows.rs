//! Where the windows of a convolution meet an image, as runs of contiguous numbers.

use std::ops::Range;

use fearless_simd::Level;

use super::{Convolution, Images, Padding};
use crate::Scalar;

/// The windows of one image: what the copies of `unfold` and the sums of `fold` go through.
pub(super) struct Windows {
    convolution: Convolution,
    image: Images,
    /// Height and width of the output.
    outputs: (usize, usize),
}

/// Consecutive positions of a window's side that lie on consecutive pixels.
#[derive(Clone, Copy)]
struct Run {
    /// The first position in the window.
    window: usize,
    /// The first position in the image.
    image: usize,
    len: usize,
}

impl Windows {
    /// The windows of a convolution that takes `image` to `output`.
    pub(super) fn new(convolution: &Convolution, image: Images, output: Images) -> Self {
        let outputs = (output.height(), output.width());
        Self { convolution: *convolution, image, outputs }
    }

    /// Copies the patches of whole images; entries outside the image are zero.
    pub(super) fn unfold<T: Scalar>(&self, images: &[T], patches: &mut [T]) {
        let patches = patches.chunks_exact_mut(self.patches_len());
        for (image, patches) in images.chunks_exact(self.image.len()).zip(patches) {
            self.for_each_patch(|of_patches, output| {
                let patch = &mut patches[of_patches];
                if !self.is_inside(output) {
                    patch.fill(T::zero());
                }
                self.for_each_run(output, |of_patch, of_image| {
                    patch[of_patch].copy_from_slice(&image[of_image]);
                });
            });
        }
    }

    /// Adds the patches of whole images to the pixels that they are copies of.
    pub(super) fn fold<T: Scalar>(&self, patches: &[T], images: &mut [T]) {
        let level = Level::new();
        let patches = patches.chunks_exact(self.patches_len());
        for (image, patches) in images.chunks_exact_mut(self.image.len()).zip(patches) {
            self.for_each_patch(|of_patches, output| {
                let patch = &patches[of_patches];
                self.for_each_run(output, |of_patch, of_image| {
                    T::add_terms(level, &patch[of_patch], &mut image[of_image]);
                });
            });
        }
    }

    /// The numbers in all patches of one image.
    fn patches_len(&self) -> usize {
        let (rows, columns) = self.outputs;
        rows * columns * self.convolution.kernel().pow(2) * self.image.channels()
    }

    /// Whether all of the window of an output pixel has numbers of the image.
    fn is_inside(&self, (row, column): (usize, usize)) -> bool {
        let covered = |size, output| self.runs(size, output).map(|run| run.len).sum::<usize>();
        let kernel = self.convolution.kernel();
        covered(self.image.height(), row) == kernel && covered(self.image.width(), column) == kernel
    }

    /// Visits every patch of an image: its place, and its pixel of the output.
    #[inline(always)]
    fn for_each_patch(&self, mut visit: impl FnMut(Range<usize>, (usize, usize))) {
        let len = self.convolution.kernel().pow(2) * self.image.channels();
        let mut patch = 0;
        for row in 0..self.outputs.0 {
            for column in 0..self.outputs.1 {
                visit(patch..patch + len, (row, column));
                patch += len;
            }
        }
    }

    /// Visits every run of numbers that the patch of an output pixel shares with the image: its place
    /// in the patch, then in the image.
    #[inline(always)]
    fn for_each_run(
        &self,
        (row, column): (usize, usize),
        mut visit: impl FnMut(Range<usize>, Range<usize>),
    ) {
        let (kernel, channels) = (self.convolution.kernel(), self.image.channels());
        let (height, width) = (self.image.height(), self.image.width());
        for rows in self.runs(height, row) {
            for step in 0..rows.len {
                for run in self.runs(width, column) {
                    let to = ((rows.window + step) * kernel + run.window) * channels;
                    let from = ((rows.image + step) * width + run.image) * channels;
                    let len = run.len * channels;
                    visit(to..to + len, from..from + len);
                }
            }
        }
    }

    /// The runs of the window of an output position along a side of `size` pixels.
    #[inline(always)]
    fn runs(&self, size: usize, output: usize) -> impl Iterator<Item = Run> {
        let kernel = self.convolution.kernel();
        let (first, width) = (output * self.convolution.stride(), self.convolution.padding_width());
        let is_circular = self.convolution.padding() == Padding::Circular;
        let mut window = if is_circular { 0 } else { width.saturating_sub(first) };
        core::iter::from_fn(move || {
            let padded = first + window;
            // Minus the padding width, modulo the size.
            let image = match is_circular {
                true => (padded + width * (size - 1)) % size,
                false => padded - width,
            };
            let len = size.saturating_sub(image).min(kernel.saturating_sub(window));
            let run = Run { window, image, len };
            window += len;
            (len > 0).then_some(run)
        })
    }
}
