//! The forward and the reverse pass of a batch through a classifier, with reused buffers.

use nalgebra::DMatrix;

use super::classifier::{Classifier, Layer};
use super::loss::Loss;
use super::parameters::{LayerParameters, Parameters};
use crate::backward::{
    Gradient, Parameters as OfLayer, Record, Scaled, Statistics, Step, Units, operand,
};
use crate::check;
use crate::product::{Products, fit};
use crate::{Result, Scalar};

/// Everything that a batch leaves on its way.
#[derive(Clone, Debug)]
pub(super) struct BatchPass<T: Scalar> {
    /// The samples as they came.
    samples: DMatrix<T>,
    /// The samples as the first layer takes them.
    input: Scaled<T>,
    records: Vec<Record<T>>,
    logits: DMatrix<T>,
    gradient: Gradient<T>,
    products: Products<T>,
    /// Of scales and shifts.
    sums: Vec<f64>,
}

impl<T: Scalar> BatchPass<T> {
    pub(super) fn new(classifier: &Classifier<T>) -> Result<Self> {
        let records = classifier.layers.iter().enumerate().map(|(index, layer)| {
            let rows = layer.images.map_or(layer.weights.ncols(), |images| images.channels());
            let affine = layer.norm.is_some();
            Record::new(&layer.recipe, index + 1, (rows, layer.images), affine, Units::One)
        });
        Ok(Self {
            samples: DMatrix::zeros(0, 0),
            input: Scaled::default(),
            records: records.collect::<Result<_>>()?,
            logits: DMatrix::zeros(0, 0),
            gradient: Gradient::default(),
            products: Products::new(),
            sums: Vec::new(),
        })
    }

    /// Takes some samples as its input.
    pub(super) fn gather(
        &mut self,
        classifier: &Classifier<T>,
        samples: &DMatrix<T>,
        some: &[usize],
    ) -> Result<()> {
        let images = classifier.layers[0].images;
        let to = if images.is_some() { &mut self.samples } else { &mut self.input.matrix };
        fit(to, (samples.nrows(), some.len()));
        for (mut to, &from) in to.column_iter_mut().zip(some) {
            to.copy_from(&samples.column(from));
        }
        images.map_or(Ok(()), |images| {
            images.batch_from_nchw_to(&self.samples, &mut self.input.matrix)
        })
    }

    /// From the input to the logits.
    pub(super) fn forward(
        &mut self,
        classifier: &Classifier<T>,
        statistics: Statistics,
    ) -> Result<()> {
        let Self { input, records, products, logits, .. } = self;
        for (index, layer) in classifier.layers.iter().enumerate() {
            let (done, rest) = records.split_at_mut(index);
            // A dense layer after convolutions takes images as columns.
            if let (Some(before), None) = (done.last_mut(), layer.images) {
                before.reshape_output(layer.weights.ncols());
            }
            let input = done.last().map_or(&*input, Record::output);
            rest[0].forward(input, of(layer), statistics, products)?;
        }
        let last = records.last_mut().expect("a classifier has layers");
        last.reshape_output(classifier.head.ncols());
        products.multiply(operand(&classifier.head), operand(&last.output().matrix), logits);
        Ok(())
    }

    /// The loss, which may be infinite; leaves its gradient where the logits were.
    pub(super) fn loss(&mut self, labels: &[usize]) -> Result<Loss> {
        Loss::pull_back(&mut self.logits, labels)
    }

    /// From the gradient by the logits, which [`loss`](Self::loss) leaves, to that by every parameter.
    pub(super) fn backward(
        &mut self,
        classifier: &Classifier<T>,
        by: &mut Parameters<T>,
    ) -> Result<()> {
        let Self { input, records, logits, gradient, products, sums, .. } = self;
        let features = &records.last().expect("a classifier has layers").output().matrix;
        products.multiply(operand(logits), operand(features).transposed(), &mut by.head);
        let head = operand(&classifier.head).transposed();
        products.multiply(head, operand(logits), &mut gradient.now.matrix);
        for (index, layer) in classifier.layers.iter().enumerate().rev() {
            let input = if index == 0 { &*input } else { records[index - 1].output() };
            let by = &mut by.layers[index];
            let visit = |step: &Step, gradient: &Scaled<T>, from: &Scaled<T>, products: &mut _| {
                let (gradient, from) = (&gradient.matrix, &from.matrix);
                match step {
                    Step::Multiply => {
                        let products: &mut Products<T> = products;
                        let right = operand(from).transposed();
                        products.multiply(operand(gradient), right, &mut by.weights);
                    }
                    Step::Affine => {
                        affine_gradient((gradient, from), sums, by);
                    }
                    _ => (),
                }
            };
            let record = &records[index];
            record.pull_back(input, of(layer), gradient, index > 0, products, visit)?;
        }
        Ok(())
    }

