//! The ends of attempts that the broker has not confirmed: they outlive the link, so that no
//! result is computed twice for want of a connection.

use std::collections::BTreeMap;
use std::time::Duration;

use simple_dist_protocol::message::{End, Ended};

use super::jobs::Number;

/// Ends kept in memory while they cannot be sent. Beyond it the oldest are forgotten: the
/// distributor then hears in the beats that they are not held, and places their jobs again.
const BYTES: usize = 256 * 1024 * 1024;
/// What an end costs beside its value.
const OVERHEAD: usize = 256;
/// The first wait after the broker returned or refused an end; doubled up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_millis(200);
/// The longest wait between tries.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Tries of one end: with the waits above about a minute and a half.
const TRIES: u32 = 20;

/// What is not confirmed yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    unsent: BTreeMap<Number, Unsent>,
    bytes: usize,
    /// When the first of those that wait is due, at the earliest.
    due: Option<Duration>,
}

#[derive(Debug)]
struct Unsent {
    ended: Ended,
    refused: u32,
    state: Sending,
}

#[derive(Debug, PartialEq, Eq)]
enum Sending {
    /// It is on its way.
    Sent,
    /// It waits for the link, and for this moment.
    Waits(Duration),
}

impl Outbox {
    pub(super) fn holds(&self, number: Number) -> bool {
        self.unsent.contains_key(&number)
    }

    /// Keeps an end until it is confirmed: one that is sent at once, or waits for the link.
    pub(super) fn add(&mut self, number: Number, ended: Ended, waits: Option<Duration>) {
        self.bytes += size(&ended);
        let state = waits.map_or(Sending::Sent, Sending::Waits);
        self.unsent.insert(number, Unsent { ended, refused: 0, state });
        if let Some(until) = waits {
            self.wait_until(until);
        }
    }

    /// What is due, to be sent now.
    pub(super) fn send_due(&mut self, now: Duration) -> Vec<(Number, Ended)> {
        if self.due.is_none_or(|due| now < due) {
            return vec![];
        }
        self.due = None;
        let mut sent = vec![];
        let mut next = None;
        for (number, unsent) in &mut self.unsent {
            match unsent.state {
                Sending::Sent => {}
                Sending::Waits(until) if until <= now => {
                    unsent.state = Sending::Sent;
                    sent.push((*number, unsent.ended.clone()));
                }
                Sending::Waits(until) => {
                    next = Some(next.map_or(until, |next: Duration| next.min(until)));
                }
            }
        }
        self.due = next;
        sent
    }

    /// When something is due.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// The end is settled, or nobody waits for it.
    pub(super) fn remove(&mut self, number: Number) {
        if let Some(unsent) = self.unsent.remove(&number) {
            self.bytes -= size(&unsent.ended);
        }
    }

    /// The broker did not take it: it is tried again, or given up (false) after many times.
    pub(super) fn refused(&mut self, number: Number, now: Duration) -> bool {
        let Some(unsent) = self.unsent.get_mut(&number) else { return true };
        unsent.refused += 1;
        if unsent.refused >= TRIES {
            return false;
        }
        let wait = RETRY.saturating_mul(1 << unsent.refused.min(16)).min(RETRY_MAX);
        unsent.state = Sending::Waits(now + wait);
        self.wait_until(now + wait);
        true
    }

    /// The link is gone: whatever was on its way is to be sent again on the next one.
    pub(super) fn lose_sent(&mut self, now: Duration) {
        for unsent in self.unsent.values_mut() {
            unsent.state = Sending::Waits(now);
        }
        self.due = (!self.unsent.is_empty()).then_some(now);
    }

    /// The oldest of what is too much to keep.
    pub(super) fn excess(&self) -> Option<Number> {
        if self.bytes <= BYTES {
            return None;
        }
        self.unsent
            .iter()
            .find(|(_, unsent)| unsent.state != Sending::Sent)
            .map(|(number, _)| *number)
    }

    fn wait_until(&mut self, until: Duration) {
        self.due = Some(self.due.map_or(until, |due| due.min(until)));
    }
}

fn size(ended: &Ended) -> usize {
    OVERHEAD
        + match &ended.end {
            End::Answer(answer) => answer.weight(),
            End::Returned { .. } => 0,
            End::Crashed(crash) => crash.weight(),
        }
}
