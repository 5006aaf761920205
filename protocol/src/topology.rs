//! The names and properties of every queue and exchange. No name is written anywhere else.

mod rights;

use std::fmt;
use std::sync::Arc;

pub use self::rights::{Rights, Role};
use crate::{ClientId, DistributorId, Generation, PoolId, UserName, WorkerId, limits};

/// The name of a queue, an exchange or a routing key: at most 255 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The type of the shared queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueKind {
    /// On one node: fast, but lost with its disk.
    #[default]
    Classic,
    /// On several nodes: survives the loss of one.
    Quorum,
}

/// The prefix does not match `[a-z0-9_-]{1,32}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a prefix must be 1 to 32 characters of a-z, 0-9, '_', '-'")]
pub struct PrefixError;

/// The names of one installation, under one prefix. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Topology {
    prefix: Arc<str>,
    kind: QueueKind,
}

impl Default for Topology {
    fn default() -> Self {
        Self { prefix: "sd".into(), kind: QueueKind::Classic }
    }
}

/// Something to declare.
#[derive(Debug, Clone, PartialEq)]
pub enum Declaration {
    /// A durable exchange.
    Exchange {
        /// Its name.
        name: Name,
        /// How it routes.
        kind: ExchangeKind,
    },
    /// A queue.
    Queue(QueueSpec),
    /// A queue's binding to an exchange.
    Binding {
        /// The queue.
        queue: Name,
        /// The exchange.
        exchange: Name,
        /// The routing key.
        key: Name,
    },
}

/// How an exchange routes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeKind {
    /// To the queues bound with the message's key.
    Direct,
    /// To every bound queue.
    Fanout,
}

/// A queue as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSpec {
    /// Its name.
    pub name: Name,
    /// Usable only by the connection that declares it, and deleted with it. All others are durable.
    pub exclusive: bool,
    /// The `x-` arguments.
    pub arguments: Vec<(&'static str, ArgumentValue)>,
}

/// The value of an `x-` argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgumentValue {
    /// A number.
    Number(i64),
    /// A word.
    Text(&'static str),
    /// The name of something else.
    Name(Name),
}

impl Topology {
    /// The names under this prefix.
    ///
    /// # Errors
    ///
    /// Fails unless the prefix matches `[a-z0-9_-]{1,32}`.
    pub fn new(prefix: &str, kind: QueueKind) -> Result<Self, PrefixError> {
        let fits = (1..=32).contains(&prefix.len())
            && prefix.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        if fits { Ok(Self { prefix: prefix.into(), kind }) } else { Err(PrefixError) }
    }

    fn name(&self, rest: impl fmt::Display) -> Name {
        name(&format!("{}.{rest}", self.prefix))
    }

    /// The exchange clients submit to.
    pub fn submit(&self) -> Name {
        self.name("submit")
    }

    /// The exchange of the workers' answers.
    pub fn results(&self) -> Name {
        self.name("results")
    }

    /// The exchange of the workers' beats.
    pub fn beats(&self) -> Name {
        self.name("beats")
    }

    /// The exchange of the active distributor's beats.
    pub fn presence(&self) -> Name {
        self.name("presence")
    }

    /// The default exchange, which reaches every queue by its name.
    pub fn default_exchange(&self) -> Name {
        name("")
    }

    /// The key of jobs at [`Self::submit`].
    pub fn submit_key(&self) -> Name {
        name("submit")
    }

    /// The key of everything else at [`Self::submit`].
    pub fn control_key(&self) -> Name {
        name("control")
    }

    /// The key at [`Self::results`].
    pub fn answers_key(&self) -> Name {
        name("answers")
    }

    /// The key at [`Self::beats`].
    pub fn beat_key(&self) -> Name {
        name("beat")
    }

    /// The key of wills at [`Self::beats`].
    pub fn will_key(&self) -> Name {
        name("will")
    }

    /// The key at [`Self::presence`].
    pub fn presence_key(&self) -> Name {
        name("")
    }

    /// The queue of submitted jobs.
    pub fn submissions(&self) -> Name {
        self.name("submissions")
    }

    /// The queue of cancels, questions and receipts.
    pub fn control(&self) -> Name {
        self.name("control")
    }

    /// The queue of the workers' answers.
    pub fn answers(&self) -> Name {
        self.name("answers")
    }

    /// The queue of undecodable messages.
    pub fn parked(&self) -> Name {
        self.name("parked")
    }

    /// The queues of which the active distributor holds one. There are several because some brokers
    /// keep the queue of a holder whose node is down.
    pub fn leader(&self) -> [QueueSpec; limits::LOCKS] {
        std::array::from_fn(|place| {
            exclusive(self.name(format_args!("leader.{}", place + 1)), vec![])
        })
    }

