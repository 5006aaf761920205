//! Logs panics as events: one line each, instead of free text between the lines.
//!
//! The panic of a function is logged with its run. Other panics of a program go to the program's
//! own hook, unless it wants [`everything`] logged.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::fmt;
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Once, OnceLock};

use serde::{Deserialize, Serialize};

use crate::{Address, JobId, text};

/// The most characters of a backtrace, which is present only with `RUST_BACKTRACE`.
const BACKTRACE: usize = 20_000;

/// The most characters kept of where a panic was.
const PLACE: usize = 200;

/// What logs the panics of runs instead: another process.
static ELSEWHERE: OnceLock<Box<dyn Fn(Report) + Send + Sync>> = OnceLock::new();

/// Whether panics outside of runs are logged.
static EVERYTHING: AtomicBool = AtomicBool::new(false);

thread_local! {
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
    /// Where this thread panicked last, within a run.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A run of a function, as the log shows it.
#[derive(Debug, Clone)]
pub struct Run {
    /// The job.
    pub job: JobId,
    /// The function.
    pub function: Address,
    /// The number of the attempt, on a worker.
    pub attempt: Option<u32>,
}

/// The panic of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What it says.
    pub panic: String,
    /// Where.
    pub location: Option<String>,
    /// With `RUST_BACKTRACE`.
    pub backtrace: Option<String>,
}

/// Gives the panics of runs to whoever logs them for this process.
pub fn elsewhere(log: impl Fn(Report) + Send + Sync + 'static) {
    // The first stays.
    let _set = ELSEWHERE.set(Box::new(log));
    install();
}

/// For people: where, and what it says.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = self.location.as_deref().unwrap_or("an unknown place");
        write!(f, "panicked at {location}: {}", self.panic)
    }
}

impl Report {
    /// Logs it.
    pub fn log(&self, Run { job, function, attempt }: &Run) {
        let Self { panic, location, backtrace } = self;
        tracing::warn!(
            job.id = %job, %function, attempt, panic, location, backtrace,
            "the function panicked; its caller is told"
        );
    }
}

impl Run {
    /// Runs the body. A panic on this thread is logged with this run, and then continues.
    pub fn log_panics<T>(self, body: impl FnOnce() -> T) -> T {
        install();
        let _under_way = UnderWay(RUN.replace(Some(self)));
        body()
    }
}

/// Where the run panicked that has just ended on this thread, as file, line and column.
pub fn take_location() -> Option<String> {
    LOCATION.take()
}

/// Logs every panic of this process from now on; for services.
pub fn everything() {
    EVERYTHING.store(true, Ordering::Relaxed);
    install();
}

/// Restores the previous run of this thread when it is dropped.
struct UnderWay(Option<Run>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        RUN.set(self.0.take());
    }
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            locate(info);
            if !log(info) {
                before(info);
            }
        }));
    });
}

/// Keeps where a run panics.
fn locate(info: &PanicHookInfo<'_>) {
    let runs = RUN.try_with(|run| run.try_borrow().is_ok_and(|run| run.is_some()));
    if let (Ok(true), Some(location)) = (runs, info.location()) {
        let location = cut(&location.to_string(), PLACE).to_owned();
        // A thread that ends has nobody to tell.
        let _ended = LOCATION.try_with(|last| last.replace(Some(location)));
    }
}

/// Logs a panic; false if it belongs to another hook, or if nobody would see it.
fn log(info: &PanicHookInfo<'_>) -> bool {
    let elsewhere = ELSEWHERE.get();
    if elsewhere.is_none() && !tracing::dispatcher::has_been_set() {
        return false;
    }
    let said = info.payload_as_str().unwrap_or("a value that is not text");
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    // The log's formatter escapes it.
    let report = Report {
        panic: cut(said, text::SHOWN).to_owned(),
        location: info.location().map(ToString::to_string),
        backtrace: backtrace.map(|it| cut(&it, BACKTRACE).to_owned()),
    };
    let run = RUN.try_with(|run| run.try_borrow().ok().and_then(|run| run.clone()));
    match (run, elsewhere) {
        (Ok(Some(_)), Some(elsewhere)) => elsewhere(report),
        (Ok(Some(run)), None) => report.log(&run),
        _ if EVERYTHING.load(Ordering::Relaxed) && tracing::enabled!(tracing::Level::ERROR) => {
            let Report { panic, location, backtrace } = report;
            tracing::error!(panic, location, backtrace, "a panic, which is a fault of the program");
        }
        _ => return false,
    }
    true
}

fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn a_run_within_a_run_ends_before_it_also_by_a_panic() {
        let run = |attempt| Run {
            job: JobId::from_u128(1),
            function: "f@1".parse().unwrap(),
            attempt: Some(attempt),
        };
        let under_way = || RUN.with_borrow(|run| run.as_ref().and_then(|run| run.attempt));
        run(1).log_panics(|| {
            let inner = catch_unwind(|| run(2).log_panics(|| panic!("on purpose")));
            assert!(inner.is_err());
            assert_eq!(under_way(), Some(1));
        });
        assert_eq!(under_way(), None);
        let location = take_location().expect("it panicked");
        assert!(location.contains("panic_log.rs:"), "{location}");
        assert_eq!(take_location(), None);
    }
}
