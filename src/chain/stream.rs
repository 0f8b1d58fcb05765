//! One streamed layer: rows of Gaussians are drawn, weighed, summed up and forgotten.

use nalgebra::{DMatrix, DMatrixView};

use super::{Layer, coordinate};
use crate::normalization::Centering;
use crate::random::fill;
use crate::{Error, Gram, Network, Purpose, Result, Run, Scalar};

/// Rows drawn from one stream: the unit of work.
const BLOCK: usize = 256;

/// Draws the rows of a layer, given the Gram matrix of the layer before.
///
/// A row of `W H` is $`y = s R^\top z`$ with $`z \sim N(0, I_r)`$, and its normalisation is a
/// multiple `w y` of it (centred: of $`(R P)^\top z`$, where `P` projects off the mean). So the
/// next Gram matrix is $`R^\top G R`$ with $`G = \frac1d \sum w^2 z z^\top`$, which is well
/// conditioned whatever `R` is; a Cholesky factor of `G`, $`M^\top M`$, makes `M R` the next
/// factor. No ill-conditioned Gram matrix is ever formed, and the smallest singular value keeps
/// full relative accuracy.
#[derive(Clone, Debug)]
pub(super) struct RowStream<T> {
    /// Room for the normals of a block: `r` for each of its rows, one row after the other.
    normals: Vec<T>,
}

impl<T: Scalar> RowStream<T> {
    pub(super) fn new(rank: usize) -> Self {
        Self { normals: vec![T::zero(); rank * BLOCK] }
    }

    /// Draws the layer that follows `layer`.
    pub(super) fn next_layer(
        &mut self,
        network: &Network<T>,
        run: Run,
        layer: &Layer,
    ) -> Result<Layer> {
        let n = layer.batch_size();
        let depth = layer.depth + 1;
        // Rows are drawn with the factor, of norm one, in place of H: pre-activations are in truth
        // larger by sqrt(n) exp(log_scale) gain, and epsilon is relative to that.
        let pre_scale = layer.log_scale + network.gaussian().gain().ln();
        let batch_norm = network.batch_norm();
        let factor = match batch_norm.map(|batch_norm| batch_norm.centering()) {
            Some(Centering::Batch) => centered(layer.factor()),
            Some(Centering::None) | None => layer.factor().clone(),
        };
        let squared_weight = |squared_norm| {
            batch_norm.map_or(1.0, |batch_norm| {
                let unit = n as f64 * (2.0 * pre_scale).exp();
                batch_norm.squared_factor(squared_norm, n, unit)
            })
        };
        let moment = self.moment(network, run, depth, &factor, squared_weight)?;
        let breakdown = Error::Breakdown { layer: depth, log_scale: layer.log_scale };
        let root = moment.cholesky().ok_or_else(|| breakdown.clone())?.unpack().transpose();
        let factor = root * factor;
        let norm = factor.norm();
        let log_scale = match batch_norm {
            Some(_) => norm.ln() - 0.5 * (n as f64).ln(), // d rows of mean square norm²/n
            None => pre_scale + norm.ln(),
        };
        if !log_scale.is_finite() {
            return Err(breakdown);
        }
        let factor = without_zero_rows(factor / norm);
        if factor.nrows() == 1 && layer.rank() > 1 && batch_norm.is_some() {
            return Err(Error::Collapsed { layer: depth, batch_size: n });
        }
        Ok(Layer { depth, gram: Gram::from_unit_factor(factor), log_scale })
    }

    /// The weighted second moment $`\frac1d \sum w_i^2 z_i z_i^\top`$ of the normals of a layer
    /// (`r x r`), where `squared_weight` gives $`w_i^2`$ from $`\lVert R^\top z_i \rVert^2`$.
    fn moment(
        &mut self,
        network: &Network<T>,
        run: Run,
        depth: usize,
        factor: &DMatrix<f64>,
        squared_weight: impl Fn(f64) -> f64,
    ) -> Result<DMatrix<f64>> {
        let (rank, width) = (factor.nrows(), network.width());
        let factor = factor.map(T::nearest);
        let layer = coordinate("layer", depth)?;
        let mut moment = DMatrix::zeros(rank, rank);
        for first_row in (0..width).step_by(BLOCK) {
            let block = coordinate("block", first_row / BLOCK)?;
            let rows = BLOCK.min(width - first_row);
            let normals = &mut self.normals[..rank * rows];
            fill(run.stream(Purpose::Rows, layer, block), normals);
            for z in DMatrixView::from_slice(normals, rank, rows).column_iter() {
                let entry = |j: usize| -> f64 { factor.column(j).dot(&z).into() };
                let squared_norm: f64 = (0..factor.ncols()).map(|j| entry(j).powi(2)).sum();
                let weight = squared_weight(squared_norm) / width as f64;
                for j in 0..rank {
                    let scaled = weight * z[j].into();
                    for i in 0..=j {
                        moment[(i, j)] += scaled * z[i].into();
                    }
                }
            }
        }
        moment.fill_lower_triangle_with_upper_triangle();
        Ok(moment)
    }
}

/// A direction that has sunk beneath the smallest float is gone for good: the rank falls.
fn without_zero_rows(factor: DMatrix<f64>) -> DMatrix<f64> {
    let is_zero = |i: &usize| factor.row(*i).amax() == 0.0;
    let zero_rows: Vec<usize> = (0..factor.nrows()).filter(is_zero).collect();
    if zero_rows.is_empty() { factor } else { factor.remove_rows_at(&zero_rows) }
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
