//! Weights for other frameworks: `safetensors` and NumPy's `.npy`.
//!
//! Both formats are a header and the numbers, so writing them needs no dependency. The crate does
//! not read them.
//!
//! Frameworks store the weights of a dense layer row by row with shape (out, in), those of a
//! convolution with shape (out, in, k, k). In nalgebra matrices are stored column by column, and in
//! this crate the channels of a window, and of flattened images, are innermost. A [`Tensor`] has
//! the frameworks' shape and order, so a network that flattens (C, H, W) reads it unchanged.
//!
//! ```
//! use orthogap::{Activation::{Identity, Relu}, Input, Seed};
//! use orthogap::train::export;
//! use orthogap::train::init::{IterativeOrthogonalization, LayerwiseInit};
//! use orthogap::weights::Uniform;
//!
//! let batch = Input::gaussian(48, 20, Seed(1))?.columns().clone();
//! let mut network = LayerwiseInit::new(batch, Seed(2))?;
//! network.dense(&IterativeOrthogonalization::recommended(), 16, &Relu)?;
//! network.dense(&Uniform::xavier(), 10, &Identity)?;
//! let mut file = Vec::new(); // or a std::fs::File
//! export::write_safetensors(&mut file, &export::named(&network))?;
//! let header = String::from_utf8_lossy(&file[8..]);
//! assert!(header.contains(r#""layers.1.weight":{"dtype":"F64","shape":[10,16]"#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Reading it
//!
//! These functions read networks of dense layers with rectifiers between them.
//!
//! PyTorch:
//!
//! ```text
#![doc = include_str!("export/load_pytorch.py")]
//! ```
//!
//! candle (`candle-core` and `candle-nn` 0.11):
//!
//! ```text
#![doc = include_str!("export/load_candle.rs")]
//! ```
//!
//! burn (0.22, with its feature `store`):
//!
//! ```text
#![doc = include_str!("export/load_burn.rs")]
//! ```
//!
//! The last two return an error if a layer is missing or has another shape. candle also returns an
//! error for weights in `f64`; burn keeps their precision.

use std::collections::HashSet;
use std::io::{self, Write};

use nalgebra::DMatrix;

use super::init::{InitialLayer, LayerwiseInit};
use crate::Scalar;
use crate::json;

/// A tensor in the order of frameworks: the last index runs fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<T: Scalar> {
    shape: Vec<usize>,
    values: Vec<T>,
}

impl<T: Scalar> Tensor<T> {
    /// Creates a tensor of shape (rows, columns) from a matrix, such as
    /// [`ExplicitLayer::weights`](crate::chain::ExplicitLayer::weights).
    ///
    /// ```
    /// use orthogap::nalgebra::{self, dmatrix};
    /// use orthogap::train::export::Tensor;
    ///
    /// let tensor = Tensor::from_matrix(&dmatrix![1.0, 2.0, 3.0; 4.0, 5.0, 6.0]);
    /// assert_eq!(tensor.shape(), [2, 3]);
    /// assert_eq!(tensor.values(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    /// ```
    #[must_use]
    pub fn from_matrix(matrix: &DMatrix<T>) -> Self {
        let shape = vec![matrix.nrows(), matrix.ncols()];
        Self { shape, values: matrix.transpose().as_slice().to_vec() }
    }

    /// Returns the weights of a layer as frameworks have them: (out, in), or (out, in, k, k) of a
    /// convolution.
    #[must_use]
    pub fn from_layer(layer: &InitialLayer<T>) -> Self {
        const SHAPE: &str = "a LayerwiseInit drew the weights for this shape";
        let weights = layer.weights();
        if let Some(convolution) = layer.convolution() {
            let (side, rows) = (convolution.kernel(), weights.nrows());
            let channels = weights.ncols() / side.pow(2);
            let oihw = convolution.weights_to_oihw(weights).expect(SHAPE);
            let values = oihw.transpose().as_slice().to_vec();
            return Self { shape: vec![rows, channels, side, side], values };
        }
        match layer.flattened() {
            None => Self::from_matrix(weights),
            Some(images) => {
                // Each row is an image.
                let rows = images.unflatten(weights.transpose()).expect(SHAPE);
                Self::from_matrix(&images.batch_to_nchw(&rows).expect(SHAPE).transpose())
            }
        }
    }

