//! Replaces spans in builds without OpenTelemetry: there are none.

use std::fmt::Display;
use std::time::SystemTime;

use crate::JobId;

/// Nothing.
#[derive(Debug)]
pub struct Span;

impl Span {
    /// A call's.
    pub fn call(_: impl Display, _: JobId, _: Option<&str>) -> Self {
        Self
    }

    /// A run's.
    pub fn run(_: impl Display, _: JobId, _: Option<&str>) -> Self {
        Self
    }

    /// One that another process has begun, and ends.
    pub fn of_another(_: Option<&str>) -> Self {
        Self
    }

    /// The one that is current.
    pub fn current() -> Self {
        Self
    }

    /// The wait of a job for its run.
    pub fn queue(
        _: impl Display,
        _: JobId,
        _: &str,
        _: (SystemTime, SystemTime),
        _: Option<&'static str>,
    ) {
    }

    /// What other processes call it: nothing, it does not exist.
    pub fn traceparent(&self) -> Option<String> {
        None
    }

    /// More of it.
    pub fn set(&self, _: &'static str, _: impl Display) {}

    /// It failed.
    pub fn fail(&self, _: &'static str) {}

    /// What this does.
    pub fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        run()
    }

    /// What this does.
    pub fn within_if_none<T>(&self, run: impl FnOnce() -> T) -> T {
        run()
    }

    /// What this does.
    pub fn follow<F: Future>(&self, future: F) -> F {
        future
    }
}
