//! Rank collapse in spite of batch normalisation: how fast a nearly lost direction grows back.
//!
//! If the smallest singular value is tiny, a layer of the paper's network multiplies it by a random
//! factor that no longer depends on it. The mean logarithm of that factor turns negative below a
//! critical width of about [`n²/4`](crate::theory::critical_width::predicted): there the direction
//! is lost irreversibly, exponentially fast, although the network has more neurons than samples.
//!
//! ```
//! use orthogap::{Seed, experiment::critical_width::growth_rate};
//!
//! let narrow = growth_rate(4, 5, 2000, Seed(1))?;
//! let wide = growth_rate(4, 32, 2000, Seed(1))?;
//! assert!(narrow.mean() < -5.0 * narrow.standard_error());
//! assert!(wide.mean() > 5.0 * wide.standard_error());
//! # Ok::<(), orthogap::Error>(())
//! ```

use nalgebra::DMatrix;

use crate::check;
use crate::statistics::Moments;
use crate::theory::critical_width::predicted;
use crate::{Error, Gram, Input, Network, Result, Seed};

/// Length of a nearly lost direction: too small to affect the others, and large enough to fall.
const LOST: f64 = 1e-150;

/// Returns the mean growth of the logarithm of a nearly lost singular value in a layer: moments of
/// means over blocks of `8 n` layers, which are nearly independent.
///
/// The other directions are orthogonal at first, and the first block is not counted. Whenever
/// another direction is lost, it restarts from orthogonal ones. Cost: up to `layers + 8 n` steps of
/// a chain.
///
/// # Errors
/// [`Error::BatchTooSmall`] below two samples, [`Error::BatchExceedsWidth`] if `n > d`,
/// [`Error::InvalidParameter`] below 20 blocks, [`Error::StreamExhausted`] above 2^35 layers.
pub fn growth_rate(batch_size: usize, width: usize, layers: usize, seed: Seed) -> Result<Moments> {
    // Layers between two looks, in which a direction can neither vanish nor come back.
    const SEGMENT: usize = 8;
    check::batch(batch_size, 2)?;
    if batch_size > width {
        return Err(Error::BatchExceedsWidth { batch_size, width });
    }
    let blocks = layers / (SEGMENT * batch_size);
    if blocks < 20 {
        let expected = "at least 160 n layers";
        return Err(Error::InvalidParameter { name: "layers", value: layers as f64, expected });
    }
    let network = Network::<f64>::new(width);
    let start = DMatrix::identity(batch_size, batch_size);
    let mut factor = start.clone();
    let mut moments = Moments::new();
    for block in 0..=blocks {
        let mut growth = Moments::new();
        for segment in block * batch_size..(block + 1) * batch_size {
            let exhausted = |_| Error::StreamExhausted { coordinate: "segment", value: segment };
            let run = seed.replicate(u32::try_from(segment).map_err(exhausted)?);
            let before = rescale_last_row(&mut factor);
            let input = Input::from_gram(Gram::from_factor(factor)?);
            let mut chain = network.chain(&input, run)?;
            match chain.advance(SEGMENT) {
                Err(Error::Collapsed { .. }) => factor = start.clone(),
                Err(error) => return Err(error),
                Ok(layer) if layer.rank() < batch_size => factor = start.clone(),
                Ok(layer) => {
                    // The factor stays triangular, and its last pivot is the distance of the last
                    // sample from the span of the others.
                    factor = layer.factor().clone();
                    let last = factor[(batch_size - 1, batch_size - 1)];
                    growth.push((last.ln() - before) / SEGMENT as f64);
                    if factor.diagonal().rows(0, batch_size - 1).min() < LOST.sqrt() {
                        factor = start.clone();
                    }
                }
            }
        }
        if block > 0 && growth.count() > 0 {
            moments.push(growth.mean());
        }
    }
    Ok(moments)
}

