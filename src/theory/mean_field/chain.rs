//! The deterministic chain.

use std::ops::Deref;

use nalgebra::DMatrix;

use super::centering::centered;
use super::map::{check_singular_values, map_scaled};
use crate::{Gram, Result};

/// A layer of the deterministic chain: a Gram matrix with its depth and every metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanFieldLayer {
    depth: usize,
    gram: Gram,
}

impl MeanFieldLayer {
    /// Returns the number of layers above the input, which is layer 0.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Returns the Gram matrix of the representations.
    #[must_use]
    pub fn gram(&self) -> &Gram {
        &self.gram
    }
}

impl Deref for MeanFieldLayer {
    type Target = Gram;

    fn deref(&self) -> &Gram {
        &self.gram
    }
}

/// The chain of hidden representations at infinite width, which is deterministic.
///
/// The eigenvectors of the Gram matrix are constant, its eigenvalues follow [`map`](super::map). As
/// an iterator it yields layer 1 first and is infinite; the input, layer 0, is
/// [`MeanFieldChain::layer`] before the first step. Near orthogonality the gap shrinks by
/// [`n/(n+2)`](crate::theory::stationary::decay_rate) a layer. It is exact to a relative 1e-10 in
/// every eigenvalue, so gaps below 1e-15 are rounding: use [`Deviations`](super::Deviations) for
/// those. Directions that are missing in the input stay missing, and the others become orthogonal.
///
/// ```
/// use orthogap::{Input, Network, Seed, theory::mean_field::MeanFieldChain};
///
/// let input = Input::near_collinear(4, 1e-3)?;
/// let infinite = MeanFieldChain::new(input.gram())?;
/// let wide = Network::<f64>::new(100_000).chain(&input, Seed(7))?;
/// for (infinite, wide) in infinite.zip(wide).take(10) {
///     let wide = wide?;
///     assert_eq!(infinite.depth(), wide.depth());
///     assert!((infinite.orthogonality_gap() - wide.orthogonality_gap()).abs() < 0.01);
/// }
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MeanFieldChain {
    /// Unit eigenvectors, one a row, `r x n`.
    axes: DMatrix<f64>,
    eigenvalues: Vec<f64>,
    layer: MeanFieldLayer,
}

impl MeanFieldChain {
    /// Creates the chain that begins with this Gram matrix. Cost: its spectrum, some 10 to 50 `n³`.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) if a positive singular value is
    /// below 1e-140 times the largest: its eigenvalue is below 1e-280 times the largest.
    ///
    /// ```
    /// use orthogap::{Error, Gram, nalgebra, theory::mean_field::MeanFieldChain};
    ///
    /// let lost = Gram::from_factor(nalgebra::dmatrix![1.0, 0.0; 0.0, 1e-150])?;
    /// assert!(matches!(MeanFieldChain::new(&lost), Err(Error::InvalidParameter { .. })));
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    pub fn new(gram: &Gram) -> Result<Self> {
        let (singular_values, axes) = gram.principal_axes();
        // The map brings eigenvalues closer, so those of later layers are in range, too.
        check_singular_values(&singular_values)?;
        let eigenvalues = singular_values.iter().map(|sigma| sigma * sigma).collect();
        let layer = MeanFieldLayer { depth: 0, gram: gram.clone() };
        Ok(Self { axes: axes.transpose(), eigenvalues, layer })
    }

    /// Centres rows over the batch before they are normalised, from the next layer on.
    ///
    /// The chain continues with the eigenvalues and axes of the [`centered`] Gram matrix.
    ///
    /// ```
    /// use orthogap::{Input, theory::mean_field::MeanFieldChain};
    ///
    /// let input = Input::near_collinear(4, 1e-3)?;
    /// let mut chain = MeanFieldChain::new(input.gram())?.with_centering()?;
    /// let deep = chain.advance(60);
    /// assert_eq!(deep.rank(), 3);
    /// // Four centred samples of equal length: the corners of a regular simplex.
    /// assert!((deep.cosine(0, 1)? + 1.0 / 3.0).abs() < 1e-9);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`centered`] and [`new`](Self::new).
    pub fn with_centering(self) -> Result<Self> {
        let centred = Self::new(&centered(&self.layer.gram)?)?;
        Ok(Self { layer: self.layer, ..centred })
    }

