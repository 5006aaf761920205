//! Logs panics as events: one line each, instead of free text between the lines.
//!
//! The panic of a function is logged with its run. Other panics of a program go to the program's
//! own hook, unless it wants [`everything`] logged.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Address, JobId, text};

/// The most characters of a backtrace, which is present only with `RUST_BACKTRACE`.
const BACKTRACE: usize = 20_000;

/// Whether panics outside of runs are logged.
static EVERYTHING: AtomicBool = AtomicBool::new(false);

thread_local! {
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
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

impl Run {
    /// Runs the body. A panic on this thread is logged with this run, and then continues.
    pub fn log_panics<T>(self, body: impl FnOnce() -> T) -> T {
        install();
        let _under_way = UnderWay(RUN.replace(Some(self)));
        body()
    }
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
            if !log(info) {
                before(info);
            }
        }));
    });
}

/// Logs a panic; false if it belongs to another hook, or if nobody would see it.
fn log(info: &PanicHookInfo<'_>) -> bool {
    if !tracing::dispatcher::has_been_set() {
        return false;
    }
    let said = info.payload_as_str().unwrap_or("a value that is not text");
    // The log's formatter escapes it.
    let panic = cut(said, text::SHOWN);
    let location = info.location().map(tracing::field::display);
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let backtrace = backtrace.as_deref().map(|it| cut(it, BACKTRACE));
    let run = RUN.try_with(|run| run.try_borrow().ok().and_then(|run| run.clone()));
    if let Ok(Some(Run { job, function, attempt })) = run {
        tracing::warn!(
            job.id = %job, %function, attempt, panic, location, backtrace,
            "the function panicked; its caller is told"
        );
    } else if EVERYTHING.load(Ordering::Relaxed) && tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(panic, location, backtrace, "a panic, which is a fault of the program");
    } else {
        return false;
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
    }
}
