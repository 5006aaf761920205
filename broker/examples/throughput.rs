//! Messages through a queue with acks and confirms: how fast, and does memory stay flat?
//!
//! `cargo run --release -p simple-dist-broker --example throughput -- [COUNT]`, on an embedded
//! broker in the same process and, where `AMQP_URL` names one, on another beside it.

#![expect(clippy::print_stdout, reason = "it prints its figures")]

use std::{collections::VecDeque, error::Error, time::Instant};

use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::FieldTable,
};
use simple_dist_broker::Broker;

const QUEUE: &str = "throughput";
/// Publishes that may be unconfirmed at a time.
const WINDOW: usize = 2_000;
/// Deliveries acknowledged with one frame.
const ACK_EVERY: u64 = 200;
const PREFETCH: u16 = 2_000;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome {
    let count: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |count| count.parse())?;
    println!("{count} messages of 100 B, confirmed and acknowledged");
    let broker = Broker::builder().start().await?;
    let embedded = measure("embedded", broker.url(), count).await?;
    println!("held by the embedded broker, bytes: {}", broker.stats().await?.memory);
    broker.stop().await;
    if let Ok(url) = std::env::var("AMQP_URL") {
        let other = measure("AMQP_URL", &url, count).await?;
        println!("embedded against AMQP_URL: {:.2}", embedded / other);
    }
    Ok(())
}

/// Messages a second.
#[expect(clippy::disallowed_methods, reason = "it measures")]
async fn measure(which: &str, url: &str, count: u64) -> Result<f64, Box<dyn Error + Send + Sync>> {
    // Once in small, so that the figures do not hold what is paid only once.
    run(url, count / 20).await?;
    let before = resident_kib();
    let start = Instant::now();
    run(url, count).await?;
    let rate = count as f64 / start.elapsed().as_secs_f64();
    let after = resident_kib();
    println!("{which}: {rate:.0} messages/s; this process {before} KiB before, {after} KiB after");
    Ok(rate)
}

async fn run(url: &str, count: u64) -> Outcome {
    let publishing = open(url).await?;
    let consuming = open(url).await?;
    let (options, table) = (QueueDeclareOptions::default(), FieldTable::default());
    publishing.1.queue_declare(QUEUE.into(), options, table).await?;
    let mut tasks = tokio::task::JoinSet::new();
    let (publisher, consumer) = (publishing.1.clone(), consuming.1.clone());
    tasks.spawn(async move { publish(&publisher, count).await });
    tasks.spawn(async move { consume(&consumer, count).await });
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    publishing.1.queue_delete(QUEUE.into(), Default::default()).await?;
    publishing.0.close(200, "done".into()).await?;
    consuming.0.close(200, "done".into()).await?;
    Ok(())
}

async fn open(url: &str) -> Result<(Connection, Channel), lapin::Error> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

async fn publish(channel: &Channel, count: u64) -> Outcome {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut confirms = VecDeque::with_capacity(WINDOW);
    for _ in 0..count {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let confirm =
            channel.basic_publish("".into(), QUEUE.into(), options, &[7; 100], properties);
        confirms.push_back(confirm.await?);
        if confirms.len() == WINDOW
            && let Some(oldest) = confirms.pop_front()
        {
            accepted(&oldest.await?)?;
        }
    }
    for confirm in confirms {
        accepted(&confirm.await?)?;
    }
    Ok(())
}

fn accepted(confirmation: &Confirmation) -> Outcome {
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        other => Err(format!("not accepted: {other:?}").into()),
    }
}

async fn consume(channel: &Channel, count: u64) -> Outcome {
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = channel.basic_consume(QUEUE.into(), "".into(), options, table).await?;
    for number in 1..=count {
        let delivery = consumer.next().await.ok_or("the consumer ended early")??;
        if number % ACK_EVERY == 0 || number == count {
            delivery.ack(BasicAckOptions { multiple: true }).await?;
        }
    }
    Ok(())
}

/// What this process holds in memory, by the system's account; 0 where it keeps none.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}
