//! Sums of symmetric matrices which do not depend on the order of the addends.
//!
//! A sum of floating point numbers depends on its order. Here every addend is cut into digits, which
//! are integers in fixed units, and each digit is summed without rounding. The total is rounded to
//! `f64` once, at the end. So threads, machines and interruptions cannot change a bit of it.
//!
//! Entry `(i, j)` is measured in $`s_i s_j`$, powers of two from the diagonal of one of the addends,
//! in which $`x_{ii} \in [1/4, 1)`$. Its digits are, with a rest $`x_0 = x`$,
//!
//! ```math
//! t_k = \mathrm{round}(x_{k-1} / u_k), \quad x_k = x_{k-1} - u_k t_k, \qquad
//! u_k = 2^{26}, 2^{-12}, 2^{-50}, 2^{-88}.
//! ```
//!
//! Subtractions are exact, so what is lost is the last rest, at most $`2^{-89}`$ of $`s_i s_j`$ for each
//! addend. An addend of 53 bits above $`2^{-36}`$ loses nothing. The sum of $`2^{24}`$ addends, none of
//! which is negative on the diagonal, loses at most $`2^{-63}`$ of the diagonal.
//!
//! An addend of $`2^{63}`$ or more is refused, so a digit is at most $`2^{37}`$ and the sum of
//! $`2^{24}`$ of them at most $`2^{61}`$: it is an `i64`, and never wraps.

use std::ops::Range;

use fearless_simd::{Level, dispatch, f64x4, f64x8, prelude::*};

/// Bits of a digit.
const BITS: u32 = 38;
/// Digits of an addend.
pub const DIGITS: usize = 4;
/// What the digits count, from the first to the last.
const UNITS: [f64; DIGITS] = [power(26), power(-12), power(-50), power(-88)];
/// Added and subtracted, it rounds a number below 2^51 units to an integer of them, ties to even.
const ROUNDERS: [f64; DIGITS] =
    [1.5 * power(78), 1.5 * power(40), 1.5 * power(2), 1.5 * power(-36)];
/// The first number that is refused.
const LIMIT: f64 = power(63);
/// Up to here a diagonal needs no first digit, nor do the other entries, which are at most its
/// geometric mean (Cauchy and Schwarz) except for rounding: half of what rounds to no unit.
const ORDINARY: f64 = power(24);
/// The most addends of a sum.
pub const MOST_ADDENDS: usize = 1 << 24;
/// The most addends whose digits are summed in `f64` without rounding.
const CARRY_AFTER: usize = 1 << 15;
/// The largest sum of digits of that many addends.
const EXACT: u64 = 1 << 52;

/// 2^exponent, of normal numbers.
const fn power(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// Symmetric matrices, one after the other, each by the upper triangle of its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// Of matrices of these orders.
    pub fn new(orders: &[usize]) -> Self {
        Self(orders.to_vec())
    }

    /// Numbers in all matrices, both triangles.
    pub fn entries(&self) -> usize {
        self.0.iter().map(|order| order * order).sum()
    }

    /// Numbers in all upper triangles.
    pub fn pairs(&self) -> usize {
        self.0.iter().map(|order| order * (order + 1) / 2).sum()
    }

    /// The rows of the upper triangles, in the order of pairs: the number of the diagonal entry among
    /// all entries, and the columns.
    fn rows(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let (mut entries, mut columns) = (0, 0);
        self.0.iter().flat_map(move |&order| {
            let (first_entry, first) = (entries, columns);
            (entries, columns) = (entries + order * order, columns + order);
            (0..order).map(move |i| (first_entry + i * (order + 1), first + i..first + order))
        })
    }
}

/// The powers of two in which the rows and columns of matrices are measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Units {
    sizes: Vec<f64>,
    inverses: Vec<f64>,
}

