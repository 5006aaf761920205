//! Jobs in child processes: whatever they do costs one child. This program is executed again as
//! such, so it has a `main` of its own.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::exit,
    clippy::disallowed_methods,
    clippy::zombie_processes,
    reason = "a test's children do as they like"
)]

#[path = "isolated/killers.rs"]
mod killers;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

use futures_util::future::join_all;
use futures_util::{StreamExt as _, TryStreamExt as _};
use simple_dist::testing::Cluster;
use simple_dist::worker::{self, is_child};
use simple_dist::{
    Bytes, CallError, Client, ConnectError, Entrance, Fallback, Function, Handle, Isolation, Ran,
    Reason, Worker, job,
};
use tokio::sync::oneshot;

use self::killers::{ENDLESS, HARMLESS, HOGS, KILLERS, check_end, kill};

const DOUBLE: Function<u64, u64> = Function::new("double", 1);
const KILLER: Function<String, u64> = Function::new("killer", 1);
const ECHO: Function<Bytes, Bytes> = Function::new("echo", 1);
const TALLY: Function<u64, u64> = Function::new("tally", 1);
const ASKS: Function<(), (String, u32, bool)> = Function::new("asks", 1);
const STOPS: Function<String, ()> = Function::new("stops", 1);
const CHILD: Function<(), (u32, Vec<String>)> = Function::new("child", 1);
const NAP: Function<u64, u64> = Function::new("nap", 1);
const NESTED: Function<u64, u64> = Function::new("nested", 1);
const FAILS: Function<u64, u64, String> = Function::new("fails", 1);

/// As long as anything here may take before the test is red.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a job that never ends is waited for.
const SHORT: Duration = Duration::from_millis(1500);

fn worker(url: &str) -> worker::Builder {
    // A child has no broker's URL: what calls others has one of its own.
    let calls = env::var("CALLS_URL").unwrap_or_else(|_| url.to_owned());
    Worker::builder(url)
        .isolation(Isolation::Process)
        .memory(400 << 20)
        .cpu_time(Duration::from_secs(30))
        .slots(2)
        .serve(DOUBLE, |n| n * 2)
        .serve(NAP, nap)
        .serve(KILLER, kill)
        .serve(ECHO, |bytes| bytes)
        .serve_with(
            TALLY,
            || 0,
            |sum, n| {
                *sum += n;
                *sum
            },
        )
        .serve(ASKS, asks)
        .serve(STOPS, |path| {
            while !job::current().unwrap().is_cancelled() {
                thread::sleep(Duration::from_millis(5));
            }
            fs::write(path, "stopped").unwrap();
        })
        .serve(CHILD, child)
        .serve(NESTED, move |n| match n {
            0 => 0,
            // A connection of this child's own, used by a thread of the job's.
            n => {
                let client = Client::connect(&calls).unwrap();
                let call = client.function(NESTED).call(n - 1).fallback(Fallback::Never);
                let caller = thread::Builder::new().name("caller".to_owned());
                1 + caller.spawn(|| call.blocking().unwrap()).unwrap().join().unwrap()
            }
        })
        .serve(FAILS, fails)
}

/// What this program's clients run in children of theirs.
fn entrance() -> Entrance {
    Entrance::new()
        .serve(KILLER, kill)
        .serve(ECHO, |bytes| bytes)
        .serve(NAP, nap)
        .serve(ASKS, asks)
        .serve(CHILD, child)
        .serve(FAILS, fails)
}

fn nap(millis: u64) -> u64 {
    thread::sleep(Duration::from_millis(millis));
    millis
}

fn asks((): ()) -> (String, u32, bool) {
    let job = job::current().unwrap();
    job.progress(0.5, "half");
    println!("it asks");
    thread::sleep(SHORT);
    (job.id().to_string(), job.attempt(), job.remaining() < LIMIT)
}

