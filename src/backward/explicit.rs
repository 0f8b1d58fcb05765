//! The reverse pass on weights that are drawn, with every representation held.

use nalgebra::{DMatrix, DMatrixView};

use super::batch_gradient::{BatchGradient, ByWeights};
use super::{LayerGradient, Scaled, Tape, Top};
use crate::chain::WeightDraw;
use crate::convolution::Images;
use crate::{Error, Gram, Input, Network, Purpose, Replicate, Result, Scalar};

/// Layers that are still to be gone down, and the gradient that goes down.
#[derive(Clone, Debug)]
pub(super) struct Explicit<T: Scalar> {
    network: Network<T>,
    layers: Vec<Held<T>>,
    /// The representation that the gradient is by.
    output: Scaled<T>,
    gradient: Scaled<T>,
}

/// The input of a layer and where its weights are drawn.
#[derive(Clone, Debug)]
struct Held<T> {
    input: Scaled<T>,
    images: Option<Images>,
    draw: WeightDraw,
}

impl<T: Scalar> Explicit<T> {
    /// Goes forward; `loss_gradient` makes the gradient at the top of the output.
    pub(super) fn new<G: Into<Scaled<T>>>(
        network: &Network<T>,
        input: &Input,
        run: Replicate,
        depth: usize,
        loss_gradient: impl FnOnce(&Scaled<T>) -> G,
    ) -> Result<Self> {
        let mut chain = network.explicit_chain(input, run)?;
        let held = |(h, log_unit, _): (&DMatrix<T>, f64, _)| Scaled::new(h.clone(), log_unit);
        let mut layers = Vec::new(); // grows, since a great depth may fail early
        for _ in 0..depth {
            let (input, images) = (held(chain.held()), chain.held().2);
            layers.push(Held { input, images, draw: chain.step()?.draw().clone() });
        }
        let output = held(chain.held());
        drop(chain);
        let gradient = loss_gradient(&output).into();
        let (found, expected) = (gradient.matrix().shape(), output.matrix().shape());
        if found != expected {
            return Err(Error::ShapeMismatch { what: "the gradient", found, expected });
        }
        gradient.check()?;
        Ok(Self { network: network.clone(), layers, output, gradient })
    }

    /// The gradient by the representation of the current layer.
    pub(super) fn gradient(&self) -> &Scaled<T> {
        &self.gradient
    }

    /// Takes the gradient one layer down; `visit` sees that by the weights on the way. None at the
    /// input.
    pub(super) fn descend<R>(
        &mut self,
        visit: impl FnOnce(&LayerGradient<'_, T>) -> Result<R>,
    ) -> Result<Option<R>> {
        let Some(Held { input, images, draw }) = self.layers.pop() else { return Ok(None) };
        let weights = draw.weights();
        let depth = self.layers.len() + 1;
        let tape = Tape::new(&self.network, depth, input.clone(), images, &weights)?;
        let by_layer = tape.pull_back(std::mem::take(&mut self.gradient))?;
        let seen = visit(&by_layer)?;
        self.gradient = by_layer.into_input();
        self.output = input;
        Ok(Some(seen))
    }

    /// The gradient at the current layer of a batch of `n`; goes one layer down.
    pub(super) fn step(&mut self, n: usize) -> Result<BatchGradient> {
        let depth = self.layers.len();
        let h = flattened(&self.output.matrix, n).map(|x| -> f64 { x.into() });
        let g = flattened(&self.gradient.matrix, n).map(|x| -> f64 { x.into() });
        let units = [self.output.log_unit, self.gradient.log_unit];
        let root = match Gram::with_log_norm(&g, 0.0) {
            Err(Error::ZeroMatrix { .. }) => DMatrix::zeros(0, n),
            other => {
                let (gram, log_norm) = other?;
                gram.factor() * log_norm.exp()
            }
        };
        let both =
            DMatrix::from_fn(
                h.nrows(),
                2 * n,
                |i, j| {
                    if j < n { h[(i, j)] } else { g[(i, j - n)] }
                },
            );
        let products = both.transpose() * &both;
        let weights = self.descend(|gradient: &LayerGradient<'_, T>| by_weights(gradient, n))?;
        BatchGradient::new(depth, (&products, root), units, weights)
    }
}

/// The gradient by weights of a batch of `n`.
fn by_weights<T: Scalar>(gradient: &LayerGradient<'_, T>, n: usize) -> Result<ByWeights> {
    let (product, multiplied) = gradient.factors();
    let [delta, x] = [product, multiplied].map(|m| m.matrix.map(|x| -> f64 { x.into() }));
    let pixels = delta.ncols() / n;
    let products = if pixels == 1 {
        (delta.transpose() * &delta).component_mul(&(x.transpose() * &x))
    } else {
        // A sample's share sums over its pixels.
        let share = |j: usize| {
            delta.columns(j * pixels, pixels) * x.columns(j * pixels, pixels).transpose()
        };
        let shares: Vec<_> = (0..n).map(share).collect();
        DMatrix::from_fn(n, n, |i, j| shares[i].dot(&shares[j]))
    };
    let log_unit = 2.0 * (product.log_unit + multiplied.log_unit);
    let log_norm = gradient.log_weights_norm()?;
    Ok(ByWeights { log_norm, products: Scaled::new(products, log_unit) })
}

/// Representations with one column a sample.
fn flattened<T: Scalar>(matrix: &DMatrix<T>, n: usize) -> DMatrixView<'_, T> {
    DMatrixView::from_slice(matrix.as_slice(), matrix.len() / n, n)
}

impl Top {
    /// The gradient at an output that is held, of `n` samples.
    pub(super) fn of_output<T: Scalar>(
        self,
        output: &Scaled<T>,
        run: Replicate,
        n: usize,
    ) -> Scaled<T> {
        let (rows, columns) = output.matrix().shape();
        let mut gradient = DMatrix::<T>::zeros(rows, columns);
        let stream = run.stream(Purpose::LossGradient, 0, 0);
        match self {
            Self::RandomDirection => {
                stream.fill_normal(gradient.as_mut_slice());
                gradient.normalize_mut();
            }
            Self::Representation => return output.clone(),
            Self::ReadOut => {
                let entries = rows * columns / n;
                let mut read_out = vec![T::zero(); entries];
                stream.fill_normal(&mut read_out);
                let deviation = T::of((entries as f64).sqrt().recip());
                read_out.iter_mut().for_each(|x| *x *= deviation);
                for column in gradient.as_mut_slice().chunks_exact_mut(entries) {
                    column.copy_from_slice(&read_out);
                }
            }
        }
        gradient.into()
    }
}
