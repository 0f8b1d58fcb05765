//! A run: a network that is initialised, trained epoch by epoch, and measured after each.

use orthogap::train::{Classifier, Loss, Trainer};
use orthogap::{Result, Scalar};
use orthogap_examples::images::CLASSES;

use crate::checkpoint::Checkpoint;
use crate::data::Data;
use crate::init::{Init, Shape};
use crate::options::Options;

/// One network of many.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    pub init: Init,
    pub depth: usize,
    pub run: u32,
}

impl Job {
    pub fn shape(self, options: &Options) -> Shape {
        let (convolutional, width) = (options.convolutional, options.width);
        Shape { convolutional, width, depth: self.depth, classes: CLASSES.into() }
    }
}

/// The measurements of an epoch; `None` if a number is not defined.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Record {
    pub loss: Option<f64>,
    pub accuracy: Option<f64>,
    pub test_loss: Option<f64>,
    pub test_accuracy: Option<f64>,
    pub output_gap: Option<f64>,
    pub hidden_gap: Option<f64>,
    pub first_gradient: Option<f64>,
    pub head_gradient: Option<f64>,
}

/// The number of numbers in a record.
pub const NUMBERS: usize = 8;

impl Record {
    /// The names of the numbers, in their order.
    pub const NAMES: [&str; NUMBERS] = [
        "loss",
        "accuracy",
        "test_loss",
        "test_accuracy",
        "output_gap",
        "hidden_gap",
        "first_gradient",
        "head_gradient",
    ];

    pub fn numbers(self) -> [Option<f64>; NUMBERS] {
        [
            self.loss,
            self.accuracy,
            self.test_loss,
            self.test_accuracy,
            self.output_gap,
            self.hidden_gap,
            self.first_gradient,
            self.head_gradient,
        ]
    }

    pub fn from_numbers(numbers: [Option<f64>; NUMBERS]) -> Self {
        let [
            loss,
            accuracy,
            test_loss,
            test_accuracy,
            output_gap,
            hidden_gap,
            first_gradient,
            head_gradient,
        ] = numbers;
        Self {
            loss,
            accuracy,
            test_loss,
            test_accuracy,
            output_gap,
            hidden_gap,
            first_gradient,
            head_gradient,
        }
    }

    /// Measures a network after an epoch with this loss and these gradient norms.
    fn of<T: Scalar>(
        network: &Classifier<T>,
        data: &Data<T>,
        loss: Option<Loss>,
        norms: &[f64],
    ) -> Self {
        let test = network.evaluate(&data.test.samples, &data.test.labels).ok();
        let grams = network.grams(&data.fresh).unwrap_or_default();
        let mut gaps = grams.iter().rev().map(|gram| gram.orthogonality_gap());
        Self {
            loss: loss.map(|loss| loss.mean()),
            accuracy: loss.map(|loss| loss.accuracy()),
            test_loss: test.map(|loss| loss.mean()),
            test_accuracy: test.map(|loss| loss.accuracy()),
            output_gap: gaps.next(),
            hidden_gap: gaps.next(),
            first_gradient: norms.first().copied(),
            head_gradient: norms.last().copied(),
        }
    }
}

/// The results of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// The largest relative error of the gradients at initialisation.
    pub gradient_error: Option<f64>,
    /// Before training, and after each epoch.
    pub records: Vec<Record>,
    /// The reason why there are no more.
    pub ended: Option<Ended>,
}

/// How training ended before its last epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ended {
    pub reason: String,
    /// The steps of the unfinished epoch, and the network after the last of them.
    pub record: Record,
}

/// An unfinished run.
pub type State<T> = (Course, Trainer<T>);

/// Trains a network from the beginning or from its checkpoint; calls `told` with the number of
/// images after each batch.
///
/// A run that diverges, or cannot begin, is a result; only a checkpoint that cannot be read or
/// written is an error.
pub fn train<T: Scalar>(
    job: Job,
    options: &Options,
    data: &Data<T>,
    told: impl Fn(usize),
) -> Result<Course> {
    let checkpoint = Checkpoint::of(job, options, data);
    let state = match checkpoint.load()? {
        Some(state) => Ok(state),
        None => begin(job, options, data),
    };
    let (mut course, mut trainer) = match state {
        Ok(state) => state,
        Err(error) => {
            let ended = Some(Ended { reason: error.to_string(), ..Ended::default() });
            return Ok(Course { ended, ..Course::default() });
        }
    };
    while course.ended.is_none() && trainer.progress().epochs < options.epochs {
        let (mut done, mut loss) = (0, Loss::default());
        let epoch = trainer.epoch_with(
            &data.train.samples,
            &data.train.labels,
            options.batch_size,
            |so_far, of_batch| {
                told(so_far - done);
                done = so_far;
                loss = loss.plus(of_batch);
            },
        );
        match epoch {
            Ok(epoch) => {
                let (loss, norms) = (Some(epoch.loss), &epoch.gradient_norms);
                course.records.push(Record::of(trainer.classifier(), data, loss, norms));
            }
            Err(error) => {
                let loss = Some(loss).filter(|loss| loss.samples() > 0);
                let record = Record::of(trainer.classifier(), data, loss, &[]);
                course.ended = Some(Ended { reason: error.to_string(), record });
            }
        }
        checkpoint.save(&course, &trainer)?;
    }
    // The checkpoint may have more epochs than this experiment.
    if course.records.len() > options.epochs {
        course.records.truncate(1 + options.epochs);
        course.ended = None;
    }
    Ok(course)
}

/// A network before training, measured.
fn begin<T: Scalar>(job: Job, options: &Options, data: &Data<T>) -> Result<State<T>> {
    let run = options.seed.replicate(job.run);
    let network = job.shape(options).initial(job.init, data.shape, data.init.clone(), run)?;
    let (samples, labels) = (&data.first.samples, &data.first.labels);
    let gradient = network.gradient(samples, labels).ok();
    let norms = gradient.as_ref().map_or(Vec::new(), |(_, gradient)| gradient.weight_norms());
    let loss = gradient.map(|(loss, _)| loss);
    let error = network.gradient_error(samples, labels, run).ok();
    let course = Course {
        gradient_error: error.map(|error| error.largest()),
        records: vec![Record::of(&network, data, loss, &norms)],
        ended: None,
    };
    Ok((course, Trainer::new(network, options.optimizer, run)))
}
