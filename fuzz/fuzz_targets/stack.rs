//! Any batch through layers that are initialised by it, then trained as a classifier.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use orthogap::Activation::{Identity, Relu};
use orthogap::convolution::{Convolution, Images, Pooling};
use orthogap::normalization::BatchNorm;
use orthogap::train::init::{Alignment, IterativeOrthogonalization, LayerwiseInit, Lsuv, Scale};
use orthogap::train::{Classifier, Loss, Sgd, Trainer};
use orthogap::weights::Uniform;
use orthogap::{Network, Result, Seed};
use orthogap_fuzz::Floats;

#[derive(Debug, Arbitrary)]
struct Case {
    batch: Floats,
    images: Option<[u8; 2]>,
    layers: Vec<(u8, u8, f64)>,
    labels: Vec<u8>,
    batch_size: u8,
    rate: f64,
    momentum: f64,
    decay: f64,
    epsilon: f64,
}

fn layer(stack: &mut LayerwiseInit<f64>, (kind, width, number): (u8, u8, f64)) -> Result<()> {
    let width = usize::from(width % 9);
    let iterative = IterativeOrthogonalization::recommended();
    match kind % 8 {
        0 => stack.dense(&Lsuv, width, &Relu),
        1 => stack.dense(&iterative.with_power(number)?, width, &Relu),
        2 => stack.dense(
            &IterativeOrthogonalization::printed().with_alignment(Alignment::Samples),
            width,
            &Identity,
        ),
        3 => stack.dense(&IterativeOrthogonalization::authors(), width, &Identity),
        4 => stack.dense(&iterative.with_scale(Scale::RootMeanSquare(number))?, width, &Identity),
        5 => stack.convolution(
            &Uniform::xavier().with_gain(number)?,
            Convolution::new(width)?,
            3,
            &Relu,
        ),
        6 => stack.convolution(&Lsuv, Convolution::new(2)?, width, &Relu),
        _ => stack.pool(Pooling::max(width)?),
    }
    .map(drop)
}

fn train(case: &Case) -> Result<()> {
    let recipe = Network::<f64>::new(5).with_activation(Relu);
    let recipe = recipe.with_normalization(BatchNorm::standard(case.epsilon)?);
    let classifier =
        Classifier::sample(&[recipe.clone(), recipe], case.batch.0.nrows(), 3, Seed(1))?;
    let sgd = Sgd::new(case.rate)?.with_momentum(case.momentum)?.with_weight_decay(case.decay)?;
    let labels: Vec<usize> = case.labels.iter().map(|&label| label.into()).collect();
    let mut trainer = Trainer::new(classifier, sgd, Seed(1));
    for _ in 0..3 {
        let epoch = trainer.epoch(&case.batch.0, &labels, case.batch_size.into())?;
        assert!(epoch.loss.mean().is_finite());
        assert!(epoch.gradient_norms.iter().all(|norm| norm.is_finite()));
    }
    // A last step may have gone too far: what it left says so, or works.
    if let Ok(loss) = trainer.classifier().evaluate(&case.batch.0, &labels) {
        assert!(!loss.mean().is_nan());
    }
    Ok(())
}

fuzz_target!(|case: Case| {
    let batch = &case.batch.0;
    let stack = match case.images {
        None => LayerwiseInit::new(batch.clone(), Seed(1)),
        Some([height, width]) => Images::new(batch.nrows(), height.into(), width.into())
            .and_then(|images| LayerwiseInit::of_images(images, batch.clone(), Seed(1))),
    };
    if let Ok(mut stack) = stack {
        for &next in case.layers.iter().take(4) {
            let _ = layer(&mut stack, next);
            let gap = stack.gap();
            assert!(gap.is_err() || gap.is_ok_and(|gap| gap.is_finite()));
        }
        for layer in stack.layers() {
            assert!(layer.weights().iter().all(|x| x.is_finite()));
            let numbers = [layer.gap_before(), layer.gap_after(), layer.scale()];
            assert!(numbers.iter().all(|x| x.is_finite()), "{numbers:?}");
        }
    }
    if let Ok(loss) = Loss::of(batch, &case.labels.iter().map(|&l| l.into()).collect::<Vec<_>>()) {
        assert!(!loss.mean().is_nan());
    }
    let _ = train(&case);
});
