//! The rows of a streamed layer: drawn, scaled, summed up and not kept.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use fearless_simd::Level;
use nalgebra::DMatrix;

use super::bartlett::draw_wishart_root;
use super::communicator::Communicator;
use super::reduction::{Drawn, Reduction, agree};
use super::row_factor::{RowFactor, triangle_of_same_norms};
use super::scaling::Scaling;
use super::{Layer, Proceed};
use crate::activation::Activation;
use crate::factorization::triangle;
use crate::kernel::block::{Rows, Scratch, Summand};
use crate::kernel::factor::{Factor, Form};
use crate::kernel::generator::StreamKey;
use crate::kernel::plan::Plan;
use crate::kernel::row_scale::RowScale;
use crate::kernel::triangular::{cholesky, is_upper_triangular, transposed_times_upper};
use crate::network::Operation;
use crate::{Error, Gram, Network, Result, Scalar, Stream};

/// Draws the rows of a layer, given the Gram matrix of the layer before.
///
/// A row of `W H` is $`y = s R^\top z`$ with $`z \sim N(0, I_r)`$, and its normalisation is a
/// multiple `w y` of it (centred: of $`(R P)^\top z`$, where `P` projects off the mean). So the
/// next Gram matrix is $`R^\top G R`$ with $`G = \frac1d \sum w^2 z z^\top`$, which is well
/// conditioned for every `R`; a Cholesky factor of `G`, $`M^\top M`$, makes `M R` the next factor.
/// No ill-conditioned Gram matrix is ever formed, and the smallest singular value keeps full
/// relative accuracy.
///
/// With an activation `F` it is necessary to sum $`u u^\top`$ over the rows `u = F(w y)` and to
/// factor that; where this would lose digits, the rows themselves are factored.
///
/// If rows are not scaled, `G` is a Wishart matrix, and `M` is drawn without rows.
#[derive(Clone, Debug)]
pub(super) struct RowStream<T: Scalar> {
    level: Level,
    plan: Plan,
    /// `R`; for a linear network an upper triangular matrix with the same row norms.
    packed: Factor<T>,
    reduction: Reduction<Scratch<T>>,
    /// The sum over all rows, of which the kernels fill the upper triangle, row-major. That is the
    /// lower triangle of this column-major matrix; the rest stays zero.
    moment: DMatrix<f64>,
}

/// One of the sums over the rows of a layer.
#[derive(Clone, Copy)]
pub(super) struct Pass {
    /// What is done to rows before they are summed.
    pub operations: &'static [Operation],
    /// Whether another pass draws the same rows, so that they must be made of as many normals.
    pub shared: bool,
    /// Whether a reverse pass draws the same rows again, so that they must be drawn.
    pub again: bool,
    pub key: StreamKey,
    /// Where the diagonal of a Wishart matrix's factor is drawn, if the rows themselves are not.
    pub diagonal: Stream,
    /// Of weights N(0, gain²/inputs).
    pub log_gain: f64,
}

/// What is needed to draw the rows of a layer, beside the factor.
struct Draw<'a, T> {
    key: StreamKey,
    scale: RowScale<T>,
    team: &'a mut dyn Communicator,
    proceed: Proceed<'a>,
}

impl<T: Scalar> RowStream<T> {
    /// Memory for rows of `order` normals.
    pub(super) fn new(width: usize, order: usize) -> Self {
        Self::of_form(width, order, Form::UpperTriangular)
    }

    fn of_form(width: usize, order: usize, form: Form) -> Self {
        let plan = Plan::new::<T>(width, order);
        Self {
            level: Level::new(),
            plan,
            packed: Factor::new(order, order, form),
            reduction: Reduction::new(&plan, &[order], || Scratch::new(&plan)),
            moment: DMatrix::zeros(order, order),
        }
    }

