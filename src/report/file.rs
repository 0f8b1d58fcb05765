//! Files that are written completely or not at all.
//!
//! [`write()`] puts the contents on disk under a temporary name in the same folder, and then renames
//! it. Readers see the old contents or the new ones, even if the process is killed or several
//! processes write the same file.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{Error as IoError, ErrorKind, Result as IoResult, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// Writes a file, and creates missing folders above it.
///
/// Symbolic links are followed. Anything except a regular file, such as `/dev/stdout` or a named
/// pipe, is written to directly.
///
/// ```
/// use orthogap::report::{Table, file};
///
/// let mut table = Table::new(["width", "gap"]);
/// table.push([64u64.into(), 0.125.into()])?;
/// # let folder = std::env::temp_dir().join(format!("orthogap-file-doc-{}", std::process::id()));
/// let path = folder.join("gaps.csv");
/// file::write(&path, table.csv())?;
/// assert_eq!(std::fs::read_to_string(&path).unwrap(), "width,gap\n64,0.125\n");
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), orthogap::Error>(())
/// ```
///
/// # Errors
/// [`Error::File`] for an empty path, a folder, a read-only file, and any error of the system.
pub fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Result<()> {
    let (path, contents) = (path.as_ref(), contents.as_ref());
    let written = match destination(path).map_err(|error| failed(path, &error))? {
        // If standard output is a file, opening it once more would write at another position.
        Destination::Stream(stream)
            if STANDARD_OUTPUT.iter().any(|name| stream == Path::new(name)) =>
        {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(contents).and_then(|()| stdout.flush())
        }
        Destination::Stream(stream) => {
            OpenOptions::new().append(true).open(stream).and_then(|mut it| it.write_all(contents))
        }
        Destination::File(target) => create_folder_of(&target)
            .and_then(|()| place(&target, contents, |from| fs::rename(from, &target))),
    };
    written.map_err(|error| failed(path, &error))
}

/// Checks that files can be written and are all different, for use before a computation. Creates
/// the folders above them, and removes temporary files of killed processes.
///
/// ```
/// use orthogap::report::file;
///
/// let error = file::check(["", "results.csv"]).unwrap_err();
/// assert_eq!(error.to_string(), "\"\": an empty path names no file");
/// ```
///
/// # Errors
/// [`Error::File`] with the first path that cannot be written, or that names the file of an earlier
/// path.
pub fn check<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<()> {
    let mut targets: Vec<PathBuf> = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let target = writable(path).map_err(|error| failed(path, &error))?;
        if target.as_ref().is_some_and(|target| targets.contains(target)) {
            return Err(failed(path, &"two outputs go to this file"));
        }
        targets.extend(target);
    }
    Ok(())
}

/// The canonical path of the regular file that a path names, if it can be written; `None` for a
/// stream.
fn writable(path: &Path) -> IoResult<Option<PathBuf>> {
    let Destination::File(target) = destination(path)? else { return Ok(None) };
    create_folder_of(&target)?;
    drop(Temporary::beside(&target)?);
    let folder = folder_of(&target).canonicalize()?;
    let _ = remove_leftovers(&folder); // a folder may be written to and not listed
    Ok(target.file_name().map(|name| folder.join(name)))
}

/// Writes a file unless it exists, and returns whether it did not.
///
/// On file systems without hard links it is not written under a temporary name, so a process that
/// is killed leaves a part of it.
#[cfg_attr(not(feature = "sweep"), allow(dead_code, reason = "sweeps alone create"))]
pub(crate) fn create(path: &Path, contents: &[u8]) -> Result<bool> {
    let linked = place(path, contents, |from| match fs::hard_link(from, path) {
        // Some file systems have no links.
        Err(error)
            if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) =>
        {
            let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
            file.write_all(contents).and_then(|()| file.sync_all())
        }
        linked => linked,
    });
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(path, &error)),
    }
}

/// Removes the temporary files that killed processes left in a folder.
pub(crate) fn remove_leftovers(folder: &Path) -> IoResult<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !(name.starts_with(PREFIX) && name.ends_with(SUFFIX) && entry.file_type()?.is_file()) {
            continue;
        }
        // A process that still writes the file holds its lock.
        let opened = OpenOptions::new().write(true).open(entry.path());
        if opened.is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(entry.path()); // another process may have been faster
        }
    }
    Ok(())
}

/// An error of the file system, or of what is to go into a file.
pub(crate) fn failed(path: &Path, reason: &impl Display) -> Error {
    let path = if path.as_os_str().is_empty() { Path::new("\"\"") } else { path };
    Error::File { path: path.to_owned(), reason: reason.to_string() }
}

