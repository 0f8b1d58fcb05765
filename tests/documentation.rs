//! Documented examples compile in a crate that depends on this one alone.

use std::fs;
use std::path::Path;

/// Crates that this one re-exports, or that only its features need.
const OTHERS: [&str; 11] = [
    "nalgebra",
    "rand",
    "rand_distr",
    "approx",
    "num_traits",
    "ndarray",
    "faer",
    "rayon",
    "serde",
    "serde_json",
    "proptest",
];

/// The lines of a file's documentation, without the marks that hide a line of an example: in Markdown
/// these are all lines.
fn documentation<'a>(path: &Path, text: &'a str) -> impl Iterator<Item = &'a str> {
    let markdown = path.extension().is_some_and(|extension| extension == "md");
    text.lines().filter_map(move |line| {
        let line = line.trim_start();
        let marked = ["/// ", "//! "].iter().find_map(|mark| line.strip_prefix(mark));
        let line = if markdown { Some(line) } else { marked };
        line.map(|line| line.trim_start().trim_start_matches("# "))
    })
}

/// Whether a line imports another crate.
fn imports(line: &str) -> bool {
    let path = line.strip_prefix("use ").map(|path| path.trim_start_matches("::"));
    let name = path.and_then(|path| path.split([':', ';', ' ']).next());
    name.is_some_and(|name| OTHERS.contains(&name))
}

/// Adds the files of a folder and of the folders in it.
fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            found.push(path);
        } else if !path.ends_with("interop") {
            // Conversions need the crate that they convert to.
            files(&path, found);
        }
    }
}

#[test]
fn examples_need_no_other_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("README.md")];
    files(&root.join("src"), &mut paths);
    assert!(paths.iter().any(|path| path.ends_with("src/guide/idea.md")), "{paths:?}");
    let mut found = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let lines = documentation(&path, &text).filter(|line| imports(line));
        found.extend(lines.map(|line| format!("{}: {line}", path.display())));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn imports_are_seen() {
    let lines =
        |name: &str, text| documentation(Path::new(name), text).filter(|l| imports(l)).count();
    assert_eq!(
        lines("guide.md", "use nalgebra::DMatrix;\n# use serde_json as json;\nuse rand;"),
        3
    );
    assert_eq!(lines("lib.rs", "use nalgebra::DMatrix;\n/// # use rayon::prelude::*;"), 1);
    assert_eq!(lines("guide.md", "use orthogap::rand;\nWe use rand."), 0);
}
