//! One live generation of a link: its connections, its tasks, and how they report faults.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::Channel;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{Broker, IdleChannels, reason};
use super::consumer::Intake;
use super::upkeep::Upkeep;
use super::{Event, Reason, Source};
use simple_dist_protocol::limits;

/// A live generation. The supervisor owns it; a `Session` only holds a weak reference.
pub(super) struct Live<S> {
    pub(super) broker: Broker,
    pub(super) events: mpsc::Sender<Event<S>>,
    pub(super) faults: FaultSender,
    pub(super) answer_timeout: AnswerTimeout,
    /// Cancelled when the link closes: the tasks finish what waits, then end.
    pub(super) closing: CancellationToken,
    /// Channels for declarations, on the consuming connection.
    pub(super) declares: IdleChannels,
    /// Channels for depth and purge, also on the consuming connection, which is never blocked.
    pub(super) questions: IdleChannels,
    /// Channels that probe who holds an exclusive queue, by a message to it.
    pub(super) claims: IdleChannels,
    pub(super) intakes: Mutex<Vec<Intake<S>>>,
    pub(super) upkeep: Upkeep,
    /// The publishers' channels. What is dropped while a connection closes the library wants to
    /// close as well, and takes its failure for one of the connection, which it then drops without
    /// a word to the broker. So channels, and consumers, live as long as their connection.
    pub(super) channels: Mutex<Vec<Channel>>,
    tasks: Mutex<Option<JoinSet<()>>>,
}

impl<S: Source> Live<S> {
    pub(super) fn new(
        broker: Broker,
        events: mpsc::Sender<Event<S>>,
        faults: FaultSender,
        blocked: watch::Receiver<bool>,
    ) -> Self {
        Self {
            broker,
            events,
            faults,
            answer_timeout: AnswerTimeout::new(blocked),
            closing: CancellationToken::new(),
            declares: IdleChannels::new(false),
            questions: IdleChannels::new(false),
            claims: IdleChannels::new(true),
            intakes: Mutex::new(Vec::new()),
            channels: Mutex::new(Vec::new()),
            upkeep: Upkeep::default(),
            tasks: Mutex::new(Some(JoinSet::new())),
        }
    }

    /// Spawns a task of this generation, unless the generation has ended.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = &mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner) {
            tasks.spawn(task);
        }
    }

    /// Waits until all tasks have ended by themselves.
    pub(super) async fn finish(&self) {
        self.closing.cancel();
        if let Some(mut tasks) = self.take_tasks() {
            while tasks.join_next().await.is_some() {}
        }
    }

    /// Aborts all tasks: no event of this generation follows.
    pub(super) async fn abort(&self) {
        if let Some(mut tasks) = self.take_tasks() {
            tasks.shutdown().await;
        }
    }

    fn take_tasks(&self) -> Option<JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Reports faults of a generation's tasks to its supervisor.
#[derive(Debug, Clone)]
pub(super) struct FaultSender(mpsc::Sender<Reason>);

impl FaultSender {
    pub(super) fn new() -> (Self, mpsc::Receiver<Reason>) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// The first fault ends the generation; further ones may be dropped.
    pub(super) fn tell(&self, reason: Reason) {
        let _told_or_known = self.0.try_send(reason);
    }
}

/// A timeout for answers of the broker: [`BROKER`](limits::BROKER) long, not counting the time in
/// which it is blocked. It counts polls without an answer, so that a process that was frozen itself
/// does not consider the broker silent.
#[derive(Debug, Clone)]
pub(super) struct AnswerTimeout {
    blocked: watch::Receiver<bool>,
    /// Polls without a confirm of what was written.
    unconfirmed: Arc<AtomicU32>,
}

/// The time between two polls.
const LOOK: Duration = Duration::from_millis(100);

impl AnswerTimeout {
    fn new(blocked: watch::Receiver<bool>) -> Self {
        Self { blocked, unconfirmed: Arc::default() }
    }

    pub(super) fn is_blocked(&self) -> bool {
        *self.blocked.borrow()
    }

    /// How long the confirm of what was written has been outstanding.
    pub(super) fn unconfirmed(&self) -> Duration {
        LOOK * self.unconfirmed.load(Ordering::Relaxed)
    }

    /// Waits for an answer, however long the broker is blocked.
    pub(super) async fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, lapin::Error>>,
    ) -> Result<T, Reason> {
        self.wait_and(answer, |_looks| ()).await
    }

    /// Waits for the confirm of what was written.
    pub(super) async fn confirmed<T>(
        &self,
        confirm: impl Future<Output = Result<T, lapin::Error>>,
    ) -> Result<T, Reason> {
        let count = |looks| self.unconfirmed.store(looks, Ordering::Relaxed);
        let confirmed = self.wait_and(confirm, count).await;
        count(0);
        confirmed
    }

    async fn wait_and<T>(
        &self,
        answer: impl Future<Output = Result<T, lapin::Error>>,
        count: impl Fn(u32),
    ) -> Result<T, Reason> {
        tokio::pin!(answer);
        let mut looks = 0;
        while LOOK * looks < limits::BROKER {
            tokio::select! {
                biased;
                answer = &mut answer => return answer.map_err(|error| reason(&error)),
                () = sleep(LOOK) => looks = if self.is_blocked() { 0 } else { looks + 1 },
            }
            count(looks);
        }
        Err(late())
    }
}

/// Waits for an answer that is useless later, blocked or not.
pub(super) async fn in_time<T>(
    answer: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, Failure> {
    match timeout(limits::BROKER, answer).await {
        Ok(answer) => answer.map_err(Failure::Answer),
        Err(_) => Err(Failure::Late),
    }
}

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The broker or the connection reported an error.
    Answer(lapin::Error),
    /// No answer came in time.
    Late,
}

impl From<Failure> for Reason {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Answer(error) => reason(&error),
            Failure::Late => late(),
        }
    }
}

fn late() -> Reason {
    Reason::Lost(format!("no answer within {:?}", limits::BROKER))
}
