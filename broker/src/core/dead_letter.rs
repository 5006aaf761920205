//! Dead letters: messages that expired, were rejected, did not fit or came back too often, on
//! their way to the exchange that their queue names, with the story of their deaths.

use std::{sync::Arc, time::Instant};

use amq_protocol::types::{AMQPValue, FieldArray, FieldTable, LongString, ShortString};

use super::{
    Core,
    message::{Message, Parts},
    queue::Queue,
};
use crate::wire::{carbon_copies, encode_properties, parse_raw_properties};

/// Why a message left its queue undelivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Expired,
    Rejected,
    TooLong,
    DeliveryLimit,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::TooLong => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

/// A message on its way out of a queue.
#[derive(Debug)]
pub(super) struct Letter {
    message: Arc<Message>,
    queue: ShortString,
    exchange: ShortString,
    routing_key: Option<ShortString>,
    reason: Reason,
}

impl Letter {
    pub(super) fn new(queue: &Queue, message: Arc<Message>, reason: Reason) -> Self {
        Self {
            message,
            queue: queue.name.clone(),
            exchange: queue.arguments.dead_letter_exchange.clone().unwrap_or_default(),
            routing_key: queue.arguments.dead_letter_routing_key.clone(),
            reason,
        }
    }
}

impl Core {
    pub(super) fn forward(&mut self, letter: Letter, now: Instant) {
        let Letter { message, queue, exchange, routing_key, reason } = letter;
        let Ok(properties) = parse_raw_properties(&message.properties) else { return };
        let headers = properties.headers().clone().unwrap_or_default();
        let deaths = deaths(&headers, &message, &queue, reason, self.unix_time(now));
        // With a key of its own, the copies that the sender asked for are not made again.
        let keys = match &routing_key {
            Some(key) => vec![key.clone()],
            None => {
                let copies = carbon_copies(&headers).unwrap_or_default();
                std::iter::once(message.routing_key.clone()).chain(copies).collect()
            }
        };
        let Ok(mut targets) = self.route(&exchange, &keys) else { return };
        targets.retain(|target| {
            self.queues.get(target).is_some_and(|target| !is_cycle(target.name.as_str(), &deaths))
        });
        if targets.is_empty() {
            return;
        }
        let mut headers = headers;
        if !headers.contains_key("x-first-death-reason") {
            for (name, value) in [
                ("x-first-death-reason", reason.name()),
                ("x-first-death-queue", queue.as_str()),
                ("x-first-death-exchange", message.exchange.as_str()),
            ] {
                headers.insert(name.into(), string(value));
            }
        }
        if routing_key.is_some() && headers.contains_key("CC") {
            let mut without = headers.inner().clone();
            without.remove("CC");
            headers = without.into();
        }
        let deaths = deaths.into_iter().map(AMQPValue::FieldTable).collect::<Vec<_>>();
        headers.insert("x-death".into(), AMQPValue::FieldArray(FieldArray::from(deaths)));
        let raw = without_expiration(&encode_properties(&properties.with_headers(headers)));
        let forwarded = Message::new(
            Parts {
                exchange,
                routing_key: routing_key.unwrap_or_else(|| message.routing_key.clone()),
                properties: raw,
                body: message.body.clone(),
                persistent: message.persistent,
                priority: message.priority,
                expiration: None,
            },
            &self.memory,
        );
        self.counters.dead_lettered += 1;
        for target in targets {
            self.enqueue(target, &forwarded, now);
        }
    }
}

/// The deaths of a message, the newest first, one table for each queue and reason.
fn deaths(
    headers: &FieldTable,
    message: &Message,
    queue: &ShortString,
    reason: Reason,
    unix_time: u64,
) -> Vec<FieldTable> {
    let mut deaths: Vec<FieldTable> = match headers.inner().get("x-death") {
        Some(AMQPValue::FieldArray(list)) => list
            .as_slice()
            .iter()
            .filter_map(|death| match death {
                AMQPValue::FieldTable(table) => Some(table.clone()),
                _ => None,
            })
            .collect(),
        Some(_) | None => Vec::new(),
    };
    let same = deaths.iter().position(|death| {
        holds(death, "queue", queue.as_str()) && holds(death, "reason", reason.name())
    });
    let death = match same {
        Some(place) => {
            let mut death = deaths.remove(place);
            let count = match death.inner().get("count") {
                Some(AMQPValue::LongLongInt(count)) => count.saturating_add(1),
                Some(_) | None => 1,
            };
            death.insert("count".into(), AMQPValue::LongLongInt(count));
            death
        }
        None => first_death(message, queue, reason, unix_time),
    };
    deaths.insert(0, death);
    deaths
}

fn first_death(
    message: &Message,
    queue: &ShortString,
    reason: Reason,
    unix_time: u64,
) -> FieldTable {
    let mut death = FieldTable::default();
    let keys = FieldArray::from(vec![string(message.routing_key.as_str())]);
    death.insert("count".into(), AMQPValue::LongLongInt(1));
    death.insert("reason".into(), string(reason.name()));
    death.insert("queue".into(), string(queue.as_str()));
    death.insert("time".into(), AMQPValue::Timestamp(unix_time));
    death.insert("exchange".into(), string(message.exchange.as_str()));
    death.insert("routing-keys".into(), AMQPValue::FieldArray(keys));
    if let Some(expiration) = message.expiration {
        death.insert("original-expiration".into(), string(&expiration.to_string()));
    }
    death
}

/// Whether a message would go round for ever: it died in this queue before, and nobody rejected
/// it since.
fn is_cycle(queue: &str, deaths: &[FieldTable]) -> bool {
    match deaths.iter().position(|death| holds(death, "queue", queue)) {
        Some(place) => deaths[..=place].iter().all(|death| !holds(death, "reason", "rejected")),
        None => false,
    }
}

fn holds(death: &FieldTable, name: &str, value: &str) -> bool {
    matches!(
        death.inner().get(name),
        Some(AMQPValue::LongString(text)) if text.as_bytes() == value.as_bytes()
    )
}

fn string(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

/// A dead letter does not expire again by its own clock.
fn without_expiration(raw: &[u8]) -> bytes::Bytes {
    use amq_protocol::protocol::basic::AMQPProperties;
    let Ok(properties) = parse_raw_properties(raw) else {
        return bytes::Bytes::copy_from_slice(raw);
    };
    if properties.expiration().is_none() {
        return bytes::Bytes::copy_from_slice(raw);
    }
    let mut rest = AMQPProperties::default();
    macro_rules! keep {
        ($($get:ident => $with:ident),*) => {
            $(if let Some(value) = properties.$get().clone() { rest = rest.$with(value); })*
        };
    }
    keep!(
        content_type => with_content_type, content_encoding => with_content_encoding,
        headers => with_headers, delivery_mode => with_delivery_mode, priority => with_priority,
        correlation_id => with_correlation_id, reply_to => with_reply_to,
        message_id => with_message_id, timestamp => with_timestamp, kind => with_type,
        user_id => with_user_id, app_id => with_app_id, cluster_id => with_cluster_id
    );
    encode_properties(&rest)
}
