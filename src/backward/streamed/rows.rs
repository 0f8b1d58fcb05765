//! The rows of a layer, drawn again block by block, and the gradients by them.

use fearless_simd::Level;
use nalgebra::DMatrix;

use super::super::Top;
use crate::kernel::block::Scratch;
use crate::kernel::cholesky_qr::RowLines;
use crate::kernel::generator::StreamKey;
use crate::kernel::plan::Plan;
use crate::kernel::product::{Operand, ProductScratch};
use crate::network::Operation;
use crate::product::fit;
use crate::{Network, Result, Scalar};

/// What turns the product `y` of weights into what the next weights multiply.
pub(super) const OPERATIONS: [Operation; 2] = [Operation::Normalize, Operation::Activate];

/// The rows of a layer: `y`, `N(y)` and `x = F(N(y))`, its states 0, 1 and 2.
#[derive(Debug)]
pub(super) struct Rows<'a, T: Scalar> {
    pub network: &'a Network<T>,
    pub plan: Plan,
    pub source: Source<'a, T>,
    /// The state that the layer ends with.
    pub ends: usize,
    /// Logarithms of the units of the states.
    pub units: [f64; 3],
}

/// Where rows come from.
#[derive(Debug)]
pub(super) enum Source<'a, T: Scalar> {
    /// $`y = F^\top z`$ with the normals of a stream, of which as many count as `F` has rows.
    Drawn { factor: DMatrix<T>, order: usize, key: StreamKey },
    /// The input's, from the state that it is to the last.
    Held { states: &'a [DMatrix<T>] },
}

/// Coordinates `p` of the rows `x`.
#[derive(Debug)]
pub(super) enum Coordinates<T: Scalar> {
    /// $`p = w z`$ where $`x = w F^\top z`$: no factor is inverted.
    OfNormals(usize),
    /// $`p = E^\top x`$.
    OfRows(DMatrix<T>),
    /// Held beside the rows.
    Held(DMatrix<T>),
}

impl<T: Scalar> Coordinates<T> {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::OfNormals(count) => *count,
            Self::OfRows(matrix) | Self::Held(matrix) => matrix.ncols(),
        }
    }
}

/// Where the gradient of a pass comes from.
#[derive(Debug)]
pub(super) enum Origin<'a, T: Scalar> {
    /// The top of the network, by the state that the layer ends with.
    Top { top: Top, key: StreamKey },
    /// The layer above, by `x`: $`g = K^\top (p, \zeta)`$.
    Above { coefficients: DMatrix<T>, coordinates: &'a Coordinates<T>, fresh: StreamKey },
}

/// What a thread needs for a block of rows.
#[derive(Debug)]
pub(super) struct Worker<T: Scalar> {
    normals: Option<(Plan, Scratch<T>)>,
    product: ProductScratch<T>,
    z: Vec<T>,
    states: [DMatrix<T>; 3],
    gradient: DMatrix<T>,
    /// The coordinates and the fresh normals, `p | zeta`.
    both: DMatrix<T>,
    lines: Vec<(usize, RowLines)>,
}

impl<T: Scalar> Default for Worker<T> {
    fn default() -> Self {
        Self {
            normals: None,
            product: ProductScratch::default(),
            z: Vec::new(),
            states: std::array::from_fn(|_| DMatrix::zeros(0, 0)),
            gradient: DMatrix::zeros(0, 0),
            both: DMatrix::zeros(0, 0),
            lines: Vec::new(),
        }
    }
}

