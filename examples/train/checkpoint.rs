//! Runs that can be stopped at any time and resumed to the same bits.
//!
//! A file holds the configuration of a run, the measurements so far, and, as `safetensors`, the
//! network and its velocity. A checksum shows whether it is complete. It is replaced after every
//! epoch.

use std::fmt::{Display, Write};
use std::path::PathBuf;

use nalgebra::{DMatrix, DVector};
use orthogap::report::file;
use orthogap::train::export::{self, Tensor};
use orthogap::train::{LayerParameters, Parameters, Progress, Trainer};
use orthogap::{Error, Replicate, Result, Scalar, convolution};
use safetensors::{Dtype, SafeTensors};

use crate::course::{Course, Ended, Job, NUMBERS, Record, State};
use crate::data::{Data, Hash};
use crate::init::Shape;
use crate::options::Options;

const FIRST_LINE: &str = "orthogap train checkpoint 2";

/// The file of a run, if runs are saved.
pub struct Checkpoint {
    path: Option<PathBuf>,
    /// The configuration of the run, entry by entry.
    configuration: Vec<(&'static str, String)>,
    job: Job,
    shape: Shape,
    images: convolution::Images,
    optimizer: orthogap::train::Sgd,
    run: Replicate,
}

impl Checkpoint {
    pub fn of<T: Scalar>(job: Job, options: &Options, data: &Data<T>) -> Self {
        let Job { init, depth, run } = job;
        let path = options
            .checkpoint
            .as_ref()
            .map(|folder| folder.join(format!("{init}-depth{depth}-run{run}.checkpoint")));
        let sgd = options.optimizer;
        let text = |value: &dyn Display| value.to_string();
        let configuration = vec![
            ("version", text(&env!("CARGO_PKG_VERSION"))),
            ("init", text(&init)),
            ("depth", text(&depth)),
            ("run", text(&run)),
            ("seed", text(&options.seed.0)),
            ("convolutional", text(&options.convolutional)),
            ("width", text(&options.width)),
            ("bytes of a number", text(&size_of::<T>())),
            ("batch", text(&options.batch_size)),
            ("rate", text(&sgd.learning_rate())),
            ("momentum", text(&sgd.momentum())),
            ("weight decay", text(&sgd.weight_decay())),
            ("data", text(&data.name)),
            ("images", text(&data.train.labels.len())),
            ("init batch", text(&data.init.ncols())),
            ("fingerprint of the images", format!("{:016x}", data.fingerprint)),
        ];
        Self {
            path,
            configuration,
            job,
            shape: job.shape(options),
            images: data.shape,
            optimizer: sgd,
            run: options.seed.replicate(run),
        }
    }

    /// Reads the saved state, if there is one: the course so far, and the trainer.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Damaged`] for a file that is no checkpoint, or an incomplete one;
    /// [`Error::ConfigurationMismatch`] if the run had another configuration.
    pub fn load<T: Scalar>(&self) -> Result<Option<State<T>>> {
        let Some(path) = &self.path else { return Ok(None) };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Error::File { path: path.clone(), reason: error.to_string() });
            }
        };
        let damaged =
            |reason: &str| Error::Damaged { path: path.clone(), reason: reason.to_owned() };
        let (first, rest) = line(&bytes).ok_or_else(|| damaged("it is no checkpoint"))?;
        if first != FIRST_LINE {
            return Err(damaged("it is no checkpoint of this version"));
        }
        let (checksum, rest) = line(rest).ok_or_else(|| damaged("it has no checksum"))?;
        if checksum != format!("{:016x}", Hash::of(rest)) {
            return Err(damaged("its checksum is wrong"));
        }
        let mut rest = rest;
        for (name, expected) in &self.configuration {
            let found =
                next(&mut rest).and_then(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            let found = found.ok_or_else(|| damaged(&format!("it does not tell its {name}")))?;
            if found != expected {
                return Err(Error::ConfigurationMismatch {
                    path: path.clone(),
                    entry: (*name).to_owned(),
                    found: found.to_owned(),
                    expected: expected.clone(),
                });
            }
        }
        self.contents(rest).ok_or_else(|| damaged("it does not hold this run")).map(Some)
    }

    /// The state, which comes after the configuration.
    fn contents<T: Scalar>(&self, mut rest: &[u8]) -> Option<State<T>> {
        let gradient_error = number(next(&mut rest)?.strip_prefix("gradient error = ")?)?;
        let ended = next(&mut rest)?.strip_prefix("ended = ")?;
        let steps = next(&mut rest)?.strip_prefix("steps = ")?.parse().ok()?;
        let mut records = Vec::new();
        loop {
            let line = next(&mut rest)?;
            if line == "network" {
                break;
            }
            let numbers: Vec<_> = line.split(' ').map(number).collect::<Option<_>>()?;
            let numbers: [_; NUMBERS] = numbers.try_into().ok()?;
            records.push(Record::from_numbers(numbers));
        }
        let ended = match ended {
            "" => None,
            reason => Some(Ended { reason: reason.to_owned(), record: records.pop()? }),
        };
        let progress = Progress { epochs: records.len().checked_sub(1)?, steps };
        let trainer = self.trainer(&SafeTensors::deserialize(rest).ok()?, progress)?;
        Some((Course { gradient_error, records, ended }, trainer))
    }

    fn trainer<T: Scalar>(&self, tensors: &SafeTensors, progress: Progress) -> Option<Trainer<T>> {
        let layers = 0..self.shape.depth;
        let mut weights: Vec<DMatrix<T>> = layers
            .clone()
            .map(|layer| matrix(tensors, &format!("layers.{layer}.weight")))
            .collect::<Option<_>>()?;
        weights.push(matrix(tensors, "head.weight")?);
        let mut network = self.shape.classifier(self.job.init, self.images, weights).ok()?;
        let mut velocity = Vec::new();
        for layer in layers {
            let vector = |name: &str| vector(tensors, &format!("layers.{layer}.{name}"));
            let of_norm = network.batch_norm(layer).is_some();
            let affine = |name| if of_norm { vector(name) } else { Some(DVector::zeros(0)) };
            velocity.push(LayerParameters {
                weights: matrix(tensors, &format!("layers.{layer}.weight.velocity"))?,
                gamma: affine("gamma.velocity")?,
                beta: affine("beta.velocity")?,
            });
            if let Some(norm) = network.batch_norm(layer) {
                let mut norm = norm
                    .clone()
                    .with_running_statistics(vector("running_mean")?, vector("running_variance")?)
                    .ok()?;
                let width = norm.width();
                let of_width = |name| vector(name).filter(|values| values.len() == width);
                norm.gamma_mut().copy_from(&of_width("gamma")?);
                norm.beta_mut().copy_from(&of_width("beta")?);
                network = network.with_batch_norm(layer, norm).ok()?;
            }
        }
        let velocity = Parameters::new(velocity, matrix(tensors, "head.weight.velocity")?);
        Trainer::resume(network, self.optimizer, self.run, velocity, progress).ok()
    }

    /// Replaces the saved state.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save<T: Scalar>(&self, course: &Course, trainer: &Trainer<T>) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut text = String::new();
        for (name, value) in &self.configuration {
            let _ = writeln!(text, "{name} = {value}");
        }
        let _ = writeln!(text, "gradient error = {}", shown(course.gradient_error));
        let reason = course.ended.as_ref().map_or("", |ended| &ended.reason);
        let _ = writeln!(text, "ended = {reason}");
        let _ = writeln!(text, "steps = {}", trainer.progress().steps);
        // The unfinished epoch of a run that ended comes last.
        for record in course.records.iter().chain(course.ended.as_ref().map(|ended| &ended.record))
        {
            let _ = writeln!(text, "{}", record.numbers().map(shown).join(" "));
        }
        text += "network\n";
        let mut contents = text.into_bytes();
        let failed =
            |error: std::io::Error| Error::File { path: path.clone(), reason: error.to_string() };
        export::write_safetensors(&mut contents, &tensors(trainer)).map_err(failed)?;
        let mut bytes = format!("{FIRST_LINE}\n{:016x}\n", Hash::of(&contents)).into_bytes();
        bytes.append(&mut contents);
        file::write(path, bytes)
    }
}

