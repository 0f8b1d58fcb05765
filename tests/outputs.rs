//! Examples as processes: what becomes of their outputs where pipes close, disks fill, paths are
//! wrong and processes are killed.
//!
//! `cargo test` builds examples with tests as test programs alone, so this one has cargo build them as
//! programs; their libraries are there.
#![cfg(unix)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

/// The folder of the programs.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let this = std::env::current_exe().expect("this program");
    let target = this.ancestors().nth(2).expect("TARGET/PROFILE/deps/outputs");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet"]);
    // The folder, the profile and the features of this program, so that no library is built again.
    cargo.arg("--target-dir").arg(target.parent().expect("TARGET"));
    match target.ends_with("release") {
        true => cargo.arg("--release"),
        false => cargo.args(["--profile", "test"]),
    };
    let features = [
        ("assignment", cfg!(feature = "assignment")),
        ("faer", cfg!(feature = "faer")),
        ("ndarray", cfg!(feature = "ndarray")),
        ("serde", cfg!(feature = "serde")),
        ("sinkhorn", cfg!(feature = "sinkhorn")),
        ("sweep", cfg!(feature = "sweep")),
    ];
    for (feature, _) in features.into_iter().filter(|(_, enabled)| *enabled) {
        cargo.args(["--features", feature]);
    }
    for name in ["quickstart", "billion_wide", "train"] {
        cargo.args(["--example", name]);
    }
    assert!(cargo.status().expect("cargo").success());
    target.join("examples")
});

/// A folder of one test, which its programs run in.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("orthogap-outputs-{test}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A program with its words, to be started here.
    fn program(&self, words: &str) -> Command {
        let mut words = words.split(' ');
        let mut command = Command::new(PROGRAMS.join(words.next().expect("a name")));
        command.args(words.map(|word| if word == "EMPTY" { "" } else { word }));
        command.current_dir(&self.0).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, words: &str) -> Output {
        self.program(words).output().expect("a program")
    }

    /// Names of the files here, in order.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("a folder").map(|entry| entry.expect("it"));
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().into_string().expect("plain")).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The only line on standard error.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    text.trim_end().to_owned()
}

/// Asserts that a program failed, with one line that has this in it.
fn assert_refused(output: &Output, message: &str) {
    let line = complaint(output);
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(line.contains(message), "{line}, not {message}");
}

fn assert_done(output: &Output) {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{:?}: {complaint}", output.status);
}

const QUICKSTART: &str =
    "quickstart --width 16 --batch 2 --depth 3 --runs 2 --csv a.csv --svg a.svg";
const BILLION: &str = "billion_wide --width 1000 --batch 2 --csv a.csv";
const TRAIN: &str = "train --quick --images 60 --width 8 --depth 2 --init xavier --csv a.csv \
                     --svg a.svg --checkpoint kept";

#[test]
fn closed_pipes_lose_nothing() {
    for words in [QUICKSTART, BILLION, TRAIN] {
        let folder = Folder::new("closed");
        let mut child = folder.program(words).spawn().expect("a program");
        drop(child.stdout.take());
        assert_done(&child.wait_with_output().expect("its end"));
        assert!(folder.path("a.csv").exists(), "{words}");
        assert!(folder.path("a.svg").exists() || words == BILLION, "{words}");
    }
    let mut help = Folder::new("help").program("quickstart --help").spawn().expect("a program");
    drop(help.stdout.take());
    assert_done(&help.wait_with_output().expect("its end"));
}

#[cfg(target_os = "linux")]
#[test]
fn full_pipes_lose_nothing() {
    for words in [QUICKSTART, BILLION, TRAIN] {
        let folder = Folder::new("full");
        let full = File::options().write(true).open("/dev/full").expect("a device");
        let output = folder.program(words).stdout(full).output().expect("a program");
        assert_refused(&output, ": standard output: No space left on device");
        assert!(folder.path("a.csv").exists(), "{words}");
        assert!(folder.path("a.svg").exists() || words == BILLION, "{words}");
    }
}

