//! What ranks do together: run by one process, and again under `mpirun` by 1 to 4.
//!
//! Started by `cargo test`, it is the launcher; MPI processes know what to do by an argument.

use std::convert::Infallible;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use mpi::traits::Communicator;
use orthogap::Activation::Relu;
use orthogap::backward::Top;
use orthogap::experiment::sweep::Sweep;
use orthogap::experiment::{Ensemble, from_fn};
use orthogap::{Input, Layer, Network, Seed};
use orthogap_mpi::{Error, Ranks};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("check") => check(&mut Ranks::world().unwrap()),
        Some("panic") => panic_in_a_job(&mut Ranks::world().unwrap()),
        Some("slow") => a_slow_cell(&mut Ranks::world().unwrap(), &folder()),
        Some("die") => drop(cells(&mut Ranks::world().unwrap(), &folder(), true)),
        Some("resume") => drop(cells(&mut Ranks::world().unwrap(), &folder(), false)),
        _ => launch(),
    }
}

/// The folder that the launcher has made.
fn folder() -> std::path::PathBuf {
    std::env::args().nth(2).expect("a folder").into()
}

/// This program by so many ranks; 0 of them start it without `mpirun`.
fn start(ranks: usize, what: &str, folder: &Path) -> ExitStatus {
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
    command
        .env("RAYON_NUM_THREADS", "2")
        .env("RUST_BACKTRACE", "0")
        .arg(what)
        .arg(folder)
        .status()
        .unwrap()
}

fn launch() {
    let folder = std::env::temp_dir().join(format!("orthogap-ranks-{}", std::process::id()));
    for ranks in 0..=4 {
        assert!(start(ranks, "check", &folder).success(), "{ranks} ranks");
        println!("{ranks} ranks ... ok");
    }
    assert!(start(3, "slow", &folder.join("slow")).success());
    println!("a slow cell holds nobody back ... ok");
    assert!(!start(3, "panic", &folder).success());
    println!("a rank that panics ends the others ... ok");

    // What was finished stays, and the next program makes of it what one process makes.
    let (killed, whole) = (folder.join("killed"), folder.join("whole"));
    assert!(!start(2, "die", &killed).success());
    let finished = names(&killed);
    // The others may finish some before they are ended; one of the names is the configuration's.
    assert!((2..=CELLS).contains(&finished.len()), "{finished:?}");
    assert!(start(3, "resume", &killed).success() && start(0, "resume", &whole).success());
    assert_eq!(names(&killed), names(&whole));
    for name in names(&whole) {
        let read = |folder: &Path| fs::read(folder.join(&name)).unwrap();
        assert!(read(&killed) == read(&whole), "{name}");
    }
    println!("a rank that dies leaves what is finished ... ok");
    fs::remove_dir_all(&folder).unwrap();
}

/// The files of a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn check(ranks: &mut Ranks) {
    assert_eq!(Ranks::world().unwrap_err(), Error::Initialized);
    wide_layers(ranks);
    gradients(ranks);
    breaking_off(ranks);
    ensembles(ranks);
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

/// Reverse passes of several super-blocks, and of one.
fn gradients(ranks: &mut Ranks) {
    for width in [100_000, 50] {
        let network = Network::<f32>::new(width).with_activation(Relu);
        let input = Input::gaussian(20, 8, Seed(1)).unwrap();
        let mut shared = network.gradients_with(&input, Seed(2), 2, Top::ReadOut, ranks).unwrap();
        for alone in network.gradients(&input, Seed(2), 2, Top::ReadOut).unwrap() {
            assert_eq!(shared.step_with(ranks).unwrap(), alone.unwrap());
        }
    }
}