/// Everything that training needs to continue, by name.
fn tensors<T: Scalar>(trainer: &Trainer<T>) -> Vec<(String, Tensor<T>)> {
    let (network, velocity) = (trainer.classifier(), trainer.velocity());
    let mut tensors = Vec::new();
    let mut add =
        |name: String, matrix: &DMatrix<T>| tensors.push((name, Tensor::from_matrix(matrix)));
    for (layer, velocity) in velocity.layers().iter().enumerate() {
        add(format!("layers.{layer}.weight"), network.weights(layer));
        add(format!("layers.{layer}.weight.velocity"), &velocity.weights);
        let Some(norm) = network.batch_norm(layer) else { continue };
        for (name, vector) in [
            ("gamma", norm.gamma()),
            ("beta", norm.beta()),
            ("running_mean", norm.running_mean()),
            ("running_variance", norm.running_variance()),
            ("gamma.velocity", &velocity.gamma),
            ("beta.velocity", &velocity.beta),
        ] {
            let column = DMatrix::from_column_slice(vector.len(), 1, vector.as_slice());
            add(format!("layers.{layer}.{name}"), &column);
        }
    }
    add("head.weight".to_owned(), network.head());
    add("head.weight.velocity".to_owned(), velocity.head());
    tensors
}

fn matrix<T: Scalar>(tensors: &SafeTensors, name: &str) -> Option<DMatrix<T>> {
    let view = tensors.tensor(name).ok()?;
    let &[rows, columns] = view.shape() else { return None };
    let numbers: Vec<T> = match (view.dtype(), size_of::<T>()) {
        (Dtype::F32, 4) => {
            let numbers = view.data().as_chunks().0.iter();
            numbers.map(|&bytes| T::of(f32::from_le_bytes(bytes).into())).collect()
        }
        (Dtype::F64, 8) => {
            let numbers = view.data().as_chunks().0.iter();
            numbers.map(|&bytes| T::of(f64::from_le_bytes(bytes))).collect()
        }
        _ => return None,
    };
    Some(DMatrix::from_row_slice(rows, columns, &numbers))
}

fn vector<T: Scalar>(tensors: &SafeTensors, name: &str) -> Option<DVector<T>> {
    let matrix = matrix::<T>(tensors, name)?;
    (matrix.ncols() == 1).then(|| DVector::from_column_slice(matrix.as_slice()))
}

/// The first line, and the rest.
fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

/// Takes the first line away.
fn next<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (line, rest) = line(bytes)?;
    *bytes = rest;
    Some(line)
}

/// A number as a text that reads back to the same bits.
fn shown(number: Option<f64>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}

fn number(text: &str) -> Option<Option<f64>> {
    if text == "-" { Some(None) } else { text.parse().ok().map(Some) }
}
