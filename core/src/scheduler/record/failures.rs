//! Failures, grouped by function, kind and message, so that neither successes nor other failures
//! push one out of sight. Numbers in messages are taken as equal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::{JobId, WorkerId};

use crate::view::{Failure, Seconds};

/// The most functions whose failures are kept: of more, those that failed last.
const FUNCTIONS: usize = 64;
/// The most groups of one function; beyond, they are one group.
const GROUPS: usize = 16;
/// The most groups in a view: the newest.
const SHOWN: usize = 100;
/// The length of a window: two are "lately".
const SPAN: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Failures {
    functions: BTreeMap<Arc<str>, BTreeMap<Key, Group>>,
    /// When the present window began.
    since: Duration,
}

/// What failures of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Like(&'static str, Option<String>),
    Rest,
}

/// One failure.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) kind: &'static str,
    /// What it says, as far as that makes a group.
    pub(super) like: Option<String>,
    pub(super) message: Option<String>,
    pub(super) location: Option<String>,
    pub(super) job: JobId,
    pub(super) worker: Option<WorkerId>,
    pub(super) arguments: Option<String>,
    pub(super) at: Duration,
}

#[derive(Debug)]
struct Group {
    newest: Failed,
    first: Duration,
    count: u64,
    /// Of the present window and the one before.
    windows: [u64; 2],
}

impl Failures {
    pub(super) fn push(&mut self, function: &Arc<str>, failed: Failed) {
        if !self.functions.contains_key(function) && self.functions.len() >= FUNCTIONS {
            let last = |groups: &BTreeMap<Key, Group>| groups.values().map(|it| it.newest.at).max();
            let oldest = self.functions.iter().min_by_key(|(_, groups)| last(groups));
            if let Some(oldest) = oldest.map(|(name, _)| Arc::clone(name)) {
                self.functions.remove(&oldest);
            }
        }
        let groups = self.functions.entry(Arc::clone(function)).or_default();
        let like = Key::Like(failed.kind, failed.like.as_deref().map(without_numbers));
        let fits = groups.len() + 1 < GROUPS || groups.contains_key(&like);
        match groups.entry(if fits { like } else { Key::Rest }) {
            std::collections::btree_map::Entry::Vacant(free) => {
                let first = failed.at;
                free.insert(Group { newest: failed, first, count: 1, windows: [1, 0] });
            }
            std::collections::btree_map::Entry::Occupied(known) => {
                let group = known.into_mut();
                group.newest = failed;
                group.count += 1;
                group.windows[0] += 1;
            }
        }
    }

    /// Begins a new window when it is time; called every second.
    pub(super) fn roll(&mut self, now: Duration) {
        if now.saturating_sub(self.since) >= SPAN {
            self.since = now;
            for group in self.functions.values_mut().flat_map(BTreeMap::values_mut) {
                group.windows = [0, group.windows[0]];
            }
        }
    }

    /// The newest first.
    pub(super) fn view(&self, now: Duration) -> Vec<Failure> {
        let groups = self.functions.iter().flat_map(|(function, groups)| {
            groups.iter().map(move |(key, group)| (function, *key == Key::Rest, group))
        });
        let mut groups: Vec<_> = groups.collect();
        groups.sort_by_key(|(.., group)| std::cmp::Reverse(group.newest.at));
        let since = |then: Duration| Seconds::from(now.saturating_sub(then));
        let view = |(function, rest, group): (&Arc<str>, bool, &Group)| {
            let Failed { kind, message, location, job, worker, arguments, at, .. } = &group.newest;
            Failure {
                function: Arc::clone(function),
                kind: (*kind).to_owned(),
                message: message.clone(),
                location: location.clone(),
                rest,
                count: group.count,
                lately: group.windows.iter().sum(),
                first: since(group.first),
                last: since(*at),
                job: *job,
                worker: *worker,
                arguments: arguments.clone(),
            }
        };
        groups.into_iter().take(SHOWN).map(view).collect()
    }
}

