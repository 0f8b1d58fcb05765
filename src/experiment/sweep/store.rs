//! Values in files, with a checksum.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::report::file;
use crate::{Error, Result};

/// A readable file name with the values of a cell, unique by a hash.
pub(super) fn name_of(cell: &Value) -> String {
    const LONGEST: usize = 80;
    let text = cell.to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let words: Vec<_> = text.split(|c| !plain(c)).filter(|word| !word.is_empty()).collect();
    let mut name = words.join("-");
    name.truncate(LONGEST); // plain characters are one byte each
    format!("{name}-{:016x}.json", hash(text.as_bytes()))
}

/// Writes a value and its checksum unless the file exists, and returns whether it did not.
pub(super) fn create(path: &Path, value: &Value) -> Result<bool> {
    let line = value.to_string();
    file::create(path, format!("{line}\n{:016x}\n", hash(line.as_bytes())).as_bytes())
}

/// Reads a value back, if the file exists.
pub(super) fn read(path: &Path) -> Result<Option<Value>> {
    let text = match fs::metadata(path) {
        // To open a pipe would wait for its other end.
        Ok(found) if !found.is_file() => {
            return Err(file::failed(path, &"it is no regular file"));
        }
        Ok(_) => fs::read(path).map_err(|error| file::failed(path, &error))?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file::failed(path, &error)),
    };
    let damaged =
        |reason: &str| Error::Damaged { path: path.to_owned(), reason: reason.to_owned() };
    let text = String::from_utf8(text).map_err(|_| damaged("it is no text"))?;
    let mut lines = text.split('\n');
    let (Some(line), Some(checksum), Some(""), None) =
        (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return Err(damaged("it is not a line with its checksum"));
    };
    if checksum != format!("{:016x}", hash(line.as_bytes())) {
        return Err(damaged("its checksum is wrong"));
    }
    serde_json::from_str(line).map(Some).map_err(|error| damaged(&error.to_string()))
}

/// The files of finished cells in a folder, by their [names](name_of), in alphabetical order.
pub(super) fn cells(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| file::failed(folder, &error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
        let hash = stem.and_then(|stem| stem.rsplit_once('-')).map(|(_, hash)| hash);
        if hash.is_some_and(|hash| hash.len() == 16 && u64::from_str_radix(hash, 16).is_ok()) {
            paths.push(folder.join(name));
        }
    }
    paths.sort();
    Ok(paths)
}

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Known answers of the authors (Fowler, Noll, Vo).
    #[test]
    fn hashes_are_fnv() {
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(b"foobar"), 0x85944171f73967e8);
    }

    #[test]
    fn names_can_be_read_and_differ() {
        let name = name_of(&json!({"width": 64, "activation": "1 + tanh"}));
        assert!(
            name.starts_with("activation-1-+-tanh-width-64-") && name.ends_with(".json"),
            "{name}"
        );
        assert_ne!(name_of(&json!({"a": "x/y"})), name_of(&json!({"a": "x y"})));
        assert!(name_of(&json!(["z".repeat(500)])).len() < 110);
        assert!(!name_of(&json!("../../etc")).contains('/'));
    }
}
