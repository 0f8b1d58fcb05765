//! What ranks do together: run by one process, and again under `mpirun` by 2, 3 and 4.
//!
//! Started by `cargo test`, it is the launcher; MPI processes know what to do by an argument.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::process::{Command, ExitStatus};
use std::sync::Mutex;

use mpi::traits::Communicator;
use orthogap::Activation::Relu;
use orthogap::{Input, Layer, Network, Seed};
use orthogap_mpi::{Error, Ranks};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("check") => check(&mut Ranks::world().unwrap()),
        Some("panic") => panic_in_a_job(&mut Ranks::world().unwrap()),
        _ => launch(),
    }
}

/// This program by so many ranks; 0 of them start it without `mpirun`.
fn start(ranks: usize, what: &str) -> ExitStatus {
    let program = std::env::current_exe().unwrap();
    let mut command = if ranks == 0 {
        Command::new(program)
    } else {
        let mut command = Command::new("mpirun");
        // In words for the environment, because other MPI libraries know no such options.
        command
            .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
            .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
            .env("OMPI_MCA_rmaps_base_oversubscribe", "1")
            .env("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe")
            .args(["-n", &ranks.to_string()])
            .arg(program);
        command
    };
    command.env("RAYON_NUM_THREADS", "2").env("RUST_BACKTRACE", "0").arg(what).status().unwrap()
}

fn launch() {
    for ranks in 0..=4 {
        assert!(start(ranks, "check").success(), "{ranks} ranks");
        println!("{ranks} ranks ... ok");
    }
    assert!(!start(3, "panic").success());
    println!("a rank that panics ends the others ... ok");
}

fn check(ranks: &mut Ranks) {
    assert_eq!(Ranks::world().unwrap_err(), Error::Initialized);
    wide_layers(ranks);
    results_in_order(ranks);
    jobs_that_fail(ranks);
    takers_that_stop_or_fail(ranks);
    agreement(ranks);
    groups(ranks);
}

/// Layers, to the bit.
fn bits(layer: &Layer) -> Vec<u64> {
    layer.factor().iter().map(|x| x.to_bits()).chain([layer.log_scale().to_bits()]).collect()
}

/// Twelve super-blocks, and one.
fn wide_layers(ranks: &mut Ranks) {
    for width in [200_000, 50] {
        let network = Network::<f32>::new(width).with_activation(Relu);
        let input = Input::gaussian(20, 16, Seed(1)).unwrap();
        let mut alone = network.chain(&input, Seed(2)).unwrap();
        let mut shared = alone.clone();
        for _ in 0..3 {
            assert_eq!(bits(shared.step_with(ranks).unwrap()), bits(alone.step().unwrap()));
        }
    }
    // A rank at another layer than the others.
    if ranks.count() > 1 {
        let input = Input::orthogonal(3).unwrap();
        let mut chain = Network::<f64>::new(50).chain(&input, Seed(2)).unwrap();
        let ahead = usize::from(ranks.index() == ranks.count() - 1);
        chain.advance(ahead).unwrap();
        assert!(matches!(chain.step_with(ranks), Err(orthogap::Error::Communicator { .. })));
        assert_eq!(chain.layer().depth(), ahead);
    }
}

/// Of different lengths, the first one empty.
fn result(job: usize) -> Vec<u8> {
    (0..job * 37 % 1000).map(|k| (job + k) as u8).collect()
}

/// No jobs, one, fewer than threads, more than a wave, many waves; no job is done twice.
fn results_in_order(ranks: &mut Ranks) {
    for jobs in [0, 1, 3, 33, 500] {
        let done = Mutex::new(vec![0; jobs]);
        let results = ranks.map(jobs, |job| {
            done.lock().unwrap()[job] += 1u8;
            Ok::<_, Infallible>(result(job))
        });
        assert_eq!(results.unwrap(), (0..jobs).map(result).collect::<Vec<_>>());
        // Which rank did what: each job one of them.
        let done: Vec<_> = done.into_inner().unwrap();
        let all = ranks.map(ranks.count(), |_| Ok::<_, Infallible>(vec![])).unwrap();
        assert_eq!(all.len(), ranks.count());
        let own: usize = done.iter().map(|&times| usize::from(times)).sum();
        assert!(done.iter().all(|&times| times <= 1));
        assert!(own <= jobs.div_ceil(ranks.count()).max(1), "{own} of {jobs} jobs on one rank");
    }
}

