//! What is called, by its name.

use std::fmt;
use std::sync::Arc;

use simple_dist_protocol::Selector;

/// A function as the caller named it.
pub(crate) struct Target {
    /// `fib@1`, or `fib`: what travels.
    pub(crate) name: Arc<str>,
    /// The same, to hold against what is served.
    pub(crate) selector: Selector,
    /// Whether it can run in this process.
    pub(crate) runs_here: bool,
}

impl Target {
    /// A function of this name.
    pub(crate) fn new(selector: Selector, runs_here: bool) -> Self {
        Self { name: selector.to_string().into(), selector, runs_here }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
