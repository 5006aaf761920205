//! The look of each function, the same everywhere on the page: a class, since the content security
//! policy forbids inline styles. `f0` to `f11` are plain colours, `f12` to `f23` the same striped,
//! and `other` is grey.

use std::collections::HashMap;
use std::sync::Arc;

use crate::view::{COLOURS, View};

/// The looks of a view's functions.
pub(super) struct Colours(HashMap<Arc<str>, u8>);

impl Colours {
    pub(super) fn of(view: &View) -> Self {
        let looks = view.functions.iter();
        Self(looks.filter_map(|it| Some((Arc::clone(&it.name), it.look?))).collect())
    }

    pub(super) fn class(&self, function: &str) -> String {
        self.0.get(function).map_or_else(|| "other".to_owned(), |look| format!("f{look}"))
    }

    /// The striped looks in use: a picture must define their fill patterns.
    pub(super) fn striped(&self) -> Vec<String> {
        let mut looks: Vec<u8> = self.0.values().copied().collect();
        looks.sort_unstable();
        let striped = looks.into_iter().filter(|look| usize::from(*look) >= COLOURS);
        striped.map(|look| format!("f{look}")).collect()
    }
}
