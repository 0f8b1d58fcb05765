//! Wasserstein-2 distances to a Gaussian: exact between Gaussians and on the line, certified bounds
//! elsewhere, with errors.
//!
//! Batch normalisation makes the pre-activations `W H` of deep random networks nearly Gaussian.
//! Lemma 2 and Corollary 3 of the paper bound the distance. It can be that of either of two laws,
//! and every [`W2`] names [its law](Law). Given `H`, the matrix `W H` is Gaussian, its rows are
//! N(0, C), and the paper's coupling is optimal. Over random `H`, one **row** is a mixture of
//! those. It is far closer to Gaussian than the whole **matrix**, whose rows share one `H`: for n =
//! 32 and a gap of 0.1 the coupling costs 0.111, while a row is at 3e-4.
//!
//! Samples are **rows** here (`N x n`): rows of `W H` are samples of the row law. `H` itself is
//! `d x n`, and samples of the batch are its columns.
//!
//! ```
//! use orthogap::statistics::Interval;
//! use orthogap::wasserstein::{Gaussian, Kind, Sample};
//! use orthogap::{Input, Network, Seed};
//!
//! // One layer: the exact distance of the matrix law given H.
//! let input = Input::spiked(4, 0.1)?;
//! let mut chain = Network::<f64>::new(256).chain(&input, Seed(7))?;
//! let w2 = chain.advance(20)?.w2();
//! assert!(w2.kind == Kind::Exact && w2.squared < 0.02);
//!
//! // Samples of any law: what is certain, with its errors.
//! let target = Gaussian::isotropic(4, 0.5)?;
//! let wide = Sample::from_rows(&Gaussian::isotropic(4, 0.6)?.sample(2000, Seed(1), 0))?;
//! let Interval { low, high } = wide.bracket(&target, None, Seed(2))?.confidence_interval(0.99)?;
//! assert!(0.02 < low && low < 0.04 && 0.04 < high); // the truth is 4 * 0.1²
//! # Ok::<(), orthogap::Error>(())
//! ```
//!
//! # Choosing an estimator
//!
//! | known | want | use |
//! | --- | --- | --- |
//! | two Gaussians | the distance | [`Gaussian::w2`], exact |
//! | one `H` | the matrix law given `H` | [`Gram::w2`](crate::Gram::w2), exact |
//! | many runs | the matrix law | [`MatrixLaw::bracket`]; with feature `assignment` its transport |
//! | numbers | their law | [`NormalBins::w2`], exact, in three parts |
//! | samples | what is certain | [`Sample::bracket`], the best of all bounds |
//! | samples | the part in means and covariances | [`Sample::gelbrich`], debiased |
//! | rows in a stream | the same in `O(n²)` memory | [`RowMoments::gelbrich`] |
//! | samples | whether the distance is zero | [`p_value`] |
//!
//! No bound is always the best. A mixture of scales 1/2 and 3/2 in 32 dimensions is at a squared
//! distance of 5.25 from N(0, I): lengths give all of it, Gelbrich 0.45. For a wrong covariance of
//! the right trace, Gelbrich is exact, and slices give about 2/(n+2) of it. Sampled optimal
//! transport is useless from n = 16 on.
//!
//! # What is not certain
//!
//! Bounds are certain up to the errors they state. A bound computed *on* the sample bounds the
//! distance of the empirical law, which exceeds that of the population by noise. So directions are
//! fixed in advance or found on other samples, and [`W2::bias`] is the part of noise. Standard
//! errors are asymptotic and invalid if the distance is zero: use [`p_value`] there.
//!
//! # Which laws a bias holds for
//!
//! | bias of | exact | to first order in 1/N |
//! | --- | --- | --- |
//! | [`NormalBins::w2`], [`Sample::along_axes`], [`Sample::sliced`], [`Sample::max_sliced`] | normal samples | any law; measured in [`NormalBins::w2`] |
//! | [`RowMoments::gelbrich`] | | Gaussian rows only, also for n of the order of N |
//! | [`Sample::gelbrich`] | | rows with fourth moments; Gaussian rows also for n of the order of N |

#[cfg(feature = "assignment")]
mod assignment;
mod bias;
mod bracket;
mod bures;
mod calibration;
mod chi;
mod directions;
mod distance;
#[cfg(feature = "sinkhorn")]
mod entropic_plan;
mod gaussian;
mod gelbrich;
mod line;
mod max_sliced;
mod moments;
mod order;
mod quantile;
mod radial;
mod row_law;
mod sample;
mod singular_values;
#[cfg(feature = "sinkhorn")]
mod sinkhorn;
mod sliced;
#[cfg(feature = "assignment")]
mod transportation;
mod weighted_line;

#[cfg(feature = "assignment")]
pub use assignment::Assignment;
pub use bracket::{Bound, Bracket};
pub use calibration::p_value;
pub use directions::Directions;
pub use distance::{Kind, Law, Of, W2};
pub use gaussian::Gaussian;
pub use gelbrich::Correction;
pub use line::{LineW2, NormalBins, normal_bins};
pub use max_sliced::MaxSliced;
pub use moments::RowMoments;
pub use row_law::RowLaw;
pub use sample::Sample;
pub use singular_values::MatrixLaw;
#[cfg(feature = "sinkhorn")]
pub use sinkhorn::{Entropic, SinkhornDivergence};
pub use sliced::Sliced;
pub use weighted_line::weighted_line_w2;
