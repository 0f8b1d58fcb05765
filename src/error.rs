//! The error type, which prints the values that caused an error.

use std::fmt;
use std::path::PathBuf;

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of every fallible operation, with the values that caused it.
///
/// Bad input is never repaired silently: there is no hidden epsilon, no clamped eigenvalue, and no
/// NaN is passed on. Results from before an error stay available (see [`Chain`](crate::Chain)).
///
/// ```
/// use orthogap::nalgebra::{self, dmatrix};
/// use orthogap::{Error, Gram};
///
/// let error = Gram::from_columns(&dmatrix![1.0, f64::NAN; 0.5, 2.0]).unwrap_err();
/// assert!(matches!(error, Error::NotFinite { row: 0, column: 1, .. }));
/// assert_eq!(error.to_string(), "entry (0, 1) is NaN, not a finite number");
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A matrix without rows or without columns: there is no batch.
    Empty {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix, the batch size.
        columns: usize,
    },
    /// An entry is NaN or infinite.
    NotFinite {
        /// Row (neuron) of the entry.
        row: usize,
        /// Column (sample) of the entry.
        column: usize,
        /// The entry.
        value: f64,
    },
    /// All entries are zero, so the matrix has no direction and no normalised Gram matrix.
    ZeroMatrix {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
    },
    /// A row is zero, or constant where rows are centred: batch normalisation is undefined.
    DegenerateRow {
        /// The row (neuron).
        row: usize,
        /// Its constant value.
        value: f64,
    },
    /// A sample, or a group of its features, is zero, or constant where it is centred: its
    /// normalisation is undefined.
    DegenerateSample {
        /// The sample.
        sample: usize,
        /// Its constant value.
        value: f64,
    },
    /// A column is zero: the sample has no direction.
    ZeroColumn {
        /// The column (sample).
        column: usize,
    },
    /// The columns are linearly dependent to working precision.
    RankDeficient {
        /// The numerical rank.
        rank: usize,
        /// Number of columns, the batch size.
        batch_size: usize,
    },
    /// The batch is too small for the operation.
    BatchTooSmall {
        /// The batch size.
        batch_size: usize,
        /// The smallest that works.
        minimum: usize,
    },
    /// A statistic needs more independent draws: samples of a law, rows, runs.
    SampleTooSmall {
        /// The number of draws.
        count: usize,
        /// The smallest that works.
        minimum: usize,
    },
    /// The batch is larger than the width: its representations cannot be orthogonal.
    BatchExceedsWidth {
        /// The batch size `n`.
        batch_size: usize,
        /// The width `d`.
        width: usize,
    },
    /// Two shapes that must agree do not.
    ShapeMismatch {
        /// What was given.
        what: &'static str,
        /// Its rows and columns.
        found: (usize, usize),
        /// The rows and columns that were needed.
        expected: (usize, usize),
    },
    /// A parameter lies outside its range.
    InvalidParameter {
        /// Name of the parameter.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The range, in words.
        expected: &'static str,
    },
    /// An operation is not defined for this input or recipe.
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// What it requires.
        needs: &'static str,
    },
    /// A statistic of a row exceeds the range of its number type.
    Overflow {
        /// The statistic.
        what: &'static str,
        /// The row (neuron).
        row: usize,
        /// Its value in `f64`.
        value: f64,
    },
    /// A coordinate of a random stream exceeds the 32 bits reserved for it.
    StreamExhausted {
        /// The coordinate, such as the layer.
        coordinate: &'static str,
        /// Its value.
        value: usize,
    },
    /// Under a normalisation, all directions except one were lost: the representations have rank
    /// one. In a linear network on the streamed engine a direction is lost below the smallest
    /// float, otherwise below the precision of the scalar. Of two samples, centring leaves one
    /// direction at any width.
    Collapsed {
        /// The layer at which it happened.
        layer: usize,
        /// The batch size, the largest possible rank.
        batch_size: usize,
    },
    /// All samples have become zero, as they can if an activation is zero on an interval.
    AllSamplesZero {
        /// The layer at which it happened.
        layer: usize,
        /// The batch size.
        batch_size: usize,
    },
    /// The caller interrupted a layer while it was being drawn.
    Interrupted {
        /// The layer, which is lost.
        layer: usize,
        /// How many of its rows were done.
        rows: usize,
    },
    /// A text cannot be parsed.
    Unreadable {
        /// The text.
        text: String,
        /// What was expected, in words.
        expected: &'static str,
    },
    /// A file could not be read or written.
    File {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system, or of the format.
        reason: String,
    },
    /// A file has changed since it was written.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file holds results of another configuration.
    ConfigurationMismatch {
        /// The file.
        path: PathBuf,
        /// The entry of the configuration that differs.
        entry: String,
        /// Its value in the file.
        found: String,
        /// Its value now.
        expected: String,
    },
    /// The scale of a layer left the range of floating point.
    ScaleOutOfRange {
        /// The layer that could not be computed.
        layer: usize,
        /// Natural logarithm of the scale of the representations before that layer.
        log_scale: f64,
    },
    /// An iteration did not reach its tolerance within its budget.
    NotConverged {
        /// What was iterated.
        what: &'static str,
        /// Iterations done.
        iterations: usize,
        /// The error that was reached.
        error: f64,
        /// The largest error that is accepted.
        tolerance: f64,
        /// What to do, in words.
        advice: &'static str,
    },
    /// Machines that draw layers [together](crate::chain::Communicator) failed to draw one.
    Communicator {
        /// What happened, in words.
        reason: String,
    },
    /// The sum over some rows of a layer leaves the range of fixed point: in one super-block it is
    /// 2^63 times that of the first.
    SumOutOfRange {
        /// The layer, counted from 1.
        layer: usize,
    },
    /// A label is not the number of a class.
    LabelOutOfRange {
        /// The sample.
        sample: usize,
        /// Its label.
        label: usize,
        /// The number of classes, labelled from 0.
        classes: usize,
    },
    /// No item has this name.
    UnknownName {
        /// What was looked for.
        what: &'static str,
        /// The name.
        name: String,
        /// The known names.
        known: Vec<String>,
    },
    /// A reverse pass met an activation whose derivative is not known.
    MissingDerivative {
        /// The name of the activation.
        activation: String,
    },
    /// A record or a summary belongs to another ensemble.
    OtherEnsemble {
        /// What differs.
        entry: &'static str,
        /// Its value in the record or the summary.
        found: String,
        /// Its value in the ensemble.
        expected: String,
    },
    /// The code of an [`Experiment`](crate::experiment::Experiment) reported a failure, which ends
    /// the ensemble.
    Experiment {
        /// What happened, in words.
        reason: String,
    },
    /// A step of training met a loss, a gradient, a running statistic or a new parameter that is not
    /// finite, and was not taken.
    Diverged {
        /// The step, counted from 0.
        step: usize,
        /// The loss of its batch, NaN if the forward pass failed.
        loss: f64,
    },
}

