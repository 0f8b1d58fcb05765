//! Fixed points at which all pairs of samples have one cosine.

use super::Kernel;
use super::chain::{row_norm, without_epsilon};
use crate::activation::Activation;
use crate::check;
use crate::normalization::{BatchNorm, Centering};
use crate::theory::kernel_map::quadrature::{Radius, mean_product, mean_product_on_circle};
use crate::theory::mean_field::{for_each_node, map};
use crate::{Error, Result};

/// The cosines of two samples at a fixed point of [`ActivationChain`](super::ActivationChain) at
/// which all samples have equal lengths and all pairs one cosine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EquiangularPoint {
    /// The cosine before the activation, in BN(W H).
    pub pre_activation: f64,
    /// The cosine after the activation, in F(BN(W H)).
    pub post_activation: f64,
}

/// Returns the equiangular fixed point of F(BN(W H)) at infinite width, for an activation that is smooth
/// except for a kink or jump at zero.
///
/// With centring, `P C P` of an equiangular `C` is a multiple of `P`, so one layer leads there: rows are
/// uniform on a sphere in `n - 1` dimensions, two of their entries have the correlation
/// $`r = -1/(n-1)`$, and the cosine is a ratio of mean products, by quadrature to 1e-12. ReLU has
/// $`(\sqrt{1 - r^2} + r (\pi - \arccos r))/\pi`$: .250 at n = 8, .302 at n = 32.
///
/// Without centring the cosine is the root of an equation, solved for ReLU, to 1e-12; the identity has
/// 0. For other activations [`ActivationChain`](super::ActivationChain) approaches it.
///
/// In simulations at (8, 2048), with centring and without, mean cosines agree with these within 4
/// standard errors and a bias of 2/d. At small width ReLU without centring loses samples, and no
/// stationary law exists.
///
/// ```
/// use orthogap::theory::mean_field_activation::equiangular_point;
/// use orthogap::{Activation, normalization::BatchNorm};
///
/// let standard = BatchNorm::standard(0.0)?;
/// let point = equiangular_point(&Activation::Relu, &standard, 8)?;
/// assert!((point.post_activation - 0.250).abs() < 5e-4);
/// assert_eq!(point.pre_activation, -1.0 / 7.0);
/// let point = equiangular_point(&Activation::Relu, &BatchNorm::paper(), 4)?;
/// assert!((point.pre_activation - 0.290567).abs() < 1e-6);
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::BatchTooSmall`] below two samples, [`Error::Unsupported`] for an epsilon and, without
/// centring, for any activation except ReLU and the identity, [`Error::InvalidParameter`] if the
/// activation is zero on all rows, and [`Error::NotConverged`] if the integrals cannot be found to
/// 1e-12.
pub fn equiangular_point(
    activation: &Activation,
    batch_norm: &BatchNorm,
    batch_size: usize,
) -> Result<EquiangularPoint> {
    check::batch(batch_size, 2)?;
    without_epsilon(batch_norm)?;
    match (batch_norm.centering(), activation) {
        (Centering::Batch, _) => centred(activation, batch_norm, batch_size),
        (Centering::None, Activation::Identity) => {
            Ok(EquiangularPoint { pre_activation: 0.0, post_activation: 0.0 })
        }
        (Centering::None, Activation::Relu) => rectified(batch_size),
        _ => Err(Error::Unsupported {
            what: "the fixed point without centring",
            needs: "ReLU or no activation; ActivationChain has the others",
        }),
    }
}

fn centred(activation: &Activation, batch_norm: &BatchNorm, n: usize) -> Result<EquiangularPoint> {
    let (dimension, correlation) = (n - 1, -1.0 / (n as f64 - 1.0));
    // An entry of a row is the length of the row times sqrt((n-1)/n) times a coordinate.
    let length = row_norm(batch_norm, n) * (dimension as f64 / n as f64).sqrt();
    let function = |x: &mut [f64]| activation.apply(x);
    let product = |rho: f64| match dimension {
        1 => {
            let [plus, minus] = [length, -length].map(|x| activation.value(x));
            let same = 0.5 * (plus * plus + minus * minus);
            Ok(if rho > 0.0 { same } else { plus * minus })
        }
        2 => mean_product_on_circle(&function, length, rho),
        _ => mean_product(&function, &[], Radius::Sphere { dimension, length }, rho),
    };
    let second_moment = check::positive("second moment of the activation", product(1.0)?)?;
    let post_activation = product(correlation)? / second_moment;
    Ok(EquiangularPoint { pre_activation: correlation, post_activation })
}

/// ReLU without centring.
fn rectified(n: usize) -> Result<EquiangularPoint> {
    // Below 1 the map is above the diagonal first and, if 1 is repelling, below it last.
    let (mut low, mut high) = (0.0, 1.0 - 1e-9);
    if rectified_layer(high, n) >= high {
        (low, high) = (1.0, 1.0);
    }
    while high - low > 1e-15 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        *if rectified_layer(middle, n) > middle { &mut low } else { &mut high } = middle;
    }
    let post_activation = 0.5 * (low + high);
    let p = map(&eigenvalues(post_activation, n))?;
    let pre_activation = (p[0] - p[1]) / (p[0] + (n - 1) as f64 * p[1]);
    Ok(EquiangularPoint { pre_activation, post_activation })
}

/// The eigenvalues of an equiangular Gram matrix, the largest of which is one.
fn eigenvalues(cosine: f64, n: usize) -> Vec<f64> {
    let largest = 1.0 + (n - 1) as f64 * cosine;
    let mut values = vec![(1.0 - cosine) / largest; n];
    values[0] = 1.0;
    values
}

/// The next cosine: the integral of [`relu`](super::relu()) with matrices of two distinct entries.
fn rectified_layer(cosine: f64, n: usize) -> f64 {
    let values = eigenvalues(cosine, n);
    let (mut diagonal, mut other) = (0.0, 0.0);
    for_each_node(
        |_| 1.0,
        &values,
        values[1],
        |node| {
            let (first, second) = (node.fractions[0], node.fractions[1]);
            let variance = (first + (n - 1) as f64 * second) / n as f64;
            let covariance = (first - second) / n as f64;
            let product = |c| Kernel::ArcCosine.mean_product((variance, variance), c);
            diagonal += node.weight * product(variance);
            other += node.weight * product(covariance);
        },
    );
    other / diagonal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation::{Gelu, Logistic, Relu, ShiftedTanh, Tanh};
    use crate::normalization::RowScale;
    use crate::statistics::Moments;
    use crate::theory::mean_field_activation::ActivationChain;
    use crate::{Input, Network, Seed};
    use std::f64::consts::PI;

    /// The closed form, through quadrature on circle and sphere.
    #[test]
    fn centred_rectifiers_have_a_closed_form() {
        let norm = BatchNorm::standard(0.0).unwrap();
        for n in [2, 3, 4, 5, 8, 32, 200] {
            let r = -1.0 / (n as f64 - 1.0);
            let exact = ((1.0 - r * r).max(0.0).sqrt() + r * (PI - r.acos())) / PI;
            let point = equiangular_point(&Relu, &norm, n).unwrap();
            assert!((point.post_activation - exact).abs() < 1e-11, "{n}: {point:?} {exact}");
            assert_eq!(point.pre_activation, r);
        }
    }

    /// Two centred samples are opposite: rows are 1 and -1, or -1 and 1.
    #[test]
    fn two_centred_samples() {
        let norm = BatchNorm::standard(0.0).unwrap();
        for activation in [Logistic, Gelu, Tanh] {
            let [plus, minus] = [1.0, -1.0].map(|x| activation.value(x));
            let expected = 2.0 * plus * minus / (plus * plus + minus * minus);
            let point = equiangular_point(&activation, &norm, 2).unwrap();
            assert!((point.post_activation - expected).abs() < 1e-15);
        }
        let error = equiangular_point(&Tanh, &BatchNorm::paper(), 4).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        let linear = equiangular_point(&Activation::Identity, &BatchNorm::paper(), 4).unwrap();
        assert_eq!((linear.pre_activation, linear.post_activation), (0.0, 0.0));
    }

    /// Without centring it is one of the map of a layer, at which a larger cosine falls.
    #[test]
    fn rectified_points_are_fixed() {
        for n in [2, 4, 16] {
            let cosine = rectified(n).unwrap().post_activation;
            assert!((rectified_layer(cosine, n) - cosine).abs() < 1e-12, "{n}: {cosine}");
            let above = 0.5 * (1.0 + cosine);
            assert!(cosine == 1.0 || rectified_layer(above, n) < above, "{n}: {cosine}");
        }
    }

    /// The fixed point of the chain itself, from another start; quasi-Monte Carlo has 4096 points.
    #[test]
    fn chains_come_to_it() {
        let standard = BatchNorm::standard(0.0).unwrap();
        let input = Input::near_collinear(4, 0.3).unwrap();
        for (activation, norm, layers, close) in [
            (Relu, standard, 60, 1e-9),
            (Relu, BatchNorm::paper(), 120, 1e-9),
            (Tanh, standard, 40, 1e-3),
            (Gelu, standard, 40, 1e-3),
            (ShiftedTanh, standard.with_row_scale(RowScale::UnitNorm), 40, 1e-3),
        ] {
            let mut chain = ActivationChain::new(input.gram(), &activation, norm).unwrap();
            let layer = chain.advance(layers).unwrap();
            let point = equiangular_point(&activation, &norm, 4).unwrap();
            for (gram, cosine) in [
                (layer.gram(), point.post_activation),
                (layer.pre_activation(), point.pre_activation),
            ] {
                let found = gram.cosine(0, 3).unwrap();
                assert!((found - cosine).abs() < close, "{activation}: {found} {cosine}");
            }
        }
    }

    /// The mean cosine of 200 runs of 40 layers at width 2048, seed 46, a batch of 8: four comparisons at
    /// 4 standard errors beside 2/d, a false alarm in 4000 seeds.
    #[test]
    fn wide_networks_have_its_cosines() {
        const WIDTH: usize = 2048;
        let standard = BatchNorm::standard(0.0).unwrap();
        let input = Input::orthogonal(8).unwrap();
        for (activation, norm) in [
            (Relu, standard),
            (Relu, BatchNorm::paper()),
            (ShiftedTanh, standard),
            (Gelu, standard),
        ] {
            let point = equiangular_point(&activation, &norm, 8).unwrap();
            let network = Network::<f32>::new(WIDTH)
                .with_normalization(norm)
                .with_activation(activation.clone());
            let mut cosines = Moments::new();
            for run in 0..200 {
                let mut chain = network.chain(&input, Seed(46).replicate(run)).unwrap();
                let matrix = chain.advance(30).unwrap().matrix();
                let trace = matrix.trace();
                cosines.push((matrix.sum() - trace) / (7.0 * trace));
            }
            let error = cosines.mean() - point.post_activation;
            let allowed = 4.0 * cosines.standard_error() + 2.0 / WIDTH as f64;
            assert!(error.abs() < allowed, "{activation}: {error} {allowed}");
        }
    }

    #[test]
    fn what_has_no_closed_fixed_point_is_refused() {
        let paper = BatchNorm::paper();
        let unsupported = |result| matches!(result, Err(Error::Unsupported { .. }));
        assert!(unsupported(equiangular_point(&Tanh, &paper, 4)));
        let epsilon = paper.with_epsilon(0.1).unwrap();
        assert!(unsupported(equiangular_point(&Relu, &epsilon, 4)));
        let too_small = Error::BatchTooSmall { batch_size: 1, minimum: 2 };
        assert_eq!(equiangular_point(&Relu, &paper, 1), Err(too_small));
        let zero = Activation::custom("zero", |_| 0.0);
        let standard = BatchNorm::standard(0.0).unwrap();
        assert!(equiangular_point(&zero, &standard, 4).is_err());
    }
}
