//! Same seed, same bits.

use orthogap::backward::Top;
use orthogap::convolution::{Convolution, Images};
use orthogap::normalization::{BatchNorm, Normalization};
use orthogap::weights::{Haar, Spherical, Uniform};
use orthogap::{Activation, Input, Layer, Network, Order, Purpose, Scalar, Seed};
use rand::Rng;

/// What a layer is, to the last bit.
pub fn bits(layer: &Layer) -> Vec<u64> {
    layer.factor().iter().map(|x| x.to_bits()).chain([layer.log_scale().to_bits()]).collect()
}

fn repeats<T: Scalar>() {
    let input = Input::gaussian(20, 5, Seed(1)).unwrap();
    let standard = BatchNorm::standard(1e-5).unwrap();
    for network in [Network::<T>::new(700), Network::<T>::new(700).with_normalization(standard)] {
        let streamed = || network.chain(&input, Seed(9)).unwrap();
        let mut stepped = streamed();
        for layer in streamed().take(5) {
            assert_eq!(bits(&layer.unwrap()), bits(stepped.step().unwrap()));
        }
        assert_eq!(bits(stepped.layer()), bits(streamed().advance(5).unwrap()));
        let explicit = || network.explicit_chain(&input, Seed(9)).unwrap();
        let again = bits(explicit().advance(3).unwrap());
        assert_eq!(bits(explicit().advance(3).unwrap()), again);
    }
}

#[test]
fn chains_repeat_bit_by_bit() {
    repeats::<f64>();
    repeats::<f32>();
}

#[test]
fn a_clone_goes_the_same_way() {
    let input = Input::spiked(3, 1e-3).unwrap();
    let mut chain = Network::<f64>::new(64).chain(&input, Seed(4)).unwrap();
    chain.advance(7).unwrap();
    let mut clone = chain.clone();
    assert_eq!(bits(chain.advance(5).unwrap()), bits(clone.advance(5).unwrap()));
}

/// A change here breaks every published number: a "value-breaking" line in the changelog.
#[test]
fn streams_are_pinned() {
    let word =
        |purpose| Seed(0x0123_4567_89ab_cdef).replicate(3).stream(purpose, 5, 8).rng().next_u64();
    let words = [
        word(Purpose::Rows),
        word(Purpose::Weights),
        word(Purpose::Input),
        word(Purpose::User(255)),
    ];
    assert_eq!(
        words,
        [
            0xa1a3_14f3_ab3d_0420,
            0xb6c0_a768_cdd0_ca5d,
            0x52cf_0514_896d_d7dc,
            0xd481_297e_7b6c_831f
        ]
    );
}

/// Gaps at layer 3, or logarithms of gradient norms, by every engine and kernel, in double and in single
/// precision. A change here, too, is "value-breaking".
#[test]
fn values_are_pinned() {
    fn value<T: Scalar>(name: &str, n: usize) -> f64 {
        let width = if name == "several super-blocks" { 60_000 } else { 96 };
        let (network, seed) = (Network::<T>::new(width), Seed(2));
        let input = Input::gaussian(100, n, Seed(1)).unwrap();
        let network = match name {
            "paper" | "several super-blocks" => network,
            "no normalisation" => network.with_normalization(Normalization::None),
            "relu" => network.with_activation(Activation::Relu),
            "centred tanh" => network
                .with_normalization(BatchNorm::standard(1e-5).unwrap())
                .with_activation(Activation::Tanh),
            "vanilla" => {
                network.with_normalization(Normalization::None).with_activation(Activation::Gelu)
            }
            "activation first" => {
                network.with_activation(Activation::Relu).with_order(Order::ActivationLinearNorm)
            }
            "normalisation first" => {
                network.with_activation(Activation::Relu).with_order(Order::NormActivationLinear)
            }
            "haar" => network.with_weights(Haar::new(1.0).unwrap()),
            "spherical" => network.with_weights(Spherical::new(1.0).unwrap()),
            "uniform" => network.with_weights(Uniform::xavier()),
            "images" => network
                .with_convolution(Convolution::new(3).unwrap(), Images::new(4, 5, 5).unwrap())
                .with_activation(Activation::Relu),
            "with weights" => {
                let mut chain = network.explicit_chain(&input, seed).unwrap();
                return chain.advance(3).unwrap().orthogonality_gap();
            }
            "gradient" => {
                let network = network.with_activation(Activation::Relu);
                let mut layers = network.gradients(&input, seed, 3, Top::RandomDirection).unwrap();
                return layers.nth(2).unwrap().unwrap().log_norm();
            }
            other => panic!("no network {other:?}"),
        };
        network.chain(&input, seed).unwrap().advance(3).unwrap().orthogonality_gap()
    }
    for (name, n, double, single) in [
        ("paper", 4, 0.078311766282, 0.149254265367),
        ("paper", 40, 0.182454888041, 0.179048378720),
        ("several super-blocks", 9, 0.058083921830, 0.058116351300),
        ("no normalisation", 5, 0.186354839839, 0.186354839839),
        ("relu", 5, 0.508140747796, 0.389017972246),
        ("relu", 12, 0.479055988344, 0.434826195256),
        ("relu", 40, 0.516390157594, 0.511260340331),
        ("centred tanh", 4, 0.283745705822, 0.289274318250),
        ("centred tanh", 12, 0.165411798211, 0.177236233739),
        ("vanilla", 6, 0.454276111261, 0.406538339809),
        ("activation first", 5, 0.340228847250, 0.262301133618),
        ("normalisation first", 12, 0.521441455068, 0.432863027255),
        ("haar", 5, 0.084452643620, 0.094464183771),
        ("spherical", 5, 0.084819695483, 0.100856591062),
        ("uniform", 5, 0.172876412959, 0.172876424861),
        ("images", 5, 0.431808367666, 0.468000402279),
        ("with weights", 5, 0.098838740104, 0.123914651416),
        ("gradient", 4, 0.197162030620, 0.435297725424),
        ("gradient", 12, 0.147734279608, 0.081658184484),
    ] {
        let double = (value::<f64>(name, n), double, 1e-10);
        let single = (value::<f32>(name, n), single, 1e-5); // some engines round otherwise elsewhere
        for (found, pinned, tolerance) in [double, single] {
            assert!((found - pinned).abs() <= tolerance * pinned, "{name} {n}: {found:.12}");
        }
    }
}

/// Replicates run on any thread.
#[test]
fn chains_can_be_sent() {
    fn sent<S: Send + Sync>() {}
    sent::<orthogap::Chain<f64>>();
    sent::<orthogap::ExplicitChain<f32>>();
    sent::<orthogap::Error>();
}
