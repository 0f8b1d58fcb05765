//! Bad input and bad luck: each case has its error, or a documented behaviour.

use std::ops::ControlFlow;

use nalgebra::{DMatrix, dmatrix};
use orthogap::Activation::{Relu, Tanh};
use orthogap::convolution::{Convolution, Images};
use orthogap::normalization::{BatchNorm, Centering, Normalization, SampleNorm};
use orthogap::wasserstein::weighted_line_w2;
use orthogap::weights::{Gaussian, Haar, Spherical, Uniform, Weights};
use orthogap::{Activation, Error, Gram, Input, Network, Order, Residual, Result, Seed};

/// The error of something that must fail, and what it prints.
fn error<T: std::fmt::Debug>(result: Result<T>) -> (Error, String) {
    let error = result.expect_err("this must fail");
    let text = error.to_string();
    (error, text)
}

#[test]
fn inputs() {
    let (e, _) = error(Input::orthogonal(0));
    assert_eq!(e, Error::Empty { rows: 0, columns: 0 });
    let (_, text) = error(Input::from_columns(&DMatrix::<f64>::zeros(5, 0)));
    assert_eq!(text, "a 5 x 0 matrix holds no batch");
    let (_, text) = error(Input::from_columns(&dmatrix![1.0, f64::INFINITY]));
    assert_eq!(text, "entry (0, 1) is inf, not a finite number");
    let (_, text) = error(Input::from_columns(&dmatrix![1.0, 0.0; 2.0, 0.0]));
    assert_eq!(text, "column 1 (a sample) is zero and has no direction");
    let (_, text) = error(Input::from_columns(&DMatrix::<f64>::zeros(3, 2)));
    assert_eq!(text, "all entries of the 3 x 2 matrix are zero");
    let (_, text) = error(Input::from_columns(&dmatrix![1.0, 2.0; 2.0, 4.0]));
    assert!(
        text.starts_with("the 2 columns (samples) are linearly dependent, of numerical rank 1")
    );
    let (e, _) = error(Input::gaussian(3, 5, Seed(1)));
    assert_eq!(e, Error::RankDeficient { rank: 3, batch_size: 5 });
    for epsilon in [0.0, -1e-3, 1.5, f64::NAN] {
        assert!(matches!(error(Input::spiked(4, epsilon)).0, Error::InvalidParameter { .. }));
        assert!(matches!(
            error(Input::near_collinear(4, epsilon)).0,
            Error::InvalidParameter { .. }
        ));
    }
}

#[test]
fn zero_rows_of_an_input_do_not_matter() {
    let input = Input::from_columns(&dmatrix![0.0, 0.0; 1.0, 2.0; 0.0, 0.0; 3.0, 1.0]).unwrap();
    assert!(Network::<f64>::new(8).chain(&input, Seed(1)).unwrap().advance(5).is_ok());
    let mut explicit = Network::<f64>::new(8).explicit_chain(&input, Seed(1)).unwrap();
    assert!(explicit.advance(5).is_ok());
}

/// Numbers too long to be printed in the table.
#[test]
fn weights_that_overflow() {
    let network = Network::<f64>::new(8).with_weights(Gaussian::new(1.5e308).unwrap());
    let mut chain = network.explicit_chain(&Input::orthogonal(4).unwrap(), Seed(1)).unwrap();
    let (e, _) = error(chain.step().map(|_| ()));
    let expected = "weights in the range of their number type";
    assert_eq!(e, Error::InvalidParameter { name: "size of weights", value: 7.5e307, expected });
    // What needs no weights has no such bound.
    let mut chain = network.chain(&Input::orthogonal(4).unwrap(), Seed(1)).unwrap();
    assert!(chain.step().is_ok());

    let (e, _) = error(weighted_line_w2(&[1.0, 2.0], &[1e308, 1.5e308], 0.0, 1.0));
    assert!(matches!(e, Error::InvalidParameter { name: "weight", value: 1e308, .. }));
}

