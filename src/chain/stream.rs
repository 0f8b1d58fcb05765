//! One streamed layer: rows of Gaussians are drawn, weighed, summed up and forgotten.

use std::ops::ControlFlow;

use fearless_simd::Level;
use nalgebra::DMatrix;

use super::{Layer, coordinate, parallel};
use crate::kernel::block::{Product, Rows, Scratch};
use crate::kernel::factor::{Factor, Form};
use crate::kernel::generator::StreamKey;
use crate::kernel::plan::Plan;
use crate::kernel::row_scale::RowScale;
use crate::kernel::triangular::{cholesky, is_upper_triangular, transposed_times_upper};
use crate::normalization::Centering;
use crate::{Error, Network, Purpose, Result, Run, Scalar};

/// Draws the rows of a layer, given the Gram matrix of the layer before.
///
/// A row of `W H` is $`y = s R^\top z`$ with $`z \sim N(0, I_r)`$, and its normalisation is a
/// multiple `w y` of it (centred: of $`(R P)^\top z`$, where `P` projects off the mean). So the
/// next Gram matrix is $`R^\top G R`$ with $`G = \frac1d \sum w^2 z z^\top`$, which is well
/// conditioned whatever `R` is; a Cholesky factor of `G`, $`M^\top M`$, makes `M R` the next
/// factor. No ill-conditioned Gram matrix is ever formed, and the smallest singular value keeps
/// full relative accuracy.
#[derive(Clone, Debug)]
pub(super) struct RowStream<T: Scalar> {
    level: Level,
    plan: Plan,
    /// An upper triangular `S` with $`\lVert S^\top z \rVert = \lVert R^\top z \rVert`$.
    packed: Factor<T>,
    workers: Vec<Worker<T>>,
    /// `d G`, of which the kernels fill the upper triangle, row-major. That is the lower triangle
    /// of this column-major matrix; the rest stays zero.
    moment: DMatrix<f64>,
}

/// Room for the sum over one super-block of rows.
#[derive(Clone, Debug)]
struct Worker<T: Scalar> {
    scratch: Scratch<T>,
    sum: Vec<f64>,
}

/// Told how many rows of a layer are done; may break off.
pub(super) type Proceed<'a> = &'a mut dyn FnMut(usize) -> ControlFlow<()>;

impl<T: Scalar> RowStream<T> {
    pub(super) fn new(width: usize, rank: usize) -> Self {
        let plan = Plan::new::<T>(width, rank);
        let worker = Worker { scratch: Scratch::new(&plan), sum: vec![0.0; rank * rank] };
        Self {
            level: Level::new(),
            plan,
            packed: Factor::new(rank, rank, Form::UpperTriangular),
            workers: vec![worker; parallel::workers(plan.super_blocks())],
            moment: DMatrix::zeros(rank, rank),
        }
    }