/// Its id, its environment, and the sockets that it has open to other machines.
fn child((): ()) -> (u32, Vec<String>) {
    let variables = env::vars().map(|(name, value)| name + "=" + &value);
    let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/net/{table}")));
    let connections: String = tables.into_iter().flatten().collect();
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let sockets = links.filter_map(|link| {
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned();
        let is_tcp = connections.lines().any(|line| line.split_whitespace().nth(9) == Some(&inode));
        is_tcp.then(|| format!("socket {inode}"))
    });
    (process::id(), variables.chain(sockets).collect())
}

fn fails(n: u64) -> Result<u64, String> {
    match n {
        0 => panic!("it panics"),
        n => Err(format!("{n} is wrong")),
    }
}

fn main() {
    if env::args().any(|argument| argument == "--no-entrance") {
        let client = Client::builder("amqp://127.0.0.1:9").local_isolation(Isolation::Process);
        assert!(matches!(client.connect(), Err(ConnectError::NoEntrance)));
        return;
    }
    entrance().enter();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match arguments.first().map(String::as_str) {
        Some("--worker") => {
            if env::var_os("LOGS").is_some() {
                tracing_subscriber::fmt().json().with_writer(io::stderr).init();
            }
            let until = std::future::pending();
            runtime.block_on(worker(&arguments[1]).run(until)).unwrap();
        }
        Some("--threads") => {
            let worker = worker(&arguments[1]).isolation(Isolation::Thread);
            runtime.block_on(worker.run(std::future::pending())).unwrap();
        }
        Some("--stuck") => {
            if is_child() {
                println!("it is somewhere else");
                thread::sleep(LIMIT);
            }
            let ended = runtime.block_on(worker("amqp://127.0.0.1:9").run(std::future::pending()));
            let Err(worker::Error::NoChild(_)) = ended else { panic!("{ended:?}") };
            process::exit(7)
        }
        _ if is_child() => {
            runtime.block_on(worker("amqp://child").run(std::future::pending())).unwrap();
        }
        wanted => {
            let wanted = wanted.filter(|name| !name.starts_with('-')).unwrap_or_default();
            test_all(&runtime, wanted);
        }
    }
}

macro_rules! tests {
    ($runtime:ident, $wanted:ident: $($test:ident),* $(,)?) => {$(
        if stringify!($test).contains($wanted) {
            let began = Instant::now();
            $runtime.block_on(async { tokio::time::timeout(LIMIT, $test()).await.expect("in time") });
            println!("test {} ... ok ({:.1?})", stringify!($test), began.elapsed());
        }
    )*};
}

fn test_all(runtime: &tokio::runtime::Runtime, wanted: &str) {
    if wanted == "figures" {
        return runtime.block_on(print_figures());
    }
    tests! { runtime, wanted:
        a_child_serves_as_a_thread_does,
        whatever_a_job_does_costs_one_child_and_nothing_else,
        what_runs_on_is_told_to_stop_and_then_killed,
        short_jobs_that_turn_out_long_hold_up_no_other,
        a_child_has_no_credentials,
        what_a_job_prints_is_in_the_workers_log_with_its_id,
        jobs_in_children_call_others,
        children_end_with_their_worker,
        a_child_is_replaced_after_its_share_of_jobs,
        a_program_whose_children_do_not_arrive_is_told_so,
        a_client_runs_in_a_child_what_runs_here,
        whatever_runs_here_costs_a_child_and_not_its_caller,
        a_run_here_ends_with_its_call,
        what_ended_the_only_worker_ends_a_child_of_its_caller,
        without_an_entrance_no_client_has_children,
    }
}

/// A worker in this process, and what it needs.
struct Site {
    cluster: Cluster,
    stop: oneshot::Sender<()>,
    worker: tokio::task::JoinHandle<()>,
}

