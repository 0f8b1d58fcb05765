//! Iterative orthogonalisation: weights that make a batch more orthogonal in every layer.

mod frame;
mod principal;

use nalgebra::DMatrix;

use super::lsuv::{root_mean_square, scaled};
use super::{LayerInit, Site};
use crate::check;
use crate::weights::{Fans, Uniform, draw, frame as haar};
use crate::{Result, Scalar};
use principal::Principal;

/// Weights from the singular value decomposition of the batch at a layer, which make samples more
/// orthogonal: the effect of batch normalisation on random networks, once, at initialisation.
///
/// With $`H = U \Sigma V^\top`$ (`m x n`, samples are columns; `r` singular values, of which the
/// `d` largest are used if there are more) a layer of width `d` gets
///
/// ```math
/// W = s V' \Sigma^{-p} U^\top, \qquad W H = s V' \Sigma^{1-p} V^\top,
/// ```
///
/// with orthonormal columns in `V'` (`d x r`). Singular values move together, so the
/// orthogonality gap of `W H` is below that of `H`: for p = 1/2, Eq. 6 of the paper, and p = 1,
/// which makes the used singular values equal. (Proof: $`\sigma^{2-2p}`$ grows more slowly than
/// $`\sigma^2`$. Equality where all are equal. If some singular values must go, `r > d`, the gap
/// can grow: a matrix of rank `d` has at least $`\sqrt{1/d - 1/n}`$.)
///
/// | | p | `V'` | scale `s` | layers |
/// | --- | --- | --- | --- | --- |
/// | [`recommended`](Self::recommended) | 1/2 | [`Samples`](Alignment::Samples) | root mean square 1 | all |
/// | [`printed`](Self::printed) | 1/2 | [`Haar`](Alignment::Haar) | Frobenius norm 1 | all |
/// | [`authors`](Self::authors) | 1 | [`Slice`](Alignment::Slice) | Frobenius norm 1 | square ones |
///
/// # Which one trains, and why
///
/// Measured on 4,660 images of CIFAR-10 in `f32` (ReLU, width 256, no bias, batches of 50, SGD with
/// step 0.01, initial batch of 768 images, head Xavier's; one run each): training loss in epoch 25,
/// and accuracy on 846 test images after it. The example `train` repeats it: `--figure 4 --width 256
/// --depth 15,30,45,75 --epochs 25 --data cifar10:DIR`.
///
/// | depth | Xavier | [`authors`](Self::authors) | [`recommended`](Self::recommended) |
/// | --- | --- | --- | --- |
/// | 15 | 0.44, 31 % | 0.52, 33 % | 0.016, 36 % |
/// | 30 | 1.02, 28 % | 0.58, 35 % | 0.002, 32 % |
/// | 45 | 1.41, 25 % | 0.55, 35 % | 0.001, 34 % |
/// | 75 | 2.08, 9 % | 0.73, 33 % | 0.26, 29 % |
///
/// At depth 30 [`Lsuv`](super::Lsuv) reaches 0.99 and 34 %, batch normalisation between Xavier's
/// weights 2.04 and 26 %: with this step its gradients, 2,000 by the first weights at the beginning,
/// are too large.
///
/// Initialisation decides whether and how fast a deep network trains, not how well it generalises:
/// the network memorises so few images, and the test loss grows long before the training loss is
/// zero. In the best epoch of each run, the authors' variant classifies 37 to 39 % of the test
/// images correctly at every depth, `recommended` 33 to 36 %, Xavier 37 to 20 %. At depth 75 the
/// loss of `recommended` still jumps, between 0.04 and 0.35 from epoch 15 on.
///
/// What each part contributes (an earlier experiment, with Xavier's weights in all first layers
/// except one): training loss at depth 30 after 12 epochs.
///
/// | `V'` | Frobenius norm 1 | root mean square 1 |
/// | --- | --- | --- |
/// | Haar, p = 1/2 | diverges | not tried |
/// | slice, p = 1 (authors) | 1.15 | 0.14 |
/// | samples, p = 1 | not tried | 0.15 |
/// | samples, p = 1/2 | 1.16 | 0.10 (first layer, too) |
/// | Xavier | 1.51 | |
/// | orthonormal weights | | 1.50 |
///
/// Two things decide. *Alignment* is about the backward pass. ReLU removes half the mean square of
/// pre-activations of random sign, and `W` must compensate for it. It does so on the batch, most in
/// directions where the batch is small. A gradient has no such directions and grows by
/// $`\lVert W \rVert_F^2 / (2d)`$ a layer, 1.76 with a Haar `V'` (He's weights: 1), ten
/// thousandfold over 30 layers. If instead neuron `i` answers to sample `i` (`Samples`, or the
/// slice of `V` that is printed, for batches of no more than `d`), positive pre-activations
/// prevail. ReLU does not change those, so the next `H` is nearly orthogonal and its `W` nearly the
/// identity: some twenty layers later its largest singular value is 1.1. Gradients neither grow nor
/// vanish: by the first weights they have norm 7 to 9 at depths from 15 to 75.
///
/// *Scale* is about the step. Networks with ReLU are homogeneous, and the printed norm gives `W H`
/// entries of $`1/\sqrt{dn}`$, 1/443 here. That scale is all in the first layer with this norm: its
/// weights are 443 times smaller than all others, and its gradients larger. The other layers hardly
/// learn before it has grown. Root mean square 1 is what weights with the
/// [gain](crate::Activation::gain) of an activation keep in a wide network, and what
/// [`Lsuv`](super::Lsuv) sets; it holds for every activation.
///
/// # Rank
///
/// A singular value below 1e-6 of the largest counts as zero (see
/// [`accuracy`](Self#accuracy)). Where fewer than `d` are left, `r < d`, as with fewer samples
/// than inputs, $`V' \Sigma^{-p} U^\top`$ has rank `r` and ignores directions that the batch did not
/// contain. `recommended` maps as many of these directions as fit, at random, to directions of the
/// output that the batch does not use. Their gain is the root mean square of the gains in use. On
/// the batch this changes nothing. With n at least `d`, and better 3 `d` as in the paper, it is not
/// needed after the first layer.
///
/// # Accuracy
///
/// `U` and the singular values come from the eigenvectors of the smaller of $`H H^\top`$ and
/// $`H^\top H`$, in `f64`: relative errors of $`\varepsilon (\sigma_1/\sigma_i)^2`$, 1e-10 at a
/// thousandth of the largest. Axes are orthonormal to rounding.
///
/// Cost: `m n min(m, n)` multiply-adds, twice that if `m > n`, and two eigendecompositions, of
/// order `min(m, n)` and at most `d`. Memory: two copies of `H` in `f64`.
///
/// ```
/// use orthogap::train::init::{IterativeOrthogonalization, LayerwiseInit};
/// use orthogap::{Activation::Relu, Input, Seed, weights::Uniform};
///
/// let batch = Input::near_collinear(8, 0.1)?.columns().clone();
/// let mut network = LayerwiseInit::new(batch.clone(), Seed(1))?;
/// let mut xavier = LayerwiseInit::new(batch, Seed(1))?;
/// for _ in 0..10 {
///     network.dense(&IterativeOrthogonalization::recommended(), 16, &Relu)?;
///     xavier.dense(&Uniform::he(), 16, &Relu)?;
/// }
/// assert!(network.gap()? < 0.1 && xavier.gap()? > 0.9);
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IterativeOrthogonalization {
    power: f64,
    alignment: Alignment,
    scale: Scale,
    square_only: bool,
    blind: bool,
}

