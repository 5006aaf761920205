//! `simple-dist demo`: runs the acceptance scenario in its own processes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::future::join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use simple_dist_client::{Answer, Call, CallError, Fallback, Handle, Ran};
use simple_dist_demo::functions::{FIB, SLEEP};
use simple_dist_protocol::{Function, PureFunction, WorkerId, text};
use tokio::process::Child;

use crate::broker_args::{Broker, Files};
use crate::children;
use crate::exit::Failure;
use crate::output::{print, say};
use simple_dist_worker::shutdown_signal;

/// Starts a distributor and two workers, and runs a scenario with them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  simple-dist demo                on an embedded broker; nothing else is needed
  AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f simple-dist demo
  simple-dist demo --stay         keep everything up, with a trickle of jobs, until Ctrl-C
  RUST_LOG=info simple-dist demo  with the logs of all processes")]
pub(crate) struct Options {
    /// Keep everything up with a trickle of jobs until Ctrl-C
    #[arg(long)]
    stay: bool,
    #[command(flatten)]
    broker: Broker,
}

/// A function that no worker serves.
const NOBODY: PureFunction<u64, u64> = Function::pure("nobody", 1, |n| n + 1);
/// The range of the map: `fib` of 0..35.
const MAPPED: u64 = 35;
/// The number of workers.
const WORKERS: usize = 2;
/// So long a new distributor waits for the workers of a function that it has not heard of.
const FRESH: Duration = Duration::from_secs(4);
/// Slots of each worker.
const SLOTS: usize = 2;
/// How long a job that never ends is waited for, and then its slot.
const ENDLESS: Duration = Duration::from_secs(1);
/// What is at once,
const AT_ONCE: Duration = Duration::from_millis(300);
/// one of so many times: a machine that is busy with other things holds some up.
const TIMES: u32 = 10;

/// Runs the scenario; fails if any step is wrong.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let at = options.broker.given_or_embedded().await?;
    let client = options.broker.client_at(&at.url, &at.files)?;
    let mut story = Story {
        url: at.url.clone(),
        files: at.files.clone(),
        prefix: options.broker.prefix.clone(),
        fib: client.function(FIB),
        sleep: client.function(SLEEP),
        nobody: client.function(NOBODY),
        workers: Vec::new(),
        wrong: 0,
    };
    let scene = format!("one distributor and {WORKERS} workers, each in its own process,");
    print(format_args!(
        "simple-dist: {scene}
{}
",
        at.banner()
    ))?;
    let distributor = story.start(&["distributor", "--listen", "none"])?;
    let played = story.play().await;
    if played.is_ok() && options.stay {
        print("\nkeeping everything up, with a trickle of jobs; stop with Ctrl-C")?;
        tokio::select! {
            () = trickle(&story.fib) => {}
            () = shutdown_signal() => {}
        }
    }
    let workers = std::mem::take(&mut story.workers);
    for child in workers.into_iter().chain([distributor]) {
        children::stop(child).await;
    }
    client.close().await;
    at.stop().await;
    played?;
    if story.wrong > 0 {
        return Err(Failure::function(format_args!("{} steps went wrong", story.wrong)));
    }
    print("\nall steps passed")
}

struct Story {
    url: String,
    files: Files,
    prefix: String,
    fib: Handle<u64, u64>,
    sleep: Handle<u64, u64>,
    nobody: Handle<u64, u64>,
    workers: Vec<Child>,
    wrong: u32,
}

impl Story {
    async fn play(&mut self) -> Result<(), Failure> {
        let begun = now();
        self.start_workers()?;
        let (answer, took) = self.remote(Duration::from_secs(20)).await?;
        self.tell("a", "fib(20), workers there", &answer, took, answer.value == 6765)?;

        for time in 1..=TIMES {
            self.kill_workers().await?;
            let call = self.fib.call(20);
            if self.local("b", "fib(20), workers just killed", call, 6765, time).await? {
                break;
            }
            self.start_workers()?;
            self.remote(Duration::from_secs(20)).await?;
        }
        for time in 1..=TIMES {
            let call = self.fib.call(20);
            if self.local("b", "fib(20), once more", call, 6765, time).await? {
                break;
            }
        }

        self.start_workers()?;
        let (answer, took) = self.remote(Duration::from_secs(20)).await?;
        let right = answer.value == 6765 && took < Duration::from_secs(15);
        self.tell("c", "fib(20), workers restarted", &answer, took, right)?;

        tokio::time::sleep(FRESH.saturating_sub(begun.elapsed())).await;
        for time in 1..=TIMES {
            let call = self.nobody.call(41);
            if self.local("d", "nobody(41), served by no worker", call, 42, time).await? {
                break;
            }
        }

        for time in 1..=TIMES {
            if self.map(time).await? {
                break;
            }
        }
        self.endless().await
    }

    /// Step f: jobs that never end, one for each slot, are killed, and their slots run the next.
    async fn endless(&mut self) -> Result<(), Failure> {
        let begun = now();
        let call = |_| self.sleep.call(u64::MAX).fallback(Fallback::Wait).timeout(ENDLESS);
        let ends = join_all((0..WORKERS * SLOTS).map(call)).await;
        let (answer, _) = self.remote(Duration::from_secs(20)).await?;
        let took = begun.elapsed();
        let all = ends.iter().all(|end| matches!(end, Err(CallError::Timeout)));
        let right = all && answer.value == 6765 && took < ENDLESS + Duration::from_secs(10);
        self.tell("f", "fib(20), behind endless jobs", &answer, took, right)
    }