impl Site {
    async fn new(adapt: impl FnOnce(worker::Builder) -> worker::Builder) -> Self {
        let cluster = Cluster::start().await;
        let worker = adapt(worker(cluster.url()));
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = tokio::spawn(async { worker.run(async { _ = stopped.await }).await.unwrap() });
        let site = Self { cluster, stop, worker };
        assert_eq!(site.call(DOUBLE, 4).await.unwrap(), 8);
        site
    }

    fn function<A, R, E>(&self, function: Function<A, R, E>) -> Handle<A, R, E>
    where
        A: simple_dist::Argument,
        R: simple_dist::Argument,
        E: simple_dist::Failure,
    {
        self.cluster.client().function(function)
    }

    async fn call<A, R>(&self, function: Function<A, R>, argument: A) -> Result<R, CallError>
    where
        A: simple_dist::Argument,
        R: simple_dist::Argument,
    {
        self.function(function).call(argument).fallback(Fallback::Wait).await
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.worker.await.unwrap();
        self.cluster.stop().await;
        until_no_child().await;
    }
}

fn children_of(parent: u32) -> Vec<String> {
    let list = Command::new("ps").args(["-eo", "ppid=,pid=,stat=,args="]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let ours = |line: &&str| line.split_whitespace().next() == Some(&parent.to_string());
    let list = list.lines().filter(ours).filter(|line| !line.contains(" ps "));
    list.map(str::to_owned).collect()
}

fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.split(") ").nth(1).is_some_and(|rest| !rest.starts_with('Z'))
}

async fn a_child_serves_as_a_thread_does() {
    let site = Site::new(|worker| worker.slots(1)).await;
    for length in [0, 1, 100_000, 8 * 1024 * 1024 - 100] {
        let bytes = Bytes::from(vec![7; length]);
        assert!(site.call(ECHO, bytes.clone()).await.unwrap() == bytes);
    }
    for (n, sum) in [(1, 1), (2, 3), (3, 6)] {
        assert_eq!(site.call(TALLY, n).await.unwrap(), sum);
    }
    let mut asks = site.function(ASKS).call(()).fallback(Fallback::Wait);
    let mut news = asks.progress();
    let (asked, heard) = tokio::join!(asks, news.next());
    assert_eq!(heard.map(|it| (it.fraction, it.text)), Some((0.5, "half".to_owned())));
    let (id, attempt, ends) = asked.unwrap();
    assert_eq!((id.len(), attempt, ends), (32, 1, true));
    let fails = site.function(FAILS);
    let failed = fails.call(0).fallback(Fallback::Never).await.unwrap_err();
    assert!(matches!(&failed, CallError::Panicked { message, .. } if message == "it panics"));
    let failed = fails.call(7).fallback(Fallback::Never).await.unwrap_err();
    assert!(matches!(&failed, CallError::Function(text) if text == "7 is wrong"), "{failed:?}");
    let (child, _) = site.call(CHILD, ()).await.unwrap();
    assert_ne!(child, process::id());
    assert_eq!(site.call(CHILD, ()).await.unwrap().0, child);
    site.stop().await;
}

