//! The components of modern networks, each in a recipe that shows its effect.

use nalgebra::DMatrix;
use orthogap::convolution::{Convolution, Images, Padding};
use orthogap::normalization::{BatchNorm, Normalization, RowScale, SampleNorm};
use orthogap::weights::{Fans, Gaussian, Haar, Spherical, Uniform, WeightInit, Weights};
use orthogap::{Activation, Network, Order, Residual, Scalar, Stream};
use rand::RngExt;

/// The epsilon of frameworks.
const EPSILON: f64 = 1e-5;

/// The divisor of all widths: the number of groups of a group normalisation, and the number of
/// neurons for which a convolution has one channel.
pub const GROUPS: usize = 8;

/// The family of a component.
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

    /// The common part of all recipes of the family.
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
    /// Whether it is the paper's linear chain, whose stationary law the library has.
    pub linear_chain: bool,
    pub network: Network<f64>,
}

/// Random signs, a share of them zero: each entry is 0 with probability 1 - `density`, else plus or
/// minus one, scaled to variance 1/inputs.
///
/// Density 1 are Rademacher weights, density 1/3 the sparse projections of D. Achlioptas (J. Comput.
/// Syst. Sci. 66:671, 2003).
#[derive(Debug)]
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
    fn new(family: Family, name: &'static str, network: Network<f64>) -> Self {
        Self { family, name, drawn: true, linear_chain: false, network }
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
/// get numbers as large as in practice.
fn activations(width: usize) -> orthogap::Result<Vec<Component>> {
    let norm = BatchNorm::paper().with_row_scale(RowScale::UnitRms);
    let plain =
        Network::<f64>::new(width).with_normalization(norm).with_order(Order::ActivationLinearNorm);
    let known = ["linear", "relu", "leaky_relu(0.1)", "tanh", "sin", "erf", "gelu", "silu"];
    let components = known.into_iter().chain(["logistic", "shifted_tanh"]).map(|name| {
        let network = plain.clone().with_activation(name.parse()?);
        let component = Component::new(Family::Activation, name, network);
        Ok(match name {
            "linear" => component.linear_chain(),
            "leaky_relu(0.1)" => Component { name: "leaky_relu", ..component.undrawn() },
            "sin" | "erf" => component.undrawn(),
            _ => component,
        })
    });
    components.collect()
}

fn normalizations(width: usize) -> orthogap::Result<Vec<Component>> {
    let plain = rectified(width).with_normalization(Normalization::None);
    // He's gain: rows of norm sqrt(2).
    let weight_norm = plain.clone().with_weights(Spherical::new(std::f64::consts::SQRT_2)?);
    fn new(name: &'static str, network: Network<f64>) -> Component {
        Component::new(Family::Normalization, name, network)
    }
    Ok(vec![
        new("none", plain.clone()),
        new("weight_norm", weight_norm),
        new("layer_norm", plain.clone().with_normalization(SampleNorm::layer(EPSILON)?)),
        new("rms_norm", plain.clone().with_normalization(SampleNorm::rms(EPSILON)?)),
        new("group_norm", plain.clone().with_normalization(SampleNorm::group(GROUPS, EPSILON)?)),
        new("batch_norm", plain.clone().with_normalization(BatchNorm::standard(EPSILON)?)),
        new("batch_norm_paper", plain.clone().with_normalization(BatchNorm::paper())),
    ])
}

fn weights(width: usize) -> Vec<Component> {
    let plain = Network::<f64>::new(width);
    fn new(name: &'static str, network: Network<f64>) -> Component {
        Component::new(Family::Weights, name, network)
    }
    vec![
        new("gaussian", plain.clone()).linear_chain(),
        new("xavier_uniform", plain.clone().with_weights(Uniform::xavier())),
        new("rademacher", plain.clone().with_weights(Weights::custom(Signs { density: 1.0 }))),
        new("sparse", plain.clone().with_weights(Weights::custom(Signs { density: 1.0 / 3.0 }))),
        new("haar", plain.clone().with_weights(Haar::default())),
    ]
}

/// If shapes differ, as in the first layer, there is no residual connection. Blank pixels have no
/// batch statistics, so before the first map there is an epsilon or layer norm.
fn architectures(width: usize, depth: usize, images: Images) -> orthogap::Result<Vec<Component>> {
    let plain = rectified(width);
    let pre_norm =
        plain.clone().with_order(Order::NormActivationLinear).with_residual(Residual::new(1.0)?);
    let post_norm = plain.clone().with_residual(Residual::new(1.0)?.with_post_norm());
    let layer_norm = SampleNorm::layer(EPSILON)?;
    let channels = rectified(width / GROUPS);
    let zeros = Convolution::new(3)?;
    let circular = zeros.with_padding(Padding::Circular);
    fn new(name: &'static str, network: Network<f64>) -> Component {
        Component::new(Family::Architecture, name, network)
    }
    Ok(vec![
        new("plain", plain.clone()).undrawn(),
        new("residual", plain.clone().with_residual(Residual::new(1.0)?)),
        new("residual_scaled", plain.clone().with_residual(Residual::depth_scaled(1.0, depth)?)),
        new("pre_layer_norm", pre_norm.clone().with_normalization(layer_norm)),
        new(
            "pre_batch_norm",
            pre_norm.clone().with_normalization(BatchNorm::paper().with_epsilon(EPSILON)?),
        ),
        new("post_layer_norm", post_norm.clone().with_normalization(layer_norm)),
        new("post_batch_norm", post_norm).undrawn(),
        new("convolution_zeros", channels.clone().with_convolution(zeros, images)),
        new("convolution_circular", channels.clone().with_convolution(circular, images)),
    ])
}

/// The rectified network with the paper's batch norm, measured before the rectifier.
fn rectified(width: usize) -> Network<f64> {
    Network::new(width)
        .with_weights(Gaussian::he())
        .with_activation(Activation::Relu)
        .with_order(Order::ActivationLinearNorm)
}
