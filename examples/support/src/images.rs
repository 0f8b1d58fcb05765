//! Real images for the examples: the digits that come with the project, or CIFAR-10 from a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nalgebra::DMatrix;
use orthogap::{Purpose, Replicate, Scalar};

/// Classes of images in either data set.
pub const CLASSES: u8 = 10;

/// The source of images.
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
            _ => Err("expected digits or cifar10:DIR".to_owned()),
        }
    }
}

/// Grey or colour values of images, one after the other.
#[derive(Clone, Debug)]
pub struct Images {
    /// A name for the images.
    pub name: &'static str,
    values: Vec<u8>,
    labels: Vec<usize>,
    shape: (usize, usize, usize),
    white: u8,
}

impl Images {
    /// Reads all training images of a source.
    pub fn load(source: &Source) -> Result<Self, String> {
        match source {
            Source::Digits => Self::digits(include_str!("../../data/digits.csv")),
            Source::Cifar10(folder) => Self::cifar10(folder),
        }
    }

    /// Reads the test images, which are not among the training images: the test batch of CIFAR-10.
    /// The digits have none.
    pub fn load_test(source: &Source) -> Result<Option<Self>, String> {
        match source {
            Source::Digits => Ok(None),
            Source::Cifar10(folder) => {
                Self::records([folder.join("test_batch.bin")].into_iter()).map(Some)
            }
        }
    }

    fn digits(csv: &str) -> Result<Self, String> {
        const DIMENSION: usize = 8 * 8;
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for (number, line) in (2..).zip(csv.lines().skip(1)) {
            let fields: Result<Vec<u8>, _> = line.split(',').map(str::parse).collect();
            match fields {
                Ok(fields) if fields.len() == 1 + DIMENSION && fields[0] < CLASSES => {
                    labels.push(fields[0].into());
                    values.extend(&fields[1..]);
                }
                _ => {
                    return Err(format!(
                        "digits, line {number}: expected a label 0 to 9 and 64 numbers 0 to 255"
                    ));
                }
            }
        }
        Ok(Self { name: "handwritten digits", values, labels, shape: (1, 8, 8), white: 16 })
    }

    /// Files may hold any number of records, so a part of the data set is enough.
    fn cifar10(folder: &Path) -> Result<Self, String> {
        Self::records((1..=5).map(|batch| folder.join(format!("data_batch_{batch}.bin"))))
    }

    fn records(paths: impl Iterator<Item = PathBuf>) -> Result<Self, String> {
        const DIMENSION: usize = 3 * 32 * 32;
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for path in paths {
            let shown = path.display();
            let bytes = fs::read(&path).map_err(|error| format!("{shown}: {error}"))?;
            if bytes.is_empty() || !bytes.len().is_multiple_of(1 + DIMENSION) {
                let length = bytes.len();
                return Err(format!("{shown}: {length} bytes are no whole CIFAR-10 records"));
            }
            for (number, record) in bytes.chunks_exact(1 + DIMENSION).enumerate() {
                if record[0] >= CLASSES {
                    let label = record[0];
                    return Err(format!("{shown}: record {number} has label {label}, not 0 to 9"));
                }
                labels.push(record[0].into());
                values.extend(&record[1..]);
            }
        }
        Ok(Self { name: "CIFAR-10 images", values, labels, shape: (3, 32, 32), white: 255 })
    }

    /// The number of images.
    #[expect(clippy::len_without_is_empty, reason = "a data set has images")]
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

    /// The class of each image, from 0 to [`CLASSES`] - 1.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The first `n` images, or all if there are fewer, `dimension x n`, with black at `black` and
    /// white at 1.
    pub fn columns<T: Scalar>(&self, n: usize, black: f64) -> DMatrix<T> {
        let (white, n) = (f64::from(self.white), n.min(self.len()));
        let numbers = self
            .values
            .iter()
            .map(|&value| T::of(black + (1.0 - black) * f64::from(value) / white));
        DMatrix::from_iterator(self.dimension(), n, numbers.take(self.dimension() * n))
    }

    /// `n` different images drawn by the seed or run, `dimension x n`, values 0 to 1.
    pub fn batch(&self, n: usize, run: impl Into<Replicate>) -> Result<DMatrix<f64>, String> {
        if n > self.len() {
            return Err(format!("a batch of {n} from {} {}", self.len(), self.name));
        }
        let mut rng = run.into().stream(Purpose::User(0), 0, 0).rng();
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
    use orthogap::Seed;

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
        let columns = digits.columns::<f32>(5, -1.0);
        assert_eq!((columns.shape(), columns.min(), columns.max()), ((64, 5), -1.0, 1.0));
        assert_eq!(digits.columns::<f64>(9999, 0.0).ncols(), 1797);
        assert_eq!(digits.labels().len(), 1797);
        assert!((0..10).all(|class| digits.labels().contains(&class)));
    }

    #[test]
    fn bad_digits_are_named_by_line() {
        let error = Images::digits("label,p0\n1,2,3\n").unwrap_err();
        let expected = "digits, line 2: expected a label 0 to 9 and 64 numbers 0 to 255";
        assert_eq!(error, expected);
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
        assert_eq!(images.labels(), [3, 9].repeat(5));
        let source = Source::Cifar10(folder.clone());
        assert!(Images::load_test(&source).unwrap_err().contains("test_batch.bin: "));
        fs::write(folder.join("test_batch.bin"), [7; 3073]).unwrap();
        let test = Images::load_test(&source).unwrap().unwrap();
        assert_eq!((test.len(), test.labels()), (1, &[7][..]));
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
