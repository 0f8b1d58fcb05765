//! Prints what the Python package must give to the bit: a name and the bits of numbers on each line.
//!
//! `test_bits.py` runs it and compares.

use orthogap::backward::Top;
use orthogap::experiment::{ChainExperiment, Ensemble, Metric};
use orthogap::nalgebra::DMatrix;
use orthogap::normalization::{BatchNorm, SampleNorm};
use orthogap::train::init::{IterativeOrthogonalization, LayerwiseInit};
use orthogap::wasserstein::{Gaussian, Sample, normal_bins};
use orthogap::weights::{self, Haar};
use orthogap::{Activation, Input, Layer, Network, Order, Residual, Result, Scalar, Seed, theory};

fn print(name: &str, numbers: impl IntoIterator<Item = f64>) {
    let bits: Vec<_> = numbers.into_iter().map(|x| format!("{:016x}", x.to_bits())).collect();
    println!("{name} {}", bits.join(" "));
}

fn numbers(layer: &Layer) -> [f64; 5] {
    let spectral = [layer.min_singular_value(), layer.effective_rank(), layer.coupling_bound()];
    [layer.orthogonality_gap(), layer.log_scale(), spectral[0], spectral[1], spectral[2]]
}

fn chain<T: Scalar>(name: &str, network: &Network<T>, input: &Input) -> Result<()> {
    let layers = network.chain(input, Seed(7).replicate(3))?.take(20);
    let layers = layers.collect::<Result<Vec<_>>>()?;
    print(name, layers.iter().flat_map(numbers));
    Ok(())
}

fn rectified<T: Scalar>() -> Result<Network<T>> {
    Ok(Network::new(300)
        .with_activation(Activation::Relu)
        .with_normalization(BatchNorm::standard(1e-5)?)
        .with_weights(weights::Gaussian::he())
        .with_order(Order::ActivationLinearNorm))
}

fn residual<T: Scalar>() -> Result<Network<T>> {
    Ok(Network::new(64)
        .with_activation(Activation::Gelu)
        .with_normalization(SampleNorm::layer(1e-5)?)
        .with_weights(Haar::new(1.5)?)
        .with_residual(Residual::new(0.5)?.with_post_norm()))
}

fn main() -> Result<()> {
    let (spiked, gaussian) = (Input::spiked(4, 1e-6)?, Input::gaussian(64, 6, Seed(1))?);
    print("gaussian_batch", gaussian.columns().iter().copied());
    chain("linear_64", &Network::<f64>::new(512), &spiked)?;
    chain("linear_32", &Network::<f32>::new(512), &spiked)?;
    chain("rectified_64", &rectified::<f64>()?, &gaussian)?;
    chain("rectified_32", &rectified::<f32>()?, &gaussian)?;
    chain("residual_64", &residual::<f64>()?, &gaussian)?;
    chain("residual_32", &residual::<f32>()?, &gaussian)?;
    chain("wide", &Network::<f32>::new(100_000), &gaussian)?;
    let mut explicit = Network::<f32>::new(50).explicit_chain(&gaussian, Seed(2))?;
    let layer = explicit.step()?;
    print("weights", layer.weights().transpose().iter().map(|&w| w.into()));
    print("representation", layer.representation().iter().map(|&h| h.into()));

    let network = Network::<f64>::new(32);
    let experiment = ChainExperiment::new(&network, &spiked)
        .observe_metrics([Metric::OrthogonalityGap, Metric::StableRank])
        .observe("cosine(0, 1)", |layer| layer.cosine(0, 1))
        .at([0, 5, 20]);
    let summary = Ensemble::new(&experiment, Seed(11)).run(100)?;
    for name in ["orthogonality_gap", "stable_rank", "cosine(0, 1)"] {
        let means = [0, 5, 20].map(|layer| summary.mean(layer, name));
        let means = means.into_iter().collect::<Result<Vec<_>>>()?;
        let mean = |mean: &orthogap::experiment::Mean| {
            [mean.value, mean.standard_error, mean.interval.low, mean.interval.high]
        };
        print(&format!("ensemble:{name}").replace(' ', ""), means.iter().flat_map(mean));
    }

    let gradients = rectified::<f64>()?.gradients(&gaussian, Seed(3), 5, Top::ReadOut)?;
    let gradients = gradients.collect::<Result<Vec<_>>>()?;
    print("gradients", gradients.iter().flat_map(|g| g.log_sample_norms().to_vec()));
    let vanilla = Network::<f64>::new(40)
        .with_normalization(orthogap::normalization::Normalization::None)
        .with_activation(Activation::Tanh);
    let kernel = vanilla.tangent_kernel(&gaussian, Seed(4), 3)?;
    print("tangent_kernel", kernel.matrix().to_matrix().iter().copied());

    let h = gaussian.columns();
    print("batch_norm", BatchNorm::paper().normalize(h)?.iter().copied());
    let single: DMatrix<f32> = h.map(|x| x as f32);
    let normalized = BatchNorm::standard(1e-5)?.normalize(&single)?;
    print("standard_batch_norm", normalized.iter().map(|&x| x.into()));
    print("group_norm", SampleNorm::group(4, 1e-5)?.normalize(h)?.iter().copied());
    print("spectrum", orthogap::Gram::from_columns(&single)?.singular_values().iter().copied());

    let mut init = LayerwiseInit::new(single, Seed(5))?;
    for (width, activation) in
        [(48, Activation::Relu), (48, Activation::Relu), (10, Activation::Identity)]
    {
        init.dense(&IterativeOrthogonalization::recommended(), width, &activation)?;
    }
    let weights: Vec<f32> =
        init.weights().flat_map(|w| w.transpose().as_slice().to_vec()).collect();
    print("orthogonal_init", weights.into_iter().map(f64::from));

    let rows = Gaussian::isotropic(3, 0.7)?.sample(500, Seed(6), 0);
    print("gaussian", rows.transpose().iter().copied());
    let target = Gaussian::isotropic(3, 1.0)?;
    let sample = Sample::from_rows(&rows)?;
    let bracket = sample.bracket(&target, None, Seed(8))?;
    let bounds = bracket.lower_bounds().iter().chain(bracket.upper_bounds());
    print("bracket", bounds.flat_map(|(_, w2)| [w2.squared, w2.debiased()]));
    let column: Vec<f64> = rows.column(0).iter().copied().collect();
    let line = normal_bins(column.len())?.w2(&column, 0.0, 0.7)?;
    print("line", [line.w2.squared, line.location, line.scale, line.shape]);

    let law = theory::stationary::SingularValueLaw::new(8, 500)?;
    let theory = [theory::stationary::mean_gap(8, 500), law.mean_smallest(), law.scale()];
    print("theory", theory);
    Ok(())
}
