//! Training on the exact reverse pass: classifiers, cross entropy, stochastic gradient descent.
//!
//! A [`Classifier`] is a stack of layers with given recipes and weights. A [`Trainer`] minimises
//! its [`Loss`] by [`Sgd`]. Everything is generic over `f32` and `f64`.
//! [`Classifier::gradient_error`] measures whether the precision is enough: under deep batch
//! normalisation `f32` is not.
//!
//! Initial weights follow the law of a recipe, or come from [`init`], where they can depend on a
//! batch.
//! [`export`] writes weights for other frameworks.
//!
//! ```
//! use orthogap::nalgebra::DMatrix;
//! use orthogap::normalization::Normalization;
//! use orthogap::train::{Classifier, Sgd, Trainer};
//! use orthogap::weights::Uniform;
//! use orthogap::{Activation, Input, Network, Seed};
//!
//! // Which of two directions is a sample closer to?
//! let samples = Input::gaussian(16, 16, Seed(1))?.columns().map(|x| x as f32);
//! let labels: Vec<usize> = samples.column_iter().map(|x| usize::from(x[0] > x[1])).collect();
//!
//! let layer = Network::<f32>::new(64)
//!     .with_normalization(Normalization::None)
//!     .with_activation(Activation::Relu)
//!     .with_weights(Uniform::xavier().with_gain(2f64.sqrt())?);
//! let classifier = Classifier::sample(&vec![layer; 4], 16, 2, Seed(2))?;
//! let before = classifier.evaluate(&samples, &labels)?;
//! assert!(classifier.gradient_error(&samples, &labels, Seed(3))?.is_trusted());
//!
//! let mut trainer = Trainer::new(classifier, Sgd::new(0.1)?, Seed(4));
//! for _ in 0..20 {
//!     trainer.epoch(&samples, &labels, 8)?;
//! }
//! let after = trainer.classifier().evaluate(&samples, &labels)?;
//! assert!(after.mean() < 0.5 * before.mean());
//! # Ok::<(), orthogap::Error>(())
//! ```

mod batch_pass;
mod classifier;
pub mod export;
mod inference;
pub mod init;
mod loss;
mod parameters;
mod sgd;
mod shapes;
mod trainer;
mod trust;

pub use classifier::Classifier;
pub use loss::Loss;
pub use parameters::{LayerParameters, Parameters};
pub use sgd::Sgd;
pub use trainer::{Epoch, Progress, Trainer};
pub use trust::GradientError;
