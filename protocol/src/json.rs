//! JSON to MessagePack and back, for callers that do not know a function's types: the command
//! line and HTTP.
//!
//! One argument is encoded as itself, several as a tuple, none as nil. Bytes, which JSON lacks, are
//! `{"$bytes": "<base64>"}` in both directions.

mod written;

use std::fmt;

use base64::engine::general_purpose::STANDARD as BASE64;
use base64::{DecodeError, Engine as _};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{codec, text};

pub use written::write_value_as_json;

const BYTES: &str = "$bytes";

/// Why arguments or a value cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Bytes that are not valid base64.
    #[error("{argument} has {given}, which is not base64: {problem}")]
    Base64 {
        /// The argument that contains them.
        argument: String,
        /// The text given, or the beginning of it.
        given: String,
        /// The problem.
        problem: String,
    },
    /// The codec failed.
    #[error(transparent)]
    Codec(#[from] codec::Error),
}

/// Encodes the JSON arguments of a call as MessagePack.
///
/// ```
/// use serde_json::json;
/// use simple_dist_protocol::{arguments_from_json, codec};
///
/// assert_eq!(arguments_from_json(&[json!(20)])?, codec::encode(&20)?);
/// assert_eq!(arguments_from_json(&[json!(2), json!(10)])?, codec::encode(&(2, 10))?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Fails if a `$bytes` object is not valid base64, or an argument is nested too deep.
pub fn arguments_from_json(arguments: &[Value]) -> Result<Vec<u8>, JsonError> {
    let encoded = match arguments {
        [] => codec::encode_untyped(&()),
        [argument] => codec::encode_untyped(&Outgoing(argument)),
        several => codec::encode_untyped(&several.iter().map(Outgoing).collect::<Vec<_>>()),
    };
    let mut bytes = encoded.map_err(|error| not_base64(arguments).unwrap_or(error.into()))?;
    // The bytes may be kept for long: release the spare capacity.
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// How much of an invalid text an error repeats.
const GIVEN: usize = 60;

/// The first invalid base64 among the arguments.
fn not_base64(arguments: &[Value]) -> Option<JsonError> {
    arguments.iter().enumerate().find_map(|(at, argument)| {
        let (given, error) = find_not_base64(argument)?;
        Some(JsonError::Base64 {
            argument: match arguments {
                [_] => "the argument".to_owned(),
                _ => format!("argument {}", at + 1),
            },
            given: text::line(&format!("{{\"{BYTES}\":{}}}", text::json(given).ok()?), GIVEN)
                .to_string(),
            problem: problem(given, error),
        })
    })
}

fn problem(given: &str, error: DecodeError) -> String {
    let at = |at: usize| format!("character {}", given[..at].chars().count() + 1);
    match error {
        DecodeError::InvalidByte(offset, _) => format!("{} is none of it", at(offset)),
        DecodeError::InvalidLastSymbol(offset, _) => format!("{} cannot be its last", at(offset)),
        DecodeError::InvalidLength(_) => "its last character is alone".to_owned(),
        DecodeError::InvalidPadding => "= is missing at its end".to_owned(),
    }
}

fn find_not_base64(value: &Value) -> Option<(&String, DecodeError)> {
    match value {
        Value::Array(items) => items.iter().find_map(find_not_base64),
        Value::Object(fields) => match bytes_of(fields) {
            Some(text) => BASE64.decode(text).err().map(|error| (text, error)),
            None => fields.values().find_map(find_not_base64),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// The base64 of an object that stands for bytes.
fn bytes_of(fields: &Map<String, Value>) -> Option<&String> {
    match (fields.len(), fields.get(BYTES)) {
        (1, Some(Value::String(text))) => Some(text),
        _ => None,
    }
}

/// Converts a value from MessagePack to JSON. Keys that are not text become text; numbers that JSON
/// lacks (NaN, infinities) become null.
///
/// # Errors
///
/// Fails if the bytes are not MessagePack, or the value has no counterpart in JSON.
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
                if let Some(text) = bytes_of(fields) {
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
            assert!(matches!(refused, Err(JsonError::Codec(codec::Error::Deep))), "{refused:?}");
        }
    }

    #[test]
    fn bytes_travel_as_bytes() {
        let bytes = arguments_from_json(&[json!({"$bytes": "AQI="})]).unwrap();
        assert_eq!(bytes, codec::encode(serde_bytes::Bytes::new(&[1, 2])).unwrap());
    }

    #[test]
    fn wrong_base64_is_told_in_one_sentence() {
        #[track_caller]
        fn check(arguments: &[Value], sentence: &str) {
            assert_eq!(arguments_from_json(arguments).unwrap_err().to_string(), sentence);
        }
        let bytes = |text: &str| json!({"$bytes": text});
        for (text, problem) in [
            ("?", "character 1 is none of it"),
            ("AP8", "= is missing at its end"),
            ("A", "its last character is alone"),
            ("AP9=", "character 3 cannot be its last"),
            ("Aé==", "character 2 is none of it"),
        ] {
            let has = format!("the argument has {{\"$bytes\":\"{text}\"}}, which is not base64");
            check(&[bytes(text)], &format!("{has}: {problem}"));
        }
        check(
            &[json!({"$bytes": 1}), json!([{"a": bytes("A P8=")}]), bytes("?")],
            r#"argument 2 has {"$bytes":"A P8="}, which is not base64: character 2 is none of it"#,
        );
        check(
            &[bytes("\u{1b}")],
            r#"the argument has {"$bytes":"\u001b"}, which is not base64: character 1 is none of it"#,
        );
        let error = arguments_from_json(&[bytes(&"AAAA!".repeat(1000))]).unwrap_err().to_string();
        assert!(
            error.chars().count() < 200 && error.ends_with("character 5 is none of it"),
            "{error}"
        );
    }

    #[test]
    fn no_argument_is_nil_and_a_list_is_one_argument() {
        assert_eq!(arguments_from_json(&[]).unwrap(), [0xc0]);
        assert_eq!(arguments_from_json(&[json!([1, 2])]).unwrap(), [0x92, 1, 2]);
    }
}
