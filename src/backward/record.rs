//! The record of a layer: the output of each step of the forward pass, for the reverse pass.
//!
//! This module alone knows the order of a layer's steps and of their pullbacks. Buffers are reused.

use nalgebra::DMatrix;

use super::scaled::Scaled;
use crate::convolution::{Convolution, Images, Pooling};
use crate::kernel::product::Operand;
use crate::network::Operation;
use crate::normalization::TrainableBatchNorm;
use crate::product::{Products, fit};
use crate::{Error, Network, Result, Scalar};

/// What a layer computes with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters<'a, T: Scalar> {
    pub network: &'a Network<T>,
    pub weights: &'a DMatrix<T>,
    /// Scale, shift and running statistics, where batch normalisation has them.
    pub norm: Option<&'a TrainableBatchNorm<T>>,
}

/// The statistics that batch normalisation uses, where it has a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statistics {
    /// Those of the batch.
    Batch,
    /// The running ones.
    Running,
}

/// The units in which matrices are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Units {
    /// Of any size: nothing leaves the range of floating point.
    Free,
    /// One, like any other arithmetic.
    One,
}

/// A step of a layer.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Operation {
        operation: Operation,
        pixels: usize,
    },
    /// Scale and shift of every row, after its normalisation.
    Affine,
    Unfold {
        convolution: Convolution,
        images: Images,
    },
    Multiply,
    /// The input of the layer plus `weight` exp(`log_weight`) times the branch.
    Connect {
        weight: f64,
        log_weight: f64,
    },
    Pool {
        pooling: Pooling,
        images: Images,
    },
}

/// The steps of a layer, and what each of them made of its input.
#[derive(Clone, Debug)]
pub(crate) struct Record<T> {
    steps: Vec<Step>,
    outputs: Vec<Scaled<T>>,
    /// Rows of the last output.
    rows: usize,
    images: Option<Images>,
    units: Units,
}

/// The gradient during a reverse pass, and its buffers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gradient<T: Scalar> {
    pub now: Scaled<T>,
    spare: DMatrix<T>,
    skipped: Scaled<T>,
}

impl<T: Scalar> From<Scaled<T>> for Gradient<T> {
    fn from(now: Scaled<T>) -> Self {
        Self { now, ..Self::default() }
    }
}

impl<T: Scalar> Record<T> {
    /// The steps of layer number `layer` of an input of `rows` rows, or of images; `affine` where
    /// normalisations have a scale and a shift.
    pub(crate) fn new(
        network: &Network<T>,
        layer: usize,
        (rows, images): (usize, Option<Images>),
        affine: bool,
        units: Units,
    ) -> Result<Self> {
        let (stages, width) = (network.stages(), network.width());
        let convolution = network.convolution_layer().zip(images);
        let images = convolution.map(|(_, images)| images);
        let mut steps = Vec::new();
        let mut operations = |operations: &[Operation], images: Option<Images>| {
            let pixels = images.map_or(1, |images| images.pixels());
            for &operation in operations {
                steps.push(Step::Operation { operation, pixels });
                if operation == Operation::Normalize && affine {
                    steps.push(Step::Affine);
                }
            }
            std::mem::take(&mut steps)
        };
        let mut all = operations(stages.before, images);
        let mut next = None;
        if let Some((layer, images)) = convolution {
            all.push(Step::Unfold { convolution: layer.convolution, images });
            next = Some(layer.convolution.output(images, width)?);
        }
        all.push(Step::Multiply);
        all.extend(operations(stages.after, next));
        if let Some(residual) = network.residual()
            && (width, next) == (rows, images)
        {
            let (weight, log_weight) = match units {
                Units::Free => residual.scaled_weight(layer)?,
                Units::One => (residual.weight(layer)?, 0.0),
            };
            all.push(Step::Connect { weight, log_weight });
        }
        all.extend(operations(stages.last, next));
        if let Some((pooling, images)) = convolution.and_then(|(layer, _)| layer.pooling).zip(next)
        {
            all.push(Step::Pool { pooling, images });
            next = Some(pooling.output(images)?);
        }
        let outputs = vec![Scaled::default(); all.len()];
        Ok(Self { steps: all, outputs, rows: width, images: next, units })
    }

    /// What the layer ends with.
    pub(crate) fn output(&self) -> &Scaled<T> {
        self.outputs.last().expect("every layer multiplies by its weights")
    }

    /// What the layer ends with, its numbers read as columns of `rows` rows.
    pub(crate) fn reshape_output(&mut self, rows: usize) {
        let output = self.outputs.last_mut().expect("every layer multiplies by its weights");
        let columns = output.matrix.len() / rows;
        fit(&mut output.matrix, (rows, columns));
    }

    /// The shape of the images that the layer ends with.
    pub(crate) fn images(&self) -> Option<Images> {
        self.images
    }

    /// The matrix that is normalised, if there is a normalisation.
    pub(crate) fn normalized<'r>(&'r self, input: &'r Scaled<T>) -> Option<&'r DMatrix<T>> {
        let normalizes =
            |step: &Step| matches!(step, Step::Operation { operation: Operation::Normalize, .. });
        self.steps.iter().position(normalizes).map(|index| &self.input_of(index, input).matrix)
    }

    /// The columns of a sample where batch normalisation with a scale and a shift normalises it.
    pub(crate) fn normalized_pixels(&self) -> Option<usize> {
        self.steps.windows(2).find_map(|steps| match steps {
            [Step::Operation { pixels, .. }, Step::Affine] => Some(*pixels),
            _ => None,
        })
    }