    /// Draws `pass` of the layer that follows one whose image is taken, `from`, into `to`.
    ///
    /// Allocates nothing for a factor of full rank without centring, if `to` has its shape and no
    /// unit goes into the activation.
    pub(super) fn next_layer(
        &mut self,
        network: &Network<T>,
        pass: Pass,
        from: &Layer,
        to: &mut Layer,
        team: &mut dyn Communicator,
        proceed: Proceed<'_>,
    ) -> Result<()> {
        let (n, d, depth) = (from.batch_size(), network.width(), from.depth + 1);
        let breakdown = || Error::ScaleOutOfRange { layer: depth, log_scale: from.log_scale };
        let does = |operation| pass.operations.contains(&operation);
        let batch_norm =
            network.normalization().batch_norm().filter(|_| does(Operation::Normalize));
        let activation =
            if does(Operation::Activate) { network.activation() } else { &Activation::Identity };
        let linear = activation.is_linear();
        let pre_scale = from.log_scale + pass.log_gain;
        let scaling = Scaling::new(batch_norm, activation, (n, pre_scale), T::LARGEST);
        let Scaling { weight, epsilon, unit, activation, log_outside } =
            scaling.ok_or_else(breakdown)?;
        let draw = Draw { key: pass.key, scale: RowScale::new(weight, epsilon), team, proceed };
        let Some(drawn) = RowFactor::new(network, pass.operations, pass.shared, &from.gram)? else {
            return Err(Error::AllSamplesZero { layer: depth, batch_size: n });
        };
        let padded = (linear && drawn.factor.nrows() < drawn.order)
            .then(|| drawn.factor.clone().into_owned().resize_vertically(drawn.order, 0.0));
        let factor = padded.as_ref().unwrap_or(&drawn.factor);
        let norm = if linear && batch_norm.is_none() && !pass.shared && !pass.again {
            self.wishart(pass, factor, draw, &mut to.gram)?
        } else if linear {
            self.linear(draw, factor, &mut to.gram)?
        } else {
            self.curved(draw, factor, unit, &activation, &mut to.gram)?
        };
        if let Some(live) = &drawn.live {
            to.gram.spread(live, n);
        }
        if norm == 0.0 {
            return Err(match activation {
                Cow::Borrowed(_) => Error::AllSamplesZero { layer: depth, batch_size: n },
                Cow::Owned(_) => breakdown(), // F(u x)/u is below the smallest float
            });
        }
        let log_norm = norm.ln() - 0.5 * (d as f64).ln();
        to.depth = depth;
        to.log_scale = log_outside + log_norm;
        if !to.log_scale.is_finite() {
            return Err(breakdown());
        }
        if to.rank() == 1 && from.rank() > 1 && batch_norm.is_some() {
            return Err(Error::Collapsed { layer: depth, batch_size: n });
        }
        Ok(())
    }

    /// A layer without activation: multiplies the factor. Returns the norm of the sum's root.
    fn linear(&mut self, draw: Draw<'_, T>, factor: &DMatrix<f64>, next: &mut Gram) -> Result<f64> {
        self.fit(factor.nrows(), Form::UpperTriangular);
        let triangular = self.pack(factor);
        self.draw_root(draw, Summand::Product)?;
        Ok(self.multiply(factor, triangular, next))
    }

    /// Packs the factor that linear rows are drawn with. Returns whether it is triangular itself.
    #[inline]
    fn pack(&mut self, factor: &DMatrix<f64>) -> bool {
        let triangular = is_upper_triangular(factor);
        if triangular {
            self.packed.pack(|i, j| T::of(factor[(i, j)]));
        } else {
            let triangle = triangle_of_same_norms(factor);
            self.packed.pack(|i, j| T::of(triangle[(i, j)]));
        }
        triangular
    }

    /// A layer whose rows are not scaled: the sum is a Wishart matrix, whose root has a known law,
    /// so no row is drawn. Returns the norm of the root.
    fn wishart(
        &mut self,
        pass: Pass,
        factor: &DMatrix<f64>,
        draw: Draw<'_, T>,
        next: &mut Gram,
    ) -> Result<f64> {
        self.fit(factor.nrows(), Form::UpperTriangular);
        if draw.team.size() > 1 {
            // Every member draws the root; all must draw the same.
            self.pack(factor);
            let Self { plan, packed, .. } = &*self;
            let rows = Rows { factor: packed, scale: draw.scale, summand: Summand::Product };
            agree(draw.team, fingerprint(plan, &rows, draw.key))?;
        }
        let rows = self.plan.rows();
        draw_wishart_root(&mut self.moment, rows, pass.key, &mut pass.diagonal.rng());
        // A layer that is done is kept.
        let _ = (draw.proceed)(rows);
        Ok(self.multiply(factor, is_upper_triangular(factor), next))
    }

