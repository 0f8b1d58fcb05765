//! The neural tangent kernel of a network of finite width.

use nalgebra::DMatrix;

use super::{Scaled, Top};
use crate::{Error, Input, Network, Replicate, Result, Scalar};

/// The empirical neural tangent kernel of a batch of `n`: the inner products of the gradients of
/// the outputs $`f(x_j) = v^\top h_j`$ with respect to all weights and to the read-out `v`.
///
/// ```math
/// K = \sum_{l=1}^L (\Delta_l^\top \Delta_l) \circ (X_{l-1}^\top X_{l-1}) + H_L^\top H_L
/// ```
///
/// Column `j` of $`\Delta_l`$ is the gradient of $`f(x_j)`$ with respect to column `j` of
/// $`W_l X_{l-1}`$, and $`\circ`$ is the entrywise product. Gradients are with respect to the
/// weights themselves (the standard parametrisation). With respect to $`\omega`$ in
/// $`W_l = s\, \omega / \sqrt m`$ (Jacot, Gabriel and Hongler 2018), the term of layer `l` is
/// $`s^2/m`$ times as large.
#[derive(Clone, Debug, PartialEq)]
pub struct TangentKernel {
    layers: Vec<Scaled<f64>>,
    read_out: Scaled<f64>,
}

impl TangentKernel {
    /// Returns the terms of the layers, `n x n`: entry `l - 1` is that of layer `l`.
    #[must_use]
    pub fn layers(&self) -> &[Scaled<f64>] {
        &self.layers
    }

    /// Returns the term of the read-out, $`H_L^\top H_L`$, `n x n`.
    #[must_use]
    pub fn read_out(&self) -> &Scaled<f64> {
        &self.read_out
    }

    /// Returns the kernel `K`, `n x n`, the sum of all terms.
    ///
    /// Its entries fluctuate over weights. For one sample, $`\log(E K^2 / (E K)^2)`$ at depth `L`
    /// is about $`1.3 \, L/d`$ in a linear network and $`3.7 \, L/d`$ in a rectified one with He
    /// weights (measured for $`L/d \le 0.2`$ and `L` from 5 to 20; the form is that of Hanin and
    /// Nica 2020).
    ///
    /// ```
    /// use orthogap::normalization::Normalization;
    /// use orthogap::{Input, Network, Seed};
    ///
    /// let linear = Network::<f64>::new(4).with_normalization(Normalization::None);
    /// let kernel = linear.tangent_kernel(&Input::orthogonal(2)?, Seed(1), 3)?;
    /// let sum: f64 = kernel.layers().iter().map(|term| term.to_matrix()[(0, 0)]).sum();
    /// let whole = sum + kernel.read_out().to_matrix()[(0, 0)];
    /// assert!((kernel.matrix().to_matrix()[(0, 0)] / whole - 1.0).abs() < 1e-14);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn matrix(&self) -> Scaled<f64> {
        let terms = || self.layers.iter().chain([&self.read_out]);
        // In the unit of the largest term, so that none overflows.
        let log_unit = terms().map(Scaled::log_norm).fold(f64::NEG_INFINITY, f64::max);
        let (rows, columns) = self.read_out.matrix().shape();
        let mut sum = DMatrix::zeros(rows, columns);
        if log_unit == f64::NEG_INFINITY {
            return Scaled::from(sum);
        }
        for term in terms() {
            let relative = Scaled::new(term.matrix().clone(), term.log_unit() - log_unit);
            sum += relative.to_matrix();
        }
        Scaled::new(sum, log_unit)
    }
}

impl<T: Scalar> Network<T> {
    /// Draws the [`TangentKernel`] of a network of `depth` layers with a linear read-out
    /// $`v_i \sim N(0, 1/d)`$, exactly in law at any width.
    ///
    /// Without normalisation across samples the output of a sample depends on that sample alone, so
    /// one [reverse pass](Self::gradients) with `v` in every column gives the gradients of all
    /// outputs. On the streamed engine that is `O(d n²)` work a layer and `O(L n²)` memory. Any
    /// normalisation of single samples, residual connections, convolutions and other weights go
    /// through the explicit reverse pass.
    ///
    /// ```
    /// use orthogap::normalization::Normalization;
    /// use orthogap::{Input, Network, Seed};
    ///
    /// // Each of 4 layers and the read-out has mean 1 for a sample of norm one, at any width.
    /// let linear = Network::<f64>::new(1_000).with_normalization(Normalization::None);
    /// let sample = Input::gaussian(1_000, 1, Seed(1))?;
    /// let sample = Input::from_columns(&sample.columns().normalize())?;
    /// let kernel = linear.tangent_kernel(&sample, Seed(2), 4)?;
    /// assert!((kernel.matrix().to_matrix()[(0, 0)] - 5.0).abs() < 1.0);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`] under batch normalisation, mean-only or not, where every output
    /// depends on all samples; those of [`gradients`](Self::gradients) and its steps.
    pub fn tangent_kernel(
        &self,
        input: &Input,
        run: impl Into<Replicate>,
        depth: usize,
    ) -> Result<TangentKernel> {
        if self.normalization().mixes_samples() {
            return Err(Error::Unsupported {
                what: "a tangent kernel from one reverse pass",
                needs: "outputs that depend on one sample each; under batch normalisation each \
                        depends on all samples, and its gradient takes a pass of its own",
            });
        }
        let (mut layers, mut read_out) = (Vec::new(), None);
        for layer in self.gradients(input, run, depth, Top::ReadOut)? {
            let layer = layer?;
            read_out.get_or_insert_with(|| layer.representation().clone());
            layers.extend(layer.weights_products().cloned());
        }
        layers.reverse();
        let read_out = read_out.expect("every pass begins with the output");
        Ok(TangentKernel { layers, read_out })
    }
}
