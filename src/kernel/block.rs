//! One super-block of rows, start to end: fill, multiply, normalise, activate, sum.

use crate::kernel::activation::Activation;
use crate::kernel::factor::Factor;
use crate::kernel::fused::{fused_product, fused_rows, fused_sums};
use crate::kernel::generator::StreamKey;
use crate::kernel::line::{Lanes, Line, parts};
use crate::kernel::multiply::{multiply, norms};
use crate::kernel::passes::Passes;
use crate::kernel::plan::Plan;
use crate::kernel::row_scale::RowScale;
use crate::kernel::tiles::{NARROW, STRIP, tile_columns};
use fearless_simd::{Level, dispatch, prelude::*};

/// Lines of rows that are activated at once: half of a first-level cache.
const ACTIVATED: usize = 256;

/// Working memory of one thread.
#[derive(Clone, Debug)]
pub struct Scratch<T: Lanes> {
    block: Vec<Line<T>>,
    copy: Vec<Line<T>>,
}

impl<T: Lanes> Scratch<T> {
    /// Memory for the super-blocks of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let groups = plan.groups.min(plan.rows.div_ceil(T::LANES));
        Self {
            block: vec![T::ZERO; groups * plan.stride],
            copy: vec![T::ZERO; STRIP * plan.stride],
        }
    }
}

/// What is summed over the rows z, standard normal, with y = M^T z.
#[derive(Clone, Copy, Debug)]
pub enum Summand<'a> {
    /// z z^T/|y|²: the well-conditioned middle of M^T (.) M, for linear networks.
    Product,
    /// u u^T with u = F(y scaled).
    Activated(&'a Activation),
}

/// How the rows of a layer are made, and what is summed over them.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, T> {
    /// M, n x n.
    pub factor: &'a Factor<T>,
    /// The row normalisation.
    pub scale: RowScale<T>,
    /// What is summed.
    pub summand: Summand<'a>,
}

/// Adds the upper triangle of the sum over super-block `index` to the row-major n x n `gram`.
///
/// `key.block` is ignored: every block of rows has its own stream. Allocates nothing.
pub fn accumulate<T: Passes>(
    level: Level,
    plan: &Plan,
    rows: &Rows<'_, T>,
    key: StreamKey,
    index: usize,
    scratch: &mut Scratch<T>,
    gram: &mut [f64],
) {
    assert_eq!(gram.len(), plan.batch * plan.batch);
    assert_eq!((rows.factor.rows(), rows.factor.columns()), (plan.batch, plan.batch));
    assert_eq!(plan.lanes, T::LANES);
    dispatch!(level, simd => super_block(simd, plan, rows, key, index, scratch, gram));
}

/// Visits the entries (row, column, value) of the normals z that [`accumulate`] draws in `block`,
/// rows counted from the beginning of the block.
pub fn normals<T: Passes>(
    level: Level,
    plan: &Plan,
    key: StreamKey,
    block: usize,
    scratch: &mut Scratch<T>,
    mut visit: impl FnMut(usize, usize, T),
) {
    let count = plan.block_rows().min(plan.rows - block * plan.block_rows());
    let lines = &mut scratch.block[..count.div_ceil(T::LANES) * plan.stride];
    let key = StreamKey { block: block as u32, ..key };
    T::fill_block(level, plan, key, lines);
    for (group, first) in lines.chunks_exact(plan.stride).zip((0..count).step_by(T::LANES)) {
        for (column, line) in group[..plan.batch].iter().enumerate() {
            for (row, value) in (first..count).zip(line.0.as_ref()) {
                visit(row, column, *value);
            }
        }
    }
}

/// Writes the normals of `block`, of one row after the other in each column, to `out`.
///
/// They are those of [`normals`].
pub fn normal_columns<T: Passes>(
    level: Level,
    plan: &Plan,
    key: StreamKey,
    block: usize,
    scratch: &mut Scratch<T>,
    out: &mut [T],
) {
    let count = plan.block_rows().min(plan.rows - block * plan.block_rows());
    let lines = &mut scratch.block[..count.div_ceil(T::LANES) * plan.stride];
    let key = StreamKey { block: block as u32, ..key };
    T::fill_block(level, plan, key, lines);
    assert_eq!(out.len(), count * plan.batch);
    for (column, out) in out.chunks_exact_mut(count).enumerate() {
        for (group, rows) in lines.chunks_exact(plan.stride).zip(out.chunks_mut(T::LANES)) {
            rows.copy_from_slice(&group[column].0.as_ref()[..rows.len()]);
        }
    }
}