    /// Multiplies the factor by the root.
    #[inline]
    fn multiply(&self, factor: &DMatrix<f64>, triangular: bool, next: &mut Gram) -> f64 {
        next.rewrite(|next_factor| {
            if triangular {
                transposed_times_upper(&self.moment, factor, next_factor);
            } else {
                *next_factor = self.moment.transpose() * factor;
            }
        })
    }

    /// A layer with activation, of rows `unit` times as long as `factor` has them: the root is the
    /// next factor. Returns its norm.
    fn curved(
        &mut self,
        draw: Draw<'_, T>,
        factor: &DMatrix<f64>,
        unit: f64,
        activation: &Activation,
        next: &mut Gram,
    ) -> Result<f64> {
        let triangular = is_upper_triangular(factor);
        let form = if triangular { Form::UpperTriangular } else { Form::General };
        self.fit(factor.ncols(), form);
        let entry = |i, j| if i < factor.nrows() { factor[(i, j)] * unit } else { 0.0 };
        self.packed.pack(|i, j| T::of(entry(i, j)));
        Ok(match self.draw_root(draw, Summand::Activated(activation))? {
            Root::OfSums => next.rewrite(|factor| transpose_to(&self.moment, factor)),
            Root::OfRows => {
                // Samples can be dependent here: rounding noise must not pass for a direction.
                let noise = 64.0 * T::EPSILON;
                match Gram::with_log_norm(&self.moment.transpose(), noise) {
                    Ok((gram, log_norm)) => {
                        *next = gram;
                        log_norm.exp()
                    }
                    Err(Error::ZeroMatrix { .. }) => 0.0,
                    Err(_) => f64::NAN,
                }
            }
        })
    }

    /// Allocates memory for rows of another kind, if they are.
    fn fit(&mut self, order: usize, form: Form) {
        if (order, form) != (self.packed.rows(), self.packed.form()) {
            *self = Self::of_form(self.plan.rows(), order, form);
        }
    }

    /// Draws all rows and leaves in `moment` the lower triangular root `L` of the sum, `L L^T`.
    fn draw_root(&mut self, draw: Draw<'_, T>, summand: Summand<'_>) -> Result<Root> {
        let Draw { key, scale, team, proceed } = draw;
        let Self { level, plan, packed, reduction, moment } = self;
        let rows = Rows { factor: packed, scale, summand };
        let drawn = Drawn { plan, layer: key.layer as usize };
        let accumulate = |index, scratch: &mut Scratch<T>, sum: &mut [f64]| {
            T::accumulate(*level, plan, &rows, key, index, scratch, sum);
            Ok(())
        };
        moment.fill(0.0);
        let fingerprint = || fingerprint(plan, &rows, key);
        let total = moment.as_mut_slice();
        if !reduction.sum(drawn, team, fingerprint, accumulate, proceed, total)? {
            moment.fill(f64::NAN); // of which no scale is finite
            return Ok(Root::OfSums);
        }
        // Squares so small have lost digits, or vanished.
        let least = T::TINY.into() * plan.rows() as f64;
        let in_range = (0..moment.nrows()).all(|i| moment[(i, i)] >= least);
        if in_range && cholesky(moment) >= T::TRUSTED_PIVOT {
            return Ok(Root::OfSums);
        }
        self.root_from_rows(key, scale, summand);
        Ok(Root::OfRows)
    }

    /// The same root from the rows drawn again, one block after the other: a QR factorisation in
    /// `f64`, which never squares them. Slow; rare unless `d` is close to `n` or samples are
    /// dependent.
    fn root_from_rows(&mut self, key: StreamKey, scale: RowScale<T>, summand: Summand<'_>) {
        let Self { level, plan, packed, reduction, moment } = self;
        let order = moment.nrows();
        let mut root = DMatrix::zeros(order, order);
        for index in 0..plan.blocks() {
            let mut rows = DMatrix::zeros(order + plan.block_rows(), order);
            rows.rows_mut(0, order).copy_from(&root);
            let first = order + index * plan.block_rows();
            let mut keep = |i, j, value: T| rows[(order + i, j)] = value.into();
            T::block_normals(*level, plan, key, index, reduction.scratch(), &mut keep);
            // Rows beyond the last are zero, and an activation may send them elsewhere.
            let count = plan.block_rows().min(order + plan.rows() - first);
            for mut row in rows.rows_mut(order, count).row_iter_mut() {
                let mut y: Vec<f64> = (0..order)
                    .map(|j| (0..packed.reach(j)).map(|i| row[i] * packed.entry(i, j)).sum())
                    .collect();
                let factor = scale.factor(y.iter().map(|y| y * y).sum());
                match summand {
                    Summand::Product => row *= factor,
                    Summand::Activated(activation) => {
                        y.iter_mut().for_each(|y| *y *= factor);
                        activation.apply(&mut y);
                        row.iter_mut().zip(y).for_each(|(to, u)| *to = u);
                    }
                }
            }
            root = triangle(rows);
        }
        *moment = root.transpose();
    }
}

