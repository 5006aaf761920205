//! What is called: a function's name, and the function itself where it is known here.

use std::fmt;
use std::sync::Arc;

use simple_dist_protocol::{Erased, Selector};

use crate::caller::Target;

/// A function to call.
pub(crate) struct Callable {
    /// Its name.
    pub(crate) target: Arc<Target>,
    /// The function itself, if it can run in this process.
    pub(crate) body: Option<Erased>,
}

impl Callable {
    pub(crate) fn known(function: Erased) -> Self {
        let selector = Selector::from(function.address().clone());
        Self { target: Arc::new(Target::new(selector, true)), body: Some(function) }
    }

    pub(crate) fn named(selector: Selector) -> Self {
        Self { target: Arc::new(Target::new(selector, false)), body: None }
    }
}

impl fmt::Debug for Callable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)
    }
}
