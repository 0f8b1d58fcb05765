//! The files that an example writes.

use std::path::Path;

use orthogap::report::file;

use crate::command::Result;
use crate::say;

/// Writes files and prints their paths. All are tried, even if one fails; those without contents
/// are left out. The error is one line with every failure.
pub fn publish<'a>(outputs: impl IntoIterator<Item = (&'a Path, Option<Vec<u8>>)>) -> Result<()> {
    let mut failures = Vec::new();
    for (path, contents) in outputs {
        let Some(contents) = contents else { continue };
        match file::write(path, contents) {
            Ok(()) => say!("wrote {}", path.display()),
            Err(error) => failures.push(error.to_string()),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_output_is_tried() {
        let folder = std::env::temp_dir().join(format!("orthogap-publish-{}", std::process::id()));
        let [blocked, written] = ["blocked", "written"].map(|name| folder.join(name));
        std::fs::create_dir_all(&blocked).unwrap();
        let contents = || Some(b"x".to_vec());
        let outputs =
            [(&*blocked, contents()), (&*written, contents()), (Path::new(""), contents())];
        let error = publish(outputs).unwrap_err().to_string();
        let expected = format!(
            "{}: it is a folder, not a file; \"\": an empty path names no file",
            blocked.display()
        );
        assert_eq!(error, expected);
        assert_eq!(std::fs::read(&written).unwrap(), b"x");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
