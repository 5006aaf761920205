//! What is called, by its name.

use std::fmt;
use std::sync::Arc;

use simple_dist_protocol::Selector;

/// A function as the caller named it.
pub struct Target {
    /// `fib@1`, or `fib`: what travels.
    pub name: Arc<str>,
    /// The same, to hold against what is served.
    pub selector: Selector,
    /// How it can run in this process.
    pub local: LocalRun,
    /// Whether it then runs in a child of this process, where its argument and its value can be
    /// written: it harms nobody else there, and can be stopped.
    pub isolated: bool,
}

/// How a function can run in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalRun {
    /// Not at all.
    No,
    /// As on a worker: its value is written, however large it gets.
    Written,
    /// As it is called by anybody: nothing needs to be written.
    Typed,
}

impl Target {
    /// A function of this name, which does not run in a child.
    pub fn new(selector: Selector, local: LocalRun) -> Self {
        Self { name: selector.to_string().into(), selector, local, isolated: false }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
