//! The seed and its random streams, one for every purpose, replicate, layer and block.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::kernel::generator::StreamKey;
use crate::kernel::philox::philox;
use crate::scalar::Scalar;

/// The only source of randomness: equal seeds give equal bits, on any number of threads.
///
/// A seed has a [`Stream`] for every purpose, replicate, layer and block. Streams are addressed,
/// not consumed in order, so no result depends on the order of draws.
///
/// ```
/// use orthogap::{Input, Network, Seed};
///
/// let network = Network::<f64>::new(64);
/// let input = Input::spiked(4, 1e-3)?;
/// let last_gap = |run| Ok::<_, orthogap::Error>(
///     network.chain(&input, run)?.advance(10)?.orthogonality_gap());
///
/// assert_eq!(last_gap(Seed(7).into())?, last_gap(Seed(7).replicate(0))?);
/// assert_ne!(last_gap(Seed(7).into())?, last_gap(Seed(7).replicate(1))?);
/// assert_ne!(last_gap(Seed(7).into())?, last_gap(Seed(8).into())?);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Seed(pub u64);

impl Seed {
    /// Returns the `replicate`-th independent run under this seed.
    #[must_use]
    pub fn replicate(self, replicate: u32) -> Replicate {
        Replicate { seed: self, replicate }
    }

    /// Returns the seed of another experiment: run 5 under one and run 5 under the other are
    /// independent.
    ///
    /// Under one seed, run `k` draws from the same random numbers for every network, so means of
    /// different widths are correlated. If their errors are combined, give each a branch.
    ///
    /// ```
    /// use orthogap::Seed;
    ///
    /// let of_width = |width: u64| Seed(7).branch(width);
    /// assert_eq!(of_width(64), of_width(64));
    /// assert!(of_width(64) != of_width(128) && of_width(64) != Seed(7));
    /// assert_ne!(Seed(7).branch(1).branch(2), Seed(7).branch(2).branch(1));
    /// ```
    #[must_use]
    pub fn branch(self, number: u64) -> Seed {
        let (low, high) = (number as u32, (number >> 32) as u32);
        let address =
            StreamKey { seed: self.0, purpose: BRANCHES, replicate: high, layer: low, block: 0 };
        let [first, second, ..] = philox(address.counter(0), address.key());
        Seed(u64::from(second) << 32 | u64::from(first))
    }
}

/// The code of [`Seed::branch`], which no purpose has.
const BRANCHES: u16 = 10;

/// One of many independent runs under the same seed; a plain [`Seed`] is run 0.
///
/// ```
/// use orthogap::{Replicate, Seed};
/// assert_eq!(Replicate::from(Seed(7)), Seed(7).replicate(0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Replicate {
    seed: Seed,
    replicate: u32,
}

impl From<Seed> for Replicate {
    fn from(seed: Seed) -> Self {
        seed.replicate(0)
    }
}

impl Replicate {
    /// Returns the seed of this run.
    #[must_use]
    pub fn seed(self) -> Seed {
        self.seed
    }

    /// Returns the number of this run under its seed.
    #[must_use]
    pub fn index(self) -> u32 {
        self.replicate
    }

    /// Returns the stream of this run for a purpose, a layer and a block.
    ///
    /// Distinct arguments give distinct streams: all coordinates are separate parts of the counter
    /// of a block cipher, and none is hashed.
    ///
    /// ```
    /// use orthogap::{Purpose, Seed};
    /// use orthogap::rand::Rng;
    ///
    /// let draw = |layer| Seed(7).replicate(2).stream(Purpose::User(0), layer, 0).rng().next_u64();
    /// assert_eq!(draw(1), draw(1));
    /// assert_ne!(draw(1), draw(2));
    /// ```
    #[must_use]
    pub fn stream(self, purpose: Purpose, layer: u32, block: u32) -> Stream {
        Stream { run: self, purpose, layer, block }
    }
}

/// What a stream is for. Different purposes never share random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// The Gaussian rows that a streamed layer draws instead of its weights.
    Rows,
    /// The weights of a layer, drawn explicitly.
    Weights,
    /// The entries of a random input batch.
    Input,
    /// The norms of rows of weights whose directions alone are drawn from [`Purpose::Rows`], and the
    /// diagonal of the factor of a Wishart matrix.
    RowNorms,
    /// The direction of a loss's gradient at the output of a network.
    LossGradient,
    /// The random shifts of a quasi-Monte Carlo lattice.
    Lattice,
    /// Directions that samples are projected onto.
    Projections,
    /// Draws from the Gaussian that a distance is taken to.
    Targets,
    /// The order of samples in an epoch of training.
    Shuffle,
    /// Perturbations of the last digits of weights.
    Rounding,
    /// The part of a layer's gradient that is independent of the representations, in the streamed
    /// reverse pass.
    Gradients,
    /// Streams for the caller.
    User(u8),
}

