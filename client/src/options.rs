//! Options of calls, and their setters on everything that has them.

use std::time::Duration;

use simple_dist_core::caller::{CallOptions, Fallback, Suspects};

use crate::Retry;

/// The options of calls: of one, and as the defaults of a handle and a client. A call's own win over
/// its handle's, those over its client's.
macro_rules! options {
    ($($options:ident).+) => {
        $crate::options::setters!($($options).+);

        /// All that these options say.
        pub fn with(mut self, options: &$crate::Options) -> Self {
            options.apply(&mut self.$($options).+);
            self
        }
    };
}

/// Each of them.
macro_rules! setters {
    ($($options:ident).+) => {
        /// How long to wait for workers: 60 s by default, an hour at most. Where it does not run
        /// in this process, the call has ended 2 s later. Where it does, the wait for a local slot
        /// and the run itself come on top, which only a [deadline](Self::deadline) ends.
        pub fn timeout(mut self, timeout: Duration) -> Self {
            self.$($options).+.timeout = timeout.into();
            self
        }

        /// When the call ends at the latest, from its beginning, whatever happens: with
        /// [`CallError::Deadline`](crate::CallError::Deadline) if nothing came before. Workers do not
        /// begin it later, nor does this process. What runs here then cannot be stopped: it goes on
        /// without the call, and keeps its local slot until it returns. Only a call of a job that
        /// runs in the job's own place is not cut short. None by default.
        pub fn deadline(mut self, deadline: Duration) -> Self {
            self.$($options).+.deadline = Some(deadline);
            self
        }

        /// Which jobs go first: 0 to 9, 9 first, 4 by default.
        pub fn priority(mut self, priority: u8) -> Self {
            self.$($options).+.priority = priority.into();
            self
        }

        /// When it runs in this process instead.
        pub fn fallback(mut self, fallback: Fallback) -> Self {
            self.$($options).+.fallback = fallback.into();
            self
        }

        /// Whether it also runs in this process when workers are busy and local slots are idle, where
        /// its [`Fallback`] lets it run here at all: beside its place in their queue, and the first end
        /// wins. That is when the calls of its function that wait, by the rate at which they are
        /// answered, take longer than a worker's run and one here together; the last to be served goes
        /// first. Run times are learned, one that is not known yet is taken for a second. Not by
        /// default.
        pub fn when_busy(mut self, when_busy: bool) -> Self {
            self.$($options).+.when_busy = when_busy.into();
            self
        }

        /// Whether it runs in this process even if it may have ended a worker: never by default.
        pub fn suspects(mut self, suspects: $crate::Suspects) -> Self {
            self.$($options).+.suspects = suspects.into();
            self
        }

        /// Has it run by itself, though its function is deterministic and an equal call runs already, or
        /// has been answered: its answer is then kept in place of that.
        pub fn fresh(mut self) -> Self {
            self.$($options).+.fresh = true;
            self
        }

        /// How often it is tried again when the function returned an error: never by default. Each
        /// try is a job of its own, and none begins when the [timeout](Self::timeout) has passed.
        pub fn retry(mut self, retry: $crate::Retry) -> Self {
            self.$($options).+.retry = retry.into();
            self
        }
    };
}

/// What is of one call alone.
macro_rules! trace {
    ($($options:ident).+) => {
        /// A W3C `traceparent`, passed on to the worker.
        pub fn trace(mut self, traceparent: impl Into<String>) -> Self {
            self.$($options).+.trace = Some(traceparent.into().into());
            self
        }
    };
}

/// How far one call is.
macro_rules! progress {
    ($($parameter:ident),*) => {
        /// How far it is, whenever its function says so by [`Job::progress`]: at most four times a
        /// second from a worker, the newest where that is read more slowly. It ends with the call,
        /// and is to be asked for before the call is first polled.
        ///
        /// [`Job::progress`]: simple_dist_protocol::job::Job::progress
        ///
        /// ```no_run
        /// # use simple_dist_client::Client;
        /// # use simple_dist_protocol::Function;
        /// # const REPORT: Function<u64, u64> = Function::new("report", 1);
        /// use futures_util::{StreamExt, future};
        ///
        /// # async fn example(client: Client) -> Result<(), simple_dist_client::CallError> {
        /// let mut call = client.function(REPORT).call(2026);
        /// let told = call.progress().for_each(|progress| async move {
        ///     println!("{:.0} %: {}", progress.fraction * 100.0, progress.text);
        /// });
        /// let (report, ()) = future::join(call, told).await;
        /// # report.map(drop)
        /// # }
        /// ```
        pub fn progress(
            &mut self,
        ) -> impl Stream<Item = Progress> + Send + Unpin + use<$($parameter),*> {
            self.pending.progress()
        }
    };
}
pub(crate) use options;
pub(crate) use progress;
pub(crate) use setters;
pub(crate) use trace;

/// Options of calls that are said once and used with many: see [`Handle::with`](crate::Handle::with).
/// What it does not say stays as it is there.
///
/// ```no_run
/// # use std::time::Duration;
/// # use simple_dist_client::{CallError, Client, Fallback, Options};
/// # use simple_dist_protocol::{Function, PureFunction};
/// # const FIB: PureFunction<u64, u64> = Function::pure("fib", 1, |n| n);
/// # const PRIMES: PureFunction<u64, u64> = Function::pure("primes", 1, |n| n);
/// # async fn example(client: Client) -> Result<(), CallError> {
/// let urgent = Options::new().priority(9).timeout(Duration::from_secs(2)).fallback(Fallback::Wait);
/// let fib = client.function(FIB).with(&urgent).call(20).await?;
/// let primes = client.function(PRIMES).call(20).with(&urgent).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "options do nothing until they are used"]
pub struct Options {
    set: Set,
}

/// Those that were said.
#[derive(Debug, Clone, Copy, Default)]
struct Set {
    timeout: Option<Duration>,
    deadline: Option<Duration>,
    priority: Option<u8>,
    fallback: Option<Fallback>,
    when_busy: Option<bool>,
    suspects: Option<Suspects>,
    retry: Option<Retry>,
    fresh: bool,
}

impl Options {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    setters!(set);

    /// Says them of a call.
    pub(crate) fn apply(&self, to: &mut CallOptions) {
        let Set { timeout, deadline, priority, fallback, when_busy, .. } = self.set;
        let Set { suspects, retry, fresh, .. } = self.set;
        to.timeout = timeout.unwrap_or(to.timeout);
        to.deadline = deadline.or(to.deadline);
        to.priority = priority.unwrap_or(to.priority);
        to.fallback = fallback.unwrap_or(to.fallback);
        to.when_busy = when_busy.unwrap_or(to.when_busy);
        to.suspects = suspects.unwrap_or(to.suspects);
        to.retry = retry.unwrap_or(to.retry);
        to.fresh |= fresh;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_options_do_not_say_stays_as_it_was() {
        let ms = Duration::from_millis;
        let mut said = CallOptions { deadline: Some(ms(5)), priority: 2, ..CallOptions::default() };
        Options::new().timeout(ms(7)).fallback(Fallback::Never).apply(&mut said);
        assert_eq!((said.timeout, said.fallback), (ms(7), Fallback::Never));
        assert_eq!((said.deadline, said.priority), (Some(ms(5)), 2));
        let retry = Retry::times(2);
        Options::new().deadline(ms(6)).priority(9).retry(retry).apply(&mut said);
        assert_eq!((said.deadline, said.priority, said.retry), (Some(ms(6)), 9, retry));
        assert_eq!((said.timeout, said.fallback), (ms(7), Fallback::Never));
    }
}
