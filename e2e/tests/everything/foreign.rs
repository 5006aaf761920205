//! What `docs/PROTOCOL.md` promises to clients and workers in other languages.

use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use simple_dist_client::{CallError, Fallback};
use simple_dist_demo::functions::FIB;
use simple_dist_e2e::Cluster;
use simple_dist_protocol::message::{
    Answer, Answers, Control, Delivered, Deliveries, Delivery, End, Ended, FromClient, FromWorker,
    Ids, Marks, Place, Submission, Submit, WorkerBeat, WorkerState,
};
use simple_dist_protocol::{
    Attempt, ClientId, Function, Generation, JobId, PoolId, PureFunction, WorkerId, codec, limits,
};

/// How long a step of a test may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often the foreign worker beats.
const BEAT: Duration = Duration::from_millis(500);
/// A function that only the foreign worker serves.
const ODD: PureFunction<u64, u64> = Function::pure("odd", 1, |n| n);

/// A connection of a program written from the protocol page only.
struct ForeignPeer {
    prefix: String,
    _connection: Connection,
    channel: Channel,
    /// Its own queue.
    inbox: Consumer,
}

impl ForeignPeer {
    async fn at(cluster: &Cluster, queue: &str, arguments: FieldTable) -> Self {
        let prefix = cluster.site.prefix.clone();
        let connection = Connection::connect(&cluster.site.url, ConnectionProperties::default())
            .await
            .expect("the broker is there");
        let channel = connection.create_channel().await.expect("it has channels");
        let exclusive = arguments.inner().is_empty();
        let options = QueueDeclareOptions { exclusive, durable: !exclusive, ..Default::default() };
        let queue = short(&format!("{prefix}.{queue}"));
        channel.queue_declare(queue.clone(), options, arguments).await.expect("it is declared");
        let inbox = consume(&channel, queue).await;
        Self { prefix, _connection: connection, channel, inbox }
    }

    async fn publish(&self, exchange: &str, key: &str, body: &[u8], version: AMQPValue) {
        let mut headers = FieldTable::default();
        headers.insert(short("sd-v"), version);
        let properties =
            BasicProperties::default().with_user_id(short("guest")).with_headers(headers);
        let (exchange, options) =
            (short(&format!("{}.{exchange}", self.prefix)), BasicPublishOptions::default());
        let published =
            self.channel.basic_publish(exchange, short(key), options, body, properties).await;
        published.expect("it is sent");
    }
}

async fn consume(channel: &Channel, queue: ShortString) -> Consumer {
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    channel.basic_consume(queue, short(""), options, none).await.expect("it is consumed")
}

async fn next(consumer: &mut Consumer, patience: Duration) -> Option<Vec<u8>> {
    let came = tokio::time::timeout(patience, consumer.next()).await.ok()?;
    let came = came.expect("it is not cancelled").expect("the connection lives");
    came.ack(BasicAckOptions::default()).await.expect("it is acked");
    Some(came.data)
}

fn short(text: &str) -> ShortString {
    ShortString::try_new(text).expect("names of tests are short")
}

/// A foreign client, one of several with the same login.
struct Client {
    id: ClientId,
    peer: ForeignPeer,
}

impl Client {
    async fn at(cluster: &Cluster) -> Self {
        let id = ClientId::new();
        let mut arguments = FieldTable::default();
        arguments.insert(short("x-expires"), AMQPValue::LongInt(60_000));
        arguments.insert(short("x-max-length-bytes"), AMQPValue::LongInt(64 << 20));
        arguments.insert(short("x-overflow"), AMQPValue::LongString("reject-publish".into()));
        let peer = ForeignPeer::at(cluster, &format!("client.guest.{id}.1"), arguments).await;
        Self { id, peer }
    }

    fn ids(&self, ids: Vec<JobId>) -> Ids {
        Ids { client: self.id, generation: Generation(1), ids }
    }

    async fn submit(&self, jobs: Vec<Submission>) {
        let submit = Submit { client: self.id, generation: Generation(1), jobs };
        self.say("submit", &FromClient::Submit(submit)).await;
    }

    async fn ask(&self, job: JobId) {
        self.say("control", &FromClient::Ask(self.ids(vec![job]))).await;
    }

    async fn say(&self, key: &str, message: &FromClient) {
        let body = codec::encode(message).expect("it can be written");
        self.peer.publish("submit", key, &body, AMQPValue::ShortShortUInt(1)).await;
    }

    /// The next delivery.
    async fn hears(&mut self) -> (JobId, Delivered) {
        let body = next(&mut self.peer.inbox, TIMEOUT).await.expect("it hears something");
        let mut jobs = codec::decode::<Deliveries>(&body).expect("it is news").jobs;
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        let Delivery { id, body } = jobs.remove(0);
        (id, body)
    }

