//! Single requests to the broker, each on its own channel.

use lapin::Channel;
use lapin::options::{BasicCancelOptions, BasicGetOptions, QueueDeclareOptions, QueuePurgeOptions};
use lapin::types::FieldTable;

use super::answer::{Failure, in_time};
use super::declare::short;
use super::reason::{Reason, reason};
use super::session::{DRAINED, Depth, Drained};
use simple_dist_protocol::topology::Name;

/// The depth of a queue; none if there is no such queue.
pub(super) async fn depth(channel: Channel, queue: Name) -> Result<Option<Depth>, Failure> {
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    match in_time(channel.queue_declare(short(&queue), options, FieldTable::default())).await {
        Ok(queue) => {
            let (messages, consumers) = (queue.message_count(), queue.consumer_count());
            Ok(Some(Depth { messages, consumers }))
        }
        Err(Failure::Answer(error)) if matches!(reason(&error), Reason::Missing(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Takes messages out of a queue, and drops those beyond [`DRAINED`].
pub(super) async fn drain(channel: Channel, queue: Name) -> Result<Vec<Drained>, Failure> {
    let mut taken = Vec::new();
    while taken.len() < DRAINED {
        let options = BasicGetOptions { no_ack: true };
        let got = in_time(channel.basic_get(short(&queue), options)).await?;
        let Some(message) = got else { return Ok(taken) };
        let redelivered = message.delivery.redelivered;
        taken.push(Drained { body: message.delivery.data.into(), redelivered });
    }
    in_time(channel.queue_purge(short(&queue), QueuePurgeOptions::default())).await?;
    Ok(taken)
}

/// Ends consumers, each on its channel.
pub(super) async fn cancel(leaving: &[(Channel, lapin::Consumer)]) -> Result<(), Failure> {
    for (channel, consumer) in leaving {
        in_time(channel.basic_cancel(consumer.tag(), BasicCancelOptions::default())).await?;
    }
    Ok(())
}
