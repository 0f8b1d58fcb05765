//! Any recipe with any parameters: a few layers on the cheapest engine, with weights, and backwards.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use orthogap::convolution::{Convolution, Images, Padding, Pooling};
use orthogap::normalization::{BatchNorm, Centering, Normalization, RowScale, SampleNorm};
use orthogap::weights::{Gaussian, Haar, Weights};
use orthogap::Activation::{Identity, LeakyRelu, ShiftedTanh};
use orthogap::{Activation, Input, Network, Order, Residual, Result, Seed};
use orthogap_fuzz::{Floats, check_metrics};

#[derive(Debug, Arbitrary)]
struct Recipe {
    batch: Floats,
    width: u8,
    order: u8,
    norm: u8,
    epsilon: f64,
    groups: u8,
    residual: Option<(f64, bool)>,
    gain: f64,
    slope: f64,
    activation: u8,
    orthogonal: bool,
    /// Channels, height, kernel, stride, padding, pooling.
    convolution: Option<[u8; 6]>,
    seed: u64,
}

impl Recipe {
    fn normalization(&self) -> Result<Normalization> {
        Ok(match self.norm % 8 {
            0 => BatchNorm::paper().into(),
            1 => BatchNorm::standard(self.epsilon)?.into(),
            2 => BatchNorm::paper().with_centering(Centering::Batch).into(),
            3 => BatchNorm::paper()
                .with_epsilon(self.epsilon)?
                .with_row_scale(RowScale::UnitRms)
                .into(),
            4 => SampleNorm::layer(self.epsilon)?.into(),
            5 => SampleNorm::rms(self.epsilon)?.into(),
            6 => SampleNorm::group(self.groups.into(), self.epsilon)?.into(),
            _ => Normalization::None,
        })
    }

    fn run(&self, activation: Activation, weights: impl Into<Weights>) -> Result<()> {
        let mut network = Network::<f64>::new(usize::from(self.width % 17))
            .with_activation(activation)
            .with_weights(weights)
            .with_normalization(self.normalization()?)
            .with_order(
                [
                    Order::LinearNormActivation,
                    Order::ActivationLinearNorm,
                    Order::NormActivationLinear,
                ][usize::from(self.order % 3)],
            );
        if let Some((weight, post_norm)) = self.residual {
            let residual = Residual::new(weight)?;
            network = network.with_residual(if post_norm { residual.with_post_norm() } else { residual });
        }
        let input = Input::from_columns(&self.batch.0)?;
        if let Some([channels, height, kernel, stride, padding, pooling]) =
            self.convolution.map(|sizes| sizes.map(usize::from))
        {
            let height = height % 4;
            let width = input.dimension() / (channels * height).max(1);
            let convolution = Convolution::new(kernel % 5)?.with_stride(stride % 4)?;
            let convolution = convolution.with_padding_width(padding / 2)?;
            let circular = padding % 2 == 1;
            let padding = if circular { Padding::Circular } else { Padding::Zeros };
            network = network.with_convolution(
                convolution.with_padding(padding),
                Images::new(channels, height, width)?,
            );
            network = match pooling % 4 {
                0 => network.with_pooling(Pooling::global_average()),
                1 => network.with_pooling(Pooling::max(pooling / 4)?),
                2 => network.with_pooling(Pooling::average(pooling / 4)?),
                _ => network,
            };
        }
        let seed = Seed(self.seed);
        let mut chain = network.chain(&input, seed)?;
        for layer in chain.by_ref().take(4).flatten() {
            check_metrics(layer.gram());
            assert!(!layer.log_scale().is_nan());
        }
        let mut explicit = network.explicit_chain(&input, seed)?;
        for _ in 0..3 {
            let Ok(layer) = explicit.step() else { break };
            check_metrics(layer.layer().gram());
            assert!(layer.weights().iter().all(|x| x.is_finite()));
            assert!(layer.representation().iter().all(|x| x.is_finite()));
        }
        let norms = network.gradient_norms(&input, seed, 3)?;
        assert!(norms.representations().iter().chain(norms.weights()).all(|norm| !norm.is_nan()));
        Ok(())
    }
}

fuzz_target!(|recipe: Recipe| {
    let (gaussian, orthogonal) = (Gaussian::new(recipe.gain), Haar::new(recipe.gain));
    let _ = match (recipe.activation % 3, recipe.orthogonal) {
        (0, false) => gaussian.and_then(|weights| recipe.run(Identity, weights)),
        (0, true) => orthogonal.and_then(|weights| recipe.run(Identity, weights)),
        (1, _) => {
            gaussian.and_then(|weights| recipe.run(LeakyRelu { slope: recipe.slope }, weights))
        }
        _ => gaussian.and_then(|weights| recipe.run(ShiftedTanh, weights)),
    };
});
