//! The batch that enters a network.

use std::fmt;

use nalgebra::{DMatrix, Dim, Matrix, RawStorage};

use crate::check;
use crate::{Error, Gram, Purpose, Replicate, Result, Scalar};

/// What an error calls the size of a batch.
const SIZE: &str = "dimension x batch size";

/// A batch of `n` input samples, the columns of a matrix with any number of rows.
///
/// The input dimension need not be the width of the network: the first weight matrix is
/// `width x dimension`.
///
/// ```
/// use orthogap::{Input, nalgebra};
///
/// let input = Input::from_columns(&nalgebra::dmatrix![1.0, 0.9; 0.0, 0.1; 2.0, 1.9])?;
/// assert_eq!((input.dimension(), input.batch_size()), (3, 2));
/// assert!(input.gram().orthogonality_gap() > 0.7);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Input {
    columns: DMatrix<f64>,
    gram: Gram,
    log_scale: f64,
}

/// Prints the shape, the rank and the scale; the numbers are in [`Input::columns`].
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("dimension", &self.dimension())
            .field("batch_size", &self.batch_size())
            .field("rank", &self.gram.rank())
            .field("log_scale", &self.log_scale)
            .finish_non_exhaustive()
    }
}

impl Input {
    /// Creates a batch from a matrix: `h` is `dimension x n`, samples are columns.
    ///
    /// The Gram factor comes from a QR factorisation of `h`, never from $`H^\top H`$.
    ///
    /// # Errors
    /// Those of [`Gram::from_columns`]; [`Error::ZeroColumn`] for a zero sample and
    /// [`Error::RankDeficient`] for linearly dependent ones, which a linear network cannot
    /// separate. To run a chain on dependent samples, use
    /// [`Input::from_gram`]`(`[`Gram::from_columns`]`(&h)?)`.
    ///
    /// ```
    /// use orthogap::{Error, Gram, Input, nalgebra};
    ///
    /// let twins = nalgebra::dmatrix![1.0, 1.0; 2.0, 2.0];
    /// let error = Input::from_columns(&twins).unwrap_err();
    /// assert_eq!(error, Error::RankDeficient { rank: 1, batch_size: 2 });
    /// assert!(Input::from_gram(Gram::from_columns(&twins)?).gram().rank() == 1);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    pub fn from_columns<T, R, C, S>(h: &Matrix<T, R, C, S>) -> Result<Self>
    where
        T: Scalar,
        R: Dim,
        C: Dim,
        S: RawStorage<T, R, C>,
    {
        let gram = Gram::from_columns(h)?;
        let (dimension, batch_size) = h.shape();
        let columns = DMatrix::from_fn(dimension, batch_size, |i, j| h[(i, j)].into());
        if let Some(column) = columns.column_iter().position(|column| column.amax() == 0.0) {
            return Err(Error::ZeroColumn { column });
        }
        if gram.rank() < batch_size {
            return Err(Error::RankDeficient { rank: gram.rank(), batch_size });
        }
        let largest = columns.amax();
        let norm = (&columns / largest).norm(); // at least one: no overflow, no underflow
        let log_scale = largest.ln() + norm.ln() - 0.5 * ((dimension * batch_size) as f64).ln();
        Ok(Self { columns, gram, log_scale })
    }

    /// Creates a batch from its Gram matrix: its samples are the columns of the factor.
    ///
    /// This is the only constructor that accepts dependent or zero samples. Cost: a copy.
    #[must_use]
    pub fn from_gram(gram: Gram) -> Self {
        let columns = gram.factor().clone();
        let log_scale = -0.5 * (columns.len() as f64).ln(); // the factor has norm one
        Self { columns, gram, log_scale }
    }

    /// Creates `n` orthonormal samples: gap 0.
    ///
    /// # Errors
    /// [`Error::Empty`] if `n` is 0, [`Error::InvalidParameter`] for more than 2^40 numbers.
    pub fn orthogonal(batch_size: usize) -> Result<Self> {
        check::size(SIZE, (batch_size, batch_size))?;
        Self::from_columns(&DMatrix::<f64>::identity(batch_size, batch_size))
    }