/// [`accumulate`] on one level.
#[inline(always)]
fn super_block<S: Simd, T: Passes>(
    simd: S,
    plan: &Plan,
    rows: &Rows<'_, T>,
    key: StreamKey,
    index: usize,
    scratch: &mut Scratch<T>,
    gram: &mut [f64],
) {
    for block in index * plan.super_block..(index + 1) * plan.super_block {
        let first = block * plan.block_rows();
        if first >= plan.rows {
            break;
        }
        let count = plan.block_rows().min(plan.rows - first);
        let groups = count.div_ceil(T::LANES);
        // Rows of the last group that exist.
        let valid = count - (groups - 1) * T::LANES;
        let lines = &mut scratch.block[..groups * plan.stride];
        let key = StreamKey { block: block as u32, ..key };
        T::fill_block(simd.level(), plan, key, lines);
        blank(&mut lines[(groups - 1) * plan.stride..], valid);
        match plan.batch {
            1 => small::<S, T, 1>(simd, rows, lines, valid, gram),
            2 => small::<S, T, 2>(simd, rows, lines, valid, gram),
            3 => small::<S, T, 3>(simd, rows, lines, valid, gram),
            4 => small::<S, T, 4>(simd, rows, lines, valid, gram),
            5 => small::<S, T, 5>(simd, rows, lines, valid, gram),
            6 => small::<S, T, 6>(simd, rows, lines, valid, gram),
            7..=NARROW => {
                const C: usize = tile_columns(NARROW);
                large::<S, T, C>(simd, plan, rows, lines, valid, &mut scratch.copy, gram);
            }
            _ => {
                const C: usize = tile_columns(NARROW + 1);
                large::<S, T, C>(simd, plan, rows, lines, valid, &mut scratch.copy, gram);
            }
        }
    }
}

/// Clears the rows of a group that do not exist.
fn blank<T: Lanes>(group: &mut [Line<T>], valid: usize) {
    if valid < T::LANES {
        for line in group {
            line.0.as_mut()[valid..].fill(T::default());
        }
    }
}

/// The rest of a block for a batch of N <= 6.
#[inline(always)]
fn small<S: Simd, T: Passes, const N: usize>(
    simd: S,
    rows: &Rows<'_, T>,
    lines: &mut [Line<T>],
    valid: usize,
    gram: &mut [f64],
) {
    let Rows { factor, scale, summand } = *rows;
    match summand {
        Summand::Product => fused_product::<S, T, N>(simd, factor, scale, lines, gram),
        Summand::Activated(activation) => {
            fused_rows::<S, T, N>(simd, factor, scale, lines);
            activation.apply_to_lines(simd.level(), lines, (N, N));
            let last = lines.len() - N;
            blank(&mut lines[last..], valid);
            fused_sums::<S, T, N>(simd, lines, gram);
        }
    }
}

/// The rest of a block for a larger batch, with tiles of `C` columns of the factor.
#[inline(always)]
fn large<S: Simd, T: Passes, const C: usize>(
    simd: S,
    plan: &Plan,
    rows: &Rows<'_, T>,
    lines: &mut [Line<T>],
    valid: usize,
    copy: &mut [Line<T>],
    gram: &mut [f64],
) {
    // An activation acts on rows while they are in the first-level cache.
    let groups = match rows.summand {
        Summand::Product => plan.groups,
        Summand::Activated(_) => (ACTIVATED / plan.stride).next_multiple_of(STRIP).max(STRIP),
    };
    for piece in lines.chunks_mut(groups * plan.stride) {
        if parts::<S, T>(simd) == 1 {
            transform::<S, T, C, STRIP>(simd, plan, rows, piece, copy);
        } else {
            transform::<S, T, C, 1>(simd, plan, rows, piece, copy);
        }
        if let Summand::Activated(activation) = rows.summand {
            activation.apply_to_lines(simd.level(), piece, (plan.stride, plan.batch));
        }
    }
    if let Summand::Activated(_) = rows.summand {
        let last = lines.len() - plan.stride;
        blank(&mut lines[last..], valid);
    }
    T::add_products(simd.level(), plan, lines, gram);
}

