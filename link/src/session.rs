//! What an owner can do on one generation of its link.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::answer::{AnswerTimeout, FaultSender};
use super::outgoing::{Full, Lane, Outgoing, Queue};
use super::plan::{Consume, ConsumerTag};
use super::reason::Reason;
use simple_dist_protocol::topology::{Declaration, Name, QueueSpec};
use simple_dist_protocol::{Generation, UserName};

/// One generation of a link, to publish and ask questions on. Cheap to clone; useless after `Down`.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

pub(super) struct Inner {
    pub(super) generation: Generation,
    pub(super) user: UserName,
    pub(super) jobs: Queue,
    pub(super) control: Queue,
    pub(super) questions: mpsc::Sender<Question>,
    pub(super) faults: FaultSender,
    pub(super) answer_timeout: AnswerTimeout,
}

/// What the task of a generation can be asked, and where its answer goes.
pub(super) enum Question {
    Declare(Declaration, Reply<()>),
    DeclareAgain,
    Consume(Consume, Reply<()>),
    Cancel(ConsumerTag, Reply<()>),
    Depth(Name, Reply<Option<Depth>>),
    Drain(Name, Reply<Vec<Drained>>),
    Claim(Vec<QueueSpec>, Reply<bool>),
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, Reason>>;

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.0.generation).finish()
    }
}

/// The state of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// The number of waiting messages.
    pub messages: u32,
    /// The number of its consumers.
    pub consumers: u32,
}

/// A message taken out of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drained {
    /// The body.
    pub body: Bytes,
    /// Whether the broker may have delivered it before. If not, nobody ever received it.
    pub redelivered: bool,
}

/// The most messages that [`Session::drain_queue`] returns: a pool's window is smaller, but for its
/// slots.
pub const DRAINED: usize = 32_768;

impl Session {
    pub(super) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The generation.
    pub fn generation(&self) -> Generation {
        self.0.generation
    }

    /// The login's name.
    pub fn user(&self) -> &UserName {
        &self.0.user
    }

    /// Queues a message for publishing and returns at once. If it has a token, its outcome is
    /// reported by [`Event::Settled`].
    ///
    /// # Errors
    ///
    /// [`Full`] if the publisher's queue is full or the generation has ended; the message is
    /// dropped.
    ///
    /// [`Event::Settled`]: super::Event::Settled
    pub fn publish(&self, message: Outgoing) -> Result<(), Full> {
        match message.lane {
            Lane::Jobs => self.0.jobs.put(message),
            Lane::Control => self.0.control.put(message),
        }
    }

    /// Ends this generation; the link reconnects.
    pub fn give_up(&self, why: &str) {
        self.0.faults.tell(Reason::Lost(why.to_owned()));
    }

    /// Declares an exchange, queue or binding on the consuming connection.
    ///
    /// # Errors
    ///
    /// The reason, if the broker refuses it or does not answer in time, or the generation has
    /// ended.
    pub async fn declare(&self, declaration: Declaration) -> Result<(), Reason> {
        self.ask(|reply| Question::Declare(declaration, reply)).await
    }

    /// Declares again, on separate channels, what the link's plan declares, in case somebody has
    /// deleted some of it. Returns at once; does nothing while a previous round is running.
    pub fn declare_again(&self) {
        // It is asked again soon if the queue is full.
        let _asked_or_another_time = self.0.questions.try_send(Question::DeclareAgain);
    }

    /// Consumes one more queue.
    ///
    /// # Errors
    ///
    /// The reason, if the broker refuses it or does not answer in time, or the generation has
    /// ended.
    pub async fn consume(&self, next: Consume) -> Result<(), Reason> {
        self.ask(|reply| Question::Consume(next, reply)).await
    }

    /// Stops consuming a queue; what was delivered may still be acked.
    ///
    /// # Errors
    ///
    /// The reason, if the broker does not answer in time, or the generation has ended.
    pub async fn cancel(&self, tag: ConsumerTag) -> Result<(), Reason> {
        self.ask(|reply| Question::Cancel(tag, reply)).await
    }

    /// The depth of a queue; `None` if there is no such queue.
    ///
    /// # Errors
    ///
    /// The reason, if the broker does not answer in time, or the generation has ended.
    pub async fn depth(&self, queue: Name) -> Result<Option<Depth>, Reason> {
        self.ask(|reply| Question::Depth(queue, reply)).await
    }

    /// Empties a queue: returns up to [`DRAINED`] messages, and drops the rest.
    ///
    /// # Errors
    ///
    /// The reason, if the broker does not answer in time, or the generation has ended.
    pub async fn drain_queue(&self, queue: Name) -> Result<Vec<Drained>, Reason> {
        self.ask(|reply| Question::Drain(queue, reply)).await
    }

    /// Takes the first free one of these locks, unless somebody holds any of them. Returns true if
    /// we hold one now, false if anybody, including us, held one already.
    ///
    /// # Errors
    ///
    /// The reason, if the broker does not answer in time, or the generation has ended.
    pub async fn claim(&self, locks: &[QueueSpec]) -> Result<bool, Reason> {
        self.ask(|reply| Question::Claim(locks.to_vec(), reply)).await
    }

    /// How long the broker has not confirmed what was written to it. Neither waiting items nor the
    /// time in which this process was frozen count.
    pub fn unconfirmed(&self) -> Duration {
        self.0.answer_timeout.unconfirmed()
    }

    async fn ask<T>(&self, question: impl FnOnce(Reply<T>) -> Question) -> Result<T, Reason> {
        let (reply, answer) = oneshot::channel();
        // If nobody takes it, it is dropped, and the reply with it.
        self.0.questions.send(question(reply)).await.ok();
        let over = |_| Reason::Lost("the generation is over".to_owned());
        answer.await.map_err(over)?
    }
}