impl Units {
    /// Takes the units from an addend. A column that is zero there is measured like the largest one.
    pub fn take(&mut self, shape: &Shape, addend: &[f64]) {
        self.sizes.clear();
        self.inverses.clear();
        let mut diagonals = shape.rows().map(|(diagonal, _)| root(addend[diagonal]));
        for &order in &shape.0 {
            let first = self.sizes.len();
            // A zero for what has no exponent yet.
            let exponents = diagonals.by_ref().take(order);
            self.sizes.extend(exponents.map(|exponent| exponent.map_or(0.0, power)));
            let sizes = &mut self.sizes[first..];
            let largest = sizes.iter().fold(0.0, |largest: f64, &size| largest.max(size));
            let missing = if largest > 0.0 { largest } else { 1.0 };
            sizes.iter_mut().filter(|size| **size == 0.0).for_each(|size| *size = missing);
        }
        self.inverses.extend(self.sizes.iter().map(|size| size.recip()));
    }
}

/// The exponent `k` of a positive number in [4^(k - 1), 4^k).
fn root(number: f64) -> Option<i32> {
    let biased = (number.to_bits() >> 52) as i32;
    // 2^(biased - 1023) and more. Subnormal numbers go with the smallest normal ones.
    (number > 0.0 && number.is_finite()).then(|| (biased - 1022 + 1).div_euclid(2))
}

/// Why an addend is not in the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// NaN or infinite.
    pub not_finite: bool,
    /// 2^63 times as large as its column, or more.
    pub out_of_range: bool,
}

/// The sum of symmetric matrices.
#[derive(Clone, Debug, Default)]
pub struct ExactSum {
    shape: Shape,
    /// Sums of the second to last digits times their units, one digit after the other, of the addends
    /// since the last carry.
    recent: Vec<f64>,
    /// Sums of all digits of the addends before, and of those with a first digit; empty before there
    /// are any.
    carried: Vec<i64>,
    /// Addends in `recent`.
    count: usize,
    refused: Refused,
}

impl ExactSum {
    /// Starts again at zero.
    pub fn clear(&mut self, shape: &Shape) {
        self.shape.clone_from(shape);
        self.recent.resize((DIGITS - 1) * shape.pairs(), 0.0);
        self.recent.fill(0.0);
        self.carried.clear();
        self.count = 0;
        self.refused = Refused::default();
    }

    /// Adds matrices, whose entries below the diagonal are not read.
    ///
    /// Diagonals must not be smaller than other entries allow: matrices must be positive
    /// semidefinite except for rounding.
    pub fn add(&mut self, level: Level, units: &Units, addend: &[f64]) {
        let inverses = &units.inverses;
        let ordinary = self.shape.rows().all(|(diagonal, columns)| {
            let inverse = inverses[columns.start];
            (0.0..=ORDINARY).contains(&(addend[diagonal] * inverse * inverse))
        });
        if !ordinary {
            self.add_any(units, addend);
            return;
        }
        let Self { shape, recent, .. } = self;
        dispatch!(level, simd => add_ordinary(simd, shape, inverses, addend, recent));
        self.count += 1;
        if self.count == CARRY_AFTER {
            self.carry();
        }
    }

    /// [`add`](Self::add) of what may be NaN, out of range, or in need of a first digit.
    #[cold]
    fn add_any(&mut self, units: &Units, addend: &[f64]) {
        self.make_carried();
        let Self { shape, carried, refused, .. } = self;
        let pairs = shape.pairs();
        let entries = shape.rows().flat_map(|(diagonal, columns)| {
            let left = units.inverses[columns.start];
            (diagonal..).zip(columns).map(move |(entry, column)| (entry, left, column))
        });
        for (pair, (entry, left, column)) in entries.enumerate() {
            let x = addend[entry] * left * units.inverses[column];
            if !addend[entry].is_finite() {
                refused.not_finite = true;
            } else if x.abs() < LIMIT {
                for (digit, value) in digits(x).into_iter().enumerate() {
                    carried[digit * pairs + pair] += value;
                }
            } else {
                refused.out_of_range = true;
            }
        }
    }