    /// A pool's queue.
    pub fn pool(&self, pool: PoolId) -> QueueSpec {
        let mut arguments = self.shared_arguments();
        arguments.push(("x-expires", millis(limits::POOL_EXPIRES)));
        QueueSpec { name: self.name(format_args!("pool.{pool}")), exclusive: false, arguments }
    }

    /// A worker's control queue.
    pub fn worker(&self, user: &UserName, worker: WorkerId, generation: Generation) -> QueueSpec {
        exclusive(self.name(format_args!("worker.{user}.{worker}.{generation}")), vec![])
    }

    /// The queue of a worker's *will*: the message in it is held unacked by the worker's link, and
    /// has no time to live, so that the link's end makes it a dead letter, which tells the
    /// distributors of that end at once.
    pub fn will(&self, user: &UserName, worker: WorkerId, generation: Generation) -> QueueSpec {
        QueueSpec {
            name: self.name(format_args!("worker.{user}.{worker}.{generation}.will")),
            exclusive: false,
            arguments: vec![
                ("x-message-ttl", number(0)),
                ("x-dead-letter-exchange", ArgumentValue::Name(self.beats())),
                ("x-dead-letter-routing-key", ArgumentValue::Name(self.will_key())),
                ("x-expires", millis(limits::WILL_EXPIRES)),
            ],
        }
    }

    /// A distributor's queue of wills.
    pub fn wills(&self, distributor: DistributorId, generation: Generation) -> QueueSpec {
        let name = self.name(format_args!("distributor.{distributor}.{generation}.wills"));
        exclusive(name, vec![("x-max-length", number(16_384)), DROP_HEAD])
    }

    /// A distributor's queue of beats.
    pub fn heard(&self, distributor: DistributorId, generation: Generation) -> QueueSpec {
        let name = self.name(format_args!("distributor.{distributor}.{generation}.beats"));
        exclusive(name, vec![("x-max-length", ArgumentValue::Number(100_000)), DROP_HEAD])
    }

    /// A distributor's queue of presence.
    pub fn seen(&self, distributor: DistributorId, generation: Generation) -> QueueSpec {
        let name = self.name(format_args!("distributor.{distributor}.{generation}.presence"));
        exclusive(name, vec![("x-max-length", ArgumentValue::Number(16)), DROP_HEAD])
    }

    /// A client's queue of answers.
    pub fn client(&self, user: &UserName, client: ClientId, generation: Generation) -> QueueSpec {
        QueueSpec {
            name: self.name(format_args!("client.{user}.{client}.{generation}")),
            exclusive: false,
            arguments: vec![
                ("x-expires", millis(limits::CLIENT_EXPIRES)),
                ("x-max-length-bytes", number(limits::CLIENT_BYTES)),
                REJECT_PUBLISH,
            ],
        }
    }

    /// A client's queue of presence, which keeps only the newest.
    pub fn client_presence(
        &self,
        user: &UserName,
        client: ClientId,
        generation: Generation,
    ) -> QueueSpec {
        let name = self.name(format_args!("client.{user}.{client}.{generation}.presence"));
        exclusive(name, vec![("x-max-length", ArgumentValue::Number(1)), DROP_HEAD])
    }

    /// Binds a queue to presence.
    pub fn bound_to_presence(&self, queue: &QueueSpec) -> Declaration {
        let (exchange, key) = (self.presence(), self.presence_key());
        Declaration::Binding { queue: queue.name.clone(), exchange, key }
    }

    /// Binds a queue to the beats of workers.
    pub fn bound_to_beats(&self, queue: &QueueSpec) -> Declaration {
        let (exchange, key) = (self.beats(), self.beat_key());
        Declaration::Binding { queue: queue.name.clone(), exchange, key }
    }

    /// Binds a queue to the wills of workers.
    pub fn bound_to_wills(&self, queue: &QueueSpec) -> Declaration {
        let (exchange, key) = (self.beats(), self.will_key());
        Declaration::Binding { queue: queue.name.clone(), exchange, key }
    }