async fn whatever_a_job_does_costs_one_child_and_nothing_else() {
    let site = Site::new(|worker| worker.slots(6)).await;
    let killer = |how: &str| site.function(KILLER).call(how.to_owned()).fallback(Fallback::Never);
    let killers = KILLERS.iter().chain(&HOGS).map(async |&(how, ..)| {
        let end = killer(how).await;
        let Err(CallError::Poisoned { workers, crashes }) = end else { panic!("{how}: {end:?}") };
        assert!(workers.is_empty() && crashes.len() == 3, "{how}: {crashes:?}");
        for crash in crashes {
            check_end(how, (crash.signal, crash.code), &crash.output, crash.note.as_deref());
        }
    });
    let endless = ENDLESS.map(async |how| {
        let end = killer(how).timeout(SHORT * 2).await;
        assert!(matches!(end, Err(CallError::Timeout)), "{how}: {end:?}");
    });
    let harmless = HARMLESS.map(async |how| assert_eq!(killer(how).await.unwrap(), 1, "{how}"));
    let others = async {
        let calls = site.function(DOUBLE).fallback(Fallback::Never).map(0..1000).in_flight(16);
        let values: Vec<u64> = calls.ordered().try_collect().await.unwrap();
        assert!(values.into_iter().eq((0..1000).map(|n| n * 2)));
    };
    // All beside each other.
    tokio::join!(others, join_all(killers), join_all(endless), join_all(harmless));

    // What is left behind in a child ends it whenever it likes.
    assert_eq!(killer("exit later").await.unwrap(), 1);
    let worker = site.function(DOUBLE).call(0).detailed().await.unwrap().ran;
    for n in 0..20 {
        let answer = site.function(DOUBLE).call(n).detailed().await.unwrap();
        assert_eq!((answer.value, answer.ran), (n * 2, worker));
    }
    while children_of(process::id()).len() != 6 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    site.stop().await;
}

async fn what_runs_on_is_told_to_stop_and_then_killed() {
    let site = Site::new(|worker| worker.slots(1)).await;
    let file = env::temp_dir().join(format!("simple-dist-stops-{}", process::id()));
    let stops = site.function(STOPS).call(file.to_str().unwrap().to_owned());
    let end = stops.fallback(Fallback::Never).timeout(SHORT).await;
    assert!(matches!(end, Err(CallError::Timeout)), "{end:?}");
    let (child, _) = site.call(CHILD, ()).await.unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "stopped");
    fs::remove_file(file).unwrap();

    let began = Instant::now();
    let looping = site.function(KILLER).call("loop".to_owned()).fallback(Fallback::Never);
    let dropped = tokio::time::timeout(Duration::from_millis(300), looping).await;
    assert!(dropped.is_err(), "{dropped:?}");
    let (next, _) = site.call(CHILD, ()).await.unwrap();
    assert_ne!(next, child, "it was killed");
    assert!(began.elapsed() < LIMIT / 2);
    site.stop().await;
}

async fn short_jobs_that_turn_out_long_hold_up_no_other() {
    // Lists of short jobs go to a child together; what has not begun behind a long one comes back.
    let site = Site::new(|worker| worker).await;
    let millis = |n| if n % 500 == 499 { 150 } else { 0 };
    for in_flight in [1000, 10] {
        let mut naps = site.function(NAP).map((0..3000).map(millis)).in_flight(in_flight).ordered();
        for n in 0..3000 {
            assert_eq!(naps.next().await.unwrap().unwrap(), millis(n));
        }
    }
    site.stop().await;
}

async fn a_child_has_no_credentials() {
    let secrets = ["AMQP_URL", "RABBITMQ_URL", "CLOUDAMQP_URL", "SIMPLE_DIST_TOKEN"];
    let secrets = [&secrets[..], &["SIMPLE_DIST_BROKER_PASSWORD"]].concat();
    let mut command = Command::new(env::current_exe().unwrap());
    let cluster = Cluster::start().await;
    command.args(["--worker", cluster.url()]).env("MINE", "kept");
    for name in secrets {
        command.env(name, "amqp://someone:h1dden@127.0.0.1:9");
        command.env(format!("{name}_FILE"), "/h1dden");
    }
    command.env("AMQP_CERTIFICATE_FILE", "/h1dden").env("AMQP_KEY_FILE", "/h1dden");
    let worker = Killed(command.spawn().unwrap());
    let child = cluster.client().function(CHILD).call(()).fallback(Fallback::Wait);
    let (_, variables) = child.await.unwrap();
    let told = |word: &str| variables.iter().any(|variable| variable.contains(word));
    assert!(!told("h1dden") && !told("someone") && told("MINE=kept"), "{variables:?}");
    assert!(told("AMQP_URL=amqp://127.0.0.1:5672"), "a program that reads it goes on");
    assert!(!told("socket "), "the broker's connection is the worker's: {variables:?}");
    drop(worker);
    cluster.stop().await;
}

