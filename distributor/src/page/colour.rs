//! Assigns each function a look, the same everywhere on the page: a class `f0` to `f47`, since the
//! content security policy forbids inline styles. The first twelve are plain colours; the rest are
//! the same colours striped, barred and dotted.

use std::collections::HashMap;
use std::sync::Arc;

use crate::view::View;

/// The number of colours in the style sheet.
const COLOURS: usize = 12;
/// The number of looks: plain, striped, barred and dotted.
const LOOKS: usize = 4 * COLOURS;
/// The first colours, which are easiest to tell apart.
const FIRST: usize = 6;

/// The looks of a view's functions. A hash of the name picks the colour; on a collision the later
/// function takes the next free look, and all are plain while there are few.
pub(super) struct Colours(HashMap<Arc<str>, usize>);

impl Colours {
    pub(super) fn of(view: &View) -> Self {
        let mut taken = [false; LOOKS];
        let mut looks = HashMap::with_capacity(view.functions.len());
        for function in &view.functions {
            let own = own(&function.name);
            let mut all =
                (0..LOOKS).map(|step| step / COLOURS * COLOURS + (own + step % COLOURS) % COLOURS);
            // With more functions than looks, only the names tell some of them apart.
            let look = all.find(|look| !taken[*look]).unwrap_or(own);
            taken[look] = true;
            looks.insert(Arc::clone(&function.name), look);
        }
        Self(looks)
    }

    pub(super) fn class(&self, function: &str) -> String {
        format!("f{}", self.0.get(function).copied().unwrap_or_else(|| own(function)))
    }

    /// The patterned looks in use: a picture must define their fill patterns.
    pub(super) fn patterns(&self) -> Vec<Pattern> {
        let mut patterns: Vec<usize> =
            self.0.values().copied().filter(|look| *look >= COLOURS).collect();
        patterns.sort_unstable();
        patterns
            .into_iter()
            .map(|look| Pattern {
                class: format!("f{look}"),
                kind: ["stripes", "bars", "dots"][look / COLOURS - 1],
            })
            .collect()
    }
}

/// The fill pattern for one function's bars.
pub(super) struct Pattern {
    pub(super) class: String,
    /// `stripes`, `bars` or `dots`.
    pub(super) kind: &'static str,
}

fn own(function: &str) -> usize {
    let sum = function.bytes().fold(5usize, |sum, byte| sum.wrapping_mul(31) ^ usize::from(byte));
    sum % FIRST
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::view::sample;

    fn of(count: usize) -> Colours {
        let mut view = sample::idle(1_700_000_123_000);
        let one = view.functions[0].clone();
        let name = |number: usize| format!("function-{number:02}@1");
        let functions = (0..count)
            .map(|number| crate::view::Function { name: name(number).into(), ..one.clone() });
        view.functions = functions.collect();
        Colours::of(&view)
    }

    #[test]
    fn no_two_of_forty_eight_functions_look_alike() {
        for (count, patterns) in [(12, 0), (13, 1), (48, 36)] {
            let colours = of(count);
            let classes: BTreeSet<String> =
                colours.0.keys().map(|name| colours.class(name)).collect();
            assert_eq!((classes.len(), colours.patterns().len()), (count, patterns));
        }
        assert_eq!(of(60).0.len(), 60, "beyond them some look alike");
    }

    #[test]
    fn a_function_keeps_its_colour_when_others_are_added() {
        let (few, many) = (of(20), of(40));
        assert!(few.0.keys().all(|name| few.class(name) == many.class(name)));
    }
}