    /// The next delivery, which must be an answer to this job.
    async fn is_answered(&mut self, job: JobId) -> Answer {
        let (id, body) = self.hears().await;
        assert_eq!(id, job);
        let Delivered::Answer(answered) = body else { panic!("no answer: {body:?}") };
        answered.answer
    }
}

fn fib(argument: u8) -> Submission {
    Submission {
        id: JobId::new(),
        function: "fib@1".to_owned(),
        args: vec![argument].into(),
        budget_ms: 60_000,
        priority: 4,
        marks: Marks::default(),
        trace: None,
        first: false,
        progress: false,
        has_fallback: false,
        fresh: false,
    }
}

fn value(value: u64) -> Answer {
    Answer::Value(codec::encode(&value).expect("it can be written").into())
}

async fn parked(cluster: &Cluster, count: u32) {
    let parked = async {
        while cluster.site.depth("parked").await.expect("it can be looked at") < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, parked).await.expect("all are parked");
    assert_eq!(cluster.site.depth("parked").await.expect("it can be looked at"), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_is_an_integer_of_any_type_and_nothing_else() {
    let cluster = Cluster::start().await;
    let mut client = Client::at(&cluster).await;
    let job = JobId::new();
    let ask = codec::encode(&FromClient::Ask(client.ids(vec![job]))).expect("it can be written");
    let integers = [
        AMQPValue::ShortShortInt(1),
        AMQPValue::ShortShortUInt(1),
        AMQPValue::ShortInt(1),
        AMQPValue::ShortUInt(1),
        AMQPValue::LongInt(1),
        AMQPValue::LongUInt(1),
        AMQPValue::LongLongInt(1),
    ];
    for version in integers {
        client.peer.publish("submit", "control", &ask, version).await;
        assert_eq!(client.hears().await, (job, Delivered::Unknown));
    }
    let others = [
        AMQPValue::ShortShortUInt(2),
        AMQPValue::ShortInt(257),
        AMQPValue::LongString("1".into()),
        AMQPValue::Boolean(true),
        AMQPValue::Double(1.0),
    ];
    let count = u32::try_from(others.len()).expect("they are few");
    for version in others {
        client.peer.publish("submit", "control", &ask, version).await;
    }
    parked(&cluster, count).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_an_impossible_list_is_parked_whole() {
    let cluster = Cluster::start().await;
    let mut client = Client::at(&cluster).await;
    client.submit(vec![]).await;
    client.submit((0..257).map(|_| fib(1)).collect()).await;
    client.say("control", &FromClient::Cancel(client.ids(vec![]))).await;
    client.say("control", &FromClient::Ask(client.ids(vec![JobId::new(); 257]))).await;
    parked(&cluster, 4).await;
    // None of them was accepted: this is the first delivery.
    let job = fib(20);
    client.submit(vec![job.clone()]).await;
    assert_eq!(client.is_answered(job.id).await, value(6765));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn excessive_numbers_are_clamped() {
    let cluster = Cluster::start().await;
    let mut client = Client::at(&cluster).await;
    let job = Submission {
        function: "fib@01".to_owned(),
        budget_ms: u64::MAX,
        priority: u8::MAX,
        trace: Some("0".repeat(10_000)),
        ..fib(20)
    };
    client.submit(vec![job.clone()]).await;
    assert_eq!(client.is_answered(job.id).await, value(6765));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_is_not_answered_and_its_job_stays_cancelled() {
    let cluster = Cluster::start().await;
    let mut client = Client::at(&cluster).await;
    let job = fib(20);
    client.say("control", &FromClient::Cancel(client.ids(vec![job.id]))).await;
    // Both go through one queue, so this arrives after it.
    client.ask(job.id).await;
    assert_eq!(client.is_answered(job.id).await, Answer::Cancelled);
    client.submit(vec![job.clone()]).await;
    assert_eq!(client.is_answered(job.id).await, Answer::Cancelled);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_job_is_answered_again_to_any_client_of_its_login() {
    let cluster = Cluster::start().await;
    let (mut first, mut second) = (Client::at(&cluster).await, Client::at(&cluster).await);
    let job = fib(20);
    first.submit(vec![job.clone()]).await;
    assert_eq!(first.is_answered(job.id).await, value(6765));
    second.ask(job.id).await;
    assert_eq!(second.is_answered(job.id).await, value(6765));
    second.submit(vec![Submission { args: vec![21].into(), ..job.clone() }]).await;
    assert_eq!(second.is_answered(job.id).await, value(6765));
    first.ask(job.id).await;
    assert_eq!(first.is_answered(job.id).await, value(6765));
    cluster.stop().await;
}

/// A foreign worker that serves [`ODD`], welcomed and consuming.
struct Worker {
    beat: WorkerBeat,
    peer: ForeignPeer,
    pool: Consumer,
}

impl Worker {
    async fn at(cluster: &Cluster) -> Self {
        let mut beat = WorkerBeat {
            worker: WorkerId::new(),
            seq: 0,
            generation: Generation(1),
            host: "elsewhere".to_owned(),
            version: "0".to_owned(),
            functions: vec![ODD.address()],
            slots: 1,
            state: WorkerState::Live,
            held: vec![],
            isolated: false,
            term: None,
            leaves: false,
            deterministic: vec![],
            load: None,
            memo: vec![],
            round_trip_us: None,
            printed: vec![],
        };
        let queue = format!("worker.guest.{}.1", beat.worker);
        let mut peer = ForeignPeer::at(cluster, &queue, FieldTable::default()).await;
        let ours = PoolId::of(&beat.functions, false);
        loop {
            beats(&peer, &mut beat).await;
            if let Some(body) = next(&mut peer.inbox, BEAT).await
                && let Ok(Control::Welcome { pool, .. }) = codec::decode(&body)
            {
                assert_eq!(pool, ours);
                break;
            }
        }
        let queue = short(&format!("{}.pool.{ours}", peer.prefix));
        let pool = consume(&peer.channel, queue).await;
        Self { beat, peer, pool }
    }

    /// Ends the next job with this answer.
    async fn answers(&mut self, answer: Answer) {
        let body = loop {
            beats(&self.peer, &mut self.beat).await;
            if let Some(body) = next(&mut self.pool, BEAT).await {
                break body;
            }
        };
        let Place { term, jobs } = codec::decode(&body).expect("it is a placement");
        let ended = jobs.into_iter().map(|job| Ended {
            key: job.key,
            attempt: Attempt { term, number: job.attempt },
            end: End::Answer(answer.clone()),
            took_us: 1,
        });
        let answers = Answers { worker: self.beat.worker, jobs: ended.collect() };
        let body = codec::encode(&FromWorker::Answers(answers)).expect("it can be written");
        self.peer.publish("results", "answers", &body, AMQPValue::LongInt(1)).await;
    }
}

async fn beats(peer: &ForeignPeer, beat: &mut WorkerBeat) {
    beat.seq += 1;
    let body = codec::encode(&FromWorker::Beat(Box::new(beat.clone()))).expect("it can be written");
    peer.publish("beats", "beat", &body, AMQPValue::LongInt(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_beyond_the_limits_do_not_reach_the_caller() {
    let cluster = Cluster::start().await;
    let mut worker = Worker::at(&cluster).await;
    let client = cluster.client();
    let odd = client.function(ODD);
    let call = |n| odd.call(n).fallback(Fallback::Wait);

    let bytes = limits::ARGUMENT_BYTES + 1;
    let oversized = Answer::Value(vec![0; bytes].into());
    let (result, ()) = tokio::join!(call(1), worker.answers(oversized));
    assert!(
        matches!(result, Err(CallError::TooLarge { bytes: told, .. }) if told == bytes as u64),
        "{result:?}"
    );
    let garrulous = Answer::panicked("no".repeat(1 << 20));
    let (result, ()) = tokio::join!(call(2), worker.answers(garrulous));
    let Err(CallError::Panicked { message }) = result else { panic!("{result:?}") };
    assert_eq!(message.len(), limits::MESSAGE_CHARS);
    // Not MessagePack, and not looked into on the way: it fails that one call only.
    let (result, ()) = tokio::join!(call(3), worker.answers(Answer::Value(vec![0xc1].into())));
    assert!(matches!(result, Err(CallError::BadValue { .. })), "{result:?}");
    let (result, ()) = tokio::join!(call(4), worker.answers(value(4)));
    assert_eq!(result.expect("nothing died"), 4);
    let fib = client.function(FIB).call(20).fallback(Fallback::Wait).await;
    assert_eq!(fib.expect("nobody else noticed"), 6765);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with pika and msgpack: cargo test -- --ignored"]
async fn the_client_in_python_runs_as_it_stands() {
    let cluster = Cluster::start().await;
    let page = include_str!("../../../docs/PROTOCOL.md");
    let (_, script) = page.split_once("```python\n").expect("the page has a client");
    let (script, _) = script.split_once("```").expect("it ends");
    let url = "amqp://guest:guest@localhost/%2f";
    assert!(script.contains(url));
    let script = script.replace(url, &cluster.site.url);
    let script = script.replace("sd.", &format!("{}.", cluster.site.prefix));
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let running =
        tokio::task::spawn_blocking(move || Command::new(python).args(["-c", &script]).output());
    let output = running.await.expect("it is waited for").expect("python can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), r"{'Value': b'\xcd\x1am'}", "{output:?}");
    cluster.stop().await;
}