    /// Everything shared. The exchange of beats is the last: a worker whose beat finds it missing
    /// connects again, and where a distributor binds its queue next, no first beat is lost.
    pub fn shared(&self) -> Vec<Declaration> {
        let exchange = |name, kind| Declaration::Exchange { name, kind };
        let bind = |queue, exchange, key| Declaration::Binding { queue, exchange, key };
        vec![
            exchange(self.submit(), ExchangeKind::Direct),
            exchange(self.results(), ExchangeKind::Direct),
            exchange(self.presence(), ExchangeKind::Fanout),
            Declaration::Queue(self.leader_queue(self.submissions(), true)),
            Declaration::Queue(self.leader_queue(self.control(), true)),
            Declaration::Queue(self.leader_queue(self.answers(), false)),
            Declaration::Queue(self.parking()),
            bind(self.submissions(), self.submit(), self.submit_key()),
            bind(self.control(), self.submit(), self.control_key()),
            bind(self.answers(), self.results(), self.answers_key()),
            exchange(self.beats(), ExchangeKind::Direct),
        ]
    }

    fn leader_queue(&self, name: Name, expiring: bool) -> QueueSpec {
        let mut arguments = self.shared_arguments();
        arguments.push(("x-max-length-bytes", number(limits::LEADER_QUEUE_BYTES)));
        arguments.push(REJECT_PUBLISH);
        if expiring {
            arguments.push(("x-message-ttl", millis(limits::LEADER_QUEUE_TTL)));
        }
        QueueSpec { name, exclusive: false, arguments }
    }

    fn parking(&self) -> QueueSpec {
        let (messages, bytes) = limits::PARKED;
        let mut arguments = self.shared_arguments();
        arguments.push(("x-max-length", number(messages)));
        arguments.push(("x-max-length-bytes", number(bytes)));
        arguments.push(DROP_HEAD);
        QueueSpec { name: self.parked(), exclusive: false, arguments }
    }

    fn shared_arguments(&self) -> Vec<(&'static str, ArgumentValue)> {
        match self.kind {
            QueueKind::Classic => vec![],
            QueueKind::Quorum => vec![
                ("x-queue-type", ArgumentValue::Text("quorum")),
                ("x-delivery-limit", number(limits::DELIVERY_LIMIT)),
            ],
        }
    }
}

const DROP_HEAD: (&str, ArgumentValue) = ("x-overflow", ArgumentValue::Text("drop-head"));
const REJECT_PUBLISH: (&str, ArgumentValue) = ("x-overflow", ArgumentValue::Text("reject-publish"));

fn exclusive(name: Name, arguments: Vec<(&'static str, ArgumentValue)>) -> QueueSpec {
    QueueSpec { name, exclusive: true, arguments }
}

fn number(value: u64) -> ArgumentValue {
    ArgumentValue::Number(i64::try_from(value).expect("our limits fit"))
}

fn millis(span: std::time::Duration) -> ArgumentValue {
    ArgumentValue::Number(i64::try_from(span.as_millis()).expect("our limits fit"))
}

fn name(text: &str) -> Name {
    assert!(text.len() <= 255, "prefix, user name and ids are short enough");
    Name(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_fits() {
        let topology = Topology::new(&"p".repeat(32), QueueKind::Classic).unwrap();
        let user: UserName = "u".repeat(64).parse().unwrap();
        let queue = topology.client_presence(&user, ClientId::new(), Generation(u32::MAX));
        assert!(queue.name.as_str().len() <= 255);
    }

    #[test]
    fn no_queue_bears_the_name_of_an_exchange() {
        let declarations = Topology::default().shared();
        let exchanges: Vec<&Name> = declarations
            .iter()
            .filter_map(|declaration| match declaration {
                Declaration::Exchange { name, .. } => Some(name),
                Declaration::Queue(_) | Declaration::Binding { .. } => None,
            })
            .collect();
        for declaration in &declarations {
            if let Declaration::Queue(queue) = declaration {
                assert!(!exchanges.contains(&&queue.name), "{}", queue.name);
            }
        }
    }

    /// A classic queue among them would be lost with its node, and nobody could declare it until
    /// the node is back: no distributor would become active.
    #[test]
    fn every_shared_queue_survives_a_node() {
        let topology = Topology::new("sd", QueueKind::Quorum).unwrap();
        let shared = topology.shared().into_iter().filter_map(|declaration| match declaration {
            Declaration::Queue(queue) => Some(queue),
            Declaration::Exchange { .. } | Declaration::Binding { .. } => None,
        });
        for queue in shared.chain([topology.pool(PoolId::of(&[], false))]) {
            let kind = ("x-queue-type", ArgumentValue::Text("quorum"));
            assert!(queue.arguments.contains(&kind), "{}", queue.name);
        }
    }

    #[test]
    fn prefixes_are_plain() {
        for prefix in ["", "a.b", "A", "sd*", &"p".repeat(33)] {
            assert_eq!(Topology::new(prefix, QueueKind::Classic).err(), Some(PrefixError));
        }
    }
}
