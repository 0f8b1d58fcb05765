//! Configurations and results through JSON and back.

use nalgebra::DMatrix;
use orthogap::Activation::{LeakyRelu, Relu};
use orthogap::backward::GradientNorms;
use orthogap::convolution::{Convolution, Images, Pooling};
use orthogap::experiment::{ChainExperiment, Ensemble, Observable, Record, Summary, from_fn};
use orthogap::normalization::{BatchNorm, Normalization, SampleNorm};
use orthogap::statistics::{BatchMeans, Line, Moments, Weighting};
use orthogap::weights::{Fans, Gaussian, Haar, Spherical, Uniform, WeightInit, Weights};
use orthogap::{Activation, Error, Input, Network, Order, Residual, Scalar, Seed, Stream};
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

fn there_and_back<V: Serialize + DeserializeOwned>(value: &V) -> V {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

/// The network that comes back is equal, and draws the same chain.
#[test]
fn recipes_come_back() {
    let input = Input::near_collinear(3, 1e-2).unwrap();
    let network = Network::<f64>::new(24)
        .with_activation(LeakyRelu { slope: 0.2 })
        .with_weights(Gaussian::he().with_gain(0.1).unwrap())
        .with_normalization(BatchNorm::standard(1e-3).unwrap())
        .with_order(Order::ActivationLinearNorm)
        .with_residual(Residual::new(0.3).unwrap());
    let back = there_and_back(&network);
    let gap = |network: &Network<f64>| {
        network.chain(&input, Seed(7)).unwrap().advance(5).unwrap().orthogonality_gap()
    };
    assert_eq!(gap(&back).to_bits(), gap(&network).to_bits());
    assert_eq!(back, network);

    let images = Images::new(2, 6, 6).unwrap();
    let convolution = Convolution::new(3).unwrap().with_stride(2).unwrap();
    let network = Network::<f32>::new(4)
        .with_normalization(SampleNorm::group(2, 1e-5).unwrap())
        .with_convolution(convolution, images)
        .with_pooling(Pooling::global_average());
    assert_eq!(there_and_back(&network), network);
    let orthogonal = network.with_weights(Haar::new(2.0).unwrap());
    assert_eq!(there_and_back(&orthogonal), orthogonal);
    assert_eq!(there_and_back(&Normalization::None), Normalization::None);
    assert_eq!(there_and_back(&Uniform::xavier()), Uniform::xavier());
    assert_eq!(there_and_back(&Haar::default()), Haar::default());
    assert_eq!(there_and_back(&Spherical::default()), Spherical::default());
    assert_eq!(there_and_back(&Seed(u64::MAX).replicate(3)), Seed(u64::MAX).replicate(3));
}

/// A whole network is one JSON object.
#[test]
fn networks_are_written_in_words() {
    let network = Network::<f64>::new(8).with_activation(LeakyRelu { slope: 0.2 });
    let json = serde_json::to_string(&network).unwrap();
    let expected = r#"{"width":8,"weights":{"Gaussian":{"gain":1.0,"fan":"In"}},"normalization":"#;
    assert!(json.starts_with(expected), "{json}");
    assert!(json.contains(r#""activation":"leaky_relu(0.2)""#), "{json}");
}

/// What is code cannot be written, and says so.
#[test]
fn custom_components_are_refused() {
    #[derive(Debug)]
    struct Zero;
    impl WeightInit for Zero {
        fn sample_to<T: Scalar>(&self, weights: &mut DMatrix<T>, _: Fans, _: Stream) {
            weights.fill(T::zero());
        }
    }
    let cube = Activation::custom("cube", |x| x * x * x);
    let network = Network::<f64>::new(8);
    for (network, message) in [
        (network.clone().with_activation(cube), "the custom activation cube is code"),
        (
            network.clone().with_weights(Weights::custom(Zero)),
            "Weights::Custom cannot be serialized",
        ),
        (network.with_residual(Residual::by_layer(|_| 1.0)), "ByLayer cannot be serialized"),
    ] {
        let error = serde_json::to_string(&network).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

fn refused<V: DeserializeOwned>(json: &str, message: &str) {
    let error = serde_json::from_str::<V>(json).err().map(|error| error.to_string());
    assert!(error.as_ref().is_some_and(|error| error.contains(message)), "{json}: {error:?}");
}

/// What a constructor refuses cannot be read, either.
#[test]
fn fields_are_checked() {
    refused::<Gaussian>(r#"{"gain":0.0,"fan":"In"}"#, "gain = 0 is invalid");
    refused::<Uniform>(r#"{"gain":-1.0,"fan":"In"}"#, "gain = -1 is invalid");
    refused::<Haar>(r#"{"gain":-2.0}"#, "gain = -2 is invalid");
    refused::<Activation>(r#""leaky_relu(1e300)""#, "slope = 1");
    refused::<Activation>(r#""ReLU""#, "unknown activation \"ReLU\"");
    refused::<Images>(r#"{"channels":1,"height":0,"width":3}"#, "height = 0 is invalid");
    refused::<Residual>(
        r#"{"weight":{"Constant":1e999},"post_norm":false}"#,
        "number out of range",
    );
    refused::<SampleNorm>(
        r#"{"operator":{"centering":"None","epsilon":0.0,"row_scale":"UnitRms"},"groups":0}"#,
        "groups = 0 is invalid",
    );
    refused::<BatchNorm>(
        r#"{"centering":"None","epsilon":-1.0,"row_scale":"UnitNorm"}"#,
        "epsilon = -1 is invalid",
    );
    refused::<BatchNorm>(
        r#"{"centering":"None","epsilon":0.0,"row_scale":"UnitNorm","affine":true}"#,
        "unknown field `affine`",
    );
    refused::<Convolution>(
        r#"{"kernel":3,"stride":1,"padding":"Zeros","padding_width":3}"#,
        "padding width = 3 is invalid",
    );
    refused::<Pooling>(r#"{"summary":"Max","side":0}"#, "pooling window = 0 is invalid");
    refused::<Network<f64>>(
        r#"{"width":8,"weights":{"Gaussian":{"gain":1.0,"fan":"In"}},"normalization":"None",
        "activation":"linear","order":"LinearNormActivation","arithmetic":null,"residuals":1}"#,
        "unknown field `residuals`",
    );
}

/// Results, too: what no runs tell is refused, so that what is read can be added to.
#[test]
fn results_are_checked() {
    let summary = |first: u32, stopped: u32, cells: &str, stops: &str| {
        format!(
            r#"{{"observables":["x"],"layers":[{{"first":1,"last":1}}],"seed":3,"first_run":{first},
            "runs":2,"cells":[{cells}],"stopped":{stopped},"stops":[{stops}],
            "dead_samples":{{"first":[]}},"rank_loss":{{"first":[]}}}}"#
        )
    };
    let cell = |count: u64, sample: &str| {
        format!(r#"{{"moments":{},"sample":[{sample}]}}"#, moments(count, 0.0, 0.0))
    };
    let none = serde_json::to_string(&Observable::default()).unwrap();
    let stop = |run: u32| format!(r#"{{"run":{run},"reason":"it collapsed"}}"#);
    let stops = format!("{},{}", stop(0), stop(1));
    refused::<Summary>(&summary(0, 0, "", ""), "the list of cells is 0 x 1, expected 1 x 1");
    refused::<Summary>(&summary(u32::MAX, 0, &none, ""), "runs = 2 is invalid");
    refused::<Summary>(&summary(0, 3, &none, &stops), "runs = 2 is invalid");
    refused::<Summary>(&summary(0, 0, &cell(3, "0.0,0.0,0.0"), ""), "runs = 2 is invalid");
    refused::<Summary>(&summary(0, 1, &none, &stop(0)), "runs of a cell = 0 is invalid");
    refused::<Summary>(&summary(0, 2, &none, ""), "the list of stops is 0 x 1, expected 2 x 1");
    refused::<Summary>(&summary(1, 2, &none, &stops), "run of a stop = 0 is invalid");
    let twice = format!("{},{}", stop(1), stop(1));
    refused::<Summary>(&summary(0, 2, &none, &twice), "run of a stop = 1 is invalid");
    refused::<Observable>(&cell(2, "0.0"), "the sample is 1 x 1, expected 2 x 1");
    assert!(serde_json::from_str::<Summary>(&summary(0, 2, &none, &stops)).is_ok());

    refused::<Moments>(&moments(2, 0.5, -0.5), "sum of squares = -0.5 is invalid");
    refused::<Moments>(&moments(1, 0.5, 0.5), "sum of squares = 0.5 is invalid");
    refused::<Moments>(&moments(0, 0.5, 0.0), "mean = 0.5 is invalid");
    let remainder = moments(1, 0.5, 0.0).replace("er\":0.0", "er\":0.125");
    refused::<Moments>(&remainder, "remainder of the mean = 0.125 is invalid");
    refused::<Moments>(&moments(u64::MAX, 0.5, 0.5), "count = 18446744073709552000 is invalid");
    refused::<Moments>(
        r#"{"count":1,"mean":null,"mean_remainder":0.0,"sum_of_squares":0.0}"#,
        "invalid type: null",
    );
    let mut most: Moments = serde_json::from_str(&moments(1 << 53, 0.5, 0.5)).unwrap();
    assert!(most.merge(&most.clone()).is_err(), "more than 2^53");

    let means = |length: u64, begun: u64| {
        let [current, none] = [begun, 0].map(|count| moments(count, 0.0, 0.0));
        format!(r#"{{"length":{length},"current":{current},"means":{none}}}"#)
    };
    refused::<BatchMeans>(&means(0, 0), "length of batches = 0 is invalid");
    refused::<BatchMeans>(&means(3, 3), "length of batches = 3 is invalid");
    let mut begun: BatchMeans = serde_json::from_str(&means(3, 2)).unwrap();
    begun.push(3.0);
    assert_eq!((begun.moments().count(), begun.moments().mean()), (1, 1.0));
    assert!(begun.merge(&BatchMeans::new(4)).is_err(), "batches of another length");

    let line = |error: f64, degrees: u64, chi_squared: &str| {
        format!(
            r#"{{"slope":1.0,"center":[0.0,0.0],"slope_error":{error},"intercept_error":0.1,
            "degrees_of_freedom":{degrees},"chi_squared":{chi_squared}}}"#
        )
    };
    refused::<Line>(&line(-0.1, 3, "null"), "slope error = -0.1 is invalid");
    refused::<Line>(&line(0.1, 0, "null"), "degrees of freedom = 0 is invalid");
    refused::<Line>(&line(0.1, 1 << 50, "1.0"), "degrees of freedom = 1125899906842624 is invalid");
    refused::<Line>(&line(0.1, 3, "-1.0"), "chi squared = -1 is invalid");
    refused::<Line>(&line(0.1, 3, "\"-inf\""), "chi squared = -inf is invalid");
    refused::<Line>(&line(0.1, 3, "\"much\""), "expected a number, \"inf\" or \"-inf\"");
    assert!(serde_json::from_str::<Line>(&line(0.0, 0, "0.0")).is_ok());

    let record = |run: u32, row: &str, stopped: u32| {
        let stop = stop(stopped);
        format!(
            r#"{{"run":{{"seed":3,"replicate":{run}}},"rows":[null,{row}],"columns":2,"stop":{stop},
            "first_events":{{"dead_samples":null,"rank_loss":4}}}}"#
        )
    };
    refused::<Record>(&record(1, "[0.5]", 1), "the record of a run is 2 x 1, expected 2 x 2");
    refused::<Record>(&record(1, "[0.5,1.5]", 2), "run = 2 is invalid");
    refused::<Record>(&record(u32::MAX, "null", u32::MAX), "run = 4294967295 is invalid");
    assert!(serde_json::from_str::<Record>(&record(1, "[0.5,1.5]", 1)).is_ok());

    let lists = r#"{"representations":[0.5],"weights":[1.5]}"#;
    refused::<GradientNorms>(lists, "the list of norms is 1 x 1, expected 2 x 1");
    refused::<GradientNorms>(r#"{"representations":["inf"],"weights":[]}"#, "log norm = inf");
}

fn moments(count: u64, mean: f64, sum_of_squares: f64) -> String {
    format!(
        r#"{{"count":{count},"mean":{mean:?},"mean_remainder":0.0,
        "sum_of_squares":{sum_of_squares:?}}}"#
    )
}

#[test]
fn summaries_come_back_to_the_bit() {
    let experiment = from_fn(["third"], 1..=9, |run| Ok([f64::from(run.index()) / 3.0]));
    let summary = Ensemble::new(&experiment, Seed(1)).run(1100).unwrap();
    assert_eq!(there_and_back::<Summary>(&summary), summary);
}

/// A summary in which one number, or two that belong together, were changed is not believed.
#[test]
fn summaries_are_not_believed_blindly() {
    let network =
        Network::<f64>::new(4).with_activation(Relu).with_normalization(Normalization::None);
    let input = Input::orthogonal(3).unwrap();
    let experiment = ChainExperiment::new(&network, &input)
        .observe("log_scale", |layer| Ok(layer.log_scale()))
        .observe("rank", |layer| Ok(layer.rank() as f64))
        .at([0, 2])
        .mean_over(1..=4);
    let ensemble = Ensemble::new(&experiment, Seed(7));
    let summary = ensemble.run(20).unwrap();
    assert!(summary.dead_samples().runs() > 0);
    let json = serde_json::to_string(&summary).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(json.contains(from), "{from}: {json}");
        json.replacen(from, to, 1)
    };
    refused::<Summary>(&changed(r#""runs":20"#, r#""runs":21"#), "runs of a cell = ");
    refused::<Summary>(&changed(r#""runs":20"#, r#""runs":19"#), "runs = 19 is invalid");
    refused::<Summary>(
        &changed(r#"{"first":1,"last":4}"#, r#"{"first":4,"last":1}"#),
        "the last of some layers = 1 is invalid: expected a layer not before the first",
    );
    refused::<Summary>(
        &changed(r#"["log_scale","rank"]"#, r#"["rank","rank"]"#),
        "\"rank\" cannot be read: expected a name that no other observable has",
    );
    let moments = summary.at(2, "log_scale").unwrap().moments();
    for (from, factor) in [(moments.mean(), 1.0 + 1e-6), (moments.mean(), -1.0)] {
        let to = format!(r#""mean":{:?}"#, from * factor);
        refused::<Summary>(&changed(&format!(r#""mean":{from:?}"#), &to), "moments of the sample");
    }
    let value = summary.at(2, "log_scale").unwrap().sample()[3];
    refused::<Summary>(
        &changed(&format!("{value:?}"), &format!("{:?}", value + 0.1)),
        "moments of the sample",
    );
    let first = serde_json::to_string(summary.dead_samples().first_layers()).unwrap();
    refused::<Summary>(&changed(&first, "[[1,21]]"), "runs with an event = 21 is invalid");
    refused::<Summary>(&changed(&first, "[[2,1],[1,1]]"), "layer of an event = 2 is invalid");
    let mut other = serde_json::from_str(&changed(r#""seed":7"#, r#""seed":8"#)).unwrap();
    let error = ensemble.extend(&mut other, 30).unwrap_err();
    assert_eq!(error.to_string(), "the runs are of another ensemble: the seed is 7, not 8");

    // Beyond the sample: more numbers cannot spread less than those that are known.
    let experiment = from_fn(["third"], 1, |run| Ok([f64::from(run.index()) / 3.0]));
    let summary = Ensemble::new(&experiment, Seed(1)).run(1100).unwrap();
    let json = serde_json::to_string(&summary).unwrap();
    let mean = summary.at(1, "third").unwrap().moments().mean();
    let far = json.replacen(&format!(r#""mean":{mean:?}"#), r#""mean":18333.0"#, 1);
    refused::<Summary>(&far, "moments of the sample");
}

/// Runs that stop early, more than are kept with their reasons.
#[test]
fn stops_come_back() {
    let (network, input) = (Network::<f64>::new(2), Input::near_collinear(2, 1e-9).unwrap());
    let observed = ChainExperiment::new(&network, &input)
        .observe("gap", |layer| match layer.depth() {
            5 => Err(Error::AllSamplesZero { layer: 5, batch_size: 2 }),
            _ => Ok(layer.orthogonality_gap()),
        })
        .at([1, 5]);
    let ensemble = Ensemble::new(&observed, Seed(1));
    for record in ensemble.records(0..3) {
        let record = record.unwrap();
        assert_eq!(there_and_back::<Record>(&record), record);
    }
    let summary = ensemble.run(20).unwrap();
    assert_eq!((summary.stopped(), summary.stops().len()), (20, 16));
    assert_eq!(there_and_back::<Summary>(&summary), summary);
}

/// A gradient that is zero has a logarithm, and a line that misses its points by far a chi squared
/// beyond all floats: JSON has no infinities, so they go by words.
#[test]
fn infinities_come_back() {
    let network = Network::<f64>::new(4).with_normalization(Normalization::None);
    let input = Input::orthogonal(4).unwrap();
    let zero = |h: &orthogap::backward::Scaled<f64>| h.matrix() * 0.0;
    let norms = network.gradient_norms_of(&input, Seed(1), 2, zero).unwrap();
    assert_eq!(norms.weights(), [f64::NEG_INFINITY; 2]);
    assert_eq!(there_and_back::<GradientNorms>(&norms), norms);

    let points = [(0.0, 1.0, 1e-200), (1.0, 2.0, 1e-200), (2.0, 4.0, 1e-200)];
    let line = Line::with_errors(&points, Weighting::Equal).unwrap();
    let back = there_and_back::<Line>(&line);
    assert_eq!((back, back.straightness()), (line, Some(0.0)));
}

proptest! {
    #[test]
    fn moments_come_back(
        left in proptest::collection::vec(-1e150..1e150f64, 0..9),
        right in proptest::collection::vec(-1e-3..1e3f64, 0..9),
    ) {
        let mut moments: Moments = left.into_iter().collect();
        moments.merge(&right.iter().copied().collect()).unwrap();
        prop_assert_eq!(there_and_back::<Moments>(&moments), moments);
        let mut means = BatchMeans::new(3);
        right.into_iter().for_each(|x| means.push(x));
        prop_assert_eq!(there_and_back::<BatchMeans>(&means), means);
    }

    #[test]
    fn lines_come_back(
        points in proptest::collection::vec((-1e3..1e3f64, -1e-3..1e3f64, 1e-9..9.0f64), 3..9),
    ) {
        let alike: Vec<_> = points.iter().map(|&(x, y, _)| (x, y)).collect();
        for line in [
            Line::through(&alike),
            Line::with_errors(&points, Weighting::Equal),
            Line::with_errors(&points[..2], Weighting::InverseVariance),
        ] {
            let line = line.unwrap();
            prop_assert_eq!(there_and_back::<Line>(&line), line);
        }
    }

    /// Any table with any gaps, and the summary of a few.
    #[test]
    fn records_come_back(
        values in proptest::collection::vec(-1e100..1e100f64, 12), runs in 1u32..4, seed in any::<u64>(),
    ) {
        let experiment = from_fn(["x", "y"], 1..=9, |run| {
            let first = 2 * run.index() as usize;
            Ok([values[first], values[first + 1]])
        });
        let ensemble = Ensemble::new(&experiment, Seed(seed));
        for record in ensemble.records(0..runs) {
            let record = record.unwrap();
            prop_assert_eq!(there_and_back::<Record>(&record), record);
        }
        let summary = ensemble.run(runs).unwrap();
        let mut back = there_and_back::<Summary>(&summary);
        prop_assert_eq!(&back, &summary);
        ensemble.extend(&mut back, 6).unwrap();
        prop_assert_eq!(back, ensemble.run(6).unwrap());
    }
}