/// Where one rank breaks off, all do; the next layer is drawn as if nothing had been.
fn breaking_off(ranks: &mut Ranks) {
    let network = Network::<f32>::new(3_000_000);
    let input = Input::gaussian(20, 16, Seed(1)).unwrap();
    let mut chain = network.chain(&input, Seed(2)).unwrap();
    for breaks in [0, ranks.count() - 1] {
        let (own, mut told) = (ranks.index() == breaks, 0);
        let outcome = chain.step_with_while(ranks, |_| {
            told += 1;
            if own && told > 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let rows = match outcome {
            Err(orthogap::Error::Interrupted { layer: 1, rows }) => rows,
            other => panic!("{other:?}"),
        };
        let all = ranks.map(ranks.count(), |_| Ok::<_, Infallible>(rows.to_le_bytes().to_vec()));
        assert!(all.unwrap().iter().all(|other| *other == rows.to_le_bytes()));
    }
    let expected = network.chain(&input, Seed(2)).unwrap().advance(1).map(bits).unwrap();
    assert_eq!(bits(chain.step_with(ranks).unwrap()), expected);
}

/// The summary of one process, on all ranks.
fn ensembles(ranks: &mut Ranks) {
    let experiment = from_fn(["square", "failing"], 0, |run| {
        let x = f64::from(run.index());
        if run.index() % 7 == 3 {
            return Err(orthogap::Error::Collapsed { layer: 1, batch_size: 2 });
        }
        Ok([x * x / 3.0, x.sin()])
    });
    for runs in [1, 16, 500] {
        let ensemble = Ensemble::new(&experiment, Seed(3));
        assert_eq!(ranks.ensemble(&ensemble, runs).unwrap(), ensemble.run(runs).unwrap());
    }
}

/// Of different lengths, the first one empty.
fn result(job: usize) -> Vec<u8> {
    (0..job * 37 % 1000).map(|k| (job + k) as u8).collect()
}

/// No jobs, one, fewer than threads, many; each is done once, by some rank.
fn results_in_order(ranks: &mut Ranks) {
    for jobs in [0, 1, 3, 33, 500] {
        let done = Mutex::new(0);
        let results = ranks.map(jobs, |job| {
            *done.lock().unwrap() += 1;
            Ok::<_, Infallible>(result(job))
        });
        assert_eq!(results.unwrap(), (0..jobs).map(result).collect::<Vec<_>>());
        let done: usize = done.into_inner().unwrap();
        let total = Mutex::new(0);
        // The sum over ranks, as no job says which rank it is on.
        let mut sums = [done as i64];
        orthogap::chain::Communicator::all_reduce_sum(ranks, &mut sums).unwrap();
        *total.lock().unwrap() += sums[0];
        assert_eq!(total.into_inner().unwrap(), jobs as i64);
    }
}

/// Of several the first in order, after all before it, on rank 0.
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
    assert_eq!(taken, Vec::from_iter(0..if ranks.is_first() { 41 } else { 0 }));

    let (jobs, last) = (10 + usize::from(ranks.index() + 1 == ranks.count()), ranks.count() - 1);
    let outcome = ranks.map(jobs, |job| Ok::<_, Infallible>(result(job)));
    match outcome {
        Ok(results) => assert_eq!((last, results.len()), (0, 11)),
        Err(error) => assert_eq!(error, Error::DifferentJobs { first: 10, rank: last, jobs: 11 }),
    }
}

/// All ranks know, and not many jobs are begun after that.
fn takers_that_stop_or_fail(ranks: &mut Ranks) {
    let first = ranks.is_first();
    let mut outcome = |fail: bool| {
        let (mut seen, done) = (0, Mutex::new(0));
        let outcome = ranks.in_order(
            10_000,
            |job| {
                *done.lock().unwrap() += 1;
                Ok::<_, Infallible>(result(job))
            },
            |job, _| {
                seen += 1;
                match (job == 60, fail) {
                    (false, _) => Ok(ControlFlow::Continue(())),
                    (true, false) => Ok(ControlFlow::Break(())),
                    (true, true) => Err("disk full"),
                }
            },
        );
        assert_eq!(seen, if first { 61 } else { 0 });
        assert!(done.into_inner().unwrap() < 5000);
        outcome
    };
    assert_eq!(outcome(false), Ok(ControlFlow::Break(())));
    assert_eq!(outcome(true), Err(Error::Rank { rank: 0, reason: "disk full".into() }));
}

/// Three ranks: while one is at the first cell, the others do the rest. The first cell ends once the
/// last one is done.
fn a_slow_cell(ranks: &mut Ranks, folder: &Path) {
    let sweep = Sweep::open(folder, &"slow");
    let sweep = ranks.agree(sweep).unwrap();
    let cells: Vec<usize> = (0..30).collect();
    let mut done = Vec::new();
    let (pause, last) = (Duration::from_millis(20), folder.with_extension("last"));
    let results = ranks.sweep(&sweep, &cells, |&cell| {
        done.push(cell);
        std::thread::sleep(pause);
        if cell == 29 {
            fs::write(&last, "").unwrap();
        }
        let start = Instant::now();
        while cell == 0 && !last.exists() {
            assert!(start.elapsed() < Duration::from_secs(60), "the others are not at work");
            std::thread::sleep(pause);
        }
        Ok::<_, orthogap::Error>(cell * cell)
    });
    assert_eq!(results.unwrap(), cells.iter().map(|cell| cell * cell).collect::<Vec<_>>());
    assert!(done.contains(&0) == (done.len() == 1), "{done:?}");

    // A cell that fails is named on all ranks.
    let outcome = ranks.sweep(&sweep, &[40, 41, 42], |&cell| match cell {
        41 => Err(orthogap::Error::Empty { rows: 0, columns: 7 }),
        _ => Ok(cell),
    });
    let reason = "a 0 x 7 matrix holds no batch".to_owned();
    assert_eq!(outcome, Err(Error::Job { job: 1, reason }));
}

const CELLS: usize = 24;

/// Cells, at one of which the last rank may die.
fn cells(ranks: &mut Ranks, folder: &Path, dies: bool) -> Vec<f64> {
    let sweep = Sweep::open(folder, &"killed");
    let sweep = ranks.agree(sweep).unwrap();
    let (own, mut done) = (ranks.index() + 1 == ranks.count(), 0);
    let results = ranks.sweep(&sweep, &Vec::from_iter(0..CELLS), |&cell| {
        done += 1;
        if dies && own && done == 2 {
            std::process::abort();
        }
        std::thread::sleep(Duration::from_millis(100));
        Ok::<_, orthogap::Error>((cell as f64).sqrt())
    });
    results.unwrap()
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
