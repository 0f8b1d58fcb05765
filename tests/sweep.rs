//! Sweeps: what is read and what is computed, and files that are not to be trusted.

use std::cell::Cell;
use std::path::PathBuf;

use orthogap::experiment::sweep::{Share, Sweep};
use orthogap::statistics::{BatchMeans, Line, Weighting};
use orthogap::{Error, Result};

/// A folder of a test's own, gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("orthogap-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    /// The only file of a cell.
    fn cell_file(&self) -> PathBuf {
        let files = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        files.into_iter().find(|path| !path.ends_with("sweep.json")).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn half(cell: &u32) -> Result<f64> {
    Ok(f64::from(*cell) / 2.0)
}

#[test]
fn finished_cells_are_read_and_the_others_computed() {
    let folder = Folder::new("resumed");
    let computed = Cell::new(0);
    let counting = |cell: &u32| {
        computed.set(computed.get() + 1);
        if *cell == 5 { Err(Error::ZeroColumn { column: 5 }) } else { half(cell) }
    };
    let sweep = Sweep::open(&folder.0, &"halves").unwrap();
    let error = sweep.over(&[1, 3, 5, 7]).run(counting).unwrap_err();
    assert_eq!((error, computed.get()), (Error::ZeroColumn { column: 5 }, 3));

    let sweep = Sweep::open(&folder.0, &"halves").unwrap();
    let mut told = Vec::new();
    let grid = [7, 1, 3, 9];
    let results = sweep
        .over(&grid)
        .cost(|&cell| f64::from(cell))
        .on_progress(|progress| {
            told.push((
                progress.done,
                progress.cells,
                progress.resumed,
                progress.remaining.is_some(),
            ))
        })
        .run(counting);
    assert_eq!((results.unwrap(), computed.get()), (vec![3.5, 0.5, 1.5, 4.5], 5));
    assert_eq!(told, [(2, 4, 2, false), (3, 4, 2, true), (4, 4, 2, true)]);
    assert_eq!(sweep.finished::<f64>(&9).unwrap(), Some(4.5));
    assert_eq!(sweep.finished::<f64>(&11).unwrap(), None);
}

/// Statistics whose fields are checked, one of them infinite, which JSON cannot say.
#[test]
fn statistics_are_read_as_they_were_written() {
    let folder = Folder::new("statistics");
    let sweep = Sweep::open(&folder.0, &"statistics").unwrap();
    let points = [(0.0, 1.0, 1e-200), (1.0, 2.0, 1e-200), (2.0, 4.0, 1e-200)];
    let mut means = BatchMeans::new(3);
    (0..7).for_each(|k| means.push(f64::from(k) / 3.0));
    let line = Line::with_errors(&points, Weighting::Equal).unwrap();
    let written = (line, means, *means.moments());
    assert_eq!(sweep.result(&1, |_| Ok::<_, Error>(written)).unwrap(), written);
    assert_eq!(sweep.finished(&1).unwrap(), Some(written));
}

#[test]
fn shares_make_the_whole() {
    let folder = Folder::new("shares");
    let cells: Vec<u32> = (0..7).collect();
    let sweep = Sweep::open(&folder.0, &"halves").unwrap();
    let of_share = |text: &str| sweep.over(&cells).share(text.parse().unwrap()).run(half).unwrap();
    assert_eq!(of_share("2/3"), [1.0, 2.5]);
    assert_eq!(of_share("0/3"), [0.0, 1.5, 3.0]);
    assert_eq!(of_share("1/3"), [0.5, 2.0]);
    let all = sweep.over(&cells).run(|_| Err::<f64, _>(Error::ZeroColumn { column: 0 }));
    assert_eq!(all.unwrap(), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
    for bad in ["3/3", "", "1", "-1/2", "0/0", "a/b"] {
        assert!(bad.parse::<Share>().is_err(), "{bad}");
    }
}

#[test]
fn other_configurations_are_named() {
    let folder = Folder::new("changed");
    let open = |runs: u32| Sweep::open(&folder.0, &serde_json::json!({"seed": 1, "runs": runs}));
    open(10).unwrap().over(&[1u32]).run(half).unwrap();
    let error = open(20).unwrap_err();
    let Error::ConfigurationMismatch { entry, found, expected, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((&**entry, &**found, &**expected), ("configuration.runs", "10", "20"));

    // A file that was put into another folder.
    let other = Folder::new("other");
    let sweep = Sweep::open(&other.0, &"other").unwrap();
    let file = folder.cell_file();
    std::fs::copy(&file, other.0.join(file.file_name().unwrap())).unwrap();
    let error = sweep.over(&[1u32]).run(half).unwrap_err();
    assert!(
        matches!(&error, Error::ConfigurationMismatch { entry, .. } if entry == "configuration"),
        "{error}"
    );
}

/// Every file with one byte changed, and every beginning of it, is noticed.
#[test]
fn damaged_files_are_named() {
    let folder = Folder::new("damaged");
    let sweep = Sweep::open(&folder.0, &"halves").unwrap();
    sweep.over(&[3u32]).run(half).unwrap();
    let file = folder.cell_file();
    let whole = std::fs::read(&file).unwrap();
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        for damaged in [&bytes[..], &whole[..place]] {
            std::fs::write(&file, damaged).unwrap();
            let error = sweep.over(&[3u32]).run(half).unwrap_err();
            assert!(matches!(&error, Error::Damaged { path, .. } if *path == file), "{error}");
        }
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(sweep.over(&[3u32]).run(half).unwrap(), [1.5]);
    assert_eq!(std::fs::read(&file).unwrap(), whole);
}

/// Infinities, NaN and both zeros are cells, configurations and results like any other number.
#[test]
fn every_number_is_itself() {
    let numbers = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.0, -0.0, f64::MIN_POSITIVE, 1e308];
    let same = |left: f64, right: f64| {
        left.to_bits() == right.to_bits() || left.is_nan() && right.is_nan()
    };
    let folder = Folder::new("numbers");
    let sweep = Sweep::open(&folder.0, &"numbers").unwrap();
    for reading in [false, true] {
        let compute = |cell: &f64| {
            assert!(!reading);
            Ok::<_, Error>((*cell, Some(*cell), vec![*cell]))
        };
        let found = sweep.over(&numbers).run(compute).unwrap();
        for ((bare, some, list), number) in found.into_iter().zip(numbers) {
            assert!(
                [bare, some.unwrap(), list[0]].into_iter().all(|x| same(x, number)),
                "{number}"
            );
        }
    }
    for configuration in numbers {
        let folder = Folder::new("number");
        let entry = |number: f64| std::collections::BTreeMap::from([("x", number)]);
        Sweep::open(&folder.0, &entry(configuration)).unwrap();
        for number in numbers {
            let opened = Sweep::open(&folder.0, &entry(number));
            assert_eq!(opened.is_ok(), same(number, configuration), "{number}, {configuration}");
        }
    }
}

/// The configuration is written again where all cells are of it, and refused where they are not.
#[test]
fn a_missing_configuration_is_told_from_the_cells() {
    let folder = Folder::new("missing");
    Sweep::open(&folder.0, &"halves").unwrap().over(&[1u32, 2]).run(half).unwrap();
    let manifest = folder.0.join("sweep.json");
    let whole = std::fs::read(&manifest).unwrap();
    std::fs::remove_file(&manifest).unwrap();
    let error = Sweep::open(&folder.0, &"thirds").unwrap_err();
    assert!(
        matches!(&error, Error::ConfigurationMismatch { entry, .. } if entry == "configuration"),
        "{error}"
    );
    assert!(!manifest.exists());
    Sweep::open(&folder.0, &"halves").unwrap();
    assert_eq!(std::fs::read(&manifest).unwrap(), whole);
}

/// Those of processes that were killed, not those of others that still write.
#[test]
fn temporary_files_are_removed() {
    let folder = Folder::new("temporary");
    std::fs::create_dir_all(&folder.0).unwrap();
    let [dead, living] = [".orthogap.1.0.tmp", ".orthogap.1.1.tmp"].map(|name| folder.0.join(name));
    std::fs::write(&dead, "half").unwrap();
    let writer = std::fs::File::create(&living).unwrap();
    writer.lock().unwrap();
    Sweep::open(&folder.0, &1).unwrap();
    assert!(!dead.exists() && living.exists());
    drop(writer);
    Sweep::open(&folder.0, &1).unwrap();
    assert!(!living.exists());
}

/// Neither a device nor a pipe holds results; opening a pipe would wait for ever.
#[cfg(unix)]
#[test]
fn pipes_are_no_cells() {
    let folder = Folder::new("pipe");
    let sweep = Sweep::open(&folder.0, &"halves").unwrap();
    sweep.over(&[3u32]).run(half).unwrap();
    let file = folder.cell_file();
    std::fs::remove_file(&file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.unwrap().success());
    let error = sweep.over(&[3u32]).run(half).unwrap_err();
    assert!(error.to_string().ends_with(".json: it is no regular file"), "{error}");
}

#[test]
fn what_cannot_be_kept_is_said_at_once() {
    let folder = Folder::new("unkept");
    let sweep = Sweep::open(&folder.0, &"unkept").unwrap();
    /// Reads less than it writes.
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    struct OneWay {
        #[serde(skip_serializing)]
        _number: f64,
    }
    let error = sweep.result(&1u32, |_| Ok::<_, Error>(OneWay { _number: 1.0 })).unwrap_err();
    assert!(error.to_string().contains("does not read back: missing field `_number`"), "{error}");
    assert!(sweep.finished::<OneWay>(&1u32).unwrap().is_none());
    std::fs::write(folder.0.join("file"), "").unwrap();
    let error = Sweep::open(folder.0.join("file"), &"x").unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
}