    /// Returns the current layer: the input at first, then the one last stepped to.
    #[must_use]
    pub fn layer(&self) -> &MeanFieldLayer {
        &self.layer
    }

    /// Computes the next layer and borrows it. Cost: `O(n²)` beside [`map`](super::map).
    pub fn step(&mut self) -> &MeanFieldLayer {
        let largest = self.eigenvalues[0];
        self.eigenvalues.iter_mut().for_each(|lambda| *lambda /= largest);
        self.eigenvalues = map_scaled(&self.eigenvalues);
        let (axes, eigenvalues) = (&self.axes, &self.eigenvalues);
        self.layer.gram.rewrite(|factor| {
            *factor = axes.clone();
            for (mut row, lambda) in factor.row_iter_mut().zip(eigenvalues) {
                row *= lambda.sqrt();
            }
        });
        self.layer.depth += 1;
        &self.layer
    }

    /// Computes `layers` more layers and borrows the last one.
    pub fn advance(&mut self, layers: usize) -> &MeanFieldLayer {
        for _ in 0..layers {
            self.step();
        }
        &self.layer
    }
}

impl Iterator for MeanFieldChain {
    type Item = MeanFieldLayer;

    fn next(&mut self) -> Option<MeanFieldLayer> {
        Some(self.step().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::mean_field::map;
    use crate::{Error, Input, Seed};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Eigenvectors stay, so the chain is the map in the eigenbasis, whatever that is.
        #[test]
        fn the_chain_is_the_map_in_a_fixed_basis(n in 1usize..7, power in 0..12i32, seed in any::<u64>()) {
            let noise = Input::gaussian(n, n, Seed(seed)).unwrap().columns().clone();
            let small = 10f64.powi(-power);
            let columns = DMatrix::from_fn(n, n, |i, j| 1.0 + i as f64 + small * noise[(i, j)]);
            let gram = Gram::from_columns(&columns).unwrap();
            let layer = MeanFieldChain::new(&gram).unwrap().next().unwrap();
            let squares = |gram: &Gram| gram.singular_values().map(|s| s * s).as_slice().to_vec();
            for (p, naive) in squares(&layer).iter().zip(map(&squares(&gram)).unwrap()) {
                // Both are zero where the columns are dependent to rounding.
                prop_assert!((p - naive).abs() <= 1e-9 * naive);
            }
            let (c, next) = (gram.matrix(), layer.matrix());
            prop_assert!((&c * &next - &next * &c).amax() < 1e-14, "they commute");
        }
    }

    /// Also where the square of a singular value underflows.
    #[test]
    fn spectra_out_of_range_are_refused() {
        for small in [1e-145, 1e-165, 1e-300] {
            let lost = Gram::from_factor(nalgebra::dmatrix![1.0, 0.0; 0.0, small]).unwrap();
            let error = MeanFieldChain::new(&lost).unwrap_err();
            let named = matches!(error, Error::InvalidParameter { name: "singular value", .. });
            assert!(named, "{small}: {error}");
        }
        let kept = Gram::from_factor(nalgebra::dmatrix![1.0, 0.0; 0.0, 1e-139]).unwrap();
        assert_eq!(MeanFieldChain::new(&kept).unwrap().step().rank(), 2);
    }

    #[test]
    fn missing_directions_stay_missing() {
        assert_eq!(map(&[0.0, 3.0, 0.0]).unwrap(), [0.0, map(&[1.0]).unwrap()[0], 0.0]);
        let h = nalgebra::dmatrix![1.0, 1.0, 0.3; 2.0, 2.0, -0.5; 0.0, 0.0, 1.0];
        let mut chain = MeanFieldChain::new(&Gram::from_columns(&h).unwrap()).unwrap();
        let layer = chain.advance(60);
        assert_eq!((layer.rank(), layer.depth()), (2, 60));
        assert!((layer.orthogonality_gap() - (0.5f64 - 1.0 / 3.0).sqrt()).abs() < 1e-14);
    }
}
