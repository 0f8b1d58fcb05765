//! Irreversible events of a chain: samples that die, directions that are lost.

use std::fmt;

use super::Layer;

/// An event at a layer that no later layer is likely to undo. An ensemble
/// [counts](crate::experiment::Summary::dead_samples) the runs that met one.
///
/// ```
/// use orthogap::{Event, Input, Network, Seed};
///
/// // Four samples need a width of 7, three one of 5, two one of 3: of four directions two are left.
/// let mut chain = Network::<f64>::new(4).chain(&Input::orthogonal(4)?, Seed(6))?;
/// chain.advance(2000)?;
/// for event in chain.events() {
///     println!("{event}"); // at which layer, and how many directions are left
/// }
/// assert!(matches!(chain.events(), [.., Event::RankLoss { rank: 2, .. }]));
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Samples became zero, as happens if an activation is zero on an interval. If the activation
    /// maps zero to zero, and the normalisation does not centre, they stay zero.
    DeadSamples {
        /// The layer.
        layer: usize,
        /// Which samples, counted from 0.
        samples: Vec<usize>,
    },
    /// Directions fell below the precision of the engine for the first time: the columns of `H`
    /// have become linearly dependent to that precision. It is 2.2e-16 of the norm in a linear
    /// network on the streamed engine. With an activation, or where `H` is held, it is that of the
    /// scalar, some roundings of it. Under batch normalisation below the critical width (about
    /// n²/4) this always happens eventually. In a linear network centring takes one direction at
    /// layer 1.
    RankLoss {
        /// The layer.
        layer: usize,
        /// How many directions are left.
        rank: usize,
    },
}

impl Event {
    /// Returns the layer of the event.
    #[must_use]
    pub fn layer(&self) -> usize {
        match self {
            Self::DeadSamples { layer, .. } | Self::RankLoss { layer, .. } => *layer,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeadSamples { layer, samples } => {
                write!(f, "layer {layer}: samples {samples:?} died")
            }
            Self::RankLoss { layer, rank } => write!(f, "layer {layer}: rank fell to {rank}"),
        }
    }
}

/// Looks at every layer of a chain and remembers its events.
#[derive(Clone, Debug)]
pub(super) struct EventTracker {
    events: Vec<Event>,
    dead: Vec<usize>,
    rank: usize,
}

impl EventTracker {
    pub(super) fn new(input: &Layer) -> Self {
        Self { events: Vec::new(), dead: dead_samples(input), rank: visible_rank(input) }
    }

    /// All events so far.
    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    /// Writes the events of a layer into it.
    pub(super) fn update(&mut self, layer: &mut Layer) {
        layer.events.clear();
        if has_large_diagonal(layer) {
            self.dead.clear();
            return;
        }
        let dead = dead_samples(layer);
        if dead != self.dead {
            let samples: Vec<_> = dead.iter().filter(|j| !self.dead.contains(j)).copied().collect();
            if !samples.is_empty() {
                layer.events.push(Event::DeadSamples { layer: layer.depth, samples });
            }
            self.dead = dead;
        }
        let rank = visible_rank(layer);
        if rank < self.rank {
            self.rank = rank;
            layer.events.push(Event::RankLoss { layer: layer.depth, rank });
        }
        self.events.extend_from_slice(&layer.events);
    }
}

/// Whether the diagonal of the factor alone shows that nothing is lost, as it nearly always does.
fn has_large_diagonal(layer: &Layer) -> bool {
    let factor = layer.factor();
    let step = factor.nrows() + 1;
    factor.is_square() && factor.as_slice().iter().step_by(step).all(|x| x.abs() > f64::EPSILON)
}

/// The samples that are zero. Allocates only if there are any.
fn dead_samples(layer: &Layer) -> Vec<usize> {
    let columns = layer.factor().column_iter().enumerate();
    columns.filter(|(_, x)| x.iter().all(|&x| x == 0.0)).map(|(j, _)| j).collect()
}

/// The number of rows of the factor, which has norm one, that differ from zero in the precision of
/// `f64`.
fn visible_rank(layer: &Layer) -> usize {
    let visible = f64::EPSILON * f64::EPSILON;
    let factor = layer.factor();
    (0..factor.nrows())
        .filter(|&i| factor.row(i).iter().map(|x| x * x).sum::<f64>() > visible)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gram;
    use nalgebra::{DMatrix, dmatrix};

    fn layer(depth: usize, factor: DMatrix<f64>) -> Layer {
        let gram = Gram::from_factor(factor).unwrap();
        Layer { depth, gram, log_scale: 0.0, events: Vec::new() }
    }

    /// The layers are followed in turn, and the last one twice.
    #[test]
    fn losses_are_reported_once() {
        let alive = || DMatrix::identity(3, 3);
        let one_dead = || dmatrix![1.0, 0.5, 0.0; 0.0, 1.0, 0.0; 0.0, 0.0, 0.0];
        let two_dead = || dmatrix![1.0, 0.0, 0.0; 0.0, 0.0, 0.0; 0.0, 0.0, 0.0];
        let died = |layer, samples: &[usize]| Event::DeadSamples { layer, samples: samples.into() };
        let lost = |layer, rank| Event::RankLoss { layer, rank };
        let mut tracker = EventTracker::new(&layer(0, alive()));
        for (depth, factor, expected) in [
            (1, alive(), vec![]),
            (2, one_dead(), vec![died(2, &[2]), lost(2, 2)]),
            (3, one_dead(), vec![]),
            (4, two_dead(), vec![died(4, &[1]), lost(4, 1)]),
            // A residual branch may bring samples back.
            (5, alive(), vec![]),
            (6, one_dead(), vec![died(6, &[2])]),
        ] {
            let mut layer = layer(depth, factor);
            tracker.update(&mut layer);
            assert_eq!(layer.events(), expected);
            assert!(expected.iter().all(|event| event.layer() == depth));
        }
        assert_eq!(tracker.events().len(), 5);
        let mut last = layer(7, two_dead());
        tracker.update(&mut last);
        assert_eq!((last.events().len(), tracker.events().len()), (1, 6));
        tracker.update(&mut last);
        assert_eq!((last.events().len(), tracker.events().len()), (0, 6));
    }

    #[test]
    fn directions_below_the_precision_are_lost() {
        let rank = |row: [f64; 3]| {
            let mut factor = dmatrix![1.0, 0.0, 0.0; 0.0, 1.0, 0.0; 0.0, 0.0, 0.0];
            factor.row_mut(2).copy_from_slice(&row);
            visible_rank(&layer(1, factor))
        };
        assert_eq!(rank([0.0, 0.0, 1e-12]), 3);
        assert_eq!(rank([0.0, 0.0, 3.2e-16]), 3); // 2.3e-16 of the norm, which is √2
        assert_eq!(rank([0.0, 0.0, 3e-16]), 2);
        assert_eq!(rank([0.0, -1e-3, 1e-4]), 3);
        // A sample may be zero where the diagonal is not all there is.
        let wide = layer(1, dmatrix![1.0, 0.0, 0.0; 0.0, 1.0, 0.0]);
        assert!(!has_large_diagonal(&wide));
        assert_eq!((visible_rank(&wide), dead_samples(&wide)), (2, vec![2]));
    }
}