/// A factor may have more rows than there are samples, or than there are samples that are not zero.
#[test]
fn factors_may_be_taller_than_they_need() {
    let twice = dmatrix![3.0, 1.0; 0.0, 2.0; 3.0, 1.0; 0.0, 2.0];
    let (tall, low) = (Gram::from_factor(twice).unwrap(), dmatrix![3.0, 1.0; 0.0, 2.0]);
    assert_eq!(tall.rank(), 2);
    assert!((tall.matrix() - Gram::from_factor(low).unwrap().matrix()).amax() < 1e-15);

    let vanilla = Network::<f64>::new(8).with_normalization(Normalization::None);
    let factors = [dmatrix![0.0, 1.0, 0.0], dmatrix![0.0, 1.0, 0.0; 0.0, -1.0, 0.0]];
    let inputs = factors.map(|factor| Input::from_gram(Gram::from_factor(factor).unwrap()));
    // By what factor three layers of the same normals stretch the sample that there is.
    let linear = |input: &Input| {
        let mut chain = vanilla.chain(input, Seed(1)).unwrap();
        chain.advance(3).unwrap().log_scale() - input.log_scale()
    };
    let rectified = |input: &Input| {
        let mut chain = vanilla.clone().with_activation(Relu).chain(input, Seed(1)).unwrap();
        chain.advance(3).unwrap().log_scale() - input.log_scale()
    };
    let [thin, tall] = &inputs;
    assert!((linear(thin) - linear(tall)).abs() < 1e-13);
    assert!((rectified(thin) - rectified(tall)).abs() < 1e-13);
}

#[test]
fn recipes() {
    let input = Input::orthogonal(4).unwrap();
    let (_, text) = error(Network::<f64>::new(0).chain(&input, Seed(1)));
    assert_eq!(text, "width = 0 is invalid: expected a width from 1 to 2^40");
    let (_, text) = error(BatchNorm::standard(-1e-5));
    assert_eq!(text, "epsilon = -0.00001 is invalid: expected a finite number >= 0");
    for gain in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(error(Gaussian::new(gain)).0, Error::InvalidParameter { .. }));
    }
    let one = Input::orthogonal(1).unwrap();
    let centered = BatchNorm::paper().with_centering(Centering::Batch);
    let (_, text) = error(Network::<f64>::new(8).with_normalization(centered).chain(&one, Seed(1)));
    assert_eq!(text, "a batch of 1 is too small: at least 2 needed");
}

#[test]
fn modern_recipes() {
    for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        for failure in [
            Haar::new(value).err(),
            Spherical::new(value).err(),
            Uniform::he().with_gain(value).err(),
            Gaussian::xavier().with_gain(value).err(),
        ] {
            assert!(matches!(failure, Some(Error::InvalidParameter { name: "gain", .. })));
        }
    }
    assert!(Residual::new(f64::NAN).is_err() && Residual::depth_scaled(1.0, 0).is_err());
    let input = Input::gaussian(12, 4, Seed(1)).unwrap();
    let network = Network::<f64>::new(6);
    // Three groups of four features do not exist; it is the layer that finds out.
    let grouped = network.clone().with_normalization(SampleNorm::group(4, 0.0).unwrap());
    let (_, text) = error(grouped.chain(&input, Seed(1)).unwrap().advance(1).cloned());
    assert_eq!(
        text,
        "groups = 4 is invalid: expected a divisor of the number of features or channels"
    );
    // Constant features, which only an order that normalises the input meets.
    let flat = Input::from_columns(&dmatrix![1.0, 1.0; 2.0, 3.0]).unwrap();
    let centered = Network::<f64>::new(6).with_normalization(BatchNorm::standard(0.0).unwrap());
    assert!(centered.chain(&flat, Seed(1)).is_ok());
    let (_, text) =
        error(centered.clone().with_order(Order::NormActivationLinear).chain(&flat, Seed(1)));
    assert!(text.starts_with("row 0 is constantly"), "{text}");
    let images = Images::new(3, 2, 2).unwrap();
    let convolution = network.clone().with_convolution(Convolution::new(3).unwrap(), images);
    assert!(convolution.chain(&input, Seed(1)).unwrap().advance(2).is_ok());
    let (_, text) = error(convolution.chain(&flat, Seed(1)));
    assert_eq!(text, "the batch of images is 2 x 2, expected 12 x 2");
}

