//! Sorting numbers together with their places.

/// Sorts projections one after the other without allocating again.
///
/// A radix sort on the bits of the numbers, which order them as integers do once the sign is taken
/// care of: three passes over the highest 33 bits, then an insertion sort of what is nearly in
/// order. Where too much is left to that (many numbers equal in 21 bits of mantissa), the standard
/// library's sort takes over.
#[derive(Clone, Debug, Default)]
pub(super) struct Sorter {
    keys: Vec<u64>,
    spare: Vec<u64>,
    /// The numbers of the last call, ascending.
    pub(super) values: Vec<f64>,
    /// Where each of them stood.
    pub(super) places: Vec<u32>,
}

const DIGIT: u32 = 11;
const BUCKETS: usize = 1 << DIGIT;
const SHIFTS: [u32; 3] = [64 - 3 * DIGIT, 64 - 2 * DIGIT, 64 - DIGIT];
/// Below this many numbers, histograms cost more than comparisons.
const SMALL: usize = 512;

/// The bits of a number, such that keys have the order of the numbers.
fn key(x: f64) -> u64 {
    let bits = x.to_bits();
    let sign = (bits as i64 >> 63) as u64;
    bits ^ (sign | 1 << 63)
}

impl Sorter {
    /// Sorts finite numbers, fewer than 2^31 of them, into `values` and `places`.
    pub(super) fn sort(&mut self, numbers: &[f64]) {
        // The lowest bits of a key hold the place instead; the insertion sort makes up for them.
        let mask = numbers.len().next_power_of_two() as u64 - 1;
        self.keys.clear();
        self.keys.extend((0..).zip(numbers).map(|(place, &x)| key(x) & !mask | place));
        if numbers.len() < SMALL {
            self.keys.sort_unstable();
        } else {
            self.radix_sort();
        }
        self.places.clear();
        self.places.extend(self.keys.iter().map(|key| (key & mask) as u32));
        self.values.clear();
        self.values.extend(self.places.iter().map(|&place| numbers[place as usize]));
        if !self.insertion_sort() {
            let by_value = |a: &u32, b: &u32| numbers[*a as usize].total_cmp(&numbers[*b as usize]);
            self.places.sort_unstable_by(by_value);
            self.values.clear();
            self.values.extend(self.places.iter().map(|&place| numbers[place as usize]));
        }
    }

    fn radix_sort(&mut self) {
        let mut counts = [[0u32; BUCKETS]; SHIFTS.len()];
        for key in &self.keys {
            for (counts, shift) in counts.iter_mut().zip(SHIFTS) {
                counts[(key >> shift) as usize % BUCKETS] += 1;
            }
        }
        self.spare.resize(self.keys.len(), 0);
        for (counts, shift) in counts.iter_mut().zip(SHIFTS) {
            let mut start = 0;
            for count in counts.iter_mut() {
                start += std::mem::replace(count, start);
            }
            for &key in &self.keys {
                let next = &mut counts[(key >> shift) as usize % BUCKETS];
                self.spare[*next as usize] = key;
                *next += 1;
            }
            std::mem::swap(&mut self.keys, &mut self.spare);
        }
    }

    /// Puts nearly sorted values in order; gives up, with all of them still there, if they are not.
    fn insertion_sort(&mut self) -> bool {
        let mut budget = 4 * self.values.len();
        for i in 1..self.values.len() {
            let (value, place) = (self.values[i], self.places[i]);
            let mut j = i;
            while j > 0 && self.values[j - 1] > value && budget > 0 {
                self.values[j] = self.values[j - 1];
                self.places[j] = self.places[j - 1];
                j -= 1;
                budget -= 1;
            }
            self.values[j] = value;
            self.places[j] = place;
        }
        budget > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(numbers: &[f64]) {
        let mut sorter = Sorter::default();
        sorter.sort(numbers);
        let mut expected = numbers.to_vec();
        expected.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert_eq!(sorter.values, expected);
        let mut seen = vec![false; numbers.len()];
        for (&place, &value) in sorter.places.iter().zip(&sorter.values) {
            assert_eq!(numbers[place as usize], value);
            assert!(!std::mem::replace(&mut seen[place as usize], true));
        }
    }

    /// The sort that comes last would hide it, and take its time.
    #[test]
    fn keys_have_the_order_of_numbers() {
        let ascending = [f64::MIN, -2.0, -1.0, -5e-324, -0.0, 0.0, 5e-324, 1.0, 1.5, f64::MAX];
        assert!(ascending.windows(2).all(|pair| key(pair[0]) < key(pair[1])));
    }

    #[test]
    fn the_radix_sort_orders_the_highest_bits() {
        let mut keys: Vec<u64> =
            (0..5000).map(|k| u64::wrapping_mul(k, 0x9e37_79b9_7f4a_7c15)).collect();
        let mut sorter = Sorter { keys: keys.clone(), ..Sorter::default() };
        sorter.radix_sort();
        keys.sort_by_key(|key| key >> SHIFTS[0]);
        assert_eq!(sorter.keys, keys); // stable, too
    }

    /// Exchanges that are few are made in place; the numbers stay where too many are needed.
    #[test]
    fn the_insertion_sort_knows_when_to_give_up() {
        let sorter = |values: Vec<f64>| {
            let places = (0..values.len() as u32).collect();
            Sorter { values, places, ..Sorter::default() }
        };
        let mut near = sorter((0..100).map(|k| f64::from(k ^ 3)).collect());
        assert!(near.insertion_sort() && near.values.is_sorted());
        assert!((0..100).all(|k| near.places[k as usize] == k ^ 3));
        let mut far = sorter((0..100).rev().map(f64::from).collect());
        assert!(!far.insertion_sort() && !far.values.is_sorted());
        far.values.sort_unstable_by(f64::total_cmp);
        assert!(far.values.iter().zip(0..).all(|(&value, k)| value == f64::from(k)));
    }

    proptest! {
        #[test]
        fn sorts_like_the_standard_library(
            numbers in proptest::collection::vec(
                prop_oneof![-1.0..1.0f64, -1e300..1e300, Just(0.0), Just(-0.0), 1.0..1.0 + 1e-9],
                0..2000,
            ),
        ) {
            check(&numbers);
        }
    }

    #[test]
    fn numbers_that_differ_in_their_last_bits_only() {
        let near: Vec<f64> =
            (0..5000u64).map(|i| 1.0 + ((i * 2654435761) % 5003) as f64 * f64::EPSILON).collect();
        check(&near);
        check(&vec![3.0; 3000]);
    }
}