impl Error {
    /// The same error of a matrix of which only the rows from `first` on were read.
    pub(crate) fn with_rows_from(self, first: usize) -> Self {
        match self {
            Self::NotFinite { row, column, value } => {
                Self::NotFinite { row: row + first, column, value }
            }
            Self::DegenerateRow { row, value } => Self::DegenerateRow { row: row + first, value },
            other => other,
        }
    }

    /// The same error of a sample that was looked at alone, or elsewhere in a batch: a pixel of it
    /// counts as the sample.
    pub(crate) fn of_sample(self, sample: usize) -> Self {
        match self {
            Self::NotFinite { row, value, .. } => Self::NotFinite { row, column: sample, value },
            Self::DegenerateSample { value, .. } => Self::DegenerateSample { sample, value },
            other => other,
        }
    }

    /// Whether the error concerns one run of an experiment only, so that other runs can continue.
    pub(crate) fn ends_a_run(&self) -> bool {
        matches!(
            self,
            Self::Collapsed { .. }
                | Self::AllSamplesZero { .. }
                | Self::ScaleOutOfRange { .. }
                | Self::Diverged { .. }
                | Self::NotFinite { .. }
                | Self::Overflow { .. }
                | Self::SumOutOfRange { .. }
                | Self::ZeroMatrix { .. }
                | Self::ZeroColumn { .. }
                | Self::RankDeficient { .. }
                | Self::DegenerateRow { .. }
                | Self::DegenerateSample { .. }
        )
    }
}

