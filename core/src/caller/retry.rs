//! Trying again what has failed: as a new job, after a pause, within the call's own time.

use std::time::Duration;

use simple_dist_protocol::JobId;

use super::{CallError, Caller, Effect, Failed};

/// The first pause, if its caller says nothing.
const BACKOFF: Duration = Duration::from_millis(100);
/// The longest pause, if its caller says nothing.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// How often a call is tried again whose function returned an error, and after which pauses.
///
/// ```
/// use std::time::Duration;
/// use simple_dist_core::caller::Retry;
///
/// // After 0.2 s, 0.4 s, 0.8 s, 1 s and 1 s.
/// let patient = Retry::times(5)
///     .backoff(Duration::from_millis(200))
///     .backoff_max(Duration::from_secs(1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    times: u32,
    backoff: Duration,
    backoff_max: Duration,
    panics: bool,
}

impl Retry {
    /// So many times more, unless one succeeds: each is a job of its own. No more begin when the
    /// call's time would pass before.
    pub const fn times(times: u32) -> Self {
        Self { times, backoff: BACKOFF, backoff_max: BACKOFF_MAX, panics: false }
    }

    /// The pause before the first of them, doubled before each further one: 0.1 s by default.
    #[must_use]
    pub const fn backoff(mut self, first: Duration) -> Self {
        self.backoff = first;
        self
    }

    /// The longest pause: 10 s by default.
    #[must_use]
    pub const fn backoff_max(mut self, longest: Duration) -> Self {
        self.backoff_max = longest;
        self
    }

    /// Also when the function panicked, which is otherwise the end: a panic is mostly a mistake in
    /// it, and happens again.
    #[must_use]
    pub const fn on_panics(mut self) -> Self {
        self.panics = true;
        self
    }

    /// The pause before the next try after so many, if there is one.
    pub(super) fn pause(&self, retries: u32, error: &CallError<Failed>) -> Option<Duration> {
        let failed = matches!(error, CallError::Function(_));
        let panicked = self.panics && matches!(error, CallError::Panicked { .. });
        let doubled = self.backoff.saturating_mul(1 << retries.min(31));
        ((failed || panicked) && retries < self.times).then(|| doubled.min(self.backoff_max))
    }
}

impl Default for Retry {
    /// Never.
    fn default() -> Self {
        Self::times(0)
    }
}

impl Caller {
    /// A run has ended so: its call is tried again, or ends.
    pub(super) fn failed(&mut self, id: JobId, error: CallError<Failed>, now: Duration) {
        match self.jobs.get(&id).and_then(|job| job.retry_at(&error, now)) {
            Some(at) => self.retry(id, at),
            None => self.end(id, Err(error)),
        }
    }

    fn retry(&mut self, id: JobId, at: Duration) {
        let Some(job) = self.remove(id) else { return };
        self.cancel_remote(id, &job);
        let (next, job) = (id.next(), job.retried(at));
        self.bytes += job.args.len();
        self.timers.insert((at, next));
        self.retried.insert(job.call, next);
        self.effects.push(Effect::Retry(job.call));
        self.jobs.insert(next, job);
    }

    /// The job of a call by now.
    pub(super) fn job_of(&self, call: JobId) -> JobId {
        self.retried.get(&call).copied().unwrap_or(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let ms = Duration::from_millis;
        let failed = CallError::Function(Failed { text: String::new(), error: None });
        let pauses = |retry: Retry, error| -> Vec<Duration> {
            (0..).map_while(|retries| retry.pause(retries, error)).collect()
        };
        let retry = Retry::times(4).backoff(ms(100)).backoff_max(ms(250));
        assert_eq!(pauses(retry, &failed), [100, 200, 250, 250].map(ms));
        assert_eq!(pauses(Retry::times(3), &failed), [100, 200, 400].map(ms));
        assert_eq!(pauses(Retry::default(), &failed), []);
        assert_eq!(pauses(retry.on_panics(), &CallError::Timeout), []);
        let far = Retry::times(99).backoff(Duration::MAX).backoff_max(Duration::MAX);
        assert_eq!(pauses(far, &failed).len(), 99);
    }
}
