//! Which colour is which function's, everywhere on the page: a class `f0` to `f11`, since the
//! page allows no style of its own.

use std::collections::HashMap;
use std::sync::Arc;

use crate::view::View;

/// How many colours there are in the style sheet.
const COLOURS: usize = 12;

const CLASSES: [&str; COLOURS] =
    ["f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11"];

/// The first of them are told from each other best.
const FIRST: usize = 6;

/// The colours of a view's functions. A name's own colour follows from its letters; where two
/// meet, the later one takes the next that is free.
pub(super) struct Colours(HashMap<Arc<str>, usize>);

impl Colours {
    pub(super) fn of(view: &View) -> Self {
        let mut taken = [false; COLOURS];
        let mut colours = HashMap::with_capacity(view.functions.len());
        for function in &view.functions {
            let own = own(&function.name);
            let free = (own..own + COLOURS).map(|colour| colour % COLOURS).find(|at| !taken[*at]);
            let colour = free.unwrap_or(own);
            taken[colour] = true;
            colours.insert(Arc::clone(&function.name), colour);
        }
        Self(colours)
    }

    pub(super) fn class(&self, function: &str) -> &'static str {
        CLASSES[self.0.get(function).copied().unwrap_or_else(|| own(function))]
    }
}

fn own(function: &str) -> usize {
    let sum = function.bytes().fold(5usize, |sum, byte| sum.wrapping_mul(31) ^ usize::from(byte));
    sum % FIRST
}