    /// Adds another sum in the same units. Both together must have at most [`MOST_ADDENDS`].
    pub fn merge(&mut self, other: &mut Self) {
        self.refused.not_finite |= other.refused.not_finite;
        self.refused.out_of_range |= other.refused.out_of_range;
        if self.count + other.count > CARRY_AFTER {
            self.carry();
            other.carry();
        }
        self.recent.iter_mut().zip(&other.recent).for_each(|(to, from)| *to += from);
        self.count += other.count;
        if !other.carried.is_empty() {
            self.make_carried();
            self.carried.iter_mut().zip(&other.carried).for_each(|(to, from)| *to += from);
        }
    }

    fn make_carried(&mut self) {
        if self.carried.is_empty() {
            self.carried.resize(DIGITS * self.shape.pairs(), 0);
        }
    }

    /// Turns the digits that are summed in `f64` into integers.
    fn carry(&mut self) {
        if self.count == 0 {
            return;
        }
        self.make_carried();
        let pairs = self.shape.pairs();
        let later = self.carried[pairs..].chunks_exact_mut(pairs);
        for ((to, from), unit) in later.zip(self.recent.chunks_exact_mut(pairs)).zip(&UNITS[1..]) {
            for (to, from) in to.iter_mut().zip(from) {
                let digits = std::mem::take(from) / unit;
                // NaN beside a diagonal without one.
                self.refused.not_finite |= digits.is_nan() || digits.abs() > EXACT as f64;
                *to += digits as i64;
            }
        }
        self.count = 0;
    }

    /// Returns the sums of all digits, one digit after the other, to be added to those of others.
    pub fn integers(&mut self) -> &[i64] {
        self.make_carried();
        self.carry();
        &self.carried
    }

    /// Replaces the sums of all digits.
    pub fn set_integers(&mut self, integers: &[i64]) {
        self.carry();
        self.make_carried();
        self.carried.copy_from_slice(integers);
    }

    /// Returns the refused addend.
    pub fn refused(&self) -> Refused {
        self.refused
    }

    /// Writes the total to the upper triangles of `total`, each entry rounded to `f64`, with an error below
    /// 0.51 units in the last place of the largest partial sum of its digits.
    pub fn total(&mut self, level: Level, units: &Units, total: &mut [f64]) {
        let pairs = self.shape.pairs();
        if self.carried.is_empty() {
            let Self { shape, recent, .. } = self;
            let sizes = &units.sizes;
            let finite = dispatch!(level, simd => round_recent(simd, shape, sizes, recent, total));
            self.refused.not_finite |= !finite;
            return;
        }
        self.carry();
        let Self { shape, carried, .. } = self;
        let mut pair = 0;
        for (diagonal, columns) in shape.rows() {
            let sizes = &units.sizes[columns];
            for (to, size) in total[diagonal..].iter_mut().zip(sizes) {
                *to = value(std::array::from_fn(|digit| carried[digit * pairs + pair]))
                    * sizes[0]
                    * size;
                pair += 1;
            }
        }
    }
}

/// Writes the sums of digits that are not carried. Returns whether all are finite.
#[inline(always)]
fn round_recent<S: Simd>(
    simd: S,
    shape: &Shape,
    sizes: &[f64],
    recent: &[f64],
    total: &mut [f64],
) -> bool {
    let pairs = shape.pairs();
    // Zero, or NaN if a number is not finite.
    let zero = f64x4::splat(simd, 0.0);
    let (mut checks, mut check) = (zero, 0.0);
    let mut first = 0;
    for (diagonal, columns) in shape.rows() {
        let sizes = &sizes[columns];
        let row = &mut total[diagonal..][..sizes.len()];
        let [second, third, fourth] =
            [0, 1, 2].map(|digit| &recent[digit * pairs + first..][..sizes.len()]);
        let left = sizes[0];
        let (vectors, rest) = row.as_chunks_mut::<4>();
        let done = 4 * vectors.len();
        let digits = second.as_chunks::<4>().0.iter().zip(third.as_chunks::<4>().0);
        let digits = digits.zip(fourth.as_chunks::<4>().0).zip(sizes.as_chunks::<4>().0);
        for (to, (((second, third), fourth), size)) in vectors.iter_mut().zip(digits) {
            let fourth = f64x4::load_array_ref(simd, fourth);
            let low = fourth + f64x4::load_array_ref(simd, third);
            let sum = low + f64x4::load_array_ref(simd, second);
            let x = sum * left * f64x4::load_array_ref(simd, size);
            checks += x * zero;
            x.store_array(to);
        }
        for (index, to) in (done..).zip(rest) {
            *to = ((fourth[index] + third[index]) + second[index]) * left * sizes[index];
            check += *to * 0.0;
        }
        first += sizes.len();
    }
    checks.to_array().iter().sum::<f64>() + check == 0.0
}

