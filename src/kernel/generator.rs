//! One named stream of random bits: eight interleaved xoshiro256++ generators seeded by Philox.
//!
//! Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 2021.

use super::philox::philox_lanes;
use fearless_simd::{prelude::*, u64x8};

/// The coordinates that name a stream; different coordinates never share a Philox counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    /// The experiment's seed: the Philox key.
    pub seed: u64,
    /// What the numbers are for, so that (say) inputs and layers never share a stream.
    pub purpose: u16,
    /// Which independent run.
    pub replicate: u32,
    /// Which layer of the network.
    pub layer: u32,
    /// Which block of rows.
    pub block: u32,
}

impl StreamKey {
    /// Returns the Philox key.
    pub fn key(&self) -> [u32; 2] {
        [self.seed as u32, (self.seed >> 32) as u32]
    }

    /// Returns the Philox counter of the stream's `index`-th group of four seed words.
    pub fn counter(&self, index: u16) -> [u32; 4] {
        let first = u32::from(self.purpose) << 16 | u32::from(index);
        [first, self.block, self.layer, self.replicate]
    }
}

/// Eight xoshiro256++ generators in the lanes of one logical vector.
///
/// Lane i starts from the 256 bits at counter indices 2i and 2i + 1.
#[derive(Clone, Copy, Debug)]
pub struct LaneRng<S: Simd> {
    state: [u64x8<S>; 4],
}

impl<S: Simd> LaneRng<S> {
    /// Returns the stream called `key`, at its beginning.
    #[inline(always)]
    pub fn new(simd: S, key: StreamKey) -> Self {
        let [first, rest @ ..] = key.counter(0);
        let even = u64x8::from_slice(simd, &[0, 2, 4, 6, 8, 10, 12, 14]) + u64::from(first);
        let [a, b] = philox_lanes(simd, even, rest, key.key());
        let [c, d] = philox_lanes(simd, even + 1, rest, key.key());
        Self { state: [a, b, c, d] }
    }

    /// Returns the next 64 bits of every lane.
    #[inline(always)]
    pub fn next_words(&mut self) -> u64x8<S> {
        let [a, b, c, d] = &mut self.state;
        let word = rotate_left(*a + *d, 23) + *a;
        let t = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= t;
        *d = rotate_left(*d, 45);
        word
    }
}

/// Rotates every lane left by `k` bits, 0 < k < 64.
#[inline(always)]
fn rotate_left<S: Simd>(x: u64x8<S>, k: u32) -> u64x8<S> {
    (x << k) | (x >> (64 - k))
}

#[cfg(test)]
mod tests {
    use super::super::philox::philox;
    use super::*;
    use fearless_simd::{Level, dispatch};
    use proptest::prelude::*;
    use rand_xoshiro::{
        Xoshiro256PlusPlus,
        rand_core::{Rng, SeedableRng},
    };

    proptest! {
        #[test]
        fn every_lane_is_the_published_generator(
            seed: u64, purpose: u16, replicate: u32, layer: u32, block: u32,
        ) {
            let key = StreamKey { seed, purpose, replicate, layer, block };
            let words = dispatch!(Level::new(), simd => {
                let mut stream = LaneRng::new(simd, key);
                [(); 20].map(|()| stream.next_words().to_array())
            });
            for lane in 0..8 {
                let mut bytes = [0; 32];
                let halves = [2 * lane, 2 * lane + 1].map(|i| philox(key.counter(i), key.key()));
                for (to, word) in bytes.chunks_exact_mut(4).zip(halves.as_flattened()) {
                    to.copy_from_slice(&word.to_le_bytes());
                }
                let mut reference = Xoshiro256PlusPlus::from_seed(bytes);
                for word in words {
                    prop_assert_eq!(word[usize::from(lane)], reference.next_u64());
                }
            }
        }
    }

    #[test]
    fn every_coordinate_matters() {
        let key = StreamKey { seed: 1, purpose: 2, replicate: 3, layer: 4, block: 5 };
        let counters = [
            key.counter(0),
            key.counter(1),
            StreamKey { purpose: 3, ..key }.counter(0),
            StreamKey { replicate: 4, ..key }.counter(0),
            StreamKey { layer: 5, ..key }.counter(0),
            StreamKey { block: 6, ..key }.counter(0),
        ];
        for (i, a) in counters.iter().enumerate() {
            assert!(counters[..i].iter().all(|b| a != b));
        }
    }
}
