//! Documented examples compile in a crate that depends on this one alone.

use std::fs;
use std::path::Path;

/// Crates that this one re-exports, or that only its features need.
const OTHERS: [&str; 5] = ["nalgebra", "rand", "rand_distr", "approx", "num_traits"];

/// The lines of documentation of a file that import another crate.
fn imports(path: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // Conversions need the crate that they convert to.
            if !path.ends_with("interop") {
                imports(&path, found);
            }
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines() {
            let line = line.trim_start();
            let example = ["/// ", "//! "].iter().find_map(|mark| line.strip_prefix(mark));
            let import = example.and_then(|line| line.strip_prefix("use "));
            if import.is_some_and(|import| OTHERS.iter().any(|other| import.starts_with(other))) {
                found.push(format!("{}: {line}", path.display()));
            }
        }
    }
}

#[test]
fn examples_need_no_other_crate() {
    let mut found = Vec::new();
    imports(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.is_empty(), "{found:#?}");
}
