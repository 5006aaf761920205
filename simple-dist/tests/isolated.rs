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

#[path = "isolated/callers.rs"]
mod callers;
#[path = "isolated/figures.rs"]
mod figures;
#[path = "../../e2e/src/free_port.rs"]
#[expect(unreachable_pub, reason = "a file of tests elsewhere")]
mod free_port;
#[path = "isolated/killers.rs"]
mod killers;
#[path = "isolated/workers.rs"]
mod workers;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

use futures_util::future::join_all;
use futures_util::{StreamExt as _, TryStreamExt as _};
use simple_dist::distributor::web::Settings;
use simple_dist::testing::Cluster;
use simple_dist::worker::{self, is_child};
use simple_dist::{
    Bytes, CallError, Client, ConnectError, Distributor, Entrance, Fallback, Function, Handle,
    Isolation, Ran, Reason, Worker, job,
};
use simple_dist_protocol::JobId;
use tokio::sync::oneshot;

use self::callers::NOBODY;
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
const LIMIT: Duration = Duration::from_secs(180);
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
                let call = client.function(NESTED).call(n - 1).fallback(Fallback::Wait);
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
            let shares = env::var_os("SHARES").is_some();
            runtime.block_on(worker(&arguments[1]).share_output(shares).run(until)).unwrap();
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
    ($runtime:ident, $wanted:ident: $($file:ident::$test:ident),* $(,)?) => {$(
        if stringify!($test).contains($wanted) {
            let began = Instant::now();
            $runtime.block_on(async { tokio::time::timeout(LIMIT, $file::$test()).await.expect("in time") });
            println!("test {} ... ok ({:.1?})", stringify!($test), began.elapsed());
        }
    )*};
}

fn test_all(runtime: &tokio::runtime::Runtime, wanted: &str) {
    if wanted == "figures" {
        return runtime.block_on(figures::print_figures());
    }
    tests! { runtime, wanted:
        workers::a_child_serves_as_a_thread_does,
        workers::whatever_a_job_does_costs_one_child_and_nothing_else,
        workers::what_runs_on_is_told_to_stop_and_then_killed,
        workers::short_jobs_that_turn_out_long_hold_up_no_other,
        workers::a_child_has_no_credentials,
        workers::what_a_job_prints_is_in_the_workers_log_with_its_id,
        workers::what_a_job_prints_is_shown_with_its_worker_only_if_it_is_shared,
        workers::jobs_in_children_call_others,
        workers::children_end_with_their_worker,
        workers::a_child_is_replaced_after_its_share_of_jobs,
        workers::a_program_whose_children_do_not_arrive_is_told_so,
        callers::a_client_runs_in_a_child_what_runs_here,
        callers::whatever_runs_here_costs_a_child_and_not_its_caller,
        callers::a_run_here_ends_with_its_call,
        callers::what_ended_the_only_worker_ends_a_child_of_its_caller,
        callers::without_an_entrance_no_client_has_children,
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

/// Waits until it runs, and leaves it.
async fn leave_running<A, R>(mut call: simple_dist::client::Call<A, R>)
where
    A: simple_dist::Argument,
    R: simple_dist::Argument + std::fmt::Debug,
{
    let mut progress = call.progress();
    tokio::select! {
        end = &mut call => panic!("it ends: {end:?}"),
        _runs = progress.next() => {}
    }
}

fn children_of(parent: u32) -> Vec<String> {
    let list = Command::new("ps").args(["-eo", "ppid=,pid=,stat=,args="]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let ours = |line: &&str| line.split_whitespace().next() == Some(&parent.to_string());
    let list = list.lines().filter(ours).filter(|line| !line.contains(" ps "));
    // Where this process is the first of its container, it has the ends of others' children as well.
    let list = list.filter(|line| line.contains("isolated") || !line.contains(" Z"));
    list.map(str::to_owned).collect()
}

fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.split(") ").nth(1).is_some_and(|rest| !rest.starts_with('Z'))
}

/// A worker's process, killed when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
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
