//! Ensembles: the same bits whoever does the runs, and what is kept when runs end early.

use std::ops::ControlFlow;

use orthogap::Activation::Relu;
use orthogap::experiment::{
    ChainExperiment, Ensemble, Experiment, Layers, Metric, Precision, Record, Summary, from_fn,
};
use orthogap::normalization::Normalization;
use orthogap::statistics::Moments;
use orthogap::{Error, Event, Input, Network, Purpose, Seed};
use rand::RngExt;

/// Every observable of every layer against the same runs by hand.
#[test]
fn summaries_are_what_the_runs_say() {
    let (network, input) = (Network::<f64>::new(32), Input::spiked(4, 1e-6).unwrap());
    let experiment = ChainExperiment::new(&network, &input)
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
    let experiment = ChainExperiment::new(&network, &input)
        .observe("gap", |layer| Ok(layer.orthogonality_gap()))
        .at([1, 5])
        .mean_over(2..=5);
    let ensemble = Ensemble::new(&experiment, Seed(9));
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let whole = pool(1).install(|| ensemble.run(1300).unwrap());
    assert_eq!(pool(3).install(|| ensemble.run(1300).unwrap()), whole);

    let mut dealt = Summary::new(&ensemble, 0);
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
    let network = Network::<f64>::new(8).with_normalization(Normalization::None);
    let input = Input::orthogonal(2).unwrap();
    let experiment = ChainExperiment::new(&network, &input)
        .observe("log_scale", |layer| {
            // Observables of a run that fails at its own layer.
            if layer.log_scale() < -1.2 {
                return Err(Error::ZeroColumn { column: layer.depth() });
            }
            Ok(layer.log_scale())
        })
        .at([0, 2, 4]);
    let summary = Ensemble::new(&experiment, Seed(1)).run(800).unwrap();
    let counts = [0, 2, 4].map(|layer| summary.at(layer, "log_scale").unwrap().moments().count());
    assert!(counts[0] == 800 && counts[0] > counts[1] && counts[1] > counts[2]);
    assert_eq!(u64::from(summary.stopped()), 800 - counts[2]);
    assert_eq!(summary.stops().len(), 16);
    assert!(summary.stops()[0].reason.contains("is zero and has no direction"));
}

#[test]
fn what_cannot_be_run_or_merged_is_refused() {
    let (network, input) = (Network::<f64>::new(8), Input::orthogonal(4).unwrap());
    let of_width = |network: Network<f64>| {
        let experiment = ChainExperiment::new(&network, &input)
            .observe("gap", |layer| Ok(layer.orthogonality_gap()))
            .at([1]);
        Ensemble::new(&experiment, Seed(1)).run(10).map(|summary| summary.runs())
    };
    assert_eq!(of_width(network), Ok(10));
    assert_eq!(
        of_width(Network::new(0)),
        Err(Error::InvalidParameter {
            name: "width",
            value: 0.0,
            expected: "a width from 1 to 2^40"
        })
    );

    let one = from_fn(["one"], 0, |run| Ok([f64::from(run.index())]));
    let two = from_fn(["two"], 0, |_| Ok([1.0]));
    let (one, two) = (Ensemble::new(&one, Seed(1)), Ensemble::new(&two, Seed(1)));
    assert!(matches!(one.run(0), Err(Error::InvalidParameter { name: "runs", .. })));
    let mut summary = one.run(3).unwrap();
    assert!(summary.merge(&one.share(4..6).unwrap()).is_err(), "run 3 is missing");
    assert!(summary.merge(&two.share(3..6).unwrap()).is_err(), "another experiment");
    assert!(two.extend(&mut summary, 6).is_err(), "another experiment");
    let other = Ensemble::new(one.experiment(), Seed(2));
    assert!(summary.merge(&other.share(3..6).unwrap()).is_err(), "another seed");
    assert!(other.extend(&mut summary, 6).is_err(), "another seed");
    assert!(summary.push(other.records(3..4)[0].as_ref().unwrap()).is_err(), "another seed");
    assert!(summary.push(one.records(2..3)[0].as_ref().unwrap()).is_err(), "run 2 again");
    assert_eq!(summary, one.run(3).unwrap());

    let enough = |layer, observable, standard_error| {
        one.run_until(Precision { layer, observable, standard_error }, 100)
    };
    assert!(enough(1, "one", 1.0).is_err() && enough(0, "two", 1.0).is_err());
    assert!(enough(0, "one", f64::NAN).is_err());
    assert_eq!(enough(0, "one", 1e-9).unwrap().runs(), 100);
}

