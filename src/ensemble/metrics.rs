//! The metrics of a Gram matrix as observables.

use std::cell::LazyCell;
use std::fmt;
use std::str::FromStr;

use crate::{Error, Gram, Result};

/// Names the metrics, each with its method of a Gram matrix, or of the spectrum that all spectral
/// metrics of a layer share.
macro_rules! metrics {
    (of $gram:ident and $spectrum:ident: $($metric:ident, $of:ident.$method:ident;)*) => {
        /// A metric of [`Gram`], as an observable of
        /// [`ChainExperiment::observe_metrics`](super::ChainExperiment::observe_metrics).
        ///
        /// ```
        /// use orthogap::ensemble::Metric;
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

            /// The name of the metric: that of the method of [`Gram`].
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$metric => stringify!($method),)*
                }
            }

            /// Computes metrics of one Gram matrix, with at most one spectrum.
            pub(super) fn measure(metrics: &[Self], $gram: &Gram, values: &mut Vec<f64>) {
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
