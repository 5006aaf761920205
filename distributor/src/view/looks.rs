//! Gives each function a look of its own on the page, for as long as it is known: colours that move
//! from one function to another mislead.

use std::sync::Arc;

use super::Function;

/// The number of colours in the style sheet.
pub(crate) const COLOURS: usize = 12;
/// The number of looks: each colour plain, and striped.
const LOOKS: usize = 2 * COLOURS;
/// The first colours, which are easiest to tell apart.
const FIRST: usize = 6;

/// Which function has which look.
#[derive(Debug, Default)]
pub(crate) struct Looks([Option<Arc<str>>; LOOKS]);

impl Looks {
    /// Sets the look of each of these functions, which are sorted by name. Those that are called
    /// come first; the others share what is left, and the rest have none.
    pub(crate) fn assign(&mut self, functions: &mut [Function]) {
        let find = |name: &str| functions.binary_search_by(|one| one.name.as_ref().cmp(name)).ok();
        let mut looks = vec![None; functions.len()];
        for (look, owner) in self.0.iter_mut().enumerate() {
            match owner.as_deref().and_then(find) {
                Some(place) => looks[place] = Some(look),
                None => *owner = None,
            }
        }
        for called in [true, false] {
            for place in 0..functions.len() {
                let function = &functions[place];
                if looks[place].is_some() || is_called(function) != called {
                    continue;
                }
                let free = tried(&function.name).find(|look| self.0[*look].is_none());
                let evict = |looks: &mut [Option<usize>]| {
                    let both = functions.iter().zip(looks);
                    let mut uncalled = both.filter(|(one, look)| look.is_some() && !is_called(one));
                    uncalled.next()?.1.take()
                };
                let free = free.or_else(|| if called { evict(&mut looks) } else { None });
                let Some(look) = free else { continue };
                self.0[look] = Some(Arc::clone(&function.name));
                looks[place] = Some(look);
            }
        }
        for (function, look) in functions.iter_mut().zip(looks) {
            function.look = look.and_then(|look| u8::try_from(look).ok());
        }
    }
}

fn is_called(function: &Function) -> bool {
    let waits = function.queued + function.placed + function.running > 0;
    waits || !function.answers.is_empty() || !function.local.is_empty()
}

/// The looks in the order in which a function tries them: plain ones first, from that of its name.
fn tried(name: &str) -> impl Iterator<Item = usize> {
    let sum = name.bytes().fold(5_usize, |sum, byte| sum.wrapping_mul(31) ^ usize::from(byte));
    let own = sum % FIRST;
    (0..LOOKS).map(move |step| step / COLOURS * COLOURS + (own + step % COLOURS) % COLOURS)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::view::sample;

    fn functions(names: impl IntoIterator<Item = usize>) -> Vec<Function> {
        let name = |number: usize| Arc::from(format!("function-{number:02}@1"));
        let one = sample::idle(1_700_000_123_000).functions[0].clone();
        names.into_iter().map(|number| Function { name: name(number), ..one.clone() }).collect()
    }

    fn assigned(looks: &mut Looks, mut functions: Vec<Function>) -> BTreeMap<Arc<str>, u8> {
        looks.assign(&mut functions);
        functions.into_iter().filter_map(|one| Some((one.name, one.look?))).collect()
    }

    #[test]
    fn no_two_of_twenty_four_functions_look_alike_and_the_rest_have_no_look() {
        for (count, looking) in [(12, 12), (24, 24), (60, 24)] {
            let looks = assigned(&mut Looks::default(), functions(0..count));
            let different: BTreeSet<_> = looks.values().collect();
            assert_eq!((looks.len(), different.len()), (looking, looking));
        }
        let plain = assigned(&mut Looks::default(), functions(0..12));
        assert!(plain.values().all(|look| usize::from(*look) < COLOURS));
    }

    #[test]
    fn a_function_keeps_its_look_whatever_comes_and_goes() {
        let mut looks = Looks::default();
        let before = assigned(&mut looks, functions(5..15));
        let all = assigned(&mut looks, functions(0..20));
        assert!(before.iter().all(|(name, look)| all[name] == *look));
        let after = assigned(&mut looks, functions(8..20));
        assert!(after.iter().all(|(name, look)| all[name] == *look));
    }

    #[test]
    fn what_is_called_takes_the_look_of_what_is_not() {
        let mut looks = Looks::default();
        let mut all = functions(0..30);
        assert!(!assigned(&mut looks, all.clone()).contains_key(&all[29].name));
        all[29].answers = [("value".to_owned(), 1)].into();
        let after = assigned(&mut looks, all.clone());
        assert_eq!((after.contains_key(&all[29].name), after.len()), (true, 24));
    }
}
