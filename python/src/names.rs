//! Orders and laws of weights by name.

use orthogap::Order;
use orthogap::weights::{Gaussian, Haar, Spherical, Uniform, Weights};

use crate::error::{Result, refuse};

/// The orders by name.
pub const ORDERS: [(&str, Order); 3] = [
    ("linear_norm_activation", Order::LinearNormActivation),
    ("activation_linear_norm", Order::ActivationLinearNorm),
    ("norm_activation_linear", Order::NormActivationLinear),
];

/// An order by name.
pub fn order_named(name: &str) -> Result<Order> {
    let unknown = || {
        let known = ORDERS.map(|(name, _)| name).join(", ");
        refuse(format!("unknown order {name:?}: expected {known}"))
    };
    ORDERS.iter().find(|(known, _)| *known == name).map(|(_, order)| *order).ok_or_else(unknown)
}

/// A law of weights by name.
pub fn weights_named(name: &str, gain: f64) -> Result<Weights> {
    Ok(match name {
        "gaussian" => Gaussian::new(gain)?.into(),
        "he" => {
            let law = Gaussian::he();
            law.with_gain(gain * law.gain())?.into()
        }
        "xavier" => Gaussian::xavier().with_gain(gain)?.into(),
        "uniform_he" => {
            let law = Uniform::he();
            law.with_gain(gain * law.gain())?.into()
        }
        "uniform_xavier" => Uniform::xavier().with_gain(gain)?.into(),
        "haar" => Haar::new(gain)?.into(),
        "spherical" => Spherical::new(gain)?.into(),
        _ => {
            return Err(refuse(format!(
                "unknown law of weights {name:?}: expected gaussian, he, xavier, uniform_he, \
                 uniform_xavier, haar, spherical"
            )));
        }
    })
}
