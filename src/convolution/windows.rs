//! Where the windows of a convolution meet an image, as runs of contiguous numbers.

use std::ops::Range;

use super::{Convolution, Images, Padding};
use crate::Scalar;

/// The windows of one image: what the copies of `unfold` and the sums of `fold` go through.
pub(super) struct Windows {
    /// For every output row, the image rows that its windows meet.
    rows: Vec<Vec<Run>>,
    /// For every output column, the image columns that its windows meet.
    columns: Vec<Vec<Run>>,
    kernel: usize,
    image: Images,
}

/// Consecutive positions of a window's side that lie on consecutive pixels.
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
        let side = |size: usize, outputs: usize| {
            (0..outputs).map(|output| runs(convolution, size, output)).collect()
        };
        Self {
            rows: side(image.height(), output.height()),
            columns: side(image.width(), output.width()),
            kernel: convolution.kernel(),
            image,
        }
    }

    /// Copies the patches of whole images; entries outside the image are left as they are.
    pub(super) fn unfold<T: Scalar>(&self, images: &[T], patches: &mut [T]) {
        let patches = patches.chunks_exact_mut(self.patches_len());
        for (image, patches) in images.chunks_exact(self.image.len()).zip(patches) {
            self.for_each_run(|of_patches, of_image| {
                patches[of_patches].copy_from_slice(&image[of_image]);
            });
        }
    }

    /// Adds the patches of whole images to the pixels that they are copies of.
    pub(super) fn fold<T: Scalar>(&self, patches: &[T], images: &mut [T]) {
        let patches = patches.chunks_exact(self.patches_len());
        for (image, patches) in images.chunks_exact_mut(self.image.len()).zip(patches) {
            self.for_each_run(|of_patches, of_image| {
                let terms = &patches[of_patches];
                image[of_image].iter_mut().zip(terms).for_each(|(sum, &term)| *sum += term);
            });
        }
    }

    /// The numbers in all patches of one image.
    fn patches_len(&self) -> usize {
        self.rows.len() * self.columns.len() * self.kernel.pow(2) * self.image.channels()
    }

    /// Visits every run of numbers that the patches of an image share with it: its place among the
    /// patches, then in the image.
    fn for_each_run(&self, mut visit: impl FnMut(Range<usize>, Range<usize>)) {
        let (kernel, channels) = (self.kernel, self.image.channels());
        let mut patch = 0;
        for rows in &self.rows {
            for columns in &self.columns {
                for (window_row, image_row) in rows.iter().flat_map(Run::positions) {
                    for run in columns {
                        let to = patch + (window_row * kernel + run.window) * channels;
                        let from = (image_row * self.image.width() + run.image) * channels;
                        let len = run.len * channels;
                        visit(to..to + len, from..from + len);
                    }
                }
                patch += kernel * kernel * channels;
            }
        }
    }
}

impl Run {
    /// Its positions one by one, in the window and in the image.
    fn positions(&self) -> impl Iterator<Item = (usize, usize)> {
        (self.window..).zip(self.image..self.image + self.len)
    }
}

/// The runs of the window of an output position along a side of `size` pixels.
fn runs(convolution: &Convolution, size: usize, output: usize) -> Vec<Run> {
    let width = convolution.padding_width();
    let mut runs: Vec<Run> = Vec::new();
    for window in 0..convolution.kernel() {
        let padded = output * convolution.stride() + window;
        let image = match convolution.padding() {
            Padding::Zeros => padded.checked_sub(width).filter(|&image| image < size),
            // Minus the padding width, modulo the size.
            Padding::Circular => Some((padded + width * (size - 1)) % size),
        };
        let Some(image) = image else { continue };
        match runs.last_mut() {
            Some(last) if last.image + last.len == image => last.len += 1,
            _ => runs.push(Run { window, image, len: 1 }),
        }
    }
    runs
}
