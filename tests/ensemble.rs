//! Ensembles: the same bits whoever does the runs, and what is kept when runs end early.

use std::ops::ControlFlow;

use orthogap::ensemble::{Ensemble, Experiment, Observed, Precision, Record, Summary, from_fn};
use orthogap::normalization::Normalization;
use orthogap::statistics::Moments;
use orthogap::{Error, Input, Network, Seed};

/// Every observable of every layer against the same runs by hand.
#[test]
fn summaries_are_what_the_runs_say() {
    let (network, input) = (Network::<f64>::new(32), Input::spiked(4, 1e-6).unwrap());
    let experiment = Observed::new(&network, &input)
        .observe("gap", |layer| Ok(layer.orthogonality_gap()))
        .observe_all(["largest", "depth"], |layer| {
            Ok([layer.spectrum().singular_values()[0], layer.depth() as f64])
        })
        .at([0, 3, 9])
        .mean_over(4..=9);
    let summary = Ensemble::new(&experiment, Seed(3)).run(50).unwrap();

    let by_hand = |first: usize, last: usize| -> Vec<f64> {
        let run = |index| {
            let mut chain = network.chain(&input, Seed(3).replicate(index)).unwrap();
            let mut gaps = vec![chain.layer().orthogonality_gap()];
            gaps.extend((0..9).map(|_| chain.step().unwrap().orthogonality_gap()));
            gaps[first..=last].iter().sum::<f64>() / (last - first + 1) as f64
        };
        (0..50).map(run).collect()
    };
    for (first, last) in [(0, 0), (3, 3), (9, 9), (4, 9)] {
        let gap = summary.over(first..=last, "gap").unwrap();
        assert_eq!(gap.sample(), by_hand(first, last));
        assert_eq!(*gap.moments(), by_hand(first, last).into_iter().collect::<Moments>());
    }
    let depth = summary.over(4..=9, "depth").unwrap();
    assert_eq!((depth.moments().mean(), depth.quantile(0.3)), (6.5, Some(6.5)));
    assert!(summary.at(5, "gap").is_none() && summary.at(3, "width").is_none());
    assert_eq!(summary.table().rows().len(), 12);
}

