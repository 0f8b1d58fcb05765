//! Products `W X` of fresh weights and a matrix that is held, drawn with or without `W`.

use fearless_simd::Level;
use nalgebra::DMatrix;
use rand_distr::{ChiSquared, Distribution};

use super::Proceed;
use crate::kernel::factor::{Factor, Form};
use crate::kernel::weights::{WeightPlan, WeightScratch};
use crate::parallel;
use crate::product::product;
use crate::weights::{Fans, ProductLaw, WeightInit, Weights, frame};
use crate::{Error, Gram, Purpose, Replicate, Result, Scalar, Stream};

/// Whether weights are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Only if the law of the product is not known. If it is, `W R` is drawn, with few columns in
    /// `W` and $`R^\top R = X^\top X`$, which has the same law.
    Law,
    /// Always, and so that they can be drawn again.
    Weights,
}

/// Draws products, block by block of rows.
#[derive(Clone, Debug)]
pub(super) struct Products<T: Scalar> {
    source: Source,
    level: Level,
    plan: WeightPlan,
    /// What is multiplied, as the kernels read it.
    packed: Factor<T>,
    workers: Vec<Worker<T>>,
}

/// Memory for a block of rows.
#[derive(Clone, Debug)]
struct Worker<T: Scalar> {
    scratch: WeightScratch<T>,
    /// Column by column.
    rows: Vec<T>,
    outcome: Result<()>,
}

/// Where the weights of a product are drawn.
#[derive(Clone, Debug)]
pub(crate) struct Draw {
    pub init: Weights,
    pub fans: Fans,
    /// Rows of `W`.
    pub rows: usize,
    pub run: Replicate,
    /// The layer that the product makes.
    pub layer: u32,
}

impl Draw {
    fn law(&self) -> ProductLaw {
        self.init.product_law(self.fans)
    }

    /// Refuses weights that are out of the range of their number type; what is known of their
    /// product alone may go beyond.
    pub(super) fn check<T: Scalar>(&self) -> Result<()> {
        const LARGEST_NORMAL: f64 = 16.0;
        let value = match self.law() {
            ProductLaw::Gaussian { deviation } => deviation,
            ProductLaw::Orthogonal { gain } => gain,
            ProductLaw::Spherical { radius } => radius,
            ProductLaw::Unknown => return Ok(()),
        };
        let fits = T::of(LARGEST_NORMAL * value).is_finite();
        if fits && T::of(value * T::EPSILON) > T::zero() {
            return Ok(());
        }
        let expected = "weights in the range of their number type";
        Err(Error::InvalidParameter { name: "size of weights", value, expected })
    }

    fn stream(&self, purpose: Purpose) -> Stream {
        self.run.stream(purpose, self.layer, 0)
    }

    /// The weights, `rows x inputs`: the same ones whenever they are drawn.
    pub(crate) fn weights<T: Scalar>(&self) -> DMatrix<T> {
        let mut weights = DMatrix::zeros(self.rows, self.fans.inputs);
        let stream = self.stream(Purpose::Weights);
        if let ProductLaw::Gaussian { deviation } = self.law() {
            let plan = WeightPlan::new::<T>(self.rows, self.fans.inputs);
            let mut scratch = WeightScratch::new(1);
            let entries = weights.as_mut_slice();
            T::weights(Level::new(), &plan, stream.key(), &mut scratch, entries);
            weights *= T::of(deviation);
        } else {
            self.init.sample_to(&mut weights, self.fans, stream);
        }
        weights
    }
}