    /// Draws the layer that follows `layer` into `next`.
    ///
    /// Allocates nothing for a triangular factor (a linear network without centring, of full rank)
    /// if `next` has the shape of `layer`.
    pub(super) fn next_layer(
        &mut self,
        network: &Network<T>,
        run: Run,
        layer: &Layer,
        next: &mut Layer,
        proceed: Proceed<'_>,
    ) -> Result<()> {
        let (n, d, depth) = (layer.batch_size(), network.width(), layer.depth + 1);
        let breakdown = || Error::Breakdown { layer: depth, log_scale: layer.log_scale };
        if layer.rank() != self.moment.nrows() {
            *self = Self::new(d, layer.rank());
        }
        // Rows are drawn with the factor, of norm one, in place of H: pre-activations are in truth
        // larger by sqrt(n) exp(log_scale) gain, and epsilon is relative to that.
        let pre_scale = layer.log_scale + network.gaussian().gain().ln();
        let batch_norm = network.batch_norm();
        let (weight, epsilon) = batch_norm.map_or((0.0, 1.0), |batch_norm| {
            batch_norm.squared_factor(n, n as f64 * (2.0 * pre_scale).exp())
        });
        if !epsilon.is_finite() {
            return Err(breakdown());
        }
        let key = run.stream(Purpose::Rows, coordinate("layer", depth)?, 0).key();

        let centered = batch_norm
            .filter(|batch_norm| batch_norm.centering() == Centering::Batch)
            .map(|_| centered(layer.factor()));
        let factor = centered.as_ref().unwrap_or(layer.factor());
        let triangular = is_upper_triangular(factor);
        if triangular {
            self.packed.pack(|i, j| T::of(factor[(i, j)]));
        } else {
            let triangle = triangle_of_same_norms(factor);
            self.packed.pack(|i, j| T::of(triangle[(i, j)]));
        }
        self.draw_root(key, RowScale::new(weight, epsilon), proceed)
            .map_err(|rows| Error::Interrupted { layer: depth, rows })?;
        let norm = next.gram.rewrite(|product| {
            if triangular {
                transposed_times_upper(&self.moment, factor, product);
            } else {
                *product = self.moment.transpose() * factor;
            }
        });
        let log_norm = norm.ln() - 0.5 * (d as f64).ln();
        next.depth = depth;
        next.log_scale = match batch_norm {
            Some(_) => log_norm - 0.5 * (n as f64).ln(),
            None => pre_scale + log_norm,
        };
        if !next.log_scale.is_finite() {
            return Err(breakdown());
        }
        if next.rank() == 1 && layer.rank() > 1 && batch_norm.is_some() {
            return Err(Error::Collapsed { layer: depth, batch_size: n });
        }
        Ok(())
    }

    /// Draws all rows and leaves in `moment` the lower triangular `L` with $`L L^\top = d G`$, or
    /// the number of rows done when `proceed` broke off.
    fn draw_root(
        &mut self,
        key: StreamKey,
        scale: RowScale<T>,
        proceed: Proceed<'_>,
    ) -> std::result::Result<(), usize> {
        let Self { level, plan, packed, workers, moment } = self;
        let rows = Rows { factor: packed, scale, summand: Product };
        moment.fill(0.0);
        let total = plan.super_blocks();
        for first in (0..total).step_by(workers.len()) {
            let wave = workers.len().min(total - first);
            parallel::for_each(&mut workers[..wave], |offset, Worker { scratch, sum }| {
                sum.fill(0.0);
                T::accumulate_product(*level, plan, &rows, key, first + offset, scratch, sum);
            });
            // In the order of the blocks, so that the number of workers does not matter.
            for worker in &workers[..wave] {
                moment.as_mut_slice().iter_mut().zip(&worker.sum).for_each(|(to, x)| *to += x);
            }
            let done = ((first + wave) * plan.super_block_rows()).min(plan.rows());
            if proceed(done).is_break() && first + wave < total {
                return Err(done);
            }
        }
        // Sums of rounded products know a pivot to about epsilon; below, ask the rows themselves.
        if cholesky(moment) < 1e4 * T::EPSILON {
            self.root_from_rows(key, scale);
        }
        Ok(())
    }

    /// The same root from the rows drawn again, one block after the other: a QR factorisation of
    /// `w z` in `f64`, which never squares them. Slow, and rare unless `d` is close to `n`.
    fn root_from_rows(&mut self, key: StreamKey, scale: RowScale<T>) {
        let Self { level, plan, packed, workers, moment } = self;
        let r = moment.nrows();
        let mut root = DMatrix::zeros(r, r);
        for index in 0..plan.blocks() {
            let mut rows = DMatrix::zeros(plan.block_rows(), r);
            let mut keep = |i, j, value: T| rows[(i, j)] = value.into();
            T::block_normals(*level, plan, key, index, &mut workers[0].scratch, &mut keep);
            for mut row in rows.row_iter_mut() {
                let squared_norm: f64 = (0..r)
                    .map(|j| (0..=j).map(|i| row[i] * packed.entry(i, j)).sum::<f64>().powi(2))
                    .sum();
                row *= scale.factor(squared_norm);
            }
            let mut stacked = DMatrix::zeros(r + rows.nrows(), r);
            stacked.rows_mut(0, r).copy_from(&root);
            stacked.rows_mut(r, rows.nrows()).copy_from(&rows);
            root = stacked.qr().unpack_r();
        }
        *moment = root.transpose();
    }
}

