//! Philox4x32-10: a keyed bijection of 128-bit counters, so every stream is named, never split.
//!
//! Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

use fearless_simd::{prelude::*, u64x8};

/// Multipliers of the two halves of a round.
const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Weyl increments of the two key words: the golden ratio and sqrt(3) - 1.
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// Rounds, as recommended by the authors.
const ROUNDS: usize = 10;
/// Low half of a 64-bit word.
const LOW: u64 = 0xFFFF_FFFF;

/// Returns the 128 bits at `counter` under `key`.
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let p0 = u64::from(c0) * u64::from(MULTIPLIER[0]);
        let p1 = u64::from(c2) * u64::from(MULTIPLIER[1]);
        (c0, c1) = ((p1 >> 32) as u32 ^ c1 ^ k0, p1 as u32);
        (c2, c3) = ((p0 >> 32) as u32 ^ c3 ^ k1, p0 as u32);
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [c0, c1, c2, c3]
}

/// [`philox`] at eight counters that differ in their first word alone (lane i has `first[i]`).
///
/// Returns, lane by lane, output words 0 and 1, then 2 and 3, as little-endian 64-bit words.
#[inline(always)]
pub fn philox_lanes<S: Simd>(
    simd: S,
    first: u64x8<S>,
    rest: [u32; 3],
    key: [u32; 2],
) -> [u64x8<S>; 2] {
    let splat = |word: u32| u64x8::splat(simd, u64::from(word));
    let low = |x: u64x8<S>| x & u64x8::splat(simd, LOW);
    // High halves may hold rubbish, which `low` removes where it counts.
    let (mut c0, mut c1, mut c2, mut c3) = (first, splat(rest[0]), splat(rest[1]), splat(rest[2]));
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let p0 = low(c0) * splat(MULTIPLIER[0]);
        let p1 = low(c2) * splat(MULTIPLIER[1]);
        (c0, c1) = ((p1 >> 32) ^ c1 ^ splat(k0), p1);
        (c2, c3) = ((p0 >> 32) ^ c3 ^ splat(k1), p0);
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [low(c0) | (c1 << 32), low(c2) | (c3 << 32)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::{Level, dispatch};
    use proptest::prelude::*;

    /// `kat_vectors` of Random123 1.14: philox4x32, 10 rounds.
    #[test]
    fn known_answers() {
        for (counter, key, expected) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            assert_eq!(philox(counter, key), expected);
        }
    }

    proptest! {
        #[test]
        fn lanes_agree_with_scalar(
            first in any::<[u32; 8]>(), rest in any::<[u32; 3]>(), key in any::<[u32; 2]>(),
        ) {
            let [a, b] = dispatch!(Level::new(), simd => {
                let lanes = u64x8::from_slice(simd, &first.map(u64::from));
                philox_lanes(simd, lanes, rest, key).map(|x| x.to_array())
            });
            for lane in 0..8 {
                let x = philox([first[lane], rest[0], rest[1], rest[2]], key).map(u64::from);
                prop_assert_eq!((a[lane], b[lane]), (x[0] | x[1] << 32, x[2] | x[3] << 32));
            }
        }
    }
}
