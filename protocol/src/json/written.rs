//! Writes a MessagePack value as JSON while reading it, without a tree in memory, which could take
//! more than a hundred times as much.

use std::cell::RefCell;
use std::fmt;
use std::io;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Deserializer, Serialize, Serializer};

use super::{BYTES, JsonError};
use crate::{codec, limits, text};

/// Writes a MessagePack value as JSON, as [`text::json`] would: the same as [`value_to_json`], but
/// never in memory as a whole. If the bytes turn out not to be a value, it fails midway.
///
/// ```
/// use simple_dist_protocol::{codec, write_value_as_json};
///
/// let mut written = Vec::new();
/// write_value_as_json(&codec::encode(&(1, "two", 0.5))?, &mut written)?;
/// assert_eq!(written, br#"[1,"two",0.5]"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Fails if the bytes are not a value in MessagePack, the value has no counterpart in JSON, or the
/// writer fails.
///
/// [`value_to_json`]: crate::value_to_json
pub fn write_value_as_json(bytes: &[u8], to: impl io::Write) -> Result<(), JsonError> {
    let mut from = rmp_serde::Deserializer::new(bytes);
    from.set_max_depth(limits::DEPTH + 1);
    text::write_json(&Written::new(&mut from), to)
        .map_err(|error| codec::Error::Malformed(error.to_string()))?;
    match from.get_ref().len() {
        0 => Ok(()),
        _ => Err(codec::Error::Trailing.into()),
    }
}

/// A foreign value, to be serialized once.
struct Written<D>(RefCell<Option<D>>);

impl<D> Written<D> {
    fn new(from: D) -> Self {
        Self(RefCell::new(Some(from)))
    }
}

impl<'de, D: Deserializer<'de>> Serialize for Written<D> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let from = self.0.take().ok_or_else(|| S::Error::custom("a value is written once"))?;
        from.deserialize_any(Into(to)).map_err(S::Error::custom)
    }
}

/// Bytes in base64.
struct Encoded<'a>(&'a [u8]);

impl Serialize for Encoded<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&Base64Display::new(self.0, &BASE64))
    }
}

/// Reads a value and writes it to the serializer.
struct Into<S>(S);

/// Adds an item to a list.
struct Item<'a, S>(&'a mut S);

/// A key as text; one that is not text becomes its JSON.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        let json = serde_json::to_string(&Written::new(from)).map_err(D::Error::custom)?;
        if !json.starts_with('"') {
            return Ok(json);
        }
        serde_json::from_str(&json).map_err(D::Error::custom)
    }
}

/// Adds a value to a map, with its key.
struct Entry<'a, S>(&'a mut S, String);

impl<'de, S: SerializeSeq> DeserializeSeed<'de> for Item<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.0.serialize_element(&Written::new(from)).map_err(D::Error::custom)
    }
}

impl<'de, S: SerializeMap> DeserializeSeed<'de> for Entry<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.0.serialize_entry(&self.1, &Written::new(from)).map_err(D::Error::custom)
    }
}

impl<'de, S: Serializer> Visitor<'de> for Into<S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any MessagePack value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<S::Ok, E> {
        self.0.serialize_bool(value).map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<S::Ok, E> {
        self.0.serialize_i64(value).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<S::Ok, E> {
        self.0.serialize_u64(value).map_err(E::custom)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<S::Ok, E> {
        self.0.serialize_f64(value).map_err(E::custom)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<S::Ok, E> {
        self.0.serialize_str(value).map_err(E::custom)
    }

    fn visit_bytes<E: serde::de::Error>(self, value: &[u8]) -> Result<S::Ok, E> {
        let mut map = self.0.serialize_map(Some(1)).map_err(E::custom)?;
        map.serialize_entry(BYTES, &Encoded(value)).map_err(E::custom)?;
        map.end().map_err(E::custom)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<S::Ok, E> {
        self.0.serialize_unit().map_err(E::custom)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<S::Ok, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<S::Ok, D::Error> {
        from.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<S::Ok, D::Error> {
        from.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<S::Ok, A::Error> {
        let mut to = self.0.serialize_seq(None).map_err(A::Error::custom)?;
        while list.next_element_seed(Item(&mut to))?.is_some() {}
        to.end().map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<S::Ok, A::Error> {
        let mut to = self.0.serialize_map(None).map_err(A::Error::custom)?;
        while let Some(key) = map.next_key_seed(Key)? {
            map.next_value_seed(Entry(&mut to, key))?;
        }
        to.end().map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::value_to_json;

    fn written(bytes: &[u8]) -> Result<Vec<u8>, JsonError> {
        let mut written = Vec::new();
        write_value_as_json(bytes, &mut written).map(|()| written)
    }

    #[test]
    fn it_is_the_json_that_the_tree_would_give() {
        for bytes in [
            codec::encode(&json!({"a": [1, "two\u{1b}", -0.5, null, {}], "b": true})).unwrap(),
            // Bytes; keys that are no text; NaN; an extension.
            vec![0xc4, 2, 0, 255],
            vec![0x82, 1, 2, 0x91, 3, 4],
            vec![0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
            vec![0xd4, 5, 7],
        ] {
            let written: Value = serde_json::from_slice(&written(&bytes).unwrap()).unwrap();
            assert_eq!(written, value_to_json(&bytes).unwrap(), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_single_value_is_an_error() {
        let deep: Vec<u8> = std::iter::repeat_n(0x91, 5_000).chain([0xc0]).collect();
        for bytes in [&[][..], &[0xc1], &[1, 2], &[0x92, 1], &[0xdd, 255, 255, 255, 255], &deep] {
            assert!(written(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_understand_the_same(bytes: Vec<u8>) {
            prop_assert_eq!(written(&bytes).is_ok(), value_to_json(&bytes).is_ok());
        }
    }
}
