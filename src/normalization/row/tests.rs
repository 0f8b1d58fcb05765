//! The passes over blocks against the same of one row after the other.

use nalgebra::{DMatrix, DMatrixView, DMatrixViewMut, Dyn};
use proptest::prelude::*;

use super::Row;
use super::column::{normalize_column, pull_back_column};
use super::entries::Checked;
use super::pullback::SlowRow;
use super::scratch::{Scratch, with_scratch};
use crate::normalization::{BatchNorm, Centering, RowScale};
use crate::{Error, Input, Result, Scalar, Seed};

/// Row by row: the reference.
pub(in crate::normalization) fn naive<T: Scalar>(
    operator: &BatchNorm,
    h: &DMatrix<T>,
) -> Result<DMatrix<T>> {
    operator.check_batch(h.shape())?;
    naive_rows(operator, h)
}

/// The same of any shape.
pub(in crate::normalization) fn naive_rows<T: Scalar>(
    operator: &BatchNorm,
    h: &DMatrix<T>,
) -> Result<DMatrix<T>> {
    let mut output = h.clone();
    for row in 0..h.nrows() {
        let map = operator.row_map(&Row::of(&Checked::new(h), row)?, row)?;
        for column in 0..h.ncols() {
            output[(row, column)] = T::of(map.apply(h[(row, column)].into()));
        }
    }
    Ok(output)
}

pub(in crate::normalization) fn naive_pullback<T: Scalar>(
    operator: &BatchNorm,
    h: &DMatrix<T>,
    gradient: &DMatrix<T>,
) -> Result<DMatrix<T>> {
    let mut output = gradient.clone();
    for row in 0..h.nrows() {
        let slow = SlowRow::of(operator, &Checked::new(h), &Checked::new(gradient), row)?;
        for column in 0..h.ncols() {
            let entry = (row, column);
            output[entry] = slow.pull([h[entry].into(), gradient[entry].into()], row)?;
        }
    }
    Ok(output)
}

/// What a row is made of.
#[derive(Clone, Copy, Debug)]
pub(in crate::normalization) enum Kind {
    /// Normals times a power of ten.
    Normal(i32),
    /// Normals, rounded to multiples of the distance of floats, plus a number that large.
    Offset(f64),
    Constant(f64),
    /// Normals, except for one entry.
    Broken(f64),
}

pub(in crate::normalization) fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        12 => Just(Kind::Normal(0)),
        2 => (-30..30i32).prop_map(Kind::Normal),
        2 => (-307..300i32).prop_map(Kind::Normal),
        2 => prop_oneof![Just(1e15), Just(-3e15), Just(1e5)].prop_map(Kind::Offset),
    ]
}

/// Kinds that some operators refuse.
pub(in crate::normalization) fn bad_kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Constant(0.0)),
        Just(Kind::Constant(0.1)),
        Just(Kind::Broken(f64::NAN)),
        Just(Kind::Broken(f64::INFINITY)),
        Just(Kind::Normal(-200)),
        Just(Kind::Normal(0)),
    ]
}

/// A matrix whose rows are of the kinds given by turns, with `other` in a separate row.
pub(in crate::normalization) fn matrix<T: Scalar>(
    (d, n): (usize, usize),
    seed: u64,
    kinds: &[Kind],
    other: Option<(usize, Kind)>,
) -> DMatrix<T> {
    let mut normals = DMatrix::<f64>::zeros(d, n);
    let stream = Seed(seed).replicate(0).stream(crate::Purpose::User(0), 0, 0);
    stream.fill_normal(normals.as_mut_slice());
    let is_single = T::EPSILON > f64::EPSILON;
    DMatrix::from_fn(d, n, |i, j| {
        let kind = match other {
            Some((row, kind)) if row % d == i => kind,
            _ => kinds[i % kinds.len()],
        };
        let x = normals[(i, j)];
        T::of(match kind {
            Kind::Normal(power) if is_single => x * 10f64.powi(power.clamp(-30, 30)),
            Kind::Normal(power) => x * 10f64.powi(power),
            Kind::Offset(_) if is_single => 1e5 + (100.0 * x).round() / 64.0,
            Kind::Offset(offset) => offset + (10.0 * x).round(),
            Kind::Constant(value) => value,
            Kind::Broken(value) if j == (7 * i + 3) % n => value,
            Kind::Broken(_) => x,
        })
    })
}

