//! Exchanges and the routes from them to queues.

use std::collections::{BTreeMap, BTreeSet};

use amq_protocol::types::ShortString;

use super::queue::QueueId;

/// How an exchange matches a message's routing key with its bindings' keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Direct,
    Fanout,
    Topic,
}

impl Kind {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "direct" => Some(Self::Direct),
            "fanout" => Some(Self::Fanout),
            "topic" => Some(Self::Topic),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) kind: Kind,
    pub(super) durable: bool,
    pub(super) auto_delete: bool,
    pub(super) internal: bool,
    bindings: BTreeMap<ShortString, BTreeSet<QueueId>>,
}

impl Exchange {
    pub(super) fn new(kind: Kind, durable: bool, auto_delete: bool, internal: bool) -> Self {
        Self { kind, durable, auto_delete, internal, bindings: BTreeMap::new() }
    }

    /// What sets it apart from an exchange of the same name.
    pub(super) fn difference(&self, other: &Self) -> Option<&'static str> {
        if self.kind != other.kind {
            Some("type")
        } else if self.durable != other.durable {
            Some("durable")
        } else if self.auto_delete != other.auto_delete {
            Some("auto_delete")
        } else if self.internal != other.internal {
            Some("internal")
        } else {
            None
        }
    }

    /// Binds; false if that binding was there already.
    pub(super) fn bind(&mut self, key: ShortString, queue: QueueId) -> bool {
        self.bindings.entry(key).or_default().insert(queue)
    }

    /// Unbinds; false if there was no such binding.
    pub(super) fn unbind(&mut self, key: &str, queue: QueueId) -> bool {
        let Some(queues) = self.bindings.get_mut(key) else { return false };
        let removed = queues.remove(&queue);
        if queues.is_empty() {
            self.bindings.remove(key);
        }
        removed
    }

    /// Removes all bindings of a queue; says how many they were.
    pub(super) fn forget(&mut self, queue: QueueId) -> usize {
        let mut removed = 0;
        self.bindings.retain(|_, queues| {
            removed += usize::from(queues.remove(&queue));
            !queues.is_empty()
        });
        removed
    }

    pub(super) fn is_bound(&self) -> bool {
        !self.bindings.is_empty()
    }

    pub(super) fn bindings(&self) -> usize {
        self.bindings.values().map(BTreeSet::len).sum()
    }

    /// Adds the queues that a message with this key goes to; each once.
    pub(super) fn route(&self, key: &str, found: &mut Vec<QueueId>) {
        match self.kind {
            Kind::Direct => add(found, self.bindings.get(key)),
            Kind::Fanout => add(found, self.bindings.values()),
            Kind::Topic => {
                let words: Vec<&str> = words(key).collect();
                let matching = self.bindings.iter().filter(|(pattern, _)| {
                    let pattern: Vec<&str> = self::words(pattern.as_str()).collect();
                    matches(&pattern, &words)
                });
                add(found, matching.map(|(_, queues)| queues));
            }
        }
    }
}

fn add<'a>(found: &mut Vec<QueueId>, routes: impl IntoIterator<Item = &'a BTreeSet<QueueId>>) {
    for queue in routes.into_iter().flatten() {
        if !found.contains(queue) {
            found.push(*queue);
        }
    }
}

/// The words of a key; an empty key has none.
fn words(key: &str) -> impl Iterator<Item = &str> {
    key.split('.').filter(move |_| !key.is_empty())
}

/// Whether a topic pattern matches: `*` is one word, `#` any number of them. Position by
/// position, so that many `#` cost a product of lengths and no more.
fn matches(pattern: &[&str], words: &[&str]) -> bool {
    let mut reached = vec![false; words.len() + 1];
    reached[0] = true;
    for part in pattern {
        if *part == "#" {
            for at in 1..reached.len() {
                reached[at] |= reached[at - 1];
            }
        } else {
            for at in (1..reached.len()).rev() {
                reached[at] = reached[at - 1] && (*part == "*" || *part == words[at - 1]);
            }
            reached[0] = false;
        }
    }
    reached[words.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_patterns_match_word_by_word() {
        let matching = |pattern: &str, key: &str| {
            let pattern: Vec<&str> = words(pattern).collect();
            matches(&pattern, &words(key).collect::<Vec<_>>())
        };
        for (pattern, key) in [
            ("a.b", "a.b"),
            ("a.*", "a.b"),
            ("#", ""),
            ("#", "a.b.c"),
            ("a.#", "a"),
            ("a.#.c", "a.c"),
            ("a.#.c", "a.b.b.c"),
            ("*.b.#", "a.b"),
            ("#.#", "a"),
        ] {
            assert!(matching(pattern, key), "{pattern} {key}");
        }
        for (pattern, key) in
            [("a.*", "a"), ("a.*", "a.b.c"), ("*", ""), ("a.#.c", "a.b"), ("", "a")]
        {
            assert!(!matching(pattern, key), "{pattern} {key}");
        }
    }
}