async fn what_a_job_prints_is_in_the_workers_log_with_its_id() {
    let cluster = Cluster::start().await;
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--worker", cluster.url()]).env("LOGS", "1").stderr(Stdio::piped());
    let mut worker = Killed(command.spawn().unwrap());
    let log = BufReader::new(worker.0.stderr.take().unwrap());
    let (id, ..) = cluster.client().function(ASKS).call(()).fallback(Fallback::Wait).await.unwrap();
    let printed = tokio::task::spawn_blocking(|| {
        let mut lines = log.lines().map(|line| line.unwrap());
        lines.find(|line| line.contains(r#""output":"it asks""#)).unwrap()
    });
    assert!(printed.await.unwrap().contains(&format!(r#""job.id":"{id}""#)));
    drop(worker);
    cluster.stop().await;
}

async fn jobs_in_children_call_others() {
    let cluster = Cluster::start().await;
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--worker", cluster.url()]).env("CALLS_URL", cluster.url());
    let worker = Killed(command.spawn().unwrap());
    // Two slots, and five that wait: they lend their places.
    let nested = cluster.client().function(NESTED).call(5).fallback(Fallback::Wait);
    assert_eq!(nested.await.unwrap(), 5);
    drop(worker);
    cluster.stop().await;
}

/// A worker's process, killed when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

async fn children_end_with_their_worker() {
    let cluster = Cluster::start().await;
    let mut command = Command::new(env::current_exe().unwrap());
    let worker = Killed(command.args(["--worker", cluster.url()]).spawn().unwrap());
    let child = cluster.client().function(CHILD);
    let mut pids = BTreeSet::new();
    while pids.len() < 2 {
        let calls = (0..4).map(|_| child.call(()).fallback(Fallback::Wait));
        for end in futures_util::future::join_all(calls).await {
            pids.insert(end.unwrap().0);
        }
    }
    assert!(pids.iter().all(|pid| lives(*pid)));
    drop(worker);
    while pids.iter().any(|pid| lives(*pid)) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.stop().await;
}

async fn a_child_is_replaced_after_its_share_of_jobs() {
    let site = Site::new(|worker| worker.slots(1).recycle_after(2)).await;
    let mut pids = vec![];
    for _ in 0..5 {
        pids.push(site.call(CHILD, ()).await.unwrap().0);
    }
    // The first call was another's.
    assert!(pids[0] != pids[1] && pids[1] == pids[2] && pids[2] != pids[3], "{pids:?}");
    site.stop().await;
}

async fn a_program_whose_children_do_not_arrive_is_told_so() {
    let program = env::current_exe().unwrap();
    let ended = tokio::task::spawn_blocking(|| Command::new(program).arg("--stuck").status());
    let ended: io::Result<_> = ended.await.unwrap();
    assert_eq!(ended.unwrap().code(), Some(7));
}

/// A client whose local runs are in children, of the broker there.
fn isolated_client(url: &str) -> Client {
    let client = Client::builder(url).local_isolation(Isolation::Process).local_slots(1);
    client.connect().unwrap()
}

const NOBODY: &str = "amqp://127.0.0.1:9";

async fn a_client_runs_in_a_child_what_runs_here() {
    let client = isolated_client(NOBODY);
    let here = client.function(CHILD).locally(|()| panic!("it is not in a child"));
    let answer = here.call(()).detailed().await.unwrap();
    assert_eq!(answer.ran, Ran::Local { reason: Reason::NoConnection });
    let (pid, variables) = answer.value;
    assert_ne!(pid, process::id());
    assert_eq!(here.call(()).await.unwrap().0, pid, "it is kept");
    assert!(variables.iter().any(|variable| variable.starts_with("PATH=")));
    assert!(!variables.iter().any(|variable| variable.starts_with("socket ")), "{variables:?}");

    let echo = client.function(ECHO).locally(|bytes| bytes);
    for length in [0, 8 * 1024 * 1024 - 100, 9 * 1024 * 1024] {
        let bytes = Bytes::from(vec![7; length]);
        assert!(echo.call(bytes.clone()).await.unwrap() == bytes, "{length}");
    }
    let mut asked = client.function(ASKS).locally(asks).call(()).deadline(LIMIT / 2);
    let mut news = asked.progress();
    let (asked, heard) = tokio::join!(asked, news.next());
    assert_eq!(heard.map(|it| (it.fraction, it.text)), Some((0.5, "half".to_owned())));
    let (id, attempt, ends) = asked.unwrap();
    assert_eq!((id.len(), attempt, ends), (32, 0, true));
    let failing = client.function(FAILS).locally(fails);
    let failed = failing.call(0).await.unwrap_err();
    assert!(matches!(&failed, CallError::Panicked { message } if message == "it panics"));
    let failed = failing.call(7).await.unwrap_err();
    assert!(matches!(&failed, CallError::Function(text) if text == "7 is wrong"), "{failed:?}");
    assert_eq!(here.call(()).await.unwrap().0, pid, "none of this has ended it");

    // What is not at the entrance runs on a thread.
    let double = client.function(DOUBLE).locally(|n| n + u64::from(process::id()));
    assert_eq!(double.call(1).await.unwrap(), 1 + u64::from(process::id()));
    client.close().await;
    until_no_child().await;
}

async fn whatever_runs_here_costs_a_child_and_not_its_caller() {
    let client = Client::builder(NOBODY).local_isolation(Isolation::Process).local_slots(4);
    let client = client.connect().unwrap();
    let killer = client.function(KILLER).locally(kill);
    let killers = KILLERS.map(async |(how, ..)| {
        let end = killer.call(how.to_owned()).await;
        let Err(CallError::Crashed { signal, code, output, note, .. }) = end else {
            panic!("{how}: {end:?}")
        };
        check_end(how, (signal, code), &output, note.as_deref());
    });
    let endless = ENDLESS.map(async |how| {
        let end = killer.call(how.to_owned()).deadline(SHORT * 2).await;
        assert!(matches!(end, Err(CallError::Deadline)), "{how}: {end:?}");
    });
    let harmless = HARMLESS.map(async |how| {
        assert_eq!(killer.call(how.to_owned()).await.unwrap(), 1, "{how}");
    });
    let nap = client.function(NAP).locally(nap);
    let others = (0..100).map(async |_| assert_eq!(nap.call(1).await.unwrap(), 1));
    tokio::join!(join_all(others), join_all(killers), join_all(endless), join_all(harmless));
    assert_eq!(killer.call("exit later".to_owned()).await.unwrap(), 1);
    tokio::time::sleep(Duration::from_millis(200)).await; // what exits later has
    assert_eq!(nap.call(1).await.unwrap(), 1);
    client.close().await;
    until_no_child().await;
}

async fn a_run_here_ends_with_its_call() {
    let client = isolated_client(NOBODY);
    let killer = client.function(KILLER).locally(kill);
    let here = client.function(CHILD).locally(child);
    let (first, _) = here.call(()).await.unwrap();
    let end = killer.call("loop".to_owned()).deadline(Duration::from_millis(300)).await;
    assert!(matches!(end, Err(CallError::Deadline)), "{end:?}");
    // There is one slot: the next call waits until the child is killed.
    let (second, _) = here.call(()).await.unwrap();
    assert!(first != second && !lives(first));
    let call = killer.call("loop".to_owned());
    assert!(tokio::time::timeout(Duration::from_millis(300), call).await.is_err());
    let (third, _) = here.call(()).await.unwrap();
    assert!(second != third && !lives(second));
    client.close().await;
    until_no_child().await;
}

async fn what_ended_the_only_worker_ends_a_child_of_its_caller() {
    let cluster = Cluster::start().await;
    let client = isolated_client(cluster.url());
    let killer = client.function(KILLER).locally(kill);
    for (how, ends, said) in [
        ("overflow", (Some(6), None), "has overflowed its stack"),
        ("abort", (Some(6), None), ""),
        ("exit", (None, Some(0)), ""),
    ] {
        let mut command = Command::new(env::current_exe().unwrap());
        let mut worker = Killed(command.args(["--threads", cluster.url()]).spawn().unwrap());
        killer.call("nothing".to_owned()).fallback(Fallback::Wait).await.unwrap();
        // As soon as nobody serves it any more, long before its time has passed.
        let end = killer.call(how.to_owned()).timeout(LIMIT * 2).await;
        assert!(worker.0.try_wait().unwrap().is_some(), "{how}: it was the first");
        let Err(CallError::Crashed { signal, code, output, .. }) = end else {
            panic!("{how}: {end:?}")
        };
        assert_eq!((signal, code), ends, "{how}");
        assert!(output.contains(said), "{how}: {output}");
    }
    client.close().await;
    cluster.stop().await;
    until_no_child().await;
}

async fn without_an_entrance_no_client_has_children() {
    let program = env::current_exe().unwrap();
    let ended = tokio::task::spawn_blocking(|| Command::new(program).arg("--no-entrance").status());
    assert!(ended.await.unwrap().unwrap().success());
}

/// Waits until nothing is left of children of this process, nor of what they have started.
async fn until_no_child() {
    let mark = format!("SIMPLE_DIST_CHILD_OF={} ", process::id());
    let is_left = |pid: &String| {
        let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&variables).split('\0').any(|it| it.starts_with(&mark))
    };
    loop {
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let mut pids = pids.filter_map(|entry| entry.file_name().into_string().ok());
        if children_of(process::id()).is_empty() && !pids.any(|pid| is_left(&pid)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What isolation costs: `cargo test -p simple-dist --test isolated --release -- figures`.
async fn print_figures() {
    for isolation in [Isolation::Thread, Isolation::Process] {
        let site = Site::new(|worker| worker.isolation(isolation)).await;
        let mut times = vec![];
        for _ in 0..2000 {
            let began = Instant::now();
            site.call(ECHO, Bytes::from_static(b"there")).await.unwrap();
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let began = Instant::now();
        let bytes = std::iter::repeat_n(Bytes::from_static(b"there"), 200_000);
        let mut calls = site.function(ECHO).map(bytes).in_flight(10_000).unordered();
        while calls.next().await.is_some() {}
        let rate = 200_000.0 / began.elapsed().as_secs_f64();
        println!("{isolation:?}: p50 {:?}, p99 {:?}, {rate:.0}/s", times[1000], times[1980]);
        for child in children_of(process::id()) {
            let pid = child.split_whitespace().nth(1).unwrap();
            let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
            let lines =
                memory.lines().filter(|it| it.starts_with("Rss:") || it.starts_with("Pss:"));
            println!("  child {pid}: {}", lines.collect::<Vec<_>>().join(", "));
        }
        site.stop().await;
    }
    for isolation in [Isolation::Thread, Isolation::Process] {
        let client = Client::builder(NOBODY).local_isolation(isolation).local_slots(1);
        let client = client.connect().unwrap();
        let echo = client.function(ECHO).locally(|bytes| bytes);
        let mut times = vec![];
        for _ in 0..2000 {
            let began = Instant::now();
            echo.call(Bytes::from_static(b"here")).await.unwrap();
            times.push(began.elapsed());
        }
        println!("here, {isolation:?}: first {:?}", times[0]);
        times.sort_unstable();
        println!("here, {isolation:?}: p50 {:?}, p99 {:?}", times[1000], times[1980]);
        client.close().await;
    }
}