/// Shapes around the sizes of chunks, blocks and powers of two.
pub(in crate::normalization) fn shapes() -> impl Strategy<Value = (usize, usize)> {
    let rows = prop::sample::select(vec![1, 2, 7, 15, 16, 17, 31, 33, 63, 64, 65, 127, 130]);
    let columns = prop::sample::select(vec![1, 2, 3, 4, 5, 8, 16, 31, 64, 100]);
    let tall = prop::sample::select(vec![(511, 4), (513, 3), (1024, 2), (600, 70), (260, 256)]);
    let wide = prop::sample::select(vec![(3, 1025), (17, 2049), (70, 1100), (1, 5000), (40, 4100)]);
    prop_oneof![6 => (rows, columns), 1 => tall, 1 => wide]
}

fn operators() -> impl Strategy<Value = BatchNorm> {
    (any::<bool>(), any::<bool>(), prop_oneof![Just(0.0), Just(1e-5), Just(1e300)]).prop_map(
        |(is_centered, has_unit_norm, epsilon)| {
            let centering = if is_centered { Centering::Batch } else { Centering::None };
            let scale = if has_unit_norm { RowScale::UnitNorm } else { RowScale::UnitRms };
            let operator = BatchNorm::standard(epsilon).unwrap();
            operator.with_centering(centering).with_row_scale(scale)
        },
    )
}

/// Refuses a row that is further from the reference than roundings of its sums allow.
pub(in crate::normalization) fn close<T: Scalar>(
    found: &DMatrix<T>,
    expected: &DMatrix<T>,
) -> std::result::Result<(), String> {
    for i in 0..found.nrows() {
        let largest = expected.row(i).iter().fold(0.0, |l, &x| f64::max(l, x.into().abs()));
        for j in 0..found.ncols() {
            let (x, y): (f64, f64) = (found[(i, j)].into(), expected[(i, j)].into());
            let own = 2.0 * T::EPSILON * y.abs();
            let of_sums = f64::EPSILON * largest * (4.0 + found.ncols() as f64 / 16.0);
            let steps = if T::EPSILON > f64::EPSILON { 3e-45 } else { 1e-323 };
            if (x - y).is_nan() || (x - y).abs() > own + of_sums + steps {
                return Err(format!("({i}, {j}): {x:e}, not {y:e}; {:e}", (x - y) / y));
            }
        }
    }
    Ok(())
}

/// NaN is not equal to itself.
pub(in crate::normalization) fn told(error: &Error) -> String {
    format!("{error:?}")
}

pub(in crate::normalization) fn bits<T: Scalar>(h: &DMatrix<T>) -> Vec<u64> {
    h.iter().map(|&x| x.into().to_bits()).collect()
}

