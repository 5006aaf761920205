//! The calls of a map that have begun, and what is held of those that have ended too early.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::stream::{FuturesUnordered, StreamExt};
use simple_dist_protocol::{Argument, Failure};

use super::calls::Item;
use crate::call::Detailed;

/// See the module.
pub(super) struct Running<A: Argument, R: Argument, K, E: Failure> {
    calls: FuturesUnordered<Keyed<A, R, K, E>>,
    order: Option<Order<R, E, K>>,
}

/// What has ended before an earlier one.
struct Order<R, E, K> {
    ended: BTreeMap<usize, Item<R, E, K>>,
    /// The place of the next to be given out.
    next: usize,
}

/// A call that keeps its place and its key.
struct Keyed<A, R, K, E> {
    place: usize,
    key: Option<K>,
    call: Detailed<A, R, E>,
}

impl<A: Argument, R: Argument, K, E: Failure> Running<A, R, K, E> {
    pub(super) fn new(ordered: bool) -> Self {
        let order = ordered.then(|| Order { ended: BTreeMap::new(), next: 0 });
        Self { calls: FuturesUnordered::new(), order }
    }

    pub(super) fn is_ordered(&self) -> bool {
        self.order.is_some()
    }

    /// Those that have not ended.
    pub(super) fn under_way(&self) -> usize {
        self.calls.len()
    }

    /// Those that have, and wait for an earlier one.
    pub(super) fn held(&self) -> usize {
        self.order.as_ref().map_or(0, |order| order.ended.len())
    }

    pub(super) fn push(&mut self, place: usize, key: K, call: Detailed<A, R, E>) {
        self.calls.push(Keyed { place, key: Some(key), call });
    }

    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Item<R, E, K>>> {
        loop {
            if let Some(order) = &mut self.order
                && let Some(item) = order.ended.remove(&order.next)
            {
                order.next += 1;
                return Poll::Ready(Some(item));
            }
            let Some((place, item)) = ready!(self.calls.poll_next_unpin(context)) else {
                return Poll::Ready(None);
            };
            match &mut self.order {
                Some(order) => order.ended.insert(place, item),
                None => return Poll::Ready(Some(item)),
            };
        }
    }
}

// Nothing in it is pinned.
impl<A, R, K, E> Unpin for Keyed<A, R, K, E> {}

impl<A: Argument, R: Argument, K, E: Failure> Future for Keyed<A, R, K, E> {
    type Output = (usize, Item<R, E, K>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let end = ready!(Pin::new(&mut self.call).poll(context));
        let key = self.key.take().expect("taken once, at its end");
        Poll::Ready((self.place, (key, end)))
    }
}
