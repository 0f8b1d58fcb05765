//! Configurations and results through JSON and back.

use orthogap::activation::{LeakyRelu, Relu, Sin, Tanh};
use orthogap::convolution::{Convolution, Images, Pooling};
use orthogap::ensemble::{Ensemble, Observable, Summary, from_fn};
use orthogap::normalization::{BatchNorm, Normalization, SampleNorm};
use orthogap::weights::{Gaussian, Orthogonal, Spherical, Uniform};
use orthogap::{Input, Network, Order, Residual, Seed};
use serde::{Serialize, de::DeserializeOwned};

fn there_and_back<V: Serialize + DeserializeOwned>(value: &V) -> V {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

/// Networks have no equality: the one that comes back draws the same chain, and says the same.
#[test]
fn recipes_come_back() {
    let input = Input::near_collinear(3, 1e-2).unwrap();
    let network = Network::<f64>::new(24)
        .activation(LeakyRelu::new(0.2).unwrap())
        .weights(Gaussian::he().with_gain(0.1).unwrap())
        .normalization(BatchNorm::standard(1e-3).unwrap())
        .order(Order::ActivationLinearNorm)
        .residual(Residual::new(0.3).unwrap());
    let back = there_and_back(&network);
    let gap = |network: &Network<f64, LeakyRelu>| {
        network.chain(&input, Seed(7)).unwrap().advance(5).unwrap().orthogonality_gap()
    };
    assert_eq!(gap(&back).to_bits(), gap(&network).to_bits());
    assert_eq!(format!("{back:?}"), format!("{network:?}"));

    let images = Images::new(2, 6, 6).unwrap();
    let convolution = Convolution::new(3).unwrap().with_stride(2).unwrap();
    let network = Network::<f32>::new(4)
        .normalization(SampleNorm::group(2, 1e-5).unwrap())
        .convolution(convolution, images)
        .pooling(Pooling::global_average());
    assert_eq!(format!("{:?}", there_and_back(&network)), format!("{network:?}"));
    assert_eq!(there_and_back(&Normalization::None), Normalization::None);
    assert_eq!(there_and_back(&Uniform::xavier()), Uniform::xavier());
    assert_eq!(there_and_back(&Orthogonal::default()), Orthogonal::default());
    assert_eq!(there_and_back(&Spherical::default()), Spherical::default());
    assert_eq!(there_and_back(&Seed(u64::MAX).replicate(3)), Seed(u64::MAX).replicate(3));
}

/// Two recipes that differ in their activation alone must not pass for each other.
#[test]
fn activations_go_by_their_names() {
    assert_eq!(serde_json::to_string(&Relu).unwrap(), "\"Relu\"");
    assert_eq!(serde_json::from_str::<Sin>("\"Sin\"").unwrap(), Sin);
    let error = serde_json::from_str::<Tanh>("\"Relu\"").unwrap_err();
    assert!(error.to_string().contains("Relu is not the activation Tanh"), "{error}");
}

/// What a constructor refuses cannot be read, either.
#[test]
fn fields_are_checked() {
    fn refused<V: DeserializeOwned>(json: &str, message: &str) {
        let error = serde_json::from_str::<V>(json).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.contains(message)), "{json}: {error:?}");
    }
    refused::<Gaussian>(r#"{"gain":0.0,"fan":"In"}"#, "gain = 0 is invalid");
    refused::<Uniform>(r#"{"gain":-1.0,"fan":"In"}"#, "gain = -1 is invalid");
    refused::<Orthogonal>(r#"{"gain":-2.0}"#, "gain = -2 is invalid");
    refused::<LeakyRelu>(r#"{"slope":1e300}"#, "slope = 1");
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
    let summary = |first: u32, stopped: u32, cells: &str| {
        format!(
            r#"{{"observables":["x"],"layers":[{{"first":1,"last":1}}],"first_run":{first},
            "runs":2,"cells":[{cells}],"stopped":{stopped},"stops":[]}}"#
        )
    };
    refused::<Summary>(&summary(0, 0, ""), "the list of cells is 0 x 1, expected 1 x 1");
    let cell = serde_json::to_string(&Observable::default()).unwrap();
    refused::<Summary>(&summary(u32::MAX, 0, &cell), "runs = 2 is invalid");
    refused::<Summary>(&summary(0, 3, &cell), "runs = 2 is invalid");
    assert!(serde_json::from_str::<Summary>(&summary(0, 2, &cell)).is_ok());
}

#[test]
fn summaries_come_back_to_the_bit() {
    let experiment = from_fn(["third"], 1..=9, |run| Ok([f64::from(run.index()) / 3.0]));
    let summary = Ensemble::new(&experiment, Seed(1)).run(100).unwrap();
    assert_eq!(there_and_back::<Summary>(&summary), summary);
}