/// `{n} is too many` is one message, whatever the number.
fn without_numbers(message: &str) -> String {
    let mut plain = String::with_capacity(message.len());
    for character in message.chars() {
        let digit = character.is_ascii_digit();
        if !digit {
            plain.push(character);
        } else if !plain.ends_with('#') {
            plain.push('#');
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn failed(kind: &'static str, message: &str, second: u64) -> Failed {
        Failed {
            kind,
            like: Some(message.to_owned()),
            message: Some(message.to_owned()),
            location: None,
            job: JobId::from_u128(second.into()),
            worker: None,
            arguments: None,
            at: at(second),
        }
    }

    /// Function, kind, message, count.
    fn seen(failures: &Failures) -> Vec<(String, String, String, u64)> {
        let group = |it: Failure| {
            (it.function.to_string(), it.kind, it.message.unwrap_or_default(), it.count)
        };
        failures.view(at(1000)).into_iter().map(group).collect()
    }

    fn group(
        function: &str,
        kind: &str,
        message: &str,
        count: u64,
    ) -> (String, String, String, u64) {
        (function.to_owned(), kind.to_owned(), message.to_owned(), count)
    }

    #[test]
    fn failures_that_say_the_same_but_for_numbers_are_one_group_with_its_newest() {
        let mut failures = Failures::default();
        let (fib, half) = (Arc::from("fib@1"), Arc::from("half@1"));
        failures.push(&fib, failed("panicked", "12 is over 10", 1));
        failures.push(&fib, failed("panicked", "7000 is over 10", 2));
        failures.push(&fib, failed("failed", "7000 is over 10", 3));
        failures.push(&half, failed("failed", "odd", 4));
        let groups = [
            group("half@1", "failed", "odd", 1),
            group("fib@1", "failed", "7000 is over 10", 1),
            group("fib@1", "panicked", "7000 is over 10", 2),
        ];
        assert_eq!(seen(&failures), groups);
        let view = failures.view(at(11));
        assert_eq!((view[2].first, view[2].last), (Seconds(10.0), Seconds(9.0)));
        assert_eq!(view[2].job, JobId::from_u128(2));
    }

    #[test]
    fn no_function_has_more_than_its_share_of_groups() {
        let mut failures = Failures::default();
        let (wordy, quiet) = (Arc::from("wordy@1"), Arc::from("quiet@1"));
        failures.push(&quiet, failed("failed", "no", 0));
        for (second, letter) in (1..).zip('a'..='z') {
            failures.push(&wordy, failed("failed", &letter.to_string(), second));
        }
        let view = failures.view(at(30));
        assert_eq!((view.len(), view[16].function.as_ref()), (GROUPS + 1, "quiet@1"));
        assert_eq!(
            (view[0].rest, view[0].count, view[0].message.as_deref()),
            (true, 11, Some("z"))
        );
        assert_eq!((view[1].rest, view[1].count), (false, 1));
    }

    #[test]
    fn of_too_many_functions_those_that_failed_last_are_kept() {
        let mut failures = Failures::default();
        for number in 0..=FUNCTIONS as u64 {
            failures.push(&Arc::from(format!("f-{number}@1")), failed("expired", "", number));
        }
        let view = failures.view(at(100));
        assert_eq!(view.len(), FUNCTIONS);
        assert_eq!(view.last().map(|it| it.function.to_string()).as_deref(), Some("f-1@1"));
    }

    #[test]
    fn of_late_is_one_to_two_minutes() {
        let mut failures = Failures::default();
        failures.push(&Arc::from("fib@1"), failed("failed", "no", 0));
        for (second, lately) in [(59, 1), (60, 1), (119, 1), (120, 0)] {
            failures.roll(at(second));
            let view = failures.view(at(second));
            assert_eq!((view[0].lately, view[0].count), (lately, 1), "{second}");
        }
    }
}
