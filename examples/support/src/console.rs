//! Standard output, which may be closed or full. No result must be lost then.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether this is a program. In a test, which may capture what is printed, it is not.
static PROGRAM: AtomicBool = AtomicBool::new(false);
/// The first error of standard output.
static FAILURE: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints a line on standard output. After an error nothing more is printed;
/// [`command::run`](crate::command::run) reports it when the work is done.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::console::line(format_args!($($text)*)) };
}

/// Prints a line; see [`say!`](crate::say).
pub fn line(text: fmt::Arguments) {
    if !PROGRAM.load(Ordering::Relaxed) {
        return println!("{text}");
    }
    let mut failure = FAILURE.lock().unwrap_or_else(PoisonError::into_inner);
    if failure.is_none() {
        *failure = writeln!(io::stdout().lock(), "{text}").err();
    }
}

/// Begins to keep errors instead of panicking.
pub(crate) fn begin() {
    PROGRAM.store(true, Ordering::Relaxed);
}

/// Flushes standard output and returns its first error. A pipe that the reader closed is not an
/// error.
pub(crate) fn finish() -> io::Result<()> {
    let failure = FAILURE.lock().unwrap_or_else(PoisonError::into_inner).take();
    match failure.map_or_else(|| io::stdout().flush(), Err) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}