/// All forms against the reference; returns whether there is an error.
fn check<T: Scalar>(operator: BatchNorm, h: &DMatrix<T>) -> std::result::Result<bool, String> {
    let expected = naive(&operator, h);
    let found = operator.normalize(h);
    let mut in_place = h.clone();
    let written = operator.normalize_mut(&mut in_place);
    let (d, n) = h.shape();
    // Parts of a larger matrix, rows apart by one or two, and row by row in memory.
    let mut apart = DMatrix::from_element(2 * d + 3, n + 2, T::of(f64::NAN));
    let in_a_view = operator.normalize_to(h, &mut apart.view_mut((1, 1), (d, n)));
    let in_steps = {
        let mut steps = DMatrixViewMut::from_slice_with_strides_generic(
            &mut apart.as_mut_slice()[2 * d + 4..],
            Dyn(d),
            Dyn(n),
            Dyn(2),
            Dyn(2 * d + 3),
        );
        steps.copy_from(h);
        operator.normalize_mut(&mut steps).map(|()| steps.clone_owned())
    };
    let transposed = h.transpose();
    let by_rows: DMatrixView<'_, T, Dyn, Dyn> = DMatrixView::from_slice_with_strides_generic(
        transposed.as_slice(),
        Dyn(d),
        Dyn(n),
        Dyn(n),
        Dyn(1),
    );
    let by_rows = operator.normalize(&by_rows);
    match expected {
        Ok(expected) => {
            let found = found.map_err(|error| told(&error))?;
            close(&found, &expected)?;
            if operator.normalize(h).as_ref().map(bits) != Ok(bits(&found))
                || bits(&in_place) != bits(&found)
                || in_steps.as_ref().map(bits) != Ok(bits(&found))
                || by_rows.as_ref().map(bits) != Ok(bits(&found))
            {
                return Err("forms disagree".into());
            }
            in_a_view.map_err(|error| told(&error))?;
            // A row is normalised alike whatever stands around it.
            let row = operator.normalize(&h.rows(d - 1, 1)).map_err(|error| told(&error))?;
            if bits(&row.into_owned()) != bits(&found.rows(d - 1, 1).into_owned()) {
                return Err("a row depends on others".into());
            }
            Ok(false)
        }
        Err(expected) => {
            let errors = [found.err(), written.err(), in_steps.err(), by_rows.err()];
            for error in errors.into_iter().chain([in_a_view.err()]) {
                let error = error.as_ref().map(told);
                if error != Some(told(&expected)) {
                    return Err(format!("{error:?}, not {expected:?}"));
                }
            }
            if bits(&in_place) != bits(h) {
                return Err("an error has written".into());
            }
            Ok(true)
        }
    }
}

/// Refuses gradients further from the reference than roundings of their sums allow: what is
/// subtracted may be as long as the gradient itself.
pub(in crate::normalization) fn close_pullback<T: Scalar>(
    operator: &BatchNorm,
    [h, gradient]: [&DMatrix<T>; 2],
    [found, expected]: [&DMatrix<T>; 2],
) -> std::result::Result<(), String> {
    for i in 0..h.nrows() {
        let slow = SlowRow::of(operator, &Checked::new(h), &Checked::new(gradient), i).unwrap();
        let size = slow.size(gradient.row(i).iter().map(|&g| g.into()));
        for j in 0..h.ncols() {
            let (x, y): (f64, f64) = (found[(i, j)].into(), expected[(i, j)].into());
            let roundings = 2.0 * T::EPSILON * y.abs()
                + f64::EPSILON * size * (8.0 + h.ncols() as f64 / 8.0)
                + if T::EPSILON > f64::EPSILON { 1e-44 } else { 1e-322 };
            if (x - y).is_nan() || (x - y).abs() > roundings {
                return Err(format!("({i}, {j}): {x:e}, not {y:e}; {size:e}"));
            }
        }
    }
    Ok(())
}

