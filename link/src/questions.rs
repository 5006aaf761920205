//! The questions of one generation that are under way, and their channels: idle ones are reused, and
//! an error closes one.

use std::future::Future;
use std::sync::Arc;

use lapin::Channel;
use tokio::task::JoinSet;

use super::answer::{AnswerTimeout, Failure, in_time};
use super::broker_calls::{cancel, depth, drain};
use super::connection::{Broker, confirming};
use super::consumer::{Granted, consume};
use super::declare::declare;
use super::lock::claim;
use super::plan::Consume;
use super::reason::Reason;
use super::session::{Depth, Drained, Reply};
use super::upkeep::declare_all;
use simple_dist_protocol::topology::{Declaration, Name, QueueSpec};

/// The most idle channels kept per kind.
const KEPT: usize = 64;

/// Questions under way.
pub(super) struct Questions {
    broker: Arc<Broker>,
    answer_timeout: AnswerTimeout,
    running: JoinSet<(Kind, Vec<Channel>, Ended)>,
    /// Idle channels of each kind.
    idle: [Vec<Channel>; 2],
}

/// The kind of channel that a question is asked on.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// On the consuming connection, which is never blocked.
    Consuming,
    /// On the publishing connection, with confirms.
    Confirming,
}

/// What remains to do after a question.
pub(super) enum Ended {
    /// Nothing: it has been answered.
    Answered,
    /// The generation must end.
    Fault(Reason),
    /// A consumer, to be started before the answer.
    Granted(Box<Granted>, Reply<()>),
    /// What could not be declared again.
    DeclaredAgain(Vec<Reason>),
}

impl Questions {
    pub(super) fn new(broker: Arc<Broker>, answer_timeout: AnswerTimeout) -> Self {
        Self { broker, answer_timeout, running: JoinSet::new(), idle: Default::default() }
    }

    /// Waits for the next question that ends; none if none is under way.
    pub(super) async fn next(&mut self) -> Option<Ended> {
        let (kind, channels, ended) = match self.running.join_next().await? {
            Ok(ended) => ended,
            Err(panic) => return Some(Ended::Fault(Reason::Lost(panic.to_string()))),
        };
        let idle = &mut self.idle[kind as usize];
        idle.extend(channels);
        idle.truncate(KEPT);
        Some(ended)
    }

    pub(super) fn declare(&mut self, declaration: Declaration, reply: Reply<()>) {
        self.ask(Kind::Consuming, reply, async move |_, channel| {
            in_time(declare(&channel, &declaration)).await
        });
    }

    pub(super) fn depth(&mut self, queue: Name, reply: Reply<Option<Depth>>) {
        self.ask(Kind::Consuming, reply, |_, channel| depth(channel, queue));
    }

    pub(super) fn drain(&mut self, queue: Name, reply: Reply<Vec<Drained>>) {
        self.ask(Kind::Consuming, reply, |_, channel| drain(channel, queue));
    }

    pub(super) fn claim(&mut self, locks: Vec<QueueSpec>, reply: Reply<bool>) {
        if self.answer_timeout.is_blocked() {
            return answer(reply, Err(Reason::Lost("the broker takes no messages".to_owned())));
        }
        self.ask(Kind::Confirming, reply, |broker, channel| claim(broker, channel, locks));
    }

    pub(super) fn cancel(&mut self, leaving: Vec<(Channel, lapin::Consumer)>, reply: Reply<()>) {
        let timeout = self.answer_timeout.clone();
        self.start(async move {
            let cancelled = cancel(&leaving).await;
            (Kind::Consuming, vec![], ended(&timeout, reply, cancelled))
        });
    }

    /// Uses the channel of a cancelled consumer, if there is one.
    pub(super) fn consume(&mut self, idle: Option<Channel>, next: Consume, reply: Reply<()>) {
        let (broker, timeout) = (self.broker.clone(), self.answer_timeout.clone());
        self.start(async move {
            let granted = async {
                let channel = open(&broker, Kind::Consuming, idle).await?;
                in_time(consume(channel, next)).await
            };
            let ended = match granted.await {
                Ok(granted) => Ended::Granted(Box::new(granted), reply),
                Err(failure) => ended(&timeout, reply, Err(failure)),
            };
            (Kind::Consuming, vec![], ended)
        });
    }

    pub(super) fn declare_again(&mut self, declared: Arc<[Declaration]>) {
        let idle = &mut self.idle[Kind::Consuming as usize];
        let idle = idle.split_off(idle.len().saturating_sub(declared.len()));
        let broker = self.broker.clone();
        self.start(async move {
            let (idle, failed) = declare_all(&broker.consuming, &declared, idle).await;
            (Kind::Consuming, idle, Ended::DeclaredAgain(failed))
        });
    }

    fn start(
        &mut self,
        question: impl Future<Output = (Kind, Vec<Channel>, Ended)> + Send + 'static,
    ) {
        let broker = self.broker.clone();
        self.running.spawn(async move { broker.asking(question).await });
    }

    fn ask<T: Send + 'static, F: Future<Output = Result<T, Failure>> + Send>(
        &mut self,
        kind: Kind,
        reply: Reply<T>,
        question: impl FnOnce(Arc<Broker>, Channel) -> F + Send + 'static,
    ) {
        let idle = self.idle[kind as usize].pop();
        let (broker, timeout) = (self.broker.clone(), self.answer_timeout.clone());
        self.start(async move {
            let (channel, result) = match open(&broker, kind, idle).await {
                Ok(channel) => (Some(channel.clone()), question(broker, channel).await),
                Err(failure) => (None, Err(failure)),
            };
            // A late answer would be taken for that to the next question.
            let channel = channel.filter(|_| !matches!(result, Err(Failure::Late)));
            (kind, channel.into_iter().collect(), ended(&timeout, reply, result))
        });
    }
}

/// An idle channel, or a new one.
async fn open(broker: &Broker, kind: Kind, idle: Option<Channel>) -> Result<Channel, Failure> {
    match (idle, kind) {
        (Some(channel), _) if channel.status().connected() => Ok(channel),
        (_, Kind::Consuming) => in_time(broker.consuming.create_channel()).await,
        (_, Kind::Confirming) => in_time(confirming(&broker.publishing)).await,
    }
}

/// A broker that does not answer is lost, unless it is blocked.
fn ended<T>(timeout: &AnswerTimeout, reply: Reply<T>, result: Result<T, Failure>) -> Ended {
    let fatal = match &result {
        Err(Failure::Late) => !timeout.is_blocked(),
        Err(Failure::Fatal(_)) => true,
        Err(Failure::Answer(_) | Failure::Known(_)) | Ok(_) => false,
    };
    let result = result.map_err(Reason::from);
    let fault = result.as_ref().err().filter(|_| fatal).cloned();
    answer(reply, result);
    fault.map_or(Ended::Answered, Ended::Fault)
}

pub(super) fn answer<T>(reply: Reply<T>, result: Result<T, Reason>) {
    // The caller may have stopped waiting.
    let _told_or_gone = reply.send(result);
}
