//! One lane of a link's publisher, as in `link/src/publisher.rs` and `lists.rs`: waiting items
//! leave as lists, in windows, and the next window waits for all confirms of the previous one.

use std::collections::VecDeque;
use std::time::Duration;

use simple_dist_protocol::Outcome;
use simple_dist_protocol::limits::{LIST_JOBS, LIST_WORK};
use simple_dist_protocol::message::{FromClient, FromWorker};

use crate::broker::{Body, Route};

/// Messages whose confirms are awaited together.
const WINDOW: usize = 64;

/// An item to publish, with the tokens waiting for its outcome.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) route: Route,
    pub(crate) body: Body,
    pub(crate) tokens: Vec<u64>,
    pub(crate) work: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Publisher {
    waiting: VecDeque<Item>,
    /// The tokens of each message of the window, and what became of it.
    window: Vec<(Vec<u64>, Option<Outcome>)>,
    first: u64,
    /// Since when the window's confirms are awaited.
    pub(crate) since: Duration,
}

impl Publisher {
    pub(crate) fn push(&mut self, item: Item) {
        let last = self.waiting.iter_mut().rev().find(|it| it.route == item.route);
        if let Some(item) = last.map_or(Some(item.clone()), |last| last.take_in(item)) {
            self.waiting.push_back(item);
        }
    }

    /// The messages that leave now, each with its number.
    pub(crate) fn next_window(&mut self, now: Duration) -> Vec<(u64, Item)> {
        if self.is_waiting() {
            return vec![];
        }
        self.first += self.window.len() as u64;
        self.since = now;
        let count = self.waiting.len().min(WINDOW);
        let items: Vec<_> = (self.first..).zip(self.waiting.drain(..count)).collect();
        self.window = items.iter().map(|(_, item)| (item.tokens.clone(), None)).collect();
        items
    }

    /// The outcome of a message; returns those of the whole window after the last one.
    pub(crate) fn confirmed(&mut self, number: u64, outcome: Outcome) -> Vec<(Vec<u64>, Outcome)> {
        if let Some(place) = number.checked_sub(self.first)
            && let Some((_, known)) = self.window.get_mut(place as usize)
        {
            known.get_or_insert(outcome);
        }
        if self.is_waiting() {
            return vec![];
        }
        self.first += self.window.len() as u64;
        let told = std::mem::take(&mut self.window).into_iter();
        told.filter_map(|(tokens, outcome)| Some((tokens, outcome?)))
            .filter(|(tokens, _)| !tokens.is_empty())
            .collect()
    }

    /// Whether a confirm is awaited.
    pub(crate) fn is_waiting(&self) -> bool {
        self.window.iter().any(|(_, outcome)| outcome.is_none())
    }

    /// Everything unconfirmed, then everything waiting.
    pub(crate) fn rest(&mut self) -> Vec<(u64, Item)> {
        let next = self.first + self.window.len() as u64;
        (next..).zip(self.waiting.drain(..)).collect()
    }

    /// The number of the window's first message.
    pub(crate) fn window(&self) -> u64 {
        self.first
    }
}

impl Item {
    /// Appends another item to this list, or returns it if it does not fit.
    fn take_in(&mut self, other: Self) -> Option<Self> {
        let fits = match (&self.body, &other.body) {
            (Body::Client(FromClient::Submit(it)), Body::Client(FromClient::Submit(_))) => {
                it.jobs.len() < LIST_JOBS
            }
            (Body::Worker(FromWorker::Answers(it)), Body::Worker(FromWorker::Answers(_))) => {
                it.jobs.len() < LIST_JOBS
            }
            (Body::Deliveries(it), Body::Deliveries(new)) => {
                it.term == new.term && it.jobs.len() < LIST_JOBS && !new.jobs.is_empty()
            }
            (Body::Place(it), Body::Place(new)) => {
                let work = self.work.saturating_add(other.work);
                it.term == new.term && it.jobs.len() < LIST_JOBS && work <= LIST_WORK
            }
            _ => false,
        };
        if !fits {
            return Some(other);
        }
        self.work = self.work.saturating_add(other.work);
        self.tokens.extend(other.tokens);
        match (&mut self.body, other.body) {
            (Body::Client(FromClient::Submit(it)), Body::Client(FromClient::Submit(new))) => {
                it.jobs.extend(new.jobs);
            }
            (Body::Worker(FromWorker::Answers(it)), Body::Worker(FromWorker::Answers(new))) => {
                it.jobs.extend(new.jobs);
            }
            (Body::Deliveries(it), Body::Deliveries(new)) => it.jobs.extend(new.jobs),
            (Body::Place(it), Body::Place(new)) => it.jobs.extend(new.jobs),
            _ => {}
        }
        None
    }
}
