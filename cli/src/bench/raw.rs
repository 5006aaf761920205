//! The yardstick: one message a call, client to queue to worker to reply queue, with nothing else:
//! no confirms, no acks, transient classic queues.

use std::collections::VecDeque;
use std::time::Instant;

use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ExchangeDeleteOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};

use simple_dist_protocol::topology::{Declaration, QueueKind, Topology};

use tokio::process::Child;

use super::figure::{Sample, Times};
use super::{Error, PATIENCE, now, role};

/// The most bare round trips outstanding at once: more of them only wait longer.
const OUTSTANDING: usize = 10_000;
/// The most of one load.
const CALLS: usize = 200_000;

/// Echoes what comes to `queue` into `queue.reply`, until it is killed.
pub(crate) async fn serve(url: &str, queue: &str) -> Result<(), Error> {
    let connection = connect(url).await?;
    let (mut requests, channel) = consume(&connection, queue).await?;
    let reply = reply(queue);
    while let Some(request) = requests.next().await {
        publish(&channel, &reply, &request?.data).await?;
    }
    Ok(())
}

/// Both ends of bare round trips.
pub(crate) struct Raw {
    queue: String,
    channel: Channel,
    replies: Consumer,
    _worker: Child,
    _connections: [Connection; 2],
}

impl Raw {
    pub(crate) async fn start(url: &str) -> Result<Self, Error> {
        let queue = format!("bench-raw-{}", uuid::Uuid::new_v4().simple());
        let (publishing, consuming) = (connect(url).await?, connect(url).await?);
        let channel = publishing.create_channel().await?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        for name in [&queue, &reply(&queue)] {
            channel.queue_declare(name.as_str().into(), durable, FieldTable::default()).await?;
        }
        let worker = role(url, &["bench", "--raw-worker", &queue])?;
        let (replies, _) = consume(&consuming, &reply(&queue)).await?;
        let connections = [publishing, consuming];
        Ok(Self { queue, channel, replies, _worker: worker, _connections: connections })
    }

    /// Runs a load, after a tenth of it to warm up.
    pub(crate) async fn measure(
        &mut self,
        bytes: usize,
        outstanding: usize,
        calls: usize,
    ) -> Result<Times, Error> {
        let (outstanding, calls) = (outstanding.min(OUTSTANDING), calls.min(CALLS));
        self.run(bytes, outstanding, calls.div_ceil(10)).await?;
        Ok(self.run(bytes, outstanding, calls).await?.times())
    }

    /// One queue keeps order, so the oldest outstanding request is the one answered.
    async fn run(
        &mut self,
        bytes: usize,
        outstanding: usize,
        calls: usize,
    ) -> Result<Sample, Error> {
        let payload = vec![7; bytes];
        let mut begun: VecDeque<Instant> = VecDeque::new();
        let (mut sent, mut answered) = (0, 0);
        let mut sample = Sample::begin();
        while answered < calls {
            while sent < calls && begun.len() < outstanding {
                begun.push_back(now());
                publish(&self.channel, &self.queue, &payload).await?;
                sent += 1;
            }
            let reply = tokio::time::timeout(PATIENCE, self.replies.next())
                .await
                .map_err(|_| Error::Silent(PATIENCE))?;
            reply.ok_or(Error::Silent(PATIENCE))??;
            answered += 1;
            if let Some(begun) = begun.pop_front() {
                sample.add(begun.elapsed());
            }
        }
        Ok(sample.end())
    }

    /// Ends it and deletes its queues.
    pub(crate) async fn stop(self) -> Result<(), Error> {
        for name in [&self.queue, &reply(&self.queue)] {
            let name = name.as_str().into();
            self.channel.queue_delete(name, QueueDeleteOptions::default()).await?;
        }
        Ok(())
    }
}

fn reply(queue: &str) -> String {
    format!("{queue}.reply")
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

pub(super) async fn connect(url: &str) -> Result<Connection, Error> {
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
