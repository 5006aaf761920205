//! Content headers. A message keeps its properties as the bytes they came in; only what the
//! broker itself acts upon is taken out, once, when the message comes in.

use amq_protocol::{
    frame::WriteContext,
    protocol::basic::{self, AMQPProperties},
    types::{AMQPValue, FieldTable, ShortString},
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
    pub(crate) persistent: bool,
    pub(crate) priority: u8,
    pub(crate) expiration: Option<ShortString>,
    pub(crate) user_id: Option<ShortString>,
    pub(crate) reply_to: Option<ShortString>,
    /// Further routing keys, from the `CC` and `BCC` headers; an error if they are no list of
    /// strings.
    pub(crate) copies: Result<Vec<ShortString>, &'static str>,
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
        let mut properties = parse_raw_properties(raw)?;
        let copies = properties.headers().as_ref().map_or(Ok(Vec::new()), carbon_copies);
        let bytes = match without_blind_copies(&properties) {
            Some(stripped) => {
                properties = stripped;
                encode_properties(&properties)
            }
            None => Bytes::copy_from_slice(raw),
        };
        Ok(Self {
            class_id,
            body_size: u64::from_be_bytes(size),
            properties: bytes,
            persistent: *properties.delivery_mode() == Some(2),
            priority: properties.priority().unwrap_or(0),
            expiration: properties.expiration().clone(),
            user_id: properties.user_id().clone(),
            reply_to: properties.reply_to().clone(),
            copies,
        })
    }
}

/// Property flags and list to properties.
pub(crate) fn parse_raw_properties(raw: &[u8]) -> Result<AMQPProperties, Refusal> {
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

/// Properties to property flags and list.
pub(crate) fn encode_properties(properties: &AMQPProperties) -> Bytes {
    let context = WriteContext::from(Vec::with_capacity(256));
    basic::gen_properties(properties)(context)
        .map(|context| Bytes::from(context.write))
        .expect("a vector takes every write")
}

/// The routing keys in the `CC` and `BCC` headers, or the name of the one that is malformed.
pub(crate) fn carbon_copies(headers: &FieldTable) -> Result<Vec<ShortString>, &'static str> {
    let mut keys = Vec::new();
    for name in ["CC", "BCC"] {
        match headers.inner().get(name) {
            None => {}
            Some(AMQPValue::FieldArray(list)) => {
                for key in list.as_slice() {
                    let AMQPValue::LongString(key) = key else { return Err(name) };
                    let text = std::str::from_utf8(key.as_bytes()).map_err(|_| name)?;
                    keys.push(ShortString::try_new(text).map_err(|_| name)?);
                }
            }
            Some(_) => return Err(name),
        }
    }
    Ok(keys)
}

fn without_blind_copies(properties: &AMQPProperties) -> Option<AMQPProperties> {
    let headers = properties.headers().as_ref()?;
    if !headers.contains_key("BCC") {
        return None;
    }
    let mut headers = headers.inner().clone();
    headers.remove("BCC");
    Some(properties.clone().with_headers(headers.into()))
}