/// Through a link, so that no device can come to harm here.
#[cfg(target_os = "linux")]
#[test]
fn devices_are_written_to_directly() {
    let folder = Folder::new("device");
    for (device, works) in [("/dev/null", true), ("/dev/full", false)] {
        let link = folder.path("a.csv");
        std::os::unix::fs::symlink(device, &link).expect("a link");
        let output = folder.run(QUICKSTART);
        match works {
            true => assert_done(&output),
            false => assert_refused(&output, "quickstart: a.csv: No space left on device"),
        }
        assert_eq!(fs::read_link(&link).expect("still a link"), Path::new(device));
        assert!(fs::metadata(&link).expect("a device").file_type().is_char_device());
        assert!(folder.path("a.svg").exists(), "the other output");
        fs::remove_file(link).expect("a link");
    }
    let printed = folder.run(&QUICKSTART.replace("a.csv", "/dev/stdout"));
    assert_done(&printed);
    assert!(String::from_utf8_lossy(&printed.stdout).contains("\nwidth,network,run,layer,"));
    // The same into a file, which this process has open.
    let file = File::create(folder.path("all")).expect("a file");
    let words = QUICKSTART.replace("a.csv", "/dev/stdout");
    assert_done(&folder.program(&words).stdout(file).output().expect("a program"));
    let all = fs::read_to_string(folder.path("all")).expect("text");
    assert!(all.contains("\nwidth,network,run,layer,") && all.contains("\nGap: 0 if"), "{all}");
}

#[test]
fn pipes_and_links_stay_what_they_are() {
    let folder = Folder::new("links");
    let (pipe, link) = (folder.path("a.csv"), folder.path("a.svg"));
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    std::os::unix::fs::symlink("deeper/b.svg", &link).expect("a link");
    let child = folder.program(QUICKSTART).spawn().expect("a program");
    let mut csv = String::new();
    File::open(&pipe).expect("a pipe").read_to_string(&mut csv).expect("text");
    assert_done(&child.wait_with_output().expect("its end"));
    assert!(csv.starts_with("width,network,") && csv.ends_with('\n'));
    assert!(fs::metadata(&pipe).expect("a pipe").file_type().is_fifo());
    assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
    assert!(fs::read_to_string(folder.path("deeper/b.svg")).expect("text").starts_with("<svg "));
}

/// Before anything is computed: the whole experiment would take minutes.
#[test]
fn wrong_outputs_are_refused_at_the_start() {
    let folder = Folder::new("wrong");
    fs::write(folder.path("file"), "x").expect("written");
    fs::write(folder.path("read-only"), "x").expect("written");
    let mut permissions = fs::metadata(folder.path("read-only")).expect("it").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(folder.path("read-only"), permissions).expect("set");
    fs::create_dir(folder.path("folder")).expect("made");
    for (words, message) in [
        ("quickstart --csv folder", "quickstart: folder: it is a folder, not a file"),
        ("quickstart --svg new/", "quickstart: new/: it names a folder, not a file"),
        ("quickstart --csv file/a.csv", "quickstart: file/a.csv: Not a directory"),
        ("quickstart --csv read-only", "quickstart: read-only: it is read-only"),
        ("quickstart --csv same --svg ./same", "quickstart: ./same: two outputs go to this file"),
        ("quickstart --csv EMPTY", "quickstart: a value is required for '--csv <PATH>'"),
        ("train --csv folder", "train: folder: it is a folder, not a file"),
        ("train --csv kept/any.checkpoint --checkpoint kept", "two outputs go to this file"),
        ("train --checkpoint file", "train: file/any.checkpoint: "),
        ("train --checkpoint EMPTY", "train: a value is required for '--checkpoint <DIR>'"),
        ("billion_wide --csv folder", "billion_wide: folder: it is a folder, not a file"),
    ] {
        assert_refused(&folder.run(words), message);
    }
    assert_eq!(fs::read_to_string(folder.path("read-only")).expect("text"), "x");
    assert!(folder.names().iter().all(|name| !name.ends_with(".tmp")));
}

#[test]
fn sizes_are_refused_before_anything_is_allocated() {
    let folder = Folder::new("sizes");
    for (words, message) in [
        ("quickstart --width 18446744073709551615", "from 1 to 1099511627776"),
        ("quickstart --depth 1099511627776", "the records of all layers would take 1.0486e7 GiB"),
        ("quickstart --threads 1000000", "expected 0, for all cores, to 1024"),
        ("billion_wide --width 18446744073709551615", "from 1 to 1099511627776"),
        ("train --width 18446744073709551615", "from 1 to 1099511627776"),
        (
            "billion_wide --batch 1000000 --width 1000000000",
            "the state of a chain would take 1.4901e4",
        ),
        ("train --runs 4294967295", "the records of all epochs would take"),
        (
            "train --width 4294967296 --threads 1",
            "the parameters of the networks in training would take 6.1848e12 GiB",
        ),
        ("train --threads 1000000", "expected 0, for all cores, to 1024"),
    ] {
        assert_refused(&folder.run(words), message);
    }
    for name in ["RAYON_NUM_THREADS", "RAYON_RS_NUM_CPUS"] {
        let output = folder.program(QUICKSTART).env(name, "1000000").output().expect("a program");
        assert_refused(&output, &format!("quickstart: {name}=1000000: expected 0"));
    }
}