    /// Creates samples close to the first one: columns $`e_1`$ and
    /// $`(1 - \epsilon) e_1 + \epsilon e_j`$.
    ///
    /// The start of Figure 1 of the paper is `near_collinear(2, 1e-3)`.
    ///
    /// # Errors
    /// [`Error::Empty`] if `n` is 0, [`Error::InvalidParameter`] unless 0 < epsilon <= 1, and
    /// for more than 2^40 numbers, [`Error::RankDeficient`] for an epsilon up to about
    /// `max(4, n)` times 2.2e-16.
    ///
    /// ```
    /// use orthogap::Input;
    ///
    /// let cosine = Input::near_collinear(2, 1e-3)?.gram().cosine(0, 1)?;
    /// assert!((1.0 - cosine - 0.5e-6).abs() < 1e-8);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    pub fn near_collinear(batch_size: usize, epsilon: f64) -> Result<Self> {
        let epsilon = in_unit_interval("epsilon", epsilon)?;
        check::size(SIZE, (batch_size, batch_size))?;
        Self::from_columns(&DMatrix::from_fn(batch_size, batch_size, |i, j| match (i, j) {
            (0, 0) => 1.0,
            (0, _) => 1.0 - epsilon,
            _ if i == j => epsilon,
            _ => 0.0,
        }))
    }

    /// Creates orthogonal samples of very unequal length: diag(1, epsilon, ..., epsilon).
    ///
    /// The start of Figure 2 of the paper is `spiked(4, 1e-6)`.
    ///
    /// # Errors
    /// [`Error::Empty`] if `n` is 0, [`Error::InvalidParameter`] unless 0 < epsilon <= 1, and
    /// for more than 2^40 numbers.
    pub fn spiked(batch_size: usize, epsilon: f64) -> Result<Self> {
        let epsilon = in_unit_interval("epsilon", epsilon)?;
        check::size(SIZE, (batch_size, batch_size))?;
        Self::from_columns(&DMatrix::from_fn(batch_size, batch_size, |i, j| match (i, j) {
            (0, 0) => 1.0,
            _ if i == j => epsilon,
            _ => 0.0,
        }))
    }

    /// Creates samples with independent standard normal entries, `dimension x n`.
    ///
    /// # Errors
    /// [`Error::Empty`] if either is 0, [`Error::RankDeficient`] if `n` exceeds the dimension,
    /// [`Error::InvalidParameter`] for more than 2^40 numbers.
    ///
    /// ```
    /// use orthogap::{Input, Seed};
    ///
    /// let input = Input::gaussian(100, 4, Seed(1))?;
    /// assert!(input.gram().orthogonality_gap() < 0.3);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    pub fn gaussian(
        dimension: usize,
        batch_size: usize,
        run: impl Into<Replicate>,
    ) -> Result<Self> {
        let mut columns: DMatrix<f64> = check::zeros(SIZE, (dimension, batch_size))?;
        run.into().stream(Purpose::Input, 0, 0).fill_normal(columns.as_mut_slice());
        Self::from_columns(&columns)
    }

    /// Returns the samples, `dimension x n`.
    #[must_use]
    pub fn columns(&self) -> &DMatrix<f64> {
        &self.columns
    }

    /// Returns the normalised Gram matrix of the samples.
    #[must_use]
    pub fn gram(&self) -> &Gram {
        &self.gram
    }

    /// Returns the number `n` of samples.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        self.columns.ncols()
    }

    /// Returns the number of entries of a sample.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.columns.nrows()
    }

    /// Returns the natural logarithm of the root mean square entry.
    #[must_use]
    pub fn log_scale(&self) -> f64 {
        self.log_scale
    }
}

fn in_unit_interval(name: &'static str, value: f64) -> Result<f64> {
    check::parameter(name, value, value > 0.0 && value <= 1.0, "0 < epsilon <= 1")
}
