//! Carries out the plan on a new connection.

use lapin::Channel;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::consumer::{Granted, channel, consume};
use super::generation::{Live, in_time};
use super::{Plan, Reason, Source};
use simple_dist_protocol::topology::{ArgumentValue, Declaration, ExchangeKind, Name, QueueSpec};

/// The progress of a plan. If something is not declared yet by others, the plan is resumed from
/// there.
pub(super) struct Progress<S> {
    plan: Plan<S>,
    declared: usize,
    granted: Vec<Granted<S>>,
}

impl<S: Source> Progress<S> {
    pub(super) fn new(plan: Plan<S>) -> Self {
        Self { plan, declared: 0, granted: Vec::new() }
    }

    /// Continues to the end, or to the first failure.
    pub(super) async fn advance(&mut self, live: &Live<S>) -> Result<(), Reason> {
        while let Some(declaration) = self.plan.declare.get(self.declared) {
            let desk = in_time(live.declares.take(&live.broker.consuming)).await?;
            in_time(declare(&desk, declaration)).await?;
            live.declares.keep(desk);
            self.declared += 1;
        }
        while let Some(next) = self.plan.consume.get(self.granted.len()) {
            let channel = in_time(channel(None, &live.broker.consuming)).await?;
            self.granted.push(in_time(consume(channel, next.clone())).await?);
        }
        Ok(())
    }

    /// The declarations, and the consumers, none of which has begun.
    pub(super) fn done(self) -> (Vec<Declaration>, Vec<Granted<S>>) {
        (self.plan.declare, self.granted)
    }
}

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
        arguments.insert(name, argument(*value));
    }
    channel.queue_declare(short(&queue.name), options, arguments).await.map(|_| ())
}

fn argument(value: ArgumentValue) -> AMQPValue {
    match value {
        ArgumentValue::Number(number) => AMQPValue::LongLongInt(number),
        ArgumentValue::Text(text) => AMQPValue::LongString(text.into()),
    }
}

/// A name in the client library's type.
pub(super) fn short(name: &Name) -> ShortString {
    ShortString::try_new(name.as_str()).expect("no name is longer than 255 bytes")
}