/// The same text as `Display`: what a `main` that returns an error prints.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Communicator { ref reason } => write!(f, "the team failed: {reason}"),
            Self::SumOutOfRange { layer } => write!(
                f,
                "layer {layer}: some rows sum up to 2^63 times as much as the first ones, beyond the \
                 range of a sum"
            ),
            Self::Empty { rows, columns } => {
                write!(f, "a {rows} x {columns} matrix holds no batch")
            }
            Self::NotFinite { row, column, value } => {
                write!(f, "entry ({row}, {column}) is {value}, not a finite number")
            }
            Self::ZeroMatrix { rows, columns } => {
                write!(f, "all entries of the {rows} x {columns} matrix are zero")
            }
            Self::DegenerateRow { row, value } => write!(
                f,
                "row {row} is constantly {value:e} over the batch: \
                 its normalisation needs a positive epsilon"
            ),
            Self::DegenerateSample { sample, value } => write!(
                f,
                "sample {sample} is constantly {value:e} over features: \
                 its normalisation needs a positive epsilon"
            ),
            Self::ZeroColumn { column } => {
                write!(f, "column {column} (a sample) is zero and has no direction")
            }
            Self::RankDeficient { rank, batch_size } => write!(
                f,
                "the {batch_size} columns (samples) are linearly dependent, of numerical rank {rank}: \
                 transpose the matrix if its rows are samples; Input::from_gram takes dependent ones"
            ),
            Self::BatchTooSmall { batch_size, minimum } => {
                write!(f, "a batch of {batch_size} is too small: at least {minimum} needed")
            }
            Self::SampleTooSmall { count, minimum } => {
                write!(f, "{count} independent draws are too few: at least {minimum} needed")
            }
            Self::BatchExceedsWidth { batch_size, width } => write!(
                f,
                "a batch of {batch_size} samples cannot be orthogonal in width {width}: \
                 the batch size must not exceed the width"
            ),
            Self::Unsupported { what, needs } => write!(f, "{what} needs {needs}"),
            Self::ShapeMismatch { what, found, expected } => write!(
                f,
                "{what} is {} x {}, expected {} x {}",
                found.0, found.1, expected.0, expected.1
            ),
            Self::InvalidParameter { name, value, expected } => {
                write!(f, "{name} = {value} is invalid: expected {expected}")
            }
            Self::Overflow { what, row, value } => {
                write!(f, "the {what} of row {row}, {value:e}, exceeds the range of its type")
            }
            Self::StreamExhausted { coordinate, value } => write!(
                f,
                "{coordinate} {value} exceeds {}, the last one with a random stream of its own",
                u32::MAX
            ),
            Self::Collapsed { layer, batch_size } => write!(
                f,
                "representations of {batch_size} samples collapsed to rank one at layer {layer}: \
                 a larger width keeps more directions, except that centring leaves one of two samples"
            ),
            Self::AllSamplesZero { layer, batch_size } => {
                write!(f, "all {batch_size} samples are zero at layer {layer}")
            }
            Self::Interrupted { layer, rows } => {
                write!(f, "interrupted at layer {layer}, after {rows} of its rows")
            }
            Self::Unreadable { ref text, expected } => {
                write!(f, "{text:?} cannot be read: expected {expected}")
            }
            Self::File { ref path, ref reason } => write!(f, "{}: {reason}", path.display()),
            Self::Damaged { ref path, ref reason } => write!(
                f,
                "{} is damaged: {reason}; without the file its result is computed again",
                path.display()
            ),
            Self::ConfigurationMismatch { ref path, ref entry, ref found, ref expected } => write!(
                f,
                "{} holds results of another configuration: its {entry} is {found}, not {expected}; \
                 use another folder",
                path.display()
            ),
            Self::ScaleOutOfRange { layer, log_scale } => write!(
                f,
                "layer {layer} cannot be computed in floating point \
                 (log scale of its input {log_scale})"
            ),
            Self::NotConverged { what, iterations, error, tolerance, advice } => write!(
                f,
                "{what} did not converge: after {iterations} iterations its error is {error:e}, \
                 more than {tolerance:e}; {advice}"
            ),
            Self::LabelOutOfRange { sample, label, classes } => {
                write!(f, "sample {sample} has label {label}, not one of {classes} classes from 0")
            }
            Self::UnknownName { what, ref name, ref known } => {
                write!(f, "unknown {what} {name:?}: expected {}", known.join(", "))
            }
            Self::MissingDerivative { ref activation } => {
                write!(
                    f,
                    "the activation {activation} has no derivative: give it one by \
                     Activation::with_derivative"
                )
            }
            Self::OtherEnsemble { entry, ref found, ref expected } => {
                write!(f, "the runs are of another ensemble: {entry} is {found}, not {expected}")
            }
            Self::Experiment { ref reason } => write!(f, "the experiment failed: {reason}"),
            Self::Diverged { step, loss } => {
                write!(
                    f,
                    "step {step} diverged (loss {loss:?}) and was not taken: \
                     a smaller learning rate may help"
                )
            }
        }
    }
}

impl std::error::Error for Error {}
