//! Metrics of representations: methods of [`Gram`], and functions of a matrix.
//!
//! All are independent of the scale of `H` and invariant under rotations of the neurons. All except
//! the cosines and the [orthogonal lengths](Gram::orthogonal_lengths) are also invariant under
//! rotations of the samples.

mod angle;
mod growth;
mod orthogonality;
mod spectrum;

use std::cell::LazyCell;
use std::fmt;
use std::str::FromStr;

use nalgebra::{Dim, Matrix, RawStorage};

pub use growth::Growth;
pub use orthogonality::{gap_floor, orthogonality_gap};
pub use spectrum::{MinSingularValue, Spectrum};

use crate::{Error, Gram, Result, Scalar};

/// Names the metrics, each with its method of a Gram matrix, or of the spectrum that all spectral
/// metrics of a layer share.
macro_rules! metrics {
    (of $gram:ident and $spectrum:ident: $($metric:ident, $of:ident.$method:ident;)*) => {
        /// A metric of [`Gram`], as an observable of
        /// [`ChainExperiment::observe_metrics`](crate::experiment::ChainExperiment::observe_metrics).
        ///
        /// ```
        /// use orthogap::metric::Metric;
        ///
        /// assert_eq!(Metric::StableRank.to_string(), "stable_rank");
        /// assert_eq!("stable_rank".parse(), Ok(Metric::StableRank));
        /// let error = "rank".parse::<Metric>().unwrap_err();
        /// assert!(error.to_string().contains("effective_rank"));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Metric {
            $(
                #[doc = concat!("[`Gram::", stringify!($method), "`].")]
                $metric,
            )*
        }

        impl Metric {
            /// All metrics.
            pub const ALL: &[Self] = &[$(Self::$metric),*];

            /// Returns the name of the metric: that of the method of [`Gram`].
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$metric => stringify!($method),)*
                }
            }

            /// Computes metrics of one Gram matrix, with at most one spectrum.
            pub(crate) fn measure(metrics: &[Self], $gram: &Gram, values: &mut Vec<f64>) {
                let $spectrum = LazyCell::new(|| $gram.spectrum());
                values.extend(metrics.iter().map(|metric| match metric {
                    $(Self::$metric => $of.$method(),)*
                }));
            }
        }
    };
}

metrics! {
    of gram and spectrum:
    OrthogonalityGap, gram.orthogonality_gap;
    Lyapunov, gram.lyapunov;
    IsometryGap, gram.isometry_gap;
    MinSingularValue, spectrum.min_singular_value;
    ConditionNumber, spectrum.condition_number;
    StableRank, spectrum.stable_rank;
    ParticipationRatio, spectrum.participation_ratio;
    EffectiveRank, spectrum.effective_rank;
    CouplingBound, spectrum.coupling_bound;
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = Error;

    /// Reads the [name](Self::name) of a metric.
    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.iter().copied();
        known.clone().find(|metric| metric.name() == name).ok_or_else(|| Error::UnknownName {
            what: "metric",
            name: name.to_owned(),
            known: known.map(|metric| metric.name().to_owned()).collect(),
        })
    }
}

/// Functions of a matrix `H` (`d x n`) that measure its Gram matrix.
macro_rules! on_columns {
    ($($(#[$summary:meta])* $name:ident;)*) => {$(
        $(#[$summary])*
        ///
        /// `h` is `d x n`, samples are columns; any nalgebra matrix or view. To measure several
        /// quantities of one matrix, factor it once with [`Gram::from_columns`].
        ///
        /// # Errors
        /// Those of [`Gram::from_columns`].
        pub fn $name<T, R, C, S>(h: &Matrix<T, R, C, S>) -> Result<f64>
        where
            T: Scalar,
            R: Dim,
            C: Dim,
            S: RawStorage<T, R, C>,
        {
            Ok(Gram::from_columns(h)?.$name())
        }
    )*};
}

on_columns! {
    /// Returns [`Gram::lyapunov`] of the columns of a matrix.
    lyapunov;
    /// Returns [`Gram::isometry_gap`] of the columns of a matrix.
    isometry_gap;
    /// Returns [`Gram::min_singular_value`] of the columns of a matrix.
    min_singular_value;
    /// Returns [`Gram::condition_number`] of the columns of a matrix.
    condition_number;
    /// Returns [`Gram::stable_rank`] of the columns of a matrix.
    stable_rank;
    /// Returns [`Gram::participation_ratio`] of the columns of a matrix.
    participation_ratio;
    /// Returns [`Gram::effective_rank`] of the columns of a matrix.
    effective_rank;
    /// Returns [`Gram::coupling_bound`] of the columns of a matrix.
    coupling_bound;
}