/// One rule for closures and for observed networks: an error of the numbers of a run stops that run,
/// any other ends the ensemble.
#[test]
fn errors_of_single_runs_stop_them() {
    let (network, input) = (Network::<f64>::new(8), Input::orthogonal(4).unwrap());
    let errors = [
        Error::Collapsed { layer: 1, batch_size: 4 },
        Error::AllSamplesZero { layer: 1, batch_size: 4 },
        Error::ScaleOutOfRange { layer: 1, log_scale: 800.0 },
        Error::ZeroColumn { column: 1 },
        Error::NotFinite { row: 0, column: 0, value: f64::INFINITY },
        Error::Empty { rows: 0, columns: 0 },
        Error::Experiment { reason: "no data".to_owned() },
    ];
    for error in errors {
        let stops = !matches!(error, Error::Empty { .. } | Error::Experiment { .. });
        let closure = from_fn(["x"], 1, |run| match run.index() {
            3 => Err(error.clone()),
            index => Ok([f64::from(index)]),
        });
        let observed = ChainExperiment::with_inputs(&network, |run| match run.index() {
            3 => Err(error.clone()),
            _ => Ok(input.clone()),
        });
        let observed = observed.observe("x", |_| Ok(1.0)).at([1]);
        for experiment in [&closure as &dyn Experiment, &observed] {
            match Ensemble::new(experiment, Seed(1)).run(10) {
                Ok(summary) => {
                    assert!(stops, "{error}");
                    assert_eq!((summary.stopped(), summary.mean(1, "x").unwrap().runs), (1, 9));
                    let stop = &summary.stops()[0];
                    assert_eq!((stop.run, &stop.reason), (3, &error.to_string()));
                }
                Err(found) => assert!(!stops && found == error, "{found}"),
            }
        }
    }
}

/// Rectified vanilla networks of width 4: in some runs samples die, in all of them the chain goes on.
/// The counts against the events of the same chains.
#[test]
fn events_are_counted() {
    let network =
        Network::<f64>::new(4).with_activation(Relu).with_normalization(Normalization::None);
    let input = Input::orthogonal(3).unwrap();
    let experiment = ChainExperiment::new(&network, &input)
        .observe_metrics([Metric::OrthogonalityGap])
        .at([2, 6])
        .mean_over(3..=9);
    let ensemble = Ensemble::new(&experiment, Seed(2));
    let summary = ensemble.run(120).unwrap();
    let first = |is_wanted: fn(&Event) -> bool| -> Vec<usize> {
        let layer = |run| {
            let mut chain = network.chain(&input, Seed(2).replicate(run)).unwrap();
            let _ = chain.advance(9);
            chain.events().iter().find(|event| is_wanted(event)).map(Event::layer)
        };
        (0..120).filter_map(layer).collect()
    };
    let dead = first(|event| matches!(event, Event::DeadSamples { .. }));
    let lost = first(|event| matches!(event, Event::RankLoss { .. }));
    assert!(dead.len() > 20 && lost.len() > 20);
    for (count, first) in [(summary.dead_samples(), dead), (summary.rank_loss(), lost)] {
        assert_eq!(count.runs() as usize, first.len());
        for layer in 0..=9 {
            let by_hand = first.iter().filter(|&&first| first <= layer).count();
            assert_eq!(count.until(layer) as usize, by_hand, "{layer}");
            let here = first.iter().filter(|&&first| first == layer).count();
            let told = count.first_layers().iter().find(|(found, _)| *found == layer);
            assert_eq!(told.map_or(0, |&(_, runs)| runs as usize), here);
        }
    }
    let mut merged = ensemble.share(0..50).unwrap();
    merged.merge(&ensemble.share(50..120).unwrap()).unwrap();
    assert_eq!(merged.dead_samples(), summary.dead_samples());
    assert_eq!(merged.rank_loss(), summary.rank_loss());
    let table = summary.table().to_string();
    assert!(table.lines().next().is_some_and(|line| line.ends_with("rank_loss")), "{table}");
}