    /// Refuses a number of samples that a batch normalisation in training mode refuses.
    pub(super) fn check_size(&self, samples: usize) -> Result<()> {
        let pixels = self.records.iter().filter_map(Record::normalized_pixels);
        pixels.min().map_or(Ok(()), |pixels| check::batch(samples.saturating_mul(pixels), 2))
    }

    /// Refuses a batch whose statistics batch normalisations cannot [remember](Self::remember).
    pub(super) fn check_memory(&self, classifier: &Classifier<T>) -> Result<()> {
        classifier.layers.iter().enumerate().try_for_each(|(index, layer)| {
            match layer.norm.as_ref().zip(self.normalized(index)) {
                Some((norm, h)) => norm.check_memory(h),
                None => Ok(()),
            }
        })
    }

    /// Moves the running statistics of batch normalisations towards those of this batch, which
    /// [`check_memory`](Self::check_memory) accepted.
    pub(super) fn remember(&self, classifier: &mut Classifier<T>) -> Result<()> {
        for (index, layer) in classifier.layers.iter_mut().enumerate() {
            if let Some((norm, h)) = layer.norm.as_mut().zip(self.normalized(index)) {
                norm.remember_checked(h)?;
            }
        }
        Ok(())
    }

    /// What the batch normalisation of a layer normalises.
    fn normalized(&self, index: usize) -> Option<&DMatrix<T>> {
        let input = if index == 0 { &self.input } else { self.records[index - 1].output() };
        self.records[index].normalized(input)
    }

    /// The logits of the last forward pass.
    pub(super) fn logits(&self) -> &DMatrix<T> {
        &self.logits
    }

    /// The input and the output of every layer.
    pub(super) fn representations(&self) -> impl Iterator<Item = &DMatrix<T>> {
        [&self.input.matrix].into_iter().chain(self.records.iter().map(|r| &r.output().matrix))
    }
}

/// The gradients by scales and shifts, given that by what they make of `from`. Summed in `f64`: rows
/// of images are long.
fn affine_gradient<T: Scalar>(
    (gradient, from): (&DMatrix<T>, &DMatrix<T>),
    sums: &mut Vec<f64>,
    by: &mut LayerParameters<T>,
) {
    let rows = gradient.nrows();
    sums.clear();
    sums.resize(2 * rows, 0.0);
    let (gamma, beta) = sums.split_at_mut(rows);
    let columns = gradient.as_slice().chunks_exact(rows).zip(from.as_slice().chunks_exact(rows));
    for (g, u) in columns {
        for (((gamma, beta), &g), &u) in gamma.iter_mut().zip(&mut *beta).zip(g).zip(u) {
            let (g, u) = (g.to_f64(), u.to_f64());
            *gamma += g * u;
            *beta += g;
        }
    }
    by.gamma.iter_mut().zip(gamma).for_each(|(by, &mut sum)| *by = T::of(sum));
    by.beta.iter_mut().zip(beta).for_each(|(by, &mut sum)| *by = T::of(sum));
}

/// What a layer computes with.
fn of<T: Scalar>(layer: &Layer<T>) -> OfLayer<'_, T> {
    OfLayer { network: &layer.recipe, weights: &layer.weights, norm: layer.norm.as_ref() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::DVector;

    /// 2^25 ones: in `f32` both sums would end at 2^24.
    #[test]
    fn gradients_by_scales_of_long_rows() {
        let ones = DMatrix::from_element(1, 1 << 25, 1.0f32);
        let mut by = LayerParameters {
            weights: DMatrix::zeros(0, 0),
            gamma: DVector::zeros(1),
            beta: DVector::zeros(1),
        };
        affine_gradient((&ones, &ones), &mut Vec::new(), &mut by);
        assert_eq!((by.gamma[0], by.beta[0]), (2f32.powi(25), 2f32.powi(25)));
    }
}
