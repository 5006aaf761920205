//! Content headers. A message keeps its properties as the bytes they came in; only what the
//! broker itself acts upon is taken out, once, when the message comes in.

use amq_protocol::{
    protocol::basic::{self, AMQPProperties},
    types::ShortString,
};
use bytes::Bytes;

use super::{Code, Refusal, nesting};

/// The header that follows a `basic.publish`.
#[derive(Debug)]
pub(crate) struct ContentHeader {
    pub(crate) class_id: u16,
    pub(crate) body_size: u64,
    /// Property flags and list, as on the wire.
    pub(crate) properties: Bytes,
    pub(crate) expiration: Option<ShortString>,
    pub(crate) user_id: Option<ShortString>,
    pub(crate) reply_to: Option<ShortString>,
    /// What the sender asks for that is not served here.
    pub(crate) unserved: Option<&'static str>,
}

impl ContentHeader {
    /// Reads the payload of a header frame.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Refusal> {
        let Some((fixed, raw)) = payload.split_at_checked(12) else {
            return Err(Refusal::new(Code::SyntaxError, "content header is too short"));
        };
        let class_id = u16::from_be_bytes([fixed[0], fixed[1]]);
        let mut size = [0; 8];
        size.copy_from_slice(&fixed[4..12]);
        let properties = parse_raw_properties(raw)?;
        Ok(Self {
            class_id,
            body_size: u64::from_be_bytes(size),
            properties: Bytes::copy_from_slice(raw),
            expiration: properties.expiration().clone(),
            user_id: properties.user_id().clone(),
            reply_to: properties.reply_to().clone(),
            unserved: unserved(&properties),
        })
    }
}

/// Property flags and list to properties.
fn parse_raw_properties(raw: &[u8]) -> Result<AMQPProperties, Refusal> {
    let malformed = |text| Refusal::new(Code::SyntaxError, text);
    nesting::check_properties(raw).map_err(|unfit| match unfit {
        nesting::Unfit::TooDeep => malformed("header table nested too deeply"),
        nesting::Unfit::Malformed => malformed("malformed header table"),
    })?;
    if raw[1] & 0b11 != 0 {
        return Err(malformed("unknown property flags"));
    }
    match basic::parse_properties(raw) {
        Ok(([], properties)) => Ok(properties),
        Ok(_) => Err(malformed("bytes after the last property")),
        Err(_) => Err(malformed("malformed properties")),
    }
}

/// What in these properties would have an effect on RabbitMQ and has none here.
fn unserved(properties: &AMQPProperties) -> Option<&'static str> {
    let headers = properties.headers().as_ref()?;
    ["CC", "BCC"].into_iter().find(|name| headers.contains_key(name))
}
