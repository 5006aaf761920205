//! Everything that a login can try at the broker, and whether the broker allowed it.

use std::time::Duration;

use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    ExchangeBindOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ErrorKind, ExchangeKind};

use crate::object::{Access, Exchange, Names, Queue};

/// How long the broker may take to respond.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An operation to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Publish to a queue through the default exchange.
    Send(Queue),
    Publish(Exchange),
    /// Publish with another user's `user_id`.
    Forge(Exchange),
    Consume(Queue),
    Get(Queue),
    Purge(Queue),
    /// Passive declare: whether it exists, and how many messages it has.
    Look(Queue),
    Declare(Queue),
    Delete(Queue),
    /// Declare a new queue that dead-letters into this exchange.
    DeadLetter(Queue, Exchange),
    Bind(Queue, Exchange),
    Unbind(Queue, Exchange),
    DeclareExchange(Exchange),
    DeleteExchange(Exchange),
    /// Bind the first exchange to the second.
    BindExchange(Exchange, Exchange),
}

/// The expected response of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Refused,
    /// Before RabbitMQ 4.3, every login may see whether a queue exists.
    Either,
}

impl Operation {
    /// All operations; deletions come last.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for exchange in Exchange::ALL {
            all.extend([Self::Publish(exchange), Self::Forge(exchange)]);
            all.push(Self::DeclareExchange(exchange));
            all.extend(Queue::ALL.map(|queue| Self::Bind(queue, exchange)));
            all.extend(Queue::ALL.map(|queue| Self::Unbind(queue, exchange)));
            all.extend(Queue::ALL.map(|queue| Self::DeadLetter(queue, exchange)));
            all.extend(Exchange::ALL.map(|to| Self::BindExchange(to, exchange)));
        }
        for queue in Queue::ALL {
            all.extend([Self::Send(queue), Self::Look(queue), Self::Get(queue)]);
            all.extend([Self::Consume(queue), Self::Purge(queue), Self::Declare(queue)]);
        }
        all.extend(Queue::NONE_YET.map(Self::Declare));
        all.extend(Queue::ALL.map(Self::Delete));
        all.extend(Exchange::ALL.map(Self::DeleteExchange));
        all
    }

    /// The permission check that RabbitMQ makes for it.
    pub(crate) fn verdict(self, access: &Access) -> Verdict {
        let Access { configure, write, read } = access;
        let own = |exchange| !matches!(exchange, Exchange::Default | Exchange::Direct);
        let allowed = match self {
            Self::Look(queue) if !(read.queue(queue) || configure.queue(queue)) => {
                return Verdict::Either;
            }
            Self::Look(_) => true,
            Self::Send(_) => write.exchange(Exchange::Default),
            Self::Publish(exchange) => write.exchange(exchange),
            Self::Forge(_) => false,
            Self::Consume(queue) | Self::Get(queue) | Self::Purge(queue) => read.queue(queue),
            Self::Declare(queue) | Self::Delete(queue) => configure.queue(queue),
            Self::DeadLetter(queue, to) => {
                is_family(queue)
                    && configure.queue(queue)
                    && read.queue(queue)
                    && write.exchange(to)
            }
            Self::Bind(queue, from) | Self::Unbind(queue, from) => {
                from != Exchange::Default && write.queue(queue) && read.exchange(from)
            }
            Self::DeclareExchange(exchange) | Self::DeleteExchange(exchange) => {
                own(exchange) && configure.exchange(exchange)
            }
            Self::BindExchange(to, from) => {
                to != Exchange::Default && write.exchange(to) && read.exchange(from)
            }
        };
        if allowed { Verdict::Allowed } else { Verdict::Refused }
    }

    /// Tries it on a new channel.
    pub(crate) async fn attempt(self, names: &Names, connection: &Connection) -> Verdict {
        let attempt = async {
            let channel = connection.create_channel().await?;
            let done = self.run(names, &channel).await;
            if channel.status().connected() {
                channel.close(200, short("done")).await?;
            }
            done
        };
        let done = tokio::time::timeout(TIMEOUT, attempt).await;
        let error = match done.expect("the broker answers") {
            Ok(()) => return Verdict::Allowed,
            Err(error) => error,
        };
        let kind = match error.kind() {
            ErrorKind::ProtocolError(amqp) => Some(amqp.kind().clone()),
            _ => None,
        };
        match kind {
            Some(AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)) => Verdict::Refused,
            Some(AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED))
                if matches!(self, Self::Forge(_)) =>
            {
                Verdict::Refused
            }
            Some(_) | None => panic!("{self:?} ended otherwise: {error}"),
        }
    }

    async fn run(self, names: &Names, channel: &Channel) -> Result<(), lapin::Error> {
        let queue = |queue| short(&names.queue(queue));
        let exchange = |exchange| short(&names.exchange(exchange));
        let none = FieldTable::default();
        match self {
            Self::Send(to) => publish(channel, short(""), queue(to), None).await,
            Self::Publish(to) => publish(channel, exchange(to), short("nobody"), None).await,
            Self::Forge(to) => {
                publish(channel, exchange(to), short("nobody"), Some(short("guest"))).await
            }
            Self::Consume(from) => {
                let options = BasicConsumeOptions::default();
                channel.basic_consume(queue(from), short(""), options, none).await.map(drop)
            }
            Self::Get(from) => {
                channel.basic_get(queue(from), BasicGetOptions::default()).await.map(drop)
            }
            Self::Purge(of) => {
                channel.queue_purge(queue(of), QueuePurgeOptions::default()).await.map(drop)
            }
            Self::Look(at) => {
                let passive = QueueDeclareOptions { passive: true, ..durable() };
                channel.queue_declare(queue(at), passive, none).await.map(drop)
            }
            Self::Declare(of) => {
                let exclusive = Queue::NONE_YET.contains(&of);
                let options = QueueDeclareOptions { exclusive, durable: !exclusive, ..durable() };
                channel.queue_declare(queue(of), options, none).await.map(drop)
            }
            Self::Delete(of) => {
                channel.queue_delete(queue(of), QueueDeleteOptions::default()).await.map(drop)
            }
            Self::DeadLetter(from, to) => {
                let mut arguments = FieldTable::default();
                let to = AMQPValue::LongString(names.exchange(to).into());
                arguments.insert(short("x-dead-letter-exchange"), to);
                let name = short(&format!("{}.{self:?}", names.queue(from)));
                let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
                channel.queue_declare(name, options, arguments).await.map(drop)
            }
            Self::Bind(to, from) => {
                let options = QueueBindOptions::default();
                channel.queue_bind(queue(to), exchange(from), short("k"), options, none).await
            }
            Self::Unbind(to, from) => {
                channel.queue_unbind(queue(to), exchange(from), short("k"), none).await
            }
            Self::DeclareExchange(of) => declare_exchange(names, channel, of).await,
            Self::DeleteExchange(of) => {
                channel.exchange_delete(exchange(of), ExchangeDeleteOptions::default()).await
            }
            Self::BindExchange(to, from) => {
                let options = ExchangeBindOptions::default();
                channel.exchange_bind(exchange(to), exchange(from), short("k"), options, none).await
            }
        }
    }
}

