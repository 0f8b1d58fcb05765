//! The number of runs in which an irreversible event happened, by layer.

use crate::serialization::deserialize_checked;
#[cfg(feature = "serde")]
use crate::{Error, Result};

/// The number of runs in which a kind of [`Event`](crate::Event) happened, by its first layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct EventCount {
    /// Layers, ascending, with the number of runs.
    first: Vec<(usize, u32)>,
}

impl EventCount {
    /// Returns the layers at which runs had their first event, in ascending order, each with the
    /// number of these runs.
    #[must_use]
    pub fn first_layers(&self) -> &[(usize, u32)] {
        &self.first
    }

    /// Returns the number of runs that had an event.
    #[must_use]
    pub fn runs(&self) -> u32 {
        self.until(usize::MAX)
    }

    /// Returns the number of runs that had an event at a layer or before it.
    #[must_use]
    pub fn until(&self, layer: usize) -> u32 {
        self.first.iter().take_while(|&&(first, _)| first <= layer).map(|(_, runs)| runs).sum()
    }

    /// Adds runs whose first event was at a layer.
    pub(super) fn add(&mut self, layer: usize, runs: u32) {
        match self.first.binary_search_by_key(&layer, |&(layer, _)| layer) {
            Ok(found) => self.first[found].1 += runs,
            Err(place) => self.first.insert(place, (layer, runs)),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other.first.iter().for_each(|&(layer, runs)| self.add(layer, runs));
    }

    /// Refuses more runs with events than there were.
    #[cfg(feature = "serde")]
    pub(super) fn check(&self, runs: u32) -> Result<()> {
        if self.runs() > runs {
            let (name, expected) = ("runs with an event", "at most as many as there were runs");
            return Err(Error::InvalidParameter { name, value: self.runs().into(), expected });
        }
        Ok(())
    }
}

deserialize_checked!(EventCount { first: Vec<(usize, u32)> }, |first| {
    let ascending = first.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let runs = first.iter().try_fold(0u32, |sum, &(_, runs)| sum.checked_add(runs));
    match first.iter().find(|&&(_, more)| more == 0 || !ascending || runs.is_none()) {
        Some(&(layer, _)) => {
            let expected = "ascending layers, each with a run or more, below 2^32 in all";
            Err(Error::InvalidParameter { name: "layer of an event", value: layer as f64, expected })
        }
        None => Ok(EventCount { first }),
    }
});
