//! Same seed, same bits.

use orthogap::normalization::BatchNorm;
use orthogap::{Input, Layer, Network, Purpose, Scalar, Seed};
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

/// Replicates run on any thread.
#[test]
fn chains_can_be_sent() {
    fn sent<S: Send + Sync>() {}
    sent::<orthogap::Chain<f64>>();
    sent::<orthogap::ExplicitChain<f32>>();
    sent::<orthogap::Error>();
}
