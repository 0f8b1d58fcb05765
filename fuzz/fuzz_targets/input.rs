//! Any matrix as columns, as a factor, and as the batch of a few layers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orthogap::normalization::{BatchNorm, Normalization, SampleNorm};
use orthogap::{Gram, Input, Network, Scalar, Seed};
use orthogap_fuzz::{Floats, check_metrics};

fn walk<T: Scalar>(input: &Input) {
    let standard = BatchNorm::standard(1e-5).expect("an epsilon");
    for normalization in [BatchNorm::paper().into(), standard.into(), Normalization::None] {
        let network = Network::<T>::new(8).with_normalization(normalization);
        if let Ok(mut chain) = network.chain(input, Seed(1)) {
            for layer in chain.by_ref().take(3).flatten() {
                check_metrics(layer.gram());
                assert!(layer.log_scale().is_finite());
            }
        }
        if let Ok(mut chain) = network.explicit_chain(input, Seed(1)) {
            while let Ok(layer) = chain.step() {
                check_metrics(layer.layer().gram());
                if layer.layer().depth() == 3 {
                    break;
                }
            }
        }
    }
}

fuzz_target!(|floats: Floats| {
    let Floats(matrix) = floats;
    for gram in
        [Gram::from_columns(&matrix), Gram::from_factor(matrix.clone())].into_iter().flatten()
    {
        check_metrics(&gram);
        walk::<f64>(&Input::from_gram(gram));
    }
    if let Ok(gram) = Gram::from_columns(&matrix.map(|x| x as f32)) {
        check_metrics(&gram);
    }
    if let Ok(input) = Input::from_columns(&matrix) {
        assert!(input.log_scale().is_finite());
        walk::<f64>(&input);
        walk::<f32>(&input);
    }
    for h in [
        BatchNorm::paper().normalize(&matrix),
        BatchNorm::standard(0.0).and_then(|norm| norm.normalize(&matrix)),
        SampleNorm::layer(0.0).and_then(|norm| norm.normalize(&matrix)),
        SampleNorm::group(2, 1e-5).and_then(|norm| norm.normalize(&matrix)),
    ]
    .into_iter()
    .flatten()
    {
        assert!(h.iter().all(|x| x.is_finite()), "{h}");
    }
});