/// `R P`: the mean over the batch subtracted from every row of a factor.
fn centered(factor: &DMatrix<f64>) -> DMatrix<f64> {
    let mean = factor.column_mean();
    let mut centered = factor.clone();
    for mut column in centered.column_iter_mut() {
        column -= &mean;
    }
    centered
}

/// An upper triangular `S` (`r x r`) with $`\lVert S^\top z \rVert = \lVert R^\top z \rVert`$ for
/// all `z`: the RQ factorisation of `R` (`r x n`), by way of the QR factorisation of what is turned
/// about.
fn triangle_of_same_norms(factor: &DMatrix<f64>) -> DMatrix<f64> {
    let r = factor.nrows();
    let turned = DMatrix::from_fn(factor.ncols(), r, |i, j| factor[(r - 1 - j, i)]);
    let triangle = turned.qr().unpack_r();
    DMatrix::from_fn(r, r, |i, j| triangle[(r - 1 - j, r - 1 - i)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::compiled::Kernels;
    use crate::{Input, Seed};
    use proptest::prelude::*;

    fn no_break(_: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    proptest! {
        #[test]
        fn triangles_have_the_norms_of_their_factor(
            n in 1usize..9, missing in 0usize..3, seed in any::<u64>(),
        ) {
            let columns = Input::gaussian(9, 9, Seed(seed)).unwrap().columns().clone();
            let r = n.saturating_sub(missing).max(1);
            let factor = columns.view((0, 0), (r, n)).into_owned();
            let triangle = triangle_of_same_norms(&factor);
            prop_assert!(is_upper_triangular(&triangle));
            let z = columns.view((0, 8), (r, 1));
            let (ours, naive) = ((triangle.transpose() * z).norm(), (factor.transpose() * z).norm());
            prop_assert!((ours - naive).abs() < 1e-13 * naive.max(1.0));
        }

        /// Both ways to the root, and the naive sum that they stand for.
        #[test]
        fn roots_agree_with_the_naive_sum(
            n in 1usize..20, extra in 0usize..600, seed in any::<u64>(), plain in any::<bool>(),
        ) {
            let d = n + extra;
            let factor = Input::gaussian(n, n, Seed(seed)).unwrap().gram().factor().clone();
            let scale = if plain { RowScale::none() } else { RowScale::new(0.25, 0.1) };
            let key = Run::from(Seed(seed)).stream(Purpose::Rows, 3, 0).key();
            let mut rows = RowStream::<f64>::new(d, n);
            rows.packed.pack(|i, j| factor[(i, j)]);
            let mut naive = DMatrix::zeros(n, n);
            for block in 0..rows.plan.blocks() {
                let mut z = DMatrix::zeros(n, rows.plan.block_rows());
                let scratch = &mut rows.workers[0].scratch;
                let mut keep = |i, j, value| z[(j, i)] = value;
                f64::block_normals(rows.level, &rows.plan, key, block, scratch, &mut keep);
                for z in z.column_iter() {
                    let squared_norm = (factor.transpose() * z).norm_squared();
                    let weight = if plain { 1.0 } else { 1.0 / (0.25 * squared_norm + 0.1) };
                    naive += z * z.transpose() * weight;
                }
            }
            rows.draw_root(key, scale, &mut no_break).unwrap();
            let first = &rows.moment * rows.moment.transpose();
            rows.root_from_rows(key, scale);
            let second = &rows.moment * rows.moment.transpose();
            prop_assert!((first - &naive).amax() < 1e-12 * naive.amax());
            prop_assert!((second - &naive).amax() < 1e-12 * naive.amax());
        }
    }
}
