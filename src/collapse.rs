//! Rank collapse in spite of batch normalisation: how fast a nearly lost direction grows back.
//!
//! If the smallest singular value is tiny, a layer of the paper's network multiplies it by a random
//! factor that no longer depends on it. The mean logarithm of that factor turns negative below a
//! critical width of about [`n²/4`](crate::theory::critical_width::predicted): there the direction
//! is lost for good, exponentially fast, although the network has more neurons than samples.
//!
//! ```
//! use orthogap::{Seed, collapse::growth_rate};
//!
//! let narrow = growth_rate(4, 5, 2000, Seed(1))?;
//! let wide = growth_rate(4, 32, 2000, Seed(1))?;
//! assert!(narrow.mean() < -5.0 * narrow.standard_error());
//! assert!(wide.mean() > 5.0 * wide.standard_error());
//! # Ok::<(), orthogap::Error>(())
//! ```

use nalgebra::{DMatrix, DVector};

use crate::statistics::Moments;
use crate::theory::critical_width::predicted;
use crate::{Error, Gram, Input, Network, Result, Seed};

/// Length of a nearly lost direction at the start, and the range in which it counts as such.
const START: f64 = 1e-150;
const RANGE: std::ops::Range<f64> = 1e-300..1e-8;

/// The mean growth of the logarithm of a nearly lost singular value in a layer: moments of means
/// over blocks of layers so long that they are all but independent.
///
/// Stationarity of the other directions is waited for. Cost: `layers` steps of a chain, and half as
/// many again if the direction is quickly lost or found.
///
/// # Errors
/// [`Error::BatchTooSmall`] below two samples, [`Error::BatchExceedsWidth`] if `n > d`,
/// [`Error::InvalidParameter`] below 20 blocks of `8 n` layers.
pub fn growth_rate(batch_size: usize, width: usize, layers: usize, seed: Seed) -> Result<Moments> {
    if batch_size < 2 {
        return Err(Error::BatchTooSmall { batch_size, minimum: 2 });
    }
    let block = 8 * batch_size; // 16 relaxation times of wide networks
    if layers < 20 * block {
        let expected = "at least 160 n layers";
        return Err(Error::InvalidParameter { name: "layers", value: layers as f64, expected });
    }
    let mut lengths = DVector::from_element(batch_size, 1.0);
    lengths[batch_size - 1] = START;
    let input = Input::from_gram(Gram::from_factor(DMatrix::from_diagonal(&lengths))?);
    let network = Network::<f64>::new(width);
    let (mut blocks, mut replicate) = (Moments::new(), 0);
    'chain: while (blocks.count() as usize) < layers / block {
        let mut chain = network.chain(&input, seed.replicate(replicate))?;
        replicate += 1;
        let mut last = None;
        loop {
            let layer = match chain.advance(block) {
                Ok(layer) => layer,
                Err(Error::Collapsed { .. }) => continue 'chain,
                Err(error) => return Err(error),
            };
            // The factor stays triangular, and its last pivot is the distance of the last sample
            // from the span of the others.
            let rank = layer.rank();
            let pivot = layer.factor()[(rank - 1, batch_size - 1)];
            if rank < batch_size || !RANGE.contains(&pivot) {
                continue 'chain;
            }
            if let Some(before) = last.replace(pivot.ln()) {
                blocks.push((pivot.ln() - before) / block as f64);
            }
            if blocks.count() as usize >= layers / block {
                break;
            }
        }
    }
    Ok(blocks)
}

/// The smallest width at which a nearly lost direction grows back, estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CriticalWidth {
    /// The smallest width with positive growth.
    pub width: usize,
    /// Where the growth crosses zero, on the line through the two widths around it.
    pub crossing: f64,
    /// The standard error of the crossing.
    pub standard_error: f64,
}

/// Estimates the critical width by bisection, `layers` layers for every width that is tried.
///
/// Cost: about `2 log2(n)` calls of [`growth_rate`].
///
/// ```
/// use orthogap::{Seed, collapse::critical_width};
///
/// let critical = critical_width(3, 20_000, Seed(1))?;
/// assert_eq!(critical.width, 5);
/// assert!(critical.standard_error < 0.1);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// Those of [`growth_rate`].
pub fn critical_width(batch_size: usize, layers: usize, seed: Seed) -> Result<CriticalWidth> {
    let growth = |width| growth_rate(batch_size, width, layers, seed);
    let mut high = (predicted(batch_size) as usize).max(batch_size + 1);
    let mut above = growth(high)?;
    while above.mean() <= 0.0 {
        high += high.div_ceil(2);
        above = growth(high)?;
    }
    // At d = n a single neuron is left to the last direction, which shrinks (n = 2: stays).
    let mut low = batch_size;
    let mut below = growth(low)?;
    while high - low > 1 {
        let middle = low.midpoint(high);
        let growth = growth(middle)?;
        if growth.mean() > 0.0 {
            (high, above) = (middle, growth);
        } else {
            (low, below) = (middle, growth);
        }
    }
    // The slope from farther away, where it drowns the errors.
    let (left, right) = ((low - low / 4).max(batch_size), high + high / 4 + 1);
    let slope = (growth(right)?.mean() - growth(left)?.mean()) / (right - left) as f64;
    let share = below.mean() / (below.mean() - above.mean());
    let error = below.standard_error().hypot(above.standard_error()) / 2.0;
    Ok(CriticalWidth { width: high, crossing: low as f64 + share, standard_error: error / slope })
}