impl<T: Scalar> Products<T> {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            level: Level::new(),
            plan: WeightPlan::new::<T>(1, 1),
            packed: Factor::new(1, 1, Form::General),
            workers: Vec::new(),
        }
    }

    /// The product of fresh weights and `x` in units of exp of a number, which is also returned:
    /// a gain stays outside, where it cannot overflow. `finish` turns blocks of rows, column by
    /// column, into what is kept; `proceed` gets the number of finished rows and may stop.
    pub(super) fn draw(
        &mut self,
        draw: &Draw,
        x: &DMatrix<T>,
        finish: impl Fn(&mut [T], usize, f64) -> Result<()> + Sync,
        proceed: Proceed<'_>,
    ) -> Result<(DMatrix<T>, f64)> {
        let known = self.source == Source::Law && x.ncols() < x.nrows();
        let inputs = x.nrows() as f64;
        match draw.law() {
            ProductLaw::Gaussian { deviation } => {
                let log_gain = (deviation * inputs.sqrt()).ln();
                let finish = |rows: &mut [T], height| finish(rows, height, log_gain);
                let unit = inputs.sqrt().recip();
                let product = if known {
                    let factor = factor_of(x)?;
                    self.blocks(draw, Purpose::Rows, &factor, unit, finish, proceed)?
                } else {
                    self.blocks(draw, Purpose::Weights, x, unit, finish, proceed)?
                };
                Ok((product, log_gain))
            }
            ProductLaw::Orthogonal { gain } if known => {
                let factor = factor_of(x)?.map(T::of);
                let (rows, order) = (draw.rows, factor.nrows());
                let frame: DMatrix<T> =
                    frame(rows.max(x.nrows()), order, draw.stream(Purpose::Rows));
                let frame = frame.rows(0, rows).into_owned();
                finish_blocks(draw, product(&frame, &factor), gain.ln(), finish, proceed)
            }
            ProductLaw::Spherical { radius } if known => {
                let factor = factor_of(x)?.map(T::of);
                let mut normals = DMatrix::<T>::zeros(draw.rows, factor.nrows());
                draw.stream(Purpose::Rows).fill_normal(normals.as_mut_slice());
                let rest = (x.nrows() - factor.nrows()) as f64;
                // The entries of a Gaussian row that no sample sees count in its norm all the same.
                let unseen = ChiSquared::new(rest).ok();
                let mut rng = draw.stream(Purpose::RowNorms).rng();
                for mut row in normals.row_iter_mut() {
                    let seen: f64 = row.iter().map(|&z| z.into() * z.into()).sum();
                    let square = seen + unseen.map_or(0.0, |unseen| unseen.sample(&mut rng));
                    row *= T::of(square.sqrt().recip());
                }
                finish_blocks(draw, product(&normals, &factor), radius.ln(), finish, proceed)
            }
            _ => finish_blocks(draw, product(&draw.weights(), x), 0.0, finish, proceed),
        }
    }

    /// The product of independent normals and `x` times `unit`, finished while blocks are in cache.
    fn blocks<N: Copy + Into<f64> + nalgebra::Scalar>(
        &mut self,
        draw: &Draw,
        purpose: Purpose,
        x: &DMatrix<N>,
        unit: f64,
        finish: impl Fn(&mut [T], usize) -> Result<()> + Sync,
        proceed: Proceed<'_>,
    ) -> Result<DMatrix<T>> {
        let key = draw.stream(purpose).key();
        let n = x.ncols();
        self.fit(WeightPlan::new::<T>(draw.rows, x.nrows()), n);
        let Self { level, plan, packed, workers, .. } = self;
        packed.pack(|i, j| T::of(x[(i, j)].into() * unit));
        let mut output = DMatrix::zeros(draw.rows, n);
        let total = plan.blocks();
        for first in (0..total).step_by(workers.len()) {
            let wave = workers.len().min(total - first);
            parallel::for_each(&mut workers[..wave], |offset, worker| {
                let Worker { scratch, rows, outcome } = worker;
                let product =
                    T::multiply_weights(*level, plan, packed, key, first + offset, scratch);
                rows.clear();
                for column in 0..n {
                    product.column(column).for_each(|piece| rows.extend_from_slice(piece));
                }
                let height = rows.len() / n;
                *outcome = finish(rows, height);
            });
            for (block, worker) in (first..).zip(&mut workers[..wave]) {
                let range = plan.block_rows(block);
                std::mem::replace(&mut worker.outcome, Ok(()))
                    .map_err(|error| error.with_rows_from(range.start))?;
                let columns = worker.rows.chunks_exact(range.len());
                for (mut to, from) in output.column_iter_mut().zip(columns) {
                    to.as_mut_slice()[range.clone()].copy_from_slice(from);
                }
            }
            let done = plan.block_rows(first + wave - 1).end;
            if proceed(done).is_break() && first + wave < total {
                return Err(Error::Interrupted { layer: draw.layer as usize, rows: done });
            }
        }
        Ok(output)
    }

    /// Allocates memory for products of this shape.
    fn fit(&mut self, plan: WeightPlan, n: usize) {
        if (plan, n) == (self.plan, self.packed.columns()) && !self.workers.is_empty() {
            return;
        }
        let worker = Worker { scratch: WeightScratch::new(n), rows: Vec::new(), outcome: Ok(()) };
        let count = parallel::workers(plan.blocks(), plan.block_rows(0).len() * n);
        self.plan = plan;
        self.packed = Factor::new(plan.shape().1, n, Form::General);
        self.workers = vec![worker; count];
    }
}

/// A factor $`R`$, $`R^\top R = X^\top X`$, with as many rows as `X` has independent columns.
fn factor_of<T: Scalar>(x: &DMatrix<T>) -> Result<DMatrix<f64>> {
    let (gram, log_norm) = Gram::quick(x)?;
    Ok(gram.factor() * log_norm.exp())
}

/// Finishes a product that is in memory.
fn finish_blocks<T: Scalar>(
    draw: &Draw,
    mut product: DMatrix<T>,
    log_gain: f64,
    finish: impl Fn(&mut [T], usize, f64) -> Result<()>,
    proceed: Proceed<'_>,
) -> Result<(DMatrix<T>, f64)> {
    const HEIGHT: usize = 256;
    for first in (0..product.nrows()).step_by(HEIGHT) {
        if first > 0 && proceed(first).is_break() {
            return Err(Error::Interrupted { layer: draw.layer as usize, rows: first });
        }
        let height = HEIGHT.min(product.nrows() - first);
        let mut rows = product.rows(first, height).into_owned();
        finish(rows.as_mut_slice(), height, log_gain)
            .map_err(|error| error.with_rows_from(first))?;
        product.rows_mut(first, height).copy_from(&rows);
    }
    let _ = proceed(product.nrows()); // a layer that is done is kept
    Ok((product, log_gain))
}
