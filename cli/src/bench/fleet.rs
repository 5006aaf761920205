//! Workers that only say that they are there, many of them: what the status page costs with a large
//! fleet.

use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Connection};
use simple_dist_protocol::message::{FromWorker, Load, VERSION, WorkerBeat, WorkerState};
use simple_dist_protocol::topology::{QueueKind, Topology};
use simple_dist_protocol::{Address, Generation, UserName, WorkerId, codec, limits};
use tokio::time::{MissedTickBehavior, interval};

use super::{Error, raw};

/// How many functions they serve together.
pub(super) const FUNCTIONS: usize = 200;
/// The functions of one worker: workers with the same ones are a pool.
const SERVED: usize = 5;
/// How often a part of them beats: each once a second.
const PARTS: usize = 10;

/// See the module.
pub(super) struct Fleet {
    topology: Topology,
    user: UserName,
    beats: Vec<WorkerBeat>,
    channel: Channel,
    _connection: Connection,
}

impl Fleet {
    /// Connects, and declares the queue that each of so many workers is told things by.
    pub(super) async fn start(url: &str, prefix: &str, workers: usize) -> Result<Self, Error> {
        let connection = raw::connect(url).await?;
        let channel = connection.create_channel().await?;
        let topology = Topology::new(prefix, QueueKind::Classic).unwrap_or_default();
        let login = url.parse::<AMQPUri>().map(|url| url.authority.userinfo.username);
        let user = login.unwrap_or_default().parse().map_err(|_| Error::Page("no login".into()))?;
        let beats: Vec<WorkerBeat> = (0..workers).map(beat).collect();
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        for beat in &beats {
            let queue = topology.worker(&user, beat.worker, beat.generation).name;
            channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await?;
        }
        Ok(Self { topology, user, beats, channel, _connection: connection })
    }

    /// Beats until it is dropped.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let (exchange, key) = (self.topology.beats(), self.topology.beat_key());
        let mut headers = FieldTable::default();
        headers.insert("sd-v".into(), AMQPValue::LongInt(VERSION.into()));
        let signed = BasicProperties::default()
            .with_user_id(self.user.as_str().into())
            .with_headers(headers);
        let mut ticks = interval(limits::BEAT / PARTS as u32);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let part = self.beats.len().div_ceil(PARTS);
            for part in self.beats.chunks_mut(part) {
                ticks.tick().await;
                for beat in part {
                    beat.seq += 1;
                    let body = codec::encode(&FromWorker::Beat(Box::new(beat.clone())));
                    let body = body.map_err(|error| Error::Page(error.to_string()))?;
                    let (exchange, key) = (exchange.as_str().into(), key.as_str().into());
                    let options = BasicPublishOptions::default();
                    self.channel
                        .basic_publish(exchange, key, options, &body, signed.clone())
                        .await?;
                }
            }
        }
    }
}

fn beat(number: usize) -> WorkerBeat {
    let first = number * SERVED % FUNCTIONS;
    let function = |number: usize| format!("step-{number}@1").parse::<Address>().ok();
    WorkerBeat {
        worker: WorkerId::new(),
        seq: 0,
        generation: Generation(1),
        host: format!("node-{}", number / 4),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        functions: (first..first + SERVED).filter_map(function).collect(),
        slots: 4,
        state: WorkerState::Live,
        held: vec![],
        term: None,
        isolated: false,
        leaves: false,
        deterministic: vec![],
        memo: vec![],
        round_trip_us: None,
        printed: vec![],
        load: Some(Load {
            cpu: 0.1,
            average: 1.0,
            memory: 1 << 30,
            memory_total: 4 << 30,
            resident: 32 << 20,
        }),
    }
}
