//! What a client sees of the other side: its link, the distributor, and what it was refused.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use simple_dist_protocol::message::Presence;
use simple_dist_protocol::{Term, limits, link};
use tokio::time::Instant;

use crate::Reason;
use crate::callee::Callee;
use crate::place::{LinkView, View};

/// How long `NotServed` is remembered: presence, which tells of the function's return, comes
/// every second.
const NOT_SERVED_MEMORY: Duration = limits::BEAT;
/// How long `Busy` is remembered: it may have been meant for one call's short time only.
const BUSY_MEMORY: Duration = Duration::from_millis(100);
/// The most refusals remembered: the names in a program are few, those in a gateway may not be.
const REFUSALS: usize = 1024;

/// What is known of the other side.
#[derive(Debug)]
pub(crate) struct Sight {
    link: Link,
    term: Option<Term>,
    room: bool,
    refusals: HashMap<Arc<str>, Refusal>,
}

#[derive(Debug)]
enum Link {
    Starting { since: Instant },
    Up { heard: Instant, absent: Option<Instant> },
    Blocked { since: Instant },
    Down { reason: Reason, since: Instant },
}

/// What the distributor said of a function. When it is no longer believed, one call tries again
/// and the others wait for what becomes of it.
#[derive(Debug)]
struct Refusal {
    reason: Reason,
    callee: Arc<Callee>,
    until: Instant,
}

/// What a beat of the distributor changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Another term is active than before: it knows no jobs.
    pub(crate) new_term: bool,
    /// What was refused before may be taken now.
    pub(crate) taken_again: bool,
}

impl Sight {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            link: Link::Starting { since: now },
            term: None,
            room: true,
            refusals: HashMap::new(),
        }
    }

    pub(crate) fn up(&mut self, now: Instant) {
        self.link = Link::Up { heard: now, absent: None };
        self.room = true;
    }

    /// Whether messages can be sent.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// Whether there is a connection, even if it takes nothing for now.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.link, Link::Up { .. } | Link::Blocked { .. })
    }

    pub(crate) fn blocked(&mut self, now: Instant) {
        if self.is_up() {
            self.link = Link::Blocked { since: now };
        }
    }

    pub(crate) fn unblocked(&mut self, now: Instant) {
        if self.is_connected() {
            self.link = Link::Up { heard: now, absent: None };
        }
    }

    pub(crate) fn down(&mut self, reason: &link::Reason, now: Instant) {
        let since = match self.link {
            Link::Down { since, .. } => since,
            Link::Starting { .. } | Link::Up { .. } | Link::Blocked { .. } => now,
        };
        let reason = match reason {
            link::Reason::Missing(_) => Reason::NoDistributor,
            link::Reason::Unreachable { .. }
            | link::Reason::Tls { .. }
            | link::Reason::Refused(_)
            | link::Reason::Mismatch(_)
            | link::Reason::Lost(_) => Reason::NoConnection,
        };
        self.link = Link::Down { reason, since };
    }

    /// A submission came back: nobody consumes what is submitted.
    pub(crate) fn returned(&mut self, now: Instant) {
        if let Link::Up { absent: absent @ None, .. } = &mut self.link {
            *absent = Some(now);
        }
    }

    pub(crate) fn heard(&mut self, presence: &Presence, now: Instant) -> Heard {
        if let Link::Up { heard, absent } = &mut self.link {
            (*heard, *absent) = (now, None);
        }
        let new_term = self.term.is_some_and(|term| term != presence.term);
        self.term = Some(presence.term);
        let had_room = std::mem::replace(&mut self.room, presence.room);
        let refused = self.refusals.len();
        self.refusals.retain(|_, refusal| {
            let served = presence.functions.iter().any(|at| refusal.callee.selector.matches(at));
            refusal.reason != Reason::NotServed || !served
        });
        let taken_again = refused > self.refusals.len() || (!had_room && presence.room);
        Heard { new_term, taken_again }
    }

    /// The distributor refused a job of this function.
    pub(crate) fn refused(&mut self, callee: &Arc<Callee>, reason: Reason, now: Instant) {
        if self.refusals.len() >= REFUSALS {
            self.refusals.retain(|_, refusal| refusal.until > now);
        }
        if self.refusals.len() < REFUSALS {
            let until = now + memory(reason);
            let callee = Arc::clone(callee);
            self.refusals.insert(Arc::clone(&callee.name), Refusal { reason, callee, until });
        }
    }

    /// A job of this function is sent: if that is a try after a refusal, others wait for it.
    pub(crate) fn tried(&mut self, callee: &Callee, now: Instant) {
        if self.refusals.is_empty() {
            return;
        }
        if let Some(refusal) = self.refusals.get_mut(&callee.name) {
            refusal.until = now + memory(refusal.reason);
        }
    }

    /// A job of this function ran on a worker.
    pub(crate) fn served(&mut self, callee: &Callee) {
        if !self.refusals.is_empty() {
            self.refusals.remove(&callee.name);
        }
    }

    /// What is seen from one function's point of view.
    pub(crate) fn view(&self, callee: &Callee, unconfirmed: Duration, now: Instant) -> View {
        let refusal = self.refusals.get(&callee.name).filter(|refusal| refusal.until > now);
        View {
            refusal: refusal.map(|refusal| refusal.reason),
            ..self.view_of_all(unconfirmed, now)
        }
    }

    /// What is seen, whatever the function.
    pub(crate) fn view_of_all(&self, unconfirmed: Duration, now: Instant) -> View {
        let view = View {
            link: LinkView::Up,
            unconfirmed,
            silent: Duration::ZERO,
            absent: None,
            refusal: None,
            room: self.room,
        };
        match self.link {
            Link::Starting { since } => View { link: LinkView::Starting(now - since), ..view },
            Link::Blocked { since } => View { link: LinkView::Blocked(now - since), ..view },
            Link::Down { reason, since } => {
                View { link: LinkView::Down(reason, now - since), ..view }
            }
            Link::Up { heard, absent } => {
                View { silent: now - heard, absent: absent.map(|since| now - since), ..view }
            }
        }
    }
}

fn memory(reason: Reason) -> Duration {
    if reason == Reason::Busy { BUSY_MEMORY } else { NOT_SERVED_MEMORY }
}