/// The matrix `V'` (`d x r`): the directions of the orthogonalised batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alignment {
    /// The matrix with orthonormal columns that is nearest to the first `d` rows of `V`, filled up
    /// with zeros if there are fewer: as far as possible, neuron `i` answers to sample `i`.
    Samples,
    /// Uniform among all with orthonormal columns.
    Haar,
    /// The first `d` rows of `V` themselves, as printed and as in the authors' code. Their columns
    /// are orthonormal for n <= d only; beyond, the gap can grow.
    Slice,
}

/// The factor `s`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Scale {
    /// $`\lVert W H \rVert_F = 1`$, as printed: for p = 1/2 it is
    /// $`s = 1/\lVert \Sigma^{1/2} \rVert_F`$.
    Frobenius,
    /// The root mean square of the entries of `W H`.
    RootMeanSquare(f64),
}

impl IterativeOrthogonalization {
    /// Returns the recommended variant: Eq. 6 with `V'` next to the samples and pre-activations of
    /// root mean square 1.
    #[must_use]
    pub fn recommended() -> Self {
        Self {
            power: 0.5,
            alignment: Alignment::Samples,
            scale: Scale::RootMeanSquare(1.0),
            square_only: false,
            blind: false,
        }
    }

    /// Returns Eq. 6 of the paper, $`W = V' \Sigma^{-1/2} U^\top / \lVert \Sigma^{1/2} \rVert_F`$,
    /// with a Haar `V'`: it lowers the gap as promised (Appendix E), and deep networks diverge.
    #[must_use]
    pub fn printed() -> Self {
        Self {
            alignment: Alignment::Haar,
            scale: Scale::Frobenius,
            blind: true,
            ..Self::recommended()
        }
    }

    /// Returns the variant of the authors' code in Fig. 3 and 4
    /// ([batchnorm21](https://github.com/hadidaneshmand/batchnorm21)): divides by $`\Sigma`$, not
    /// its root, slices `V`, scales by $`\lVert W H \rVert_F`$; first layer and head stay Xavier,
    /// with the gain of ReLU. (For Fig. 7, the code has [`with_power`](Self::with_power) 1/2.)
    #[must_use]
    pub fn authors() -> Self {
        Self { power: 1.0, alignment: Alignment::Slice, square_only: true, ..Self::printed() }
    }

