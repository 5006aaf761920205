//! The processes of one test.

use std::io::Read;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use simple_dist_client::{Answer, Call, CallError, Client, Fallback};
use simple_dist_demo::functions::FIB;
use simple_dist_distributor::view;
use simple_dist_e2e::BrokerSite;
pub(crate) use simple_dist_e2e::free_port;
use simple_dist_protocol::{JobId, WorkerId};
use ureq::Agent;

/// How long a step of a test may take, beside other tests.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
/// What comes sooner has not waited for anybody, however busy the machine is: the shortest wait for the
/// other side is a second.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(500);
/// What takes longer has waited for a call's timeout of a minute.
pub(crate) const BEFORE_TIMEOUT: Duration = Duration::from_secs(45);

/// Processes on their own site at the broker.
pub(crate) struct Cluster {
    pub(crate) site: BrokerSite,
}

/// A process, killed when it is dropped.
pub(crate) struct Role(Child);

impl Drop for Role {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Role {
    /// Starts it, silent unless `RUST_LOG` is set.
    pub(crate) fn run(command: &mut Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if std::env::var_os("RUST_LOG").is_some() {
            command.stderr(Stdio::inherit());
        }
        Self(command.spawn().expect("the binary runs"))
    }

    /// Starts it and reads its stderr, whose text is there when it has ended.
    pub(crate) fn run_logging(command: &mut Command) -> (Self, JoinHandle<String>) {
        let spawned = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("the binary runs");
        let mut log = child.stderr.take().expect("it is piped");
        // Read as it is written: a full pipe would stop the process.
        let log = thread::spawn(move || {
            let mut text = String::new();
            log.read_to_string(&mut text).expect("it is text");
            text
        });
        (Self(child), log)
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        // A process that has ended by itself cannot be killed.
        let _dead = self.0.kill();
        self.0.wait().expect("a child can be waited for");
    }

    /// Freezes it, with its connections open, until it is thawed.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it continue.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a child has a pid"), signal).expect("it lives");
    }

    /// Limits its address space, as `ulimit -v` does.
    pub(crate) fn confine(&self, bytes: u64) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        prlimit(pid, Resource::As, limit).expect("a child can be confined");
    }

    /// The bytes of its memory that the kernel reports under this name.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()));
        let status = status.expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kilobytes.and_then(|count| count.parse::<u64>().ok()).expect("it is counted") << 10
    }

    /// Sends SIGTERM.
    pub(crate) fn tell_to_stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Stops it and waits; true if it ended successfully.
    pub(crate) fn stop(mut self) -> bool {
        self.tell_to_stop();
        let status = self.0.wait().expect("a child can be waited for");
        status.success()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("a child can be asked").is_some()
    }
}

impl Cluster {
    pub(crate) async fn new() -> Self {
        Self { site: BrokerSite::new().await }
    }

    /// A command of the binary for this cluster.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_simple-dist"));
        command
            .args(arguments)
            .args(["--prefix", &self.site.prefix])
            .env("AMQP_URL", &self.site.url)
            // Several distributors at once would compete for the page's port.
            .env("LISTEN", "none")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    /// Starts a role.
    pub(crate) fn start(&self, arguments: &[&str]) -> Role {
        self.start_at(&self.site.url, arguments)
    }

    /// Starts a role with another broker URL, such as a relay's.
    pub(crate) fn start_at(&self, url: &str, arguments: &[&str]) -> Role {
        let mut command = self.command(arguments);
        Role::run(command.env("AMQP_URL", url))
    }

    /// A client of this cluster.
    pub(crate) fn client(&self) -> Client {
        self.client_at(&self.site.url)
    }

    /// A client with another broker URL, such as a relay's.
    pub(crate) fn client_at(&self, url: &str) -> Client {
        Client::builder(url).prefix(&self.site.prefix).connect().expect("the URL is usable")
    }
}

/// A folder of one test, there once a file is in it, and deleted at its end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Nobody else has it, nor another process of tests beside this one.
    pub(crate) fn new() -> Self {
        Self(std::env::temp_dir().join(format!("simple-dist-{}", JobId::new())))
    }

    /// Writes a file in it; its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        std::fs::create_dir_all(&self.0).expect("there is room");
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("there is room");
        path.to_str().expect("it is plain").to_owned()
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If it is left behind, it does no harm.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

/// Calls `fib(1)` until `count` different workers have answered.
pub(crate) async fn served_by(client: &Client, count: usize) -> Vec<WorkerId> {
    let fib = client.function(FIB);
    let begun = now();
    let mut workers = Vec::new();
    while workers.len() < count {
        assert!(begun.elapsed() < TIMEOUT, "only {} of {count} workers answer", workers.len());
        let calls = (0..8).map(|_| fib.call(22).fresh().fallback(Fallback::Never).detailed());
        for answer in futures_util::future::join_all(calls).await.into_iter().flatten() {
            if let Some(worker) = answer.ran.worker()
                && !workers.contains(&worker)
            {
                workers.push(worker);
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The first answers may arrive before the next view, from which page and API take the workers.
    tokio::time::sleep(view::EVERY * 2).await;
    workers
}

/// Waits until this holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = now();
    while !holds() {
        assert!(begun.elapsed() < TIMEOUT, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A call's answer and how long it took.
pub(crate) async fn timed<A, R>(call: Call<A, R>) -> (Result<Answer<R>, CallError>, Duration)
where
    A: simple_dist_protocol::Argument,
    R: simple_dist_protocol::Argument,
{
    let begun = now();
    let answer = call.detailed().await;
    (answer, begun.elapsed())
}

/// The shortest time of several calls, all of which are to be local: a busy machine holds up some.
pub(crate) async fn local_at_once(client: &Client) -> Duration {
    let mut least = Duration::MAX;
    for _ in 0..10 {
        let (answer, took) = timed(client.function(FIB).call(20)).await;
        assert!(!is_remote(&answer.expect("it is answered")));
        least = least.min(took);
    }
    least
}

pub(crate) fn is_remote<R>(answer: &Answer<R>) -> bool {
    answer.ran.worker().is_some()
}

#[expect(clippy::disallowed_methods, reason = "processes live by the real clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The body at a path of a page, once it answers.
pub(crate) fn get(site: &str, path: &str) -> String {
    let begun = now();
    loop {
        match try_get(site, path) {
            Ok(body) => return body,
            Err(error) => assert!(begun.elapsed() < TIMEOUT, "{path}: {error}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn try_get(site: &str, path: &str) -> Result<String, ureq::Error> {
    let agent: Agent =
        Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build().into();
    agent.get(format!("http://{site}{path}")).call()?.body_mut().read_to_string()
}

/// The same, of JSON.
pub(crate) fn json(site: &str, path: &str) -> Value {
    serde_json::from_str(&get(site, path)).expect("it is JSON")
}

/// The id of the job of `sleep` that runs, as the scheduler knows it now.
pub(crate) fn running(site: &str) -> Option<String> {
    let jobs = json(site, "/api/v1/jobs?function=sleep&state=running");
    jobs[0]["id"].as_str().map(str::to_owned)
}

/// What the distributor of this page is: `active`, `standby` or `down`; none before it answers.
pub(crate) fn phase(site: &str) -> Option<String> {
    let status: Value = serde_json::from_str(&try_get(site, "/api/v1/status").ok()?).ok()?;
    status["distributor"]["phase"]["state"].as_str().map(str::to_owned)
}
