//! LocalSlots at the local slots: who runs, who waits, and who waits too far behind to be promised
//! anything.

use std::collections::BTreeMap;

use simple_dist_protocol::JobId;

/// How many calls per slot are sure of their turn, even past their time.
const SURE: usize = 16;

#[derive(Debug)]
pub(super) struct LocalSlots {
    slots: usize,
    free: usize,
    /// By ticket, so by age.
    sure: BTreeMap<u64, JobId>,
    behind: BTreeMap<u64, JobId>,
    next: u64,
}

impl LocalSlots {
    pub(super) fn new(slots: usize) -> Self {
        Self { slots, free: slots, sure: BTreeMap::new(), behind: BTreeMap::new(), next: 0 }
    }

    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// A job wants a slot: its ticket.
    pub(super) fn enter(&mut self, id: JobId) -> u64 {
        let ticket = self.next;
        self.next += 1;
        self.behind.insert(ticket, id);
        self.move_up();
        ticket
    }

    /// A job wants it no more.
    pub(super) fn leave(&mut self, ticket: u64) {
        self.behind.remove(&ticket);
        self.sure.remove(&ticket);
        self.move_up();
    }

    /// Whether a job is sure of its turn.
    pub(super) fn is_sure(&self, ticket: u64) -> bool {
        self.sure.contains_key(&ticket)
    }

    /// The next job, if a slot is free; the slot is taken.
    pub(super) fn take(&mut self) -> Option<JobId> {
        if self.free == 0 {
            return None;
        }
        let (_, id) = self.sure.pop_first()?;
        self.free -= 1;
        self.move_up();
        Some(id)
    }

    /// Whether a slot is free that nobody waits for.
    pub(super) fn has_idle(&self) -> bool {
        self.free > self.sure.len() + self.behind.len()
    }

    /// A run has ended.
    pub(super) fn give_back(&mut self) {
        self.free += 1;
    }

    /// All who wait.
    pub(super) fn waiting(&self) -> Vec<JobId> {
        self.sure.values().chain(self.behind.values()).copied().collect()
    }

    fn move_up(&mut self) {
        while self.sure.len() < SURE * self.slots {
            let Some((ticket, id)) = self.behind.pop_first() else { return };
            self.sure.insert(ticket, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(number: u128) -> JobId {
        JobId::from_u128(number)
    }

    #[test]
    fn a_slot_is_taken_in_order_and_given_back() {
        let mut slots = LocalSlots::new(1);
        slots.enter(job(1));
        slots.enter(job(2));
        assert_eq!((slots.take(), slots.take()), (Some(job(1)), None));
        slots.give_back();
        assert_eq!(slots.take(), Some(job(2)));
    }

    #[test]
    fn sixteen_per_slot_are_sure_of_their_turn_and_others_move_up() {
        let mut slots = LocalSlots::new(1);
        let tickets: Vec<u64> = (0..17).map(|number| slots.enter(job(number))).collect();
        assert!(slots.is_sure(tickets[15]));
        assert!(!slots.is_sure(tickets[16]));
        slots.leave(tickets[3]);
        assert!(slots.is_sure(tickets[16]));
    }
}