impl<T: Scalar> Rows<'_, T> {
    /// Entries of a row.
    pub(super) fn batch_size(&self) -> usize {
        match &self.source {
            Source::Drawn { factor, .. } => factor.ncols(),
            Source::Held { states } => states[0].ncols(),
        }
    }

    /// How many normals of a row count.
    fn rank(&self) -> usize {
        match &self.source {
            Source::Drawn { factor, .. } => factor.nrows(),
            Source::Held { .. } => 0,
        }
    }

    /// Orders of the sums of [`add_gradients`](Self::add_gradients): of those by `H`, and of `Delta`.
    pub(super) fn gradient_orders(&self) -> [usize; 2] {
        let n = self.batch_size();
        let delta = match self.source {
            Source::Drawn { .. } => n + self.rank(),
            Source::Held { .. } => 0,
        };
        [2 * n, delta]
    }

    /// Adds the products of the columns `p | zeta` over a block.
    pub(super) fn add_coordinates(
        &self,
        level: Level,
        coordinates: &Coordinates<T>,
        fresh: StreamKey,
        block: usize,
        worker: &mut Worker<T>,
        sums: &mut [f64],
    ) -> Result<()> {
        self.load(level, block, worker)?;
        self.coordinates(level, coordinates, fresh, block, worker);
        let Worker { both, lines, .. } = worker;
        add_products(level, &[both], lines, sums);
        Ok(())
    }

    /// Adds the products of the columns `H | G` over a block, where `G` is the gradient by `H`, and of
    /// `Delta | z`, where `Delta` is that by `y`.
    pub(super) fn add_gradients(
        &self,
        level: Level,
        origin: &Origin<'_, T>,
        block: usize,
        worker: &mut Worker<T>,
        sums: &mut [f64],
    ) -> Result<()> {
        self.load(level, block, worker)?;
        let (count, n) = worker.states[2].shape();
        fit(&mut worker.gradient, (count, n));
        let from = match origin {
            Origin::Top { top, key } => {
                self.top(level, *top, *key, block, worker);
                self.ends
            }
            Origin::Above { coefficients, coordinates, fresh } => {
                self.coordinates(level, coordinates, *fresh, block, worker);
                let Worker { both, gradient, product, .. } = worker;
                let right = Operand::new(coefficients.as_slice(), coefficients.nrows());
                let left = Operand::new(both.as_slice(), count);
                T::multiply(level, left, right.columns(0..n), gradient.as_mut_slice(), product);
                2
            }
        };
        let Worker { z, states, gradient, lines, .. } = worker;
        for state in (self.ends..from).rev() {
            self.pull_back(state, states, gradient)?;
        }
        let (of_h, of_delta) = sums.split_at_mut(self.gradient_orders()[0].pow(2));
        add_products(level, &[&states[self.ends], gradient], lines, of_h);
        if let Source::Drawn { factor, .. } = &self.source {
            for state in (0..self.ends).rev() {
                self.pull_back(state, states, gradient)?;
            }
            z.truncate(count * factor.nrows());
            let z = DMatrix::from_vec(count, factor.nrows(), std::mem::take(z));
            add_products(level, &[gradient, &z], lines, of_delta);
            worker.z = z.data.into();
        }
        Ok(())
    }

    /// Takes the gradient by a state's successor to that by the state.
    fn pull_back(
        &self,
        state: usize,
        states: &[DMatrix<T>; 3],
        gradient: &mut DMatrix<T>,
    ) -> Result<()> {
        let at = (&states[state], 1, self.units[state]);
        self.network.pull_back(OPERATIONS[state], at, gradient)?;
        Ok(())
    }

    /// The logarithm of what the gradient by state `to` lacks, of one by state `from`.
    pub(super) fn log_factor(&self, from: usize, to: usize) -> f64 {
        let factor =
            |state| self.network.log_factor_of_pullback(OPERATIONS[state], self.units[state]);
        (to..from).map(factor).sum()
    }

    /// Draws a block again, or reads it.
    fn load(&self, level: Level, block: usize, worker: &mut Worker<T>) -> Result<()> {
        let first = block * self.plan.block_rows();
        let count = self.plan.block_rows().min(self.plan.rows() - first);
        let n = self.batch_size();
        let Worker { normals, product, z, states, .. } = worker;
        match &self.source {
            Source::Held { states: held } => {
                for (to, from) in states[self.ends..].iter_mut().zip(*held) {
                    fit(to, (count, n));
                    to.copy_from(&from.rows(first, count));
                }
            }
            Source::Drawn { factor, order, key } => {
                z.resize(count * order, T::zero());
                if normals.as_ref().is_none_or(|(plan, _)| *plan != self.plan) {
                    *normals = None;
                }
                let (_, scratch) =
                    normals.get_or_insert_with(|| (self.plan, Scratch::new(&self.plan)));
                T::normal_columns(level, &self.plan, *key, block, scratch, z);
                let rank = factor.nrows();
                fit(&mut states[0], (count, n));
                let left = Operand::new(&z[..count * rank], count);
                let right = Operand::new(factor.as_slice(), rank).columns(0..n);
                T::multiply(level, left, right, states[0].as_mut_slice(), product);
                for (state, &operation) in OPERATIONS.iter().enumerate() {
                    let (done, rest) = states.split_at_mut(state + 1);
                    fit(&mut rest[0], (count, n));
                    rest[0].copy_from(&done[state]);
                    let entries = (rest[0].as_mut_slice(), count);
                    self.network.operate(operation, entries, 1, self.units[state])?;
                }
            }
        }
        Ok(())
    }

    /// Fills `p | zeta` for the block that is loaded.
    fn coordinates(
        &self,
        level: Level,
        coordinates: &Coordinates<T>,
        fresh: StreamKey,
        block: usize,
        worker: &mut Worker<T>,
    ) {
        let Worker { product, z, states, both, .. } = worker;
        let ((count, n), order) = (states[2].shape(), coordinates.count());
        fit(both, (count, order + n));
        let (p, zeta) = both.as_mut_slice().split_at_mut(count * order);
        match coordinates {
            Coordinates::OfNormals(_) => {
                p.copy_from_slice(&z[..p.len()]);
                let weights = scales(&states[0], &states[2]);
                for column in p.chunks_exact_mut(count) {
                    column.iter_mut().zip(&weights).for_each(|(p, w)| *p *= *w);
                }
            }
            Coordinates::OfRows(inverse) => {
                let left = Operand::new(states[2].as_slice(), count);
                let right = Operand::new(inverse.as_slice(), n).columns(0..order);
                T::multiply(level, left, right, p, product);
            }
            Coordinates::Held(held) => {
                let first = block * self.plan.block_rows();
                for (to, from) in p.chunks_exact_mut(count).zip(held.column_iter()) {
                    to.copy_from_slice(&from.as_slice()[first..][..count]);
                }
            }
        }
        T::fill_normal(level, StreamKey { block: block as u32, ..fresh }, zeta);
    }

    /// The gradient at the top of the block that is loaded.
    fn top(&self, level: Level, top: Top, key: StreamKey, block: usize, worker: &mut Worker<T>) {
        let Worker { states, gradient, .. } = worker;
        let key = StreamKey { block: block as u32, ..key };
        match top {
            Top::RandomDirection => T::fill_normal(level, key, gradient.as_mut_slice()),
            Top::Representation => gradient.copy_from(&states[self.ends]),
            Top::ReadOut => {
                let count = gradient.nrows();
                let deviation = T::of((self.plan.rows() as f64).sqrt().recip());
                let (first, rest) = gradient.as_mut_slice().split_at_mut(count);
                T::fill_normal(level, key, first);
                first.iter_mut().for_each(|v| *v *= deviation);
                rest.chunks_exact_mut(count).for_each(|column| column.copy_from_slice(first));
            }
        }
    }
}

