//! The chain with its weights drawn: lends `W` and `H`.

use fearless_simd::Level;
use nalgebra::{DMatrix, DMatrixViewMut};

use super::{Layer, layer_coordinate, parallel};
use crate::activation::{Activation, Identity};
use crate::kernel::activation::apply;
use crate::kernel::factor::{Factor, Form};
use crate::kernel::generator::StreamKey;
use crate::kernel::triangular::cholesky;
use crate::kernel::weights::{WeightPlan, WeightScratch};
use crate::normalization::BatchNorm;
use crate::{Error, Gram, Input, Network, Purpose, Result, Run, Scalar};

/// A chain that draws its weight matrices, for whoever needs `W` or `H`.
///
/// Its layers have the same law as those of [`Chain`](crate::Chain), but other random numbers.
/// A singular value is accurate to epsilon times the norm of its column, as in any computation
/// that holds `H`. Weights are drawn panel by panel and multiplied at once; only
/// [`ExplicitLayer::weights`] ever stores them.
///
/// ```
/// use approx::assert_relative_eq;
/// use orthogap::{Input, Network, Seed, normalization::BatchNorm};
///
/// let input = Input::gaussian(10, 4, Seed(1))?;
/// let mut chain = Network::<f64>::new(32).explicit_chain(&input, Seed(7))?;
/// let mut first = chain.step()?;
/// let h = first.representation().clone();
/// let w = first.weights();
/// assert_eq!(w.shape(), (32, 10));
/// assert_relative_eq!(h, BatchNorm::paper().normalize(&(w * input.columns()))?, epsilon = 1e-13);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExplicitChain<T: Scalar, A = Identity> {
    network: Network<T, A>,
    run: Run,
    layer: Layer,
    representation: DMatrix<T>,
    /// The representations are exp of this times what is held.
    log_unit: f64,
    level: Level,
    plan: WeightPlan,
    /// The representation, `inputs x n`, as the kernels read it.
    packed: Factor<T>,
    workers: Vec<Worker<T>>,
    failed: bool,
}

/// Room for a block of rows.
#[derive(Clone, Debug)]
struct Worker<T: Scalar> {
    scratch: WeightScratch<T>,
    /// Column by column.
    rows: Vec<T>,
    outcome: Result<()>,
}

/// A layer of an [`ExplicitChain`], with what was drawn for it.
#[derive(Debug)]
pub struct ExplicitLayer<'a, T: Scalar, A = Identity> {
    chain: &'a mut ExplicitChain<T, A>,
    key: StreamKey,
    drawn: Option<DMatrix<T>>,
}

impl<T: Scalar, A: Activation> ExplicitLayer<'_, T, A> {
    /// Its Gram matrix, depth and scale.
    #[must_use]
    pub fn layer(&self) -> &Layer {
        &self.chain.layer
    }

    /// The weights `W` that led to this layer, `d x d` or, in layer 1, `d x dimension`.
    ///
    /// They are drawn again, the same ones, when first asked for: `d²` normals and `O(d²)` memory.
    pub fn weights(&mut self) -> &DMatrix<T> {
        let Self { chain, key, drawn } = self;
        drawn.get_or_insert_with(|| {
            let (rows, inputs) = chain.plan.shape();
            let mut weights = DMatrix::zeros(rows, inputs);
            let scratch = &mut chain.workers[0].scratch;
            T::weights(chain.level, &chain.plan, *key, scratch, weights.as_mut_slice());
            weights * T::of(chain.network.gaussian().gain() / (inputs as f64).sqrt())
        })
    }

    /// The representation `H`, `d x n`, samples are columns.
    ///
    /// Under batch normalisation it is its very output (the paper's Eq. 1 divides by a further
    /// sqrt(d), which no metric sees). A vanilla `H` is rescaled to root mean square 1, and
    /// [`Layer::log_scale`] tells its true one.
    #[must_use]
    pub fn representation(&self) -> &DMatrix<T> {
        &self.chain.representation
    }
}

impl<T: Scalar, A: Activation> ExplicitChain<T, A> {
    pub(crate) fn new(network: Network<T, A>, input: &Input, run: Run) -> Self {
        let unit = input.log_scale().exp();
        let representation = input.columns().map(|x| T::of(x / unit));
        let (inputs, n) = representation.shape();
        let plan = WeightPlan::new::<T>(network.width(), inputs);
        let worker = Worker { scratch: WeightScratch::new(n), rows: Vec::new(), outcome: Ok(()) };
        Self {
            network,
            run,
            layer: Layer::input(input),
            log_unit: input.log_scale(),
            level: Level::new(),
            plan,
            packed: Factor::new(inputs, n, Form::General),
            workers: vec![worker; parallel::workers(plan.blocks(), plan.block_rows(0).len() * n)],
            representation,
            failed: false,
        }
    }