/// Adds the digits of matrices none of which has a first one.
#[inline(always)]
fn add_ordinary<S: Simd>(
    simd: S,
    shape: &Shape,
    inverses: &[f64],
    addend: &[f64],
    recent: &mut [f64],
) {
    let (mut second, later) = recent.split_at_mut(shape.pairs());
    let (mut third, mut fourth) = later.split_at_mut(shape.pairs());
    for (diagonal, columns) in shape.rows() {
        let (row, inverses) = (&addend[diagonal..][..columns.len()], &inverses[columns]);
        let (mut sums, left) = ([(); 3].map(|()| &mut [][..]), inverses[0]);
        for (sums, rest) in sums.iter_mut().zip([&mut second, &mut third, &mut fourth]) {
            (*sums, *rest) = std::mem::take(rest).split_at_mut(row.len());
        }
        let done = add_row::<S, f64x8<S>>(simd, row, left, inverses, &mut sums, 0);
        let done = add_row::<S, f64x4<S>>(simd, row, left, inverses, &mut sums, done);
        for index in done..row.len() {
            let mut rest = row[index] * left * inverses[index];
            for (sums, rounder) in sums.iter_mut().zip(&ROUNDERS[1..]) {
                let digit = (rest + rounder) - rounder;
                rest -= digit;
                sums[index] += digit;
            }
        }
    }
}

/// [`add_ordinary`] of the entries of a row from `first` on that fill vectors. Returns the first that does not.
#[inline(always)]
fn add_row<S: Simd, V: SimdFloat<S, Element = f64>>(
    simd: S,
    row: &[f64],
    left: f64,
    inverses: &[f64],
    [second, third, fourth]: &mut [&mut [f64]; 3],
    first: usize,
) -> usize {
    let end = first + (row.len() - first) / V::LEN * V::LEN;
    let part = first..end;
    let rows = row[part.clone()].chunks_exact(V::LEN);
    let columns = rows.zip(inverses[part.clone()].chunks_exact(V::LEN));
    let second = second[part.clone()].chunks_exact_mut(V::LEN);
    let third = third[part.clone()].chunks_exact_mut(V::LEN);
    let fourth = fourth[part].chunks_exact_mut(V::LEN);
    for ((((row, inverses), second), third), fourth) in columns.zip(second).zip(third).zip(fourth) {
        // Written out: loops over the digits are not always unrolled.
        let [_, second_rounder, third_rounder, fourth_rounder] = ROUNDERS;
        let rest = V::from_slice(simd, row) * left * V::from_slice(simd, inverses);
        let digit = (rest + second_rounder) - second_rounder;
        (V::from_slice(simd, second) + digit).store_slice(second);
        let rest = rest - digit;
        let digit = (rest + third_rounder) - third_rounder;
        (V::from_slice(simd, third) + digit).store_slice(third);
        let rest = rest - digit;
        let digit = (rest + fourth_rounder) - fourth_rounder;
        (V::from_slice(simd, fourth) + digit).store_slice(fourth);
    }
    end
}

/// The digits of a number below the limit.
fn digits(x: f64) -> [i64; DIGITS] {
    let mut rest = x;
    std::array::from_fn(|digit| {
        let rounded = (rest + ROUNDERS[digit]) - ROUNDERS[digit];
        rest -= rounded;
        (rounded / UNITS[digit]) as i64
    })
}

