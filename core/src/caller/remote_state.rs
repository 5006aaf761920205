//! What a client sees of the other side: its link, the distributor, and what it was refused.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::message::{Bound, Presence};
use simple_dist_protocol::{Address, Term, limits};

use super::destination::{LinkState, Reachability};
use super::{Reason, Target};

/// How long it is remembered that nobody serves a function: presence, which tells of its return,
/// comes every second.
const MEMORY: Duration = limits::BEAT;
/// The most refusals remembered: the names in a program are few, those in a gateway may not be.
const REFUSALS: usize = 1024;

/// What is known of the other side.
#[derive(Debug)]
pub(super) struct RemoteState {
    link: Link,
    term: Option<Term>,
    /// The distributor's bound that is reached, as its presence says.
    full: Option<Bound>,
    /// The bounds that were logged.
    told: HashSet<Bound>,
    refusals: HashMap<Arc<str>, Refusal>,
    cut: Cut,
}

/// The functions whose workers are out of reach, as presence last said, and those that are served:
/// empty unless there are any.
#[derive(Debug, Default)]
struct Cut {
    expected: Vec<Address>,
    served: Vec<Address>,
}

impl Cut {
    fn said(presence: &Presence) -> Self {
        if presence.expected.is_empty() {
            return Self::default();
        }
        Self { expected: presence.expected.clone(), served: presence.functions.clone() }
    }

    /// Whether what is called here has workers, and all are out of reach.
    fn has(&self, target: &Target) -> bool {
        let any = |of: &[Address]| of.iter().any(|function| target.selector.matches(function));
        any(&self.expected) && !any(&self.served)
    }
}

#[derive(Debug)]
enum Link {
    Starting { since: Duration },
    Up { heard: Duration, absent: Option<Duration> },
    Blocked { since: Duration },
    Down { reason: Reason, since: Duration },
}

/// The distributor said that nobody serves a function. When that is no longer believed, one call
/// tries again and the others wait for what becomes of it.
#[derive(Debug)]
struct Refusal {
    target: Arc<Target>,
    until: Duration,
}

/// What a beat of the distributor changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PresenceChange {
    /// Another term is active than before: it knows no jobs.
    pub(super) new_term: bool,
    /// What was refused before may be taken now.
    pub(super) taken_again: bool,
}

