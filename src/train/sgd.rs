//! Stochastic gradient descent with momentum and weight decay.

use crate::check;
use crate::{Result, Scalar};

/// Stochastic gradient descent as in PyTorch's `SGD`.
///
/// With gradient `g`, velocity `v` (zero at first) and parameter `w`, one step is
///
/// ```math
/// g \leftarrow g + \lambda w, \qquad v \leftarrow \mu v + g, \qquad w \leftarrow w - \eta v.
/// ```
///
/// Weight decay acts on all parameters, including those of batch normalisation. There is no
/// dampening and no Nesterov momentum.
///
/// ```
/// use orthogap::train::Sgd;
///
/// let sgd = Sgd::new(0.01)?.with_momentum(0.9)?.with_weight_decay(5e-4)?;
/// assert_eq!((sgd.learning_rate(), sgd.momentum(), sgd.weight_decay()), (0.01, 0.9, 5e-4));
/// assert!(Sgd::new(f64::NAN).is_err() && sgd.with_momentum(1.0).is_err());
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    learning_rate: f64,
    momentum: f64,
    weight_decay: f64,
}

impl Sgd {
    /// Creates plain descent with step size $`\eta`$.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) if the learning rate is negative
    /// or not finite.
    pub fn new(learning_rate: f64) -> Result<Self> {
        let learning_rate = check::not_negative("learning rate", learning_rate)?;
        Ok(Self { learning_rate, momentum: 0.0, weight_decay: 0.0 })
    }

    /// Sets the momentum $`\mu`$.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) unless it is at least 0 and less
    /// than 1.
    pub fn with_momentum(self, momentum: f64) -> Result<Self> {
        let valid = (0.0..1.0).contains(&momentum);
        let momentum = check::parameter("momentum", momentum, valid, "0 <= momentum < 1")?;
        Ok(Self { momentum, ..self })
    }

    /// Sets the weight decay $`\lambda`$, the weight of half the squared norm in the loss.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) if it is negative or not finite.
    pub fn with_weight_decay(self, weight_decay: f64) -> Result<Self> {
        Ok(Self { weight_decay: check::not_negative("weight decay", weight_decay)?, ..self })
    }

    /// Sets the step size, as in a schedule.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) if it is negative or not finite.
    pub fn with_learning_rate(self, learning_rate: f64) -> Result<Self> {
        Ok(Self { learning_rate: check::not_negative("learning rate", learning_rate)?, ..self })
    }

    /// Returns the step size $`\eta`$.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Returns the share $`\mu`$ of the velocity that is kept.
    #[must_use]
    pub fn momentum(&self) -> f64 {
        self.momentum
    }

    /// Returns the weight decay $`\lambda`$.
    #[must_use]
    pub fn weight_decay(&self) -> f64 {
        self.weight_decay
    }

    /// Refuses numbers that are infinite in the arithmetic of `T`.
    ///
    /// ```
    /// use orthogap::train::Sgd;
    ///
    /// let sgd = Sgd::new(1e39)?;
    /// assert!(sgd.check::<f64>().is_ok() && sgd.check::<f32>().is_err());
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidParameter`](crate::Error::InvalidParameter) of the learning rate or the
    /// weight decay.
    pub fn check<T: Scalar>(&self) -> Result<()> {
        for (name, value) in
            [("learning rate", self.learning_rate), ("weight decay", self.weight_decay)]
        {
            let expected = "a number that is finite in the arithmetic of the network";
            check::parameter(name, value, T::of(value).is_finite(), expected)?;
        }
        Ok(())
    }

    /// One step of some parameters, in the arithmetic of `T`.
    pub(super) fn update<T: Scalar>(&self, parameters: &mut [T], velocity: &mut [T], by: &[T]) {
        let next = self.rule();
        for ((w, v), &g) in parameters.iter_mut().zip(velocity).zip(by) {
            (*w, *v) = next(*w, *v, g);
        }
    }

    /// Whether [`update`](Self::update) would leave all parameters and velocities finite.
    pub(super) fn stays_finite<T: Scalar>(
        &self,
        parameters: &[T],
        velocity: &[T],
        by: &[T],
    ) -> bool {
        let next = self.rule();
        // Without a branch, so that it is vectorised.
        parameters.iter().zip(velocity).zip(by).fold(true, |finite, ((&w, &v), &g)| {
            let (w, v) = next(w, v, g);
            finite & w.is_finite() & v.is_finite()
        })
    }

    /// The next parameter and velocity, given both and a gradient.
    fn rule<T: Scalar>(&self) -> impl Fn(T, T, T) -> (T, T) {
        let (rate, momentum) = (T::of(self.learning_rate), T::of(self.momentum));
        let decay = T::of(self.weight_decay);
        move |w, v, g| {
            let v = momentum * v + (g + decay * w);
            (w - rate * v, v)
        }
    }
}
