//! The initialisations that are compared, and their networks.

use std::f64::consts::SQRT_2;
use std::fmt;
use std::str::FromStr;

use nalgebra::DMatrix;
use orthogap::Activation::{Identity, Relu};
use orthogap::convolution::{Convolution, Images, Pooling};
use orthogap::normalization::{BatchNorm, Normalization};
use orthogap::train::Classifier;
use orthogap::train::init::{IterativeOrthogonalization, LayerInit, LayerwiseInit, Lsuv};
use orthogap::weights::{Gaussian, Haar, Uniform};
use orthogap::{Network, Replicate, Result, Scalar};

/// An initialisation; the head is Xavier's in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// Uniform with gain sqrt 2, as in the paper's experiments.
    Xavier,
    /// Normal.
    He,
    /// Haar, with gain sqrt 2.
    Haar,
    /// Orthonormal weights, scaled so that their products with a batch have root mean square one.
    Lsuv,
    /// Iterative orthogonalisation as the library recommends it.
    IterativeOrthogonalization,
    /// Iterative orthogonalisation as in the authors' code.
    Authors,
    /// Iterative orthogonalisation as printed.
    Printed,
    /// Xavier with batch normalisation before every activation.
    BatchNorm,
}

const NAMES: [(&str, Init); 8] = [
    ("xavier", Init::Xavier),
    ("he", Init::He),
    ("orthogonal", Init::Haar),
    ("lsuv", Init::Lsuv),
    ("iterative", Init::IterativeOrthogonalization),
    ("authors", Init::Authors),
    ("printed", Init::Printed),
    ("batch_norm", Init::BatchNorm),
];

impl FromStr for Init {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, init)| *init).ok_or_else(|| {
            let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("expected some of {}", names.join(", "))
        })
    }
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = NAMES.iter().find(|(_, init)| init == self).expect("every one has a name");
        f.pad(name)
    }
}

/// The shape of a network.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub convolutional: bool,
    pub width: usize,
    pub depth: usize,
    pub classes: usize,
}

impl Shape {
    /// The recipe of a hidden layer, counted from 0, of images of some shape.
    fn layer<T: Scalar>(
        self,
        index: usize,
        images: Images,
        norm: Normalization,
    ) -> Result<Network<T>> {
        let layer = Network::<T>::new(self.width).with_normalization(norm).with_activation(Relu);
        if !self.convolutional {
            return Ok(layer);
        }
        let layer = layer.with_convolution(Convolution::new(3)?, images);
        Ok(if self.pools(index) { layer.with_pooling(Pooling::max(2)?) } else { layer })
    }

    /// Whether images are pooled after a layer.
    fn pools(self, index: usize) -> bool {
        let behind = index + 1;
        behind < self.depth
            && [self.depth.div_ceil(3), (2 * self.depth).div_ceil(3)].contains(&behind)
    }

    /// The network before training, from a batch of images, `dimension x n`, as frameworks have
    /// them (NCHW).
    pub fn initial<T: Scalar>(
        self,
        init: Init,
        images: Images,
        batch: DMatrix<T>,
        run: Replicate,
    ) -> Result<Classifier<T>> {
        let xavier = Uniform::xavier().with_gain(SQRT_2)?;
        let mut stack = if self.convolutional {
            LayerwiseInit::of_images(images, images.batch_from_nchw(&batch)?, run)?
        } else {
            LayerwiseInit::new(batch, run)?
        };
        match init {
            Init::Xavier | Init::BatchNorm => self.hidden(&mut stack, &xavier)?,
            Init::He => self.hidden(&mut stack, &Gaussian::he())?,
            Init::Haar => self.hidden(&mut stack, &Haar::new(SQRT_2)?)?,
            Init::Lsuv => self.hidden(&mut stack, &Lsuv)?,
            Init::IterativeOrthogonalization => {
                self.hidden(&mut stack, &IterativeOrthogonalization::recommended())?
            }
            Init::Authors => self.hidden(&mut stack, &IterativeOrthogonalization::authors())?,
            Init::Printed => self.hidden(&mut stack, &IterativeOrthogonalization::printed())?,
        }
        stack.dense(&xavier, self.classes, &Identity)?;
        self.classifier(init, images, stack.into_weights())
    }

    /// The network of given weights, the head last.
    pub fn classifier<T: Scalar>(
        self,
        init: Init,
        images: Images,
        mut weights: Vec<DMatrix<T>>,
    ) -> Result<Classifier<T>> {
        let norm = match init {
            Init::BatchNorm => Normalization::from(BatchNorm::standard(1e-5)?),
            _ => Normalization::None,
        };
        let head = weights.pop().unwrap_or_else(|| DMatrix::zeros(0, 0));
        let layers = weights.into_iter().enumerate();
        let layers = layers.map(|(index, weights)| Ok((self.layer(index, images, norm)?, weights)));
        Classifier::new(layers.collect::<Result<Vec<_>>>()?, head)
    }

    fn hidden<T: Scalar>(self, stack: &mut LayerwiseInit<T>, init: &impl LayerInit) -> Result<()> {
        for index in 0..self.depth {
            if !self.convolutional {
                stack.dense(init, self.width, &Relu)?;
                continue;
            }
            stack.convolution(init, Convolution::new(3)?, self.width, &Relu)?;
            if self.pools(index) {
                stack.pool(Pooling::max(2)?)?;
            }
        }
        Ok(())
    }
}