/// Makes the last direction of a triangular factor nearly lost again, and returns the logarithm of
/// its length beside the norm of the factor.
fn rescale_last_row(factor: &mut DMatrix<f64>) -> f64 {
    let last = factor.nrows() - 1;
    let pivot = factor[(last, last)];
    factor.row_mut(last).scale_mut(LOST / pivot);
    (LOST / factor.norm()).ln()
}

/// The smallest width at which a nearly lost direction grows back, estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CriticalWidth {
    /// The smallest whole width above the crossing.
    pub width: usize,
    /// Where the growth crosses zero.
    pub crossing: f64,
    /// The standard error of the crossing.
    pub standard_error: f64,
}

/// Estimates the critical width, from `layers` layers at each width that is tried.
///
/// A bisection finds two widths between which the growth changes its sign. It is measured again at
/// two such widths, so far apart that the growth rises by four times its error. The crossing is
/// that of the chord in $`1/d^2`$, in which the growth is nearly linear. Its error follows from the
/// errors of both ends. Every measurement has separate random numbers, so they are independent.
///
/// Cost: about `2 log2(n) + 4` calls of [`growth_rate`].
///
/// ```
/// use orthogap::{Seed, experiment::critical_width};
///
/// let critical = critical_width::estimate(3, 20_000, Seed(1))?;
/// assert_eq!(critical.width, 5);
/// assert!(critical.standard_error < 0.1);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// Those of [`growth_rate`].
pub fn estimate(batch_size: usize, layers: usize, seed: Seed) -> Result<CriticalWidth> {
    let growth = |stage, width| {
        growth_rate(batch_size, width, layers, seed.branch(stage).branch(width as u64))
    };
    // At d = n a single neuron is left to the last direction, which shrinks (n = 2: stays).
    let mut low = batch_size;
    let mut high = (predicted(batch_size) as usize).max(low + 1);
    while growth(0, high)?.mean() <= 0.0 {
        high += high.div_ceil(2);
    }
    while high - low > 1 {
        let middle = low.midpoint(high);
        *if growth(0, middle)?.mean() > 0.0 { &mut high } else { &mut low } = middle;
    }
    // The signs of its measurements decided the bisection, so none of them enters the estimate.
    loop {
        let (below, above) = (growth(1, low)?, growth(1, high)?);
        let [below_error, above_error] = [below, above].map(|growth| growth.standard_error());
        let [from, to] = [low, high].map(|width| (width as f64).powi(-2));
        let rise = above.mean() - below.mean();
        let share = -below.mean() / rise;
        let inverse_square = from + share * (to - from);
        if rise >= 4.0 * below_error.hypot(above_error) && inverse_square > 0.0 {
            let crossing = inverse_square.powf(-0.5);
            let share_error = ((1.0 - share) * below_error).hypot(share * above_error) / rise;
            let standard_error = 0.5 * crossing.powi(3) * (from - to) * share_error;
            return Ok(CriticalWidth { width: crossing as usize + 1, crossing, standard_error });
        }
        let reach = high - low;
        (low, high) = (low.saturating_sub(reach).max(batch_size), high + reach);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Even where every direction is lost, or found, within a few layers.
    #[test]
    fn extreme_widths_have_growth_too() {
        for (n, d) in [(24, 24), (24, 30), (2, 100_000)] {
            let growth = growth_rate(n, d, 160 * n, Seed(1)).unwrap();
            assert_eq!(growth.count(), 20);
            assert_eq!(growth.mean() > 0.0, d > 100, "{n}, {d}: {}", growth.mean());
        }
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let error = |n, d, layers| growth_rate(n, d, layers, Seed(1)).unwrap_err();
        assert_eq!(error(1, 9, 9999), Error::BatchTooSmall { batch_size: 1, minimum: 2 });
        assert_eq!(error(4, 3, 9999), Error::BatchExceedsWidth { batch_size: 4, width: 3 });
        assert!(matches!(error(4, 9, 639), Error::InvalidParameter { name: "layers", .. }));
    }
}
