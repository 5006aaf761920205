//! A distributor stays within its memory limit, whatever any login sends.

use std::sync::Arc;
use std::time::Duration;

use simple_dist_client::Fallback;
use simple_dist_demo::functions::{ECHO, FIB};
use simple_dist_protocol::message::{
    FromClient, FromWorker, Held, Ids, Marks, Submission, Submit, WorkerBeat, WorkerState,
};
use simple_dist_protocol::{
    Attempt, ClientId, Generation, JobId, JobKey, Term, UserName, WorkerId, codec,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::cluster::{Cluster, Role, free_port, is_remote, now, served_by};

/// More than the limits of `docs/DEPLOYMENT.md` add up to without waiting jobs, plus the address
/// space that threads and their arenas reserve.
const BOUND: u64 = 3 << 30;
/// The size of an answer that is asked for repeatedly.
const LARGE: usize = 6 << 20;

/// Each of these tests uses a whole small machine: they run one at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn a_distributor_keeps_its_bound_of_memory_and_goes_on() {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::new().await;
    let mut command = cluster.command(&["distributor"]);
    let mut distributor = Role::run(command.env("MALLOC_ARENA_MAX", "2"));
    let _worker = cluster.start(&["worker", "--slots", "2"]);
    let client = cluster.client();
    served_by(&client, 1).await;
    distributor.confine(BOUND);

    // One job with a large answer, then the same job sent again and asked for, over and over.
    let (stranger, job) = (ClientId::new(), JobId::new());
    let large = submission(job, &ECHO.address().to_string(), vec![0; LARGE]);
    say(&cluster, "submit", &submit(stranger, vec![large])).await;
    let again = || submission(job, &ECHO.address().to_string(), vec![]);
    let ask =
        FromClient::Ask(Ids { client: stranger, generation: Generation(1), ids: vec![job; 256] });
    for _ in 0..40 {
        say(&cluster, "submit", &submit(stranger, (0..256).map(|_| again()).collect())).await;
        say(&cluster, "control", &ask).await;
    }
    // Fake workers, each claiming more jobs than possible.
    for _ in 0..20 {
        let beat = codec::encode(&beat(60_000)).expect("it can be written");
        cluster.site.publish_signed("beats", "beat", &beat).await.expect("it is taken");
    }

    assert!(!distributor.has_ended(), "it lives");
    let answer = client.function(FIB).call(20).fallback(Fallback::Wait).detailed().await;
    assert!(is_remote(&answer.expect("it is answered")));
    assert!(!distributor.has_ended(), "it lives");
}

/// The bytes that HTTP callers send and request back, and their number.
const SENT: usize = 4 << 20;
const CALLERS: usize = 300;
/// The most memory at the peak, and some time later: answers in transit take 256 MiB.
const TAKEN: u64 = 1 << 30;
const LEFT: u64 = 512 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_do_not_read_do_not_exhaust_the_memory() {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::new().await;
    let site = free_port();
    let mut command = cluster.command(&["distributor"]);
    // What `docs/DEPLOYMENT.md` says for glibc.
    command.env("LISTEN", &site).env("MALLOC_MMAP_THRESHOLD_", "131072");
    let distributor = Role::run(&mut command);
    let _worker = cluster.start(&["worker", "--slots", "2"]);
    served_by(&cluster.client(), 1).await;

    let body = format!("[{{\"$bytes\":\"{}\"}}]", "AAAA".repeat(SENT / 3));
    let head = format!(
        "POST /api/v1/functions/echo/call HTTP/1.1\r\nhost: {site}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let request: Arc<[u8]> = (head + &body).into_bytes().into();
    let mut asking = JoinSet::new();
    for _ in 0..CALLERS {
        let (request, site) = (Arc::clone(&request), site.clone());
        asking.spawn(async move {
            let mut caller = TcpStream::connect(site).await.expect("it is let in");
            let mut line = [0; 12];
            // On a busy machine some callers send too slowly, and are refused or cut off.
            let answered = match caller.write_all(&request).await {
                Ok(()) => caller.read_exact(&mut line).await.is_ok(),
                Err(_) => false,
            };
            (caller, answered && line.ends_with(b" 200"))
        });
    }
    let callers = asking.join_all().await;
    let taken = callers.iter().filter(|(_, taken)| *taken).count();
    assert!((1..CALLERS).contains(&taken), "{taken}");
    let most = distributor.memory("VmHWM");
    assert!(most < TAKEN, "{most}");

    drop(callers);
    let begun = now();
    while distributor.memory("VmRSS") > LEFT {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", distributor.memory("VmRSS"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn say(cluster: &Cluster, key: &str, message: &FromClient) {
    let body = codec::encode(message).expect("it can be written");
    cluster.site.publish_signed("submit", key, &body).await.expect("it is taken");
}

fn submit(client: ClientId, jobs: Vec<Submission>) -> FromClient {
    FromClient::Submit(Submit { client, generation: Generation(1), jobs })
}

fn submission(id: JobId, function: &str, bytes: Vec<u8>) -> Submission {
    // MessagePack's `bin 32`.
    let mut args = vec![0xc6];
    args.extend(u32::try_from(bytes.len()).expect("it is short").to_be_bytes());
    args.extend(bytes);
    Submission {
        id,
        function: function.to_owned(),
        args: args.into(),
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

fn beat(jobs: u128) -> FromWorker {
    let user: UserName = "guest".parse().expect("a name");
    let held = |job| Held {
        key: JobKey { user: user.clone(), id: JobId::from_u128(job) },
        function: FIB.address(),
        attempt: Attempt { term: Term(1), number: 1 },
        slot: None,
        age_ms: 0,
    };
    FromWorker::Beat(Box::new(WorkerBeat {
        worker: WorkerId::new(),
        seq: 1,
        generation: Generation(1),
        host: String::new(),
        version: String::new(),
        functions: vec![FIB.address()],
        slots: 1024,
        state: WorkerState::Live,
        isolated: false,
        term: None,
        leaves: false,
        deterministic: vec![],
        load: None,
        memo: vec![],
        round_trip_us: None,
        printed: vec![],
        held: (0..jobs).map(held).collect(),
    }))
}
