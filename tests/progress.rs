//! Progress of a layer and its interruption, on every engine.

use std::ops::ControlFlow::{self, Break, Continue};

use orthogap::normalization::SampleNorm;
use orthogap::weights::{Haar, Uniform};
use orthogap::{Activation, Error, Input, Network, Order, Seed};

use crate::repeatability::bits;

/// Networks whose layers are drawn in several parts, by one thread as well.
fn networks() -> Vec<(&'static str, Network<f64>)> {
    let two_passes = Network::new(60_000).with_activation(Activation::Relu);
    let held = Network::new(3000).with_normalization(SampleNorm::layer(0.0).unwrap());
    vec![
        ("streamed", Network::new(60_000)),
        ("in two passes", two_passes.with_order(Order::NormActivationLinear)),
        ("held", held.clone()),
        ("rotated", held.with_weights(Haar::new(1.0).unwrap())),
        ("with weights", Network::new(1500).with_weights(Uniform::xavier())),
    ]
}

fn on_one_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(work)
}

/// Numbers of finished rows grow up to the width. A break before the last of them leaves the chain where
/// it was, and a later step gives the same bits; a break at the last one comes too late.
#[test]
fn a_layer_is_interrupted_between_its_parts() {
    on_one_thread(|| {
        for (name, network) in networks() {
            let input = Input::gaussian(100, 16, Seed(1)).unwrap();
            let start = network.chain(&input, Seed(2)).unwrap();
            let mut told = Vec::new();
            let mut whole = start.clone();
            let layer = whole.step_while(|rows| {
                told.push(rows);
                Continue(())
            });
            let expected = bits(layer.unwrap());
            assert!(told.len() > 2 && told.is_sorted(), "{name}: {told:?}");
            assert_eq!(told.last(), Some(&network.width()), "{name}: {told:?}");

            for at in [0, 1, told.len() - 1] {
                let mut chain = start.clone();
                let mut calls = 0;
                let stop = |_| -> ControlFlow<()> {
                    calls += 1;
                    if calls > at { Break(()) } else { Continue(()) }
                };
                match chain.step_while(stop) {
                    Ok(layer) => assert!(at + 1 == told.len() && bits(layer) == expected),
                    Err(Error::Interrupted { layer, rows }) => {
                        assert!(at + 1 < told.len() && layer == 1, "{name}");
                        assert!(rows > 0 && rows < network.width(), "{name}: {rows}");
                    }
                    Err(error) => panic!("{name}: {error}"),
                }
                if at + 1 < told.len() {
                    assert_eq!(chain.layer().depth(), 0);
                    assert!(bits(chain.step().unwrap()) == expected, "{name}: {at}");
                }
            }
        }
    });
}
