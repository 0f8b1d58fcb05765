//! Signals of the operating system, such as Ctrl-C, while Python waits for Rust.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::error::{Failure, Result, refuse};

/// The time between two looks for signals.
const EVERY: Duration = Duration::from_millis(50);

/// Looks for signals now and then, and remembers the exception that one raised.
pub struct Signals {
    last: Instant,
    raised: Option<PyErr>,
}

impl Signals {
    pub fn new() -> Self {
        Self { last: Instant::now(), raised: None }
    }

    /// Whether to go on. Attaches to the interpreter about 20 times a second.
    pub fn proceed(&mut self) -> ControlFlow<()> {
        if self.raised.is_none() && self.last.elapsed() >= EVERY {
            self.raised = Python::attach(|py| py.check_signals()).err();
            self.last = Instant::now();
        }
        match self.raised {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    }

    /// An error if a signal raised an exception.
    pub fn check(&mut self) -> Result<()> {
        match self.proceed() {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                Err(self.raised.take().map_or_else(interrupted, Failure::from))
            }
        }
    }

    /// The exception that a signal raised, if it interrupted the work; otherwise the error itself.
    pub fn reason(self, error: Failure) -> Failure {
        self.raised.map_or(error, Failure::from)
    }
}

fn interrupted() -> Failure {
    refuse("interrupted")
}

/// Runs `work` on another thread, and `between` about 20 times a second on this one, detached; an
/// error of `between` sets the flag that `work` gets.
pub fn watched<R: Send>(
    work: impl FnOnce(&AtomicBool) -> R + Send,
    mut between: impl FnMut() -> PyResult<()>,
) -> Result<R> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (done, finished) = channel();
        let stop = &stop;
        scope.spawn(move || {
            // The receiver lives as long as the scope.
            let _ = done.send(work(stop));
        });
        let mut raised = None;
        loop {
            match finished.recv_timeout(EVERY) {
                Ok(result) => return raised.map_or(Ok(result), |error: PyErr| Err(error.into())),
                Err(RecvTimeoutError::Timeout) if raised.is_none() => {
                    raised = between().err();
                    stop.store(raised.is_some(), Ordering::Relaxed);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(refuse("the thread that did the work has panicked"));
                }
            }
        }
    })
}
