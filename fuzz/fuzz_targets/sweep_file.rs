//! Any bytes as the file of a sweep's result, with a wrong checksum and with a right one.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use orthogap::Error;
use orthogap::experiment::sweep::Sweep;

/// A sweep with one cell, and the file of its result.
static SWEEP: LazyLock<(Sweep, PathBuf)> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("orthogap-fuzz-{}", std::process::id()));
    let sweep = Sweep::open(folder, &"fuzz").expect("a folder");
    sweep.result(&7, |_| Ok::<_, Error>(vec![1.5])).expect("a result");
    let files =
        fs::read_dir(sweep.folder()).expect("a folder").map(|file| file.expect("it").path());
    let file = files.into_iter().find(|path| !path.ends_with("sweep.json")).expect("a file");
    (sweep, file)
});

/// FNV-1a, as in the files.
fn checksum(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

fuzz_target!(|input: (bool, &[u8])| {
    let (sweep, file) = &*SWEEP;
    let (signed, mut bytes) = (input.0, input.1.to_vec());
    if signed {
        bytes.extend(format!("\n{:016x}\n", checksum(input.1)).bytes());
    }
    for path in [file.clone(), sweep.folder().join("sweep.json")] {
        let good = fs::read(&path).expect("it is there");
        fs::write(&path, &bytes).expect("written");
        let reopened = Sweep::open(sweep.folder(), &"fuzz");
        let found = sweep.finished::<Vec<f64>>(&7);
        if let Err(error) = reopened.and(found) {
            assert!(!error.to_string().is_empty());
        }
        fs::write(&path, good).expect("written");
    }
    assert_eq!(sweep.finished::<Vec<f64>>(&7), Ok(Some(vec![1.5])));
});