    /// The current layer: the input at first, then the one last stepped to.
    #[must_use]
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// Draws the weights of one more layer, applies it, and lends what there is.
    ///
    /// Cost: `d²` normals, `d² n` multiply-adds, and a factorisation of `H`.
    ///
    /// # Errors
    /// [`Error::Collapsed`] if the samples are parallel to working precision under batch
    /// normalisation, [`Error::StreamExhausted`] beyond 2^32 layers, and those of
    /// [`BatchNorm::normalize_mut`](crate::normalization::BatchNorm::normalize_mut).
    pub fn step(&mut self) -> Result<ExplicitLayer<'_, T, A>> {
        let depth = self.layer.depth + 1;
        let key = self.run.stream(Purpose::Weights, layer_coordinate(depth)?, 0).key();
        let (width, inputs) = (self.network.width(), self.representation.nrows());
        let plan = WeightPlan::new::<T>(width, inputs);
        if plan != self.plan {
            self.plan = plan;
            self.packed = Factor::new(inputs, self.layer.batch_size(), Form::General);
        }
        // What is held is smaller than the truth by exp(log_unit), so epsilon is, too. The gain is
        // left to the scale, where it cannot overflow.
        let log_unit = self.log_unit + self.network.gaussian().gain().ln();
        let batch_norm = match self.network.batch_norm() {
            Some(batch_norm) if batch_norm.epsilon() > 0.0 => {
                Some(batch_norm.with_epsilon(batch_norm.epsilon() * (-2.0 * log_unit).exp())?)
            }
            batch_norm => batch_norm,
        };
        let scale_free = batch_norm.is_some() || A::HOMOGENEOUS;
        let scale = if scale_free { 1.0 } else { log_unit.exp() };
        let mut representation = self.propagate(key, batch_norm, scale)?;
        let log_unit = if batch_norm.is_some() {
            0.0
        } else {
            let log_rms = log_rms(&representation);
            representation /= T::of(log_rms.exp());
            if scale_free { log_unit + log_rms } else { log_rms }
        };
        let gram = gram(&representation)?;
        let batch_size = gram.batch_size();
        if self.network.batch_norm().is_some() && gram.rank() == 1 && self.layer.rank() > 1 {
            return Err(Error::Collapsed { layer: depth, batch_size });
        }
        self.layer = Layer { depth, gram, log_scale: log_unit + log_rms(&representation) };
        self.log_unit = log_unit;
        self.representation = representation;
        Ok(ExplicitLayer { chain: self, key, drawn: None })
    }

    /// `F(BN(scale W H))` for weights of variance 1/m, `m` the number of inputs; block by block, so
    /// that rows are normalised while they are in cache.
    fn propagate(
        &mut self,
        key: StreamKey,
        batch_norm: Option<BatchNorm>,
        scale: f64,
    ) -> Result<DMatrix<T>> {
        let activation = self.network.function();
        let Self { level, plan, packed, workers, representation, .. } = self;
        let (width, inputs) = plan.shape();
        let scale = T::of(scale / (inputs as f64).sqrt());
        packed.pack(|i, j| representation[(i, j)] * scale);
        let n = representation.ncols();
        let mut output = DMatrix::zeros(width, n);
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
                *outcome = batch_norm.map_or(Ok(()), |batch_norm| {
                    batch_norm.normalize_rows(&mut DMatrixViewMut::from_slice(rows, height, n))
                });
                if !A::LINEAR {
                    apply(activation, rows);
                }
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
        }
        Ok(output)
    }

    /// Goes `layers` layers deeper and lends the last one.
    ///
    /// # Errors
    /// Those of [`step`](Self::step); the chain stays at the last good layer.
    pub fn advance(&mut self, layers: usize) -> Result<&Layer> {
        for _ in 0..layers {
            self.step()?;
        }
        Ok(&self.layer)
    }
}

/// Yields layer 1 first; ends after an error.
impl<T: Scalar, A: Activation> Iterator for ExplicitChain<T, A> {
    type Item = Result<Layer>;

    fn next(&mut self) -> Option<Result<Layer>> {
        if self.failed {
            return None;
        }
        let layer = self.step().map(|explicit| explicit.layer().clone());
        self.failed = layer.is_err();
        Some(layer)
    }
}

/// Logarithm of the root mean square entry.
fn log_rms<T: Scalar>(h: &DMatrix<T>) -> f64 {
    let squares: f64 = h.iter().map(|&x| x.into().powi(2)).sum();
    0.5 * (squares / h.len() as f64).ln()
}

/// The Gram matrix of a representation: from products of its columns where these are so far from
/// dependent that squaring costs no more than five of sixteen digits, else by QR.
fn gram<T: Scalar>(h: &DMatrix<T>) -> Result<Gram> {
    const WELL_CONDITIONED: f64 = 1e-5;
    let columns = h.map(|x| -> f64 { x.into() });
    let mut products = columns.transpose() * &columns;
    if cholesky(&mut products) > WELL_CONDITIONED {
        products.fill_upper_triangle(0.0, 1);
        Gram::from_factor(products.transpose())
    } else {
        Gram::from_columns(h)
    }
}
