//! A sweep in a process of its own is killed again and again, and resumes to the same bytes.
//!
//! Without a test harness, since the process that is killed is this program itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use orthogap::ensemble::{Ensemble, Observed};
use orthogap::sweep::Sweep;
use orthogap::{Input, Network, Seed};

const CELLS: usize = 8;

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
            let experiment = Observed::new(&network, &input)
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
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("--swept") {
        sweep(Path::new(&arguments.next().expect("a folder")), Duration::from_millis(30));
        return ExitCode::SUCCESS;
    }
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
    ExitCode::SUCCESS
}
