//! The arguments of a map that are not called yet, each with its place.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::Stream;

/// So many are taken at a time where the longest go first.
pub(super) const WINDOW: usize = 1024;

/// See the module.
pub(super) struct Arguments<A, S> {
    /// There until they have ended.
    stream: Option<Pin<Box<S>>>,
    taken: usize,
    by_cost: Option<ByCost<A>>,
}

/// Those that were taken, the longest last.
struct ByCost<A> {
    cost: Box<dyn FnMut(&A) -> u64 + Send>,
    window: Vec<(u64, usize, A)>,
}

impl<A, S: Stream<Item = A>> Arguments<A, S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream: Some(Box::pin(stream)), taken: 0, by_cost: None }
    }

    pub(super) fn by_cost(&mut self, cost: Box<dyn FnMut(&A) -> u64 + Send>) {
        self.by_cost = Some(ByCost { cost, window: Vec::new() });
    }

    pub(super) fn are_by_cost(&self) -> bool {
        self.by_cost.is_some()
    }

    pub(super) fn have_ended(&self) -> bool {
        self.stream.is_none() && self.taken_and_left() == 0
    }

    /// Whether the next is one of a new window.
    pub(super) fn are_between_windows(&self) -> bool {
        self.are_by_cost() && self.taken_and_left() == 0
    }

    /// The next to be called, if it is there.
    pub(super) fn next(&mut self, context: &mut Context<'_>) -> Option<(usize, A)> {
        if self.by_cost.is_none() {
            return self.take(context);
        }
        if self.taken_and_left() == 0 {
            self.fill(context);
        }
        let (_, place, argument) = self.by_cost.as_mut()?.window.pop()?;
        Some((place, argument))
    }

    /// What is there, up to a window full, in order.
    fn fill(&mut self, context: &mut Context<'_>) {
        while self.taken_and_left() < WINDOW
            && let Some((place, argument)) = self.take(context)
            && let Some(ByCost { cost, window }) = &mut self.by_cost
        {
            window.push((cost(&argument), place, argument));
        }
        if let Some(ByCost { window, .. }) = &mut self.by_cost {
            // Of equal ones the first goes first.
            window.sort_unstable_by_key(|(cost, place, _)| (*cost, usize::MAX - place));
        }
    }

    fn take(&mut self, context: &mut Context<'_>) -> Option<(usize, A)> {
        let stream = self.stream.as_mut()?;
        let Poll::Ready(argument) = stream.as_mut().poll_next(context) else { return None };
        let Some(argument) = argument else {
            self.stream = None;
            return None;
        };
        self.taken += 1;
        Some((self.taken - 1, argument))
    }

    fn taken_and_left(&self) -> usize {
        self.by_cost.as_ref().map_or(0, |by_cost| by_cost.window.len())
    }

    pub(super) fn left(&self) -> (usize, Option<usize>) {
        let none = (0, Some(0));
        let (least, most) = self.stream.as_ref().map_or(none, |stream| stream.size_hint());
        let taken = self.taken_and_left();
        (least.saturating_add(taken), most.and_then(|most| most.checked_add(taken)))
    }
}
