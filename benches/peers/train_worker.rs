//! orthogap's side of `train.py`: trains the same network on the same images and tells seconds and
//! loss of every epoch, on one thread unless told otherwise.
//!
//! ```text
//! train_worker DATA IMAGES WIDTH DEPTH BATCH RATE EPOCHS SCALAR THREADS
//! ```
//!
//! `DATA` is digits or cifar10:DIR, `SCALAR` f64 or f32. Weights are Xavier uniform with gain
//! sqrt 2, the activation is ReLU, without normalisation. Every line of standard input is answered by an
//! epoch and a line of JSON.

use std::error::Error;
use std::io;
use std::time::Instant;

use orthogap::Activation::Relu;
use orthogap::normalization::Normalization;
use orthogap::train::{Classifier, Sgd, Trainer};
use orthogap::weights::Uniform;
use orthogap::{Network, Scalar, Seed};
use orthogap_examples::images::{CLASSES, Images};
use rayon::ThreadPoolBuilder;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let &[data, images, width, depth, batch, rate, epochs, scalar, threads] = words.as_slice()
    else {
        return Err("DATA IMAGES WIDTH DEPTH BATCH RATE EPOCHS SCALAR THREADS".into());
    };
    let case = Case {
        images: Images::load(&data.parse()?)?,
        count: images.parse()?,
        width: width.parse()?,
        depth: depth.parse()?,
        batch: batch.parse()?,
        rate: rate.parse()?,
        epochs: epochs.parse()?,
    };
    let pool = ThreadPoolBuilder::new().num_threads(threads.parse()?).build()?;
    pool.install(|| match scalar {
        "f64" => case.train::<f64>(),
        "f32" => case.train::<f32>(),
        _ => Err(orthogap::Error::InvalidParameter {
            name: "scalar",
            value: f64::NAN,
            expected: "f64 or f32",
        }),
    })?;
    Ok(())
}

/// What to train, and how.
struct Case {
    images: Images,
    count: usize,
    width: usize,
    depth: usize,
    batch: usize,
    rate: f64,
    epochs: usize,
}

impl Case {
    fn train<T: Scalar>(&self) -> orthogap::Result<()> {
        let samples = self.images.columns::<T>(self.count, -1.0);
        let labels = &self.images.labels()[..samples.ncols()];
        let layer = Network::<T>::new(self.width)
            .with_normalization(Normalization::None)
            .with_activation(Relu)
            .with_weights(Uniform::xavier().with_gain(2f64.sqrt())?);
        let layers = vec![layer; self.depth];
        let classifier = Classifier::sample(&layers, samples.nrows(), CLASSES.into(), Seed(1))?;
        let mut trainer = Trainer::new(classifier, Sgd::new(self.rate)?, Seed(1));
        for _ in io::stdin().lines().take(self.epochs) {
            let start = Instant::now();
            let epoch = trainer.epoch(&samples, labels, self.batch)?;
            let seconds = start.elapsed().as_secs_f64();
            let (number, loss) = (epoch.number, epoch.loss.mean());
            println!("{{\"epoch\": {number}, \"seconds\": {seconds:.4}, \"loss\": {loss:.6}}}");
        }
        Ok(())
    }
}