/// The factors `w` of rows $`x = w y`$, where `x` may have lost its mean: then so has $`w y`$.
fn scales<T: Scalar>(y: &DMatrix<T>, x: &DMatrix<T>) -> Vec<T> {
    let count = y.nrows();
    let mut sums = vec![(0.0f64, 0.0f64); count];
    let columns = y.as_slice().chunks_exact(count).zip(x.as_slice().chunks_exact(count));
    for (y, x) in columns {
        for ((square, product), (&y, &x)) in sums.iter_mut().zip(y.iter().zip(x)) {
            let (y, x): (f64, f64) = (y.into(), x.into());
            *square += x * x;
            *product += x * y;
        }
    }
    let scale = |(square, product): (f64, f64)| if square > 0.0 { square / product } else { 0.0 };
    sums.into_iter().map(|sums| T::of(scale(sums))).collect()
}

/// Adds the products of the columns of matrices side by side, of pairs i <= j, to `sums[i k + j]`.
fn add_products<T: Scalar>(
    level: Level,
    matrices: &[&DMatrix<T>],
    lines: &mut Vec<(usize, RowLines)>,
    sums: &mut [f64],
) {
    let columns: usize = matrices.iter().map(|matrix| matrix.ncols()).sum();
    let place = lines.iter().position(|(width, _)| *width == columns).unwrap_or_else(|| {
        // As many rows in every worker, so that sums are the same.
        lines.push((columns, RowLines::new(usize::MAX, columns)));
        lines.len() - 1
    });
    let lines = &mut lines[place].1;
    let count = matrices[0].nrows();
    for first in (0..count).step_by(lines.rows()) {
        let some = first..(first + lines.rows()).min(count);
        let columns = matrices.iter().flat_map(|matrix| matrix.as_slice().chunks_exact(count));
        for (index, column) in columns.enumerate() {
            T::pack(level, index, &column[some.clone()], lines);
        }
        lines.add_products(level, sums);
    }
}
