//! Real images for the examples: the digits that come with the project, or CIFAR-10 from a folder.

#![allow(dead_code, reason = "each example uses its own part of this file")]

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nalgebra::DMatrix;
use orthogap::{Purpose, Seed};

/// Where images come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The digits under `examples/data`.
    Digits,
    /// A folder with the binary version of CIFAR-10.
    Cifar10(PathBuf),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "digits" => Ok(Self::Digits),
            Some(("cifar10", folder)) if !folder.is_empty() => Ok(Self::Cifar10(folder.into())),
            _ => Err(format!("data {text:?} is neither digits nor cifar10:DIR")),
        }
    }
}

/// Grey or colour values of images, one after the other.
#[derive(Clone, Debug)]
pub struct Images {
    /// What they show.
    pub name: &'static str,
    values: Vec<u8>,
    shape: (usize, usize, usize),
    white: u8,
}

impl Images {
    /// Reads all training images of a source.
    pub fn load(source: &Source) -> Result<Self, String> {
        match source {
            Source::Digits => Self::digits(include_str!("../data/digits.csv")),
            Source::Cifar10(folder) => Self::cifar10(folder),
        }
    }

    fn digits(csv: &str) -> Result<Self, String> {
        const DIMENSION: usize = 8 * 8;
        let mut values = Vec::new();
        for (number, line) in (2..).zip(csv.lines().skip(1)) {
            let fields: Result<Vec<u8>, _> = line.split(',').map(str::parse).collect();
            match fields {
                Ok(fields) if fields.len() == 1 + DIMENSION => values.extend(&fields[1..]),
                _ => return Err(format!("digits, line {number}: expected 65 numbers 0 to 255")),
            }
        }
        Ok(Self { name: "handwritten digits", values, shape: (1, 8, 8), white: 16 })
    }

    /// The number of records is that of the files, so part of the data set will do.
    fn cifar10(folder: &Path) -> Result<Self, String> {
        const DIMENSION: usize = 3 * 32 * 32;
        let mut values = Vec::new();
        for batch in 1..=5 {
            let path = folder.join(format!("data_batch_{batch}.bin"));
            let shown = path.display();
            let bytes = fs::read(&path).map_err(|error| format!("{shown}: {error}"))?;
            if bytes.is_empty() || !bytes.len().is_multiple_of(1 + DIMENSION) {
                let length = bytes.len();
                return Err(format!("{shown}: {length} bytes are no whole CIFAR-10 records"));
            }
            for (number, record) in bytes.chunks_exact(1 + DIMENSION).enumerate() {
                if record[0] > 9 {
                    let label = record[0];
                    return Err(format!("{shown}: record {number} has label {label}, not 0 to 9"));
                }
                values.extend(&record[1..]);
            }
        }
        Ok(Self { name: "CIFAR-10 images", values, shape: (3, 32, 32), white: 255 })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.values.len() / self.dimension()
    }

    /// Values of an image.
    fn dimension(&self) -> usize {
        let (channels, height, width) = self.shape;
        channels * height * width
    }

    /// Channels, height and width of an image, whose values are in this order (NCHW).
    pub fn shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    /// `n` different images drawn by the seed, `dimension x n`, values 0 to 1.
    pub fn batch(&self, n: usize, seed: Seed) -> Result<DMatrix<f64>, String> {
        if n > self.len() {
            return Err(format!("a batch of {n} from {} {}", self.len(), self.name));
        }
        let mut rng = seed.replicate(0).stream(Purpose::User(0), 0, 0).rng();
        let chosen = rand::seq::index::sample(&mut rng, self.len(), n).into_vec();
        let white = f64::from(self.white);
        Ok(DMatrix::from_fn(self.dimension(), n, |pixel, sample| {
            f64::from(self.values[chosen[sample] * self.dimension() + pixel]) / white
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_all_there() {
        let digits = Images::load(&Source::Digits).unwrap();
        assert_eq!(digits.len(), 1797);
        let batch = digits.batch(1797, Seed(1)).unwrap();
        assert_eq!((batch.min(), batch.max()), (0.0, 1.0));
        // Every image once: the total of the file's grey values.
        let total: u32 = digits.values.iter().map(|&value| u32::from(value)).sum();
        assert!((batch.sum() * 16.0 - f64::from(total)).abs() < 1e-6);
        assert!(digits.batch(1798, Seed(1)).is_err());
    }

    #[test]
    fn bad_digits_are_named_by_line() {
        let error = Images::digits("label,p0\n1,2,3\n").unwrap_err();
        assert_eq!(error, "digits, line 2: expected 65 numbers 0 to 255");
    }

    /// Two records a file, with pixel values that tell where they came from.
    #[test]
    fn cifar10_of_any_length() {
        let folder = std::env::temp_dir().join(format!("orthogap-cifar-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for batch in 1..=5u8 {
            let record = |k: u8| {
                [vec![k], (0..3072).map(|pixel| (pixel % 200) as u8 + batch * k).collect()].concat()
            };
            let bytes = [record(3), record(9)].concat();
            fs::write(folder.join(format!("data_batch_{batch}.bin")), bytes).unwrap();
        }
        let images = Images::load(&Source::Cifar10(folder.clone())).unwrap();
        assert_eq!((images.len(), images.dimension()), (10, 3072));
        assert_eq!(images.values[9 * 3072 + 201], 1 + 5 * 9);
        fs::write(folder.join("data_batch_4.bin"), [0; 3072]).unwrap();
        let error = Images::cifar10(&folder).unwrap_err();
        assert!(error.ends_with("data_batch_4.bin: 3072 bytes are no whole CIFAR-10 records"));
        fs::write(folder.join("data_batch_4.bin"), [77; 3073]).unwrap();
        assert!(Images::cifar10(&folder).unwrap_err().ends_with("label 77, not 0 to 9"));
        fs::remove_dir_all(&folder).unwrap();
        assert!(Images::cifar10(&folder).unwrap_err().contains("data_batch_1.bin: "));
    }

    #[test]
    fn sources() {
        assert_eq!("digits".parse(), Ok(Source::Digits));
        assert_eq!("cifar10:a/b".parse(), Ok(Source::Cifar10("a/b".into())));
        for bad in ["cifar10:", "cifar10", "digits:x", ""] {
            assert!(bad.parse::<Source>().is_err());
        }
    }
}
