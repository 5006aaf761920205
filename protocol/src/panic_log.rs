//! Panics as events of the log: one line each among the others, instead of text between them.
//!
//! The panic of a function is logged with the run that it ends. Whatever else panics in a program
//! is left to the hook that the program has, unless it wants [`everything`] logged.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Address, JobId, text};

/// The most characters of a backtrace, which is there only where `RUST_BACKTRACE` asks for it.
const BACKTRACE: usize = 20_000;

/// Whether panics are logged that end no run.
static EVERYTHING: AtomicBool = AtomicBool::new(false);

thread_local! {
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
}

/// One run of a function, as the log names it.
#[derive(Debug, Clone)]
pub struct Run {
    /// The job it is for.
    pub job: JobId,
    /// What runs.
    pub function: Address,
    /// Which attempt it is, on a worker.
    pub attempt: Option<u32>,
}

impl Run {
    /// Runs the body. If it panics on this thread, that is logged as of this run, and goes on
    /// through here.
    pub fn log_panics<T>(self, body: impl FnOnce() -> T) -> T {
        install();
        let _under_way = UnderWay(RUN.replace(Some(self)));
        body()
    }
}

/// Logs every panic of this process from now on, for programs that are services.
pub fn everything() {
    EVERYTHING.store(true, Ordering::Relaxed);
    install();
}

/// What ran before on this thread, and will again.
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

/// Logs a panic; false if it is another hook's business, or if nobody would hear of it.
fn log(info: &PanicHookInfo<'_>) -> bool {
    if !tracing::dispatcher::has_been_set() {
        return false;
    }
    let said = info.payload_as_str().unwrap_or("a value that is not text");
    // Whatever shows the log escapes it.
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
