//! Standard normals, filled a block at a time.

use rand_distr::{Distribution, StandardNormal};

use super::Stream;
use crate::Scalar;

/// Fills `out` with the first `out.len()` independent standard normals of `stream`.
pub(crate) fn fill<T: Scalar>(stream: Stream, out: &mut [T]) {
    let mut rng = stream.rng();
    for value in out {
        *value = T::nearest(StandardNormal.sample(&mut rng));
    }
}
