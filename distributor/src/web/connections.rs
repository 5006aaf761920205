//! Which connections are open, and which one is evicted for a new one: a connection that waits for
//! a request, or sends one slowly, makes room. While all are busy, only probes get a connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::Id;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a connection must have been idle before it may be evicted.
const IDLE_BEFORE_EVICTION: Duration = Duration::from_secs(1);

/// Which requests a connection may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Any.
    All,
    /// `/healthz` and `/readyz` only.
    Probes,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    /// No complete request head has arrived.
    Idle {
        /// When it was accepted, or got its last answer.
        since: Instant,
    },
    /// A request is being answered.
    Busy,
}

/// One open connection; shared between the accept loop and the task that serves it.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionSlot {
    pub(crate) allowed: Allowed,
    pub(crate) activity: Arc<watch::Sender<Activity>>,
    /// Cancelled when another connection needs the slot.
    pub(crate) evict: CancellationToken,
}

impl ConnectionSlot {
    fn new(allowed: Allowed) -> Self {
        let activity = Arc::new(watch::Sender::new(Activity::Idle { since: Instant::now() }));
        Self { allowed, activity, evict: CancellationToken::new() }
    }

    /// Waits until it has been evicted and no request is being answered.
    pub(crate) async fn evicted(&self) {
        self.evict.cancelled().await;
        let mut activity = self.activity.subscribe();
        // We hold the sender, so this ends only when the connection is idle.
        let _open = activity.wait_for(|activity| matches!(activity, Activity::Idle { .. })).await;
    }
}

/// All open connections.
#[derive(Debug, Default)]
pub(crate) struct Connections(HashMap<Id, ConnectionSlot>);

impl Connections {
    /// A slot for a new connection, with at most `all` for any request and `probes` for probes only;
    /// `None` if all are busy.
    pub(crate) fn admit(&mut self, all: usize, probes: usize) -> Option<ConnectionSlot> {
        let kinds =
            [(Allowed::All, all, IDLE_BEFORE_EVICTION), (Allowed::Probes, probes, Duration::ZERO)];
        let (allowed, ..) = kinds
            .into_iter()
            .find(|(allowed, most, idle)| self.has_room(*allowed, *most, *idle))?;
        Some(ConnectionSlot::new(allowed))
    }

    fn has_room(&mut self, allowed: Allowed, most: usize, idle: Duration) -> bool {
        let of = |(_, slot): &(&Id, &ConnectionSlot)| slot.allowed == allowed;
        if self.0.iter().filter(of).count() < most {
            return true;
        }
        let idle_slots =
            self.0.iter().filter(of).filter_map(|(id, slot)| match *slot.activity.borrow() {
                Activity::Idle { since } if since.elapsed() >= idle => Some((since, *id)),
                Activity::Idle { .. } | Activity::Busy => None,
            });
        let longest = idle_slots.min_by_key(|(since, _)| *since).map(|(_, id)| id);
        let gone = longest.and_then(|id| self.0.remove(&id));
        gone.inspect(|slot| slot.evict.cancel()).is_some()
    }

    pub(crate) fn insert(&mut self, id: Id, slot: ConnectionSlot) {
        self.0.insert(id, slot);
    }

    pub(crate) fn remove(&mut self, id: Id) {
        self.0.remove(&id);
    }
}
