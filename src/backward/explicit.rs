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

    /// The gradient one layer below, and what `visit` makes of that by the weights on the way. None
    /// at the input.
    fn below<R>(
        &self,
        visit: impl FnOnce(&LayerGradient<'_, T>) -> Result<R>,
    ) -> Result<Option<(R, Scaled<T>)>> {
        let Some(Held { input, images, draw }) = self.layers.last() else { return Ok(None) };
        let weights = draw.weights();
        let depth = self.layers.len();
        let tape = Tape::new(&self.network, depth, input.clone(), *images, &weights)?;
        let by_layer = tape.pull_back(self.gradient.clone())?;
        let seen = visit(&by_layer)?;
        Ok(Some((seen, by_layer.into_input())))
    }

    /// Goes one layer down, where the gradient is known.
    fn go_down(&mut self, gradient: Scaled<T>) {
        self.gradient = gradient;
        if let Some(layer) = self.layers.pop() {
            self.output = layer.input;
        }
    }

    /// Takes the gradient one layer down; `visit` sees that by the weights on the way. None at the
    /// input. On an error nothing has changed.
    pub(super) fn descend<R>(
        &mut self,
        visit: impl FnOnce(&LayerGradient<'_, T>) -> Result<R>,
    ) -> Result<Option<R>> {
        let Some((seen, gradient)) = self.below(visit)? else { return Ok(None) };
        self.go_down(gradient);
        Ok(Some(seen))
    }

    /// The gradient at the current layer of a batch of `n`; goes one layer down. On an error nothing
    /// has changed.
    pub(super) fn step(&mut self, n: usize) -> Result<BatchGradient> {
        let depth = self.layers.len();
        let [output, gradient] = [&self.output, &self.gradient].map(Scaled::in_safe_unit);
        let [h, g] = [&output, &gradient].map(|scaled| flattened(&scaled.matrix, n));
        let units = [output.log_unit, gradient.log_unit];
        let root = match Gram::with_log_norm(&g, 0.0) {
            Err(Error::ZeroMatrix { .. }) => DMatrix::zeros(0, n),
            other => other?.0.factor().clone(), // its norm does not matter
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
        let below = self.below(|gradient: &LayerGradient<'_, T>| by_weights(gradient, n))?;
        let (weights, below) = below.unzip();
        let layer = BatchGradient::new(depth, (&products, root), units, weights)?;
        if let Some(gradient) = below {
            self.go_down(gradient);
        }
        Ok(layer)
    }
}

/// The gradient by weights of a batch of `n`.
fn by_weights<T: Scalar>(gradient: &LayerGradient<'_, T>, n: usize) -> Result<ByWeights> {
    let (product, multiplied) = gradient.factors();
    let [product, multiplied] = [product, multiplied].map(Scaled::in_safe_unit);
    let (delta, x) = (&product.matrix, &multiplied.matrix);
    let pixels = delta.ncols() / n;
    let products = if pixels == 1 {
        (delta.transpose() * delta).component_mul(&(x.transpose() * x))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Order::NormActivationLinear;
    use crate::weights::Spherical;
    use crate::{Activation, Network, Seed};

    /// An activation without a derivative stops the pass at a layer, as often as it is tried.
    #[test]
    fn a_step_that_failed_can_be_taken_again() {
        let input = Input::gaussian(5, 3, Seed(1)).unwrap();
        let custom = Activation::custom("cube", |x| x * x * x);
        let network =
            Network::<f64>::new(4).with_weights(Spherical::default()).with_activation(custom);
        let mut layers = network.gradients(&input, Seed(2), 2, Top::ReadOut).unwrap();
        let error = layers.step().unwrap_err();
        assert!(matches!(error, Error::MissingDerivative { .. }), "{error}");
        for _ in 0..3 {
            assert_eq!(layers.step().unwrap_err(), error);
        }
        let gradient = |output: &Scaled<f64>| output.clone();
        let mut explicit = Explicit::new(&network, &input, Seed(2).into(), 2, gradient).unwrap();
        let before = explicit.clone();
        assert!(explicit.step(3).is_err());
        assert_eq!(explicit.layers.len(), 2);
        assert_eq!((explicit.gradient, explicit.output), (before.gradient, before.output));
    }

    /// Representations that end with the linear map are as large as the weights, whose squares may be
    /// no floats.
    #[test]
    fn weights_of_any_size() {
        let input = Input::gaussian(5, 3, Seed(1)).unwrap();
        let gradients = |gain: f64| -> Vec<BatchGradient> {
            let network = Network::<f64>::new(4)
                .with_order(NormActivationLinear)
                .with_weights(Spherical::new(gain).unwrap());
            let layers = network.gradients(&input, Seed(2), 2, Top::Representation).unwrap();
            layers.collect::<Result<_>>().unwrap()
        };
        let one = gradients(1.0);
        for gain in [1e-248, 1e-90, 1e90, 1e248_f64] {
            let log = gain.ln();
            for (layer, one) in gradients(gain).iter().zip(&one) {
                // Normalisation divides by it, except at the input.
                let power = if layer.depth() == 0 { 2.0 } else { 1.0 };
                assert!((layer.log_norm() - one.log_norm() - power * log).abs() < 1e-9, "{gain}");
                let gap = layer.gram().unwrap().orthogonality_gap();
                assert!((gap - one.gram().unwrap().orthogonality_gap()).abs() < 1e-9);
                let angle = layer.cosine(0, 1).unwrap() - one.cosine(0, 1).unwrap();
                assert!(angle.abs() < 1e-9);
                let weights = layer.log_weights_norm().zip(one.log_weights_norm());
                assert!(weights.is_none_or(|(found, one)| (found - one - log).abs() < 1e-9));
                let products = layer.weights_products().zip(one.weights_products());
                let differ = |(found, one): (&Scaled<f64>, &Scaled<f64>)| {
                    (found.log_norm() - one.log_norm() - 2.0 * log).abs()
                };
                assert!(products.map(differ).is_none_or(|difference| difference < 1e-9));
            }
        }
    }
}
