//! Any recipe with any parameters: a few layers on the cheapest engine, with weights, and backwards.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use orthogap::{Input, Result, Seed};
use orthogap_fuzz::{Floats, Recipe, check_metrics};

#[derive(Debug, Arbitrary)]
struct Case {
    batch: Floats,
    recipe: Recipe,
    seed: u64,
}

fn run(case: &Case) -> Result<()> {
    let input = Input::from_columns(&case.batch.0)?;
    let (network, seed) = (case.recipe.network::<f64>(&input)?, Seed(case.seed));
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

fuzz_target!(|case: Case| {
    let _ = run(&case);
});