impl RemoteState {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            link: Link::Starting { since: now },
            term: None,
            full: None,
            told: HashSet::new(),
            refusals: HashMap::new(),
            cut: Cut::default(),
        }
    }

    pub(super) fn up(&mut self, now: Duration) {
        self.link = Link::Up { heard: now, absent: None };
        self.full = None;
        self.cut = Cut::default();
    }

    /// Whether messages can be sent.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// Whether there is a connection, even if it takes nothing for now.
    pub(super) fn is_connected(&self) -> bool {
        matches!(self.link, Link::Up { .. } | Link::Blocked { .. })
    }

    pub(super) fn blocked(&mut self, now: Duration) {
        if self.is_up() {
            self.link = Link::Blocked { since: now };
        }
    }

    pub(super) fn unblocked(&mut self, now: Duration) {
        if self.is_connected() {
            self.link = Link::Up { heard: now, absent: None };
        }
    }

    pub(super) fn down(&mut self, reason: Reason, now: Duration) {
        let since = match self.link {
            Link::Down { since, .. } => since,
            Link::Starting { .. } | Link::Up { .. } | Link::Blocked { .. } => now,
        };
        self.link = Link::Down { reason, since };
    }

    /// For so long we were late ourselves: it does not count as silence.
    pub(super) fn excuse(&mut self, late: Duration, now: Duration) {
        match &mut self.link {
            Link::Starting { since } | Link::Up { heard: since, .. } => {
                *since = now.min(*since + late);
            }
            Link::Blocked { .. } | Link::Down { .. } => {}
        }
    }

    /// A submission came back: nobody consumes what is submitted.
    pub(super) fn returned(&mut self, now: Duration) {
        if let Link::Up { absent: absent @ None, .. } = &mut self.link {
            *absent = Some(now);
        }
    }

    pub(super) fn heard(&mut self, presence: &Presence, now: Duration) -> PresenceChange {
        if let Link::Up { heard, absent } = &mut self.link {
            (*heard, *absent) = (now, None);
        }
        let new_term = self.term.is_some_and(|term| term != presence.term);
        self.term = Some(presence.term);
        self.cut = Cut::said(presence);
        let full = (!presence.room).then(|| presence.bound.unwrap_or(Bound::Other));
        let before = std::mem::replace(&mut self.full, full);
        let refused = self.refusals.len();
        self.refusals.retain(|_, refusal| {
            !presence.functions.iter().any(|at| refusal.target.selector.matches(at))
        });
        let taken_again = refused > self.refusals.len() || (before.is_some() && full.is_none());
        PresenceChange { new_term, taken_again }
    }

    /// The distributor has answered: of many answers, its beats may be late.
    pub(super) fn answered(&mut self, term: Term, now: Duration) {
        if let Link::Up { heard, .. } = &mut self.link
            && self.term.is_none_or(|active| active == term)
        {
            *heard = now;
        }
    }

    /// The distributor refused a job of this function, since nobody serves it.
    pub(super) fn not_served(&mut self, target: &Arc<Target>, now: Duration) {
        if self.refusals.len() >= REFUSALS {
            self.refusals.retain(|_, refusal| refusal.until > now);
        }
        if self.refusals.len() < REFUSALS {
            let until = now + MEMORY;
            let target = Arc::clone(target);
            self.refusals.insert(Arc::clone(&target.name), Refusal { target, until });
        }
    }

    /// A job was refused, since a bound is reached: whether that is new.
    pub(super) fn no_room(&mut self, bound: Bound) -> bool {
        self.told.insert(bound)
    }

    /// A job of this function is sent: if that is a try after a refusal, others wait for it.
    pub(super) fn tried(&mut self, target: &Target, now: Duration) {
        if self.refusals.is_empty() {
            return;
        }
        if let Some(refusal) = self.refusals.get_mut(&target.name) {
            refusal.until = now + MEMORY;
        }
    }

    /// A job of this function ran on a worker, whatever presence last said.
    pub(super) fn served(&mut self, target: &Target) {
        if !self.refusals.is_empty() {
            self.refusals.remove(&target.name);
        }
        self.cut.expected.retain(|function| !target.selector.matches(function));
    }

    /// What is seen from one function's point of view.
    pub(super) fn reachability(
        &self,
        target: &Target,
        unconfirmed: Duration,
        now: Duration,
    ) -> Reachability {
        let refusal = self.refusals.get(&target.name).filter(|refusal| refusal.until > now);
        Reachability {
            refusal: refusal.map(|_| Reason::NotServed),
            expected: self.cut.has(target),
            ..self.reachability_of_all(unconfirmed, now)
        }
    }

    /// What is seen, whatever the function.
    pub(super) fn reachability_of_all(&self, unconfirmed: Duration, now: Duration) -> Reachability {
        let passed = |since| now.saturating_sub(since);
        let (link, silent, absent) = match self.link {
            Link::Starting { since } => (LinkState::Starting(passed(since)), Duration::ZERO, None),
            Link::Blocked { since } => (LinkState::Blocked(passed(since)), Duration::ZERO, None),
            Link::Down { reason, since } => {
                (LinkState::Down(reason, passed(since)), Duration::ZERO, None)
            }
            Link::Up { heard, absent } => (LinkState::Up, passed(heard), absent.map(passed)),
        };
        Reachability {
            link,
            unconfirmed,
            silent,
            absent,
            refusal: None,
            expected: false,
            full: self.full,
        }
    }
}
