//! Networks of any parameters.

use arbitrary::Arbitrary;
use orthogap::Activation::{
    Elu, Erf, Gelu, Identity, LeakyRelu, Logistic, Relu, ShiftedTanh, Silu, Sin, Tanh,
};
use orthogap::convolution::{Convolution, Images, Padding, Pooling};
use orthogap::normalization::{BatchNorm, Centering, Normalization, RowScale, SampleNorm};
use orthogap::weights::{Gaussian, Haar, Spherical, Uniform, Weights};
use orthogap::{Activation, Input, Network, Order, Residual, Result, Scalar};

/// A small network, each of whose parameters is anything at all.
#[derive(Debug, Arbitrary)]
pub struct Recipe {
    width: u8,
    order: u8,
    norm: u8,
    epsilon: f64,
    groups: u8,
    residual: Option<(f64, bool)>,
    weights: u8,
    gain: f64,
    activation: u8,
    slope: f64,
    /// Channels, height, kernel, stride, padding, pooling.
    convolution: Option<[u8; 6]>,
}

impl Recipe {
    /// The network, of images as large as the input allows if it is a convolution.
    pub fn network<T: Scalar>(&self, input: &Input) -> Result<Network<T>> {
        let mut network = Network::new(usize::from(self.width % 17))
            .with_activation(self.activation())
            .with_weights(self.weights()?)
            .with_normalization(self.normalization()?)
            .with_order(self.order());
        if let Some((weight, post_norm)) = self.residual {
            let residual = Residual::new(weight)?;
            network =
                network.with_residual(if post_norm { residual.with_post_norm() } else { residual });
        }
        if let Some([channels, height, kernel, stride, padding, pooling]) =
            self.convolution.map(|sizes| sizes.map(usize::from))
        {
            let height = height % 4;
            let width = input.dimension() / (channels * height).max(1);
            let circular = padding % 2 == 1;
            let convolution = Convolution::new(kernel % 5)?
                .with_stride(stride % 4)?
                .with_padding_width(padding / 2)?
                .with_padding(if circular { Padding::Circular } else { Padding::Zeros });
            network = network.with_convolution(convolution, Images::new(channels, height, width)?);
            network = match pooling % 4 {
                0 => network.with_pooling(Pooling::global_average()),
                1 => network.with_pooling(Pooling::max(pooling / 4)?),
                2 => network.with_pooling(Pooling::average(pooling / 4)?),
                _ => network,
            };
        }
        Ok(network)
    }

    fn order(&self) -> Order {
        match self.order % 3 {
            0 => Order::LinearNormActivation,
            1 => Order::ActivationLinearNorm,
            _ => Order::NormActivationLinear,
        }
    }

    fn activation(&self) -> Activation {
        let slope = self.slope;
        match self.activation % 11 {
            0 => Identity,
            1 => LeakyRelu { slope },
            2 => ShiftedTanh,
            3 => Relu,
            4 => Tanh,
            5 => Logistic,
            6 => Silu,
            7 => Erf,
            8 => Gelu,
            9 => Elu,
            _ => Sin,
        }
    }

    fn weights(&self) -> Result<Weights> {
        let gain = self.gain;
        Ok(match self.weights % 6 {
            0 => Gaussian::new(gain)?.into(),
            1 => Gaussian::he().with_gain(gain)?.into(),
            2 => Gaussian::xavier().with_gain(gain)?.into(),
            3 => Uniform::xavier().with_gain(gain)?.into(),
            4 => Haar::new(gain)?.into(),
            _ => Spherical::new(gain)?.into(),
        })
    }

    fn normalization(&self) -> Result<Normalization> {
        let (groups, epsilon) = (self.groups.into(), self.epsilon);
        Ok(match self.norm % 9 {
            0 => BatchNorm::paper().into(),
            1 => BatchNorm::standard(epsilon)?.into(),
            2 => BatchNorm::paper().with_centering(Centering::Batch).into(),
            3 => BatchNorm::paper().with_epsilon(epsilon)?.with_row_scale(RowScale::UnitRms).into(),
            4 => SampleNorm::layer(epsilon)?.into(),
            5 => SampleNorm::rms(epsilon)?.into(),
            6 => SampleNorm::group(groups, epsilon)?.into(),
            7 => Normalization::MeanOnly,
            _ => Normalization::None,
        })
    }
}
