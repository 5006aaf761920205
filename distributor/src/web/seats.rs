//! Who has a connection, and who gives it up for another: a connection that only waits for a
//! request, or sends one slowly, makes room for a new one. When all are at work there is room for
//! probes alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::Id;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a connection may wait before another takes its seat.
const SETTLED: Duration = Duration::from_secs(1);

/// What a connection may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Everything.
    All,
    /// Whether the process lives and can work.
    Probes,
}

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// A request's head has not come, or not all of it.
    Waits {
        /// Since it was taken in, or since its last answer.
        since: Instant,
    },
    /// A request is being answered.
    Works,
}

/// The connection's own side of its seat.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) admission: Admission,
    pub(crate) doing: Arc<watch::Sender<Doing>>,
    /// Somebody else needs the seat.
    pub(crate) leave: CancellationToken,
}

impl Seat {
    fn new(admission: Admission) -> Self {
        let doing = Arc::new(watch::Sender::new(Doing::Waits { since: Instant::now() }));
        Self { admission, doing, leave: CancellationToken::new() }
    }

    /// Whether it was told to leave, and nothing is lost by it.
    pub(crate) async fn can_leave(&self) {
        self.leave.cancelled().await;
        let mut doing = self.doing.subscribe();
        // The sender is ours, so this ends when it waits.
        let _open = doing.wait_for(|doing| matches!(doing, Doing::Waits { .. })).await;
    }
}

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Seats(HashMap<Id, Seat>);

impl Seats {
    /// A seat for a new connection, with at most so many for everything and so many for probes;
    /// none if everybody is at work.
    pub(crate) fn free(&mut self, all: usize, probes: usize) -> Option<Seat> {
        let admissions =
            [(Admission::All, all, SETTLED), (Admission::Probes, probes, Duration::ZERO)];
        let (admission, ..) = admissions
            .into_iter()
            .find(|(admission, most, settled)| self.has_room(*admission, *most, *settled))?;
        Some(Seat::new(admission))
    }

    fn has_room(&mut self, admission: Admission, most: usize, settled: Duration) -> bool {
        let of = |(_, seat): &(&Id, &Seat)| seat.admission == admission;
        if self.0.iter().filter(of).count() < most {
            return true;
        }
        let waits = self.0.iter().filter(of).filter_map(|(id, seat)| match *seat.doing.borrow() {
            Doing::Waits { since } if since.elapsed() >= settled => Some((since, *id)),
            Doing::Waits { .. } | Doing::Works => None,
        });
        let longest = waits.min_by_key(|(since, _)| *since).map(|(_, id)| id);
        let gone = longest.and_then(|id| self.0.remove(&id));
        gone.inspect(|seat| seat.leave.cancel()).is_some()
    }

    pub(crate) fn take(&mut self, connection: Id, seat: Seat) {
        self.0.insert(connection, seat);
    }

    pub(crate) fn leave(&mut self, connection: Id) {
        self.0.remove(&connection);
    }
}
