//! What is called: a function's name, and the function itself where it is known here.

use std::fmt;
use std::sync::Arc;

use simple_dist_protocol::{Erased, Selector};

/// A function as the caller named it.
pub(crate) struct Callee {
    /// `fib@1`, or `fib`: what travels.
    pub(crate) name: Arc<str>,
    /// The same, to hold against what is served.
    pub(crate) selector: Selector,
    /// The function itself, if it can run in this process.
    pub(crate) local: Option<Erased>,
}

impl Callee {
    pub(crate) fn known(function: Erased) -> Self {
        let selector = Selector::from(function.address().clone());
        Self { name: selector.to_string().into(), selector, local: Some(function) }
    }

    pub(crate) fn named(selector: Selector) -> Self {
        Self { name: selector.to_string().into(), selector, local: None }
    }
}

impl fmt::Debug for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