    /// Returns the size of every dimension.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the numbers; the last index runs fastest.
    #[must_use]
    pub fn values(&self) -> &[T] {
        &self.values
    }

    fn write_values(&self, out: &mut impl Write) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(self.values.len() * size_of::<T>());
        for &value in &self.values {
            let value: f64 = value.into();
            if is_single::<T>() {
                bytes.extend((value as f32).to_le_bytes());
            } else {
                bytes.extend(value.to_le_bytes());
            }
        }
        out.write_all(&bytes)
    }
}

/// Returns the weights of a network under the names `layers.0.weight`, `layers.1.weight` and so on.
#[must_use]
pub fn named<T: Scalar>(network: &LayerwiseInit<T>) -> Vec<(String, Tensor<T>)> {
    let named = |(index, layer)| (format!("layers.{index}.weight"), Tensor::from_layer(layer));
    network.layers().iter().enumerate().map(named).collect()
}

/// Writes tensors in the format [`safetensors`](https://huggingface.co/docs/safetensors): the
/// length of the header, eight bytes; the header, JSON; the numbers, little endian.
///
/// # Errors
/// Those of `out`; [`io::ErrorKind::InvalidInput`] for two tensors of one name, or of the name
/// `__metadata__`.
pub fn write_safetensors<T: Scalar>(
    mut out: impl Write,
    tensors: &[(String, Tensor<T>)],
) -> io::Result<()> {
    let dtype = if is_single::<T>() { "F32" } else { "F64" };
    // Whose order of indices this is: some readers insist on it.
    let mut header = r#"{"__metadata__":{"format":"pt"}"#.to_owned();
    let mut names = HashSet::from(["__metadata__"]);
    let mut start = 0;
    for (name, tensor) in tensors {
        if !names.insert(name) {
            let message = format!("tensor name {name:?} is taken");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let end = start + tensor.values.len() * size_of::<T>();
        let (name, shape) = (json::string(name), &tensor.shape);
        let shape = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        header += &format!(
            r#",{name}:{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":[{start},{end}]}}"#
        );
        start = end;
    }
    header.push('}');
    // Bytes count, not characters.
    let padding = header.len().next_multiple_of(8) - header.len();
    header.extend(std::iter::repeat_n(' ', padding));
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    tensors.iter().try_for_each(|(_, tensor)| tensor.write_values(&mut out))
}

/// Writes a tensor in NumPy's format
/// [`.npy`](https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), version 1.0.
///
/// # Errors
/// Those of `out`.
pub fn write_npy<T: Scalar>(mut out: impl Write, tensor: &Tensor<T>) -> io::Result<()> {
    const BEFORE: usize = 10; // magic, version, length of the header
    let descr = if is_single::<T>() { "<f4" } else { "<f8" };
    let sizes: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
    let comma = if sizes.len() == 1 { "," } else { "" }; // a tuple of one
    let shape = sizes.join(", ") + comma;
    let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    let length = (BEFORE + dict.len() + 1).next_multiple_of(64) - BEFORE;
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&(length as u16).to_le_bytes())?;
    writeln!(out, "{dict:width$}", width = length - 1)?;
    tensor.write_values(&mut out)
}