/// On one thread, on three, in shares of a machine each, in two goes, and broken off and resumed.
#[test]
fn the_same_bits_whoever_does_the_runs() {
    let (network, input) = (Network::<f64>::new(24), Input::near_collinear(3, 1e-2).unwrap());
    let experiment = Observed::new(&network, &input)
        .observe("gap", |layer| Ok(layer.orthogonality_gap()))
        .at([1, 5])
        .mean_over(2..=5);
    let ensemble = Ensemble::new(&experiment, Seed(9));
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let whole = pool(1).install(|| ensemble.run(1300).unwrap());
    assert_eq!(pool(3).install(|| ensemble.run(1300).unwrap()), whole);

    let mut dealt = Summary::new(&experiment, 0);
    for first in (0..1300).step_by(100) {
        for record in ensemble.records(first..first + 100) {
            dealt.push(&record.unwrap()).unwrap();
        }
    }
    assert_eq!(dealt, whole);

    let mut resumed = ensemble.run(7).unwrap();
    let mut asked = 0;
    ensemble
        .extend_while(&mut resumed, 1300, |_| {
            asked += 1;
            if asked < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .unwrap();
    assert!(resumed.runs() < 1300);
    ensemble.extend(&mut resumed, 1300).unwrap();
    assert_eq!(resumed, whole);

    let mut merged = ensemble.share(0..500).unwrap();
    merged.merge(&ensemble.share(500..1300).unwrap()).unwrap();
    for layer in [1, 5] {
        let (merged, whole) = (merged.at(layer, "gap").unwrap(), whole.at(layer, "gap").unwrap());
        assert_eq!(merged.sample(), whole.sample());
        let (merged, whole) = (merged.moments(), whole.moments());
        assert_eq!(merged.count(), whole.count());
        assert!((merged.mean() / whole.mean() - 1.0).abs() < 1e-13);
        assert!((merged.sample_variance() / whole.sample_variance() - 1.0).abs() < 1e-11);
    }
}

/// A vanilla network whose scale leaves the range of the chain, in some runs earlier than in others.
#[test]
fn runs_that_end_early_count_as_far_as_they_got() {
    let network = Network::<f64>::new(8).normalization(Normalization::None);
    let input = Input::orthogonal(2).unwrap();
    let experiment = Observed::new(&network, &input)
        .observe("log_scale", |layer| {
            // Observables of a run that fails at its own layer.
            if layer.log_scale() < -1.2 {
                return Err(Error::ZeroColumn { column: layer.depth() });
            }
            Ok(layer.log_scale())
        })
        .at([0, 2, 4]);
    let summary = Ensemble::new(&experiment, Seed(1)).run(400).unwrap();
    let counts = [0, 2, 4].map(|layer| summary.at(layer, "log_scale").unwrap().moments().count());
    assert!(counts[0] == 400 && counts[0] > counts[1] && counts[1] > counts[2]);
    assert_eq!(u64::from(summary.stopped()), 400 - counts[2]);
    assert_eq!(summary.stops().len(), 16);
    assert!(summary.stops()[0].reason.contains("is zero and has no direction"));
}

#[test]
fn what_cannot_be_run_or_merged_is_refused() {
    let (network, input) = (Network::<f64>::new(8), Input::orthogonal(4).unwrap());
    let of_width = |network: Network<f64>| {
        let experiment = Observed::new(&network, &input)
            .observe("gap", |layer| Ok(layer.orthogonality_gap()))
            .at([1]);
        Ensemble::new(&experiment, Seed(1)).run(10).map(|summary| summary.runs())
    };
    assert_eq!(of_width(network), Ok(10));
    assert_eq!(
        of_width(Network::new(3)),
        Err(Error::BatchExceedsWidth { batch_size: 4, width: 3 })
    );

    let one = from_fn(["one"], 0, |run| Ok([f64::from(run.index())]));
    let two = from_fn(["two"], 0, |_| Ok([1.0]));
    let (one, two) = (Ensemble::new(&one, Seed(1)), Ensemble::new(&two, Seed(1)));
    assert!(matches!(one.run(0), Err(Error::InvalidParameter { name: "runs", .. })));
    let mut summary = one.run(3).unwrap();
    assert!(summary.merge(&one.share(4..6).unwrap()).is_err(), "run 3 is missing");
    assert!(summary.merge(&two.share(3..6).unwrap()).is_err(), "another experiment");
    assert!(summary.push(one.records(2..3)[0].as_ref().unwrap()).is_err(), "run 2 again");
    assert_eq!(summary, one.run(3).unwrap());

    let enough = |layer, observable, standard_error| {
        one.run_until(Precision { layer, observable, standard_error }, 100)
    };
    assert!(enough(1, "one", 1.0).is_err() && enough(0, "two", 1.0).is_err());
    assert!(enough(0, "one", f64::NAN).is_err());
    assert_eq!(enough(0, "one", 1e-9).unwrap().runs(), 100);

    let infinite = from_fn(["x"], 0, |_| Ok([f64::INFINITY]));
    let error = Ensemble::new(&infinite, Seed(1)).run(5).unwrap_err();
    assert_eq!(error, Error::NotFinite { row: 0, column: 0, value: f64::INFINITY });
}

/// Experiments of one's own: rows of a record that do not fit are refused.
#[test]
fn records_have_the_shape_of_their_experiment() {
    struct Own;
    impl Experiment for Own {
        fn observables(&self) -> &[String] {
            &[]
        }
        fn layers(&self) -> &[orthogap::ensemble::Layers] {
            &[]
        }
        fn run(&self, _: orthogap::Run, record: &mut Record) -> orthogap::Result<()> {
            record.set(0, &[1.0])
        }
    }
    let error = Ensemble::new(&Own, Seed(1)).run(1).unwrap_err();
    assert_eq!(error.to_string(), "the record of a run is 1 x 1, expected 0 x 0");
}
