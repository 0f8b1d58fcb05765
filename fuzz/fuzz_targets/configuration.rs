//! Any text as the JSON of a configuration or a result: what is read works, and is written as read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orthogap::backward::GradientNorms;
use orthogap::convolution::{Convolution, Images, Pooling};
use orthogap::experiment::{Record, Summary};
use orthogap::normalization::{BatchNorm, Normalization, SampleNorm};
use orthogap::statistics::{BatchMeans, Line, Moments};
use orthogap::weights::{Gaussian, Haar, Spherical, Uniform, Weights};
use orthogap::{Activation, Input, Network, Replicate, Residual, Seed};
use orthogap_fuzz::check_metrics;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

fn read<V: Serialize + DeserializeOwned>(text: &str) -> Option<V> {
    let value: V = serde_json::from_str(text).ok()?;
    // Infinities are words, so JSON has all that can be read from it.
    let text = serde_json::to_string(&value).expect("what was read");
    let back: V = serde_json::from_str(&text).expect("what was written");
    assert_eq!(serde_json::to_string(&back).expect("written once"), text);
    Some(value)
}

/// Whether no number in it is so large that obeying would take all memory.
fn is_small(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_u64().is_none_or(|number| number <= 12),
        Value::Array(values) => values.iter().all(is_small),
        Value::Object(values) => values.values().all(is_small),
        _ => true,
    }
}

fn walk(network: &Network<f64>) {
    for dimension in [4, 8, 9] {
        let input = Input::gaussian(dimension, 3, Seed(1)).expect("a batch");
        if let Ok(chain) = network.chain(&input, Seed(1)) {
            chain.take(3).flatten().for_each(|layer| check_metrics(layer.gram()));
        }
    }
}

fuzz_target!(|text: &str| {
    read::<Normalization>(text);
    read::<BatchNorm>(text);
    read::<Residual>(text);
    read::<Gaussian>(text);
    read::<Haar>(text);
    read::<Spherical>(text);
    read::<Uniform>(text);
    read::<Activation>(text);
    read::<Weights>(text);
    read::<Replicate>(text);
    if let Some(line) = read::<Line>(text) {
        let straightness = line.straightness();
        assert!(
            straightness.is_none_or(|p| (0.0..=1.0).contains(&p)),
            "{line:?}: {straightness:?}"
        );
        assert!(line.slope_interval(0.9).is_none_or(|slope| slope.low <= slope.high), "{line:?}");
    }
    if let Some(mut moments) = read::<Moments>(text) {
        moments.push(0.5);
        let _ = moments.merge(&moments.clone());
        assert!(moments.count() < 2 || moments.sample_variance() >= 0.0, "{moments:?}");
        let interval = moments.confidence_interval(0.9);
        assert!(interval.is_none_or(|interval| interval.low <= interval.high), "{moments:?}");
    }
    if let Some(mut means) = read::<BatchMeans>(text) {
        means.push(0.5);
        let _ = means.merge(&means.clone());
    }
    if let Some(norms) = read::<GradientNorms>(text) {
        assert_eq!(norms.representations().len(), norms.weights().len() + 1);
    }
    let images = Images::new(2, 3, 3).expect("images");
    read::<Images>(text).map(|images| images.len());
    if let Some(norm) = read::<SampleNorm>(text) {
        let _ = norm.normalize(&nalgebra::DMatrix::from_fn(4, 2, |i, j| (i * i + j) as f64));
    }
    read::<Pooling>(text).map(|pooling| pooling.output(images));
    read::<Convolution>(text).map(|convolution| convolution.output(images, 2));
    if let Some(mut summary) = read::<Summary>(text) {
        let _ = summary.table().to_string();
        for layers in summary.layers().to_vec() {
            for name in summary.observables().to_vec() {
                summary.over(layers, &name).map(|observable| observable.quantile(0.5));
            }
        }
        let _ = summary.merge(&summary.clone());
    }
    read::<Record>(text);
    if let Some((mut summary, record)) = read::<(Summary, Record)>(text) {
        while summary.push(&record).is_ok() {}
    }
    if serde_json::from_str::<Value>(text).is_ok_and(|value| is_small(&value)) {
        read::<Network<f64>>(text).inspect(walk);
    }
});
