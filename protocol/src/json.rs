//! JSON to MessagePack and back, for callers that do not know a function's types: the command
//! line and HTTP.
//!
//! One argument stands for itself, several are a tuple, none is nil. Bytes, which JSON lacks, are
//! `{"$bytes": "<base64>"}` both ways.

mod written;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::codec;

pub use written::value_to_text;

const BYTES: &str = "$bytes";

/// Arguments or a value that have no counterpart on the other side.
#[derive(Debug, thiserror::Error)]
#[error("no counterpart between JSON and MessagePack: {0}")]
pub struct JsonError(#[from] codec::Error);

/// The argument in MessagePack of a call with these JSON arguments.
///
/// ```
/// use serde_json::json;
/// use simple_dist_protocol::{arguments_from_json, codec};
///
/// assert_eq!(arguments_from_json(&[json!(20)])?, codec::encode(&20)?);
/// assert_eq!(arguments_from_json(&[json!(2), json!(10)])?, codec::encode(&(2, 10))?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn arguments_from_json(arguments: &[Value]) -> Result<Vec<u8>, JsonError> {
    let bytes = match arguments {
        [] => codec::encode_exact(&())?,
        [argument] => codec::encode_exact(&Outgoing(argument))?,
        several => codec::encode_exact(&several.iter().map(Outgoing).collect::<Vec<_>>())?,
    };
    Ok(bytes)
}

/// The JSON of a value in MessagePack. Keys that are not text become text; what JSON has no
/// number for (NaN, infinities) becomes null.
pub fn value_to_json(bytes: &[u8]) -> Result<Value, JsonError> {
    Ok(codec::decode::<Incoming>(bytes)?.0)
}

struct Outgoing<'a>(&'a Value);

impl Serialize for Outgoing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Outgoing(item))?;
                }
                list.end()
            }
            Value::Object(fields) => {
                if let (1, Some(Value::String(text))) = (fields.len(), fields.get(BYTES)) {
                    let bytes = BASE64.decode(text).map_err(S::Error::custom)?;
                    return serializer.serialize_bytes(&bytes);
                }
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    map.serialize_entry(key, &Outgoing(value))?;
                }
                map.end()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.0.serialize(serializer)
            }
        }
    }
}

struct Incoming(Value);

impl<'de> Deserialize<'de> for Incoming {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IncomingVisitor).map(Self)
    }
}

struct IncomingVisitor;

impl<'de> Visitor<'de> for IncomingVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any MessagePack value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Object(Map::from_iter([(BYTES.to_owned(), BASE64.encode(value).into())])))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Incoming(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((Incoming(key), Incoming(value))) = map.next_entry()? {
            let key = match key {
                Value::String(text) => text,
                other => other.to_string(),
            };
            fields.insert(key, value);
        }
        Ok(fields.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::limits;

    #[test]
    fn json_comes_back_as_it_went() {
        for value in [
            json!(null),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(0.1),
            json!({"a": [1, "two", {"$bytes": "AP8="}]}),
        ] {
            let bytes = arguments_from_json(std::slice::from_ref(&value)).unwrap();
            assert_eq!(value_to_json(&bytes).unwrap(), value);
        }
    }

    #[test]
    fn what_nobody_would_read_is_not_written() {
        let deep = |levels| (0..levels).fold(json!(1), |deep, _| json!([deep]));
        let deepest = deep(limits::DEPTH);
        let bytes = arguments_from_json(std::slice::from_ref(&deepest)).unwrap();
        assert_eq!(value_to_json(&bytes).unwrap(), deepest);
        for arguments in [vec![deep(limits::DEPTH + 1)], vec![deepest, json!(1)]] {
            let refused = arguments_from_json(&arguments);
            assert!(matches!(refused, Err(JsonError(codec::Error::Deep))), "{refused:?}");
        }
    }

    #[test]
    fn bytes_travel_as_bytes() {
        let bytes = arguments_from_json(&[json!({"$bytes": "AQI="})]).unwrap();
        assert_eq!(bytes, codec::encode(serde_bytes::Bytes::new(&[1, 2])).unwrap());
        assert!(arguments_from_json(&[json!({"$bytes": "?"})]).is_err());
    }

    #[test]
    fn no_argument_is_nil_and_a_list_is_one_argument() {
        assert_eq!(arguments_from_json(&[]).unwrap(), [0xc0]);
        assert_eq!(arguments_from_json(&[json!([1, 2])]).unwrap(), [0x92, 1, 2]);
    }
}