/// Of several the first in order, after all before it, on all ranks.
fn jobs_that_fail(ranks: &mut Ranks) {
    let mut taken = Vec::new();
    let outcome = ranks.in_order(
        200,
        |job| if job % 50 == 41 { Err(format!("no {job}")) } else { Ok(result(job)) },
        |job, bytes| {
            assert_eq!(bytes, result(job));
            taken.push(job);
            Ok::<_, Infallible>(ControlFlow::Continue(()))
        },
    );
    assert_eq!(outcome, Err(Error::Job { job: 41, reason: "no 41".into() }));
    assert_eq!(taken, Vec::from_iter(0..41));

    let (jobs, last) = (10 + usize::from(ranks.index() + 1 == ranks.count()), ranks.count() - 1);
    let outcome = ranks.map(jobs, |job| Ok::<_, Infallible>(result(job)));
    match outcome {
        Ok(results) => assert_eq!((last, results.len()), (0, 11)),
        Err(error) => assert_eq!(error, Error::DifferentJobs { first: 10, rank: last, jobs: 11 }),
    }
}

/// On one rank only, at a job of a later wave.
fn takers_that_stop_or_fail(ranks: &mut Ranks) {
    let last = ranks.count() - 1;
    let stops = ranks.index() == last;
    let mut outcome = |fail: bool| {
        let mut seen = 0;
        let outcome = ranks.in_order(
            10_000,
            |job| Ok::<_, Infallible>(result(job)),
            |job, _| {
                seen += 1;
                match (stops && job == 60, fail) {
                    (false, _) => Ok(ControlFlow::Continue(())),
                    (true, false) => Ok(ControlFlow::Break(())),
                    (true, true) => Err("disk full"),
                }
            },
        );
        assert!(seen < 200 && (!stops || seen == 61), "{seen}");
        outcome
    };
    assert_eq!(outcome(false), Ok(ControlFlow::Break(())));
    assert_eq!(outcome(true), Err(Error::Rank { rank: last, reason: "disk full".into() }));
}

fn agreement(ranks: &mut Ranks) {
    let index = ranks.index();
    assert_eq!(ranks.agree(Ok::<_, String>(index)), Ok(index));
    let last = ranks.count() - 1;
    let own = if index == last { Err(format!("rank {index}")) } else { Ok(()) };
    assert_eq!(ranks.agree(own), Err(Error::Rank { rank: last, reason: format!("rank {last}") }));
    assert_eq!(ranks.agree(Err::<(), _>("")), Err(Error::Rank { rank: 0, reason: "".into() }));
}

/// Two groups of ranks, each at work of its own.
fn groups(ranks: &mut Ranks) {
    use mpi::topology::{Color, SimpleCommunicator};
    let world = SimpleCommunicator::world();
    let color = (ranks.index() % 2) as i32;
    let group = world.split_by_color(Color::with_value(color)).expect("every rank has a color");
    let mut group = Ranks::new(&group);
    assert_eq!(group.count(), (ranks.count() + 1 - color as usize) / 2);
    let results = group.map(5, |job| Ok::<_, Infallible>(vec![color as u8, job as u8])).unwrap();
    assert_eq!(results, (0..5).map(|job| vec![color as u8, job]).collect::<Vec<_>>());
}

/// The others would wait for ever.
fn panic_in_a_job(ranks: &mut Ranks) {
    let job = |job| if job == 4 { panic!("on purpose") } else { Ok::<_, Infallible>(result(job)) };
    let _ = ranks.map(10, job);
}