    /// The input of a step, given that of the layer.
    fn input_of<'r>(&'r self, step: usize, input: &'r Scaled<T>) -> &'r Scaled<T> {
        if step == 0 { input } else { &self.outputs[step - 1] }
    }

    /// Takes every step.
    pub(crate) fn forward(
        &mut self,
        input: &Scaled<T>,
        parameters: Parameters<'_, T>,
        statistics: Statistics,
        products: &mut Products<T>,
    ) -> Result<()> {
        let Parameters { network, weights, norm } = parameters;
        for (index, step) in self.steps.iter().enumerate() {
            let (done, rest) = self.outputs.split_at_mut(index);
            let (from, to) = (done.last().unwrap_or(input), &mut rest[0]);
            match step {
                Step::Operation { operation, pixels } => {
                    to.copy_from(from);
                    match (operation, norm, statistics) {
                        (Operation::Normalize, Some(norm), Statistics::Running) => {
                            norm.infer_mut(&mut to.matrix)?;
                        }
                        _ => {
                            let rows = to.matrix.nrows();
                            let entries = (to.matrix.as_mut_slice(), rows);
                            network.operate(*operation, entries, *pixels, from.log_unit)?;
                        }
                    }
                    to.log_unit = network.unit_after(*operation, from.log_unit);
                }
                Step::Affine => {
                    to.copy_from(from);
                    // Inference has done both at once.
                    if let (Some(norm), Statistics::Batch) = (norm, statistics) {
                        norm.scale_and_shift(&mut to.matrix);
                    }
                }
                Step::Unfold { convolution, images } => {
                    convolution.unfold_to(*images, &from.matrix, &mut to.matrix)?;
                    to.log_unit = from.log_unit;
                }
                Step::Multiply => {
                    let (found, expected) =
                        (weights.shape(), (network.width(), from.matrix.nrows()));
                    if found != expected {
                        let what = "the weight matrix";
                        return Err(Error::ShapeMismatch { what, found, expected });
                    }
                    products.multiply(operand(weights), operand(&from.matrix), &mut to.matrix);
                    to.log_unit = from.log_unit;
                    if self.units == Units::Free {
                        to.balance("product W H")?;
                    }
                }
                Step::Connect { weight, log_weight } => {
                    to.copy_from(from);
                    to.log_unit += log_weight;
                    to.times_plus(*weight, input);
                }
                Step::Pool { pooling, images } => {
                    pooling.apply_to(*images, &from.matrix, &mut to.matrix)?;
                    to.log_unit = from.log_unit;
                }
            }
        }
        Ok(())
    }

    /// Replaces the gradient of a loss with respect to the output of the layer by the gradient with
    /// respect to its input.
    ///
    /// `visit` gets every step before its pullback, with the gradient with respect to its output,
    /// and its input. The gradient with respect to the first input of a network is not needed:
    /// without `to_input` the pass ends with the visit of the first step that has parameters.
    pub(crate) fn pull_back<'r>(
        &'r self,
        input: &'r Scaled<T>,
        parameters: Parameters<'_, T>,
        gradient: &mut Gradient<T>,
        to_input: bool,
        products: &mut Products<T>,
        mut visit: impl FnMut(&Step, &Scaled<T>, &'r Scaled<T>, &mut Products<T>),
    ) -> Result<()> {
        let Parameters { network, weights, norm } = parameters;
        let Gradient { now, spare, skipped } = gradient;
        let balance = |gradient: &mut Scaled<T>| match self.units {
            Units::Free => gradient.balance("gradient"),
            Units::One => Ok(()),
        };
        let columns = now.matrix.len() / self.rows;
        fit(&mut now.matrix, (self.rows, columns));
        balance(now)?;
        let first =
            self.steps.iter().position(|step| matches!(step, Step::Multiply | Step::Affine));
        let mut connected = false;
        for (index, step) in self.steps.iter().enumerate().rev() {
            let from = self.input_of(index, input);
            visit(step, now, from, products);
            if !to_input && Some(index) == first {
                return Ok(());
            }
            match step {
                Step::Operation { operation, pixels } => {
                    let at = (&from.matrix, *pixels, from.log_unit);
                    now.log_unit += network.pull_back(*operation, at, &mut now.matrix)?;
                }
                Step::Affine => {
                    if let Some(norm) = norm {
                        norm.scale(&mut now.matrix);
                    }
                }
                Step::Unfold { convolution, images } => {
                    convolution.fold_to(*images, &now.matrix, spare)?;
                    std::mem::swap(&mut now.matrix, spare);
                }
                Step::Multiply => {
                    products.multiply(operand(weights).transposed(), operand(&now.matrix), spare);
                    std::mem::swap(&mut now.matrix, spare);
                }
                Step::Connect { weight, log_weight } => {
                    connected = true;
                    skipped.copy_from(now);
                    now.matrix *= T::of(*weight);
                    now.log_unit += log_weight;
                }
                Step::Pool { pooling, images } => {
                    pooling.adjoint_to(*images, &from.matrix, &now.matrix, spare)?;
                    std::mem::swap(&mut now.matrix, spare);
                }
            }
            balance(now)?;
        }
        if connected {
            now.times_plus(1.0, skipped);
            balance(now)?;
        }
        Ok(())
    }
}

/// A matrix as a factor of a product.
pub(crate) fn operand<T: Scalar>(matrix: &DMatrix<T>) -> Operand<'_, T> {
    Operand::new(matrix.as_slice(), matrix.nrows())
}
