//! Files that are there whole or not at all, with a checksum.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Error, Result};

/// An error of the file system, or of what is to go into a file.
pub(super) fn file_error(path: &Path, reason: &impl Display) -> Error {
    Error::File { path: path.to_owned(), reason: reason.to_string() }
}

/// A readable file name that tells the values of a cell, unique by a hash.
pub(super) fn name_of(cell: &Value) -> String {
    const LONGEST: usize = 80;
    let text = cell.to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let words: Vec<_> = text.split(|c| !plain(c)).filter(|word| !word.is_empty()).collect();
    let mut name = words.join("-");
    name.truncate(LONGEST); // plain characters are one byte each
    format!("{name}-{:016x}.json", hash(text.as_bytes()))
}

/// Writes a value and its checksum beside the file, and moves them there once they are on disk.
pub(super) fn write(path: &Path, value: &Value) -> Result<()> {
    let line = value.to_string();
    let text = format!("{line}\n{:016x}\n", hash(line.as_bytes()));
    let failed = |error: std::io::Error| file_error(path, &error);
    let (mut file, temporary) = create_beside(path).map_err(failed)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let moved = written.and_then(|()| fs::rename(&temporary, path));
    if moved.is_err() {
        let _ = fs::remove_file(&temporary); // the first error tells more
    }
    moved.map_err(failed)?;
    // The new name must outlive a power cut, too.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(())
}

/// A new hidden file in the same folder, whose name no other process has.
fn create_beside(path: &Path) -> std::io::Result<(File, PathBuf)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for attempt in 0.. {
        let temporary = path.with_file_name(format!(".{name}.{attempt}.tmp"));
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < 10_000 => {}
            opened => return opened.map(|file| (file, temporary)),
        }
    }
    unreachable!("the last attempt returns")
}

/// Reads a value back, if the file is there.
pub(super) fn read(path: &Path) -> Result<Option<Value>> {
    let text = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error(path, &error)),
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
