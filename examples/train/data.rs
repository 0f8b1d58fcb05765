//! The images that networks are trained, tested and initialised on.

use nalgebra::DMatrix;
use orthogap::{Scalar, convolution};
use orthogap_examples::command;
use orthogap_examples::images::Images;

use crate::options::Options;

/// The number of test digits, the last ones.
const DIGITS_ASIDE: usize = 297;

/// Images in columns, values from -1 to 1, and their labels.
pub struct Labelled<T: Scalar> {
    pub samples: DMatrix<T>,
    pub labels: Vec<usize>,
}

impl<T: Scalar> Labelled<T> {
    /// The first `n`, or all if there are fewer.
    pub fn first(&self, n: usize) -> Self {
        let n = n.min(self.labels.len());
        let samples = self.samples.columns(0, n).into_owned();
        Self { samples, labels: self.labels[..n].to_vec() }
    }
}

/// The images of a run.
pub struct Data<T: Scalar> {
    pub name: &'static str,
    pub shape: convolution::Images,
    pub train: Labelled<T>,
    pub test: Labelled<T>,
    /// The batch of data-dependent initialisations: the first of the training images.
    pub init: DMatrix<T>,
    /// The batch of the first gradient.
    pub first: Labelled<T>,
    /// Test images whose gap is measured.
    pub fresh: DMatrix<T>,
    /// A hash of all images and labels.
    pub fingerprint: u64,
}

impl<T: Scalar> Data<T> {
    pub fn load(options: &Options) -> command::Result<Self> {
        let images = Images::load(&options.source)?;
        let (name, (channels, height, width)) = (images.name, images.shape());
        let (train, test) = match Images::load_test(&options.source)? {
            Some(test) => (labelled(&images, 0, images.len()), labelled(&test, 0, test.len())),
            None => {
                let kept = images.len() - DIGITS_ASIDE;
                (labelled(&images, 0, kept), labelled(&images, kept, DIGITS_ASIDE))
            }
        };
        let train = train.first(options.images);
        if options.batch_size > train.labels.len() {
            let (batch, all) = (options.batch_size, train.labels.len());
            return Err(format!("batches of {batch} from {all} {name}").into());
        }
        let fingerprint = fingerprint(&[&train, &test]);
        Ok(Self {
            name,
            shape: convolution::Images::new(channels, height, width)?,
            init: train.first(options.init_batch).samples,
            first: train.first(options.batch_size),
            fresh: test.first(options.batch_size).samples,
            train,
            test,
            fingerprint,
        })
    }
}

fn labelled<T: Scalar>(images: &Images, from: usize, count: usize) -> Labelled<T> {
    let samples = images.columns::<T>(from + count, -1.0).columns(from, count).into_owned();
    Labelled { samples, labels: images.labels()[from..from + count].to_vec() }
}

fn fingerprint<T: Scalar>(sets: &[&Labelled<T>]) -> u64 {
    let mut hash = Hash::default();
    for set in sets {
        set.labels.iter().for_each(|&label| hash.add(label as u64));
        set.samples.iter().for_each(|&x| hash.add(Into::<f64>::into(x).to_bits()));
    }
    hash.0
}

/// FNV-1a, 64 bits, of numbers.
pub struct Hash(pub u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    pub fn add(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x0000_0100_0000_01b3);
    }

    /// Of bytes.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut hash = Self::default();
        bytes.iter().for_each(|&byte| hash.add(byte.into()));
        hash.0
    }
}
