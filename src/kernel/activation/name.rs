//! Activations as text.

use core::fmt;
use core::str::FromStr;

use super::{Activation, NAMES};
use crate::{Error, Result};

/// PyTorch's slope of leaky ReLU.
pub(super) const SLOPE: f64 = 0.01;

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeakyRelu { slope } => f.pad(&format!("leaky_relu({slope})")),
            Self::Custom(custom) => f.pad(custom.name()),
            _ => {
                let named = NAMES.iter().find(|(activation, _)| activation == self);
                f.pad(named.expect("every activation without parameters has a name").1[0])
            }
        }
    }
}

impl FromStr for Activation {
    type Err = Error;

    /// Reads the name of an activation of this crate: `linear`, `relu`, `leaky_relu`,
    /// `leaky_relu(0.2)`, `tanh`, `shifted_tanh`, `logistic`, `silu`, `erf`, `gelu`, `elu`, `sin`.
    ///
    /// The aliases `identity`, `sigmoid` and `swish` are accepted.
    ///
    /// # Errors
    /// [`Error::UnknownName`]; [`Error::InvalidParameter`] of a slope that `f32` cannot hold.
    fn from_str(text: &str) -> Result<Self> {
        if let Some((activation, _)) = NAMES.iter().find(|(_, names)| names.contains(&text)) {
            return Ok(activation.clone());
        }
        let slope = match text.strip_prefix("leaky_relu") {
            Some("") => Some(SLOPE),
            Some(rest) => rest
                .strip_prefix('(')
                .and_then(|rest| rest.strip_suffix(')'))
                .and_then(|slope| slope.trim().parse().ok()),
            None => None,
        };
        let Some(slope) = slope else {
            let known = Self::ALL.iter().map(ToString::to_string).collect();
            return Err(Error::UnknownName { what: "activation", name: text.to_owned(), known });
        };
        let activation = Self::LeakyRelu { slope };
        activation.check()?;
        Ok(activation)
    }
}

/// Writes the name.
#[cfg(feature = "serde")]
impl serde::Serialize for Activation {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if let Self::Custom(custom) = self {
            let name = custom.name();
            return Err(serde::ser::Error::custom(format!(
                "the custom activation {name} is code, which cannot be written"
            )));
        }
        to.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Activation {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'_, str>>::deserialize(from)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let slopes = [0.2, -1.0, 1e-7, 0.1 + 0.2].map(|slope| Activation::LeakyRelu { slope });
        for activation in NAMES.map(|(activation, _)| activation).into_iter().chain(slopes) {
            assert_eq!(activation.to_string().parse::<Activation>().unwrap(), activation);
        }
        for (activation, _) in NAMES {
            assert!(Activation::ALL.contains(&activation), "{activation}");
        }
        assert_eq!(Activation::ALL.len(), NAMES.len() + 1); // a leaky ReLU has a parameter
        let read = |text: &str| text.parse::<Activation>();
        assert_eq!(read("leaky_relu").unwrap(), Activation::LeakyRelu { slope: 0.01 });
        assert_eq!(read("swish").unwrap(), Activation::Silu);
        assert!(matches!(read("leaky_relu(1e300)"), Err(Error::InvalidParameter { .. })));
        for text in ["", "Relu", "leaky_relu()", "leaky_relu(0.2", "leaky_relu 0.2", "relu6"] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains("leaky_relu(0.01)"), "{message}");
        }
        assert_eq!(format!("{:>6}|", Activation::Relu), "  relu|");
    }
}