fn check_pullback<T: Scalar>(
    operator: BatchNorm,
    h: &DMatrix<T>,
    gradient: &DMatrix<T>,
) -> std::result::Result<(), String> {
    let expected =
        operator.check_batch(h.shape()).and_then(|()| naive_pullback(&operator, h, gradient));
    let found = operator.pullback(h, gradient);
    let mut apart = DMatrix::from_element(h.nrows() + 3, h.ncols() + 2, T::of(1.0));
    let mut view = apart.view_mut((1, 1), h.shape());
    view.copy_from(gradient);
    let in_a_view = operator.pullback_mut(h, &mut view);
    match (expected, found) {
        (Ok(expected), Ok(found)) => {
            if bits(&view.clone_owned()) != bits(&found) {
                return Err("forms disagree".into());
            }
            close_pullback(&operator, [h, gradient], [&found, &expected])
        }
        (Err(expected), Err(found)) => {
            let errors = [told(&expected), told(&found), told(&in_a_view.unwrap_err())];
            if errors[0] == errors[1] && errors[1] == errors[2] {
                Ok(())
            } else if matches!(expected, Error::Overflow { .. }) {
                // Which entry is named, and its last digits, may differ.
                Ok(())
            } else {
                Err(format!("{errors:?}"))
            }
        }
        (expected, found) => Err(format!("{:?}, not {:?}", found.is_ok(), expected.err())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]
    #[test]
    fn blocks_agree_with_single_rows(
        shape in shapes(), seed in any::<u64>(), operator in operators(),
        kinds in prop::collection::vec(kinds(), 1..20),
        other in prop::option::of((any::<usize>(), bad_kinds())),
    ) {
        let outcome = check(operator, &matrix::<f64>(shape, seed, &kinds, other));
        prop_assert!(outcome.is_ok(), "{outcome:?}");
        let outcome = check(operator, &matrix::<f32>(shape, seed, &kinds, other));
        prop_assert!(outcome.is_ok(), "f32: {outcome:?}");
    }

    #[test]
    fn pullbacks_of_blocks_agree_with_single_rows(
        shape in shapes(), seed in any::<u64>(), operator in operators(),
        kinds in [prop::collection::vec(kinds(), 1..20), prop::collection::vec(kinds(), 1..20)],
        other in prop::option::of((any::<usize>(), bad_kinds())),
        zero in prop::option::of(any::<usize>()),
    ) {
        let zero = zero.map(|row| (row, Kind::Constant(0.0)));
        let h = matrix::<f64>(shape, seed, &kinds[0], other);
        let gradient = matrix::<f64>(shape, !seed, &kinds[1], zero.or(other));
        let outcome = check_pullback(operator, &h, &gradient);
        prop_assert!(outcome.is_ok(), "{outcome:?}");
        let h = matrix::<f32>(shape, seed, &kinds[0], other);
        let gradient = matrix::<f32>(shape, !seed, &kinds[1], zero.or(other));
        let outcome = check_pullback(operator, &h, &gradient);
        prop_assert!(outcome.is_ok(), "f32: {outcome:?}");
    }
}

/// Where a NaN stands in a block, it is the one that is named: the first row, and its first entry.
#[test]
fn entries_that_are_not_finite_are_named() {
    let clean = Input::gaussian(600, 70, Seed(1)).unwrap().columns().clone();
    for (row, column) in [(0, 0), (15, 69), (16, 3), (511, 0), (512, 64), (599, 69)] {
        let mut h = clean.clone();
        (h[(row, column)], h[(599, 69)]) = (f64::NAN, f64::NAN);
        for operator in [BatchNorm::paper(), BatchNorm::standard(1e-5).unwrap()] {
            let error = operator.normalize(&h).unwrap_err();
            let found = matches!(error, Error::NotFinite { row: i, column: j, .. }
                if (i, j) == (row, column));
            assert!(found, "{row} {column}: {error}");
        }
    }
}

/// Ordinary rows and columns are left to the kernels: single rows are for the others.
#[test]
fn kernels_take_ordinary_rows() {
    fn check<T: Scalar>(rows: usize, columns: usize) {
        let normals = |seed| crate::proptest::normals(rows, columns, seed).map(T::of);
        let (h, gradient) = (normals(1), normals(2));
        let standard = BatchNorm::standard(1e-5).unwrap();
        for operator in [BatchNorm::paper(), standard, standard.with_epsilon(0.0).unwrap()] {
            operator.normalize(&h).unwrap();
            assert!(with_scratch(|scratch: &mut Scratch<T>| scratch.slow.is_empty()));
            operator.pullback(&h, &gradient).unwrap();
            assert!(with_scratch(|scratch: &mut Scratch<T>| scratch.slow_pulls.is_empty()));
            let level = fearless_simd::Level::new();
            let (mut column, mut pulled) =
                (h.column(0).into_owned(), gradient.column(0).into_owned());
            assert!(pull_back_column(level, &operator, column.as_slice(), pulled.as_mut_slice()));
            assert!(normalize_column(level, &operator, column.as_mut_slice()));
        }
    }
    for (rows, columns) in [(100, 7), (16, 2), (40, 5000)] {
        check::<f64>(rows, columns);
        check::<f32>(rows, columns);
    }
}
