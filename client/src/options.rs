//! Setters of options, on everything that has them.

/// The options of calls: of one, and as the defaults of a handle and a client. A call's own win over
/// its handle's, those over its client's.
macro_rules! options {
    ($($options:ident).+) => {
        /// How long to wait for workers: 60 s by default, an hour at most. Where it does not run
        /// in this process, the call has ended 2 s later. Where it does, the wait for a local slot
        /// and the run itself come on top, which only a [deadline](Self::deadline) ends.
        pub fn timeout(mut self, timeout: Duration) -> Self {
            self.$($options).+.timeout = timeout;
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
            self.$($options).+.priority = priority;
            self
        }

        /// When it runs in this process instead.
        pub fn fallback(mut self, fallback: Fallback) -> Self {
            self.$($options).+.fallback = fallback;
            self
        }

        /// How often it is tried again when the function returned an error: never by default. Each
        /// try is a job of its own, and none begins when the [timeout](Self::timeout) has passed.
        pub fn retry(mut self, retry: $crate::Retry) -> Self {
            self.$($options).+.retry = retry;
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
pub(crate) use options;
pub(crate) use trace;
