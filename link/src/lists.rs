//! Forms waiting items into lists: everything that waits leaves at once, in as few messages as the
//! limits allow. Pure.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::outgoing::{self, Outgoing, Route};
use simple_dist_protocol::{codec, limits};

/// Waiting items by route. Items of one route keep their order; routes take turns.
#[derive(Debug, Default)]
pub(super) struct Lists {
    routes: HashMap<Arc<Route>, VecDeque<Outgoing>>,
    turns: VecDeque<Arc<Route>>,
    held: usize,
}

/// A message to publish.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) route: Arc<Route>,
    pub(super) body: Bytes,
    /// The bytes that its items counted for while they waited.
    pub(super) weight: usize,
    /// The tokens of its items that have one.
    pub(super) tokens: Vec<u64>,
}

impl Lists {
    /// The number of waiting items.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn push(&mut self, item: Outgoing) {
        self.held += 1;
        if let Some(queue) = self.routes.get_mut(&item.route) {
            queue.push_back(item);
        } else {
            self.turns.push_back(item.route.clone());
            self.routes.insert(item.route.clone(), VecDeque::from([item]));
        }
    }

    /// The next message, of the route whose turn it is.
    pub(super) fn next(&mut self) -> Option<Message> {
        let route = self.turns.pop_front()?;
        let queue = self.routes.get_mut(&route).expect("a route with a turn has items");
        let count = fitting(&route, queue);
        let message = Message::of(&route, queue.drain(..count));
        if queue.is_empty() {
            self.routes.remove(&route);
        } else {
            self.turns.push_back(route);
        }
        self.held -= count;
        Some(message)
    }
}

impl Message {
    fn of(route: &Arc<Route>, items: impl Iterator<Item = Outgoing>) -> Self {
        let (mut bodies, mut tokens) = (Vec::new(), Vec::new());
        let mut weight = 0;
        for item in items {
            weight += outgoing::weight(&item.body);
            bodies.push(item.body);
            tokens.extend(item.token);
        }
        let body = match &route.envelope {
            Some(envelope) => codec::join(envelope, bodies.iter()).into(),
            None => bodies.pop().unwrap_or_default().into_bytes(),
        };
        Self { route: route.clone(), body, weight, tokens }
    }
}

/// How many items at the front travel together: at least one, however large or long.
fn fitting(route: &Route, queue: &VecDeque<Outgoing>) -> usize {
    if route.envelope.is_none() {
        return 1;
    }
    let (mut bytes, mut work) = (0, Duration::ZERO);
    for (count, item) in queue.iter().take(limits::LIST_JOBS).enumerate() {
        bytes += item.body.len();
        work = work.saturating_add(item.work);
        if count > 0 && (bytes > limits::LIST_BYTES || work > limits::LIST_WORK) {
            return count;
        }
    }
    queue.len().min(limits::LIST_JOBS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lane;
    use simple_dist_protocol::message::{FromClient, Ids};
    use simple_dist_protocol::topology::Topology;
    use simple_dist_protocol::{ClientId, Generation, JobId};

    const MS: Duration = Duration::from_millis(1);

    fn route(prefix: &str, envelope: Option<Bytes>) -> Arc<Route> {
        let topology =
            Topology::new(prefix, simple_dist_protocol::topology::QueueKind::Classic).unwrap();
        let (exchange, key) = (topology.submit(), topology.submit_key());
        Arc::new(Route { exchange, key, mandatory: true, envelope })
    }

    fn item(route: &Arc<Route>, token: u64, size: usize, work: Duration) -> Outgoing {
        let body = Bytes::from(vec![0xc0; size]).into();
        Outgoing { route: route.clone(), body, work, token: Some(token), lane: Lane::Jobs }
    }

    /// Checks that items of these sizes and run times become messages of these lengths.
    #[track_caller]
    fn check(items: &[(usize, Duration)], messages: &[usize]) {
        let route = route("sd", Some(Bytes::from_static(b"x")));
        let mut lists = Lists::default();
        for (token, (size, work)) in (0..).zip(items) {
            lists.push(item(&route, token, *size, *work));
        }
        let formed: Vec<Message> = std::iter::from_fn(|| lists.next()).collect();
        let counts: Vec<usize> = formed.iter().map(|message| message.tokens.len()).collect();
        assert_eq!(counts, messages);
        let tokens: Vec<u64> = formed.into_iter().flat_map(|message| message.tokens).collect();
        assert_eq!(tokens, (0..items.len() as u64).collect::<Vec<_>>());
        assert_eq!(lists.held(), 0);
    }

    #[test]
    fn a_lone_item_leaves_alone() {
        check(&[(10, Duration::ZERO)], &[1]);
    }

    #[test]
    fn at_most_256_share_a_message() {
        check(&[(10, Duration::ZERO); 600], &[256, 256, 88]);
    }

    #[test]
    fn bytes_are_limited_but_for_one_large_item() {
        let half = limits::LIST_BYTES / 2;
        check(&[(half, Duration::ZERO); 3], &[2, 1]);
        let (small, large) = ((1, Duration::ZERO), (8 * half, Duration::ZERO));
        check(&[small, large, small, small], &[1, 1, 2]);
    }

    #[test]
    fn long_jobs_are_never_lumped_together() {
        check(&[(1, 4 * MS); 5], &[2, 2, 1]);
        check(&[(1, MS), (1, 30 * MS), (1, Duration::ZERO), (1, 9 * MS)], &[1, 1, 2]);
        check(&[(1, Duration::MAX), (1, Duration::MAX)], &[1, 1]);
    }

    #[test]
    fn without_an_envelope_everything_travels_alone() {
        let route = route("sd", None);
        let mut lists = Lists::default();
        (0..3).for_each(|token| lists.push(item(&route, token, 2, Duration::ZERO)));
        let first = lists.next().unwrap();
        assert_eq!((first.tokens, first.body.len()), (vec![0], 2));
        assert_eq!(lists.held(), 2);
    }

    #[test]
    fn equal_routes_meet_and_others_take_turns() {
        let (one, same, other) = (route("a", None), route("a", None), route("b", None));
        let mut lists = Lists::default();
        for (token, route) in (0..).zip([&one, &same, &other, &one]) {
            lists.push(item(route, token, 1, Duration::ZERO));
        }
        let tokens: Vec<u64> =
            std::iter::from_fn(|| lists.next()).flat_map(|message| message.tokens).collect();
        assert_eq!(tokens, [0, 2, 1, 3]);
    }

    #[test]
    fn a_list_is_the_message_that_its_reader_expects() {
        let ask = |ids| {
            FromClient::Ask(Ids { client: ClientId::from_u128(1), generation: Generation(1), ids })
        };
        let route = route("sd", Some(codec::envelope(&ask(vec![]))));
        let ids: Vec<JobId> = (0..20).map(JobId::from_u128).collect();
        let mut lists = Lists::default();
        for id in &ids {
            let body = codec::encode_message(id).into();
            let item = item(&route, 0, 0, Duration::ZERO);
            lists.push(Outgoing { body, token: None, ..item });
        }
        let message = lists.next().unwrap();
        assert_eq!(codec::decode::<FromClient>(&message.body).unwrap(), ask(ids));
        assert!(message.tokens.is_empty());
    }
}