fn is_single<T>() -> bool {
    size_of::<T>() == size_of::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::activation::Activation::Identity;
    use crate::convolution::{Convolution, Images};
    use crate::weights::Gaussian;
    use nalgebra::dmatrix;
    use safetensors::{Dtype, SafeTensors};

    fn matrix<T: Scalar>() -> DMatrix<T> {
        dmatrix![1.0, 2.0, 3.0; 4.0, 5.0, 6.5].map(T::of)
    }

    /// What the reference implementation reads is what was written.
    #[test]
    fn the_reference_reads_safetensors() {
        let odd = "line\nquote\"back\\slash é";
        let tensors = [("a".to_owned(), Tensor::from_matrix(&matrix::<f32>())), {
            let cube = Tensor { shape: vec![1, 2, 1, 2], values: vec![0.5, 1.5, -2.5, 3.5] };
            (odd.to_owned(), cube)
        }];
        let mut bytes = Vec::new();
        write_safetensors(&mut bytes, &tensors).unwrap();
        let read = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(read.len(), 2);
        for (name, tensor) in &tensors {
            let view = read.tensor(name).unwrap();
            assert_eq!((view.dtype(), view.shape()), (Dtype::F32, tensor.shape()));
            let values: Vec<f32> =
                view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            assert_eq!(values, tensor.values);
        }
        let double = [("w".to_owned(), Tensor::from_matrix(&matrix::<f64>()))];
        bytes.clear();
        write_safetensors(&mut bytes, &double).unwrap();
        let read = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(read.tensor("w").unwrap().dtype(), Dtype::F64);
        assert_eq!(read.tensor("w").unwrap().data()[40..], 6.5f64.to_le_bytes());
    }

    #[test]
    fn names_are_taken_once() {
        let tensor = || Tensor::from_matrix(&matrix::<f64>());
        for name in ["a", "__metadata__"] {
            let tensors = [("a".to_owned(), tensor()), (name.to_owned(), tensor())];
            let error = write_safetensors(Vec::new(), &tensors).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }

    /// To the byte what NumPy 2.4 saves.
    #[test]
    fn npy_is_numpys() {
        let mut bytes = Vec::new();
        write_npy(&mut bytes, &Tensor::from_matrix(&matrix::<f32>())).unwrap();
        assert_eq!(bytes.len(), 128 + 6 * 4);
        assert_eq!(bytes[..10], *b"\x93NUMPY\x01\x00v\x00");
        let header = std::str::from_utf8(&bytes[10..128]).unwrap();
        let expected = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        assert_eq!(header, format!("{expected:117}\n"));
        assert_eq!(bytes[148..], 6.5f32.to_le_bytes());
    }

    /// The same network in the frameworks' order, by their definitions: convolution over (c, i, j), dense
    /// layer over (c, y, x).
    #[test]
    fn layers_are_in_the_order_of_frameworks() {
        let images = Images::new(2, 3, 2).unwrap();
        let nchw = DMatrix::from_fn(12, 1, |i, _| (i as f64).sin());
        let batch = images.batch_from_nchw(&nchw).unwrap();
        let kernel = Convolution::new(2).unwrap().with_padding_width(0).unwrap();
        let mut network = LayerwiseInit::of_images(images, batch, Seed(1)).unwrap();
        network.convolution(&Gaussian::he(), kernel, 3, &Identity).unwrap();
        network.dense(&Gaussian::he(), 4, &Identity).unwrap();
        let tensors = named(&network);
        let [(first, filters), (second, dense)] = &tensors[..] else { panic!("two layers") };
        assert_eq!((&first[..], &second[..]), ("layers.0.weight", "layers.1.weight"));
        assert_eq!((filters.shape(), dense.shape()), (&[3, 2, 2, 2][..], &[4, 6][..]));
        let mut hidden = Vec::new();
        for o in 0..3 {
            for y in 0..2 {
                let window = (0..8usize).map(|at| (at / 4, at / 2 % 2, at % 2));
                let term = |(c, i, j)| {
                    nchw[c * 6 + (y + i) * 2 + j] * filters.values[o * 8 + c * 4 + i * 2 + j]
                };
                hidden.push(window.map(term).sum::<f64>());
            }
        }
        for (o, row) in dense.values.chunks_exact(6).enumerate() {
            let sum: f64 = row.iter().zip(&hidden).map(|(w, h)| w * h).sum();
            assert!((network.output()[o] - sum).abs() < 1e-14);
        }
    }
}
