//! Sweeps as processes: killed again and again, one resumes to the same bytes; of two with different
//! configurations in one new folder, one is refused.
//!
//! Without a test harness, since the processes are this program itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use orthogap::experiment::sweep::Sweep;
use orthogap::experiment::{ChainExperiment, Ensemble};
use orthogap::{Error, Input, Network, Seed};

const CELLS: usize = 8;
const RACES: u32 = 100;

/// Runs the sweep in a folder, pausing in each cell so that it can be caught there.
fn sweep(folder: &Path, pause: Duration) {
    let cells: Vec<usize> = (0..CELLS).map(|k| 8 << (k / 2)).map(|d| d + 1).collect();
    let cells: Vec<_> = cells.into_iter().enumerate().collect();
    let sweep = Sweep::open(folder, &"killed").expect("a folder of its own");
    sweep
        .over(&cells)
        .run(|&(index, width)| {
            let input = Input::spiked(4, 1e-6)?;
            let network = Network::<f64>::new(width);
            let experiment = ChainExperiment::new(&network, &input)
                .observe("log_gap", |layer| Ok(layer.orthogonality_gap().ln()))
                .at([0, 10, 20]);
            std::thread::sleep(pause);
            Ensemble::new(&experiment, Seed(index as u64)).run(40)
        })
        .expect("a sweep");
}

/// The finished files of a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("read"));
    entries
        .map(|entry| (entry.file_name().into_string().expect("plain"), entry.path()))
        .filter(|(name, _)| !name.starts_with('.'))
        .map(|(name, path)| (name, std::fs::read(path).expect("read")))
        .collect()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match arguments[..] {
        ["--swept", folder] => sweep(Path::new(folder), Duration::from_millis(30)),
        ["--raced", folder, number] => return raced(Path::new(folder), number),
        _ => {
            is_killed();
            races();
        }
    }
    ExitCode::SUCCESS
}

/// One of two processes that open a folder at the same time, each for another configuration.
fn raced(folder: &Path, number: &str) -> ExitCode {
    let number: u32 = number.parse().expect("a number");
    // Both start once both are there.
    std::fs::write(folder.with_file_name(format!("ready-{number}")), "").expect("written");
    while !folder.with_file_name(format!("ready-{}", 1 - number)).exists() {
        std::thread::yield_now();
    }
    let cells = [1, 2, 3];
    let swept = Sweep::open(folder, &number)
        .and_then(|sweep| sweep.over(&cells).run(|cell| Ok::<_, Error>(cell * 10 + number)));
    match swept {
        Ok(results) => {
            assert_eq!(results, cells.map(|cell| cell * 10 + number));
            ExitCode::SUCCESS
        }
        Err(error @ Error::ConfigurationMismatch { .. }) => {
            println!("{error}");
            ExitCode::from(3)
        }
        Err(error) => panic!("{error}"),
    }
}

/// A hundred times, exactly one of two configurations gets a new folder, and it can be resumed.
fn races() {
    let base = std::env::temp_dir().join(format!("orthogap-raced-{}", std::process::id()));
    let this = std::env::current_exe().expect("this program");
    let mut first = 0;
    for race in 0..RACES {
        let folder = base.join(race.to_string()).join("sweep");
        std::fs::create_dir_all(folder.parent().expect("the race's")).expect("made");
        let start = |number: u32| {
            let mut command = Command::new(&this);
            command.arg("--raced").arg(&folder).arg(number.to_string()).stdout(Stdio::null());
            command.spawn().expect("a process")
        };
        let codes = [start(0), start(1)].map(|mut child| child.wait().expect("a child").code());
        let winner = match codes {
            [Some(0), Some(3)] => 0,
            [Some(3), Some(0)] => 1,
            other => panic!("race {race}: {other:?}"),
        };
        first += 1 - winner;
        Sweep::open(&folder, &winner).expect("the winner's results");
        assert_eq!(files(&folder).len(), 4, "a configuration and three cells");
    }
    std::fs::remove_dir_all(&base).expect("made above");
    println!("of {RACES} races for a folder, the first process won {first}");
}

fn is_killed() {
    let base = std::env::temp_dir().join(format!("orthogap-killed-{}", std::process::id()));
    let (undisturbed, killed) = (base.join("undisturbed"), base.join("killed"));
    sweep(&undisturbed, Duration::ZERO);
    let expected = files(&undisturbed);
    assert_eq!(expected.len(), CELLS + 1, "a file for each cell, and one for the configuration");

    let this = std::env::current_exe().expect("this program");
    let (mut kills, mut seen) = (0, Vec::new());
    loop {
        let mut child = Command::new(&this).arg("--swept").arg(&killed).spawn().expect("a process");
        // Later each time: the first may not get to a cell, the last may finish.
        std::thread::sleep(Duration::from_millis(20 + 15 * kills));
        if child.try_wait().expect("a child").is_some() {
            break;
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("a child");
        kills += 1;
        let found = files(&killed);
        seen.push(found.len());
        for (name, bytes) in &found {
            assert_eq!(bytes, &expected[name], "{name} after kill {kills}");
        }
        assert!(kills < 60, "the sweep makes no progress: {seen:?}");
    }
    assert!(
        seen.iter().any(|&count| count > 1 && count < CELLS + 1),
        "never caught amid: {seen:?}"
    );
    assert_eq!(files(&killed), expected);
    std::fs::remove_dir_all(&base).expect("made above");
    println!("killed {kills} times, with {seen:?} files, and resumed to the same bytes");
}
