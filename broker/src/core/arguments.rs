//! A queue's arguments: what each may be, and what is refused. Nothing is ignored: an argument
//! that has no effect here is an error, for a queue without the limit its owner asked for would
//! be found out in production only.

use std::time::Duration;

use amq_protocol::types::{AMQPValue, FieldTable, ShortString};

use crate::wire::{Code, Refusal};

/// What the queue does with a message that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Overflow {
    #[default]
    DropHead,
    RejectPublish,
    RejectPublishDeadLetter,
}

/// The kind of queue. Both are kept in the same way here; a quorum queue has a delivery limit
/// and counts deliveries, a classic one may have priorities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Classic,
    Quorum,
}

/// The arguments of `queue.declare`, understood. Equality is RabbitMQ's equivalence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) kind: Kind,
    pub(super) expires: Option<Duration>,
    pub(super) message_ttl: Option<Duration>,
    pub(super) max_length: Option<usize>,
    pub(super) max_length_bytes: Option<usize>,
    pub(super) overflow: Overflow,
    pub(super) dead_letter_exchange: Option<ShortString>,
    pub(super) dead_letter_routing_key: Option<ShortString>,
    pub(super) max_priority: Option<u8>,
    pub(super) delivery_limit: Option<u32>,
}

/// How often a message may come back to a quorum queue that sets no limit, as since RabbitMQ 4.0.
const DELIVERY_LIMIT: u32 = 20;
/// The longest time to live or expiry: 2^32 - 1 ms, as on RabbitMQ.
const MILLISECONDS_LIMIT: u64 = u32::MAX as u64;

impl Arguments {
    pub(super) fn parse(table: &FieldTable) -> Result<Self, Refusal> {
        let mut arguments = Self::default();
        for (name, value) in table {
            arguments.set(name.as_str(), value).map_err(|why| {
                let text = format!("invalid arg '{name}': {why}");
                Refusal::new(Code::PreconditionFailed, text)
            })?;
        }
        arguments.check_together()?;
        Ok(arguments)
    }

    fn set(&mut self, name: &str, value: &AMQPValue) -> Result<(), &'static str> {
        match name {
            "x-queue-type" => {
                self.kind = match text(value)?.as_str() {
                    "classic" => Kind::Classic,
                    "quorum" => Kind::Quorum,
                    _ => return Err("only classic and quorum queues are served here"),
                };
            }
            "x-expires" => match milliseconds(value)? {
                Duration::ZERO => return Err("must be positive"),
                expires => self.expires = Some(expires),
            },
            "x-message-ttl" => self.message_ttl = Some(milliseconds(value)?),
            "x-max-length" => self.max_length = Some(size(value)?),
            "x-max-length-bytes" => self.max_length_bytes = Some(size(value)?),
            "x-overflow" => {
                self.overflow = match text(value)?.as_str() {
                    "drop-head" => Overflow::DropHead,
                    "reject-publish" => Overflow::RejectPublish,
                    "reject-publish-dlx" => Overflow::RejectPublishDeadLetter,
                    _ => return Err("unknown overflow behaviour"),
                };
            }
            "x-dead-letter-exchange" => self.dead_letter_exchange = Some(text(value)?),
            "x-dead-letter-routing-key" => self.dead_letter_routing_key = Some(text(value)?),
            "x-max-priority" => {
                let levels = u8::try_from(number(value)?).map_err(|_| "at most 255")?;
                self.max_priority = Some(levels);
            }
            "x-delivery-limit" => {
                let limit = u32::try_from(number(value)?).map_err(|_| "out of range")?;
                self.delivery_limit = Some(limit);
            }
            _ => return Err("not implemented by this broker"),
        }
        Ok(())
    }

    /// How often a message may come back; a classic queue counts nothing.
    pub(super) fn limit_of_returns(&self) -> Option<u32> {
        match self.kind {
            Kind::Classic => None,
            Kind::Quorum => Some(self.delivery_limit.unwrap_or(DELIVERY_LIMIT)),
        }
    }

    fn check_together(&self) -> Result<(), Refusal> {
        let refused = |text: &str| Err(Refusal::new(Code::PreconditionFailed, text));
        if self.dead_letter_routing_key.is_some() && self.dead_letter_exchange.is_none() {
            return refused("x-dead-letter-routing-key without x-dead-letter-exchange");
        }
        match self.kind {
            Kind::Classic if self.delivery_limit.is_some() => {
                refused("invalid arg 'x-delivery-limit' for a classic queue")
            }
            Kind::Quorum if self.max_priority.is_some() => {
                refused("invalid arg 'x-max-priority' for a quorum queue")
            }
            Kind::Quorum if self.overflow == Overflow::RejectPublishDeadLetter => {
                refused("invalid arg 'x-overflow' for a quorum queue")
            }
            Kind::Classic | Kind::Quorum => Ok(()),
        }
    }
}

/// A whole number that is not negative, in any of AMQP's widths.
pub(super) fn number(value: &AMQPValue) -> Result<u64, &'static str> {
    let number = match *value {
        AMQPValue::ShortShortInt(number) => i64::from(number),
        AMQPValue::ShortShortUInt(number) => i64::from(number),
        AMQPValue::ShortInt(number) => i64::from(number),
        AMQPValue::ShortUInt(number) => i64::from(number),
        AMQPValue::LongInt(number) => i64::from(number),
        AMQPValue::LongUInt(number) => i64::from(number),
        AMQPValue::LongLongInt(number) => number,
        _ => return Err("not a number"),
    };
    u64::try_from(number).map_err(|_| "must not be negative")
}

fn milliseconds(value: &AMQPValue) -> Result<Duration, &'static str> {
    match number(value)? {
        number if number <= MILLISECONDS_LIMIT => Ok(Duration::from_millis(number)),
        _ => Err("too large"),
    }
}

fn size(value: &AMQPValue) -> Result<usize, &'static str> {
    usize::try_from(number(value)?).map_err(|_| "too large")
}

fn text(value: &AMQPValue) -> Result<ShortString, &'static str> {
    let text = match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()),
        AMQPValue::ShortString(text) => Ok(text.as_str()),
        _ => return Err("not a string"),
    };
    ShortString::try_new(text.map_err(|_| "not UTF-8")?).map_err(|_| "too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, value: AMQPValue) -> Result<Arguments, Code> {
        let mut table = FieldTable::default();
        table.insert(name.into(), value);
        Arguments::parse(&table).map_err(|refusal| refusal.code)
    }

    #[test]
    fn the_width_of_a_number_does_not_matter() {
        let narrow = parse("x-max-length", AMQPValue::ShortShortUInt(5)).unwrap();
        let wide = parse("x-max-length", AMQPValue::LongLongInt(5)).unwrap();
        assert_eq!(narrow, wide);
    }

    #[test]
    fn what_has_no_effect_is_refused() {
        for (name, value) in [
            ("x-queue-mode", AMQPValue::LongString("lazy".into())),
            ("x-expires", AMQPValue::LongInt(0)),
            ("x-message-ttl", AMQPValue::LongInt(-1)),
            ("x-message-ttl", AMQPValue::LongString("10".into())),
            ("x-delivery-limit", AMQPValue::LongInt(3)),
            ("x-dead-letter-routing-key", AMQPValue::LongString("key".into())),
            ("x-queue-type", AMQPValue::LongString("stream".into())),
        ] {
            assert_eq!(parse(name, value), Err(Code::PreconditionFailed), "{name}");
        }
    }
}
