//! A guide: the idea, and how to choose, repeat, measure and compare.
//!
//! | page | answers |
//! | --- | --- |
//! | [`idea`] | why an `n x n` matrix is enough |
//! | [`engines`] | which of the three ways to draw a layer runs, and what each costs |
//! | [`estimators`] | how far from Gaussian, and how to know |
//! | [`conjectures`] | how to test a conjecture on random batches and networks |
//! | [`reproducibility`] | what equal seeds promise, and what can change numbers |
//! | [`performance`] | how to measure many networks quickly |
//! | [`coming_from`] | how to write what you know from NumPy, PyTorch or neural-tangents |
//! | [`machines`] | how to use many cores and many machines |
//! | [`trust`] | why to believe the numbers |
//! | [`comparison`] | what to use beside this crate, or in its place |
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
