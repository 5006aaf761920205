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
}

/// The kind of queue. Both are kept in the same way here, but a quorum queue has a delivery limit.
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
    pub(super) delivery_limit: Option<u32>,
    pub(super) dead_letters: Option<DeadLetters>,
}

/// Where what is dropped goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeadLetters {
    pub(super) exchange: ShortString,
    /// Instead of its own routing key.
    pub(super) key: Option<ShortString>,
}

/// How often a message may come back to a quorum queue that sets no limit, as since RabbitMQ 4.0.
const DELIVERY_LIMIT: u32 = 20;
/// The longest time to live or expiry: 2^32 - 1 ms, as on RabbitMQ.
const MILLISECONDS_LIMIT: u64 = u32::MAX as u64;

impl Arguments {
    pub(super) fn parse(table: &FieldTable) -> Result<Self, Refusal> {
        let mut arguments = Self::default();
        let (mut exchange, mut key) = (None, None);
        for (name, value) in table {
            let dead_letters = match name.as_str() {
                "x-dead-letter-exchange" => &mut exchange,
                "x-dead-letter-routing-key" => &mut key,
                name => {
                    arguments.set(name, value)?;
                    continue;
                }
            };
            *dead_letters = Some(short(value).map_err(|why| invalid(name.as_str(), why))?);
        }
        if exchange.is_none() && key.is_some() {
            return Err(invalid("x-dead-letter-routing-key", "no dead letter exchange"));
        }
        if arguments.kind == Kind::Quorum && exchange.is_some() {
            let text = "dead letters of a quorum queue";
            return Err(Refusal::new(Code::NotImplemented, text));
        }
        arguments.dead_letters = exchange.map(|exchange| DeadLetters { exchange, key });
        if arguments.kind == Kind::Classic && arguments.delivery_limit.is_some() {
            let text = "invalid arg 'x-delivery-limit' for a classic queue";
            return Err(Refusal::new(Code::PreconditionFailed, text));
        }
        Ok(arguments)
    }

    fn set(&mut self, name: &str, value: &AMQPValue) -> Result<(), Refusal> {
        let invalid = |why: &str| invalid(name, why);
        match name {
            "x-queue-type" => self.kind = kind(value).map_err(invalid)?,
            "x-expires" => match milliseconds(value).map_err(invalid)? {
                Duration::ZERO => return Err(invalid("must be positive")),
                expires => self.expires = Some(expires),
            },
            "x-message-ttl" => self.message_ttl = Some(milliseconds(value).map_err(invalid)?),
            "x-max-length" => self.max_length = Some(size(value).map_err(invalid)?),
            "x-max-length-bytes" => self.max_length_bytes = Some(size(value).map_err(invalid)?),
            "x-overflow" => self.overflow = overflow(value).map_err(invalid)?,
            "x-delivery-limit" => {
                let limit = number(value).map_err(invalid)?;
                let limit = u32::try_from(limit).map_err(|_| invalid("out of range"))?;
                self.delivery_limit = Some(limit);
            }
            _ => {
                let text = format!("queue argument '{name}'");
                return Err(Refusal::new(Code::NotImplemented, text));
            }
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
}

fn invalid(name: &str, why: &str) -> Refusal {
    Refusal::new(Code::PreconditionFailed, format!("invalid arg '{name}': {why}"))
}

fn kind(value: &AMQPValue) -> Result<Kind, &'static str> {
    match text(value)? {
        "classic" => Ok(Kind::Classic),
        "quorum" => Ok(Kind::Quorum),
        _ => Err("only classic and quorum queues are served here"),
    }
}

fn overflow(value: &AMQPValue) -> Result<Overflow, &'static str> {
    match text(value)? {
        "drop-head" => Ok(Overflow::DropHead),
        "reject-publish" => Ok(Overflow::RejectPublish),
        _ => Err("unknown overflow behaviour"),
    }
}

/// A whole number that is not negative, in any of AMQP's widths.
fn number(value: &AMQPValue) -> Result<u64, &'static str> {
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

fn short(value: &AMQPValue) -> Result<ShortString, &'static str> {
    ShortString::try_new(text(value)?).map_err(|_| "too long")
}

fn text(value: &AMQPValue) -> Result<&str, &'static str> {
    match value {
        AMQPValue::LongString(text) => {
            std::str::from_utf8(text.as_bytes()).map_err(|_| "not UTF-8")
        }
        AMQPValue::ShortString(text) => Ok(text.as_str()),
        _ => Err("not a string"),
    }
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
        let lazy = AMQPValue::LongString("lazy".into());
        assert_eq!(parse("x-queue-mode", lazy), Err(Code::NotImplemented));
        for (name, value) in [
            ("x-expires", AMQPValue::LongInt(0)),
            ("x-message-ttl", AMQPValue::LongInt(-1)),
            ("x-message-ttl", AMQPValue::LongString("10".into())),
            ("x-delivery-limit", AMQPValue::LongInt(3)),
            ("x-queue-type", AMQPValue::LongString("stream".into())),
        ] {
            assert_eq!(parse(name, value), Err(Code::PreconditionFailed), "{name}");
        }
    }
}
