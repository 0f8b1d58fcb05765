//! Any recipe backwards: the reverse pass of a random network, its tangent kernel, and one layer on
//! any weights and any gradient.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use orthogap::backward::{BatchGradient, Scaled, Tape, Top};
use orthogap::normalization::Normalization;
use orthogap::{Error, Input, Network, Result, Scalar, Seed};
use orthogap_fuzz::{Floats, Recipe, check_metrics};

#[derive(Debug, Arbitrary)]
struct Case {
    batch: Floats,
    recipe: Recipe,
    seed: u64,
    depth: u8,
    top: u8,
    single: bool,
    weights: Floats,
    gradient: Floats,
    log_units: [f64; 2],
    layer: u8,
}

fn finite<T: Scalar>(what: &str, scaled: &Scaled<T>) {
    assert!(scaled.matrix().iter().all(|x| x.is_finite()), "{what}: {}", scaled.matrix());
    assert!(scaled.log_unit().is_finite(), "{what}: in units of exp({})", scaled.log_unit());
    assert!(!scaled.log_norm().is_nan(), "{what}");
}

/// A logarithm of a norm: minus infinity of zero.
fn logarithm(what: &str, log_norm: f64) {
    assert!(log_norm < f64::INFINITY, "{what}: {log_norm}");
}

fn check(gradient: &BatchGradient, n: usize) {
    logarithm("gradient", gradient.log_norm());
    assert_eq!(gradient.log_sample_norms().len(), n);
    for &log_norm in gradient.log_sample_norms() {
        logarithm("gradient of a sample", log_norm);
        assert!(log_norm <= gradient.log_norm() + 1e-9, "{log_norm} {}", gradient.log_norm());
    }
    for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
        let cosine = gradient.cosine(i, j).expect("samples of the batch");
        assert!(cosine.abs() <= 1.0, "{cosine}");
    }
    assert!(gradient.cosine(n, 0).is_err());
    assert_eq!(gradient.gram().is_none(), gradient.log_norm() == f64::NEG_INFINITY);
    gradient.gram().into_iter().for_each(check_metrics);
    assert_eq!(gradient.weights_products().is_none(), gradient.depth() == 0);
    assert_eq!(gradient.log_weights_norm().is_none(), gradient.depth() == 0);
    if let Some(log_norm) = gradient.log_weights_norm() {
        logarithm("gradient of the weights", log_norm);
    }
    if let Some(products) = gradient.weights_products() {
        finite("products", products);
        assert_eq!(products.matrix().shape(), (n, n));
        assert!(products.matrix().diagonal().iter().all(|&square| square >= 0.0));
    }
}

/// From the output to the input, or to an error.
fn reverse_pass<T: Scalar>(case: &Case, network: &Network<T>, input: &Input) -> Result<()> {
    let (depth, seed) = (usize::from(case.depth % 5), Seed(case.seed));
    let top = [Top::RandomDirection, Top::Representation, Top::ReadOut][usize::from(case.top % 3)];
    let mut gradients = network.gradients(input, seed, depth, top)?;
    let mut layers = Vec::new();
    let mut failed = false;
    for (below, gradient) in gradients.by_ref().enumerate() {
        assert!(below <= depth && !failed, "more layers than there are");
        match gradient {
            Ok(gradient) => {
                check(&gradient, input.batch_size());
                assert_eq!(gradient.depth(), depth - below);
                layers.push(gradient);
            }
            Err(_) => failed = true,
        }
    }
    assert!(failed || layers.len() == depth + 1);
    assert!(gradients.next().is_none() && (failed || gradients.step().is_err()));
    if top == Top::RandomDirection {
        let norms = network.gradient_norms(input, seed, depth);
        assert_eq!(norms.is_err(), failed);
        if let Ok(norms) = norms {
            let bits = |norm: &f64| norm.to_bits();
            let expected: Vec<u64> =
                layers.iter().rev().map(|layer| layer.log_norm().to_bits()).collect();
            let found: Vec<u64> = norms.representations().iter().map(bits).collect();
            assert_eq!(found, expected);
        }
    }
    Ok(())
}

fn tangent_kernel<T: Scalar>(case: &Case, network: &Network<T>, input: &Input) -> Result<()> {
    let depth = usize::from(case.depth % 5);
    let kernel = network.tangent_kernel(input, Seed(case.seed), depth);
    if matches!(network.normalization(), Normalization::BatchNorm(_) | Normalization::MeanOnly) {
        assert!(matches!(kernel, Err(Error::Unsupported { .. })));
    }
    let kernel = kernel?;
    assert_eq!(kernel.layers().len(), depth);
    kernel.layers().iter().for_each(|term| finite("term of a layer", term));
    finite("term of the read-out", kernel.read_out());
    let sum = kernel.matrix();
    assert!(sum.matrix().iter().all(|x| x.is_finite()) && !sum.log_unit().is_nan());
    let (matrix, n) = (sum.matrix(), input.batch_size());
    let smallest = 1e-150 * matrix.amax(); // whose square underflows on the diagonal
    for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
        let bound = matrix[(i, i)].sqrt() * matrix[(j, j)].sqrt();
        let asymmetry = (matrix[(i, j)] - matrix[(j, i)]).abs();
        assert!(asymmetry <= 1e-4 * bound + smallest, "{matrix:e}");
        assert!(matrix[(i, j)].abs() <= 1.0001 * bound + smallest, "{matrix:e}");
    }
    Ok(())
}

/// One layer on weights, and from a gradient, that are anything at all.
fn tape<T: Scalar>(case: &Case, network: &Network<T>, input: &Input) -> Result<()> {
    let h = input.columns().map(T::of);
    let (inputs, images) = match network.convolution() {
        None => (h.nrows(), None),
        Some((convolution, images)) => (convolution.fan_in(images), Some(images)),
    };
    let h = images.map_or(Ok(h.clone()), |images| images.unflatten(h))?;
    let weights = case.weights.cycled(network.width(), inputs.min(1 << 12)).map(T::of);
    let input = Scaled::new(h, case.log_units[0]);
    let tape = Tape::new(network, usize::from(case.layer), input, images, &weights)?;
    finite("output", tape.output());
    let (rows, columns) = tape.output().matrix().shape();
    let gradient = Scaled::new(case.gradient.cycled(rows, columns).map(T::of), case.log_units[1]);
    let layer = tape.pull_back(gradient)?;
    finite("gradient of the input", layer.input());
    if let Ok(weights) = layer.weights() {
        finite("gradient of the weights", &weights);
    }
    if let Ok(log_norm) = layer.log_weights_norm() {
        logarithm("gradient of the weights", log_norm);
    }
    Ok(())
}

fn run<T: Scalar>(case: &Case) -> Result<()> {
    let input = Input::from_columns(&case.batch.0)?;
    let network = case.recipe.network::<T>(&input)?;
    let _ = reverse_pass(case, &network, &input);
    let _ = tangent_kernel(case, &network, &input);
    tape(case, &network, &input)
}

fuzz_target!(|case: Case| {
    let _ = if case.single { run::<f32>(&case) } else { run::<f64>(&case) };
});