/// Turns normals into rows to sum, or to activate, `R` groups at a time.
#[inline(always)]
fn transform<S: Simd, T: Lanes, const C: usize, const R: usize>(
    simd: S,
    plan: &Plan,
    rows: &Rows<'_, T>,
    lines: &mut [Line<T>],
    copy: &mut [Line<T>],
) {
    let mut strips = lines.chunks_exact_mut(R * plan.stride);
    for strip in &mut strips {
        transform_strip::<S, T, C, R>(simd, plan, rows, strip, copy);
    }
    for group in strips.into_remainder().chunks_exact_mut(plan.stride) {
        transform_strip::<S, T, C, 1>(simd, plan, rows, group, copy);
    }
}

/// [`transform`] of one strip.
#[inline(always)]
fn transform_strip<S: Simd, T: Lanes, const C: usize, const R: usize>(
    simd: S,
    plan: &Plan,
    rows: &Rows<'_, T>,
    strip: &mut [Line<T>],
    copy: &mut [Line<T>],
) {
    let Rows { factor, scale, summand } = *rows;
    let (n, stride) = (plan.batch, plan.stride);
    let squares = match summand {
        Summand::Product => norms::<S, T, C, R>(simd, factor, strip, stride),
        Summand::Activated(_) => multiply::<S, T, C, R>(simd, factor, strip, stride, copy),
    };
    for r in 0..R {
        scale.apply(simd, &mut strip[r * stride..][..n], squares[r]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::factor::Form;
    use crate::kernel::line::fused_levels;
    use proptest::prelude::*;

    const KEY: StreamKey = StreamKey { seed: 3, purpose: 1, replicate: 0, layer: 2, block: 99 };

    /// One plus x: an activation that does not vanish at zero.
    fn one_plus() -> Activation {
        Activation::custom("1 + x", |x| x + 1.0)
    }

    /// The factor's entry (i, j), a mixture of sizes.
    fn entry(form: Form, i: usize, j: usize) -> f64 {
        let zero = form == Form::UpperTriangular && i > j;
        if zero { 0.0 } else { ((i * 37 + j * 101 + 11) % 53) as f64 / 53.0 - 0.45 }
    }

    fn factor<T: Lanes>(n: usize, form: Form) -> Factor<T> {
        let mut factor = Factor::new(n, n, form);
        factor.pack(|i, j| T::of_f64(entry(form, i, j)));
        factor
    }

    fn run<T: Passes>(level: Level, plan: &Plan, rows: &Rows<'_, T>) -> Vec<f64> {
        let mut gram = vec![0.0; plan.batch * plan.batch];
        let mut scratch = Scratch::new(plan);
        for index in 0..plan.super_blocks() {
            accumulate(level, plan, rows, KEY, index, &mut scratch, &mut gram);
        }
        gram
    }

    /// The normals of every row.
    fn all_normals<T: Passes>(plan: &Plan) -> Vec<Vec<f64>> {
        let mut z = vec![vec![0.0; plan.batch]; plan.rows];
        let mut scratch = Scratch::new(plan);
        for block in 0..plan.blocks() {
            let first = block * plan.block_rows();
            normals::<T>(Level::new(), plan, KEY, block, &mut scratch, |row, column, value| {
                z[first + row][column] = value.as_f64();
            });
        }
        z
    }

    fn check<T: Passes>(
        (d, n, form): (usize, usize, Form),
        scale: (f64, f64),
        summand: Summand<'_>,
        f: impl Fn(f64) -> f64,
        tolerance: f64,
    ) {
        let plan = Plan::new::<T>(d, n);
        let factor = factor(n, form);
        let rows = Rows { factor: &factor, scale: RowScale::new(scale.0, scale.1), summand };
        let grams: Vec<_> =
            fused_levels().into_iter().map(|level| run::<T>(level, &plan, &rows)).collect();
        assert!(grams.windows(2).all(|w| w[0] == w[1]), "levels differ at {d} {n}");
        let mut expected = vec![0.0; n * n];
        for z in all_normals::<T>(&plan) {
            let y: Vec<f64> =
                (0..n).map(|j| (0..n).map(|i| entry(form, i, j) * z[i]).sum()).collect();
            let norm: f64 = y.iter().map(|y| y * y).sum();
            let scale = 1.0 / (scale.0 * norm + scale.1).sqrt();
            let u: Vec<f64> = if matches!(summand, Summand::Product) {
                z.iter().map(|z| z * scale).collect()
            } else {
                y.iter().map(|y| f(y * scale)).collect()
            };
            for i in 0..n {
                for j in i..n {
                    expected[i * n + j] += u[i] * u[j];
                }
            }
        }
        for i in 0..n {
            for j in 0..n {
                let bound = tolerance * (expected[i * n + i] * expected[j * n + j]).sqrt();
                let error = (grams[0][i * n + j] - expected[i * n + j]).abs();
                assert!(error <= bound, "{d} {n} {form:?} ({i}, {j}): {error:e} > {bound:e}");
            }
        }
    }

    fn check_all(d: usize, n: usize, form: Form) {
        let case = (d, n, form);
        // A row z of a one-column factor can come close to collapse, so f32 is loose.
        check::<f64>(case, (1.0, 0.0), Summand::Product, |x| x, 1e-11);
        check::<f32>(case, (1.0, 0.0), Summand::Product, |x| x, 2e-3);
        check::<f64>(
            case,
            (1.0 / n as f64, 1e-5),
            Summand::Activated(&one_plus()),
            |x| x + 1.0,
            1e-11,
        );
        check::<f32>(case, (0.0, 1.0), Summand::Activated(&one_plus()), |x| x + 1.0, 2e-3);
    }

    #[test]
    fn batches_around_the_kernels_borders() {
        for n in (1..=9).chain([16, 22, 23, 24, 25, 30]) {
            for d in [1, 7, 8, 33, 400] {
                check_all(d, n, Form::UpperTriangular);
                check_all(d, n, Form::General);
            }
        }
    }

    #[test]
    fn rows_around_the_blocks_borders() {
        for (d, n) in [(1023, 4), (1025, 4), (2049, 3), (383, 16), (384, 16), (385, 17), (769, 8)] {
            check_all(d, n, Form::UpperTriangular);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_shape(d in 1usize..3000, n in 1usize..40, general: bool) {
            check_all(d, n, if general { Form::General } else { Form::UpperTriangular });
        }
    }

    #[test]
    fn columns_hold_the_normals_of_the_rows() {
        fn check<T: Passes>(plan: &Plan) {
            let mut scratch = Scratch::<T>::new(plan);
            for block in 0..plan.blocks() {
                let count = plan.block_rows().min(plan.rows() - block * plan.block_rows());
                let mut columns = vec![T::default(); count * plan.batch];
                normal_columns(Level::new(), plan, KEY, block, &mut scratch, &mut columns);
                normals::<T>(Level::new(), plan, KEY, block, &mut scratch, |row, column, value| {
                    assert_eq!(columns[column * count + row], value);
                });
            }
        }
        for (d, n) in [(1, 1), (1029, 3), (390, 9)] {
            check::<f64>(&Plan::new::<f64>(d, n));
            check::<f32>(&Plan::new::<f32>(d, n));
        }
    }

    /// The levels without a fused multiply-add agree with the others up to rounding.
    #[test]
    fn unfused_level() {
        for n in [3, 10, 30] {
            let (plan, factor) =
                (Plan::new::<f64>(500, n), factor::<f64>(n, Form::UpperTriangular));
            let rows = Rows {
                factor: &factor,
                scale: RowScale::new(1.0, 0.0),
                summand: Summand::Activated(&one_plus()),
            };
            let (a, b) = (run(Level::new(), &plan, &rows), run(Level::baseline(), &plan, &rows));
            for (a, b) in a.iter().zip(&b) {
                assert!((a - b).abs() < 1e-11 * 500.0, "{a} {b}");
            }
        }
    }

    /// Super-blocks partition any number of rows.
    #[test]
    fn many_super_blocks() {
        let plan = Plan::new::<f32>(100_000, 2);
        let plan = Plan { super_block: 3, ..plan };
        assert_eq!(plan.super_blocks(), 100_000usize.div_ceil(3 * 128 * 16));
        let mut identity = Factor::new(2, 2, Form::UpperTriangular);
        identity.pack(|i, j| if i == j { 1.0 } else { 0.0 });
        let rows =
            Rows { factor: &identity, scale: RowScale::new(1.0, 0.0), summand: Summand::Product };
        let gram = run::<f32>(Level::new(), &plan, &rows);
        // Rows of norm one: the trace is their number.
        assert!((gram[0] + gram[3] - 100_000.0).abs() < 0.05);
    }
}
