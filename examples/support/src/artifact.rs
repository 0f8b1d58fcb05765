//! A result file: written whole or not at all, into folders that it makes.
#![allow(dead_code, reason = "each example uses its own part of this file")]

use std::{fs, io, path::Path};

/// Writes `contents`, text or bytes, to a sibling of `path` first and renames that, so nobody ever sees half of it.
pub fn write(path: &Path, contents: impl AsRef<[u8]>) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let written = fs::write(&part, contents).and_then(|()| fs::rename(&part, path));
    written.inspect_err(|_| drop(fs::remove_file(&part)))
}

/// Writes `contents` and prints where; an error names the path, too.
pub fn publish(path: &Path, contents: impl AsRef<[u8]>) -> Result<(), String> {
    write(path, contents).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}
