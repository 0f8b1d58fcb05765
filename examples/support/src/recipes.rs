//! The components of modern networks, each in a recipe that shows what it does.

use nalgebra::DMatrix;
use orthogap::activation::{
    Activation, Erf, Gelu, LeakyRelu, Logistic, Relu, ShiftedTanh, Silu, Sin, Tanh,
};
use orthogap::convolution::{Convolution, Images, Padding};
use orthogap::normalization::{BatchNorm, Normalization, RowScale, SampleNorm};
use orthogap::weights::{Fans, Gaussian, Orthogonal, Spherical, Uniform, WeightInit};
use orthogap::{Input, Layer, Network, Order, Residual, Run, Scalar, Stream};
use rand::RngExt;

/// The epsilon of frameworks.
const EPSILON: f64 = 1e-5;

/// What the width must be a multiple of: the groups of a group normalisation, and the number of
/// neurons for which a convolution has one channel.
pub const GROUPS: usize = 8;

/// What a component is an instance of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Family {
    Activation,
    Normalization,
    Weights,
    Architecture,
}

impl Family {
    pub const ALL: [Self; 4] =
        [Self::Activation, Self::Normalization, Self::Weights, Self::Architecture];

    /// Heading in the figure.
    pub fn title(self) -> &'static str {
        match self {
            Self::Activation => "activations",
            Self::Normalization => "normalisations",
            Self::Weights => "weights",
            Self::Architecture => "architectures",
        }
    }

    /// What all recipes of the family have in common.
    pub fn recipe(self) -> &'static str {
        match self {
            Self::Activation => {
                "H' = N(W F(H)), Gaussian W, N the paper's batch norm at unit mean square"
            }
            Self::Normalization => "H' = N(W relu(H)), Gaussian W (He)",
            Self::Weights => "linear, H' = N(W H), N the paper's batch norm",
            Self::Architecture => {
                "F = relu, Gaussian W (He), N the paper's batch norm or layer norm\n\
                 plain N(W F(H)), residual H + N(W F(H)), pre H + W F(N(H)), post N(H + W F(H)); \
                 scaled: a branch over sqrt(depth)"
            }
        }
    }
}

/// A recipe with a name.
pub struct Component {
    pub family: Family,
    /// Its name in the table and in the CSV.
    pub name: &'static str,
    /// Whether the figure shows it, too; it has seven colours a family.
    pub drawn: bool,
    /// Whether it is the paper's linear chain, of which the library knows the stationary law.
    pub linear_chain: bool,
    pub recipe: Box<dyn Recipe>,
}

/// A network of whatever activation and weights.
pub trait Recipe: Send + Sync {
    /// Neurons of a layer, or channels of a convolution.
    fn width(&self) -> usize;

    /// Goes through `depth` layers and shows each, the input first.
    fn descend(
        &self,
        input: &Input,
        run: Run,
        depth: usize,
        show: &mut dyn FnMut(&Layer),
    ) -> orthogap::Result<()>;
}

impl<T: Scalar, A: Activation, W: WeightInit> Recipe for Network<T, A, W> {
    fn width(&self) -> usize {
        Network::width(self)
    }

    fn descend(
        &self,
        input: &Input,
        run: Run,
        depth: usize,
        show: &mut dyn FnMut(&Layer),
    ) -> orthogap::Result<()> {
        let mut chain = self.chain(input, run)?;
        show(chain.layer());
        (0..depth).try_for_each(|_| chain.step().map(&mut *show))
    }
}

/// Random signs, a share of them zero: each entry is 0 with probability 1 - `density`, else plus or
/// minus one, scaled to variance 1/inputs.
///
/// Density 1 are Rademacher weights, density 1/3 the sparse projections of D. Achlioptas (J. Comput.
/// Syst. Sci. 66:671, 2003).
#[derive(Clone, Copy, Debug)]
struct Signs {
    density: f64,
}

impl WeightInit for Signs {
    fn sample_to<T: Scalar>(&self, weights: &mut DMatrix<T>, fans: Fans, stream: Stream) {
        let size = T::of((self.density * fans.inputs as f64).sqrt().recip());
        let mut rng = stream.rng();
        weights.apply(|weight| {
            let sign = if rng.random() { size } else { -size };
            *weight = if rng.random_bool(self.density) { sign } else { T::zero() };
        });
    }
}

/// All components at a width, in networks of a depth, for images of a shape.
pub fn components(width: usize, depth: usize, images: Images) -> orthogap::Result<Vec<Component>> {
    let families = [activations(width)?, normalizations(width)?, weights(width)];
    let mut all: Vec<_> = families.into_iter().flatten().collect();
    all.extend(architectures(width, depth, images)?);
    Ok(all)
}

impl Component {
    fn new(family: Family, name: &'static str, recipe: impl Recipe + 'static) -> Self {
        Self { family, name, drawn: true, linear_chain: false, recipe: Box::new(recipe) }
    }