/// Metrics as observables are those of the Gram matrix, each under its name.
#[test]
fn metrics_are_observables() {
    let (network, input) = (Network::<f64>::new(16), Input::spiked(3, 1e-2).unwrap());
    let experiment =
        ChainExperiment::new(&network, &input).observe_metrics(Metric::ALL.to_vec()).at([0, 4]);
    let summary = Ensemble::new(&experiment, Seed(5)).run(1).unwrap();
    let mut chain = network.chain(&input, Seed(5)).unwrap();
    let gram = chain.advance(4).unwrap().gram().clone();
    for (name, value) in [
        ("orthogonality_gap", gram.orthogonality_gap()),
        ("lyapunov", gram.lyapunov()),
        ("isometry_gap", gram.isometry_gap()),
        ("min_singular_value", gram.min_singular_value()),
        ("condition_number", gram.condition_number()),
        ("stable_rank", gram.stable_rank()),
        ("participation_ratio", gram.participation_ratio()),
        ("effective_rank", gram.effective_rank()),
        ("coupling_bound", gram.coupling_bound()),
    ] {
        assert_eq!(summary.at(4, name).unwrap().sample(), [value], "{name}");
    }
    assert_eq!(summary.observables().len(), 9);
}

/// An event of probability 0.01, which 32 runs miss in 148 of 200 seeds: an error of zero is no
/// reason to stop, and at least 50 events must be seen. Numbers that are all equal never stop it.
#[test]
fn rare_events_are_waited_for() {
    let experiment = from_fn(["event"], 0, |run| {
        let x: f64 = run.stream(Purpose::User(0), 0, 0).rng().random();
        Ok([f64::from(x < 0.01)])
    });
    for seed in 0..20 {
        let enough = Precision { layer: 0, observable: "event", standard_error: 0.01 };
        let ensemble = Ensemble::new(&experiment, Seed(seed));
        let event = ensemble.run_until(enough, 100_000).unwrap().mean(0, "event").unwrap();
        let events = event.value * event.runs as f64;
        assert!((49.0..70.0).contains(&events.round()), "{events}");
    }
    let constant = from_fn(["one"], 0, |_| Ok([1.0]));
    let enough = Precision { layer: 0, observable: "one", standard_error: 0.1 };
    let summary = Ensemble::new(&constant, Seed(1)).run_until(enough, 300).unwrap();
    assert_eq!(summary.runs(), 300);
}

/// Experiments of one's own: rows of a record that do not fit are refused.
#[test]
fn records_have_the_shape_of_their_experiment() {
    struct Own(Vec<String>, Vec<Layers>);
    impl Experiment for Own {
        fn observables(&self) -> &[String] {
            &self.0
        }
        fn layers(&self) -> &[Layers] {
            &self.1
        }
        fn run(&self, run: orthogap::Replicate, record: &mut Record) -> orthogap::Result<()> {
            match run.index() {
                0 => record.set(0, &[1.0]),
                1 => record.set(1, &[1.0]),
                _ => Ok(()),
            }
        }
    }
    let own = Own(vec!["x".to_owned()], vec![Layers::from(3)]);
    let ensemble = Ensemble::new(&own, Seed(1));
    let error = |run| ensemble.share(run..run + 1).unwrap_err().to_string();
    assert_eq!(ensemble.run(1).unwrap().runs(), 1);
    assert_eq!(error(1), "the record of a run is 2 x 1, expected 1 x 1");
    assert_eq!(
        error(2),
        "the experiment failed: run 2 recorded nothing at layer 3 and did not stop"
    );
}
