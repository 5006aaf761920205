//! Calls through a distributor and a worker, each a process.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_bytes::ByteBuf;
use simple_dist_client::{Client, Fallback, Handle};
use simple_dist_demo::functions::ECHO;

use super::figure::{Measured, Sample, histogram, micros, now};
use super::{Error, LONE, MANY, OUTSTANDING, PAYLOAD, raw, role};

/// How long the roles may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn measure(url: &str) -> Result<Measured, Error> {
    let prefix = format!("bench-{}", uuid::Uuid::new_v4().simple());
    let prefix = &prefix[..20];
    let distributor = role(url, &["distributor", "--prefix", prefix, "--listen", "none"])?;
    let worker = role(url, &["worker", "--prefix", prefix])?;
    let client = Client::builder(url).prefix(prefix).connect()?;
    let echo = client.function(ECHO);
    wait_until_served(&echo).await?;
    lone(&echo, LONE / 10).await?;
    let alone = lone(&echo, LONE).await?;
    many(&echo, MANY / 10).await?;
    let outstanding = many(&echo, MANY).await?;
    client.close().await;
    drop((distributor, worker));
    raw::forget(url, prefix).await?;
    Ok(Measured { lone: alone, many: outstanding })
}

pub(crate) async fn wait_until_served(echo: &Handle<ByteBuf, ByteBuf>) -> Result<(), Error> {
    let begun = now();
    loop {
        match echo.call(payload()).fallback(Fallback::Never).await {
            Ok(_) => return Ok(()),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn lone(echo: &Handle<ByteBuf, ByteBuf>, count: usize) -> Result<Sample, Error> {
    let mut times = histogram();
    let whole = now();
    for _ in 0..count {
        let begun = now();
        echo.call(payload()).fallback(Fallback::Never).await?;
        times.saturating_record(micros(begun));
    }
    Ok(Sample::new(times, whole.elapsed()))
}

async fn many(echo: &Handle<ByteBuf, ByteBuf>, count: usize) -> Result<Sample, Error> {
    let mut times = histogram();
    let whole = now();
    let calls = (0..count).map(|_| {
        let call = echo.call(payload()).fallback(Fallback::Never);
        async {
            let begun = now();
            call.await.map(|_| micros(begun))
        }
    });
    let mut ended = stream::iter(calls).buffer_unordered(OUTSTANDING);
    while let Some(took) = ended.try_next().await? {
        times.saturating_record(took);
    }
    Ok(Sample::new(times, whole.elapsed()))
}

fn payload() -> ByteBuf {
    ByteBuf::from([7; PAYLOAD])
}