    /// The same for the table alone.
    fn undrawn(self) -> Self {
        Self { drawn: false, ..self }
    }

    /// The same, known to be the paper's linear chain.
    fn linear_chain(self) -> Self {
        Self { linear_chain: true, ..self }
    }
}

/// Without centring, so that orthogonality can be reached; at unit mean square, so that activations
/// see numbers as large as in practice.
fn activations(width: usize) -> orthogap::Result<Vec<Component>> {
    let norm = BatchNorm::paper().with_row_scale(RowScale::UnitRms);
    let plain = Network::<f64>::new(width).normalization(norm).order(Order::ActivationLinearNorm);
    fn new(name: &'static str, recipe: impl Recipe + 'static) -> Component {
        Component::new(Family::Activation, name, recipe)
    }
    Ok(vec![
        new("linear", plain).linear_chain(),
        new("relu", plain.activation(Relu)),
        new("leaky_relu", plain.activation(LeakyRelu::new(0.1)?)).undrawn(),
        new("tanh", plain.activation(Tanh)),
        new("sin", plain.activation(Sin)).undrawn(),
        new("erf", plain.activation(Erf)).undrawn(),
        new("gelu", plain.activation(Gelu)),
        new("silu", plain.activation(Silu)),
        new("logistic", plain.activation(Logistic)),
        new("shifted_tanh", plain.activation(ShiftedTanh)),
    ])
}

fn normalizations(width: usize) -> orthogap::Result<Vec<Component>> {
    let plain = rectified(width).normalization(Normalization::None);
    // He's gain: rows of norm sqrt(2).
    let weight_norm = plain.weights(Spherical::new(std::f64::consts::SQRT_2)?);
    fn new(name: &'static str, recipe: impl Recipe + 'static) -> Component {
        Component::new(Family::Normalization, name, recipe)
    }
    Ok(vec![
        new("none", plain),
        new("weight_norm", weight_norm),
        new("layer_norm", plain.normalization(SampleNorm::layer(EPSILON)?)),
        new("rms_norm", plain.normalization(SampleNorm::rms(EPSILON)?)),
        new("group_norm", plain.normalization(SampleNorm::group(GROUPS, EPSILON)?)),
        new("batch_norm", plain.normalization(BatchNorm::standard(EPSILON)?)),
        new("batch_norm_paper", plain.normalization(BatchNorm::paper())),
    ])
}

fn weights(width: usize) -> Vec<Component> {
    let plain = Network::<f64>::new(width);
    fn new(name: &'static str, recipe: impl Recipe + 'static) -> Component {
        Component::new(Family::Weights, name, recipe)
    }
    vec![
        new("gaussian", plain).linear_chain(),
        new("xavier_uniform", plain.weights(Uniform::xavier())),
        new("rademacher", plain.weights(Signs { density: 1.0 })),
        new("sparse", plain.weights(Signs { density: 1.0 / 3.0 })),
        new("haar", plain.weights(Orthogonal::default())),
    ]
}

/// Where shapes differ, which is in the first layer, there is no connection. Blank pixels have no
/// batch statistics, so before the first map there is an epsilon or layer norm.
fn architectures(width: usize, depth: usize, images: Images) -> orthogap::Result<Vec<Component>> {
    let plain = rectified(width);
    let pre_norm = plain.order(Order::NormActivationLinear).residual(Residual::new(1.0)?);
    let post_norm = plain.residual(Residual::new(1.0)?.post_norm());
    let layer_norm = SampleNorm::layer(EPSILON)?;
    let channels = rectified(width / GROUPS);
    let zeros = Convolution::new(3)?;
    let circular = zeros.with_padding(Padding::Circular);
    fn new(name: &'static str, recipe: impl Recipe + 'static) -> Component {
        Component::new(Family::Architecture, name, recipe)
    }
    Ok(vec![
        new("plain", plain).undrawn(),
        new("residual", plain.residual(Residual::new(1.0)?)),
        new("residual_scaled", plain.residual(Residual::depth_scaled(1.0, depth)?)),
        new("pre_layer_norm", pre_norm.normalization(layer_norm)),
        new("pre_batch_norm", pre_norm.normalization(BatchNorm::paper().with_epsilon(EPSILON)?)),
        new("post_layer_norm", post_norm.normalization(layer_norm)),
        new("post_batch_norm", post_norm).undrawn(),
        new("convolution_zeros", channels.convolution(zeros, images)),
        new("convolution_circular", channels.convolution(circular, images)),
    ])
}

/// The rectified network with the paper's batch norm, measured before the rectifier.
fn rectified(width: usize) -> Network<f64, Relu> {
    Network::new(width).weights(Gaussian::he()).activation(Relu).order(Order::ActivationLinearNorm)
}
