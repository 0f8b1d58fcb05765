//! User-defined laws of weights.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use nalgebra::DMatrix;

use super::{Fans, ProductLaw, WeightInit};
use crate::{Scalar, Stream};

/// A user-defined law; see [`Weights::custom`](super::Weights::custom).
#[derive(Clone)]
pub struct Custom {
    law: Arc<dyn Law>,
}

impl Custom {
    pub(super) fn new(law: impl WeightInit + 'static) -> Self {
        Self { law: Arc::new(law) }
    }
}

/// A [`WeightInit`] for both scalars.
trait Law: fmt::Debug + Send + Sync {
    fn sample_f64(&self, weights: &mut DMatrix<f64>, fans: Fans, stream: Stream);
    fn sample_f32(&self, weights: &mut DMatrix<f32>, fans: Fans, stream: Stream);
    fn product_law(&self, fans: Fans) -> ProductLaw;
}

impl<W: WeightInit> Law for W {
    fn sample_f64(&self, weights: &mut DMatrix<f64>, fans: Fans, stream: Stream) {
        self.sample_to(weights, fans, stream);
    }

    fn sample_f32(&self, weights: &mut DMatrix<f32>, fans: Fans, stream: Stream) {
        self.sample_to(weights, fans, stream);
    }

    fn product_law(&self, fans: Fans) -> ProductLaw {
        WeightInit::product_law(self, fans)
    }
}

impl WeightInit for Custom {
    fn sample_to<T: Scalar>(&self, weights: &mut DMatrix<T>, fans: Fans, stream: Stream) {
        let weights: &mut dyn Any = weights;
        if let Some(weights) = weights.downcast_mut() {
            self.law.sample_f64(weights, fans, stream);
        } else {
            let weights = weights.downcast_mut().expect("a scalar is f64 or f32");
            self.law.sample_f32(weights, fans, stream);
        }
    }

    fn product_law(&self, fans: Fans) -> ProductLaw {
        self.law.product_law(fans)
    }
}

/// Whether one is a clone of the other.
impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.law, &other.law)
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.law.fmt(f)
    }
}