impl Purpose {
    /// A code that no other purpose has, nor [`BRANCHES`]; part of the value-stability promise.
    fn code(self) -> u16 {
        match self {
            Self::Rows => 0,
            Self::Weights => 1,
            Self::Input => 2,
            Self::RowNorms => 3,
            Self::LossGradient => 4,
            Self::Lattice => 5,
            Self::Projections => 6,
            Self::Targets => 7,
            Self::Shuffle => 8,
            Self::Rounding => 9,
            Self::Gradients => 11,
            Self::User(own) => 0x100 | u16::from(own),
        }
    }
}

/// The address of a sequence of random numbers: run, purpose, layer and block.
///
/// A block is a fixed share of a layer's work, small enough to be the unit of parallel work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stream {
    run: Replicate,
    purpose: Purpose,
    layer: u32,
    block: u32,
}

/// The first stream for the caller's own use: [`Purpose::User`]`(0)`, layer 0, block 0.
impl From<Replicate> for Stream {
    fn from(run: Replicate) -> Self {
        run.stream(Purpose::User(0), 0, 0)
    }
}

/// The first stream of run 0 for the caller's own use.
impl From<Seed> for Stream {
    fn from(seed: Seed) -> Self {
        Replicate::from(seed).into()
    }
}

impl Stream {
    /// Returns the generator at the start of this stream, for use with `rand` and `rand_distr`.
    ///
    /// Its 256 bits of state are two Philox4x32-10 outputs, so different streams start at
    /// different states; about 50 ns.
    ///
    /// ```
    /// use orthogap::{Purpose, Seed};
    /// use orthogap::rand::RngExt;
    ///
    /// let mut rng = Seed(7).replicate(0).stream(Purpose::User(1), 0, 0).rng();
    /// let x: f64 = rng.random();
    /// assert!((0.0..1.0).contains(&x));
    /// ```
    #[must_use]
    pub fn rng(&self) -> impl rand::Rng + Clone + use<> {
        let key = self.key();
        let mut state = [0; 32];
        for (index, half) in (0..).zip(state.chunks_exact_mut(16)) {
            let words = philox(key.counter(index), key.key());
            for (bytes, word) in half.chunks_exact_mut(4).zip(words) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
        }
        Xoshiro256PlusPlus::from_seed(state)
    }

    /// Fills `out` with independent standard normals, the first of this stream.
    ///
    /// Eight generators side by side, of which [`rng`](Self::rng) is the first, feed a vectorised
    /// Box-Muller transform: about a nanosecond a number. The tails reach 8.57 standard deviations
    /// in `f64` and 7.35 in `f32`. The same bits come out on AVX-512, AVX2 and NEON; hardware
    /// without a fused multiply-add rounds differently.
    ///
    /// ```
    /// use orthogap::{Purpose, Seed};
    ///
    /// let mut normals = [0.0f32; 1000];
    /// Seed(7).replicate(0).stream(Purpose::User(0), 0, 0).fill_normal(&mut normals);
    /// let mean_square = normals.iter().map(|z| z * z).sum::<f32>() / 1000.0;
    /// assert!((mean_square - 1.0).abs() < 0.25); // 5 standard errors
    /// ```
    pub fn fill_normal<T: Scalar>(&self, out: &mut [T]) {
        T::fill_normal(fearless_simd::Level::new(), self.key(), out);
    }

    /// This address in the words of the kernels.
    pub(crate) fn key(&self) -> StreamKey {
        let Seed(seed) = self.run.seed;
        StreamKey {
            seed,
            purpose: self.purpose.code(),
            replicate: self.run.replicate,
            layer: self.layer,
            block: self.block,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use std::collections::HashSet;

    #[test]
    fn every_coordinate_opens_another_stream() {
        let mut seen = HashSet::new();
        let mut count = 0;
        for seed in [0, 1, 1 << 32, u64::MAX] {
            for replicate in [0, 1, u32::MAX] {
                for purpose in [
                    Purpose::Rows,
                    Purpose::Weights,
                    Purpose::Input,
                    Purpose::RowNorms,
                    Purpose::LossGradient,
                    Purpose::Lattice,
                    Purpose::Projections,
                    Purpose::Targets,
                    Purpose::Shuffle,
                    Purpose::Rounding,
                    Purpose::Gradients,
                    Purpose::User(0),
                ] {
                    for layer in [0, 1, 2] {
                        for block in [0, 1, 1 << 16] {
                            let run = Seed(seed).replicate(replicate);
                            let mut rng = run.stream(purpose, layer, block).rng();
                            seen.insert([rng.next_u64(), rng.next_u64()]);
                            count += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(seen.len(), count);
    }

    /// Value-stable, and distinct over seeds, numbers and their order.
    #[test]
    fn branches_differ() {
        let mut seen = HashSet::new();
        for seed in [0, 1, 1 << 32] {
            for number in [0, 1, 2, 1 << 32, u64::MAX] {
                seen.insert(Seed(seed).branch(number));
            }
        }
        assert_eq!(seen.len(), 15);
        // By Philox4x32-10 written out in Python.
        assert_eq!(Seed(7).branch(64), Seed(0xb564_9dd9_cb34_2aac));
        assert_eq!(Seed(1 << 32).branch(u64::MAX), Seed(0x8e9d_3883_169b_6964));
    }
}