    /// Step e: every value is right, and both workers computed some; false if one was not given any,
    /// since it was held up, and the map is to be made again.
    async fn map(&mut self, time: u32) -> Result<bool, Failure> {
        self.both_there().await?;
        let begun = now();
        let calls = (0..MAPPED).map(|n| self.fib.call(n).fresh().detailed());
        let answers: Vec<Answer<u64>> = stream::iter(calls).buffered(64).try_collect().await?;
        let took = begun.elapsed();
        let right = (0..MAPPED).zip(&answers).filter(|(n, answer)| answer.value == fib(*n)).count();
        let mut shares: BTreeMap<WorkerId, u32> = BTreeMap::new();
        for answer in &answers {
            if let Some(worker) = answer.ran.worker() {
                *shares.entry(worker).or_default() += 1;
            }
        }
        let is_right = right == answers.len();
        let is_shared = shares.len() == WORKERS;
        let again = is_right && !is_shared && time < TIMES;
        let all = (is_right && is_shared) || again;
        self.wrong += u32::from(!all);
        let shares: Vec<String> =
            shares.iter().map(|(worker, count)| format!("{count} by {}", worker.short())).collect();
        print(format_args!(
            "(e) {:34} {right} of {MAPPED} right, {}, {took:.1?}{}{}",
            format!("map fib 0..{MAPPED}"),
            shares.join(", "),
            if again { ": once more" } else { "" },
            verdict(all),
        ))?;
        Ok(!again)
    }

    /// A call that is to be local at once; false if it was not so soon, and is to be made again.
    async fn local(
        &mut self,
        step: &str,
        what: &str,
        call: Call<u64, u64>,
        value: u64,
        time: u32,
    ) -> Result<bool, Failure> {
        let (answer, took) = timed(call).await?;
        let right = is_local(&answer) && answer.value == value;
        if right && took >= AT_ONCE && time < TIMES {
            let slow = format_args!("({step}) {what:34} local after {took:.1?}: once more");
            print(slow)?;
            return Ok(false);
        }
        self.tell(step, what, &answer, took, right && took < AT_ONCE)?;
        Ok(true)
    }

    fn tell(
        &mut self,
        step: &str,
        what: &str,
        answer: &Answer<u64>,
        took: Duration,
        right: bool,
    ) -> Result<(), Failure> {
        self.wrong += u32::from(!right);
        let origin = match &answer.ran {
            Ran::Remote { worker, .. } | Ran::Coalesced { worker } | Ran::Memo { worker, .. } => {
                format!("from worker {}", worker.short())
            }
            Ran::Local { reason } => {
                format!("local ({})", text::line(&reason.to_string(), text::SHOWN))
            }
        };
        let (value, verdict) = (answer.value, verdict(right));
        print(format_args!("({step}) {what:34} {value:<6} {origin}, {took:.1?}{verdict}"))
    }

    /// Calls until a worker answers, as a person would who has just started one.
    async fn remote(&self, timeout: Duration) -> Result<(Answer<u64>, Duration), Failure> {
        let begun = now();
        loop {
            match self.fib.call(20).fallback(Fallback::Never).detailed().await {
                Ok(answer) => return Ok((answer, begun.elapsed())),
                Err(error) if begun.elapsed() > timeout => {
                    return Err(Failure::unavailable(format_args!(
                        "no worker answered within {timeout:?}: {error}"
                    )));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Waits until both workers have answered.
    async fn both_there(&self) -> Result<(), Failure> {
        let begun = now();
        let mut seen = std::collections::BTreeSet::new();
        while seen.len() < WORKERS {
            if begun.elapsed() > Duration::from_secs(30) {
                return Err(Failure::unavailable("only one of the workers answers"));
            }
            let calls = (0..8).map(|_| self.fib.call(22).fresh().detailed());
            let answers: Vec<Answer<u64>> = stream::iter(calls).buffered(8).try_collect().await?;
            seen.extend(answers.iter().filter_map(|answer| answer.ran.worker()));
        }
        Ok(())
    }

    fn start(&self, role: &[&str]) -> Result<Child, Failure> {
        let arguments = [role, &["--prefix", &self.prefix]].concat();
        children::start(&self.url, &self.files, &arguments)
    }

    fn start_workers(&mut self) -> Result<(), Failure> {
        for _ in 0..WORKERS {
            self.workers.push(self.start(&["worker", "--slots", &SLOTS.to_string()])?);
        }
        Ok(())
    }

    async fn kill_workers(&mut self) -> Result<(), Failure> {
        for mut worker in self.workers.drain(..) {
            worker.kill().await.map_err(Failure::function)?;
        }
        Ok(())
    }
}

async fn trickle(fib: &Handle<u64, u64>) {
    for n in (25..42).cycle() {
        if let Err(error) = fib.call(n).await {
            say(format_args!("fib({n}): {error}"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn timed(call: Call<u64, u64>) -> Result<(Answer<u64>, Duration), Failure> {
    let begun = now();
    let answer = call.detailed().await?;
    Ok((answer, begun.elapsed()))
}

fn is_local(answer: &Answer<u64>) -> bool {
    matches!(answer.ran, Ran::Local { .. })
}

fn fib(n: u64) -> u64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}

fn verdict(right: bool) -> &'static str {
    if right { "" } else { "   <-- WRONG" }
}

#[expect(clippy::disallowed_methods, reason = "the shell's clock")]
fn now() -> Instant {
    Instant::now()
}