/// The number of some digits, or sums of digits.
///
/// Sums that `f64` cannot hold are carried first; others, which could have been summed in `f64`, are
/// not.
fn value(mut digits: [i64; DIGITS]) -> f64 {
    if digits[1..].iter().any(|digit| digit.unsigned_abs() > EXACT) {
        for place in (1..DIGITS).rev() {
            let carry = (digits[place] + (1 << (BITS - 1))) >> BITS;
            digits[place] -= carry << BITS;
            digits[place - 1] += carry;
        }
    }
    let [first, second, third, fourth] =
        std::array::from_fn(|digit| digits[digit] as f64 * UNITS[digit]);
    ((fourth + third) + second) + first
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The sum of numbers, exactly, as numbers that do not overlap (Shewchuk 1997), and its nearest float.
    fn exact(numbers: impl IntoIterator<Item = f64>) -> f64 {
        let mut parts: Vec<f64> = Vec::new();
        for mut x in numbers {
            let mut kept = Vec::new();
            for &part in &parts {
                let (large, small) = if x.abs() < part.abs() { (part, x) } else { (x, part) };
                let sum = large + small;
                let rest = small - (sum - large);
                if rest != 0.0 {
                    kept.push(rest);
                }
                x = sum;
            }
            kept.push(x);
            parts = kept;
        }
        parts.into_iter().sum()
    }

    /// Rank-one matrices of these orders; column `j` of all is about `2^sizes[j]` long.
    fn addends(shape: &Shape, sizes: &[i32], numbers: &[f64]) -> Vec<Vec<f64>> {
        let columns = sizes.len();
        let row = |numbers: &[f64]| {
            let mut addend = vec![0.0; shape.entries()];
            for (diagonal, range) in shape.rows() {
                let entry = |j: usize| numbers[j] * 2f64.powi(sizes[j]);
                for (offset, j) in range.clone().enumerate() {
                    addend[diagonal + offset] = entry(range.start) * entry(j);
                }
            }
            addend
        };
        numbers.chunks_exact(columns).map(row).collect()
    }

    /// The sum, and what it is before it is rounded.
    fn sum(shape: &Shape, units: &Units, parts: &[Vec<&Vec<f64>>]) -> (Vec<f64>, Vec<i64>) {
        let mut sums: Vec<ExactSum> = Vec::new();
        for part in parts {
            let mut sum = ExactSum::default();
            sum.clear(shape);
            part.iter().for_each(|addend| sum.add(Level::new(), units, addend));
            sums.push(sum);
        }
        let (first, rest) = sums.split_at_mut(1);
        rest.iter_mut().for_each(|other| first[0].merge(other));
        let mut total = vec![0.0; shape.entries()];
        first[0].total(Level::new(), units, &mut total);
        assert_eq!(first[0].refused(), Refused::default());
        let integers = first[0].integers().to_vec();
        // The same by integers.
        let mut again = vec![0.0; shape.entries()];
        let mut sum = ExactSum::default();
        sum.clear(shape);
        sum.set_integers(&integers);
        sum.total(Level::new(), units, &mut again);
        assert_eq!(again, total);
        (total, integers)
    }

    fn cases() -> impl Strategy<Value = (Vec<usize>, Vec<i32>, Vec<f64>, Vec<usize>)> {
        (prop::collection::vec(0usize..20, 1..3), 1usize..40).prop_flat_map(|(orders, count)| {
            let columns = orders.iter().sum::<usize>();
            let number =
                prop_oneof![4 => -2.0..2.0, 1 => -1e-9..1e-9, 1 => -1e9..1e9, 1 => Just(0.0)];
            (
                Just(orders),
                prop::collection::vec(-400..400i32, columns),
                prop::collection::vec(number, columns * count),
                prop::collection::vec(0usize..4, count),
            )
        })
    }

    proptest! {
        /// Any order and any parts give the bits of one after the other, on every level; the naive
        /// sum is near.
        #[test]
        fn order_and_parts_do_not_matter((orders, sizes, numbers, parts) in cases()) {
            let shape = Shape::new(&orders);
            prop_assume!(!sizes.is_empty());
            let addends = addends(&shape, &sizes, &numbers);
            let mut units = Units::default();
            units.take(&shape, &self::addends(&shape, &sizes, &vec![1.0; sizes.len()])[0]);
            let (total, integers) = sum(&shape, &units, &[addends.iter().collect()]);
            let mut shuffled = vec![Vec::new(); 4];
            for (addend, part) in addends.iter().zip(&parts).rev() {
                shuffled[*part].push(addend);
            }
            prop_assert_eq!(&sum(&shape, &units, &shuffled), &(total.clone(), integers));
            let mut fallback = ExactSum::default();
            fallback.clear(&shape);
            addends.iter().for_each(|addend| fallback.add(Level::baseline(), &units, addend));
            let mut again = vec![0.0; total.len()];
            fallback.total(Level::baseline(), &units, &mut again);
            prop_assert_eq!(&again, &total);
            for (diagonal, columns) in shape.rows() {
                for (entry, j) in (diagonal..).zip(columns.clone()) {
                    let naive = exact(addends.iter().map(|addend| addend[entry]));
                    let size = units.sizes[columns.start] * units.sizes[j];
                    let terms: f64 = addends.iter().map(|addend| addend[entry].abs()).sum();
                    let bound = power(-89) * size * addends.len() as f64 + 2.0 * f64::EPSILON * terms;
                    prop_assert!((total[entry] - naive).abs() <= bound);
                }
            }
        }

        /// Digits make up their number, up to half of the last unit.
        #[test]
        fn digits_make_up_their_number(mantissa in -1.0..1.0f64, exponent in -100..63i32) {
            let x = mantissa * power(exponent);
            let parts = digits(x);
            let sum = exact(parts.iter().zip(UNITS).map(|(&digit, unit)| digit as f64 * unit));
            prop_assert!((sum - x).abs() <= UNITS[3] / 2.0);
            prop_assert!(parts.iter().all(|digit| digit.unsigned_abs() <= 1 << (BITS - 1)));
            prop_assert!(x.abs() > 2f64.powi(25) || parts[0] == 0);
            prop_assert_eq!(value(parts), sum);
        }

        /// Sums of digits that are carried are rounded as the integer that they stand for.
        #[test]
        fn carried_digits_are_the_same_number(digits in prop::array::uniform4(-(1i64 << 61)..1 << 61)) {
            let parts = (0..DIGITS).flat_map(|place| {
                let (high, low) = (digits[place] >> 20 << 20, digits[place] & ((1 << 20) - 1));
                [high, low].map(|part| part as f64 * UNITS[place])
            });
            let expected = exact(parts);
            prop_assert!((value(digits) - expected).abs() <= f64::EPSILON * expected.abs());
        }
    }

    #[test]
    fn units_are_powers_of_two_by_the_diagonal() {
        let numbers = [1.0, 0.25, 0.2499, 4.0, 1e300, 1e-300, 5e-324, 0.0, f64::INFINITY, f64::NAN];
        for &number in &numbers {
            let mut units = Units::default();
            units.take(&Shape::new(&[1]), &[number]);
            let scaled = number * units.inverses[0] * units.inverses[0];
            assert_eq!(units.sizes[0] * units.inverses[0], 1.0);
            let ordinary = number.is_finite() && number >= f64::MIN_POSITIVE;
            assert!(!ordinary || (0.25..1.0).contains(&scaled), "{number:e}: {scaled}");
            assert!(ordinary || number == 5e-324 || units.sizes[0] == 1.0);
        }
        // A column without a size takes the largest of its matrix.
        let mut units = Units::default();
        let shape = Shape::new(&[2, 1, 2]);
        units.take(&shape, &[9.0, 0.0, 7.0, 0.0, 1e9, 0.0, 7.0, 7.0, 0.9]);
        assert_eq!(units.sizes, [4.0, 4.0, 32768.0, 1.0, 1.0]);
    }

    /// Across the border at which digits are carried, in any parts; 2^24 of the largest addends fit.
    #[test]
    fn many_addends() {
        let shape = Shape::new(&[1]);
        let mut units = Units::default();
        units.take(&shape, &[0.7]);
        let numbers: Vec<Vec<f64>> =
            (0..3 * CARRY_AFTER).map(|k| vec![(k as f64 * 0.618).fract()]).collect();
        let all: Vec<&Vec<f64>> = numbers.iter().collect();
        let expected = sum(&shape, &units, std::slice::from_ref(&all));
        for size in [1000, CARRY_AFTER - 1, CARRY_AFTER, CARRY_AFTER + 1] {
            let parts: Vec<Vec<&Vec<f64>>> = all.rchunks(size).map(<[_]>::to_vec).collect();
            assert_eq!(sum(&shape, &units, &parts), expected);
        }
        let naive = exact(numbers.iter().map(|number| number[0]));
        assert!((expected.0[0] - naive).abs() <= f64::EPSILON * naive);

        let largest = digits(LIMIT.next_down()).map(|digit| digit.unsigned_abs());
        assert!(largest.iter().all(|&digit| digit * MOST_ADDENDS as u64 <= 1 << 61));
    }

    /// What was summed or refused before leaves no trace, and merged parts keep what they refused.
    #[test]
    fn used_again_and_merged() {
        let (small, shape, level) = (Shape::new(&[1]), Shape::new(&[2]), Level::new());
        let addend = [1.0, 0.5, 0.0, 1.0];
        let mut units = Units::default();
        units.take(&small, &[9.0]);
        let mut used = ExactSum::default();
        used.clear(&small);
        [3.0, f64::NAN, 1e300].iter().for_each(|&number| used.add(level, &units, &[number]));
        assert_eq!(used.refused(), Refused { not_finite: true, out_of_range: true });
        units.take(&shape, &addend);
        let mut fresh = ExactSum::default();
        for sum in [&mut fresh, &mut used] {
            sum.clear(&shape);
            sum.add(level, &units, &addend);
            assert_eq!(sum.refused(), Refused::default());
        }
        let total = |sum: &mut ExactSum| {
            let mut total = [0.0; 4];
            sum.total(level, &units, &mut total);
            (total, sum.integers().to_vec())
        };
        let expected = total(&mut fresh);
        assert_eq!(expected.0, addend);
        assert_eq!(total(&mut used), expected);

        let part = |number: f64| {
            let mut sum = ExactSum::default();
            sum.clear(&small);
            sum.add(level, &units, &[number]);
            sum
        };
        let numbers = [1.0, f64::NAN, 1e300];
        for (left, right) in numbers.into_iter().flat_map(|x| numbers.map(|y| (x, y))) {
            let mut sum = part(left);
            sum.merge(&mut part(right));
            let either = |of: fn(f64) -> bool| of(left) || of(right);
            let (not_finite, out_of_range) = (either(f64::is_nan), either(|x| x == 1e300));
            assert_eq!(sum.refused(), Refused { not_finite, out_of_range }, "{left} {right}");
        }
    }

    #[test]
    fn what_is_refused() {
        let (shape, mut units) = (Shape::new(&[2]), Units::default());
        units.take(&shape, &[1.0, 0.5, 0.0, 1.0]); // measured in 2 x 2
        let refused = |entry: usize, value: f64| {
            let mut sum = ExactSum::default();
            sum.clear(&shape);
            let mut addend = [1.0, 0.5, 0.0, 1.0];
            addend[entry] = value;
            sum.add(Level::new(), &units, &addend);
            sum.total(Level::new(), &units, &mut [0.0; 4]);
            sum.refused()
        };
        let limit = 4.0 * LIMIT;
        for entry in [0, 3] {
            assert_eq!(refused(entry, limit.next_down()), Refused::default());
            let out_of_range = Refused { out_of_range: true, ..Refused::default() };
            assert_eq!(refused(entry, limit), out_of_range);
            assert_eq!(refused(entry, -1e308), out_of_range);
            assert!(refused(entry, f64::INFINITY).not_finite);
        }
        assert!((0..4).all(|entry| (entry == 2) != refused(entry, f64::NAN).not_finite));
    }
}