/// A hash of all that the rows of a layer depend on.
fn fingerprint<T: Scalar>(plan: &Plan, rows: &Rows<'_, T>, key: StreamKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    let Rows { factor, scale, summand } = rows;
    (key, plan.rows(), plan.block_rows(), factor.columns()).hash(&mut hasher);
    let mut activated = [1.0, -1.0];
    if let Summand::Activated(activation) = summand {
        activation.apply(&mut activated);
    }
    let columns = 0..factor.columns();
    let entries = columns.flat_map(|j| (0..factor.reach(j)).map(move |i| factor.entry(i, j)));
    for number in entries.chain(activated).chain([scale.factor(0.0), scale.factor(1.0)]) {
        number.to_bits().hash(&mut hasher);
    }
    hasher.finish()
}

/// Where a root comes from: sums of products are fast, but lose a direction that is nearly lost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Root {
    OfSums,
    OfRows,
}

/// Writes the transpose of a square matrix, lower triangular, to `upper`.
fn transpose_to(lower: &DMatrix<f64>, upper: &mut DMatrix<f64>) {
    if upper.shape() == lower.shape() {
        lower.transpose_to(upper);
    } else {
        *upper = lower.transpose();
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::super::communicator::SingleProcess;
    use super::*;
    use crate::kernel::compiled::Kernels;
    use crate::{Input, Purpose, Replicate, Seed};
    use proptest::prelude::*;

    fn no_break(_: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    proptest! {
        /// Both ways to the root, and the naive sum that they stand for.
        #[test]
        fn roots_agree_with_the_naive_sum(
            n in 1usize..20, extra in 0usize..600, seed in any::<u64>(), plain in any::<bool>(),
            activated in any::<bool>(),
        ) {
            let d = n + extra;
            let factor = Input::gaussian(n, n, Seed(seed)).unwrap().gram().factor().clone();
            let scale = if plain { RowScale::new(0.0, 1.0) } else { RowScale::new(0.25, 0.1) };
            let key = Replicate::from(Seed(seed)).stream(Purpose::Rows, 3, 0).key();
            let mut rows = RowStream::<f64>::new(d, n);
            rows.packed.pack(|i, j| factor[(i, j)]);
            // It does not leave zeros where they are.
            let activation = Activation::Logistic;
            let summand =
                if activated { Summand::Activated(&activation) } else { Summand::Product };
            let mut naive = DMatrix::zeros(n, n);
            for block in 0..rows.plan.blocks() {
                let mut z = DMatrix::zeros(n, rows.plan.block_rows());
                let scratch = rows.reduction.scratch();
                let mut keep = |i, j, value| z[(j, i)] = value;
                f64::block_normals(rows.level, &rows.plan, key, block, scratch, &mut keep);
                let height = (d - block * rows.plan.block_rows()).min(z.ncols());
                for z in z.columns(0, height).column_iter() {
                    let y = factor.transpose() * z;
                    let squared_norm = y.norm_squared();
                    let weight = if plain { 1.0 } else { 1.0 / (0.25 * squared_norm + 0.1) };
                    let u = if activated {
                        y.map(|y| 1.0 / (1.0 + (-weight.sqrt() * y).exp()))
                    } else {
                        z * weight.sqrt()
                    };
                    naive += &u * u.transpose();
                }
            }
            let draw = Draw { key, scale, team: &mut SingleProcess, proceed: &mut no_break };
            rows.draw_root(draw, summand).unwrap();
            let first = &rows.moment * rows.moment.transpose();
            rows.root_from_rows(key, scale, summand);
            let second = &rows.moment * rows.moment.transpose();
            prop_assert!((first - &naive).amax() < 1e-12 * naive.amax());
            prop_assert!((second - &naive).amax() < 1e-12 * naive.amax());
        }
    }
}
