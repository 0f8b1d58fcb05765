//! The guide: the idea, and how to choose, repeat, measure and compare.
//!
//! | page | answers |
//! | --- | --- |
//! | [`idea`] | why an `n x n` matrix is enough |
//! | [`engines`] | which of the three ways to draw a layer runs, and what each costs |
//! | [`estimators`] | how to choose an estimator of the distance to a Gaussian |
//! | [`conjectures`] | how to test a conjecture on random batches and networks |
//! | [`reproducibility`] | what equal seeds guarantee, and what can change numbers |
//! | [`performance`] | how to measure many networks quickly |
//! | [`coming_from`] | code equivalent to NumPy, PyTorch or neural-tangents |
//! | [`machines`] | how to use many cores and many machines |
//! | [`trust`] | how the numbers are tested |
//! | [`comparison`] | what to use with this crate, or instead of it |
//! | [`architecture`] | the modules, for contributors |
//! | [`changelog`] | what changed, and which changes change numbers |
//!
//! These modules hold documentation only.

#[doc = include_str!("idea.md")]
pub mod idea {}

#[doc = include_str!("engines.md")]
pub mod engines {}

#[doc = include_str!("estimators.md")]
pub mod estimators {}

#[doc = include_str!("conjectures.md")]
pub mod conjectures {}

#[doc = include_str!("reproducibility.md")]
pub mod reproducibility {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("coming_from.md")]
pub mod coming_from {}

#[doc = include_str!("machines.md")]
pub mod machines {}

#[doc = include_str!("trust.md")]
pub mod trust {}

#[doc = include_str!("comparison.md")]
pub mod comparison {}

#[doc = include_str!("../../ARCHITECTURE.md")]
pub mod architecture {}

#[doc = include_str!("../../CHANGELOG.md")]
pub mod changelog {}