    /// Sets the power `p` of the singular values.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) unless 0 < p <= 1: elsewhere the
    /// gap grows or need not fall.
    pub fn with_power(self, power: f64) -> Result<Self> {
        let valid = power > 0.0 && power <= 1.0;
        let power = check::parameter("power", power, valid, "a number above 0, at most 1")?;
        Ok(Self { power, ..self })
    }

    /// Sets `V'`.
    #[must_use]
    pub fn with_alignment(self, alignment: Alignment) -> Self {
        Self { alignment, ..self }
    }

    /// Sets the scale.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) unless a root mean square is
    /// positive and finite.
    pub fn with_scale(self, scale: Scale) -> Result<Self> {
        if let Scale::RootMeanSquare(value) = scale {
            check::positive("root mean square", value)?;
        }
        Ok(Self { scale, ..self })
    }

    /// Sets whether it is restricted to layers with as many outputs as inputs (convolutions:
    /// channels). Other layers then get Xavier's uniform weights with the gain of ReLU, as in the
    /// paper's experiments.
    #[must_use]
    pub fn with_square_only(self, square_only: bool) -> Self {
        Self { square_only, ..self }
    }

    fn xavier() -> Uniform {
        Uniform::xavier().with_gain(std::f64::consts::SQRT_2).expect("a positive finite gain")
    }

    /// $`V' \Sigma^{-p} U^\top`$ for a batch, with unseen directions unless `blind`.
    fn unscaled(&self, principal: &Principal, rows: usize, site: Site) -> Result<DMatrix<f64>> {
        let used = principal.rank().min(rows);
        let axes = principal.axes.columns(0, used);
        let largest = principal.values[0];
        let gains: Vec<f64> = principal.values[..used]
            .iter()
            .map(|value| (value / largest).powf(-self.power))
            .collect();
        let directions = match self.alignment {
            Alignment::Haar => haar(rows, used, site.stream(0)),
            Alignment::Slice => slice(principal, rows, used),
            Alignment::Samples => frame::nearest(&slice(principal, rows, used), site.stream(0))?,
        };
        let mut sent = directions.clone();
        for (mut column, gain) in sent.column_iter_mut().zip(&gains) {
            column *= *gain;
        }
        let weights = sent * axes.transpose();
        let unseen = (rows - used).min(axes.nrows() - used);
        if self.blind || unseen == 0 {
            return Ok(weights);
        }
        let mean_square = gains.iter().map(|gain| gain * gain).sum::<f64>() / used as f64;
        let from = frame::complement(&axes.into_owned(), unseen, site.stream(1));
        let to = frame::complement(&directions, unseen, site.stream(2));
        Ok(weights + to * from.transpose() * mean_square.sqrt())
    }
}

impl Default for IterativeOrthogonalization {
    fn default() -> Self {
        Self::recommended()
    }
}

/// The first `rows` rows of `V`, of which `used` columns.
fn slice(principal: &Principal, rows: usize, used: usize) -> DMatrix<f64> {
    let samples = &principal.samples;
    let mut slice = DMatrix::zeros(rows, used);
    slice.rows_mut(0, samples.nrows()).copy_from(&samples.columns(0, used));
    slice
}

impl LayerInit for IterativeOrthogonalization {
    /// # Errors
    /// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite),
    /// [`Error::ZeroMatrix`](crate::Error::ZeroMatrix) (all samples are zero, or the first `d` in a
    /// slice); [`Error::InvalidParameter`](crate::Error::InvalidParameter) for more than 2^40
    /// weights, or weights below the range of their type; [`Error::Overflow`](crate::Error::Overflow) if the scale of the batch is so far
    /// below that of `W H` that the weights leave the range of their type.
    fn weights<T: Scalar>(
        &self,
        inputs: &DMatrix<T>,
        rows: usize,
        fans: Fans,
        site: Site,
    ) -> Result<DMatrix<T>> {
        let shape = (rows, inputs.nrows());
        check::size("rows x inputs", shape)?;
        if self.square_only && fans.inputs != fans.outputs {
            return draw(&Self::xavier(), shape, fans, site.stream(0));
        }
        let principal = Principal::of(inputs, rows)?;
        let weights = self.unscaled(&principal, rows, site)?.map(T::of);
        let found = root_mean_square(&(&weights * inputs))?;
        let wanted = match self.scale {
            Scale::Frobenius => (rows as f64 * inputs.ncols() as f64).sqrt().recip(),
            Scale::RootMeanSquare(value) => value,
        };
        scaled(weights, wanted / found)
    }
}

#[cfg(test)]
mod tests;
