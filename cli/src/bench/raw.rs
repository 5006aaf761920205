//! The yardstick: one message a call, client to queue to worker to reply queue, with nothing else:
//! no confirms, no acks, transient classic queues.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ExchangeDeleteOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};

use simple_dist_protocol::topology::{Declaration, QueueKind, Topology};

use super::figure::{Measured, Sample, histogram, micros, now};
use super::{Error, LONE, MANY, OUTSTANDING, PAYLOAD, role};

/// The wait for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Echoes what comes to `queue` into `queue.reply`, until it is killed.
pub(crate) async fn serve(url: &str, queue: &str) -> Result<(), Error> {
    let connection = connect(url).await?;
    let (mut requests, channel) = consume(&connection, queue).await?;
    let reply = format!("{queue}.reply");
    while let Some(request) = requests.next().await {
        publish(&channel, &reply, &request?.data).await?;
    }
    Ok(())
}

pub(crate) async fn measure(url: &str) -> Result<Measured, Error> {
    let queue = format!("bench-raw-{}", uuid::Uuid::new_v4().simple());
    let reply = format!("{queue}.reply");
    let (publishing, consuming) = (connect(url).await?, connect(url).await?);
    let channel = publishing.create_channel().await?;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    for name in [&queue, &reply] {
        channel.queue_declare(name.as_str().into(), durable, FieldTable::default()).await?;
    }
    let _worker = role(url, &["bench", "--raw-worker", &queue])?;
    let (mut replies, _) = consume(&consuming, &reply).await?;
    let mut trip = Trip { channel: &channel, queue: &queue, replies: &mut replies };
    trip.run(LONE / 10, 1).await?;
    let lone = trip.run(LONE, 1).await?;
    trip.run(MANY / 10, OUTSTANDING).await?;
    let many = trip.run(MANY, OUTSTANDING).await?;
    for name in [&queue, &reply] {
        channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await?;
    }
    Ok(Measured { lone, many })
}

/// Deletes what an installation of this prefix declared.
pub(crate) async fn forget(url: &str, prefix: &str) -> Result<(), Error> {
    let connection = connect(url).await?;
    let channel = connection.create_channel().await?;
    let topology = Topology::new(prefix, QueueKind::Classic).unwrap_or_default();
    for declared in topology.shared() {
        match declared {
            Declaration::Queue(queue) => {
                let name = queue.name.as_str().into();
                channel.queue_delete(name, QueueDeleteOptions::default()).await?;
            }
            Declaration::Exchange { name, .. } => {
                let name = name.as_str().into();
                channel.exchange_delete(name, ExchangeDeleteOptions::default()).await?;
            }
            Declaration::Binding { .. } => {}
        }
    }
    Ok(connection.close(200, "done".into()).await?)
}

struct Trip<'a> {
    channel: &'a Channel,
    queue: &'a str,
    replies: &'a mut Consumer,
}

impl Trip<'_> {
    /// One queue keeps order, so the oldest outstanding request is the one answered.
    async fn run(&mut self, count: usize, outstanding: usize) -> Result<Sample, Error> {
        let payload = [7; PAYLOAD];
        let mut times = histogram();
        let mut begun: VecDeque<Instant> = VecDeque::new();
        let (mut sent, mut answered) = (0, 0);
        let whole = now();
        while answered < count {
            while sent < count && begun.len() < outstanding {
                begun.push_back(now());
                publish(self.channel, self.queue, &payload).await?;
                sent += 1;
            }
            let reply = tokio::time::timeout(PATIENCE, self.replies.next())
                .await
                .map_err(|_| Error::Silent(PATIENCE))?;
            reply.ok_or(Error::Silent(PATIENCE))??;
            answered += 1;
            if let Some(begun) = begun.pop_front() {
                times.saturating_record(micros(begun));
            }
        }
        Ok(Sample::new(times, whole.elapsed()))
    }
}

async fn connect(url: &str) -> Result<Connection, Error> {
    let connecting = Connection::connect(url, ConnectionProperties::default());
    let connected = tokio::time::timeout(PATIENCE, connecting).await;
    Ok(connected.map_err(|_| Error::Silent(PATIENCE))??)
}

async fn consume(connection: &Connection, queue: &str) -> Result<(Consumer, Channel), Error> {
    let channel = connection.create_channel().await?;
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let consumer =
        channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
    Ok((consumer, channel))
}

async fn publish(channel: &Channel, queue: &str, body: &[u8]) -> Result<(), Error> {
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    channel.basic_publish("".into(), queue.into(), options, body, properties).await?;
    Ok(())
}
