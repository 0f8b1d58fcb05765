//! Convolution and pooling, and their gradients, against the values of `golden/convolution.csv`.

use nalgebra::DMatrix;
use orthogap::Scalar;
use orthogap::convolution::{Convolution, Images, Padding, Pooling};

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
