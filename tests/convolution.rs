//! Convolution and pooling, and their gradients, against the values of `golden/convolution.csv`; layers of a chain
//! against these operators.

use approx::assert_relative_eq;
use nalgebra::DMatrix;
use orthogap::convolution::{Convolution, Images, Padding, Pooling};
use orthogap::normalization::Normalization;
use orthogap::{Activation, Error, Input, Network, Scalar, Seed};

use crate::{golden_integers, golden_rows, number};

/// One row of the golden file.
struct Case<'a> {
    operation: &'a str,
    shape: Images,
    samples: usize,
    out_channels: usize,
    kernel: usize,
    stride: usize,
    border: Padding,
    padding: usize,
    output: &'a str,
    input_gradient: &'a str,
    weight_gradient: &'a str,
}

impl<'a> Case<'a> {
    fn of(row: &[&'a str]) -> Self {
        let integer = |field: usize| number(row[field]) as usize;
        Self {
            operation: row[0],
            shape: Images::new(integer(1), integer(2), integer(3)).unwrap(),
            samples: integer(4),
            out_channels: integer(5),
            kernel: integer(6),
            stride: integer(7),
            border: if row[8] == "circular" { Padding::Circular } else { Padding::Zeros },
            padding: integer(9),
            output: row[10],
            input_gradient: row[11],
            weight_gradient: row[12],
        }
    }

    fn check<T: Scalar>(&self) {
        let (shape, columns) = (self.shape, self.shape.len());
        let divisor = if self.operation == "convolution" { 1.0 } else { 64.0 };
        let nchw = golden_integers(1, columns, self.samples).map(|x| T::of((x / divisor).floor()));
        let h = shape.batch_from_nchw(&nchw).unwrap();
        let gradient = |output: Images| {
            let nchw = golden_integers(3, output.len(), self.samples).map(T::of);
            output.batch_from_nchw(&nchw).unwrap()
        };
        let (output, y, by_h) = if self.operation == "convolution" {
            let convolution = Convolution::new(self.kernel)
                .and_then(|convolution| convolution.with_stride(self.stride))
                .and_then(|c| c.with_padding(self.border).with_padding_width(self.padding))
                .unwrap();
            let oihw = golden_integers(2, self.out_channels, convolution.fan_in(shape)).map(T::of);
            let weights = convolution.weights_from_oihw(&oihw).unwrap();
            let output = convolution.output(shape, self.out_channels).unwrap();
            let gradient = gradient(output);
            let by_weights = &gradient * convolution.unfold(shape, &h).unwrap().transpose();
            let by_weights = convolution.weights_to_oihw(&by_weights).unwrap();
            assert_golden(&by_weights.transpose(), self.weight_gradient);
            let y = convolution.apply(shape, &weights, &h).unwrap();
            (output, y, convolution.fold(shape, &weights.tr_mul(&gradient)).unwrap())
        } else {
            let pooling = match self.operation {
                "max" => Pooling::max(self.kernel).unwrap(),
                "average" => Pooling::average(self.kernel).unwrap(),
                "global average" => Pooling::global_average(),
                other => panic!("no operation {other:?}"),
            };
            let output = pooling.output(shape).unwrap();
            let y = pooling.apply(shape, &h).unwrap();
            (output, y, pooling.adjoint(shape, &h, &gradient(output)).unwrap())
        };
        assert_golden(&output.batch_to_nchw(&y).unwrap(), self.output);
        assert_golden(&shape.batch_to_nchw(&by_h).unwrap(), self.input_gradient);
    }
}

/// Everything but divisions by 3 is exact, even in single precision.
fn assert_golden<T: Scalar>(found: &DMatrix<T>, golden: &str) {
    let golden: Vec<f64> = golden.split(' ').map(number).collect();
    assert_eq!(found.len(), golden.len());
    for (&found, &golden) in found.iter().zip(&golden) {
        assert!((found.into() - golden).abs() <= T::EPSILON * golden.abs(), "{found} {golden}");
    }
}

#[test]
fn agree_with_pytorch() {
    let rows: Vec<_> = golden_rows(include_str!("golden/convolution.csv"), 12).collect();
    for row in &rows {
        let case = Case::of(row);
        case.check::<f64>();
        case.check::<f32>();
    }
}

/// Images to pooled images, to columns, to images again; in between, recipes that do not fit.
#[test]
fn layers_are_made_by_operators_when_recipes_change() {
    // A vanilla representation is held at root mean square 1.
    let held = |h: DMatrix<f64>| &h * ((h.len() as f64).sqrt() / h.norm());
    let relu = |h: DMatrix<f64>| h.map(|x| x.max(0.0));
    let network = |width| {
        let network = Network::<f64>::new(width).with_normalization(Normalization::None);
        network.with_activation(Activation::Relu)
    };
    let images = |channels, side| Images::new(channels, side, side).unwrap();
    let (convolution, pooling) = (Convolution::new(3).unwrap(), Pooling::max(2).unwrap());

    let body = network(5).with_convolution(convolution, images(2, 6)).with_pooling(pooling);
    assert_eq!(body.pooling(), Some(pooling));
    let input = Input::gaussian(2 * 36, 4, Seed(1)).unwrap();
    let mut chain = body.explicit_chain(&input, Seed(2)).unwrap();
    let mut h = images(2, 6).batch_from_nchw(input.columns()).unwrap();
    for [from, to] in [[images(2, 6), images(5, 6)], [images(5, 3), images(5, 3)]] {
        let layer = chain.step().unwrap();
        let wide = relu(convolution.apply(from, layer.weights(), &h).unwrap());
        h = held(pooling.apply(to, &wide).unwrap());
        assert_relative_eq!(*layer.representation(), h, epsilon = 1e-13);
        let pooled = pooling.output(to).unwrap();
        assert_eq!(layer.images(), Some(pooled));

        let mut on_columns = chain.clone();
        let layer = on_columns.then(network(4)).unwrap().step().unwrap();
        let expected = held(relu(layer.weights() * pooled.flatten(&h).unwrap()));
        assert_relative_eq!(*layer.representation(), expected, epsilon = 1e-13);
        assert_eq!(layer.images(), None);
    }

    // One pixel is left: no window fits.
    assert!(chain.next().is_some_and(|layer| layer.is_err()) && chain.next().is_none());
    let refused = chain.then(body).map(|_| ());
    assert!(matches!(refused, Err(Error::ShapeMismatch { found: (5, 1), expected: (2, 36), .. })));
    assert!(chain.next().is_none());

    chain.then(network(4)).unwrap().step().unwrap();
    let convolutional = |width, from| network(width).with_convolution(convolution, from);
    let next = chain.then(convolutional(7, images(1, 2))).unwrap().next();
    assert!(next.is_some_and(|layer| layer.is_ok_and(|layer| layer.depth() == 4)));
    let layer = chain.then(convolutional(3, images(7, 2))).unwrap().step().unwrap();
    assert_eq!((layer.images(), layer.weights().shape()), (Some(images(3, 2)), (3, 63)));
}
