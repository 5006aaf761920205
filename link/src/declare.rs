//! How something is declared at the broker.

use lapin::Channel;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};

use simple_dist_protocol::topology::{ArgumentValue, Declaration, ExchangeKind, Name, QueueSpec};
/// Declares an exchange, queue or binding.
pub(super) async fn declare(
    channel: &Channel,
    declaration: &Declaration,
) -> Result<(), lapin::Error> {
    match declaration {
        Declaration::Exchange { name, kind } => {
            let kind = match kind {
                ExchangeKind::Direct => lapin::ExchangeKind::Direct,
                ExchangeKind::Fanout => lapin::ExchangeKind::Fanout,
            };
            let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
            channel.exchange_declare(short(name), kind, options, FieldTable::default()).await
        }
        Declaration::Queue(queue) => declare_queue(channel, queue).await,
        Declaration::Binding { queue, exchange, key } => {
            let (queue, exchange, key) = (short(queue), short(exchange), short(key));
            let options = QueueBindOptions::default();
            channel.queue_bind(queue, exchange, key, options, FieldTable::default()).await
        }
    }
}

/// Declares a queue.
pub(super) async fn declare_queue(
    channel: &Channel,
    queue: &QueueSpec,
) -> Result<(), lapin::Error> {
    let options = QueueDeclareOptions {
        durable: !queue.exclusive,
        exclusive: queue.exclusive,
        ..Default::default()
    };
    let mut arguments = FieldTable::default();
    for (name, value) in &queue.arguments {
        let name = ShortString::try_new(*name).expect("names of arguments are short");
        arguments.insert(name, argument(value));
    }
    channel.queue_declare(short(&queue.name), options, arguments).await.map(|_| ())
}

fn argument(value: &ArgumentValue) -> AMQPValue {
    match value {
        ArgumentValue::Number(number) => AMQPValue::LongLongInt(*number),
        ArgumentValue::Text(text) => AMQPValue::LongString((*text).into()),
        ArgumentValue::Name(name) => AMQPValue::LongString(name.as_str().into()),
    }
}

/// A name in the client library's type.
pub(super) fn short(name: &Name) -> ShortString {
    ShortString::try_new(name.as_str()).expect("no name is longer than 255 bytes")
}