/// A batch of one has gap 0 and stays there.
#[test]
fn a_batch_of_one() {
    let one = Input::orthogonal(1).unwrap();
    let mut chain = Network::<f64>::new(8).chain(&one, Seed(1)).unwrap();
    let layer = chain.advance(10).unwrap();
    assert!(layer.orthogonality_gap() < 1e-15);
    assert!((layer.min_singular_value() - 1.0).abs() < 1e-15);
    assert_eq!(layer.cosines().unwrap(), dmatrix![1.0]);
}

/// Twins enter through `from_gram` only, and remain twins: rounding never parts them.
#[test]
fn dependent_samples_stay_dependent() {
    let h = dmatrix![0.3, 0.3, 1.0; 0.7, 0.7, 0.2; -0.1, -0.1, 0.5; 0.9, 0.9, 0.4];
    let input = Input::from_gram(Gram::from_columns(&h).unwrap());
    let paper = Network::<f64>::new(64);
    let centered = paper.clone().with_normalization(BatchNorm::standard(0.0).unwrap());
    for layer in [
        paper.chain(&input, Seed(5)).unwrap().advance(500).unwrap(),
        centered.chain(&input, Seed(5)).unwrap().advance(500).unwrap(),
        paper.clone().with_activation(Tanh).chain(&input, Seed(5)).unwrap().advance(100).unwrap(),
    ] {
        assert!(layer.cosine(0, 1).unwrap() > 1.0 - 1e-12);
        assert!(layer.orthogonality_gap() >= (0.5f64 - 1.0 / 3.0).sqrt() - 1e-12);
    }
    // Centred twins and a third are points on a line, and an odd function keeps them there.
    let error =
        centered.clone().with_activation(Tanh).chain(&input, Seed(5)).unwrap().advance(1).cloned();
    assert_eq!(error, Err(Error::Collapsed { layer: 1, batch_size: 3 }));
}

/// What closures make of rows is theirs to decide; no NaN gets out.
#[test]
fn closures_without_finite_values_are_errors() {
    let input = Input::orthogonal(3).unwrap();
    for value in [f64::NAN, f64::INFINITY, 0.0] {
        let network =
            Network::<f64>::new(64).with_activation(Activation::custom("constant", move |_| value));
        for error in [
            network.chain(&input, Seed(5)).unwrap().advance(1).unwrap_err(),
            network.explicit_chain(&input, Seed(5)).unwrap().advance(1).unwrap_err(),
        ] {
            assert!(
                match error {
                    Error::ScaleOutOfRange { layer: 1, .. } => value != 0.0,
                    Error::AllSamplesZero { layer: 1, batch_size: 3 } => value == 0.0,
                    _ => false,
                },
                "{value}: {error:?}"
            );
        }
    }
}

/// Below the critical width (3 for two samples) the smallest singular value dies. It is followed
/// down to the smallest float; total collapse is an error that leaves the last good layer.
#[test]
fn collapse_is_dated() {
    let input = Input::orthogonal(2).unwrap();
    let mut chain = Network::<f64>::new(2).chain(&input, Seed(6)).unwrap();
    let mut smallest = 1.0f64;
    let failure = loop {
        match chain.step().map(|layer| layer.min_singular_value()) {
            Ok(0.0) => {} // a subnormal factor can round to zero
            Ok(sigma) => smallest = smallest.min(sigma),
            Err(failure) => break failure,
        }
    };
    assert!(smallest < 1e-290, "{smallest}");
    let depth = chain.layer().depth();
    assert_eq!(failure, Error::Collapsed { layer: depth + 1, batch_size: 2 });
    assert!((chain.layer().orthogonality_gap() - 0.5f64.sqrt()).abs() < 1e-15);
    let end: Vec<_> = chain.collect();
    assert_eq!(end, [Err(failure)]);
}

/// Width 3 is critical for two samples, not for three: one direction goes, two stay.
#[test]
fn partial_collapse_lowers_the_rank() {
    let input = Input::orthogonal(3).unwrap();
    let mut chain = Network::<f64>::new(3).chain(&input, Seed(6)).unwrap();
    assert_eq!(chain.layer().rank(), 3);
    let layer = chain.advance(20_000).unwrap();
    assert_eq!((layer.rank(), layer.min_singular_value()), (2, 0.0));
    assert_eq!(layer.condition_number(), f64::INFINITY);
}