/// Whether names that start with this queue's name are of the same kind.
fn is_family(queue: Queue) -> bool {
    matches!(queue, Queue::Pool | Queue::Distributors | Queue::OwnWorkers | Queue::OwnClients)
}

/// Creates all missing objects, as the administrator.
pub(crate) async fn furnish(names: &Names, connection: &Connection) -> Result<(), lapin::Error> {
    let channel = connection.create_channel().await?;
    for exchange in Exchange::ALL {
        if !matches!(exchange, Exchange::Default | Exchange::Direct) {
            declare_exchange(names, &channel, exchange).await?;
        }
    }
    for queue in Queue::ALL {
        let name = short(&names.queue(queue));
        channel.queue_declare(name, durable(), FieldTable::default()).await?;
    }
    channel.close(200, short("done")).await
}

async fn declare_exchange(
    names: &Names,
    channel: &Channel,
    exchange: Exchange,
) -> Result<(), lapin::Error> {
    let kind = match exchange {
        Exchange::Presence => ExchangeKind::Fanout,
        Exchange::Submit
        | Exchange::Results
        | Exchange::Beats
        | Exchange::Default
        | Exchange::Direct
        | Exchange::Elsewhere => ExchangeKind::Direct,
    };
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let name = short(&names.exchange(exchange));
    channel.exchange_declare(name, kind, options, FieldTable::default()).await
}

async fn publish(
    channel: &Channel,
    exchange: ShortString,
    key: ShortString,
    user: Option<ShortString>,
) -> Result<(), lapin::Error> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut properties = BasicProperties::default();
    if let Some(user) = user {
        properties = properties.with_user_id(user);
    }
    let options = BasicPublishOptions::default();
    channel.basic_publish(exchange, key, options, b"matrix", properties).await?.await.map(drop)
}

fn durable() -> QueueDeclareOptions {
    QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() }
}

fn short(text: &str) -> ShortString {
    ShortString::try_new(text).expect("names of tests are short")
}
