//! The active distributor's lock: exclusive queues, one of which one process holds.
//!
//! One queue would be enough if a broker always deleted it with its holder's connection. But a
//! cluster of RabbitMQ 4.2 or newer keeps it while the holder's node is down: nobody can declare
//! it, and a publish to it is refused. Such a lock is stale, its holder has no connection, and the
//! next queue counts.

use std::sync::Arc;

use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{Channel, Confirmation};

use super::answer::{Failure, in_time};
use super::connection::Broker;
use super::declare::{declare_queue, short};
use super::publisher::properties;
use super::reason::{Reason, is_locked};
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

/// Takes the first of these locks that is free, unless somebody holds any of them: true if it is
/// ours now, false if anybody has one, us included.
///
/// Who has taken one looks at the others once more: of two that take different ones at the same
/// time (a node came back in between) at least one sees the other. It then gives up its link,
/// and the lock with it.
pub(super) async fn claim(
    broker: Arc<Broker>,
    asking: Channel,
    locks: Vec<QueueSpec>,
) -> Result<bool, Failure> {
    let mut free = None;
    for lock in &locks {
        match in_time(look(&broker, &asking, short(&lock.name))).await? {
            Seen::Free => free = free.or(Some(lock)),
            Seen::Held => return Ok(false),
            Seen::Stale => {}
        }
    }
    let Some(ours) = free else {
        return Err(Failure::Known(Reason::Lost("the nodes of all locks are down".to_owned())));
    };
    let declaring = in_time(broker.consuming.create_channel()).await?;
    match in_time(declare_queue(&declaring, ours)).await {
        Ok(()) => {}
        Err(Failure::Answer(error)) if is_locked(&error) => return Ok(false),
        Err(failure) => return Err(failure),
    }
    for lock in locks.iter().filter(|lock| lock.name != ours.name) {
        let seen = in_time(look(&broker, &asking, short(&lock.name))).await;
        if !matches!(seen, Ok(Seen::Free | Seen::Stale)) {
            return Err(Failure::Fatal(Reason::Lost(
                "somebody else took a lock as well".to_owned(),
            )));
        }
    }
    Ok(true)
}

/// Probes with an empty message, since a refused declaration writes an error into the broker's log.
/// The message is returned if there is no such queue, and expires at once if there is one.
async fn look(
    broker: &Broker,
    channel: &Channel,
    queue: ShortString,
) -> Result<Seen, lapin::Error> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let properties =
        properties(None).with_expiration(ShortString::try_new("0").expect("one digit"));
    let confirm =
        channel.basic_publish(ShortString::default(), queue, options, &[], properties).await?;
    let confirmation = confirm.await?;
    // It has no id, which reads as 0. There is one question at a time on this channel.
    let came_back = broker.returns.take(channel.id(), 0);
    Ok(match (came_back, confirmation) {
        (true, _) => Seen::Free,
        (false, Confirmation::Nack(_)) => Seen::Stale,
        (false, _) => Seen::Held,
    })
}