/// The explicit engine sees only 16 digits, so its collapse comes sooner.
#[test]
fn explicit_collapse_is_dated() {
    let input = Input::orthogonal(2).unwrap();
    let chain = Network::<f64>::new(2).explicit_chain(&input, Seed(6)).unwrap();
    let last = chain.last().unwrap();
    assert!(matches!(last, Err(Error::Collapsed { batch_size: 2, .. })));
}

/// Vanilla chains neither overflow nor stop at rank one.
#[test]
fn vanilla_chains_never_overflow() {
    let input = Input::from_columns(&(DMatrix::<f64>::identity(4, 4) * 1e300)).unwrap();
    let network = Network::<f64>::new(4)
        .with_normalization(Normalization::None)
        .with_weights(Gaussian::new(1e100).unwrap());
    for log_scale in [
        network.chain(&input, Seed(1)).unwrap().advance(3000).unwrap().log_scale(),
        network.explicit_chain(&input, Seed(1)).unwrap().advance(3000).unwrap().log_scale(),
    ] {
        assert!(log_scale > 600_000.0 && log_scale.is_finite());
    }
}

/// An epsilon far above the variance leaves nothing to normalise: that is said, not passed on.
#[test]
fn a_scale_that_epsilon_swallows() {
    let input = Input::from_columns(&(DMatrix::<f64>::identity(4, 4) * 1e-300)).unwrap();
    let network = Network::<f64>::new(8).with_normalization(BatchNorm::standard(1e-5).unwrap());
    let (e, _) = error(network.chain(&input, Seed(1)).unwrap().advance(1).cloned());
    assert!(matches!(e, Error::ScaleOutOfRange { layer: 1, .. }), "{e}");
}

/// In a narrow rectified network a sample dies now and then: its column stays exactly zero.
#[test]
fn dead_samples_stay_dead() {
    let input = Input::orthogonal(2).unwrap();
    let mut chain = Network::<f64>::new(3).with_activation(Relu).chain(&input, Seed(2)).unwrap();
    let death = loop {
        match chain.step() {
            Ok(layer) if layer.matrix()[(0, 0)] == 0.0 || layer.matrix()[(1, 1)] == 0.0 => {
                break Error::ZeroColumn { column: usize::from(layer.matrix()[(1, 1)] == 0.0) };
            }
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    // With two samples the death of one is a collapse to rank one.
    assert!(matches!(death, Error::Collapsed { batch_size: 2, .. }), "{death}");
}

/// Breaking off loses the layer, not the chain: the next step draws the same layer.
#[test]
fn interruptions_leave_the_chain_where_it_was() {
    let input = Input::orthogonal(2).unwrap();
    let mut chain = Network::<f64>::new(3_000_000).chain(&input, Seed(1)).unwrap();
    let whole = chain.clone().step().unwrap().clone();
    let (e, text) = error(chain.step_while(|_| ControlFlow::Break(())).cloned());
    let Error::Interrupted { layer: 1, rows } = e else { panic!("{e}") };
    assert!(rows > 0 && rows < 3_000_000);
    assert_eq!(text, format!("interrupted at layer 1, after {rows} of its rows"));
    assert_eq!(chain.layer().depth(), 0);
    assert_eq!(*chain.step().unwrap(), whole);

    // Engines that draw all weights first are asked between blocks of the product.
    for weights in [Weights::from(Uniform::xavier()), Haar::new(1.0).unwrap().into()] {
        let network = Network::<f64>::new(300).with_weights(weights);
        let mut chain = network.chain(&input, Seed(1)).unwrap();
        let whole = chain.clone().step().unwrap().clone();
        let (e, _) = error(chain.step_while(|_| ControlFlow::Break(())).cloned());
        assert!(matches!(e, Error::Interrupted { layer: 1, rows: 256 }), "{e}");
        assert_eq!(*chain.step().unwrap(), whole);
    }
}
