//! The active distributor's lock: exclusive queues, one of which one process holds.
//!
//! One queue would be enough if a broker always deleted it with its holder's connection. But a
//! cluster of RabbitMQ 4.2 or newer keeps it while the holder's node is down: nobody can declare
//! it, and a publish to it is refused. Such a lock is stale, its holder has no connection, and the
//! next queue counts.

use lapin::Channel;
use lapin::Confirmation;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;

use super::connection::is_locked;
use super::generation::{Failure, Live, in_time};
use super::plan::{declare_queue, short};
use super::publisher::properties;
use super::session::{Session, answered, failed};
use super::{Reason, Source};
use simple_dist_protocol::topology::QueueSpec;

/// The state of a lock, as seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Free,
    /// Somebody holds it, perhaps we do.
    Held,
    /// It exists, but the broker cannot reach it.
    Stale,
}

impl<S: Source> Session<S> {
    /// Takes the first free one of these locks, unless somebody holds any of them. Returns true if
    /// we hold one now, false if anybody, including us, held one already.
    ///
    /// After taking one, looks at the others again: if two distributors take different ones at the
    /// same time (while a node comes back), at least one sees the other. It then drops its link,
    /// and the lock with it.
    ///
    /// # Errors
    ///
    /// The reason, if the broker does not answer in time, or the generation has ended.
    pub async fn claim(&self, locks: &[QueueSpec]) -> Result<bool, Reason> {
        let live = self.live()?;
        if live.answer_timeout.is_blocked() {
            return Err(Reason::Lost("the broker takes no messages".to_owned()));
        }
        let asking = answered(&live, live.claims.take(&live.broker.publishing)).await?;
        let mut free = None;
        for lock in locks {
            match answered(&live, look(&live, &asking, short(&lock.name))).await? {
                Seen::Free => free = free.or(Some(lock)),
                Seen::Held => {
                    live.claims.keep(asking);
                    return Ok(false);
                }
                Seen::Stale => {}
            }
        }
        let Some(ours) = free else {
            live.claims.keep(asking);
            return Err(Reason::Lost("the nodes of all locks are down".to_owned()));
        };
        if !declared(&live, ours).await? {
            live.claims.keep(asking);
            return Ok(false);
        }
        for lock in locks.iter().filter(|lock| lock.name != ours.name) {
            let seen = answered(&live, look(&live, &asking, short(&lock.name))).await;
            if !matches!(seen, Ok(Seen::Free | Seen::Stale)) {
                let reason = Reason::Lost("somebody else took a lock as well".to_owned());
                live.faults.tell(reason.clone());
                return seen.and(Err(reason));
            }
        }
        live.claims.keep(asking);
        Ok(true)
    }
}

/// Returns false if somebody else was faster.
async fn declared<S: Source>(live: &Live<S>, lock: &QueueSpec) -> Result<bool, Reason> {
    let channel = answered(live, live.declares.take(&live.broker.consuming)).await?;
    match in_time(declare_queue(&channel, lock)).await {
        Ok(()) => {
            live.declares.keep(channel);
            Ok(true)
        }
        Err(Failure::Answer(error)) if is_locked(&error) => Ok(false),
        Err(failure) => Err(failed(live, failure)),
    }
}

/// Probes with an empty message, since a refused declaration writes an error into the broker's log.
/// The message is returned if there is no such queue, and expires at once if there is one.
async fn look<S>(
    live: &Live<S>,
    channel: &Channel,
    queue: ShortString,
) -> Result<Seen, lapin::Error> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let properties =
        properties(None).with_expiration(ShortString::try_new("0").expect("one digit"));
    let confirm =
        channel.basic_publish(ShortString::default(), queue, options, &[], properties).await?;
    let confirmation = confirm.await?;
    // There is one question at a time on this channel, so a returned message is this one.
    let came_back = !live.broker.returns.take(channel.id()).is_empty();
    Ok(match (came_back, confirmation) {
        (true, _) => Seen::Free,
        (false, Confirmation::Nack(_)) => Seen::Stale,
        (false, _) => Seen::Held,
    })
}