/// Equal seeds: each file is whole, and the same, no matter which came last.
#[test]
fn two_at_once_do_not_disturb_each_other() {
    let folder = Folder::new("two");
    for words in [QUICKSTART, TRAIN] {
        assert_done(&folder.run(words));
        let expected = fs::read(folder.path("a.csv")).expect("a file");
        for _ in 0..10 {
            let _ = fs::remove_dir_all(folder.path("kept"));
            let children = [(); 4].map(|()| folder.program(words).spawn().expect("a program"));
            for child in children {
                assert_done(&child.wait_with_output().expect("its end"));
                assert_eq!(fs::read(folder.path("a.csv")).expect("a file"), expected);
            }
        }
    }
    assert!(folder.names().iter().all(|name| !name.ends_with(".tmp")));
}

/// Training is killed again and again, while it saves among other times, and resumes to the same bytes.
/// At least one kill finds a checkpoint from which the next process resumes.
#[test]
fn killed_training_resumes() {
    let folder = Folder::new("killed");
    let words = format!("{TRAIN} --epochs 40 --threads 1");
    assert_done(&folder.run(&words));
    let expected = fs::read(folder.path("a.csv")).expect("a file");
    fs::remove_dir_all(folder.path("kept")).expect("checkpoints");
    let (mut kills, mut saved) = (0, 0);
    loop {
        let mut child = folder.program(&words).spawn().expect("a program");
        std::thread::sleep(Duration::from_millis(20 + 7 * kills));
        if child.try_wait().expect("a child").is_some() {
            assert_done(&child.wait_with_output().expect("its end"));
            break;
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("a child");
        kills += 1;
        let mut kept = fs::read_dir(folder.path("kept")).into_iter().flatten();
        saved += usize::from(kept.next().is_some());
        assert!(kills < 60, "training makes no progress");
    }
    assert!(saved > 0, "none of {kills} kills found a checkpoint");
    assert_eq!(fs::read(folder.path("a.csv")).expect("a file"), expected);
    let leftovers = fs::read_dir(folder.path("kept")).expect("checkpoints").count();
    assert_eq!(leftovers, 1, "one checkpoint, and nothing else");
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(sent.expect("kill").success());
}

/// The layers that are done are written, however a program is ended.
#[test]
fn signals_keep_what_is_done() {
    for signals in [&["TERM"][..], &["HUP"], &["INT"], &["INT", "INT"], &["INT", "TERM"]] {
        let folder = Folder::new("signals");
        let words = "billion_wide --width 20000000 --layers 1000 --csv a.csv";
        let mut child = folder.program(words).spawn().expect("a program");
        let stdout = child.stdout.as_mut().expect("a pipe");
        let mut lines = BufReader::new(stdout).lines();
        let first = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("    1 ")));
        assert!(first.is_some(), "a layer");
        for name in signals {
            // The program may have ended by the first.
            if child.try_wait().expect("a child").is_none() {
                signal(&child, name);
            }
        }
        let output = child.wait_with_output().expect("its end");
        assert_eq!(output.status.code(), Some(130), "{signals:?}: {output:?}");
        let csv = fs::read_to_string(folder.path("a.csv")).expect("a file");
        assert!(csv.lines().count() >= 3 && csv.contains("\n1,"), "{signals:?}: {csv}");
    }
}

/// A file system of 64 KiB, where the machine lets this process mount one.
#[cfg(target_os = "linux")]
#[test]
fn full_disks_are_told() {
    let folder = Folder::new("disk");
    let disk = folder.path("disk");
    fs::create_dir(&disk).expect("made");
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&disk);
    if !mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        eprintln!("not shown: this process must not mount a file system");
        return;
    }
    fs::write(disk.join("a.csv"), "before\n").expect("written");
    let words = "quickstart --width 16 --batch 2 --depth 200 --runs 9 --csv disk/a.csv --svg a.svg";
    let output = folder.run(words);
    let (csv, files) = (fs::read_to_string(disk.join("a.csv")), fs::read_dir(&disk));
    let files = files.expect("a folder").count();
    assert!(Command::new("umount").arg(&disk).status().expect("umount").success());
    assert_refused(&output, "quickstart: disk/a.csv: No space left on device");
    assert_eq!((csv.expect("as before").as_str(), files), ("before\n", 1));
    assert!(folder.path("a.svg").exists());
}