/// What `/dev/stdout` resolves to.
const STANDARD_OUTPUT: [&str; 2] = ["/proc/self/fd/1", "/dev/fd/1"];

/// Where a path leads to.
enum Destination {
    /// A regular file, or none yet.
    File(PathBuf),
    /// A device, a pipe or a file that this process has open.
    Stream(PathBuf),
}

fn destination(path: &Path) -> IoResult<Destination> {
    const MOST_LINKS: usize = 40; // as Linux has it
    let invalid = |reason| Err(IoError::new(ErrorKind::InvalidInput, reason));
    if path.as_os_str().is_empty() {
        return invalid("an empty path names no file");
    }
    if path.to_string_lossy().ends_with(std::path::is_separator) {
        return invalid("it names a folder, not a file");
    }
    let mut target = path.to_owned();
    for _ in 0..MOST_LINKS {
        // Renaming onto an open file would not reach the processes that have it open.
        if target.starts_with("/proc") || target.starts_with("/dev/fd") {
            return Ok(Destination::Stream(target));
        }
        let Ok(next) = fs::read_link(&target) else { break };
        target.pop();
        target.push(next);
    }
    match fs::metadata(&target) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Destination::File(target)),
        Err(error) => Err(error),
        Ok(found) if found.is_dir() => invalid("it is a folder, not a file"),
        // The superuser could replace it all the same.
        Ok(found) if found.permissions().readonly() => {
            Err(IoError::new(ErrorKind::PermissionDenied, "it is read-only"))
        }
        Ok(found) if found.is_file() => Ok(Destination::File(target)),
        Ok(_) => Ok(Destination::Stream(target)),
    }
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn create_folder_of(path: &Path) -> IoResult<()> {
    fs::create_dir_all(folder_of(path))
}

/// Puts contents on disk under a temporary name, gives the file its own name by `name_it`, and
/// makes that name survive a power cut.
fn place(path: &Path, contents: &[u8], name_it: impl Fn(&Path) -> IoResult<()>) -> IoResult<()> {
    const ATTEMPTS: usize = 10;
    let mut attempt = || {
        let mut temporary = Temporary::beside(path)?;
        if let Ok(replaced) = fs::metadata(path) {
            temporary.file.set_permissions(replaced.permissions())?;
        }
        temporary.file.write_all(contents)?;
        temporary.file.sync_all()?;
        name_it(&temporary.path)
    };
    // A temporary file that was not locked yet may have been taken for a leftover.
    let vanished = |outcome: &IoResult<()>| matches!(outcome, Err(error) if error.kind() == ErrorKind::NotFound);
    let mut outcomes = std::iter::repeat_with(&mut attempt).take(ATTEMPTS);
    outcomes.find(|outcome| !vanished(outcome)).unwrap_or_else(attempt)?;
    #[cfg(unix)]
    File::open(folder_of(path))?.sync_all()?;
    Ok(())
}

const PREFIX: &str = ".orthogap.";
const SUFFIX: &str = ".tmp";

/// A new file, removed when dropped unless it was renamed, and locked for as long as it lives.
struct Temporary {
    file: File,
    path: PathBuf,
}

impl Temporary {
    /// Under a name in the folder of `path` that no other file has.
    fn beside(path: &Path) -> IoResult<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = path.with_file_name(format!("{PREFIX}{process}.{number}{SUFFIX}"));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(file) => {
                    let _ = file.lock(); // where there are no locks, leftovers stay
                    return Ok(Self { file, path });
                }
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_replaced_or_created() {
        let folder = std::env::temp_dir().join(format!("orthogap-file-{}", std::process::id()));
        let (path, other) = (folder.join("deep/a"), folder.join("deep/b"));
        write(&path, "first").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        write(&path, "second").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(create(&path, b"third"), Ok(false));
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(create(&other, b"third"), Ok(true));
        assert_eq!(fs::read_to_string(&other).unwrap(), "third");
        assert_eq!(fs::read_dir(folder.join("deep")).unwrap().count(), 2, "nothing is left over");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn links_that_go_in_circles_are_refused() {
        let folder = std::env::temp_dir().join(format!("orthogap-circle-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink("b", folder.join("a")).unwrap();
        std::os::unix::fs::symlink("a", folder.join("b")).unwrap();
        assert!(matches!(write(folder.join("a"), "x"), Err(Error::File { .. })));
        fs::remove_dir_all(folder).unwrap();
    }
}
