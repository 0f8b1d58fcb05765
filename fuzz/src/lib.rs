//! What the targets share: matrices, recipes and memory layouts out of bytes, and what must hold of
//! every Gram matrix.

mod layout;
mod recipe;

pub use layout::{Held, Layout};
pub use recipe::Recipe;

use arbitrary::{Arbitrary, Result, Unstructured};
use nalgebra::DMatrix;
use orthogap::Gram;

/// A small matrix of any floats at all, or of tame ones.
#[derive(Clone, Debug)]
pub struct Floats(pub DMatrix<f64>);

impl<'a> Arbitrary<'a> for Floats {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let (rows, columns) = (bytes.int_in_range(0..=6)?, bytes.int_in_range(0..=5)?);
        let tame = bytes.arbitrary::<bool>()?;
        let mut entry = || match tame {
            true => Ok(f64::from(bytes.arbitrary::<i8>()?) / 16.0),
            false => bytes.arbitrary::<f64>(),
        };
        let entries: Result<Vec<f64>> = (0..rows * columns).map(|_| entry()).collect();
        Ok(Self(DMatrix::from_vec(rows, columns, entries?)))
    }
}

impl Floats {
    /// A matrix of this shape that repeats the entries; of zeros if there are none.
    pub fn cycled(&self, rows: usize, columns: usize) -> DMatrix<f64> {
        let entries = self.0.as_slice();
        let at = |i: usize| entries.get(i % entries.len().max(1)).copied().unwrap_or(0.0);
        DMatrix::from_fn(rows, columns, |i, j| at(i + j * rows))
    }
}

/// Numbers are numbers, and lie in their ranges.
pub fn check_metrics(gram: &Gram) {
    let n = gram.batch_size() as f64;
    let within = |name: &str, value: f64, low: f64, high: f64| {
        assert!(value >= low - 1e-9 && value <= high * (1.0 + 1e-9), "{name} = {value}");
    };
    within("gap", gram.orthogonality_gap(), 0.0, 1.0);
    within("lyapunov", gram.lyapunov(), 0.0, 1.0 / n);
    within("isometry gap", gram.isometry_gap(), 0.0, f64::INFINITY);
    within("min singular value", gram.min_singular_value(), 0.0, n.sqrt().recip());
    within("condition number", gram.condition_number(), 1.0, f64::INFINITY);
    within("stable rank", gram.stable_rank(), 1.0, n);
    within("participation ratio", gram.participation_ratio(), 1.0, n);
    within("effective rank", gram.effective_rank(), 1.0, n);
    within("coupling bound", gram.coupling_bound(), 0.0, 4.0);
    if let Ok(cosines) = gram.cosines() {
        cosines.iter().for_each(|&cosine| within("cosine", cosine, -1.0, 1.0));
    }
    assert!(gram.orthogonal_lengths().iter().all(|length| length.is_finite()));
}
