//! Messages through a queue with acks and confirms: how fast, and does memory stay flat?
//!
//! `cargo run --release --example throughput -- [COUNT] [URL]`; without a URL on an embedded
//! broker in the same process.

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
#[expect(clippy::disallowed_methods, reason = "it measures")]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().map_or(Ok(1_000_000), |count| count.parse())?;
    let url = arguments.next();
    let embedded = match &url {
        Some(_) => None,
        None => Some(Broker::builder().start().await?),
    };
    let which = if embedded.is_some() { "embedded" } else { "remote" };
    let url = url.or_else(|| embedded.as_ref().map(|broker| broker.url().to_owned()));
    let url = url.unwrap_or_default();

    // Once in small, so that the figures do not hold what is paid only once.
    run(&url, count / 20).await?;
    let before = resident_kib();
    let start = Instant::now();
    run(&url, count).await?;
    let seconds = start.elapsed().as_secs_f64();
    let after = resident_kib();
    println!("broker: {which}, {count} messages of 100 B, confirmed and acknowledged");
    println!("messages/s: {:.0}", count as f64 / seconds);
    println!("RSS of this process, KiB: {before} before, {after} after");
    if let Some(broker) = embedded {
        println!("held by the broker, bytes: {}", broker.stats().await?.memory);
        broker.stop().await;
    }
    Ok(())
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
